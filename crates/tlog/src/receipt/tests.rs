// Goal: only the member's own, unchanged receipt passes. Method: real keys, each fault by name.
use super::*;
use proptest::prelude::*;
use std::{string::ToString, vec};
use types::{ReceiptKind, Slot, Timestamp};
use zeroize::Zeroizing;

const NAME: &str = "example.net/test/m3/receipt";

fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(Zeroizing::new([seed; 32]))
}

fn receipt() -> Receipt {
    Receipt {
        name: NAME.to_string(),
        kind: ReceiptKind::Envelope,
        item: Hash([0xab; 32]),
        network: Hash([1; 32]),
        last_final: Slot(812_342),
        list_from: Slot(812_343),
        admit_by: Slot(812_344),
        expires: Slot(812_400),
        seq: 99_812,
        time: Timestamp(1_795_211_490_000),
    }
}

#[test]
fn a_receipt_verifies_under_its_key_and_name() {
    let note = sign(&receipt(), &key(5)).unwrap();
    assert_eq!(verify(note.as_bytes(), &key(5).public(), NAME), Ok(receipt()));
    assert_eq!(verify(note.as_bytes(), &key(6).public(), NAME), Err(ReceiptNoteError::Name));
    assert_eq!(verify(note.as_bytes(), &key(5).public(), "example.net/test/m2/receipt"), Err(ReceiptNoteError::Name));
    // Deterministic: the same item gets the same bytes.
    assert_eq!(sign(&receipt(), &key(5)).unwrap(), note);
    assert!(note.starts_with(&std::format!("{NAME}\nlockstep-receipt v1\nkind envelope\nitem ab")));
    assert!(note.len() < 512, "{}", note.len());
}

#[test]
fn other_notes_are_no_receipts() {
    let note = sign(&receipt(), &key(5)).unwrap();
    let public = key(5).public();
    let verify = |note: &str| verify(note.as_bytes(), &public, NAME);
    assert_eq!(verify(&note.replace("seq 99812", "seq 99813")), Err(ReceiptNoteError::Signature));
    let line = note.lines().last().unwrap();
    assert_eq!(verify(&std::format!("{note}{line}\n")), Err(ReceiptNoteError::Note(NoteError::TooMany)));
    assert_eq!(verify(&note.replace("seq 99812\n", "")), Err(ReceiptNoteError::Text(types::ReceiptError::Line)));
    assert_eq!(verify(&note.replace("seq 9", "seq 09")), Err(ReceiptNoteError::Text(types::ReceiptError::Value)));
    assert_eq!(verify(&"a".repeat(RECEIPT_BYTES_MAX + 1)), Err(ReceiptNoteError::Note(NoteError::TooLong)));
    let mut odd = receipt();
    odd.name = "a name".to_string();
    assert_eq!(sign(&odd, &key(5)), Err(NoteError::Name));
    // A checkpoint signed with the same key is no receipt.
    let text = "example.net/test\n1\nAAAA\n".to_string();
    let verifier = VerifierKey::new(NAME, KeyKind::Ed25519, public).unwrap();
    let other = Note::new(text.clone(), vec![verifier.line(&key(5).sign(text.as_bytes()))]).unwrap().to_string();
    assert!(verify(&other).is_err());
}

proptest! {
    #[test]
    fn a_changed_receipt_does_not_verify(place in 0usize..400, byte in any::<u8>()) {
        let note = sign(&receipt(), &key(5)).unwrap();
        let mut bytes = note.into_bytes();
        let place = place % bytes.len();
        prop_assume!(bytes[place] != byte);
        bytes[place] = byte;
        prop_assert!(verify(&bytes, &key(5).public(), NAME).is_err());
    }
}
