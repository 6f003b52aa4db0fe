// Goal: whose head is audited, also when the committee has changed, what bytes under it count for, and how a rewritten past
// shows. Method: heads by keys that may not sign them, over logs of one committee and of two.
use super::{busy, codes};
use crate::{
    Auditor, Checks, HeadError, Need, Report, Status,
    testing::{Draft, Plant, World, tile_of},
};
use std::{string::ToString, vec, vec::Vec};
use tlog::{checkpoint::CheckpointError, note::NoteError};
use types::{Epoch, Head, MemberId, Params, Slot, reason::Finding};

fn names(report: &Report) -> Vec<&'static str> {
    report.findings.iter().map(|f| f.code.name()).collect()
}

#[test]
fn a_head_below_the_quorum_is_none() {
    let world = busy(1);
    let close = world.close_head(Slot(5)).unwrap();
    for cosigners in [&[0u16, 1][..], &[3], &[1, 1, 1]] {
        let note = world.checkpoint_of(&close, cosigners);
        let mut auditor = Auditor::new(world.anchor(), Checks::ALL).unwrap();
        assert!(auditor.head(&note).is_err());
        assert_eq!(auditor.need(), Need::Done);
        let report = auditor.finish();
        assert_eq!((names(&report), report.exit()), (vec!["head-invalid"], 2));
        assert_eq!(report.checks[0].status, Status::Fail);
        assert!(report.checks[1..].iter().all(|c| matches!(c.status, Status::NotChecked(_))));
    }
    assert_eq!(world.audit_of(world.log(), b"no note", Checks::ALL).exit(), 2);
    let foreign = World::new(2);
    let mut auditor = Auditor::new(world.anchor(), Checks::ALL).unwrap();
    assert_eq!(auditor.head(&foreign.checkpoint_of(&close, &[0, 1, 2])), Err(HeadError::NoLog));
    assert_eq!(auditor.head(&world.checkpoint()), Ok(close), "a later valid head is audited");
}

#[test]
fn ver_2_a_flipped_byte_is_a_bytes_mismatch_and_nothing_else() {
    let world = busy(1);
    let note = world.checkpoint();
    let size = usize::try_from(world.close_head(Slot(5)).unwrap().size).unwrap();
    for place in (0..size).step_by(3) {
        let mut entries = world.log()[..size].to_vec();
        let middle = entries[place].len() / 2;
        entries[place][middle] ^= 0x10;
        let report = world.audit_of(&entries, &note, Checks::TRUSTED);
        assert_eq!((names(&report), report.exit()), (vec!["bytes-mismatch"], 1), "entry {place}");
        assert_eq!(report.findings[0].accused, Vec::<std::string::String>::new());
        assert_eq!(report.checks[2].status, Status::Fail);
    }
}

#[test]
fn a_flipped_tile_is_a_bytes_mismatch_that_says_where() {
    let world = busy(1);
    for flipped_entry in [false, true] {
        let mut auditor = Auditor::new(world.anchor(), Checks::TRUSTED).unwrap();
        auditor.head(&world.checkpoint()).unwrap();
        while let Need::Tile { tile, .. } = auditor.need() {
            let mut bytes = tile_of(world.log(), &tile).unwrap();
            if tile.is_entries() == flipped_entry {
                // inside entry 0, and inside hash 7
                bytes[if flipped_entry { 40 } else { 7 * 32 }] ^= 1;
            }
            auditor.feed_tile(&tile, &bytes);
        }
        let report = auditor.finish();
        assert_eq!(names(&report), ["bytes-mismatch"]);
        assert_eq!(report.findings[0].index, if flipped_entry { 0 } else { 7 }, "{report:?}");
    }
}

#[test]
fn a_bundle_of_the_wrong_shape_is_a_bytes_mismatch() {
    let world = busy(1);
    for cut in [0usize, 1, 100] {
        let mut auditor = Auditor::new(world.anchor(), Checks::ALL).unwrap();
        auditor.head(&world.checkpoint()).unwrap();
        let Need::Tile { tile, .. } = auditor.need() else { panic!("a bundle is needed") };
        let bytes = tile_of(world.log(), &tile).unwrap();
        auditor.feed_tile(&tile.full(), &bytes);
        assert_eq!(auditor.progress().entries, 0, "a tile that was not asked for is ignored");
        auditor.feed_tile(&tile, &bytes[..cut]);
        assert_eq!(auditor.need(), Need::Done);
        assert_eq!(names(&auditor.finish()), ["bytes-mismatch"]);
    }
}

/// Two networks with the same keys whose pasts part after slot 1.
fn fork() -> (World, World) {
    let (mut one, mut two) = (World::new(5), World::new(5));
    for world in [&mut one, &mut two] {
        world.submit(Draft::of(0));
        world.slot();
    }
    two.submit(Draft::of(1));
    for world in [&mut one, &mut two] {
        world.slot();
        world.slot();
    }
    (one, two)
}

fn audit(world: &World, seen: &[Vec<u8>], late: bool) -> Report {
    let mut auditor = Auditor::new(world.anchor(), Checks::TRUSTED).unwrap();
    if !late {
        seen.iter().for_each(|note| auditor.seen(note));
    }
    auditor.head(&world.checkpoint()).unwrap();
    if late {
        seen.iter().for_each(|note| auditor.seen(note));
    }
    world.feed(&mut auditor, world.log());
    auditor.finish()
}

#[test]
fn a_rewritten_past_is_a_split() {
    let (one, two) = fork();
    let of = |world: &World, slot| world.checkpoint_of(&world.close_head(Slot(slot)).unwrap(), &[1, 2, 3]);
    for late in [false, true] {
        let report = audit(&one, &[of(&two, 1), of(&one, 2)], late);
        assert_eq!((names(&report), report.exit()), (vec![], 0), "heads of the common past and of the own log");
        assert_eq!(report.checks[1].units, 2);
        let report = audit(&one, &[of(&two, 2)], late);
        assert_eq!((names(&report), report.exit()), (vec!["head-split"], 1));
        assert_eq!(report.findings[0].accused, ["example.net/test/m1", "example.net/test/m2"], "who signed both");
    }
}

#[test]
fn two_heads_of_one_size_are_a_split_without_any_bytes() {
    let (one, _) = fork();
    let head = one.close_head(Slot(3)).unwrap();
    let other = one.checkpoint_of(&Head { root: one.tree_head().root, ..head }, &[0, 1, 3]);
    let mut auditor = Auditor::new(one.anchor(), Checks::ALL).unwrap();
    auditor.head(&one.checkpoint()).unwrap();
    auditor.seen(&other);
    assert_eq!(auditor.findings()[0].code, Finding::HeadSplit);
    let report = auditor.finish();
    assert_eq!((names(&report), report.exit()), (vec!["head-split"], 1), "it stands although nothing was read");
    assert_eq!(report.findings[0].accused, ["example.net/test/m0", "example.net/test/m1"]);
    // a second head is held against the first
    let mut auditor = Auditor::new(one.anchor(), Checks::ALL).unwrap();
    assert!(auditor.head(&one.checkpoint()).is_ok() && auditor.head(&other).is_ok());
    assert_eq!(names(&auditor.finish()), ["head-split"]);
}

#[test]
fn a_members_own_head_off_the_log_is_a_stray() {
    let (one, two) = fork();
    let lone = two.checkpoint_of(&two.close_head(Slot(2)).unwrap(), &[3]);
    let report = audit(&one, &[lone], false);
    assert_eq!(names(&report), ["head-stray"]);
    assert_eq!(report.findings[0].accused, ["example.net/test", "example.net/test/m3"], "log key and cosigner key");
    let own = one.checkpoint_of(&one.close_head(Slot(2)).unwrap(), &[3]);
    assert_eq!(names(&audit(&one, &[own], false)), Vec::<&str>::new());
    assert_eq!(names(&audit(&one, &[b"noise".to_vec()], false)), Vec::<&str>::new());
}

#[test]
fn ver_3_a_larger_head_leaves_the_check_open() {
    let (one, _) = fork();
    let size = one.close_head(Slot(3)).unwrap().size;
    let larger = one.checkpoint_of(&Head { size: size + 1, root: one.tree_head().root }, &[0, 1, 2]);
    let report = audit(&one, &[larger], false);
    assert_eq!((names(&report), report.exit()), (vec![], 2));
    assert!(matches!(report.checks[1].status, Status::NotChecked(_)));
}

#[test]
fn a_head_inside_part_a_is_none_that_honest_members_sign() {
    let world = busy(1);
    let (before, close) = (world.close_head(Slot(4)).unwrap().size, world.close_head(Slot(5)).unwrap().size);
    for size in before..=close {
        let size = usize::try_from(size).unwrap();
        // B(4) and C(4), then CLOSE, LEFT and 3 of 4 lists
        let inside = (u64::try_from(size).unwrap() < close) && size + 6 > usize::try_from(close).unwrap();
        let want = if inside { vec!["section-order"] } else { vec![] };
        assert_eq!(codes(&world, &world.log()[..size]), want, "{size} of {close}");
    }
    assert_eq!(codes(&world, &world.log()[..1]), ["section-order"]);
}

/// With epoch 1, slot 16, member 1 leaves: 0 stays, 2 and 3 are 1 and 2 there, and one joins as 3. Slot 11 announces it.
fn changed(seed: u8) -> World {
    let params = Params { epoch_slots: 16, ..Params::default_for(500) };
    let mut world = World::with_params(seed, params.clone());
    world.change(Some(MemberId(1)), params);
    (0..18).for_each(|_| world.slot());
    world
}

/// The audit of a world under a note that is said to be a later committee's.
fn audit_later(world: &World, note: &[u8]) -> Report {
    let mut auditor = Auditor::new(world.anchor(), Checks::ALL).unwrap();
    assert!(auditor.head_of_later(note).is_ok(), "whose it is, the log says");
    world.feed(&mut auditor, world.log());
    auditor.finish()
}

/// Nobody vouches for the head, for this reason.
fn assert_nobodys(report: &Report, error: HeadError) {
    assert_eq!((names(report), report.exit()), (vec!["head-invalid"], 2), "{error}");
    assert_eq!(report.findings[0].detail, error.to_string());
    assert_eq!((report.checks[0].status.clone(), report.cosigners.len()), (Status::Fail, 0));
    assert!(report.checks[1..].iter().all(|c| matches!(c.status, Status::NotChecked(_))), "{report:?}");
}

#[test]
fn a_head_is_of_the_committee_that_the_log_names_for_its_size() {
    let world = changed(6);
    let head = |slot| world.close_head(Slot(slot)).unwrap();
    let (before, later) = (Epoch(0), Epoch(1));
    let quorum = |have| HeadError::Quorum { have, need: 3 };

    // the good one: genesis alone does not know it
    let note = world.checkpoint();
    let mut auditor = Auditor::new(world.anchor(), Checks::ALL).unwrap();
    assert_eq!(auditor.head(&note), Err(quorum(1)));
    assert_eq!(auditor.head_of_later(&note), Ok(head(18)));
    assert_eq!(auditor.head_of_later(&world.checkpoint_by(before, &head(3), &[0, 1, 2])), Ok(head(3)));
    world.feed(&mut auditor, world.log());
    let report = auditor.finish();
    assert_eq!(
        (names(&report), report.exit(), report.head),
        (vec![], 0, head(18)),
        "the first given stays the subject"
    );
    assert_eq!(report.cosigners, [0, 1, 2].map(MemberId));
    let of_the_joined = audit_later(&world, &world.checkpoint_by(later, &head(16), &[3, 2, 1]));
    assert_eq!((names(&of_the_joined), of_the_joined.exit()), (vec![], 0));

    // keys that no EPOCH names; f + 1 of those that it names
    assert_nobodys(&audit_later(&world, &World::new(7).checkpoint_of(&head(18), &[0, 1, 2, 3])), HeadError::NoLog);
    assert_nobodys(&audit_later(&world, &world.checkpoint_by(later, &head(18), &[2, 3])), quorum(2));
    // before EPOCH names them, and while the committee before them still works
    for slot in [10, 11, 15] {
        assert_nobodys(&audit_later(&world, &world.checkpoint_by(later, &head(slot), &[0, 1, 2, 3])), quorum(1));
        assert_nobodys(&audit_later(&world, &world.checkpoint_by(later, &head(slot), &[3, 2, 1])), HeadError::NoLog);
        let own = audit_later(&world, &world.checkpoint_by(before, &head(slot), &[1, 2, 3]));
        assert_eq!((names(&own), own.exit()), (vec![], 0));
    }
}

#[test]
fn a_committee_that_is_over_signs_no_head() {
    let world = changed(6);
    let head = world.close_head(Slot(18)).unwrap();
    let over = world.checkpoint_by(Epoch(0), &head, &[0, 1, 2, 3]);
    assert_nobodys(&audit_later(&world, &over), HeadError::Quorum { have: 1, need: 3 });
    // it is genesis' own, so only the log says that it is over
    let mut auditor = Auditor::new(world.anchor(), Checks::ALL).unwrap();
    assert_eq!(auditor.head(&over), Ok(head));
    world.feed(&mut auditor, world.log());
    assert_nobodys(&auditor.finish(), HeadError::Quorum { have: 1, need: 3 });
}

#[test]
fn a_lie_under_a_later_committees_head_is_a_finding_and_under_nobodys_none() {
    let mut world = changed(6);
    world.plant(Plant::WrongReserve);
    let report = audit_later(&world, &world.checkpoint());
    assert_eq!((names(&report), report.findings[0].slot, report.exit()), (vec!["reserve-wrong"], Slot(17), 1));
    let head = world.close_head(Slot(18)).unwrap();
    let few = world.checkpoint_by(Epoch(1), &head, &[1, 3]);
    assert_nobodys(&audit_later(&world, &few), HeadError::Quorum { have: 2, need: 3 });
}

#[test]
fn what_is_no_checkpoint_of_the_log_is_of_no_later_committee() {
    let world = changed(6);
    let mut auditor = Auditor::new(world.anchor(), Checks::ALL).unwrap();
    let note = std::string::String::from_utf8(world.checkpoint()).unwrap();
    let mut refused = |note: &str| auditor.head_of_later(note.as_bytes()).unwrap_err();
    assert_eq!(refused(&note.replacen("net/test", "net/tost", 1)), HeadError::Origin);
    assert!(matches!(refused("no note"), HeadError::Note(NoteError::Shape)));
    assert_eq!(refused(&note.replacen('\n', "\n0", 1)), HeadError::Checkpoint(CheckpointError::Value));
    assert_eq!(auditor.need(), Need::Done, "nothing is read under it");
    assert_eq!(auditor.finish().exit(), 2);
}
