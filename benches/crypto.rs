//! What a batch of envelopes costs wallet, member and auditor, in curve arithmetic, beside the two libraries that other
//! threshold mempools encrypt with: `threshold_crypto` 0.4.0 and `blsttc` 8.0.2.
//!
//! Goal: CPU time of one thread for a whole batch of B, by step and committee. Ids: `<impl>/<op>/n<N>/B<B>`.
//! Method: criterion; every step is checked once before it is measured: what was sealed opens to the same bytes, and
//! what
//! was mauled is refused. Arrivals: the first q + ceil(f/2) members of 16 seeded shuffles, in turn.
//!
//! | op | ours | the peers |
//! |---|---|---|
//! | `seal` | a wallet, B envelopes | `encrypt` |
//! | `admit` | decode, subgroup, proofs | `verify` |
//! | `share` | own shares | `decrypt_share_no_verify` |
//! | `combine` | read shares, choose members, combine what this member combines | `decrypt`, which also opens |
//! | `open` | exact check of every opening | nothing |
//! | `all_in` | `combine` and `open` when all members' shares are there | |
//! | `verify` | nothing: the opening is the check | `verify_decryption_share`, q shares an envelope |
//! | `total` | admit, share, combine, open | the same, without `verify` |
//!
//! Up to 16 members everybody combines everything (direct). Above, a member combines every item of which it is one of
//! the two combiners, 2B/n of them, and opens all B from keys (sharded). In both, the shares of all that have arrived
//! are read as a node does: x and y decoded, held against the curve, and compressed and hashed as they are signed. The
//! peers have no batches: a few envelopes are timed and scaled to B.
//!
//! `LOCKSTEP_BENCH_N` (4,16,64), `LOCKSTEP_BENCH_B` (512), `LOCKSTEP_BENCH_PEER_ITEMS` (1) say how much is measured.
#![expect(clippy::expect_used, reason = "a bench: what does not hold ends it with the reason")]

#[path = "common/cpu.rs"]
mod cpu;

use cpu::{CpuTime, cpu_now};
use criterion::Criterion;
use crypto::{
    beacon,
    dealer::{Deal, Voters, deal},
    evidence,
    finality::OrderFixed,
    keys::KeySet,
    tdh2::{self, Admitted, HeldShares, Item, SharePoint},
};
use std::{
    hint::black_box,
    thread,
    time::{Duration, Instant},
};
use types::{G1Bytes, G2Bytes, Hash, Key128, MemberId, Opening, Slot, limits};
use zeroize::Zeroizing;

const CLASS: usize = 512;
const SEED: [u8; 32] = [0x5e; 32];
/// As long as the header of an envelope without consents.
const AAD: [u8; 100] = [0xad; 100];
/// Up to so many members everybody combines everything.
const DIRECT_MAX: u16 = 16;
const COMBINERS: usize = 2;
const ORDERS: usize = 16;

#[expect(clippy::disallowed_methods, reason = "how much is measured, not configuration")]
fn numbers(name: &str, default: &str) -> Vec<usize> {
    let text = std::env::var(name).unwrap_or_else(|_| default.into());
    text.split(',').map(|part| part.trim().parse().expect("numbers, separated by commas")).collect()
}

fn text(i: usize) -> Vec<u8> {
    format!("transaction {i} of somebody who does not want it read yet").into_bytes()
}

/// f of n = 3f + 1, as the committees of the table; n = 128 has f = 42.
fn faulty(n: u16) -> u16 {
    (n - 1) / 3
}

/// The first q + ceil(f/2) members of seeded shuffles, each in ascending order.
fn arrivals(n: u16) -> Vec<Vec<u16>> {
    let f = faulty(n);
    let count = usize::from(n - f + f.div_ceil(2));
    let order = |seed: usize| {
        let key = |m: &u16| crypto::hash::sha256(&[b"arrival", &seed.to_le_bytes(), &m.to_le_bytes()]);
        let mut members: Vec<u16> = (0..n).collect();
        members.sort_by_key(key);
        members.truncate(count);
        members.sort_unstable();
        members
    };
    (0..ORDERS).map(order).collect()
}

fn seal(keys: &KeySet, i: usize) -> Vec<u8> {
    let padded = tdh2::pad(&text(i), CLASS).expect("the text fits the class");
    let entropy = Zeroizing::new(crypto::hash::sha256(&[b"entropy", &i.to_le_bytes()]).0);
    tdh2::seal(keys.encryption_key(), entropy, &AAD, &padded)
}

fn items(ciphertexts: &[Vec<u8>]) -> Vec<Item<'_>> {
    ciphertexts.iter().map(|ciphertext| Item { aad: &AAD, class_bytes: CLASS, ciphertext }).collect()
}

/// A committee, sealed envelopes, and what every member made of them.
struct Committee {
    n: u16,
    deal: Deal,
    keys: KeySet,
    ciphertexts: Vec<Vec<u8>>,
    units: Vec<Hash>,
    admitted: Vec<Admitted>,
    fixed: OrderFixed,
    /// By member, of the items that this bench's member combines: x and y, as they travel.
    shares: Vec<Vec<G2Bytes>>,
    arrivals: Vec<Vec<u16>>,
    openings: Vec<Opening>,
}

impl Committee {
    fn new(n: u16, count: usize) -> Self {
        let deal = deal(n, faulty(n), &SEED);
        let keys = deal.key_set();
        let ciphertexts: Vec<Vec<u8>> = (0..count).map(|i| seal(&keys, i)).collect();
        let units: Vec<Hash> = ciphertexts.iter().map(|c| crypto::ids::ciphertext_hash(c)).collect();
        let admitted: Vec<Admitted> = tdh2::admit(keys.encryption_key(), &items(&ciphertexts), SEED)
            .into_iter()
            .map(|verdict| verdict.expect("what was sealed is admitted"))
            .collect();
        let fixed = Voters::new(4, 1, &SEED).fix(Hash(SEED), Slot(1), units.clone(), Vec::new());
        let mut this = Self {
            n,
            deal,
            keys,
            ciphertexts,
            units,
            admitted,
            fixed,
            shares: Vec::new(),
            arrivals: arrivals(n),
            openings: Vec::new(),
        };
        let mine = this.mine();
        this.shares =
            (0..n).map(|member| this.released(member, mine).iter().map(SharePoint::affine).collect()).collect();
        this.openings = this.all_openings();
        this.checked();
        this
    }

    /// How many items this member combines.
    fn mine(&self) -> usize {
        let count = self.ciphertexts.len();
        if self.direct() { count } else { (COMBINERS * count).div_ceil(self.n.into()) }
    }
    fn direct(&self) -> bool {
        self.n <= DIRECT_MAX
    }

    #[expect(clippy::disallowed_methods, reason = "the bench plays the members; the order is fixed by real votes")]
    fn released(&self, member: u16, count: usize) -> Vec<SharePoint> {
        let key = self.deal.decrypt.get(usize::from(member)).expect("a key per member");
        let held = key.share_all(self.units.iter().copied().zip(&self.admitted).take(count));
        HeldShares::collect(held).release(&self.fixed).expect("every unit is in the fixed set")
    }

    /// What the combiners together publish.
    fn all_openings(&self) -> Vec<Opening> {
        let quorum = (0..self.keys.q()).map(|m| (MemberId(m), self.released(m, self.admitted.len())));
        let quorum: Vec<_> = quorum.collect();
        let all: Vec<_> = items(&self.ciphertexts).into_iter().zip(&self.admitted).collect();
        let revealed = tdh2::reveal(&self.keys, &all, &quorum, SEED).expect("a quorum of good shares");
        assert!(revealed.culprits.is_empty());
        for (i, message) in revealed.plaintexts.iter().enumerate() {
            let message = message.as_ref().expect("an honest envelope opens");
            assert_eq!(tdh2::unpad(message), Some(&*text(i)), "what was sealed is what opens");
        }
        revealed.openings
    }

    /// A flipped byte anywhere is refused alone; the rest of its batch passes.
    fn checked(&self) {
        let mut ciphertexts = self.ciphertexts.clone();
        if let Some(byte) = ciphertexts.first_mut().and_then(|c| c.last_mut()) {
            *byte ^= 1;
        }
        let verdicts = tdh2::admit(self.keys.encryption_key(), &items(&ciphertexts), SEED);
        assert_eq!(verdicts.iter().filter(|verdict| verdict.is_err()).count(), 1);
        for order in &self.arrivals {
            assert_eq!(self.open(self.combine(order)), self.ciphertexts.len());
        }
    }

    fn seal(&self) -> usize {
        (0..self.ciphertexts.len()).map(|i| seal(&self.keys, black_box(i)).len()).sum()
    }
    fn admit(&self, some: &[Vec<u8>]) -> usize {
        tdh2::admit(self.keys.encryption_key(), &items(some), SEED).iter().filter(|v| v.is_ok()).count()
    }
    fn share(&self) -> usize {
        let key = self.deal.decrypt.first().expect("a key per member");
        key.share_all(self.units.iter().copied().zip(&self.admitted)).len()
    }

    /// What a message has, as its receiver reads it.
    fn read(shares: &[G2Bytes]) -> Vec<SharePoint> {
        let points: Vec<SharePoint> =
            shares.iter().map(|share| SharePoint::from_affine(share).expect("a good share")).collect();
        for (index, chunk) in (0u16..).zip(points.chunks(limits::CHUNK_SHARES_MAX)) {
            let compressed: Vec<G1Bytes> = chunk.iter().map(SharePoint::compressed).collect();
            black_box(evidence::chunk_leaf(index, &compressed));
        }
        points
    }

    /// D of this member's items, unchecked.
    fn combine(&self, arrived: &[u16]) -> tdh2::Combined {
        let read = |m: &u16| {
            let shares = self.shares.get(usize::from(*m)).expect("every member's shares");
            (MemberId(*m), Self::read(shares))
        };
        let shares: Vec<(MemberId, Vec<SharePoint>)> = arrived.iter().map(read).collect();
        tdh2::combine(&self.keys, &shares, self.mine()).expect("a quorum")
    }

    /// How many are open in the end. Sharded: own items from D, all others from the keys that were published.
    fn open(&self, combined: tdh2::Combined) -> usize {
        let (all, key) = (items(&self.ciphertexts), self.keys.encryption_key());
        let paired: Vec<_> = all.into_iter().zip(&self.admitted).collect();
        let (mine, others) = paired.split_at(self.mine());
        let own = tdh2::open(key, mine, combined).expect("its own items");
        let keys: Vec<Key128> = self.openings.iter().skip(mine.len()).filter_map(key_of).collect();
        let checked = tdh2::check_keys(key, others, &keys).expect("its own items");
        own.iter().chain(&checked).filter(|message| message.is_some()).count()
    }

    fn total(&self, arrived: &[u16]) {
        assert_eq!(self.admit(&self.ciphertexts), self.ciphertexts.len());
        assert_eq!(self.share(), self.ciphertexts.len());
        assert_eq!(self.open(self.combine(arrived)), self.ciphertexts.len());
    }

    /// What this member sends in a slot: share message, and openings in sharded mode.
    fn bytes_sent(&self) -> usize {
        let (others, count) = (usize::from(self.n - 1), self.ciphertexts.len());
        if self.direct() {
            others * (380 + 96 * count)
        } else {
            // each other member is combiner of 2B/n items; own items' openings go to all
            others * (380 + 96 * self.mine()) + others * (100 + 21 * self.mine())
        }
    }
}

fn key_of(opening: &Opening) -> Option<Key128> {
    match opening {
        Opening::Key(key) => Some(*key),
        Opening::Bottom(_) => None,
    }
}

/// The same job under a library without batches. Times are of `items` envelopes.
trait Peer {
    const NAME: &'static str;
    fn new(n: u16, items: usize) -> Self;
    fn seal(&self);
    fn admit(&self);
    fn share(&self);
    fn verify(&self);
    fn combine(&self);
    fn total(&self) {
        self.admit();
        self.share();
        self.combine();
    }
}

fn padded(i: usize) -> Vec<u8> {
    let mut bytes = text(i);
    bytes.resize(CLASS, 0);
    bytes
}

macro_rules! peer {
    ($type:ident, $library:ident, $name:literal, $poly:expr) => {
        struct $type {
            public: $library::PublicKeySet,
            secret: $library::SecretKeySet,
            quorum: Vec<usize>,
            keys: Vec<$library::PublicKeyShare>,
            ciphertexts: Vec<$library::Ciphertext>,
            shares: Vec<Vec<$library::DecryptionShare>>,
        }
        impl Peer for $type {
            const NAME: &'static str = $name;
            fn new(n: u16, items: usize) -> Self {
                let secret = $library::SecretKeySet::from($library::poly::Poly::from($poly(n - faulty(n))));
                let public = secret.public_keys();
                let quorum: Vec<usize> = arrivals(n).first().expect("orders").iter().map(|m| usize::from(*m)).collect();
                let quorum = quorum.into_iter().take(usize::from(n - faulty(n))).collect::<Vec<_>>();
                let ciphertexts: Vec<_> = (0..items).map(|i| public.public_key().encrypt(padded(i))).collect();
                let share = |m: &usize| {
                    let key = secret.secret_key_share(*m);
                    ciphertexts.iter().map(|c| key.decrypt_share(c).expect("it verifies")).collect()
                };
                let shares = quorum.iter().map(share).collect();
                let keys = quorum.iter().map(|m| public.public_key_share(*m)).collect();
                Self { public, quorum, keys, ciphertexts, shares, secret }
            }
            fn seal(&self) {
                let key = self.public.public_key();
                let sealed: Vec<_> = (0..self.ciphertexts.len()).map(|i| key.encrypt(padded(i))).collect();
                assert_eq!(black_box(sealed).len(), self.ciphertexts.len());
            }
            fn admit(&self) {
                assert!(self.ciphertexts.iter().all(|c| c.verify()));
            }
            fn share(&self) {
                let key = self.secret.secret_key_share(0usize);
                let shares: Vec<_> = self.ciphertexts.iter().map(|c| key.decrypt_share_no_verify(c)).collect();
                assert_eq!(black_box(shares).len(), self.ciphertexts.len());
            }
            fn verify(&self) {
                for (key, shares) in self.keys.iter().zip(&self.shares) {
                    let holds = |(share, c)| key.verify_decryption_share(share, c);
                    assert!(shares.iter().zip(&self.ciphertexts).all(holds));
                }
            }
            fn combine(&self) {
                for (i, c) in self.ciphertexts.iter().enumerate() {
                    let shares = self.quorum.iter().copied().zip(self.shares.iter().filter_map(|all| all.get(i)));
                    assert_eq!(self.public.decrypt(shares, c).expect("a quorum of shares"), padded(i));
                }
            }
        }
    };
}

/// A coefficient below the order: four words, little-endian.
fn words(i: u64) -> [u64; 4] {
    [i.wrapping_mul(0x9e37_79b9_7f4a_7c15), !i, i.wrapping_mul(0xbf58_476d_1ce4_e5b9), 0x1234_5678_9abc_def0 + i]
}

peer!(ThresholdCrypto, threshold_crypto, "threshold_crypto", |q: u16| {
    use threshold_crypto::ff::PrimeField;
    let coefficient = |i| threshold_crypto::Fr::from_repr(threshold_crypto::FrRepr(words(i))).expect("below the order");
    (1..=u64::from(q)).map(coefficient).collect::<Vec<_>>()
});
peer!(Blsttc, blsttc, "blsttc", |q: u16| {
    let coefficient = |i| blsttc::Fr::from_u64s_le(&words(i)).expect("below the order");
    (1..=u64::from(q)).map(coefficient).collect::<Vec<_>>()
});

fn measure(c: &mut Criterion<CpuTime>, id: String, mut work: impl FnMut()) {
    c.bench_function(&id, |b| b.iter(&mut work));
}

#[expect(clippy::print_stdout, clippy::disallowed_methods, reason = "a bench reports bytes, and measures time")]
fn ours(c: &mut Criterion<CpuTime>, committee: &Committee) {
    let id = |op: &str| format!("ours/{op}/n{}/B{}", committee.n, committee.ciphertexts.len());
    println!("ours/bytes/n{}/B{}: {} sent", committee.n, committee.ciphertexts.len(), committee.bytes_sent());
    let mut orders = committee.arrivals.iter().cycle();
    let mut next = move || orders.next().expect("orders");
    let everybody: Vec<u16> = (0..committee.n).collect();
    measure(c, id("seal"), || assert!(committee.seal() > 0));
    measure(c, id("admit"), || assert_eq!(committee.admit(&committee.ciphertexts), committee.ciphertexts.len()));
    measure(c, id("share"), || assert_eq!(committee.share(), committee.ciphertexts.len()));
    measure(c, id("combine"), || drop(black_box(committee.combine(next()))));
    c.bench_function(&id("open"), |b| {
        let setup = || committee.combine(committee.arrivals.first().expect("orders"));
        b.iter_batched(setup, |combined| committee.open(combined), criterion::BatchSize::LargeInput);
    });
    measure(c, id("all_in"), || assert_eq!(committee.open(committee.combine(&everybody)), committee.ciphertexts.len()));
    let mut orders = committee.arrivals.iter().cycle();
    measure(c, id("total"), || committee.total(orders.next().expect("orders")));
    measure(c, id("audit"), || {
        let checked = tdh2::check_openings(&committee.keys, &items(&committee.ciphertexts), &committee.openings, SEED);
        assert!(checked.iter().all(|opened| matches!(opened, Ok(Some(_)))));
    });
    // Callers split slices over cores: wall clock of admission by two threads.
    c.bench_function(&id("admit_wall_2_threads"), |b| {
        b.iter_custom(|times| {
            let start = Instant::now();
            for _ in 0..times {
                let (one, other) = committee.ciphertexts.split_at(committee.ciphertexts.len() / 2);
                thread::scope(|scope| {
                    let there = scope.spawn(|| committee.admit(other));
                    assert_eq!(committee.admit(one) + there.join().expect("a thread"), committee.ciphertexts.len());
                });
            }
            start.elapsed()
        });
    });
}

fn beacon(c: &mut Criterion<CpuTime>, committee: &Committee) {
    let message = beacon::Message::of(&committee.fixed);
    #[expect(clippy::disallowed_methods, reason = "the bench plays the members; the order is fixed by real votes")]
    let sign = |key| beacon::sign(key, &committee.fixed);
    let arrived = committee.arrivals.first().expect("orders").iter().take(committee.keys.q().into());
    let key = |m: u16| committee.deal.beacon.get(usize::from(m)).expect("a key per member");
    let shares: Vec<(MemberId, G2Bytes)> = arrived.map(|m| (MemberId(*m), sign(key(*m)))).collect();
    measure(c, format!("ours/beacon_sign/n{}/B1", committee.n), || assert_ne!(sign(key(0)), G2Bytes::ZERO));
    measure(c, format!("ours/beacon_combine/n{}/B1", committee.n), || {
        let made = beacon::combine(&committee.keys, &shares, &message).expect("good shares");
        beacon::verify(&committee.keys, &message, &made).expect("the threshold signature");
    });
}

/// Each time is that of a few envelopes, scaled to a batch of `count`.
fn theirs<P: Peer>(c: &mut Criterion<CpuTime>, n: u16, batches: &[usize], items: usize) {
    let peer = P::new(n, items);
    for count in batches {
        let mut scaled = |op: &str, work: fn(&P)| {
            c.bench_function(&format!("{}/{op}/n{n}/B{count}", P::NAME), |b| {
                b.iter_custom(|times| {
                    let start = cpu_now();
                    for _ in 0..times {
                        work(&peer);
                    }
                    cpu_now().saturating_sub(start).mul_f64(ratio(*count, items))
                });
            });
        };
        scaled("seal", P::seal);
        scaled("admit", P::admit);
        scaled("share", P::share);
        scaled("verify", P::verify);
        scaled("combine", P::combine);
        scaled("total", P::total);
    }
}

fn ratio(count: usize, items: usize) -> f64 {
    let exact = |number: usize| f64::from(u32::try_from(number).unwrap_or(u32::MAX));
    exact(count) / exact(items)
}

fn main() {
    let settings = Criterion::default().sample_size(10).warm_up_time(Duration::from_millis(200));
    let mut criterion = cpu::criterion(settings.measurement_time(Duration::from_secs(1)));
    let batches = numbers("LOCKSTEP_BENCH_B", "512");
    let peer_items = numbers("LOCKSTEP_BENCH_PEER_ITEMS", "1").first().copied().unwrap_or(1).max(1);
    for n in numbers("LOCKSTEP_BENCH_N", "4,16,64") {
        let n = u16::try_from(n).expect("at most 128");
        for count in &batches {
            let committee = Committee::new(n, *count);
            ours(&mut criterion, &committee);
            if count == batches.first().expect("a batch") {
                beacon(&mut criterion, &committee);
            }
        }
        theirs::<Blsttc>(&mut criterion, n, &batches, peer_items);
        theirs::<ThresholdCrypto>(&mut criterion, n, &batches, peer_items);
    }
    criterion.final_summary();
}
