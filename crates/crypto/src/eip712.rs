//! EIP-712 digests of what accounts sign (wallets-and-builders.md section 5).
//!
//! The domain is `("Lockstep", "1", salt = network id)`: no chain id, because a fee account belongs to no chain. All
//! fields of our structs are single words or a hash, so a struct's hash is keccak-256 over type hash and words.
use crate::hash::keccak256;
use alloc::vec::Vec;
use types::{AccountHeader, Address, BidHeader, BuildHeader, EnvelopeHeader, Hash, Nonce, wire::PendingRequest};

/// Type of the domain.
pub const DOMAIN_TYPE: &str = "EIP712Domain(string name,string version,bytes32 salt)";
/// Type of an envelope's header.
pub const ENVELOPE_TYPE: &str = concat!(
    "Envelope(uint8 version,uint64 epoch,uint64 expirySlot,address feeAccount,uint64 nonce,uint8 sizeClass,",
    "uint8 gasClass,uint128 maxFee,bytes32[] afterUnits,bytes32 ciphertextHash)"
);
/// Type of a payer's consent that another account's envelope names its unit in `after`.
pub const CONSENT_TYPE: &str = "AfterConsent(bytes32 unit,address feeAccount,uint64 nonce)";
/// Type of a bid's head.
pub const BID_TYPE: &str =
    "Bid(uint8 version,uint64 epoch,uint64 slot,address bidder,uint8 seq,uint8 capClass,bytes32 ciphertextHash)";

/// Type of a body's head.
pub const BODY_TYPE: &str =
    "Body(uint8 version,uint64 epoch,uint64 slot,address builder,uint8 seq,uint32 unitCount,bytes32 unitsHash)";
/// Type of a tail's head.
pub const TAIL_TYPE: &str = concat!(
    "Tail(uint8 version,uint64 epoch,uint64 slot,address builder,uint8 seq,bytes32 revealHash,uint32 bundleCount,",
    "bytes32 bundlesHash)"
);
/// Type of a builder's question for what a body could place.
pub const PENDING_TYPE: &str = "PendingRequest(uint16 member,uint64 slot,address builder)";
/// Type of an account's operation.
pub const OPERATION_TYPE: &str = concat!(
    "Operation(uint8 version,uint64 epoch,uint8 kind,address account,uint64 nonce,address to,uint128 amount,",
    "bytes32 data)"
);

/// A field of a struct, as EIP-712 encodes it: 32 bytes, numbers big-endian.
pub type Word = [u8; 32];

/// The domain separator of a network.
#[must_use]
pub fn domain(network: &Hash) -> Hash {
    struct_hash(DOMAIN_TYPE, &[keccak256(b"Lockstep").0, keccak256(b"1").0, network.0])
}

/// What the payer signs of an envelope.
#[must_use]
pub fn envelope_digest(header: &EnvelopeHeader, ciphertext_hash: &Hash) -> Hash {
    let after: Vec<u8> = header.after.iter().flat_map(|hash| hash.0).collect();
    let words = [
        number(header.version.into()),
        number(header.epoch.0.into()),
        number(header.expiry_slot.0.into()),
        address(&header.fee_account),
        number(header.nonce.0.into()),
        number(header.size_class.into()),
        number(header.gas_class.into()),
        number(header.max_fee.units()),
        keccak256(&after).0,
        ciphertext_hash.0,
    ];
    digest(&header.network, ENVELOPE_TYPE, &words)
}

/// What the payer of `unit` signs so that the envelope of this account and nonce may name it in `after`.
#[must_use]
pub fn consent_digest(network: &Hash, unit: &Hash, fee_account: &Address, nonce: Nonce) -> Hash {
    digest(network, CONSENT_TYPE, &[unit.0, address(fee_account), number(nonce.0.into())])
}

/// What the bidder signs of a bid.
#[must_use]
pub fn bid_digest(header: &BidHeader, ciphertext_hash: &Hash) -> Hash {
    let words = [
        number(header.version.into()),
        number(header.epoch.0.into()),
        number(header.slot.0.into()),
        address(&header.bidder),
        number(header.seq.into()),
        number(header.cap_class.into()),
        ciphertext_hash.0,
    ];
    digest(&header.network, BID_TYPE, &words)
}

/// What the builder signs of a body: so many units, and SHA-256 over their hashes in the body's order.
#[must_use]
pub fn body_digest(header: &BuildHeader, count: u32, units: &Hash) -> Hash {
    let [version, epoch, slot, builder, seq] = build_words(header);
    let words = [version, epoch, slot, builder, seq, number(count.into()), units.0];
    digest(&header.network, BODY_TYPE, &words)
}

/// What is signed of a tail: the reveal hash, so many bundles, and SHA-256 of the bundle list's codec bytes.
#[must_use]
pub fn tail_digest(header: &BuildHeader, reveal: &Hash, count: u32, bundles: &Hash) -> Hash {
    let [version, epoch, slot, builder, seq] = build_words(header);
    let words = [version, epoch, slot, builder, seq, reveal.0, number(count.into()), bundles.0];
    digest(&header.network, TAIL_TYPE, &words)
}

fn build_words(header: &BuildHeader) -> [Word; 5] {
    let BuildHeader { version, epoch, slot, builder, seq, .. } = header;
    [number((*version).into()), number(epoch.0.into()), number(slot.0.into()), address(builder), number((*seq).into())]
}

/// What an account signs of its operation.
#[must_use]
pub fn operation_digest(header: &AccountHeader) -> Hash {
    let words = [
        number(header.version.into()),
        number(header.epoch.0.into()),
        number(header.kind.into()),
        address(&header.account),
        number(header.nonce.0.into()),
        address(&header.to),
        number(header.amount.units()),
        header.data.0,
    ];
    digest(&header.network, OPERATION_TYPE, &words)
}

/// What a builder signs that asks a member what a body could place.
#[must_use]
pub fn pending_digest(request: &PendingRequest) -> Hash {
    let PendingRequest { network, member, slot, builder, .. } = request;
    digest(network, PENDING_TYPE, &[number(member.0.into()), number(slot.0.into()), address(builder)])
}

/// The digest to sign of any struct whose fields are single words: keccak-256(0x1901 | domain | struct hash).
#[must_use]
pub fn digest(network: &Hash, type_text: &str, words: &[Word]) -> Hash {
    let mut bytes = Vec::with_capacity(66);
    bytes.extend_from_slice(&[0x19, 0x01]);
    bytes.extend_from_slice(domain(network).as_ref());
    bytes.extend_from_slice(struct_hash(type_text, words).as_ref());
    keccak256(&bytes)
}

/// An unsigned number as a word.
#[must_use]
pub fn number(value: u128) -> Word {
    let mut word = [0; 32];
    word.iter_mut().rev().zip(value.to_le_bytes()).for_each(|(to, from)| *to = from);
    word
}

/// An address as a word.
#[must_use]
pub fn address(value: &Address) -> Word {
    let mut word = [0; 32];
    word.iter_mut().skip(12).zip(value.0).for_each(|(to, from)| *to = from);
    word
}

fn struct_hash(type_text: &str, words: &[Word]) -> Hash {
    let mut bytes = Vec::from(keccak256(type_text.as_bytes()).0);
    words.iter().for_each(|word| bytes.extend_from_slice(word));
    keccak256(&bytes)
}

#[cfg(test)]
mod tests {
    // Goal: type hashes and digests of wallets-and-builders.md section 5, which eth-account, ethers and viem agree on.
    // Method: the vector file; the types of which this module has no function go through `digest`.
    use super::*;
    use crate::{hash::sha256, vectors};
    use serde_json::Value;
    use std::{format, string::String, vec};
    use types::{Amount, Epoch, Slot};

    fn hash(value: &Value) -> Hash {
        Hash::from_hex(value.as_str().unwrap()).unwrap()
    }
    fn int(value: &Value) -> u128 {
        value.as_str().unwrap().parse().unwrap()
    }
    fn account(value: &Value) -> Address {
        Address::from_hex(value.as_str().unwrap()).unwrap()
    }

    fn word(kind: &str, value: &Value) -> Word {
        match kind {
            "address" => address(&account(value)),
            "bytes32" => hash(value).0,
            "bytes32[]" => {
                let items: Vec<u8> = value.as_array().unwrap().iter().flat_map(|item| hash(item).0).collect();
                keccak256(&items).0
            }
            uint if uint.starts_with("uint") => number(int(value)),
            other => panic!("type {other}"),
        }
    }

    #[test]
    fn golden_digests_of_every_struct() {
        let files = vectors::json("tests/vectors/eip712", &["structs.json"]);
        let file = &files["structs.json"];
        let network = hash(&file["network"]);
        assert_eq!(network, sha256(&[b"lockstep/test-network"]));
        assert_eq!(domain(&network), hash(&file["domainSeparator"]));
        let builder = Address::from_hex("f39Fd6e51aad88F6F4ce6aB8827279cffFb92266").unwrap();
        let build = BuildHeader { version: 1, network, epoch: Epoch(3), slot: Slot(812_301), builder, seq: 0 };
        let mut seen = vec![];
        for case in file["structs"].as_array().unwrap() {
            let name = case["name"].as_str().unwrap();
            let fields: Vec<(&str, &str, &Value)> = case["fields"]
                .as_array()
                .unwrap()
                .iter()
                .map(|field| (field[0].as_str().unwrap(), field[1].as_str().unwrap(), &field[2]))
                .collect();
            let list: Vec<String> = fields.iter().map(|(kind, field, _)| format!("{kind} {field}")).collect();
            let text = format!("{name}({})", list.join(","));
            assert_eq!(keccak256(text.as_bytes()), hash(&case["typeHash"]), "{name}");
            let words: Vec<Word> = fields.iter().map(|(kind, _, value)| word(kind, value)).collect();
            if !case["digest"].is_null() {
                assert_eq!(digest(&network, &text, &words), hash(&case["digest"]), "{name}");
            }
            match name {
                "Envelope" => assert_eq!(text, ENVELOPE_TYPE),
                "AfterConsent" => assert_eq!(text, CONSENT_TYPE),
                "Bid" => assert_eq!(text, BID_TYPE),
                "Body" => {
                    assert_eq!(text, BODY_TYPE);
                    assert_eq!(body_digest(&build, 2, &sha256(&[b"units"])), hash(&case["digest"]));
                }
                "Tail" => {
                    assert_eq!(text, TAIL_TYPE);
                    let digest = tail_digest(&build, &sha256(&[b"reveal"]), 1, &sha256(&[b"bundles"]));
                    assert_eq!(digest, hash(&case["digest"]));
                }
                "Operation" => assert_eq!(text, OPERATION_TYPE),
                _ => {}
            }
            seen.push(name);
        }
        assert_eq!(seen, ["Envelope", "AfterConsent", "Bid", "Body", "Tail", "Operation"]);
    }

    #[test]
    fn envelope_digest_takes_every_field_of_the_header() {
        let files = vectors::json("tests/vectors/eip712", &["structs.json"]);
        let header = EnvelopeHeader {
            version: 1,
            network: sha256(&[b"lockstep/test-network"]),
            epoch: Epoch(3),
            expiry_slot: Slot(812_345),
            fee_account: Address::from_hex("f39Fd6e51aad88F6F4ce6aB8827279cffFb92266").unwrap(),
            nonce: Nonce(7),
            size_class: 0,
            gas_class: 21,
            max_fee: Amount::new(1_000_000_000_000_000).unwrap(),
            after: vec![sha256(&[b"u1"])],
        };
        let want = hash(&files["structs.json"]["structs"][0]["digest"]);
        assert_eq!(envelope_digest(&header, &sha256(&[b"ct"])), want);
        let changes: [fn(&mut EnvelopeHeader); 10] = [
            |h| h.version = 2,
            |h| h.network.0[0] ^= 1,
            |h| h.epoch = Epoch(4),
            |h| h.expiry_slot = Slot(0),
            |h| h.fee_account.0[19] ^= 1,
            |h| h.nonce = Nonce(8),
            |h| h.size_class = 1,
            |h| h.gas_class = 20,
            |h| h.max_fee = Amount::ZERO,
            |h| h.after.clear(),
        ];
        for change in changes {
            let mut other = header.clone();
            change(&mut other);
            assert_ne!(envelope_digest(&other, &sha256(&[b"ct"])), want);
        }
        assert_ne!(envelope_digest(&header, &sha256(&[b"cu"])), want);
    }

    #[test]
    fn bid_digest_takes_every_field_of_the_head() {
        let files = vectors::json("tests/vectors/eip712", &["structs.json"]);
        let header = BidHeader {
            version: 1,
            network: sha256(&[b"lockstep/test-network"]),
            epoch: Epoch(3),
            slot: Slot(812_301),
            bidder: Address::from_hex("f39Fd6e51aad88F6F4ce6aB8827279cffFb92266").unwrap(),
            seq: 0,
            cap_class: 2,
        };
        let bid = files["structs.json"]["structs"].as_array().unwrap().iter().find(|case| case["name"] == "Bid");
        let want = hash(&bid.unwrap()["digest"]);
        assert_eq!(bid_digest(&header, &sha256(&[b"ct"])), want);
        let changes: [fn(&mut BidHeader); 7] = [
            |h| h.version = 2,
            |h| h.network.0[0] ^= 1,
            |h| h.epoch = Epoch(4),
            |h| h.slot = Slot(0),
            |h| h.bidder.0[19] ^= 1,
            |h| h.seq = 1,
            |h| h.cap_class = 1,
        ];
        for change in changes {
            let mut other = header;
            change(&mut other);
            assert_ne!(bid_digest(&other, &sha256(&[b"ct"])), want);
        }
        assert_ne!(bid_digest(&header, &sha256(&[b"cu"])), want);
    }

    #[test]
    fn operation_digest_takes_every_field_of_the_head() {
        let files = vectors::json("tests/vectors/eip712", &["structs.json"]);
        let header = AccountHeader {
            version: 1,
            network: sha256(&[b"lockstep/test-network"]),
            epoch: Epoch(3),
            kind: AccountHeader::TRANSFER,
            account: Address::from_hex("f39Fd6e51aad88F6F4ce6aB8827279cffFb92266").unwrap(),
            nonce: Nonce(0),
            to: Address::from_hex("70997970C51812dc3A010C7d01b50e0d17dc79C8").unwrap(),
            amount: Amount::new(1_000_000_000_000_000_000).unwrap(),
            data: Hash::ZERO,
        };
        let all = files["structs.json"]["structs"].as_array().unwrap();
        let want = hash(&all.iter().find(|case| case["name"] == "Operation").unwrap()["digest"]);
        assert_eq!(operation_digest(&header), want);
        let changes: [fn(&mut AccountHeader); 9] = [
            |h| h.version = 2,
            |h| h.network.0[0] ^= 1,
            |h| h.epoch = Epoch(4),
            |h| h.kind = AccountHeader::BOND,
            |h| h.account.0[19] ^= 1,
            |h| h.nonce = Nonce(1),
            |h| h.to.0[19] ^= 1,
            |h| h.amount = Amount::ZERO,
            |h| h.data.0[31] ^= 1,
        ];
        for change in changes {
            let mut other = header;
            change(&mut other);
            assert_ne!(operation_digest(&other), want);
        }
    }

    #[test]
    fn consent_is_the_struct_it_says() {
        let (network, unit, payer) = (Hash([1; 32]), Hash([2; 32]), Address([3; 20]));
        let words = [unit.0, address(&payer), number(4)];
        assert_eq!(consent_digest(&network, &unit, &payer, Nonce(4)), digest(&network, CONSENT_TYPE, &words));
        assert_eq!(hex::encode(number(0x0102)), format!("{:0>64}", "0102"));
        assert_eq!(hex::encode(address(&payer)), format!("{:0>64}", "03".repeat(20)));
    }
}
