//! The equivocation guard: what a builder has signed, on its disk before it leaves.
//!
//! Two objects under one (slot, seq) cost a slash and an epoch of the bidder. So each is made durable first, and
//! whoever asks for one that was made gets the same bytes, in this life of the process or a later one.
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};
use store::{
    durable::{self, DirLock, DiskError, LockError},
    wal::{Wal, WalError},
};
use types::{Address, Amount, Hash, Slot, codec, limits};

/// Bytes of a segment of the journal: some 1,500 bids, or sixteen of the largest objects.
const SEGMENT_BYTES: u32 = 1 << 20;
/// Slots that are remembered. Nobody takes an object for one that is further back.
const KEPT_SLOTS: u64 = 256;
const OWNER: &str = "owner";
/// Codec bytes of a record: an object that fits an entry of the log, and what stands beside it.
const RECORD_BYTES_MAX: usize = limits::ENTRY_BYTES_MAX + 128;

/// What is signed under one slot and seq.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Kind {
    /// A bid.
    Bid,
    /// A body.
    Body,
    /// A tail.
    Tail,
}

/// What there can be one of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Place {
    /// The slot that is wanted or built.
    pub slot: Slot,
    /// Of which kind.
    pub kind: Kind,
    /// Its number.
    pub seq: u8,
}

/// A signed object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signed {
    /// Where it counts.
    pub place: Place,
    /// What a bid says; zero for others.
    pub amount: Amount,
    /// Its codec bytes, signature and all.
    pub bytes: Vec<u8>,
}

/// Whose journal a folder holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Owner {
    network: Hash,
    builder: Address,
}

/// Why nothing may be signed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// Another process signs with this journal, or the folder cannot be locked.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The journal is damaged, or the disk fails.
    #[error("journal: {0}")]
    Wal(#[from] WalError),
    /// The disk fails.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The folder belongs to another builder or network.
    #[error("{} is the journal of another builder or network", .0.display())]
    Owner(PathBuf),
    /// A whole record says nothing that this version has written.
    #[error("record {0} of the journal is not ours")]
    Record(u64),
    /// The slot is further back than is remembered.
    #[error("slot {0} is further back than the journal remembers")]
    Past(Slot),
}

/// The journal of one builder. One process at a time.
#[derive(Debug)]
pub struct Journal {
    wal: Wal,
    /// With the number of its record.
    signed: BTreeMap<Place, (u64, Signed)>,
    newest: Slot,
    is_new: bool,
    _lock: DirLock,
}

impl Journal {
    /// Opens the journal in this folder, or begins one. `entropy` salts a new one.
    ///
    /// # Errors
    /// [`JournalError`]: nothing may be signed.
    pub fn open(dir: &Path, network: Hash, builder: Address, entropy: [u8; 16]) -> Result<Self, JournalError> {
        let lock = durable::lock_dir(dir)?;
        let owner = codec::encode(&Owner { network, builder });
        let path = dir.join(OWNER);
        match durable::read(&path, owner.len().saturating_mul(2))? {
            Some(found) if found == owner => {}
            None if !dir.join("wal").exists() => durable::write(&path, &owner)?,
            Some(_) | None => return Err(JournalError::Owner(dir.to_path_buf())),
        }
        let (wal, replay) = Wal::open(&dir.join("wal"), SEGMENT_BYTES, entropy)?;
        let mut signed = BTreeMap::new();
        for record in replay.records {
            let entry: Signed =
                codec::decode(&record.payload, RECORD_BYTES_MAX).map_err(|_not| JournalError::Record(record.seq))?;
            signed.insert(entry.place, (record.seq, entry));
        }
        let newest = signed.keys().map(|place| place.slot).max().unwrap_or_default();
        Ok(Self { wal, is_new: signed.is_empty(), signed, newest, _lock: lock })
    }

    /// It held nothing when it was opened: what this builder signed before, if it did, stands elsewhere.
    #[must_use]
    pub const fn is_new(&self) -> bool {
        self.is_new
    }

    /// What was signed for slots after this one, in order.
    pub fn after(&self, slot: Slot) -> impl Iterator<Item = &Signed> {
        self.signed.values().map(|(_, signed)| signed).filter(move |signed| signed.place.slot > slot)
    }

    /// The object of this place: the one that was signed, or else what `make` gives, durable when this returns. `None`:
    /// there is none, and `make` gives none.
    ///
    /// # Errors
    /// [`JournalError`]: nothing may leave; after a failed write nothing more is signed.
    pub fn sign(
        &mut self,
        place: Place,
        make: impl FnOnce() -> Option<(Amount, Vec<u8>)>,
    ) -> Result<Option<Signed>, JournalError> {
        if let Some((_, signed)) = self.signed.get(&place) {
            return Ok(Some(signed.clone()));
        }
        if place.slot.plus(KEPT_SLOTS) <= self.newest {
            return Err(JournalError::Past(place.slot));
        }
        let Some((amount, bytes)) = make() else { return Ok(None) };
        let signed = Signed { place, amount, bytes };
        let seq = self.wal.append(&[codec::encode(&signed)])?;
        self.newest = self.newest.max(place.slot);
        self.signed.insert(place, (seq, signed.clone()));
        self.forget()?;
        Ok(Some(signed))
    }

    fn forget(&mut self) -> Result<(), JournalError> {
        let newest = self.newest;
        self.signed.retain(|place, _| place.slot.plus(KEPT_SLOTS) > newest);
        let oldest = self.signed.values().map(|(seq, _)| *seq).min();
        if let Some(oldest) = oldest {
            self.wal.prune(oldest)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    // Goal: one place has one object, whatever is asked for and however often the process starts again. Method: a real
    // folder; other bytes are offered for a place that is taken.
    use super::*;

    const NETWORK: Hash = Hash([9; 32]);
    const BUILDER: Address = Address([1; 20]);

    fn open(dir: &Path) -> Journal {
        Journal::open(dir, NETWORK, BUILDER, [7; 16]).unwrap()
    }

    fn place(slot: u64, seq: u8) -> Place {
        Place { slot: Slot(slot), kind: Kind::Bid, seq }
    }

    fn sign(journal: &mut Journal, place: Place, byte: u8) -> u8 {
        journal.sign(place, || Some((Amount::ZERO, vec![byte; 400]))).unwrap().unwrap().bytes[0]
    }

    #[test]
    fn a_place_keeps_its_first_object_through_restarts() {
        let dir = tempfile::tempdir().unwrap();
        let mut journal = open(dir.path());
        assert!(journal.is_new());
        assert_eq!(sign(&mut journal, place(5, 0), 1), 1);
        assert_eq!(sign(&mut journal, place(5, 0), 2), 1, "the same place");
        assert_eq!(sign(&mut journal, place(5, 1), 3), 3, "another seq");
        let tail = Place { kind: Kind::Tail, ..place(5, 0) };
        assert_eq!(sign(&mut journal, tail, 4), 4, "another kind");
        drop(journal);
        let mut journal = open(dir.path());
        assert!(!journal.is_new());
        assert_eq!(sign(&mut journal, place(5, 0), 9), 1);
        let again: Vec<_> = journal.after(Slot(4)).map(|signed| signed.bytes[0]).collect();
        assert_eq!(again, [1, 3, 4]);
        assert_eq!(journal.after(Slot(5)).count(), 0);
        assert!(journal.sign(place(6, 0), || None).unwrap().is_none(), "nothing made, nothing kept");
        assert_eq!(sign(&mut journal, place(6, 0), 5), 5);
    }

    #[test]
    fn nothing_is_signed_again_for_a_slot_that_was_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let mut journal = open(dir.path());
        sign(&mut journal, place(5, 0), 1);
        sign(&mut journal, place(5 + KEPT_SLOTS, 0), 2);
        assert!(matches!(journal.sign(place(5, 0), || None), Err(JournalError::Past(Slot(5)))));
        drop(journal);
        let mut journal = open(dir.path());
        assert!(matches!(journal.sign(place(4, 0), || None), Err(JournalError::Past(Slot(4)))));
        assert_eq!(sign(&mut journal, place(6, 0), 3), 3, "still remembered: nothing was signed there");
    }

    #[test]
    fn a_folder_has_one_process_one_builder_and_one_network() {
        let dir = tempfile::tempdir().unwrap();
        let journal = open(dir.path());
        let open = |network, builder| Journal::open(dir.path(), network, builder, [7; 16]);
        assert!(matches!(open(NETWORK, BUILDER), Err(JournalError::Lock(LockError::Busy(_)))));
        drop(journal);
        assert!(matches!(open(Hash([8; 32]), BUILDER), Err(JournalError::Owner(_))));
        assert!(matches!(open(NETWORK, Address([2; 20])), Err(JournalError::Owner(_))));
        assert!(open(NETWORK, BUILDER).is_ok());
        std::fs::remove_file(dir.path().join(OWNER)).unwrap();
        assert!(matches!(open(NETWORK, BUILDER), Err(JournalError::Owner(_))), "a journal without an owner");
    }
}
