//! Proposing and checking blocks (engine.md section 5).
use crate::{
    derive::{self, Derived, Known, Offer},
    effect::{At, Effect, Phase, Ticket},
    lists,
    state::{Refused, Sequencer},
};
use auction_rules::{BidTerms, Claim, ListedOperation, Terms};
use std::collections::BTreeSet;
use types::{Block, BlockHeader, Epoch, Hash, ListSet, MemberId, Object, SetRef, Slot, Timestamp, codec, limits};

/// What consensus needs of a block's bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenedBlock {
    /// The block.
    pub block: Block,
    /// Its digest.
    pub digest: Hash,
}

/// Decodes a block and checks what needs no state: canonical bytes, shape of the lists, root over the lists.
///
/// # Errors
/// [`Refused`]: the bytes are no block, for ever.
pub fn open(bytes: &[u8]) -> Result<OpenedBlock, Refused> {
    let block: Block = codec::decode(bytes, limits::BLOCK_BYTES_MAX).map_err(|_codec| Refused::Malformed)?;
    let header = &block.header;
    match &block.lists {
        Some(set) => {
            lists::shape(set)?;
            if header.reveal.is_none() || header.lists != lists::root(&lists::texts(header, set)) {
                return Err(Refused::ListsRoot);
            }
        }
        None => {
            let roots = [header.lists, header.set, header.bids, header.objects, header.operations];
            if header.reveal.is_some() || roots.iter().any(|r| *r != SetRef::EMPTY) {
                return Err(Refused::ListsRoot);
            }
        }
    }
    let digest = crypto::ids::block_digest(header);
    Ok(OpenedBlock { block, digest })
}

/// A proposal that consensus waits for.
#[derive(Debug)]
pub(crate) struct PendingBuild {
    ticket: Ticket,
    parent: OpenedBlock,
    at: At,
    asked: Timestamp,
}

/// A verdict that consensus waits for.
#[derive(Debug)]
pub(crate) struct PendingCheck {
    ticket: Ticket,
    block: OpenedBlock,
    parent: OpenedBlock,
    asked: Timestamp,
}

/// What this member knows of what the lists of a slot name.
struct Here<'a> {
    machine: &'a Sequencer,
    slot: Slot,
}

impl Known for Here<'_> {
    fn offer(&self, hash: &Hash) -> Option<Offer> {
        let Sequencer { setup, ledger, .. } = self.machine;
        let header = self.machine.header_of(hash)?;
        let terms = Terms::of(*hash, header);
        let admissible = auction_rules::admissible(header, &setup.network, self.slot, &setup.params).is_ok()
            && ledger.account(&terms.account).is_some_and(|a| terms.nonce >= a.nonce);
        Some(Offer { terms, admissible })
    }
    fn operation(&self, hash: &Hash) -> Option<ListedOperation> {
        self.machine.operations.get(hash)
    }
    fn bid(&self, hash: &Hash) -> Option<BidTerms> {
        self.machine.bids.get(hash).map(|held| BidTerms::of(*hash, &held.bid.header))
    }
    fn body(&self, seq: u8, hash: &Hash) -> Option<Option<Vec<Hash>>> {
        let object = self.machine.objects.any(hash)?;
        let Object::Body(body) = &**object else { return Some(None) };
        let counts = body.header.seq == seq && self.machine.admits_object(object).is_ok();
        Some(counts.then(|| body.units.clone()))
    }
    fn tail(&self, seq: u8, hash: &Hash) -> Option<bool> {
        let object = self.machine.objects.any(hash)?;
        let right = matches!(**object, Object::Tail(_)) && object.header().seq == seq;
        Some(right && self.machine.admits_object(object).is_ok())
    }
    fn faults(&self) -> &BTreeSet<Claim> {
        self.machine.operations.faults()
    }
}

impl Sequencer {
    pub(crate) fn ask_build(&mut self, now: Timestamp, ticket: Ticket, parent: &[u8], at: At) {
        match open(parent) {
            Ok(parent) => self.builds.push(PendingBuild { ticket, parent, at, asked: now }),
            Err(_own_parent) => self.out.push(Effect::Built { ticket, block: None }),
        }
    }

    pub(crate) fn ask_check(&mut self, now: Timestamp, ticket: Ticket, block: &[u8], parent: &[u8], at: At) {
        let opened = open(block).and_then(|b| open(parent).map(|p| (b, p)));
        let checked = opened.and_then(|(block, parent)| {
            self.context(&block.block.header, &parent, at)?;
            Ok(PendingCheck { ticket, block, parent, asked: now })
        });
        match checked {
            Ok(check) => self.checks.push(check),
            Err(refused) => self.out.push(Effect::Checked { ticket, verdict: Err(refused) }),
        }
    }

    pub(crate) fn cancel(&mut self, ticket: Ticket) {
        self.builds.retain(|b| b.ticket != ticket);
        self.checks.retain(|c| c.ticket != ticket);
    }

    /// Header fields against the consensus context.
    fn context(&self, header: &BlockHeader, parent: &OpenedBlock, at: At) -> Result<(), Refused> {
        let wanted = header.network == self.setup.network
            && header.epoch == Epoch(at.epoch)
            && header.epoch == self.epoch_of(header.height)
            && header.view == at.view
            && header.proposer == at.leader
            && header.parent == parent.digest
            && header.height == parent.block.header.height.next();
        if !wanted {
            return Err(Refused::Context);
        }
        if header.time_ms <= parent.block.header.time_ms { Err(Refused::Time) } else { Ok(()) }
    }

    pub(crate) fn try_builds(&mut self, now: Timestamp) {
        for build in core::mem::take(&mut self.builds) {
            match self.try_build(now, &build) {
                Some(block) => {
                    if let Some(block) = &block {
                        self.out.push(Effect::Phase { slot: block.header.height, phase: Phase::Built });
                    }
                    let block = block.map(|b| codec::encode(&b)).filter(|b| b.len() <= limits::BLOCK_BYTES_MAX);
                    self.out.push(Effect::Built { ticket: build.ticket, block });
                }
                None => self.builds.push(build),
            }
        }
    }

    /// The last block that consensus has called final, though slots before it may not be opened here.
    fn known_final(&self) -> Slot {
        self.finals.back().map_or(self.fin.slot(), |(block, _)| block.header.height)
    }

    /// `None`: not yet. `Some(None)`: hand over.
    fn try_build(&mut self, now: Timestamp, build: &PendingBuild) -> Option<Option<Block>> {
        let parent = &build.parent.block.header;
        let known = self.known_final();
        if known < parent.height {
            let due = build.asked.plus(self.setup.timings.fill_after);
            return (now >= due).then(|| Some(self.empty_block(now, build)));
        }
        if known > parent.height || self.fin.slot() == parent.height && self.fin.digest != build.parent.digest {
            return Some(None);
        }
        // the parent is final: its opening is waited for, no slot is burnt
        if self.opened < parent.height {
            return None;
        }
        let slot = self.current();
        let by = self.lists.get(&slot)?;
        by.get(&self.setup.me)?;
        let everyone = by.len() == self.setup.members.len();
        let patient = now >= self.closed_at.plus(self.setup.timings.list_grace);
        if !(everyone || patient && by.len() >= self.setup.quorum()) {
            return None;
        }
        let set = lists::join(&by.values().collect::<Vec<_>>(), self.setup.quorum(), self.setup.listed());
        let derived = self.derive(now, slot, &set, None)?;
        Some(Some(self.block(now, build, set, &derived)))
    }

    fn empty_block(&self, now: Timestamp, build: &PendingBuild) -> Block {
        let parent = &build.parent.block.header;
        let mut block = Block::genesis(self.setup.network);
        block.header.epoch = Epoch(build.at.epoch);
        block.header.height = parent.height.next();
        block.header.view = build.at.view;
        block.header.time_ms = now.max(parent.time_ms.next());
        block.header.proposer = self.setup.me;
        block.header.parent = build.parent.digest;
        block
    }

    fn block(&self, now: Timestamp, build: &PendingBuild, set: ListSet, derived: &Derived) -> Block {
        let mut block = self.empty_block(now, build);
        block.header.set = derived.set_ref;
        block.header.bids = derived.bids_ref;
        block.header.objects = derived.objects_ref;
        block.header.operations = derived.operations_ref;
        block.header.reveal = Some(self.reveal);
        block.header.lists = lists::root(&lists::texts(&block.header, &set));
        block.lists = Some(set);
        block
    }

    /// Recomputes what lists give, or asks for what is missing: of an envelope that is left out the header is enough.
    pub(crate) fn derive(
        &mut self,
        now: Timestamp,
        slot: Slot,
        set: &ListSet,
        ask: Option<MemberId>,
    ) -> Option<Derived> {
        let known = Here { machine: self, slot };
        let result = derive::derive(set, self.setup.listed(), &self.ledger, &self.setup.params, slot, &known);
        let absent = |derived: &Derived| -> Vec<Hash> {
            derived.selection.set.iter().filter(|hash| self.held(hash).is_none()).copied().collect()
        };
        let missing = match result {
            Ok(derived) => {
                let absent = absent(&derived);
                if absent.is_empty() {
                    return Some(derived);
                }
                absent
            }
            Err(missing) => missing,
        };
        self.want(now, &missing, ask);
        None
    }

    pub(crate) fn try_checks(&mut self, now: Timestamp) {
        for check in core::mem::take(&mut self.checks) {
            match self.try_check(now, &check) {
                Some(verdict) => self.out.push(Effect::Checked { ticket: check.ticket, verdict }),
                None => self.checks.push(check),
            }
        }
    }

    /// SEQ-5: `None` while something is missing.
    fn try_check(&mut self, now: Timestamp, check: &PendingCheck) -> Option<Result<(), Refused>> {
        let header = &check.block.block.header;
        if self.fin.slot() >= header.height {
            let same = self.fin.digest == check.block.digest;
            return Some(if same { Ok(()) } else { Err(Refused::Stale) });
        }
        let queued = self.finals.iter().map(|(block, _)| &block.header).find(|h| h.height == header.height);
        if let Some(other) = queued {
            // what is final is valid; the vote still waits until its bytes are here
            return (crypto::ids::block_digest(other) != check.block.digest).then_some(Err(Refused::Stale));
        }
        if header.time_ms > now {
            return None;
        }
        let Some(set) = &check.block.block.lists else {
            // final is not enough: if too few others know it, their shares are missing, and only a descendant tells them
            if self.opened >= check.parent.block.header.height {
                return Some(Err(Refused::EmptyLate));
            }
            return (now >= check.asked.plus(self.setup.timings.fill_after)).then_some(Ok(()));
        };
        if self.fin.slot() < check.parent.block.header.height {
            return None;
        }
        if self.fin.digest != check.parent.digest {
            return Some(Err(Refused::Context));
        }
        if self.opened < self.fin.slot() {
            return None;
        }
        if header.reveal != Some(self.reveal) {
            return Some(Err(Refused::Reveal));
        }
        let keys: Vec<Hash> = self.setup.members.iter().map(|m| m.receipt).collect();
        if let Err(refused) = lists::verify_all(header, set, &self.setup.params, &keys, self.setup.quorum()) {
            return Some(Err(refused));
        }
        let derived = self.derive(now, header.height, set, Some(header.proposer))?;
        let roots = (header.set, header.bids, header.objects, header.operations)
            == (derived.set_ref, derived.bids_ref, derived.objects_ref, derived.operations_ref);
        if !roots {
            return Some(Err(Refused::Roots));
        }
        self.derived.insert(check.block.digest, derived);
        Some(Ok(()))
    }

    /// When builds and checks may change by time alone; some of it may be past.
    pub(crate) fn blocks_due(&self) -> impl Iterator<Item = Timestamp> {
        let timings = self.setup.timings;
        let grace = self.closed_at.plus(timings.list_grace);
        let builds = self.builds.iter().flat_map(move |b| [b.asked.plus(timings.fill_after), grace]);
        let checks = self.checks.iter().flat_map(move |c| {
            let fill = c.block.block.lists.is_none().then(|| c.asked.plus(timings.fill_after));
            [Some(c.block.block.header.time_ms), fill].into_iter().flatten()
        });
        builds.chain(checks)
    }
}
