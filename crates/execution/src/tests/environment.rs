//! Goal: the environment of rollups.md section 4, as contracts see it, and what moves when. Method: contracts of a few
//! bytes in genesis that store what they read.
use super::*;
use alloy_consensus::{Eip658Value, Receipt, ReceiptEnvelope};
use alloy_primitives::{U256, keccak256};
use alloy_trie::root::ordered_trie_root_encoded;

const PROBE: Address = Address([0x77; 20]);

/// Stores NUMBER, TIMESTAMP, BASEFEE, PREVRANDAO, GASLIMIT, COINBASE, CHAINID, BLOBBASEFEE, BLOCKHASH(0), BLOCKHASH(1)
/// in slots 0 to 9.
fn probe() -> std::string::String {
    let reads: [&str; 10] = ["43", "42", "48", "44", "45", "41", "46", "4a", "600040", "600140"];
    let code: std::string::String =
        reads.iter().enumerate().map(|(slot, read)| std::format!("{read}60{slot:02x}55")).collect();
    std::format!(r#"{{"balance":"0x0","code":"0x{code}00"}}"#)
}

fn net(slot_ms: u64) -> Net {
    let plain = Net::new();
    let rollups = plain.genesis.iter().map(|rollup| with_account(rollup, &PROBE, &probe())).collect();
    Net::from_rollups(rollups, slot_ms)
}

fn probe_unit(net: &Net, nonce: u64) -> Prepared {
    let tx = LegTx { gas_limit: 250_000, ..call(A, nonce, PROBE, 0, Vec::new()) };
    net.prepare(&bundle(Policy::AtomicExec, vec![net.wallets[0].leg(&tx)]), CLASS)
}

fn read(net: &Net) -> [U256; 10] {
    core::array::from_fn(|slot| {
        let slot = Hash(U256::from(slot).to_be_bytes());
        U256::from_be_bytes(net.executor.storage(A, &PROBE, &slot).0)
    })
}

fn prevrandao(slot: u64) -> U256 {
    let beacon = roots::sha256(&[b"beacon", &slot.to_be_bytes()]);
    U256::from_be_bytes(roots::sha256(&[b"lockstep/prevrandao/v1", beacon.as_ref()]).0)
}

#[test]
fn contracts_see_the_block_that_the_batch_will_be() {
    let mut net = net(SLOT_MS);
    let time = U256::from(GENESIS_TIME);
    let coinbase = U256::from_be_slice(net.specs[0].fee_recipient.as_ref());
    let hash = U256::from_be_bytes(net.specs[0].genesis.0);
    let fixed = [U256::from(30_000_000), coinbase, U256::from(A.0), U256::from(1), hash, U256::ZERO];

    // Slot 1: block 1, base fee 7/8 of the genesis block's, which used nothing.
    let unit = probe_unit(&net, 0);
    net.slot(&[unit]);
    let seen = read(&net);
    // Slot 1 is at + 0.5 s; T_1 = max(T_0 + 1, + 0).
    assert_eq!(seen[..4], [U256::from(1), time + U256::from(1), U256::from(875_000_000), prevrandao(1)]);
    assert_eq!(seen[4..], fixed);
    // Slot 2: the same block.
    let unit = probe_unit(&net, 1);
    net.slot(&[unit]);
    assert_eq!(read(&net), seen);
    // Slot 3: the next, and the base fee falls by nearly an eighth more.
    let unit = probe_unit(&net, 2);
    net.slot(&[unit]);
    let later = read(&net);
    assert_eq!(later[..2], [U256::from(2), time + U256::from(2)]);
    assert!(later[2] > U256::from(765_000_000) && later[2] < U256::from(770_000_000), "{}", later[2]);
    assert_eq!(later[3], prevrandao(3));
}

#[test]
fn exe_6_number_and_base_fee_wait_for_a_placed_transaction() {
    let mut net = net(SLOT_MS);
    for _ in 0..10 {
        net.slot(&[]);
    }
    // A dropped unit places nothing either.
    let wrong = probe_unit(&net, 5);
    let result = net.slot(&[wrong]);
    assert_eq!(result.outcomes, [Outcome::NonceTooHigh.number()]);
    assert_eq!(result.chains[0].receipts.0, *alloy_trie::EMPTY_ROOT_HASH);
    net.slot(&[]);
    // Slot 13 opens batch 7, at + 6.5 s of the clock: T_7 = + 7 by counting, + 6 by the clock.
    let unit = probe_unit(&net, 0);
    net.slot(&[unit]);
    let seen = read(&net);
    assert_eq!(seen[..4], [U256::from(1), U256::from(GENESIS_TIME + 7), U256::from(875_000_000), prevrandao(13)]);
    // On the other rollup nothing was placed.
    assert_eq!(net.executor.base_fee(B), Some(875_000_000));
    net.slot(&[]);
    net.slot(&[]);
    assert!(net.executor.base_fee(A).unwrap() < 770_000_000);
    assert_eq!(net.executor.base_fee(B), Some(875_000_000));
}

#[test]
fn slots_of_a_second_are_batches_of_one() {
    let mut net = net(1_000);
    for number in 1..4u64 {
        let unit = probe_unit(&net, number - 1);
        net.slot(&[unit]);
        assert_eq!(read(&net)[0], U256::from(number));
        assert_eq!(read(&net)[3], prevrandao(number));
    }
}

#[test]
fn exe_5_the_cap_grows_with_the_slots_of_a_batch() {
    use crate::unit::{block_slots, slot_cap};
    assert_eq!([1, 250, 300, 400, 500, 999, 1_000, 5_000].map(block_slots), [1_000, 4, 4, 3, 2, 2, 1, 1]);
    assert_eq!([1, 2].map(|i| slot_cap(30_000_000, i, 2)), [13_500_000, 27_000_000]);
    assert_eq!([1, 2, 3].map(|i| slot_cap(1_111, i, 3)), [333, 666, 999]);
    assert_eq!(slot_cap(u64::MAX, 1, 1), u64::MAX / 10 * 9 + 4);
    assert_eq!(slot_cap(30_000_000, 1, 0), 0);
}

#[test]
fn receipts_are_ethereums_over_the_batch_so_far() {
    let mut net = Net::new();
    let [wallet, other] = [0, 1].map(|i| net.wallets[i].clone());
    let token = genesis::demo_addresses().token;
    let value = 77u128;
    let transfer = call(A, 0, token, 0, demo::transfer_call(&other.address, value));
    let first = net.prepare(&bundle(Policy::AtomicExec, vec![wallet.leg(&transfer)]), CLASS);
    let legacy = alloy_consensus::TxLegacy {
        chain_id: Some(A.0),
        nonce: 1,
        gas_price: 2_000_000_000,
        gas_limit: 21_000,
        to: alloy_primitives::TxKind::Call(Default::default()),
        ..Default::default()
    };
    let leg = Leg { chain_id: A, tx: wallet.signed(legacy) };
    let second = net.prepare(&bundle(Policy::AtomicExec, vec![leg]), CLASS);

    let one = net.slot(&[first]);
    let two = net.slot(&[second]);
    let gas = one.chains[0].gas;
    assert_eq!(two.chains[0].gas, 21_000);

    // The receipts, written down by hand from the yellow paper.
    let topic = |address: &Address| B256::left_padding_from(address.as_ref());
    let log = alloy_primitives::Log::new_unchecked(
        alloy_primitives::Address::from(token.0),
        vec![keccak256("Transfer(address,address,uint256)"), topic(&wallet.address), topic(&other.address)],
        U256::from(value).to_be_bytes_vec().into(),
    );
    let status = Eip658Value::Eip658(true);
    let receipt = |cumulative_gas_used, logs| Receipt { status, cumulative_gas_used, logs }.with_bloom();
    let receipts = [
        ReceiptEnvelope::Eip1559(receipt(gas, vec![log])).encoded_2718(),
        ReceiptEnvelope::Legacy(receipt(gas + 21_000, vec![])).encoded_2718(),
    ];
    assert_eq!(one.chains[0].receipts.0, *ordered_trie_root_encoded(&receipts[..1]));
    assert_eq!(two.chains[0].receipts.0, *ordered_trie_root_encoded(&receipts));
    // The next batch starts empty.
    let other_unit = net.prepare(&bundle(Policy::AtomicExec, vec![wallet.leg(&pay(A, 2, other.address, 1))]), CLASS);
    let three = net.slot(&[other_unit]);
    let alone = [ReceiptEnvelope::Eip1559(receipt(21_000, vec![])).encoded_2718()];
    assert_eq!(three.chains[0].receipts.0, *ordered_trie_root_encoded(&alone));
}

#[test]
fn an_empty_slot_says_nothing_but_is_a_result() {
    let mut net = Net::new();
    let states = net.executor.states_root();
    let result = net.slot(&[]);
    let nothing = roots::sha256(&[]);
    assert_eq!(
        result,
        SlotResult {
            outcomes: vec![],
            legs: vec![],
            carry: types::SetRef { count: 0, root: nothing },
            steps: Hash::ZERO,
            chains: vec![],
            units: vec![],
            mailbox: roots::sha256(&[b"lockstep/mailbox/v1", &[0]]),
            batch: Hash::ZERO,
            states,
        }
    );
    assert_eq!(net.executor.states_root(), states);
    // SHA-256 over codec of the pairs.
    let pairs: Vec<(ChainId, Hash)> = net.genesis.iter().map(|(s, g)| (s.chain_id, g.state_root())).collect();
    assert_eq!(states, roots::sha256(&[&codec::encode(&pairs)]));
}

#[test]
fn pre_and_post_link_the_slots_of_a_rollup() {
    let mut net = Net::new();
    let wallet = net.wallets[0].clone();
    let mut last = net.genesis[0].1.state_root();
    for nonce in 0..6 {
        let unit = net.prepare(&bundle(Policy::AtomicExec, vec![wallet.leg(&pay(A, nonce, wallet.address, 1))]), CLASS);
        let result = net.slot(&[unit]);
        assert_eq!(result.chains.len(), 1);
        assert_eq!(result.chains[0].pre, last);
        assert_ne!(result.chains[0].post, last);
        last = result.chains[0].post;
        net.slot(&[]);
    }
}

#[test]
fn a_specification_and_a_genesis_file_must_belong_together() {
    use crate::ExecutorError as E;
    let net = Net::new();
    let [(a, genesis_a), (b, genesis_b)] = [net.genesis[0].clone(), net.genesis[1].clone()];
    let refused = |rollups: &[(RollupSpec, RollupGenesis)]| Executor::genesis(rollups, SLOT_MS).unwrap_err();
    assert_eq!(refused(&[(a.clone(), genesis_b.clone())]), E::ChainId(A));
    assert_eq!(refused(&[(RollupSpec { fork: Fork::Prague, ..a.clone() }, genesis_a.clone())]), E::Fork(A));
    assert_eq!(refused(&[(RollupSpec { gas_limit: 1, ..a.clone() }, genesis_a.clone())]), E::GasLimit(A));
    assert_eq!(refused(&[(RollupSpec { genesis: b.genesis, ..a.clone() }, genesis_a.clone())]), E::GenesisHash(A));
    assert_eq!(refused(&[(a.clone(), genesis_a.clone()), (a.clone(), genesis_a.clone())]), E::Duplicate(A));
    assert!(Executor::genesis(&[(a, genesis_a), (b, genesis_b)], SLOT_MS).is_ok());
    assert!(Executor::genesis(&[], 0).is_ok());
}

#[test]
fn reads_of_what_does_not_exist_are_zero_or_refused() {
    let net = Net::new();
    let nobody = Address([9; 20]);
    assert_eq!(net.executor.account(A, &nobody), (0, 0));
    assert_eq!(net.executor.account(ChainId(1), &nobody), (0, 0));
    assert_eq!(net.executor.storage(ChainId(1), &nobody, &Hash::ZERO), Hash::ZERO);
    assert_eq!(net.executor.base_fee(OPAQUE), None);
    assert_eq!(net.executor.call(OPAQUE, &nobody, &[]), Err(crate::CallError::UnknownChain));
    assert_eq!(net.executor.call(A, &nobody, &[]), Ok(vec![]));
    let token = genesis::demo_addresses().token;
    assert!(matches!(net.executor.call(A, &token, &[1, 2, 3, 4]), Err(crate::CallError::Reverted(_))));
}
