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

use crypto::eth::EthKey;
use execution::demo::{LegTx, TRANSFER_GAS, gas_class};
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
use types::{Bundle, ChainId, Hash, Nonce, Policy};
use wallet::{NetworkView, SealOptions, SubmitLimits, Submitter};
use zeroize::Zeroizing;

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
    let bar = if members == 16 { "; bar: 600" } else { "" };
    println!("  resident memory   {most} MB at most, all members and wallets{bar}");
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

    /// What a member serves there; `init` gives the addresses in order, three ports each.
    fn get(&self, member: u16, path: &str) -> Option<String> {
        let text = fs::read_to_string(self.folder.join("network.toml")).ok()?;
        let network: types::Network = toml::from_str(&text).ok()?;
        let address = network.addresses.iter().find(|a| a.member.0 == member)?;
        let mut stream = TcpStream::connect(&address.http).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(2))).ok()?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        Some(answer.split_once("\r\n\r\n")?.1.to_owned())
    }

    /// Units that a member has executed and committed.
    fn units(&self, member: u16) -> f64 {
        let metrics = self.get(member, "/metrics").unwrap_or_default();
        let mut lines = metrics.lines().filter(|l| l.starts_with("lockstep_units_total") && l.contains("COMMITTED"));
        lines.next().and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or(0.0)
    }

    /// The last final slot that a member reports.
    fn slot(&self, member: u16) -> Option<u64> {
        let body = self.get(member, "/lockstep/v1/status")?;
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

    fn pace(&self, member: u16, slots: u64) -> Pace {
        let from = self.slot(member).expect("it answers");
        let start = self.wait_for(member, from + 1);
        let before = self.units(member);
        let end = self.wait_for(member, from + 1 + slots);
        let (units, seconds) = (self.units(member) - before, end.duration_since(start).as_secs_f64());
        Pace { slots: f64::from(u32::try_from(slots).unwrap_or(u32::MAX)) / seconds, units: units / seconds }
    }
}

/// Per second, as a member sees it.
struct Pace {
    slots: f64,
    units: f64,
}

/// A wallet that sends a transfer every 50 ms until the program ends, each when f + 1 members have promised the one before.
fn traffic(folder: &Path) {
    let read = |name: &str| fs::read_to_string(folder.join(name)).expect("written");
    let accounts: Value = serde_json::from_str(&read("accounts.json")).expect("accounts");
    let key = |name: &str| {
        let hex = accounts.pointer(&format!("/accounts/0/{name}")).and_then(Value::as_str).expect("a key");
        EthKey::from_bytes(Zeroizing::new(Hash::from_hex(hex).expect("32 bytes").0)).expect("a key")
    };
    let (fee, sender) = (key("fee_key"), key("sender_key"));
    let view = NetworkView::new(&toml::from_str(&read("network.toml")).expect("a network")).expect("a network");
    let run = async move {
        let submitter = Submitter::start(view, SubmitLimits::default());
        let mut nonce = 0u64;
        while nonce < u64::MAX {
            tokio::time::sleep(Duration::from_millis(50)).await;
            let Some(params) = submitter.current().await else { continue };
            let tx = LegTx {
                chain_id: ChainId(901),
                nonce,
                to: sender.address(),
                value: 1,
                gas_limit: TRANSFER_GAS,
                data: Vec::new(),
                max_fee_per_gas: 100_000_000_000,
                max_priority_fee_per_gas: 1_000_000,
            };
            let expiry_slot = params.last_final.plus(200);
            let salt = crypto::hash::t256("bench", &[&nonce.to_le_bytes()]);
            let legs = vec![tx.leg(&sender.sign(&tx.digest()))];
            let deadline_slot = expiry_slot.plus(10);
            let bundle = Bundle { version: Bundle::VERSION, policy: Policy::AtomicExec, legs, deadline_slot, salt };
            let gas_class = gas_class(100_000);
            let size = wallet::size_class(&bundle).expect("it fits");
            let max_fee = wallet::offer(&params, size, gas_class).expect("prices");
            let (after, consents) = (Vec::new(), Vec::new());
            let options = SealOptions { epoch: params.epoch, expiry_slot, gas_class, max_fee, after, consents };
            let sealed =
                wallet::seal_bundle(submitter.view(), &fee, Nonce(nonce), &bundle, options, Zeroizing::new(salt.0));
            let (_, envelope) = sealed.expect("it seals");
            if submitter.submit(&envelope).await.is_ok() {
                nonce += 1;
            }
        }
    };
    std::thread::spawn(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(run);
    });
}

/// Four processes: one is killed, and comes back when it has missed a hundred slots.
fn processes() {
    let folder = tempfile::tempdir().expect("a folder");
    let network = Network::init(folder.path());
    let mut members: BTreeMap<u16, Ended> = (0..4).map(|m| (m, network.start(m))).collect();
    network.wait_for(0, 10);
    traffic(folder.path());
    network.wait_for(0, 20);
    let all = network.pace(0, 60);
    println!("four processes, {SLOT_MS} ms slots, one wallet, http from port {}", network.http);
    println!("  all four          {:.3} slots/s, {:.2} units/s", all.slots, all.units);
    drop(members.remove(&3));
    let killed_at = network.slot(0).expect("it answers");
    network.wait_for(0, killed_at + 8);
    let three = network.pace(0, 60);
    let less = |all: f64, three: f64| 100.0 * (1.0 - three / all);
    println!(
        "  one killed        {:.3} slots/s, {:.1} % less, {:.2} units/s, {:.1} % less; bar: 30",
        three.slots,
        less(all.slots, three.slots),
        three.units,
        less(all.units, three.units)
    );
    network.wait_for(0, killed_at + 105);
    let begun = Instant::now();
    members.insert(3, network.start(3));
    let others = network.slot(0).expect("it answers");
    let back = network.wait_for(3, others);
    println!(
        "  restarted         {} slots missed; at the others' slot after {} ms, process start included; bar: 2000 for 100",
        others - killed_at,
        back.duration_since(begun).as_millis()
    );
}
