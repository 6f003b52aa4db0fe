//! Goal: transactions of others decode, recover and hash as their makers say. Method: 100 of ethers' signed typed
//! transactions (tests/vectors/ethers-testcases), and mutations of them that are not canonical.
use super::*;
use crate::unit::{Tx, decode_tx};
use alloy_consensus::transaction::SignerRecoverable;
use alloy_primitives::keccak256;
use serde::Deserialize;
use std::string::String;

const VECTORS: &str = include_str!("../../../../tests/vectors/ethers-testcases/typed-transactions.json");

#[derive(Deserialize)]
struct Vector {
    name: String,
    address: Address,
    key: Hash,
    signed: String,
    unsigned: String,
}

fn bytes(hex: &str) -> Vec<u8> {
    hex::decode(hex.trim_start_matches("0x")).unwrap()
}

#[test]
fn ethers_typed_transactions_decode_recover_and_hash() {
    let vectors: Vec<Vector> = serde_json::from_str(VECTORS).unwrap();
    assert_eq!(vectors.len(), 100);
    for vector in vectors {
        let name = &vector.name;
        let raw = bytes(&vector.signed);
        let tx = decode_tx(&raw).unwrap_or_else(|| panic!("{name}"));
        assert_eq!(tx.recover_signer().unwrap().into_array(), vector.address.0, "{name}");
        assert_eq!(*tx.tx_hash(), keccak256(&raw), "{name}");
        assert_eq!(tx.signature_hash(), keccak256(bytes(&vector.unsigned)), "{name}");
        // Signing again gives ethers' very bytes: RFC 6979, low s.
        let wallet = Wallet::from_secret(vector.key);
        assert_eq!(wallet.address, vector.address, "{name}");
        assert_eq!(wallet.sign(tx.signature_hash()), *signature(&tx), "{name}");
        // Cut or continued bytes are none of these.
        assert!(decode_tx(&raw[..raw.len() - 1]).is_none(), "{name}");
        assert!(decode_tx(&[&raw[..], &[0]].concat()).is_none(), "{name}");
    }
}

fn signature(tx: &Tx) -> &Signature {
    match tx {
        Tx::Legacy(tx) => tx.signature(),
        Tx::Eip2930(tx) => tx.signature(),
        Tx::Eip1559(tx) => tx.signature(),
        Tx::Eip4844(tx) => tx.signature(),
        Tx::Eip7702(tx) => tx.signature(),
    }
}

#[test]
fn other_encodings_of_a_transaction_are_refused() {
    let wallet = Wallet::new(1);
    let leg = wallet.leg(&pay(A, 0, wallet.address, 0));
    assert!(decode_tx(&leg.tx).is_some());
    // 02 f8 len | chain id 82 0385 | nonce 80 | ...
    assert_eq!(leg.tx[..7], [2, 0xf8, leg.tx[2], 0x82, 0x03, 0x85, 0x80]);
    let replaced = |at: usize, len: usize, with: &[u8]| {
        let mut raw = leg.tx.clone();
        raw.splice(at..at + len, with.iter().copied());
        raw[2] = u8::try_from(raw.len() - 3).unwrap();
        raw
    };
    assert!(decode_tx(&replaced(6, 1, &[0x80])).is_some(), "the helper itself changes nothing");
    for (name, raw) in [
        ("zero as a byte", replaced(6, 1, &[0x00])),
        ("zero as a string of one", replaced(6, 1, &[0x81, 0x00])),
        ("leading zero", replaced(3, 3, &[0x83, 0x00, 0x03, 0x85])),
        ("string where the list is", replaced(1, 2, &[0xb8, leg.tx[2]])),
        ("length in two bytes", [&[2, 0xf9, 0][..], &leg.tx[2..]].concat()),
        ("as an RLP string, as on the wire", [&[0xb8, u8::try_from(leg.tx.len()).unwrap()][..], &leg.tx[..]].concat()),
        ("type zero", [&[0][..], &leg.tx[1..]].concat()),
    ] {
        assert!(decode_tx(&raw).is_none(), "{name}");
    }
}

#[test]
fn demo_calls_are_what_solidity_expects() {
    let to = Address([0x11; 20]);
    let selector = |signature: &str| keccak256(signature).0[..4].to_vec();
    let calls = [
        (demo::transfer_call(&to, 1), "transfer(address,uint256)"),
        (demo::transfer_from_call(&to, &to, 1), "transferFrom(address,address,uint256)"),
        (demo::approve_call(&to, 1), "approve(address,uint256)"),
        (demo::balance_of_call(&to), "balanceOf(address)"),
        (demo::swap_native_for_token_call(1, &to), "swapNativeForToken(uint256,address)"),
        (demo::swap_token_for_native_call(1, 1, &to), "swapTokenForNative(uint256,uint256,address)"),
        (demo::reserve_native_call(), "reserveNative()"),
        (demo::reserve_token_call(), "reserveToken()"),
    ];
    for (call, signature) in calls {
        assert_eq!(call[..4], selector(signature), "{signature}");
        assert_eq!((call.len() - 4) % 32, 0);
    }
    assert_eq!(demo::transfer_call(&to, 1)[16..36], to.0);
    assert_eq!(demo::word(&[0; 31]), None);
    assert_eq!(demo::word(&[0xff; 32]), None);
    assert_eq!([21_000, 32_768, 32_769, 1, 0].map(demo::gas_class), [15, 15, 16, 0, 0]);
}
