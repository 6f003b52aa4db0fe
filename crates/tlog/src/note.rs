//! Signed notes (C2SP signed-note v1.0.0): a text, a blank line, and lines `— <name> <base64: key id, signature>`.
//!
//! Two signature types exist here: 0x01, ed25519 over the text, and 0x04, a timestamped cosignature
//! (C2SP tlog-cosignature v1.0.1), ed25519 over `cosignature/v1`, a line `time <seconds>`, and the text.
use alloc::{format, string::String, vec::Vec};
use base64::{Engine, engine::general_purpose::STANDARD};
use core::fmt;
use crypto::ed25519::{self, SigningKey};
use types::{Hash, Signature, SignatureStamp};

/// Longest note that is read, bytes.
pub const NOTE_BYTES_MAX: usize = 128 * 1_024;
/// Most signature lines that are read: a committee of 128 members twice over.
pub const SIGNATURES_MAX: usize = 256;
/// Longest key name, bytes.
pub const NAME_BYTES_MAX: usize = 255;
/// Longest raw signature of a line, after its key id, bytes: also of types that are ignored here.
const SIGNATURE_BYTES_MAX: usize = 8 * 1_024;
/// C2SP tlog-cosignature: a timestamp must not exceed 2^63 - 1.
const TIME_MAX: u64 = u64::MAX >> 1;

/// How a key signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyKind {
    /// 0x01: ed25519 over the note's text.
    Ed25519,
    /// 0x04: cosignature/v1, with its time.
    Cosignature,
}

impl KeyKind {
    const fn number(self) -> u8 {
        match self {
            Self::Ed25519 => 0x01,
            Self::Cosignature => 0x04,
        }
    }
}

/// Why a text is no note, key or signature line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoteError {
    /// Longer than [`NOTE_BYTES_MAX`].
    #[error("note too long")]
    TooLong,
    /// Not UTF-8, or a control character other than newline.
    #[error("not text")]
    Text,
    /// No blank line before the signatures, or a last line without newline.
    #[error("no signatures after a blank line")]
    Shape,
    /// A signature line does not parse.
    #[error("malformed signature line")]
    Line,
    /// More than [`SIGNATURES_MAX`] lines.
    #[error("too many signatures")]
    TooMany,
    /// An empty name, or one with a space or plus.
    #[error("not a key name")]
    Name,
    /// A verifier key that does not parse, or whose id is not its own.
    #[error("malformed verifier key")]
    Key,
}

/// Base64 with padding, as every format here wants it.
#[must_use]
pub(crate) fn base64_encode(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// Decodes at most `max` bytes; refuses missing padding and stray bits.
pub(crate) fn base64_decode(text: &str, max: usize) -> Option<Vec<u8>> {
    let most = max.div_ceil(3).saturating_mul(4);
    if text.len() > most {
        return None;
    }
    STANDARD.decode(text).ok().filter(|bytes| bytes.len() <= max)
}

/// Is this a key name: not empty, at most [`NAME_BYTES_MAX`] bytes, no Unicode spaces, control characters or plus?
#[must_use]
pub fn is_name(name: &str) -> bool {
    let odd = |c: char| c.is_whitespace() || c.is_control() || c == '+';
    !name.is_empty() && name.len() <= NAME_BYTES_MAX && !name.contains(odd)
}

/// A public key with its name and its way of signing. As text (a *vkey*): `<name>+<key id, 8 hex>+<base64: type, key>`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VerifierKey {
    name: String,
    kind: KeyKind,
    public: Hash,
    id: [u8; 4],
}

impl VerifierKey {
    /// A key under a name.
    ///
    /// # Errors
    /// [`NoteError::Name`].
    pub fn new(name: &str, kind: KeyKind, public: Hash) -> Result<Self, NoteError> {
        if !is_name(name) {
            return Err(NoteError::Name);
        }
        let hash = crypto::hash::sha256(&[name.as_bytes(), b"\n", &[kind.number()], public.as_ref()]);
        let [a, b, c, d, ..] = hash.0;
        Ok(Self { name: name.into(), kind, public, id: [a, b, c, d] })
    }

    /// Parses a vkey of type 0x01 or 0x04.
    ///
    /// # Errors
    /// [`NoteError::Key`] when it does not parse, has another type, or its id is not its own; [`NoteError::Name`].
    pub fn parse(vkey: &str) -> Result<Self, NoteError> {
        let mut parts = vkey.splitn(3, '+');
        let name = parts.next().ok_or(NoteError::Key)?;
        let _id = parts.next().ok_or(NoteError::Key)?;
        let material = parts.next().ok_or(NoteError::Key)?;
        let material = base64_decode(material, 33).ok_or(NoteError::Key)?;
        let (kind, public) = material.split_first().ok_or(NoteError::Key)?;
        let kind = match kind {
            0x01 => KeyKind::Ed25519,
            0x04 => KeyKind::Cosignature,
            _ => return Err(NoteError::Key),
        };
        let public = Hash::try_from(public).map_err(|_length| NoteError::Key)?;
        let key = Self::new(name, kind, public)?;
        if format!("{key}") == vkey { Ok(key) } else { Err(NoteError::Key) }
    }

    /// The key's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
    /// How it signs.
    #[must_use]
    pub const fn kind(&self) -> KeyKind {
        self.kind
    }
    /// The ed25519 public key.
    #[must_use]
    pub const fn public(&self) -> &Hash {
        &self.public
    }
    /// First four bytes of SHA-256(name | newline | type | key).
    #[must_use]
    pub const fn id(&self) -> [u8; 4] {
        self.id
    }

    /// Is this line by this key? Says nothing about whether it is valid.
    #[must_use]
    pub fn is_of(&self, line: &SignatureLine) -> bool {
        self.id == line.id && self.name == line.name
    }

    /// Is this line by this key, of its type, and valid for `text`?
    #[must_use]
    pub fn verify(&self, text: &str, line: &SignatureLine) -> bool {
        if !self.is_of(line) {
            return false;
        }
        match self.kind {
            KeyKind::Ed25519 => Signature::try_from(line.signature.as_slice())
                .is_ok_and(|signature| ed25519::verify(&self.public, text.as_bytes(), &signature)),
            KeyKind::Cosignature => line.stamp().is_some_and(|stamp| verify_cosignature(&self.public, text, &stamp)),
        }
    }

    /// The line of a signature of type 0x01 by this key.
    #[must_use]
    pub fn line(&self, signature: &Signature) -> SignatureLine {
        SignatureLine { name: self.name.clone(), id: self.id, signature: signature.as_ref().to_vec() }
    }

    /// The line of a cosignature by this key.
    #[must_use]
    pub fn stamp_line(&self, stamp: &SignatureStamp) -> SignatureLine {
        SignatureLine { name: self.name.clone(), id: self.id, signature: stamp.as_ref().to_vec() }
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut material = Vec::with_capacity(33);
        material.push(self.kind.number());
        material.extend_from_slice(self.public.as_ref());
        write!(f, "{}+{:08x}+{}", self.name, u32::from_be_bytes(self.id), base64_encode(&material))
    }
}

impl core::str::FromStr for VerifierKey {
    type Err = NoteError;
    fn from_str(vkey: &str) -> Result<Self, NoteError> {
        Self::parse(vkey)
    }
}

/// One signature line; of any type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignatureLine {
    name: String,
    id: [u8; 4],
    signature: Vec<u8>,
}

impl SignatureLine {
    /// Name of the key that is said to have signed.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
    /// Key id.
    #[must_use]
    pub const fn id(&self) -> [u8; 4] {
        self.id
    }
    /// The signature without the key id.
    #[must_use]
    pub fn signature(&self) -> &[u8] {
        &self.signature
    }
    /// The signature as a cosignature, if it has the length of one.
    #[must_use]
    pub fn stamp(&self) -> Option<SignatureStamp> {
        SignatureStamp::try_from(self.signature.as_slice()).ok()
    }

    fn parse(line: &str) -> Result<Self, NoteError> {
        let (name, signature) = line.strip_prefix("— ").and_then(|l| l.split_once(' ')).ok_or(NoteError::Line)?;
        if !is_name(name) {
            return Err(NoteError::Name);
        }
        let bytes = base64_decode(signature, SIGNATURE_BYTES_MAX).ok_or(NoteError::Line)?;
        let (id, signature) = bytes.split_first_chunk::<4>().ok_or(NoteError::Line)?;
        if signature.is_empty() {
            return Err(NoteError::Line);
        }
        Ok(Self { name: name.into(), id: *id, signature: signature.to_vec() })
    }
}

impl fmt::Display for SignatureLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = self.id.to_vec();
        bytes.extend_from_slice(&self.signature);
        writeln!(f, "— {} {}", self.name, base64_encode(&bytes))
    }
}

/// A text and lines that claim to sign it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    text: String,
    lines: Vec<SignatureLine>,
}

impl Note {
    /// A note of this text.
    ///
    /// # Errors
    /// [`NoteError::Text`] and [`NoteError::Shape`] when the text could not be read back; [`NoteError::TooMany`].
    pub fn new(text: String, lines: Vec<SignatureLine>) -> Result<Self, NoteError> {
        if text.contains(is_odd) {
            return Err(NoteError::Text);
        }
        if text == "\n" || !text.ends_with('\n') || lines.is_empty() {
            return Err(NoteError::Shape);
        }
        if lines.len() > SIGNATURES_MAX {
            return Err(NoteError::TooMany);
        }
        Ok(Self { text, lines })
    }

    /// Parses a note. What it says is worth nothing before a signature is verified.
    ///
    /// # Errors
    /// [`NoteError`]; nothing is repaired.
    pub fn parse(bytes: &[u8]) -> Result<Self, NoteError> {
        if bytes.len() > NOTE_BYTES_MAX {
            return Err(NoteError::TooLong);
        }
        let all = core::str::from_utf8(bytes).map_err(|_utf8| NoteError::Text)?;
        if all.contains(is_odd) {
            return Err(NoteError::Text);
        }
        // The text may hold blank lines: the last one separates.
        let (text, lines) = all.rsplit_once("\n\n").ok_or(NoteError::Shape)?;
        let lines = lines.strip_suffix('\n').ok_or(NoteError::Shape)?;
        let lines: Vec<SignatureLine> = lines
            .split('\n')
            .take(SIGNATURES_MAX.saturating_add(1))
            .map(SignatureLine::parse)
            .collect::<Result<_, _>>()?;
        Self::new(format!("{text}\n"), lines)
    }

    /// The signed text, with its final newline.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
    /// The signature lines.
    #[must_use]
    pub fn lines(&self) -> &[SignatureLine] {
        &self.lines
    }
}

fn is_odd(c: char) -> bool {
    c < ' ' && c != '\n'
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        self.lines.iter().try_for_each(|line| line.fmt(f))
    }
}

/// What a cosignature of type 0x04 signs.
#[must_use]
pub fn cosignature_text(time: u64, text: &str) -> String {
    format!("cosignature/v1\ntime {time}\n{text}")
}

/// Cosigns a note's text at `time`, Unix seconds.
#[must_use]
pub fn cosign(text: &str, time: u64, key: &SigningKey) -> SignatureStamp {
    let signature = key.sign(cosignature_text(time, text).as_bytes());
    let mut stamp = SignatureStamp::ZERO;
    for (place, byte) in stamp.0.iter_mut().zip(time.to_be_bytes().into_iter().chain(signature.0)) {
        *place = byte;
    }
    stamp
}

/// The claimed time of a cosignature, Unix seconds, and its ed25519 signature.
#[must_use]
pub fn split_stamp(stamp: &SignatureStamp) -> (u64, Signature) {
    let (mut time, mut signature) = ([0u8; 8], Signature::ZERO);
    for (place, byte) in time.iter_mut().chain(signature.0.iter_mut()).zip(stamp.0) {
        *place = byte;
    }
    (u64::from_be_bytes(time), signature)
}

/// Is this a cosignature of `text` by `public`, at a time below 2^63?
#[must_use]
pub fn verify_cosignature(public: &Hash, text: &str, stamp: &SignatureStamp) -> bool {
    let (time, signature) = split_stamp(stamp);
    time <= TIME_MAX && ed25519::verify(public, cosignature_text(time, text).as_bytes(), &signature)
}

#[cfg(test)]
mod tests;
