// Goal: TLG-2 for notes and keys, and that only true signatures verify. Method: Go's own example, the signed_note crate,
// bad texts by name, random changes.
use super::*;
use proptest::prelude::*;
use std::{boxed::Box, string::ToString, vec};
use zeroize::Zeroizing;

/// From the documentation of golang.org/x/mod/sumdb/note.
const GO_KEY: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
const GO_NOTE: &str = "If you think cryptography is the answer to your problem,\n\
    then you don't know what your problem is.\n\
    \n\
    — PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";

fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(Zeroizing::new([seed; 32]))
}

fn signed(name: &str, text: &str) -> (VerifierKey, Note) {
    let signer = key(1);
    let verifier = VerifierKey::new(name, KeyKind::Ed25519, signer.public()).unwrap();
    let line = verifier.line(&signer.sign(text.as_bytes()));
    (verifier, Note::new(text.to_string(), vec![line]).unwrap())
}

#[test]
fn tlg_1_the_note_of_go_verifies() {
    let key = VerifierKey::parse(GO_KEY).unwrap();
    assert_eq!((key.name(), key.kind(), key.id()), ("PeterNeumann", KeyKind::Ed25519, [0xc7, 0x4f, 0x20, 0xa3]));
    assert_eq!(key.to_string(), GO_KEY);
    let note = Note::parse(GO_NOTE.as_bytes()).unwrap();
    assert_eq!(note.to_string(), GO_NOTE);
    assert!(key.verify(note.text(), &note.lines()[0]));
    assert!(!key.verify(&note.text().replace("answer", "Answer"), &note.lines()[0]));
}

#[test]
fn tlg_1_our_notes_pass_the_signed_note_crate() {
    let (key, note) = signed("example.net/log", "a text\n\nwith a blank line\n");
    let theirs = signed_note::Note::from_bytes(note.to_string().as_bytes()).unwrap();
    assert_eq!(theirs.text(), note.text().as_bytes());
    let verifier = signed_note::StandardVerifier::new(&key.to_string()).unwrap();
    let known = signed_note::VerifierList::new(vec![Box::new(verifier)]);
    assert_eq!(theirs.verify(&known).unwrap().0.len(), 1);
    assert_eq!(Note::parse(note.to_string().as_bytes()), Ok(note));
}

#[test]
fn a_cosignature_covers_time_and_text() {
    let (text, signer) = ("example.net/log\n1\nAAAA\n", key(2));
    let stamp = cosign(text, 1_679_315_147, &signer);
    assert_eq!(stamp.0[..8], 1_679_315_147u64.to_be_bytes());
    assert_eq!(split_stamp(&stamp).0, 1_679_315_147);
    assert_eq!(cosignature_text(7, "a\n"), "cosignature/v1\ntime 7\na\n");
    let verifier = VerifierKey::new("example.net/log/m0", KeyKind::Cosignature, signer.public()).unwrap();
    let line = verifier.stamp_line(&stamp);
    assert_eq!(line.stamp(), Some(stamp));
    assert!(verifier.verify(text, &line));
    assert!(!verifier.verify("example.net/log\n2\nAAAA\n", &line));
    for bit in [0usize, 7 * 8, 8 * 8, 71 * 8] {
        let mut bad = stamp;
        bad.0[bit / 8] ^= 1;
        assert!(!verifier.verify(text, &verifier.stamp_line(&bad)));
    }
    // A plain signature of the same text is no cosignature, and the other way round.
    let plain = VerifierKey::new("example.net/log/m0", KeyKind::Ed25519, signer.public()).unwrap();
    assert_ne!(plain.id(), verifier.id());
    assert!(!verifier.verify(text, &verifier.line(&signer.sign(text.as_bytes()))));
    assert!(!plain.verify(text, &plain.stamp_line(&stamp)));
    // 2^63 and above is no time.
    let late = cosign(text, 1 << 63, &signer);
    assert!(!verify_cosignature(&signer.public(), text, &late));
    assert!(verify_cosignature(&signer.public(), text, &cosign(text, (1 << 63) - 1, &signer)));
}

#[test]
fn a_line_of_another_name_or_id_is_not_of_the_key() {
    let (key, note) = signed("example.net/log", "text\n");
    let line = &note.lines()[0];
    let mut other = line.clone();
    other.name = "example.net/lag".to_string();
    assert!(!key.is_of(&other) && !key.verify("text\n", &other));
    let mut other = line.clone();
    other.id[3] ^= 1;
    assert!(!key.is_of(&other) && !key.verify("text\n", &other));
    let mut short = line.clone();
    short.signature.pop();
    assert!(key.is_of(&short) && !key.verify("text\n", &short));
}

#[test]
fn tlg_2_other_texts_are_no_notes() {
    let (_, note) = signed("n", "text\n");
    let good = note.to_string();
    let line = good.lines().last().unwrap();
    for (bad, error) in [
        (String::new(), NoteError::Shape),
        ("text\n".to_string(), NoteError::Shape),
        ("text\n\n".to_string(), NoteError::Shape),
        ("text\n\n\n".to_string(), NoteError::Shape),
        (std::format!("text\n{line}\n"), NoteError::Shape),
        (good.trim_end().to_string(), NoteError::Shape),
        (std::format!("\n{line}\n"), NoteError::Shape),
        (good.replace("text", "te\txt"), NoteError::Text),
        (good.replace("text", "te\0xt"), NoteError::Text),
        (good.replace('\n', "\r\n"), NoteError::Text),
        (good.replace("— n", "- n"), NoteError::Line),
        (good.replace("— n", "—n"), NoteError::Line),
        (good.replace("— n ", "— n  "), NoteError::Line),
        (good.replace("— n ", "—  "), NoteError::Name),
        (good.replace("— n ", "— n+ "), NoteError::Name),
        (good.replace("— n ", "— n\u{a0} "), NoteError::Name),
        (std::format!("text\n\n{line}=\n"), NoteError::Line),
        (std::format!("text\n\n{}\n", line.trim_end_matches('=')), NoteError::Line),
        ("text\n\n— n AAAA\n".to_string(), NoteError::Line),
        ("text\n\n— n AAAAAA==\n".to_string(), NoteError::Line),
        (std::format!("{good}stray\n"), NoteError::Line),
        (std::format!("text\n\n{}", std::format!("{line}\n").repeat(SIGNATURES_MAX + 1)), NoteError::TooMany),
    ] {
        assert_eq!(Note::parse(bad.as_bytes()), Err(error), "{bad:?}");
    }
    assert_eq!(Note::parse(&[b'a', 0xff, b'\n']), Err(NoteError::Text));
    assert_eq!(Note::parse(&vec![b'a'; NOTE_BYTES_MAX + 1]), Err(NoteError::TooLong));
    let most = std::format!("text\n\n{}", std::format!("{line}\n").repeat(SIGNATURES_MAX));
    assert_eq!(Note::parse(most.as_bytes()).unwrap().lines().len(), SIGNATURES_MAX);
    assert_eq!(Note::new("no newline".to_string(), note.lines().to_vec()), Err(NoteError::Shape));
    assert_eq!(Note::new("text\n".to_string(), vec![]), Err(NoteError::Shape));
}

#[test]
fn tlg_2_other_texts_are_no_keys() {
    let (key, _) = signed("n", "text\n");
    let good = key.to_string();
    for bad in [
        "",
        "n",
        "n+00000000",
        "n++",
        "+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        &GO_KEY.replace("c74f20a3", "c74f20a4"),
        &GO_KEY.replace("c74f20a3", "C74F20A3"),
        &GO_KEY.replace("PeterNeumann", "Peter Neumann"),
        &GO_KEY.replace("+ARpc", "+AhpC"),
        good.strip_suffix(|_: char| true).unwrap(),
        &std::format!("{good}AAAA"),
    ] {
        assert!(VerifierKey::parse(bad).is_err(), "{bad}");
    }
    assert_eq!(VerifierKey::parse(&good), Ok(key));
    let long = "n".repeat(NAME_BYTES_MAX + 1);
    assert_eq!(VerifierKey::new(&long, KeyKind::Ed25519, Hash::ZERO), Err(NoteError::Name));
}

proptest! {
    #[test]
    fn tlg_2_a_note_that_parses_is_written_the_same(text in "[ -~\\n]{0,40}", junk in "[ -~\\n—]{0,80}") {
        for candidate in [text.clone(), std::format!("{text}\n\n{junk}"), std::format!("{text}\n\n— {junk} AAAAAAA=\n")] {
            if let Ok(note) = Note::parse(candidate.as_bytes()) {
                prop_assert_eq!(note.to_string(), candidate);
            }
        }
    }

    #[test]
    fn a_changed_note_does_not_verify(place in 0usize..GO_NOTE.len(), byte in any::<u8>()) {
        let mut bytes = GO_NOTE.as_bytes().to_vec();
        prop_assume!(bytes[place] != byte);
        bytes[place] = byte;
        let key = VerifierKey::parse(GO_KEY).unwrap();
        if let Ok(note) = Note::parse(&bytes) {
            prop_assert!(!note.lines().iter().any(|line| key.verify(note.text(), line)));
        }
    }
}
