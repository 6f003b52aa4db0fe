//! One message: signed, and checked as far as it can be without the others.
use super::{HandoverError, bytes};
use crate::{
    ceremony::member_id,
    reshare::{Plan, check_log},
};
use crypto::{ed25519, hash::t256};
use types::{Handover, HandoverStep, Hash, MemberId, Signature, codec, tag};

/// Bytes of one secret's commitments: their number in a byte (q is at most 85), then 48 for each.
const POINT: usize = 48;

/// What the author signs. The plan's name holds network, epoch, attempt, both committees and the keys.
fn text(plan: &Hash, from: &Hash, step: &HandoverStep) -> Hash {
    t256(tag::HANDOVER, &[plan.as_bytes(), from.as_bytes(), &codec::encode(step)])
}

/// Whether its author signed it, for the plan of this name.
pub(super) fn is_signed(plan: &Hash, message: &Handover) -> bool {
    ed25519::verify(&message.from, text(plan, &message.from, &message.step).as_bytes(), &message.sig)
}

pub(super) fn sign(plan: &Plan, key: &ed25519::SigningKey, step: HandoverStep) -> Handover {
    let (epoch, attempt) = plan.number();
    let from = key.public();
    let sig = key.sign(text(&plan.name(), &from, &step).as_bytes());
    Handover { epoch, attempt, from, step, sig }
}

/// The author's index in the committee whose step it is.
pub(super) fn author(plan: &Plan, message: &Handover) -> Result<MemberId, HandoverError> {
    let committee = match &message.step {
        HandoverStep::Dealing { .. } | HandoverStep::Log { .. } => plan.dealers(),
        HandoverStep::Acks { .. } | HandoverStep::ShareKey { .. } => plan.players(),
    };
    committee.binary_search(&message.from).map(member_id).map_err(|_absent| HandoverError::Stranger)
}

/// Both secrets' commitments, bytes.
pub(super) fn commitments_bytes(plan: &Plan) -> usize {
    let n = plan.players().len();
    let q = n.saturating_sub(n.saturating_sub(1).div_euclid(3));
    q.saturating_mul(POINT).saturating_add(1).saturating_mul(2)
}

fn counts_fit(plan: &Plan, step: &HandoverStep) -> bool {
    match step {
        HandoverStep::Dealing { commitments, sealed } => {
            commitments.len() == commitments_bytes(plan) && sealed.len() == plan.players().len()
        }
        HandoverStep::Acks { acks } => {
            let last = acks.last().map(|ack| usize::from(ack.dealer.0));
            acks.is_sorted_by(|a, b| a.dealer < b.dealer) && last.is_some_and(|last| last < plan.dealers().len())
        }
        // Their own checks bound them.
        HandoverStep::Log { .. } | HandoverStep::ShareKey { .. } => true,
    }
}

/// What anybody checks of a message before it is admitted, whatever else is in the log: of this plan, of a member of
/// the right committee, signed, within sizes and counts, and a log as [`check_log`] does. [`super::Transcript::admits`]
/// says whether it also counts there.
///
/// # Errors
/// [`HandoverError`]: the first thing that is wrong, cheap checks first.
pub fn check(plan: &Plan, message: &Handover) -> Result<(), HandoverError> {
    if (message.epoch, message.attempt) != plan.number() {
        return Err(HandoverError::Plan);
    }
    let author = author(plan, message)?;
    if !counts_fit(plan, &message.step) {
        return Err(HandoverError::Counts);
    }
    if bytes(message) > Handover::BYTES_MAX {
        return Err(HandoverError::TooLong);
    }
    if !is_signed(&plan.name(), message) {
        return Err(HandoverError::Signature);
    }
    if let HandoverStep::Log { log } = &message.step
        && check_log(plan, log)? != author
    {
        return Err(HandoverError::LogAuthor);
    }
    Ok(())
}

/// Two signatures of 64 bytes each.
pub(super) fn split_ack(ack: &[u8]) -> Option<[Signature; 2]> {
    let (decrypt, beacon) = ack.split_first_chunk::<64>()?;
    Some([Signature(*decrypt), Signature(beacon.try_into().ok()?)])
}
