//! Whether a change of the committee or its parameters is one that this committee and the next one have agreed on.
use crate::{ed25519, hash};
use alloc::vec::Vec;
use types::{
    Change, EpochRecord, Hash, Joining, MemberId, MemberRecord, Params, Seat, SignedChange, codec, limits, tag,
};

/// Longest address, bytes.
const ADDRESS_BYTES_MAX: usize = 64;
/// Longest name, bytes.
const NAME_BYTES_MAX: usize = 64;

/// Why a change counts for nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChangeError {
    /// Of another network.
    #[error("of another network")]
    Network,
    /// The last epoch that it may be for has begun.
    #[error("the last epoch that it may be for has begun")]
    Late,
    /// A change of another committee, other keys or other parameters than these.
    #[error("not a change of what this epoch has")]
    Base,
    /// `epoch_slots` and `slot_ms` are the same in all epochs.
    #[error("the length of epochs or slots changes")]
    Lengths,
    /// Not n = 3f + 1 with f of at least 1, or too many.
    #[error("{0} seats: not 3f + 1 with f at least 1, or too many")]
    Size(usize),
    /// A seat names a member that this committee does not have.
    #[error("no member {0} stays")]
    Member(MemberId),
    /// Members are not strictly ascending by consensus key.
    #[error("seat {0} is not above the one before by consensus key")]
    Order(usize),
    /// Two keys of the next committee are one.
    #[error("seat {0} has a key of another seat")]
    Key(usize),
    /// A name or address is empty or longer than 64 bytes, or the committee's address is no `ip:port`.
    #[error("seat {0} has a name or address that is empty or too long, or a p2p address that is no ip:port")]
    Text(usize),
    /// Not 2f + 1 approvals, or not ascending.
    #[error("{0} approvals in order")]
    Approvals(usize),
    /// An approval does not verify.
    #[error("approval of member {0}")]
    Approval(MemberId),
    /// Not one acceptance for each member that joins.
    #[error("{0} acceptances")]
    Acceptances(usize),
    /// An acceptance does not verify.
    #[error("acceptance {0}")]
    Acceptance(usize),
}

/// What a change is made to: SHA-256("lockstep/change/base/v1" | codec(since, members, keys, params)). The same in every
/// epoch until a change takes effect, and never again.
#[must_use]
pub fn base(record: &EpochRecord) -> Hash {
    hash::tagged(tag::CHANGE_BASE, &[&codec::encode(&(record.since, &record.members, record.keys(), &record.params))])
}

/// What an approval signs.
#[must_use]
pub fn approval(change: &Change) -> Hash {
    hash::tagged(tag::CHANGE_APPROVE, &[&codec::encode(change)])
}

/// What an acceptance signs.
#[must_use]
pub fn acceptance(change: &Change) -> Hash {
    hash::tagged(tag::CHANGE_ACCEPT, &[&codec::encode(change)])
}

/// The next committee by its seats; signatures are not looked at.
///
/// # Errors
/// [`ChangeError`], for what is wrong with the seats.
pub fn members(change: &Change, current: &EpochRecord) -> Result<Vec<MemberRecord>, ChangeError> {
    let n = change.seats.len();
    let f = n.saturating_sub(1).checked_div(3).unwrap_or(0);
    if f == 0 || n != f.saturating_mul(3).saturating_add(1) || n > limits::MEMBERS_MAX {
        return Err(ChangeError::Size(n));
    }
    let mut members: Vec<MemberRecord> = Vec::with_capacity(n);
    let mut keys: Vec<(Hash, usize)> = Vec::with_capacity(n.saturating_mul(5));
    for (at, seat) in change.seats.iter().enumerate() {
        let record = match seat {
            Seat::Stays(id) => current.members.get(usize::from(id.0)).ok_or(ChangeError::Member(*id))?,
            Seat::Joins(joining) => {
                check_text(at, joining)?;
                &joining.record
            }
        };
        if members.last().is_some_and(|last| last.consensus >= record.consensus) {
            return Err(ChangeError::Order(at));
        }
        keys.extend([record.consensus, record.log, record.cosigner, record.receipt, record.tls].map(|key| (key, at)));
        members.push(record.clone());
    }
    keys.sort_unstable();
    // what genesis let pass may stay
    let joins = |at: &usize| matches!(change.seats.get(*at), Some(Seat::Joins(_)));
    let mut pairs = keys.iter().zip(keys.iter().skip(1));
    if let Some(((_, one), (_, at))) = pairs.find(|((key, one), (other, at))| key == other && (joins(one) || joins(at)))
    {
        return Err(ChangeError::Key(if joins(at) { *at } else { *one }));
    }
    Ok(members)
}

fn check_text(at: usize, joining: &Joining) -> Result<(), ChangeError> {
    let addresses = [&joining.p2p, &joining.quic, &joining.http];
    let fits =
        |text: &str, most: usize| !text.is_empty() && text.len() <= most && text.chars().all(|c| c.is_ascii_graphic());
    let all = addresses.iter().all(|address| fits(address, ADDRESS_BYTES_MAX));
    // members dial it as it stands
    let dials = joining.p2p.parse::<core::net::SocketAddr>().is_ok();
    if all && dials && fits(&joining.record.name, NAME_BYTES_MAX) { Ok(()) } else { Err(ChangeError::Text(at)) }
}

/// Checks a change against EPOCH of the epoch before the one that it would be for; returns the next committee. Parameters
/// are `auction-rules`' to check.
///
/// # Errors
/// [`ChangeError`]: the first thing that is wrong, cheap checks first.
pub fn verify(signed: &SignedChange, current: &EpochRecord) -> Result<Vec<MemberRecord>, ChangeError> {
    let change = &signed.change;
    if change.network != current.network {
        return Err(ChangeError::Network);
    }
    if change.until <= current.epoch {
        return Err(ChangeError::Late);
    }
    if change.base != base(current) {
        return Err(ChangeError::Base);
    }
    let lengths = |params: &Params| (params.epoch_slots, params.slot_ms);
    if lengths(&change.params) != lengths(&current.params) {
        return Err(ChangeError::Lengths);
    }
    let members = members(change, current)?;
    let approvals = &signed.approvals;
    let need = usize::from(current.f).saturating_mul(2).saturating_add(1);
    let ascending = approvals.iter().zip(approvals.iter().skip(1)).all(|(one, next)| one.member < next.member);
    if approvals.len() != need || !ascending {
        return Err(ChangeError::Approvals(approvals.len()));
    }
    if signed.acceptances.len() != change.joining().count() {
        return Err(ChangeError::Acceptances(signed.acceptances.len()));
    }
    let digest = approval(change);
    for vote in approvals {
        let member = current.members.get(usize::from(vote.member.0));
        if !member.is_some_and(|m| ed25519::verify(&m.consensus, digest.as_bytes(), &vote.sig)) {
            return Err(ChangeError::Approval(vote.member));
        }
    }
    let digest = acceptance(change);
    for (at, (joining, sig)) in change.joining().zip(&signed.acceptances).enumerate() {
        if !ed25519::verify(&joining.record.consensus, digest.as_bytes(), sig) {
            return Err(ChangeError::Acceptance(at));
        }
    }
    Ok(members)
}

#[cfg(test)]
pub(crate) mod tests;
