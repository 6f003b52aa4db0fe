// Goal: SEQ-3, and that what was acknowledged is included. Method: twenty wallets submit in ten slots under many orders of
// arrival; every entry is compared as it is written, and an auditor with every check on reads one member's log.
use crate::common::{Inside, Net, Order, World};
use sequencer::Refused;
use std::sync::OnceLock;
use types::{Envelope, Hash, Kind, reason::Outcome};

/// Two envelopes of each wallet; sealed once, since no seed enters them.
fn traffic() -> &'static [(usize, Hash, Envelope)] {
    static ALL: OnceLock<Vec<(usize, Hash, Envelope)>> = OnceLock::new();
    ALL.get_or_init(|| {
        let mut all = Vec::new();
        for nonce in 0..2 {
            for wallet in 0..20 {
                let inside = if wallet % 4 == 0 { Inside::Transfer } else { Inside::Junk };
                let (hash, envelope) = Net::narrow().envelope(&Order::new(wallet, nonce, inside));
                all.push((wallet, hash, envelope));
            }
        }
        all
    })
}

fn ten_slots(seed: u64) -> World {
    let mut world = World::new(Net::narrow(), seed);
    world.delay_max = 4 + world.rng.below(60);
    let mut tickets = Vec::new();
    for (place, (wallet, _, envelope)) in traffic().iter().enumerate() {
        // a wallet talks to one member, and its nonces come in turn
        tickets.push(world.submit(wallet % 4, envelope));
        if place % 8 == 7 {
            world.pass(150);
        }
    }
    world.open(10);
    world.executed(&traffic().iter().map(|(_, hash, _)| *hash).collect::<Vec<_>>());
    for ticket in &tickets {
        assert!(world.replies[ticket].is_ok(), "seed {seed}: {:?}", world.replies[ticket]);
    }
    assert!(world.acknowledged().is_subset(&world.included()), "seed {seed}: an acknowledged envelope is in no set");
    world
}

fn seeds(from: u64) {
    for seed in from..from + 10 {
        let world = ten_slots(seed);
        world.audit(usize::try_from(seed).unwrap() % 4);
        let left = world.log.iter().any(|entry| matches!(crate::common::world::kind(entry), Kind::LeftHead { .. }));
        assert!(left, "seed {seed}: some slot was too small");
        for (wallet, hash, _) in traffic() {
            let right = if wallet % 4 == 0 { Outcome::Committed } else { Outcome::BadPlaintext };
            assert_eq!(world.outcome(0, hash), Some(right));
        }
        let refused = world.consensus.refused.iter().filter(|(_, _, refused)| *refused != Refused::EmptyLate);
        assert_eq!(refused.count(), 0, "seed {seed}: an honest block was refused");
    }
}

#[test]
fn seq_3_arrival_order_is_irrelevant_seeds_0_to_9() {
    seeds(0);
}

#[test]
fn seq_3_arrival_order_is_irrelevant_seeds_10_to_19() {
    seeds(10);
}

#[test]
fn seq_3_arrival_order_is_irrelevant_seeds_20_to_29() {
    seeds(20);
}
