//! Names by hash: network, block, list, envelope, rollup. Each is SHA-256 over a tag of its own and canonical bytes.
use crate::hash::{sha256, tagged};
use types::{
    Bid, BlockHeader, Body, Bundle, Envelope, Genesis, Hash, ListText, Object, Operation, RollupSpec, SignedHeader,
    Slot, Tail, codec, tag,
};

/// Network id: SHA-256("lockstep/genesis/v1" | codec(Genesis)).
#[must_use]
pub fn network_id(genesis: &Genesis) -> Hash {
    tagged(tag::GENESIS, &[&codec::encode(genesis)])
}

/// Block digest: SHA-256("lockstep/block/v1" | codec(BlockHeader)). What votes and the beacon sign.
#[must_use]
pub fn block_digest(header: &BlockHeader) -> Hash {
    tagged(tag::BLOCK, &[&codec::encode(header)])
}

/// SHA-256 of a ciphertext as it travels.
#[must_use]
pub fn ciphertext_hash(ciphertext: &[u8]) -> Hash {
    sha256(&[ciphertext])
}

/// Envelope hash: SHA-256("lockstep/envelope/v1" | codec(header, signature, consents) | ciphertext hash).
#[must_use]
pub fn envelope_hash(signed: &SignedHeader, ciphertext_hash: &Hash) -> Hash {
    tagged(tag::ENVELOPE, &[&codec::encode(signed), ciphertext_hash.as_ref()])
}

/// [`envelope_hash`] of a whole envelope.
#[must_use]
pub fn hash_envelope(envelope: &Envelope) -> Hash {
    envelope_hash(&envelope.signed, &ciphertext_hash(&envelope.ciphertext))
}

/// Bid hash: SHA-256("lockstep/bid/v1" | codec(Bid)).
#[must_use]
pub fn bid_hash(bid: &Bid) -> Hash {
    tagged(tag::BID, &[&codec::encode(bid)])
}

/// Body hash: SHA-256("lockstep/body/v1" | codec(Body)).
#[must_use]
pub fn body_hash(body: &Body) -> Hash {
    tagged(tag::BODY, &[&codec::encode(body)])
}

/// Tail hash: SHA-256("lockstep/tail/v1" | codec(Tail)).
#[must_use]
pub fn tail_hash(tail: &Tail) -> Hash {
    tagged(tag::TAIL, &[&codec::encode(tail)])
}

/// [`body_hash`] or [`tail_hash`].
#[must_use]
pub fn object_hash(object: &Object) -> Hash {
    match object {
        Object::Body(body) => body_hash(body),
        Object::Tail(tail) => tail_hash(tail),
    }
}

/// Identity of a tail's unit: SHA-256("lockstep/tail-unit/v1" | codec(slot, index, bundle)).
#[must_use]
pub fn tail_unit_hash(slot: Slot, index: u32, bundle: &Bundle) -> Hash {
    tagged(tag::TAIL_UNIT, &[&codec::encode(&(slot, index, bundle))])
}

/// What a member signs of its list: SHA-256("lockstep/list/v1" | codec(ListText)).
#[must_use]
pub fn list_digest(list: &ListText) -> Hash {
    tagged(tag::LIST, &[&codec::encode(list)])
}

/// Operation hash: SHA-256("lockstep/operation/v1" | codec(Operation)).
#[must_use]
pub fn operation_hash(operation: &Operation) -> Hash {
    operation_bytes_hash(&codec::encode(operation))
}

/// [`operation_hash`] of bytes as they travel, whether or not they are an operation.
#[must_use]
pub fn operation_bytes_hash(bytes: &[u8]) -> Hash {
    tagged(tag::OPERATION, &[bytes])
}

/// Version of the rules: SHA-256("lockstep/rules/v1"). A change of the rules is a change of the tag.
#[must_use]
pub fn rules_id() -> Hash {
    tagged(tag::RULES, &[])
}

/// Identity of a rollup: SHA-256("lockstep/rollup-spec/v1" | codec(RollupSpec)).
#[must_use]
pub fn spec_hash(spec: &RollupSpec) -> Hash {
    tagged(tag::ROLLUP_SPEC, &[&codec::encode(spec)])
}

#[cfg(test)]
mod tests {
    // Goal: an envelope's hash covers header, signature, consents and ciphertext. Method: change each.
    use super::*;
    use std::{collections::BTreeSet, vec};
    use types::{Address, Amount, EnvelopeHeader, Epoch, EthSignature, Nonce, Slot};

    fn envelope() -> Envelope {
        let header = EnvelopeHeader {
            version: EnvelopeHeader::VERSION,
            network: Hash([1; 32]),
            epoch: Epoch(2),
            expiry_slot: Slot(3),
            fee_account: Address([4; 20]),
            nonce: Nonce(5),
            size_class: 0,
            gas_class: 21,
            max_fee: Amount::new(6).unwrap(),
            after: vec![Hash([7; 32])],
        };
        let signed = SignedHeader { header, signature: EthSignature([8; 65]), consents: vec![EthSignature([9; 65])] };
        Envelope { signed, ciphertext: vec![10; 16] }
    }

    #[test]
    fn envelope_hash_covers_every_part() {
        let base = envelope();
        let mut seen = BTreeSet::from([hash_envelope(&base)]);
        let changes: [fn(&mut Envelope); 5] = [
            |e| e.signed.header.nonce = Nonce(6),
            |e| e.signed.header.after.clear(),
            |e| e.signed.signature.0[0] ^= 1,
            |e| e.signed.consents.clear(),
            |e| e.ciphertext[15] ^= 1,
        ];
        for change in changes {
            let mut other = base.clone();
            change(&mut other);
            assert!(seen.insert(hash_envelope(&other)));
        }
        let by_hand = tagged("lockstep/envelope/v1", &[&codec::encode(&base.signed), sha256(&[&[10; 16]]).as_ref()]);
        assert_eq!(hash_envelope(&base), by_hand);
    }

    #[test]
    fn rules_are_named_by_their_tag() {
        assert_eq!(rules_id(), sha256(&[b"lockstep/rules/v1"]));
    }
}
