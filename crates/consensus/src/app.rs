//! The boundary: what the engine asks of the caller and tells it.
use crate::EngineBlock;
use bytes::Bytes;
use commonware_utils::{Acknowledgement as _, acknowledgement::Exact};
use core::future::Future;
use types::{MemberId, Signature, VoteSig};

/// The caller's word on a block. "Not yet" is a pending future, not a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// All of it is here and right: this member votes for it.
    Valid,
    /// Wrong for ever.
    Invalid,
}

/// Where in consensus a block is built or checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct At {
    /// Epoch.
    pub epoch: u64,
    /// View.
    pub view: u64,
    /// Who leads the view: the only member whose block can be valid in it.
    pub leader: MemberId,
}

/// Says that everything that follows from a [`FinalBlock`] is durable.
///
/// Acknowledge last, after the caller's own fsync: an acknowledged block is not delivered again after a restart. At
/// most 16 blocks are delivered ahead of their acknowledgements. **Dropping an `Ack` without acknowledging stops
/// marshal**, and with it the engine: [`Running::ended`](crate::Running::ended) then returns.
#[derive(Debug)]
#[must_use = "dropping it stops the engine"]
pub struct Ack(pub(crate) Exact);

impl Ack {
    /// The block is processed and durable.
    pub fn acknowledge(self) {
        self.0.acknowledge();
    }
}

/// A final block and the proof of it.
///
/// A block can become final through a descendant without finalize votes of its own; then `link` leads there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FinalBlock {
    /// The block.
    pub block: EngineBlock,
    /// The blocks above it up to the nearest certified one, each the parent of the next; empty if `block` itself is
    /// certified. Live, by the caller's rules, these are empty blocks; after a gap they may be any.
    pub link: Vec<Bytes>,
    /// View of the certified block (the last of `link`, or `block`).
    pub view: u64,
    /// View of the certified block's parent.
    pub parent_view: u64,
    /// Finalize votes on the certified block: at least 2f+1, members strictly ascending.
    pub votes: Vec<VoteSig>,
}

/// What a vote says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum VoteKind {
    /// 0: I hold and have checked the block.
    Notarize = 0,
    /// 1: this view ends without a block.
    Nullify = 1,
    /// 2: I will not nullify this view.
    Finalize = 2,
}

/// A vote that passed by: single, in a conflict that simplex found, or out of a certificate.
///
/// # Security
/// Not necessarily verified. The signed bytes are `LEB128 len(ns) | ns | msg`, ns = `"lockstep/simplex/v1" | network`
/// and the kind's suffix `_NOTARIZE`, `_NULLIFY` or `_FINALIZE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenVote {
    /// What it says.
    pub kind: VoteKind,
    /// Epoch.
    pub epoch: u64,
    /// View.
    pub view: u64,
    /// Who signed, by index.
    pub member: MemberId,
    /// `epoch | view | parent view` (LEB128) `| digest`; for nullify `epoch | view`.
    pub msg: Bytes,
    /// ed25519 with the consensus key, ZIP 215.
    pub sig: Signature,
}

/// The channels that carry the caller's own messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Channel {
    /// 5: share and opening messages.
    Shares = 5,
    /// 6: envelopes, bids, bodies, tails, operations.
    Items = 6,
    /// 7: requests for items, openings and lists, and their answers.
    Fetch = 7,
    /// 8: lists, leader votes, cosignatures.
    Lists = 8,
    /// 9: the key ceremony.
    Dkg = 9,
}

impl Channel {
    /// Every channel, ascending.
    pub const ALL: [Self; 5] = [Self::Shares, Self::Items, Self::Fetch, Self::Lists, Self::Dkg];

    /// The number on the wire.
    #[must_use]
    pub const fn number(self) -> u64 {
        match self {
            Self::Shares => 5,
            Self::Items => 6,
            Self::Fetch => 7,
            Self::Lists => 8,
            Self::Dkg => 9,
        }
    }
}

/// What the engine asks and tells. Implemented over the slot's state machine by `node`, by test programs, by twins.
///
/// The futures of `build` and `check` can be dropped at any await, so they have no side effects but idempotent
/// messages. The other methods are called from the engine's tasks: they must not block.
pub trait SlotApp: Clone + Send + Sync + 'static {
    /// The bytes of a block on `parent`; `None` hands the view over at once. Asked of the leader.
    fn build(&self, parent: EngineBlock, at: At) -> impl Future<Output = Option<Bytes>> + Send;

    /// Whether `block` is right on `parent`. Asked once per view: pending while something is missing, since "false for
    /// now" would refuse the block for good. The engine has checked parent digest and height.
    fn check(&self, block: EngineBlock, parent: EngineBlock, at: At) -> impl Future<Output = Verdict> + Send;

    /// A block above genesis is final. In height order, at least once (again after a restart unless acknowledged), durable in marshal.
    fn finalized(&self, f: FinalBlock, ack: Ack);

    /// A message of another member, at most [`MESSAGE_BYTES_MAX`](crate::MESSAGE_BYTES_MAX) bytes. `from` is
    /// authenticated by the transport; the bytes are not checked at all.
    fn message(&self, channel: Channel, from: MemberId, bytes: Bytes);

    /// A vote passed by (engine.md section 8). Duplicates are normal.
    fn vote(&self, _: SeenVote) {}
}
