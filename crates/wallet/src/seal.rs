//! From a bundle to an envelope, and what to offer for it.
use crate::NetworkView;
use auction_rules::{Prices, base_fee, gas_class_max};
use crypto::{eip712, eth::EthKey, ids, tdh2};
use types::{
    Address, Amount, Bundle, ChainId, Envelope, EnvelopeHeader, Epoch, EthSignature, Hash, Nonce, SignedHeader,
    SizeClass, Slot, codec, limits,
};
use zeroize::Zeroizing;

/// Why a bundle is not sealed: members would refuse it, or take its fee and drop it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// Not the only version there is.
    #[error("bundle version {0}")]
    Version(u8),
    /// No legs, or more than 16.
    #[error("{0} legs")]
    Legs(usize),
    /// A leg for a chain that the network does not have.
    #[error("chain {0} is not of this network")]
    UnknownChain(ChainId),
    /// Larger than the largest size class.
    #[error("{0} bytes fit no size class")]
    TooLong(usize),
    /// A gas class that no slot admits.
    #[error("gas class {0} is out of range")]
    GasClass(u8),
    /// `after` is not strictly ascending, or longer than 16, or has fewer hashes than there are consents.
    #[error("after is not a short ascending list, or has too many consents")]
    After,
}

/// What a header says besides who pays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealOptions {
    /// Epoch of the key.
    pub epoch: Epoch,
    /// The last slot that may include it.
    pub expiry_slot: Slot,
    /// log2 of the gas that all legs together may use.
    pub gas_class: u8,
    /// Most that is paid for inclusion; [`offer`] says what is sensible.
    pub max_fee: Amount,
    /// Strictly ascending.
    pub after: Vec<Hash>,
    /// One for each foreign hash of `after`, in its order.
    pub consents: Vec<EthSignature>,
}

/// The size class that a bundle is padded to.
///
/// # Errors
/// [`SealError::TooLong`].
pub fn size_class(bundle: &Bundle) -> Result<SizeClass, SealError> {
    let len = codec::encode(bundle).len();
    SizeClass::holding(len).ok_or(SealError::TooLong(len))
}

/// base x (9/8)^4, rounded up: stays payable while prices rise for four full slots, and adds 7.5 % to the charge.
/// `None` for a class that does not exist, or at 2^96.
#[must_use]
pub fn offer(params: &types::wire::Params, size: SizeClass, gas_class: u8) -> Option<Amount> {
    let prices = Prices { byte: params.byte_price.units(), gas: params.gas_price.units() };
    let base = base_fee(&prices, size.index(), gas_class)?;
    // 9^4 and 8^4.
    Amount::new(base.units().checked_mul(6_561)?.div_ceil(4_096))
}

/// Consent of the payer of `unit` that the envelope of this account and nonce names it in `after`.
#[must_use]
pub fn consent(network: &Hash, key: &EthKey, unit: &Hash, fee_account: &Address, nonce: Nonce) -> EthSignature {
    key.sign(&eip712::consent_digest(network, unit, fee_account, nonce))
}

/// Encrypts a bundle to the committee and signs its header; the envelope and its hash. Equal arguments give equal bytes.
///
/// # Errors
/// [`SealError`] for what members would refuse anyway.
///
/// # Security
/// `entropy` must be secret and fresh for every call.
pub fn seal_bundle(
    view: &NetworkView,
    fee_key: &EthKey,
    nonce: Nonce,
    bundle: &Bundle,
    options: SealOptions,
    entropy: Zeroizing<[u8; 32]>,
) -> Result<(Hash, Envelope), SealError> {
    check(view, bundle, &options)?;
    let plaintext = Zeroizing::new(codec::encode(bundle));
    let too_long = SealError::TooLong(plaintext.len());
    let class = SizeClass::holding(plaintext.len()).ok_or(too_long)?;
    let padded = tdh2::pad(&plaintext, class.bytes()).ok_or(too_long)?;
    let SealOptions { epoch, expiry_slot, gas_class, max_fee, after, consents } = options;
    let header = EnvelopeHeader {
        version: EnvelopeHeader::VERSION,
        network: view.id,
        epoch,
        expiry_slot,
        fee_account: fee_key.address(),
        nonce,
        size_class: class.index(),
        gas_class,
        max_fee,
        after,
    };
    let ciphertext = tdh2::seal(&view.key, entropy, &tdh2::envelope_aad(&header), &padded);
    let ciphertext_hash = ids::ciphertext_hash(&ciphertext);
    let signature = fee_key.sign(&eip712::envelope_digest(&header, &ciphertext_hash));
    let signed = SignedHeader { header, signature, consents };
    Ok((ids::envelope_hash(&signed, &ciphertext_hash), Envelope { signed, ciphertext }))
}

fn check(view: &NetworkView, bundle: &Bundle, options: &SealOptions) -> Result<(), SealError> {
    if bundle.version != Bundle::VERSION {
        return Err(SealError::Version(bundle.version));
    }
    if bundle.legs.is_empty() || bundle.legs.len() > limits::LEGS_MAX {
        return Err(SealError::Legs(bundle.legs.len()));
    }
    if let Some(leg) = bundle.legs.iter().find(|leg| view.rollups.binary_search(&leg.chain_id).is_err()) {
        return Err(SealError::UnknownChain(leg.chain_id));
    }
    if gas_class_max(&view.params).is_none_or(|max| options.gas_class > max) {
        return Err(SealError::GasClass(options.gas_class));
    }
    let ascending = options.after.windows(2).all(|pair| matches!(pair, [a, b] if a < b));
    if !ascending || options.after.len() > limits::AFTER_MAX || options.consents.len() > options.after.len() {
        return Err(SealError::After);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    // Goal: WAL-1: what is sealed is admitted by `crypto`, signed by the payer, and decodes; and A-34's figures.
    use super::*;
    use crate::testing;
    use types::{Leg, Policy, Timestamp, wire::Params};

    fn bundle(bytes: usize) -> Bundle {
        Bundle {
            version: 1,
            policy: Policy::AtomicExec,
            legs: vec![Leg { chain_id: ChainId(901), tx: vec![7; bytes] }],
            deadline_slot: Slot(30),
            salt: Hash([5; 32]),
        }
    }

    fn options() -> SealOptions {
        SealOptions {
            epoch: Epoch(0),
            expiry_slot: Slot(20),
            gas_class: 21,
            max_fee: Amount::new(1 << 40).unwrap(),
            after: vec![],
            consents: vec![],
        }
    }

    fn key() -> EthKey {
        EthKey::from_bytes(Zeroizing::new([9; 32])).unwrap()
    }

    #[test]
    fn wal_1_what_is_sealed_is_admitted_signed_and_named() {
        let (network, _keys) = testing::network();
        let view = NetworkView::new(&network).unwrap();
        for (bytes, class) in [(100, 0), (600, 1), (3_000, 2), (10_000, 3), (61_000, 4)] {
            let sealed = seal_bundle(&view, &key(), Nonce(3), &bundle(bytes), options(), Zeroizing::new([1; 32]));
            let (hash, envelope) = sealed.unwrap();
            let header = &envelope.signed.header;
            assert_eq!((header.size_class, header.nonce, header.network), (class, Nonce(3), view.id));
            assert_eq!(hash, ids::hash_envelope(&envelope));
            let encoded = codec::encode(&envelope);
            assert!(encoded.len() <= limits::ENVELOPE_BYTES_MAX);
            assert_eq!(codec::decode::<Envelope>(&encoded, limits::ENVELOPE_BYTES_MAX).unwrap(), envelope);
            let digest = eip712::envelope_digest(header, &ids::ciphertext_hash(&envelope.ciphertext));
            assert_eq!(crypto::eth::recover(&digest, &envelope.signed.signature), Ok(key().address()));
            let aad = tdh2::envelope_aad(header);
            let class_bytes = header.class().unwrap().bytes();
            let item = tdh2::Item { aad: &aad, class_bytes, ciphertext: &envelope.ciphertext };
            assert!(tdh2::admit(&view.key, &[item], [2; 32]).pop().unwrap().is_ok());
        }
    }

    #[test]
    fn wal_1_entropy_changes_the_ciphertext_and_nothing_else_does() {
        let (network, _keys) = testing::network();
        let view = NetworkView::new(&network).unwrap();
        let seal = |entropy: u8, nonce| {
            seal_bundle(&view, &key(), Nonce(nonce), &bundle(9), options(), Zeroizing::new([entropy; 32])).unwrap()
        };
        assert_eq!(seal(1, 0), seal(1, 0));
        assert_ne!(seal(1, 0).1.ciphertext, seal(2, 0).1.ciphertext);
        assert_ne!(seal(1, 0).1.ciphertext, seal(1, 1).1.ciphertext, "the header is associated data");
    }

    #[test]
    fn what_members_would_refuse_is_not_sealed() {
        let (network, _keys) = testing::network();
        let view = NetworkView::new(&network).unwrap();
        let seal = |bundle: Bundle, options: SealOptions| {
            seal_bundle(&view, &key(), Nonce(0), &bundle, options, Zeroizing::new([1; 32])).unwrap_err()
        };
        assert_eq!(seal(Bundle { version: 2, ..bundle(1) }, options()), SealError::Version(2));
        assert_eq!(seal(Bundle { legs: vec![], ..bundle(1) }, options()), SealError::Legs(0));
        let many = vec![bundle(1).legs.remove(0); 17];
        assert_eq!(seal(Bundle { legs: many, ..bundle(1) }, options()), SealError::Legs(17));
        let mut foreign = bundle(1);
        foreign.legs[0].chain_id = ChainId(903);
        assert_eq!(seal(foreign, options()), SealError::UnknownChain(ChainId(903)));
        assert!(matches!(seal(bundle(61_440), options()), SealError::TooLong(_)));
        assert_eq!(seal(bundle(1), SealOptions { gas_class: 25, ..options() }), SealError::GasClass(25));
        let after = |after: Vec<u8>, consents| SealOptions {
            after: after.into_iter().map(|b| Hash([b; 32])).collect(),
            consents: vec![EthSignature([0; 65]); consents],
            ..options()
        };
        assert_eq!(seal(bundle(1), after(vec![2, 1], 0)), SealError::After);
        assert_eq!(seal(bundle(1), after(vec![1, 1], 0)), SealError::After);
        assert_eq!(seal(bundle(1), after((0..17).collect(), 0)), SealError::After);
        assert_eq!(seal(bundle(1), after(vec![1], 2)), SealError::After);
    }

    #[test]
    fn a34_an_offer_outlives_four_full_slots() {
        let mut params = Params {
            network: Hash::ZERO,
            epoch: Epoch(0),
            last_final: Slot(1),
            opened: Slot(1),
            byte_price: Amount::new(16).unwrap(),
            gas_price: Amount::new(1).unwrap(),
            reserve: Amount::ZERO,
            time_ms: Timestamp(0),
            ms_to_close: 0,
        };
        let size = SizeClass::new(0).unwrap();
        // base = 16 x 512 + 2^21.
        assert_eq!(offer(&params, size, 21).unwrap().units(), (2_105_344u128 * 6_561).div_ceil(4_096));
        let base = |params: &Params| {
            base_fee(&Prices { byte: params.byte_price.units(), gas: params.gas_price.units() }, 0, 21).unwrap()
        };
        params.gas_price = Amount::new(1_000).unwrap();
        params.byte_price = Amount::new(1_000).unwrap();
        let offered = offer(&params, size, 21).unwrap();
        for _ in 0..4 {
            let full = network_params();
            let prices = Prices { byte: params.byte_price.units(), gas: params.gas_price.units() };
            let next = auction_rules::next_prices(&full, &prices, full.bytes_limit, full.gas_limit);
            params.byte_price = Amount::new(next.byte).unwrap();
            params.gas_price = Amount::new(next.gas).unwrap();
            assert!(base(&params) <= offered);
        }
        assert_eq!(offer(&params, size, 127), None);
    }

    fn network_params() -> types::Params {
        types::Params::default_for(500)
    }
}
