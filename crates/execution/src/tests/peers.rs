//! Goal: a batch gives the receipts root, gas and state that the executable specification gives. Method: one batch of
//! transactions of every kind on each fork, against what EELS t8n answered (tests/vectors/eels/ORIGIN).
use super::*;
use alloy_consensus::{TxEip1559, TxEip2930, TxEip7702, TxLegacy};
use alloy_eips::{
    eip2930::{AccessList, AccessListItem},
    eip7702::Authorization,
};
use alloy_primitives::{Bytes, TxKind, U256};
use serde::Deserialize;
use serde_json::Value;
use std::string::String;

/// Runtime: with calldata, SELFDESTRUCT to the caller; without, turns slot 0 from 0 to 1 and back.
const FLIP: &[u8] = &[0x36, 0x60, 0x0c, 0x57, 0x60, 0x00, 0x54, 0x15, 0x60, 0x00, 0x55, 0x00, 0x5b, 0x33, 0xff];

fn evm(address: Address) -> alloy_primitives::Address {
    alloy_primitives::Address::from(address.0)
}

/// Init code that returns `runtime`.
fn deploy(runtime: &[u8]) -> Bytes {
    let length = u8::try_from(runtime.len()).unwrap();
    let mut init = vec![0x60, length, 0x60, 0x0c, 0x60, 0x00, 0x39, 0x60, length, 0x60, 0x00, 0xf3];
    init.extend_from_slice(runtime);
    init.into()
}

/// Every kind of transaction, good and failing, all from wallets 0 and 1.
fn batch(net: &Net, chain: ChainId, fork: Fork) -> Vec<Vec<u8>> {
    let [alice, bob] = [0, 1].map(|i| net.wallets[i].clone());
    let genesis::DemoAddresses { token, amm } = genesis::demo_addresses();
    let mut nonce = 0;
    let mut next = || {
        nonce += 1;
        nonce - 1
    };
    let eip1559 = |tx: LegTx| alice.leg(&tx).tx;
    let fresh = Address([0xab; 20]);
    let mut txs = vec![
        eip1559(pay(chain, next(), fresh, COIN)),
        eip1559(call(chain, next(), token, 0, demo::transfer_call(&bob.address, 7))),
        eip1559(call(chain, next(), amm, COIN, demo::swap_native_for_token_call(1, &bob.address))),
        eip1559(call(chain, next(), amm, 0, demo::swap_token_for_native_call(COIN, 1, &fresh))),
        // Reverts, runs out of gas, hits an invalid opcode.
        eip1559(call(chain, next(), amm, 1, demo::swap_native_for_token_call(u128::MAX, &bob.address))),
        eip1559(LegTx { gas_limit: 24_000, ..call(chain, next(), token, 0, demo::transfer_call(&fresh, 1)) }),
        // A refund: a slot that held a value is cleared.
        eip1559(call(chain, next(), token, 0, demo::approve_call(&amm, 0))),
        // A call of nothing with value zero to an account that does not exist.
        eip1559(call(chain, next(), Address([0xcd; 20]), 0, vec![1, 2, 3])),
    ];
    let create = |nonce, input: Bytes| TxEip1559 {
        chain_id: chain.0,
        nonce,
        gas_limit: 200_000,
        max_fee_per_gas: 2_000_000_000,
        max_priority_fee_per_gas: 3,
        to: TxKind::Create,
        value: U256::from(5),
        input,
        ..TxEip1559::default()
    };
    let at = next();
    let made = evm(alice.address).create(at);
    txs.push(alice.signed(create(at, deploy(FLIP))));
    for data in [vec![], vec![1], vec![]] {
        txs.push(eip1559(call(chain, next(), Address(made.into_array()), 0, data)));
    }
    // Self-destruct while being created: the account never was.
    txs.push(alice.signed(create(next(), vec![0x33, 0xff].into())));
    // Init code that fails; code that starts with 0xef.
    txs.push(alice.signed(create(next(), vec![0xfe].into())));
    txs.push(alice.signed(create(next(), deploy(&[0xef]))));
    let list = AccessList(vec![AccessListItem {
        address: evm(token),
        storage_keys: vec![B256::ZERO, B256::with_last_byte(1)],
    }]);
    txs.push(bob.signed(TxEip2930 {
        chain_id: chain.0,
        nonce: 0,
        gas_price: 900_000_000,
        gas_limit: 120_000,
        to: TxKind::Call(evm(token)),
        value: U256::ZERO,
        access_list: list,
        input: demo::transfer_from_call(&bob.address, &alice.address, 1).into(),
    }));
    txs.push(bob.signed(TxLegacy {
        chain_id: Some(chain.0),
        nonce: 1,
        gas_price: 1_000_000_000,
        gas_limit: 60_000,
        // ripemd160 precompile
        to: TxKind::Call(alloy_primitives::Address::with_last_byte(3)),
        value: U256::from(1),
        input: vec![9; 100].into(),
    }));
    if fork == Fork::Prague {
        let carol = &net.wallets[2];
        let authorize = |wallet: &Wallet, chain_id: u64, to: Address, nonce: u64| {
            let authorization = Authorization { chain_id: U256::from(chain_id), address: evm(to), nonce };
            let signature = wallet.sign(authorization.signature_hash());
            authorization.into_signed(signature)
        };
        txs.push(bob.signed(TxEip7702 {
            chain_id: chain.0,
            nonce: 2,
            gas_limit: 300_000,
            max_fee_per_gas: 2_000_000_000,
            max_priority_fee_per_gas: 1,
            to: evm(carol.address),
            // One that counts, one of another chain, one with a wrong nonce, one by the sender.
            authorization_list: vec![
                authorize(carol, chain.0, token, 0),
                authorize(carol, 7, token, 1),
                authorize(carol, 0, token, 9),
                authorize(&bob, 0, Address(made.into_array()), 3),
            ],
            input: demo::balance_of_call(&alice.address).into(),
            ..TxEip7702::default()
        }));
        // The delegated account still sends.
        txs.push(carol.signed(TxEip1559 {
            chain_id: chain.0,
            nonce: 1,
            gas_limit: 50_000,
            max_fee_per_gas: 2_000_000_000,
            to: TxKind::Call(evm(alice.address)),
            input: vec![0; 40].into(),
            ..TxEip1559::default()
        }));
    }
    txs
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    txs: Vec<String>,
    gas_used: String,
    receipts_root: Hash,
    state_root: Hash,
    alloc: Value,
}

/// The rollup's genesis file with another `alloc`.
fn with_alloc(genesis: &RollupGenesis, alloc: &Value) -> RollupGenesis {
    let mut file: Value = serde_json::from_slice(&genesis.to_json()).unwrap();
    file["alloc"] = alloc.clone();
    genesis::parse(&serde_json::to_vec(&file).unwrap()).unwrap()
}

fn compare(chain: ChainId, fork: Fork, answer: &str) {
    let answer: Answer = serde_json::from_str(answer).unwrap();
    let mut net = Net::new();
    let txs = batch(&net, chain, fork);
    assert_eq!(txs.iter().map(|tx| std::format!("0x{}", hex::encode(tx))).collect::<Vec<_>>(), answer.txs);
    let units: Vec<Prepared> = txs
        .into_iter()
        .map(|tx| net.prepare(&bundle(Policy::AtomicInclusion, vec![Leg { chain_id: chain, tx }]), 20))
        .collect();
    let result = net.slot(&units);
    assert!(result.outcomes.iter().all(|code| *code == Outcome::Included.number()), "{:?}", result.outcomes);
    let exec = &result.chains[0];
    assert_eq!(exec.receipts, answer.receipts_root);
    assert_eq!(std::format!("{:#x}", exec.gas), answer.gas_used);

    // The specification also made the start-of-block calls; what they stored is all that differs.
    let genesis = &net.genesis.iter().find(|(spec, _)| spec.chain_id == chain).unwrap().1;
    let mut alloc = answer.alloc;
    assert_eq!(with_alloc(genesis, &alloc).state_root(), answer.state_root, "our trie over its accounts");
    for address in [alloy_eips::eip4788::BEACON_ROOTS_ADDRESS, alloy_eips::eip2935::HISTORY_STORAGE_ADDRESS] {
        let key = std::format!("0x{}", hex::encode(address));
        if let Some(account) = alloc.get_mut(&key) {
            account["storage"] = serde_json::json!({});
        }
    }
    assert_eq!(with_alloc(genesis, &alloc).state_root(), exec.post, "our accounts");
}

#[test]
fn cancun_batch_equals_the_executable_specification() {
    compare(A, Fork::Cancun, include_str!("../../../../tests/vectors/eels/cancun.json"));
}

#[test]
fn prague_batch_equals_the_executable_specification() {
    compare(B, Fork::Prague, include_str!("../../../../tests/vectors/eels/prague.json"));
}
