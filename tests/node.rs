//! Goal: a network of separate processes does its main job, ends cleanly, and keeps what it acknowledged; a member that
//! cannot start says why, what to do, and ends with its stable status.
//! Method: the program as processes over `lockstep init`, loopback only; every end is waited for by process id.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test ends where its helper fails")]
#[expect(dead_code, reason = "each test program uses a part")]
mod common;

use common::{
    PATIENCE, Person, base_port,
    process::{self, Process},
    run,
};
use crypto::{ed25519::SigningKey, eth::EthKey, evidence};
use ingress::{Client, ClientError, CloseCode};
use serde_json::{Value, json};
use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::{TcpListener, UdpSocket},
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    sync::{Arc, Mutex, PoisonError, mpsc},
    time::Duration,
};
use tlog::note::Note;
use types::{
    Bid, BidHeader, Epoch, Evidence, Hash, Leaf, MemberId, Network, Receipt, ReceiptKind, Signature, Slot, Timestamp,
    codec, reason::Reason, wire::Status,
};

/// A network keeps two cores busy: one at a time.
static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// Between two looks, and how many there are at most.
const PAUSE: Duration = Duration::from_millis(200);
const TRIES: u32 = 600;

// ---- helpers ---------------------------------------------------------------------------------------------------

/// A running `lockstep node`; killed when dropped.
struct Node {
    process: Process,
    log: Arc<Mutex<String>>,
}

impl Node {
    /// Starts it and waits until it runs.
    fn start(network: &Path, config: &Path) -> Self {
        let mut process = Process::start(process::node(network, config).stderr(Stdio::piped()));
        let stderr = process.child().stderr.take().unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        let (send, started) = mpsc::channel();
        let kept = Arc::clone(&log);
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                if line.contains("member.start") {
                    send.send(()).ok();
                }
                kept.lock().unwrap_or_else(PoisonError::into_inner).push_str(&format!("{line}\n"));
            }
        });
        let node = Self { process, log };
        assert!(started.recv_timeout(PATIENCE).is_ok(), "{}", node.log());
        node
    }

    fn log(&self) -> String {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn terminate(&self) {
        self.process.terminate();
    }

    fn end(self) -> ExitStatus {
        self.process.wait()
    }

    fn kill(mut self) {
        self.process.kill();
        self.process.wait();
    }
}

/// What `lockstep init` wrote and printed.
struct Net {
    folder: PathBuf,
    printed: String,
}

impl Net {
    fn init(folder: &Path, more: &[&str]) -> Self {
        let port = base_port(4).to_string();
        let mut args = vec!["init", "--base-port", &port, "--dir", folder.to_str().unwrap()];
        args.extend(more);
        let (status, printed, err) = run(&args);
        assert!(status.success(), "{err}");
        Self { folder: folder.to_path_buf(), printed }
    }

    /// Arguments of the lines of this kind, as printed.
    fn lines(&self, kind: &str) -> Vec<Vec<&str>> {
        let lines = self.printed.lines().filter_map(|line| line.strip_prefix(kind));
        let lines: Vec<_> = lines.filter_map(|line| line.trim().strip_prefix("lockstep ")).collect();
        assert!(!lines.is_empty(), "no {kind} in {}", self.printed);
        lines.into_iter().map(|line| line.split_whitespace().collect()).collect()
    }

    fn file(&self) -> PathBuf {
        self.folder.join("network.toml")
    }

    fn member(&self, i: usize) -> PathBuf {
        self.folder.join(format!("member-{i}"))
    }

    fn config(&self, i: usize) -> PathBuf {
        self.member(i).join("node.toml")
    }

    fn start(&self, i: usize) -> Node {
        Node::start(&self.file(), &self.config(i))
    }

    fn network(&self) -> Network {
        toml::from_str(&fs::read_to_string(self.file()).unwrap()).unwrap()
    }

    /// Changes one key of a member's node.toml.
    fn set(&self, i: usize, key: &str, value: &str) {
        let text = fs::read_to_string(self.config(i)).unwrap();
        let lines = text.lines().filter(|line| !line.starts_with(&format!("{key} =")));
        let kept: Vec<_> = lines.map(str::to_owned).chain([format!("{key} = {value}")]).collect();
        fs::write(self.config(i), kept.join("\n")).unwrap();
    }

    /// Asks for the status until it is as wanted.
    fn wait(&self, what: &str, wanted: impl Fn(Option<i32>, &Value) -> bool) -> Value {
        let file = self.file();
        let mut last = String::new();
        for _ in 0..TRIES {
            let (status, out, err) = run(&["status", "--json", "--network", file.to_str().unwrap()]);
            let found: Value = serde_json::from_str(&out).unwrap();
            if wanted(status.code(), &found) {
                return found;
            }
            last = format!("{out}{err}");
            std::thread::park_timeout(PAUSE);
        }
        panic!("{what}: {last}");
    }
}

/// A member that must not start: its status, and what it says.
fn refused(network: &Path, config: &Path) -> (Option<i32>, String) {
    let (status, out, err) =
        run(&["node", "--network", network.to_str().unwrap(), "--config", config.to_str().unwrap()]);
    assert_eq!(out, "");
    let last: Vec<&str> = err.lines().skip_while(|line| !line.starts_with("lockstep: ")).collect();
    (status.code(), last.join("\n"))
}

/// The message has these parts, and says what to do.
fn says(found: (Option<i32>, String), code: i32, parts: &[&str]) {
    assert_eq!(found.0, Some(code), "{}", found.1);
    for part in parts.iter().chain(&["\n  do: "]) {
        assert!(found.1.contains(part), "not {part:?} in: {}", found.1);
    }
}

/// GET: status and body.
fn get(address: &str, path: &str) -> (u16, String) {
    let (status, body) = common::http(address, path).unwrap();
    (status, String::from_utf8(body).unwrap())
}

/// The value of a metric without labels but `member`.
fn metric(http: &str, name: &str) -> f64 {
    let (_, text) = get(http, "/metrics");
    let line = text.lines().find(|line| line.starts_with(&format!("{name}{{"))).unwrap_or_else(|| panic!("no {name}"));
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

/// Waits until it is so.
async fn seen(so: impl Fn() -> bool) {
    for _ in 0..TRIES {
        if so() {
            return;
        }
        tokio::time::sleep(PAUSE).await;
    }
    panic!("not seen");
}

async fn connect(network: &Network, member: usize) -> Client {
    let address = network.addresses[member].quic.parse().unwrap();
    Client::connect(address, network.genesis.members[member].tls).await.unwrap()
}

// ---- a network -------------------------------------------------------------------------------------------------

#[test]
fn init_refuses_what_makes_no_network() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("net");
    let (status, _, err) = run(&["init", "--members", "5", "--dir", folder.to_str().unwrap()]);
    assert_eq!((status.code(), folder.exists()), (Some(64), false), "{err}");
    assert!(err.contains("3f + 1"), "{err}");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("letter"), "x").unwrap();
    let (status, _, err) = run(&["init", "--dir", folder.to_str().unwrap()]);
    assert_eq!(status.code(), Some(64));
    assert!(err.contains("is not empty"), "{err}");
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_processes_are_a_network_by_the_lines_that_init_prints() {
    let _turn = TURN.lock().await;
    let dir = tempfile::tempdir().unwrap();
    let net = Net::init(&dir.path().join("net"), &[]);
    let network = net.network();
    let http: Vec<String> = network.addresses.iter().map(|address| address.http.clone()).collect();

    // 69 before anything runs; then, started as printed, all follow
    let status = net.lines("status")[0].clone();
    let (code, out, err) = run(&status);
    assert_eq!(code.code(), Some(69), "{out}");
    assert!(err.contains("no member answers"), "{err}");
    let starts = net.lines("start");
    assert_eq!(starts.len(), 4);
    let mut nodes: Vec<Node> = starts.iter().map(|args| Node::start(args[2].as_ref(), args[4].as_ref())).collect();
    let all = net.wait("all follow", |code, found| code == Some(0) && found["following"] == 4);
    assert!(all["summary"].as_str().unwrap().starts_with("quorum ok: all 4 members follow"), "{all}");
    for row in all["members"].as_array().unwrap() {
        assert!(row["checkpoint"]["cosigners"].as_array().unwrap().len() >= 3, "verified: {row}");
    }
    assert_eq!((get(&http[0], "/readyz"), get(&http[0], "/healthz").0), ((200, "ready\n".into()), 200));
    let table = run(&status).1;
    assert_eq!(table.lines().filter(|line| line.contains(" ready ")).count(), 4, "{table}");

    // the printed bundle commits
    let submit = net.lines("submit")[0].clone();
    let (code, out, err) = run(&submit);
    assert_eq!(code.code(), Some(0), "{out}{err}");
    assert!(out.contains("outcome    COMMITTED"), "{out}");

    // its payer bonds some of its money; what comes too early is refused before it costs a fee
    let file = net.file();
    let account = |command: &[&str]| run(&[&["account"], command, &["--network", file.to_str().unwrap()]].concat());
    let (code, out, err) = account(&["bond", "--amount", "1000"]);
    assert_eq!(code.code(), Some(0), "{out}{err}");
    assert!(out.contains("entered    slot ") && out.contains("1000, free 1000"), "{out}");
    let shown: Value = serde_json::from_str(&account(&["show", "--json"]).1).unwrap();
    assert_eq!((&shown["bond"], &shown["operationNonce"]), (&json!("1000"), &json!(1)), "{shown}");
    let (code, out, err) = account(&["withdraw", "--amount", "5"]);
    assert_eq!(code.code(), Some(1), "{out}{err}");
    assert!(err.contains("NOT_ACTIVE"), "{err}");

    // one dead member is seen by name, and the network goes on
    nodes.pop().unwrap().kill();
    let down = net.wait("one is down", |code, found| {
        let missing = |row: &Value| row["report"]["cosigners"]["missing"] == json!(["member-3"]);
        let peers = |row: &Value| row["report"]["peers"]["missing"] == json!(["member-3"]);
        code == Some(0)
            && found["up"] == 3
            && (0..3).all(|i| missing(&found["members"][i]) && peers(&found["members"][i]))
    });
    assert!(down["summary"].as_str().unwrap().contains("0 more may fail"), "{down}");
    assert!(metric(&http[0], "lockstep_peers_connected") < 3.0);
    assert!(metric(&http[0], "lockstep_clock_skew_ms").abs() < 1_000.0);
    nodes.push(net.start(3));
    net.wait("it is back", |code, found| code == Some(0) && found["following"] == 4);

    // SIGTERM right after a receipt of one member; who asks meanwhile is answered or told why not
    let client = connect(&network, 0).await;
    let mut person = Person::read(&net.folder);
    let leg = person.transfer(901, 1);
    let (hash, envelope) = person.envelope(&client.params().await.unwrap(), 1, vec![leg]);
    client.submit(&envelope).await.unwrap();
    let asking = tokio::spawn(async move {
        loop {
            match client.params().await {
                Ok(_) => tokio::time::sleep(Duration::from_millis(20)).await,
                Err(error) => return error,
            }
        }
    });
    nodes.iter().for_each(Node::terminate);
    let last = tokio::time::timeout(PATIENCE, asking).await.unwrap().unwrap();
    if let ClientError::Refused(refusal) = &last {
        assert_eq!(refusal.known(), Some(Reason::ShuttingDown));
    } else {
        assert_eq!(last.close_code(), Some(u64::from(CloseCode::ShuttingDown.number())), "{last:?}");
    }
    for node in nodes {
        let log = Arc::clone(&node.log);
        assert_eq!(node.end().code(), Some(0), "{}", log.lock().unwrap());
    }

    // what was acknowledged is executed after a restart
    let nodes: Vec<Node> = (0..4).map(|i| net.start(i)).collect();
    let client = connect(&network, 0).await;
    let executed = async {
        while !matches!(client.status(&hash).await, Ok(Status::Executed { .. })) {
            tokio::time::sleep(PAUSE).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, executed).await.is_ok(), "{hash}: {:?}", client.status(&hash).await);
    nodes.iter().for_each(Node::terminate);
    for node in nodes {
        assert_eq!(node.end().code(), Some(0));
    }
    let audit = net.lines("audit")[0].clone();
    let (code, out, err) = run(&audit);
    assert_eq!(code.code(), Some(0), "{out}{err}");
}

// ---- starts that are refused -----------------------------------------------------------------------------------

#[test]
fn a_port_that_is_taken_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let net = Net::init(&dir.path().join("net"), &[]);
    let network = net.network();
    let address = &network.addresses[0];
    for (key, listen) in [("p2p_listen", &address.p2p), ("http_listen", &address.http)] {
        let _taken = TcpListener::bind(listen).unwrap();
        says(refused(&net.file(), &net.config(0)), 71, &[listen, key, "in use", "end what listens there"]);
    }
    let _taken = UdpSocket::bind(&address.quic).unwrap();
    says(refused(&net.file(), &net.config(0)), 71, &[&address.quic, "quic_listen", "in use"]);
}

#[test]
fn keys_of_another_member_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let net = Net::init(&dir.path().join("net"), &[]);
    net.set(0, "member", "1");
    says(refused(&net.file(), &net.config(0)), 78, &["are not those of member 1", "`member` and `data`"]);
    net.set(0, "member", "4");
    says(refused(&net.file(), &net.config(0)), 78, &["no member 4"]);
    net.set(0, "member", "0");
    fs::copy(net.member(1).join("share.lks"), net.member(0).join("share.lks")).unwrap();
    says(refused(&net.file(), &net.config(0)), 78, &["share.lks: the share of another member", "share.lks there"]);
    fs::remove_file(net.member(0).join("share.lks")).unwrap();
    says(refused(&net.file(), &net.config(0)), 66, &["share.lks: no such key file"]);
    fs::remove_file(net.member(1).join("identity.key")).unwrap();
    says(refused(&net.file(), &net.config(1)), 66, &["identity.key", "check the path"]);
    let mut damaged = fs::read(net.member(2).join("share.lks")).unwrap();
    *damaged.last_mut().unwrap() ^= 1;
    fs::write(net.member(2).join("share.lks"), damaged).unwrap();
    says(refused(&net.file(), &net.config(2)), 65, &["share.lks", "checksum", "backup"]);
    net.set(3, "membr", "3");
    let (code, text) = refused(&net.file(), &net.config(3));
    assert_eq!(code, Some(78), "{text}");
    assert!(text.contains("membr"), "{text}");
}

#[test]
fn a_folder_of_another_network_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    // one seed: the same keys in both, the genesis differs
    let ours = Net::init(&dir.path().join("ours"), &["--seed", "11"]);
    let theirs = Net::init(&dir.path().join("theirs"), &["--seed", "11", "--slot-ms", "600"]);
    let id = |net: &Net| net.printed.split_whitespace().nth(1).unwrap().to_owned();
    let parts = [id(&ours), id(&theirs)];
    let parts: Vec<&str> = parts.iter().map(String::as_str).chain(["belongs to network", "network.toml"]).collect();
    says(refused(&theirs.file(), &ours.config(0)), 78, &parts);
    // by its share, when the folder has no network.toml
    fs::remove_file(ours.member(1).join("network.toml")).unwrap();
    says(refused(&theirs.file(), &ours.config(1)), 78, &["share.lks", "another network"]);
    // by its log: everything else is right
    let node = ours.start(0);
    node.terminate();
    assert_eq!(node.end().code(), Some(0));
    for name in ["network.toml", "share.lks"] {
        fs::copy(theirs.member(0).join(name), ours.member(0).join(name)).unwrap();
    }
    let found = refused(&theirs.file(), &ours.config(0));
    says(found, 78, &["member-0/log belongs to network", &id(&ours), &id(&theirs), "never reuse a folder"]);
}

#[test]
fn a_folder_in_use_and_a_damaged_log_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let net = Net::init(&dir.path().join("net"), &[]);
    let node = net.start(0);
    says(refused(&net.file(), &net.config(0)), 75, &["another process works in", "member-0", "sign twice"]);
    node.terminate();
    assert_eq!(node.end().code(), Some(0));
    let tiles = net.member(0).join("log/tile/0/000.p");
    let tile = fs::read_dir(&tiles).unwrap().next().unwrap().unwrap().path();
    let mut bytes = fs::read(&tile).unwrap();
    bytes[3] ^= 1;
    fs::write(&tile, bytes).unwrap();
    says(refused(&net.file(), &net.config(0)), 65, &["signs nothing", "Damaged or lost data"]);
}

#[test]
fn too_little_free_disk_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let net = Net::init(&dir.path().join("net"), &[]);
    net.set(0, "min_free_bytes", "9000000000000000000");
    let parts = ["member-0", "bytes of disk are free", "min_free_bytes = 9000000000000000000", "free space"];
    says(refused(&net.file(), &net.config(0)), 75, &parts);
}

/// Answers as members whose clocks are `ahead` ms ahead, until the test ends.
fn fake_members(net: &Net, members: &[u16], ahead: u64) {
    let network = net.printed.split_whitespace().nth(1).unwrap().to_owned();
    for &member in members {
        let listener = TcpListener::bind(&net.network().addresses[usize::from(member)].http).unwrap();
        let network = network.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                // all of the request, or closing would reset the connection
                BufReader::new(&stream).lines().map_while(Result::ok).find(String::is_empty);
                let now = u64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_millis()).unwrap();
                let names = json!({"present": [], "missing": []});
                let body = json!({"network": network, "origin": "", "member": member, "name": "", "version": "",
                    "time_ms": now + ahead, "uptime_ms": 0, "state": "ready", "epoch": 0, "final_slot": 0,
                    "final_age_ms": 0, "opened_slot": 0, "log_entries": 0, "checkpoint": null, "cosigners": names, "cosigned": [],
                    "peers": names, "mempool": {"envelopes": 0, "bytes": 0}, "disk_free_bytes": null,
                    "clock_skew_ms": null})
                .to_string();
                let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
                stream.write_all(format!("{head}{body}").as_bytes()).ok();
            }
        });
    }
}

#[test]
fn a_clock_that_is_far_off_is_refused_and_a_little_off_is_said() {
    let dir = tempfile::tempdir().unwrap();
    // one liar of four keeps nobody from starting
    let net = Net::init(&dir.path().join("one"), &[]);
    fake_members(&net, &[1], 3_600_000);
    let node = net.start(0);
    assert!(node.log().contains("clock.off"), "{}", node.log());
    node.kill();
    // two of them hold an honest one
    let net = Net::init(&dir.path().join("two"), &[]);
    fake_members(&net, &[1, 2], 8_000);
    says(refused(&net.file(), &net.config(0)), 75, &["the clock is", "behind what 2 other members say", "NTP"]);
    net.set(0, "clock_skew_max_ms", "60000");
    let node = net.start(0);
    assert!(node.log().contains("clock.off"), "{}", node.log());
}

// ---- evidence --------------------------------------------------------------------------------------------------

/// The seed of a member's receipt key, out of its `identity.key`.
fn receipt_key(net: &Net, member: usize) -> SigningKey {
    type Identity = ([u8; 4], [u8; 32], [u8; 32], [u8; 32], [u8; 32], Vec<u8>);
    let bytes = fs::read(net.member(member).join("identity.key")).unwrap();
    let (_, _, _, _, receipt, _) = codec::decode::<Identity>(&bytes, 4_096).unwrap();
    SigningKey::from_seed(receipt.into())
}

/// Two lists of one slot that a member signed.
fn two_lists(net: &Net, member: u16) -> Evidence {
    let id = crypto::ids::network_id(&net.network().genesis);
    let key = receipt_key(net, member.into());
    let list = |leaves: &[Leaf]| {
        let text = evidence::list_text(id, Slot(1), MemberId(member), leaves, None);
        (text, key.sign(crypto::ids::list_digest(&text).as_bytes()))
    };
    evidence::lists(list(&[]), list(&[Leaf::Op { hash: Hash([1; 32]) }]))
}

/// Two receipts of one number for different items.
fn two_receipts(net: &Net, member: u16) -> Evidence {
    let network = net.network();
    let id = crypto::ids::network_id(&network.genesis);
    let key = receipt_key(net, member.into());
    let receipt = |item| {
        let receipt = Receipt {
            name: tlog::checkpoint::receipt_name(&network.genesis.origin, MemberId(member)),
            kind: ReceiptKind::Envelope,
            item: Hash([item; 32]),
            network: id,
            last_final: Slot(0),
            list_from: Slot(1),
            admit_by: Slot(2),
            expires: Slot(9),
            seq: 5,
            time: Timestamp(1_000),
        };
        let note = Note::parse(tlog::receipt::sign(&receipt, &key).unwrap().as_bytes()).unwrap();
        let sig = note.lines()[0].signature().try_into().unwrap();
        (note.text().to_owned(), Signature(sig))
    };
    evidence::receipts(MemberId(member), receipt(1), receipt(2))
}

/// What `lockstep verify-evidence` says of these bytes: status and output.
fn verdict(net: &Net, bytes: &[u8]) -> (Option<i32>, String) {
    verdict_in(net, bytes, &[])
}

fn verdict_in(net: &Net, bytes: &[u8], more: &[&str]) -> (Option<i32>, String) {
    let file = net.folder.join("piece");
    fs::write(&file, bytes).unwrap();
    let network = net.file();
    let args = ["verify-evidence", file.to_str().unwrap(), "--network", network.to_str().unwrap()];
    let (status, out, err) = run(&[&args, more].concat());
    (status.code(), format!("{out}{err}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guilty_member_is_in_every_log_and_a_file_proves_it_alone() {
    let _turn = TURN.lock().await;
    let dir = tempfile::tempdir().unwrap();
    let net = Net::init(&dir.path().join("net"), &[]);
    let piece = two_lists(&net, 3);
    let bytes = codec::encode(&piece);

    // alone: no log, no member runs
    let (code, said) = verdict(&net, &bytes);
    assert_eq!((code, said.trim()), (Some(0), "proved: list-equivocation by member 3 in slot 1"));
    let mut tampered = bytes.clone();
    *tampered.last_mut().unwrap() ^= 1;
    let (code, said) = verdict(&net, &tampered);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("not proved: the signature of the second statement"), "{said}");
    assert_eq!(verdict(&net, &bytes[..bytes.len() - 1]).0, Some(2));

    // a builder's: two bids of one seq, and no committee
    let builder = EthKey::from_bytes([7; 32].into()).unwrap();
    let bid = |cap_class| {
        let network = crypto::ids::network_id(&net.network().genesis);
        let (epoch, slot, bidder) = (Epoch(0), Slot(9), builder.address());
        let header = BidHeader { version: 1, network, epoch, slot, bidder, seq: 0, cap_class };
        let ciphertext = vec![1; Bid::CIPHERTEXT_BYTES];
        let digest = crypto::eip712::bid_digest(&header, &crypto::ids::ciphertext_hash(&ciphertext));
        Bid { header, signature: builder.sign(&digest), ciphertext }
    };
    let (code, said) = verdict(&net, &codec::encode(&evidence::bids(&bid(1), &bid(2))));
    let proved = format!("proved: bid-double by builder {} in slot 9", builder.address());
    assert_eq!((code, said.trim()), (Some(0), proved.as_str()));

    // two receipts of one number convict, too
    let receipts = two_receipts(&net, 2);
    let (code, said) = verdict(&net, &codec::encode(&receipts));
    assert_eq!((code, said.trim()), (Some(0), "proved: receipt-conflict by member 2 in slot 1"));

    // one member has kept both; from its start on it tells the others
    let folder = net.member(0).join("evidence");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join(format!("list-equivocation-3-{}", evidence::id(&piece))), &bytes).unwrap();
    let kept = folder.join(format!("receipt-conflict-2-{}", evidence::id(&receipts)));
    fs::write(kept, codec::encode(&receipts)).unwrap();
    let nodes: Vec<Node> = (0..4).map(|i| net.start(i)).collect();
    let network = net.network();
    let http = |member: usize| network.addresses[member].http.clone();
    let faults =
        |member: usize| -> Value { serde_json::from_str(&get(&http(member), "/lockstep/v1/faults").1).unwrap() };
    seen(|| faults(1).as_array().is_some_and(|all| all.len() == 2)).await;
    let told = faults(1);
    let told = |finding: &str| told.as_array().unwrap().iter().find(|told| told["finding"] == finding).unwrap().clone();
    let lists = told("list-equivocation");
    assert_eq!((&lists["accused"], &lists["slot"]), (&json!(3), &json!(1)));
    assert_eq!(told("receipt-conflict")["accused"], 2);
    let served = common::http(http(1), &format!("/lockstep/v1/faults/{}", lists["file"].as_str().unwrap())).unwrap().1;
    assert_eq!(verdict(&net, &served).0, Some(0));
    assert_eq!(served, bytes);
    // against the EPOCH that a member tells, as for a committee that is not that of genesis; and another network's
    let epoch = dir.path().join("epoch.json");
    fs::write(&epoch, common::http(http(1), "/lockstep/v1/epoch").unwrap().1).unwrap();
    let believed = ["--epoch", epoch.to_str().unwrap()];
    assert_eq!(verdict_in(&net, &served, &believed).0, Some(0));
    fs::write(&epoch, "{}").unwrap();
    assert_eq!(verdict_in(&net, &served, &believed).0, Some(2));

    // the auditor sees the FAULT in each log
    let file = net.file();
    for member in [0, 1, 3] {
        let audited = || {
            let url = format!("http://{}", http(member));
            let (status, out, err) = run(&["audit", &url, "--network", file.to_str().unwrap(), "--json"]);
            let report: Value = serde_json::from_str(&out).unwrap_or_else(|_| panic!("{out}{err}"));
            let check = report["checks"].as_array().unwrap().iter().find(|check| check["n"] == 20).unwrap().clone();
            assert!(report["findings"].as_array().unwrap().is_empty(), "{report}");
            status.code() == Some(0) && check["status"] == "pass" && check["units"] == 2
        };
        seen(audited).await;
    }
    nodes.into_iter().for_each(Node::kill);
}

// ---- a disk that fills up --------------------------------------------------------------------------------------

const GIB: u64 = 1 << 30;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn receipts_stop_while_the_disk_is_nearly_full() {
    let _turn = TURN.lock().await;
    let dir = tempfile::tempdir().unwrap();
    let stat = rustix::fs::statvfs(dir.path()).unwrap();
    let free = stat.f_bavail * stat.f_frsize;
    if free < 8 * GIB {
        println!("SKIPPED disk: less than 8 GiB are free");
        return;
    }
    let net = Net::init(&dir.path().join("net"), &[]);
    net.set(0, "min_free_bytes", &((free - 3 * GIB) >> 20 << 20).to_string());
    let network = net.network();
    let _node = net.start(0);
    let client = connect(&network, 0).await;
    let mut person = Person::read(&net.folder);
    let params = client.params().await.unwrap();
    let leg = person.transfer(901, 0);
    let (_, first) = person.envelope(&params, 0, vec![leg.clone()]);
    client.submit(&first).await.unwrap();

    let filler = dir.path().join("filler");
    let file = fs::File::create(&filler).unwrap();
    rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, 6 * GIB).unwrap();
    let (_, second) = person.envelope(&params, 1, vec![leg]);
    let http = &network.addresses[0].http;
    let limit = f64::from(u32::try_from((free - 3 * GIB) >> 20).unwrap()) * 1_048_576.0;
    let free = |at_least: bool| (metric(http, "lockstep_disk_free_bytes") >= limit) == at_least;
    seen(|| free(false)).await;
    match client.submit(&second).await {
        Err(ClientError::Refused(refusal)) => {
            assert_eq!((refusal.known(), refusal.detail.as_str()), (Some(Reason::Busy), "disk nearly full"));
        }
        other => panic!("not refused: {other:?}"),
    }
    fs::remove_file(&filler).unwrap();
    drop(file);
    seen(|| free(true)).await;
    client.submit(&second).await.unwrap();
}

// ---- files for service managers --------------------------------------------------------------------------------

fn operate(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/src").join(name)).unwrap()
}

#[test]
fn the_unit_and_the_compose_file_start_what_the_program_takes() {
    let unit = operate("operate/lockstep@.service");
    let mut sections = Vec::new();
    for line in unit.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some(section) = line.strip_prefix('[') {
            sections.push(section.trim_end_matches(']'));
        } else {
            let key = line.split_once('=').unwrap_or_else(|| panic!("no key: {line}")).0;
            assert!(key.chars().all(|c| c.is_ascii_alphabetic()), "{line}");
        }
    }
    assert_eq!(sections, ["Unit", "Service", "Install"]);
    let help = run(&["node", "--help"]).1;
    let compose = operate("operate/compose.yaml");
    let start = unit.lines().find(|line| line.starts_with("ExecStart=")).unwrap();
    for flag in start.split_whitespace().filter(|word| word.starts_with("--")) {
        assert!(help.contains(flag) && compose.contains(flag), "{flag}");
    }
    // what a restart does not cure has the statuses of the page's table
    let page = operate("operate.md");
    let never = unit.lines().find_map(|line| line.strip_prefix("RestartPreventExitStatus=")).unwrap();
    for code in never.split(' ') {
        assert!(page.lines().any(|line| line.starts_with(&format!("| {code} |"))), "{code}");
    }
    assert!(!compose.contains('\t'), "YAML takes no tabs");
    assert_eq!(compose.matches("<<: *member").count(), 4);
}
