//! SHA-256, SHA-512 and keccak-256 in the framings that the protocol uses.
use sha2::{Digest, Sha256, Sha512};
use types::Hash;

/// SHA-256 of the concatenated parts, without framing.
#[must_use]
pub fn sha256(parts: &[&[u8]]) -> Hash {
    let mut hasher = Sha256::new();
    parts.iter().for_each(|part| hasher.update(part));
    Hash(hasher.finalize().into())
}

/// SHA-256 of tag and parts, concatenated without framing: for tags that protocol pages write as `"tag" | ..`.
#[must_use]
pub fn tagged(tag: &str, parts: &[&[u8]]) -> Hash {
    let mut hasher = Sha256::new();
    hasher.update(tag.as_bytes());
    parts.iter().for_each(|part| hasher.update(part));
    Hash(hasher.finalize().into())
}

/// `T256` of crypto.md section 2: SHA-256 of `u8 len(tag) | tag | (u32le len(part) | part)*`.
#[must_use]
pub fn t256(tag: &str, parts: &[&[u8]]) -> Hash {
    Hash(framed::<Sha256>(tag, parts).finalize().into())
}

/// `T512` of crypto.md section 2: as [`t256`], with SHA-512.
#[must_use]
pub fn t512(tag: &str, parts: &[&[u8]]) -> [u8; 64] {
    framed::<Sha512>(tag, parts).finalize().into()
}

/// The hash that Ethereum uses.
#[must_use]
pub fn keccak256(bytes: &[u8]) -> Hash {
    Hash(sha3::Keccak256::digest(bytes).into())
}

fn framed<D: Digest>(tag: &str, parts: &[&[u8]]) -> D {
    let mut hasher = D::new();
    // Tags are constants of at most 33 bytes and parts are bounded by the codec: neither length is ever cut.
    hasher.update([u8::try_from(tag.len()).unwrap_or(u8::MAX)]);
    hasher.update(tag.as_bytes());
    for part in parts {
        hasher.update(u32::try_from(part.len()).unwrap_or(u32::MAX).to_le_bytes());
        hasher.update(part);
    }
    hasher
}

#[cfg(test)]
mod tests {
    // Goal: the framings are those of crypto.md section 2. Method: against bytes put together by hand.
    use super::*;
    use std::vec::Vec;

    #[test]
    fn t256_frames_tag_and_parts() {
        let mut bytes: Vec<u8> = std::vec![3];
        bytes.extend_from_slice(b"tag\x02\0\0\0ab\0\0\0\0");
        assert_eq!(t256("tag", &[b"ab", b""]), sha256(&[&bytes]));
        assert_ne!(t256("tag", &[b"ab", b""]), t256("tag", &[b"a", b"b"]));
        let long: [u8; 64] = Sha512::digest(&bytes).into();
        assert_eq!(t512("tag", &[b"ab", b""]), long);
    }

    #[test]
    fn tagged_concatenates() {
        assert_eq!(tagged("ab", &[b"c", b"d"]), sha256(&[b"abcd"]));
    }

    #[test]
    fn keccak_of_nothing() {
        let empty = "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470";
        assert_eq!(keccak256(b""), Hash::from_hex(empty).unwrap());
    }

    #[test]
    fn every_tag_fits_its_length_byte() {
        assert!(types::tag::ALL.iter().all(|tag| tag.len() < 256));
    }
}
