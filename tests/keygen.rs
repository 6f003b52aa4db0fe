//! Goal: operators in processes of their own make the keys of a network that runs and audits clean, whatever of them is
//! killed or absent; who contradicts itself is named; key files open with their passphrase and nothing else.
//! Method: the program as processes on loopback, every one ended by its id; a liar is played by the test, with its key.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test ends where its helper fails")]
#[expect(dead_code, reason = "each test program uses a part")]
mod common;
#[path = "keygen/liar.rs"]
mod liar;

use common::{
    PATIENCE, Person, base_port, lockstep,
    process::{self, Process},
    run,
};
use crypto::ed25519::SigningKey;
use keygen::operators::{self, Message, Plan, State, Step};
use liar::Shown;
use node::{files::Identity, passphrase::Lock};
use serde_json::Value;
use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, channel},
    },
    time::Duration,
};
use types::{Genesis, Hash, MemberAddress, MemberId, Network, SealedDealing};

const NAMES: [&str; 4] = ["ann", "bob", "cat", "dave"];
const PASSPHRASE: &str = "correct horse battery";

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A running operator; killed when dropped.
struct Operator {
    process: Process,
    lines: Receiver<String>,
    printed: Vec<String>,
}

impl Operator {
    /// Reads on until a line begins so.
    fn wait(&mut self, start: &str) -> String {
        loop {
            let line = self.lines.recv_timeout(PATIENCE);
            let line = line.unwrap_or_else(|error| panic!("waiting for {start}: {error}\n{}", self.printed.join("\n")));
            self.printed.push(line.clone());
            if line.starts_with(start) {
                return line;
            }
        }
    }

    fn kill(mut self) {
        self.process.kill();
        self.process.wait();
    }

    /// Its status, once it ends by itself, and all that it printed.
    fn end(mut self) -> (ExitStatus, Vec<String>) {
        while let Ok(line) = self.lines.recv_timeout(PATIENCE) {
            self.printed.push(line);
        }
        (self.process.wait(), self.printed)
    }
}

/// The folders of four operators, and the plan.
struct Net {
    _temp: tempfile::TempDir,
    folder: PathBuf,
}

impl Net {
    fn new() -> Self {
        let temp = tempfile::tempdir().unwrap();
        let folder = temp.path().to_path_buf();
        let net = Self { _temp: temp, folder };
        fs::write(net.path("pass"), format!("{PASSPHRASE}\n")).unwrap();
        let port = base_port(4);
        for (name, place) in NAMES.iter().zip(0u16..) {
            let at = |offset: u16| format!("127.0.0.1:{}", port + 3 * place + offset);
            let (dir, quic, http) = (net.path(name), at(1), at(2));
            let args = ["keygen", "join", "--dir", text(&dir), "--name", name, "--p2p", &at(0), "--quic", &quic];
            let (status, _, err) = run(&[&args[..], &["--http", &http], &net.pass()].concat());
            assert!(status.success(), "{err}");
        }
        let joining: Vec<PathBuf> = NAMES.iter().map(|name| net.path(name).join("joining.json")).collect();
        let plan = net.path("plan");
        let mut args = vec!["keygen", "plan", "--origin", "example.org/test", "--demo", "--rollups", "1"];
        args.extend(["--dir", text(&plan)]);
        args.extend(joining.iter().flat_map(|path| ["--add", text(path)]));
        let (status, _, err) = run(&args);
        assert!(status.success(), "{err}");
        net
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn pass(&self) -> [&'static str; 2] {
        // leaked: a few bytes of a test
        ["--passphrase-file", Box::leak(text(&self.path("pass")).to_owned().into_boxed_str())]
    }

    fn plan(&self) -> PathBuf {
        self.path("plan").join("ceremony.toml")
    }

    /// Another number, and who is not waited for.
    fn again(&self, number: u32, absent: &str) {
        let text = fs::read_to_string(self.plan()).unwrap();
        let lines = text.lines().filter(|line| !line.starts_with("number =") && !line.starts_with("absent ="));
        let head = format!("number = {number}\nabsent = [{absent}]\n");
        fs::write(self.plan(), head + &lines.collect::<Vec<_>>().join("\n")).unwrap();
    }

    fn start(&self, name: &str) -> Operator {
        self.start_with(name, &self.plan())
    }

    fn start_with(&self, name: &str, plan: &Path) -> Operator {
        let mut command = lockstep();
        command.args(["keygen", "ceremony", "--plan"]).arg(plan).arg("--dir").arg(self.path(name)).args(self.pass());
        let mut process = Process::start(command.stdout(Stdio::piped()));
        let stdout = process.child().stdout.take().unwrap();
        let (send, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if send.send(line).is_err() {
                    break;
                }
            }
        });
        Operator { process, lines, printed: Vec::new() }
    }

    fn network(&self, name: &str) -> Network {
        toml::from_str(&fs::read_to_string(self.path(name).join("network.toml")).unwrap()).unwrap()
    }

    fn index(&self, name: &str) -> MemberId {
        let members = self.network("ann").genesis.members;
        MemberId(u16::try_from(members.iter().position(|member| member.name == name).unwrap()).unwrap())
    }

    /// `verify-transcript` of a file against a network.
    fn verify(&self, transcript: &Path, of: &str) -> (Option<i32>, String) {
        let network = self.path(of).join("network.toml");
        let (status, out, err) = run(&["keygen", "verify-transcript", text(transcript), "--network", text(&network)]);
        (status.code(), out + &err)
    }

    /// `check-backup` of a folder.
    fn check(&self, dir: &Path, lock: &[&str]) -> (Option<i32>, String) {
        let (status, out, err) = run(&[&["keygen", "check-backup", "--dir", text(dir)], lock].concat());
        (status.code(), out + &err)
    }

    /// The network of a ceremony runs: slots, a transaction that had to be opened, a clean audit.
    fn assert_runs(&self) {
        let file = self.path("ann").join("network.toml");
        let mut nodes: Vec<Process> = NAMES
            .iter()
            .map(|name| {
                let mut command =
                    process::node(&self.path(name).join("network.toml"), &self.path(name).join("node.toml"));
                Process::start(command.args(self.pass()).stderr(Stdio::null()))
            })
            .collect();
        fs::copy(&file, self.path("plan").join("network.toml")).unwrap();
        let person = Person::read(&self.path("plan"));
        let leg = person.transfer(901, 0);
        let leg = format!("901:0x{}", hex::encode(&leg.tx));
        let accounts = self.path("plan").join("accounts.json");
        let mut last = String::new();
        let committed = (0..60).any(|_| {
            let args = ["submit", "--json", "--network", text(&file), "--accounts", text(&accounts), "--leg", &leg];
            let (status, out, err) = run(&args);
            last = out + &err;
            if !status.success() {
                std::thread::park_timeout(Duration::from_secs(1));
            }
            status.success()
        });
        assert!(committed, "{last}");
        for node in &nodes {
            node.terminate();
        }
        for node in nodes.drain(..) {
            assert!(node.wait().success());
        }
        let (status, out, err) = run(&["audit", text(&self.path("ann")), "--network", text(&file), "--json"]);
        let report: Value = serde_json::from_str(&out).unwrap();
        assert_eq!((status.code(), &report["findings"]), (Some(0), &Value::Array(Vec::new())), "{out}{err}");
    }
}

#[test]
fn operators_that_are_killed_in_every_step_make_a_network_that_runs_and_audits_clean() {
    let net = Net::new();
    let mut operators: Vec<Option<Operator>> = NAMES.iter().map(|name| Some(net.start(name))).collect();
    for (step, phase) in ["deal", "ack", "seal", "echo", "agree"].iter().enumerate() {
        let victim = step % NAMES.len();
        let mut running = operators[victim].take().unwrap();
        running.wait(&format!("said       {phase}"));
        running.kill();
        let mut again = net.start(NAMES[victim]);
        again.wait("resumed");
        operators[victim] = Some(again);
    }
    for operator in operators.into_iter().flatten() {
        let (status, printed) = operator.end();
        assert!(status.success(), "{}", printed.join("\n"));
        assert!(!printed.iter().any(|line| line.contains("FAULT") || line.contains("REVEALED")), "{printed:?}");
        assert!(!printed.iter().any(|line| line.contains(PASSPHRASE)));
    }
    for name in NAMES {
        assert_eq!(net.network(name), net.network("ann"));
        assert_eq!(net.check(&net.path(name), &net.pass()).0, Some(0));
        let verified = net.verify(&net.path(name).join("transcript.lktr"), "ann");
        assert!(verified.0 == Some(0) && verified.1.contains("revealed   none"), "{}", verified.1);
    }
    assert!(net.network("ann").keys.revealed.is_empty());
    assert_refusals(&net);
    net.assert_runs();
    let (status, out) = net.verify(&net.path("ann").join("transcript.lktr"), "dave");
    assert_eq!(status, Some(0), "{out}");
    // who has run is never given keys again
    let (status, printed) = net.start("ann").end();
    assert_eq!(status.code(), Some(78), "{printed:?}");
}

/// Transcripts and key files that are not what they were.
fn assert_refusals(net: &Net) {
    let good = fs::read(net.path("ann").join("transcript.lktr")).unwrap();
    let path = net.path("altered");
    for (change, at) in [(0, 2), (1, good.len() / 2), (2, 3 * good.len() / 4), (3, good.len() - 7)] {
        let mut altered = good.clone();
        if change == 2 {
            altered.truncate(at)
        } else {
            altered[at] ^= 1
        }
        fs::write(&path, altered).unwrap();
        let (status, out) = net.verify(&path, "ann");
        assert!(status == Some(1) && out.contains("refused: "), "{status:?} {out}");
    }
    assert_eq!(net.verify(&net.path("nothing"), "ann").0, Some(2));

    // a copy of the key files, and what can be wrong with it
    let copy = net.path("copy");
    let fresh = || process::copy(&net.path("bob"), &copy);
    fresh();
    let wrong = net.path("wrong");
    fs::write(&wrong, "another horse battery").unwrap();
    let (status, out) = net.check(&copy, &["--passphrase-file", text(&wrong)]);
    assert!(status == Some(78) && out.contains("wrong passphrase"), "{status:?} {out}");
    let (status, out) = net.check(&copy, &["--insecure-plaintext"]);
    assert!(status == Some(78) && out.contains("is sealed"), "{status:?} {out}");
    for file in ["identity.key", "share.lks"] {
        let bytes = fs::read(copy.join(file)).unwrap();
        fs::write(copy.join(file), &bytes[..bytes.len() - 9]).unwrap();
        assert_eq!(net.check(&copy, &net.pass()).0, Some(65), "{file} cut");
        let mut flipped = bytes.clone();
        flipped[70] ^= 4;
        fs::write(copy.join(file), flipped).unwrap();
        assert_eq!(net.check(&copy, &net.pass()).0, Some(65), "{file} flipped");
        fs::write(copy.join(file), bytes).unwrap();
    }
    fs::copy(net.path("cat").join("share.lks"), copy.join("share.lks")).unwrap();
    assert_eq!(net.check(&copy, &net.pass()).0, Some(78), "the share of another");
    fresh();
    assert_eq!(net.check(&copy, &net.pass()).0, Some(0));

    // without the passphrase the member does not start
    let (network, config) = (copy.join("network.toml"), copy.join("node.toml"));
    let node = ["node", "--network", text(&network), "--config", text(&config)];
    let (status, _, err) = run(&node);
    assert!(status.code() == Some(78) && err.contains("passphrase_file"), "{err}");
    let (status, _, err) = run(&[&node[..], &["--passphrase-file", text(&wrong)]].concat());
    assert!(status.code() == Some(78) && err.contains("wrong passphrase"), "{err}");

    // another passphrase, by descriptor and by systemd's folder; then none
    let seal = ["keygen", "seal", "--dir", text(&copy), "--old-passphrase-file", net.pass()[1]];
    assert!(run(&[&seal[..], &["--passphrase-file", text(&wrong)]].concat()).0.success());
    assert_eq!(net.check(&copy, &net.pass()).0, Some(78));
    let out = lockstep()
        .args(["keygen", "check-backup", "--dir", text(&copy), "--passphrase-credential", "wrong"])
        .env("CREDENTIALS_DIRECTORY", &net.folder)
        .output();
    assert!(out.unwrap().status.success());
    let out = lockstep()
        .args(["keygen", "check-backup", "--dir", text(&copy), "--passphrase-fd", "0"])
        .stdin(fs::File::open(&wrong).unwrap())
        .output();
    assert!(out.unwrap().status.success());
    let seal = ["keygen", "seal", "--dir", text(&copy), "--old-passphrase-file", text(&wrong), "--insecure-plaintext"];
    assert!(run(&seal).0.success());
    let (status, out) = net.check(&copy, &["--insecure-plaintext"]);
    assert!(status == Some(0) && out.contains("PLAIN"), "{out}");
    assert_eq!(net.check(&copy, &net.pass()).0, Some(78), "a plain file where a sealed one is expected");

    // a share that was lost comes back from the transcript
    fs::remove_file(copy.join("share.lks")).unwrap();
    let transcript = net.path("ann").join("transcript.lktr");
    let share =
        ["keygen", "share", "--transcript", text(&transcript), "--network", text(&network), "--dir", text(&copy)];
    let (status, _, err) = run(&[&share[..], &["--insecure-plaintext"]].concat());
    assert!(status.success(), "{err}");
    assert_eq!(net.check(&copy, &["--insecure-plaintext"]).0, Some(0));
}

#[test]
fn an_absent_operator_stalls_until_it_is_named_and_finds_its_share_later() {
    let net = Net::new();
    let mut operators: Vec<Operator> = NAMES[..3].iter().map(|name| net.start(name)).collect();
    for operator in &mut operators {
        operator.wait("deal       3 of 4, waiting for dave (does not answer)");
    }
    // none before: the last one hears the others, too
    for operator in operators {
        operator.process.terminate();
        assert_eq!(operator.end().0.code(), Some(75));
    }
    let good = fs::read_to_string(net.plan()).unwrap();
    for name in ["ann", "", "\\u001b[2J", "two words"] {
        fs::write(net.plan(), good.replace("name = \"dave\"", &format!("name = \"{name}\""))).unwrap();
        assert_eq!(net.start("ann").end().0.code(), Some(78), "{name}");
    }
    fs::write(net.plan(), good).unwrap();
    for absent in ["\"eve\"", "\"dave\", \"cat\"", "\"dave\", \"dave\""] {
        net.again(1, absent);
        assert_eq!(net.start("ann").end().0.code(), Some(78), "{absent}");
    }
    net.again(1, "\"dave\"");
    let operators: Vec<Operator> = NAMES[..3].iter().map(|name| net.start(name)).collect();
    for operator in operators {
        let (status, printed) = operator.end();
        assert!(status.success(), "{}", printed.join("\n"));
        assert!(printed.iter().any(|line| line.starts_with("REVEALED   dave")), "{}", printed.join("\n"));
    }
    assert_eq!(net.network("ann").keys.revealed, [net.index("dave")]);
    assert_eq!(net.start("dave").end().0.code(), Some(78), "it is absent");
    let (transcript, network) = (net.path("bob").join("transcript.lktr"), net.path("bob").join("network.toml"));
    let (status, out) = net.verify(&transcript, "bob");
    assert!(status == Some(0) && out.contains("absent     dave") && out.contains("revealed   dave"), "{out}");
    let dir = net.path("dave");
    let share =
        ["keygen", "share", "--transcript", text(&transcript), "--network", text(&network), "--dir", text(&dir)];
    let (status, _, err) = run(&[&share[..], &net.pass()].concat());
    assert!(status.success(), "{err}");
    assert_eq!(net.check(&dir, &net.pass()).0, Some(0));
}

/// Dave, as the test plays him.
struct Dave {
    plan: Arc<Plan>,
    identity: Identity,
    me: MemberId,
    /// What each of his two addresses shows.
    shown: [Shown; 2],
    machine: operators::Operator,
}

impl Dave {
    fn sign(&self, step: Step) -> Message {
        let mut message = Message { from: self.me, step, sig: types::Signature([0; 64]) };
        let key = SigningKey::from_seed(self.identity.consensus.clone());
        message.sig = key.sign(message.id(&self.plan).as_bytes());
        message
    }

    fn show(&self, places: &[usize], message: &Message) {
        for place in places {
            self.shown[*place].lock().unwrap().insert(message.id(&self.plan), message.bytes());
        }
    }

    /// A log besides the one that he signs: it has no word of his own.
    fn other_log(&self) -> Message {
        let mut other = operators::Operator::start(Arc::clone(&self.plan), &self.identity.consensus).unwrap();
        for message in self.machine.messages() {
            if let (Step::Ack { acks }, true) = (&message.step, message.from == self.me) {
                let acks = acks.iter().filter(|ack| ack.dealer != self.me).copied().collect();
                other.on(&self.sign(Step::Ack { acks })).unwrap();
            } else {
                assert!(other.on(message).unwrap());
            }
        }
        let log = other.due().unwrap();
        assert!(matches!(log.step, Step::Seal { .. }));
        log
    }
}

#[test]
fn a_dealer_that_cheats_one_player_and_signs_two_logs_is_named_with_a_proof_and_not_used() {
    let net = Net::new();
    let file: toml::Table = toml::from_str(&fs::read_to_string(net.plan()).unwrap()).unwrap();
    let genesis: Genesis = file["genesis"].clone().try_into().unwrap();
    let addresses: Vec<MemberAddress> = file["addresses"].clone().try_into().unwrap();
    let index = |name: &str| genesis.members.iter().position(|member| member.name == name).unwrap();
    let http = |name: &str| addresses[index(name)].http.clone();
    let keys: Vec<Hash> = genesis.members.iter().map(|member| member.consensus).collect();
    let plan = Arc::new(Plan::new(&crypto::ids::network_id(&genesis), 0, &keys, &[]).unwrap());
    let identity = Identity::read(&net.path("dave"), &Lock::file(&net.path("pass")).unwrap()).unwrap();
    let machine = operators::Operator::start(Arc::clone(&plan), &identity.consensus).unwrap();
    let mut dave = Dave { me: machine.me(), machine, identity, plan, shown: Default::default() };

    // ann knows him at one address, the others at another
    let other = format!("127.0.0.1:{}", base_port(1));
    let text = fs::read_to_string(net.plan()).unwrap();
    assert!(text.contains(&http("dave")));
    let elsewhere = net.path("plan").join("elsewhere.toml");
    fs::write(&elsewhere, text.replace(&http("dave"), &other)).unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    for (address, shown) in [http("dave"), other].iter().zip(&dave.shown) {
        liar::serve(address, &dave.plan, Arc::clone(shown), Arc::clone(&stop));
    }
    let operators = [net.start("ann"), net.start_with("bob", &elsewhere), net.start_with("cat", &elsewhere)];

    for _ in 0..600 {
        while let Some(message) = dave.machine.due() {
            let message = match &message.step {
                Step::Deal { commitments, sealed } => {
                    let (commitments, mut sealed) = (commitments.clone(), sealed.clone());
                    sealed[index("bob")] = SealedDealing::ZERO;
                    dave.sign(Step::Deal { commitments, sealed })
                }
                Step::Seal { .. } => {
                    dave.show(&[1], &dave.other_log());
                    dave.show(&[0], &message);
                    dave.machine.on(&message).unwrap();
                    continue;
                }
                Step::Ack { .. } | Step::Echo { .. } | Step::Agree { .. } => message,
            };
            dave.show(&[0, 1], &message);
            dave.machine.on(&message).unwrap();
        }
        if matches!(dave.machine.state(), State::Finished(_) | State::Failed(_)) {
            break;
        }
        for name in &NAMES[..3] {
            liar::hear(&mut dave.machine, &http(name));
        }
        std::thread::park_timeout(Duration::from_millis(100));
    }
    for operator in operators {
        let (status, printed) = operator.end();
        let all = printed.join("\n");
        assert!(status.success(), "{all}");
        assert!(all.contains("FAULT      dave signed two different messages of step seal"), "{all}");
        assert!(all.contains("FAULTY     dave: not used") && !all.contains("REVEALED"), "{all}");
    }
    stop.store(true, Ordering::Release);
    assert_eq!(net.network("ann"), Network { addresses: net.network("ann").addresses, ..net.network("bob") });
    for name in &NAMES[..3] {
        let proof = net.path(name).join(format!("proof-{}-seal.lktr", index("dave")));
        let (status, out) = net.verify(&proof, name);
        let proved = "proved     dave signed two different messages of step seal";
        assert!(status == Some(0) && out.contains(proved), "{out}");
        // who has no network has the plan
        let (status, out, err) =
            run(&["keygen", "verify-transcript", self::text(&proof), "--plan", self::text(&net.plan())]);
        assert!(status.success() && out.contains(proved), "{out}{err}");
        assert_eq!(net.check(&net.path(name), &net.pass()).0, Some(0), "{name}");
    }
    let (status, out) = net.verify(&net.path("cat").join("transcript.lktr"), "ann");
    assert!(status == Some(0) && out.contains("proved     dave signed two different messages of step seal"), "{out}");
    assert!(out.contains("faulty     dave") && out.contains("dealers    ") && out.contains("revealed   none"), "{out}");
}
