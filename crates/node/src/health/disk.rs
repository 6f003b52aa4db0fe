//! Free space where the member's data is.
use std::{io, path::Path};

/// Bytes that an ordinary user may still write there.
///
/// # Errors
/// The operating system's.
pub(crate) fn free(folder: &Path) -> io::Result<u64> {
    let stat = rustix::fs::statvfs(folder)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}
