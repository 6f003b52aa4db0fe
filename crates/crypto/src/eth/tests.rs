// Goal: one accepted form per signature, equal verdicts of both implementations. Method: a known key, every way to
// write its signature differently, ranges at their edges, random digests against the C library under `native`.
use super::*;
use proptest::prelude::*;

const ORDER: &str = "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141";

fn key(byte: u8) -> EthKey {
    EthKey::from_bytes(Zeroizing::new([byte; 32])).unwrap()
}

fn number(text: &str) -> [u8; 32] {
    Hash::from_hex(text).unwrap().0
}

/// order - s
fn negated(s: [u8; 32]) -> [u8; 32] {
    let (mut out, mut borrow) = ([0; 32], 0i16);
    for at in (0..32).rev() {
        let difference = i16::from(number(ORDER)[at]) - i16::from(s[at]) - borrow;
        borrow = i16::from(difference < 0);
        out[at] = u8::try_from(difference & 0xff).unwrap();
    }
    out
}

fn with(signature: &EthSignature, r: Option<[u8; 32]>, s: Option<[u8; 32]>, v: Option<u8>) -> EthSignature {
    let mut out = *signature;
    r.into_iter().for_each(|r| out.0[..32].copy_from_slice(&r));
    s.into_iter().for_each(|s| out.0[32..64].copy_from_slice(&s));
    v.into_iter().for_each(|v| out.0[64] = v);
    out
}

#[test]
fn address_of_the_first_hardhat_key() {
    let secret = number("ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80");
    let key = EthKey::from_bytes(Zeroizing::new(secret)).unwrap();
    assert_eq!(key.address(), Address::from_hex("f39Fd6e51aad88F6F4ce6aB8827279cffFb92266").unwrap());
}

#[test]
fn secret_key_range() {
    let refused = |bytes| EthKey::from_bytes(Zeroizing::new(bytes)).err();
    assert_eq!(refused([0; 32]), Some(EthError::SecretKey));
    assert_eq!(refused(number(ORDER)), Some(EthError::SecretKey));
    assert_eq!(refused([0xff; 32]), Some(EthError::SecretKey));
    let mut last = number(ORDER);
    last[31] -= 1;
    assert_eq!(refused(last), None);
}

#[test]
fn a_signature_has_one_form() {
    let (key, digest) = (key(7), keccak256(b"digest"));
    let signature = key.sign(&digest);
    assert_eq!(key.sign(&digest), signature, "RFC 6979: no randomness");
    assert_eq!(recover(&digest, &signature), Ok(key.address()));
    let s: [u8; 32] = signature.0[32..64].try_into().unwrap();
    let other_v = if signature.0[64] == 27 { 28 } else { 27 };
    assert_eq!(recover(&digest, &with(&signature, None, Some(negated(s)), Some(other_v))), Err(EthError::HighS));
    for v in [0, 1, 2, 26, 29, 30, 31, 37, 255] {
        assert_eq!(recover(&digest, &with(&signature, None, None, Some(v))), Err(EthError::V));
    }
    assert_ne!(recover(&digest, &with(&signature, None, None, Some(other_v))), Ok(key.address()));
    assert_ne!(recover(&keccak256(b"other"), &signature), Ok(key.address()));
}

#[test]
fn edges_of_r_and_s() {
    let digest = keccak256(b"digest");
    let signature = key(7).sign(&digest);
    let cases = [
        (Some([0; 32]), None),
        (Some(number(ORDER)), None),
        (Some([0xff; 32]), None),
        (None, Some([0; 32])),
        // 5 is no x coordinate of the curve.
        (Some(number("0000000000000000000000000000000000000000000000000000000000000005")), None),
    ];
    for (r, s) in cases {
        let wrong = with(&signature, r, s, None);
        assert_eq!(recover(&digest, &wrong), Err(EthError::NotRecoverable));
        let rs = wrong.0[..64].try_into().unwrap();
        assert_eq!(recover_portable(&digest, &rs, false), Err(EthError::NotRecoverable));
    }
    assert_ne!(recover(&digest, &with(&signature, None, Some(HALF_ORDER), None)), Err(EthError::HighS));
    let mut above = HALF_ORDER;
    above[31] += 1;
    assert_eq!(recover(&digest, &with(&signature, None, Some(above), None)), Err(EthError::HighS));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_digest_recovers(secret in 1u8..=254, digest: [u8; 32]) {
        let key = key(secret);
        let signature = key.sign(&Hash(digest));
        prop_assert!(signature.0[64] == 27 || signature.0[64] == 28);
        prop_assert!(signature.0[32..64] <= HALF_ORDER[..]);
        prop_assert_eq!(recover(&Hash(digest), &signature), Ok(key.address()));
    }
    /// With `native` this compares the two implementations; without, that arbitrary bytes never panic.
    #[test]
    fn arbitrary_bytes_get_one_verdict(digest: [u8; 32], mut rs: [u8; 64], v in 26u8..30) {
        rs[32] &= 0x7f;
        let mut bytes = [v; 65];
        bytes[..64].copy_from_slice(&rs);
        let verdict = recover(&Hash(digest), &EthSignature(bytes));
        if let Ok((rs, odd)) = checked_form(&EthSignature(bytes)) {
            prop_assert_eq!(verdict, recover_portable(&Hash(digest), &rs, odd));
        } else {
            prop_assert!(verdict.is_err());
        }
    }
}
