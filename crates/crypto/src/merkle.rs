//! RFC 6962 trees over leaves that are all at hand: roots of sets, lists and share chunks, and their audit paths.
//!
//! The log's own tree, which grows and is stored in tiles, is in `tlog`; both are the same function of the leaves.
use crate::hash::sha256;
use alloc::{vec, vec::Vec};
use types::{Hash, SetRef};

/// Hash of a leaf: SHA-256(0x00 | leaf).
#[must_use]
pub fn leaf_hash(leaf: &[u8]) -> Hash {
    sha256(&[&[0], leaf])
}

/// Hash of an inner node: SHA-256(0x01 | left | right).
#[must_use]
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    sha256(&[&[1], left.as_ref(), right.as_ref()])
}

/// Root over the leaves in order; of none: SHA-256 of nothing.
#[must_use]
pub fn root<L: AsRef<[u8]>>(leaves: &[L]) -> Hash {
    // A stack of perfect subtrees (height, hash), heights descending: two of one height become one of the next.
    let mut stack: Vec<(u32, Hash)> = Vec::new();
    for leaf in leaves {
        let mut subtree = (0, leaf_hash(leaf.as_ref()));
        while let Some((height, left)) = stack.pop_if(|(height, _)| *height == subtree.0) {
            subtree = (height.saturating_add(1), node_hash(&left, &subtree.1));
        }
        stack.push(subtree);
    }
    let folded = stack.into_iter().rev().map(|(_, hash)| hash).reduce(|right, left| node_hash(&left, &right));
    folded.unwrap_or_else(|| sha256(&[]))
}

/// Count and root of a set of leaves. Shape: fewer than 2^32 leaves, which every limit of `types` implies.
#[must_use]
pub fn set_ref<L: AsRef<[u8]>>(leaves: &[L]) -> SetRef {
    SetRef { count: u32::try_from(leaves.len()).unwrap_or(u32::MAX), root: root(leaves) }
}

/// The audit path of leaf `index`, from the leaf's sibling up; `None` out of range.
#[must_use]
pub fn path<L: AsRef<[u8]>>(leaves: &[L], index: usize) -> Option<Vec<Hash>> {
    if index >= leaves.len() {
        return None;
    }
    let (mut part, mut at, mut out) = (leaves, index, Vec::new());
    while part.len() > 1 {
        // RFC 6962 section 2.1: the left subtree holds the largest power of two below the size.
        let half = part.len().next_power_of_two().checked_shr(1)?;
        let (left, right) = part.split_at_checked(half)?;
        (part, at) = match at.checked_sub(half) {
            None => {
                out.push(root(right));
                (left, at)
            }
            Some(rest) => {
                out.push(root(left));
                (right, rest)
            }
        };
    }
    out.reverse();
    Some(out)
}

/// The audit path of each leaf, as [`path`] gives it, in one pass over the tree.
#[must_use]
pub fn paths<L: AsRef<[u8]>>(leaves: &[L]) -> Vec<Vec<Hash>> {
    let hashes: Vec<Hash> = leaves.iter().map(|leaf| leaf_hash(leaf.as_ref())).collect();
    let mut out = vec![Vec::new(); leaves.len()];
    fill(&hashes, &mut out);
    out
}

/// Adds to each leaf's path what is beside it in the subtree of these leaves, and gives the subtree's hash. As deep as
/// the tree.
fn fill(leaves: &[Hash], out: &mut [Vec<Hash>]) -> Option<Hash> {
    match leaves {
        [] => return None,
        [one] => return Some(*one),
        _ => {}
    }
    // RFC 6962 section 2.1, as above
    let half = leaves.len().next_power_of_two().checked_shr(1)?;
    let ((left, right), (of_left, of_right)) = (leaves.split_at_checked(half)?, out.split_at_mut_checked(half)?);
    let (one, other) = (fill(left, of_left)?, fill(right, of_right)?);
    of_left.iter_mut().for_each(|path| path.push(other));
    of_right.iter_mut().for_each(|path| path.push(one));
    Some(node_hash(&one, &other))
}

/// Whether `path` proves that `leaf_hash` is leaf `index` of the tree of this size and root (RFC 9162 section 2.1.3.2).
#[must_use]
pub fn verify_path(root: &Hash, size: u64, index: u64, leaf_hash: &Hash, path: &[Hash]) -> bool {
    if index >= size {
        return false;
    }
    let (mut node, mut last, mut hash) = (index, size.saturating_sub(1), *leaf_hash);
    for sibling in path {
        if last == 0 {
            return false;
        }
        if node & 1 == 1 || node == last {
            hash = node_hash(sibling, &hash);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_hash(&hash, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    last == 0 && hash == *root
}

#[cfg(test)]
mod tests {
    // Goal: roots and paths are RFC 6962's. Method: known roots of the certificate-transparency test tree, the
    // recursive definition, and every path of every small tree with each bit of it flipped.
    use super::*;

    fn ct_leaves() -> Vec<Vec<u8>> {
        ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
            .iter()
            .map(|text| hex::decode(text).unwrap())
            .collect()
    }

    fn by_definition(leaves: &[Vec<u8>]) -> Hash {
        match leaves {
            [] => sha256(&[]),
            [one] => leaf_hash(one),
            more => {
                let half = more.len().next_power_of_two() / 2;
                node_hash(&by_definition(&more[..half]), &by_definition(&more[half..]))
            }
        }
    }

    #[test]
    fn roots_of_the_certificate_transparency_tree() {
        let leaves = ct_leaves();
        for (size, want) in [
            (0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
            (1, "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"),
            (2, "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"),
            (3, "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77"),
            (8, "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"),
        ] {
            assert_eq!(root(&leaves[..size]), Hash::from_hex(want).unwrap(), "{size} leaves");
        }
    }

    #[test]
    fn every_path_of_every_tree_up_to_33_leaves_verifies_and_no_other_does() {
        for size in 1..=33usize {
            let leaves: Vec<Vec<u8>> = (0..size).map(|i| vec![u8::try_from(i).unwrap()]).collect();
            let top = root(&leaves);
            assert_eq!(top, by_definition(&leaves));
            assert_eq!(set_ref(&leaves), SetRef { count: u32::try_from(size).unwrap(), root: top });
            for index in 0..size {
                let proof = path(&leaves, index).unwrap();
                let leaf = leaf_hash(&leaves[index]);
                let (n, i) = (u64::try_from(size).unwrap(), u64::try_from(index).unwrap());
                assert!(verify_path(&top, n, i, &leaf, &proof));
                assert!(!verify_path(&top, n, i, &leaf_hash(b"other"), &proof));
                assert!(!verify_path(&top, n, n, &leaf, &proof));
                let mut longer = proof.clone();
                longer.push(leaf);
                assert!(!verify_path(&top, n, i, &leaf, &longer));
                if let Some((_, shorter)) = proof.split_last() {
                    assert!(!verify_path(&top, n, i, &leaf, shorter));
                }
                for at in 0..proof.len() {
                    let mut wrong = proof.clone();
                    wrong[at].0[7] ^= 1;
                    assert!(!verify_path(&top, n, i, &leaf, &wrong));
                }
            }
            assert_eq!(path(&leaves, size), None);
            let all: Vec<_> = (0..size).map(|index| path(&leaves, index).unwrap()).collect();
            assert_eq!(paths(&leaves), all);
        }
        assert_eq!((path::<Vec<u8>>(&[], 0), paths::<Vec<u8>>(&[])), (None, vec![]));
        assert!(!verify_path(&sha256(&[]), 0, 0, &sha256(&[]), &[]));
    }
}
