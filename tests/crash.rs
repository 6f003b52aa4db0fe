//! Goal: whatever ends members, at any moment and at every step of a slot's writes: no acknowledged envelope is lost,
//! nothing is signed twice, all logs are one, and each audits clean; or a member refuses to start and says what to do.
//!
//! Method: a network of four as separate processes on real disks, wallets that never stop, and rounds that kill. 20
//! rounds by default; `LOCKSTEP_ROUNDS=200 cargo test --test crash -- --nocapture` is the long form. A failure prints
//! the seed; `LOCKSTEP_SEED=<seed>` repeats the plan of the rounds, not the moments.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test ends where its helper fails")]
#[path = "crash/check.rs"]
mod check;
#[expect(dead_code, reason = "each test program uses a part")]
mod common;
#[path = "crash/load.rs"]
mod load;
#[path = "crash/network.rs"]
mod network;

use common::process::copy;
use load::{Load, Promise};
use network::{Cluster, MEMBERS, PATIENCE, is_faulted, tail};
use std::{collections::BTreeSet, fs, path::Path, sync::Arc, time::Duration};
use store::fault::Place;
use tokio::sync::Mutex;
use types::wire::Status;
use wallet::Submitter;

/// A network keeps two cores busy: one at a time.
static TURN: Mutex<()> = Mutex::const_new(());
const SLOT_MS: u64 = 250;
const ACCOUNTS: u32 = 2;
/// Rounds on one network: its log is replayed at every start.
const ROUNDS_EACH: u64 = 10;
/// So many rounds try each place often enough that one is met there.
const LONG: u64 = 200;

#[expect(clippy::disallowed_methods, reason = "a switch of the test, no configuration")]
fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Draws of a plan that can be repeated (splitmix64).
struct Draws(u64);

impl Draws {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end
    }
    fn index(&mut self, end: usize) -> usize {
        usize::try_from(self.below(u64::try_from(end).unwrap())).unwrap()
    }
}

#[expect(clippy::print_stdout, reason = "what the long form shows while it runs")]
fn say(line: &str) {
    println!("{line}");
}

/// Waits until every member has gone `more` slots beyond the newest one that anybody has now.
async fn progress(cluster: &mut Cluster, load: &Load, more: u64, what: &str) {
    let mut goal = None;
    let advance = async {
        loop {
            let slots = load.opened().await;
            let newest = slots.iter().flatten().max().copied();
            goal = goal.or(newest.map(|newest| newest + more));
            if goal.is_some_and(|goal| {
                slots.len() == MEMBERS && slots.iter().all(|slot| slot.is_some_and(|slot| slot >= goal))
            }) {
                break;
            }
            cluster.assert_all_run();
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    if tokio::time::timeout(PATIENCE, advance).await.is_err() {
        let said: Vec<String> = (0..MEMBERS).map(|i| format!("member {i}: {}", tail(&cluster.said(i)))).collect();
        panic!("{what}: no progress to {goal:?}: {:?}\n{}", load.opened().await, said.join("\n"));
    }
}

/// What a round does: members are killed, and those of a fault start with it before they start again.
#[derive(Debug)]
struct Round {
    members: Vec<usize>,
    fault: Option<(Place, String)>,
}

/// What the faults of rounds came to.
#[derive(Default)]
struct Faults {
    planned: usize,
    met: usize,
    /// Where one has ended a member.
    places: BTreeSet<Place>,
}

/// Places that rounds walk through.
fn places() -> impl Iterator<Item = Place> + Clone {
    Place::ALL.into_iter().filter(|place| *place != Place::Other)
}

/// Three rounds of four have a fault, each at the next place, so that a short run tries all; the operation of the place is
/// drawn.
fn plan(round: u64, draws: &mut Draws) -> Round {
    let one = |draws: &mut Draws| vec![draws.index(MEMBERS)];
    let turn = usize::try_from(round / 4).unwrap();
    if round % 4 == 3 {
        let members = if turn.is_multiple_of(2) { one(draws) } else { (0..MEMBERS).collect() };
        return Round { members, fault: None };
    }
    let place = places().cycle().nth(usize::try_from(round).unwrap() - turn).unwrap();
    // What is torn is a write: openings stay in memory, and a segment is only removed.
    let kinds = if place == Place::Opened { 1 } else { 3 - usize::from(place == Place::Prune) };
    let kind = ["kill", "kill-after", "torn"][draws.index(kinds)];
    // About as many operations as two slots have there; a third of them are writes.
    let most = match place {
        Place::Open => 20,
        Place::Apply => 16,
        Place::List | Place::ShareMessage | Place::Commit => 9,
        Place::Finality => 6,
        Place::Other | Place::WalAppend | Place::Stage | Place::Heads | Place::Publish => 4,
        Place::Opened => 2,
        Place::Prune => 1,
    };
    let most = if kind == "torn" { most / 3 + 1 } else { most };
    let fault = format!("{kind}:{place}:{}", 1 + draws.below(most));
    let members = if draws.below(3) == 0 { (0..MEMBERS).collect() } else { one(draws) };
    Round { members, fault: Some((place, fault)) }
}

/// Waits until the fault has ended the members; those that it does not reach in time are killed. How many it reached.
async fn faulted(cluster: &mut Cluster, members: &[usize]) -> usize {
    let mut reached = 0;
    for _ in 0..160 {
        for i in members {
            if let Some(status) = cluster.ended(*i) {
                assert!(is_faulted(status), "member {i} ended with {status}: {}", tail(&cluster.said(*i)));
                reached += 1;
            }
        }
        if members.iter().all(|i| !cluster.runs(*i)) {
            break;
        }
        // Where 2f + 1 are gone, the others wait at a step that needs them.
        if reached > 1 {
            tokio::time::sleep(Duration::from_millis(300)).await;
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    cluster.kill(members);
    reached
}

async fn rounds(count: u64, draws: &mut Draws, first: u64, faults: &mut Faults) -> check::Counts {
    let dir = tempfile::tempdir().unwrap();
    let mut cluster = Cluster::make(dir.path(), SLOT_MS, ACCOUNTS);
    cluster.start_all();
    let load = Load::start(&cluster.view, ACCOUNTS);
    progress(&mut cluster, &load, 2, "start").await;
    for round in first..first + count {
        let Round { members, fault } = plan(round, draws);
        let what =
            format!("round {round}, members {members:?}, {}", fault.as_ref().map_or("killed", |(_, fault)| fault));
        let mut reached = None;
        tokio::time::sleep(Duration::from_millis(draws.below(2 * SLOT_MS))).await;
        cluster.kill(&members);
        if let Some((place, fault)) = fault {
            members.iter().for_each(|i| cluster.start(*i, Some(&fault)));
            load.reconnect();
            let ended = faulted(&mut cluster, &members).await;
            faults.planned += 1;
            if ended > 0 {
                faults.met += 1;
                faults.places.insert(place);
            }
            reached = Some(ended);
        }
        members.iter().for_each(|i| cluster.start(*i, None));
        load.reconnect();
        progress(&mut cluster, &load, 2, &what).await;
        say(&format!("{what}: ended {reached:?}, {} promised, slots {:?}", load.promised(), load.opened().await));
    }
    finish(cluster, load).await
}

/// Lets everything that was promised come to its end, stops all, and checks their folders.
async fn finish(mut cluster: Cluster, load: Load) -> check::Counts {
    progress(&mut cluster, &load, 3, "end").await;
    let submitter = Arc::clone(&load.submitter.borrow());
    let promises = load.stop().await;
    let settled = async {
        for promise in promises.iter().rev().take(20) {
            while !is_settled(&submitter, promise).await {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    };
    assert!(tokio::time::timeout(PATIENCE, settled).await.is_ok(), "promises without a fate");
    drop(submitter);
    cluster.terminate().await;
    check::all(&cluster, &promises)
}

/// Executed; or dropped, which is right where another one of its nonce stands in its place.
async fn is_settled(submitter: &Submitter, promise: &Promise) -> bool {
    let told = submitter.status(promise.item).await;
    if told.iter().flatten().any(|status| matches!(status, Status::Executed { .. })) {
        return true;
    }
    let dropped = told.iter().flatten().any(|status| matches!(status, Status::Dropped { .. }));
    let accounts = submitter.account(promise.payer).await;
    dropped && accounts.iter().flatten().filter_map(|told| told.account).any(|account| account.nonce > promise.nonce)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_killed_at_any_moment_lose_nothing_and_sign_nothing_twice() {
    let _turn = TURN.lock().await;
    let seed = setting("LOCKSTEP_SEED").unwrap_or_else(|| u64::from(std::process::id()));
    println!("LOCKSTEP_SEED={seed}");
    let mut draws = Draws(seed);
    let all = setting("LOCKSTEP_ROUNDS").unwrap_or(20);
    let (mut done, mut faults) = (0, Faults::default());
    while done < all {
        let count = (all - done).min(ROUNDS_EACH);
        let counts = rounds(count, &mut draws, done, &mut faults).await;
        done += count;
        println!("{done} rounds, {} faults planned, {} met: {counts:?}", faults.planned, faults.met);
        assert!(counts.entries > 100 && counts.slots > count, "{counts:?}");
        assert!(counts.promises > 0 && counts.signatures > 0 && counts.excused < counts.promises, "{counts:?}");
        assert!(counts.judged > 0, "{counts:?}");
    }
    assert!(2 * faults.met >= faults.planned, "{} of {} planned faults were met", faults.met, faults.planned);
    let missed: Vec<Place> = places().filter(|place| !faults.places.contains(place)).collect();
    println!("met at {} of {} places, not at {missed:?}", faults.places.len(), places().count());
    assert!(all < LONG || missed.is_empty(), "no fault was met at {missed:?}");
}

/// A member whose disk refuses ends with a status that is not 0 and says why, the others go on, and it comes back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failing_disk_ends_one_member_and_costs_nothing() {
    let _turn = TURN.lock().await;
    let dir = tempfile::tempdir().unwrap();
    let mut cluster = Cluster::make(dir.path(), SLOT_MS, ACCOUNTS);
    cluster.start_all();
    let load = Load::start(&cluster.view, ACCOUNTS);
    progress(&mut cluster, &load, 2, "start").await;
    let (full, failed) = ("No space left", "os error 5");
    let faults = [
        ("enospc:wal-append:5", full),
        ("eio:wal-append/sync_file:3", failed),
        ("enospc:stage:4", full),
        ("eio:commit/sync_file:3", failed),
        ("eio:apply/sync_dir:2", failed),
    ];
    for (turn, (fault, why)) in faults.into_iter().enumerate() {
        let member = turn % MEMBERS;
        cluster.kill(&[member]);
        cluster.start(member, Some(fault));
        load.reconnect();
        let status = cluster.wait_for_end(member).await;
        let said = cluster.said(member);
        assert!(status.code().is_some_and(|code| code > 1), "{fault}: {status}: {said}");
        assert!(said.lines().any(|line| line.starts_with("lockstep: ") && line.contains(why)), "{fault}: {said}");
        let mut before = None;
        let advance = async {
            loop {
                let newest = load.opened().await.into_iter().flatten().max();
                before = before.or(newest);
                if newest.zip(before).is_some_and(|(newest, before)| newest >= before + 2) {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        assert!(tokio::time::timeout(PATIENCE, advance).await.is_ok(), "{fault}: the others stand still");
        cluster.start(member, None);
        load.reconnect();
        progress(&mut cluster, &load, 2, fault).await;
    }
    let counts = finish(cluster, load).await;
    assert!(counts.promises > 0, "{counts:?}");
}

/// The one file of a folder whose name passes, newest name first.
fn newest(folder: &Path, is: impl Fn(&str) -> bool) -> std::path::PathBuf {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let name = names.filter(|name| is(name)).max();
    folder.join(name.unwrap_or_else(|| panic!("nothing in {}", folder.display())))
}

fn flip(path: &Path, place: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[place] ^= 0x21;
    fs::write(path, bytes).unwrap();
}

/// Whatever changes in a folder behind a member's back, it refuses to start and says what is wrong, or repairs it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_folder_is_refused_by_name_and_the_whole_one_goes_on() {
    let _turn = TURN.lock().await;
    let dir = tempfile::tempdir().unwrap();
    let mut cluster = Cluster::make(dir.path(), SLOT_MS, ACCOUNTS);
    cluster.start_all();
    let load = Load::start(&cluster.view, ACCOUNTS);
    progress(&mut cluster, &load, 6, "start").await;
    let promised = async {
        while load.promised() < 5 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, promised).await.is_ok(), "no receipts");
    // Committed, not in tiles: its staging file is needed.
    cluster.kill(&[3]);
    cluster.start(3, Some("kill:apply:2"));
    assert!(is_faulted(cluster.wait_for_end(3).await));
    cluster.kill(&[0, 1, 2]);
    let (folder, whole) = (cluster.folder(3), dir.path().join("whole"));
    copy(&folder, &whole);
    let segment = |name: &str| name.len() == 10;
    type Damage = fn(&Path);
    let damages: [(&str, Damage, &str); 7] = [
        ("staging garbled", |at| flip(&newest(&at.join("staging"), |name| !name.ends_with(".tmp")), 40), ""),
        ("staging gone", |at| fs::remove_dir_all(at.join("staging")).unwrap(), "staging file"),
        ("state.redb garbled", |at| flip(&at.join("state.redb"), 3), "state.redb is damaged"),
        ("state.redb cut", |at| fs::write(at.join("state.redb"), [7; 5_000]).unwrap(), "state.redb is damaged"),
        ("state.redb gone", |at| fs::remove_file(at.join("state.redb")).unwrap(), ""),
        ("a tile cut", |at| fs::write(newest(&at.join("log/tile/0/000.p"), |_| true), [1; 31]).unwrap(), "tile/0/000"),
        ("salt gone", |at| fs::remove_file(at.join("wal/salt")).unwrap(), "salt"),
    ];
    for (what, damage, says) in damages {
        damage(&folder);
        refuses(&mut cluster, what, says).await;
        fs::remove_dir_all(&folder).unwrap();
        copy(&whole, &folder);
    }
    for (what, path) in [
        ("the newest WAL segment gone", newest(&folder.join("wal"), segment)),
        ("all of the WAL gone", folder.join("wal")),
    ] {
        if path.is_dir() {
            fs::remove_dir_all(&path).unwrap()
        } else {
            fs::remove_file(&path).unwrap()
        }
        refuses(&mut cluster, what, "are owed|segment 1 is missing").await;
        fs::remove_dir_all(&folder).unwrap();
        copy(&whole, &folder);
    }
    cluster.start_all();
    load.reconnect();
    progress(&mut cluster, &load, 2, "whole again").await;
    let counts = finish(cluster, load).await;
    assert!(counts.promises > 0, "{counts:?}");
}

/// `says`: parts of the reason, of which one must be there.
async fn refuses(cluster: &mut Cluster, what: &str, says: &str) {
    cluster.start(3, None);
    let status = cluster.wait_for_end(3).await;
    let said = cluster.said(3);
    assert!(status.code().is_some_and(|code| code > 1), "{what}: {status}: {said}");
    let line = said.lines().find(|line| line.starts_with("lockstep: "));
    assert!(line.is_some_and(|line| says.split('|').any(|part| line.contains(part))), "{what}: {said}");
    assert!(said.contains("  do: "), "{what}: {said}");
    say(&format!("{what}: {}", line.unwrap_or_default()));
}
