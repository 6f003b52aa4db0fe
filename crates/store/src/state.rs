//! `state.redb`: what a member must never forget, because it has signed it. Two-phase commits: redb's one-phase commit
//! rests on a checksum that is not cryptographic, and some of the bytes here are a stranger's.
//!
//! The file is never restored from a backup: an old lock would let the member sign a second head at a size.
use crate::{
    durable::{self, DiskError, Op},
    fault::{self, Place},
};
use redb::{BackendError, Database, ReadableTable, StorageBackend, TableDefinition, backends::FileBackend};
use serde::{Deserialize, Serialize};
use std::{
    fs::OpenOptions,
    io,
    ops::Bound,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
};
use types::{Head, Slot, codec};

const SINGLE: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("single");
const LISTS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("lists");
const LOCK: &str = "lock";
/// Longest value under a key, bytes.
pub const VALUE_BYTES_MAX: usize = codec::BLOCK_MAX;
/// Own lists that are kept, newest slots first.
pub const LISTS_KEPT: usize = 64;

/// What the last commit fixed: written before anything over this head is signed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lock {
    /// The close head: of the log up to section A of `slot`.
    pub head: Head,
    /// The slot that the head closes.
    pub slot: Slot,
    /// Time of the cosignature, Unix seconds: with it a restart signs the same bytes again.
    pub time: u64,
    /// The last slot that is opened.
    pub opened: Slot,
    /// Name of the staging file that holds the entries up to `head`.
    pub staging: String,
    /// Numbers of the WAL's records that must be there: from the oldest that is owed, to before this one.
    pub owed: (u64, u64),
}

/// Why the state cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StateError {
    /// The database failed. Fatal.
    #[error("state: {0}")]
    Database(#[from] Box<redb::Error>),
    /// The disk failed. Fatal.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The file is not what was written: refuse to start.
    #[error("{} is damaged: {why}; it holds what was signed, and nothing can stand for it", path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What was found.
        why: String,
    },
    /// A value does not decode. Refuse to start.
    #[error("state: value of another format: {0}")]
    Value(#[from] codec::DecodeError),
    /// The lock would go back, or name another root at the same size.
    #[error("a lock at size {} is there, not {}", held.size, asked.size)]
    LockBehind {
        /// What is locked.
        held: Head,
        /// What was to be locked.
        asked: Head,
    },
    /// Another list for this slot, or one for a later slot, has been signed.
    #[error("list of slot {0} cannot be signed any more")]
    ListSigned(Slot),
    /// A value is too long.
    #[error("value of {0} bytes")]
    TooLong(usize),
    /// An earlier write failed: nothing more is written.
    #[error("state: an earlier write failed")]
    Failed,
}

impl StateError {
    /// Nothing was written, and the next write may be fine.
    const fn is_refusal(&self) -> bool {
        matches!(self, Self::LockBehind { .. } | Self::ListSigned(_) | Self::TooLong(_))
    }
}

macro_rules! from_redb {
    ($($error:ty),*) => {$(
        impl From<$error> for StateError {
            fn from(error: $error) -> Self {
                Self::Database(Box::new(error.into()))
            }
        }
    )*};
}
from_redb!(redb::DatabaseError, redb::TransactionError, redb::TableError, redb::StorageError, redb::CommitError);

/// The open database. Methods take `&self`; writes are one at a time.
#[derive(Debug)]
pub struct State {
    db: Database,
    path: PathBuf,
    failed: AtomicBool,
}

/// The database's file: its writes and syncs pass the fault points like all others.
#[derive(Debug)]
struct Backend {
    file: FileBackend,
    path: PathBuf,
}

impl StorageBackend for Backend {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }
    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read(offset, out)
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        fault::run(Op::Write, &self.path, || self.file.set_len(len))
    }
    fn sync_data(&self) -> io::Result<()> {
        fault::sync(Op::SyncFile, &self.path, || self.file.sync_data())
    }
    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        fault::write(&self.path, data, |data| self.file.write(offset, data))
    }
    fn close(&self) -> io::Result<()> {
        self.file.close()
    }
    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.try_lock_range(start, end)
    }
    fn try_lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.try_lock_shared_range(start, end)
    }
    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.lock_range(start, end)
    }
    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.lock_shared_range(start, end)
    }
    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.unlock_range(start, end)
    }
    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.query_lock_range(start, end)
    }
}

impl State {
    /// Opens or creates the database file.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn open(path: &Path) -> Result<Self, StateError> {
        let _step = fault::at(Place::Open);
        let dir = path.parent().unwrap_or(Path::new("."));
        durable::create_dir(dir)?;
        if !path.try_exists().map_err(|source| DiskError { op: Op::Read, path: path.to_path_buf(), source })? {
            // Under another name until it is whole: half a new database is none, and would never open.
            let mut name = path.file_name().unwrap_or_default().to_os_string();
            name.push(".new");
            let new = path.with_file_name(name);
            durable::remove(&new)?;
            let made = Self::open_file(&new)?;
            {
                // What closing writes is not needed: everything is committed.
                let _step = fault::at(Place::Other);
                drop(made);
            }
            durable::rename(&new, path)?;
            durable::sync_dir(dir)?;
        }
        Self::open_file(path)
    }

    fn open_file(path: &Path) -> Result<Self, StateError> {
        let file = durable::open(OpenOptions::new().read(true).write(true).create(true).truncate(false), path)?;
        let backend = Backend { file: FileBackend::new(file)?, path: path.to_path_buf() };
        let damaged = |why: &str| StateError::Damaged { path: path.to_path_buf(), why: why.to_owned() };
        // Damage that redb does not look for ends in a panic of its own.
        let db = catch_unwind(AssertUnwindSafe(|| checked(backend))).map_err(|_panic| damaged("unreadable"))?;
        let db = match db {
            Err(StateError::Database(error)) if is_damage(&error) => return Err(damaged(&error.to_string())),
            db => db.map_err(|error| device(error, path))?,
        };
        let Some(db) = db else { return Err(damaged("checksums do not hold")) };
        let state = Self { db, path: path.to_path_buf(), failed: AtomicBool::new(false) };
        // Both tables exist from here on, so that reads need no case for a table that is missing.
        state.write(|_single, _lists| Ok(()))?;
        Ok(state)
    }

    fn write<T>(
        &self,
        change: impl FnOnce(
            &mut redb::Table<'_, &'static str, &'static [u8]>,
            &mut redb::Table<'_, u64, &'static [u8]>,
        ) -> Result<T, StateError>,
    ) -> Result<T, StateError> {
        if self.failed.load(Ordering::Acquire) {
            return Err(StateError::Failed);
        }
        let result = self.transaction(change).map_err(|error| device(error, &self.path));
        let failed = result.as_ref().is_err_and(|error| !error.is_refusal());
        self.failed.store(failed, Ordering::Release);
        result
    }

    fn transaction<T>(
        &self,
        change: impl FnOnce(
            &mut redb::Table<'_, &'static str, &'static [u8]>,
            &mut redb::Table<'_, u64, &'static [u8]>,
        ) -> Result<T, StateError>,
    ) -> Result<T, StateError> {
        let mut transaction = self.db.begin_write()?;
        transaction.set_two_phase_commit(true);
        let result = {
            let mut single = transaction.open_table(SINGLE)?;
            let mut lists = transaction.open_table(LISTS)?;
            change(&mut single, &mut lists)?
        };
        transaction.commit()?;
        Ok(result)
    }

    fn read_single(&self, key: &str) -> Result<Option<Vec<u8>>, StateError> {
        use redb::ReadableDatabase;
        let table = self.db.begin_read()?.open_table(SINGLE)?;
        Ok(table.get(key)?.map(|value| value.value().to_vec()))
    }

    /// The lock; `None` before the first commit.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn lock(&self) -> Result<Option<Lock>, StateError> {
        self.read_single(LOCK)?.map(|bytes| Ok(codec::decode(&bytes, codec::FRAME_MAX)?)).transpose()
    }

    /// The commit point of a slot: after this the head may be signed, and no other head of its size or a smaller one
    /// ever again. The same lock twice is fine. `opened` never goes back: the larger of both is kept.
    ///
    /// # Errors
    /// [`StateError::LockBehind`] when it would go back; anything else is fatal.
    pub fn commit(&self, lock: &Lock) -> Result<(), StateError> {
        let _step = fault::at(Place::Commit);
        self.write(|single, _lists| {
            let mut lock = lock.clone();
            if let Some(held) = read_lock(single)? {
                lock.opened = lock.opened.max(held.opened);
                let back = lock.head.size < held.head.size || lock.slot < held.slot;
                let other = lock.head.size == held.head.size && lock != Lock { opened: lock.opened, ..held.clone() };
                if back || other {
                    return Err(StateError::LockBehind { held: held.head, asked: lock.head });
                }
            }
            single.insert(LOCK, codec::encode(&lock).as_slice())?;
            Ok(())
        })
    }

    /// Records that a slot is opened. Smaller slots than the recorded one change nothing; nor does a call without lock.
    ///
    /// # Errors
    /// [`StateError`]; fatal.
    pub fn set_opened(&self, slot: Slot) -> Result<(), StateError> {
        self.write(|single, _lists| {
            if let Some(mut lock) = read_lock(single)?
                && lock.opened < slot
            {
                lock.opened = slot;
                single.insert(LOCK, codec::encode(&lock).as_slice())?;
            }
            Ok(())
        })
    }

    /// Records the one list of this member for a slot, before its signature leaves. The same bytes twice are fine.
    /// Keeps the newest [`LISTS_KEPT`].
    ///
    /// # Errors
    /// [`StateError::ListSigned`] when another list for this slot, or any for a later one, is there: do not sign.
    pub fn put_list(&self, slot: Slot, bytes: &[u8]) -> Result<(), StateError> {
        check_length(bytes)?;
        let _step = fault::at(Place::List);
        self.write(|_single, lists| {
            let last = lists.last()?.map(|(last, held)| (last.value(), held.value() == bytes));
            match last {
                Some((last, same)) if last == slot.0 && same => return Ok(()),
                Some((last, _)) if last >= slot.0 => return Err(StateError::ListSigned(slot)),
                Some(_) | None => {}
            }
            lists.insert(slot.0, bytes)?;
            let kept = u64::try_from(LISTS_KEPT).unwrap_or(u64::MAX);
            let oldest = slot.0.saturating_sub(kept).saturating_add(1);
            lists.retain_in(..oldest, |_slot, _list| false)?;
            Ok(())
        })
    }

    /// This member's list for a slot, if it is still kept.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn list(&self, slot: Slot) -> Result<Option<Vec<u8>>, StateError> {
        use redb::ReadableDatabase;
        let table = self.db.begin_read()?.open_table(LISTS)?;
        Ok(table.get(slot.0)?.map(|value| value.value().to_vec()))
    }

    /// The highest slot for which this member has signed a list.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn last_list(&self) -> Result<Option<Slot>, StateError> {
        use redb::ReadableDatabase;
        let table = self.db.begin_read()?.open_table(LISTS)?;
        Ok(table.last()?.map(|(slot, _list)| Slot(slot.value())))
    }

    /// Stores a value under a key of the caller's, durably.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn put<T: Serialize>(&self, key: &str, value: &T) -> Result<(), StateError> {
        let bytes = codec::encode(value);
        check_length(&bytes)?;
        self.write(|single, _lists| {
            single.insert(user_key(key).as_str(), bytes.as_slice())?;
            Ok(())
        })
    }

    /// The value under a key of the caller's.
    ///
    /// # Errors
    /// [`StateError::Value`] when it is of another type.
    pub fn value<T: Serialize + serde::de::DeserializeOwned>(&self, key: &str) -> Result<Option<T>, StateError> {
        let bytes = self.read_single(&user_key(key))?;
        bytes.map(|bytes| Ok(codec::decode(&bytes, VALUE_BYTES_MAX)?)).transpose()
    }
}

/// The database with all its checksums looked at, which opening it does not; `None`: they do not hold.
fn checked(backend: Backend) -> Result<Option<Database>, StateError> {
    let mut db = Database::builder().create_with_backend(backend)?;
    let is_whole = db.check_integrity()?;
    Ok(is_whole.then_some(db))
}

/// What the disk said is told as such.
fn device(error: StateError, path: &Path) -> StateError {
    let StateError::Database(error) = error else { return error };
    if let redb::Error::Io(source) = *error {
        return DiskError { op: Op::Write, path: path.to_path_buf(), source }.into();
    }
    StateError::Database(error)
}

fn is_damage(error: &redb::Error) -> bool {
    if let redb::Error::Io(error) = error {
        return matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof);
    }
    matches!(error, redb::Error::Corrupted(_) | redb::Error::UpgradeRequired(_))
}

/// Keys of callers never meet ours.
fn user_key(key: &str) -> String {
    format!("user/{key}")
}

fn check_length(bytes: &[u8]) -> Result<(), StateError> {
    if bytes.len() > VALUE_BYTES_MAX { Err(StateError::TooLong(bytes.len())) } else { Ok(()) }
}

fn read_lock(single: &redb::Table<'_, &'static str, &'static [u8]>) -> Result<Option<Lock>, StateError> {
    let held = single.get(LOCK)?;
    held.map(|held| Ok(codec::decode(held.value(), codec::FRAME_MAX)?)).transpose()
}

#[cfg(test)]
mod tests;
