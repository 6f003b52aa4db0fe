//! Bodies and tails: signed by whoever holds the right to build a slot.
use crate::{
    eip712,
    eth::{self, EthKey},
    hash::sha256,
};
use alloc::vec::Vec;
use types::{
    Address, Body, BuildHeader, Bundle, EthSignature, Hash, MemberId, Object, SignedBuild, Slot, Tail, codec,
    wire::PendingRequest,
};

/// `unitsHash`: SHA-256 over the hashes in the body's order.
#[must_use]
pub fn units_hash(units: &[Hash]) -> Hash {
    let bytes: Vec<&[u8]> = units.iter().map(Hash::as_bytes).map(<[u8; 32]>::as_slice).collect();
    sha256(&bytes)
}

/// `bundlesHash`: SHA-256 of the codec bytes of the bundle list.
#[must_use]
pub fn bundles_hash(bundles: &[Bundle]) -> Hash {
    sha256(&[&codec::encode(&bundles)])
}

/// Signs a body.
#[must_use]
pub fn body(key: &EthKey, header: BuildHeader, units: Vec<Hash>) -> Body {
    let signature = key.sign(&body_digest(&header, &units));
    Body { header, signature, units }
}

/// Signs a tail. `key` is the builder's, or that of the `tail_recipient` of its bid.
#[must_use]
pub fn tail(key: &EthKey, header: BuildHeader, reveal: Hash, bundles: Vec<Bundle>) -> Tail {
    let signature = key.sign(&tail_digest(&header, &reveal, &bundles));
    Tail { header, reveal, signature, bundles }
}

/// Who signed a body; `None`: nobody.
#[must_use]
pub fn body_signer(body: &Body) -> Option<Address> {
    eth::recover(&body_digest(&body.header, &body.units), &body.signature).ok()
}

/// Who signed a tail; `None`: nobody.
#[must_use]
pub fn tail_signer(tail: &Tail) -> Option<Address> {
    eth::recover(&tail_digest(&tail.header, &tail.reveal, &tail.bundles), &tail.signature).ok()
}

/// Asks a member, in the name of whoever has bought a slot, what its body could place.
#[must_use]
pub fn ask_pending(key: &EthKey, network: Hash, member: MemberId, slot: Slot) -> PendingRequest {
    let (builder, signature) = (key.address(), EthSignature([0; 65]));
    let request = PendingRequest { network, member, slot, builder, signature };
    PendingRequest { signature: key.sign(&eip712::pending_digest(&request)), ..request }
}

/// Whether its builder signed it.
#[must_use]
pub fn is_asked_by_builder(request: &PendingRequest) -> bool {
    eth::recover(&eip712::pending_digest(request), &request.signature).ok() == Some(request.builder)
}

/// A body or a tail as evidence shows it.
#[must_use]
pub fn signed(object: &Object) -> SignedBuild {
    match object {
        Object::Body(body) => SignedBuild {
            header: body.header,
            reveal: None,
            count: count(&body.units),
            content: units_hash(&body.units),
            signature: body.signature,
        },
        Object::Tail(tail) => SignedBuild {
            header: tail.header,
            reveal: Some(tail.reveal),
            count: count(&tail.bundles),
            content: bundles_hash(&tail.bundles),
            signature: tail.signature,
        },
    }
}

/// Who signed it; `None`: nobody.
#[must_use]
pub fn signer(build: &SignedBuild) -> Option<Address> {
    let SignedBuild { header, reveal, count, content, signature } = build;
    let digest = match reveal {
        None => eip712::body_digest(header, *count, content),
        Some(reveal) => eip712::tail_digest(header, reveal, *count, content),
    };
    eth::recover(&digest, signature).ok()
}

fn count<T>(items: &[T]) -> u32 {
    u32::try_from(items.len()).unwrap_or(u32::MAX)
}

fn body_digest(header: &BuildHeader, units: &[Hash]) -> Hash {
    eip712::body_digest(header, count(units), &units_hash(units))
}

fn tail_digest(header: &BuildHeader, reveal: &Hash, bundles: &[Bundle]) -> Hash {
    eip712::tail_digest(header, reveal, count(bundles), &bundles_hash(bundles))
}

#[cfg(test)]
mod tests {
    // Goal: a signature covers every part of a body and of a tail. Method: sign, then change each part.
    use super::*;
    use alloc::vec;
    use types::{ChainId, Epoch, Leg, Policy, Slot};
    use zeroize::Zeroizing;

    fn key(n: u8) -> EthKey {
        EthKey::from_bytes(Zeroizing::new([n; 32])).unwrap()
    }
    fn header() -> BuildHeader {
        let builder = key(1).address();
        BuildHeader { version: 1, network: Hash([9; 32]), epoch: Epoch(2), slot: Slot(31), builder, seq: 1 }
    }
    fn bundle(salt: u8) -> Bundle {
        let legs = vec![Leg { chain_id: ChainId(901), tx: vec![1, 2, 3] }];
        Bundle { version: 1, policy: Policy::AtomicExec, legs, deadline_slot: Slot(40), salt: Hash([salt; 32]) }
    }
    const CHANGES: [fn(&mut BuildHeader); 6] = [
        |h| h.version = 2,
        |h| h.network.0[0] ^= 1,
        |h| h.epoch = Epoch(3),
        |h| h.slot = Slot(32),
        |h| h.builder.0[3] ^= 1,
        |h| h.seq = 0,
    ];

    #[test]
    fn a_body_is_signed_whole() {
        let body = body(&key(1), header(), vec![Hash([1; 32]), Hash([2; 32])]);
        let own = Some(key(1).address());
        assert_eq!(body_signer(&body), own);
        for change in CHANGES {
            let mut other = body.clone();
            change(&mut other.header);
            assert_ne!(body_signer(&other), own);
        }
        let mut other = body.clone();
        other.units.swap(0, 1);
        assert_ne!(body_signer(&other), own);
        other.units.truncate(1);
        assert_ne!(body_signer(&other), own);
    }

    #[test]
    fn a_tail_is_signed_whole() {
        let tail = tail(&key(2), header(), Hash([5; 32]), vec![bundle(1), bundle(2)]);
        let own = Some(key(2).address());
        assert_eq!(tail_signer(&tail), own);
        for change in CHANGES {
            let mut other = tail.clone();
            change(&mut other.header);
            assert_ne!(tail_signer(&other), own);
        }
        let changes: [fn(&mut Tail); 4] = [
            |t| t.reveal.0[31] ^= 1,
            |t| t.bundles.swap(0, 1),
            |t| t.bundles[1].salt = Hash([3; 32]),
            |t| t.bundles.truncate(1),
        ];
        for change in changes {
            let mut other = tail.clone();
            change(&mut other);
            assert_ne!(tail_signer(&other), own);
        }
    }
}
