//! Part A: CLOSE and what follows it up to the last operation (check 5, and the grammar of check 4).
use super::{
    Due, PLACED_SLOTS, Placed, Replay, Stage,
    section::{Closed, Fault, Listed, SealedBid, Section, Unit},
};
use alloc::{format, vec::Vec};
use auction_rules::{BidTerms, LedgerError, Terms};
use crypto::{eip712, eth, ids, merkle};
use types::{
    Bid, Envelope, Hash, Kind, LeftHeadItem, ListText, Params, SetRef, SignedHeader, Slot, codec, limits,
    reason::Finding,
};

/// What a LEFTHEAD item counts besides its header.
const LEFT_HEAD_OVERHEAD: usize = 36;

impl Replay {
    /// CLOSE opens a section; check 5.
    pub(super) fn close(&mut self, closed: Closed) {
        let header = &closed.header;
        self.section = Section { slot: closed.slot, ..Section::default() };
        let follows = header.height == closed.slot
            && header.height == self.last.height.next()
            && header.parent == self.last_digest
            && header.time_ms > self.last.time_ms
            && (header.view > self.last.view || header.epoch > self.last.epoch)
            && header.network == self.anchor.id
            && header.epoch == self.schedule().epoch_of(closed.slot)
            && usize::from(header.proposer.0) < self.now.members.len();
        if !follows {
            return self.find(Finding::ParentWrong, "the header does not follow the block before");
        }
        if self.schedule().announced(closed.slot).is_some() != self.announced {
            return self.find(Finding::EpochWrong, "CLOSE without the EPOCH that its slot announces");
        }
        let with_lists = header.lists.count > 0;
        if header.reveal != with_lists.then_some(self.reveal) {
            return self.find(Finding::RevealWrong, "not the head after the last opening");
        }
        // C of every opened slot stands right before the next block with lists, and nowhere else
        if with_lists && !self.pending.is_empty() {
            return self.find(Finding::SectionOrder, "CLOSE of a block with lists before an EXEC that is due");
        }
        if !with_lists && (self.exec_read || self.tail.is_some()) {
            return self.find(Finding::SectionOrder, "EXEC or TAIL before CLOSE of an empty block");
        }
        let prices = self.judged.prices();
        if (closed.byte_price, closed.gas_price) != (prices.byte, prices.gas) {
            return self.find(Finding::CloseRootsWrong, "prices are not those of the rule");
        }
        self.exec_read = false;
        self.announced = false;
        self.last_digest = ids::block_digest(header);
        self.last = header.clone();
        self.section.closed = Some(closed);
        self.stage = Stage::PartA;
    }

    /// LEFT, LEFTHEAD, LIST, BID, BODY, ENVELOPE, OPERATION or FAULT, in this order.
    #[expect(clippy::wildcard_enum_match_arm, reason = "whatever does not belong here is out of place")]
    pub(super) fn part_a(&mut self, kind: Kind) {
        let slot = self.section.slot;
        if kind.slot() != slot {
            return self.find(Finding::SectionOrder, "an entry of another slot");
        }
        let (heads, lists, units) = (self.section.heads.len(), self.section.lists.len(), self.section.units.len());
        // bids, the body, units, then operations
        let units = units.saturating_add(self.section.operations.len()).saturating_add(self.section.bids.len());
        let units = units.saturating_add(usize::from(self.section.body.is_some()));
        match kind {
            Kind::Left { first, items, .. } if heads == 0 && lists == 0 && units == 0 => {
                let full = self.section.left.len().checked_rem(limits::LEFT_ITEMS_MAX) == Some(0);
                let fits = (1..=limits::LEFT_ITEMS_MAX).contains(&items.len());
                if usize::try_from(first) != Ok(self.section.left.len()) || !fits || !full {
                    return self.find(Finding::SectionOrder, "LEFT items are not contiguous");
                }
                self.section.left.extend(items);
            }
            Kind::LeftHead { first, heads: items, .. } if lists == 0 && units == 0 => {
                if usize::try_from(first) != Ok(heads) || !self.heads_fill(&items) {
                    return self.find(Finding::SectionOrder, "LEFTHEAD items are not contiguous");
                }
                items.iter().for_each(|item| self.left_head(item));
            }
            Kind::List { member, count, root, cut, sig, bits, .. } if units == 0 => {
                if self.section.last_member().is_some_and(|last| last >= member) {
                    return self.find(Finding::SectionOrder, "LIST entries are not ascending by member");
                }
                let text = ListText { network: self.anchor.id, slot, member, count, root, cut };
                self.section.lists.push(Listed { text, sig, bits });
            }
            Kind::Bid { bytes, .. } if units == self.section.bids.len() => self.bid(&bytes),
            Kind::Body { bytes, .. } if units == self.section.bids.len() => self.body(&bytes),
            Kind::Envelope { bytes, .. } if self.section.operations.is_empty() => self.unit(&bytes),
            Kind::Operation { bytes, .. } => self.operation(bytes, None),
            Kind::Fault { finding, accused, penalty, evidence, .. } => {
                self.fault(&evidence, Fault { finding, accused, penalty });
            }
            other => self.out_of_place(&other),
        }
    }

    /// LEFTHEAD entries are as full as they can be.
    fn heads_fill(&mut self, items: &[LeftHeadItem]) -> bool {
        let size = |item: &LeftHeadItem| item.signed.len().saturating_add(LEFT_HEAD_OVERHEAD);
        let bytes = items.iter().map(size).fold(0, usize::saturating_add);
        let first = items.first().map_or(0, size);
        let before = core::mem::replace(&mut self.section.head_bytes, bytes);
        let needed = before == 0 || before.saturating_add(first) > limits::LEFT_HEAD_BYTES_MAX;
        needed && first > 0 && bytes <= limits::LEFT_HEAD_BYTES_MAX
    }

    fn left_head(&mut self, item: &LeftHeadItem) {
        let Ok(signed) = codec::decode::<SignedHeader>(&item.signed, limits::ENVELOPE_OVERHEAD_MAX) else {
            return self.find(Finding::EntryMalformed, "a header in LEFTHEAD");
        };
        let hash = ids::envelope_hash(&signed, &item.ciphertext);
        if self.section.heads.last().is_some_and(|last| *last >= hash) || !self.left_heads.insert(hash) {
            return self.find(Finding::SectionOrder, "LEFTHEAD is not ascending, or repeats a header");
        }
        if self.checks.signatures && !paid_by(&signed, &item.ciphertext) {
            return self.find(Finding::EnvelopeInvalid, &format!("{hash}: signature of the payer"));
        }
        self.section.heads.push(hash);
        self.headers.insert(hash, signed);
    }

    fn unit(&mut self, bytes: &[u8]) {
        let Ok(envelope) = codec::decode::<Envelope>(bytes, limits::ENVELOPE_BYTES_MAX) else {
            return self.find(Finding::EntryMalformed, "an envelope");
        };
        let hash = ids::hash_envelope(&envelope);
        if self.section.units.last().is_some_and(|last| last.hash >= hash) {
            return self.find(Finding::SectionOrder, "ENVELOPE entries are not ascending by hash");
        }
        self.section.units.push(Unit { hash, envelope });
    }

    fn bid(&mut self, bytes: &[u8]) {
        let Ok(bid) = codec::decode::<Bid>(bytes, limits::BID_BYTES_MAX) else {
            return self.find(Finding::EntryMalformed, "a bid");
        };
        let terms = BidTerms::of(ids::bid_hash(&bid), &bid.header);
        if self.section.bids.last().is_some_and(|last| last.terms.leaf() >= terms.leaf()) {
            return self.find(Finding::SectionOrder, "BID entries are not ascending by leaf");
        }
        self.section.bids.push(SealedBid { terms, bid });
    }

    /// Judges part A once as many lists, units and operations are here as the header counts.
    pub(super) fn complete_part_a(&mut self) {
        if self.stage != Stage::PartA || !self.findings.is_empty() {
            return;
        }
        let Some(closed) = self.section.closed.clone() else { return };
        let lists = u32::try_from(self.section.lists.len()).unwrap_or(u32::MAX);
        let units = u32::try_from(self.section.units.len()).unwrap_or(u32::MAX);
        let bids = u32::try_from(self.section.bids.len()).unwrap_or(u32::MAX);
        let operations = u32::try_from(self.section.operations.len()).unwrap_or(u32::MAX);
        let header = &closed.header;
        let objects = u32::from(self.section.body.is_some()).saturating_add(u32::from(self.tail.is_some()));
        let here = [lists, bids, objects, units, operations];
        let due = [&header.lists, &header.bids, &header.objects, &header.set, &header.operations].map(|set| set.count);
        if here.iter().zip(due).any(|(here, due)| *here > due) {
            return self.find(
                Finding::CloseRootsWrong,
                "more lists, bids, objects, units or operations than the header counts",
            );
        }
        if here != due {
            return;
        }
        self.judge(&closed);
        if !self.findings.is_empty() {
            return;
        }
        let terms: Vec<Terms> =
            self.section.units.iter().map(|u| Terms::of(u.hash, &u.envelope.signed.header)).collect();
        let params = self.now.params.clone();
        if let Err(error) = self.close_ledger(&closed, &params, &terms) {
            return self.find(Finding::LedgerWrong, &format!("{error}"));
        }
        if !self.findings.is_empty() {
            return;
        }
        for t in &terms {
            self.included.insert(t.hash, (t.account, t.nonce));
            self.placed.insert(t.hash, Placed { slot: closed.slot, index: None, outcome: None });
        }
        if self.schedule().is_last(closed.slot) {
            self.left_heads.clear();
            self.headers.clear();
        }
        self.prune(closed.slot);
        self.units = self.units.saturating_add(u64::from(units));
        self.tally(5, 1);
        self.tally(6, self.section.lists.len());
        self.tally(7, self.section.left.len().saturating_add(terms.len()));
        self.tally(8, 1);
        self.tally(9, terms.len());
        self.tally(10, self.section.bids.len());
        self.tally(20, self.section.operations.len());
        self.tail = None;
        self.closed = Some(closed.slot);
        self.stage = Stage::PartB(Due::Beacon);
    }

    fn close_ledger(&mut self, closed: &Closed, params: &Params, set: &[Terms]) -> Result<(), LedgerError> {
        if closed.header.lists.count == 0 {
            self.ledger.close(params, closed.slot, set)?;
            return self.ledger.pass_right(closed.slot);
        }
        let bids: Vec<BidTerms> = self.section.bids.iter().map(|b| b.terms).collect();
        self.ledger.lock(params, &bids)?;
        self.ledger.close(params, closed.slot, set)?;
        if let Some(b) = &self.section.body {
            self.ledger.place(closed.slot, &b.body.header.builder, &self.section.placed)?;
        }
        self.carry_out_operations(params, closed.slot)
    }

    /// Forgets what no rule needs any more, now and then.
    fn prune(&mut self, slot: Slot) {
        if slot.0.trailing_zeros() >= 5 {
            let ledger = &self.ledger;
            self.included.retain(|hash, _| ledger.is_closed(hash));
            let known = Slot(slot.0.saturating_sub(PLACED_SLOTS));
            self.placed.retain(|_, placed| placed.slot > known);
        }
    }

    fn judge(&mut self, closed: &Closed) {
        let header = &closed.header;
        if header.objects != self.objects_ref() {
            return self.find(Finding::CloseRootsWrong, "the root over body and tail");
        }
        if header.bids != merkle::set_ref(&self.section.set_hashes().bids) {
            return self.find(Finding::CloseRootsWrong, "the root over the bids");
        }
        let operations: Vec<Hash> = self.section.operations.iter().map(|operation| operation.hash).collect();
        if header.operations != merkle::set_ref(&operations) {
            return self.find(Finding::CloseRootsWrong, "the root over the operations");
        }
        if header.set != merkle::set_ref(&self.section.hashes()) {
            return self.find(Finding::CloseRootsWrong, "the root over the set");
        }
        if header.lists.count == 0 {
            let empty = header.lists == SetRef::EMPTY
                && self.section.left.is_empty()
                && self.section.heads.is_empty()
                && (closed.candidates, closed.bytes, closed.gas, closed.forced) == (SetRef::EMPTY, 0, 0, 0)
                && closed.cut.is_none()
                && self.section.units.is_empty()
                && self.section.bids.is_empty()
                && header.objects == SetRef::EMPTY
                && operations.is_empty();
            if !empty {
                return self.find(Finding::CloseRootsWrong, "an empty block that is not empty");
            }
            self.check_promises(closed, &[]);
            return;
        }
        let Some((union, counts)) = self.check_lists(closed) else { return };
        self.recount(closed, &union, &counts);
        if self.findings.is_empty() {
            self.check_operations();
        }
        if self.findings.is_empty() {
            self.check_promises(closed, &union);
        }
    }
}

/// Whether the fee account signed header and ciphertext.
pub(super) fn paid_by(signed: &SignedHeader, ciphertext: &Hash) -> bool {
    let digest = eip712::envelope_digest(&signed.header, ciphertext);
    eth::recover(&digest, &signed.signature).ok() == Some(signed.header.fee_account)
}
