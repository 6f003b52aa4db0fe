//! Members that do not follow the rules: an honest machine and engine behind hooks that bend what they say and hear.
//! Each signs with its own keys only.
use crate::{
    book::signed_vote,
    common::net::{Net, id},
};
use bytes::Bytes;
use consensus::{At, Channel};
use sequencer::Refused;
use std::sync::Arc;
use types::{
    Handover, Hash, MemberId,
    reason::{Finding, Reason},
};

mod early_empty;
mod early_shares;
mod equivocating_leader;
mod forged_cut;
mod item_spammer;
mod list_equivocator;
mod nuller;
mod share_withholder;
mod silent_combiner;
mod silent_dealer;
mod slow_fetcher;
mod vote_conflicter;
mod wrong_dealer;
mod wrong_openings;
mod wrong_shares;
mod wrong_shares_to_combiners;

/// What is sent instead: to whom, and what.
pub(crate) type Sent = Vec<(Vec<MemberId>, Bytes)>;

/// Everything passes unless a hook says otherwise.
pub(crate) trait Adversary: Send + Sync {
    /// On its way out, on any channel of the engine.
    fn wire(&self, _: &'static Net, _channel: u64, to: &[MemberId], bytes: Bytes) -> Sent {
        vec![(to.to_vec(), bytes)]
    }
    /// Whether a message of another member reaches the machine.
    fn hears(&self, _: Channel, _from: MemberId, _: &[u8]) -> bool {
        true
    }
    /// Instead of asking the machine for a block.
    fn builds(&self, _: &'static Net, _parent: &[u8], _: At) -> Option<Vec<u8>> {
        None
    }
    /// The machine's block, before it is proposed.
    fn built(&self, _: &'static Net, _block: &[u8]) {}
    /// Its next message of the handover of this plan, as an honest member would say it.
    fn hands_over(&self, _: &'static Net, _plan: &Hash, message: Handover) -> Option<Handover> {
        Some(message)
    }
    /// What to send to all at the sight of a proposal.
    fn checks(&self, _: &'static Net, _block: &[u8]) -> Vec<(Channel, Vec<u8>)> {
        Vec::new()
    }
}

/// A kind of fault, and what must come of it.
#[derive(Clone, Copy)]
pub(crate) struct Fault {
    pub(crate) name: &'static str,
    pub(crate) make: fn(usize) -> Arc<dyn Adversary>,
    /// Where honest members see it, so that the fault is known to have happened.
    pub(crate) shows: Shows,
    /// What the log convicts it of. `None`: nothing that it signs convicts it by itself, or not in every run.
    pub(crate) fault: Option<Finding>,
}

/// What a fault leaves at honest members.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shows {
    /// A message is refused that names the member: what it was, and why.
    As(&'static str, Reason),
    /// Two votes of one view.
    TwoVotes,
    /// A block is refused.
    Refused(Refused),
    /// No share message of it arrives.
    NoShares,
    /// It asks for what was relayed to all.
    Asking,
    /// Nothing that it combined arrives.
    NoOpenings,
    /// Nothing of it is in the log of a handover.
    NoHandover,
    /// Somebody's word for its dealing is missing.
    NoWord,
}

pub(crate) const FAULTS: [Fault; 11] = [
    Fault {
        name: "equivocating leader",
        make: |me| Arc::new(equivocating_leader::new(me)),
        shows: Shows::TwoVotes,
        fault: None,
    },
    Fault {
        name: "vote conflicter",
        make: |me| Arc::new(vote_conflicter::VoteConflicter { me }),
        shows: Shows::TwoVotes,
        fault: Some(Finding::VoteDouble),
    },
    Fault {
        name: "nuller",
        make: |me| Arc::new(nuller::Nuller { me }),
        shows: Shows::TwoVotes,
        fault: Some(Finding::VoteDouble),
    },
    Fault {
        name: "list equivocator",
        make: |me| Arc::new(list_equivocator::ListEquivocator { me }),
        shows: Shows::As("list", Reason::Equivocation),
        fault: Some(Finding::ListEquivocation),
    },
    Fault {
        name: "forged cut",
        make: |me| Arc::new(forged_cut::ForgedCut { me }),
        shows: Shows::As("list", Reason::WrongSignature),
        fault: Some(Finding::ListInvalid),
    },
    Fault {
        name: "share withholder",
        make: |_| Arc::new(share_withholder::ShareWithholder),
        shows: Shows::NoShares,
        fault: None,
    },
    Fault {
        name: "wrong shares",
        make: |me| Arc::new(wrong_shares::WrongShares { me }),
        shows: Shows::As("share", Reason::BadCiphertext),
        fault: Some(Finding::ShareBad),
    },
    Fault {
        name: "early shares",
        make: |me| Arc::new(early_shares::EarlyShares { me }),
        shows: Shows::As("share", Reason::Equivocation),
        fault: Some(Finding::ShareEquivocation),
    },
    Fault {
        name: "early empty block",
        make: |me| Arc::new(early_empty::EarlyEmpty { me }),
        shows: Shows::Refused(Refused::EmptyLate),
        fault: None,
    },
    Fault {
        name: "slow fetcher",
        make: |_| Arc::new(slow_fetcher::SlowFetcher::default()),
        shows: Shows::Asking,
        fault: None,
    },
    Fault {
        name: "item spammer",
        make: |_| Arc::new(item_spammer::ItemSpammer::default()),
        shows: Shows::As("envelope", Reason::BadCiphertext),
        fault: None,
    },
];

/// Faults where a few members combine each item.
pub(crate) const SHARDED_FAULTS: [Fault; 4] = [
    Fault {
        name: "silent combiner",
        make: |_| Arc::new(silent_combiner::SilentCombiner),
        shows: Shows::NoOpenings,
        fault: None,
    },
    Fault {
        name: "wrong openings",
        make: |me| Arc::new(wrong_openings::WrongOpenings { me }),
        shows: Shows::As("openings", Reason::BadCiphertext),
        fault: Some(Finding::OpeningBad),
    },
    Fault {
        name: "wrong shares to combiners",
        make: |me| Arc::new(wrong_shares_to_combiners::WrongSharesToCombiners { me }),
        shows: Shows::As("share", Reason::BadCiphertext),
        fault: Some(Finding::ShareBad),
    },
    Fault {
        name: "share withholder among combiners",
        make: |_| Arc::new(share_withholder::ShareWithholder),
        shows: Shows::NoShares,
        fault: None,
    },
];

/// Faults while the secrets are handed over.
pub(crate) const HANDOVER_FAULTS: [Fault; 2] = [
    Fault {
        name: "silent dealer",
        make: |_| Arc::new(silent_dealer::SilentDealer),
        shows: Shows::NoHandover,
        fault: None,
    },
    Fault {
        name: "wrong dealer",
        make: |me| Arc::new(wrong_dealer::WrongDealer { me }),
        shows: Shows::NoWord,
        fault: None,
    },
];

// ---- votes as simplex sends them: tag | msg | signer | signature ----

pub(crate) const VOTES: u64 = 0;
pub(crate) const BLOCKS: u64 = 4;

pub(crate) const NOTARIZE: u8 = 0;
pub(crate) const NULLIFY: u8 = 1;
pub(crate) const FINALIZE: u8 = 2;

/// Signer, below 128 one byte, and signature.
const TAIL: usize = 65;

/// Tag and signed message of an own vote.
pub(crate) fn read_vote(net: &Net, me: usize, bytes: &[u8]) -> (u8, Vec<u8>) {
    let (tag, msg) = (bytes[0], bytes[1..bytes.len() - TAIL].to_vec());
    assert_eq!(sign_vote(net, me, tag, &msg), bytes, "a vote is what this makes it");
    (tag, msg)
}

pub(crate) fn sign_vote(net: &Net, me: usize, tag: u8, msg: &[u8]) -> Bytes {
    let suffix = ["_NOTARIZE", "_NULLIFY", "_FINALIZE"][usize::from(tag)];
    let sig = net.voters.keys[me].sign(&signed_vote(net, suffix, msg));
    let signer = u8::try_from(id(me).0).unwrap();
    [&[tag], msg, &[signer], sig.as_bytes()].concat().into()
}

/// `epoch | view` of a message.
pub(crate) fn round(msg: &[u8]) -> &[u8] {
    let ends = msg.iter().enumerate().filter(|(_, byte)| **byte < 0x80).map(|(at, _)| at + 1);
    &msg[..ends.take(2).last().unwrap()]
}
