//! A dealer for tests: key sets and votes from given bytes. Whoever deals knows both secrets, so no network uses this.
use crate::{
    ed25519,
    ffi::{Fr, G1Affine, G2Affine},
    finality::{Committee, SetHashes, VoteKind, vote_message},
    hash::t512,
    ids::block_digest,
    keys::{BeaconShareKey, DecryptionShareKey, KeySet},
};
use alloc::{boxed::Box, vec::Vec};
use types::{BlockHeader, FinalityProof, G1Bytes, G2Bytes, KeySetParts, MemberId, VoteSig};
use zeroize::Zeroizing;

/// What a dealer hands out.
#[expect(missing_debug_implementations, reason = "holds secrets")]
pub struct Deal {
    /// Members.
    pub n: u16,
    /// May be faulty.
    pub f: u16,
    /// The public side.
    pub parts: KeySetParts,
    /// Shares of the decryption secret, by member.
    pub decrypt: Vec<DecryptionShareKey>,
    /// Shares of the beacon secret, by member.
    pub beacon: Vec<BeaconShareKey>,
}

impl Deal {
    /// The public side, checked.
    ///
    /// # Panics
    /// Never: what was dealt belongs together.
    #[must_use]
    #[expect(clippy::expect_used, reason = "for tests")]
    pub fn key_set(&self) -> KeySet {
        KeySet::new(self.n, self.f, &self.parts).expect("a dealt key set is one")
    }
}

/// Deals both secrets to n members with threshold n - f. Deterministic in the seed.
#[must_use]
pub fn deal(n: u16, f: u16, seed: &[u8; 32]) -> Deal {
    let q = n.saturating_sub(f);
    let (decrypt, beacon) = (polynomial(q, seed, b"decrypt"), polynomial(q, seed, b"beacon"));
    let decrypt_shares: Vec<Fr> = (0..n).map(|member| evaluate(&decrypt, member)).collect();
    let beacon_shares = (0..n).map(|member| evaluate(&beacon, member));
    let parts = KeySetParts {
        decrypt: decrypt.iter().map(public_g1).collect(),
        decrypt_g2: decrypt.first().map_or(G2Bytes::ZERO, public_g2),
        share_keys_g2: decrypt_shares.iter().map(public_g2).collect(),
        beacon: beacon.iter().map(public_g1).collect(),
        revealed: Vec::new(),
    };
    let boxed = |share: Fr| Box::new(Zeroizing::new(share));
    Deal {
        n,
        f,
        parts,
        decrypt: decrypt_shares.iter().map(|share| DecryptionShareKey(boxed(*share))).collect(),
        beacon: beacon_shares.map(|share| BeaconShareKey(boxed(share))).collect(),
    }
}

fn polynomial(q: u16, seed: &[u8; 32], what: &[u8]) -> Vec<Fr> {
    (0..q).map(|at| Fr::reduce(&t512("dealer", &[seed, what, &at.to_le_bytes()]))).collect()
}

fn evaluate(polynomial: &[Fr], member: u16) -> Fr {
    let x = Fr::reduce(&u32::from(member).saturating_add(1).to_le_bytes());
    polynomial.iter().rev().fold(Fr::default(), |sum, coefficient| sum.mul(&x).add(coefficient))
}

fn public_g1(secret: &Fr) -> G1Bytes {
    G1Bytes(G1Affine::generator().mul(secret).compress())
}

fn public_g2(secret: &Fr) -> G2Bytes {
    G2Bytes(G2Affine::generator().point().mul(secret).affine().unwrap_or_default().compress())
}

/// A committee of the given consensus keys.
#[must_use]
pub fn committee(header: &BlockHeader, f: u16, keys: &[ed25519::SigningKey]) -> Committee {
    Committee {
        network: header.network,
        epoch: header.epoch,
        f,
        consensus_keys: keys.iter().map(ed25519::SigningKey::public).collect(),
    }
}

/// `finalize` votes of the given members on the last of the headers, as a proof for the first.
#[must_use]
pub fn finalize(headers: Vec<BlockHeader>, voters: &[(MemberId, &ed25519::SigningKey)]) -> FinalityProof {
    let (mut votes, mut view, mut parent_view) = (Vec::new(), 0, 0);
    if let Some(last) = headers.last() {
        (view, parent_view) = (last.view, last.view.saturating_sub(1));
        let digest = block_digest(last);
        let message = vote_message(&last.network, VoteKind::Finalize, last.epoch.0, view, parent_view, &digest);
        votes = voters.iter().map(|(member, key)| VoteSig { member: *member, sig: key.sign(&message) }).collect();
    }
    FinalityProof { headers, view, parent_view, votes }
}

/// The hashes behind a block's roots, from envelope hashes and the leaves of bids, in any order.
#[must_use]
pub fn set_hashes(mut set: Vec<types::Hash>, mut bids: Vec<Vec<u8>>) -> SetHashes {
    set.sort_unstable();
    bids.sort_unstable();
    let hash_of = |leaf: &Vec<u8>| leaf.last_chunk::<32>().map_or(types::Hash::ZERO, |hash| types::Hash(*hash));
    let bid_hashes = bids.iter().map(hash_of).collect();
    SetHashes { set, bids, bid_hashes }
}
