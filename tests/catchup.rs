//! Goal: a member that was away or stood still, whose folder is an old copy, or that lost its disk comes back by what a
//! quorum has signed, whatever a peer serves, or is told what to do; and signs nothing twice.
//! Method: one network of four processes; members are killed or paused, their folders changed, and started again.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test ends where its helper fails")]
#[expect(dead_code, reason = "each test program uses a part")]
mod common;

use common::{
    Devnet, Person, base_port,
    folder::{Signed, assert_no_faults, entries, heads},
    http,
    process::{self, Process, copy},
    run,
};
use std::{
    collections::BTreeSet,
    fs::{self, File},
    ops::RangeInclusive,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};
use types::{Entry, Epoch, FinalityProof, Kind, MemberId, Schedule, Slot, codec, reason::Reason};
use wallet::{Refused, SubmitLimits, Submitter};

/// Between two looks, and how many there are at most.
const PAUSE: Duration = Duration::from_millis(50);
const TRIES: u32 = 2_400;

/// A member as a process; killed when dropped.
struct Node {
    process: Process,
    folder: PathBuf,
    http: u16,
}

impl Node {
    fn start(network: &Path, base_port: u16, member: u16) -> Self {
        let folder = network.join(format!("member-{member}"));
        let log = File::create(network.join(format!("stderr-{member}"))).unwrap();
        let mut command = process::node(&network.join("network.toml"), &folder.join("node.toml"));
        let process = Process::start(command.stdout(Stdio::null()).stderr(log));
        Self { process, folder, http: base_port + 3 * member + 2 }
    }

    fn get(&self, path: &str) -> Option<String> {
        Some(String::from_utf8_lossy(&http(("127.0.0.1", self.http), path)?.1).into_owned())
    }

    /// Last opened slot, 0 while it does not answer.
    fn opened(&self) -> u64 {
        let metrics = self.get("/metrics").unwrap_or_default();
        let line = metrics.lines().find(|line| line.starts_with("lockstep_slot_opened{"));
        line.and_then(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).map_or(0, |slot| slot as u64)
    }

    fn wait_for(&mut self, slot: u64) -> u64 {
        for _ in 0..TRIES {
            let opened = self.opened();
            if opened >= slot {
                return opened;
            }
            let ended = self.process.ended();
            assert!(ended.is_none(), "{} ended: {}", self.folder.display(), self.stderr());
            std::thread::park_timeout(PAUSE);
        }
        panic!("slot {} of {slot}: {}", self.opened(), self.everybody());
    }

    /// The first epoch of which it says that it votes in it.
    fn wait_for_votes(&mut self) -> Epoch {
        for _ in 0..TRIES {
            let text = self.stderr();
            let epoch = text.lines().filter(|line| line.contains("votes=true")).find_map(|line| {
                let (_, rest) = line.split_once(" epoch=")?;
                rest.split(' ').next()?.parse().ok()
            });
            if let Some(epoch) = epoch {
                return Epoch(epoch);
            }
            assert!(self.process.ended().is_none(), "{text}");
            std::thread::park_timeout(PAUSE);
        }
        panic!("it never votes: {}", self.everybody());
    }

    /// What every member wrote, and the metrics of this one.
    fn everybody(&self) -> String {
        let texts = (0..4).map(|member| fs::read_to_string(self.folder.with_file_name(format!("stderr-{member}"))));
        let texts: Vec<String> = texts.map(|text| text.unwrap_or_default()).collect();
        format!("{}\n{}", texts.join("\n---\n"), self.get("/metrics").unwrap_or_default())
    }

    fn stderr(&self) -> String {
        let name = self.folder.file_name().unwrap().to_str().unwrap().replace("member-", "stderr-");
        fs::read_to_string(self.folder.with_file_name(name)).unwrap()
    }

    fn kill(mut self) {
        self.process.kill();
        self.process.wait();
    }

    fn terminate(self) -> ExitStatus {
        self.process.terminate();
        self.process.wait()
    }

    /// Waits for an end that nobody asked for.
    fn ended_by_itself(mut self) -> (ExitStatus, String) {
        for _ in 0..TRIES {
            if let Some(status) = self.process.ended() {
                return (status, self.stderr());
            }
            std::thread::park_timeout(PAUSE);
        }
        panic!("still runs: {}", self.stderr());
    }
}

/// Deletes all that a member wrote, and leaves what it was given.
fn lose(folder: &Path) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if path.is_dir() {
            fs::remove_dir_all(&path).unwrap();
        } else if matches!(name.as_str(), "state.redb" | "lock") {
            fs::remove_file(&path).unwrap();
        }
    }
}

/// Slots for which the log holds a list of this member.
fn listed(folder: &Path, of: MemberId) -> BTreeSet<u64> {
    let slot = |entry: Entry| {
        let Kind::List { slot, member, .. } = entry.kind else { return None };
        (member == of).then_some(slot.0)
    };
    entries(folder).into_iter().filter_map(slot).collect()
}

/// Changes a byte of the newest whole bundle of entries that a member serves; where, and what stood there.
fn lie(folder: &Path) -> (PathBuf, Vec<u8>) {
    let paths = fs::read_dir(folder.join("log/tile/entries")).unwrap().map(|entry| entry.unwrap().path());
    let path = paths.filter(|path| path.is_file()).max().unwrap();
    let whole = fs::read(&path).unwrap();
    let mut bytes = whole.clone();
    // of its last entry
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&path, bytes).unwrap();
    (path, whole)
}

fn proof_of(folder: &Path, slot: u64) -> PathBuf {
    folder.join("finality").join(slot.to_string())
}

fn voted(folder: &Path, slot: u64, member: MemberId) -> bool {
    let bytes = fs::read(proof_of(folder, slot)).unwrap();
    let proof: FinalityProof = codec::decode(&bytes, 1 << 20).unwrap();
    proof.votes.iter().any(|vote| vote.member == member)
}

async fn submit(submitter: &Submitter, person: &mut Person, nonce: u64) {
    let params = submitter.current().await.unwrap();
    let leg = person.transfer(901, nonce);
    let (_, envelope) = person.envelope(&params, nonce, vec![leg]);
    submitter.submit(&envelope).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_that_were_away_or_lost_their_disk_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("net");
    let port = base_port(4);
    // with epochs this short the devnet changes no committee
    let shape = ["--slots", "6", "--slot-ms", "200", "--wallets", "4", "--epoch-slots", "31"];
    let (_, status) = Devnet::start(&folder, port, &shape).finish();
    assert!(status.success());
    let start = |member| Node::start(&folder, port, member);
    let mut nodes: Vec<Node> = (0..4).map(start).collect();
    let first = nodes[0].wait_for(8);
    for node in &mut nodes {
        node.wait_for(first);
    }

    // away for more slots than peers keep in memory, with envelopes in them
    nodes.pop().unwrap().kill();
    let mut person = Person::read(&folder);
    let submitter = Submitter::start(Person::read(&folder).view, SubmitLimits::default());
    for nonce in 0..6 {
        submit(&submitter, &mut person, nonce).await;
    }
    let far = nodes[0].wait_for(first + 75);
    // who is asked first serves something else
    let (path, whole) = lie(&folder.join("member-0"));
    let own = folder.join("member-3/log/tile/entries").join(path.file_name().unwrap());
    assert!(!own.exists(), "member 3 was there");
    nodes.push(start(3));
    let back = nodes[3].wait_for(far);
    let text = nodes[3].stderr();
    assert!(
        text.lines().any(|line| line.contains("peer=0 ") && line.contains("do not hash to the signed head")),
        "{text}"
    );
    assert!(text.contains("sync slot="), "{text}");
    nodes[0].wait_for(back + 2);
    nodes[3].wait_for(back + 2);
    assert!(fs::read(&own).unwrap() == whole, "it took what nobody signed");
    fs::write(path, whole).unwrap();

    // stands still for more slots than peers keep in memory, and finds out by itself
    nodes[1].process.pause();
    let far = nodes[0].wait_for(back + 2 + 70);
    nodes[1].process.resume();
    let back = nodes[1].wait_for(far);
    assert!(nodes[1].stderr().contains("member.behind"), "{}", nodes[1].stderr());
    nodes[0].wait_for(back + 2);
    nodes[1].wait_for(back + 2);

    // what a member may do that has lost its disk changes with the epoch: whatever the pace, most of one is left
    let epochs = Schedule::new(31);
    let begins = epochs.first(epochs.epoch_of(Slot(back + 2)).next()).0;
    nodes[0].wait_for(begins + 1);

    // an old copy of a folder has signed things that it does not know
    let own = folder.join("member-2");
    let old = dir.path().join("old");
    nodes.remove(2).kill();
    copy(&own, &old);
    let mut again = start(2);
    // what it takes from the others' logs it has not signed: only the slots after that count
    let taken = again.wait_for(nodes[0].opened().max(1));
    let now = again.wait_for(taken + 4);
    again.kill();
    fs::remove_dir_all(&own).unwrap();
    copy(&old, &own);
    let (status, text) = start(2).ended_by_itself();
    assert_eq!(status.code(), Some(65), "{text}");
    assert!(text.contains("the folder is an old copy") && text.contains("delete everything else"), "{text}");

    // does as it was told: nothing but the keys is left
    lose(&own);
    let mut lost = start(2);
    let back = lost.wait_for(now + 2);
    let refused = {
        let params = submitter.current().await.unwrap();
        let leg = person.transfer(901, 6);
        let (hash, envelope) = person.envelope(&params, 6, vec![leg]);
        let submission = submitter.submit(&envelope).await.unwrap();
        let collected = submission.all().await;
        assert!(collected.receipts.iter().all(|receipt| receipt.member != MemberId(2)), "{hash}");
        let busy = |refused: &Refused| {
            let said =
                if let Refused::Refusal(said) | Refused::Silent(Some(said)) = refused { Some(said) } else { None };
            said.is_some_and(|said| said.known() == Some(Reason::Busy))
        };
        collected.refused.iter().any(|(member, refused)| *member == MemberId(2) && busy(refused))
    };
    assert!(refused, "a member that lost its disk says that it promises nothing");
    // a vote that it forgot may be of the epoch in which blocks are certainly newer than the loss: 10 s, so many slots as
    // the machine's pace makes of them; in the epoch after it votes, and says so
    let again = lost.wait_for_votes();
    let last = lost.wait_for(epochs.first(again).0 + 24);
    nodes.push(lost);
    let me = MemberId(2);
    for node in nodes {
        let status = node.terminate();
        assert!(status.success());
    }
    let lists = listed(&folder.join("member-0"), me);
    assert!(lists.range(..now).next_back().is_some(), "it listed before");
    assert_eq!(lists.range(now + 2..).next(), None, "and not since it lost its disk");
    let others = listed(&folder.join("member-0"), MemberId(1));
    assert!(others.range(far + 2..).next().is_some(), "member 1 lists again");
    // what it forgot and what it has signed since go together
    let (mut signed, mut cosigned) = (Signed::default(), BTreeSet::new());
    let folders = (0..4).map(|of| folder.join(format!("member-{of}"))).chain([old]);
    for (slot, note) in folders.flat_map(|folder| heads(&folder)) {
        signed.checkpoint(&note);
        if note.lines().iter().any(|line| line.name().ends_with("/m2")) {
            cosigned.insert(slot.0);
        }
    }
    signed.assert_once();
    assert!(cosigned.range(..now).next().is_some() && cosigned.range(now + 2..).next().is_some(), "{cosigned:?}");
    // whoever is late is missing in certificates of the others: three votes make one
    let by_any = |slot: &u64| {
        let others = (1..4).map(|of| folder.join(format!("member-{of}")));
        voted(&folder.join("member-0"), *slot, me)
            || others.filter(|own| proof_of(own, *slot).exists()).any(|own| voted(&own, *slot, me))
    };
    let votes = |slots: RangeInclusive<u64>| slots.filter(by_any).count();
    assert!(again > epochs.epoch_of(Slot(now + 2)) && again <= epochs.epoch_of(Slot(back + 60)).next(), "{again}");
    let again = epochs.first(again).0;
    assert_eq!(votes(now + 2..=again - 1), 0, "nor voted before the epoch that it says");
    assert!(votes(again..=last) > 0, "it votes again in that");
    assert_no_faults((0..4).map(|of| folder.join(format!("member-{of}"))));
    let network = folder.join("network.toml");
    for member in 0..4 {
        let copy = folder.join(format!("member-{member}"));
        let (status, out, err) = run(&["audit", copy.to_str().unwrap(), "--network", network.to_str().unwrap()]);
        assert_eq!(status.code(), Some(0), "{out}{err}");
    }
}
