//! One message: signed, and checked as far as it can be without the others.
use super::{Plan, Refused};
use crate::reshare::{LOG_BYTES_MAX, outcome};
use crypto::{ed25519, hash::t256};
use serde::{Deserialize, Serialize};
use types::{G2Bytes, HandoverAck, Hash, MemberId, SealedDealing, Signature, codec, tag};

/// Longest message, codec bytes.
pub const MESSAGE_BYTES_MAX: usize = LOG_BYTES_MAX + 256;

/// Bytes of a point of G1.
const POINT: usize = 48;
/// Of one author and step, an echo names two at most: they prove what more would prove.
const SIGHTINGS_MAX: usize = 2;

/// The steps, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Phase {
    /// Dealings.
    Deal,
    /// Acknowledgements.
    Ack,
    /// Logs.
    Seal,
    /// What everybody holds.
    Echo,
    /// What everybody computed.
    Agree,
}

impl Phase {
    /// All, in their order.
    pub const ALL: [Self; 5] = [Self::Deal, Self::Ack, Self::Seal, Self::Echo, Self::Agree];
    /// Those that an echo speaks of.
    pub(super) const ECHOED: [Self; 3] = [Self::Deal, Self::Ack, Self::Seal];
}

impl core::fmt::Display for Phase {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.pad(match self {
            Self::Deal => "deal",
            Self::Ack => "ack",
            Self::Seal => "seal",
            Self::Echo => "echo",
            Self::Agree => "agree",
        })
    }
}

/// A message that somebody holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Sighting {
    /// Who signed it.
    pub author: MemberId,
    /// In which step.
    pub phase: Phase,
    /// Its id.
    pub id: Hash,
}

/// What a message says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Step {
    /// A share of a random polynomial per secret to every member.
    Deal {
        /// Of both polynomials, decryption first: 2 (1 + 48 q) bytes.
        commitments: Vec<u8>,
        /// One per member, by index: both scalars, decryption first.
        sealed: Vec<SealedDealing>,
    },
    /// The dealings that its author has opened and found right.
    Ack {
        /// One per such dealer, ascending.
        acks: Vec<HandoverAck>,
    },
    /// Commitments, acknowledgements, and the scalars that were not acknowledged.
    Seal {
        /// Signed log of both secrets, as in a resharing.
        log: Vec<u8>,
    },
    /// What its author holds of the steps before.
    Echo {
        /// Ascending, at most two of an author and step, at least one of each that is expected.
        held: Vec<Sighting>,
    },
    /// What its author computed.
    Agree {
        /// [`super::Outcome::hash`].
        outcome: Hash,
        /// Its key in G2, x_j G^.
        point: G2Bytes,
    },
}

impl Step {
    /// The step's turn.
    #[must_use]
    pub fn phase(&self) -> Phase {
        match self {
            Self::Deal { .. } => Phase::Deal,
            Self::Ack { .. } => Phase::Ack,
            Self::Seal { .. } => Phase::Seal,
            Self::Echo { .. } => Phase::Echo,
            Self::Agree { .. } => Phase::Agree,
        }
    }
}

/// A signed message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Who signed it.
    pub from: MemberId,
    /// What it says.
    pub step: Step,
    /// Consensus key over its [`Message::id`].
    pub sig: Signature,
}

impl Message {
    pub(super) fn sign(plan: &Plan, from: MemberId, key: &ed25519::SigningKey, step: Step) -> Self {
        let mut message = Self { from, step, sig: Signature([0; 64]) };
        message.sig = key.sign(message.id(plan).as_bytes());
        message
    }

    /// T256("lockstep/ceremony/message/v1"; plan's name, u16le from, codec(step)): what is signed, and how the message is
    /// named. Another signature on the same words is the same message.
    #[must_use]
    pub fn id(&self, plan: &Plan) -> Hash {
        let from = self.from.0.to_le_bytes();
        t256(tag::CEREMONY_MESSAGE, &[plan.name().as_bytes(), &from, &codec::encode(&self.step)])
    }

    /// What it agrees to: hash of the outcome, and the author's key in G2.
    pub(super) fn agrees(&self) -> Option<(Hash, G2Bytes)> {
        if let Step::Agree { outcome, point } = &self.step { Some((*outcome, *point)) } else { None }
    }

    /// The bytes that travel and are kept.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// Reads them back.
    ///
    /// # Errors
    /// [`Refused::Malformed`].
    pub fn read(bytes: &[u8]) -> Result<Self, Refused> {
        Ok(codec::decode(bytes, MESSAGE_BYTES_MAX)?)
    }

    /// What anybody checks, whatever else there is; the message's id.
    pub(super) fn check(&self, plan: &Plan) -> Result<Hash, Refused> {
        let key = plan.members().get(usize::from(self.from.0)).ok_or(Refused::Stranger)?;
        if plan.absent().contains(&self.from) {
            return Err(Refused::Absent { member: self.from });
        }
        if !self.counts_fit(plan) {
            return Err(Refused::Counts { member: self.from });
        }
        let id = self.id(plan);
        if !ed25519::verify(key, id.as_bytes(), &self.sig) {
            return Err(Refused::Signature);
        }
        if let Step::Seal { log } = &self.step
            && outcome::author(plan.rounds(), log)? != self.from
        {
            return Err(Refused::LogAuthor { member: self.from });
        }
        Ok(id)
    }

    fn counts_fit(&self, plan: &Plan) -> bool {
        let n = plan.members().len();
        match &self.step {
            Step::Deal { commitments, sealed } => {
                let points = plan.q().saturating_mul(POINT).saturating_add(1).saturating_mul(2);
                commitments.len() == points && sealed.len() == n
            }
            Step::Ack { acks } => {
                let last = acks.last().map_or(0, |ack| usize::from(ack.dealer.0));
                acks.is_sorted_by(|a, b| a.dealer < b.dealer) && last < n
            }
            Step::Echo { held } => echo_fits(plan, held),
            // Their own checks bound them.
            Step::Seal { .. } | Step::Agree { .. } => true,
        }
    }
}

fn echo_fits(plan: &Plan, held: &[Sighting]) -> bool {
    if !held.is_sorted_by(|a, b| a < b) {
        return false;
    }
    let mut covered = 0usize;
    for chunk in held.chunk_by(|a, b| (a.author, a.phase) == (b.author, b.phase)) {
        let fits = |s: &Sighting| Phase::ECHOED.contains(&s.phase) && plan.expected().any(|m| m == s.author);
        if chunk.len() > SIGHTINGS_MAX || !chunk.first().is_some_and(fits) {
            return false;
        }
        covered = covered.saturating_add(1);
    }
    covered == plan.expected().count().saturating_mul(Phase::ECHOED.len())
}
