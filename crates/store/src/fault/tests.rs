// Goal: STO-1 to STO-4 under faults. Method: one scripted run of all writers; the fault at its every single operation;
// then a process that starts on what is left, is itself killed at every operation of its start, and goes on.
use super::{Fault, Place, Plan, Scope, at, passed};
use crate::{
    durable::{self, Op},
    log::{LogDir, LogError},
    state::{Lock, State, StateError},
    wal::{SEGMENT_BYTES_MIN, Wal, WalError},
};
use crypto::ed25519::SigningKey;
use std::{collections::BTreeMap, error::Error, path::Path, sync::Arc};
use tempfile::tempdir;
use tlog::checkpoint;
use types::{Epoch, Head, MemberId, MemberRecord, Slot};
use zeroize::Zeroizing;

const ORIGIN: &str = "example.net/test";
const SLOTS: u64 = 3;

type Failed = Box<dyn Error>;

fn entries(from: u64, count: u64) -> Vec<Vec<u8>> {
    (from..from + count).map(|i| i.to_be_bytes().repeat(1 + usize::try_from(i % 5).unwrap())).collect()
}

fn head_of(size: u64) -> Head {
    let mut tree = tlog::Tree::new();
    for entry in entries(0, size) {
        tree.append(&entry);
    }
    tree.head()
}

fn note_of(head: &Head) -> String {
    let key = |i| SigningKey::from_seed(Zeroizing::new([i; 32]));
    let [log, cosigner] = [key(1), key(2)];
    let none = types::Hash::ZERO;
    let (name, log_key, cosigner_key) = ("one".into(), log.public(), cosigner.public());
    let member = MemberRecord { name, consensus: none, log: log_key, cosigner: cosigner_key, receipt: none, tls: none };
    let policy = checkpoint::Policy::new(ORIGIN, &[member], 0).unwrap();
    let signature = checkpoint::sign(ORIGIN, head, &log);
    let stamp = checkpoint::cosign(ORIGIN, head, 5, &cosigner);
    policy.checkpoint(head, (MemberId(0), signature), &[(MemberId(0), stamp)]).unwrap()
}

struct Writers {
    state: State,
    log: LogDir,
    wal: Wal,
    records: Vec<Vec<u8>>,
}

impl Writers {
    fn open(dir: &Path) -> Result<Self, Failed> {
        let state = State::open(&dir.join("state.redb"))?;
        let lock = state.lock()?;
        let log = LogDir::open(dir, lock.as_ref())?;
        let (wal, replay) = Wal::open(&dir.join("wal"), SEGMENT_BYTES_MIN, [7; 16])?;
        Ok(Self { state, log, wal, records: replay.records.into_iter().map(|record| record.payload).collect() })
    }
}

/// What was told to be durable, and what was being made durable when the run ended.
#[derive(Clone, Debug, Default)]
struct Told {
    receipts: Vec<Vec<u8>>,
    pruned: u64,
    lists: BTreeMap<Slot, Vec<u8>>,
    finality: BTreeMap<Slot, Vec<u8>>,
    share: Option<u64>,
    lock: Option<Lock>,
    heads: BTreeMap<Slot, Head>,
}

/// Which writer was asked last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Wal,
    State,
    Log,
    File,
}

#[derive(Debug)]
struct Story {
    /// Calls that returned.
    told: Told,
    /// With the call that did not.
    tried: Told,
    asked: Asked,
}

impl Story {
    fn new(told: Told) -> Self {
        Self { tried: told.clone(), told, asked: Asked::File }
    }

    fn call<T, E: Into<Failed>>(
        &mut self,
        asked: Asked,
        change: impl Fn(&mut Told),
        call: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, Failed> {
        self.asked = asked;
        change(&mut self.tried);
        let done = call().map_err(E::into)?;
        change(&mut self.told);
        Ok(done)
    }

    /// A slot as a member does it (log.md section 10).
    fn slot(&mut self, dir: &Path, w: &mut Writers, slot: Slot) -> Result<(), Failed> {
        let byte = u8::try_from(slot.0)?;
        for batch in [vec![vec![byte; 1_500], vec![byte + 100; 30]], vec![vec![byte + 50; 1_200]]] {
            self.call(Asked::Wal, |told| told.receipts.extend(batch.clone()), || w.wal.append(&batch))?;
        }
        let list = vec![byte; 40];
        self.call(
            Asked::State,
            |t| {
                t.lists.insert(slot, list.clone());
            },
            || w.state.put_list(slot, &list),
        )?;
        let (file, proof) = (dir.join(format!("finality/{slot}")), vec![byte; 900]);
        self.call(
            Asked::File,
            |t| {
                t.finality.insert(slot, proof.clone());
            },
            || {
                let _step = at(Place::Finality);
                durable::write(&file, &proof)
            },
        )?;
        self.call(
            Asked::State,
            |t| t.share = Some(slot.0),
            || {
                let _step = at(Place::ShareMessage);
                w.state.put("share", &slot.0)
            },
        )?;
        let more = entries(w.log.size(), 90);
        let staged = self.call(Asked::Log, |_| (), || w.log.stage(&more))?;
        let (head, staging) = (staged.head(), staged.name().to_owned());
        let lock = Lock { head, slot, time: 1_000 + slot.0, opened: Slot(slot.0 - 1), staging, owed: (1, 1) };
        self.call(Asked::State, |t| t.lock = Some(lock.clone()), || w.state.commit(&lock))?;
        self.call(Asked::Log, |_| (), || w.log.apply(staged))?;
        w.log.append(&entries(w.log.size(), 7))?;
        passed(Place::Opened);
        let note = note_of(&head);
        self.call(
            Asked::Log,
            |t| {
                t.heads.insert(slot, head);
            },
            || w.log.publish(Epoch(0), slot, &note),
        )?;
        // All but the newest records are of no use any more.
        let keep = w.wal.next_seq() - 4;
        self.call(Asked::Wal, |t| t.pruned = keep, || w.wal.prune(keep))
    }
}

fn script(dir: &Path, story: &mut Story) -> Result<(), Failed> {
    let mut writers = Writers::open(dir)?;
    for slot in 1..=SLOTS {
        story.slot(dir, &mut writers, Slot(slot))?;
    }
    Ok(())
}

/// The old bytes or the new ones, never something between; and everything that was told.
fn assert_survived(dir: &Path, w: &Writers, story: &Story, note: &str) {
    let (told, tried) = (&story.told, &story.tried);
    let lock = w.state.lock().unwrap();
    assert!(lock == told.lock || lock == tried.lock, "{note}: lock {lock:?}");
    let head = lock.map_or(head_of(0), |lock| lock.head);
    assert_eq!(w.log.reader().check().unwrap(), head, "{note}");
    assert_eq!(w.log.entries(0..head.size).unwrap(), entries(0, head.size), "{note}");
    for (slot, list) in &tried.lists {
        let found = w.state.list(*slot).unwrap();
        assert!(found.as_ref() == Some(list) || (found.is_none() && !told.lists.contains_key(slot)), "{note}: list");
        if found.is_some() {
            assert!(matches!(w.state.put_list(*slot, b"other"), Err(StateError::ListSigned(_))), "{note}");
        }
    }
    let share = w.state.value("share").unwrap();
    assert!(share == told.share || share == tried.share, "{note}: share message {share:?}");
    for (slot, proof) in &tried.finality {
        let found = durable::read(&dir.join(format!("finality/{slot}")), 1_000).unwrap();
        assert!(found.as_ref() == Some(proof) || (found.is_none() && !told.finality.contains_key(slot)), "{note}");
    }
    let reader = w.log.reader();
    for (slot, head) in &tried.heads {
        let found = reader.head_note(*slot).unwrap();
        assert!(found == Some(note_of(head)) || (found.is_none() && !told.heads.contains_key(slot)), "{note}: head");
    }
    let newest = |told: &Told| told.heads.values().next_back().copied();
    let published = reader.published();
    assert!(published == newest(told) || published == newest(tried), "{note}: checkpoint {published:?}");
    assert_eq!(published.map(|head| note_of(&head)).as_deref(), reader.checkpoint().as_deref(), "{note}");
    let first = tried.receipts.iter().position(|payload| Some(payload) == w.records.first());
    let first = first.unwrap_or(tried.receipts.len());
    assert!(w.records.is_empty() || u64::try_from(first).unwrap() <= tried.pruned, "{note}: {first}");
    assert!(tried.receipts[first..].starts_with(&w.records), "{note}: records");
    assert!(w.records.is_empty() || first + w.records.len() >= told.receipts.len(), "{note}: a receipt is lost");
    assert!(!w.records.is_empty() || told.receipts.is_empty(), "{note}: receipts are lost");
}

/// A writer that met an error refuses to go on, though the disk is well again.
fn assert_refuses(w: &mut Writers, asked: Asked, note: &str) {
    match asked {
        Asked::Wal => {
            assert!(matches!(w.wal.append(&[b"x"]), Err(WalError::Failed)), "{note}");
            assert!(matches!(w.wal.prune(0), Err(WalError::Failed)), "{note}");
        }
        Asked::State => {
            assert!(matches!(w.state.put("x", &1u8), Err(StateError::Failed)), "{note}");
            assert!(matches!(w.state.put_list(Slot(99), b"x"), Err(StateError::Failed)), "{note}");
            assert!(matches!(w.state.commit(&Lock::default()), Err(StateError::Failed)), "{note}");
        }
        Asked::Log => {
            assert!(matches!(w.log.stage(&entries(0, 1)), Err(LogError::Failed)), "{note}");
            assert!(matches!(w.log.append(&entries(0, 1)), Err(LogError::Failed)), "{note}");
            assert!(matches!(w.log.publish(Epoch(0), Slot(9), "x"), Err(LogError::Failed)), "{note}");
        }
        Asked::File => {}
    }
}

/// Nobody is told of an error while the database is closed: everything is committed then.
fn is_closing(plan: &Plan) -> bool {
    plan.hit().is_some_and(|(place, _)| place == Place::Other)
}

/// Starts that are killed at their first operation, their second, and so on, each on what the one before left.
fn killed_starts(dir: &Path, fault: Fault) -> usize {
    for nth in 1.. {
        let plan = Plan::pretended(fault, nth);
        let scope = Scope::new(Arc::clone(&plan));
        let opened = Writers::open(dir);
        let done = plan.hit().is_none();
        assert!(opened.is_ok() == done || is_closing(&plan), "{:?}: {:?}", plan.hit(), opened.err());
        drop(opened);
        drop(scope);
        if done {
            return usize::try_from(nth).unwrap();
        }
    }
    0
}

/// The run with a fault at its `nth` operation; `false`: it has fewer.
fn faulted(fault: Fault, nth: u64) -> bool {
    let dir = tempdir().unwrap();
    let plan = Plan::pretended(fault, nth);
    let mut story = Story::new(Told::default());
    {
        let _scope = Scope::new(Arc::clone(&plan));
        let done = script(dir.path(), &mut story);
        assert!(done.is_ok() == plan.hit().is_none() || is_closing(&plan), "{fault:?} {nth} at {:?}", plan.hit());
    }
    let Some((place, op)) = plan.hit() else { return false };
    let note = format!("{fault:?} at operation {nth}, {place} {op:?}");
    if nth.is_multiple_of(7) {
        killed_starts(dir.path(), fault);
    }
    let _quick = Scope::new(Plan::pretended(Fault::Kill, 0));
    let mut writers = Writers::open(dir.path()).unwrap_or_else(|error| panic!("{note}: {error}"));
    assert_survived(dir.path(), &writers, &story, &note);
    // It goes on from there, and what it adds is there at the next start, too.
    let found = told_on_disk(&writers, &story);
    let mut story = Story::new(found);
    let next = Slot(SLOTS + 1);
    story.slot(dir.path(), &mut writers, next).unwrap_or_else(|error| panic!("{note}: {error}"));
    drop(writers);
    let writers = Writers::open(dir.path()).unwrap_or_else(|error| panic!("{note}: {error}"));
    assert_survived(dir.path(), &writers, &story, &format!("{note}, next slot"));
    true
}

/// What a process that starts takes for durable.
fn told_on_disk(w: &Writers, story: &Story) -> Told {
    let mut told = story.tried.clone();
    told.lock = w.state.lock().unwrap();
    told.share = w.state.value("share").unwrap();
    told.lists.retain(|slot, _| w.state.list(*slot).unwrap().is_some());
    told.finality.retain(|slot, _| story.told.finality.contains_key(slot));
    told.heads.retain(|slot, _| w.log.reader().head_note(*slot).unwrap().is_some());
    told.receipts = w.records.clone();
    told.pruned = 0;
    told
}

fn everywhere(fault: Fault, least: u64) {
    let mut nth = 1;
    while faulted(fault, nth) {
        nth += 1;
    }
    assert!(nth > least, "{fault:?}: only {nth} operations");
}

#[test]
fn sto_2_killed_before_every_operation() {
    everywhere(Fault::Kill, 200);
}

#[test]
fn sto_2_killed_after_every_operation() {
    everywhere(Fault::KillAfter, 200);
}

#[test]
fn sto_2_every_write_torn() {
    for part in [17, 200] {
        everywhere(Fault::Torn(part), 60);
    }
}

#[test]
fn sto_1_every_sync_fails_once() {
    everywhere(Fault::SyncFails, 60);
}

#[test]
fn sto_1_the_disk_is_full_from_every_operation_on() {
    everywhere(Fault::Full, 100);
}

#[test]
fn a_writer_that_met_an_error_refuses_to_go_on() {
    for fault in [Fault::SyncFails, Fault::Full] {
        for nth in 1.. {
            let dir = tempdir().unwrap();
            let mut writers = Writers::open(dir.path()).unwrap();
            let mut story = Story::new(Told::default());
            let plan = Plan::pretended(fault, nth);
            let scope = Scope::new(Arc::clone(&plan));
            let done = (1..=2).try_for_each(|slot| story.slot(dir.path(), &mut writers, Slot(slot)));
            drop(scope);
            let Some(hit) = plan.hit() else { break };
            assert!(done.is_err(), "{fault:?} {nth}: {hit:?}");
            assert_refuses(&mut writers, story.asked, &format!("{fault:?} at operation {nth}, {hit:?}"));
        }
    }
}

#[test]
fn a_full_disk_is_told_as_such() {
    let dir = tempdir().unwrap();
    let _scope = Scope::new(Plan::pretended(Fault::Full, 1));
    let error = durable::write(&dir.path().join("file"), b"bytes").unwrap_err();
    assert!(error.is_full(), "{error}");
    let told = State::open(&dir.path().join("state.redb"));
    assert!(matches!(&told, Err(StateError::Disk(error)) if error.is_full()), "{told:?}");
    let dir = tempdir().unwrap();
    let _scope = Scope::new(Plan::pretended(Fault::Full, 12));
    let told = State::open(&dir.path().join("state.redb"));
    assert!(matches!(&told, Err(StateError::Disk(error)) if error.is_full()), "{told:?}");
}

#[test]
fn every_place_of_a_slot_is_met() {
    for place in Place::ALL.into_iter().filter(|place| *place != Place::Other) {
        let dir = tempdir().unwrap();
        let plan: Plan = format!("kill:{place}:1").parse().unwrap();
        let plan = Arc::new(plan.pretend());
        let _scope = Scope::new(Arc::clone(&plan));
        assert!(script(dir.path(), &mut Story::new(Told::default())).is_err() || place == Place::Opened, "{place}");
        assert_eq!(plan.hit().map(|(hit, _)| hit), Some(place));
    }
}

#[test]
fn an_end_after_an_operation_is_met_where_the_operation_fails() {
    let dir = tempdir().unwrap();
    let plan = Plan::pretended(Fault::KillAfter, 1);
    let _scope = Scope::new(Arc::clone(&plan));
    assert!(durable::remove(&dir.path().join("not there")).is_err());
    assert_eq!(plan.hit(), Some((Place::Other, Some(Op::Remove))));
}

#[test]
fn plans_of_a_process() {
    for good in ["kill:sync_file:17", "torn:stage/write:1", "eio:any:3", "enospc:commit:2", "kill-after:open:1"] {
        good.parse::<Plan>().unwrap_or_else(|error| panic!("{good}: {error}"));
    }
    for bad in [
        "",
        "kill",
        "kill:sync_file",
        "kill:sync_file:0",
        "kill:nowhere:1",
        "boom:any:1",
        "kill:commit/x:1",
        "kill:any:1:2",
    ] {
        assert!(bad.parse::<Plan>().is_err(), "{bad}");
    }
    assert_eq!(Op::SyncFile.to_string(), "cannot sync");
}
