// Goal: the verdict and the exit status are those of what was found, lies of f members included.
use super::*;
use crate::health::report::MempoolReport;
use crypto::ed25519::SigningKey;
use types::{MemberId, MemberRecord};
use zeroize::Zeroizing;

fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(Zeroizing::new([seed; 32]))
}

fn policy() -> Policy {
    let members: Vec<MemberRecord> = (0..4)
        .map(|i| MemberRecord {
            name: format!("m{i}"),
            consensus: Hash::ZERO,
            log: key(10 + i).public(),
            cosigner: key(20 + i).public(),
            receipt: Hash::ZERO,
            tls: Hash::ZERO,
        })
        .collect();
    Policy::new("a/b", &members, 1).unwrap()
}

/// A checkpoint with cosignatures of these members; `forged` has none of the others' keys but says so.
fn note(policy: &Policy, cosigners: [u8; 3], forged: bool) -> Vec<u8> {
    let head = Head { size: 7, root: Hash([7; 32]) };
    let log = checkpoint::sign("a/b", &head, &key(10));
    let stamps: Vec<_> = (0u64..)
        .zip(cosigners)
        .map(|(i, m)| {
            let seed = if forged { 99 } else { 20 + m };
            (MemberId(u16::from(m)), checkpoint::cosign("a/b", &head, 100 + i, &key(seed)))
        })
        .collect();
    policy.checkpoint(&head, (MemberId(0), log), &stamps).unwrap().into_bytes()
}

#[test]
fn a_checkpoint_counts_only_with_the_cosignatures_of_a_quorum() {
    let policy = policy();
    let good = published(&policy, &note(&policy, [0, 1, 3], false), 107).unwrap();
    assert_eq!((good.size, good.age_s), (7, 5), "the newest of the cosignatures' times");
    assert_eq!(good.cosigners, ["m0", "m1", "m3"]);
    let forged = published(&policy, &note(&policy, [0, 1, 3], true), 107).unwrap_err();
    assert!(forged.contains("cosignature of member 0"), "{forged}");
    let other = Policy::new("a/c", &[], 0);
    assert!(other.is_err(), "no committee, no policy");
    assert!(published(&policy, b"not a note", 107).is_err());
}

fn report(member: u16, slot: u64) -> Report {
    Report {
        network: Hash::ZERO.to_string(),
        origin: "a/b".into(),
        member,
        name: format!("m{member}"),
        version: "0".into(),
        time_ms: 0,
        uptime_ms: 0,
        state: "ready".into(),
        epoch: 0,
        final_slot: slot,
        final_age_ms: 100,
        opened_slot: slot,
        log_entries: 9,
        checkpoint: None,
        cosigners: Names::default(),
        committee: String::new(),
        cosigned: Vec::new(),
        peers: Names::default(),
        mempool: MempoolReport { envelopes: 0, bytes: 0 },
        disk_free_bytes: None,
        clock_skew_ms: None,
    }
}

fn row(member: u16, slot: Option<u64>) -> Row {
    let checkpoint = slot.map(|slot| Published { size: slot * 10, root: "r".into(), age_s: 0, cosigners: Vec::new() });
    Row {
        member,
        name: format!("m{member}"),
        http: String::new(),
        up: slot.is_some(),
        follows: false,
        trouble: Vec::new(),
        lag: None,
        checkpoint,
        report: slot.map(|slot| report(member, slot)),
    }
}

fn found(slots: [Option<u64>; 4]) -> Found {
    judge(Hash::ZERO, 1, 500, (0..).zip(slots).map(|(i, slot)| row(i, slot)).collect())
}

fn code(found: &Found) -> u8 {
    verdict(found).map_or_else(|failure| failure.code, |()| 0)
}

#[test]
fn a_quorum_is_enough_and_one_less_is_not() {
    let all = found([Some(10), Some(9), Some(10), Some(10)]);
    assert!(all.summary.starts_with("quorum ok: all 4"), "{}", all.summary);
    assert_eq!((code(&all), all.members[1].lag), (0, Some(1)));
    let three = found([Some(10), None, Some(10), Some(10)]);
    assert!(three.summary.contains("3 of 4 members follow, 3 are needed; 0 more may fail"), "{}", three.summary);
    assert_eq!(code(&three), 0);
    let two = found([Some(10), None, None, Some(10)]);
    assert!(two.summary.starts_with("f EXCEEDED: 2 of 3"), "{}", two.summary);
    assert_eq!(code(&two), 1);
    assert_eq!(code(&found([None; 4])), 69);
}

#[test]
fn a_liar_cannot_make_the_others_look_late() {
    let lie = found([Some(1_000_000), Some(9), Some(10), Some(10)]);
    assert!(lie.members.iter().all(|row| row.follows), "{}", table(&lie));
    let late = found([Some(100), Some(9), Some(100), Some(100)]);
    assert!(!late.members[1].follows);
    assert_eq!(late.members[1].trouble, ["91 slots behind"]);
}

#[test]
fn equal_sizes_with_other_roots_are_said_and_fail() {
    let mut rows: Vec<Row> = (0..4).map(|i| row(i, Some(10))).collect();
    rows[2].checkpoint.as_mut().unwrap().root = "another".into();
    let split = judge(Hash::ZERO, 1, 500, rows);
    assert_eq!((code(&split), split.diverged.as_slice()), (1, [100].as_slice()));
    assert!(split.summary.starts_with("DIVERGED"), "{}", split.summary);
}

#[test]
fn a_member_that_stands_still_or_is_another_does_not_follow() {
    let mut rows: Vec<Row> = (0..4).map(|i| row(i, Some(10))).collect();
    rows[0].report.as_mut().unwrap().final_age_ms = 60_000;
    rows[1].report.as_mut().unwrap().network = "ff".into();
    rows[2].checkpoint = None;
    let found = judge(Hash::ZERO, 1, 500, rows);
    assert_eq!(found.following, 1);
    let text = table(&found);
    for part in ["no final slot for 60 s", "answers as member 1 of network ff", "no checkpoint yet"] {
        assert!(text.contains(part), "{text}");
    }
}
