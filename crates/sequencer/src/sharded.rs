//! A few members combine each item of a slot and publish what opens it, so that the work per item does not grow with
//! the committee (crypto.md section 4).
//!
//! ```text
//!  block final here   header and, to each combiner, the shares of its items -------------> combiners
//!  q headers          beacon (job)
//!  q shares an item   combined and opened (job) -- Openings, signed -------------------> all
//!  Openings           checked (job): what does not open is evidence, the other combiner is awaited
//!  open_fallback      GetShares: who has opened the slot sends the opening, others their shares; combined here
//!  beacon, all items  the slot is opened, as where everybody combines everything
//! ```
//!
//! An opening is unique for an item's bytes, so whoever combines, the log is the same. Two statements of a combiner that
//! differ in an item cannot both hold: the one that does not is evidence by itself.
mod fallback;
mod openings;
mod outgoing;

pub(crate) use outgoing::{Cut, Outgoing};

use crate::{
    effect::{Channel, Effect, To},
    job::{BadShare, ClaimKind, CombineWork, Combined, Job, RevealItem, RevealWork, Revealed},
    reveal::Received,
    state::{Fixed, Halt, Sequencer},
};
use crypto::{combiners::Combiners, merkle, tdh2::SharePoint};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use types::{
    Accused, Epoch, G2Bytes, Hash, MemberId, Opening, OpeningMessage, ShareChunk, ShareHeader, ShareMessage, ShareMode,
    Slot, Timestamp, codec, limits,
    reason::{Finding, Reason},
};

/// Items times combiners that a slow machine combines in a millisecond, spread over all combiners: what an item takes one
/// of them grows with the committee, and each has the fewer items.
const COMBINED_PER_MS: u64 = 20;
/// The shares for a combiner, or a piece of them, as their sender signed them.
#[derive(Debug)]
pub(crate) struct Piece {
    pub(crate) points: Vec<SharePoint>,
    /// From the chunk's leaf to the header's root.
    pub(crate) path: Vec<Hash>,
}

/// What members sent each other of a reveal, beyond share messages. Outlives the slot's opening: others may need it.
#[derive(Debug, Default)]
pub(crate) struct Exchange {
    /// Own shares of the last final slot.
    outgoing: Option<Outgoing>,
    /// Own openings of the last final slot, as sent.
    own_openings: Option<(Slot, Vec<u8>)>,
    /// What combiners say, signatures checked: one message of a member and slot.
    openings: BTreeMap<Slot, BTreeMap<MemberId, OpeningMessage>>,
    /// Members whose openings of a slot were refused: one attempt each.
    refused: BTreeSet<(Slot, MemberId)>,
    /// From when on a member that asked for shares is answered again, and how many it got of this slot.
    served: BTreeMap<MemberId, (Timestamp, usize)>,
    /// Openings that members asked for alone, as time that they have used up.
    sections: BTreeMap<MemberId, Timestamp>,
    /// Members that sent bad shares or openings, and in which epoch. Nothing of theirs is used in it unless it must be.
    culprits: BTreeSet<(Epoch, MemberId)>,
    /// Until when members without guilt have time to open the last final slot alone.
    trusted_until: Timestamp,
}

impl Exchange {
    /// Forgets what is before the last final slot.
    pub(crate) fn prune(&mut self, slot: Slot) {
        self.openings.retain(|s, _| *s >= slot);
        self.refused.retain(|(s, _)| *s >= slot);
        self.own_openings.take_if(|(s, _)| *s < slot);
        self.served.clear();
    }
}

/// What is known of an item: its opening, and the padded message unless nothing opens it.
type Found = (Opening, Option<Vec<u8>>);

/// A slot on its way to be opened.
#[derive(Debug)]
pub(crate) struct Sharded {
    combiners: Combiners,
    found: Vec<Option<Found>>,
    beacon: Option<(G2Bytes, Hash)>,
    /// Whose shares the last attempts had, and whether one is under way.
    beacon_tried: BTreeSet<MemberId>,
    beacon_running: bool,
    tried: BTreeMap<MemberId, BTreeSet<MemberId>>,
    combining: bool,
    /// Places of the claims that are being checked.
    checking: BTreeMap<ClaimKind, BTreeSet<usize>>,
    /// Combiners whose openings need no more look.
    settled: BTreeSet<MemberId>,
    /// When combiners have failed, and then when to ask again.
    fallback_at: Timestamp,
    asked_at: Timestamp,
    /// Combiners whose shares everybody was asked for.
    asked: BTreeSet<MemberId>,
}

impl Sharded {
    pub(crate) fn new(combiners: Combiners, fallback_at: Timestamp) -> Self {
        Self {
            found: vec![None; combiners.items()],
            combiners,
            beacon: None,
            beacon_tried: BTreeSet::new(),
            beacon_running: false,
            tried: BTreeMap::new(),
            combining: false,
            checking: BTreeMap::new(),
            settled: BTreeSet::new(),
            fallback_at,
            asked_at: Timestamp(0),
            asked: BTreeSet::new(),
        }
    }
    pub(crate) fn combiners(&self) -> &Combiners {
        &self.combiners
    }
    fn found(&self, item: usize) -> Option<&Found> {
        self.found.get(item)?.as_ref()
    }
    fn find(&mut self, item: usize, opening: Opening, message: Option<Vec<u8>>) {
        if let Some(place) = self.found.get_mut(item).filter(|place| place.is_none()) {
            *place = Some((opening, message));
        }
    }
    fn missing(&self) -> impl Iterator<Item = usize> + '_ {
        self.found.iter().enumerate().filter(|(_, found)| found.is_none()).map(|(item, _)| item)
    }
    fn missing_of(&self, combiner: MemberId) -> Vec<usize> {
        let mut items = self.combiners.items_of(combiner);
        items.retain(|item| self.found(*item).is_none());
        items
    }
    /// Work is under way that may give what is missing.
    fn is_busy(&self) -> bool {
        self.combining || !self.checking.is_empty() || self.beacon_running
    }
    fn is_being_checked(&self, item: usize) -> bool {
        self.checking.values().any(|places| places.contains(&item))
    }
    fn is_whole(&self) -> bool {
        self.beacon.is_some() && self.missing().next().is_none()
    }
}

/// Of messages that count those whose members are no culprits; `all` of them if that is too few for a quorum.
pub(crate) fn trusted<'a, T>(
    good: Vec<(&'a MemberId, &'a T)>,
    culprits: &BTreeSet<MemberId>,
    quorum: usize,
    all: bool,
) -> Vec<(&'a MemberId, &'a T)> {
    let others: Vec<_> = good.iter().filter(|(member, _)| !culprits.contains(member)).copied().collect();
    if all && others.len() < quorum { good } else { others }
}

impl Sequencer {
    /// Whether a few combine each item.
    pub(crate) fn is_sharded(&self) -> bool {
        self.setup.params.reveal.is_sharded(self.setup.members.len())
    }

    pub(crate) fn n(&self) -> u16 {
        u16::try_from(self.setup.members.len()).unwrap_or(u16::MAX)
    }

    /// Who combines in a slot whose slot before is opened: it follows from the beacon of that, empty block or not,
    /// whichever committee made it. Before slot 1 there is none, and zero stands for it. `None`: it is not known here.
    pub(crate) fn combiners_of(&self, slot: Slot, items: u32) -> Option<Combiners> {
        let before = match self.recent_openings.get(&slot.prev()) {
            Some(opened) => crypto::beacon::value(&opened.sig),
            None if slot <= Slot(1) => Hash::ZERO,
            None => return None,
        };
        let n = self.n();
        Some(Combiners::new(n, self.setup.params.combiners, crypto::combiners::offset(&before, slot, n), items))
    }

    /// The last final slot's reveal begins.
    pub(crate) fn begin_sharded(&mut self, now: Timestamp, slot: Slot, items: usize) -> Option<Sharded> {
        let items = u32::try_from(items).unwrap_or(u32::MAX);
        let combined = u64::from(items).saturating_mul(self.setup.params.combiners.into());
        let work = combined.checked_div(COMBINED_PER_MS).unwrap_or(0);
        let fallback_at = now.plus(self.setup.timings.open_fallback).plus(work);
        self.exchange.trusted_until = fallback_at;
        let combiners = self.combiners_of(slot, items).filter(|_| self.is_sharded())?;
        Some(Sharded::new(combiners, fallback_at))
    }

    // ---- own shares ----------------------------------------------------------------------------------------------

    /// After a restart: the shares that this member has signed. Those of an epoch that went another way, or had another
    /// committee, are sent no more: that slot is opened, and whoever lacks it asks.
    pub(crate) fn resume_outgoing(&mut self) {
        let Some(bytes) = &self.own_share else { return };
        let sent_to_all = codec::decode::<ShareMessage>(bytes, limits::SHARE_BYTES_MAX)
            .is_ok_and(|message| message.header.mode == ShareMode::Direct);
        if self.is_sharded() == sent_to_all {
            self.own_share = None;
            return;
        }
        let former = self.setup.before.as_ref().is_some_and(|before| self.epoch_of(self.fin.slot()) <= before.epoch);
        if !sent_to_all && !former {
            self.exchange.outgoing = Outgoing::resume(bytes, self.n(), self.setup.params.combiners);
        }
    }

    /// What this member holds of its own shares, as if it had come from another.
    pub(crate) fn own_received(&self) -> Option<Received> {
        self.exchange.outgoing.as_ref().map(Outgoing::received)
    }

    pub(crate) fn set_outgoing(&mut self, outgoing: Option<Outgoing>) {
        self.exchange.outgoing = outgoing;
    }

    /// To each member the shares that it combines, to all the header.
    pub(crate) fn send_shares(&mut self) {
        if !self.is_sharded() {
            if let Some(bytes) = self.own_share.clone() {
                self.out.push(Effect::Send { channel: Channel::Shares, to: To::All, bytes });
            }
            return;
        }
        let Some(outgoing) = &self.exchange.outgoing else { return };
        for (member, bytes) in (0u16..).map(MemberId).zip(outgoing.slices()) {
            if member != self.setup.me {
                let bytes = bytes.clone();
                self.out.push(Effect::Send { channel: Channel::Shares, to: To::One(member), bytes });
            }
        }
    }

    // ---- others' shares ------------------------------------------------------------------------------------------

    /// The pieces of a message that this member can use: for itself, and for combiners that it stands in for. `None`: one
    /// of them is not what the header signs.
    pub(crate) fn pieces(&self, message: &ShareMessage) -> Option<BTreeMap<u16, Piece>> {
        let ShareHeader { slot, mode, items, root, member, .. } = &message.header;
        let ShareMode::Sharded { offset } = mode else { return None };
        if *items > limits::SET_COUNT_MAX || *offset >= self.n() {
            return None;
        }
        let combiners = Combiners::new(self.n(), self.setup.params.combiners, *offset, *items);
        let chunks = u64::try_from(combiners.chunks()).ok()?;
        let held = self.shares.get(slot).and_then(|by| by.get(member)).map(|received| &received.pieces);
        let asked = self.fixed.as_ref().filter(|_| *slot == self.fin.slot()).and_then(|f| f.sharded.as_ref());
        let wanted = |owner: MemberId| {
            owner == self.setup.me
                || asked.is_some_and(|state| state.asked.contains(&owner) && !state.missing_of(owner).is_empty())
        };
        let mut pieces = BTreeMap::new();
        let mut last = None;
        for ShareChunk { index, path, form } in &message.chunks {
            if last.is_some_and(|last| last >= *index) {
                return None;
            }
            last = Some(*index);
            let owner = combiners.owner(*index)?;
            if held.is_some_and(|held| held.contains_key(index)) || !wanted(owner) {
                continue;
            }
            if form.len() != combiners.chunk_items(*index).len() {
                return None;
            }
            let points = crate::reveal::points(form)?;
            let leaf = merkle::leaf_hash(crate::reveal::chunk_leaf(*index, &points).as_ref());
            if !merkle::verify_path(root, chunks, (*index).into(), &leaf, path) {
                return None;
            }
            pieces.insert(*index, Piece { points, path: path.clone() });
        }
        Some(pieces)
    }

    /// A second message under the same header: it may hold shares that the first one did not.
    pub(crate) fn more_pieces(&mut self, from: MemberId, message: &ShareMessage) {
        let slot = message.header.slot;
        if self.refused_shares.contains(&(slot, from)) {
            return;
        }
        let Some(pieces) = self.pieces(message) else {
            self.refused_shares.insert((slot, from));
            self.reject(from, Reason::MalformedData, "share");
            return;
        };
        if let Some(received) = self.shares.get_mut(&slot).and_then(|by| by.get_mut(&from)) {
            received.pieces.extend(pieces);
        }
    }

    // ---- culprits ------------------------------------------------------------------------------------------------

    /// What a member sent was proven bad: nothing more of it is used in the epoch, while others are enough.
    pub(crate) fn distrust(&mut self, culprits: &[MemberId]) {
        let epoch = self.fin.header.epoch;
        self.exchange.culprits.retain(|(of, _)| *of >= epoch);
        self.exchange.culprits.extend(culprits.iter().map(|member| (epoch, *member)));
    }

    /// Members that are known here, or by the log, to have sent bad shares or openings in this epoch.
    pub(crate) fn culprits(&self) -> BTreeSet<MemberId> {
        let epoch = self.fin.header.epoch;
        let known = self.exchange.culprits.iter().filter(|(of, _)| *of == epoch).map(|(_, member)| *member);
        let bad = [Finding::ShareBad, Finding::OpeningBad];
        let convicted = self.operations.faults().iter().filter(|c| c.epoch == epoch && bad.contains(&c.finding));
        let members = convicted.filter_map(|claim| match claim.accused {
            Accused::Member(member) => Some(member),
            Accused::Builder { .. } => None,
        });
        known.chain(members).collect()
    }

    /// Others had their time, so culprits are better than nobody: what they send may hold, and is checked.
    pub(crate) fn needs_culprits(&self) -> bool {
        self.stepped_at >= self.exchange.trusted_until
    }

    pub(crate) fn reject(&mut self, from: MemberId, reason: Reason, what: &'static str) {
        self.out.push(Effect::Reject { from: Some(from), reason, what });
    }

    /// Names members whose headers of the last final slot begin with other combiners than its beacon says.
    pub(crate) fn reject_misled(&mut self, slot: Slot, only: Option<MemberId>) {
        if !self.is_sharded() {
            return;
        }
        let Some(combiners) = self.combiners_of(slot, 0) else { return };
        let mode = ShareMode::Sharded { offset: combiners.offset() };
        let of = self.shares.get(&slot).into_iter().flatten();
        let misled = of.filter(|(_, r)| r.header.mode != mode).map(|(member, _)| *member);
        let misled: Vec<MemberId> = misled.filter(|member| only.is_none_or(|only| only == *member)).collect();
        for member in misled {
            self.reject(member, Reason::MalformedData, "share");
        }
    }

    // ---- the reveal ----------------------------------------------------------------------------------------------

    /// Starts whatever work there is.
    pub(crate) fn try_sharded(&mut self) {
        self.try_beacon();
        self.try_combine();
        self.try_claims();
    }

    fn try_beacon(&mut self) {
        let (message, quorum) = (self.beacon_message(), self.setup.quorum());
        let (culprits, all) = (self.culprits(), self.needs_culprits());
        let Some(fixed) = self.fixed.as_mut() else { return };
        let Some(state) = fixed.sharded.as_mut().filter(|s| s.beacon.is_none() && !s.beacon_running) else { return };
        let good = self
            .shares
            .get(&message.slot)
            .into_iter()
            .flatten()
            .filter(|(member, r)| r.counts(message.digest, fixed.close, state) && !fixed.excluded.contains(member));
        let good = trusted(good.collect(), &culprits, quorum, all);
        let shares: Vec<(MemberId, G2Bytes)> = good.into_iter().map(|(member, r)| (*member, r.header.beacon)).collect();
        let members: BTreeSet<MemberId> = shares.iter().map(|(member, _)| *member).collect();
        if members.len() < quorum || members == state.beacon_tried {
            return;
        }
        state.beacon_tried = members;
        state.beacon_running = true;
        self.out.push(Effect::Run(Job::Beacon { keys: Arc::clone(&self.secrets.keys), message, shares }));
    }

    pub(crate) fn beacon_combined(
        &mut self,
        now: Timestamp,
        slot: Slot,
        result: Result<(G2Bytes, Hash), Vec<MemberId>>,
    ) -> Result<(), Halt> {
        if slot != self.fin.slot() {
            return Ok(());
        }
        if let Err(culprits) = &result {
            let bad: Vec<_> = culprits.iter().map(|member| (*member, BadShare::Beacon)).collect();
            self.accuse_bad(&bad);
            self.reject_shares(culprits);
        }
        let Some(fixed) = self.fixed.as_mut() else { return Ok(()) };
        let Some(state) = fixed.sharded.as_mut() else { return Ok(()) };
        state.beacon_running = false;
        match result {
            Ok(beacon) => state.beacon = Some(beacon),
            Err(culprits) => fixed.excluded.extend(culprits),
        }
        self.try_complete(now)
    }

    /// Own items first, then those of combiners that this member stands in for.
    fn try_combine(&mut self) {
        let (message, quorum, me) = (self.beacon_message(), self.setup.quorum(), self.setup.me);
        let is_idle = |fixed: &Fixed| fixed.sharded.as_ref().is_some_and(|state| !state.combining);
        if !self.fixed.as_ref().is_some_and(is_idle) {
            return;
        }
        let seed = self.next_seed();
        let (culprits, all) = (self.culprits(), self.needs_culprits());
        let Some(fixed) = self.fixed.as_mut() else { return };
        let Some(state) = fixed.sharded.as_mut() else { return };
        let candidates: Vec<MemberId> = core::iter::once(me).chain(state.asked.iter().copied()).collect();
        for combiner in candidates {
            let missing = state.missing_of(combiner);
            // what its combiners say is checked faster than it is combined once more
            let is_said = combiner != me && missing.iter().any(|item| state.is_being_checked(*item));
            if missing.is_empty() || is_said {
                continue;
            }
            let items = state.combiners.items_of(combiner);
            let chunks: Vec<u16> = state.combiners.chunks_of(combiner).collect();
            let chunks: Vec<u16> =
                chunks.into_iter().filter(|chunk| !state.combiners.chunk_items(*chunk).is_empty()).collect();
            let good: Vec<(&MemberId, &Received)> = self
                .shares
                .get(&message.slot)
                .into_iter()
                .flatten()
                .filter(|(member, r)| {
                    r.counts(message.digest, fixed.close, state)
                        && !fixed.excluded.contains(member)
                        && (**member == me || chunks.iter().all(|chunk| r.pieces.contains_key(chunk)))
                })
                .collect();
            let good = trusted(good, &culprits, quorum, all);
            let members: BTreeSet<MemberId> = good.iter().map(|(member, _)| **member).collect();
            if members.len() < quorum || state.tried.get(&combiner) == Some(&members) {
                continue;
            }
            // after a restart envelopes are admitted again
            let admitted = missing.iter().map(|item| fixed.items.get(*item).and_then(Option::as_ref).cloned());
            let Some(admitted) = admitted.collect::<Option<Vec<RevealItem>>>() else { continue };
            let ranks: Vec<usize> = missing.iter().filter_map(|item| items.binary_search(item).ok()).collect();
            let points = |received: &Received| -> Vec<SharePoint> {
                if received.header.member == me {
                    return missing.iter().filter_map(|item| received.points.get(*item).copied()).collect();
                }
                let pieces = chunks.iter().filter_map(|chunk| received.pieces.get(chunk));
                let in_order: Vec<&SharePoint> = pieces.flat_map(|piece| &piece.points).collect();
                ranks.iter().filter_map(|rank| in_order.get(*rank).map(|point| **point)).collect()
            };
            let shares = good.into_iter().map(|(member, r)| (*member, r.header.beacon, points(r))).collect();
            let places = missing.iter().filter_map(|item| u32::try_from(*item).ok()).collect();
            state.tried.insert(combiner, members);
            state.combining = true;
            let work = RevealWork { message, items: admitted, shares, seed };
            let work = Box::new(CombineWork { combiner, places, work });
            self.out.push(Effect::Run(Job::Combine { keys: Arc::clone(&self.secrets.keys), work }));
            return;
        }
    }

    pub(crate) fn combined(&mut self, now: Timestamp, combined: Combined) -> Result<(), Halt> {
        let Combined { slot, combiner, places, result, bad } = combined;
        if slot != self.fin.slot() {
            return Ok(());
        }
        self.accuse_bad(&bad);
        self.reject_shares(result.as_ref().map_or_else(|named| named, |opened| &opened.culprits));
        let Some(fixed) = self.fixed.as_mut() else { return Ok(()) };
        let Some(state) = fixed.sharded.as_mut() else { return Ok(()) };
        state.combining = false;
        match result {
            Ok(opened) => {
                fixed.excluded.extend(&opened.culprits);
                for (place, (opening, message)) in places.iter().zip(opened.openings.into_iter().zip(opened.messages)) {
                    state.find(usize::try_from(*place).unwrap_or(usize::MAX), opening, message);
                }
                if combiner != self.setup.me {
                    // there may be more to ask for; who was asked a moment ago would not answer
                    if state.asked.iter().all(|asked| state.missing_of(*asked).is_empty()) {
                        state.fallback_at = now.max(state.asked_at.plus(self.setup.timings.fetch_retry));
                    }
                    // what others would have combined is of no more use
                    let chunks: BTreeSet<u16> = state.combiners.chunks_of(combiner).collect();
                    for received in self.shares.get_mut(&slot).into_iter().flat_map(BTreeMap::values_mut) {
                        received.pieces.retain(|chunk, _| !chunks.contains(chunk));
                    }
                }
            }
            Err(culprits) => fixed.excluded.extend(culprits),
        }
        self.try_complete(now)
    }

    /// Opens the slot once everything is there.
    fn try_complete(&mut self, now: Timestamp) -> Result<(), Halt> {
        self.publish_openings();
        let whole = |state: &&mut Sharded| state.is_whole();
        let Some(state) = self.fixed.as_mut().and_then(|fixed| fixed.sharded.as_mut()).filter(whole) else {
            return Ok(());
        };
        let Some((sig, beacon)) = state.beacon else { return Ok(()) };
        let (openings, messages) = core::mem::take(&mut state.found).into_iter().flatten().unzip();
        self.open_slot(now, Revealed { sig, beacon, openings, messages, culprits: Vec::new() })
    }
}
