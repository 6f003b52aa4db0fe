// Goal: STO-1, STO-2, STO-3 for the WAL. Method: the bytes a crash can leave, at every offset; a model for random runs.
use super::*;
use proptest::prelude::*;
use std::fs;
use tempfile::{TempDir, tempdir};

const SEGMENT: u32 = SEGMENT_BYTES_MIN;
const SALT_BYTES: [u8; 16] = [7; 16];

fn open(dir: &Path) -> Result<(Wal, Vec<Vec<u8>>, bool), WalError> {
    let (wal, replay) = Wal::open(dir, SEGMENT, SALT_BYTES)?;
    let numbers: Vec<u64> = replay.records.iter().map(|record| record.seq).collect();
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "{numbers:?}");
    assert_eq!(numbers.last().map_or(1, |last| last + 1), wal.next_seq());
    Ok((wal, replay.records.into_iter().map(|record| record.payload).collect(), replay.cut))
}

fn payload(i: u8, length: usize) -> Vec<u8> {
    (0..length).map(|at| i.wrapping_mul(31).wrapping_add(u8::try_from(at % 251).unwrap())).collect()
}

/// A WAL of batches of these lengths; each record's payload.
fn filled(batches: &[&[usize]]) -> (TempDir, Vec<Vec<u8>>) {
    let dir = tempdir().unwrap();
    let (mut wal, none, _) = open(dir.path()).unwrap();
    assert!(none.is_empty());
    let (mut all, mut i) = (Vec::new(), 0);
    for batch in batches {
        let payloads: Vec<_> = batch
            .iter()
            .map(|length| {
                i += 1;
                payload(i, *length)
            })
            .collect();
        assert_eq!(wal.append(&payloads).unwrap(), all.len() as u64 + 1);
        all.extend(payloads);
    }
    (dir, all)
}

fn edit(dir: &Path, segment: u32, change: impl FnOnce(&mut Vec<u8>)) {
    let path = segment_path(dir, segment);
    let mut bytes = fs::read(&path).unwrap();
    change(&mut bytes);
    fs::write(path, bytes).unwrap();
}

fn copy(from: &Path) -> TempDir {
    let to = tempdir().unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.path().join(entry.file_name())).unwrap();
    }
    to
}

/// After a cut: the rest is there, and the WAL goes on as if the lost batch had never been.
fn goes_on(dir: &Path, want: &[Vec<u8>], note: &str) {
    let (mut wal, found, cut) = open(dir).unwrap();
    assert_eq!(found, want, "{note}");
    assert!(cut, "{note}");
    wal.append(&[payload(99, 5)]).unwrap();
    drop(wal);
    let (_, found, cut) = open(dir).unwrap();
    assert_eq!(found.len(), want.len() + 1, "{note}");
    assert_eq!(found.last(), Some(&payload(99, 5)), "{note}");
    assert!(!cut, "{note}");
}

#[test]
fn sto_1_records_come_back_in_order() {
    let (dir, all) = filled(&[&[1, 40, 300], &[7], &[5, 5, 5, 5]]);
    for _ in 0..2 {
        let (_, found, cut) = open(dir.path()).unwrap();
        assert_eq!(found, all);
        assert!(!cut);
    }
}

#[test]
fn the_layout_of_a_record() {
    let (dir, all) = filled(&[&[3], &[9, 9]]);
    let bytes = fs::read(segment_path(dir.path(), 1)).unwrap();
    assert_eq!(bytes.len(), 4_096);
    let third = &bytes[27 + 33..];
    assert_eq!(third[..4], 9u32.to_le_bytes());
    assert_eq!(third[4..8], 1u32.to_le_bytes());
    assert_eq!(third[8..16], 3u64.to_le_bytes());
    assert_eq!(third[16..20], 1u32.to_le_bytes());
    let covered = [&SALT_BYTES[..], &third[..20], &all[2]].concat();
    assert_eq!(third[20..24], crc32c::crc32c(&covered).to_le_bytes());
    assert_eq!(third[24..33], all[2]);
}

#[test]
fn sto_2_a_tail_torn_at_every_offset_is_cut() {
    let (dir, all) = filled(&[&[20, 30], &[60]]);
    let start = (24 + 20) + (24 + 30);
    for offset in start + 1..start + 24 + 60 {
        let torn = copy(dir.path());
        edit(torn.path(), 1, |bytes| bytes[offset..].fill(0));
        let zeros = payload(3, 60)[offset.saturating_sub(start + 24)..].iter().all(|byte| *byte == 0);
        assert!(!zeros);
        goes_on(torn.path(), &all[..2], &format!("zeros from {offset}"));
    }
    for offset in start..start + 24 + 60 {
        let torn = copy(dir.path());
        edit(torn.path(), 1, |bytes| bytes[offset] ^= 0x40);
        goes_on(torn.path(), &all[..2], &format!("garbled at {offset}"));
    }
}

#[test]
fn sto_2_a_shorter_file_is_a_torn_tail() {
    let (dir, all) = filled(&[&[20, 30], &[60]]);
    for length in [98, 99, 150, 181] {
        let torn = copy(dir.path());
        edit(torn.path(), 1, |bytes| bytes.truncate(length));
        let (mut wal, found, _) = open(torn.path()).unwrap();
        assert_eq!(found, all[..2]);
        wal.append(&[payload(9, 3_000)]).unwrap();
        assert_eq!(fs::metadata(segment_path(torn.path(), 1)).unwrap().len(), 4_096);
    }
}

#[test]
fn sto_2_a_batch_torn_in_its_middle_is_cut_whole_from_there() {
    // The disk wrote the end of the batch and not its middle: nobody was told of any of it.
    let (dir, all) = filled(&[&[20], &[30, 40, 50]]);
    let second = 24 + 20;
    for offset in second..second + 24 + 30 {
        let torn = copy(dir.path());
        edit(torn.path(), 1, |bytes| bytes[offset] ^= 1);
        goes_on(torn.path(), &all[..1], &format!("first of the batch at {offset}"));
        let torn = copy(dir.path());
        edit(torn.path(), 1, |bytes| bytes[offset + 24 + 30] ^= 1);
        goes_on(torn.path(), &all[..2], &format!("second of the batch at {offset}"));
    }
    // What is left of the batch must not come back, even where the next record is as long as the lost one.
    let torn = copy(dir.path());
    edit(torn.path(), 1, |bytes| bytes[second + 24 + 30 + 30] ^= 1);
    let (mut wal, _, _) = open(torn.path()).unwrap();
    wal.append(&[payload(77, 40)]).unwrap();
    let (_, found, _) = open(torn.path()).unwrap();
    assert_eq!(found, [all[0].clone(), all[1].clone(), payload(77, 40)]);
}

#[test]
fn sto_3_damage_before_a_later_batch_is_refused() {
    let (dir, _) = filled(&[&[20], &[30], &[40]]);
    for offset in 0..24 + 20 + 24 + 30 {
        let bad = copy(dir.path());
        edit(bad.path(), 1, |bytes| bytes[offset] ^= 4);
        let error = open(bad.path()).unwrap_err();
        let (number, start, after) = if offset < 44 { (1, 0, 2) } else { (2, 44, 3) };
        assert!(
            matches!(error, WalError::Damaged { segment: 1, offset, seq, later } if (offset, seq, later) == (start, number, after)),
            "{offset}: {error}"
        );
    }
    let zeroed = copy(dir.path());
    edit(zeroed.path(), 1, |bytes| bytes[..44].fill(0));
    assert!(matches!(open(zeroed.path()), Err(WalError::Damaged { later: 2, .. })));
}

#[test]
fn sto_3_damage_in_an_earlier_segment_is_refused() {
    let (dir, all) = filled(&[&[2_000], &[2_000], &[2_000], &[2_000], &[50]]);
    assert_eq!(open(dir.path()).unwrap().1, all);
    for place in [0, 30, 2_024, 4_000] {
        let bad = copy(dir.path());
        edit(bad.path(), 1, |bytes| bytes[place] ^= 1);
        assert!(matches!(open(bad.path()), Err(WalError::Damaged { segment: 1, .. })), "{place}");
    }
    let bad = copy(dir.path());
    fs::remove_file(segment_path(bad.path(), 2)).unwrap();
    assert!(matches!(open(bad.path()), Err(WalError::MissingSegment(2))));
    let bad = copy(dir.path());
    fs::write(bad.path().join("salt"), [1, 2]).unwrap();
    assert!(matches!(open(bad.path()), Err(WalError::Salt)));
    fs::remove_file(bad.path().join("salt")).unwrap();
    assert!(matches!(open(bad.path()), Err(WalError::Salt)));
    for number in 1..=5 {
        fs::remove_file(segment_path(bad.path(), number)).ok();
    }
    fs::write(bad.path().join("salt"), SALT_BYTES).unwrap();
    assert!(matches!(open(bad.path()), Err(WalError::MissingSegment(1))));
}

#[test]
fn sto_3_records_that_are_owed_and_gone_are_missed() {
    let (dir, all) = filled(&[&[2_000], &[2_000], &[2_000], &[2_000], &[50]]);
    let check = |dir: &Path, owed: (u64, u64)| {
        let (wal, replay) = Wal::open(dir, SEGMENT, SALT_BYTES).unwrap();
        wal.check_owed(&replay, owed)
    };
    let end = all.len() as u64 + 1;
    check(dir.path(), (1, end)).unwrap();
    check(dir.path(), (3, end - 1)).unwrap();
    assert!(matches!(check(dir.path(), (1, end + 1)), Err(WalError::Lost { .. })));
    // The first segment, and the last: neighbours do not miss them.
    let bad = copy(dir.path());
    fs::remove_file(segment_path(bad.path(), 1)).unwrap();
    assert!(matches!(check(bad.path(), (1, end)), Err(WalError::Lost { owed: (1, 6), found: (3, 6) })));
    check(bad.path(), (3, end)).unwrap();
    check(bad.path(), (end, end)).unwrap();
    let bad = copy(dir.path());
    let last = fs::read_dir(bad.path()).unwrap().filter_map(|entry| entry.unwrap().file_name().into_string().ok());
    let last = last.filter(|name| name.len() == 10).max().unwrap();
    fs::remove_file(bad.path().join(last)).unwrap();
    assert!(matches!(check(bad.path(), (1, end)), Err(WalError::Lost { .. })));
}

#[test]
fn a_stranger_cannot_plant_a_record() {
    // An envelope full of records that would be valid, for later numbers, if its sender knew the salt.
    let mut planted = Vec::new();
    for seq in 0..20 {
        encode(&[0; 16], 1, seq, 0, b"planted", &mut planted);
    }
    let dir = tempdir().unwrap();
    let (mut wal, _, _) = open(dir.path()).unwrap();
    wal.append(&[b"first"]).unwrap();
    wal.append(&[planted.clone()]).unwrap();
    drop(wal);
    edit(dir.path(), 1, |bytes| bytes[24 + 5] ^= 1);
    goes_on(dir.path(), &[b"first".to_vec()], "torn header before planted records");
    // With the salt they would be taken for damage: this is what it is for.
    let known = tempdir().unwrap();
    let (mut wal, _) = Wal::open(known.path(), SEGMENT, [0; 16]).unwrap();
    wal.append(&[b"first".to_vec()]).unwrap();
    wal.append(&[planted]).unwrap();
    drop(wal);
    edit(known.path(), 1, |bytes| bytes[24 + 5] ^= 1);
    assert!(matches!(Wal::open(known.path(), SEGMENT, [0; 16]), Err(WalError::Damaged { .. })));
}

#[test]
fn segments_follow_each_other_and_are_given_up_in_order() {
    let dir = tempdir().unwrap();
    let (mut wal, _, _) = open(dir.path()).unwrap();
    let mut all = Vec::new();
    for i in 1..=12u8 {
        let batch = [payload(i, 1_000), payload(i, 900)];
        wal.append(&batch).unwrap();
        all.extend(batch);
    }
    let segments = |dir: &Path| durable::names(dir).unwrap();
    assert_eq!(segments(dir.path()).len(), 6 + 1);
    wal.prune(0).unwrap();
    wal.prune(4).unwrap();
    assert_eq!(segments(dir.path()).len(), 6 + 1);
    wal.prune(6).unwrap();
    assert_eq!(segments(dir.path())[..2], ["0000000002", "0000000003"]);
    assert_eq!(segments(dir.path())[5..], ["salt", "spare"]);
    drop(wal);
    let (mut wal, found, _) = open(dir.path()).unwrap();
    assert_eq!(found, all[4..]);
    // The spare segment is used again: its old records never count.
    wal.append(&[payload(50, 1_000)]).unwrap();
    assert_eq!(segments(dir.path()).last().unwrap(), "salt");
    let reused = fs::read(segment_path(dir.path(), 7)).unwrap();
    assert!(reused[1_024..].windows(4).any(|word| word == 1u32.to_le_bytes()));
    drop(wal);
    let (mut wal, found, cut) = open(dir.path()).unwrap();
    assert_eq!((found.len(), found.last()), (21, Some(&payload(50, 1_000))));
    assert!(cut, "zeros take the place of the old records");
    wal.prune(u64::MAX).unwrap();
    assert_eq!(segments(dir.path()), ["0000000007", "salt", "spare"]);
    drop(wal);
    let (wal, found, _) = open(dir.path()).unwrap();
    assert_eq!((found, wal.next_seq()), (vec![payload(50, 1_000)], 26));
}

#[test]
fn sto_2_a_crash_while_a_segment_begins_loses_nothing() {
    let (dir, all) = filled(&[&[2_000], &[1_900]]);
    // The new segment is there, zeros or torn, and no record in it.
    for content in [vec![0u8; 4_096], vec![0xee; 4_096], vec![], vec![0; 100]] {
        let crashed = copy(dir.path());
        fs::write(segment_path(crashed.path(), 2), content).unwrap();
        fs::write(crashed.path().join("0000000003.tmp"), b"half").unwrap();
        let (mut wal, found, _) = open(crashed.path()).unwrap();
        assert_eq!(found, all);
        wal.append(&[payload(9, 3_000)]).unwrap();
        wal.append(&[payload(10, 3_000)]).unwrap();
        drop(wal);
        assert_eq!(open(crashed.path()).unwrap().1[2..], [payload(9, 3_000), payload(10, 3_000)]);
    }
}

#[test]
fn payloads_that_do_not_fit_are_refused_and_nothing_is_written() {
    let (dir, all) = filled(&[&[10]]);
    let (mut wal, _, _) = open(dir.path()).unwrap();
    assert!(matches!(wal.append(&[vec![1], vec![]]), Err(WalError::Payload(0))));
    assert!(matches!(wal.append(&[vec![1], vec![0; 4_073]]), Err(WalError::Payload(4_073))));
    assert_eq!(wal.append::<Vec<u8>>(&[]).unwrap(), 2);
    assert_eq!(wal.append(&[vec![1; 4_072]]).unwrap(), 2);
    drop(wal);
    assert_eq!(open(dir.path()).unwrap().1, [all[0].clone(), vec![1; 4_072]]);
    for size in [0, SEGMENT_BYTES_MIN - 1, SEGMENT_BYTES_MAX + 1] {
        assert!(matches!(Wal::open(dir.path(), size, SALT_BYTES), Err(WalError::SegmentSize(_))));
    }
}

#[test]
fn another_segment_size_reads_what_is_there() {
    let (dir, mut all) = filled(&[&[2_000], &[2_000], &[2_000]]);
    for size in [3 * SEGMENT, SEGMENT] {
        let (mut wal, replay) = Wal::open(dir.path(), size, SALT_BYTES).unwrap();
        assert_eq!(replay.records.len(), all.len());
        all.push(payload(8, 1_000));
        wal.append(&all[all.len() - 1..]).unwrap();
        all.push(payload(9, 2_500));
        wal.append(&all[all.len() - 1..]).unwrap();
    }
    assert_eq!(open(dir.path()).unwrap().1, all);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn sto_1_random_runs_keep_every_batch(
        steps in proptest::collection::vec((proptest::collection::vec(1usize..1_500, 0..6), 0u8..6), 1..16),
    ) {
        let dir = tempdir().unwrap();
        let (mut wal, _, _) = open(dir.path()).unwrap();
        // Numbers of what must still be there, and all that was ever appended.
        let (mut all, mut floor) = (Vec::new(), 1u64);
        for (lengths, action) in steps {
            let batch: Vec<_> = lengths.iter().enumerate().map(|(i, n)| payload(i as u8, *n)).collect();
            prop_assert_eq!(wal.append(&batch).unwrap(), all.len() as u64 + 1);
            all.extend(batch);
            if action == 0 {
                floor = (all.len() as u64).saturating_sub(3).max(floor);
                wal.prune(floor).unwrap();
            }
            if action < 3 {
                drop(wal);
                let (again, found, _) = open(dir.path()).unwrap();
                wal = again;
                let first = all.len() - found.len();
                prop_assert!((first as u64) < floor);
                prop_assert_eq!(&found[..], &all[first..]);
                prop_assert_eq!(wal.next_seq(), all.len() as u64 + 1);
            }
        }
    }

    #[test]
    fn any_bytes_in_a_segment_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let dir = tempdir().unwrap();
        fs::write(dir.path().join(SALT), SALT_BYTES).unwrap();
        fs::write(segment_path(dir.path(), 5), bytes).unwrap();
        let (mut wal, found, _) = open(dir.path()).unwrap();
        prop_assert!(found.is_empty());
        wal.append(&[b"x"]).unwrap();
        drop(wal);
        prop_assert_eq!(open(dir.path()).unwrap().1, [b"x"]);
    }
}
