//! A member's disk: the order of writes of log.md section 10 over `store`.
//!
//! ```text
//!  items   WAL, one fsync a turn, before their receipts
//!  list    state.redb, before it is sent
//!  commit  finality/<slot>, share message, staging/<size> -> lock record (the commit point) -> tiles
//!  opened  kept with the next commit; rebuilt from members after a crash
//!  publish heads/, then log/checkpoint
//! ```
//!
//! What a member must not forget is that it may have signed something: a folder without `state.redb` belongs to a new
//! member only if the mark of a new member, which `init` leaves, is still there. Else its disk was lost.
//! Trust: every error ends the member. Nothing is tried again after a failed fsync.
use crate::{
    entropy::{NoEntropy, Source},
    files,
};
use sequencer::{Commit, ItemRecord, Rejoin};
use std::{
    collections::BTreeMap,
    ops::Range,
    path::{Path, PathBuf},
};
use store::{
    durable::{self, DirLock},
    fault::{self, Place},
    log::{LogDir, LogError, LogReader},
    state::{Lock, State, StateError},
    wal::{Wal, WalError},
};
use tlog::{
    Tree,
    note::Note,
    tiles::{self, Tile},
};
use types::{Epoch, FinalityProof, Hash, Slot, Timestamp, codec, limits};

/// Why the disk cannot be used any more.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DiskError {
    /// Another process works in this folder.
    #[error(transparent)]
    Locked(#[from] durable::LockError),
    /// A write.
    #[error(transparent)]
    Durable(#[from] durable::DiskError),
    /// The log.
    #[error(transparent)]
    Log(#[from] LogError),
    /// state.redb.
    #[error(transparent)]
    State(#[from] StateError),
    /// The WAL.
    #[error(transparent)]
    Wal(#[from] WalError),
    /// No randomness for the WAL's salt.
    #[error(transparent)]
    Entropy(#[from] NoEntropy),
    /// A file or folder cannot be looked at.
    #[error("{path}: {source}")]
    Look {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The folder is that of no new member, and holds nothing that it signed.
    #[error("this member's data are gone, so what it signed before is unknown")]
    Lost,
    /// A whole record of the WAL is none of ours: it was written by another version.
    #[error("record {0} of the WAL is of another format")]
    Record(u64),
    /// The WAL segment size is out of range.
    #[error("wal_segment_bytes is out of range")]
    SegmentSize,
}

/// What state.redb and the WAL say at the start.
#[derive(Debug)]
pub(crate) struct Saved {
    pub(crate) share_message: Option<Vec<u8>>,
    pub(crate) own_list: Option<(Slot, Vec<u8>)>,
    pub(crate) cosigned_at: u64,
    pub(crate) items: Vec<ItemRecord>,
    pub(crate) bids: Vec<ItemRecord>,
    /// codec(Object) of the WAL.
    pub(crate) objects: Vec<Vec<u8>>,
    /// Operations of the WAL, and evidence that is kept.
    pub(crate) operations: Vec<Vec<u8>>,
}

/// A record of the WAL.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
enum Walled {
    /// An envelope admitted here.
    Item(Hash, ItemRecord),
    /// codec(Operation).
    Operation(Hash, Vec<u8>),
    /// A bid admitted here.
    Bid(Hash, ItemRecord),
    /// codec(Object), admitted here.
    Object(Hash, Vec<u8>),
}

/// What one turn adds to the WAL.
#[derive(Debug, Default)]
pub(crate) struct Walling(Vec<Walled>);

impl Walling {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
    pub(crate) fn items(&mut self, records: Vec<(Hash, ItemRecord)>) {
        self.0.extend(records.into_iter().map(|(hash, record)| Walled::Item(hash, record)));
    }
    pub(crate) fn bids(&mut self, records: Vec<(Hash, ItemRecord)>) {
        self.0.extend(records.into_iter().map(|(hash, record)| Walled::Bid(hash, record)));
    }
    pub(crate) fn objects(&mut self, records: Vec<(Hash, Vec<u8>)>) {
        self.0.extend(records.into_iter().map(|(hash, bytes)| Walled::Object(hash, bytes)));
    }
    pub(crate) fn operations(&mut self, records: Vec<(Hash, Vec<u8>)>) {
        self.0.extend(records.into_iter().map(|(hash, bytes)| Walled::Operation(hash, bytes)));
    }
}

impl Walled {
    fn hash(&self) -> Hash {
        match self {
            Self::Item(hash, _) | Self::Operation(hash, _) | Self::Bid(hash, _) | Self::Object(hash, _) => *hash,
        }
    }
}

/// What the WAL held at the start.
#[derive(Debug, Default)]
struct Replayed {
    items: Vec<ItemRecord>,
    bids: Vec<ItemRecord>,
    objects: Vec<Vec<u8>>,
    operations: Vec<Vec<u8>>,
}

/// The open folder of a member.
#[derive(Debug)]
pub(crate) struct Disk {
    _lock: DirLock,
    folder: PathBuf,
    log: LogDir,
    state: State,
    wal: Wal,
    /// WAL sequence of the last record of each live envelope, bid, object and operation.
    live: BTreeMap<Hash, u64>,
    replayed: Replayed,
    opened: Slot,
    /// The oldest record of the WAL that is still needed.
    owed: u64,
    /// The same as the lock says it: nothing from there on is given up.
    owed_by_lock: u64,
}

/// The engine's folder: its votes are in it.
pub(crate) const ENGINE: &str = "engine";
/// An empty folder in it, gone with everything else that the engine has there.
const HAS_VOTED: &str = "lockstep";
/// Stands in a member's folder from its making to its first start.
pub(crate) const NEW_MEMBER: &str = "new-member";
/// When this member found that its disk was gone.
const LOST_AT: &str = "lost-at";
/// Whether the engine has run here.
const VOTED: &str = "voted";
/// Whether the log is ahead of an engine because none ran.
const FOLLOWED: &str = "followed";
/// The last epoch in which this member must not vote: its vote journal is gone. `UNKNOWN` until it knows where the
/// network is.
const MUTE_IN: &str = "mute-in";

/// No epoch begins there.
const UNKNOWN: Epoch = Epoch(u64::MAX);

/// Two places, by turns: the message of the last committed slot is still there while the next commit is under way.
fn share_key(slot: Slot) -> &'static str {
    if slot.0.is_multiple_of(2) { "share-message-even" } else { "share-message-odd" }
}
/// Most entries of a tail: part B of a slot.
const TAIL_MAX: u64 = 1_024;
/// Longest record of the WAL: an envelope and its receipt.
const ITEM_BYTES_MAX: usize = 80_000;

impl Disk {
    /// `lost_at` is the time if it is certain: a folder that turns out to be lost is taken only then.
    pub(crate) fn open(folder: &Path, wal_segment_bytes: u64, lost_at: Option<Timestamp>) -> Result<Self, DiskError> {
        let lock = durable::lock_dir(folder)?;
        let state = State::open(&folder.join("state.redb"))?;
        let locked = state.lock()?;
        let mark = folder.join(NEW_MEMBER);
        let known = locked.is_some() || state.value::<Timestamp>(LOST_AT)?.is_some();
        if locked.is_some() {
            durable::remove(&mark)?;
        } else if !known && !exists(&mark)? {
            state.put(LOST_AT, &lost_at.ok_or(DiskError::Lost)?)?;
            tracing::error!(folder = %folder.display(), "disk.lost: what this member signed before is unknown");
        }
        let voted = state.value::<bool>(VOTED)?.is_some() || state.value::<Timestamp>(LOST_AT)?.is_some();
        if voted && !exists(&folder.join(ENGINE).join(HAS_VOTED))? {
            tracing::error!(folder = %folder.display(), "engine.lost: this member does not vote in this epoch any more");
            state.put(MUTE_IN, &UNKNOWN)?;
        }
        let log = LogDir::open(folder, locked.as_ref())?;
        let segment = u32::try_from(wal_segment_bytes).map_err(|_large| DiskError::SegmentSize)?;
        let mut salt = [0u8; 16];
        salt.iter_mut().zip(Source::System.draw("wal", 0)?.iter()).for_each(|(to, from)| *to = *from);
        let (wal, replay) = Wal::open(&folder.join("wal"), segment, salt)?;
        let owed = locked.as_ref().map_or((1, 1), |lock| lock.owed);
        wal.check_owed(&replay, owed)?;
        let mut live = BTreeMap::new();
        let mut replayed = Replayed::default();
        for entry in replay.records {
            let walled = codec::decode::<Walled>(&entry.payload, ITEM_BYTES_MAX);
            let walled = walled.map_err(|_other_format| DiskError::Record(entry.seq))?;
            live.insert(walled.hash(), entry.seq);
            match walled {
                Walled::Item(_, record) => replayed.items.push(record),
                Walled::Bid(_, record) => replayed.bids.push(record),
                Walled::Object(_, bytes) => replayed.objects.push(bytes),
                Walled::Operation(_, bytes) => replayed.operations.push(bytes),
            }
        }
        durable::create_dir(&finality_folder(folder))?;
        let opened = locked.map_or(Slot(0), |l| l.opened);
        let folder = folder.to_path_buf();
        let (owed, _) = owed;
        Ok(Self { _lock: lock, folder, log, state, wal, live, replayed, opened, owed, owed_by_lock: owed })
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Number of entries that the log holds.
    pub(crate) fn size(&self) -> u64 {
        self.log.size()
    }

    pub(crate) fn entry(&self, index: u64) -> Result<Vec<u8>, DiskError> {
        Ok(self.log.read_entry(index)?)
    }

    /// The entries before the first section.
    pub(crate) fn genesis(&mut self, entries: &[Vec<u8>]) -> Result<(), DiskError> {
        self.append(Slot(0), 0, entries)?;
        durable::remove(&self.folder.join(NEW_MEMBER))?;
        Ok(durable::sync_dir(&self.folder)?)
    }

    /// Entries that a quorum has signed and this member had no part in, with the proofs of finality of their slots.
    pub(crate) fn caught_up(
        &mut self,
        slot: Slot,
        entries: &[Vec<u8>],
        proofs: &BTreeMap<Slot, Vec<u8>>,
    ) -> Result<(), DiskError> {
        let proofs: Vec<_> =
            proofs.iter().map(|(slot, bytes)| (finality_file(&self.folder, *slot), bytes.clone())).collect();
        durable::write_batch(&finality_folder(&self.folder), &proofs)?;
        self.opened = self.opened.max(slot.prev());
        let cosigned_at = self.state.lock()?.map_or(0, |lock| lock.time);
        self.append(slot, cosigned_at, entries)
    }

    /// Everything so far is durable although no commit follows: the end of an epoch that another committee or other
    /// parameters follow.
    pub(crate) fn settle(&mut self) -> Result<(), DiskError> {
        let lock = self.state.lock()?.unwrap_or_default();
        if lock.head == self.log.head() {
            return Ok(());
        }
        self.append(lock.slot, lock.time, &[])
    }

    /// The tree over all entries.
    pub(crate) const fn tree(&self) -> &Tree {
        self.log.tree()
    }

    /// The last slot whose part A is durable.
    pub(crate) fn slot(&self) -> Result<Slot, DiskError> {
        Ok(self.state.lock()?.map_or(Slot(0), |lock| lock.slot))
    }

    /// The last slot for which this member signed a list.
    pub(crate) fn last_list(&self) -> Result<Option<Slot>, DiskError> {
        Ok(self.state.last_list()?)
    }

    /// What a member that lost its disk waits for.
    pub(crate) fn rejoin(&self) -> Result<Option<Rejoin>, DiskError> {
        Ok(self.state.value(LOST_AT)?.map(Rejoin::new))
    }

    /// Whether an engine has run here.
    pub(crate) fn has_voted(&self) -> Result<bool, DiskError> {
        exists(&self.folder.join(ENGINE).join(HAS_VOTED))
    }

    /// This member reads the log without an engine: one that starts later must start where the log is.
    pub(crate) fn follows(&self, follows: bool) -> Result<(), DiskError> {
        if self.has_followed()? == follows { Ok(()) } else { Ok(self.state.put(FOLLOWED, &follows)?) }
    }

    /// Whether it has since an engine ran.
    pub(crate) fn has_followed(&self) -> Result<bool, DiskError> {
        Ok(self.state.value::<bool>(FOLLOWED)?.unwrap_or(false))
    }

    /// The engine starts now.
    pub(crate) fn votes_from_here(&self) -> Result<(), DiskError> {
        durable::create_dir(&self.folder.join(ENGINE).join(HAS_VOTED))?;
        Ok(self.state.put(VOTED, &true)?)
    }

    /// Whether this member may vote in an epoch. One that lost its journal votes after the epoch `reached`, which is that
    /// of its own newest vote or a later one; until that is known it does not vote at all.
    pub(crate) fn may_vote(&self, epoch: Epoch, reached: Option<Epoch>) -> Result<bool, DiskError> {
        let mut mute = self.state.value::<Epoch>(MUTE_IN)?;
        if let (Some(UNKNOWN), Some(reached)) = (mute, reached) {
            self.state.put(MUTE_IN, &reached)?;
            mute = Some(reached);
        }
        Ok(mute.is_none_or(|last| epoch > last))
    }

    /// The newest block with votes of its own that a proof up to `slot` and at most `back` slots before it shows.
    pub(crate) fn voted_block(&self, slot: Slot, back: u64) -> Option<FinalityProof> {
        let first = slot.0.saturating_sub(back).max(1);
        let served = self.served();
        (first..=slot.0).rev().find_map(|at| {
            let bytes = served.finality(Slot(at))?;
            let proof = codec::decode::<FinalityProof>(&bytes, limits::FINALITY_BYTES_MAX).ok()?;
            (proof.headers.last()?.height <= slot).then_some(proof)
        })
    }

    fn append(&mut self, slot: Slot, time: u64, entries: &[Vec<u8>]) -> Result<(), DiskError> {
        let staged = self.log.stage(entries)?;
        let staging = staged.name().to_owned();
        let owed = (self.owed, self.wal.next_seq());
        self.state.commit(&Lock { head: staged.head(), slot, time, opened: self.opened, staging, owed })?;
        self.owed_by_lock = self.owed;
        Ok(self.log.apply(staged)?)
    }

    pub(crate) fn saved(&mut self) -> Result<Saved, DiskError> {
        let lock = self.state.lock()?.unwrap_or_default();
        let share: Option<(Slot, Vec<u8>)> = self.state.value(share_key(lock.slot))?;
        let own_list = match self.state.last_list()? {
            Some(slot) => self.state.list(slot)?.map(|bytes| (slot, bytes)),
            None => None,
        };
        let Replayed { items, bids, objects, mut operations } = core::mem::take(&mut self.replayed);
        operations.extend(crate::evidence::operations(&self.folder));
        Ok(Saved {
            // one that was stored before its commit point was never sent
            share_message: share.filter(|(slot, _)| *slot == lock.slot).map(|(_, bytes)| bytes),
            own_list,
            cosigned_at: lock.time,
            items,
            bids,
            objects,
            operations,
        })
    }

    /// Envelopes, bids and operations, with one fsync.
    pub(crate) fn items(&mut self, walling: Walling) -> Result<(), DiskError> {
        let (hashes, payloads): (Vec<Hash>, Vec<Vec<u8>>) =
            walling.0.iter().map(|walled| (walled.hash(), codec::encode(walled))).unzip();
        let first = self.wal.append(&payloads)?;
        self.live.extend(hashes.into_iter().zip(first..));
        Ok(())
    }

    pub(crate) fn list(&mut self, slot: Slot, bytes: Vec<u8>) -> Result<(), DiskError> {
        Ok(self.state.put_list(slot, &bytes)?)
    }

    pub(crate) fn opened(&mut self, slot: Slot, entries: &[Vec<u8>]) -> Result<(), DiskError> {
        self.log.append(entries)?;
        fault::passed(Place::Opened);
        self.opened = slot;
        Ok(())
    }

    pub(crate) fn commit(&mut self, commit: &Commit) -> Result<(), DiskError> {
        // before the commit point: the block is delivered once, and its proof is what an auditor asks for
        {
            let _step = fault::at(Place::Finality);
            durable::write(&finality_file(&self.folder, commit.slot), &commit.finality)?;
        }
        if !commit.share_message.is_empty() {
            let _step = fault::at(Place::ShareMessage);
            self.state.put(share_key(commit.slot), &(commit.slot, commit.share_message.clone()))?;
        }
        self.append(commit.slot, commit.cosigned_at, &commit.entries)
    }

    pub(crate) fn publish(&mut self, epoch: Epoch, slot: Slot, note: &str) -> Result<(), DiskError> {
        Ok(self.log.publish(epoch, slot, note)?)
    }

    /// Keeps evidence against a member; says its name if it is new.
    pub(crate) fn evidence(
        &mut self,
        proved: &crypto::evidence::Proved,
        epoch: Epoch,
        piece: &types::Evidence,
    ) -> Result<Option<String>, DiskError> {
        Ok(crate::evidence::keep(&self.folder, proved, epoch, piece)?)
    }

    /// Lets go of WAL segments whose envelopes and operations are all included, replaced or expired, once a lock has said so: a start
    /// tells what was given up from what was lost.
    pub(crate) fn forget(&mut self, live: impl Fn(&Hash) -> bool) -> Result<(), DiskError> {
        self.live.retain(|hash, _| live(hash));
        self.owed = self.live.values().min().copied().unwrap_or_else(|| self.wal.next_seq()).max(self.owed);
        Ok(self.wal.prune(self.owed_by_lock)?)
    }

    /// For readers in other threads.
    pub(crate) fn served(&self) -> Served {
        Served { folder: self.folder.clone(), log: self.log.reader() }
    }
}

fn exists(path: &Path) -> Result<bool, DiskError> {
    path.try_exists().map_err(|source| DiskError::Look { path: path.to_path_buf(), source })
}

fn finality_folder(folder: &Path) -> PathBuf {
    folder.join("finality")
}

fn finality_file(folder: &Path, slot: Slot) -> PathBuf {
    finality_folder(folder).join(slot.to_string())
}

/// Reads what a member serves.
#[derive(Clone, Debug)]
pub(crate) struct Served {
    folder: PathBuf,
    log: LogReader,
}

impl Served {
    pub(crate) fn checkpoint(&self) -> Option<Vec<u8>> {
        self.log.checkpoint().map(|note| note.as_bytes().to_vec())
    }

    /// Entries that the newest published checkpoint covers.
    pub(crate) fn published(&self) -> u64 {
        self.log.published().map_or(0, |head| head.size)
    }

    pub(crate) fn last_published_slot(&self) -> Slot {
        self.log.last_published_slot().unwrap_or(Slot(0))
    }

    /// Entries that the checkpoint of a slot covers; `None` when there is none, or it cannot be read.
    pub(crate) fn size_at(&self, slot: Slot) -> Option<u64> {
        let note = self.log.head_note(slot).ok()??;
        let note = Note::parse(note.as_bytes()).ok()?;
        tlog::checkpoint::parse(note.text()).ok().map(|(_origin, head)| head.size)
    }

    pub(crate) fn entries(&self, range: Range<u64>) -> Result<Vec<Vec<u8>>, LogError> {
        self.log.entries(range)
    }

    pub(crate) fn tile(&self, tile: &Tile) -> Option<Vec<u8>> {
        match self.log.tile(tile) {
            Ok(bytes) => bytes,
            Err(error) => {
                tracing::error!(%error, "log.read");
                None
            }
        }
    }

    pub(crate) fn finality(&self, slot: Slot) -> Option<Vec<u8>> {
        files::read(&finality_file(&self.folder, slot), limits::FINALITY_BYTES_MAX).ok()
    }

    /// Entries from `first` on that no head covers yet, as an entry bundle: what a slot opens with, or an epoch ends with.
    pub(crate) fn tail(&self, first: u64) -> Option<Vec<u8>> {
        let (applied, appended) = self.log.appended();
        let end = applied.saturating_add(u64::try_from(appended.len()).ok()?);
        let published = self.log.published().map_or(0, |head| head.size);
        if first < published || end <= first || end.saturating_sub(first) > TAIL_MAX {
            return None;
        }
        let entries: Result<Vec<_>, _> = (first..applied).map(|index| self.log.read_entry(index)).collect();
        let skipped = usize::try_from(first.saturating_sub(applied)).ok()?;
        let rest = appended.into_iter().skip(skipped);
        match entries.map(|entries| tiles::encode_bundle(&entries.into_iter().chain(rest).collect::<Vec<_>>())) {
            Ok(bundle) => bundle.ok(),
            Err(error) => {
                tracing::error!(%error, "log.tail");
                None
            }
        }
    }

    /// The checkpoint that was published for a slot.
    pub(crate) fn head(&self, slot: Slot) -> Option<Vec<u8>> {
        match self.log.head_note(slot) {
            Ok(note) => note.map(String::into_bytes),
            Err(error) => {
                tracing::error!(%error, "log.heads");
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    // Goal: whoever may have voted in an epoch and does not know how does not vote in it again.
    use super::*;

    const SEGMENT: u64 = 64 << 10;

    fn open(folder: &Path, lost_at: Option<Timestamp>) -> Disk {
        let disk = Disk::open(folder, SEGMENT, lost_at).unwrap();
        disk.votes_from_here().unwrap();
        disk
    }

    fn lose_journal(folder: &Path) {
        std::fs::remove_dir_all(folder.join(ENGINE)).unwrap();
    }

    #[test]
    fn a_new_member_votes_and_one_without_its_journal_not_before_the_epoch_after() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        durable::write(&folder.join(NEW_MEMBER), b"").unwrap();
        assert!(open(folder, None).may_vote(Epoch(0), Some(Epoch(0))).unwrap());
        assert!(open(folder, None).may_vote(Epoch(7), None).unwrap(), "the journal is there");
        lose_journal(folder);
        let disk = open(folder, None);
        assert!(!disk.may_vote(Epoch(7), None).unwrap() && !disk.may_vote(Epoch(900), None).unwrap());
        assert!(!disk.may_vote(Epoch(7), Some(Epoch(7))).unwrap());
        drop(disk);
        // what was found once stays, whatever a later start finds
        let disk = open(folder, None);
        assert!(!disk.may_vote(Epoch(7), Some(Epoch(3))).unwrap() && disk.may_vote(Epoch(8), None).unwrap());
        drop(disk);
        lose_journal(folder);
        let disk = open(folder, None);
        assert!(!disk.may_vote(Epoch(8), None).unwrap(), "lost once more");
        assert!(!disk.may_vote(Epoch(8), Some(Epoch(8))).unwrap() && disk.may_vote(Epoch(9), None).unwrap());
    }

    #[test]
    fn a_lost_disk_is_mute_until_it_is_known_how_far_the_network_was() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        assert!(matches!(Disk::open(folder, SEGMENT, None), Err(DiskError::Lost)));
        for _ in 0..2 {
            let disk = open(folder, Some(Timestamp(1_000)));
            assert!(!disk.may_vote(Epoch(0), None).unwrap() && !disk.may_vote(Epoch(900), None).unwrap());
        }
        let disk = open(folder, None);
        assert!(!disk.may_vote(Epoch(5), Some(Epoch(5))).unwrap() && disk.may_vote(Epoch(6), None).unwrap());
    }
}
