//! Receipts that `lockstep audit` holds against the log, and the files that prove what they show.
use crate::files::{self, FilesError};
use std::path::{Path, PathBuf};
use types::limits;
use verifier::Proof;

/// A receipt with its envelope in hex.
const FILE_BYTES_MAX: usize = 2 * limits::ENVELOPE_BYTES_MAX + 4_096;
/// Receipts of one audit.
const FILES_MAX: usize = 100_000;

/// The files of a folder, by name: a receipt each.
///
/// # Errors
/// [`FilesError`].
pub(crate) fn read(folder: &Path) -> Result<Vec<(PathBuf, Vec<u8>)>, FilesError> {
    let io = |source| FilesError::Io { path: folder.to_path_buf(), source };
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(io)?.take(FILES_MAX) {
        let path = entry.map_err(io)?.path();
        if path.is_file() {
            paths.push(path);
        }
    }
    paths.sort();
    paths.into_iter().map(|path| files::read(&path, FILE_BYTES_MAX).map(|bytes| (path, bytes))).collect()
}

/// Writes what proves the findings, one file each, named `finding-member-hash`.
///
/// # Errors
/// [`FilesError`].
pub(crate) fn write(folder: &Path, proofs: &[Proof]) -> Result<(), FilesError> {
    let io = |source| FilesError::Io { path: folder.to_path_buf(), source };
    std::fs::create_dir_all(folder).map_err(io)?;
    for Proof { code, member, bytes } in proofs {
        let hash = crypto::hash::sha256(&[bytes]);
        files::write(&folder.join(format!("{code}-{member}-{hash}")), bytes)?;
    }
    Ok(())
}
