//! The handover: a resharing whose messages are operations, so that the log is its transcript.
//!
//! Old members deal, next members acknowledge, old members sign logs, next members publish their share keys: four
//! phases of slots, one step each. A message counts if it stands in the log in the phase of its step, is well-formed,
//! is signed by the right committee, and is the first of its author there (by itself this module takes two logs that
//! differ: they prove a fault and undo each other). So everybody who reads the log has the same set, and nobody needs a place in a network
//! of the other committee.
//!
//! ```text
//!  phase    from   message                                         everybody reads
//!  Deal     old    Dealing: commitments | sealed to each next one
//!  Ack      next   Acks: a word for each dealing that holds
//!  Seal     old    Log: commitments | acks | scalars never acked    Transcript::outcome: commitments, who was revealed
//!  Publish  next   ShareKey: x'_j G^                                Transcript::key_set: the key set of the next epoch
//! ```
//!
//! The caller says which phase a slot is in, for messages in the log the phase of the slot of their block, and gives
//! them in log order. [`Participant::due`] for a phase comes after all messages of the phases before it. From then on
//! it is the log alone that says what a dealer waits for.
//!
//! **What is on disk.** Of a dealer: what [`Due::save`] says, before the message beside it leaves; then its entropy and
//! its log survive. Of a player: nothing. Its dealings stand in the log, sealed to its consensus key, and what it must
//! say follows from them. A restart reads the log again and gives the same bytes, or nothing. A dealer that lost its
//! disk, and so the dealing that stands in the log, has no acknowledgements and seals nothing any more for this plan.
//!
//! Trust: as [`crate::reshare`] says, and more: dealings stand in the log for ever, sealed to consensus keys. Whoever
//! has a member's consensus seed, later too, has every share that this member was ever handed; q such seeds of one
//! committee are the secret. To delete a share is to delete the seed with it: a member that stays should join again
//! with new keys.
use crate::{
    ceremony::CeremonyError,
    reshare::{self, LogError, Plan, ReshareError, ShareKeyError},
};
use crypto::succession::Ceremony;
use std::sync::Arc;
pub use types::HandoverPhase as Phase;
use types::{EpochRecord, Handover, KeySetParts, MemberRecord};

mod member;
mod message;
mod participant;
pub(crate) mod seal;
mod transcript;

pub use member::{Handovers, Start, shares};
pub use message::check;
pub use participant::{Due, OldMember, Participant, Saved, SavedError};
pub use transcript::{Conclusion, Transcript, conclude};

/// Why a message does not count.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HandoverError {
    /// Longer than [`Handover::BYTES_MAX`].
    #[error("longer than a message of a handover can be")]
    TooLong,
    /// Of another epoch or attempt.
    #[error("of another handover")]
    Plan,
    /// Not in the phase of its step.
    #[error("a message of phase {step:?} in phase {phase:?}")]
    Phase {
        /// Where it belongs.
        step: Phase,
        /// Where it stands.
        phase: Phase,
    },
    /// Its author is not in the committee whose step it is.
    #[error("of nobody whose step it is")]
    Stranger,
    /// Numbers, lengths or an order that no such message of these committees has.
    #[error("counts that do not fit the committees")]
    Counts,
    /// Not its author's signature for this plan.
    #[error("bad signature")]
    Signature,
    /// Its author has spoken in this step.
    #[error("not the first of its author")]
    Repeated,
    /// What is said to be a log is none.
    #[error("not a log")]
    Log(#[from] LogError),
    /// A log that another dealer signed.
    #[error("log of another dealer")]
    LogAuthor,
    /// A share key without an outcome: there are too few usable logs.
    #[error("no outcome to publish a share key for")]
    Outcome,
    /// Not the share key of its author. If it says `Point`, the author has signed a lie.
    #[error("not its author's share key")]
    ShareKey(#[from] ShareKeyError),
}

/// Why a handover did not end: the old committee stays, and the next attempt has the next number.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConcludeError {
    /// Too few usable logs.
    #[error("no outcome")]
    Outcome(#[source] ReshareError),
    /// Too few share keys.
    #[error("no key set")]
    KeySet(#[source] CeremonyError),
}

/// What everybody who reads the log judges handovers with.
pub const CEREMONY: Ceremony = Ceremony { holds, conclude: concluded };

/// The plan of a handover to the next epoch's committee.
///
/// # Errors
/// [`ReshareError`]: these are no committees of which one can hand over to the other.
pub fn plan(current: &EpochRecord, to: &[MemberRecord]) -> Result<Arc<Plan>, ReshareError> {
    let keys = |members: &[MemberRecord]| members.iter().map(|member| member.consensus).collect::<Vec<_>>();
    let (from, to) = (keys(&current.members), keys(to));
    Plan::new(&current.network, (current.epoch.next(), 0), (&from, current), &to).map(Arc::new)
}

fn holds(current: &EpochRecord, to: &[MemberRecord], message: &Handover) -> bool {
    // a plan takes long to make: not for what nobody has signed
    let keys = |members: &[MemberRecord]| members.iter().map(|member| member.consensus).collect::<Vec<_>>();
    let number = (current.epoch.next(), 0);
    let name = reshare::name(&current.network, number, (&keys(&current.members), &current.into()), &keys(to));
    message::is_signed(&name, message) && plan(current, to).is_ok_and(|plan| check(&plan, message).is_ok())
}

fn concluded(current: &EpochRecord, to: &[MemberRecord], messages: &[Handover]) -> Option<KeySetParts> {
    let plan = plan(current, to).ok()?;
    let messages = messages.iter().map(|message| (Phase::of(&message.step), message));
    conclude(&plan, messages).ok().map(|conclusion| conclusion.key_set)
}

/// Codec bytes of a message.
fn bytes(message: &Handover) -> usize {
    types::codec::encode(message).len()
}

#[cfg(test)]
mod tests;
