//! What the log of an epoch says of the next one: which change counts, how far the handover of the secrets is, and, in
//! the announcing slot, EPOCH of the next epoch. Everybody who reads the log has the same.
//!
//! ```text
//!  slots of an epoch  |.. change counts ..|.. Deal | Ack | Seal | Publish ..| announce .......... last|
//!                      the last one wins    messages of the handover          EPOCH(e+1)
//! ```
//!
//! The handover is of no concern here but for who speaks when: what its messages come to says the [`Ceremony`], which
//! the caller brings along (`keygen` has it; it is not for wasm32). An auditor without one takes the keys of EPOCH as
//! its committee signed them, if they are a key set and hand over the same secrets.
use crate::{
    change::{self, ChangeError},
    keys::KeySet,
};
use alloc::{
    boxed::Box,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    vec::Vec,
};
use types::{
    Change, Epoch, EpochFacts, EpochRecord, Epochs, Handover, HandoverPhase, Hash, Joining, KeySetParts, MemberRecord,
    Operation, Params, SignedChange, Slot,
};

/// What a handover is judged with: pure functions of EPOCH of the epoch that hands over, and the next committee.
#[derive(Clone, Copy, Debug)]
pub struct Ceremony {
    /// Whether a message holds by itself: signed, of the right committee, of a form that one of its step has.
    pub holds: fn(&EpochRecord, &[MemberRecord], &Handover) -> bool,
    /// What all messages come to, in the order of the log, each in its phase: the keys of the next epoch; `None`: the
    /// handover did not end.
    pub conclude: fn(&EpochRecord, &[MemberRecord], &[Handover]) -> Option<KeySetParts>,
}

/// Why an operation would not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotCounted {
    /// The change does not hold.
    #[error("change: {0}")]
    Change(#[from] ChangeError),
    /// The next members or parameters break a rule.
    #[error("change: members or parameters that break a rule")]
    Rules,
    /// The slot is not in the window of its kind.
    #[error("out of its window")]
    Window,
    /// No change of members counts, so there is nothing to hand over.
    #[error("no handover is due")]
    NoHandover,
    /// Of another epoch or attempt, or of nobody whose step it is, or badly signed.
    #[error("not a message of this handover")]
    Message,
    /// Its author has spoken, or the change has counted.
    #[error("not the first of its author, or a change that has counted")]
    Repeated,
}

/// The change that counts.
#[derive(Clone, Debug)]
pub struct Next {
    /// It.
    pub change: Change,
    /// The next committee.
    pub members: Vec<MemberRecord>,
}

/// What the log says so far of the epoch after the one that goes on.
#[derive(Clone, Debug, Default)]
pub struct Succession {
    next: Option<Box<Next>>,
    messages: Vec<Handover>,
    heard: BTreeSet<(HandoverPhase, Hash)>,
    /// Changes that counted in this epoch: each does once.
    counted: BTreeSet<Hash>,
    /// Members that joined after genesis and are in the newest EPOCH or the one before it, by consensus key.
    joined: BTreeMap<Hash, Joining>,
    /// The last two: that of the committee that works, and that of the one which is announced.
    handed: Vec<Arc<Handed>>,
}

/// A handover that ended: what its members have their shares from.
#[derive(Clone, Debug)]
pub struct Handed {
    /// EPOCH of the epoch that handed over.
    pub from: EpochRecord,
    /// Who took over, from the next epoch on.
    pub to: Vec<MemberRecord>,
    /// Everything that counts, in the order of the log.
    pub messages: Vec<Handover>,
}

impl Succession {
    /// The change that counts, if one does.
    #[must_use]
    pub fn next(&self) -> Option<&Next> {
        self.next.as_deref()
    }
    /// Messages of the handover that count, in the order of the log.
    #[must_use]
    pub fn messages(&self) -> &[Handover] {
        &self.messages
    }

    /// A member of the newest EPOCH, or of the one before it, that joined after genesis, by its consensus key.
    #[must_use]
    pub fn joined(&self, key: &Hash) -> Option<&Joining> {
        self.joined.get(key)
    }
    /// The handover to the committee whose keys began in `since`, if it is one of the last two.
    #[must_use]
    pub fn handed(&self, since: Epoch) -> Option<&Arc<Handed>> {
        self.handed.iter().find(|handed| handed.from.epoch.next() == since)
    }

    /// The members to whom the secrets are handed over: none when they stay as they are.
    #[must_use]
    pub fn takes_over(&self, current: &EpochRecord) -> Option<&[MemberRecord]> {
        self.next.as_ref().map(|next| next.members.as_slice()).filter(|members| *members != current.members)
    }

    /// Whether a change would count if it stood in the log at `slot`; `rules` judges the next members and parameters.
    ///
    /// # Errors
    /// [`NotCounted`].
    pub fn admits_change(
        &self,
        epochs: &Epochs,
        slot: Slot,
        signed: &SignedChange,
        rules: impl Fn(&[MemberRecord], &Params) -> bool,
    ) -> Result<Vec<MemberRecord>, NotCounted> {
        let current = epochs.last();
        let schedule = current.schedule();
        if self.counted.contains(&name(&signed.change)) {
            return Err(NotCounted::Repeated);
        }
        let members = change::verify(signed, current)?;
        if !rules(&members, &signed.change.params) {
            return Err(NotCounted::Rules);
        }
        let here = schedule.epoch_of(slot) == current.epoch && slot <= schedule.change_until(current.epoch);
        if here { Ok(members) } else { Err(NotCounted::Window) }
    }

    /// Whether a message of the handover would count if it stood in the log at `slot`; it is taken at its word.
    ///
    /// # Errors
    /// [`NotCounted`].
    pub fn admits_message(&self, epochs: &Epochs, slot: Slot, message: &Handover) -> Result<(), NotCounted> {
        let current = epochs.last();
        let phase = HandoverPhase::of(&message.step);
        let here = current.schedule().epoch_of(slot) == current.epoch;
        if !here || current.schedule().phase(slot) != Some(phase) {
            return Err(NotCounted::Window);
        }
        let members = self.takes_over(current).ok_or(NotCounted::NoHandover)?;
        let has = |members: &[MemberRecord]| members.iter().any(|m| m.consensus == message.from);
        let spoken_by = match phase {
            HandoverPhase::Deal | HandoverPhase::Seal => has(&current.members),
            HandoverPhase::Ack | HandoverPhase::Publish => has(members),
        };
        if (message.epoch, message.attempt) != (current.epoch.next(), 0) || !spoken_by {
            return Err(NotCounted::Message);
        }
        if self.heard.contains(&(phase, message.from)) { Err(NotCounted::Repeated) } else { Ok(()) }
    }

    /// An operation stands in the log at `slot`. One that does not count changes nothing.
    ///
    /// # Errors
    /// Why it does not.
    pub fn on(
        &mut self,
        epochs: &Epochs,
        slot: Slot,
        operation: &Operation,
        (rules, ceremony): (impl Fn(&[MemberRecord], &Params) -> bool, Option<&Ceremony>),
    ) -> Result<(), NotCounted> {
        match operation {
            Operation::Evidence(_) | Operation::Account(_) => {}
            Operation::Change(signed) => {
                let members = self.admits_change(epochs, slot, signed, rules)?;
                self.counted.insert(name(&signed.change));
                self.next = Some(Box::new(Next { change: signed.change.clone(), members }));
            }
            Operation::Handover(message) => {
                self.admits_message(epochs, slot, message)?;
                let members = self.takes_over(epochs.last()).ok_or(NotCounted::NoHandover)?;
                if !ceremony.is_none_or(|ceremony| (ceremony.holds)(epochs.last(), members, message)) {
                    return Err(NotCounted::Message);
                }
                self.heard.insert((HandoverPhase::of(&message.step), message.from));
                self.messages.push((**message).clone());
            }
        }
        Ok(())
    }

    /// EPOCH of the next epoch, announced after everything said so far; nothing said after it counts.
    pub fn announce(&mut self, epochs: &Epochs, facts: EpochFacts, ceremony: &Ceremony) -> EpochRecord {
        self.end(epochs, facts, |current, to, messages| (ceremony.conclude)(current, to, messages))
    }

    /// As [`Self::announce`], for who has no [`Ceremony`]: what EPOCH must be if its keys are believed.
    pub fn announce_as(&mut self, epochs: &Epochs, facts: EpochFacts, said: &EpochRecord) -> EpochRecord {
        self.end(epochs, facts, |_, to, _| (said.members == to).then(|| said.keys()))
    }

    fn end(
        &mut self,
        epochs: &Epochs,
        facts: EpochFacts,
        conclude: impl FnOnce(&EpochRecord, &[MemberRecord], &[Handover]) -> Option<KeySetParts>,
    ) -> EpochRecord {
        let current = epochs.last();
        let record = current.next(epochs.leaf(), facts);
        let messages = core::mem::take(&mut self.messages);
        self.heard.clear();
        self.counted.clear();
        let Some(next) = self.next.take() else { return record };
        if next.members == current.members {
            let since = if next.change.params == record.params { record.since } else { record.epoch };
            return EpochRecord { since, params: next.change.params, ..record };
        }
        let keys = conclude(current, &next.members, &messages);
        // else the old committee stays, with what it has
        let Some(keys) = keys.filter(|keys| is_of(current, next.members.len(), keys)) else { return record };
        self.joined.extend(next.change.joining().map(|joining| (joining.record.consensus, joining.clone())));
        // those who leave work until the epoch ends
        let works = |key: &Hash| current.members.iter().chain(&next.members).any(|member| member.consensus == *key);
        self.joined.retain(|key, _| works(key));
        let before = self.handed.len().saturating_sub(1);
        self.handed.drain(..before);
        self.handed.push(Arc::new(Handed { from: current.clone(), to: next.members.clone(), messages }));
        with(record, &next, keys)
    }
}

/// What a change is called: the same however it is signed.
#[must_use]
pub fn name(change: &Change) -> Hash {
    change::approval(change)
}

fn with(record: EpochRecord, next: &Next, keys: KeySetParts) -> EpochRecord {
    let f = next.members.len().saturating_sub(1).checked_div(3).and_then(|f| u16::try_from(f).ok()).unwrap_or(0);
    let (since, members, params) = (record.epoch, next.members.clone(), next.change.params.clone());
    EpochRecord { since, f, members, params, ..record }.with_keys(keys)
}

/// A key set of so many members, of the secrets that there are.
fn is_of(current: &EpochRecord, n: usize, keys: &KeySetParts) -> bool {
    let same = keys.decrypt.first() == current.decrypt.first()
        && keys.decrypt_g2 == current.decrypt_g2
        && keys.beacon.first() == current.beacon.first();
    let f = n.saturating_sub(1).checked_div(3).and_then(|f| u16::try_from(f).ok());
    let sizes = u16::try_from(n).ok().zip(f);
    same && sizes.is_some_and(|(n, f)| KeySet::new(n, f, keys).is_ok())
}

#[cfg(test)]
mod tests;
