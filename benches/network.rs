//! Whole networks of the `lockstep` program, by wall clock: what the machine does not share with others is what counts,
//! so nothing else may run. `cargo bench --bench network`; three minutes.
//!
//! Each figure stands beside what the engine alone took under the same load of its own on one machine (engine.md section
//! 10): the protocol's lists, sections, shares and fsyncs are what lies between.
#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a program for people that reads the clock and ends where something is missing"
)]

use serde_json::Value;
use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// Engine alone, n = 4, blocks that take 400 ms to build: latency in the middle, and the interval over the build.
const ENGINE_LATENCY_MS: u64 = 18;
const ENGINE_OVERHEAD_MS: u64 = 20;
const SLOT_MS: u64 = 500;

fn main() {
    // cargo bench passes `--bench`, cargo test builds and runs with none of it
    if !std::env::args().any(|arg| arg == "--bench") {
        return;
    }
    devnet(4, 60);
    devnet(16, 25);
    processes();
}

fn lockstep() -> Command {
    Command::new(env!("CARGO_BIN_EXE_lockstep"))
}

/// Ends a process that this program started.
struct Ended(Child);
impl Drop for Ended {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

fn quantile(values: &mut [u64], percent: usize) -> u64 {
    values.sort_unstable();
    let at = values.len().saturating_sub(1) * percent / 100;
    values.get(at).copied().unwrap_or(0)
}

/// Free ports below those that the kernel gives to outgoing connections.
fn base_port(members: u16) -> u16 {
    let free = |base: &u16| (*base..base + 3 * members).all(|port| TcpListener::bind(("127.0.0.1", port)).is_ok());
    (0..100u16).map(|turn| 20_000 + turn * 97).find(free).expect("free ports")
}

/// Resident memory of a process, MB.
fn resident_mb(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib: u64 = line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0);
    kib / 1_024
}

/// All members in one process, wallets included.
fn devnet(members: u16, slots: u64) {
    let folder = tempfile::tempdir().expect("a folder");
    let text = |number: u64| number.to_string();
    let child = lockstep()
        .args(["devnet", "--json", "--epoch-slots", "7200", "--members", &text(members.into())])
        .args(["--slots", &text(slots), "--base-port", &text(base_port(members).into()), "--dir"])
        .arg(folder.path().join("net"))
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program");
    let mut child = Ended(child);
    let out = child.0.stdout.take().expect("piped");
    let (mut ordered, mut commits) = (Vec::new(), Vec::new());
    let (mut intervals, mut opened, mut most) = (Vec::new(), Vec::new(), 0);
    let mut units = 0;
    for line in BufReader::new(out).lines().map_while(Result::ok) {
        let Ok(event) = serde_json::from_str::<Value>(&line) else { continue };
        let (kind, value) = (event.get("event").and_then(Value::as_str), event.get("value"));
        let number = |key: &str| value.and_then(|v| v.get(key)).and_then(Value::as_u64).unwrap_or(0);
        most = resident_mb(child.0.id()).max(most);
        if kind == Some("slot") && number("slot") > 5 {
            ordered.push(number("built_to_ordered_ms"));
            commits.push(number("built_to_final_ms"));
            intervals.push(number("interval_ms"));
            opened.push(number("final_to_opened_ms"));
            units += number("envelopes");
        }
    }
    assert!(child.0.wait().expect("it ends").success(), "the devnet found a fault");
    let slots = u64::try_from(commits.len()).unwrap_or(u64::MAX).max(1);
    println!("devnet, n = {members}, {SLOT_MS} ms slots, {slots} slots, {} envelopes a slot", units / slots);
    println!("  built to ordered  {} ms (99 %: {})", quantile(&mut ordered, 50), quantile(&mut ordered, 99));
    println!("  built to final    {} ms (99 %: {})", quantile(&mut commits, 50), quantile(&mut commits, 99));
    println!("  block interval    {} ms (99 %: {})", quantile(&mut intervals, 50), quantile(&mut intervals, 99));
    println!("  final to opened   {} ms (99 %: {})", quantile(&mut opened, 50), quantile(&mut opened, 99));
    println!("  resident memory   {most} MB at most, all members and wallets");
    if members == 4 {
        let overhead = quantile(&mut intervals, 50).saturating_sub(SLOT_MS);
        println!(
            "  engine alone      {ENGINE_LATENCY_MS} ms, interval {ENGINE_OVERHEAD_MS} ms over the build; here {overhead} ms over the slot"
        );
    }
}

struct Network {
    folder: PathBuf,
    http: u16,
}

impl Network {
    fn init(folder: &Path) -> Self {
        let port = base_port(4);
        let made = lockstep()
            .args(["init", "--base-port", &port.to_string(), "--dir"])
            .arg(folder)
            .stdout(Stdio::null())
            .status()
            .expect("the program");
        assert!(made.success());
        let text = fs::read_to_string(folder.join("network.toml")).expect("written");
        let network: types::Network = toml::from_str(&text).expect("a network");
        let http = network.addresses.first().and_then(|a| a.http.rsplit(':').next()?.parse().ok()).expect("a port");
        Self { folder: folder.to_path_buf(), http }
    }

    fn start(&self, member: u16) -> Ended {
        let config = self.folder.join(format!("member-{member}")).join("node.toml");
        let mut command = lockstep();
        command.arg("node").arg("--network").arg(self.folder.join("network.toml")).arg("--config").arg(config);
        Ended(command.stderr(Stdio::null()).spawn().expect("the program"))
    }

    /// The last final slot that a member reports; `init` gives the addresses in order, three ports each.
    fn slot(&self, member: u16) -> Option<u64> {
        let text = fs::read_to_string(self.folder.join("network.toml")).ok()?;
        let network: types::Network = toml::from_str(&text).ok()?;
        let address = network.addresses.iter().find(|a| a.member.0 == member)?;
        let mut stream = TcpStream::connect(&address.http).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(2))).ok()?;
        write!(stream, "GET /lockstep/v1/status HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let body = answer.split_once("\r\n\r\n")?.1;
        let status: Value = serde_json::from_str(body.get(body.find('{')?..=body.rfind('}')?)?).ok()?;
        status.get("final_slot")?.as_u64()
    }

    fn wait_for(&self, member: u16, slot: u64) -> Instant {
        let until = Instant::now() + Duration::from_secs(180);
        while self.slot(member).is_none_or(|at| at < slot) {
            assert!(Instant::now() < until, "member {member} does not reach slot {slot}");
            std::thread::park_timeout(Duration::from_millis(10));
        }
        Instant::now()
    }

    /// Slots per second that a member sees.
    fn pace(&self, member: u16, slots: u64) -> f64 {
        let from = self.slot(member).expect("it answers");
        let start = self.wait_for(member, from + 1);
        let end = self.wait_for(member, from + 1 + slots);
        f64::from(u32::try_from(slots).unwrap_or(u32::MAX)) / end.duration_since(start).as_secs_f64()
    }
}

/// Four processes: one is killed, and comes back when it has missed a hundred slots.
fn processes() {
    let folder = tempfile::tempdir().expect("a folder");
    let network = Network::init(folder.path());
    let mut members: BTreeMap<u16, Ended> = (0..4).map(|m| (m, network.start(m))).collect();
    network.wait_for(0, 10);
    let all = network.pace(0, 60);
    println!("four processes, {SLOT_MS} ms slots, no traffic, http from port {}", network.http);
    println!("  all four          {all:.3} slots/s");
    drop(members.remove(&3));
    let killed_at = network.slot(0).expect("it answers");
    network.wait_for(0, killed_at + 8);
    let three = network.pace(0, 60);
    println!("  one killed        {three:.3} slots/s, {:.1} % less", 100.0 * (1.0 - three / all));
    network.wait_for(0, killed_at + 105);
    let begun = Instant::now();
    members.insert(3, network.start(3));
    let others = network.slot(0).expect("it answers");
    let back = network.wait_for(3, others);
    println!(
        "  restarted         {} slots missed; at the others' slot after {} ms, process start included",
        others - killed_at,
        back.duration_since(begun).as_millis()
    );
}
