//! What goes into the machine and what comes out of it: plain data.
use crypto::{
    finality::OrderFixed,
    keys::KeySet,
    tdh2::{self, Admitted, HeldShare, SharePoint},
};
use mempool::Sealed;
use std::sync::Arc;
use types::{
    Address, Amount, Bid, Bundle, Envelope, FinalityProof, G2Bytes, Hash, Head, MemberId, Object, Opening, Slot,
    SlotResult, Timestamp,
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

/// Work for a pool: plain data with a pure [`Job::run`].
pub enum Job {
    /// Signatures and ciphertext proofs of a batch, and this member's shares of what passes.
    Admit {
        /// What it needs.
        context: Arc<crate::Secrets>,
        /// The batch.
        items: Vec<AdmitItem>,
        /// Seed of the batch check.
        seed: [u8; 32],
    },
    /// Beacon and openings from share messages.
    Reveal {
        /// What it needs.
        keys: Arc<KeySet>,
        /// The slot's units and shares.
        work: Box<RevealWork>,
    },
    /// Openings that another member served.
    CheckOpenings {
        /// What it needs.
        keys: Arc<KeySet>,
        /// The slot's units.
        work: Box<RevealWork>,
        /// Threshold signature as served.
        sig: G2Bytes,
        /// In the order of the items.
        openings: Vec<Opening>,
        /// Who served.
        from: MemberId,
    },
    /// The beacon alone.
    Beacon {
        /// What it needs.
        keys: Arc<KeySet>,
        /// What it signs.
        message: crypto::beacon::Message,
        /// Beacon shares.
        shares: Vec<(MemberId, G2Bytes)>,
    },
    /// What a combiner opens.
    Combine {
        /// What it needs.
        keys: Arc<KeySet>,
        /// Its items and their shares.
        work: Box<CombineWork>,
    },
    /// What other combiners opened.
    CheckClaims {
        /// What it needs.
        keys: Arc<KeySet>,
        /// Slot.
        slot: Slot,
        /// One per item.
        claims: Vec<Claimed>,
        /// Seed of batch checks.
        seed: [u8; 32],
    },
}

impl core::fmt::Debug for Job {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Admit { .. } => "Job::Admit",
            Self::Reveal { .. } => "Job::Reveal",
            Self::CheckOpenings { .. } => "Job::CheckOpenings",
            Self::Beacon { .. } => "Job::Beacon",
            Self::Combine { .. } => "Job::Combine",
            Self::CheckClaims { .. } => "Job::CheckClaims",
        })
    }
}

/// What passed, with this member's share of it; or why not, with a detail.
pub type Verdict = Result<Box<(Admitted, HeldShare)>, (Reason, &'static str)>;

/// One envelope or bid to admit.
#[derive(Clone, Debug)]
pub struct AdmitItem {
    /// Its hash.
    pub hash: Hash,
    /// What it is.
    pub sealed: Sealed,
    /// Of an envelope: payer and nonce of each unit of `after`, in its order; `None`: consents were checked by others.
    pub after: Option<Vec<(Address, types::Nonce)>>,
}

/// One bid, or one unit of S_h, as the reveal needs it.
#[derive(Clone, Debug)]
pub struct RevealItem {
    /// Its hash.
    pub hash: Hash,
    /// What it is.
    pub sealed: Sealed,
    /// Its admitted form.
    pub admitted: Admitted,
}

/// The units and shares of one slot.
pub struct RevealWork {
    /// What the beacon signs.
    pub message: crypto::beacon::Message,
    /// The bids that count, then S_h, in the order of the log.
    pub items: Vec<RevealItem>,
    /// Beacon share and decryption shares per member.
    pub shares: Vec<(MemberId, G2Bytes, Vec<SharePoint>)>,
    /// Seed of batch checks.
    pub seed: [u8; 32],
}

impl core::fmt::Debug for RevealWork {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("RevealWork").field("slot", &self.message.slot).field("items", &self.items.len()).finish()
    }
}

/// The answer of a job.
pub enum JobResult {
    /// To [`Job::Admit`], in its order.
    Admitted(Vec<(AdmitItem, Verdict)>),
    /// To [`Job::Reveal`] and [`Job::CheckOpenings`].
    Revealed {
        /// Slot.
        slot: Slot,
        /// Beacon, openings; or who must be left out before another try.
        result: Result<Box<Revealed>, Vec<MemberId>>,
        /// What was bad of each member that is named.
        bad: Vec<(MemberId, BadShare)>,
    },
    /// To [`Job::Beacon`].
    Beacon {
        /// Slot.
        slot: Slot,
        /// The signature and R_h; or whose shares were bad.
        result: Result<(G2Bytes, Hash), Vec<MemberId>>,
    },
    /// To [`Job::Combine`].
    Combined(Box<Combined>),
    /// To [`Job::CheckClaims`].
    Checked {
        /// Slot.
        slot: Slot,
        /// One per claim, in any order.
        judged: Vec<Judged>,
    },
}

/// One combiner's items of a slot.
#[derive(Debug)]
pub struct CombineWork {
    /// Who combines them.
    pub combiner: MemberId,
    /// Place of each among the slot's items.
    pub places: Vec<u32>,
    /// The items, and the members' shares of them.
    pub work: RevealWork,
}

/// What came of [`CombineWork`].
#[derive(Debug)]
pub struct Combined {
    /// Slot.
    pub slot: Slot,
    /// Who combines these items.
    pub combiner: MemberId,
    /// Place of each among the slot's items.
    pub places: Vec<u32>,
    /// What opens them; or who must be left out before another try.
    pub result: Result<Opened, Vec<MemberId>>,
    /// What was bad of each member that is named.
    pub bad: Vec<(MemberId, BadShare)>,
}

/// Some items opened.
#[derive(Debug)]
pub struct Opened {
    /// In the order of the items.
    pub openings: Vec<Opening>,
    /// Padded messages; `None` where an item does not open.
    pub messages: Vec<Option<Vec<u8>>>,
    /// Members whose shares were bad.
    pub culprits: Vec<MemberId>,
}

/// What a combiner says of an item.
#[derive(Clone, Debug)]
pub struct Claimed {
    /// Who says it.
    pub member: MemberId,
    /// Place among the slot's items.
    pub place: u32,
    /// What it says.
    pub opening: Opening,
    /// The item.
    pub item: RevealItem,
}

/// What became of a claim.
#[derive(Debug)]
pub struct Judged {
    /// Who claimed it.
    pub member: MemberId,
    /// Place among the slot's items.
    pub place: u32,
    /// What was claimed.
    pub opening: Opening,
    /// Whether that is the item's opening.
    pub holds: bool,
    /// The padded message; `None` where no key opens the item.
    pub message: Option<Vec<u8>>,
}

/// What was bad in a share message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadShare {
    /// The beacon share.
    Beacon,
    /// The share of this unit of S_h.
    Item(usize),
    /// The share of a unit among those for a combiner.
    Piece {
        /// For whom.
        combiner: MemberId,
        /// Place among the items: bids that count, then S_h.
        item: usize,
    },
}

impl core::fmt::Debug for JobResult {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Admitted(_) => "JobResult::Admitted",
            Self::Revealed { .. } => "JobResult::Revealed",
            Self::Beacon { .. } => "JobResult::Beacon",
            Self::Combined(_) => "JobResult::Combined",
            Self::Checked { .. } => "JobResult::Checked",
        })
    }
}

/// A slot opened.
#[derive(Debug)]
pub struct Revealed {
    /// Threshold signature.
    pub sig: G2Bytes,
    /// R_h.
    pub beacon: Hash,
    /// In the order of the items.
    pub openings: Vec<Opening>,
    /// Padded messages in the order of the items; `None` where one does not open.
    pub messages: Vec<Option<Vec<u8>>>,
    /// Members whose shares were bad.
    pub culprits: Vec<MemberId>,
}

impl Job {
    /// Does the work. Pure: the same job gives the same result on any machine.
    #[must_use]
    pub fn run(self) -> JobResult {
        match self {
            Self::Admit { context, items, seed } => JobResult::Admitted(admit(&context, items, seed)),
            Self::Reveal { keys, work } => {
                let result = reveal(&keys, &work).map(Box::new);
                let culprits = result.as_ref().map_or_else(|named| named, |revealed| &revealed.culprits);
                let bad = bad_shares(&keys, &work, culprits);
                JobResult::Revealed { slot: work.message.slot, result, bad }
            }
            Self::CheckOpenings { keys, work, sig, openings, from } => JobResult::Revealed {
                slot: work.message.slot,
                result: check(&keys, &work, sig, openings).map(Box::new).ok_or_else(|| vec![from]),
                bad: Vec::new(),
            },
            Self::Beacon { keys, message, shares } => {
                JobResult::Beacon { slot: message.slot, result: beacon(&keys, &message, &shares) }
            }
            Self::Combine { keys, work } => JobResult::Combined(Box::new(combine(&keys, *work))),
            Self::CheckClaims { keys, slot, claims, seed } => {
                JobResult::Checked { slot, judged: check_claims(&keys, claims, seed) }
            }
        }
    }
}

/// From so many shares on it is cheaper to compute them together (docs, benchmarks).
const SHARED_FROM: usize = 12;

fn admit(context: &crate::Secrets, items: Vec<AdmitItem>, seed: [u8; 32]) -> Vec<(AdmitItem, Verdict)> {
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
}

fn plain(messages: Vec<Option<zeroize::Zeroizing<Vec<u8>>>>) -> Vec<Option<Vec<u8>>> {
    messages.into_iter().map(|m| m.map(|m| m.to_vec())).collect()
}

fn beacon(
    keys: &KeySet,
    message: &crypto::beacon::Message,
    shares: &[(MemberId, G2Bytes)],
) -> Result<(G2Bytes, Hash), Vec<MemberId>> {
    // a combination that verifies
    let sig = crypto::beacon::combine(keys, shares, message).map_err(|culprits| culprits.0)?;
    Ok((sig, crypto::beacon::value(&sig)))
}

fn reveal(keys: &KeySet, work: &RevealWork) -> Result<Revealed, Vec<MemberId>> {
    let beacons: Vec<_> = work.shares.iter().map(|(member, share, _)| (*member, *share)).collect();
    let (sig, beacon) = beacon(keys, &work.message, &beacons)?;
    let Opened { openings, messages, culprits } = open(keys, work)?;
    Ok(Revealed { sig, beacon, openings, messages, culprits })
}

fn open(keys: &KeySet, work: &RevealWork) -> Result<Opened, Vec<MemberId>> {
    let views = Views::new(&work.items);
    let items: Vec<_> = views.view().into_iter().zip(work.items.iter().map(|i| &i.admitted)).collect();
    let shares: Vec<_> = work.shares.iter().map(|(member, _, points)| (*member, points.clone())).collect();
    match tdh2::reveal(keys, &items, &shares, work.seed) {
        Ok(r) => Ok(Opened { openings: r.openings, messages: plain(r.plaintexts), culprits: r.culprits }),
        Err(tdh2::RevealError::NeedMore { culprits }) => Err(culprits),
        Err(_count) => Err(Vec::new()),
    }
}

fn combine(keys: &KeySet, work: CombineWork) -> Combined {
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

/// Keys by encrypting again, points by a pairing: what is admitted needs no proof of that.
fn check_claims(keys: &KeySet, claims: Vec<Claimed>, seed: [u8; 32]) -> Vec<Judged> {
    let (with_key, without): (Vec<Claimed>, Vec<Claimed>) =
        claims.into_iter().partition(|claim| matches!(claim.opening, Opening::Key(_)));
    let items: Vec<RevealItem> = with_key.iter().map(|claim| claim.item.clone()).collect();
    let views = Views::new(&items);
    let pairs: Vec<_> = views.view().into_iter().zip(items.iter().map(|i| &i.admitted)).collect();
    let given: Vec<_> = with_key.iter().filter_map(|claim| claim.opening.key()).collect();
    // the pairs are what was admitted, so there are messages
    let messages = tdh2::check_keys(keys.encryption_key(), &pairs, &given).unwrap_or_default();
    let mut judged: Vec<Judged> = Vec::new();
    for (claim, message) in with_key.iter().zip(messages) {
        judged.push(claim.judged(message.map(Some)));
    }
    let items: Vec<RevealItem> = without.iter().map(|claim| claim.item.clone()).collect();
    let views = Views::new(&items);
    let given: Vec<Opening> = without.iter().map(|claim| claim.opening).collect();
    for (claim, checked) in without.iter().zip(tdh2::check_openings(keys, &views.view(), &given, seed)) {
        judged.push(claim.judged(checked.ok()));
    }
    judged
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

/// Says of each culprit what it sent that is bad.
fn bad_shares(keys: &KeySet, work: &RevealWork, culprits: &[MemberId]) -> Vec<(MemberId, BadShare)> {
    let of = |member: &MemberId| {
        let (_, beacon, points) = work.shares.iter().find(|(sender, ..)| sender == member)?;
        if !crypto::beacon::share_holds(keys, *member, &work.message, beacon) {
            return Some((*member, BadShare::Beacon));
        }
        // evidence is about units: whoever sends a bad share of a bid alone is left out all the same
        let bids = bids_of(work);
        let admitted = work.items.iter().skip(bids).map(|item| &item.admitted);
        let unit = tdh2::bad_share(keys, *member, admitted, points.get(bids..)?, &work.seed)?;
        Some((*member, BadShare::Item(unit)))
    };
    culprits.iter().filter_map(of).collect()
}

fn check(keys: &KeySet, work: &RevealWork, sig: G2Bytes, openings: Vec<Opening>) -> Option<Revealed> {
    let beacon = crypto::beacon::verify(keys, &work.message, &sig).ok()?;
    if openings.len() != work.items.len() {
        return None;
    }
    let views = Views::new(&work.items);
    let checked = tdh2::check_openings(keys, &views.view(), &openings, work.seed);
    let messages = checked.into_iter().collect::<Result<Vec<_>, _>>().ok()?;
    Some(Revealed { sig, beacon, openings, messages: plain(messages), culprits: Vec::new() })
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
