// Goal: whose head is audited, what bytes under it count for, and how a rewritten past shows.
use super::{busy, codes};
use crate::{
    Auditor, Checks, HeadError, Need, Report, Status,
    testing::{Draft, World, tile_of},
};
use std::{vec, vec::Vec};
use types::{Head, Slot, reason::Finding};

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
