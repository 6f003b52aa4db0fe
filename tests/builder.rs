//! Goal: builders as processes of their own sell nothing short: they bid over QUIC, somebody wins and pays, and a builder
//! that is killed never signs a second object for one place.
//! Method: `lockstep init`, four `lockstep node`, two `lockstep builder`; one is killed and started again; then the log of
//! a member is read, and audited.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test ends where its helper fails")]
#[expect(dead_code, reason = "each test program uses a part")]
mod common;

use common::{
    PATIENCE, base_port, http, lockstep,
    process::{self, Process},
    run,
};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    io::{BufRead as _, BufReader},
    path::Path,
    process::Stdio,
    sync::mpsc::{Receiver, channel},
};
use store::{log::LogDir, state::State};
use types::{Address, Bid, Entry, Hash, Kind, Leaf, LeftItem, Slot, codec, limits, reason::Why};

/// A running `lockstep builder --json`; killed when dropped.
struct Running {
    process: Process,
    lines: Receiver<Value>,
    bidder: String,
}

impl Running {
    fn start(network: &Path, name: &str, worth: &str) -> Self {
        let mut command = lockstep();
        command.args(["builder", "--json", "--bidder", name, "--worth", worth, "--network"]).arg(network);
        let mut process = Process::start(command.stdout(Stdio::piped()));
        let stdout = process.child().stdout.take().unwrap();
        let (send, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if send.send(serde_json::from_str(&line).unwrap_or(Value::String(line))).is_err() {
                    break;
                }
            }
        });
        let mut running = Self { process, lines, bidder: String::new() };
        running.bidder = running.next("started")["bidder"].as_str().unwrap().to_owned();
        running
    }

    fn next(&self, kind: &str) -> Value {
        loop {
            let line = self.lines.recv_timeout(PATIENCE).unwrap_or_else(|e| panic!("waiting for {kind}: {e}"));
            if line["event"] == kind {
                return line["value"].clone();
            }
        }
    }

    /// The next slot whose line is as wanted.
    fn slot(&self, wanted: impl Fn(&Value) -> bool) -> Value {
        (0..200).map(|_| self.next("slot")).find(wanted).unwrap_or_else(|| panic!("{}: no such slot", self.bidder))
    }

    fn terminate(self) -> Value {
        self.process.terminate();
        let summary = self.next("summary");
        assert!(self.process.wait().success());
        summary
    }

    /// SIGKILL.
    fn kill(mut self) {
        self.process.kill();
        self.process.wait();
    }
}

/// Hashes of what was signed, by slot, bidder and seq.
type Signed = BTreeMap<(Slot, Address, u8), BTreeSet<Hash>>;

/// A stopped member's log: hashes of bids by slot, bidder and seq, those that count and those that were left; and winners.
#[expect(clippy::wildcard_enum_match_arm, reason = "other entries say nothing of bids")]
fn bids(folder: &Path) -> (Signed, usize) {
    let lock = State::open(&folder.join("state.redb")).unwrap().lock().unwrap().unwrap();
    let log = LogDir::open(folder, Some(&lock)).unwrap();
    let (mut found, mut sold) = (BTreeMap::<_, BTreeSet<Hash>>::new(), 0);
    for bytes in log.entries(0..lock.head.size).unwrap() {
        let entry: Entry = codec::decode(&bytes, limits::ENTRY_BYTES_MAX).unwrap();
        match entry.kind {
            Kind::Bid { slot, bytes } => {
                let bid: Bid = codec::decode(&bytes, limits::BID_BYTES_MAX).unwrap();
                let place = (slot, bid.header.bidder, bid.header.seq);
                found.entry(place).or_default().insert(crypto::ids::bid_hash(&bid));
            }
            Kind::Left { slot, items, .. } => {
                for LeftItem { leaf, why } in items {
                    if let Leaf::Bid { bidder, seq, hash } = leaf {
                        assert_ne!(why, Why::Double.number(), "slot {slot}: {bidder} has signed twice");
                        found.entry((slot, bidder, seq)).or_default().insert(hash);
                    }
                }
            }
            Kind::Auction { winner, .. } => sold += usize::from(winner.is_some()),
            _ => {}
        }
    }
    (found, sold)
}

/// Status and JSON of a path that a member serves.
fn get(port: u16, path: &str) -> (u16, Value) {
    let (status, body) = http(("127.0.0.1", port), path).unwrap();
    (status, serde_json::from_slice(&body).unwrap_or_else(|error| panic!("{path}: {error}: {body:?}")))
}

/// What whoever watches auctions reads of a running member, against what two builders said of one slot.
fn watched(port: u16, dir: &Path, slot: u64, offers: [u128; 2], line: &Value) {
    const DELIVERED: &str = "/relay/v1/data/bidtraces/proposer_payload_delivered";
    const RECEIVED: &str = "/relay/v1/data/bidtraces/builder_blocks_received";
    let rows = |path: &str| {
        let (status, rows) = get(port, path);
        assert_eq!(status, 200, "{path}: {rows}");
        rows.as_array().unwrap().clone()
    };
    let amount = |row: &Value, name: &str| row[name].as_str().unwrap().parse::<u128>().unwrap();

    let received = rows(&format!("{RECEIVED}?slot={slot}"));
    let found: BTreeSet<u128> = received.iter().map(|row| amount(row, "value")).collect();
    assert_eq!(found, BTreeSet::from(offers), "{received:?}");
    let winners: Vec<&Value> = received.iter().filter(|row| row["reason"] == "WINNER").collect();
    let [winner] = winners.as_slice() else { panic!("{received:?}") };
    assert_eq!(winner["price"], line["price"]);
    let of_winner = rows(&format!("{RECEIVED}?builder_pubkey={}&limit=3", winner["builder_pubkey"].as_str().unwrap()));
    assert!((1..=3).contains(&of_winner.len()));
    assert!(of_winner.iter().all(|row| row["builder_pubkey"] == winner["builder_pubkey"]));
    assert_eq!(rows(&format!("{RECEIVED}?block_hash={}", winner["block_hash"].as_str().unwrap())).len(), 1);

    // an empty block passes the right on: the slot sold, or a later one
    let delivered = rows(DELIVERED);
    let of_bid = |row: &&Value| row["bid_hash"] == winner["block_hash"];
    let row = delivered.iter().find(of_bid).unwrap_or_else(|| panic!("slot {slot}: {delivered:?}"));
    assert!(amount(row, "slot") >= u128::from(slot), "{row}");
    assert_eq!((&row["value"], &row["builder_pubkey"]), (&winner["price"], &winner["builder_pubkey"]));
    assert_eq!(
        rows(&format!("{DELIVERED}?block_hash={}", row["block_hash"].as_str().unwrap())),
        std::slice::from_ref(row)
    );
    let slots: Vec<u128> = delivered.iter().map(|row| amount(row, "slot")).collect();
    assert!(slots.is_sorted_by(|a, b| a > b), "{slots:?}");
    assert_eq!(
        rows(&format!("{DELIVERED}?cursor={slot}&limit=2")).len(),
        2.min(slots.iter().filter(|s| **s <= u128::from(slot)).count())
    );
    let prices: Vec<u128> =
        rows(&format!("{DELIVERED}?order_by=-value")).iter().map(|row| amount(row, "value")).collect();
    assert!(prices.is_sorted_by(|a, b| a >= b) && prices.len() >= delivered.len(), "{prices:?}");

    // anybody resolves it again
    let (status, case) = get(port, &format!("/lockstep/v1/auction/{slot}"));
    assert_eq!(status, 200, "{case}");
    let file = dir.join("case.json");
    std::fs::write(&file, case.to_string()).unwrap();
    let (status, resolved, err) = run(&["auction", "resolve", file.to_str().unwrap()]);
    assert!(status.success(), "{err}");
    let resolved: Value = serde_json::from_str(&resolved).unwrap();
    assert_eq!((&resolved["winner"], &resolved["price"]), (&winner["builder_pubkey"], &winner["price"]));

    let builders = rows("/lockstep/v1/builders");
    assert_eq!(builders.len(), 2, "{builders:?}");
    assert!(builders.iter().all(|of| of["may_bid"] == true && amount(of, "free_bond") <= amount(of, "bond")));

    for (path, status) in [
        (format!("{RECEIVED}?limit=5"), 400),
        (format!("{RECEIVED}?slot=1&limit=501"), 400),
        (format!("{RECEIVED}?slot=-1"), 400),
        (format!("{RECEIVED}?slot={}", u128::MAX), 400),
        (format!("{RECEIVED}?builder_pubkey=0x12"), 400),
        (format!("{DELIVERED}?limit=201"), 400),
        (format!("{DELIVERED}?slot=3&cursor=4"), 400),
        (format!("{DELIVERED}?order_by=slot"), 400),
        (format!("{DELIVERED}?slot=1&slot=x%"), 400),
        ("/lockstep/v1/auction/x".to_owned(), 400),
        (format!("/lockstep/v1/auction/{}", u64::MAX), 404),
    ] {
        let (got, error) = get(port, &path);
        assert_eq!((got, &error["code"]), (status, &Value::from(status)), "{path}: {error}");
        assert!(error["message"].is_string());
    }
}

/// What a line says of the own bid, by slot.
fn offers(lines: &[Value]) -> BTreeMap<u64, u128> {
    let offer = |line: &Value| Some((line["slot"].as_u64()?, line["bid"]["amount"].as_str()?.parse().ok()?));
    lines.iter().filter_map(offer).collect()
}

#[test]
fn builders_bid_win_and_pay_and_a_killed_one_signs_nothing_twice() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("net");
    let port = base_port(4);
    let (status, printed, err) =
        run(&["init", "--builders", "2", "--base-port", &port.to_string(), "--dir", folder.to_str().unwrap()]);
    assert!(status.success(), "{err}");
    assert!(printed.contains("lockstep builder --network"), "{printed}");
    let network = folder.join("network.toml");
    let member = |i: usize| folder.join(format!("member-{i}"));
    let members: Vec<Process> = (0..4)
        .map(|i| Process::start(process::node(&network, &member(i).join("node.toml")).stderr(Stdio::null())))
        .collect();
    let steady = Running::start(&network, "builder-0", "40000000000000");
    let mut killed = Running::start(&network, "builder-1", "60000000000000");
    let bids_with_receipts = |line: &Value| line["bid"]["receipts"].as_u64().is_some_and(|receipts| receipts >= 3);
    let (mut of_steady, mut of_killed) = (Vec::new(), Vec::new());
    of_killed.push(killed.slot(bids_with_receipts));

    // one journal, one process
    let (status, _, err) = run(&["builder", "--bidder", "builder-1", "--network", network.to_str().unwrap()]);
    assert_eq!(status.code(), Some(64), "{err}");
    assert!(err.contains("another process works in"), "{err}");

    // each time right after it has bid, before that bid is listed
    for _ in 0..3 {
        of_killed.push(killed.next("slot"));
        let bidder = killed.bidder.clone();
        killed.kill();
        killed = Running::start(&network, "builder-1", "60000000000000");
        assert_eq!(killed.bidder, bidder);
        of_killed.push(killed.slot(bids_with_receipts));
    }
    of_killed.extend((0..4).map(|_| killed.next("slot")));
    of_steady.extend(core::iter::repeat_with(|| steady.slot(|_| true)).take_while(|line| {
        // as far as the other one
        line["slot"].as_u64() < of_killed.last().and_then(|last| last["slot"].as_u64())
    }));

    // the second amount is the price, of whoever bids
    let (one, other) = (offers(&of_steady), offers(&of_killed));
    let mut compared = 0;
    for line in of_steady.iter().filter(|line| line["bids"] == 2) {
        let slot = line["slot"].as_u64().unwrap();
        let (Some(a), Some(b)) = (one.get(&slot), other.get(&slot)) else { continue };
        let price: u128 = line["price"].as_str().unwrap().parse().unwrap();
        assert_eq!(price, *a.min(b), "{line}");
        assert_eq!(line["won"], a > b, "{line}");
        compared += 1;
    }
    assert!(compared > 0, "{of_steady:?} {of_killed:?}");
    let told = of_steady.iter().rev().find_map(|line| {
        let slot = line["slot"].as_u64()?;
        (line["bids"] == 2).then_some((slot, [*one.get(&slot)?, *other.get(&slot)?], line))
    });
    // three slots are opened since, and executed
    let (slot, amounts, line) = told.unwrap();
    steady.slot(|later| later["slot"].as_u64() > Some(slot + 4));
    watched(port + 2, dir.path(), slot, amounts, line);
    let (steady, killed) = (steady.terminate(), killed.terminate());
    let won = |summary: &Value| summary["won"].as_u64().unwrap();
    assert!(won(&steady) + won(&killed) > 0, "{steady} {killed}");
    assert!(steady["fees"].as_str().unwrap().parse::<u128>().unwrap() > 0, "opened bids pay: {steady}");

    members.iter().for_each(Process::terminate);
    for process in members {
        assert!(process.wait().success());
    }
    let (found, sold) = bids(&member(0));
    assert!(found.values().all(|hashes| hashes.len() == 1), "{found:?}");
    assert!(found.len() > 8 && sold > 3, "{} bids, {sold} sold", found.len());
    let (status, out, err) = run(&["audit", member(1).to_str().unwrap(), "--network", network.to_str().unwrap()]);
    assert_eq!(status.code(), Some(0), "{out}{err}");
}
