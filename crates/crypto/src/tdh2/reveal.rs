//! From q share messages to openings: combine, open, and when something does not open, find out whose fault it is.
//!
//! ```text
//!  q members --combine--> D --open--> Key(K)                     exact: U = rG and D = r PK
//!                              \--no--> judge all that fail at once: e(D, G^) = e(U, PK2)
//!                                         holds: their senders were bad   --> Bottom(D)
//!                                         fails: blame, one check per member, leave the culprits out, again
//! ```
//!
//! Nothing is bisected: where all shares of an item are right, its D is. So f bad members cost one check for each member
//! and one for each time that culprits are left out, however many items they spoil.
use super::{
    Admitted, Item, SharePoint,
    cipher::{Parts, base_secret, body_keys, decrypt_with, masks, message_hashes},
};
use crate::{
    batch::{Coefficients, bisect, first},
    ffi::{Fr, G1, G1Affine, G2Affine, msm_128, pairings_equal},
    keys::{EncryptionKey, KeySet},
    weights::{Weights, choose},
};
use alloc::{
    collections::{BTreeMap, BTreeSet},
    vec,
    vec::Vec,
};
use core::ops::Range;
use types::{G1Bytes, Key128, MemberId, Opening};
use zeroize::Zeroizing;

/// What a reveal gives, in the order of the items.
#[derive(Clone, PartialEq, Eq)]
pub struct Reveal {
    /// One per item: a function of the item's bytes and the key alone.
    pub openings: Vec<Opening>,
    /// The padded message of each item that opened.
    pub plaintexts: Vec<Option<Zeroizing<Vec<u8>>>>,
    /// Members whose shares were proven bad on the way, ascending. Not all bad ones: only those that were in the way.
    pub culprits: Vec<MemberId>,
}

impl core::fmt::Debug for Reveal {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Reveal").field("openings", &self.openings).field("culprits", &self.culprits).finish()
    }
}

/// Why there is no reveal.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RevealError {
    /// Fewer than q members are left.
    #[error("fewer shares than it takes to open, {} members left out as bad", culprits.len())]
    NeedMore {
        /// Whose shares were proven bad.
        culprits: Vec<MemberId>,
    },
    /// An item is not what was admitted: the caller paired them wrongly.
    #[error("item {index} is not what was admitted")]
    Foreign {
        /// Which item.
        index: usize,
    },
    /// Shares that each verify do not combine to a point that verifies: the key set is not one. A checked key set
    /// never is.
    #[error("good shares do not combine")]
    KeySet,
}

/// A candidate opening that holds but for U = rG.
struct Attempt {
    k: [u8; 16],
    r: Zeroizing<Fr>,
    message: Zeroizing<Vec<u8>>,
}

/// What each K gives, before U, D and c1 are compared.
fn decrypted(key: &EncryptionKey, tasks: &[&Task<'_>], keys: &[Option<[u8; 16]>]) -> Vec<Option<Attempt>> {
    let given: Vec<(&[u8; 16], &Task<'_>)> =
        keys.iter().zip(tasks).filter_map(|(k, task)| Some((k.as_ref()?, *task))).collect();
    let pairs: Vec<(&[u8; 16], &[u8; 48])> = given.iter().map(|(k, task)| (*k, task.parts.u)).collect();
    let bodies = body_keys(key, &pairs);
    let opened = bodies.iter().zip(&given).map(|(body, (_, task))| decrypt_with(body, task.item.aad, task.parts.body));
    let opened: Vec<Option<Zeroizing<Vec<u8>>>> = opened.collect();
    let hashed = opened.iter().zip(&given).filter_map(|(message, (_, task))| Some((task.item.aad, message.as_ref()?)));
    let hashed: Vec<[&[u8]; 2]> = hashed.map(|(aad, message)| [aad, message.as_slice()]).collect();
    let mut hashes = message_hashes(&hashed).into_iter();
    let attempts = opened.into_iter().zip(&given).map(|(message, (k, _))| {
        let message = message?;
        Some(Attempt { k: **k, r: base_secret(key, k, &hashes.next()?), message })
    });
    let attempts: Vec<Option<Attempt>> = attempts.collect();
    let mut attempts = attempts.into_iter();
    let given = keys.iter().map(Option::is_some).chain(core::iter::repeat(false));
    tasks.iter().zip(given).map(|(_, given)| if given { attempts.next().flatten() } else { None }).collect()
}

/// Tries to open with combined points. Exact in D: without that comparison, a sender that chose c1 for another D and a
/// member that sends the matching bad share would make honest members open differently.
fn attempts(key: &EncryptionKey, tasks: &[&Task<'_>], shared: &[G1]) -> Vec<Option<Attempt>> {
    let compressed = G1::compress_all(shared);
    let masked = tasks.iter().zip(&compressed).map(|(task, bytes)| (task.parts.u, bytes, task.parts.c1));
    let keys: Vec<Option<[u8; 16]>> = masks(key, &masked.collect::<Vec<_>>()).into_iter().map(Some).collect();
    let mut attempts = decrypted(key, tasks, &keys);
    let scalars: Vec<Fr> = attempts.iter().flatten().map(|attempt| *attempt.r).collect();
    let mut products = key.tables.key.vartime_mul_all(&scalars).into_iter();
    for (attempt, shared) in attempts.iter_mut().zip(shared) {
        *attempt = attempt.take().filter(|_| products.next().is_some_and(|product| product == *shared));
    }
    attempts
}

/// U = rG.
fn is_base(key: &EncryptionKey, u: &G1Affine, r: &Fr) -> bool {
    key.tables.generator.vartime_mul(r) == u.point()
}

/// Whether an admitted item opens with a given D: what decides between Key and Bottom.
pub(super) fn opens_with(key: &EncryptionKey, item: &Item<'_>, parts: &Parts<'_>, u: &G1Affine, shared: &G1) -> bool {
    let task = Task { item: *item, parts: *parts, u: *u };
    attempts(key, &[&task], core::slice::from_ref(shared)).iter().flatten().any(|attempt| is_base(key, u, &attempt.r))
}

struct Task<'a> {
    item: Item<'a>,
    parts: Parts<'a>,
    u: G1Affine,
}

/// Per item, what it came to: `None` while nothing is decided.
type Found = [Option<(Opening, Option<Zeroizing<Vec<u8>>>)>];

/// An item that did not open with this combined point.
struct Failure {
    index: usize,
    shared: G1,
}

/// Opens all items of a slot from the shares of at least q members; `shares[m]` in the order of `items`. Messages of
/// another length, of no member, or second ones of a member do not count.
///
/// Whatever q members are taken, the openings are the same (CRY-4).
///
/// # Errors
/// [`RevealError`].
pub fn reveal(
    keys: &KeySet,
    items: &[(Item<'_>, &Admitted)],
    shares: &[(MemberId, Vec<SharePoint>)],
    seed: [u8; 32],
) -> Result<Reveal, RevealError> {
    let tasks = tasks(items)?;
    let mut usable = usable(keys, shares, items.len());
    let mut found = vec![None; items.len()];
    let (mut culprits, mut cleared) = (Vec::new(), BTreeSet::new());
    loop {
        let Some(quorum) = quorum(keys, &usable) else {
            return Err(RevealError::NeedMore { culprits });
        };
        let open: Vec<usize> = (0..).zip(&found).filter(|(_, done)| done.is_none()).map(|(at, _)| at).collect();
        let combined = combine_open(&quorum, &open);
        let failures = open_all(keys.encryption_key(), &tasks, combined, &mut found);
        if judge(keys.encryption_key(), &tasks, &failures, &seed, &mut found) {
            break;
        }
        let blamed = blame(keys, &tasks, &quorum, &failures, &seed, &mut cleared);
        if blamed.is_empty() {
            return Err(RevealError::KeySet);
        }
        usable.retain(|member, _| !blamed.contains(member));
        culprits.extend(blamed);
        culprits.sort_unstable();
    }
    // Every item is done: what did not open became Bottom.
    let (openings, plaintexts) = found.into_iter().flatten().unzip();
    Ok(Reveal { openings, plaintexts, culprits })
}

/// The first message of each member that has as many shares as there are items.
fn usable<'a>(
    keys: &KeySet,
    shares: &'a [(MemberId, Vec<SharePoint>)],
    count: usize,
) -> BTreeMap<MemberId, &'a [SharePoint]> {
    let mut usable: BTreeMap<MemberId, &[SharePoint]> = BTreeMap::new();
    for (member, points) in shares {
        if member.0 < keys.n() && points.len() == count {
            usable.entry(*member).or_insert(points);
        }
    }
    usable
}

/// The q of them that are combined.
fn quorum<'a>(
    keys: &KeySet,
    usable: &BTreeMap<MemberId, &'a [SharePoint]>,
) -> Option<Vec<(MemberId, &'a [SharePoint])>> {
    let arrived: Vec<MemberId> = usable.keys().copied().collect();
    let chosen = choose(&arrived, keys.q().into())?;
    let message = |at: &usize| usable.get_key_value(arrived.get(*at)?).map(|(member, points)| (*member, *points));
    Some(chosen.iter().filter_map(message).collect())
}

fn tasks<'a>(items: &[(Item<'a>, &Admitted)]) -> Result<Vec<Task<'a>>, RevealError> {
    let task = |(index, (item, admitted)): (usize, &(Item<'a>, &Admitted))| {
        let parts = Parts::split(item.ciphertext, item.class_bytes).ok_or(RevealError::Foreign { index })?;
        if *parts.u != admitted.u().compress() {
            return Err(RevealError::Foreign { index });
        }
        Ok(Task { item: *item, parts, u: *admitted.u() })
    };
    items.iter().enumerate().map(task).collect()
}

/// D of each open item, from the quorum's unchecked shares: may be any point.
fn combine_open(quorum: &[(MemberId, &[SharePoint])], open: &[usize]) -> Vec<Failure> {
    let members: Vec<MemberId> = quorum.iter().map(|(member, _)| *member).collect();
    let weights = Weights::new(&members);
    let share = |j: usize, lane: usize| {
        let (_, points) = quorum.get(j)?;
        points.get(*open.get(lane)?).map(|share| share.0)
    };
    let combined = weights.combine_all(open.len(), share);
    open.iter().zip(combined).map(|(index, shared)| Failure { index: *index, shared }).collect()
}

/// Writes down what opens and gives back what does not.
fn open_all(key: &EncryptionKey, tasks: &[Task<'_>], combined: Vec<Failure>, found: &mut Found) -> Vec<Failure> {
    let mut failures = Vec::new();
    let known: Vec<(Failure, &Task<'_>)> =
        combined.into_iter().filter_map(|one| tasks.get(one.index).map(|task| (one, task))).collect();
    let (some_tasks, shared): (Vec<&Task<'_>>, Vec<G1>) = known.iter().map(|(one, task)| (*task, one.shared)).unzip();
    let opened = with_base(key, &some_tasks, attempts(key, &some_tasks, &shared));
    for ((candidate, _), attempt) in known.into_iter().zip(opened) {
        let Some(attempt) = attempt else {
            failures.push(candidate);
            continue;
        };
        let opening = (Opening::Key(Key128(attempt.k)), Some(attempt.message));
        found.iter_mut().skip(candidate.index).take(1).for_each(|slot| *slot = Some(opening.clone()));
    }
    failures
}

/// The attempts of which U = rG holds.
fn with_base(key: &EncryptionKey, tasks: &[&Task<'_>], mut attempts: Vec<Option<Attempt>>) -> Vec<Option<Attempt>> {
    let scalars: Vec<Fr> = attempts.iter().flatten().map(|attempt| *attempt.r).collect();
    let mut products = key.tables.generator.vartime_mul_all(&scalars).into_iter();
    for (attempt, task) in attempts.iter_mut().zip(tasks) {
        *attempt = attempt.take().filter(|_| products.next().is_some_and(|product| product == task.u.point()));
    }
    attempts
}

/// Points that are D if the shares are good, in the order of the items. Nothing is checked.
#[expect(missing_debug_implementations, reason = "D is a secret until it opens")]
pub struct Combined(Vec<G1>);

#[cfg(test)]
impl Combined {
    /// Of one item.
    pub(crate) fn point(&self, at: usize) -> Option<G1Bytes> {
        self.0.get(at).and_then(G1::affine).map(|point| G1Bytes(point.compress()))
    }
}

/// Combines q of the members' shares of `count` items. `None`: too few members with as many shares.
#[must_use]
pub fn combine(keys: &KeySet, shares: &[(MemberId, Vec<SharePoint>)], count: usize) -> Option<Combined> {
    let usable = usable(keys, shares, count);
    let quorum = quorum(keys, &usable)?;
    let open: Vec<usize> = (0..count).collect();
    Some(Combined(combine_open(&quorum, &open).into_iter().map(|one| one.shared).collect()))
}

/// Opens items with combined points: the padded message of each that opens, which is exact. What does not open is not
/// judged: that takes [`reveal`].
///
/// # Errors
/// [`RevealError::Foreign`].
pub fn open(
    key: &EncryptionKey,
    items: &[(Item<'_>, &Admitted)],
    combined: Combined,
) -> Result<Vec<Option<Zeroizing<Vec<u8>>>>, RevealError> {
    let tasks = tasks(items)?;
    let tasks: Vec<&Task<'_>> = tasks.iter().collect();
    let mut shared = combined.0;
    shared.resize(tasks.len(), G1::identity());
    let opened = with_base(key, &tasks, attempts(key, &tasks, &shared));
    Ok(opened.into_iter().map(|attempt| attempt.map(|attempt| attempt.message)).collect())
}

/// As [`open`], with keys that somebody published. A key that is missing does not open.
///
/// # Errors
/// [`RevealError::Foreign`].
pub fn check_keys(
    key: &EncryptionKey,
    items: &[(Item<'_>, &Admitted)],
    keys: &[Key128],
) -> Result<Vec<Option<Zeroizing<Vec<u8>>>>, RevealError> {
    let tasks = tasks(items)?;
    let tasks: Vec<&Task<'_>> = tasks.iter().collect();
    let keys: Vec<Option<[u8; 16]>> = keys.iter().map(|k| Some(k.0)).collect();
    let attempts = decrypted(key, &tasks, &keys);
    let scalars: Vec<Fr> = attempts.iter().flatten().map(|attempt| *attempt.r).collect();
    let shared = G1::compress_all(&key.tables.key.vartime_mul_all(&scalars));
    let there = attempts.iter().zip(&tasks).filter_map(|(attempt, task)| Some((task.parts.u, &attempt.as_ref()?.k)));
    let masked: Vec<_> = there.zip(&shared).map(|((u, k), shared)| (u, shared, k)).collect();
    let mut masked = masks(key, &masked).into_iter();
    let fits = |(task, attempt): (&&Task<'_>, Option<Attempt>)| {
        let attempt = attempt?;
        (masked.next()? == *task.parts.c1).then_some(attempt)
    };
    let attempts = tasks.iter().zip(attempts).map(fits).collect();
    let opened = with_base(key, &tasks, attempts);
    Ok(opened.into_iter().map(|attempt| attempt.map(|attempt| attempt.message)).collect())
}

/// The first of these admitted items that is not Bottom with its point: because the point is not the secret times U, or
/// because the item opens. A point that is missing is wrong. `None`: all are right.
///
/// Wrong ones beyond the first cost nothing: who says one says no more that is worth a look.
///
/// # Errors
/// [`RevealError::Foreign`].
pub fn wrong_bottom(
    key: &EncryptionKey,
    items: &[(Item<'_>, &Admitted)],
    points: &[G1Bytes],
    seed: &[u8; 32],
) -> Result<Option<usize>, RevealError> {
    let tasks = tasks(items)?;
    let given = points.iter().map_while(|point| G1Affine::uncompress(&point.0).filter(G1Affine::in_group));
    let mut pairs: Vec<(G1Affine, G1Affine)> = tasks.iter().map(|task| task.u).zip(given).collect();
    let outside = (pairs.len() < tasks.len()).then_some(pairs.len());
    let wrong = Together::new(&key.pk2, &pairs, seed).first_wrong().or(outside);
    pairs.truncate(wrong.unwrap_or(pairs.len()));
    let right: Vec<&Task<'_>> = tasks.iter().take(pairs.len()).collect();
    let shared: Vec<G1> = pairs.iter().map(|(_, shared)| shared.point()).collect();
    let opened = with_base(key, &right, attempts(key, &right, &shared));
    Ok(opened.iter().position(Option::is_some).or(wrong))
}

/// Whether the senders alone are to blame for all that failed: then Bottom is written down for each. If not, some share
/// of some of them was bad.
fn judge(key: &EncryptionKey, tasks: &[Task<'_>], failures: &[Failure], seed: &[u8; 32], found: &mut Found) -> bool {
    let pair = |failure: &Failure| {
        let shared = failure.shared.affine().filter(G1Affine::in_group)?;
        Some((tasks.get(failure.index)?.u, shared))
    };
    let pairs: Option<Vec<(G1Affine, G1Affine)>> = failures.iter().map(pair).collect();
    let Some(pairs) = pairs.filter(|pairs| Together::new(&key.pk2, pairs, seed).all_hold()) else { return false };
    for (failure, (_, shared)) in failures.iter().zip(&pairs) {
        let bottom = (Opening::Bottom(G1Bytes(shared.compress())), None);
        found.iter_mut().skip(failure.index).take(1).for_each(|slot| *slot = Some(bottom.clone()));
    }
    true
}

/// Pairs (u, d), both in the group, that are held against one key: e(d, G^) = e(u, key), so d is u times its secret.
pub(super) struct Together<'a> {
    key: &'a G2Affine,
    generator: G2Affine,
    bases: Vec<G1Affine>,
    products: Vec<G1Affine>,
    short: Vec<[u8; 16]>,
}

#[cfg(test)]
std::thread_local! {
    /// Checks by pairing so far.
    pub(super) static CHECKS: core::cell::Cell<usize> = const { core::cell::Cell::new(0) };
}

impl<'a> Together<'a> {
    pub(super) fn new(key: &'a G2Affine, pairs: &[(G1Affine, G1Affine)], seed: &[u8; 32]) -> Self {
        let bytes: Vec<[u8; 48]> = pairs.iter().flat_map(|(u, d)| [u.compress(), d.compress()]).collect();
        let coefficients = Coefficients::new(seed, bytes.iter().map(|point| point.as_slice()));
        let short = (0..pairs.len()).map(|at| coefficients.pair(at).0).collect();
        let (bases, products) = pairs.iter().copied().unzip();
        Self { key, generator: G2Affine::generator(), bases, products, short }
    }
    fn hold(&self, range: Range<usize>) -> bool {
        if range.is_empty() {
            return true;
        }
        #[cfg(test)]
        CHECKS.set(CHECKS.get() + 1);
        let some = self.short.get(range.clone()).unwrap_or_default();
        let left = msm_128(self.products.get(range.clone()).unwrap_or_default(), some);
        let right = msm_128(self.bases.get(range).unwrap_or_default(), some);
        pairings_equal(&left, &self.generator, &right, self.key)
    }
    fn all_hold(&self) -> bool {
        self.hold(0..self.short.len())
    }
    /// The verdict on each.
    pub(super) fn each(&self) -> Vec<bool> {
        bisect(self.short.len(), |range| self.hold(range))
    }
    /// The first that does not hold, by as many checks as halvings.
    pub(super) fn first_wrong(&self) -> Option<usize> {
        first(self.short.len(), |range| self.hold(range))
    }
}

/// The members of the quorum that sent a bad share for one of these items. Who is `cleared` sent none for any item that
/// failed before.
fn blame(
    keys: &KeySet,
    tasks: &[Task<'_>],
    quorum: &[(MemberId, &[SharePoint])],
    failures: &[Failure],
    seed: &[u8; 32],
    cleared: &mut BTreeSet<MemberId>,
) -> Vec<MemberId> {
    let honest = |member: MemberId, points: &[SharePoint]| {
        let pair = |failure: &Failure| {
            let share = points.get(failure.index)?.0;
            Some((tasks.get(failure.index)?.u, share)).filter(|(_, share)| share.in_group())
        };
        let pairs: Option<Vec<(G1Affine, G1Affine)>> = failures.iter().map(pair).collect();
        let (Some(pairs), Some(key)) = (pairs, keys.share_key_g2_point(member)) else { return false };
        Together::new(&key, &pairs, seed).all_hold()
    };
    let mut blamed = Vec::new();
    for (member, points) in quorum {
        if cleared.contains(member) {
            continue;
        }
        if honest(*member, points) {
            cleared.insert(*member);
        } else {
            blamed.push(*member);
        }
    }
    blamed
}

/// Whether this is the member's share of a ciphertext: e(share, G^) = e(U, PK2_j). `None`: U is no point of the group, or
/// the member does not exist, so there is no right share.
#[must_use]
pub fn share_holds(keys: &KeySet, member: MemberId, ciphertext: &[u8], share: &G1Bytes) -> Option<bool> {
    let u = G1Affine::uncompress(ciphertext.first_chunk()?).filter(G1Affine::in_group)?;
    let key = keys.share_key_g2_point(member)?;
    let share = G1Affine::uncompress(&share.0).filter(G1Affine::in_group);
    let generator = G2Affine::generator();
    Some(share.is_some_and(|share| pairings_equal(&share.point(), &generator, &u.point(), &key)))
}

/// The first item of which a member sent a bad share, both in the order of the items; `None`: all are right.
#[must_use]
pub fn bad_share<'a>(
    keys: &KeySet,
    member: MemberId,
    items: impl Iterator<Item = &'a Admitted>,
    points: &[SharePoint],
    seed: &[u8; 32],
) -> Option<usize> {
    let key = keys.share_key_g2_point(member)?;
    let pairs: Vec<(G1Affine, G1Affine)> = items.zip(points).map(|(item, share)| (*item.u(), share.0)).collect();
    // the batch is sound within the group only
    let outside = pairs.iter().position(|(_, share)| !share.in_group());
    let inside = pairs.get(..outside.unwrap_or(pairs.len())).unwrap_or_default();
    Together::new(&key, inside, seed).first_wrong().or(outside)
}
