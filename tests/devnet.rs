//! Goal: the devnet does its main job on real parts, ends cleanly, restarts, and its log audits clean.
//! Method: the program as a process, loopback only, a bounded number of slots.
#[expect(dead_code, reason = "each test program uses a part")]
mod common;

use common::{Devnet, base_port, folder::assert_no_faults, run};
use std::collections::{BTreeMap, BTreeSet};
use store::{log::LogDir, state::State};
use tokio::sync::Mutex;
use types::{Body, Entry, Kind, Nonce, codec, limits, wire::Status};
use wallet::{SubmitLimits, Submitter};

/// A devnet keeps two cores busy: one at a time.
static TURN: Mutex<()> = Mutex::const_new(());

#[test]
fn a_devnet_of_one_is_refused_with_the_reason() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("net");
    let (status, _, err) = run(&["devnet", "--members", "1", "--dir", folder.to_str().unwrap()]);
    assert_eq!(status.code(), Some(64));
    assert!(err.contains("3f + 1"), "{err}");
    let (status, _, err) = run(&["devnet", "--epoch-slots", "15", "--dir", folder.to_str().unwrap()]);
    assert_eq!(status.code(), Some(64));
    assert!(err.contains("16 or more"), "{err}");
    assert!(!folder.exists(), "a refused start leaves nothing behind");
}

#[test]
fn a_devnet_sequences_bundles_and_its_log_audits_clean() {
    let _turn = TURN.blocking_lock();
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("net");
    let port = base_port(4);
    let devnet = Devnet::start(&folder, port, &["--slots", "20", "--seed", "7", "--epoch-slots", "16"]);
    let (summary, status) = devnet.finish();
    assert!(status.success(), "{summary}");
    for (key, least) in [("envelopes", 10), ("bundles", 1), ("aborted", 1), ("committed", 5), ("acknowledged", 10)] {
        assert!(summary[key].as_u64().unwrap() >= least, "{key}: {summary}");
    }
    assert_eq!(summary["lost"], 0);
    assert_eq!(summary["failures"].as_array().unwrap().len(), 0, "{summary}");

    // every member's copy, by the command that the devnet prints, anchored on the genesis file
    let network = folder.join("network.toml");
    for member in 0..4 {
        let copy = folder.join(format!("member-{member}"));
        let args = ["audit", copy.to_str().unwrap(), "--network", network.to_str().unwrap(), "--json"];
        let (status, out, err) = run(&args);
        assert_eq!(status.code(), Some(0), "{out}{err}");
        let report: serde_json::Value = serde_json::from_str(&out).unwrap();
        assert_eq!(report["findings"].as_array().unwrap().len(), 0);
        assert!(report["checks"].as_array().unwrap().iter().all(|c| c["status"] != "FAIL"));
        let passed = report["checks"].as_array().unwrap().iter().filter(|c| c["status"] == "pass").count();
        assert!(passed >= 10, "{report}");
    }

    // another shape is refused and says what is there; the same continues the chain
    assert!(summary["slots"].as_u64().unwrap() > 16, "an epoch has ended");
    let (status, _, err) = run(&["devnet", "--members", "7", "--dir", folder.to_str().unwrap()]);
    assert_eq!(status.code(), Some(64));
    assert!(err.contains("4 members"), "{err}");
    let before = summary["slots"].as_u64().unwrap();
    let devnet = Devnet::start(&folder, port, &["--epoch-slots", "16"]);
    let lines = devnet.slots(3);
    assert!(lines[0]["slot"].as_u64().unwrap() >= before, "the chain goes on: {lines:?}");
    let (summary, status) = devnet.terminate();
    assert!(status.success(), "clean end on SIGTERM: {summary}");
}

#[test]
#[expect(clippy::wildcard_enum_match_arm, reason = "other entries say nothing of committees")]
fn a_devnet_hands_over_to_another_committee_and_loses_nothing() {
    let _turn = TURN.blocking_lock();
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("net");
    // a fifth member waits in its folder, and takes the place of the last one with the second epoch; on a busy machine,
    // where a handover can fail, with a later one
    let args = ["--epoch-slots", "40", "--slots", "130", "--slot-ms", "250"];
    let (summary, status) = Devnet::start(&folder, base_port(5), &args).finish();
    assert!(status.success(), "{summary}");
    assert_eq!(summary["lost"], 0);
    assert_eq!(summary["failures"].as_array().unwrap().len(), 0, "{summary}");

    // it has the whole log, in which it came, and units of both committees
    let joined = folder.join("member-4");
    let lock = State::open(&joined.join("state.redb")).unwrap().lock().unwrap().unwrap();
    let log = LogDir::open(&joined, Some(&lock)).unwrap();
    let (mut begins, mut executed) = (None, BTreeSet::new());
    for bytes in log.entries(0..lock.head.size).unwrap() {
        match codec::decode::<Entry>(&bytes, limits::ENTRY_BYTES_MAX).unwrap().kind {
            Kind::Epoch(record) if record.members.iter().any(|member| member.name == "member-4") => {
                assert!(record.members.iter().all(|member| member.name != "member-3"), "{:?}", record.members);
                begins = begins.or(Some(record.first_slot));
            }
            Kind::Envelope { slot, .. } => drop(executed.insert(slot)),
            _ => {}
        }
    }
    let begins = begins.expect("an EPOCH with the member that joins");
    assert!(executed.iter().any(|slot| *slot < begins) && executed.iter().any(|slot| *slot > begins), "{begins}");
    for member in [0, 3, 4] {
        let copy = folder.join(format!("member-{member}"));
        let network = folder.join("network.toml");
        let (status, out, err) = run(&["audit", copy.to_str().unwrap(), "--network", network.to_str().unwrap()]);
        assert_eq!(status.code(), Some(0), "member-{member}: {out}{err}");
    }
}

#[test]
fn a_devnet_where_a_few_combine_commits_and_audits_clean() {
    let _turn = TURN.blocking_lock();
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("net");
    let args = ["--slots", "20", "--seed", "8", "--epoch-slots", "16", "--reveal", "sharded"];
    let (summary, status) = Devnet::start(&folder, base_port(4), &args).finish();
    assert!(status.success(), "{summary}");
    for (key, least) in [("envelopes", 10), ("committed", 5), ("acknowledged", 10)] {
        assert!(summary[key].as_u64().unwrap() >= least, "{key}: {summary}");
    }
    assert_eq!(summary["lost"], 0);
    let network = folder.join("network.toml");
    let text = std::fs::read_to_string(&network).unwrap();
    assert!(text.contains("reveal = \"Sharded\""), "the network says so");
    let copy = folder.join("member-1");
    let args = ["audit", copy.to_str().unwrap(), "--network", network.to_str().unwrap(), "--json"];
    let (status, out, err) = run(&args);
    assert_eq!(status.code(), Some(0), "{out}{err}");
    let report: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(report["findings"].as_array().unwrap().len(), 0);
}

#[test]
#[expect(clippy::wildcard_enum_match_arm, reason = "other entries say nothing of what a slot holds")]
fn slots_that_hold_less_than_what_waits_are_filled_by_rank_and_body() {
    let _turn = TURN.blocking_lock();
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("net");
    let shape = ["--slots", "24", "--slot-units", "6", "--wallets", "6", "--builders", "2"];
    let (summary, status) = Devnet::start(&folder, base_port(4), &shape).finish();
    assert!(status.success(), "{summary}");
    assert_eq!(summary["lost"], 0);
    assert_eq!(summary["failures"].as_array().unwrap().len(), 0, "{summary}");
    let sent: u64 = summary["builders"].as_array().unwrap().iter().map(|of| of["bodies"].as_u64().unwrap()).sum();
    assert!(sent > 0, "{summary}");
    // a share of the fees of what bodies placed, and of nothing else, comes to the builders' balances
    let earned = |of: &serde_json::Value| of["earned"].as_str().unwrap().parse::<u128>().unwrap();
    let earned: u128 = summary["builders"].as_array().unwrap().iter().map(earned).sum();
    assert!(earned > 0, "{summary}");

    // what the log says of them
    let member = folder.join("member-0");
    let lock = State::open(&member.join("state.redb")).unwrap().lock().unwrap().unwrap();
    let log = LogDir::open(&member, Some(&lock)).unwrap();
    let (mut bodies, mut full, mut placed) = (BTreeMap::new(), BTreeSet::new(), 0);
    for bytes in log.entries(0..lock.head.size).unwrap() {
        match codec::decode::<Entry>(&bytes, limits::ENTRY_BYTES_MAX).unwrap().kind {
            Kind::Close { slot, header, .. } => {
                assert!(header.set.count <= 6, "slot {slot}");
                if header.set.count == 6 {
                    full.insert(slot);
                }
            }
            Kind::Body { slot, bytes } => {
                let body: Body = codec::decode(&bytes, limits::BODY_BYTES_MAX).unwrap();
                bodies.insert(slot, body.units);
            }
            Kind::Envelope { slot, bytes } => {
                let hash = crypto::ids::hash_envelope(&codec::decode(&bytes, limits::ENVELOPE_BYTES_MAX).unwrap());
                placed += usize::from(bodies.get(&slot).is_some_and(|units| units.contains(&hash)));
            }
            _ => {}
        }
    }
    assert!(!bodies.is_empty() && bodies.keys().all(|slot| full.contains(slot)), "{bodies:?} {full:?}");
    assert!(placed > 0);
    let network = folder.join("network.toml");
    let (status, out, err) = run(&["audit", member.to_str().unwrap(), "--network", network.to_str().unwrap()]);
    assert_eq!(status.code(), Some(0), "{out}{err}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_9_at_three_moments_loses_no_acknowledged_envelope() {
    let _turn = TURN.lock().await;
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("net");
    let port = base_port(4);
    let (mut acknowledged, mut fee_nonce, mut sender_nonce) = (Vec::new(), 0u64, 0u64);
    for (round, pause_ms) in [(0u64, 130u64), (1, 470), (2, 810)] {
        let devnet = Devnet::start(&folder, port, &["--wallets", "0"]);
        let mut person = devnet.person();
        let submitter = Submitter::start(common::Person::read(&folder).view, SubmitLimits::default());
        devnet.slots(2);
        for _ in 0..5 {
            let params = submitter.current().await.expect("members answer");
            let leg = person.transfer(901, sender_nonce);
            let (hash, envelope) = person.envelope(&params, fee_nonce, vec![leg]);
            let submission = submitter.submit(&envelope).await.unwrap_or_else(|e| panic!("round {round}: {e}"));
            assert!(submission.collected().receipts.len() >= 2, "f + 1 receipts");
            acknowledged.push(hash);
            (fee_nonce, sender_nonce) = (fee_nonce + 1, sender_nonce + 1);
        }
        tokio::time::sleep(std::time::Duration::from_millis(pause_ms)).await;
        devnet.kill();
    }
    let devnet = Devnet::start(&folder, port, &["--wallets", "0"]);
    let submitter = Submitter::start(common::Person::read(&folder).view, SubmitLimits::default());
    for hash in &acknowledged {
        let executed = async {
            loop {
                let told = submitter.status(*hash).await;
                if told.iter().flatten().filter(|s| matches!(s, Status::Executed { .. })).count() >= 3 {
                    break;
                }
                tokio::time::sleep(std::time::Duration::from_millis(200)).await;
            }
        };
        let told = tokio::time::timeout(common::PATIENCE, executed).await;
        assert!(told.is_ok(), "{hash} is lost: {:?}", submitter.status(*hash).await);
    }
    let account = submitter.account(common::Person::read(&folder).fee.address()).await;
    let nonce = account.iter().flatten().filter_map(|a| a.account).map(|a| a.nonce).max();
    assert_eq!(nonce, Some(Nonce(fee_nonce)), "every envelope was charged once");
    let (summary, status) = devnet.terminate();
    assert!(status.success(), "{summary}");
    assert_no_faults((0..4).map(|member| folder.join(format!("member-{member}"))));
    for member in 0..4 {
        let copy = folder.join(format!("member-{member}"));
        let (status, out, err) = run(&["audit", copy.to_str().unwrap()]);
        assert_eq!(status.code(), Some(0), "{out}{err}");
    }
}
