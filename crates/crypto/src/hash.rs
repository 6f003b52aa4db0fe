//! SHA-256, SHA-512 and keccak-256 in the framings that the protocol uses.
use crate::ffi::{Wide, Words};
use alloc::{vec, vec::Vec};
use sha2::{Digest, Sha256, Sha512};
use types::Hash;
use zeroize::Zeroizing;

/// Messages that are hashed side by side where the machine can.
const SIXTEEN: usize = 16;
/// Bytes that SHA-256 takes at a time.
const BLOCK: usize = 64;
/// It costs as much as the longest of them, whatever the others are: worth it from so many times its blocks on.
const SIDE_BY_SIDE: usize = 4;

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

/// [`t256`] of many with the same tag.
pub(crate) fn t256_all<const N: usize>(tag: &str, all: &[[&[u8]; N]]) -> Vec<Hash> {
    let mut out = Vec::with_capacity(all.len());
    for some in all.chunks(SIXTEEN) {
        let mut counts = [0usize; SIXTEEN];
        for (count, parts) in counts.iter_mut().zip(some) {
            let mut bytes = 0usize;
            frame(tag, parts, |part| bytes = bytes.saturating_add(part.len()));
            *count = padded(bytes).div_ceil(BLOCK);
        }
        let all: usize = counts.iter().sum();
        let longest = counts.iter().copied().max().unwrap_or(0);
        match Wide::get().filter(|_| all >= longest.saturating_mul(SIDE_BY_SIDE)) {
            Some(wide) => out.extend(side_by_side(wide, tag, some, (&counts, longest))),
            None => out.extend(some.iter().map(|parts| t256(tag, parts))),
        }
    }
    out
}

/// Of up to sixteen, of so many blocks each.
fn side_by_side<const N: usize>(
    wide: Wide,
    tag: &str,
    some: &[[&[u8]; N]],
    (counts, longest): (&[usize; SIXTEEN], usize),
) -> Vec<Hash> {
    let mut blocks: Zeroizing<Vec<[Words; SIXTEEN]>> = Zeroizing::new(vec![[[0; SIXTEEN]; SIXTEEN]; longest]);
    let mut message = Zeroizing::new(Vec::with_capacity(longest.saturating_mul(BLOCK)));
    for (lane, parts) in some.iter().enumerate() {
        message.clear();
        frame(tag, parts, |part| message.extend_from_slice(part));
        pad(&mut message);
        let words = message.as_chunks::<4>().0.iter().map(|word| u32::from_be_bytes(*word));
        for (words, word) in blocks.as_flattened_mut().iter_mut().zip(words) {
            words.iter_mut().skip(lane).take(1).for_each(|to| *to = word);
        }
    }
    let mut digests = [[0; 32]; SIXTEEN];
    for (place, words) in (0usize..).step_by(4).zip(wide.sha256(&blocks, counts)) {
        for (digest, word) in digests.iter_mut().zip(words) {
            digest.iter_mut().skip(place).zip(word.to_be_bytes()).for_each(|(to, from)| *to = from);
        }
    }
    digests.into_iter().map(Hash).take(some.len()).collect()
}

/// SHA-256's padding: a bit, zeros, and how many bits there were, to a multiple of 64 bytes.
fn pad(message: &mut Vec<u8>) {
    let bits = u64::try_from(message.len()).unwrap_or(u64::MAX).saturating_mul(8);
    let length = padded(message.len());
    message.push(0x80);
    message.resize(length.saturating_sub(size_of::<u64>()), 0);
    message.extend_from_slice(&bits.to_be_bytes());
}

/// Bytes of a message with its padding.
fn padded(bytes: usize) -> usize {
    bytes.saturating_add(1).saturating_add(size_of::<u64>()).next_multiple_of(BLOCK)
}

/// The hash that Ethereum uses.
#[must_use]
pub fn keccak256(bytes: &[u8]) -> Hash {
    Hash(sha3::Keccak256::digest(bytes).into())
}

fn framed<D: Digest>(tag: &str, parts: &[&[u8]]) -> D {
    let mut hasher = D::new();
    frame(tag, parts, |bytes| hasher.update(bytes));
    hasher
}

fn frame(tag: &str, parts: &[&[u8]], mut write: impl FnMut(&[u8])) {
    // Tags are constants of at most 33 bytes and parts are bounded by the codec: neither length is ever cut.
    write(&[u8::try_from(tag.len()).unwrap_or(u8::MAX)]);
    write(tag.as_bytes());
    for part in parts {
        write(&u32::try_from(part.len()).unwrap_or(u32::MAX).to_le_bytes());
        write(part);
    }
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
    fn many_messages_hash_as_one_by_one() {
        crate::ffi::tests::say_if_narrow();
        // every length of one part, sixteen by sixteen, and all that is near the end of a block together
        let one = vec![0x5a; 300];
        let lengths: Vec<[&[u8]; 1]> = (0..=260).map(|length| [&one[..length]]).collect();
        let near: Vec<[&[u8]; 1]> =
            [45, 46, 53, 54, 55, 56, 57, 63, 64, 65, 109, 110, 117, 118, 119, 120].map(|at| [&one[..at]]).into();
        for all in [lengths, near] {
            let want: Vec<Hash> = all.iter().map(|parts| t256("tag", parts)).collect();
            assert_eq!(t256_all("tag", &all), want);
        }
        // lanes of different lengths
        let bytes: Vec<u8> = (0..700usize).map(|at| u8::try_from(at * at % 251).unwrap()).collect();
        let of = |at: usize| [&bytes[..at], &bytes[at % 7..at % 7 + at % 130]];
        for count in [0, 1, 3, 4, 5, 16, 17, 300] {
            let all: Vec<[&[u8]; 2]> = (0..count).map(of).collect();
            let want: Vec<Hash> = all.iter().map(|parts| t256("tag", parts)).collect();
            assert_eq!(t256_all("tag", &all), want);
            crate::ffi::tests::portably(|| assert_eq!(t256_all("tag", &all), want));
        }
        let backwards: Vec<[&[u8]; 2]> = (0..500).rev().map(|at| of(at * 37 % 500)).collect();
        let want: Vec<Hash> = backwards.iter().map(|parts| t256("t", parts)).collect();
        assert_eq!(t256_all("t", &backwards), want);
        // one that is much longer than the rest
        let long = vec![7; 40_000];
        let mixed: Vec<[&[u8]; 1]> = (0..16).map(|at| [if at == 5 { &long[..] } else { &one[..at] }]).collect();
        let want: Vec<Hash> = mixed.iter().map(|parts| t256("t", parts)).collect();
        assert_eq!(t256_all("t", &mixed), want);
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
