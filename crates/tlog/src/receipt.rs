//! Receipts as signed notes (log.md section 5): the text of [`types::Receipt`] and one signature of type 0x01.
use crate::note::{KeyKind, Note, NoteError, VerifierKey};
use alloc::{format, string::String};
use crypto::ed25519::SigningKey;
use types::{Hash, Receipt};

/// Longest receipt, bytes.
pub const RECEIPT_BYTES_MAX: usize = 2_048;

/// Why a receipt promises nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReceiptNoteError {
    /// Not a signed note of one signature, or not as it would be written.
    #[error("not a signed receipt: {0}")]
    Note(#[from] NoteError),
    /// The text is no receipt.
    #[error("not a receipt: {0}")]
    Text(#[from] types::ReceiptError),
    /// Named after another key.
    #[error("of another key")]
    Name,
    /// The signature is not the key's.
    #[error("bad signature")]
    Signature,
}

/// The signed note of a receipt, under the name that the receipt gives.
///
/// # Errors
/// [`NoteError::Name`] when the name is no key name.
pub fn sign(receipt: &Receipt, key: &SigningKey) -> Result<String, NoteError> {
    let verifier = VerifierKey::new(&receipt.name, KeyKind::Ed25519, key.public())?;
    let text = receipt.text();
    let line = verifier.line(&key.sign(text.as_bytes()));
    Ok(format!("{}", Note::new(text, alloc::vec![line])?))
}

/// Checks a receipt of the key `public` under `name`.
///
/// # Errors
/// [`ReceiptNoteError`].
pub fn verify(note: &[u8], public: &Hash, name: &str) -> Result<Receipt, ReceiptNoteError> {
    if note.len() > RECEIPT_BYTES_MAX {
        return Err(NoteError::TooLong.into());
    }
    let parsed = Note::parse(note)?;
    let receipt = Receipt::parse(parsed.text())?;
    if receipt.name != name {
        return Err(ReceiptNoteError::Name);
    }
    let key = VerifierKey::new(name, KeyKind::Ed25519, *public)?;
    let [line] = parsed.lines() else { return Err(NoteError::TooMany.into()) };
    if !key.is_of(line) {
        return Err(ReceiptNoteError::Name);
    }
    if !key.verify(parsed.text(), line) {
        return Err(ReceiptNoteError::Signature);
    }
    Ok(receipt)
}

#[cfg(test)]
mod tests;
