//! Work for a pool: what takes long, as plain data that goes out and comes back.
mod split;
mod works;

use crypto::{
    keys::KeySet,
    tdh2::{Admitted, HeldShare, SharePoint},
};
use mempool::Sealed;
use std::sync::Arc;
use types::{Address, G2Bytes, Hash, MemberId, Opening, Slot, reason::Reason};

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
        /// Of which kind all of them are.
        kind: ClaimKind,
        /// Claims of a member one after the other.
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
        /// Which claims were checked.
        kind: ClaimKind,
        /// The verdicts, in any order. Beyond a member's first wrong Bottom there are none of it.
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

/// Claims that are checked in one job: what is quick to check does not wait for what may be slow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ClaimKind {
    /// Keys: each by encrypting again.
    Keys,
    /// That items do not open: by pairings, for all claims of a member at once.
    Bottoms,
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
            Self::Admit { context, items, seed } => JobResult::Admitted(works::admit(&context, items, seed)),
            Self::Reveal { keys, work } => {
                let result = works::reveal(&keys, &work).map(Box::new);
                let culprits = result.as_ref().map_or_else(|named| named, |revealed| &revealed.culprits);
                let bad = works::bad_shares(&keys, &work, culprits);
                JobResult::Revealed { slot: work.message.slot, result, bad }
            }
            Self::CheckOpenings { keys, work, sig, openings, from } => JobResult::Revealed {
                slot: work.message.slot,
                result: works::check(&keys, &work, sig, openings).map(Box::new).ok_or_else(|| vec![from]),
                bad: Vec::new(),
            },
            Self::Beacon { keys, message, shares } => {
                JobResult::Beacon { slot: message.slot, result: works::beacon(&keys, &message, &shares) }
            }
            Self::Combine { keys, work } => JobResult::Combined(Box::new(works::combine(&keys, *work))),
            Self::CheckClaims { keys, slot, kind, claims, seed } => {
                JobResult::Checked { slot, kind, judged: works::check_claims(&keys, kind, &claims, &seed) }
            }
        }
    }
}
