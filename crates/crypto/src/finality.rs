//! Why a block is final, and the token that says so.
//!
//! A block is final when 2f + 1 members sent a `finalize` vote for it or for a descendant: to a member that follows live
//! that is the block itself or one above empty blocks, to one that catches up it may be any later one. [`verify`] rebuilds the signed bytes itself, checks the votes by ZIP 215 and is the only
//! constructor of [`OrderFixed`], without which no share leaves (layout.md section 3).
//!
//! Signed bytes of a vote (engine.md section 3), all integers unsigned LEB128:
//!
//! | field | bytes |
//! |---|---|
//! | length of the namespace | 1 |
//! | namespace | "lockstep/simplex/v1", network 32, then "_NOTARIZE", "_NULLIFY" or "_FINALIZE" |
//! | epoch, view | 1-10 each |
//! | parent view (not in nullify) | 1-10 |
//! | block digest (not in nullify) | 32 |
use crate::{ed25519, ids::block_digest, merkle::set_ref};
use alloc::vec::Vec;
use types::{BlockHeader, Epoch, FinalityProof, Hash, MemberId, Slot, tag};

/// Who votes in an epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committee {
    /// Network id.
    pub network: Hash,
    /// Epoch.
    pub epoch: Epoch,
    /// How many members may be faulty.
    pub f: u16,
    /// Consensus keys by member index.
    pub consensus_keys: Vec<Hash>,
}

impl Committee {
    /// n - f, which is 2f + 1 where n = 3f + 1; `None` if more than a third may be faulty.
    #[must_use]
    pub fn quorum(&self) -> Option<usize> {
        let (n, f) = (self.consensus_keys.len(), usize::from(self.f));
        let third = f.checked_mul(3)?;
        if third < n { n.checked_sub(f) } else { None }
    }
}

/// What stands behind the roots of a block header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetHashes {
    /// S_h. Shape: strictly ascending.
    pub set: Vec<Hash>,
    /// Leaves of the bids that count: bidder 20, seq 1, hash 32. Shape: strictly ascending.
    pub bids: Vec<Vec<u8>>,
    /// The hash at the end of each of those leaves.
    pub bid_hashes: Vec<Hash>,
}

/// Block h is final, so its set and its bids are fixed, and its order too, though nobody knows it yet.
///
/// The only source is [`verify`]; the token cannot be copied, stored or put together:
///
/// ```compile_fail,E0451
/// use crypto::finality::OrderFixed;
/// use types::{Epoch, Hash, Slot};
/// let forged = OrderFixed { network: Hash::ZERO, epoch: Epoch(0), slot: Slot(1), digest: Hash::ZERO,
///                           set: vec![], bids: vec![] };
/// ```
/// ```compile_fail,E0277
/// fn copyable<T: Clone>() {}
/// copyable::<crypto::finality::OrderFixed>();
/// ```
/// ```compile_fail,E0277
/// fn out_of_nothing<T: Default>() {}
/// out_of_nothing::<crypto::finality::OrderFixed>();
/// ```
#[derive(Debug)]
pub struct OrderFixed {
    network: Hash,
    epoch: Epoch,
    slot: Slot,
    digest: Hash,
    set: Vec<Hash>,
    bids: Vec<Hash>,
}

impl OrderFixed {
    /// Network id.
    #[must_use]
    pub fn network(&self) -> Hash {
        self.network
    }
    /// Epoch.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }
    /// Slot h.
    #[must_use]
    pub fn slot(&self) -> Slot {
        self.slot
    }
    /// Digest of block h.
    #[must_use]
    pub fn digest(&self) -> Hash {
        self.digest
    }
    /// S_h, ascending.
    #[must_use]
    pub fn set(&self) -> &[Hash] {
        &self.set
    }
    /// Hashes of the bids that count, in the order of their leaves.
    #[must_use]
    pub fn bids(&self) -> &[Hash] {
        &self.bids
    }
    /// Whether shares of this unit may leave.
    #[must_use]
    pub fn names(&self, unit: &Hash) -> bool {
        self.set.binary_search(unit).is_ok() || self.bids.contains(unit)
    }
}

/// Why headers, votes and hashes do not prove a block final.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FinalityError {
    /// The committee is not one: a third or more of it may be faulty.
    #[error("more than a third of the committee may be faulty")]
    Committee,
    /// No header.
    #[error("no header")]
    Empty,
    /// A header is of another network.
    #[error("header of another network")]
    Network,
    /// A header is of another epoch.
    #[error("header of another epoch")]
    Epoch,
    /// A header does not follow the one before it.
    #[error("header {0} does not follow")]
    Link(Slot),
    /// Fewer votes than a quorum.
    #[error("{have} votes, need {need}")]
    Votes {
        /// How many there are.
        have: usize,
        /// How many it takes.
        need: usize,
    },
    /// Votes are not in strictly ascending order of members, or one is of nobody in the committee.
    #[error("vote of member {0} is out of place")]
    Voter(MemberId),
    /// A vote's signature does not verify.
    #[error("vote of member {0} does not verify")]
    Signature(MemberId),
    /// The set is not the one of the header.
    #[error("not the set of the header")]
    Set,
    /// The bids are not those of the header.
    #[error("not the bids of the header")]
    Bids,
}

/// Checks that the first header of the proof is final, and that `hashes` are its set and bids.
///
/// # Errors
/// [`FinalityError`], which says what is missing. Whoever gave the proof is at fault, except for `Committee`, which is
/// the caller's configuration.
pub fn verify(committee: &Committee, proof: &FinalityProof, hashes: &SetHashes) -> Result<OrderFixed, FinalityError> {
    let first = proof.headers.first().ok_or(FinalityError::Empty)?;
    let digest = is_final(committee, proof)?;
    check_hashes(first, hashes)?;
    Ok(OrderFixed {
        network: committee.network,
        epoch: committee.epoch,
        slot: first.height,
        digest,
        set: hashes.set.clone(),
        bids: hashes.bid_hashes.clone(),
    })
}

/// Checks that the first header of the proof is final, whatever stands behind its roots, and gives its digest.
///
/// # Errors
/// As [`verify`].
pub fn is_final(committee: &Committee, proof: &FinalityProof) -> Result<Hash, FinalityError> {
    let quorum = committee.quorum().ok_or(FinalityError::Committee)?;
    let (first, link) = proof.headers.split_first().ok_or(FinalityError::Empty)?;
    in_committee(committee, first)?;
    let digest = block_digest(first);
    let (mut parent, mut certified) = (first, digest);
    for header in link {
        in_committee(committee, header)?;
        if header.parent != certified || header.height != parent.height.next() || header.view <= parent.view {
            return Err(FinalityError::Link(header.height));
        }
        (parent, certified) = (header, block_digest(header));
    }
    check_votes(committee, quorum, proof, &certified)?;
    Ok(digest)
}

fn in_committee(committee: &Committee, header: &BlockHeader) -> Result<(), FinalityError> {
    if header.network != committee.network {
        return Err(FinalityError::Network);
    }
    if header.epoch != committee.epoch {
        return Err(FinalityError::Epoch);
    }
    Ok(())
}

fn check_votes(
    committee: &Committee,
    quorum: usize,
    proof: &FinalityProof,
    digest: &Hash,
) -> Result<(), FinalityError> {
    if proof.votes.len() < quorum {
        return Err(FinalityError::Votes { have: proof.votes.len(), need: quorum });
    }
    let message =
        vote_message(&committee.network, VoteKind::Finalize, committee.epoch.0, proof.view, proof.parent_view, digest);
    let mut last = None;
    for vote in &proof.votes {
        let key = committee.consensus_keys.get(usize::from(vote.member.0));
        let (Some(key), true) = (key, last < Some(vote.member)) else {
            return Err(FinalityError::Voter(vote.member));
        };
        if !ed25519::verify(key, &message, &vote.sig) {
            return Err(FinalityError::Signature(vote.member));
        }
        last = Some(vote.member);
    }
    Ok(())
}

fn check_hashes(header: &BlockHeader, hashes: &SetHashes) -> Result<(), FinalityError> {
    if !hashes.set.is_sorted_by(|a, b| a < b) || set_ref(&hashes.set) != header.set {
        return Err(FinalityError::Set);
    }
    let ends_with = |leaf: &Vec<u8>, hash: &Hash| leaf.len() == 53 && leaf.ends_with(hash.as_ref());
    let sorted = hashes.bids.is_sorted_by(|a, b| a < b);
    let paired = hashes.bids.len() == hashes.bid_hashes.len()
        && hashes.bids.iter().zip(&hashes.bid_hashes).all(|(leaf, hash)| ends_with(leaf, hash));
    if !sorted || !paired || set_ref(&hashes.bids) != header.bids {
        return Err(FinalityError::Bids);
    }
    Ok(())
}

/// What a vote is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VoteKind {
    /// A proposal is valid.
    Notarize,
    /// A view brings no block.
    Nullify,
    /// A notarized proposal was the only thing voted for in its view.
    Finalize,
}

/// The bytes that a vote signs. `parent_view` and `digest` are not part of a nullify vote.
#[must_use]
pub fn vote_message(network: &Hash, kind: VoteKind, epoch: u64, view: u64, parent_view: u64, digest: &Hash) -> Vec<u8> {
    let suffix: &[u8] = match kind {
        VoteKind::Notarize => b"_NOTARIZE",
        VoteKind::Nullify => b"_NULLIFY",
        VoteKind::Finalize => b"_FINALIZE",
    };
    let namespace = [tag::SIMPLEX.as_bytes(), network.as_ref(), suffix].concat();
    let mut out = Vec::with_capacity(128);
    // Namespaces are 59 or 60 bytes.
    put_leb128(&mut out, u64::try_from(namespace.len()).unwrap_or(u64::MAX));
    out.extend_from_slice(&namespace);
    put_leb128(&mut out, epoch);
    put_leb128(&mut out, view);
    if kind != VoteKind::Nullify {
        put_leb128(&mut out, parent_view);
        out.extend_from_slice(digest.as_ref());
    }
    out
}

fn put_leb128(out: &mut Vec<u8>, mut value: u64) {
    loop {
        let [low, ..] = value.to_le_bytes();
        value >>= 7;
        if value == 0 {
            out.push(low & 0x7f);
            return;
        }
        out.push(low | 0x80);
    }
}

#[cfg(test)]
mod tests;
