//! Goal: a change of the committee or of parameters, made as operators make it, takes effect with the next epoch, and
//! nothing is lost by it: not with a member away meanwhile, not with all killed where one committee follows the other.
//! Method: the program as processes over `lockstep init`, loopback only, short epochs; every end is waited for by
//! process id, and everything else by what members serve.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test ends where its helper fails")]
#[expect(dead_code, reason = "each test program uses a part")]
mod common;

use common::{
    Person, base_port,
    folder::assert_no_faults,
    http,
    process::{self, Process},
    run,
};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fs::{self, File},
    path::{Path, PathBuf},
    process::Stdio,
    sync::Mutex,
    time::Duration,
};
use tlog::{
    note::Note,
    tiles::{self, Level, Tile},
};
use types::{Entry, Epoch, EpochRecord, Head, Kind, Operation, Schedule, Slot, codec, limits};

/// A network keeps two cores busy: one at a time.
static TURN: Mutex<()> = Mutex::new(());

const EPOCH_SLOTS: u64 = 40;
const SLOT_MS: u64 = 300;
/// Members of genesis.
const MEMBERS: u16 = 4;
/// Between two looks, and how many there are at most.
const PAUSE: Duration = Duration::from_millis(50);
const TRIES: u32 = 3_600;

// ---- helpers ---------------------------------------------------------------------------------------------------

/// A member, of genesis or not, by its folder.
struct Node {
    /// In the committee.
    name: String,
    folder: PathBuf,
    network: PathBuf,
    http: u16,
    /// It runs; killed when dropped.
    process: Option<Process>,
}

impl Node {
    fn start(&mut self) {
        let log = File::options().create(true).append(true).open(self.log()).unwrap();
        let mut command = process::node(&self.network, &self.config());
        self.process = Some(Process::start(command.stdout(Stdio::null()).stderr(log)));
    }

    fn config(&self) -> PathBuf {
        self.folder.join("node.toml")
    }

    fn log(&self) -> PathBuf {
        self.folder.with_extension("stderr")
    }

    /// SIGKILL, and the end of it.
    fn kill(&mut self) {
        let mut process = self.process.take().unwrap();
        process.kill();
        process.wait();
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.http)
    }

    /// The JSON that it serves there; `None` while it does not answer.
    fn get(&self, path: &str) -> Option<Value> {
        serde_json::from_slice(&http(("127.0.0.1", self.http), path)?.1).ok()
    }

    fn status(&self) -> Option<Value> {
        self.get("/lockstep/v1/status")
    }

    /// Last final slot, 0 while it does not answer.
    fn slot(&self) -> u64 {
        self.status().and_then(|status| status["final_slot"].as_u64()).unwrap_or(0)
    }
}

/// Whether a status is that of a member of the committee that follows and hears all of `cosigners`.
fn hears(status: &Value, name: &str, cosigners: &[&str]) -> bool {
    let present: Vec<&str> =
        status["cosigners"]["present"].as_array().unwrap().iter().flat_map(Value::as_str).collect();
    status["name"] == name && status["state"] == "ready" && cosigners.iter().all(|name| present.contains(name))
}

/// A network of processes.
struct Net {
    folder: PathBuf,
    port: u16,
    nodes: BTreeMap<String, Node>,
    /// Nonce of the next transaction.
    nonce: u64,
    /// Changes in the log, as far as it was read for them.
    changes: usize,
}

impl Net {
    fn init(folder: PathBuf) -> Self {
        // for four who join, too
        let port = base_port(MEMBERS + 4);
        let (port_arg, slot_ms, slots) = (port.to_string(), SLOT_MS.to_string(), EPOCH_SLOTS.to_string());
        let shape = ["--base-port", &port_arg, "--slot-ms", &slot_ms, "--epoch-slots", &slots, "--dir"];
        let args: Vec<&str> = ["init"].into_iter().chain(shape).chain([folder.to_str().unwrap()]).collect();
        let (status, _, err) = run(&args);
        assert!(status.success(), "{err}");
        let mut net = Self { folder, port, nodes: BTreeMap::new(), nonce: 0, changes: 0 };
        for member in 0..MEMBERS {
            let name = format!("member-{member}");
            net.add(&name, &name, member, net.file());
        }
        net
    }

    fn add(&mut self, folder: &str, name: &str, place: u16, network: PathBuf) {
        let (http, name) = (self.port + 3 * place + 2, name.to_owned());
        let node = Node { name, folder: self.folder.join(folder), network, http, process: None };
        self.nodes.insert(folder.to_owned(), node);
    }

    fn file(&self) -> PathBuf {
        self.folder.join("network.toml")
    }

    fn join(&mut self, name: &str, place: u16) -> types::Joining {
        self.join_as(name, name, place)
    }

    /// `lockstep change join`.
    fn join_as(&mut self, folder: &str, name: &str, place: u16) -> types::Joining {
        let at = |offset: u16| format!("127.0.0.1:{}", self.port + 3 * place + offset);
        let (dir, file) = (self.folder.join(folder), self.file());
        let args = ["change", "join", "--insecure-plaintext", "--network", text(&file), "--dir", text(&dir)];
        let (status, _, err) =
            run(&[&args[..], &["--name", name, "--p2p", &at(0), "--quic", &at(1), "--http", &at(2)]].concat());
        assert!(status.success(), "{err}");
        self.add(folder, name, place, dir.join("network.toml"));
        serde_json::from_slice(&fs::read(self.joining(folder)).unwrap()).unwrap()
    }

    /// As [`Self::join`], with a consensus key that is below all of genesis: then every other index changes.
    fn join_first(&mut self, name: &str, place: u16) {
        let network: types::Network = toml::from_str(&fs::read_to_string(self.file()).unwrap()).unwrap();
        for _ in 0..1_000 {
            if self.join(name, place).record.consensus < network.genesis.members[0].consensus {
                return;
            }
            fs::remove_dir_all(&self.node(name).folder).unwrap();
        }
        panic!("no key is low");
    }

    fn joining(&self, name: &str) -> PathBuf {
        self.folder.join(name).join("joining.json")
    }

    /// Arguments of `propose`.
    fn swap(&self, leaves: &str, joins: &str) -> Vec<String> {
        ["--remove", leaves, "--add", text(&self.joining(joins))].map(str::to_owned).into()
    }

    fn node(&self, name: &str) -> &Node {
        &self.nodes[name]
    }

    fn start(&mut self, name: &str) {
        self.nodes.get_mut(name).unwrap().start();
    }

    fn kill(&mut self, name: &str) {
        self.nodes.get_mut(name).unwrap().kill();
    }

    fn start_all(&mut self) {
        self.nodes.values_mut().for_each(Node::start);
    }

    /// SIGTERM for all that run; each ends as asked.
    fn terminate(&mut self) {
        let running = || self.nodes.values().filter_map(|node| node.process.as_ref());
        running().for_each(Process::terminate);
        for node in self.nodes.values_mut() {
            if let Some(process) = node.process.take() {
                assert_eq!(process.wait().code(), Some(0), "{}", node.log().display());
            }
        }
    }

    /// Looks until it is so, as long as everything runs.
    fn until<T>(&mut self, what: &str, mut look: impl FnMut(&Self) -> Option<T>) -> T {
        for _ in 0..TRIES {
            if let Some(found) = look(self) {
                return found;
            }
            let mut all = self.nodes.iter_mut();
            let ended = all.find_map(|(name, node)| Some((name.clone(), node.process.as_mut()?.ended()?)));
            assert!(ended.is_none(), "{what}: {ended:?} ended: {}", self.said());
            std::thread::park_timeout(PAUSE);
        }
        panic!("{what}: {}", self.said());
    }

    /// What members say of themselves, and the ends of their logs.
    fn said(&self) -> String {
        let said = self.nodes.iter().map(|(name, node)| {
            let log = fs::read_to_string(node.log()).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            let tail = lines[lines.len().saturating_sub(30)..].join("\n");
            format!("---- {name}: {}\n{tail}\n", node.status().unwrap_or_default())
        });
        said.collect()
    }

    /// Waits for a slot to be final where `name` is.
    fn reaches(&mut self, name: &str, slot: u64) {
        self.until(&format!("slot {slot} at {name}"), |net| (net.node(name).slot() >= slot).then_some(()));
    }

    /// The newest EPOCH of a member.
    fn epoch(&self, name: &str) -> Option<EpochRecord> {
        serde_json::from_value(self.node(name).get("/lockstep/v1/epoch")?["record"].take()).ok()
    }

    /// Makes a change by the commands that an operator has: proposed, approved and accepted on a copy each, merged, and
    /// sent.
    fn submit_change(&mut self, change: &Wanted) {
        let file = self.file();
        let dir = tempfile::tempdir_in(&self.folder).unwrap();
        let out = dir.path().join("change.json");
        let proposed: Vec<&str> = change.proposed.iter().map(String::as_str).collect();
        let args = [&["change", "propose", "--network", text(&file), "--out", text(&out)], &proposed[..]].concat();
        self.until("proposed", |_| {
            let (status, out, err) = run(&args);
            // 69: members that have just started tell nothing yet
            assert!([Some(0), Some(69)].contains(&status.code()), "{out}{err}");
            status.success().then_some(())
        });
        let mut copies = Vec::new();
        for (step, names) in [("approve", change.approve), ("accept", change.accept)] {
            for name in names {
                let copy = dir.path().join(format!("from-{name}.json"));
                fs::copy(&out, &copy).unwrap();
                let config = self.node(name).config();
                let args = ["change", step, "--change", text(&copy), "--config", text(&config)];
                let (status, out, err) = run(&args);
                assert!(status.success(), "{name}: {out}{err}");
                copies.push(copy);
            }
        }
        let copies: Vec<&str> = copies.iter().map(|copy| text(copy)).collect();
        let signed = dir.path().join("signed.json");
        let (status, merged, err) = run(&[&["change", "merge", "--out", text(&signed)], &copies[..]].concat());
        assert!(status.success() && merged.contains("complete: "), "{merged}{err}");
        let args = ["change", "submit", "--network", text(&file), "--change", text(&signed)];
        self.until("sent", |_| {
            let (status, out, err) = run(&args);
            // 69: members that go from one epoch into the next take nothing for a moment
            assert!([Some(0), Some(69)].contains(&status.code()), "{out}{err}");
            status.success().then_some(())
        });
    }

    /// Waits for the next change to stand in the log of `by`; in which epoch.
    fn entered(&mut self, by: &str) -> Epoch {
        let log = Log(self.node(by).folder.join("log"));
        let known = self.changes;
        let slots = self.until("entered", |_| log.changes().filter(|slots| slots.len() > known));
        self.changes = slots.len();
        schedule().epoch_of(slots[known])
    }

    /// Waits for the EPOCH after this one.
    fn announced(&mut self, by: &str, epoch: Epoch) -> EpochRecord {
        self.until("announced", |net| net.epoch(by).filter(|record| record.epoch > epoch))
    }

    /// A change that was submitted takes effect with the epoch after the one that it stands in. Where too few were in
    /// time for the handover, which a busy machine can do, it is made anew, as operators have to.
    fn takes_effect(&mut self, by: &str, change: &Wanted) -> EpochRecord {
        for _ in 0..3 {
            let epoch = self.entered(by);
            let record = self.announced(by, epoch);
            if (change.is)(&record) {
                return record;
            }
            self.submit_change(change);
        }
        panic!("no handover ends: {}", self.said());
    }

    /// Waits until each of these, by their folders, follows with the committee of `record` and hears all of it.
    fn hear(&mut self, record: &EpochRecord, folders: &[&str]) {
        for folder in folders {
            self.until(&format!("{folder} hears the committee"), |net| {
                let names: Vec<&str> = folders.iter().map(|folder| net.node(folder).name.as_str()).collect();
                let node = net.node(folder);
                let status = node.status()?;
                let all = ["present", "missing"].map(|part| status["cosigners"][part].as_array().map_or(0, Vec::len));
                // not the committee before, which tells the new epoch while it ends
                let is_new = all.iter().sum::<usize>() == record.members.len();
                (is_new && hears(&status, &node.name, &names) && status["epoch"].as_u64()? >= record.epoch.0)
                    .then_some(())
            });
        }
    }

    /// `lockstep submit` of one transfer, until it is executed; its slot.
    fn submit(&mut self) -> u64 {
        let leg = Person::read(&self.folder).transfer(901, self.nonce);
        self.nonce += 1;
        let leg = format!("{}:0x{}", leg.chain_id, hex::encode(&leg.tx));
        let file = self.file();
        let (status, out, err) = run(&["submit", "--json", "--network", text(&file), "--leg", &leg]);
        assert!(status.success(), "{out}{err}{}", self.said());
        let outcome: Value = serde_json::from_str(&out).unwrap();
        assert_eq!(outcome["outcome"], "COMMITTED", "{outcome}");
        outcome["slot"].as_u64().unwrap()
    }

    /// `lockstep audit` finds nothing, in a folder or where it is served, up to this slot at least.
    fn audit(&self, source: &str, slot: u64) {
        let file = self.file();
        let (status, out, err) = run(&["audit", source, "--json", "--network", text(&file)]);
        assert_eq!(status.code(), Some(0), "{source}: {out}{err}");
        let report: Value = serde_json::from_str(&out).unwrap();
        let reached: u64 = report["head"]["slot"].as_str().unwrap().parse().unwrap();
        assert!(reached >= slot, "{source}: {reached} < {slot}");
    }

    /// All folders hold one log as far as it is published in each, and these audit clean; nobody runs now.
    fn folders_agree(&self, audited: &[&str], slot: u64) {
        let logs: Vec<Log> = self.nodes.values().map(|node| Log(node.folder.join("log"))).collect();
        let size = logs.iter().map(|log| log.head().unwrap().size).min().unwrap();
        let entries = |log: &Log| log.entries(size).unwrap_or_else(|| panic!("{} is not whole", log.0.display()));
        let first = entries(&logs[0]);
        assert_eq!(first.len() as u64, size);
        for (log, node) in logs.iter().zip(self.nodes.values()) {
            assert!(entries(log) == first, "{} has another log", node.folder.display());
        }
        assert_no_faults(self.nodes.values().map(|node| &node.folder));
        audited.iter().for_each(|name| self.audit(text(&self.node(name).folder), slot));
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A change, and who does what for it.
struct Wanted {
    proposed: Vec<String>,
    approve: &'static [&'static str],
    accept: &'static [&'static str],
    /// EPOCH with it.
    is: fn(&EpochRecord) -> bool,
}

/// What a member serves, on its disk; tiles come and go while it runs.
struct Log(PathBuf);

impl Log {
    fn head(&self) -> Option<Head> {
        let note = fs::read(self.0.join("checkpoint")).ok()?;
        Some(tlog::checkpoint::parse(Note::parse(&note).unwrap().text()).unwrap().1)
    }

    fn entries(&self, size: u64) -> Option<Vec<Vec<u8>>> {
        let tiles = (0..).map_while(|index| Tile::at(Level::Entries, index, size));
        let bundles: Option<Vec<_>> = tiles.map(|tile| self.bundle(&tile)).collect();
        Some(bundles?.concat())
    }

    /// Entries of a bundle, cut from a wider one if need be.
    fn bundle(&self, tile: &Tile) -> Option<Vec<Vec<u8>>> {
        let wider = (tile.width()..=tiles::TILE_WIDTH).filter_map(|w| Tile::new(Level::Entries, tile.index(), w));
        let bytes = wider.into_iter().find_map(|tile| fs::read(self.0.join(tiles::path(&tile))).ok())?;
        let entries = tiles::decode_bundle(tile.cut(&bytes).unwrap()).unwrap();
        Some(entries.into_iter().map(<[u8]>::to_vec).collect())
    }

    /// Slots in which changes stand.
    fn changes(&self) -> Option<Vec<Slot>> {
        let entries = self.entries(self.head()?.size)?;
        let change = |bytes: Vec<u8>| {
            let entry: Entry = codec::decode(&bytes, limits::ENTRY_BYTES_MAX).unwrap();
            let Kind::Operation { slot, bytes } = entry.kind else { return None };
            let operation: Operation = codec::decode(&bytes, limits::OPERATION_BYTES_MAX).unwrap();
            matches!(operation, Operation::Change(_)).then_some(slot)
        };
        Some(entries.into_iter().filter_map(change).collect())
    }
}

fn schedule() -> Schedule {
    Schedule::new(EPOCH_SLOTS)
}

fn has(record: &EpochRecord, name: &str) -> bool {
    record.members.iter().any(|member| member.name == name)
}

// ---- changes ---------------------------------------------------------------------------------------------------

#[test]
fn a_member_joins_and_one_leaves_and_one_that_is_away_meanwhile_comes_back() {
    let _turn = TURN.lock();
    let dir = tempfile::tempdir().unwrap();
    let mut net = Net::init(dir.path().join("net"));
    net.join_first("eve", MEMBERS);
    net.join("frank", MEMBERS + 1);
    net.start_all();

    // eve for member-3
    let eve = Wanted {
        proposed: net.swap("member-3", "eve"),
        approve: &["member-0", "member-1", "member-2"],
        accept: &["eve"],
        is: |record| has(record, "eve"),
    };
    net.submit_change(&eve);
    let before = net.submit();
    let record = net.takes_effect("member-0", &eve);
    assert!(before < record.first_slot.0, "the committee of genesis executed it");
    assert_eq!((record.members.len(), record.members[0].name.as_str()), (4, "eve"), "every index changes");

    // frank for eve, who then hands over what she was handed: members hold it until it can count
    let frank = Wanted {
        proposed: net.swap("eve", "frank"),
        approve: &["eve", "member-0", "member-2"],
        accept: &["frank"],
        is: |record| has(record, "frank"),
    };
    net.submit_change(&frank);
    net.hear(&record, &["eve", "member-0", "member-1", "member-2"]);
    let after = net.submit();
    assert!(after >= record.first_slot.0, "the next committee executed it");

    // member-1 is away from before that is announced, and nobody else can be
    net.reaches("member-0", after + 2);
    net.kill("member-1");
    // who left goes on serving the log
    net.until("member-3 is of no committee", |net| {
        let status = net.node("member-3").status()?;
        (status["name"] == "" && status["final_slot"].as_u64()? > after + 1).then_some(())
    });
    for name in ["member-0", "member-3"] {
        net.audit(&net.node(name).url(), after);
    }
    let record = net.takes_effect("member-0", &frank);
    net.reaches("frank", record.first_slot.0 + 8);
    net.start("member-1");
    net.hear(&record, &["frank", "member-0", "member-1", "member-2"]);
    let last = net.submit();
    for name in ["member-1", "eve", "member-3"] {
        net.reaches(name, last + 2);
    }
    net.terminate();
    net.folders_agree(&["frank", "member-1", "member-3"], last);
}

#[test]
fn parameters_change_and_all_killed_between_two_committees_go_on_with_the_next_one() {
    let _turn = TURN.lock();
    let dir = tempfile::tempdir().unwrap();
    let mut net = Net::init(dir.path().join("net"));
    net.join("eve", MEMBERS);
    net.start_all();

    // nothing but a parameter
    let file = dir.path().join("params.toml");
    fs::write(&file, "account_slot_count = 5\n").unwrap();
    let params = Wanted {
        proposed: vec!["--params".into(), text(&file).into()],
        approve: &["member-1", "member-2", "member-3"],
        accept: &[],
        is: |record| record.params.account_slot_count == 5,
    };
    net.submit_change(&params);
    let genesis = net.until("EPOCH of genesis", |net| net.epoch("member-0"));
    let record = net.takes_effect("member-0", &params);
    assert_eq!((&record.members, record.keys()), (&genesis.members, genesis.keys()), "nothing else");

    // eve for member-3; and with the last slot of the epoch, everything stops
    let eve = Wanted {
        proposed: net.swap("member-3", "eve"),
        approve: &["member-0", "member-1", "member-3"],
        accept: &["eve"],
        is: |record| has(record, "eve"),
    };
    net.submit_change(&eve);
    net.hear(&record, &["member-0", "member-1", "member-2", "member-3"]);
    let record = net.takes_effect("member-0", &eve);
    assert_eq!(record.params.account_slot_count, 5);
    let end = record.first_slot.0 - 1;
    net.reaches("member-0", end - 2);
    // without a pause: hardly anybody has begun the next epoch
    let mut left = 10 * TRIES;
    while left > 0 && (0..MEMBERS).all(|member| net.node(&format!("member-{member}")).slot() < end) {
        left -= 1;
    }
    net.nodes.values_mut().for_each(Node::kill);
    net.start_all();
    net.hear(&record, &["eve", "member-0", "member-1", "member-2"]);
    let last = net.submit();
    assert!(last > end);
    for name in net.nodes.keys().cloned().collect::<Vec<_>>() {
        net.reaches(&name, last + 2);
    }
    net.audit(&net.node("eve").url(), last);
    net.terminate();
    net.folders_agree(&["eve", "member-0", "member-3"], last);
}

#[test]
fn a_committee_grows_to_seven_with_new_keys_of_one_and_shrinks_to_four() {
    let _turn = TURN.lock();
    let dir = tempfile::tempdir().unwrap();
    let mut net = Net::init(dir.path().join("net"));
    for (name, place) in ["eve", "frank", "grace"].into_iter().zip(MEMBERS..) {
        net.join(name, place);
    }
    // the same member with other keys, on another machine
    net.join_as("second", "member-2", MEMBERS + 3);
    net.start_all();

    let joins = ["eve", "frank", "grace", "second"];
    let more = joins.map(|folder| ["--add".to_owned(), text(&net.joining(folder)).to_owned()]);
    let genesis = net.until("EPOCH of genesis", |net| net.epoch("member-0"));
    let grown = Wanted {
        proposed: [&["--remove".into(), "member-2".into()], &more.concat()[..]].concat(),
        approve: &["member-0", "member-1", "member-3"],
        accept: &["eve", "frank", "grace", "second"],
        is: |record| record.members.len() == 7,
    };
    net.submit_change(&grown);
    let record = net.takes_effect("member-0", &grown);
    let key = |record: &EpochRecord| {
        let member = record.members.iter().find(|member| member.name == "member-2").unwrap();
        (member.consensus, member.log, member.cosigner, member.receipt, member.tls)
    };
    let (old, new) = (key(&genesis), key(&record));
    assert!(old.0 != new.0 && old.1 != new.1 && old.2 != new.2 && old.3 != new.3 && old.4 != new.4, "other keys");
    assert_eq!(record.f, 2);

    let fewer = ["eve", "grace", "member-3"].map(|name| ["--remove".to_owned(), name.to_owned()]);
    let shrunk = Wanted {
        proposed: fewer.concat(),
        approve: &["eve", "frank", "member-0", "member-1", "second"],
        accept: &[],
        is: |record| record.members.len() == 4,
    };
    net.hear(&record, &["eve", "frank", "grace", "member-0", "member-1", "member-3", "second"]);
    let seven = net.submit();
    assert!(seven >= record.first_slot.0, "seven executed it");
    net.submit_change(&shrunk);
    let record = net.takes_effect("frank", &shrunk);
    assert_eq!(record.f, 1);
    let stay = ["frank", "member-0", "member-1", "second"];
    net.hear(&record, &stay);
    let last = net.submit();
    assert!(last >= record.first_slot.0, "four executed it");

    // what an operator sees, from the network file of genesis
    let file = net.file();
    let (_, seen, err) = run(&["status", "--network", text(&file)]);
    assert!(["frank", "member-0", "member-1", "member-2"].iter().all(|name| seen.contains(name)), "{seen}{err}");
    assert!(["eve", "grace", "member-3"].iter().all(|name| !seen.contains(name)), "{seen}{err}");
    for name in net.nodes.keys().cloned().collect::<Vec<_>>() {
        net.reaches(&name, last + 2);
    }
    net.terminate();
    net.folders_agree(&["frank", "second", "member-2"], last);
}
