//! What goes into the machine and what comes out of it: plain data.
use crate::job::{Job, JobResult};
use crypto::finality::OrderFixed;
use types::{
    Address, Amount, Bid, Bundle, Envelope, FinalityProof, Hash, Head, MemberId, Object, Slot, SlotResult, Timestamp,
    reason::{Outcome, Reason},
    wire,
};

/// Names a request whose answer comes later as an effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// Where consensus stands when it asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct At {
    /// Epoch.
    pub epoch: u64,
    /// View.
    pub view: u64,
    /// Leader of the view.
    pub leader: MemberId,
}

/// The committee's channels that carry our messages (engine.md section 7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    /// Share messages.
    Shares,
    /// Envelopes and operations.
    Items,
    /// Requests for envelopes, operations and openings, and their answers.
    Fetch,
    /// Lists.
    Lists,
}

/// Whom a message is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum To {
    /// Every other member.
    All,
    /// One member.
    One(MemberId),
}

/// An event from outside.
#[derive(Debug)]
pub enum Input {
    /// A wallet submits an envelope; `bytes` is its codec encoding.
    Submit {
        /// Answered by [`Effect::Reply`].
        ticket: Ticket,
        /// Decoded.
        envelope: Box<Envelope>,
    },
    /// A builder submits a bid.
    SubmitBid {
        /// Answered by [`Effect::Reply`].
        ticket: Ticket,
        /// Decoded.
        bid: Box<Bid>,
    },
    /// A builder hands in a body or a tail.
    SubmitObject {
        /// Answered by [`Effect::Taken`].
        ticket: Ticket,
        /// Decoded.
        object: Object,
    },
    /// A message of another member, authenticated by the transport.
    Message {
        /// Channel.
        channel: Channel,
        /// Sender.
        from: MemberId,
        /// Payload, at most the transport's limit.
        bytes: Vec<u8>,
    },
    /// Consensus wants a block on this parent.
    Build {
        /// Answered by [`Effect::Built`].
        ticket: Ticket,
        /// Codec bytes of the parent.
        parent: Vec<u8>,
        /// Where.
        at: At,
    },
    /// Consensus wants a verdict.
    Check {
        /// Answered by [`Effect::Checked`].
        ticket: Ticket,
        /// Codec bytes of the block.
        block: Vec<u8>,
        /// Codec bytes of its parent.
        parent: Vec<u8>,
        /// Where.
        at: At,
    },
    /// Consensus has lost interest in a ticket.
    Cancel(Ticket),
    /// Somebody outside hands in an operation: answered with [`Effect::Taken`].
    Operation {
        /// For the answer.
        ticket: Ticket,
        /// Codec bytes.
        operation: Vec<u8>,
    },
    /// A block is final; in height order, at least once.
    Final {
        /// Codec bytes of the block.
        block: Vec<u8>,
        /// Why it is final.
        proof: FinalityProof,
    },
    /// A job is done.
    Done(Box<JobResult>),
    /// Execution of a slot's order is done.
    Executed {
        /// Slot.
        slot: Slot,
        /// What it left.
        result: Box<SlotResult>,
    },
    /// A vote passed by, its signature unchecked.
    Vote {
        /// Epoch.
        epoch: types::Epoch,
        /// View.
        view: u64,
        /// Who is said to have signed.
        member: MemberId,
        /// What it says.
        voted: types::Voted,
    },
    /// Time passed, or the member is being stopped: look again.
    Tick,
}

/// An envelope or a bid of the WAL: `receipt` is empty for one that came from another member.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ItemRecord {
    /// codec(Envelope) or codec(Bid).
    pub envelope: Vec<u8>,
    /// The receipt given for it, if any.
    pub receipt: String,
}

/// What must be durable before any later effect is carried out.
#[derive(Debug)]
pub enum Record {
    /// Envelopes admitted here (WAL).
    Items(Vec<(Hash, ItemRecord)>),
    /// Bids admitted here (WAL).
    Bids(Vec<(Hash, ItemRecord)>),
    /// codec(Object) of bodies and tails by hash, admitted here (WAL).
    Objects(Vec<(Hash, Vec<u8>)>),
    /// Operations by hash, found or received here (WAL).
    Operations(Vec<(Hash, Vec<u8>)>),
    /// This member's list for a slot.
    List {
        /// Slot.
        slot: Slot,
        /// codec(SignedList).
        bytes: Vec<u8>,
    },
    /// Part C of earlier slots and part A of this one: the commit point of a slot.
    Commit(Box<Commit>),
    /// Part B: staged without a lock record.
    Opened {
        /// Slot.
        slot: Slot,
        /// Entries.
        entries: Vec<Vec<u8>>,
    },
}

/// What the commit point of a slot makes durable.
#[derive(Debug)]
pub struct Commit {
    /// Slot.
    pub slot: Slot,
    /// Entries of C(..) and A(slot).
    pub entries: Vec<Vec<u8>>,
    /// Head after them: the close head.
    pub head: Head,
    /// Unix seconds of the cosignature.
    pub cosigned_at: u64,
    /// codec(ShareMessage): sent next, and again after a crash. Empty when this member may not send one.
    pub share_message: Vec<u8>,
    /// codec(FinalityProof): served beside the log.
    pub finality: Vec<u8>,
}

/// What an envelope carries to execution.
#[derive(Clone, Debug)]
pub struct ExecUnit {
    /// Envelope hash.
    pub hash: Hash,
    /// Padded message, `None` for a unit that did not open.
    pub message: Option<Vec<u8>>,
    /// Gas class.
    pub gas_class: u8,
}

/// What the machine wants done, in order; whatever follows a [`Effect::Persist`] waits until it is durable.
#[derive(Debug)]
pub enum Effect {
    /// Make durable.
    Persist(Record),
    /// Send to other members; may be lost.
    Send {
        /// Channel.
        channel: Channel,
        /// To whom.
        to: To,
        /// Payload.
        bytes: Vec<u8>,
    },
    /// Answer a submission: the receipt, or why not.
    Reply {
        /// Of which [`Input::Submit`].
        ticket: Ticket,
        /// Signed note.
        answer: Result<String, wire::Refusal>,
    },
    /// Answer [`Input::Build`]; `None`: hand the view over.
    Built {
        /// Of which request.
        ticket: Ticket,
        /// Codec bytes of the block.
        block: Option<Vec<u8>>,
    },
    /// Answer [`Input::Check`].
    Checked {
        /// Of which request.
        ticket: Ticket,
        /// `false`: invalid for ever, with the reason.
        verdict: Result<(), crate::Refused>,
    },
    /// Answer [`Input::Operation`].
    Taken {
        /// Of which request.
        ticket: Ticket,
        /// Held, and listed once it counts; or why not.
        verdict: Result<(), wire::Refusal>,
    },
    /// The block of this height is processed and durable: acknowledge it to consensus.
    Ack(Slot),
    /// The last slot of an epoch is opened: consensus goes on in the next one.
    Epoch(crate::EpochStart),
    /// Run on the pool; answer by [`Input::Done`].
    Run(Job),
    /// Execute a slot's order; answer by [`Input::Executed`].
    Execute {
        /// Slot.
        slot: Slot,
        /// Of the block's header.
        time_ms: Timestamp,
        /// R_h.
        beacon: Hash,
        /// L_h.
        units: Vec<ExecUnit>,
    },
    /// Execute the tail of the slot whose order was executed last; answer by [`Input::Executed`] with the slot's new
    /// result.
    ExecuteTail {
        /// Slot.
        slot: Slot,
        /// Identity of each unit, and its bundle; in their order.
        bundles: Vec<(Hash, Bundle)>,
    },
    /// A checkpoint with a quorum of cosignatures: publish.
    Publish {
        /// The slot that the head closes.
        slot: Slot,
        /// Signed note.
        note: String,
    },
    /// Tell subscribers.
    Event(wire::Event),
    /// A phase of a slot was reached.
    Phase {
        /// Slot.
        slot: Slot,
        /// Which.
        phase: Phase,
    },
    /// A member did what it must not: the evidence proves itself, whoever found it. Once per finding and member in a life.
    Evidence {
        /// What it proves.
        proved: crypto::evidence::Proved,
        /// To be kept and shown.
        evidence: Box<types::Evidence>,
    },
    /// Another member or a client sent something bad.
    Reject {
        /// The member; `None`: a client.
        from: Option<MemberId>,
        /// Why.
        reason: Reason,
        /// What it was.
        what: &'static str,
    },
}

/// Phases of a slot, for metrics and the devnet's lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    /// This member signed its list.
    Closed {
        /// Envelopes on it.
        listed: usize,
    },
    /// This member built the block that it proposes; another one may become final.
    Built,
    /// Consensus delivered the block as final; its section is not written yet.
    Ordered,
    /// The block is final and its section durable.
    Final {
        /// Units of the set.
        units: usize,
        /// Whether the block is empty.
        empty: bool,
        /// Log size at the close head.
        size: u64,
        /// Candidates that were left out.
        left: usize,
    },
    /// Opened.
    Opened {
        /// Units that opened.
        opened: usize,
        /// Units that did not.
        bottom: usize,
        /// Bids that were opened.
        bids: usize,
        /// Who won the slot after this one, and what it pays.
        sold: Option<(Address, Amount)>,
    },
    /// A tail ran.
    Tail {
        /// Outcome per bundle.
        outcomes: Vec<Outcome>,
    },
    /// Executed.
    Executed {
        /// Outcome per unit of L_h.
        outcomes: Vec<Outcome>,
        /// Units with legs on two rollups or more.
        bundles: usize,
    },
}

// The token itself never leaves the machine; this keeps the type named where effects are documented.
const _: fn(&OrderFixed) -> Slot = OrderFixed::slot;
