//! The expensive checks, as pure functions for the node's workers: the payer's signature, the consents of foreign payers,
//! the proof of the ciphertext.
use crypto::{
    bid, eip712, eth, ids,
    keys::EncryptionKey,
    tdh2::{self, Admitted, Item},
};
use std::sync::Arc;
use types::{Address, Bid, Envelope, EthSignature, Hash, Nonce, SignedHeader, SizeClass, codec, reason::Reason};

/// What is sealed to the committee.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sealed {
    /// A wallet's.
    Envelope(Arc<Envelope>),
    /// A builder's.
    Bid(Arc<Bid>),
}

impl Sealed {
    /// The envelope, if it is one.
    #[must_use]
    pub fn envelope(&self) -> Option<&Arc<Envelope>> {
        match self {
            Self::Envelope(envelope) => Some(envelope),
            Self::Bid(_) => None,
        }
    }
    /// Its codec bytes.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Envelope(envelope) => codec::encode(&**envelope),
            Self::Bid(bid) => codec::encode(&**bid),
        }
    }
    /// Associated data of its ciphertext.
    #[must_use]
    pub fn aad(&self) -> Vec<u8> {
        match self {
            Self::Envelope(envelope) => tdh2::envelope_aad(&envelope.signed.header),
            Self::Bid(bid) => bid::aad(&bid.header),
        }
    }
    /// Its ciphertext; `aad` is [`Self::aad`].
    #[must_use]
    pub fn item<'a>(&'a self, aad: &'a [u8]) -> Item<'a> {
        match self {
            Self::Envelope(envelope) => {
                let class_bytes = envelope.signed.header.class().map_or(0, SizeClass::bytes);
                Item { aad, class_bytes, ciphertext: &envelope.ciphertext }
            }
            Self::Bid(bid) => bid::item(bid, aad),
        }
    }
}

/// One thing to admit.
#[derive(Clone, Copy, Debug)]
pub struct AdmitRequest<'a> {
    /// What.
    pub sealed: &'a Sealed,
    /// Of an envelope: payer and nonce of each unit of `after`, in its order; shorter when one is unknown here. `None`:
    /// consents are not checked, because f + 1 lists name the envelope or a final block holds it, so honest members did.
    pub after: Option<&'a [(Address, Nonce)]>,
}

/// Admits envelopes that passed [`crate::Mempool::precheck`] and bids that passed the ledger, in the order of the
/// requests. The verdict on each is its own: who else is in the batch changes nothing.
///
/// `seed` is 32 random bytes; it decides nothing but the coefficients of the batched proof check. The second part of an
/// error is a refusal's detail: LENGTH, POINT, SCALAR, SUBGROUP or PROOF for a ciphertext, else empty.
#[must_use]
pub fn admit_batch(
    key: &EncryptionKey,
    network: &Hash,
    requests: &[AdmitRequest<'_>],
    seed: [u8; 32],
) -> Vec<Result<Admitted, (Reason, &'static str)>> {
    let signed: Vec<Result<Signed<'_>, Reason>> = requests.iter().map(|request| signed(network, request)).collect();
    let items: Vec<Item<'_>> = signed.iter().flatten().map(Signed::item).collect();
    let mut proofs = tdh2::admit(key, &items, seed).into_iter();
    let verdict = |signed: Result<Signed<'_>, Reason>| {
        signed.map_err(|reason| (reason, ""))?;
        let proof = proofs.next().ok_or((Reason::BadCiphertext, ""))?;
        proof.map_err(|error| (Reason::BadCiphertext, error.name()))
    };
    signed.into_iter().map(verdict).collect()
}

/// What is signed by who it says.
struct Signed<'a> {
    aad: Vec<u8>,
    sealed: &'a Sealed,
}

impl Signed<'_> {
    fn item(&self) -> Item<'_> {
        self.sealed.item(&self.aad)
    }
}

fn signed<'a>(network: &Hash, request: &AdmitRequest<'a>) -> Result<Signed<'a>, Reason> {
    match request.sealed {
        Sealed::Envelope(envelope) => signed_envelope(network, envelope, request.after)?,
        Sealed::Bid(bid) if bid.header.network != *network => return Err(Reason::WrongNetwork),
        Sealed::Bid(bid) if !bid::is_well_formed(bid, network) => return Err(Reason::MalformedData),
        Sealed::Bid(bid) if !bid::is_signed(bid) => return Err(Reason::WrongSignature),
        Sealed::Bid(_) => {}
    }
    Ok(Signed { aad: request.sealed.aad(), sealed: request.sealed })
}

fn signed_envelope(network: &Hash, envelope: &Envelope, after: Option<&[(Address, Nonce)]>) -> Result<(), Reason> {
    let Envelope { signed, ciphertext } = envelope;
    signed.header.class().ok_or(Reason::MalformedData)?;
    if signed.header.network != *network {
        return Err(Reason::WrongNetwork);
    }
    let hash = ids::ciphertext_hash(ciphertext);
    match after {
        Some(after) => check_signature(envelope, &hash, after),
        None => check_payer(envelope, &hash),
    }
}

/// Checks the payer's EIP-712 signature and one consent for each unit of another payer that `after` names.
///
/// `after` = payer and nonce of each named unit, in the header's order.
///
/// # Errors
/// [`Reason::AfterUnknown`] when `after` is shorter than the header's; [`Reason::WrongSignature`];
/// [`Reason::AfterNotAllowed`] for an own unit of the same or a later nonce, and for a foreign one without its payer's
/// consent; [`Reason::MalformedData`] for consents too many, which would give one envelope two hashes.
pub fn check_signature(envelope: &Envelope, ciphertext_hash: &Hash, after: &[(Address, Nonce)]) -> Result<(), Reason> {
    let signed = &envelope.signed;
    let header = &signed.header;
    if after.len() != header.after.len() {
        return Err(Reason::AfterUnknown);
    }
    check_payer(envelope, ciphertext_hash)?;
    let mut consents = signed.consents.iter();
    for (unit, (payer, nonce)) in header.after.iter().zip(after) {
        let allowed = if *payer == header.fee_account {
            *nonce < header.nonce
        } else {
            let digest = eip712::consent_digest(&header.network, unit, &header.fee_account, header.nonce);
            consents.next().is_some_and(|consent| signs(&digest, consent, payer))
        };
        if !allowed {
            return Err(Reason::AfterNotAllowed);
        }
    }
    if consents.next().is_some() { Err(Reason::MalformedData) } else { Ok(()) }
}

fn signs(digest: &Hash, signature: &EthSignature, who: &Address) -> bool {
    eth::recover(digest, signature).as_ref() == Ok(who)
}

/// Checks the payer's EIP-712 signature alone.
///
/// # Errors
/// [`Reason::WrongSignature`].
fn check_payer(envelope: &Envelope, ciphertext_hash: &Hash) -> Result<(), Reason> {
    let SignedHeader { header, signature, .. } = &envelope.signed;
    let signed = signs(&eip712::envelope_digest(header, ciphertext_hash), signature, &header.fee_account);
    if signed { Ok(()) } else { Err(Reason::WrongSignature) }
}

#[cfg(test)]
mod tests;
