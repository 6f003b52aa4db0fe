//! Drives the `lockstep` program as a process, and talks to its members as a wallet does.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test ends where its helper fails")]

pub(crate) mod folder;
pub(crate) mod process;

use crypto::{eth::EthKey, hash};
use execution::demo::{LegTx, gas_class};
use process::Process;
use serde_json::Value;
use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream, ToSocketAddrs, UdpSocket},
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
    sync::{
        atomic::{AtomicU16, Ordering},
        mpsc::{Receiver, channel},
    },
    time::Duration,
};
use types::{Bundle, ChainId, Envelope, Hash, Leg, Nonce, Policy, Slot, wire};
use wallet::{NetworkView, SealOptions};
use zeroize::Zeroizing;

/// Longest wait for any one line.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// A base port whose 3 n ports are free on loopback now, below those that the kernel gives to outgoing connections.
pub(crate) fn base_port(members: u16) -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    for _ in 0..200 {
        let turn = u32::from(NEXT.fetch_add(1, Ordering::Relaxed)) * 61 + std::process::id() * 7;
        let base = 20_000 + u16::try_from(turn % 12_000).unwrap();
        let free = (base..base + 3 * members)
            .all(|port| TcpListener::bind(("127.0.0.1", port)).is_ok() && UdpSocket::bind(("127.0.0.1", port)).is_ok());
        if free {
            return base;
        }
    }
    panic!("no free ports");
}

/// Asks a member's HTTP; status and body. `None` while it does not answer.
pub(crate) fn http(address: impl ToSocketAddrs, path: &str) -> Option<(u16, Vec<u8>)> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: lockstep\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n")?;
    let body = answer.split_off(end + 4);
    let status = String::from_utf8_lossy(&answer).split(' ').nth(1)?.parse().ok()?;
    Some((status, body))
}

/// The program.
pub(crate) fn lockstep() -> Command {
    Command::new(env!("CARGO_BIN_EXE_lockstep"))
}

/// Runs a command to its end; stdout and stderr.
pub(crate) fn run(args: &[&str]) -> (ExitStatus, String, String) {
    let out = lockstep().args(args).output().unwrap();
    (out.status, String::from_utf8_lossy(&out.stdout).into(), String::from_utf8_lossy(&out.stderr).into())
}

/// A running `lockstep devnet --json`; killed when dropped.
pub(crate) struct Devnet {
    process: Process,
    lines: Receiver<Value>,
    pub(crate) dir: PathBuf,
}

impl Devnet {
    /// Starts it and waits until its members run.
    pub(crate) fn start(dir: &Path, base_port: u16, more: &[&str]) -> Self {
        let port = base_port.to_string();
        let mut command = lockstep();
        command.args(["devnet", "--json", "--base-port", &port, "--dir"]).arg(dir).args(more);
        let mut process = Process::start(command.stdout(Stdio::piped()));
        let stdout = process.child().stdout.take().unwrap();
        let (send, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines() {
                let Ok(line) = line else { break };
                let value = serde_json::from_str(&line).unwrap_or(Value::String(line));
                if send.send(value).is_err() {
                    break;
                }
            }
        });
        let devnet = Self { process, lines, dir: dir.to_path_buf() };
        devnet.wait_for("started");
        devnet
    }

    /// The next event of a kind.
    pub(crate) fn wait_for(&self, kind: &str) -> Value {
        loop {
            let line = self.lines.recv_timeout(PATIENCE).unwrap_or_else(|e| panic!("waiting for {kind}: {e}"));
            if line["event"] == kind {
                return line["value"].clone();
            }
        }
    }

    /// Waits for so many slots; their lines.
    pub(crate) fn slots(&self, count: usize) -> Vec<Value> {
        (0..count).map(|_| self.wait_for("slot")).collect()
    }

    /// SIGKILL: no member gets to do anything.
    pub(crate) fn kill(mut self) {
        self.process.kill();
        self.process.wait();
    }

    /// SIGTERM, then waits for the end; the summary and the status.
    pub(crate) fn terminate(self) -> (Value, ExitStatus) {
        self.process.terminate();
        let summary = self.wait_for("summary");
        (summary, self.process.wait())
    }

    /// Waits for the end that `--slots` brings.
    pub(crate) fn finish(self) -> (Value, ExitStatus) {
        let summary = self.wait_for("summary");
        (summary, self.process.wait())
    }

    pub(crate) fn person(&self) -> Person {
        Person::read(&self.dir)
    }
}

/// The demo account of accounts.json, with a view of the network.
pub(crate) struct Person {
    pub(crate) fee: EthKey,
    pub(crate) sender: EthKey,
    pub(crate) view: NetworkView,
    draws: u64,
}

impl Person {
    pub(crate) fn read(dir: &Path) -> Self {
        let text = std::fs::read(dir.join("accounts.json")).unwrap();
        let accounts: Value = serde_json::from_slice(&text).unwrap();
        let key = |name: &str| {
            let hex = accounts["accounts"][0][name].as_str().unwrap();
            EthKey::from_bytes(Zeroizing::new(Hash::from_hex(hex).unwrap().0)).unwrap()
        };
        let network: types::Network =
            toml::from_str(&std::fs::read_to_string(dir.join("network.toml")).unwrap()).unwrap();
        let view = NetworkView::new(&network).unwrap();
        Self { fee: key("fee_key"), sender: key("sender_key"), view, draws: 0 }
    }

    fn draw(&mut self) -> [u8; 32] {
        self.draws += 1;
        let time = std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos();
        hash::sha256(&[&self.draws.to_le_bytes(), &time.to_le_bytes()]).0
    }

    /// A signed transfer of one wei to itself.
    pub(crate) fn transfer(&self, chain: u64, nonce: u64) -> Leg {
        let tx = LegTx {
            chain_id: ChainId(chain),
            nonce,
            to: self.sender.address(),
            value: 1,
            gas_limit: 21_000,
            data: Vec::new(),
            max_fee_per_gas: 100_000_000_000,
            max_priority_fee_per_gas: 1_000_000,
        };
        tx.leg(&self.sender.sign(&tx.digest()))
    }

    /// An envelope with these legs.
    pub(crate) fn envelope(&mut self, params: &wire::Params, fee_nonce: u64, legs: Vec<Leg>) -> (Hash, Envelope) {
        let expiry_slot = params.last_final.plus(200);
        let bundle = Bundle {
            version: Bundle::VERSION,
            policy: Policy::AtomicExec,
            legs,
            deadline_slot: Slot(expiry_slot.0 + 10),
            salt: Hash(self.draw()),
        };
        let gas = gas_class(200_000);
        let max_fee = wallet::offer(params, wallet::size_class(&bundle).unwrap(), gas).unwrap();
        let options = SealOptions {
            epoch: params.epoch,
            expiry_slot,
            gas_class: gas,
            max_fee,
            after: Vec::new(),
            consents: Vec::new(),
        };
        let entropy = Zeroizing::new(self.draw());
        wallet::seal_bundle(&self.view, &self.fee, Nonce(fee_nonce), &bundle, options, entropy).unwrap()
    }
}
