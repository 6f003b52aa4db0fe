// Goal: nothing is found in an honest log, every line of the report says what ran, and a trusted replay of a member
// ends in the state that an auditor's ends in.
#![expect(clippy::wildcard_enum_match_arm, reason = "tests pick the kinds that they count")]
use super::{busy, kind};
use crate::{
    Auditor, Checks, Need, Replay, State, Status,
    testing::{Draft, World},
};
use std::{collections::BTreeSet, vec, vec::Vec};
use types::{Hash, Kind, Opening, Params, Slot, reason::Why};

#[test]
fn ver_1_an_honest_log_has_no_findings() {
    let world = busy(1);
    let report = world.audit();
    assert_eq!(report.findings, vec![]);
    assert_eq!(report.exit(), 0);
    assert_eq!((report.head, report.slot), (world.close_head(Slot(5)).unwrap(), Slot(5)));
    assert_eq!((report.origin.as_str(), report.network), ("example.net/test", world.anchor().network_id()));
    assert_eq!(report.cosigners.len(), 3);
    assert_eq!(report.entries, report.head.size);
    let units: Vec<u64> = report.checks.iter().map(|c| c.units).collect();
    // cosigners, heads, entries and tiles, entries, slots, lists, leaves, sets, envelopes, bids, beacons, ..
    let (slots, lists, set) = (5, 16, 6);
    assert_eq!((units[0], units[1], units[2], units[3]), (3, 0, report.entries + 1, report.entries));
    assert_eq!((units[4], units[5], units[7], units[8]), (slots, lists, slots, set));
    assert_eq!((units[10], units[12], units[13], units[15]), (slots - 1, slots - 1, set, set));
    assert_eq!(units[19], 2, "FAULT and OPERATION");
    assert!(units[6] > set, "leaves that were left out count too");
    for check in &report.checks {
        let none = [2, 10, 12, 15, 18, 21].contains(&check.n);
        assert_eq!(matches!(check.status, Status::NotChecked(_)), none, "{check:?}");
        assert_ne!(check.status, Status::Fail);
    }
}

#[test]
fn ver_4_equal_bytes_give_equal_reports() {
    let (one, two) = (busy(1), busy(1));
    assert_eq!(one.log(), two.log());
    assert_eq!(one.audit(), two.audit());
    assert_ne!(one.audit().head, busy(2).audit().head);
}

#[test]
fn the_log_under_test_has_what_it_claims() {
    let world = busy(1);
    let (mut why, mut heads, mut bottoms) = (BTreeSet::new(), 0, 0);
    for entry in world.log() {
        match kind(entry) {
            Kind::Left { items, .. } => why.extend(items.iter().map(|i| i.why)),
            Kind::LeftHead { heads: items, .. } => heads += items.len(),
            Kind::Opened { openings, .. } => {
                bottoms += openings.iter().filter(|o| matches!(o, Opening::Bottom(_))).count();
            }
            _ => {}
        }
    }
    let wanted = [Why::Unlisted, Why::NoFunds, Why::NonceGap, Why::Replaced, Why::BelowBase];
    assert_eq!(why, wanted.iter().map(|w| w.number()).collect());
    assert_eq!((heads, bottoms), (4, 1));
}

#[test]
fn a_full_slot_leaves_out_what_has_no_room() {
    let world = full();
    let report = world.audit();
    assert_eq!(report.findings, vec![]);
    let left: Vec<u8> = world
        .log()
        .iter()
        .filter_map(|e| if let Kind::Left { items, .. } = kind(e) { Some(items) } else { None })
        .flatten()
        .map(|i| i.why)
        .collect();
    assert_eq!(left, vec![Why::NoRoom.number(); 2]);
}

/// Three units have room, five are there.
pub(super) fn full() -> World {
    let mut world = World::with_params(3, Params { count_limit: 3, ..Params::default_for(500) });
    for payer in 0..5u8 {
        world.submit(Draft { percent: 200 + 10 * u64::from(payer), ..Draft::of(payer.into()) });
    }
    world.slot();
    world.slot();
    world
}

fn replay(world: &World, checks: Checks, entries: &[Vec<u8>]) -> State {
    let mut replay = Replay::new(world.anchor(), checks).unwrap();
    for (index, entry) in (0u64..).zip(entries) {
        replay.entry(index, entry);
    }
    assert_eq!(replay.findings(), []);
    replay.end()
}

fn assert_same(a: &State, b: &State) {
    assert_eq!(a.ledger, b.ledger);
    assert_eq!((&a.tree, &a.last, a.reveal), (&b.tree, &b.last, b.reveal));
    assert_eq!((&a.unopened, &a.unexecuted), (&b.unopened, &b.unexecuted));
    assert_eq!((&a.left_heads, &a.included, &a.placed), (&b.left_heads, &b.included, &b.placed));
    assert_eq!(a.executor.states_root(), b.executor.states_root());
}

#[test]
fn a_member_continues_from_where_the_network_is() {
    let world = busy(1);
    let trusted = replay(&world, Checks::TRUSTED, world.log());
    assert_same(&trusted, &replay(&world, Checks::TRUSTED, world.log()));
    assert_same(&trusted, &replay(&world, Checks::ALL, world.log()));
    assert_eq!(&trusted.ledger, world.ledger());
    assert_eq!(trusted.tree.head(), world.tree_head());
    assert_eq!(trusted.reveal, world.tree_head());
    assert_eq!(trusted.executor.states_root(), world.executor().states_root());
    assert_eq!(trusted.unopened, None);
    assert_eq!(trusted.unexecuted.len(), 1, "the last slot waits for its EXEC");
    assert_eq!(trusted.placed.len(), 6);
    assert!(trusted.placed.iter().all(|(_, p)| p.index.is_some() && p.outcome.is_some()));
}

#[test]
fn a_log_may_end_before_its_last_opening() {
    let world = busy(1);
    let close = usize::try_from(world.close_head(Slot(4)).unwrap().size).unwrap();
    let state = replay(&world, Checks::TRUSTED, &world.log()[..close]);
    assert_eq!(state.last.map(|h| h.height), Some(Slot(4)));
    let unopened: Vec<Hash> = state.unopened.unwrap().units.into_iter().map(|(hash, _)| hash).collect();
    assert_eq!(unopened.len(), 2);
    assert!(unopened.is_sorted());
    let genesis = replay(&world, Checks::TRUSTED, &world.log()[..2]);
    assert_eq!((genesis.last, genesis.unopened, genesis.reveal), (None, None, genesis.tree.head()));
}

#[test]
fn ver_3_what_was_not_checked_is_not_passed() {
    let world = busy(1);
    let report = world.audit_of(world.log(), &world.checkpoint(), Checks::TRUSTED);
    assert_eq!((report.findings, report.exit), (vec![], 0));
    let not_checked: Vec<u8> =
        report.checks.iter().filter(|c| matches!(c.status, Status::NotChecked(_))).map(|c| c.n).collect();
    assert_eq!(not_checked, [2, 5, 6, 9, 10, 11, 12, 15, 18, 20, 21]);
}

#[test]
fn ver_3_without_proofs_of_finality_an_audit_is_incomplete() {
    let world = busy(1);
    let mut auditor = Auditor::new(world.anchor(), Checks::ALL).unwrap();
    auditor.head(&world.checkpoint()).unwrap();
    let mut asked = Vec::new();
    loop {
        match auditor.need() {
            Need::Tile { tile, max } => {
                let bytes = crate::testing::tile_of(world.log(), &tile).unwrap();
                assert!(bytes.len() <= max);
                auditor.feed_tile(&tile, &bytes);
            }
            Need::Finality(slot) => {
                asked.push(slot.0);
                let own = world.finality(slot).filter(|_| slot != Slot(3));
                auditor.feed_finality(slot, own.as_deref());
            }
            Need::Done => break,
        }
    }
    assert_eq!(asked, [1, 2, 3, 4, 5]);
    let progress = auditor.progress();
    assert_eq!((progress.entries, progress.slots), (progress.of, 5));
    let report = auditor.finish();
    assert_eq!((report.findings.len(), report.exit()), (0, 2));
    assert!(matches!(&report.checks[4].status, Status::NotChecked(why) if why.contains("1 slots")), "{report:?}");
}

#[test]
fn ver_3_missing_bytes_are_no_finding() {
    let world = busy(1);
    let note = world.checkpoint();
    let report = world.audit_of(&world.log()[..9], &note, Checks::ALL);
    assert_eq!((report.findings.len(), report.exit()), (0, 2));
    assert!(report.checks.iter().skip(2).all(|c| matches!(c.status, Status::NotChecked(_))));
}

#[test]
fn a_log_of_many_bundles_is_read_to_its_end() {
    let mut world = World::new(4);
    let mut seen = Vec::new();
    for _ in 0..40 {
        world.slot();
        seen.push(world.checkpoint());
    }
    assert!(world.log().len() > 256);
    let mut auditor = Auditor::new(world.anchor(), Checks::ALL).unwrap();
    seen.iter().for_each(|note| auditor.seen(note));
    auditor.head(&world.checkpoint()).unwrap();
    let mut tiles = Vec::new();
    loop {
        match auditor.need() {
            Need::Tile { tile, .. } => {
                tiles.push(std::format!("{tile}"));
                auditor.feed_tile(&tile, &crate::testing::tile_of(world.log(), &tile).unwrap());
            }
            Need::Finality(slot) => auditor.feed_finality(slot, world.finality(slot).as_deref()),
            Need::Done => break,
        }
    }
    let last = world.close_head(world.last_slot()).unwrap().size - 256;
    let edge = |path: &str, width: u64| std::format!("{path}.p/{width}");
    assert_eq!(
        tiles,
        [
            "tile/entries/000".into(),
            "tile/0/000".into(),
            edge("tile/entries/001", last),
            edge("tile/0/001", last),
            edge("tile/1/000", 1)
        ]
    );
    let report = auditor.finish();
    assert_eq!((report.findings.len(), report.exit()), (0, 0));
    assert_eq!(report.checks[1].units, 40, "every remembered head was held against the log");
}
