//! Every fsync and every rename of the workspace.
//!
//! A file is replaced in four steps: write a temporary file, fsync it, rename it, fsync the directory. After a crash
//! either the old bytes or the new ones stand under the name, never something between.
//!
//! Any error of this module means that what is on disk is unknown: the kernel may have dropped the pages that it
//! could not write, and a second fsync would report success. Whoever gets one ends the process and signs nothing.
use crate::fault;
use std::{
    collections::BTreeSet,
    fmt,
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Write},
    path::{Path, PathBuf},
};

/// What was being done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Op {
    /// Creating a directory.
    CreateDir,
    /// Creating or opening a file.
    Open,
    /// Reading.
    Read,
    /// Writing.
    Write,
    /// Forcing a file to disk.
    SyncFile,
    /// Forcing a directory to disk.
    SyncDir,
    /// Renaming.
    Rename,
    /// Removing.
    Remove,
    /// Locking.
    Lock,
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CreateDir => "cannot create directory",
            Self::Open => "cannot open",
            Self::Read => "cannot read",
            Self::Write => "cannot write",
            Self::SyncFile => "cannot sync",
            Self::SyncDir => "cannot sync directory",
            Self::Rename => "cannot rename to",
            Self::Remove => "cannot remove",
            Self::Lock => "cannot lock",
        })
    }
}

/// The disk did not do what it was told. Fatal: no retry, the process ends before it signs anything else.
#[derive(Debug, thiserror::Error)]
#[error("{op} {}: {source}", path.display())]
pub struct DiskError {
    /// What was being done.
    pub op: Op,
    /// To what.
    pub path: PathBuf,
    /// What the system said.
    pub source: io::Error,
}

impl DiskError {
    /// The disk is full: the operator can help.
    #[must_use]
    pub fn is_full(&self) -> bool {
        matches!(self.source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
    }
}

pub(crate) trait Context<T> {
    fn context(self, op: Op, path: &Path) -> Result<T, DiskError>;
}

impl<T> Context<T> for io::Result<T> {
    fn context(self, op: Op, path: &Path) -> Result<T, DiskError> {
        self.map_err(|source| DiskError { op, path: path.to_path_buf(), source })
    }
}

/// Forces a file's bytes and length to disk (fdatasync).
///
/// # Errors
/// [`DiskError`].
#[expect(clippy::disallowed_methods, reason = "the one place that syncs")]
pub fn sync_data(file: &File, path: &Path) -> Result<(), DiskError> {
    fault::sync(Op::SyncFile, path, || file.sync_data()).context(Op::SyncFile, path)
}

/// Forces a file's bytes and metadata to disk (fsync).
///
/// # Errors
/// [`DiskError`].
#[expect(clippy::disallowed_methods, reason = "the one place that syncs")]
pub fn sync_file(file: &File, path: &Path) -> Result<(), DiskError> {
    fault::sync(Op::SyncFile, path, || file.sync_all()).context(Op::SyncFile, path)
}

/// Forces a directory's names to disk.
///
/// # Errors
/// [`DiskError`].
#[expect(clippy::disallowed_methods, reason = "the one place that syncs")]
pub fn sync_dir(dir: &Path) -> Result<(), DiskError> {
    fault::sync(Op::SyncDir, dir, || File::open(dir).and_then(|file| file.sync_all())).context(Op::SyncDir, dir)
}

/// Gives a file another name; durable only after [`sync_dir`].
///
/// # Errors
/// [`DiskError`].
#[expect(clippy::disallowed_methods, reason = "the one place that renames")]
pub fn rename(from: &Path, to: &Path) -> Result<(), DiskError> {
    fault::run(Op::Rename, to, || fs::rename(from, to)).context(Op::Rename, to)
}

/// The directory that a path stands in.
fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Creates a directory and what is missing above it, durably.
///
/// # Errors
/// [`DiskError`].
pub fn create_dir(dir: &Path) -> Result<(), DiskError> {
    let mut grown = BTreeSet::new();
    make_dirs(dir, &mut grown)?;
    grown.iter().try_for_each(|dir| sync_dir(dir))
}

/// Creates missing directories; adds those that got a new name to `grown`.
fn make_dirs(dir: &Path, grown: &mut BTreeSet<PathBuf>) -> Result<(), DiskError> {
    if dir.is_dir() {
        return Ok(());
    }
    let above = parent(dir);
    if above != dir {
        make_dirs(above, grown)?;
    }
    match fault::run(Op::CreateDir, dir, || fs::create_dir(dir)) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error).context(Op::CreateDir, dir),
        Ok(()) | Err(_) => {
            grown.insert(above.to_path_buf());
            Ok(())
        }
    }
}

fn options(private: bool) -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    if private {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    options
}

/// Opens a file to write it.
pub(crate) fn open(options: &OpenOptions, path: &Path) -> Result<File, DiskError> {
    fault::run(Op::Open, path, || options.open(path)).context(Op::Open, path)
}

/// Writes bytes by a call that takes all of them, or less when a fault is planned.
pub(crate) fn write_bytes(
    path: &Path,
    bytes: &[u8],
    write: impl FnOnce(&[u8]) -> io::Result<()>,
) -> Result<(), DiskError> {
    fault::write(path, bytes, write).context(Op::Write, path)
}

/// Sets a file's length.
pub(crate) fn set_length(file: &File, path: &Path, length: u64) -> Result<(), DiskError> {
    fault::run(Op::Write, path, || file.set_len(length)).context(Op::Write, path)
}

fn write_synced(path: &Path, bytes: &[u8], private: bool) -> Result<(), DiskError> {
    let mut file = open(&options(private), path)?;
    write_bytes(path, bytes, |bytes| file.write_all(bytes))?;
    sync_file(&file, path)
}

/// Writes a file that nobody reads before it is named elsewhere (a staging file): bytes and name are durable, but a
/// crash may leave a part of it.
///
/// # Errors
/// [`DiskError`].
pub fn write_plain(path: &Path, bytes: &[u8]) -> Result<(), DiskError> {
    write_synced(path, bytes, false)?;
    sync_dir(parent(path))
}

fn temporary(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(".tmp");
    path.with_file_name(name)
}

fn replace(path: &Path, bytes: &[u8], private: bool) -> Result<(), DiskError> {
    create_dir(parent(path))?;
    let tmp = temporary(path);
    // A leftover of a crash may have any mode.
    remove(&tmp)?;
    write_synced(&tmp, bytes, private)?;
    rename(&tmp, path)?;
    sync_dir(parent(path))
}

/// Creates or replaces a file: whole, durable, and never half.
///
/// # Errors
/// [`DiskError`].
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), DiskError> {
    replace(path, bytes, false)
}

/// [`write()`] for keys: only the owner may read the file (mode 0600 on Unix).
///
/// # Errors
/// [`DiskError`].
pub fn write_private(path: &Path, bytes: &[u8]) -> Result<(), DiskError> {
    replace(path, bytes, true)
}

/// Creates or replaces many files, each as [`write()`] does, with one fsync per directory. Temporary files stand in
/// `scratch`, on the same file system.
///
/// # Errors
/// [`DiskError`]: some files may have their new bytes.
pub fn write_batch(scratch: &Path, files: &[(PathBuf, Vec<u8>)]) -> Result<(), DiskError> {
    let mut touched = BTreeSet::new();
    let mut temporaries = Vec::with_capacity(files.len());
    for (i, (_path, bytes)) in files.iter().enumerate() {
        let tmp = scratch.join(format!("{i}.tmp"));
        write_synced(&tmp, bytes, false)?;
        temporaries.push(tmp);
    }
    for ((path, _bytes), tmp) in files.iter().zip(&temporaries) {
        make_dirs(parent(path), &mut touched)?;
        rename(tmp, path)?;
        touched.insert(parent(path).to_path_buf());
    }
    touched.iter().try_for_each(|dir| sync_dir(dir))
}

/// Removes a file if it is there. Not durable by itself: what is removed is always something that may come back.
///
/// # Errors
/// [`DiskError`].
pub fn remove(path: &Path) -> Result<(), DiskError> {
    match fault::run(Op::Remove, path, || fs::remove_file(path)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error).context(Op::Remove, path),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Reads a file of at most `max` bytes; `None` when there is none.
///
/// # Errors
/// [`DiskError`]; a longer file is one, too.
pub fn read(path: &Path, max: usize) -> Result<Option<Vec<u8>>, DiskError> {
    use std::io::Read;
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file.context(Op::Open, path)?,
    };
    let limit = u64::try_from(max).unwrap_or(u64::MAX).saturating_add(1);
    let mut bytes = Vec::new();
    file.take(limit).read_to_end(&mut bytes).context(Op::Read, path)?;
    if bytes.len() > max {
        return Err(io::Error::from(io::ErrorKind::FileTooLarge)).context(Op::Read, path);
    }
    Ok(Some(bytes))
}

/// Names in a directory, sorted; none when there is no such directory.
///
/// # Errors
/// [`DiskError`].
pub fn names(dir: &Path) -> Result<Vec<String>, DiskError> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.context(Op::Read, dir)?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.context(Op::Read, dir)?;
        // Names that are not text are not ours.
        if let Ok(name) = entry.file_name().into_string() {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// Held while a process works in a directory; dropped or dead, the next one may.
#[derive(Debug)]
pub struct DirLock {
    _file: File,
}

/// Why a directory was not locked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LockError {
    /// Another process works there.
    #[error("another process works in {}", .0.display())]
    Busy(PathBuf),
    /// The disk failed.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

/// Takes a directory for this process: creates it if missing, and a file `lock` in it.
///
/// # Errors
/// [`LockError::Busy`] when another process, or another part of this one, holds it.
pub fn lock_dir(dir: &Path) -> Result<DirLock, LockError> {
    create_dir(dir)?;
    let path = dir.join("lock");
    let file = open(OpenOptions::new().write(true).create(true).truncate(false), &path)?;
    match file.try_lock() {
        Ok(()) => Ok(DirLock { _file: file }),
        Err(TryLockError::WouldBlock) => Err(LockError::Busy(dir.to_path_buf())),
        Err(TryLockError::Error(source)) => Err(DiskError { op: Op::Lock, path, source }.into()),
    }
}

#[cfg(test)]
mod tests;
