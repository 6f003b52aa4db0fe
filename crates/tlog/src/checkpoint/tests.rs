// Goal: TLG-2 for checkpoints, TLG-3 for what passes as a head. Method: a committee with real keys, each fault by name;
// tlog_tiles reads our checkpoints.
use super::*;
use std::{string::ToString, vec};
use zeroize::Zeroizing;

pub(crate) struct Committee {
    pub(crate) policy: Policy,
    pub(crate) members: Vec<MemberRecord>,
    f: u16,
    logs: Vec<SigningKey>,
    cosigners: Vec<SigningKey>,
}

pub(crate) const ORIGIN: &str = "example.net/test";

pub(crate) fn committee(n: u8, f: u16) -> Committee {
    let key = |use_: u8, i: u8| SigningKey::from_seed(Zeroizing::new([use_ + i; 32]));
    let logs: Vec<_> = (0..n).map(|i| key(0, i)).collect();
    let cosigners: Vec<_> = (0..n).map(|i| key(128, i)).collect();
    let record = |i: usize| MemberRecord {
        name: "member".to_string(),
        consensus: Hash::ZERO,
        log: logs[i].public(),
        cosigner: cosigners[i].public(),
        receipt: Hash::ZERO,
        tls: Hash::ZERO,
    };
    let members: Vec<_> = (0..usize::from(n)).map(record).collect();
    Committee { policy: Policy::new(ORIGIN, &members, f).unwrap(), members, f, logs, cosigners }
}

impl Committee {
    pub(crate) fn stamps(&self, head: &Head, who: &[u16]) -> Vec<(MemberId, SignatureStamp)> {
        let stamp = |i: &u16| cosign(ORIGIN, head, 1_795_211_490, &self.cosigners[usize::from(*i)]);
        who.iter().map(|i| (MemberId(*i), stamp(i))).collect()
    }
    pub(crate) fn log(&self, head: &Head, i: u16) -> (MemberId, Signature) {
        (MemberId(i), sign(ORIGIN, head, &self.logs[usize::from(i)]))
    }
    pub(crate) fn checkpoint(&self, head: &Head, cosigners: &[u16]) -> String {
        self.policy.checkpoint(head, self.log(head, 1), &self.stamps(head, cosigners)).unwrap()
    }
    pub(crate) fn with_origin(&self, origin: &str) -> Policy {
        Policy::new(origin, &self.members, self.f).unwrap()
    }
}

fn head() -> Head {
    Head { size: 20_852_163, root: Hash([7; 32]) }
}

#[test]
fn tlg_2_the_text_is_three_lines() {
    let text = text(ORIGIN, &head());
    assert_eq!(text, "example.net/test\n20852163\nBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=\n");
    assert_eq!(parse(&text), Ok((ORIGIN, head())));
    let theirs = tlog_tiles::Checkpoint::from_bytes(text.as_bytes()).unwrap();
    assert_eq!((theirs.origin(), theirs.size(), theirs.hash().0), (ORIGIN, 20_852_163, [7; 32]));
    for (bad, error) in [
        ("", CheckpointError::Lines),
        ("\n", CheckpointError::Lines),
        (text.trim_end(), CheckpointError::Lines),
        (&std::format!("{text}extension\n"), CheckpointError::Lines),
        (&text.replace("20852163\n", ""), CheckpointError::Lines),
        (&text.replace("20852163", "020852163"), CheckpointError::Value),
        (&text.replace("20852163", "+20852163"), CheckpointError::Value),
        (&text.replace("20852163", "99999999999999999999"), CheckpointError::Value),
        (&text.replace("wc=", "wc"), CheckpointError::Value),
        (&text.replace("wc=", "wd="), CheckpointError::Value),
        (&text.replace("Bwc=", ""), CheckpointError::Value),
        (&text.replace(ORIGIN, ""), CheckpointError::Value),
    ] {
        assert_eq!(parse(bad), Err(error), "{bad:?}");
    }
}

#[test]
fn tlg_3_a_published_checkpoint_verifies() {
    let committee = committee(7, 2);
    let stamps = committee.stamps(&head(), &[6, 4, 0, 3, 3, 1, 5]);
    let note = committee.policy.checkpoint(&head(), committee.log(&head(), 5), &stamps).unwrap();
    let verified = verify_checkpoint(&committee.policy, note.as_bytes()).unwrap();
    assert_eq!(verified.head, head());
    assert_eq!(verified.logs, [MemberId(5)]);
    // Exactly 2f+1, of lowest index, whatever order they came in.
    assert_eq!(verified.cosigners, [0, 1, 3, 4, 5].map(MemberId));
    assert_eq!(note.lines().count(), 3 + 1 + 1 + 5);
    for (member, stamp) in &stamps {
        assert!(committee.policy.verify_cosignature(*member, &head(), stamp));
        assert!(!committee.policy.verify_cosignature(MemberId(2), &head(), stamp));
        assert!(!committee.policy.verify_cosignature(*member, &Head { size: 1, ..head() }, stamp));
    }
    let (member, signature) = committee.log(&head(), 5);
    assert!(committee.policy.verify_log(member, &head(), &signature));
    assert!(!committee.policy.verify_log(MemberId(4), &head(), &signature));
    assert!(!committee.policy.verify_log(MemberId(70), &head(), &signature));
}

#[test]
fn a_checkpoint_is_not_rendered_below_the_quorum() {
    let committee = committee(4, 1);
    let render =
        |who: &[u16]| committee.policy.checkpoint(&head(), committee.log(&head(), 0), &committee.stamps(&head(), who));
    assert!(render(&[0, 1, 2]).is_some());
    assert!(render(&[0, 1]).is_none());
    assert!(render(&[0, 1, 1, 0]).is_none());
    let stranger = [(MemberId(9), SignatureStamp::ZERO)];
    let stamps = [committee.stamps(&head(), &[0, 1]), stranger.to_vec()].concat();
    assert!(committee.policy.checkpoint(&head(), committee.log(&head(), 0), &stamps).is_none());
    let (_, signature) = committee.log(&head(), 0);
    let stamps = committee.stamps(&head(), &[0, 1, 2]);
    assert!(committee.policy.checkpoint(&head(), (MemberId(4), signature), &stamps).is_none());
}

#[test]
fn tlg_3_heads_without_log_key_or_quorum_are_refused() {
    let committee = committee(4, 1);
    let policy = &committee.policy;
    let note = committee.checkpoint(&head(), &[0, 2, 3]);
    let lines: Vec<&str> = note.lines().collect();
    let without = |i: usize| {
        let kept: Vec<&str> = lines.iter().enumerate().filter(|(at, _)| *at != i).map(|(_, l)| *l).collect();
        std::format!("{}\n", kept.join("\n"))
    };
    let verify = |note: &str| verify_checkpoint(policy, note.as_bytes());
    assert_eq!(verify(&note).unwrap().cosigners, [0, 2, 3].map(MemberId));
    assert_eq!(verify(&without(4)), Err(HeadError::NoLog));
    for line in 5..8 {
        assert_eq!(verify(&without(line)), Err(HeadError::Quorum { have: 2, need: 3 }));
        // The same cosigner twice is one cosigner.
        let twice = std::format!("{}{}\n", without(line), lines[if line == 5 { 6 } else { 5 }]);
        assert_eq!(verify(&twice), Err(HeadError::Quorum { have: 2, need: 3 }));
    }
    // Lines of keys that nobody listed are ignored: they spoil nothing and count for nothing.
    let stranger = SigningKey::from_seed(Zeroizing::new([99; 32]));
    let key = VerifierKey::new(&cosigner_name(ORIGIN, MemberId(1)), KeyKind::Cosignature, stranger.public()).unwrap();
    let line = key.stamp_line(&cosign(ORIGIN, &head(), 1, &stranger));
    assert_eq!(verify(&std::format!("{note}{line}")), verify(&note));
    assert_eq!(verify(&std::format!("{}{line}", without(6))), Err(HeadError::Quorum { have: 2, need: 3 }));
}

#[test]
fn tlg_3_a_bad_line_of_a_listed_key_spoils_the_note() {
    let committee = committee(4, 1);
    let policy = &committee.policy;
    let other = Head { size: 1, root: head().root };
    let (text, mut lines) = (text(ORIGIN, &head()), vec![]);
    lines.push(policy.logs()[1].line(&committee.log(&head(), 1).1));
    for (member, stamp) in committee.stamps(&head(), &[0, 1, 2, 3]) {
        lines.push(policy.cosigner(member).unwrap().stamp_line(&stamp));
    }
    let verify = |lines: &[note::SignatureLine]| {
        let note = Note::new(text.clone(), lines.to_vec()).unwrap().to_string();
        verify_checkpoint(policy, note.as_bytes())
    };
    assert!(verify(&lines).is_ok());
    // Signatures of another head, a quorum being there without them.
    let mut bad = lines.clone();
    bad[4] = policy.cosigners()[3].stamp_line(&committee.stamps(&other, &[3])[0].1);
    assert_eq!(verify(&bad), Err(HeadError::BadCosigner(MemberId(3))));
    let mut bad = lines.clone();
    bad.push(policy.logs()[2].line(&committee.log(&other, 2).1));
    assert_eq!(verify(&bad), Err(HeadError::BadLog(MemberId(2))));
}

#[test]
fn tlg_3_another_origin_or_text_is_refused() {
    let committee = committee(4, 1);
    let note = committee.checkpoint(&head(), &[0, 2, 3]);
    let other = committee.with_origin("example.net/other");
    assert_eq!(verify_checkpoint(&other, note.as_bytes()), Err(HeadError::Origin));
    let edited = note.replace("20852163", "20852164");
    assert_eq!(verify_checkpoint(&committee.policy, edited.as_bytes()), Err(HeadError::BadLog(MemberId(1))));
    assert_eq!(verify_checkpoint(&committee.policy, b"garbage"), Err(HeadError::Note(NoteError::Shape)));
    let extended = note.replacen("\n\n", "\nextension\n\n", 1);
    let error = HeadError::Checkpoint(CheckpointError::Lines);
    assert_eq!(verify_checkpoint(&committee.policy, extended.as_bytes()), Err(error));
}

#[test]
fn a_policy_wants_distinct_keys_and_enough_members() {
    let members = committee(4, 1).members;
    let make = |members: &[MemberRecord], f| Policy::new(ORIGIN, members, f).map(|policy| policy.quorum());
    assert_eq!(make(&members, 1), Ok(3));
    assert_eq!(make(&members, 0), Ok(1));
    assert_eq!(make(&members, 2), Err(PolicyError::Count));
    assert_eq!(make(&members, u16::MAX), Err(PolicyError::Count));
    assert_eq!(make(&[], 0), Err(PolicyError::Count));
    let many: Vec<_> = members.iter().cycle().take(129).cloned().collect();
    assert_eq!(make(&many, 42), Err(PolicyError::Count));
    let mut shared = members.clone();
    shared[2].log = shared[0].log;
    assert_eq!(make(&shared, 1), Err(PolicyError::SharedKey(MemberId(2))));
    let mut shared = members.clone();
    shared[3].cosigner = shared[3].log;
    assert_eq!(make(&shared, 1), Err(PolicyError::SharedKey(MemberId(3))));
    for origin in ["", "a b", "a+b", "a\nb", &"a".repeat(200)] {
        assert_eq!(Policy::new(origin, &members, 1), Err(PolicyError::Origin));
    }
    assert!(Policy::new(&"a".repeat(199), &members, 1).is_ok());
}

#[test]
fn the_policy_file_names_all_keys() {
    let policy = committee(4, 1).policy;
    let text = policy.text();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 4 + 4 + 2);
    for (i, line) in lines[..4].iter().enumerate() {
        assert_eq!(VerifierKey::parse(line.strip_prefix("log ").unwrap()).as_ref(), Ok(&policy.logs()[i]));
    }
    for (i, line) in lines[4..8].iter().enumerate() {
        let key = line.strip_prefix(&std::format!("witness m{i} ")).unwrap();
        assert_eq!(VerifierKey::parse(key).as_ref(), Ok(&policy.cosigners()[i]));
        assert!(key.starts_with(&std::format!("{ORIGIN}/m{i}+")));
    }
    assert_eq!(lines[8..], ["group members 3 m0 m1 m2 m3", "quorum members"]);
    let one = policy.text_for_log(MemberId(2)).unwrap();
    assert_eq!(one.lines().filter(|line| line.starts_with("log ")).collect::<Vec<_>>(), [lines[2]]);
    assert_eq!(one.lines().count(), 1 + 4 + 2);
    assert_eq!(policy.text_for_log(MemberId(4)), None);
}

#[test]
fn sizes_of_the_page() {
    // log.md section 1: n <= 22 for tools that take 16 lines.
    let committee = committee(22, 7);
    let who: Vec<u16> = (0..22).collect();
    let note = committee.checkpoint(&head(), &who);
    assert_eq!(Note::parse(note.as_bytes()).unwrap().lines().len(), 16);
}
