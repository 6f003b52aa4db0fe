// Goal: CRY-3, and that the signed bytes are the engine's. Method: a block that is final directly and through empty
// descendants; then every single thing that can be wrong with a proof; bytes of votes put together by hand.
use super::*;
use crate::{
    dealer::{Voters, set_hashes},
    vectors,
};
use serde_json::json;
use std::vec;
use types::{Block, BlockHeader, Head, SetRef, Signature, Timestamp, VoteSig};

const NETWORK: Hash = Hash([0x4e; 32]);

fn voters() -> Voters {
    Voters::new(4, 1, &[3; 32])
}

fn hashes() -> SetHashes {
    let bid = |byte: u8| [&[byte; 20][..], &[0], &[byte ^ 0xff; 32]].concat();
    set_hashes(vec![Hash([9; 32]), Hash([2; 32])], vec![bid(7), bid(1)])
}

fn block() -> BlockHeader {
    let hashes = hashes();
    let mut header = Block::genesis(NETWORK).header;
    header.height = Slot(5);
    header.view = 8;
    header.time_ms = Timestamp(1_000);
    header.lists = SetRef { count: 3, root: Hash([1; 32]) };
    header.reveal = Some(Head { size: 4, root: Hash([2; 32]) });
    header.set = set_ref(&hashes.set);
    header.bids = set_ref(&hashes.bids);
    header
}

fn empty_after(parent: &BlockHeader) -> BlockHeader {
    let mut header = Block::genesis(NETWORK).header;
    header.height = parent.height.next();
    header.view = parent.view + 2;
    header.parent = block_digest(parent);
    header
}

fn check(proof: &FinalityProof, hashes: &SetHashes) -> Result<OrderFixed, FinalityError> {
    verify(&voters().committee(NETWORK, Epoch(0)), proof, hashes)
}

#[test]
fn cry_3_a_final_block_fixes_its_set() {
    let proof = voters().finalize(vec![block()]);
    let fixed = check(&proof, &hashes()).unwrap();
    assert_eq!((fixed.network(), fixed.epoch(), fixed.slot()), (NETWORK, Epoch(0), Slot(5)));
    assert_eq!(fixed.digest(), block_digest(&block()));
    assert_eq!(fixed.set(), [Hash([2; 32]), Hash([9; 32])]);
    assert_eq!(fixed.bids(), [Hash([0xfe; 32]), Hash([0xf8; 32])]);
    assert!(fixed.names(&Hash([9; 32])) && fixed.names(&Hash([0xf8; 32])) && !fixed.names(&Hash([3; 32])));
}

#[test]
fn cry_3_a_block_is_final_through_descendants() {
    let (first, second) = (empty_after(&block()), empty_after(&empty_after(&block())));
    let proof = voters().finalize(vec![block(), first, second]);
    let fixed = check(&proof, &hashes()).unwrap();
    assert_eq!((fixed.slot(), fixed.digest()), (Slot(5), block_digest(&block())));
    // What is above it fixes nothing of it.
    let above = BlockHeader { set: set_ref(&[Hash::ZERO]), ..empty_after(&block()) };
    assert_eq!(check(&voters().finalize(vec![block(), above]), &hashes()).unwrap().set(), hashes().set);
    // An empty block is final like any other, and fixes nothing.
    let proof = voters().finalize(vec![empty_after(&block())]);
    assert!(check(&proof, &set_hashes(vec![], vec![])).unwrap().set().is_empty());
}

#[test]
fn cry_3_links_must_follow() {
    let refused = |change: fn(&mut BlockHeader), want| {
        let mut link = empty_after(&block());
        change(&mut link);
        assert_eq!(check(&voters().finalize(vec![block(), link]), &hashes()).unwrap_err(), want);
    };
    refused(|h| h.parent.0[0] ^= 1, FinalityError::Link(Slot(6)));
    refused(|h| h.height = Slot(7), FinalityError::Link(Slot(7)));
    refused(|h| h.view = 8, FinalityError::Link(Slot(6)));
    refused(|h| h.network.0[0] ^= 1, FinalityError::Network);
    refused(|h| h.epoch = Epoch(1), FinalityError::Epoch);
}

#[test]
fn cry_3_votes_must_be_a_quorum_of_members() {
    let good = voters().finalize(vec![block()]);
    let refused = |change: fn(&mut FinalityProof), want| {
        let mut proof = good.clone();
        change(&mut proof);
        assert_eq!(check(&proof, &hashes()).unwrap_err(), want);
    };
    refused(|p| p.votes.truncate(2), FinalityError::Votes { have: 2, need: 3 });
    refused(|p| p.votes[2] = p.votes[1], FinalityError::Voter(MemberId(1)));
    refused(|p| p.votes.swap(0, 1), FinalityError::Voter(MemberId(0)));
    refused(|p| p.votes[2].member = MemberId(4), FinalityError::Voter(MemberId(4)));
    refused(|p| p.votes[2].member = MemberId(3), FinalityError::Signature(MemberId(3)));
    refused(|p| p.votes[1].sig.0[0] ^= 1, FinalityError::Signature(MemberId(1)));
    refused(|p| p.view = 9, FinalityError::Signature(MemberId(0)));
    refused(|p| p.parent_view = 0, FinalityError::Signature(MemberId(0)));
    refused(|p| p.headers[0].time_ms = Timestamp(999), FinalityError::Signature(MemberId(0)));
    refused(|p| p.headers.clear(), FinalityError::Empty);
    refused(|p| p.headers[0].network = Hash::ZERO, FinalityError::Network);
    refused(|p| p.headers[0].epoch = Epoch(7), FinalityError::Epoch);
    // Votes of another kind on the same block do not count.
    let mut proof = good.clone();
    for vote in &mut proof.votes {
        let digest = block_digest(&block());
        let message = vote_message(&NETWORK, VoteKind::Notarize, 0, proof.view, proof.parent_view, &digest);
        vote.sig = voters().keys[usize::from(vote.member.0)].sign(&message);
    }
    assert_eq!(check(&proof, &hashes()).unwrap_err(), FinalityError::Signature(MemberId(0)));
    // A committee of which a third may be faulty has no quorum.
    let mut committee = voters().committee(NETWORK, Epoch(0));
    committee.consensus_keys.pop();
    assert_eq!(verify(&committee, &good, &hashes()).unwrap_err(), FinalityError::Committee);
}

#[test]
fn cry_3_a_vote_that_only_zip_215_accepts_counts_as_it_does_in_the_engine() {
    // A member with a key of small order: R of small order and s = 0 satisfy the cofactored equation for any message.
    let mut committee = voters().committee(NETWORK, Epoch(0));
    let mut key = [0xff; 32];
    (key[0], key[31]) = (0xee, 0x7f);
    committee.consensus_keys[2] = Hash(key);
    let mut proof = voters().finalize(vec![block()]);
    let mut sig = [0; 64];
    sig[0] = 1;
    proof.votes[2] = VoteSig { member: MemberId(2), sig: Signature(sig) };
    assert!(verify(&committee, &proof, &hashes()).is_ok());
}

#[test]
fn cry_3_hashes_must_be_those_of_the_header() {
    let proof = voters().finalize(vec![block()]);
    let refused = |change: fn(&mut SetHashes), want| {
        let mut hashes = hashes();
        change(&mut hashes);
        assert_eq!(check(&proof, &hashes).unwrap_err(), want);
    };
    refused(|h| h.set.truncate(1), FinalityError::Set);
    refused(|h| h.set.swap(0, 1), FinalityError::Set);
    refused(|h| h.set.push(Hash([0xff; 32])), FinalityError::Set);
    refused(|h| h.bids.swap(0, 1), FinalityError::Bids);
    refused(|h| h.bids[0].push(0), FinalityError::Bids);
    refused(|h| h.bid_hashes.truncate(1), FinalityError::Bids);
    // The root covers the leaves only: hashes beside them must be the leaves' own.
    refused(|h| h.bid_hashes[0] = Hash([3; 32]), FinalityError::Bids);
    refused(|h| h.bid_hashes.swap(0, 1), FinalityError::Bids);
    // Unsorted, although the root is theirs.
    let mut header = block();
    let unsorted = SetHashes { set: vec![Hash([9; 32]), Hash([2; 32])], ..hashes() };
    header.set = set_ref(&unsorted.set);
    assert_eq!(check(&voters().finalize(vec![header]), &unsorted).unwrap_err(), FinalityError::Set);
}

#[test]
fn bytes_of_a_vote() {
    let (network, digest) = (Hash([0xab; 32]), Hash([0xcd; 32]));
    let namespace = [&b"lockstep/simplex/v1"[..], &[0xab; 32], b"_FINALIZE"].concat();
    // 7,000,000 = 0x6acfc0: 0xc0 0x9f 0xab 0x03.
    let numbers = [0x03, 0xc0, 0x9f, 0xab, 0x03, 0xbf, 0x9f, 0xab, 0x03];
    let want = [&[60][..], &namespace, &numbers, &[0xcd; 32]].concat();
    assert_eq!(vote_message(&network, VoteKind::Finalize, 3, 7_000_000, 6_999_999, &digest), want);
    assert_eq!(numbers.len() + 32, 41);
    let nullify = vote_message(&network, VoteKind::Nullify, 0, 127, 5, &digest);
    assert_eq!(nullify, [&[59][..], b"lockstep/simplex/v1", &[0xab; 32], b"_NULLIFY", &[0, 127]].concat());
    let notarize = vote_message(&network, VoteKind::Notarize, 128, u64::MAX, 0, &digest);
    assert!(notarize.starts_with(&[60]) && notarize.ends_with(&[0xcd; 32]));
    let middle = &notarize[1 + 60..notarize.len() - 32];
    assert_eq!(middle, [0x80, 0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01, 0x00]);
    assert_eq!(&notarize[1 + 19 + 32..1 + 60], b"_NOTARIZE");
}

#[test]
fn golden_votes() {
    let (voters, digest) = (voters(), block_digest(&block()));
    let case = |name: &str, kind| {
        let message = vote_message(&NETWORK, kind, 0, 8, 7, &digest);
        let signature = voters.keys[0].sign(&message);
        json!({ "kind": name, "message": vectors::text(&message), "signature": vectors::text(&signature.0) })
    };
    let value = json!({
        "network": vectors::text(&NETWORK.0), "epoch": 0, "view": 8, "parentView": 7, "digest": vectors::text(&digest.0),
        "publicKey": vectors::text(&voters.keys[0].public().0),
        "votes": [case("notarize", VoteKind::Notarize), case("nullify", VoteKind::Nullify), case("finalize", VoteKind::Finalize)],
    });
    vectors::ours("tests/vectors/crypto", "vote.json", &value);
}
