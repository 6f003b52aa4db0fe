// Goal: the bytes of a ciphertext, in every class. Method: the golden vector of the design; our own for the classes.
use super::*;
use crate::{hash::sha256, vectors};
use serde_json::{Value, json};
use std::{format, string::String};
use types::{Address, Amount, EnvelopeHeader, Epoch, Nonce, limits};

fn case(name: &str, secret: u64, aad: &[u8], message: &[u8], class_bytes: usize, entropy_byte: u8) -> Value {
    let key = key_of(secret);
    let padded = pad(message, class_bytes).unwrap();
    let ciphertext = seal(&key, entropy(entropy_byte), aad, &padded);
    let parts = Parts::split(&ciphertext, class_bytes).unwrap();
    let shared = G1Affine::uncompress(parts.u).unwrap().mul(&fr(secret));
    let k = mask(&key, parts.u, &shared.compress(), parts.c1);
    let text = vectors::text;
    json!({
        "name": name, "x": secret, "aad": text(aad), "message": text(message), "class": class_bytes,
        "entropy": text(&[entropy_byte; 32]), "keyId": text(&key.key_id().0), "k": text(&k), "u": text(parts.u),
        "v": text(parts.v), "w": text(parts.w), "xPoint": text(parts.x), "z": text(parts.z), "c1": text(parts.c1),
        "bytes": ciphertext.len(), "sha256": text(&sha256(&[&ciphertext]).0),
    })
}

#[test]
fn golden_ciphertexts_of_every_class() {
    let mut cases = std::vec![case("golden", 7, AAD, b"hello", 512, 0x11)];
    cases.push(case("bid", 7, b"\x02bid", b"amount", limits::BID_CLASS_BYTES, 0x12));
    for class in limits::SIZE_CLASS_BYTES {
        let message: Vec<u8> = (0..class - 4).map(|at| u8::try_from(at % 251).unwrap()).collect();
        cases.push(case(&format!("full {class}"), 1_000_003, AAD, &message, class, 0x13));
    }
    cases.push(case("empty", 7, b"", b"", 4, 0x14));
    vectors::ours("tests/vectors/crypto", "seal.json", &json!({ "cases": cases }));
}

#[test]
fn the_vector_of_the_design() {
    let golden = case("golden", 7, AAD, b"hello", 512, 0x11);
    let at = |field: &str| String::from(golden[field].as_str().unwrap().trim_start_matches("0x"));
    assert!(at("keyId").starts_with("38c174cf") && at("keyId").ends_with("0eab5aee"));
    assert_eq!(at("k"), "1039fb6901c208fd7376fc3b1ef0c97a");
    assert!(at("u").starts_with("a3e60099") && at("u").ends_with("4024f474"));
    assert!(at("z").starts_with("d420b36d") && at("z").ends_with("c8df14c"));
    assert_eq!(at("c1"), "a568035b3708fbb5a531fa7b4f006bee");
    assert_eq!(golden["bytes"], 768);
    assert_eq!(at("sha256"), "b7de383a9071ec5588271597facd4ffba5a9e528d710190b5827c273675f22f7");
}

#[test]
fn padding_is_exact() {
    let padded = pad(b"ab", 8).unwrap();
    assert_eq!(padded.0.as_slice(), [2, 0, 0, 0, b'a', b'b', 0, 0]);
    assert_eq!((padded.class_bytes(), unpad(&padded.0)), (8, Some(&b"ab"[..])));
    assert_eq!(unpad(&pad(b"", 4).unwrap().0), Some(&b""[..]));
    assert!(pad(b"abcde", 8).is_none() && pad(b"", 3).is_none() && pad(b"abcd", 8).is_some());
    let wrong: [&[u8]; 5] =
        [&[], &[0, 0, 0], &[1, 0, 0, 0], &[2, 0, 0, 0, 1, 2, 0, 1], &[0xff, 0xff, 0xff, 0xff, 0, 0]];
    for bytes in wrong {
        assert_eq!(unpad(bytes), None);
    }
}

#[test]
fn associated_data_is_kind_and_header() {
    let header = EnvelopeHeader {
        version: 1,
        network: Hash([1; 32]),
        epoch: Epoch(0),
        expiry_slot: Slot(9),
        fee_account: Address([2; 20]),
        nonce: Nonce(3),
        size_class: 0,
        gas_class: 21,
        max_fee: Amount::new(5).unwrap(),
        after: Vec::new(),
    };
    assert_eq!(envelope_aad(&header), [&[1][..], &codec::encode(&header)].concat());
}

#[test]
fn entropy_and_message_decide_the_ciphertext() {
    let key = key_of(7);
    let (a, b) = (pad(b"a", 512).unwrap(), pad(b"b", 512).unwrap());
    let base = seal(&key, entropy(1), AAD, &a);
    assert_eq!(seal(&key, entropy(1), AAD, &a), base);
    // A weak source still gives distinct U for distinct messages, headers and keys.
    let others = [
        seal(&key, entropy(2), AAD, &a),
        seal(&key, entropy(1), AAD, &b),
        seal(&key, entropy(1), b"\x01other header", &a),
        seal(&key_of(8), entropy(1), AAD, &a),
    ];
    assert!(others.iter().all(|other| other[..48] != base[..48] && other[224..240] != base[224..240]));
}
