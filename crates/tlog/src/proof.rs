//! Inclusion and consistency proofs (RFC 6962 sections 2.1.1 and 2.1.2), and the `.tlog-proof` file (C2SP tlog-proof).
use crate::{
    checkpoint::{HeadError, Policy, Verified, verify_checkpoint},
    note::{base64_decode, base64_encode},
    tree::fold,
};
use alloc::{format, string::String, vec::Vec};
use crypto::merkle::{leaf_hash, node_hash, verify_path};
use types::{Hash, Head};

/// A perfect subtree: the 2^`level` leaves from `index` 2^`level` on. A leaf has level 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Node {
    /// Height.
    pub level: u32,
    /// Place among the nodes of its height.
    pub index: u64,
}

/// Why there is no proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProveError<E> {
    /// The index is not below the size, or the old size is zero or above the new one.
    #[error("no such entry or size in this tree")]
    OutOfRange,
    /// A node could not be read.
    #[error("a node cannot be read")]
    Read(E),
}

/// The hash over leaves `lo..hi`, where `lo` is a multiple of the power of two at or above `hi - lo`: so every step of
/// RFC 6962's recursion is.
fn range<E>(lo: u64, hi: u64, nodes: &mut impl FnMut(Node) -> Result<Hash, E>) -> Result<Hash, ProveError<E>> {
    let mut left = hi.saturating_sub(lo);
    let mut start = lo;
    let mut subtrees = Vec::new();
    while let Some(level) = left.checked_ilog2() {
        let span = 1u64.checked_shl(level).unwrap_or(0);
        let index = start.checked_shr(level).unwrap_or(0);
        subtrees.push(nodes(Node { level, index }).map_err(ProveError::Read)?);
        start = start.saturating_add(span);
        left = left.saturating_sub(span);
    }
    fold(&subtrees).ok_or(ProveError::OutOfRange)
}

/// The largest power of two below `n`, for `n` of 2 and more.
fn split(n: u64) -> u64 {
    n.saturating_sub(1).checked_ilog2().and_then(|level| 1u64.checked_shl(level)).unwrap_or(0)
}

/// The audit path of entry `index` in the tree of `size` entries, from the leaf's sibling up.
///
/// # Errors
/// [`ProveError`] when `index` is not below `size`, or a node cannot be read.
pub fn inclusion<E>(
    size: u64,
    index: u64,
    mut nodes: impl FnMut(Node) -> Result<Hash, E>,
) -> Result<Vec<Hash>, ProveError<E>> {
    if index >= size {
        return Err(ProveError::OutOfRange);
    }
    let (mut lo, mut hi) = (0u64, size);
    let mut path = Vec::new();
    while hi.saturating_sub(lo) > 1 {
        let middle = lo.saturating_add(split(hi.saturating_sub(lo)));
        if index < middle {
            path.push(range(middle, hi, &mut nodes)?);
            hi = middle;
        } else {
            path.push(range(lo, middle, &mut nodes)?);
            lo = middle;
        }
    }
    path.reverse();
    Ok(path)
}

/// The proof that the tree of `old` entries is the beginning of the tree of `new` entries.
///
/// # Errors
/// [`ProveError`] when `old` is zero or above `new`, or a node cannot be read.
pub fn consistency<E>(
    old: u64,
    new: u64,
    mut nodes: impl FnMut(Node) -> Result<Hash, E>,
) -> Result<Vec<Hash>, ProveError<E>> {
    if old == 0 || old > new {
        return Err(ProveError::OutOfRange);
    }
    let (mut lo, mut hi) = (0u64, new);
    let mut whole = true; // what is left is a subtree that the verifier knows as the old root
    let mut proof = Vec::new();
    while old != hi {
        let middle = lo.saturating_add(split(hi.saturating_sub(lo)));
        if old <= middle {
            proof.push(range(middle, hi, &mut nodes)?);
            hi = middle;
        } else {
            proof.push(range(lo, middle, &mut nodes)?);
            lo = middle;
            whole = false;
        }
    }
    if !whole {
        proof.push(range(lo, hi, &mut nodes)?);
    }
    proof.reverse();
    Ok(proof)
}

/// The head of the first `size` entries, from the nodes of a tree that has at least these.
///
/// # Errors
/// [`ProveError::Read`].
pub fn head<E>(size: u64, mut nodes: impl FnMut(Node) -> Result<Hash, E>) -> Result<Head, ProveError<E>> {
    let root = if size == 0 { crate::Tree::new().root() } else { range(0, size, &mut nodes)? };
    Ok(Head { size, root })
}

/// Does `path` show that `entry` stands at `index` under `head`?
#[must_use]
pub fn verify_inclusion(head: &Head, index: u64, entry: &[u8], path: &[Hash]) -> bool {
    verify_path(&head.root, head.size, index, &leaf_hash(entry), path)
}

/// Does `proof` show that the tree of `old` is the beginning of the tree of `new` (RFC 9162 section 2.1.4.2)?
///
/// An empty old tree needs an empty proof and the root of nothing; equal sizes need an empty proof and equal roots.
#[must_use]
pub fn verify_consistency(old: &Head, new: &Head, proof: &[Hash]) -> bool {
    if old.size > new.size {
        return false;
    }
    if old.size == new.size {
        return proof.is_empty() && old.root == new.root;
    }
    if old.size == 0 {
        return proof.is_empty() && old.root == crate::Tree::new().root();
    }
    let (mut below_old, mut below_new) = (old.size.saturating_sub(1), new.size.saturating_sub(1));
    let shared = below_old.trailing_ones();
    below_old = below_old.checked_shr(shared).unwrap_or(0);
    below_new = below_new.checked_shr(shared).unwrap_or(0);
    let (first, rest) = if old.size.is_power_of_two() {
        (old.root, proof)
    } else {
        let Some((first, rest)) = proof.split_first() else { return false };
        (*first, rest)
    };
    let (mut old_root, mut new_root) = (first, first);
    for hash in rest {
        if below_new == 0 {
            return false;
        }
        if below_old & 1 == 1 || below_old == below_new {
            old_root = node_hash(hash, &old_root);
            new_root = node_hash(hash, &new_root);
            if below_old & 1 == 0 {
                let zeros = below_old.trailing_zeros();
                below_old = below_old.checked_shr(zeros).unwrap_or(0);
                below_new = below_new.checked_shr(zeros).unwrap_or(0);
            }
        } else {
            new_root = node_hash(&new_root, hash);
        }
        below_old >>= 1;
        below_new >>= 1;
    }
    below_new == 0 && old_root == old.root && new_root == new.root
}

/// Longest `.tlog-proof` that is read, bytes.
pub const PROOF_BYTES_MAX: usize = crate::note::NOTE_BYTES_MAX + 64 * 1_024;
/// Longest `extra` field, bytes.
pub const EXTRA_BYTES_MAX: usize = 32 * 1_024;
const PROOF_LINE: &str = "c2sp.org/tlog-proof@v1";

/// A `.tlog-proof` file: an entry's index, its audit path and the checkpoint that it leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlogProof {
    /// Not authenticated by anything: a hint.
    pub extra: Option<Vec<u8>>,
    /// The entry's index.
    pub index: u64,
    /// From the leaf's sibling up; at most 64 hashes.
    pub path: Vec<Hash>,
    /// The checkpoint, as it was signed.
    pub checkpoint: String,
}

/// Why a proof proves nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProofError {
    /// Not in the format, or not as it would be written.
    #[error("not a tlog-proof")]
    Format,
    /// Its checkpoint is not valid under the policy.
    #[error("checkpoint of the proof: {0}")]
    Head(#[from] HeadError),
    /// The path does not lead from the entry to the root.
    #[error("the path does not lead from the entry to the root")]
    Path,
}

/// What a proof has shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Included {
    /// Where the entry stands.
    pub index: u64,
    /// Under which head, and who vouches for it.
    pub verified: Verified,
}

impl TlogProof {
    /// The file's text.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = format!("{PROOF_LINE}\n");
        if let Some(extra) = &self.extra {
            text.push_str(&format!("extra {}\n", base64_encode(extra)));
        }
        text.push_str(&format!("index {}\n", self.index));
        for hash in &self.path {
            text.push_str(&base64_encode(hash.as_ref()));
            text.push('\n');
        }
        text.push('\n');
        text.push_str(&self.checkpoint);
        text
    }

    /// Parses a file and refuses any that it would not have written. The checkpoint is not looked at.
    ///
    /// # Errors
    /// [`ProofError::Format`].
    pub fn parse(bytes: &[u8]) -> Result<Self, ProofError> {
        if bytes.len() > PROOF_BYTES_MAX {
            return Err(ProofError::Format);
        }
        let text = core::str::from_utf8(bytes).map_err(|_utf8| ProofError::Format)?;
        let (proof, checkpoint) = text.split_once("\n\n").ok_or(ProofError::Format)?;
        let mut lines = proof.split('\n').peekable();
        if lines.next() != Some(PROOF_LINE) {
            return Err(ProofError::Format);
        }
        let extra = match lines.peek().and_then(|line| line.strip_prefix("extra ")) {
            Some(extra) => {
                lines.next();
                Some(base64_decode(extra, EXTRA_BYTES_MAX).ok_or(ProofError::Format)?)
            }
            None => None,
        };
        let index = lines.next().and_then(|line| line.strip_prefix("index ")).ok_or(ProofError::Format)?;
        let index = index.parse().map_err(|_digits| ProofError::Format)?;
        let mut path = Vec::new();
        for line in lines {
            let hash = base64_decode(line, Hash::LEN).ok_or(ProofError::Format)?;
            path.push(Hash::try_from(hash.as_slice()).map_err(|_length| ProofError::Format)?);
            if path.len() > 64 {
                return Err(ProofError::Format);
            }
        }
        let parsed = Self { extra, index, path, checkpoint: checkpoint.into() };
        if parsed.text() == text { Ok(parsed) } else { Err(ProofError::Format) }
    }

    /// Checks checkpoint and path for `entry`, offline.
    ///
    /// # Errors
    /// [`ProofError::Head`] or [`ProofError::Path`].
    pub fn verify(&self, policy: &Policy, entry: &[u8]) -> Result<Included, ProofError> {
        let verified = verify_checkpoint(policy, self.checkpoint.as_bytes())?;
        if !verify_inclusion(&verified.head, self.index, entry, &self.path) {
            return Err(ProofError::Path);
        }
        Ok(Included { index: self.index, verified })
    }
}

#[cfg(test)]
mod tests;
