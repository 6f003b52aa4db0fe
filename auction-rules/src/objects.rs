//! Which of the listed bodies, or of the listed tails, counts.
use crate::auction::{Standing, standings};
use alloc::vec::Vec;
use types::{Address, Hash, reason::Why};

/// What the listed bodies or tails of a slot give.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CountedObjects {
    /// The one that counts.
    pub counting: Option<Hash>,
    /// The others.
    pub left: Vec<(Hash, Why)>,
}

/// Of the listed seqs and hashes the highest seq counts; of two with one seq none does, nor any other. Whoever lists an
/// object has judged it on this very ledger, so only what would count is judged again: `admits` says whether it may
/// under this seq, `None` where its bytes are not here. An inadmissible one is as if never sent. The order of `listed` is irrelevant.
///
/// # Errors
/// The one that is needed and not known.
pub fn count_objects(
    listed: &[(u8, Hash)],
    admits: impl Fn(u8, &Hash) -> Option<bool>,
) -> Result<CountedObjects, Hash> {
    let mut leaves = listed.to_vec();
    leaves.sort_unstable();
    leaves.dedup();
    let mut counted = CountedObjects::default();
    loop {
        // all of them are one builder's: the one that holds the right
        let standing = standings(leaves.iter().map(|(seq, _)| (Address::ZERO, *seq)));
        let live = standing.iter().position(|standing| *standing == Standing::Live);
        let Some((at, (seq, hash))) = live.and_then(|at| Some((at, *leaves.get(at)?))) else {
            counted.left.extend(leaves.iter().map(|(_, hash)| (*hash, Why::Double)));
            return Ok(counted);
        };
        leaves.remove(at);
        if admits(seq, &hash).ok_or(hash)? {
            counted.counting = Some(hash);
            counted.left.extend(leaves.iter().map(|(_, hash)| (*hash, Why::Superseded)));
            return Ok(counted);
        }
        counted.left.push((hash, Why::Inadmissible));
    }
}

#[cfg(test)]
mod tests {
    // Goal: A-30. Method: every small listing, in all orders of two.
    use super::*;
    use crate::testing::name;

    fn count(listed: &[(u8, &str)], bad: &str) -> (Option<Hash>, Vec<(Hash, Why)>) {
        let listed: Vec<(u8, Hash)> = listed.iter().map(|(seq, text)| (*seq, name(text))).collect();
        let mut reversed = listed.clone();
        reversed.reverse();
        let admits = |_: u8, hash: &Hash| Some(*hash != name(bad));
        let counted = count_objects(&listed, admits).unwrap();
        assert_eq!(count_objects(&reversed, admits).unwrap(), counted);
        (counted.counting, counted.left)
    }

    #[test]
    fn a30_the_highest_seq_counts_and_of_two_none() {
        let (a, b, c) = (name("a"), name("b"), name("c"));
        assert_eq!(count(&[], ""), (None, Vec::new()));
        assert_eq!(count(&[(0, "a")], ""), (Some(a), Vec::new()));
        assert_eq!(count(&[(0, "a"), (2, "b")], ""), (Some(b), Vec::from([(a, Why::Superseded)])));
        let (counting, mut left) = count(&[(0, "a"), (1, "b"), (1, "c")], "");
        left.sort();
        let mut all = Vec::from([(a, Why::Double), (b, Why::Double), (c, Why::Double)]);
        all.sort();
        assert_eq!((counting, left), (None, all));
        let (counting, left) = count(&[(0, "a"), (1, "b")], "b");
        assert_eq!((counting, left), (Some(a), Vec::from([(b, Why::Inadmissible)])));
        assert_eq!(count_objects(&[(0, a), (1, b)], |_, _| None), Err(b));
    }
}
