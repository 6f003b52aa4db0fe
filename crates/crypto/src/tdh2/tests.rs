// Goal: CRY-1, CRY-2, CRY-4, CRY-5. Method: ciphertexts that honest and other senders can make (`craft`), a dealt
// committee whose members send good and bad shares, and threshold_crypto beside it.
#![expect(clippy::disallowed_methods, reason = "the tokens here are made from real votes")]
mod admission;
mod opening;
pub(crate) mod peer;
mod release;
mod sealing;

use super::{cipher::Parts, *};
use crate::{
    dealer::{Deal, Voters, deal},
    ffi::{Fr, G1Affine, G2Affine},
    keys::{DecryptionShareKey, KeySet},
};
use types::{G1Bytes, G2Bytes, Hash, MemberId, Slot};

const AAD: &[u8] = b"\x01lockstep test header";
const SEED: [u8; 32] = [0x5e; 32];

fn fr(value: u64) -> Fr {
    Fr::reduce(&value.to_le_bytes())
}

/// The key of a small secret.
fn key_of(secret: u64) -> EncryptionKey {
    let pk = G1Affine::generator().mul(&fr(secret)).compress();
    let pk2 = G2Affine::generator().point().mul(&fr(secret)).affine().unwrap().compress();
    EncryptionKey::new(&G1Bytes(pk), &G2Bytes(pk2)).unwrap()
}

fn entropy(byte: u8) -> Zeroizing<[u8; 32]> {
    Zeroizing::new([byte; 32])
}

fn item(ciphertext: &[u8]) -> Item<'_> {
    Item { aad: AAD, class_bytes: 512, ciphertext }
}

fn sealed(key: &EncryptionKey, byte: u8) -> Vec<u8> {
    seal(key, entropy(byte), AAD, &pad(&[byte; 20], 512).unwrap())
}

fn admit_one(key: &EncryptionKey, item: Item<'_>) -> Result<Admitted, AdmitError> {
    admit(key, &[item], SEED).remove(0)
}

/// What a sender may do differently from [`seal`]. All of it with a proof that holds.
#[derive(Default)]
struct Craft {
    /// s, drawn freely.
    s: Option<Fr>,
    /// Added to V, W and X.
    torsion: [Option<G1Affine>; 3],
    /// Instead of the masked K.
    c1: Option<[u8; 16]>,
    /// Masks K with this point instead of r PK.
    shared: Option<G1>,
    /// Instead of a padded message.
    message: Option<Vec<u8>>,
}

fn craft(key: &EncryptionKey, craft: &Craft) -> Vec<u8> {
    let message = craft.message.clone().unwrap_or_else(|| pad(b"crafted", 512).unwrap().0.to_vec());
    let k = [0x6b; 16];
    let Secrets { r, s } = Secrets::derive(key, &k, &cipher::message_hash(AAD, &message));
    let s = craft.s.unwrap_or(*s);
    let shifted = |point: G1, torsion: Option<G1Affine>| {
        let shift = torsion.map_or(G1::identity(), |torsion| torsion.point());
        point.add(&shift).compress()
    };
    let generator = G1Affine::generator();
    let u = generator.mul(&r).compress();
    let v = shifted(key.gbar.mul(&r), craft.torsion[0]);
    let w = shifted(generator.mul(&s), craft.torsion[1]);
    let x = shifted(key.gbar.mul(&s), craft.torsion[2]);
    let shared = craft.shared.unwrap_or(key.pk.mul(&r)).compress();
    let c1 = craft.c1.unwrap_or(mask(key, &u, &shared, &k));
    let body = encrypt_body(key, &k, &u, AAD, &message);
    let e = challenge(key, AAD, &c1, &body, &[&u, &v, &w, &x]);
    let z = s.add(&e.mul(&r)).to_bytes();
    [u.as_slice(), &v, &w, &x, &z, &c1, &body].concat()
}

/// r of what [`craft`] makes of its own message.
fn crafted_r(key: &EncryptionKey) -> Fr {
    let message = pad(b"crafted", 512).unwrap();
    *Secrets::derive(key, &[0x6b; 16], &cipher::message_hash(AAD, &message.0)).r
}

/// A dealt committee that holds shares of some ciphertexts.
struct Committee {
    dealt: Deal,
    keys: KeySet,
    voters: Voters,
}

impl Committee {
    fn new(n: u16, f: u16) -> Self {
        let dealt = deal(n, f, &[0xd1; 32]);
        let keys = dealt.key_set();
        Self { dealt, keys, voters: Voters::new(4, 1, &[0xd2; 32]) }
    }
    fn key(&self) -> &EncryptionKey {
        self.keys.encryption_key()
    }
    fn units(count: usize) -> Vec<Hash> {
        (0..count).map(|at| Hash([u8::try_from(at).unwrap(); 32])).collect()
    }
    fn held(key: &DecryptionShareKey, admitted: &[Admitted]) -> HeldShares {
        let units = Self::units(admitted.len());
        HeldShares::collect(units.iter().zip(admitted).map(|(unit, item)| key.share(*unit, item)).collect())
    }
    /// The messages of all members, released by a token.
    fn shares(&self, admitted: &[Admitted]) -> Vec<(MemberId, Vec<SharePoint>)> {
        let fixed = self.voters.fix(Hash([7; 32]), Slot(1), Self::units(admitted.len()), Vec::new());
        let release = |key| Self::held(key, admitted).release(&fixed).unwrap();
        (0..).map(MemberId).zip(self.dealt.decrypt.iter().map(release)).collect()
    }
}

fn admit_all(key: &EncryptionKey, ciphertexts: &[Vec<u8>]) -> Vec<Admitted> {
    let items: Vec<Item<'_>> = ciphertexts.iter().map(|ciphertext| item(ciphertext)).collect();
    admit(key, &items, SEED).into_iter().map(Result::unwrap).collect()
}

fn paired<'a>(ciphertexts: &'a [Vec<u8>], admitted: &'a [Admitted]) -> Vec<(Item<'a>, &'a Admitted)> {
    ciphertexts.iter().map(|ciphertext| item(ciphertext)).zip(admitted).collect()
}
