//! Operations: what lists name besides envelopes and what a builder sends (protocol.md section 3). Each has one place in
//! every log: evidence becomes a FAULT entry, all others are OPERATION entries.
use crate::{Evidence, Handover, SignedAccountOperation, SignedChange, limits};
use alloc::boxed::Box;
use serde::{Deserialize, Serialize};

/// An operation; the numbers are the codec's. Hash = SHA-256("lockstep/operation/v1" | codec(this)).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Operation {
    /// 0: what a member did and must not have done.
    Evidence(Box<Evidence>),
    /// 1: other members or parameters from an epoch on.
    Change(Box<SignedChange>),
    /// 2: a step of the secrets' way to the next committee.
    Handover(Box<Handover>),
    /// 3: an account's own.
    Account(Box<SignedAccountOperation>),
}

/// What an operation is for: each kind has a budget of its own, so that none takes the room of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum OperationKind {
    /// Evidence against members and builders, and whatever is no operation at all.
    Evidence,
    /// Changes of the committee, and the ceremonies that come with them.
    Epoch,
    /// What accounts ask for.
    Account,
}

/// How much of a kind one slot enters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Operations.
    pub count: usize,
    /// Codec bytes of operations.
    pub bytes: usize,
}

impl Operation {
    /// The evidence, if it is some.
    #[must_use]
    pub fn evidence(&self) -> Option<&Evidence> {
        match self {
            Self::Evidence(evidence) => Some(evidence),
            Self::Change(_) | Self::Handover(_) | Self::Account(_) => None,
        }
    }
    /// What an account asks for, if it is that.
    #[must_use]
    pub fn account(&self) -> Option<&SignedAccountOperation> {
        match self {
            Self::Account(signed) => Some(signed),
            Self::Evidence(_) | Self::Change(_) | Self::Handover(_) => None,
        }
    }
    /// What it is for.
    #[must_use]
    pub const fn kind(&self) -> OperationKind {
        match self {
            Self::Evidence(_) => OperationKind::Evidence,
            Self::Change(_) | Self::Handover(_) => OperationKind::Epoch,
            Self::Account(_) => OperationKind::Account,
        }
    }
}

impl OperationKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Evidence, Self::Epoch, Self::Account];

    /// What one slot enters of it.
    #[must_use]
    pub const fn budget(self) -> Budget {
        match self {
            Self::Evidence => Budget { count: 8, bytes: limits::OPERATIONS_BYTES_MAX },
            Self::Epoch => Budget { count: 16, bytes: limits::OPERATIONS_BYTES_MAX },
            Self::Account => Budget { count: 256, bytes: limits::ACCOUNT_OPERATIONS_BYTES_MAX },
        }
    }
}
