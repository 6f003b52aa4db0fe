//! What one envelope costs a wallet, a member and an auditor, in curve arithmetic; beside it `threshold_crypto` 0.4.0,
//! the scheme that other sequencers encrypt with.
//!
//! Goal: CPU time by step and batch size at n = 4, q = 3. Method: criterion over the CPU time of one thread; every step
//! is checked once before it is measured: what was sealed opens to the same bytes, and what was mauled is refused.
#![expect(clippy::expect_used, reason = "a bench: what does not hold ends it with the reason")]

#[path = "common/cpu.rs"]
mod cpu;

use cpu::CpuTime;
use criterion::{BenchmarkId, Criterion, Throughput};
use crypto::{
    beacon,
    dealer::{Deal, Voters, deal},
    finality::OrderFixed,
    keys::KeySet,
    tdh2::{self, Admitted, HeldShares, Item, SharePoint},
};
use std::hint::black_box;
use threshold_crypto::{Ciphertext, DecryptionShare, FrRepr, PublicKeySet, SecretKeySet, ff::PrimeField, poly::Poly};
use types::{G2Bytes, Hash, MemberId, Opening, Slot};
use zeroize::Zeroizing;

const N: u16 = 4;
const F: u16 = 1;
const CLASS: usize = 512;
const BATCHES: [usize; 4] = [1, 16, 128, 512];
/// The peer at 3-4 ms an item: no more than shows that it has no batches.
const PEER_BATCHES: [usize; 2] = [1, 16];
const SEED: [u8; 32] = [0x5e; 32];
/// As long as the header of an envelope without consents.
const AAD: [u8; 100] = [0xad; 100];

fn number(i: usize) -> [u8; 8] {
    u64::try_from(i).unwrap_or(0).to_le_bytes()
}

fn text(i: usize) -> Vec<u8> {
    format!("transaction {i} of somebody who does not want it read yet").into_bytes()
}

/// Sealed envelopes on their way through one committee.
struct Committee {
    deal: Deal,
    keys: KeySet,
    ciphertexts: Vec<Vec<u8>>,
    units: Vec<Hash>,
    admitted: Vec<Admitted>,
    /// Of members 0, 1, 2.
    shares: Vec<(MemberId, Vec<SharePoint>)>,
    beacons: Vec<(MemberId, G2Bytes)>,
    fixed: OrderFixed,
    openings: Vec<Opening>,
}

fn seal(keys: &KeySet, i: usize) -> Vec<u8> {
    let padded = tdh2::pad(&text(i), CLASS).expect("the text fits the class");
    let entropy = Zeroizing::new(crypto::hash::sha256(&[b"entropy", &number(i)]).0);
    tdh2::seal(keys.encryption_key(), entropy, &AAD, &padded)
}

fn items(ciphertexts: &[Vec<u8>]) -> Vec<Item<'_>> {
    ciphertexts.iter().map(|ciphertext| Item { aad: &AAD, class_bytes: CLASS, ciphertext }).collect()
}

#[expect(clippy::disallowed_methods, reason = "the bench plays the members; the order is fixed by real votes")]
fn released(deal: &Deal, member: u16, units: &[Hash], admitted: &[Admitted], fixed: &OrderFixed) -> Vec<SharePoint> {
    let key = deal.decrypt.get(usize::from(member)).expect("a key per member");
    let held = units.iter().zip(admitted).map(|(unit, item)| key.share(*unit, item)).collect();
    HeldShares::collect(held).release(fixed).expect("every unit is in the fixed set")
}

#[expect(clippy::disallowed_methods, reason = "the bench plays the members; the order is fixed by real votes")]
fn beacon_share(deal: &Deal, member: u16, fixed: &OrderFixed) -> G2Bytes {
    beacon::sign(deal.beacon.get(usize::from(member)).expect("a key per member"), fixed)
}

impl Committee {
    fn new(count: usize) -> Self {
        let deal = deal(N, F, &SEED);
        let keys = deal.key_set();
        let ciphertexts: Vec<Vec<u8>> = (0..count).map(|i| seal(&keys, i)).collect();
        let units: Vec<Hash> = ciphertexts.iter().map(|c| crypto::ids::ciphertext_hash(c)).collect();
        let admitted: Vec<Admitted> = tdh2::admit(keys.encryption_key(), &items(&ciphertexts), SEED)
            .into_iter()
            .map(|verdict| verdict.expect("what was sealed is admitted"))
            .collect();
        let fixed = Voters::new(N, F, &SEED).fix(Hash(SEED), Slot(1), units.clone(), Vec::new());
        let quorum = 0..N - F;
        let shares: Vec<_> =
            quorum.clone().map(|m| (MemberId(m), released(&deal, m, &units, &admitted, &fixed))).collect();
        let beacons = quorum.map(|m| (MemberId(m), beacon_share(&deal, m, &fixed))).collect();
        let mut this = Self { deal, keys, ciphertexts, units, admitted, shares, beacons, fixed, openings: Vec::new() };
        let revealed = this.reveal();
        assert!(revealed.culprits.is_empty());
        for (i, message) in revealed.plaintexts.iter().enumerate() {
            let message = message.as_ref().expect("an honest envelope opens");
            assert_eq!(tdh2::unpad(message), Some(&*text(i)), "what was sealed is what opens");
        }
        this.openings = revealed.openings;
        this
    }

    fn admit(&self) -> usize {
        tdh2::admit(self.keys.encryption_key(), &items(&self.ciphertexts), SEED).iter().filter(|v| v.is_ok()).count()
    }

    fn reveal(&self) -> tdh2::Reveal {
        let items: Vec<_> = items(&self.ciphertexts).into_iter().zip(&self.admitted).collect();
        tdh2::reveal(&self.keys, &items, &self.shares, SEED).expect("a quorum of good shares")
    }

    fn check_openings(&self) -> usize {
        let checked = tdh2::check_openings(&self.keys, &items(&self.ciphertexts), &self.openings, SEED);
        checked.iter().filter(|opened| matches!(opened, Ok(Some(_)))).count()
    }
}

/// The same job under `threshold_crypto`: keys 3 of 4, ciphertexts, shares of members 0, 1, 2.
struct Peer {
    public: PublicKeySet,
    secret: SecretKeySet,
    ciphertexts: Vec<Ciphertext>,
    shares: Vec<Vec<DecryptionShare>>,
}

impl Peer {
    fn new(count: usize) -> Self {
        let coefficient = |i: u64| {
            let words = [
                i.wrapping_mul(0x9e37_79b9_7f4a_7c15),
                !i,
                i.wrapping_mul(0xbf58_476d_1ce4_e5b9),
                0x1234_5678_9abc_def0 + i,
            ];
            threshold_crypto::Fr::from_repr(FrRepr(words)).expect("below the order of the group")
        };
        let secret = SecretKeySet::from(Poly::from((1..=u64::from(N - F)).map(coefficient).collect::<Vec<_>>()));
        let public = secret.public_keys();
        // Their message is what ours is: the padded class.
        let message = |i: usize| {
            let mut bytes = text(i);
            bytes.resize(CLASS, 0);
            bytes
        };
        let ciphertexts: Vec<Ciphertext> = (0..count).map(|i| public.public_key().encrypt(message(i))).collect();
        let share = |member: usize, c: &Ciphertext| secret.secret_key_share(member).decrypt_share(c);
        let quorum = usize::from(N - F);
        let shares = (0..quorum)
            .map(|member| ciphertexts.iter().map(|c| share(member, c).expect("it verifies")).collect())
            .collect();
        let this = Self { public, secret, ciphertexts, shares };
        assert_eq!((this.verified(), this.verified_shares()), (count, count * quorum));
        for (i, opened) in this.opened().into_iter().enumerate() {
            assert_eq!(opened, message(i), "what was encrypted is what opens");
        }
        this
    }

    fn verified(&self) -> usize {
        self.ciphertexts.iter().filter(|c| c.verify()).count()
    }

    fn verified_shares(&self) -> usize {
        let of = |member: usize, shares: &[DecryptionShare]| {
            let key = self.public.public_key_share(member);
            shares.iter().zip(&self.ciphertexts).filter(|(share, c)| key.verify_decryption_share(share, c)).count()
        };
        self.shares.iter().enumerate().map(|(member, shares)| of(member, shares)).sum()
    }

    fn opened(&self) -> Vec<Vec<u8>> {
        let one = |(i, c): (usize, &Ciphertext)| {
            let shares = self.shares.iter().enumerate().filter_map(|(member, all)| Some((member, all.get(i)?)));
            self.public.decrypt(shares, c).expect("a quorum of shares")
        };
        self.ciphertexts.iter().enumerate().map(one).collect()
    }
}

fn elements(count: usize) -> Throughput {
    Throughput::Elements(u64::try_from(count).unwrap_or(0))
}

fn a_wallet_seals(c: &mut Criterion<CpuTime>, ours: &Committee, theirs: &Peer) {
    let mut group = c.benchmark_group("a wallet seals a 512-byte bundle");
    group.bench_function("ours", |b| b.iter(|| seal(&ours.keys, black_box(7))));
    let key = theirs.public.public_key();
    let message = [7u8; CLASS];
    group.bench_function("threshold_crypto", |b| b.iter(|| key.encrypt(black_box(message))));
    group.finish();
}

fn a_member_admits(c: &mut Criterion<CpuTime>, ours: &[Committee], theirs: &[Peer]) {
    let mut group = c.benchmark_group("a member checks envelopes before it takes them");
    for committee in ours {
        let count = committee.ciphertexts.len();
        group.throughput(elements(count));
        group.bench_function(BenchmarkId::new("ours", count), |b| {
            b.iter(|| assert_eq!(committee.admit(), count));
        });
    }
    for peer in theirs {
        let count = peer.ciphertexts.len();
        group.throughput(elements(count));
        group.bench_function(BenchmarkId::new("threshold_crypto", count), |b| {
            b.iter(|| assert_eq!(peer.verified(), count));
        });
    }
    group.finish();
}

fn a_member_makes_its_share(c: &mut Criterion<CpuTime>, ours: &Committee, theirs: &Peer) {
    let mut group = c.benchmark_group("a member makes its share of one envelope");
    let (key, unit, item) = (ours.deal.decrypt.first(), ours.units.first(), ours.admitted.first());
    let (key, unit, item) = (key.expect("keys"), *unit.expect("units"), item.expect("items"));
    group.bench_function("ours", |b| b.iter(|| key.share(unit, black_box(item))));
    let key = theirs.secret.secret_key_share(0usize);
    let ciphertext = theirs.ciphertexts.first().expect("ciphertexts");
    group.bench_function("threshold_crypto", |b| b.iter(|| key.decrypt_share_no_verify(black_box(ciphertext))));
    group.finish();
}

fn a_member_opens(c: &mut Criterion<CpuTime>, ours: &[Committee], theirs: &[Peer]) {
    let mut group = c.benchmark_group("a member opens envelopes from three members' shares, n=4");
    for committee in ours {
        let count = committee.ciphertexts.len();
        group.throughput(elements(count));
        group.bench_function(BenchmarkId::new("ours", count), |b| {
            b.iter(|| assert_eq!(committee.reveal().openings.len(), count));
        });
    }
    for peer in theirs {
        let count = peer.ciphertexts.len();
        group.throughput(elements(count));
        group.bench_function(BenchmarkId::new("threshold_crypto, shares believed", count), |b| {
            b.iter(|| assert_eq!(peer.opened().len(), count));
        });
        group.bench_function(BenchmarkId::new("threshold_crypto, shares checked", count), |b| {
            b.iter(|| {
                assert_eq!(peer.verified_shares(), count * usize::from(N - F));
                assert_eq!(peer.opened().len(), count);
            });
        });
    }
    group.finish();
}

fn an_auditor_checks(c: &mut Criterion<CpuTime>, ours: &[Committee]) {
    let mut group = c.benchmark_group("an auditor checks published openings");
    for committee in ours {
        let count = committee.ciphertexts.len();
        group.throughput(elements(count));
        group.bench_function(BenchmarkId::from_parameter(count), |b| {
            b.iter(|| assert_eq!(committee.check_openings(), count));
        });
    }
    group.finish();
}

fn members_sign_the_beacon(c: &mut Criterion<CpuTime>, ours: &Committee) {
    let mut group = c.benchmark_group("the slot's beacon, n=4");
    let message = beacon::Message::of(&ours.fixed);
    group.bench_function("a member signs its share", |b| b.iter(|| beacon_share(&ours.deal, 0, &ours.fixed)));
    let combine = || beacon::combine(&ours.keys, &ours.beacons, &message).expect("good shares");
    group.bench_function("a member combines three and verifies", |b| {
        b.iter(|| beacon::verify(&ours.keys, &message, &combine()).expect("the threshold signature"));
    });
    group.finish();
}

/// A flipped byte anywhere is refused alone; the rest of its batch passes. Checked, not measured.
fn a_mauled_envelope_is_refused(ours: &Committee) {
    let mut ciphertexts = ours.ciphertexts.clone();
    if let Some(byte) = ciphertexts.first_mut().and_then(|c| c.last_mut()) {
        *byte ^= 1;
    }
    let verdicts = tdh2::admit(ours.keys.encryption_key(), &items(&ciphertexts), SEED);
    assert_eq!(verdicts.iter().map(Result::is_ok).filter(|ok| !ok).count(), 1);
}

fn main() {
    let mut criterion = cpu::criterion();
    let ours: Vec<Committee> = BATCHES.into_iter().map(Committee::new).collect();
    let theirs: Vec<Peer> = PEER_BATCHES.into_iter().map(Peer::new).collect();
    let (Some(one), Some(batch), Some(peer)) = (ours.first(), ours.get(1), theirs.first()) else { return };
    a_mauled_envelope_is_refused(batch);
    a_wallet_seals(&mut criterion, one, peer);
    a_member_admits(&mut criterion, &ours, &theirs);
    a_member_makes_its_share(&mut criterion, one, peer);
    a_member_opens(&mut criterion, &ours, &theirs);
    an_auditor_checks(&mut criterion, &ours);
    members_sign_the_beacon(&mut criterion, one);
    criterion.final_summary();
}
