//! Share messages in, part B of the section out.
use crate::{
    effect::{Effect, ExecUnit, Phase, Record},
    job::{BadShare, Job, RevealWork, Revealed},
    message::OpeningSection,
    section::{self, Sale},
    sharded::{Piece, Sharded, trusted},
    sign,
    state::{Halt, Placed, Sequencer, Unexecuted},
};
use auction_rules::BidTerms;
use crypto::{merkle, tdh2::SharePoint};
use ordering::Unit;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use types::{
    Address, Amount, G1Bytes, G2Bytes, Hash, Head, MemberId, OpenSlot, Opening, ShareChunk, ShareForm, ShareHeader,
    ShareMessage, ShareMode, Signature, SignedShare, Slot, SlotResult, Timestamp, codec, limits,
    reason::{Outcome, Reason},
    wire::Event,
};

/// A share message whose signature and chunk tree hold.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) header: ShareHeader,
    pub(crate) sig: Signature,
    /// All, in the order of the items. Where a few combine: this member's own; of others there are pieces.
    pub(crate) points: Vec<SharePoint>,
    /// By chunk: for this member, and for combiners that it stands in for.
    pub(crate) pieces: BTreeMap<u16, Piece>,
}

impl Received {
    /// Where a few combine: whether it is for this block, by the member's word on the same log and the same combiners.
    pub(crate) fn counts(&self, digest: Hash, close: Head, state: &Sharded) -> bool {
        let ShareHeader { digest: of, head, mode, items, .. } = &self.header;
        let combiners = state.combiners();
        *of == digest
            && *head == close
            && *mode == (ShareMode::Sharded { offset: combiners.offset() })
            && usize::try_from(*items).is_ok_and(|items| items == combiners.items())
    }
}

pub(crate) fn chunk_leaf(index: u16, points: &[SharePoint]) -> Hash {
    let compressed: Vec<G1Bytes> = points.iter().map(SharePoint::compressed).collect();
    crypto::evidence::chunk_leaf(index, &compressed)
}

/// Cuts shares into chunks, and the root over them.
pub(crate) fn chunks(points: &[SharePoint]) -> (Vec<ShareChunk>, Hash) {
    let pieces: Vec<&[SharePoint]> = points.chunks(limits::CHUNK_SHARES_MAX).collect();
    let leaves: Vec<Hash> = (0u16..).zip(&pieces).map(|(i, piece)| chunk_leaf(i, piece)).collect();
    let chunks = (0u16..)
        .zip(&pieces)
        .map(|(index, piece)| ShareChunk {
            index,
            path: merkle::path(&leaves, usize::from(index)).unwrap_or_default(),
            form: ShareForm::Affine(piece.iter().map(SharePoint::affine).collect()),
        })
        .collect();
    (chunks, merkle::root(&leaves))
}

pub(crate) fn points(form: &ShareForm) -> Option<Vec<SharePoint>> {
    match form {
        ShareForm::Compressed(points) => SharePoint::from_compressed_all(points).into_iter().map(Result::ok).collect(),
        ShareForm::Affine(points) => points.iter().map(|p: &G2Bytes| SharePoint::from_affine(p).ok()).collect(),
    }
}

/// The shares of a message: chunks in order, each under the signed root, as many as the header says.
fn shares(message: &ShareMessage) -> Option<Vec<SharePoint>> {
    if message.header.mode != ShareMode::Direct {
        return None;
    }
    let items = usize::try_from(message.header.items).ok().filter(|_| message.header.items <= limits::SET_COUNT_MAX)?;
    // before any point is decoded: as many chunks as the items fill, all full but the last
    let mut sizes = Vec::new();
    let mut rest = items;
    while rest > 0 {
        sizes.push(rest.min(limits::CHUNK_SHARES_MAX));
        rest = rest.saturating_sub(limits::CHUNK_SHARES_MAX);
    }
    if !message.chunks.iter().map(|c| c.form.len()).eq(sizes) {
        return None;
    }
    let mut all = Vec::with_capacity(items);
    let mut leaves = Vec::with_capacity(message.chunks.len());
    for (index, chunk) in (0u16..).zip(&message.chunks) {
        if chunk.index != index {
            return None;
        }
        let points = points(&chunk.form)?;
        leaves.push(chunk_leaf(index, &points));
        all.extend(points);
    }
    let paths = (0usize..).zip(&message.chunks).all(|(i, c)| merkle::path(&leaves, i).as_ref() == Some(&c.path));
    (paths && merkle::root(&leaves) == message.header.root).then_some(all)
}

/// Outcome codes of a result; an unknown number cannot come out of our own execution.
pub(crate) fn outcomes(result: &SlotResult) -> Vec<Outcome> {
    result.outcomes.iter().map(|code| Outcome::from_number(*code).unwrap_or(Outcome::OtherInvalid)).collect()
}

/// Notes what became of the units of a slot.
pub(crate) fn place(placed: &mut BTreeMap<Hash, Placed>, order: &[Hash], result: &SlotResult) {
    let legs = result.legs.iter().copied().chain(core::iter::repeat(0));
    for ((hash, outcome), leg) in order.iter().zip(outcomes(result)).zip(legs) {
        if let Some(placed) = placed.get_mut(hash) {
            placed.outcome = Some((outcome.number(), leg));
        }
    }
}

/// Units that touch two rollups or more.
fn bundles(result: &SlotResult) -> usize {
    let mut touched: BTreeMap<Hash, usize> = BTreeMap::new();
    for leaf in result.units.iter().flatten() {
        let count = touched.entry(leaf.unit).or_default();
        *count = count.saturating_add(1);
    }
    touched.values().filter(|count| **count > 1).count()
}

fn count(of: usize) -> u32 {
    u32::try_from(of).unwrap_or(u32::MAX)
}

impl Sequencer {
    /// A share message; kept for the last final slot and the two after it, one per member.
    pub(crate) fn on_share(&mut self, from: MemberId, bytes: &[u8]) {
        let refused = |reason| Effect::Reject { from: Some(from), reason, what: "share" };
        let Ok(message) = codec::decode::<ShareMessage>(bytes, limits::SHARE_BYTES_MAX) else {
            self.out.push(refused(Reason::MalformedData));
            return;
        };
        let header = &message.header;
        let slot = header.slot;
        if slot > self.fin.slot().plus(2) {
            self.is_ahead(from, slot);
            return;
        }
        // too late to count; what its member has signed is worth knowing all the same
        let late = slot < self.fin.slot();
        if late && self.cosigners.get(&from).is_some_and(|newest| *newest >= slot) {
            return;
        }
        if let Some(first) = self.shares.get(&slot).and_then(|by| by.get(&from)) {
            if first.header != *header {
                self.out.push(refused(Reason::Equivocation));
                let second = SignedShare { header: message.header, sig: message.sig };
                if second.header.member == from {
                    self.accuse_shares(slot, &second);
                }
            } else if self.is_sharded() {
                self.more_pieces(from, &message);
            }
            return;
        }
        let signed = header.member == from
            && header.version == 1
            && header.network == self.setup.network
            && header.epoch == self.epoch_of(slot)
            && self.member_of(from).is_some_and(|m| {
                crypto::ed25519::verify(&m.receipt, sign::share_digest(header).as_bytes(), &message.sig)
            })
            // whoever can open a slot holds a quorum's word on the log that it was closed with, too
            && self.setup.policy.verify_cosignature(from, &header.head, &header.cosig);
        if !signed {
            self.out.push(refused(Reason::WrongSignature));
            return;
        }
        if late {
            self.cosigners.insert(from, slot);
            return;
        }
        if self.refused_shares.contains(&(slot, from)) {
            return;
        }
        let held = if self.is_sharded() {
            self.pieces(&message).map(|pieces| (Vec::new(), pieces))
        } else {
            shares(&message).map(|points| (points, BTreeMap::new()))
        };
        match held {
            Some((points, pieces)) => {
                let received = Received { header: message.header, sig: message.sig, points, pieces };
                self.shares.entry(slot).or_default().insert(from, received);
                self.cosigners.entry(from).and_modify(|newest| *newest = slot.max(*newest)).or_insert(slot);
                if slot == self.fin.slot() {
                    self.accuse_strays();
                    self.reject_misled(slot, Some(from));
                }
            }
            None => {
                self.refused_shares.insert((slot, from));
                self.out.push(refused(Reason::MalformedData));
            }
        }
    }

    pub(crate) fn beacon_message(&self) -> crypto::beacon::Message {
        crypto::beacon::Message { network: self.setup.network, slot: self.fin.slot(), digest: self.fin.digest }
    }

    /// Starts the reveal when 2f + 1 messages for the final digest are here.
    pub(crate) fn try_reveal(&mut self) -> bool {
        if self.is_sharded() {
            self.try_sharded();
            return false;
        }
        let slot = self.fin.slot();
        let (message, quorum) = (self.beacon_message(), self.setup.quorum());
        let seed = self.next_seed();
        let (culprits, all) = (self.culprits(), self.needs_culprits());
        let Some(fixed) = self.fixed.as_mut().filter(|f| !f.running) else { return false };
        let Some(items) = fixed.items.iter().cloned().collect::<Option<Vec<_>>>() else { return false };
        let Some(by) = self.shares.get(&slot) else { return false };
        let good: Vec<_> = by
            .iter()
            .filter(|(member, r)| {
                r.header.digest == message.digest
                    && r.header.head == fixed.close
                    && r.points.len() == items.len()
                    && !fixed.excluded.contains(member)
            })
            .collect();
        let good = trusted(good, &culprits, quorum, all);
        let members: BTreeSet<MemberId> = good.iter().map(|(member, _)| **member).collect();
        if members.len() < quorum || members == fixed.tried {
            return false;
        }
        fixed.tried = members;
        fixed.running = true;
        let shares = good.into_iter().map(|(m, r)| (*m, r.header.beacon, r.points.clone())).collect();
        let work = Box::new(RevealWork { message, items, shares, seed });
        self.out.push(Effect::Run(Job::Reveal { keys: Arc::clone(&self.secrets.keys), work }));
        true
    }

    /// The reveal is done, or names members whose shares were bad.
    pub(crate) fn revealed(
        &mut self,
        now: Timestamp,
        slot: Slot,
        result: Result<Box<Revealed>, Vec<MemberId>>,
        bad: &[(MemberId, BadShare)],
    ) -> Result<(), Halt> {
        if slot != self.fin.slot() {
            return Ok(());
        }
        self.accuse_bad(bad);
        let Some(fixed) = self.fixed.as_mut() else { return Ok(()) };
        fixed.running = false;
        match result {
            Ok(revealed) => {
                self.reject_shares(&revealed.culprits);
                self.open_slot(now, *revealed)
            }
            Err(culprits) => {
                fixed.excluded.extend(culprits.iter().copied());
                self.reject_shares(&culprits);
                Ok(())
            }
        }
    }

    pub(crate) fn reject_shares(&mut self, culprits: &[MemberId]) {
        self.distrust(culprits);
        for member in culprits {
            self.out.push(Effect::Reject { from: Some(*member), reason: Reason::BadCiphertext, what: "share" });
        }
    }

    pub(crate) fn open_slot(&mut self, now: Timestamp, revealed: Revealed) -> Result<(), Halt> {
        self.try_publish();
        let Some(fixed) = self.fixed.take() else { return Ok(()) };
        let slot = self.fin.slot();
        let units: Vec<Unit> = fixed
            .terms
            .iter()
            .map(|t| Unit { hash: t.hash, account: t.account, nonce: t.nonce, after: t.after.clone() })
            .collect();
        let perm = ordering::order(&revealed.beacon, &units).map_err(Halt::Order)?;
        let place = |i: &u16| usize::from(*i);
        let of_set = |i: &u16| place(i).saturating_add(fixed.bids.len());
        let order: Vec<Hash> = perm.iter().filter_map(|i| units.get(place(i)).map(|u| u.hash)).collect();
        let openings: Vec<Opening> = perm.iter().filter_map(|i| revealed.openings.get(of_set(i)).copied()).collect();
        let exec = perm
            .iter()
            .filter_map(|i| fixed.terms.get(place(i)).zip(revealed.messages.get(of_set(i))))
            .map(|(t, message)| ExecUnit { hash: t.hash, message: message.clone(), gas_class: t.gas })
            .collect();
        let (sale, sold) = self.sell(slot, &fixed.bids, &revealed)?;
        let entries = section::part_b(slot, sale, revealed.sig, &order, perm, &openings);
        for entry in &entries {
            self.tree.append(entry);
        }
        self.reveal = self.tree.head();
        self.opened = slot;
        self.opened_at = now;
        self.end_of_epoch(slot, revealed.beacon);
        let (units, bids) = (fixed.terms.len(), fixed.bids.len());
        let bottom = revealed.messages.iter().skip(bids).filter(|m| m.is_none()).count();
        let phase = Phase::Opened { opened: units.saturating_sub(bottom), bottom, bids, sold };
        self.out.push(Effect::Persist(Record::Opened { slot, entries }));
        self.out.push(Effect::Phase { slot, phase });
        let told = Event::Opened { slot, reveal: self.reveal.root, order: order.clone(), openings: openings.clone() };
        self.out.push(Effect::Event(told));
        self.out.push(Effect::Event(Event::Auction { slot, for_slot: slot.next(), bids: count(bids), sold }));
        for (index, hash) in (0u32..).zip(&order) {
            if let Some(placed) = self.placed.get_mut(hash) {
                placed.index = Some(index);
            }
        }
        self.recent_openings.insert(slot, OpeningSection { slot, sig: revealed.sig, openings: revealed.openings });
        let (time_ms, beacon) = (self.fin.header.time_ms, revealed.beacon);
        // an empty slot comes after the tail of the slot before, which may still be listed
        let running = self.unexecuted.is_empty();
        if running {
            self.out.push(Effect::Execute { slot, time_ms, beacon, units: exec });
        }
        let open = OpenSlot { slot, order, reveal: self.reveal.root, time_ms, beacon, result: None };
        self.unexecuted.insert(slot, Unexecuted { open, running, tail: None });
        self.compare_all_openings();
        self.wake_bids();
        self.wake_objects();
        Ok(())
    }

    /// The auction of the slot: what AUCTION says, and who pays what for the next slot.
    fn sell(
        &mut self,
        slot: Slot,
        bids: &[BidTerms],
        revealed: &Revealed,
    ) -> Result<(Sale, Option<(Address, Amount)>), Halt> {
        let epoch = self.epoch_of(slot.next());
        let reserve = self.ledger.reserve(epoch).ok_or(Halt::Sequence)?;
        if self.fin.header.reveal.is_none() {
            // an empty block lists no bid and sells nothing
            return Ok((Sale { reserve, opened: Vec::new(), winner: None, price: Amount::ZERO }, None));
        }
        let text = |message: &Option<Vec<u8>>| crypto::bid::text(message.as_deref());
        let opened: Vec<_> = bids.iter().map(|bid| bid.bidder).zip(revealed.messages.iter().map(text)).collect();
        let resolution = self.ledger.auction(slot, &revealed.beacon, &opened).map_err(Halt::Ledger)?;
        let winner = resolution.winner.and_then(|winner| bids.iter().position(|bid| bid.bidder == winner));
        let sale = Sale {
            reserve,
            opened: revealed.openings.iter().take(bids.len()).copied().collect(),
            winner: winner.and_then(|at| u16::try_from(at).ok()),
            price: resolution.price,
        };
        Ok((sale, resolution.winner.map(|winner| (winner, resolution.price))))
    }

    /// Execution of a slot is done: its outcomes are known, its EXEC waits for the next block with lists.
    pub(crate) fn executed(&mut self, slot: Slot, result: SlotResult) -> Result<(), Halt> {
        let Some(unexecuted) = self.unexecuted.get_mut(&slot).filter(|u| u.running) else {
            return Err(Halt::Sequence);
        };
        unexecuted.running = false;
        let units = unexecuted.open.order.len();
        let outcomes = outcomes(&result);
        if unexecuted.open.result.is_none() {
            place(&mut self.placed, &unexecuted.open.order, &result);
            self.out.push(Effect::Event(Event::Executed { slot, outcomes: result.outcomes.clone() }));
            self.out.push(Effect::Phase { slot, phase: Phase::Executed { bundles: bundles(&result), outcomes } });
        } else {
            let codes = result.outcomes.iter().skip(units).copied().collect();
            self.out.push(Effect::Event(Event::Tail { slot, outcomes: codes }));
            let outcomes = outcomes.into_iter().skip(units).collect();
            self.out.push(Effect::Phase { slot, phase: Phase::Tail { outcomes } });
        }
        unexecuted.open.result = Some(result);
        Ok(())
    }

    /// Publishes the close head once 2f + 1 cosignatures of it are here (log.md section 3).
    pub(crate) fn try_publish(&mut self) {
        let slot = self.fin.slot();
        let Some(fixed) = self.fixed.as_ref().filter(|_| self.published < slot) else { return };
        let close = fixed.close;
        let Some(by) = self.shares.get(&slot) else { return };
        if by.len() < self.setup.quorum() {
            return;
        }
        let mut cosigners = Vec::new();
        for (member, received) in by.iter().filter(|(_, r)| r.header.head == close) {
            if self.setup.policy.verify_cosignature(*member, &close, &received.header.cosig) {
                cosigners.push((*member, received.header.cosig));
            }
        }
        let log = tlog::checkpoint::sign(self.setup.policy.origin(), &close, &self.signer.log);
        let Some(note) = self.setup.policy.checkpoint(&close, (self.setup.me, log), &cosigners) else { return };
        self.published = slot;
        self.out.push(Effect::Publish { slot, note });
    }
}
