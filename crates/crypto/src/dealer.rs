//! A dealer for tests: key sets and votes from given bytes. Whoever deals knows both secrets, so no network uses this.
//! Tokens of finality are made from real votes: there is no other way, also here.
use crate::{
    ed25519,
    ffi::{Fr, G1Affine, G2Affine},
    finality::{Committee, OrderFixed, SetHashes, VoteKind, verify, vote_message},
    hash::{t256, t512},
    ids::block_digest,
    keys::{BeaconShareKey, DecryptionShareKey, KeySet},
    merkle::set_ref,
};
use alloc::{boxed::Box, vec::Vec};
use types::{Block, BlockHeader, Epoch, FinalityProof, G1Bytes, G2Bytes, Hash, KeySetParts, MemberId, Slot, VoteSig};
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

/// The shares that [`deal`] hands out, as a key ceremony would write them: by member, that of the decryption secret and
/// that of the beacon's, little-endian.
#[must_use]
pub fn shares(n: u16, f: u16, seed: &[u8; 32]) -> Vec<[Zeroizing<[u8; 32]>; 2]> {
    let q = n.saturating_sub(f);
    let secrets = [polynomial(q, seed, b"decrypt"), polynomial(q, seed, b"beacon")];
    (0..n).map(|member| secrets.each_ref().map(|secret| Zeroizing::new(evaluate(secret, member).to_bytes()))).collect()
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

/// A committee's consensus keys, ascending by public key, so that the index is the member.
#[expect(missing_debug_implementations, reason = "holds secrets")]
pub struct Voters {
    /// By member.
    pub keys: Vec<ed25519::SigningKey>,
    /// May be faulty.
    pub f: u16,
}

impl Voters {
    /// n keys. Deterministic in the seed.
    #[must_use]
    pub fn new(n: u16, f: u16, seed: &[u8; 32]) -> Self {
        let seed_of = |at: u16| Zeroizing::new(t256("voter", &[seed, &at.to_le_bytes()]).0);
        let mut keys: Vec<_> = (0..n).map(|at| ed25519::SigningKey::from_seed(seed_of(at))).collect();
        keys.sort_by_key(ed25519::SigningKey::public);
        Self { keys, f }
    }
    /// Whose votes count.
    #[must_use]
    pub fn committee(&self, network: Hash, epoch: Epoch) -> Committee {
        let consensus_keys = self.keys.iter().map(ed25519::SigningKey::public).collect();
        Committee { network, epoch, f: self.f, consensus_keys }
    }
    /// `finalize` votes of the first n - f members on the last of the headers: a proof for the first.
    #[must_use]
    pub fn finalize(&self, headers: Vec<BlockHeader>) -> FinalityProof {
        let mut proof = FinalityProof { headers, view: 0, parent_view: 0, votes: Vec::new() };
        let Some(last) = proof.headers.last() else { return proof };
        (proof.view, proof.parent_view) = (last.view, last.view.saturating_sub(1));
        let digest = block_digest(last);
        let kind = VoteKind::Finalize;
        let message = vote_message(&last.network, kind, last.epoch.0, proof.view, proof.parent_view, &digest);
        let quorum = self.keys.len().saturating_sub(self.f.into());
        let voters = (0..).map(MemberId).zip(&self.keys).take(quorum);
        proof.votes = voters.map(|(member, key)| VoteSig { member, sig: key.sign(&message) }).collect();
        proof
    }
    /// The token for a block of epoch 0 that holds this set and these bids (leaves), finalized by real votes.
    ///
    /// # Panics
    /// If a hash is there twice.
    #[must_use]
    #[expect(clippy::expect_used, reason = "for tests")]
    pub fn fix(&self, network: Hash, slot: Slot, set: Vec<Hash>, bids: Vec<Vec<u8>>) -> OrderFixed {
        let hashes = set_hashes(set, bids);
        let mut header = Block::genesis(network).header;
        (header.height, header.view) = (slot, slot.0);
        (header.set, header.bids) = (set_ref(&hashes.set), set_ref(&hashes.bids));
        let committee = self.committee(network, header.epoch);
        verify(&committee, &self.finalize(alloc::vec![header]), &hashes).expect("the votes are real")
    }
}

/// The hashes behind a block's roots, from envelope hashes and the leaves of bids, in any order.
#[must_use]
pub fn set_hashes(mut set: Vec<Hash>, mut bids: Vec<Vec<u8>>) -> SetHashes {
    set.sort_unstable();
    bids.sort_unstable();
    let hash_of = |leaf: &Vec<u8>| leaf.last_chunk::<32>().map_or(Hash::ZERO, |hash| Hash(*hash));
    let bid_hashes = bids.iter().map(hash_of).collect();
    SetHashes { set, bids, bid_hashes }
}
