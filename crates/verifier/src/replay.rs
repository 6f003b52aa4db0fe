//! Entries in log order: the grammar of sections, and who checks what.
mod build;
mod close;
mod exec;
mod lists;
mod open;
mod operations;
mod promises;
mod recount;
mod section;

use crate::{Anchor, AnchorError, Checks, Committee, Finding};
use alloc::{
    collections::{BTreeMap, BTreeSet},
    format,
    string::String,
    sync::Arc,
    vec::Vec,
};
use auction_rules::{Claim, Ledger};
use crypto::{ids, merkle, succession::Succession};
use execution::{Executor, Registry};
pub use promises::ReceiptInputError;
pub(crate) use promises::{Promise, note_of};
use section::{Closed, Section};
use tlog::{Tree, checkpoint};
use types::{
    Address, Bid, Block, BlockHeader, ENTRY_TAG, ENTRY_VERSION, Entry, Envelope, Epoch, EpochEnd, EpochFacts,
    EpochRecord, Epochs, FinalityProof, Hash, Head, Kind, MemberId, Nonce, OpenSlot, SignedHeader, Slot, codec, limits,
    reason,
};

/// Place of an included envelope: slot, and, as far as known, index in the order, outcome code and deciding leg.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placed {
    /// Slot of its set.
    pub slot: Slot,
    /// Place in L_h.
    pub index: Option<u32>,
    /// Outcome code and leg.
    pub outcome: Option<(u8, u8)>,
}

/// What a log says when it was read to the end: what a member continues from.
#[derive(Debug)]
pub struct State {
    /// After the last CLOSE.
    pub ledger: Ledger,
    /// Over all entries.
    pub tree: Tree,
    /// Header of the last CLOSE; `None` when there is no section.
    pub last: Option<BlockHeader>,
    /// Bids that count and set of the last CLOSE, ascending, when the log does not open them.
    pub unopened: Option<Unopened>,
    /// Head after the last part B; after genesis when there is none.
    pub reveal: Head,
    /// The last EPOCH, and how the epochs before ended.
    pub epochs: Epochs,
    /// What the log of the last epoch says of the next one.
    pub succession: Succession,
    /// The committee that works after the last opened slot.
    pub committee: Arc<Committee>,
    /// The one of the epoch before.
    pub before: Option<(Epoch, Arc<Committee>)>,
    /// Hash over the rollups' state roots as of the last EXEC.
    pub states: Hash,
    /// Opened slots without EXEC.
    pub unexecuted: Vec<OpenSlot>,
    /// Left envelopes whose header the log holds.
    pub left_heads: BTreeSet<Hash>,
    /// Payer and nonce of envelopes that `after` may still name.
    pub included: BTreeMap<Hash, (Address, Nonce)>,
    /// Envelopes included in the last 4,096 slots and a few more, by slot, then hash: the order of the log.
    pub placed: Vec<(Hash, Placed)>,
    /// Whom the log of the last two epochs convicts, and of what.
    pub faults: BTreeSet<Claim>,
    /// The rollups after the last opened slot.
    pub executor: Executor,
}

/// What the log closes and does not open.
#[derive(Debug, PartialEq, Eq)]
pub struct Unopened {
    /// Bids that count, ascending by bidder.
    pub bids: Vec<(Hash, Bid)>,
    /// The set, ascending by hash.
    pub units: Vec<(Hash, Envelope)>,
}

/// Slots whose units the replay can place at its end.
const PLACED_SLOTS: u64 = 4_096;

/// Where the next entry belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Nothing read yet.
    Start,
    /// After EPOCH(0), records still due.
    Registry,
    /// Between sections: EXEC or CLOSE.
    Between,
    /// Inside part A.
    PartA,
    /// Part A is complete, BEACON is due.
    PartB(Due),
}

/// What part B still owes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Due {
    Beacon,
    Auction,
    Order,
    Opened,
}

/// Reads a log entry by entry and checks it. See the crate's story.
#[derive(Debug)]
pub struct Replay {
    anchor: Anchor,
    checks: Checks,
    tree: Tree,
    stage: Stage,
    ledger: Ledger,
    /// As of the reveal of the slot before: what sets are judged on.
    judged: Ledger,
    executor: Executor,
    registry: Registry,
    records: u32,
    epochs: Epochs,
    succession: Succession,
    /// The committee of the section that is read: another one from the end of an epoch's last part B.
    now: Arc<Committee>,
    /// That of the epoch before.
    before: Option<(Epoch, Arc<Committee>)>,
    /// EPOCH stands before the CLOSE that comes.
    announced: bool,
    /// Hash over the rollups' state roots as of the last EXEC.
    states: Hash,
    last: BlockHeader,
    last_digest: Hash,
    reveal: Head,
    section: Section,
    pending: Vec<OpenSlot>,
    /// Seq and hash of the TAIL that was read since the last CLOSE.
    tail: Option<(u8, Hash)>,
    left_heads: BTreeSet<Hash>,
    included: BTreeMap<Hash, (Address, Nonce)>,
    placed: BTreeMap<Hash, Placed>,
    findings: Vec<Finding>,
    /// Faults of single members that leave the log right; one of a kind per member.
    faults: Vec<Finding>,
    convicted: BTreeSet<(u16, MemberId)>,
    /// FAULT entries of this epoch and the one before.
    claims: BTreeSet<Claim>,
    /// Receipts that the lists are held against.
    promises: Vec<Promise>,
    /// Receipts that no member has signed so far.
    strange: Vec<Vec<u8>>,
    /// Signed headers of left envelopes of the epoch.
    headers: BTreeMap<Hash, SignedHeader>,
    /// An EXEC was read since the last CLOSE.
    exec_read: bool,
    /// The entry that is read completes what `reveal` covers.
    section_done: bool,
    /// The entry that is read completes this slot's part A.
    closed: Option<Slot>,
    index: u64,
    units: u64,
    finality: u64,
    /// What each check of log.md section 6 went over, by its number.
    tallies: [u64; 22],
}

impl Replay {
    /// A replay from genesis.
    ///
    /// # Errors
    /// [`AnchorError`] when the rollups cannot be executed.
    pub fn new(anchor: &Anchor, checks: Checks) -> Result<Self, AnchorError> {
        let last = Block::genesis(anchor.id).header;
        let genesis = &anchor.network.genesis;
        let executor = anchor.executor()?;
        let states = executor.states_root();
        let first = anchor.first_epoch(states);
        let leaf = merkle::leaf_hash(&Entry::bytes(Kind::Epoch(first.clone().into())));
        Ok(Self {
            checks,
            tree: Tree::new(),
            stage: Stage::Start,
            ledger: anchor.ledger.clone(),
            judged: anchor.ledger.clone(),
            executor,
            epochs: Epochs::new(first, leaf),
            succession: Succession::default(),
            now: Arc::new(anchor.committee()),
            before: None,
            announced: false,
            states,
            registry: Registry::new(&genesis.rollups, genesis.params.slot_ms),
            records: 0,
            last_digest: ids::block_digest(&last),
            last,
            reveal: Tree::new().head(),
            section: Section::default(),
            pending: Vec::new(),
            tail: None,
            left_heads: BTreeSet::new(),
            included: BTreeMap::new(),
            placed: BTreeMap::new(),
            findings: Vec::new(),
            faults: Vec::new(),
            convicted: BTreeSet::new(),
            claims: BTreeSet::new(),
            promises: Vec::new(),
            strange: Vec::new(),
            headers: BTreeMap::new(),
            exec_read: false,
            section_done: false,
            closed: None,
            index: 0,
            units: 0,
            finality: 0,
            tallies: [0; 22],
            anchor: anchor.clone(),
        })
    }

    /// RFC 6962 root over the opening accounts.
    #[must_use]
    pub fn ledger_root(&self) -> Hash {
        self.anchor.ledger.account_root()
    }
    /// Hash over the rollups' state roots.
    #[must_use]
    pub fn states(&self) -> Hash {
        self.executor.states_root()
    }
    /// What was found so far. After the first finding later entries are hashed but not judged.
    #[must_use]
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }
    /// Faults of single members that leave the log right, the first of a kind per member. They do not end the replay.
    #[must_use]
    pub fn faults(&self) -> &[Finding] {
        &self.faults
    }
    /// Slots whose section has begun.
    #[must_use]
    pub fn slots(&self) -> u64 {
        self.last.height.0
    }
    /// Units of all sets.
    #[must_use]
    pub fn units(&self) -> u64 {
        self.units
    }
    /// Proofs of finality that verified.
    #[must_use]
    pub fn finalities(&self) -> u64 {
        self.finality
    }
    /// Head over the entries read.
    #[must_use]
    pub fn head(&self) -> Head {
        self.tree.head()
    }
    /// The rollups after the units of the last opened slot.
    #[must_use]
    pub fn rollups(&self) -> &Executor {
        &self.executor
    }
    /// The slot whose CLOSE was read last, while its part A may still be incomplete.
    #[must_use]
    pub fn slot(&self) -> Slot {
        self.last.height
    }

    /// The committee that signs heads which end here.
    #[must_use]
    pub fn committee(&self) -> &Arc<Committee> {
        &self.now
    }
    /// The committee before it, with its last epoch.
    #[must_use]
    pub fn before(&self) -> Option<&(Epoch, Arc<Committee>)> {
        self.before.as_ref()
    }
    /// The epochs so far.
    #[must_use]
    pub fn epochs(&self) -> &Epochs {
        &self.epochs
    }
    /// What the log of the epoch says of the next one.
    #[must_use]
    pub fn succession(&self) -> &Succession {
        &self.succession
    }
    /// Whether the log opens the slot whose CLOSE was read last.
    #[must_use]
    pub fn is_opened(&self) -> bool {
        self.stage == Stage::Between
    }

    /// Entries read.
    pub(crate) fn head_size(&self) -> u64 {
        self.tree.size()
    }
    /// The slot whose part A the last entry completed, once: now [`Replay::finality`] is about it.
    pub fn take_closed(&mut self) -> Option<Slot> {
        self.closed.take()
    }
    /// What each check went over.
    pub(crate) fn tallies(&self) -> [u64; 22] {
        self.tallies
    }
    fn tally(&mut self, check: usize, units: usize) {
        if let Some(tally) = self.tallies.get_mut(check) {
            *tally = tally.saturating_add(u64::try_from(units).unwrap_or(u64::MAX));
        }
    }

    /// The next entry; returns its leaf hash.
    pub fn entry(&mut self, index: u64, bytes: &[u8]) -> Hash {
        self.index = index;
        self.tally(4, 1);
        if self.findings.is_empty() {
            match codec::decode::<Entry>(bytes, limits::ENTRY_BYTES_MAX) {
                Ok(entry) if entry.tag == ENTRY_TAG && entry.version == ENTRY_VERSION => self.kind(entry.kind, bytes),
                Ok(_) => self.find(reason::Finding::EntryMalformed, "tag or version"),
                Err(error) => self.find(reason::Finding::EntryMalformed, &format!("{error}")),
            }
        }
        let leaf = self.tree.append(bytes);
        if core::mem::take(&mut self.section_done) {
            self.reveal = self.tree.head();
            if let Some(open) = self.pending.last_mut() {
                open.reveal = self.reveal.root;
            }
        }
        leaf
    }

    /// A published head ends after a complete part A, or later in the section.
    pub(crate) fn end_of_head(&mut self) {
        if matches!(self.stage, Stage::Start | Stage::Registry | Stage::PartA) {
            self.find(reason::Finding::SectionOrder, "the head ends inside part A");
        }
    }

    fn kind(&mut self, kind: Kind, bytes: &[u8]) {
        let wanted = self.stage;
        match (wanted, kind) {
            (Stage::Start, Kind::Epoch(_)) => self.first_epoch(bytes),
            (Stage::Between, Kind::Epoch(record)) => self.next_epoch(&record),
            (Stage::Registry, Kind::Registry { epoch, first, records }) => self.registry(epoch, first, &records),
            (Stage::Between, Kind::Tail { slot, bytes }) if !self.announced => self.tail(slot, &bytes),
            (Stage::Between, kind @ Kind::Exec { .. }) if !self.announced => self.exec(kind),
            (
                Stage::Between,
                Kind::Close { slot, header, candidates, bytes, gas, forced, cut, byte_price, gas_price },
            ) => {
                self.close(Closed { slot, header, candidates, bytes, gas, forced, cut, byte_price, gas_price });
            }
            (Stage::PartA, kind) => self.part_a(kind),
            (Stage::PartB(due), kind) => self.part_b(due, kind),
            (_, kind) => self.out_of_place(&kind),
        }
        self.complete_part_a();
    }

    fn out_of_place(&mut self, kind: &Kind) {
        self.find(reason::Finding::SectionOrder, &format!("{} where another entry belongs", kind.name()));
    }

    /// EPOCH(0) is a function of the genesis file.
    fn first_epoch(&mut self, bytes: &[u8]) {
        if merkle::leaf_hash(bytes) != self.epochs.leaf() {
            self.find(reason::Finding::EpochWrong, "not what the genesis file gives");
        }
        self.tally(19, 1);
        self.stage = Stage::Registry;
        self.end_of_registry();
    }

    /// EPOCH of a later epoch: before the CLOSE that announces it, and what the log so far gives.
    fn next_epoch(&mut self, record: &EpochRecord) {
        let slot = self.last.height.next();
        if self.announced || self.schedule().announced(slot).is_none() {
            return self.find(reason::Finding::SectionOrder, "EPOCH in a slot that announces none");
        }
        let epoch = self.schedule().epoch_of(slot).next();
        let reserve = self.ledger.reserve(epoch).unwrap_or(self.now.params.reserve_floor);
        let facts = EpochFacts { ledger: self.ledger.account_root(), states: self.states, reserve };
        let next = match &self.anchor.ceremony {
            Some(ceremony) => self.succession.announce(&self.epochs, facts, ceremony),
            None => self.succession.announce_as(&self.epochs, facts, record),
        };
        if *record != next {
            return self.find(reason::Finding::EpochWrong, "not what the log so far gives");
        }
        let leaf = merkle::leaf_hash(&Entry::bytes(Kind::Epoch(next.clone().into())));
        self.epochs.announced(next, leaf);
        self.announced = true;
        self.tally(19, 1);
    }

    fn schedule(&self) -> types::Schedule {
        self.anchor.network.genesis.params.schedule()
    }

    /// A slot is opened: it may be the last of its epoch.
    fn end_of_epoch(&mut self, slot: Slot) {
        let schedule = self.schedule();
        if schedule.is_last(slot) {
            let (epoch, digest) = (schedule.epoch_of(slot), self.last_digest);
            self.epochs.ended(EpochEnd { epoch, digest, beacon: self.section.beacon.unwrap_or_default() });
            self.next_committee(epoch);
        }
    }

    /// What stands after an epoch's last part B is of the next epoch's committee and parameters.
    fn next_committee(&mut self, ended: Epoch) {
        self.before = Some((ended, Arc::clone(&self.now)));
        let next = self.epochs.of(ended.next());
        if next.continues(self.epochs.of(ended)) {
            return;
        }
        let keys_since = if next.keys() == self.epochs.of(ended).keys() { self.now.keys_since } else { next.epoch };
        match Committee::of(self.anchor.policy.origin(), next, keys_since) {
            Ok(committee) => {
                self.now = Arc::new(committee);
                // an index is another member's, perhaps
                self.convicted.clear();
            }
            Err(error) => return self.find(reason::Finding::EpochWrong, &format!("{error}")),
        }
        self.promises_go_on();
    }

    fn registry(&mut self, epoch: Epoch, first: u32, records: &[types::Record]) {
        let all = self.anchor.network.registry();
        let start = usize::try_from(self.records).unwrap_or(usize::MAX);
        let end = start.saturating_add(records.len());
        // as full as can be, so that one genesis file has one log
        let full = start.saturating_add(limits::REGISTRY_RECORDS_MAX).min(all.len());
        if (epoch, first) != (Epoch(0), self.records) || end != full || all.get(start..end) != Some(records) {
            self.find(reason::Finding::RegistryWrong, "not what the genesis file gives");
            return;
        }
        self.tally(19, records.len());
        self.records = u32::try_from(end).unwrap_or(u32::MAX);
        self.end_of_registry();
    }

    fn end_of_registry(&mut self) {
        if usize::try_from(self.records) == Ok(self.anchor.network.registry().len()) {
            self.stage = Stage::Between;
            self.section_done = true;
        }
    }

    /// Head of the log before the entry that is read.
    fn head_before(&self) -> Head {
        self.tree.head()
    }

    fn find(&mut self, code: reason::Finding, detail: &str) {
        self.accuse_slot(self.section.slot.max(self.last.height), code, detail);
    }

    /// A member's own fault, by its signed list.
    fn convict(&mut self, code: reason::Finding, member: MemberId, detail: &str) {
        if self.checks.signatures && self.findings.is_empty() && self.convicted.insert((code.number(), member)) {
            let accused = Vec::from([checkpoint::receipt_name(self.anchor.policy.origin(), member)]);
            let slot = self.section.slot;
            self.faults.push(Finding { code, slot, index: self.index, detail: detail.into(), accused });
        }
    }

    fn accuse_slot(&mut self, slot: Slot, code: reason::Finding, detail: &str) {
        if self.findings.is_empty() {
            let detail = detail.into();
            self.findings.push(Finding { code, slot, index: self.index, detail, accused: Vec::new() });
        }
    }

    /// Headers and votes that were served beside the log, for the slot whose CLOSE was read last.
    pub fn finality(&mut self, proof: &FinalityProof) {
        if !self.findings.is_empty() {
            return;
        }
        match self.proves(proof) {
            Ok(()) => self.finality = self.finality.saturating_add(1),
            Err(error) => self.find(reason::Finding::FinalityInvalid, &error),
        }
    }

    /// Whether headers and votes prove that the block of the CLOSE read last is final.
    ///
    /// # Errors
    /// Why not.
    pub fn proves(&self, proof: &FinalityProof) -> Result<(), String> {
        let hashes = self.section.set_hashes();
        match crypto::finality::verify(&self.now.voters(self.anchor.id, self.last.epoch), proof, &hashes) {
            Ok(token) if token.digest() == self.last_digest => Ok(()),
            Ok(_) => Err("proof of another block".into()),
            Err(error) => Err(format!("{error}")),
        }
    }

    /// Makes these checks on the entries that follow.
    pub fn check(&mut self, checks: Checks) {
        self.checks = checks;
    }
    /// Header of the CLOSE that was read last.
    #[must_use]
    pub fn last(&self) -> &BlockHeader {
        &self.last
    }

    /// What was served as headers and votes is none.
    pub(crate) fn finality_unreadable(&mut self, error: &str) {
        self.find(reason::Finding::FinalityInvalid, error);
    }

    /// What the log said. Meaningful when nothing was found.
    #[must_use]
    pub fn end(self) -> State {
        let unopened = matches!(self.stage, Stage::PartB(_) | Stage::PartA)
            .then(|| Unopened { bids: self.section.sealed_bids(), units: self.section.units() });
        let ledger = self.ledger;
        let mut placed: Vec<_> = self.placed.into_iter().collect();
        placed.sort_by_key(|(hash, placed)| (placed.slot, *hash));
        let included = self.included.into_iter().filter(|(hash, _)| ledger.is_closed(hash)).collect();
        State {
            tree: self.tree,
            last: (self.last.height > Slot(0)).then_some(self.last),
            unopened,
            reveal: self.reveal,
            epochs: self.epochs,
            succession: self.succession,
            committee: self.now,
            before: self.before,
            states: self.states,
            unexecuted: self.pending,
            left_heads: self.left_heads,
            included,
            placed,
            faults: self.claims,
            executor: self.executor,
            ledger,
        }
    }
}
