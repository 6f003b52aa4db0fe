//! Key files: the public key set (`keyset.lks`) and one member's shares (`share.lks`).
//!
//! | file | bytes |
//! |---|---|
//! | both | magic 4 (`LKKS`, `LKSH`), version u8 = 1, body, checksum 32 = SHA-256("lockstep/key-file/v1", all before it) |
//! | key set | body = codec([`KeySetFile`]) |
//! | share | body = lock u8 (0 plain, 1 scrypt), `log2` N u8, salt 32, nonce 24, payload; payload = plaintext or its `XChaCha20-Poly1305` |
//! | share, plaintext | decryption scalar 32, beacon scalar 32 (little-endian), codec(network, epoch, index, key set's checksum) |
//!
//! The associated data of a sealed payload is everything before it. The checksum finds accidents, not attackers; what an
//! attacker changes in a sealed file fails its tag. A plain file is for devnets and says so by its lock byte, and is read
//! only by a caller that names [`Unlock::InsecurePlaintext`].
mod passphrase;

pub use passphrase::{PASSPHRASE_BYTES_MAX, PASSPHRASE_CHARACTERS_MIN, is_long_enough, read_passphrase};

use chacha20poly1305::{
    XChaCha20Poly1305, XNonce,
    aead::{Aead, KeyInit, Payload},
};
use serde::{Deserialize, Serialize};
use std::path::Path;
use store::durable::{self, DiskError};
use types::{
    Epoch, Hash, KeySetParts, MemberId,
    codec::{self, DecodeError},
    tag,
};
use zeroize::Zeroizing;

/// First bytes of a key set's file.
pub const KEYSET_MAGIC: [u8; 4] = *b"LKKS";
/// First bytes of a share file.
pub const SHARE_MAGIC: [u8; 4] = *b"LKSH";
/// Version of both formats.
pub const VERSION: u8 = 1;
/// log2 of scrypt's N: 128 MiB and a fraction of a second per guess, with r = 8 and p = 1.
pub const SCRYPT_LOG_N: u8 = 17;

const SCRYPT_LOG_N_MAX: u8 = 20;
const CHECKSUM: usize = 32;
const PREFIX: usize = 5;
const LOCK: usize = 58;
const FILE_MAX: usize = codec::FRAME_MAX;

/// Where a key set comes from. Resharing keeps it: whoever held the secrets still does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Origin {
    /// A ceremony: nobody ever held the secrets.
    Dkg,
    /// A trusted dealer held them. network.toml does not say so: that its keys are not such ones, only the transcript of
    /// their ceremony shows.
    Dealer,
}

/// The public key set of an epoch, as on disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeySetFile {
    /// Network id.
    pub network: Hash,
    /// The epoch from which it holds.
    pub epoch: Epoch,
    /// Faults tolerated; n = 3f + 1.
    pub f: u16,
    /// How it was made.
    pub origin: Origin,
    /// Consensus keys, ascending: index = rank.
    pub members: Vec<Hash>,
    /// The keys.
    pub parts: KeySetParts,
    /// Digest of the dealers' logs; zero for a dealt set, and wherever a set is put together from network.toml or EPOCH,
    /// which have no logs.
    pub logs: Hash,
}

/// One member's shares, as on disk. No `Debug`, no `Clone`; the scalars are wiped on drop.
///
/// ```compile_fail,E0277
/// fn printed<T: core::fmt::Debug>() {}
/// printed::<keygen::files::ShareFile>();
/// ```
#[expect(missing_debug_implementations, reason = "secret")]
pub struct ShareFile {
    /// Network id.
    pub network: Hash,
    /// The epoch from which they hold.
    pub epoch: Epoch,
    /// Whose.
    pub index: MemberId,
    /// Share of the decryption secret, little-endian.
    pub decrypt: Zeroizing<[u8; 32]>,
    /// Share of the beacon secret, little-endian.
    pub beacon: Zeroizing<[u8; 32]>,
    /// [`keyset_hash`] of the key set that they belong to.
    pub keyset_hash: Hash,
}

/// How a share file is written.
#[expect(missing_debug_implementations, reason = "holds a passphrase")]
pub enum Protection {
    /// Sealed.
    Passphrase {
        /// Any bytes, not empty.
        passphrase: Zeroizing<Vec<u8>>,
        /// Fresh random bytes: 32 of salt, then 24 of nonce.
        salt: [u8; 32],
        /// Fresh random bytes.
        nonce: [u8; 24],
    },
    /// In the clear: whoever reads the file holds the shares. For devnets.
    InsecurePlaintext,
}

/// How a share file is read.
#[derive(Clone, Copy)]
#[expect(missing_debug_implementations, reason = "holds a passphrase")]
pub enum Unlock<'a> {
    /// Sealed under this; a plain file is refused.
    Passphrase(&'a [u8]),
    /// A plain file; a sealed one is refused.
    InsecurePlaintext,
}

/// Why a key file was not written or not read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// The disk refuses; a file longer than any key file is refused here, too.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// There is no such file.
    #[error("no such key file")]
    Missing,
    /// Shorter or longer than any such file.
    #[error("not the length of a key file")]
    Length,
    /// Another kind of file.
    #[error("not this kind of key file")]
    Magic,
    /// A version that this program does not know.
    #[error("key file of version {found}")]
    Version {
        /// What the file says.
        found: u8,
    },
    /// Truncated or altered.
    #[error("checksum of the key file does not hold")]
    Checksum,
    /// The body is no encoding of its type.
    #[error("malformed key file")]
    Decode(#[from] DecodeError),
    /// Numbers of keys that do not fit each other.
    #[error("counts of the key set do not fit")]
    Counts,
    /// Of another network.
    #[error("key file of another network")]
    Network,
    /// Empty, or not the one that the file was sealed with, or the sealed bytes were altered.
    #[error("wrong passphrase")]
    Passphrase,
    /// The file is sealed.
    #[error("the key file is sealed: a passphrase is needed")]
    Sealed,
    /// The file is not sealed, and the caller did not accept that.
    #[error("the key file is not sealed")]
    NotSealed,
    /// A lock that this program does not know, or a cost out of range.
    #[error("unknown lock of the key file")]
    Lock,
}

/// The name of a key set in share files: its file's checksum.
#[must_use]
pub fn keyset_hash(keyset: &KeySetFile) -> Hash {
    checksum(&keyset_prefix(keyset))
}

/// Writes the key set, replacing the file.
///
/// # Errors
/// [`FileError::Counts`], [`FileError::Disk`].
pub fn write_keyset(path: &Path, keyset: &KeySetFile) -> Result<(), FileError> {
    Ok(durable::write(path, &keyset_bytes(keyset)?)?)
}

/// Reads the key set of `network`. The points themselves are checked by `crypto::keys::KeySet::new`.
///
/// # Errors
/// Any [`FileError`] but the passphrase's.
pub fn read_keyset(path: &Path, network: &Hash) -> Result<KeySetFile, FileError> {
    parse_keyset(&read_bounded(path)?, network)
}

/// Writes a member's shares, replacing the file; only its owner may read it (mode 0600).
///
/// # Errors
/// [`FileError::Passphrase`] for an empty one, [`FileError::Disk`].
pub fn write_share(path: &Path, share: &ShareFile, protection: &Protection) -> Result<(), FileError> {
    Ok(durable::write_private(path, &share_bytes(share, protection, SCRYPT_LOG_N)?)?)
}

/// Reads a member's shares of `network`. That they are scalars, and of this key set, the caller checks with `crypto::keys`.
///
/// # Errors
/// Any [`FileError`] but [`FileError::Counts`].
pub fn read_share(path: &Path, network: &Hash, unlock: Unlock<'_>) -> Result<ShareFile, FileError> {
    parse_share(&read_bounded(path)?, network, unlock)
}

fn checksum(bytes: &[u8]) -> Hash {
    crypto::hash::tagged(tag::KEY_FILE, &[bytes])
}

fn prefix(magic: [u8; 4]) -> Vec<u8> {
    let mut bytes = magic.to_vec();
    bytes.push(VERSION);
    bytes
}

fn keyset_prefix(keyset: &KeySetFile) -> Vec<u8> {
    [prefix(KEYSET_MAGIC), codec::encode(keyset)].concat()
}

pub(crate) fn keyset_bytes(keyset: &KeySetFile) -> Result<Vec<u8>, FileError> {
    check_counts(keyset)?;
    let mut bytes = keyset_prefix(keyset);
    bytes.extend_from_slice(checksum(&bytes).as_bytes());
    Ok(bytes)
}

fn check_counts(keyset: &KeySetFile) -> Result<(), FileError> {
    let f = usize::from(keyset.f);
    let n = f.saturating_mul(3).saturating_add(1);
    let q = f.saturating_mul(2).saturating_add(1);
    let KeySetParts { decrypt, share_keys_g2, beacon, revealed, .. } = &keyset.parts;
    let ascending = keyset.members.is_sorted_by(|a, b| a < b)
        && revealed.is_sorted_by(|a, b| a < b)
        && revealed.last().is_none_or(|last| usize::from(last.0) < n);
    let counts = [decrypt.len(), beacon.len(), share_keys_g2.len(), keyset.members.len()];
    if f == 0 || n > types::limits::MEMBERS_MAX || counts != [q, q, n, n] || !ascending {
        return Err(FileError::Counts);
    }
    Ok(())
}

pub(crate) fn parse_keyset(bytes: &[u8], network: &Hash) -> Result<KeySetFile, FileError> {
    let body = body(bytes, KEYSET_MAGIC)?;
    let keyset: KeySetFile = codec::decode(body, FILE_MAX)?;
    check_counts(&keyset)?;
    if keyset.network != *network {
        return Err(FileError::Network);
    }
    Ok(keyset)
}

/// Magic, version and checksum hold: what is between.
fn body(bytes: &[u8], magic: [u8; 4]) -> Result<&[u8], FileError> {
    let end = bytes.len().checked_sub(CHECKSUM).ok_or(FileError::Length)?;
    let (covered, sum) = bytes.split_at_checked(end).ok_or(FileError::Length)?;
    let (found, rest) = covered.split_first_chunk::<4>().ok_or(FileError::Length)?;
    if *found != magic {
        return Err(FileError::Magic);
    }
    let (version, body) = rest.split_first().ok_or(FileError::Length)?;
    if *version != VERSION {
        return Err(FileError::Version { found: *version });
    }
    if checksum(covered).as_bytes() != sum {
        return Err(FileError::Checksum);
    }
    Ok(body)
}

/// The lock of a share file: 58 bytes, all of fixed width.
#[derive(Serialize, Deserialize)]
struct Lock {
    kind: u8,
    log_n: u8,
    salt: [u8; 32],
    nonce: [u8; 24],
}

/// What a share file says besides its two scalars.
#[derive(Serialize, Deserialize)]
struct ShareText {
    network: Hash,
    epoch: Epoch,
    index: MemberId,
    keyset: Hash,
}

pub(crate) fn share_bytes(
    share: &ShareFile,
    protection: &Protection,
    log_n: u8,
) -> Result<Zeroizing<Vec<u8>>, FileError> {
    let text = ShareText { network: share.network, epoch: share.epoch, index: share.index, keyset: share.keyset_hash };
    let text = codec::encode(&text);
    let plain = Zeroizing::new([share.decrypt.as_slice(), share.beacon.as_slice(), &text].concat());
    locked(SHARE_MAGIC, &plain, protection, log_n)
}

/// Secret bytes of any kind as the bytes of a key file: layout and lock are those of a share file. `magic` says the kind.
///
/// # Errors
/// [`FileError::Passphrase`] for an empty one.
pub fn lock(magic: [u8; 4], plain: &[u8], protection: &Protection) -> Result<Zeroizing<Vec<u8>>, FileError> {
    locked(magic, plain, protection, SCRYPT_LOG_N)
}

pub(crate) fn locked(
    magic: [u8; 4],
    plain: &[u8],
    protection: &Protection,
    log_n: u8,
) -> Result<Zeroizing<Vec<u8>>, FileError> {
    let lock = match protection {
        Protection::InsecurePlaintext => Lock { kind: 0, log_n: 0, salt: [0; 32], nonce: [0; 24] },
        Protection::Passphrase { salt, nonce, .. } => Lock { kind: 1, log_n, salt: *salt, nonce: *nonce },
    };
    let covered = [prefix(magic), codec::encode(&lock)].concat();
    let payload = match protection {
        Protection::InsecurePlaintext => Zeroizing::new(plain.to_vec()),
        Protection::Passphrase { passphrase, .. } => {
            let cipher = cipher(passphrase, &lock)?;
            let payload = Payload { msg: plain, aad: &covered };
            let sealed = cipher.encrypt(&XNonce::from(lock.nonce), payload).map_err(|_opaque| FileError::Length)?;
            Zeroizing::new(sealed)
        }
    };
    let bytes = Zeroizing::new([covered.as_slice(), &payload].concat());
    let sum = checksum(&bytes);
    Ok(Zeroizing::new([bytes.as_slice(), sum.as_bytes()].concat()))
}

fn cipher(passphrase: &[u8], lock: &Lock) -> Result<XChaCha20Poly1305, FileError> {
    if passphrase.is_empty() {
        return Err(FileError::Passphrase);
    }
    if lock.log_n == 0 || lock.log_n > SCRYPT_LOG_N_MAX {
        return Err(FileError::Lock);
    }
    let cost = scrypt::Params::new(lock.log_n, 8, 1).map_err(|_range| FileError::Lock)?;
    let mut key = Zeroizing::new([0u8; 32]);
    scrypt::scrypt(passphrase, &lock.salt, &cost, key.as_mut_slice()).map_err(|_length| FileError::Lock)?;
    XChaCha20Poly1305::new_from_slice(key.as_slice()).map_err(|_length| FileError::Lock)
}

/// Whether the bytes of a key file are sealed: nothing else of them is looked at.
///
/// # Errors
/// [`FileError`]: no key file of this kind.
pub fn is_sealed(magic: [u8; 4], bytes: &[u8]) -> Result<bool, FileError> {
    match body(bytes, magic)?.first() {
        Some(0) => Ok(false),
        Some(1) => Ok(true),
        _ => Err(FileError::Lock),
    }
}

/// The way back of [`lock`].
///
/// # Errors
/// Any [`FileError`] but [`FileError::Counts`] and [`FileError::Network`].
pub fn unlock(magic: [u8; 4], bytes: &[u8], unlock: Unlock<'_>) -> Result<Zeroizing<Vec<u8>>, FileError> {
    let (lock, payload) = body(bytes, magic)?.split_at_checked(LOCK).ok_or(FileError::Length)?;
    let covered = bytes.get(..PREFIX.saturating_add(LOCK)).ok_or(FileError::Length)?;
    let lock: Lock = codec::decode(lock, LOCK)?;
    match (lock.kind, unlock) {
        (0, Unlock::InsecurePlaintext) => Ok(Zeroizing::new(payload.to_vec())),
        (0, Unlock::Passphrase(_)) => Err(FileError::NotSealed),
        (1, Unlock::InsecurePlaintext) => Err(FileError::Sealed),
        (1, Unlock::Passphrase(passphrase)) => {
            let payload = Payload { msg: payload, aad: covered };
            let opened = cipher(passphrase, &lock)?.decrypt(&XNonce::from(lock.nonce), payload);
            Ok(Zeroizing::new(opened.map_err(|_opaque| FileError::Passphrase)?))
        }
        _ => Err(FileError::Lock),
    }
}

pub(crate) fn parse_share(bytes: &[u8], network: &Hash, unlock: Unlock<'_>) -> Result<ShareFile, FileError> {
    let plain = self::unlock(SHARE_MAGIC, bytes, unlock)?;
    let (decrypt, rest) = plain.split_first_chunk::<32>().ok_or(FileError::Length)?;
    let (beacon, text) = rest.split_first_chunk::<32>().ok_or(FileError::Length)?;
    let text: ShareText = codec::decode(text, FILE_MAX)?;
    if text.network != *network {
        return Err(FileError::Network);
    }
    Ok(ShareFile {
        network: text.network,
        epoch: text.epoch,
        index: text.index,
        decrypt: Zeroizing::new(*decrypt),
        beacon: Zeroizing::new(*beacon),
        keyset_hash: text.keyset,
    })
}

fn read_bounded(path: &Path) -> Result<Zeroizing<Vec<u8>>, FileError> {
    durable::read(path, FILE_MAX)?.map(Zeroizing::new).ok_or(FileError::Missing)
}

#[cfg(test)]
mod tests;
