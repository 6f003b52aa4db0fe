//! A block is final: its section is appended, its shares are released (engine.md section 6, log.md section 3).
use crate::{
    bids::HeldBid,
    derive::Derived,
    effect::{Commit, Effect, Phase, Record},
    job::RevealItem,
    recent, release,
    reveal::{self, Received},
    section::{self, PartA},
    sharded::Cut,
    sign,
    state::{Fin, Fixed, Halt, PLACED_SLOTS, Placed, RECENT_SLOTS, Sequencer, Unexecuted, Unopened},
};
use auction_rules::{BidTerms, Terms};
use crypto::{
    finality::{self, SetHashes},
    tdh2::SharePoint,
};
use mempool::{Held, Sealed};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use types::{
    Block, FinalityProof, Hash, Head, MemberId, Object, OpenSlot, ShareChunk, ShareHeader, ShareMode, SignedHeader,
    Slot, SlotResult, Tail, Timestamp, codec, wire::Event,
};

/// Own shares as they are sent, before they are signed.
enum Form {
    /// All to all: chunks and their root.
    Direct((Vec<ShareChunk>, Hash), Vec<SharePoint>),
    /// To the combiners.
    Sharded(Cut),
}

impl Sequencer {
    /// Consensus delivers a final block; in order, at least once.
    pub(crate) fn delivered(&mut self, bytes: &[u8], proof: FinalityProof) -> Result<(), Halt> {
        let opened = crate::open(bytes).map_err(Halt::Block)?;
        let height = opened.block.header.height;
        let last = self.finals.back().map_or(self.fin.slot(), |(block, _)| block.header.height);
        if height > last {
            self.finals.push_back((opened.block, proof));
            self.out.push(Effect::Phase { slot: height, phase: Phase::Ordered });
        } else if height <= self.fin.slot() {
            if height == self.fin.slot() && opened.digest != self.fin.digest {
                return Err(Halt::Fork);
            }
            self.out.push(Effect::Ack(height));
        }
        Ok(())
    }

    /// Processes the next final block, once the slot before is opened and executed.
    pub(crate) fn try_final(&mut self, now: Timestamp) -> Result<bool, Halt> {
        if self.opened < self.fin.slot() {
            return Ok(false);
        }
        let Some((block, _)) = self.finals.front() else { return Ok(false) };
        let header = &block.header;
        if header.height != self.current() || header.parent != self.fin.digest {
            return Err(Halt::Fork);
        }
        if header.reveal.is_some_and(|reveal| reveal != self.reveal) {
            return Err(Halt::LogDiverged);
        }
        let mine = |list: &types::MemberList| list.member == self.setup.me;
        let listed = block.lists.as_ref().is_some_and(|set| set.members.iter().any(mine));
        let known = self.own_list.as_ref().is_some_and(|(slot, _)| *slot >= header.height);
        if listed && !known && self.may_list(header.height) {
            return Err(Halt::OldCopy);
        }
        if block.lists.is_some() && self.unexecuted.values().any(|u| u.running) {
            return Ok(false);
        }
        let digest = crypto::ids::block_digest(header);
        // a unit may have left the pool since the block was checked: then it is fetched again
        let cached = self.derived.remove(&digest).filter(|derived| self.holds_all(derived));
        let derived = match (&block.lists, cached) {
            (None, _) => None,
            (Some(_), Some(derived)) => Some(derived),
            (Some(set), None) => {
                let (set, slot, proposer) = (set.clone(), header.height, header.proposer);
                match self.derive(now, slot, &set, Some(proposer)) {
                    Some(derived) => Some(derived),
                    None => return Ok(false),
                }
            }
        };
        if let Some(derived) = &derived
            && !self.finish_execution(derived.tail)?
        {
            self.derived.extend([(digest, derived.clone())]);
            return Ok(false);
        }
        let Some((block, proof)) = self.finals.pop_front() else { return Ok(false) };
        self.fix(now, block, digest, proof, derived)?;
        Ok(true)
    }

    fn fix(
        &mut self,
        now: Timestamp,
        block: Block,
        digest: Hash,
        proof: FinalityProof,
        derived: Option<Derived>,
    ) -> Result<(), Halt> {
        let slot = block.header.height;
        let prices = self.ledger.prices();
        let hashes: Vec<Hash> = derived.as_ref().map_or(Vec::new(), |d| d.selection.set.clone());
        let bids = derived.as_ref().map_or(Vec::new(), |d| d.bids.clone());
        let token = finality::verify(
            &self.setup.committee(self.epoch_of(slot)),
            &proof,
            &SetHashes {
                set: hashes.clone(),
                bids: bids.iter().map(BidTerms::leaf).collect(),
                bid_hashes: bids.iter().map(|bid| bid.hash).collect(),
            },
        )
        .map_err(Halt::Finality)?;
        if token.digest() != digest {
            return Err(Halt::Fork);
        }
        let left_heads = self.left_heads_of(derived.as_ref())?;
        self.keep_heads(derived.as_ref());
        let run = self.unexecuted.last_key_value().map(|(slot, _)| *slot).filter(|_| derived.is_some());
        let mut entries = if derived.is_some() { self.settle_executed()? } else { Vec::new() };
        entries.extend(self.announce(slot));
        let terms: Vec<Terms> = derived.as_ref().map_or(Vec::new(), |d| d.set.clone());
        if derived.is_some() {
            self.ledger.lock(&self.setup.params, &bids).map_err(Halt::Ledger)?;
        }
        self.ledger.close(&self.setup.params, slot, &terms).map_err(Halt::Ledger)?;
        let body = match &derived {
            Some(derived) => self.place_body(slot, derived)?,
            None => {
                self.ledger.pass_right(slot).map_err(Halt::Ledger)?;
                None
            }
        };
        let held_bids: Option<Vec<HeldBid>> = bids.iter().map(|bid| self.bids.take(&bid.hash)).collect();
        let held_bids = held_bids.ok_or(Halt::Sequence)?;
        let mut held: Vec<Held> = Vec::with_capacity(hashes.len());
        for hash in &hashes {
            let item = self.pool.take(hash).or_else(|| self.extra.remove(hash));
            held.push(item.ok_or(Halt::Sequence)?);
        }
        let operations = derived.as_ref().map_or(Vec::new(), |d| d.operations.clone());
        let (slashes, answers) =
            if derived.is_some() { self.carry_out(slot, &operations)? } else { (BTreeMap::new(), Vec::new()) };
        let part_a = PartA {
            header: &block.header,
            lists: block.lists.as_ref().zip(derived.as_ref()),
            byte_price: prices.byte,
            gas_price: prices.gas,
            bids: held_bids.iter().map(|h| h.bytes.clone()).collect(),
            body,
            envelopes: held.iter().map(|h| h.bytes.clone()).collect(),
            left_heads,
            operations: self.operation_entries(slot, &operations, &slashes)?,
        };
        entries.extend(part_a.entries());
        self.count_operations(slot, &operations);
        for entry in &entries {
            self.tree.append(entry);
        }
        let close = self.tree.head();
        self.cosigned_at = now.0.checked_div(1_000).unwrap_or(0).max(self.cosigned_at);
        let left = derived.as_ref().map_or(0, |d| d.selection.candidates.len().saturating_sub(hashes.len()));
        if let Some(rejoin) = self.rejoin.as_mut() {
            rejoin.block(slot, block.header.time_ms);
        }
        let items = self.release_shares(slot, digest, &token, (held_bids, held), close)?;
        let share_message = self.own_share.clone().unwrap_or_default();
        self.out.push(Effect::Persist(Record::Commit(Box::new(Commit {
            slot,
            entries,
            head: close,
            cosigned_at: self.cosigned_at,
            share_message: share_message.clone(),
            finality: codec::encode(&proof),
        }))));
        self.send_shares();
        self.out.push(Effect::Ack(slot));
        let empty = block.lists.is_none();
        let phase = Phase::Final { units: hashes.len(), empty, size: close.size, left };
        self.out.push(Effect::Phase { slot, phase });
        self.out.push(Effect::Event(Event::Final { slot, set: hashes.clone() }));
        self.remember(slot, &terms, &items);
        let sharded = self.begin_sharded(now, slot, items.len());
        self.fixed = Some(Fixed {
            terms,
            bids,
            items: items.into_iter().map(Some).collect(),
            close,
            running: false,
            excluded: BTreeSet::new(),
            tried: BTreeSet::new(),
            opening_asked: now,
            opening_wanted: false,
            sharded,
        });
        self.compare_lists(&block);
        self.fin = Fin { header: block.header, digest };
        self.fin_proof = Some(proof);
        self.accuse_strays();
        self.reject_misled(slot, None);
        self.broadcast_at = now;
        let epoch = self.epoch_of(slot.next());
        let mut held = core::mem::take(&mut self.operations);
        held.settle(slot, epoch, (&operations, &answers), |operation| self.is_hopeless(operation));
        self.operations = held;
        self.forget_claims(epoch);
        if self.setup.params.schedule().is_last(slot) {
            // LEFTHEAD stands once in an epoch
            self.left_heads.clear();
        }
        self.prune(run);
        self.accuse_bidders(now, derived.as_ref());
        self.accuse_builders(now, derived.as_ref());
        self.relay_again(now);
        self.relay_operations();
        Ok(())
    }

    /// Runs the tail that counts, then the empty slots whose turn comes after it; `true` when all have their results.
    fn finish_execution(&mut self, tail: Option<Hash>) -> Result<bool, Halt> {
        if let (Some(hash), Some((slot, _))) = (tail, self.tail_due()) {
            let bundles = Self::tail_units(slot, &self.tail_of(&hash)?.bundles);
            if let Some(waits) = self.unexecuted.get_mut(&slot).filter(|waits| waits.tail != tail) {
                (waits.tail, waits.running) = (tail, true);
                self.out.push(Effect::ExecuteTail { slot, bundles });
            }
        }
        let late = self.unexecuted.values_mut().filter(|waits| waits.open.result.is_none() && !waits.running);
        for waits in late {
            waits.running = true;
            let OpenSlot { slot, time_ms, beacon, .. } = waits.open;
            self.out.push(Effect::Execute { slot, time_ms, beacon, units: Vec::new() });
        }
        Ok(self.unexecuted.values().all(|waits| !waits.running))
    }

    fn tail_of(&self, hash: &Hash) -> Result<&Tail, Halt> {
        match self.objects.any(hash).map(|object| &**object) {
            Some(Object::Tail(tail)) => Ok(tail),
            Some(Object::Body(_)) | None => Err(Halt::Sequence),
        }
    }

    /// The body that counts, and whose fees of what it placed are.
    fn place_body(&mut self, slot: Slot, derived: &Derived) -> Result<Option<Vec<u8>>, Halt> {
        let Some(hash) = derived.body else { return Ok(None) };
        let Some(Object::Body(body)) = self.objects.any(&hash).map(|object| &**object) else {
            return Err(Halt::Sequence);
        };
        self.ledger.place(slot, &body.header.builder, &derived.selection.placed).map_err(Halt::Ledger)?;
        Ok(Some(codec::encode(&**body)))
    }

    /// C of every slot that waits for one: execution's result and the ledger's credits.
    fn settle_executed(&mut self) -> Result<Vec<Vec<u8>>, Halt> {
        let mut entries = Vec::new();
        for (slot, Unexecuted { open, tail, .. }) in core::mem::take(&mut self.unexecuted) {
            let result: SlotResult = open.result.ok_or(Halt::Sequence)?;
            if let Some(hash) = tail {
                entries.push(section::tail(slot, self.tail_of(&hash)?));
            }
            let outcomes: Vec<_> = open.order.iter().copied().zip(reveal::outcomes(&result)).collect();
            let sums = self.ledger.settle(&self.setup.params, slot, &outcomes, &[]).map_err(Halt::Ledger)?;
            self.states = result.states;
            entries.push(section::part_c(slot, &result, sums, self.ledger.chain()));
        }
        Ok(entries)
    }

    /// Everything that the section needs of what the lists name is held.
    fn holds_all(&self, derived: &Derived) -> bool {
        let heads = section::heads_wanted(derived, &self.left_heads);
        derived.selection.set.iter().all(|hash| self.held(hash).is_some())
            && derived.bids.iter().all(|bid| self.bids.get(&bid.hash).is_some())
            && derived.body.iter().chain(&derived.tail).all(|hash| self.objects.any(hash).is_some())
            && heads.iter().all(|hash| self.header_of(hash).is_some())
            && derived.operations.iter().all(|entered| self.operations.get(&entered.hash).is_some())
    }

    fn left_heads_of(&mut self, derived: Option<&Derived>) -> Result<Vec<(Hash, SignedHeader, Hash)>, Halt> {
        let Some(derived) = derived else { return Ok(Vec::new()) };
        let mut heads = Vec::new();
        for hash in section::heads_wanted(derived, &self.left_heads) {
            let (signed, ciphertext) = self.head_of(&hash).ok_or(Halt::Sequence)?;
            heads.push((hash, signed, ciphertext));
        }
        self.left_heads.extend(heads.iter().map(|(hash, ..)| *hash));
        Ok(heads)
    }

    /// What is listed and left may be dropped by everybody before a member that lags comes to this block.
    fn keep_heads(&mut self, derived: Option<&Derived>) {
        for item in derived.into_iter().flat_map(|d| &d.left) {
            let hash = item.leaf.hash();
            if !self.heads.contains_key(&hash)
                && let Some(head) = self.head_of(&hash)
            {
                self.heads.insert(hash, head);
            }
        }
    }

    /// Builds the one share message of the slot; SEQ-2.
    fn release_shares(
        &mut self,
        slot: Slot,
        digest: Hash,
        token: &finality::OrderFixed,
        (bids, units): (Vec<HeldBid>, Vec<Held>),
        close: Head,
    ) -> Result<Vec<RevealItem>, Halt> {
        let count = bids.len().saturating_add(units.len());
        let (mut items, mut shares) = (Vec::with_capacity(count), Vec::with_capacity(count));
        for held in bids {
            shares.push(held.share);
            let hash = crypto::ids::bid_hash(&held.bid);
            items.push(RevealItem { hash, sealed: Sealed::Bid(held.bid), admitted: held.admitted });
        }
        for held in units {
            shares.push(held.share.ok_or(Halt::Share)?);
            let sealed = Sealed::Envelope(held.envelope);
            items.push(RevealItem { hash: held.hash, sealed, admitted: held.admitted });
        }
        if !self.may_share(slot) {
            self.own_share = None;
            self.set_outgoing(None);
            return Ok(items);
        }
        let released = release::release(token, &self.secrets.beacon, shares).map_err(|_outside| Halt::Share)?;
        let count = u32::try_from(items.len()).unwrap_or(u32::MAX);
        let form = if self.is_sharded() {
            // nothing is signed under other combiners than the log gives
            let combiners = self.combiners_of(slot, count).ok_or(Halt::Sequence)?;
            Form::Sharded(Cut::new(combiners, released.points))
        } else {
            Form::Direct(reveal::chunks(&released.points), released.points)
        };
        let (mode, root) = match &form {
            Form::Direct((_, root), _) => (ShareMode::Direct, *root),
            Form::Sharded(cut) => (cut.mode(), cut.root()),
        };
        let header = ShareHeader {
            version: 1,
            network: self.setup.network,
            epoch: token.epoch(),
            slot,
            digest,
            member: self.setup.me,
            mode,
            items: count,
            beacon: released.beacon,
            head: close,
            cosig: sign::cosignature(&self.signer, self.setup.policy.origin(), &close, self.cosigned_at),
            root,
        };
        let sig = sign::share(&self.signer, &header);
        let received = match form {
            Form::Direct((chunks, _), points) => {
                self.own_share = Some(codec::encode(&types::ShareMessage { header: header.clone(), sig, chunks }));
                Received { header, sig, points, pieces: BTreeMap::new() }
            }
            Form::Sharded(cut) => {
                let outgoing = cut.signed(header, sig);
                let received = outgoing.received();
                self.own_share = Some(outgoing.record());
                self.set_outgoing(Some(outgoing));
                received
            }
        };
        self.shares.entry(slot).or_default().insert(self.setup.me, received);
        self.cosigners.insert(self.setup.me, slot);
        Ok(items)
    }

    fn remember(&mut self, slot: Slot, terms: &[Terms], items: &[RevealItem]) {
        for t in terms {
            self.included.insert(t.hash, (t.account, t.nonce));
            self.placed.insert(t.hash, Placed { slot, index: None, outcome: None });
        }
        let recent = items.iter().filter_map(|i| Some((i.hash, Arc::clone(i.sealed.envelope()?)))).collect();
        self.recent.insert(slot, recent);
    }

    /// Forgets what no rule and no peer needs any more.
    fn prune(&mut self, run: Option<Slot>) {
        let slot = self.fin.slot();
        let next = slot.next();
        self.lists.retain(|s, _| *s >= next);
        self.shares.retain(|s, _| *s >= slot);
        self.refused_shares.retain(|(s, _)| *s >= slot);
        self.refused_lists.retain(|(s, _), _| *s >= next);
        self.exchange.prune(slot);
        self.prune_votes();
        self.derived.clear();
        self.extra.clear();
        // whoever still lacks something asks anew
        self.wanted.clear();
        let recent = Slot(slot.0.saturating_sub(RECENT_SLOTS));
        self.recent.retain(|s, _| *s > recent);
        self.recent_openings.retain(|s, _| *s > recent);
        self.bids.end_slot(recent);
        self.objects.end_slot(slot, run, recent);
        if slot.0.trailing_zeros() >= 5 {
            let known = Slot(slot.0.saturating_sub(PLACED_SLOTS));
            self.placed.retain(|_, p| p.slot > known);
            self.dropped.retain(|_, (s, _)| *s > known);
            let ledger = &self.ledger;
            self.included.retain(|hash, _| ledger.is_closed(hash));
        }
        self.heads.retain(|_, (signed, _)| recent::is_kept(signed, slot));
        for (hash, reason) in self.pool.settle(&self.ledger, next) {
            self.dropped.insert(hash, (slot, reason.number()));
        }
    }

    /// After a restart: the last final set, whose envelopes are admitted again before they are opened.
    pub(crate) fn resume_fixed(&mut self, unopened: Unopened, now: Timestamp) {
        let slot = self.fin.slot();
        let mut terms = Vec::with_capacity(unopened.units.len());
        // they are final: only the ciphertexts have to be admitted again
        let mut again = |hash: Hash, sealed| self.queue.push_back(crate::AdmitItem { hash, sealed, after: None });
        for (hash, bid) in &unopened.bids {
            again(*hash, Sealed::Bid(Arc::clone(bid)));
        }
        for (hash, envelope) in &unopened.units {
            terms.push(Terms::of(*hash, &envelope.signed.header));
            again(*hash, Sealed::Envelope(Arc::clone(envelope)));
        }
        let bids: Vec<BidTerms> = unopened.bids.iter().map(|(hash, bid)| BidTerms::of(*hash, &bid.header)).collect();
        self.recent.insert(slot, unopened.units.clone());
        let sharded = self.begin_sharded(now, slot, bids.len().saturating_add(terms.len()));
        self.fixed = Some(Fixed {
            items: bids.iter().map(|_| None).chain(terms.iter().map(|_| None)).collect(),
            terms,
            bids,
            close: self.tree.head(),
            running: false,
            excluded: BTreeSet::new(),
            tried: BTreeSet::new(),
            opening_asked: self.opened_at,
            opening_wanted: false,
            sharded,
        });
        if let Some(received) = self.own_received() {
            self.shares.entry(slot).or_default().insert(self.setup.me, received);
            self.cosigners.insert(self.setup.me, slot);
        } else if let Some(bytes) = self.own_share.clone() {
            self.on_share(self.setup.me, &bytes);
        }
    }

    /// Takes what is admitted again for the slot that is being opened; `true` when it belonged there.
    pub(crate) fn restore_item(&mut self, item: &crate::AdmitItem, admitted: &crypto::tdh2::Admitted) -> bool {
        let Some(fixed) = self.fixed.as_mut() else { return false };
        let of_bids = || fixed.bids.iter().position(|bid| bid.hash == item.hash);
        let of_units = || fixed.terms.binary_search_by(|t| t.hash.cmp(&item.hash)).ok();
        let Some(at) = of_bids().or_else(|| of_units()?.checked_add(fixed.bids.len())) else { return false };
        if let Some(place) = fixed.items.get_mut(at).filter(|p| p.is_none()) {
            let sealed = item.sealed.clone();
            *place = Some(RevealItem { hash: item.hash, sealed, admitted: admitted.clone() });
        }
        true
    }

    pub(crate) fn member_of(&self, member: MemberId) -> Option<&types::MemberRecord> {
        self.setup.members.get(usize::from(member.0))
    }
}
