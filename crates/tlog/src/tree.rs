//! The RFC 6962 tree as its frontier: what is needed to append and to know the root.
use alloc::vec::Vec;
use crypto::merkle::{leaf_hash, node_hash};
use types::{Hash, Head};

/// A tree that only grows. Holds the roots of its perfect subtrees, at most 64 hashes; cheap to clone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree {
    size: u64,
    /// Largest subtree first; one per set bit of `size`.
    frontier: Vec<Hash>,
}

impl Tree {
    /// The empty tree.
    #[must_use]
    pub const fn new() -> Self {
        Self { size: 0, frontier: Vec::new() }
    }

    /// A tree from the roots of its perfect subtrees, largest first; `None` unless there is one per set bit of `size`.
    ///
    /// # Security
    /// The hashes are believed: compare [`Tree::root`] with a root from elsewhere.
    #[must_use]
    pub fn from_frontier(size: u64, frontier: Vec<Hash>) -> Option<Self> {
        (usize::try_from(size.count_ones()) == Ok(frontier.len())).then_some(Self { size, frontier })
    }

    /// Appends an entry and returns its leaf hash.
    pub fn append(&mut self, entry: &[u8]) -> Hash {
        let leaf = leaf_hash(entry);
        self.append_hash(leaf);
        leaf
    }

    /// Appends a leaf by its hash.
    pub fn append_hash(&mut self, leaf: Hash) {
        let mut node = leaf;
        // One merge per trailing one of the size: the carry of a binary counter.
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.frontier.pop() {
                node = node_hash(&left, &node);
            }
        }
        self.frontier.push(node);
        self.size = self.size.saturating_add(1);
    }

    /// Number of entries.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Roots of the perfect subtrees, largest first.
    #[must_use]
    pub fn frontier(&self) -> &[Hash] {
        &self.frontier
    }

    /// RFC 6962 root; of the empty tree SHA-256 of nothing.
    #[must_use]
    pub fn root(&self) -> Hash {
        fold(&self.frontier).unwrap_or_else(|| crypto::hash::sha256(&[]))
    }

    /// Size and root.
    #[must_use]
    pub fn head(&self) -> Head {
        Head { size: self.size, root: self.root() }
    }
}

/// The hash over perfect subtrees, largest first.
pub(crate) fn fold(subtrees: &[Hash]) -> Option<Hash> {
    let (last, rest) = subtrees.split_last()?;
    Some(rest.iter().rev().fold(*last, |right, left| node_hash(left, &right)))
}

/// The root over leaf hashes; `None` of none.
pub(crate) fn root_of_hashes(leaves: &[Hash]) -> Option<Hash> {
    let mut tree = Tree::new();
    leaves.iter().for_each(|leaf| tree.append_hash(*leaf));
    fold(tree.frontier())
}

#[cfg(test)]
mod tests {
    // Goal: TLG-1, the tree is RFC 6962's. Method: against ct-merkle and crypto::merkle at every small size.
    use super::*;
    use ct_merkle::mem_backed_tree::MemoryBackedTree;
    use sha2::Sha256;

    #[test]
    fn tlg_1_roots_equal_ct_merkle_at_every_size() {
        let mut ours = Tree::new();
        let mut theirs = MemoryBackedTree::<Sha256, Vec<u8>>::new();
        let mut entries: Vec<Vec<u8>> = Vec::new();
        assert_eq!(ours.root(), crypto::merkle::root::<Vec<u8>>(&[]));
        for i in 0u32..300 {
            let entry = i.to_be_bytes().repeat(usize::try_from(i % 5).unwrap());
            ours.append(&entry);
            theirs.push(entry.clone());
            entries.push(entry);
            assert_eq!(ours.root().as_ref(), theirs.root().as_bytes().as_slice(), "size {i}");
            assert_eq!(ours.root(), crypto::merkle::root(&entries));
            assert_eq!(ours.head(), Head { size: u64::from(i) + 1, root: ours.root() });
            assert_eq!(Tree::from_frontier(ours.size(), ours.frontier().to_vec()).as_ref(), Some(&ours));
        }
    }

    #[test]
    fn a_frontier_of_the_wrong_length_is_no_tree() {
        let mut tree = Tree::new();
        for i in 0u8..7 {
            tree.append(&[i]);
        }
        let mut frontier = tree.frontier().to_vec();
        assert_eq!(frontier.len(), 3);
        frontier.pop();
        assert_eq!(Tree::from_frontier(7, frontier.clone()), None);
        assert!(Tree::from_frontier(6, frontier).is_some());
        assert_eq!(Tree::from_frontier(0, Vec::new()), Some(Tree::new()));
    }
}
