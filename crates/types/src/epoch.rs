//! Epochs: which slots belong to one, and what EPOCH says (log.md section 2).
//!
//! ```text
//!  epoch e       |1st slot ................ announce(e) ...... last slot| 1st slot of e+1
//!  log                                      EPOCH(e+1) stands before CLOSE(announce(e)),
//!                                           so heads of e's committee cover it: policies chain
//! ```
use crate::{
    Amount, Epoch, G1Bytes, G2Bytes, HandoverPhase, Hash, KeySetParts, MemberId, MemberRecord, Params, SetRef, Slot,
};
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// Least length of an epoch, slots.
pub const EPOCH_SLOTS_MIN: u64 = 16;
/// Most slots between EPOCH of the next epoch and the end of this one.
const ANNOUNCE_SLOTS: u64 = 64;

/// Where epochs begin and end: epoch e has the slots `e * slots .. (e + 1) * slots`, genesis being slot 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    slots: u64,
}

impl Schedule {
    /// Epochs of this many slots; fewer than [`EPOCH_SLOTS_MIN`] count as that many.
    #[must_use]
    pub fn new(slots: u64) -> Self {
        Self { slots: slots.max(EPOCH_SLOTS_MIN) }
    }
    /// Slots of an epoch.
    #[must_use]
    pub fn slots(self) -> u64 {
        self.slots
    }
    /// The epoch of a slot.
    #[must_use]
    pub fn epoch_of(self, slot: Slot) -> Epoch {
        Epoch(slot.0.checked_div(self.slots).unwrap_or(0))
    }
    /// Its first slot with a block: 1 in epoch 0.
    #[must_use]
    pub fn first(self, epoch: Epoch) -> Slot {
        Slot(self.begin(epoch).max(1))
    }
    /// Its last slot.
    #[must_use]
    pub fn last(self, epoch: Epoch) -> Slot {
        Slot(epoch.0.saturating_add(1).saturating_mul(self.slots).saturating_sub(1))
    }
    /// Whether a slot is the last of its epoch.
    #[must_use]
    pub fn is_last(self, slot: Slot) -> bool {
        self.last(self.epoch_of(slot)) == slot
    }
    /// The slot whose section begins with EPOCH of the next epoch: 64 slots before the end, or a quarter of an epoch.
    #[must_use]
    pub fn announce(self, epoch: Epoch) -> Slot {
        let lead = ANNOUNCE_SLOTS.min(self.slots.checked_div(4).unwrap_or(0));
        Slot(self.last(epoch).0.saturating_sub(lead))
    }
    /// The last slot in which a change of the next epoch counts: a quarter of the epoch is over.
    #[must_use]
    pub fn change_until(self, epoch: Epoch) -> Slot {
        let quarter = self.slots.checked_div(4).unwrap_or(0);
        Slot(self.begin(epoch).saturating_add(quarter).saturating_sub(1))
    }
    /// The phase of the handover to the next epoch's committee: from there to the announcing slot there are four, of
    /// equal length, the last one longer.
    #[must_use]
    pub fn phase(self, slot: Slot) -> Option<HandoverPhase> {
        let epoch = self.epoch_of(slot);
        let (first, end) = (self.change_until(epoch).next().0, self.announce(epoch).0);
        let length = end.saturating_sub(first).checked_div(4).filter(|length| *length > 0)?;
        let place = slot.0.checked_sub(first).filter(|_| slot.0 < end)?.checked_div(length)?;
        HandoverPhase::ALL.get(usize::try_from(place.min(3)).ok()?).copied()
    }
    fn begin(self, epoch: Epoch) -> u64 {
        epoch.0.saturating_mul(self.slots)
    }
    /// The epoch that is announced in the section of `slot`, if one is.
    #[must_use]
    pub fn announced(self, slot: Slot) -> Option<Epoch> {
        let epoch = self.epoch_of(slot);
        (self.announce(epoch) == slot).then(|| epoch.next())
    }
}

/// What EPOCH says: committee, keys and parameters of an epoch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EpochRecord {
    /// Number.
    pub epoch: Epoch,
    /// First slot.
    pub first_slot: Slot,
    /// Last slot.
    pub last_slot: Slot,
    /// Network id.
    pub network: Hash,
    /// RFC 6962 leaf hash of EPOCH of the epoch before; zero for epoch 0.
    pub prev: Hash,
    /// Version of the rules.
    pub rules: Hash,
    /// The first epoch with this committee, these keys and these parameters.
    pub since: Epoch,
    /// Faults tolerated; n = 3f + 1.
    pub f: u16,
    /// Ascending by consensus key.
    pub members: Vec<MemberRecord>,
    /// Commitments of the decryption secret, q of them.
    pub decrypt: Vec<G1Bytes>,
    /// Its public key in G2.
    pub decrypt_g2: G2Bytes,
    /// x_j G^ per member, by index: what blame checks decryption shares against.
    pub share_keys_g2: Vec<G2Bytes>,
    /// Commitments of the beacon secret.
    pub beacon: Vec<G1Bytes>,
    /// Members whose shares were revealed in the last ceremony.
    pub revealed: Vec<MemberId>,
    /// Parameters.
    pub params: Params,
    /// Root over the REGISTRY records that follow, leaf = codec(Record): all at genesis, afterwards what changes.
    pub registry: SetRef,
    /// Reserve of every slot of this epoch (A-19).
    pub reserve: Amount,
    /// RFC 6962 root over sorted accounts, leaf = codec((address, account)), after all entries before this one.
    pub ledger: Hash,
    /// SHA-256 over codec of the executed rollups' (chain id, state root), ascending, as of the last EXEC before this entry.
    pub states: Hash,
}

/// What EPOCH says of the ledger and the rollups, as of the last EXEC before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochFacts {
    /// [`EpochRecord::ledger`].
    pub ledger: Hash,
    /// [`EpochRecord::states`].
    pub states: Hash,
    /// [`EpochRecord::reserve`].
    pub reserve: Amount,
}

impl EpochRecord {
    /// The schedule of the network.
    #[must_use]
    pub fn schedule(&self) -> Schedule {
        self.params.schedule()
    }

    /// EPOCH of the next epoch when nothing changes: the same committee, keys and parameters. `leaf` is the leaf hash of
    /// this record's entry.
    #[must_use]
    pub fn next(&self, leaf: Hash, EpochFacts { ledger, states, reserve }: EpochFacts) -> Self {
        let epoch = self.epoch.next();
        let schedule = self.schedule();
        Self {
            epoch,
            first_slot: schedule.first(epoch),
            last_slot: schedule.last(epoch),
            prev: leaf,
            registry: SetRef::EMPTY,
            reserve,
            ledger,
            states,
            ..self.clone()
        }
    }

    /// The public side of the committee's secrets.
    #[must_use]
    pub fn keys(&self) -> KeySetParts {
        KeySetParts {
            decrypt: self.decrypt.clone(),
            decrypt_g2: self.decrypt_g2,
            share_keys_g2: self.share_keys_g2.clone(),
            beacon: self.beacon.clone(),
            revealed: self.revealed.clone(),
        }
    }
    /// The same record with other keys.
    #[must_use]
    pub fn with_keys(self, keys: KeySetParts) -> Self {
        let KeySetParts { decrypt, decrypt_g2, share_keys_g2, beacon, revealed } = keys;
        Self { decrypt, decrypt_g2, share_keys_g2, beacon, revealed, ..self }
    }
    /// Whether the committee, its keys and the parameters are those of another epoch.
    #[must_use]
    pub fn continues(&self, other: &Self) -> bool {
        (self.f, &self.members, &self.params) == (other.f, &other.members, &other.params) && self.keys() == other.keys()
    }
}

/// How an epoch ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochEnd {
    /// Which.
    pub epoch: Epoch,
    /// Digest of its last block.
    pub digest: Hash,
    /// R of its last slot.
    pub beacon: Hash,
}

/// The epochs as far as a log tells: its last EPOCH entries, and how the last two epochs ended that did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Epochs {
    /// The newest, whose epoch may not have begun, and its leaf hash.
    last: (EpochRecord, Hash),
    /// Those before, newest first.
    before: Vec<EpochRecord>,
    ends: [Option<EpochEnd>; 2],
}

/// Records that are kept besides the newest: of the epoch that goes on, and of the one before, whose last slots are
/// settled in it.
const RECORDS_BEFORE: usize = 2;

impl Epochs {
    /// As of EPOCH(0).
    #[must_use]
    pub fn new(first: EpochRecord, leaf: Hash) -> Self {
        Self { last: (first, leaf), before: Vec::new(), ends: [None; 2] }
    }
    /// What the newest EPOCH says; its epoch may not have begun.
    #[must_use]
    pub fn last(&self) -> &EpochRecord {
        &self.last.0
    }
    /// RFC 6962 leaf hash of its entry.
    #[must_use]
    pub fn leaf(&self) -> Hash {
        self.last.1
    }
    /// What EPOCH says of an epoch: of the newest that is known at or before it, or else of the oldest that is kept.
    #[must_use]
    pub fn of(&self, epoch: Epoch) -> &EpochRecord {
        let mut known = core::iter::once(&self.last.0).chain(&self.before);
        known.find(|record| record.epoch <= epoch).or(self.before.last()).unwrap_or(&self.last.0)
    }
    /// An EPOCH follows.
    pub fn announced(&mut self, record: EpochRecord, leaf: Hash) {
        let (before, _) = core::mem::replace(&mut self.last, (record, leaf));
        self.before.insert(0, before);
        self.before.truncate(RECORDS_BEFORE);
    }
    /// The last slot of an epoch is opened.
    pub fn ended(&mut self, end: EpochEnd) {
        let [_, before] = self.ends;
        self.ends = [before, Some(end)];
    }
    /// How an epoch ended, if it is one of the last two that did.
    #[must_use]
    pub fn end_of(&self, epoch: Epoch) -> Option<&EpochEnd> {
        self.ends.iter().flatten().find(|end| end.epoch == epoch)
    }
}

impl Params {
    /// Where epochs begin and end.
    #[must_use]
    pub fn schedule(&self) -> Schedule {
        Schedule::new(self.epoch_slots)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_slot_has_one_epoch_and_each_epoch_one_announcement() {
        for slots in [16, 40, 120, 7_200] {
            let schedule = Schedule::new(slots);
            for epoch in (0..4).map(Epoch) {
                let (first, last) = (schedule.first(epoch), schedule.last(epoch));
                assert_eq!(last.next(), schedule.first(epoch.next()));
                assert_eq!((schedule.epoch_of(first), schedule.epoch_of(last)), (epoch, epoch));
                assert!(schedule.is_last(last) && !schedule.is_last(first));
                let announce = schedule.announce(epoch);
                assert!(first < announce && announce < last);
                assert!(last.0 - announce.0 <= ANNOUNCE_SLOTS && last.0 - announce.0 >= 4);
                let told: Vec<_> = (first.0..=last.0).filter_map(|s| schedule.announced(Slot(s))).collect();
                assert_eq!(told, [epoch.next()]);
                let window = schedule.change_until(epoch);
                assert!(first <= window && window < announce);
                let phases: Vec<_> = (first.0..=last.0).filter_map(|s| schedule.phase(Slot(s))).collect();
                assert!(phases.is_sorted());
                assert_eq!(phases.len() as u64, announce.0 - window.0 - 1, "every slot between has one");
                assert!(HandoverPhase::ALL.iter().all(|phase| phases.contains(phase)));
            }
        }
        assert_eq!(Schedule::new(40).announce(Epoch(1)), Slot(69));
        assert_eq!(Schedule::new(7_200).announce(Epoch(0)), Slot(7_135));
        assert_eq!(Schedule::new(0).slots(), EPOCH_SLOTS_MIN);
        assert_eq!(Schedule::new(u64::MAX).last(Epoch(u64::MAX)), Slot(u64::MAX - 1));
    }
}
