//! What jobs do: admission, combining and opening, checks of what others say.
use super::{
    AdmitItem, BadShare, ClaimKind, Claimed, CombineWork, Combined, Judged, Opened, RevealItem, RevealWork, Revealed,
    Verdict,
};
use crypto::{
    keys::KeySet,
    tdh2::{self, Admitted, SharePoint},
};
use types::{G1Bytes, G2Bytes, Hash, Key128, MemberId, Opening, limits};

/// From so many shares on it is cheaper to compute them together (docs, benchmarks).
const SHARED_FROM: usize = 12;

pub(super) fn admit(context: &crate::Secrets, items: Vec<AdmitItem>, seed: [u8; 32]) -> Vec<(AdmitItem, Verdict)> {
    let verdicts = mempool::admit_batch(context.keys.encryption_key(), &context.network, &items_view(&items), seed);
    let good = items.iter().zip(&verdicts).filter_map(|(item, verdict)| Some((item.hash, verdict.as_ref().ok()?)));
    let many = good.clone().count() >= SHARED_FROM;
    let mut shared = if many { context.decrypt.share_all(good) } else { Vec::new() }.into_iter();
    let mut out = Vec::with_capacity(items.len());
    for (item, verdict) in items.into_iter().zip(verdicts) {
        let verdict = verdict.map(|admitted| {
            let share = shared.next().unwrap_or_else(|| context.decrypt.share(item.hash, &admitted));
            Box::new((admitted, share))
        });
        out.push((item, verdict));
    }
    out
}

fn items_view(items: &[AdmitItem]) -> Vec<mempool::AdmitRequest<'_>> {
    items.iter().map(|item| mempool::AdmitRequest { sealed: &item.sealed, after: item.after.as_deref() }).collect()
}

struct Views<'a> {
    aads: Vec<Vec<u8>>,
    items: &'a [RevealItem],
}

impl<'a> Views<'a> {
    fn new(items: &'a [RevealItem]) -> Self {
        let aads = items.iter().map(|i| i.sealed.aad()).collect();
        Self { aads, items }
    }
    fn view(&self) -> Vec<tdh2::Item<'_>> {
        self.items.iter().zip(&self.aads).map(|(item, aad)| item.sealed.item(aad)).collect()
    }
    fn pairs(&self) -> Vec<(tdh2::Item<'_>, &'a Admitted)> {
        self.view().into_iter().zip(self.items.iter().map(|i| &i.admitted)).collect()
    }
}

fn plain(messages: Vec<Option<zeroize::Zeroizing<Vec<u8>>>>) -> Vec<Option<Vec<u8>>> {
    messages.into_iter().map(|m| m.map(|m| m.to_vec())).collect()
}

pub(super) fn beacon(
    keys: &KeySet,
    message: &crypto::beacon::Message,
    shares: &[(MemberId, G2Bytes)],
) -> Result<(G2Bytes, Hash), Vec<MemberId>> {
    // a combination that verifies
    let sig = crypto::beacon::combine(keys, shares, message).map_err(|culprits| culprits.0)?;
    Ok((sig, crypto::beacon::value(&sig)))
}

pub(super) fn reveal(keys: &KeySet, work: &RevealWork) -> Result<Revealed, Vec<MemberId>> {
    let beacons: Vec<_> = work.shares.iter().map(|(member, share, _)| (*member, *share)).collect();
    let (sig, beacon) = beacon(keys, &work.message, &beacons)?;
    let Opened { openings, messages, culprits } = open(keys, work)?;
    Ok(Revealed { sig, beacon, openings, messages, culprits })
}

fn open(keys: &KeySet, work: &RevealWork) -> Result<Opened, Vec<MemberId>> {
    let views = Views::new(&work.items);
    let items = views.pairs();
    let shares: Vec<_> = work.shares.iter().map(|(member, _, points)| (*member, points.clone())).collect();
    match tdh2::reveal(keys, &items, &shares, work.seed) {
        Ok(r) => Ok(Opened { openings: r.openings, messages: plain(r.plaintexts), culprits: r.culprits }),
        Err(tdh2::RevealError::NeedMore { culprits }) => Err(culprits),
        Err(_count) => Err(Vec::new()),
    }
}

pub(super) fn combine(keys: &KeySet, work: CombineWork) -> Combined {
    let CombineWork { combiner, places, work } = work;
    let result = open(keys, &work);
    let culprits = result.as_ref().map_or_else(|named| named, |opened| &opened.culprits);
    let bids = bids_of(&work);
    let bad = bad_shares(keys, &work, culprits).into_iter().filter_map(|(member, bad)| match bad {
        BadShare::Item(unit) => {
            let item = usize::try_from(*places.get(bids.checked_add(unit)?)?).ok()?;
            Some((member, BadShare::Piece { combiner, item }))
        }
        BadShare::Beacon | BadShare::Piece { .. } => Some((member, bad)),
    });
    let bad = bad.collect();
    Combined { slot: work.message.slot, combiner, places, result, bad }
}

/// What is admitted needs no proof of that again.
pub(super) fn check_claims(keys: &KeySet, kind: ClaimKind, claims: &[Claimed], seed: &[u8; 32]) -> Vec<Judged> {
    match kind {
        ClaimKind::Keys => {
            let items: Vec<RevealItem> = claims.iter().map(|claim| claim.item.clone()).collect();
            let given: Vec<Key128> = claims.iter().filter_map(|claim| claim.opening.key()).collect();
            let messages = check_keys(keys, &items, &given);
            claims.iter().zip(messages).map(|(claim, message)| claim.judged(message.map(Some))).collect()
        }
        ClaimKind::Bottoms => {
            let of_member = claims.chunk_by(|one, next| one.member == next.member);
            of_member.flat_map(|claims| check_bottoms(keys, claims, seed)).collect()
        }
    }
}

fn bottom(opening: &Opening) -> Option<G1Bytes> {
    match opening {
        Opening::Bottom(point) => Some(*point),
        Opening::Key(_) => None,
    }
}

/// The message of each item that its key opens.
fn check_keys(keys: &KeySet, items: &[RevealItem], given: &[Key128]) -> Vec<Option<zeroize::Zeroizing<Vec<u8>>>> {
    let views = Views::new(items);
    // the pairs are what was admitted, so there are messages
    tdh2::check_keys(keys.encryption_key(), &views.pairs(), given).unwrap_or_default()
}

/// One member's claims up to the first wrong one: a member that says more than one wrong thing makes nobody look for it.
fn check_bottoms(keys: &KeySet, claims: &[Claimed], seed: &[u8; 32]) -> Vec<Judged> {
    let items: Vec<RevealItem> = claims.iter().map(|claim| claim.item.clone()).collect();
    let given: Vec<G1Bytes> = claims.iter().filter_map(|claim| bottom(&claim.opening)).collect();
    let views = Views::new(&items);
    let Ok(wrong) = tdh2::wrong_bottom(keys.encryption_key(), &views.pairs(), &given, seed) else { return Vec::new() };
    let right = claims.iter().take(wrong.unwrap_or(claims.len())).map(|claim| claim.judged(Some(None)));
    right.chain(wrong.and_then(|wrong| claims.get(wrong)).map(|claim| claim.judged(None))).collect()
}

impl Claimed {
    fn judged(&self, message: Option<Option<zeroize::Zeroizing<Vec<u8>>>>) -> Judged {
        let holds = message.is_some();
        let message = message.flatten().map(|message| message.to_vec());
        Judged { member: self.member, place: self.place, opening: self.opening, holds, message }
    }
}

/// Bids come first.
fn bids_of(work: &RevealWork) -> usize {
    work.items.iter().take_while(|item| item.sealed.envelope().is_none()).count()
}

/// Places of the units whose envelopes may fit evidence, the smallest first.
fn units_of(work: &RevealWork) -> Vec<usize> {
    let bytes = |item: &RevealItem| {
        let envelope = item.sealed.envelope()?;
        let small = envelope.ciphertext.len() < limits::EVIDENCE_BYTES_MAX;
        small.then_some((envelope.ciphertext.len(), envelope.signed.consents.len()))
    };
    let sizes = work.items.iter().enumerate().filter_map(|(place, item)| Some((bytes(item)?, place)));
    let mut sizes: Vec<_> = sizes.collect();
    sizes.sort_unstable();
    sizes.into_iter().map(|(_, place)| place).collect()
}

/// Says of each culprit what it sent that is bad.
pub(super) fn bad_shares(keys: &KeySet, work: &RevealWork, culprits: &[MemberId]) -> Vec<(MemberId, BadShare)> {
    let (bids, units) = (bids_of(work), units_of(work));
    let of = |member: &MemberId| {
        let (_, beacon, points) = work.shares.iter().find(|(sender, ..)| sender == member)?;
        if !crypto::beacon::share_holds(keys, *member, &work.message, beacon) {
            return Some((*member, BadShare::Beacon));
        }
        // evidence is about units: whoever sends a bad share of a bid alone is left out all the same
        let (places, shares): (Vec<usize>, Vec<SharePoint>) =
            units.iter().filter_map(|place| Some((*place, *points.get(*place)?))).unzip();
        let admitted = places.iter().filter_map(|place| work.items.get(*place)).map(|item| &item.admitted);
        let bad = places.get(tdh2::bad_share(keys, *member, admitted, &shares, &work.seed)?)?;
        Some((*member, BadShare::Item(bad.checked_sub(bids)?)))
    };
    culprits.iter().filter_map(of).collect()
}

/// All or nothing: whoever served one wrong opening is not looked at further.
pub(super) fn check(keys: &KeySet, work: &RevealWork, sig: G2Bytes, openings: Vec<Opening>) -> Option<Revealed> {
    let beacon = crypto::beacon::verify(keys, &work.message, &sig).ok()?;
    if openings.len() != work.items.len() {
        return None;
    }
    let both = || work.items.iter().zip(&openings);
    let (with_key, given): (Vec<RevealItem>, Vec<Key128>) =
        both().filter_map(|(item, opening)| Some((item.clone(), opening.key()?))).unzip();
    let mut opened = check_keys(keys, &with_key, &given).into_iter().collect::<Option<Vec<_>>>()?.into_iter();
    let (without, given): (Vec<RevealItem>, Vec<G1Bytes>) =
        both().filter_map(|(item, opening)| Some((item.clone(), bottom(opening)?))).unzip();
    let views = Views::new(&without);
    if tdh2::wrong_bottom(keys.encryption_key(), &views.pairs(), &given, &work.seed).ok()?.is_some() {
        return None;
    }
    let messages = openings.iter().map(|opening| opening.key().and_then(|_| opened.next())).collect();
    Some(Revealed { sig, beacon, openings, messages: plain(messages), culprits: Vec::new() })
}
