//! The one reading of a passphrase: whatever program seals a file, every other opens it with the same bytes.
use std::io::{self, Read};
use zeroize::Zeroizing;

/// Longest passphrase, bytes.
pub const PASSPHRASE_BYTES_MAX: usize = 4_096;
/// Shortest that new files are sealed under, characters.
pub const PASSPHRASE_CHARACTERS_MIN: usize = 12;

/// Reads a passphrase to the end of `from`: all of it but the end of its last line, if that has one.
///
/// # Errors
/// The reader's; [`io::ErrorKind::InvalidData`] for an empty one, or one that is too long.
pub fn read_passphrase(from: impl Read) -> io::Result<Zeroizing<Vec<u8>>> {
    // with room for the end of a line, so that no copy is left behind by growth
    let room = PASSPHRASE_BYTES_MAX.saturating_add(3);
    let mut bytes = Zeroizing::new(Vec::with_capacity(room));
    from.take(u64::try_from(room).unwrap_or(u64::MAX)).read_to_end(&mut bytes)?;
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
        if bytes.last() == Some(&b'\r') {
            bytes.pop();
        }
    }
    if bytes.is_empty() || bytes.len() > PASSPHRASE_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a passphrase has 1 to 4096 bytes"));
    }
    Ok(bytes)
}

/// Whether new files may be sealed under it. Bytes that are no text count one by one.
#[must_use]
pub fn is_long_enough(passphrase: &[u8]) -> bool {
    let characters = core::str::from_utf8(passphrase).map_or(passphrase.len(), |text| text.chars().count());
    characters >= PASSPHRASE_CHARACTERS_MIN
}
