// Goal: A-35: two different bids that a builder signed under one slot and seq prove it, with no committee at all, and
// nothing else proves anything. Method: pairs that differ in one field; signatures of others; statements out of order.
use super::*;
use crate::{dealer::deal, eip712, eth::EthKey};
use std::vec::Vec;
use types::{Address, SignedBid};
use zeroize::Zeroizing;

const NETWORK: Hash = Hash([9; 32]);

fn key(byte: u8) -> EthKey {
    EthKey::from_bytes(Zeroizing::new([byte; 32])).unwrap()
}

fn said(by: &EthKey, change: impl Fn(&mut SignedBid)) -> SignedBid {
    let header = BidHeader {
        version: 1,
        network: NETWORK,
        epoch: Epoch(0),
        slot: Slot(12),
        bidder: key(5).address(),
        seq: 1,
        cap_class: 2,
    };
    let mut bid = SignedBid { header, ciphertext: Hash([1; 32]), signature: types::EthSignature([0; 65]) };
    change(&mut bid);
    bid.signature = by.sign(&eip712::bid_digest(&bid.header, &bid.ciphertext));
    bid
}

fn pair(one: SignedBid, other: SignedBid) -> Evidence {
    let (a, b) = ordered(one, other, codec::encode);
    Evidence::Builder { double: BuilderDouble::Bid { a, b }.into() }
}

/// Nobody's committee: a builder's own signatures are all.
fn held_against(evidence: &Evidence, network: Hash, slots: (u64, u64)) -> Result<Proved, EvidenceError> {
    let keys = deal(4, 1, &[7; 32]).key_set();
    let params = Params::default_for(500);
    let (first_slot, last_slot) = (Slot(slots.0), Slot(slots.1));
    let context =
        Context { network, epoch: Epoch(0), first_slot, last_slot, f: 1, members: &[], params: &params, keys: &keys };
    verify(evidence, &context)
}

fn verdict(evidence: &Evidence) -> Result<Proved, EvidenceError> {
    held_against(evidence, NETWORK, (1, 99))
}

#[test]
fn a35_two_signed_bids_of_one_seq_prove_their_builder() {
    let builder = key(5);
    let accused = Accused::Builder { builder: builder.address(), slot: Slot(12) };
    let changes: [fn(&mut SignedBid); 3] =
        [|b| b.ciphertext = Hash([2; 32]), |b| b.header.cap_class = 3, |b| b.header.epoch = Epoch(1)];
    for change in changes {
        let evidence = pair(said(&builder, |_| {}), said(&builder, change));
        let proved = Proved { finding: Finding::BidDouble, accused, place: Place::Slot(Slot(12)) };
        assert_eq!(verdict(&evidence), Ok(proved));
        assert_eq!(claim(&evidence), proved.claim());
        let mut word = [0; 32];
        word[12..].copy_from_slice(&builder.address().0);
        assert_eq!(proved.key(&[]), Some(Hash(word)), "the address, after 12 zero bytes");
        let bytes = codec::encode(&evidence);
        assert!(bytes.len() < 400, "{}: without the ciphertexts", bytes.len());
        assert_eq!(decode(&bytes).as_ref(), Some(&evidence));
        assert_eq!(held_against(&evidence, Hash([8; 32]), (1, 99)), Err(EvidenceError::Network));
        assert_eq!(held_against(&evidence, NETWORK, (13, 99)), Err(EvidenceError::Slot(Slot(12))));
    }
}

#[test]
fn what_differs_in_its_place_is_no_double() {
    let builder = key(5);
    let changes: [fn(&mut SignedBid); 3] =
        [|b| b.header.seq = 2, |b| b.header.slot = Slot(13), |b| b.header.bidder = Address([3; 20])];
    for change in changes {
        let evidence = pair(said(&builder, |_| {}), said(&builder, change));
        assert_eq!(verdict(&evidence), Err(EvidenceError::Apart));
    }
    let versions = pair(said(&builder, |_| {}), said(&builder, |b| b.header.version = 2));
    assert_eq!(verdict(&versions), Err(EvidenceError::Version));
    let networks = pair(said(&builder, |_| {}), said(&builder, |b| b.header.network = Hash([8; 32])));
    assert_eq!(verdict(&networks), Err(EvidenceError::Network));
}

#[test]
fn nobody_is_convicted_by_what_another_signed() {
    let (builder, other) = (key(5), key(6));
    let own = said(&builder, |_| {});
    let forged = said(&other, |b| b.ciphertext = Hash([2; 32]));
    assert!(matches!(verdict(&pair(own, forged)), Err(EvidenceError::Signature(_))));
    // the one form of a signature: its mirror image is none
    let mut mirrored = own;
    mirrored.signature.0[64] ^= 7;
    assert!(matches!(verdict(&pair(own, mirrored)), Err(EvidenceError::Signature(_))));
}

#[test]
fn a_bid_beside_itself_and_two_in_the_wrong_order_are_no_evidence() {
    let builder = key(5);
    let (a, b) = ordered(said(&builder, |_| {}), said(&builder, |b| b.ciphertext = Hash([2; 32])), codec::encode);
    let of = |a, b| Evidence::Builder { double: BuilderDouble::Bid { a, b }.into() };
    for evidence in [of(a, a), of(b, a)] {
        assert_eq!(verdict(&evidence), Err(EvidenceError::Order));
    }
    let all: Vec<Evidence> = [of(a, b)].into();
    assert!(all.iter().all(|evidence| verdict(evidence).is_ok()));
}

fn built(by: &EthKey, reveal: Option<Hash>, change: impl Fn(&mut SignedBuild)) -> SignedBuild {
    let builder = key(5).address();
    let header = BuildHeader { version: 1, network: NETWORK, epoch: Epoch(0), slot: Slot(12), builder, seq: 1 };
    let signature = types::EthSignature([0; 65]);
    let mut build = SignedBuild { header, reveal, count: 2, content: Hash([1; 32]), signature };
    change(&mut build);
    let digest = match &build.reveal {
        None => eip712::body_digest(&build.header, build.count, &build.content),
        Some(reveal) => eip712::tail_digest(&build.header, reveal, build.count, &build.content),
    };
    build.signature = by.sign(&digest);
    build
}

fn by(signer: &EthKey, one: SignedBuild, other: SignedBuild) -> Evidence {
    let (a, b) = ordered(one, other, codec::encode);
    Evidence::Builder { double: BuilderDouble::Build { signer: signer.address(), a, b }.into() }
}

fn two(one: SignedBuild, other: SignedBuild) -> Evidence {
    by(&key(5), one, other)
}

#[test]
fn a35_two_signed_bodies_or_tails_of_one_seq_prove_their_builder() {
    let builder = key(5);
    let accused = Accused::Builder { builder: builder.address(), slot: Slot(12) };
    for (reveal, finding) in [(None, Finding::BodyDouble), (Some(Hash([3; 32])), Finding::TailDouble)] {
        let of = |change: &dyn Fn(&mut SignedBuild)| built(&builder, reveal, change);
        let plain = of(&|_| {});
        let proved = Proved { finding, accused, place: Place::Slot(Slot(12)) };
        let others: [fn(&mut SignedBuild); 2] = [|b| b.content = Hash([2; 32]), |b| b.count = 3];
        for change in others {
            let evidence = two(plain, of(&change));
            assert_eq!(verdict(&evidence), Ok(proved));
            assert_eq!(claim(&evidence), proved.claim());
            assert_eq!(decode(&codec::encode(&evidence)).as_ref(), Some(&evidence));
            assert_eq!(held_against(&evidence, Hash([8; 32]), (1, 99)), Err(EvidenceError::Network));
            assert_eq!(held_against(&evidence, NETWORK, (13, 99)), Err(EvidenceError::Slot(Slot(12))));
        }
        let apart: [fn(&mut SignedBuild); 3] =
            [|b| b.header.seq = 2, |b| b.header.slot = Slot(13), |b| b.header.builder = Address([3; 20])];
        for change in apart {
            assert_eq!(verdict(&two(plain, of(&change))), Err(EvidenceError::Apart));
        }
        assert_eq!(verdict(&two(plain, of(&|b| b.header.version = 2))), Err(EvidenceError::Version));
        assert_eq!(verdict(&two(plain, plain)), Err(EvidenceError::Order));
        let stranger = built(&key(6), reveal, |b| b.content = Hash([2; 32]));
        assert!(matches!(verdict(&two(plain, stranger)), Err(EvidenceError::Signature(_))));
    }
    // a body beside a tail is none, and neither is taken for the other
    let (body, tail) = (built(&builder, None, |_| {}), built(&builder, Some(Hash([3; 32])), |_| {}));
    assert_eq!(verdict(&two(body, tail)), Err(EvidenceError::Apart));
    let posing = SignedBuild { reveal: Some(Hash([3; 32])), ..body };
    assert!(matches!(verdict(&two(tail, posing)), Err(EvidenceError::Signature(_))));
}

#[test]
fn a35_two_tails_of_a_recipient_prove_whoever_signed_them() {
    let recipient = key(6);
    let reveal = Some(Hash([3; 32]));
    let (one, other) = (built(&recipient, reveal, |_| {}), built(&recipient, reveal, |b| b.content = Hash([2; 32])));
    let accused = Accused::Builder { builder: recipient.address(), slot: Slot(12) };
    let evidence = by(&recipient, one, other);
    let proved = Proved { finding: Finding::TailDouble, accused, place: Place::Slot(Slot(12)) };
    assert_eq!(verdict(&evidence), Ok(proved));
    assert_eq!(claim(&evidence), proved.claim());
    // not the builder that they name, nor anybody else
    for named in [key(5), key(7)] {
        assert!(matches!(verdict(&by(&named, one, other)), Err(EvidenceError::Signature(_))));
    }
    // one of each is no fault of either
    let own = built(&key(5), reveal, |b| b.content = Hash([4; 32]));
    for named in [key(5), key(6)] {
        assert!(matches!(verdict(&by(&named, one, own)), Err(EvidenceError::Signature(_))));
    }
    // nor two that name two builders
    let elsewhere = built(&recipient, reveal, |b| b.header.builder = Address([3; 20]));
    assert_eq!(verdict(&by(&recipient, one, elsewhere)), Err(EvidenceError::Apart));
}
