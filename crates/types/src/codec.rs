//! The one place where values become bytes and back: serde + bincode 2.0.1 `standard()`, bounded and canonical.
use alloc::vec::Vec;
use serde::{Serialize, de::DeserializeOwned};

/// Why bytes are not a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// Longer than the limit the caller gave.
    #[error("longer than the limit")]
    TooLong,
    /// Not an encoding of the type.
    #[error("malformed")]
    Malformed,
    /// Bytes after the value.
    #[error("bytes left over")]
    Leftover,
    /// Another encoding of the value than the canonical one.
    #[error("not canonical")]
    NotCanonical,
}

/// Bytes of the frame class: entries, requests, envelopes.
pub const FRAME_MAX: usize = 65_535;
/// Bytes of the block class: blocks and section openings.
pub const BLOCK_MAX: usize = 4 << 20;

// bincode's own limit counts the widest size of what it reads, not bytes: 16 times the frame accepts every frame that fits.
const FRAME_LIMIT: usize = 16 * 65_535;
const BLOCK_LIMIT: usize = 16 * (4 << 20);

/// The canonical bytes of a value. Empty for a type that serde cannot write, which no type of this crate is (a test encodes each).
#[must_use]
pub fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    bincode::serde::encode_to_vec(value, bincode::config::standard()).unwrap_or_default()
}

/// Decodes at most `max` bytes; every byte must belong to the one canonical encoding.
///
/// # Errors
/// In this order: [`DecodeError::TooLong`], [`DecodeError::Malformed`], [`DecodeError::Leftover`], [`DecodeError::NotCanonical`].
pub fn decode<T: Serialize + DeserializeOwned>(bytes: &[u8], max: usize) -> Result<T, DecodeError> {
    if bytes.len() > max || bytes.len() > BLOCK_MAX {
        return Err(DecodeError::TooLong);
    }
    let decoded = if bytes.len() <= FRAME_MAX {
        bincode::serde::decode_from_slice(bytes, bincode::config::standard().with_limit::<FRAME_LIMIT>())
    } else {
        bincode::serde::decode_from_slice(bytes, bincode::config::standard().with_limit::<BLOCK_LIMIT>())
    };
    let (value, read): (T, usize) = decoded.map_err(|_malformed| DecodeError::Malformed)?;
    if read != bytes.len() {
        return Err(DecodeError::Leftover);
    }
    if encode(&value) != bytes {
        return Err(DecodeError::NotCanonical);
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    // Goal: TYP-1 and TYP-2 on the facts that the codec rests on.
    use super::*;
    use alloc::string::String;
    use std::vec;

    #[test]
    fn typ_1_varint_longer_than_needed_is_refused() {
        assert_eq!(decode::<u64>(&[251, 5, 0], 9), Err(DecodeError::NotCanonical));
        assert_eq!(decode::<u64>(&[5], 9), Ok(5));
        assert_eq!(decode::<u64>(&[5, 0], 9), Err(DecodeError::Leftover));
        assert_eq!(decode::<u64>(&[], 9), Err(DecodeError::Malformed));
        assert_eq!(decode::<u64>(&[5], 0), Err(DecodeError::TooLong));
    }

    #[test]
    fn typ_2_a_claimed_length_does_not_allocate() {
        let claim = [253, 0, 0, 0, 0, 0, 0, 0, 16];
        assert_eq!(decode::<String>(&claim, 64), Err(DecodeError::Malformed));
        assert_eq!(decode::<Vec<Vec<u64>>>(&claim, 64), Err(DecodeError::Malformed));
    }

    #[test]
    fn frames_of_the_largest_size_fit() {
        let bytes = vec![7u8; FRAME_MAX - 5];
        let encoded = encode(&bytes);
        assert_eq!(decode::<Vec<u8>>(&encoded, FRAME_MAX).as_ref(), Ok(&bytes));
        let numbers = vec![1u64; FRAME_MAX - 5];
        assert_eq!(decode::<Vec<u64>>(&encode(&numbers), FRAME_MAX).as_ref(), Ok(&numbers));
    }
}
