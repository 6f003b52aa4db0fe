// Goal: A-40: a change counts only as its committee and those who join have signed it. Method: a good one, and
// everything in it changed one by one.
use super::*;
use crate::ed25519::SigningKey;
use std::{boxed::Box, format, vec, vec::Vec};
use types::{Amount, Epoch, G1Bytes, G2Bytes, Params, SetRef, Signature, Slot, VoteSig};
use zeroize::Zeroizing;

pub(crate) fn key(seed: u8, of: u8) -> SigningKey {
    SigningKey::from_seed(Zeroizing::new([seed, of].repeat(16).try_into().unwrap()))
}

/// Members by seed, ascending by consensus key.
pub(crate) fn record(seed: u8) -> MemberRecord {
    let public = |of| key(seed, of).public();
    MemberRecord {
        name: "m".into(),
        consensus: public(0),
        log: public(1),
        cosigner: public(2),
        receipt: public(3),
        tls: public(4),
    }
}

pub(crate) fn sorted(seeds: &[u8]) -> Vec<(u8, MemberRecord)> {
    let mut all: Vec<_> = seeds.iter().map(|seed| (*seed, record(*seed))).collect();
    all.sort_by_key(|(_, record)| record.consensus);
    all
}

pub(crate) fn current() -> EpochRecord {
    EpochRecord {
        epoch: Epoch(4),
        first_slot: Slot(64),
        last_slot: Slot(79),
        network: Hash([7; 32]),
        prev: Hash::ZERO,
        rules: Hash::ZERO,
        since: Epoch(2),
        f: 1,
        members: sorted(&[1, 2, 3, 4]).into_iter().map(|(_, record)| record).collect(),
        decrypt: vec![G1Bytes([0; 48]); 3],
        decrypt_g2: G2Bytes([0; 96]),
        share_keys_g2: vec![G2Bytes([0; 96]); 4],
        beacon: vec![G1Bytes([0; 48]); 3],
        revealed: Vec::new(),
        params: Params::default_for(500),
        registry: SetRef::EMPTY,
        reserve: Amount::ZERO,
        ledger: Hash::ZERO,
        states: Hash::ZERO,
    }
}

/// The seat of a seed: who is in the committee stays.
fn seat(current: &EpochRecord, record: MemberRecord) -> Seat {
    match current.members.iter().position(|m| *m == record) {
        Some(at) => Seat::Stays(MemberId(u16::try_from(at).unwrap())),
        None => {
            let address = |port: u16| format!("127.0.0.1:{port}");
            Seat::Joins(Box::new(Joining { record, p2p: address(1), quic: address(2), http: address(3) }))
        }
    }
}

pub(crate) fn change(seeds: &[u8]) -> Change {
    let current = current();
    let seats = sorted(seeds).into_iter().map(|(_, record)| seat(&current, record)).collect();
    Change { network: current.network, until: Epoch(5), base: base(&current), seats, params: current.params }
}

/// Signed by all of this committee, and by all that join.
pub(crate) fn sign(change: Change, seeds: &[u8]) -> SignedChange {
    let digest = approval(&change);
    let committee = sorted(&[1, 2, 3, 4]);
    let approvals = (0u16..)
        .zip(&committee)
        .map(|(i, (seed, _))| VoteSig { member: MemberId(i), sig: key(*seed, 0).sign(digest.as_bytes()) });
    let approvals = approvals.skip(1).collect();
    let joining = sorted(seeds).into_iter().filter(|(seed, _)| *seed > 4);
    let acceptances = joining.map(|(seed, _)| key(seed, 0).sign(acceptance(&change).as_bytes())).collect();
    SignedChange { change, approvals, acceptances }
}

pub(crate) const NEXT: [u8; 4] = [1, 3, 4, 8];

fn good() -> SignedChange {
    sign(change(&NEXT), &NEXT)
}

fn refused(alter: impl FnOnce(&mut SignedChange)) -> ChangeError {
    let mut signed = good();
    alter(&mut signed);
    verify(&signed, &current()).unwrap_err()
}

/// Altered before it is signed.
fn unfit(alter: impl FnOnce(&mut Change)) -> ChangeError {
    let mut change = change(&NEXT);
    alter(&mut change);
    verify(&sign(change, &NEXT), &current()).unwrap_err()
}

#[test]
fn what_both_committees_signed_names_the_next_one() {
    for seeds in [&[1, 2, 3, 4][..], &NEXT, &[5, 6, 7, 8], &[1, 2, 3, 4, 5, 6, 7]] {
        let next = verify(&sign(change(seeds), seeds), &current()).unwrap();
        assert_eq!(next, sorted(seeds).into_iter().map(|(_, record)| record).collect::<Vec<_>>());
    }
}

#[test]
fn a_change_is_of_what_it_was_made_to_in_whatever_epoch_and_not_of_what_it_made() {
    let later = EpochRecord { epoch: Epoch(9), prev: Hash([3; 32]), ledger: Hash([4; 32]), ..current() };
    let mut lasting = change(&NEXT);
    lasting.until = Epoch(10);
    let lasting = sign(lasting, &NEXT);
    assert!(verify(&lasting, &later).is_ok() && verify(&lasting, &current()).is_ok());
    let members = verify(&lasting, &later).unwrap();
    for other in [
        EpochRecord { members, ..current() },
        // back to what it was
        EpochRecord { since: Epoch(9), ..current() },
        EpochRecord { beacon: vec![G1Bytes([1; 48]); 3], ..current() },
        EpochRecord { params: Params::default_for(200), ..current() },
    ] {
        let lengths = Params { slot_ms: lasting.change.params.slot_ms, ..other.params.clone() };
        let other = EpochRecord { params: Params { count_limit: other.params.count_limit, ..lengths }, ..other };
        if other != current() {
            assert_eq!(verify(&lasting, &other), Err(ChangeError::Base));
        }
    }
}

#[test]
fn what_is_wrong_is_named() {
    assert_eq!(unfit(|c| c.network = Hash::ZERO), ChangeError::Network);
    assert_eq!(unfit(|c| c.until = Epoch(4)), ChangeError::Late);
    assert_eq!(unfit(|c| c.base = Hash::ZERO), ChangeError::Base);
    assert_eq!(unfit(|c| c.params.epoch_slots += 1), ChangeError::Lengths);
    assert_eq!(unfit(|c| c.params.slot_ms += 1), ChangeError::Lengths);
    assert_eq!(unfit(|c| drop(c.seats.pop())), ChangeError::Size(3));
    assert_eq!(unfit(|c| c.seats.clear()), ChangeError::Size(0));
    assert_eq!(unfit(|c| c.seats.truncate(1)), ChangeError::Size(1));
    assert!(matches!(unfit(|c| c.seats.swap(0, 1)), ChangeError::Order(_)));
    assert!(matches!(unfit(|c| c.seats[1] = c.seats[0].clone()), ChangeError::Order(1)));
    let joins = |change: &mut Change, alter: fn(&mut Joining)| {
        for seat in &mut change.seats {
            if let Seat::Joins(joining) = seat {
                alter(joining);
            }
        }
    };
    assert!(matches!(unfit(|c| joins(c, |j| j.record.log = record(1).receipt)), ChangeError::Key(_)));
    assert!(matches!(unfit(|c| joins(c, |j| j.record.log = j.record.tls)), ChangeError::Key(_)));
    assert!(matches!(unfit(|c| joins(c, |j| j.p2p.clear())), ChangeError::Text(_)));
    assert!(matches!(unfit(|c| joins(c, |j| j.p2p = "localhost:1".into())), ChangeError::Text(_)));
    assert!(matches!(unfit(|c| joins(c, |j| j.http = "x".repeat(65))), ChangeError::Text(_)));
    assert!(matches!(unfit(|c| joins(c, |j| j.record.name = "a b".into())), ChangeError::Text(_)));
    let stays = |c: &mut Change| c.seats.iter_mut().for_each(|seat| *seat = Seat::Stays(MemberId(4)));
    assert_eq!(unfit(stays), ChangeError::Member(MemberId(4)));
}

#[test]
fn every_signature_counts() {
    assert_eq!(refused(|s| s.approvals.truncate(2)), ChangeError::Approvals(2));
    // neither less nor more than 2f + 1: so a change has few forms
    assert_eq!(
        refused(|s| s.approvals.insert(0, VoteSig { member: MemberId(0), ..s.approvals[0] })),
        ChangeError::Approvals(4)
    );
    assert_eq!(refused(|s| s.approvals.swap(0, 1)), ChangeError::Approvals(3));
    assert_eq!(refused(|s| s.approvals[1] = s.approvals[0]), ChangeError::Approvals(3));
    assert_eq!(refused(|s| s.approvals[2].member = MemberId(7)), ChangeError::Approval(MemberId(7)));
    for at in 0..3 {
        let of = refused(|s| s.approvals[at].sig.0[7] ^= 1);
        assert_eq!(of, ChangeError::Approval(MemberId(u16::try_from(at + 1).unwrap())));
    }
    assert_eq!(refused(|s| s.acceptances.clear()), ChangeError::Acceptances(0));
    assert_eq!(refused(|s| s.acceptances.push(Signature([0; 64]))), ChangeError::Acceptances(2));
    assert_eq!(refused(|s| s.acceptances[0].0[40] ^= 1), ChangeError::Acceptance(0));
    // an approval is no acceptance, and what was signed is the whole change
    let swapped = refused(|s| s.acceptances[0] = key(8, 0).sign(approval(&s.change).as_bytes()));
    assert_eq!(swapped, ChangeError::Acceptance(0));
    assert_eq!(refused(|s| s.change.params.count_limit += 1), ChangeError::Approval(MemberId(1)));
}
