//! The machine's state, how it starts, and what can go wrong.
use crate::{
    admission::{self, Parked},
    bids::Bids,
    blocks::{PendingBuild, PendingCheck},
    derive::Derived,
    effect::{Effect, ItemRecord, Ticket},
    job::{AdmitItem, RevealItem},
    message::OpeningSection,
    objects::Objects,
    operations::Operations,
    recent::Recent,
    rejoin::Rejoin,
    reveal::{self, Received},
    sharded::{Exchange, Sharded},
    sign::SignKeys,
};
use auction_rules::{BidTerms, Claim, Ledger, Terms};
use crypto::{
    keys::{BeaconShareKey, DecryptionShareKey, KeySet},
    succession::{Ceremony, Succession},
};
use mempool::{Held, Mempool};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};
use tlog::{Tree, checkpoint::Policy};
use types::{
    Address, Bid, Block, BlockHeader, Envelope, Epoch, Epochs, FinalityProof, Hash, Head, MemberId, MemberRecord,
    Nonce, OpenSlot, Params, SignedHeader, SignedList, Slot, Timestamp,
};

/// What a member is, besides its secrets.
#[derive(Clone, Debug)]
pub struct Setup {
    /// This member.
    pub me: MemberId,
    /// Network id.
    pub network: Hash,
    /// Who signs checkpoints of the log.
    pub policy: Policy,
    /// Parameters of the epoch.
    pub params: Params,
    /// Faults tolerated.
    pub f: u16,
    /// The committee, by index.
    pub members: Vec<MemberRecord>,
    /// The committee of the epoch before this member's start, for evidence about that epoch.
    pub before: Option<Former>,
    /// What handovers of the secrets are judged with.
    pub ceremony: Ceremony,
    /// Deadlines.
    pub timings: Timings,
    /// Seeds the batch checks: unpredictable to senders, of no other use.
    pub seed: [u8; 32],
}

/// A committee that is not this one any more.
#[derive(Clone, Debug)]
pub struct Former {
    /// Its last epoch.
    pub epoch: Epoch,
    /// Faults tolerated.
    pub f: u16,
    /// Its members, by index.
    pub members: Vec<MemberRecord>,
    /// Its parameters.
    pub params: Params,
    /// Its keys.
    pub keys: Arc<KeySet>,
}

impl Setup {
    /// 2f + 1.
    #[must_use]
    pub fn quorum(&self) -> usize {
        usize::from(self.f).saturating_mul(2).saturating_add(1)
    }
    /// How many lists a leaf needs to be listed: f + 1.
    pub(crate) fn listed(&self) -> usize {
        usize::from(self.f).saturating_add(1)
    }
    pub(crate) fn committee(&self, epoch: Epoch) -> crypto::finality::Committee {
        crypto::finality::Committee {
            network: self.network,
            epoch,
            f: self.f,
            consensus_keys: self.members.iter().map(|m| m.consensus).collect(),
        }
    }
}

/// Deadlines, in ms (engine.md section 10).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timings {
    /// Length of a slot.
    pub slot: u64,
    /// Least time from opening to close.
    pub close_min: u64,
    /// How long a leader waits for the last lists.
    pub list_grace: u64,
    /// When an empty block may stand in for a slot whose parent is not final.
    pub fill_after: u64,
    /// Own list and share message are sent again after this.
    pub rebroadcast: u64,
    /// Envelopes are relayed in batches of this.
    pub relay_linger: u64,
    /// A fetch is repeated after this.
    pub fetch_retry: u64,
    /// How long combiners have, from a block being final here, before members ask each other for shares.
    pub open_fallback: u64,
}

impl Timings {
    /// The times that follow a slot of `slot_ms` (engine.md section 10): 500 ms gives the devnet's, 1,500 ms the WAN's.
    #[must_use]
    pub fn for_slot(slot_ms: u64) -> Self {
        let tenth = |n: u64| slot_ms.saturating_mul(n).div_ceil(10);
        // what a message's way takes: a LAN's up to 500 ms, growing to a WAN's at 1,500 ms
        let way = |lan: u64, percent: u64| {
            lan.saturating_add(slot_ms.saturating_sub(500).saturating_mul(percent).div_ceil(100))
        };
        Self {
            slot: slot_ms,
            close_min: tenth(4),
            list_grace: way(20, 23),
            fill_after: tenth(5),
            rebroadcast: way(200, 30),
            relay_linger: 10,
            fetch_retry: way(100, 15),
            open_fallback: way(150, 35),
        }
    }
}

/// A member's share keys, and the public keys beside them. Jobs hold it by reference.
pub struct Secrets {
    /// Network id.
    pub network: Hash,
    /// Public keys of the epoch.
    pub keys: Arc<KeySet>,
    /// Share of the decryption secret.
    pub decrypt: DecryptionShareKey,
    /// Share of the beacon secret.
    pub beacon: BeaconShareKey,
}

impl core::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Secrets(<redacted>)")
    }
}

/// An invariant of ours broke: the node stops before it signs anything else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Halt {
    /// Consensus finalised two blocks of one height, or a block that does not follow.
    #[error("a final block does not follow the last one")]
    Fork,
    /// A final block names another log head than ours.
    #[error("the final block's reveal is not the head of this log")]
    LogDiverged,
    /// A final block breaks a rule that 2f + 1 members checked.
    #[error("a final block breaks a rule: {0}")]
    Block(Refused),
    /// The proof of finality does not verify.
    #[error("proof of finality does not verify: {0}")]
    Finality(crypto::finality::FinalityError),
    /// The ledger refuses what the rules allowed.
    #[error("ledger: {0}")]
    Ledger(auction_rules::LedgerError),
    /// The order of a fixed set does not complete.
    #[error("order: {0}")]
    Order(ordering::OrderError),
    /// A final block holds a list of this member's that it does not know: its disk is an old copy.
    #[error(
        "a final block holds a list of this member that it never signed as far as it knows: its folder is an old copy"
    )]
    OldCopy,
    /// A share is held for something outside the set.
    #[error("a held share is outside the fixed set")]
    Share,
    /// A signing step found no log head to sign.
    #[error("a result arrived for a slot that does not wait for it")]
    Sequence,
}

/// Why a block or list breaks the rules, for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// No canonical block.
    #[error("malformed block")]
    Malformed,
    /// Network, epoch, height, view, proposer or parent differ from what consensus says.
    #[error("header differs from the consensus context")]
    Context,
    /// Time not above the parent's.
    #[error("time not above the parent's")]
    Time,
    /// Lists out of order, empty leaves, stray bits.
    #[error("shape of lists")]
    ListShape,
    /// Fewer than 2f + 1 lists.
    #[error("fewer than 2f + 1 lists")]
    ListsShort,
    /// A list over a cap.
    #[error("list over a cap")]
    ListCaps,
    /// A list with a cut although it had room.
    #[error("list with a cut although it had room")]
    ListCut,
    /// A list's signature is not its member's.
    #[error("list signature")]
    ListSignature,
    /// The root over the lists is not the header's.
    #[error("root of lists")]
    ListsRoot,
    /// A root of set, bids, objects or operations is not what the lists give.
    #[error("roots differ from what the lists give")]
    Roots,
    /// The reveal is not the head of the log after the slot before.
    #[error("reveal differs from the log")]
    Reveal,
    /// An empty block although its parent is opened here.
    #[error("empty block on an opened parent")]
    EmptyLate,
    /// Another block of this height is final.
    #[error("another block of this height is final")]
    Stale,
}

/// What a member knows when it starts.
#[derive(Debug)]
pub struct Resume {
    /// As of the last CLOSE.
    pub ledger: Ledger,
    /// The log up to the last CLOSE's section part A.
    pub tree: Tree,
    /// Header of the last final block; genesis at first.
    pub last: BlockHeader,
    /// Its set when the log holds no opening of it.
    pub unopened: Option<Unopened>,
    /// Log head after the last opening.
    pub reveal: Head,
    /// The last EPOCH of the log, and how the epochs before ended.
    pub epochs: Epochs,
    /// What the log of the epoch says of the next one.
    pub succession: Succession,
    /// Hash over the rollups' state roots as of the last EXEC in the log.
    pub states: Hash,
    /// Opened slots without EXEC.
    pub unexecuted: Vec<OpenSlot>,
    /// Left envelopes whose header the log holds.
    pub left_heads: BTreeSet<Hash>,
    /// Payer and nonce of included envelopes within the expiry window, by hash.
    pub included: BTreeMap<Hash, (Address, Nonce)>,
    /// Place of included envelopes: slot, and index once opened.
    pub placed: Vec<(Hash, Placed)>,
    /// For members that lag: after a crash of all, some may be a slot ahead of others.
    pub recent: Recent,
    /// For a member that lost its disk.
    pub rejoin: Option<Rejoin>,
    /// Own share message for `last`, as sent.
    pub share_message: Option<Vec<u8>>,
    /// Own last signed list: slot and bytes.
    pub own_list: Option<(Slot, Vec<u8>)>,
    /// Unix seconds of the last cosignature.
    pub cosigned_at: u64,
    /// Envelopes of the WAL, in its order.
    pub items: Vec<ItemRecord>,
    /// The same of bids.
    pub bids: Vec<ItemRecord>,
    /// codec(Object) of the WAL.
    pub objects: Vec<Vec<u8>>,
    /// Operations that this member holds: the WAL's, and evidence that it keeps.
    pub operations: Vec<Vec<u8>>,
    /// Whom the log of this epoch convicts already, and of what.
    pub faults: BTreeSet<Claim>,
}

/// A final set that the log does not open yet.
#[derive(Debug)]
pub struct Unopened {
    /// The bids that count, ascending by bidder.
    pub bids: Vec<(Hash, Arc<Bid>)>,
    /// S_h, ascending by hash.
    pub units: Vec<(Hash, Arc<Envelope>)>,
}

/// The last final block.
#[derive(Clone, Debug)]
pub(crate) struct Fin {
    pub(crate) header: BlockHeader,
    pub(crate) digest: Hash,
}

impl Fin {
    pub(crate) fn slot(&self) -> Slot {
        self.header.height
    }
}

/// A final set on its way to be opened.
#[derive(Debug)]
pub(crate) struct Fixed {
    pub(crate) terms: Vec<Terms>,
    /// Bids that count: their items come first.
    pub(crate) bids: Vec<BidTerms>,
    /// `None` while an envelope is still being admitted again after a restart.
    pub(crate) items: Vec<Option<RevealItem>>,
    pub(crate) close: Head,
    pub(crate) running: bool,
    pub(crate) excluded: BTreeSet<MemberId>,
    pub(crate) tried: BTreeSet<MemberId>,
    pub(crate) opening_asked: Timestamp,
    /// An answer to own requests may be used; only one, so that no member can keep the real reveal waiting.
    pub(crate) opening_wanted: bool,
    /// Where a few members combine each item.
    pub(crate) sharded: Option<Sharded>,
}

/// An opened slot that has no EXEC yet.
#[derive(Debug)]
pub(crate) struct Unexecuted {
    pub(crate) open: OpenSlot,
    /// A result is on its way.
    pub(crate) running: bool,
    /// The tail that has run, or runs.
    pub(crate) tail: Option<Hash>,
}

/// An envelope or a bid on its way through admission.
#[derive(Debug)]
pub(crate) struct Flight {
    /// Who pays, or bids.
    pub(crate) account: Address,
    pub(crate) bid: bool,
    pub(crate) tickets: Vec<Ticket>,
    pub(crate) from: Option<MemberId>,
    /// Needed for a block, whatever the pool thinks of it.
    pub(crate) forced: bool,
    /// The receipt that the WAL holds.
    pub(crate) receipt: Option<String>,
    pub(crate) stored: bool,
}

impl Default for Flight {
    fn default() -> Self {
        let account = Address::ZERO;
        Self { account, bid: false, tickets: Vec::new(), from: None, forced: false, receipt: None, stored: false }
    }
}

/// Where an included envelope stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placed {
    /// The slot of its set.
    pub slot: Slot,
    /// Place in the order, once opened.
    pub index: Option<u32>,
    /// Outcome code and the leg that decided, once executed.
    pub outcome: Option<(u8, u8)>,
}

/// One member. See the crate's story.
#[derive(Debug)]
pub struct Sequencer {
    pub(crate) setup: Setup,
    pub(crate) secrets: Arc<Secrets>,
    pub(crate) signer: SignKeys,
    pub(crate) pool: Mempool,
    pub(crate) bids: Bids,
    pub(crate) objects: Objects,
    pub(crate) ledger: Ledger,
    pub(crate) tree: Tree,
    pub(crate) fin: Fin,
    pub(crate) opened: Slot,
    pub(crate) opened_at: Timestamp,
    pub(crate) closed_at: Timestamp,
    pub(crate) reveal: Head,
    pub(crate) cosigned_at: u64,
    pub(crate) lists: BTreeMap<Slot, BTreeMap<MemberId, SignedList>>,
    pub(crate) own_list: Option<(Slot, Vec<u8>)>,
    pub(crate) shares: BTreeMap<Slot, BTreeMap<MemberId, Received>>,
    pub(crate) own_share: Option<Vec<u8>>,
    /// What combiners and those that they work for have sent each other.
    pub(crate) exchange: Exchange,
    /// The newest slot of each member's share message, which carries its cosignature.
    pub(crate) cosigners: BTreeMap<MemberId, Slot>,
    /// Members whose share message of a slot was refused: one attempt each.
    pub(crate) refused_shares: BTreeSet<(Slot, MemberId)>,
    /// How many lists of a member for a slot were looked at in vain.
    pub(crate) refused_lists: BTreeMap<(Slot, MemberId), u8>,
    /// Members that evidence was told of, by finding.
    pub(crate) accused: BTreeSet<Claim>,
    /// What lists name besides envelopes.
    pub(crate) operations: Operations,
    /// Votes by view and member, signatures unchecked.
    pub(crate) votes: BTreeMap<(Epoch, u64, MemberId), Vec<types::Voted>>,
    pub(crate) epochs: Epochs,
    pub(crate) succession: Succession,
    /// The epoch that this machine worked for has ended, and the next one has another committee, keys or parameters.
    pub(crate) over: bool,
    /// Hash over the rollups' state roots as of the last EXEC in the log.
    pub(crate) states: Hash,
    /// Why the last final block is final; `None` right after a start.
    pub(crate) fin_proof: Option<FinalityProof>,
    pub(crate) fixed: Option<Fixed>,
    pub(crate) published: Slot,
    pub(crate) finals: VecDeque<(Block, FinalityProof)>,
    pub(crate) unexecuted: BTreeMap<Slot, Unexecuted>,
    pub(crate) derived: BTreeMap<Hash, Derived>,
    pub(crate) builds: Vec<PendingBuild>,
    pub(crate) checks: Vec<PendingCheck>,
    pub(crate) extra: BTreeMap<Hash, Held>,
    pub(crate) recent: BTreeMap<Slot, Vec<(Hash, Arc<Envelope>)>>,
    pub(crate) recent_openings: BTreeMap<Slot, OpeningSection>,
    pub(crate) included: BTreeMap<Hash, (Address, Nonce)>,
    pub(crate) placed: BTreeMap<Hash, Placed>,
    pub(crate) rejoin: Option<Rejoin>,
    /// How often the holder of a slot's right has asked what its body could place.
    pub(crate) asked: (Slot, u8),
    /// The highest slot that each member has sent something for, where it is out of reach for messages.
    pub(crate) ahead: BTreeMap<MemberId, Slot>,
    pub(crate) dropped: BTreeMap<Hash, (Slot, u16)>,
    pub(crate) left_heads: BTreeSet<Hash>,
    /// Signed header and hash of the ciphertext of envelopes that were listed and left, until they are long expired.
    pub(crate) heads: BTreeMap<Hash, (SignedHeader, Hash)>,
    pub(crate) queue: VecDeque<AdmitItem>,
    pub(crate) admitting: bool,
    pub(crate) flights: BTreeMap<Hash, Flight>,
    pub(crate) parked: Vec<Parked>,
    pub(crate) relay: VecDeque<Vec<u8>>,
    pub(crate) relay_since: Timestamp,
    /// The last envelope that was relayed again.
    pub(crate) relayed_to: Hash,
    pub(crate) broadcast_at: Timestamp,
    pub(crate) wanted: BTreeMap<Hash, Timestamp>,
    pub(crate) receipt_seq: u64,
    pub(crate) stepped_at: Timestamp,
    pub(crate) batches: u64,
    pub(crate) out: Vec<Effect>,
}

/// Slots whose envelopes and openings are kept in memory for members that lag.
pub(crate) const RECENT_SLOTS: u64 = 64;
/// Lag at which following block by block is given up, a few slots before peers forget what it needs.
const BEHIND_SLOTS: u64 = 48;
/// Slots whose units `status` answers for.
pub(crate) const PLACED_SLOTS: u64 = 4_096;
/// Bytes of envelopes that the pool holds at most.
pub(crate) const POOL_BYTES_MAX: usize = 64 << 20;

impl Sequencer {
    /// A member that continues from `resume` at `now`.
    #[must_use]
    pub fn new(setup: Setup, secrets: Arc<Secrets>, signer: SignKeys, mut resume: Resume, now: Timestamp) -> Self {
        let digest = crypto::ids::block_digest(&resume.last);
        let slot = resume.last.height;
        let opened = if resume.unopened.is_some() { slot.prev() } else { slot };
        let pool = Mempool::new(setup.network, setup.params.clone(), POOL_BYTES_MAX);
        let mut machine = Self {
            pool,
            bids: Bids::new(resume.recent.take_bids()),
            objects: Objects::new(resume.recent.take_objects()),
            ledger: resume.ledger,
            tree: resume.tree,
            fin: Fin { header: resume.last, digest },
            opened,
            opened_at: now,
            closed_at: Timestamp(now.0.saturating_sub(setup.timings.slot)),
            reveal: resume.reveal,
            cosigned_at: resume.cosigned_at,
            lists: BTreeMap::new(),
            own_list: None,
            shares: BTreeMap::new(),
            own_share: resume.share_message,
            exchange: Exchange::default(),
            cosigners: BTreeMap::new(),
            refused_shares: BTreeSet::new(),
            refused_lists: BTreeMap::new(),
            accused: BTreeSet::new(),
            operations: Operations::new(resume.faults, slot, resume.recent.take_operations()),
            votes: BTreeMap::new(),
            epochs: resume.epochs,
            succession: resume.succession,
            over: false,
            states: resume.states,
            fin_proof: None,
            fixed: None,
            published: Slot(0),
            finals: VecDeque::new(),
            unexecuted: BTreeMap::new(),
            derived: BTreeMap::new(),
            builds: Vec::new(),
            checks: Vec::new(),
            extra: BTreeMap::new(),
            recent: BTreeMap::new(),
            recent_openings: BTreeMap::new(),
            included: resume.included,
            placed: resume.placed.into_iter().collect(),
            rejoin: resume.rejoin,
            asked: (Slot(0), 0),
            ahead: BTreeMap::new(),
            dropped: BTreeMap::new(),
            left_heads: resume.left_heads,
            heads: resume.recent.take_heads(),
            queue: VecDeque::new(),
            admitting: false,
            flights: BTreeMap::new(),
            parked: Vec::new(),
            relay: VecDeque::new(),
            relay_since: now,
            relayed_to: Hash::ZERO,
            broadcast_at: now,
            wanted: BTreeMap::new(),
            receipt_seq: admission::first_seq(now, resume.cosigned_at, resume.items.iter().chain(&resume.bids)),
            stepped_at: now,
            batches: 0,
            out: Vec::new(),
            setup,
            secrets,
            signer,
        };
        for open in resume.unexecuted {
            if let Some(result) = &open.result {
                reveal::place(&mut machine.placed, &open.order, result);
            }
            machine.unexecuted.insert(open.slot, Unexecuted { open, running: false, tail: None });
        }
        for (slot, units, opening) in resume.recent.slots() {
            machine.recent.insert(slot, units);
            if let Some(opening) = opening {
                machine.recent_openings.insert(slot, opening);
            }
        }
        machine.resume_outgoing();
        if let Some(unopened) = resume.unopened {
            machine.resume_fixed(unopened, now);
        }
        machine.resume_items(resume.items);
        machine.resume_bids(resume.bids);
        machine.resume_objects(resume.objects);
        machine.resume_operations(&resume.operations);
        machine.resume_list(resume.own_list);
        machine
    }

    /// The slot that f + 1 members are known to have passed, when it is so far ahead that they no longer serve what this
    /// member needs to follow block by block: it has to catch up by their logs.
    #[must_use]
    pub fn behind(&self) -> Option<Slot> {
        let mut ahead: Vec<Slot> = self.ahead.values().copied().collect();
        ahead.sort_unstable_by(|a, b| b.cmp(a));
        let passed = ahead.get(usize::from(self.setup.f)).copied()?;
        (passed > self.fin.slot().plus(BEHIND_SLOTS)).then_some(passed)
    }

    /// Notes that a member speaks of a slot beyond those whose messages are kept.
    pub(crate) fn is_ahead(&mut self, from: MemberId, slot: Slot) {
        let last = self.ahead.entry(from).or_default();
        *last = slot.max(*last);
    }

    /// The seed of the next batch check.
    pub(crate) fn next_seed(&mut self) -> [u8; 32] {
        self.batches = self.batches.wrapping_add(1);
        crypto::hash::sha256(&[&self.setup.seed, &self.batches.to_le_bytes()]).0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_the_rows_of_the_engine_page() {
        let ms = |slot_ms| {
            let t = Timings::for_slot(slot_ms);
            [t.slot, t.close_min, t.list_grace, t.fill_after, t.rebroadcast, t.fetch_retry]
        };
        assert_eq!(ms(500), [500, 200, 20, 250, 200, 100]);
        assert_eq!(ms(200), [200, 80, 20, 100, 200, 100]);
        assert_eq!(ms(1_500), [1_500, 600, 250, 750, 500, 250]);
    }
}
