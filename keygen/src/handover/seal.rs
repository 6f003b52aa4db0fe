//! Sealing to a member's consensus key: HPKE (RFC 9180) in base mode with `DHKEM(X25519, HKDF-SHA256)`, HKDF-SHA256 and
//! `ChaCha20Poly1305`. Who sealed is proved by the signature of the message around it.
//!
//! The X25519 key is the ed25519 key mapped to the Montgomery curve, the secret is the scalar that ed25519 signs with.
//! One key for both is sound because DHKEM hashes the encapsulated key and the recipient's into what it derives, and
//! ed25519 hashes everything that it signs (Thormarker, eprint 2021/509).
use commonware_cryptography::transcript::{Transcript, Version};
use curve25519_dalek::edwards::CompressedEdwardsY;
use hpke::{
    Deserializable, OpModeR, OpModeS, Serializable, aead::ChaCha20Poly1305, kdf::HkdfSha256, kem::X25519HkdfSha256,
    single_shot_open, single_shot_seal_with_rng,
};
use rand_core::CryptoRng;
use sha2::{Digest, Sha512};
use types::{Hash, SealedDealing, tag};
use zeroize::Zeroizing;

/// The two scalars of a dealing.
pub(crate) type Scalars = Zeroizing<[u8; 64]>;

type Kem = X25519HkdfSha256;
const ENC: usize = 32;
/// Bytes of a scalar.
const SCALAR: usize = 32;

/// A member's secret key for opening. Wiped on drop.
pub(crate) struct Opener(<Kem as hpke::Kem>::PrivateKey);

impl Opener {
    pub(crate) fn from_seed(seed: &Zeroizing<[u8; 32]>) -> Option<Self> {
        let expanded: Zeroizing<[u8; 64]> = Zeroizing::new(Sha512::digest(seed.as_slice()).into());
        let (scalar, _prefix) = expanded.split_first_chunk::<32>()?;
        <Kem as hpke::Kem>::PrivateKey::from_bytes(scalar).ok().map(Self)
    }

    pub(crate) fn open(&self, info: &Hash, aad: &[u8], sealed: &SealedDealing) -> Option<Scalars> {
        let opened = open(&self.0, info.as_bytes(), aad, sealed.as_bytes())?;
        <[u8; 64]>::try_from(opened.as_slice()).ok().map(Zeroizing::new)
    }
}

fn open(key: &<Kem as hpke::Kem>::PrivateKey, info: &[u8], aad: &[u8], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let (enc, ciphertext) = sealed.split_at_checked(ENC)?;
    let enc = <Kem as hpke::Kem>::EncappedKey::from_bytes(enc).ok()?;
    let opened =
        single_shot_open::<ChaCha20Poly1305, HkdfSha256, Kem>(&OpModeR::Base, key, &enc, info, ciphertext, aad);
    opened.ok().map(Zeroizing::new)
}

/// Seals to the member with this consensus key; `None` if the key has no X25519 form that gives a shared secret: a
/// point of small order, whose owner signs nothing that an honest key would.
pub(crate) fn seal(
    to: &Hash,
    info: &Hash,
    aad: &[u8],
    scalars: &Scalars,
    entropy: &Zeroizing<[u8; 32]>,
) -> Option<SealedDealing> {
    let point = CompressedEdwardsY(to.0).decompress()?.to_montgomery();
    let key = <Kem as hpke::Kem>::PublicKey::from_bytes(point.as_bytes()).ok()?;
    let mut rng = rng(info, aad, entropy);
    let (enc, ciphertext) = single_shot_seal_with_rng::<ChaCha20Poly1305, HkdfSha256, Kem>(
        &OpModeS::Base,
        &key,
        info.as_bytes(),
        scalars.as_slice(),
        aad,
        &mut rng,
    )
    .ok()?;
    let mut sealed = [0; SealedDealing::LEN];
    let (head, tail) = sealed.split_at_mut_checked(ENC)?;
    head.copy_from_slice(enc.to_bytes().as_ref());
    if tail.len() != ciphertext.len() {
        return None;
    }
    tail.copy_from_slice(&ciphertext);
    Some(SealedDealing(sealed))
}

/// The same for the same dealing to the same member, so that a restart seals the same bytes; another for any other.
fn rng(info: &Hash, aad: &[u8], entropy: &Zeroizing<[u8; 32]>) -> impl CryptoRng + use<> {
    let mut transcript = Transcript::new(tag::HANDOVER_ENTROPY.as_bytes(), Version::V1);
    transcript.commit(info.as_bytes().as_slice()).commit(aad).commit(entropy.as_slice());
    transcript.noise(b"seal")
}

/// The commitments of both secrets, which are the same for all, and the scalars of one player.
pub(crate) fn split(dealing: &[u8]) -> Option<(Vec<u8>, Scalars)> {
    let half = dealing.len().div_euclid(2);
    let cut = half.checked_sub(SCALAR)?;
    let (first, second) = dealing.split_at_checked(half)?;
    let ((commitments, scalar), (more, other)) = (first.split_at_checked(cut)?, second.split_at_checked(cut)?);
    let mut scalars: Scalars = Zeroizing::new([0; 64]);
    let (head, tail) = scalars.split_at_mut_checked(SCALAR)?;
    if head.len() != scalar.len() || tail.len() != other.len() {
        return None;
    }
    head.copy_from_slice(scalar);
    tail.copy_from_slice(other);
    Some(([commitments, more].concat(), scalars))
}

/// The way back.
pub(crate) fn join(commitments: &[u8], scalars: &Scalars) -> Option<Zeroizing<Vec<u8>>> {
    let (first, second) = commitments.split_at_checked(commitments.len().div_euclid(2))?;
    let (scalar, other) = scalars.split_at_checked(SCALAR)?;
    Some(Zeroizing::new([first, scalar, second, other].concat()))
}

#[cfg(test)]
mod tests {
    // Goal: the sealing is RFC 9180's, to the key that ed25519 members have. Method: the RFC's vector, and round trips.
    use super::*;
    use crate::consensus_public;
    use hpke::Kem as _;
    use std::path::Path;

    fn vector(name: &str) -> Vec<u8> {
        let path =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors/hpke/base-x25519-chacha20poly1305.json");
        let value: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        hex::decode(value[name].as_str().unwrap()).unwrap()
    }

    /// Gives these bytes, once.
    struct Given(Vec<u8>);
    impl rand_core::TryRng for Given {
        type Error = core::convert::Infallible;
        fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
            panic!("the library asks for bytes")
        }
        fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
            panic!("the library asks for bytes")
        }
        fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Self::Error> {
            out.copy_from_slice(&self.0.drain(..out.len()).collect::<Vec<_>>());
            Ok(())
        }
    }
    impl rand_core::TryCryptoRng for Given {}

    #[test]
    fn rfc_9180_a_2_1_seals_and_opens() {
        let [info, aad, text] = ["info", "aad", "pt"].map(vector);
        let key = <Kem as hpke::Kem>::PublicKey::from_bytes(&vector("pkRm")).unwrap();
        let (enc, ciphertext) = single_shot_seal_with_rng::<ChaCha20Poly1305, HkdfSha256, Kem>(
            &OpModeS::Base,
            &key,
            &info,
            &text,
            &aad,
            &mut Given(vector("ikmE")),
        )
        .unwrap();
        assert_eq!(enc.to_bytes().as_slice(), vector("enc"));
        assert_eq!(ciphertext, vector("ct"));

        let secret = <Kem as hpke::Kem>::PrivateKey::from_bytes(&vector("skRm")).unwrap();
        let sealed = [vector("enc"), vector("ct")].concat();
        assert_eq!(open(&secret, &info, &aad, &sealed).unwrap().as_slice(), text);
        for at in 0..sealed.len() {
            let mut other = sealed.clone();
            other[at] ^= 1;
            assert!(open(&secret, &info, &aad, &other).is_none(), "byte {at}");
        }
        assert!(open(&secret, &info, b"Count-1", &sealed).is_none());
        assert!(open(&secret, b"", &aad, &sealed).is_none());
        assert!(open(&secret, &info, &aad, &sealed[..40]).is_none());
        assert!(open(&secret, &info, &aad, &sealed[..31]).is_none());
    }

    #[test]
    fn seals_to_the_key_that_a_member_signs_with() {
        let entropy = Zeroizing::new([9; 32]);
        let scalars = Zeroizing::new([3; 64]);
        let info = Hash([1; 32]);
        for id in 0..20 {
            let seed = Zeroizing::new([id; 32]);
            let sealed = seal(&consensus_public(&seed).unwrap(), &info, b"aad", &scalars, &entropy).unwrap();
            let opener = Opener::from_seed(&seed).unwrap();
            assert_eq!(opener.open(&info, b"aad", &sealed).unwrap().as_slice(), scalars.as_slice());
            let public = CompressedEdwardsY(consensus_public(&seed).unwrap().0).decompress().unwrap().to_montgomery();
            assert_eq!(Kem::sk_to_pk(&opener.0).to_bytes().as_slice(), public.as_bytes(), "RFC 7748's map");
            let other = Opener::from_seed(&Zeroizing::new([id + 1; 32])).unwrap();
            assert!(other.open(&info, b"aad", &sealed).is_none());
            assert!(opener.open(&Hash([2; 32]), b"aad", &sealed).is_none());
            assert!(opener.open(&info, b"bad", &sealed).is_none());
        }
    }

    #[test]
    fn the_same_dealing_is_sealed_to_the_same_bytes_and_no_other_is() {
        let to = consensus_public(&Zeroizing::new([1; 32])).unwrap();
        let seal = |info, aad: &[u8], scalar, entropy| {
            seal(&to, &Hash([info; 32]), aad, &Zeroizing::new([scalar; 64]), &Zeroizing::new([entropy; 32])).unwrap()
        };
        let first = seal(1, b"a", 1, 1);
        assert_eq!(first, seal(1, b"a", 1, 1));
        for other in [seal(2, b"a", 1, 1), seal(1, b"b", 1, 1), seal(1, b"a", 1, 2)] {
            assert_ne!(first.0[..ENC], other.0[..ENC], "another ephemeral key");
        }
    }

    #[test]
    fn a_key_of_small_order_gets_nothing() {
        // The points of order 1, 2 and 4, and no point at all.
        let one = {
            let mut y = [0; 32];
            y[0] = 1;
            y
        };
        let minus_one = {
            let mut y = [0xff; 32];
            (y[0], y[31]) = (0xec, 0x7f);
            y
        };
        let two = {
            let mut y = [0; 32];
            y[0] = 2;
            y
        };
        for key in [one, minus_one, [0; 32], two] {
            assert!(
                seal(&Hash(key), &Hash([1; 32]), b"", &Zeroizing::new([3; 64]), &Zeroizing::new([9; 32])).is_none()
            );
        }
    }
}
