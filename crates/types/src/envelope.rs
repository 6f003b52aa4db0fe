//! An envelope: clear header, signature, ciphertext.
use crate::{Address, Amount, Epoch, EthSignature, Hash, Nonce, Slot, limits};
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// The clear header. Shape: `after` strictly ascending, at most 16. The payer signs it as EIP-712 together with the
/// ciphertext's hash, and the whole header is associated data of the ciphertext.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvelopeHeader {
    /// Format; 1.
    pub version: u8,
    /// Network id.
    pub network: Hash,
    /// Epoch whose decryption key was used.
    pub epoch: Epoch,
    /// The last slot that may include it.
    pub expiry_slot: Slot,
    /// Who pays.
    pub fee_account: Address,
    /// Contiguous per fee account.
    pub nonce: Nonce,
    /// Index into [`limits::SIZE_CLASS_BYTES`].
    pub size_class: u8,
    /// log2 of the gas that all legs together may use.
    pub gas_class: u8,
    /// Most that the payer pays for inclusion.
    pub max_fee: Amount,
    /// Envelopes that must stand before it.
    pub after: Vec<Hash>,
}

impl EnvelopeHeader {
    /// The only format.
    pub const VERSION: u8 = 1;
    /// The size class, or `None` for an index out of range.
    #[must_use]
    pub fn class(&self) -> Option<SizeClass> {
        SizeClass::new(self.size_class)
    }
}

/// The header with what authenticates it. The envelope hash is
/// SHA-256("lockstep/envelope/v1" | codec(this) | SHA-256(ciphertext)).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedHeader {
    /// What is signed.
    pub header: EnvelopeHeader,
    /// The payer's EIP-712 signature over header and ciphertext hash.
    pub signature: EthSignature,
    /// One EIP-712 `AfterConsent` signature for each foreign hash of `after`, in its order.
    pub consents: Vec<EthSignature>,
}

/// An envelope as it travels and as it stands in the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    /// Header, signature, consents.
    pub signed: SignedHeader,
    /// TDH2: `U 48 | V 48 | W 48 | X 48 | z 32 | c1 16 | body`, body = class + 16 bytes.
    pub ciphertext: Vec<u8>,
}

/// A size class: all plaintexts of a class have one length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SizeClass(u8);

impl SizeClass {
    /// The class of this index, `None` out of range.
    #[must_use]
    pub const fn new(index: u8) -> Option<Self> {
        if index < 5 { Some(Self(index)) } else { None }
    }
    /// The smallest class that holds `len` bytes of plaintext and its length prefix of 4 bytes.
    #[must_use]
    pub fn holding(len: usize) -> Option<Self> {
        let need = len.checked_add(4)?;
        let index = limits::SIZE_CLASS_BYTES.iter().position(|bytes| *bytes >= need)?;
        u8::try_from(index).ok().and_then(Self::new)
    }
    /// Index into [`limits::SIZE_CLASS_BYTES`].
    #[must_use]
    pub const fn index(self) -> u8 {
        self.0
    }
    /// Padded plaintext, bytes.
    #[must_use]
    pub fn bytes(self) -> usize {
        limits::SIZE_CLASS_BYTES.get(usize::from(self.0)).copied().unwrap_or(0)
    }
}
