//! What the next epoch has otherwise: its members, its parameters. Signed by those it concerns, listed as an operation.
use crate::{Epoch, Hash, MemberAddress, MemberId, MemberRecord, Params, Signature, VoteSig};
use alloc::{boxed::Box, string::String, vec::Vec};
use serde::{Deserialize, Serialize};

/// A place in the next committee.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Seat {
    /// 0: a member of this committee, by its index there, with the keys that it has.
    Stays(MemberId),
    /// 1: a member that is new, or has new keys.
    Joins(Box<Joining>),
}

/// A new member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Joining {
    /// Its keys.
    pub record: MemberRecord,
    /// Where the committee reaches it: `ip:port`. At most 64 bytes, as the others.
    pub p2p: String,
    /// Where clients do.
    pub quic: String,
    /// Where its log is served.
    pub http: String,
}

/// A change of committee or parameters from one epoch to the next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Network id.
    pub network: Hash,
    /// The last epoch that it may be for. It is for the first whose window it is in the log in.
    pub until: Epoch,
    /// What is changed: `crypto::change::base` of EPOCH. Nothing else counts against another committee, and no change twice.
    pub base: Hash,
    /// The next committee, ascending by consensus key; n = 3f + 1.
    pub seats: Vec<Seat>,
    /// The next parameters.
    pub params: Params,
}

/// A change with the word of those it concerns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedChange {
    /// What changes.
    pub change: Change,
    /// Of this committee, 2f + 1, ascending: consensus key over SHA-256("lockstep/change/approve/v1" | codec(change)).
    pub approvals: Vec<VoteSig>,
    /// Of each that joins, in the order of their seats: its consensus key over SHA-256("lockstep/change/accept/v1" | codec(change)).
    pub acceptances: Vec<Signature>,
}

impl Change {
    /// The members that join, in the order of their seats.
    pub fn joining(&self) -> impl Iterator<Item = &Joining> {
        self.seats.iter().filter_map(|seat| match seat {
            Seat::Stays(_) => None,
            Seat::Joins(joining) => Some(joining.as_ref()),
        })
    }
}

impl Joining {
    /// Its addresses, as those of this member of the next committee.
    #[must_use]
    pub fn address(&self, member: MemberId) -> MemberAddress {
        MemberAddress { member, p2p: self.p2p.clone(), quic: self.quic.clone(), http: self.http.clone() }
    }
}
