//! Fixed-length byte strings: raw bytes in the codec, `0x` hex for people.
use alloc::string::String;
use core::fmt;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Why a hex text is not a value of the wanted length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HexError {
    /// The number of hex digits differs from twice the length.
    #[error("wrong number of hex digits")]
    Length,
    /// A character is no hex digit.
    #[error("not a hex digit")]
    Digit,
}

fn digit(c: u8) -> Result<u8, HexError> {
    match c {
        b'0'..=b'9' => Ok(c.wrapping_sub(b'0')),
        b'a'..=b'f' => Ok(c.wrapping_sub(b'a').wrapping_add(10)),
        b'A'..=b'F' => Ok(c.wrapping_sub(b'A').wrapping_add(10)),
        _ => Err(HexError::Digit),
    }
}

fn parse_hex<const N: usize>(text: &str) -> Result<[u8; N], HexError> {
    let digits = text.strip_prefix("0x").unwrap_or(text).as_bytes();
    let (pairs, rest) = digits.as_chunks::<2>();
    if pairs.len() != N || !rest.is_empty() {
        return Err(HexError::Length);
    }
    let mut out = [0u8; N];
    for (byte, [high, low]) in out.iter_mut().zip(pairs) {
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Ok(out)
}

fn write_hex(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str("0x")?;
    bytes.iter().try_for_each(|b| write!(f, "{b:02x}"))
}

struct TupleVisitor<const N: usize>;

impl<'de, const N: usize> de::Visitor<'de> for TupleVisitor<N> {
    type Value = [u8; N];
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{N} bytes")
    }
    fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<[u8; N], A::Error> {
        let mut out = [0u8; N];
        for (i, byte) in out.iter_mut().enumerate() {
            *byte = seq.next_element()?.ok_or_else(|| de::Error::invalid_length(i, &self))?;
        }
        Ok(out)
    }
}

fn serialize<S: Serializer, const N: usize>(bytes: &[u8; N], hex: &impl fmt::Display, s: S) -> Result<S::Ok, S::Error> {
    if s.is_human_readable() {
        return s.collect_str(hex);
    }
    use serde::ser::SerializeTuple;
    let mut tuple = s.serialize_tuple(N)?;
    for byte in bytes {
        tuple.serialize_element(byte)?;
    }
    tuple.end()
}

fn deserialize<'de, D: Deserializer<'de>, const N: usize>(d: D) -> Result<[u8; N], D::Error> {
    if d.is_human_readable() {
        let text = String::deserialize(d)?;
        return parse_hex(&text).map_err(de::Error::custom);
    }
    d.deserialize_tuple(N, TupleVisitor::<N>)
}

macro_rules! byte_string {
    ($name:ident, $len:literal, $doc:literal) => {
        #[doc = $doc]
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; $len]);

        impl $name {
            /// Length in bytes.
            pub const LEN: usize = $len;
            /// All bytes zero.
            pub const ZERO: Self = Self([0; $len]);
            /// The bytes.
            #[must_use]
            pub fn as_bytes(&self) -> &[u8; $len] {
                &self.0
            }
            /// Parses hex of either case, with or without `0x`.
            ///
            /// # Errors
            /// [`HexError`] when the length or a digit is wrong.
            pub fn from_hex(text: &str) -> Result<Self, HexError> {
                parse_hex(text).map(Self)
            }
        }
        impl AsRef<[u8]> for $name {
            fn as_ref(&self) -> &[u8] {
                &self.0
            }
        }
        impl From<[u8; $len]> for $name {
            fn from(bytes: [u8; $len]) -> Self {
                Self(bytes)
            }
        }
        impl TryFrom<&[u8]> for $name {
            type Error = HexError;
            fn try_from(bytes: &[u8]) -> Result<Self, HexError> {
                <[u8; $len]>::try_from(bytes).map(Self).map_err(|_short| HexError::Length)
            }
        }
        impl core::str::FromStr for $name {
            type Err = HexError;
            fn from_str(text: &str) -> Result<Self, HexError> {
                parse_hex(text).map(Self)
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_hex(&self.0, f)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_hex(&self.0, f)
            }
        }
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                serialize(&self.0, self, s)
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                deserialize(d).map(Self)
            }
        }
    };
}

byte_string!(Hash, 32, "A SHA-256 or keccak-256 digest, or a 32-byte public key.");
byte_string!(Address, 20, "An Ethereum address: fee account, builder or contract.");
byte_string!(EthSignature, 65, "A secp256k1 signature r, s, v; low s, v in {27, 28}.");
byte_string!(Signature, 64, "An ed25519 signature.");
byte_string!(
    SignatureStamp,
    72,
    "A cosignature: u64 big-endian Unix seconds, then an ed25519 signature (C2SP tlog-cosignature)."
);
byte_string!(G1Bytes, 48, "A BLS12-381 G1 point, `ZCash` compressed.");
byte_string!(G2Bytes, 96, "A BLS12-381 G2 point, `ZCash` compressed; or a G1 point uncompressed.");
byte_string!(FrBytes, 32, "A BLS12-381 scalar, little-endian, below the group order.");
byte_string!(
    SealedDealing,
    112,
    "Two scalars of 32 bytes, sealed to one member: HPKE's encapsulated key 32, ciphertext 64, tag 16."
);
byte_string!(Key128, 16, "The 16-byte key K that opens an envelope.");

impl Default for Hash {
    fn default() -> Self {
        Self::ZERO
    }
}
