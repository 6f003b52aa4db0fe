// Goal: VER-1 to VER-4. Method: logs that a network of four has written with real keys (`testing::World`), then lies.
mod accounts;
mod auctions;
mod heads;
mod honest;
mod lies;
mod promises;

use crate::testing::{Draft, World};
use std::vec::Vec;
use types::{Entry, Kind, MemberId, Nonce, Slot, codec, limits};

/// A log with a unit, operation or leaf of every kind: opened and not, after another payer's, listed by one member only, left
/// for five reasons; an empty block between blocks with lists, and a slot without units.
fn busy(seed: u8) -> World {
    let mut world = World::new(seed);
    let first = world.submit(Draft::of(0));
    world.submit(Draft { after: Vec::from([first]), ..Draft::of(1) });
    world.submit(Draft::of(2));
    world.submit(Draft { percent: 300, nonce: Some(Nonce(0)), ..Draft::of(2) });
    world.submit(Draft { holders: Vec::from([MemberId(2)]), ..Draft::of(3) });
    world.submit(Draft { nonce: Some(Nonce(3)), ..Draft::of(4) });
    world.submit(Draft::of(5));
    world.slot();
    // evidence: of two of one claim the second by hash has no effect; one is with a single member
    world.accuse(world.two_lists(MemberId(3), Slot(1), 1));
    world.accuse(world.two_lists(MemberId(3), Slot(1), 2));
    world.operate(Vec::from([9; 9]), &[MemberId(1)]);
    world.submit(Draft { opens: false, ..Draft::of(0) });
    world.submit(Draft { percent: 50, ..Draft::of(1) });
    world.empty_slot();
    world.slot();
    world.submit(Draft::of(2));
    world.submit(Draft::of(4));
    world.slot();
    world.slot();
    world
}

fn kind(entry: &[u8]) -> Kind {
    codec::decode::<Entry>(entry, limits::ENTRY_BYTES_MAX).unwrap().kind
}

/// Codes of what an audit of these entries finds, signed by a quorum.
fn codes(world: &World, entries: &[Vec<u8>]) -> Vec<&'static str> {
    world.audit_entries(entries).findings.iter().map(|f| f.code.name()).collect()
}
