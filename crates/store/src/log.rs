//! The log on disk: `log/` is exactly the tree that is served, `staging/` holds what a commit has fixed until it stands
//! in tiles, `heads/` every published checkpoint.
//!
//! ```text
//!  stage(entries) -> staging/<size>, synced      the caller: State::commit(lock), then sign, then send
//!  apply(staged)  -> tiles, synced; then staging/<size> is removed
//!  publish(note)  -> heads/<epoch>, then log/checkpoint
//!  append(entries): in memory, part of the next stage; lost in a crash, and rebuilt from the openings
//! ```
//!
//! Each staging file holds everything from the applied size on, so one file is enough to recover, and what a crash
//! leaves beyond the lock is discarded. The files are not trusted: whoever can write them can at most make the member
//! refuse to start, because what they give must have the locked root.
use crate::{
    durable::{self, DiskError},
    fault::{self, Place},
    heads::Heads,
    state::Lock,
};
use std::{
    collections::BTreeSet,
    fs,
    ops::Range,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
};
use tlog::{
    Tree, checkpoint,
    note::Note,
    proof::{self, Node, ProveError, TlogProof},
    tiles::{self, BytesError, Edge, EntryTooLong, Level, NodeReader, Tile, TileError},
};
use types::{Epoch, Head, Slot, limits::ENTRY_BYTES_MAX};

const STAGING_MAGIC: &[u8; 8] = b"LKSTAGE1";
/// A commit has no limit of its own: what was staged must be readable.
const STAGING_BYTES_MAX: usize = usize::MAX >> 1;

/// Why the log cannot be opened or written. [`LogError::EntryTooLong`], [`LogError::NotApplied`] and
/// [`LogError::NotOurs`] change nothing; all others are fatal.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// The disk failed.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// A tile is not what the tree says. Sign nothing.
    #[error("{tile}: {error}")]
    Tile {
        /// Which.
        tile: Tile,
        /// What about it.
        error: TileFault,
    },
    /// Tiles and staging do not give the locked root. Sign nothing.
    #[error("the log's root at size {} is not the locked one", locked.size)]
    Root {
        /// What is locked.
        locked: Head,
        /// What the disk gives.
        found: Head,
    },
    /// Neither tiles nor staging reach the locked head. Sign nothing.
    #[error("no staging file for the locked size {0}")]
    NoStaging(u64),
    /// The staging file of the locked head is damaged. Sign nothing.
    #[error("staging file of size {0} is damaged")]
    Staging(u64),
    /// The log is longer than the lock: `state.redb` is missing or from a backup. Sign nothing.
    #[error("the log is longer than the lock at size {0}")]
    AheadOfLock(u64),
    /// The published checkpoint is not of this log. Sign nothing.
    #[error("the published checkpoint does not belong to this log")]
    Checkpoint,
    /// An entry is too long.
    #[error(transparent)]
    EntryTooLong(#[from] EntryTooLong),
    /// A checkpoint was to be published whose entries are not in tiles.
    #[error("checkpoint of size {0} is not applied")]
    NotApplied(u64),
    /// A checkpoint was to be published that is no checkpoint of this log.
    #[error("not a checkpoint of this log")]
    NotOurs,
    /// The log has no such entry or size.
    #[error("no such entry or size")]
    OutOfRange,
    /// An earlier write failed: nothing more is written.
    #[error("an earlier write failed")]
    Failed,
}

/// What is wrong with a tile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TileFault {
    /// Not there.
    #[error("missing")]
    Missing,
    /// Not a tile of its name.
    #[error(transparent)]
    Bytes(BytesError),
    /// Contradicts the entries.
    #[error("contradicts the entries")]
    Mismatch,
}

fn tile_error(error: TileError<LogError>) -> LogError {
    match error {
        TileError::Read(error) => error,
        TileError::Bytes(tile, error) => LogError::Tile { tile, error: TileFault::Bytes(error) },
        TileError::Mismatch(tile) => LogError::Tile { tile, error: TileFault::Mismatch },
        TileError::OutOfRange | _ => LogError::OutOfRange,
    }
}

fn prove_error(error: ProveError<TileError<LogError>>) -> LogError {
    match error {
        ProveError::Read(error) => tile_error(error),
        ProveError::OutOfRange | _ => LogError::OutOfRange,
    }
}

fn bytes_error(tile: Tile) -> impl FnOnce(BytesError) -> LogError {
    move |error| LogError::Tile { tile, error: TileFault::Bytes(error) }
}

/// A commit that is staged: durable, not yet in tiles.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "commit the lock, then apply"]
pub struct Staged {
    head: Head,
    name: String,
}

impl Staged {
    /// The head that the lock has to name.
    #[must_use]
    pub const fn head(&self) -> Head {
        self.head
    }
    /// The name for [`Lock::staging`].
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// What readers see.
#[derive(Debug, Default)]
struct Shared {
    /// In tiles, durable, committed.
    applied: Head,
    /// What [`LogDir::append`] added behind that: a function of what is final, so it may be shown before it is durable.
    appended: Vec<Vec<u8>>,
    /// Index of the first of those.
    appended_at: u64,
    /// Head of `log/checkpoint`.
    published: Option<Head>,
    /// Text of `log/checkpoint`.
    checkpoint: Option<Arc<str>>,
}

#[derive(Debug)]
struct Inner {
    root: PathBuf,
    shared: RwLock<Shared>,
    heads: Mutex<Heads>,
}

/// Reads the log while [`LogDir`] writes it. Cheap to clone; any thread.
#[derive(Clone, Debug)]
pub struct LogReader {
    inner: Arc<Inner>,
}

/// The writer: one per directory.
#[derive(Debug)]
pub struct LogDir {
    staging: PathBuf,
    /// At the applied size.
    edge: Edge,
    /// Over everything, staged and unsigned too.
    tree: Tree,
    /// Entries from the applied size on.
    pending: Vec<Vec<u8>>,
    /// Sizes whose partial tiles are on disk, oldest first.
    kept: Vec<u64>,
    reader: LogReader,
    failed: bool,
}

fn file_path(root: &Path, tile: &Tile) -> PathBuf {
    root.join(tiles::path(tile))
}

/// A tile's file, or cut from a wider one in its place.
fn read_tile(root: &Path, tile: &Tile) -> Result<Vec<u8>, LogError> {
    if let Some(bytes) = durable::read(&file_path(root, tile), tile.bytes_max())? {
        return Ok(bytes);
    }
    let mut wider: Vec<u16> = widths(root, tile)?.into_iter().filter(|width| *width > tile.width()).collect();
    wider.sort_unstable();
    wider.insert(0, tiles::TILE_WIDTH);
    for wide in wider.into_iter().filter_map(|width| Tile::new(tile.level(), tile.index(), width)) {
        if let Some(bytes) = durable::read(&file_path(root, &wide), wide.bytes_max())? {
            return Ok(tile.cut(&bytes).map_err(bytes_error(*tile))?.to_vec());
        }
    }
    Err(LogError::Tile { tile: *tile, error: TileFault::Missing })
}

fn encode_staging(base: u64, entries: &[Vec<u8>]) -> Result<Vec<u8>, LogError> {
    let mut bytes = STAGING_MAGIC.to_vec();
    bytes.extend_from_slice(&base.to_le_bytes());
    bytes.extend_from_slice(&tiles::encode_bundle(entries)?);
    Ok(bytes)
}

fn decode_staging(bytes: &[u8]) -> Option<(u64, Vec<&[u8]>)> {
    let (base, entries) = bytes.strip_prefix(STAGING_MAGIC)?.split_first_chunk::<8>()?;
    Some((u64::from_le_bytes(*base), tiles::decode_bundle(entries).ok()?))
}

impl LogDir {
    /// Opens the log of a member's directory at the locked head, or makes an empty one when nothing is locked. Applies
    /// the staging file of the locked head if tiles do not reach it, discards all others.
    ///
    /// # Errors
    /// [`LogError`]: all of them mean that this member must sign nothing.
    pub fn open(dir: &Path, lock: Option<&Lock>) -> Result<Self, LogError> {
        let _step = fault::at(Place::Open);
        let (root, staging) = (dir.join("log"), dir.join("staging"));
        durable::create_dir(&root)?;
        durable::create_dir(&staging)?;
        let heads = Heads::open(&dir.join("heads"))?;
        let locked = lock.map(|lock| lock.head).unwrap_or(Tree::new().head());
        let edge = recover(&root, &staging, &locked, lock.map(|lock| lock.staging.as_str()))?;
        refuse_ahead(&root, locked.size)?;
        let checkpoint = durable::read(&root.join(tiles::CHECKPOINT_PATH), tlog::note::NOTE_BYTES_MAX)?;
        let mut shared = Shared { applied: locked, ..Shared::default() };
        if let Some(bytes) = checkpoint {
            let (text, head) = read_checkpoint(bytes).ok_or(LogError::Checkpoint)?;
            if head.size > locked.size {
                return Err(LogError::AheadOfLock(locked.size));
            }
            if root_at(&root, locked.size, head.size)? != head {
                return Err(LogError::Checkpoint);
            }
            (shared.published, shared.checkpoint) = (Some(head), Some(text.into()));
        }
        let kept: Vec<u64> = shared.published.map(|head| head.size).into_iter().chain([locked.size]).collect();
        // In this order: while a staging file is there, the partial tiles that it builds on must be, too.
        for name in durable::names(&staging)? {
            durable::remove(&staging.join(name))?;
        }
        durable::sync_dir(&staging)?;
        remove_other_partials(&root, locked.size, &kept)?;
        let inner = Inner { root, shared: RwLock::new(shared), heads: Mutex::new(heads) };
        let (tree, reader) = (edge.tree().clone(), LogReader { inner: Arc::new(inner) });
        Ok(Self { staging, edge, tree, pending: Vec::new(), kept, reader, failed: false })
    }

    /// A reader for other threads.
    #[must_use]
    pub fn reader(&self) -> LogReader {
        self.reader.clone()
    }

    /// Number of entries: committed, staged and unsigned ones.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.tree.size()
    }

    /// Head over all entries: committed, staged and unsigned ones.
    #[must_use]
    pub fn head(&self) -> Head {
        self.tree.head()
    }

    /// The tree over all entries.
    #[must_use]
    pub const fn tree(&self) -> &Tree {
        &self.tree
    }

    /// The head that tiles reach.
    #[must_use]
    pub fn applied(&self) -> Head {
        self.reader.applied()
    }

    /// Appends entries that nothing is signed over yet (section part B): kept in memory, staged with the next commit.
    ///
    /// # Errors
    /// [`LogError::EntryTooLong`], and nothing is appended.
    pub fn append(&mut self, entries: &[Vec<u8>]) -> Result<Head, LogError> {
        let at = self.size();
        let head = self.push(entries)?;
        self.reader.inner.with_shared(|shared| {
            if shared.appended.is_empty() {
                shared.appended_at = at;
            }
            shared.appended.extend_from_slice(entries);
        });
        Ok(head)
    }

    fn push(&mut self, entries: &[Vec<u8>]) -> Result<Head, LogError> {
        if self.failed {
            return Err(LogError::Failed);
        }
        if entries.iter().any(|entry| entry.len() > ENTRY_BYTES_MAX) {
            return Err(EntryTooLong.into());
        }
        for entry in entries {
            self.tree.append(entry);
            self.pending.push(entry.clone());
        }
        Ok(self.head())
    }

    /// Appends entries and makes everything up to them durable in one staging file. Then the caller commits the lock
    /// (head and name of what is returned), signs, sends, and calls [`LogDir::apply`].
    ///
    /// # Errors
    /// [`LogError::EntryTooLong`], and nothing is appended; [`LogError::Disk`] is fatal.
    pub fn stage(&mut self, entries: &[Vec<u8>]) -> Result<Staged, LogError> {
        let head = self.push(entries)?;
        let bytes = encode_staging(self.edge.tree().size(), &self.pending)?;
        let name = head.size.to_string();
        let _step = fault::at(Place::Stage);
        self.failed = true;
        durable::write_plain(&self.staging.join(&name), &bytes)?;
        self.failed = false;
        Ok(Staged { head, name })
    }

    /// Writes the tiles of a commit, durably, and drops its staging file and older ones. Call it after
    /// [`crate::state::State::commit`]; a commit that a later one has covered is done already.
    ///
    /// # Errors
    /// [`LogError`]; fatal.
    pub fn apply(&mut self, staged: Staged) -> Result<(), LogError> {
        if self.failed {
            return Err(LogError::Failed);
        }
        let old = self.edge.tree().size();
        let _step = fault::at(Place::Apply);
        let Some(count) = staged.head.size.checked_sub(old).filter(|count| *count > 0) else {
            self.failed = true;
            durable::remove(&self.staging.join(staged.name))?;
            self.failed = false;
            return Ok(());
        };
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        let entries = self.pending.get(..count).ok_or(LogError::OutOfRange)?;
        self.failed = true;
        let files = self.edge.append(entries)?;
        let found = self.edge.tree().head();
        if found != staged.head {
            return Err(LogError::Root { locked: staged.head, found });
        }
        let root = self.reader.inner.root.clone();
        write_tiles(&root, &self.staging, files)?;
        self.pending.drain(..count);
        self.reader.inner.with_shared(|shared| {
            shared.applied = found;
            // a commit covers whatever was appended before it
            shared.appended.clear();
        });
        self.remove_staging(found.size)?;
        self.kept.push(found.size);
        self.drop_partials()?;
        self.failed = false;
        Ok(())
    }

    fn remove_staging(&self, upto: u64) -> Result<(), DiskError> {
        for name in durable::names(&self.staging)? {
            if name.parse().is_ok_and(|size: u64| size <= upto) {
                durable::remove(&self.staging.join(name))?;
            }
        }
        Ok(())
    }

    /// Keeps the partial tiles of the last two applied heads and of the published one; others are cut on the fly.
    fn drop_partials(&mut self) -> Result<(), DiskError> {
        let published = self.reader.published().map(|head| head.size);
        let recent = self.kept.len().saturating_sub(2);
        let (old, new) = self.kept.split_at(recent);
        let is_kept = |size: &u64| new.contains(size) || Some(*size) == published;
        let stay: BTreeSet<Tile> =
            self.kept.iter().filter(|size| is_kept(size)).flat_map(|size| tiles::partials(*size)).collect();
        for tile in old.iter().filter(|size| !is_kept(size)).flat_map(|size| tiles::partials(*size)) {
            if !stay.contains(&tile) {
                remove_partial(&self.reader.inner.root, &tile)?;
            }
        }
        let kept = self.kept.iter().filter(|size| is_kept(size)).copied().collect();
        self.kept = kept;
        Ok(())
    }

    /// Publishes a quorum's checkpoint: keeps it in `heads/`, and makes it the newest if it is. Signatures are the
    /// caller's to check; that the text is a head of this log is checked here.
    ///
    /// # Errors
    /// [`LogError::NotOurs`] and [`LogError::NotApplied`] change nothing; [`LogError::Disk`] is fatal.
    pub fn publish(&mut self, epoch: Epoch, slot: Slot, note: &str) -> Result<(), LogError> {
        if self.failed {
            return Err(LogError::Failed);
        }
        let (_, head) = read_checkpoint(note.as_bytes().to_vec()).ok_or(LogError::NotOurs)?;
        let applied = self.applied();
        if head.size > applied.size {
            return Err(LogError::NotApplied(head.size));
        }
        let inner = &self.reader.inner;
        if head != applied && root_at(&inner.root, applied.size, head.size)? != head {
            return Err(LogError::NotOurs);
        }
        let _step = fault::at(Place::Publish);
        self.failed = true;
        inner.heads().push(epoch, slot, note)?;
        if self.reader.published().is_none_or(|published| published.size < head.size) {
            let path = inner.root.join(tiles::CHECKPOINT_PATH);
            // Through staging: `log/` holds nothing but what is served.
            durable::write_batch(&self.staging, &[(path, note.as_bytes().to_vec())])?;
            inner.with_shared(|shared| {
                (shared.published, shared.checkpoint) = (Some(head), Some(note.into()));
            });
        }
        self.failed = false;
        Ok(())
    }

    /// An entry: committed, staged or unsigned.
    ///
    /// # Errors
    /// [`LogError::OutOfRange`], or a tile that cannot be read.
    pub fn read_entry(&self, index: u64) -> Result<Vec<u8>, LogError> {
        let applied = self.edge.tree().size();
        match index.checked_sub(applied) {
            None => self.reader.read_entry(index),
            Some(place) => {
                let entry = usize::try_from(place).ok().and_then(|place| self.pending.get(place));
                entry.cloned().ok_or(LogError::OutOfRange)
            }
        }
    }

    /// Entries of a range: committed, staged or unsigned.
    ///
    /// # Errors
    /// [`LogError::OutOfRange`], or a tile that cannot be read.
    pub fn entries(&self, range: Range<u64>) -> Result<Vec<Vec<u8>>, LogError> {
        if range.start > range.end || range.end > self.size() {
            return Err(LogError::OutOfRange);
        }
        let applied = self.edge.tree().size();
        let mut entries = Vec::new();
        if range.start < applied {
            entries = self.reader.entries(range.start..range.end.min(applied))?;
        }
        for index in range.start.max(applied)..range.end {
            entries.push(self.read_entry(index)?);
        }
        Ok(entries)
    }
}

impl Inner {
    fn with_shared(&self, change: impl FnOnce(&mut Shared)) {
        change(&mut self.shared.write().unwrap_or_else(PoisonError::into_inner));
    }
    fn heads(&self) -> MutexGuard<'_, Heads> {
        self.heads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LogReader {
    fn with<T>(&self, look: impl FnOnce(&Shared) -> T) -> T {
        look(&self.inner.shared.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The head that tiles reach: durable and committed, not always published.
    #[must_use]
    pub fn applied(&self) -> Head {
        self.with(|shared| shared.applied)
    }
    /// The size that tiles reach, and what was appended right behind it.
    #[must_use]
    pub fn appended(&self) -> (u64, Vec<Vec<u8>>) {
        self.with(|shared| {
            let size = shared.applied.size;
            (size, if shared.appended_at == size { shared.appended.clone() } else { Vec::new() })
        })
    }
    /// The head of the newest published checkpoint.
    #[must_use]
    pub fn published(&self) -> Option<Head> {
        self.with(|shared| shared.published)
    }
    /// The newest published checkpoint.
    #[must_use]
    pub fn checkpoint(&self) -> Option<Arc<str>> {
        self.with(|shared| shared.checkpoint.clone())
    }
    /// The checkpoint that was published for a slot.
    ///
    /// # Errors
    /// [`LogError::Disk`].
    pub fn head_note(&self, slot: Slot) -> Result<Option<String>, LogError> {
        Ok(self.inner.heads().note(slot)?)
    }
    /// The last slot with a published checkpoint.
    #[must_use]
    pub fn last_published_slot(&self) -> Option<Slot> {
        self.inner.heads().last()
    }

    /// A tile of the published log, at any width that it has had; `None` for all others.
    ///
    /// # Errors
    /// [`LogError`] when a file is missing or damaged.
    pub fn tile(&self, tile: &Tile) -> Result<Option<Vec<u8>>, LogError> {
        match self.published() {
            Some(head) if tile.is_within(head.size) => self.any_tile(tile).map(Some),
            Some(_) | None => Ok(None),
        }
    }

    /// A tile of the applied log: its file, or cut from the widest one.
    fn any_tile(&self, tile: &Tile) -> Result<Vec<u8>, LogError> {
        let mut before = None;
        loop {
            let applied = self.applied().size;
            let widest = Tile::at(tile.level(), tile.index(), applied).ok_or(LogError::OutOfRange)?;
            match read_tile(&self.inner.root, &widest) {
                // The writer may have replaced the partial tile in between: look again where it stands.
                Err(LogError::Tile { error: TileFault::Missing, .. }) if before != Some(applied) => {
                    before = Some(applied);
                }
                Err(error) => return Err(error),
                Ok(bytes) => return Ok(tile.cut(&bytes).map_err(bytes_error(*tile))?.to_vec()),
            }
        }
    }

    /// An entry of the applied log.
    ///
    /// # Errors
    /// [`LogError::OutOfRange`], or a tile that cannot be read.
    pub fn read_entry(&self, index: u64) -> Result<Vec<u8>, LogError> {
        let end = index.checked_add(1).ok_or(LogError::OutOfRange)?;
        self.entries(index..end)?.pop().ok_or(LogError::OutOfRange)
    }

    /// Entries of the applied log.
    ///
    /// # Errors
    /// [`LogError::OutOfRange`], or a tile that cannot be read.
    pub fn entries(&self, range: Range<u64>) -> Result<Vec<Vec<u8>>, LogError> {
        let applied = self.applied().size;
        if range.start > range.end || range.end > applied {
            return Err(LogError::OutOfRange);
        }
        let mut entries = Vec::new();
        let mut index = range.start;
        while index < range.end {
            let tile = Tile::at(Level::Entries, index >> 8, applied).ok_or(LogError::OutOfRange)?;
            let bytes = self.any_tile(&tile)?;
            let bundle = tiles::entries_of(&tile, &bytes).map_err(bytes_error(tile))?;
            let skip = usize::try_from(index & 255).unwrap_or(usize::MAX);
            let take = usize::try_from(range.end.saturating_sub(index)).unwrap_or(usize::MAX);
            entries.extend(bundle.into_iter().skip(skip).take(take).map(<[u8]>::to_vec));
            index = (index | 255).saturating_add(1);
        }
        Ok(entries)
    }

    fn nodes(&self, size: u64) -> NodeReader<impl FnMut(&Tile) -> Result<Vec<u8>, LogError>> {
        NodeReader::new(size, move |tile: &Tile| self.any_tile(tile))
    }

    /// Audit path of an entry in the tree of `size` entries, at most the applied ones.
    ///
    /// # Errors
    /// [`LogError::OutOfRange`], or a tile that cannot be read.
    pub fn inclusion(&self, size: u64, index: u64) -> Result<Vec<types::Hash>, LogError> {
        self.check_size(size)?;
        let mut nodes = self.nodes(size);
        proof::inclusion(size, index, |node: Node| nodes.node(node)).map_err(prove_error)
    }

    /// Proof that the tree of `old` entries is the beginning of that of `new`, at most the applied ones.
    ///
    /// # Errors
    /// [`LogError::OutOfRange`], or a tile that cannot be read.
    pub fn consistency(&self, old: u64, new: u64) -> Result<Vec<types::Hash>, LogError> {
        self.check_size(new)?;
        let mut nodes = self.nodes(new);
        proof::consistency(old, new, |node: Node| nodes.node(node)).map_err(prove_error)
    }

    /// The `.tlog-proof` of an entry under the newest published checkpoint; `None` when that does not cover it.
    ///
    /// # Errors
    /// [`LogError`] when a tile cannot be read.
    pub fn proof(&self, index: u64, extra: Option<Vec<u8>>) -> Result<Option<TlogProof>, LogError> {
        let newest = self.with(|shared| shared.published.zip(shared.checkpoint.clone()));
        let Some((head, text)) = newest.filter(|(head, _text)| index < head.size) else { return Ok(None) };
        let path = self.inclusion(head.size, index)?;
        Ok(Some(TlogProof { extra, index, path, checkpoint: text.to_string() }))
    }

    fn check_size(&self, size: u64) -> Result<(), LogError> {
        if size > self.applied().size { Err(LogError::OutOfRange) } else { Ok(()) }
    }

    /// Replays every bundle of the applied log and compares every tile: reads the whole log.
    ///
    /// # Errors
    /// [`LogError::Tile`] names the first tile that is wrong, [`LogError::Root`] another root than the applied one.
    pub fn check(&self) -> Result<Head, LogError> {
        let locked = self.applied();
        let found = tiles::check(locked.size, |tile| self.any_tile(tile)).map_err(tile_error)?;
        if found == locked { Ok(found) } else { Err(LogError::Root { locked, found }) }
    }
}

fn write_tiles(root: &Path, scratch: &Path, files: Vec<tiles::TileFile>) -> Result<(), DiskError> {
    let files: Vec<_> = files.into_iter().map(|(tile, bytes)| (file_path(root, &tile), bytes)).collect();
    durable::write_batch(scratch, &files)
}

/// The edge at the locked size. While the staging file of the locked head is there, its tiles may be there in part and
/// in any order, because renames become durable in any order: they are written again. Without it they are complete.
fn recover(root: &Path, staging: &Path, locked: &Head, name: Option<&str>) -> Result<Edge, LogError> {
    let staged = match name {
        Some(name) if is_staging_name(name) => durable::read(&staging.join(name), STAGING_BYTES_MAX)?,
        Some(_) | None => None,
    };
    let (edge, files) = match staged {
        Some(bytes) => {
            let (base, entries) = decode_staging(&bytes).ok_or(LogError::Staging(locked.size))?;
            let mut edge = Edge::read(base, |tile| read_tile(root, tile)).map_err(tile_error)?;
            let files = edge.append(&entries)?;
            (edge, files)
        }
        None => match Edge::read(locked.size, |tile| read_tile(root, tile)).map_err(tile_error) {
            Err(LogError::Tile { error: TileFault::Missing, .. }) => return Err(LogError::NoStaging(locked.size)),
            edge => (edge?, Vec::new()),
        },
    };
    let found = edge.tree().head();
    if found != *locked {
        return Err(LogError::Root { locked: *locked, found });
    }
    write_tiles(root, staging, files)?;
    Ok(edge)
}

fn is_staging_name(name: &str) -> bool {
    name.parse().is_ok_and(|size: u64| size.to_string() == name)
}

/// Tiles beyond the lock: then the lock is older than the log.
fn refuse_ahead(root: &Path, size: u64) -> Result<(), LogError> {
    let next = Tile::new(Level::Hashes(0), size >> 8, tiles::TILE_WIDTH).ok_or(LogError::OutOfRange)?;
    let width = size & 255;
    if file_path(root, &next).exists() || widths(root, &next)?.into_iter().any(|found| u64::from(found) > width) {
        return Err(LogError::AheadOfLock(size));
    }
    Ok(())
}

/// Directory of a tile's partial versions.
fn partial_dir(root: &Path, tile: &Tile) -> PathBuf {
    let mut name = tiles::path(&tile.full());
    name.push_str(".p");
    root.join(name)
}

/// Widths of the partial versions of a tile on disk.
fn widths(root: &Path, tile: &Tile) -> Result<Vec<u16>, DiskError> {
    Ok(durable::names(&partial_dir(root, tile))?.iter().filter_map(|name| name.parse().ok()).collect())
}

fn remove_partial(root: &Path, tile: &Tile) -> Result<(), DiskError> {
    durable::remove(&file_path(root, tile))?;
    // Not empty, or gone: both are fine.
    fs::remove_dir(partial_dir(root, tile)).ok();
    Ok(())
}

/// Removes partial tiles at the right edge that no kept size has: leftovers of a crash.
fn remove_other_partials(root: &Path, size: u64, kept: &[u64]) -> Result<(), DiskError> {
    let stay: BTreeSet<Tile> = kept.iter().flat_map(|size| tiles::partials(*size)).collect();
    for edge in tiles::partials(size) {
        for width in widths(root, &edge)? {
            if let Some(tile) = Tile::new(edge.level(), edge.index(), width).filter(|tile| !stay.contains(tile)) {
                remove_partial(root, &tile)?;
            }
        }
    }
    Ok(())
}

/// Head of the first `size` entries, out of the tiles of a tree of `whole` entries.
fn root_at(root: &Path, whole: u64, size: u64) -> Result<Head, LogError> {
    let mut nodes = NodeReader::new(whole, |tile: &Tile| read_tile(root, tile));
    proof::head(size, |node: Node| nodes.node(node)).map_err(prove_error)
}

fn read_checkpoint(bytes: Vec<u8>) -> Option<(String, Head)> {
    let note = Note::parse(&bytes).ok()?;
    let (_origin, head) = checkpoint::parse(note.text()).ok()?;
    Some((String::from_utf8(bytes).ok()?, head))
}

#[cfg(test)]
mod tests;
