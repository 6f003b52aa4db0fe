//! Goal: WAL-4, and that demo bundles do on real rollups what their kind says. Method: an executor over the demo
//! genesis runs what the wallet seals; the ledger is played by hand.
use super::*;
use crate::testing::{self, CHAINS, SEED};
use alloy_consensus::{EthereumTxEnvelope, Transaction, TxEip4844, transaction::SignerRecoverable};
use alloy_eips::eip2718::Decodable2718;
use crypto::tdh2;
use execution::{Executor, OpenedUnit, Registry, SlotEnv, prepare};
use types::{Amount, Epoch, Timestamp, codec};

struct World {
    view: NetworkView,
    executor: Executor,
    registry: Registry,
    params: Params,
}

fn wallet(index: u32, under_way_max: usize) -> DemoWallet {
    DemoWallet::new(&SEED, index, &CHAINS, under_way_max)
}

fn world(wallets: &[DemoWallet]) -> World {
    let (network, _keys) = testing::network_of(wallets);
    let view = NetworkView::new(&network).unwrap();
    let params = Params {
        network: view.id,
        epoch: Epoch(0),
        last_final: Slot(1),
        opened: Slot(1),
        byte_price: Amount::new(16).unwrap(),
        gas_price: Amount::new(1).unwrap(),
        reserve: Amount::ZERO,
        time_ms: Timestamp(0),
        ms_to_close: 0,
    };
    World {
        executor: Executor::genesis(&testing::rollups(wallets), 500).unwrap(),
        registry: Registry::new(&network.genesis.rollups, 500),
        view,
        params,
    }
}

impl World {
    fn make(&self, wallet: &mut DemoWallet, kind: DemoKind) -> Result<Made, DemoError> {
        let [n, ..] = wallet.turn.to_le_bytes();
        wallet.make(&self.view, &self.params, kind, 20, Hash([n; 32]), Zeroizing::new([n ^ 0x5a; 32]))
    }

    /// Executes a slot; the outcome and leg of each unit.
    fn slot(&mut self, units: &[&Made]) -> Vec<(Outcome, u8)> {
        self.params.last_final = self.params.last_final.next();
        let prepared: Vec<_> = units
            .iter()
            .map(|made| {
                let class_bytes = made.envelope.signed.header.class().unwrap().bytes();
                let plaintext = codec::encode(&made.bundle);
                let mut message = u32::try_from(plaintext.len()).unwrap().to_le_bytes().to_vec();
                message.extend_from_slice(&plaintext);
                message.resize(class_bytes, 0);
                assert_eq!(tdh2::unpad(&message), Some(plaintext.as_slice()));
                let gas_class = made.envelope.signed.header.gas_class;
                prepare(&OpenedUnit { hash: made.item, message: Some(&message), gas_class }, &self.registry)
            })
            .collect();
        let slot = self.params.last_final;
        let env = SlotEnv { slot, time_ms: Timestamp(1_800_000_000_000 + slot.0 * 500), beacon: Hash([9; 32]) };
        self.executor.order(&env, &prepared);
        let result = self.executor.close();
        result.outcomes.iter().map(|code| Outcome::from_number(*code).unwrap()).zip(result.legs).collect()
    }
}

#[test]
fn keys_follow_from_the_seed() {
    let address = |seed, role, index| demo_key(seed, role, index).address();
    assert_eq!(address(&SEED, "fee", 0), address(&SEED, "fee", 0));
    let all =
        [address(&SEED, "fee", 0), address(&SEED, "fee", 1), address(&SEED, "sender", 0), address(&[4; 32], "fee", 0)];
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), 4);
}

#[test]
fn legs_are_transactions_that_others_read_and_recover() {
    let mut wallet = wallet(0, 8);
    let world = world(&[]);
    for kind in DemoKind::ALL {
        let made = world.make(&mut wallet, kind).unwrap();
        assert_eq!(made.bundle.legs.len(), if kind.crosses() { 2 } else { 1 });
        for leg in &made.bundle.legs {
            let tx = EthereumTxEnvelope::<TxEip4844>::decode_2718_exact(&leg.tx).unwrap();
            assert_eq!(tx.recover_signer().unwrap().0, wallet.sender().0);
            assert_eq!(tx.chain_id(), Some(leg.chain_id.0));
        }
    }
}

#[test]
fn every_kind_does_what_it_says() {
    let mut wallets = [wallet(0, 8)];
    let mut world = world(&wallets);
    let [wallet] = &mut wallets;
    for round in 0..3 {
        for kind in DemoKind::ALL {
            let made = world.make(wallet, kind).unwrap();
            let before = world.executor.states_root();
            let [(outcome, leg)] = world.slot(&[&made])[..] else { panic!("one unit") };
            if kind.aborts() {
                assert_eq!((outcome, leg), (Outcome::Revert, 1), "round {round}");
                assert_eq!(world.executor.states_root(), before);
            } else {
                assert_eq!(outcome, Outcome::Committed, "{kind:?} in round {round}");
                assert_ne!(world.executor.states_root(), before);
            }
            assert!(wallet.settle(&made.item, Settled::Executed(outcome)));
            assert!(!wallet.settle(&made.item, Settled::Executed(outcome)), "settled once");
        }
    }
}

#[test]
fn wal_4_many_under_way_in_one_slot_all_do_what_they_say() {
    let mut wallets = [wallet(0, 8), wallet(1, 8)];
    let mut world = world(&wallets);
    for round in 0..4u8 {
        let mut made = Vec::new();
        for wallet in &mut wallets {
            for n in 0..8u8 {
                made.push(world.make(wallet, DemoKind::of(round.wrapping_mul(8).wrapping_add(n))).unwrap());
            }
            assert_eq!(world.make(wallet, DemoKind::Transfer), Err(DemoError::Waits));
        }
        let units: Vec<_> = made.iter().collect();
        let outcomes = world.slot(&units);
        for (made, (outcome, _leg)) in made.iter().zip(outcomes) {
            let expected = if made.kind.aborts() { Outcome::Revert } else { Outcome::Committed };
            assert_eq!(outcome, expected, "{:?}", made.kind);
            for wallet in &mut wallets {
                wallet.settle(&made.item, Settled::Executed(outcome));
            }
        }
    }
    // What the wallet counts is what the rollups have.
    for wallet in &wallets {
        for chain in CHAINS {
            let (nonce, _coins) = world.executor.account(chain, &wallet.sender());
            assert_eq!(wallet.committed.get(&chain).copied().unwrap_or(0), nonce);
        }
    }
}

#[test]
fn wal_4_nonces_of_a_dropped_envelope_are_used_again() {
    let mut wallets = [wallet(0, 8)];
    let mut world = world(&wallets);
    let [wallet] = &mut wallets;
    let nonce = |made: &Made| made.envelope.signed.header.nonce;
    let first = world.make(wallet, DemoKind::Transfer).unwrap();
    let lost = world.make(wallet, DemoKind::Buy).unwrap();
    let after = world.make(wallet, DemoKind::Sell).unwrap();
    assert_eq!([nonce(&first), nonce(&lost), nonce(&after)], [Nonce(0), Nonce(1), Nonce(2)]);
    assert_eq!(world.slot(&[&first])[0].0, Outcome::Committed);
    wallet.settle(&first.item, Settled::Executed(Outcome::Committed));
    assert!(wallet.ready());
    wallet.settle(&lost.item, Settled::Dropped);
    assert!(!wallet.ready(), "the one after it hangs on it");
    assert_eq!(world.make(wallet, DemoKind::Transfer), Err(DemoError::Waits));
    wallet.settle(&after.item, Settled::Dropped);
    assert!(wallet.ready());
    for want in [1, 2, 3] {
        let again = world.make(wallet, DemoKind::Transfer).unwrap();
        assert_eq!(nonce(&again), Nonce(want), "the gap is filled first, then it goes on");
        assert_eq!(world.slot(&[&again])[0].0, Outcome::Committed);
        wallet.settle(&again.item, Settled::Executed(Outcome::Committed));
    }
}

#[test]
fn wal_4_after_a_surprise_it_starts_from_what_it_knows() {
    let mut wallets = [wallet(0, 8)];
    let mut world = world(&wallets);
    let [wallet] = &mut wallets;
    let made: Vec<_> = (0..4).map(|_| world.make(wallet, DemoKind::Transfer).unwrap()).collect();
    // The first finds no room: the rest of its rollup cannot run either.
    assert!(wallet.settle(&made[0].item, Settled::Executed(Outcome::Expired)));
    let outcomes = world.slot(&[&made[1], &made[2], &made[3]]);
    assert!(outcomes.iter().any(|(outcome, _)| *outcome == Outcome::NonceTooHigh));
    for (made, (outcome, _leg)) in made[1..].iter().zip(outcomes) {
        assert!(!wallet.ready());
        wallet.settle(&made.item, Settled::Executed(outcome));
    }
    assert!(wallet.ready());
    for kind in DemoKind::ALL {
        let made = world.make(wallet, kind).unwrap();
        let outcome = world.slot(&[&made])[0].0;
        assert_eq!(outcome == Outcome::Committed, !kind.aborts());
        wallet.settle(&made.item, Settled::Executed(outcome));
    }
    assert_eq!(wallet.fee_next, Nonce(10), "an included envelope has used its fee nonce, whatever became of it");
}

#[test]
fn a_wallet_resumes_from_given_nonces() {
    let mut wallet = wallet(0, 1);
    let world = world(&[]);
    wallet.resume(Nonce(7), &[(CHAINS[0], 3)]);
    let made = world.make(&mut wallet, DemoKind::CrossSwap).unwrap();
    assert_eq!(made.envelope.signed.header.nonce, Nonce(7));
    let nonces: Vec<_> = made
        .bundle
        .legs
        .iter()
        .map(|leg| EthereumTxEnvelope::<TxEip4844>::decode_2718_exact(&leg.tx).unwrap().nonce())
        .collect();
    assert_eq!(nonces, [3, 0]);
}

#[test]
fn one_rollup_is_too_few_to_cross() {
    let world = world(&[]);
    let mut lone = DemoWallet::new(&SEED, 0, &CHAINS[..1], 4);
    assert_eq!(world.make(&mut lone, DemoKind::CrossSwap), Err(DemoError::Rollups));
    assert!(world.make(&mut lone, DemoKind::Buy).is_ok());
    let mut none = DemoWallet::new(&SEED, 0, &[], 4);
    assert_eq!(world.make(&mut none, DemoKind::Transfer), Err(DemoError::Rollups));
    assert_eq!(none.under_way(), 0);
}
