//! What the log costs: a member that appends and makes durable, a reader that checks.
//!
//! Goal: CPU time of hashing and proofs; wall clock, fsyncs included, of what receipts and commits wait for. Method:
//! criterion; the two groups that write to a disk say "wall clock" in their names, the others measure the CPU time of one
//! thread. Entries are 1,000 bytes, an envelope of the smallest class with its header and frame. Every result is checked:
//! roots against the naive root over all leaves, proofs against the head, a reopened WAL against what was appended.
#![expect(clippy::expect_used, reason = "a bench: what does not hold ends it with the reason")]

#[path = "common/cpu.rs"]
mod cpu;

use cpu::CpuTime;
use criterion::{BenchmarkId, Criterion, Throughput};
use std::{hint::black_box, path::Path};
use store::{
    log::LogDir,
    state::{Lock, State},
    wal::{SEGMENT_BYTES_DEVNET, Wal},
};
use tempfile::TempDir;
use tlog::{Tree, proof::verify_inclusion};
use types::{Entry, Head, Kind, Slot, codec, limits::ENTRY_BYTES_MAX};

const ENTRY_BYTES: usize = 1_000;
/// A slot of a quiet network, and a full one.
const SLOTS: [usize; 2] = [64, 1_024];
/// Entries of the log that is read: forty slots of 1,024.
const READ: usize = 40 * 1_024;

fn folder() -> TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder on the disk of the build")
}

/// Distinct entries of one length that decode as log entries.
fn entries(first: usize, count: usize) -> Vec<Vec<u8>> {
    let entry = |i: usize| {
        let mut bytes = u64::try_from(i).unwrap_or(0).to_le_bytes().repeat(ENTRY_BYTES / 8);
        bytes.truncate(ENTRY_BYTES - 16);
        Entry::bytes(Kind::Envelope { slot: Slot(1), bytes })
    };
    (first..first + count).map(entry).collect()
}

fn elements(count: usize) -> Throughput {
    Throughput::Elements(u64::try_from(count).unwrap_or(0))
}

fn a_section_is_hashed(c: &mut Criterion<CpuTime>) {
    let mut group = c.benchmark_group("a slot's entries are appended to the tree");
    for count in SLOTS {
        let mut before = Tree::new();
        for entry in entries(0, 777) {
            before.append(&entry);
        }
        let section = entries(777, count);
        let append = || {
            let mut tree = before.clone();
            for entry in &section {
                tree.append(entry);
            }
            tree.head()
        };
        let all = entries(0, 777 + count);
        assert_eq!(append().root, crypto::merkle::root(&all), "the root is the naive one");
        group.throughput(elements(count));
        group.bench_function(BenchmarkId::from_parameter(count), |b| b.iter(append));
        group.bench_function(BenchmarkId::new("the naive way: all 777 before them again", count), |b| {
            b.iter(|| crypto::merkle::root(black_box(&all)));
        });
    }
    group.finish();
}

/// A member's log with its lock.
struct Member {
    state: State,
    log: LogDir,
    slot: Slot,
}

impl Member {
    fn open(folder: &Path) -> Self {
        let state = State::open(&folder.join("state.redb")).expect("a database");
        let lock = state.lock().expect("readable");
        let log = LogDir::open(folder, lock.as_ref()).expect("a log at its lock");
        Self { state, log, slot: lock.map_or(Slot(0), |lock| lock.slot) }
    }

    /// Staged, locked (the commit point), in tiles.
    fn commit(&mut self, section: &[Vec<u8>]) -> Head {
        self.slot = self.slot.next();
        let staged = self.log.stage(section).expect("staged");
        let (head, staging) = (staged.head(), staged.name().to_owned());
        let lock = Lock { head, slot: self.slot, time: self.slot.0, opened: self.slot.prev(), staging, owed: (1, 1) };
        self.state.commit(&lock).expect("locked");
        self.log.apply(staged).expect("tiles");
        head
    }
}

fn a_section_is_made_durable(c: &mut Criterion) {
    let mut group = c.benchmark_group("a slot's entries are staged, locked and put into tiles, wall clock");
    for count in SLOTS {
        let folder = folder();
        let mut member = Member::open(folder.path());
        let section = entries(0, count);
        group.throughput(elements(count));
        group.bench_function(BenchmarkId::from_parameter(count), |b| b.iter(|| member.commit(&section)));
        let (head, slot) = (member.log.applied(), member.slot);
        drop(member);
        let reopened = Member::open(folder.path());
        assert_eq!((reopened.log.applied(), reopened.slot), (head, slot), "what was committed is there again");
    }
    group.finish();
}

fn a_receipt_waits_for_the_wal(c: &mut Criterion) {
    let mut group = c.benchmark_group("envelopes are in the WAL before their receipts, wall clock");
    for count in [1, 16, 128] {
        let folder = folder();
        let path = folder.path().join("wal");
        let (mut wal, _nothing) = Wal::open(&path, SEGMENT_BYTES_DEVNET, [7; 16]).expect("a new WAL");
        let batch = entries(0, count);
        group.throughput(elements(count));
        group.bench_function(BenchmarkId::from_parameter(count), |b| {
            b.iter(|| {
                let first = wal.append(&batch).expect("appended");
                // As in a slot: what is included is let go of, so that the disk does not fill.
                wal.prune(first.saturating_sub(4_096)).expect("pruned");
            });
        });
        let next = wal.next_seq();
        drop(wal);
        let (wal, replay) = Wal::open(&path, SEGMENT_BYTES_DEVNET, [7; 16]).expect("the same WAL");
        assert_eq!(wal.next_seq(), next);
        // nothing was appended when the run was asked for other groups only
        if next == 1 {
            continue;
        }
        let last: Vec<_> = replay.records.iter().rev().take(count).rev().map(|record| record.payload.clone()).collect();
        assert_eq!(last, batch, "the last batch is there again");
    }
    group.finish();
}

fn readers_check(c: &mut Criterion<CpuTime>) {
    let folder = folder();
    let mut member = Member::open(folder.path());
    let head = (0..READ / 1_024).map(|i| member.commit(&entries(i * 1_024, 1_024))).last().expect("slots");
    let reader = member.log.reader();
    let some = reader.entries(0..1_024).expect("entries");
    assert_eq!(some, entries(0, 1_024), "what was committed is what is served");

    let mut group = c.benchmark_group("an auditor replays entries of 1,000 bytes");
    group.throughput(elements(some.len()));
    let hash = |entries: &[Vec<u8>]| {
        let mut tree = Tree::new();
        for entry in entries {
            tree.append(entry);
        }
        tree.head()
    };
    assert_eq!(hash(&some).root, crypto::merkle::root(&some));
    group.bench_function("hashes", |b| b.iter(|| hash(black_box(&some))));
    let decode = |bytes: &Vec<u8>| codec::decode::<Entry>(bytes, ENTRY_BYTES_MAX).is_ok();
    group.bench_function("decodes, canonical bytes only", |b| {
        b.iter(|| assert!(some.iter().all(|bytes| decode(black_box(bytes)))));
    });
    group.bench_function("reads them from tiles", |b| b.iter(|| reader.entries(0..1_024).expect("entries")));
    group.finish();

    let mut group = c.benchmark_group("a wallet asks for a proof of inclusion, 40,960 entries");
    let index = 12_345u64;
    let entry = reader.read_entry(index).expect("an entry");
    let path = reader.inclusion(head.size, index).expect("a proof");
    assert!(verify_inclusion(&head, index, &entry, &path), "the proof holds");
    assert!(!verify_inclusion(&head, index + 1, &entry, &path), "and for this index only");
    group.bench_function("a member makes it from tiles", |b| {
        b.iter(|| reader.inclusion(head.size, black_box(index)).expect("a proof"));
    });
    group.bench_function("the wallet checks it", |b| {
        b.iter(|| assert!(verify_inclusion(&head, index, black_box(&entry), &path)));
    });
    group.finish();
}

fn main() {
    let mut cpu = cpu::criterion(Criterion::default());
    let mut wall = Criterion::default().configure_from_args();
    a_section_is_hashed(&mut cpu);
    a_section_is_made_durable(&mut wall);
    a_receipt_waits_for_the_wal(&mut wall);
    readers_check(&mut cpu);
    cpu.final_summary();
}
