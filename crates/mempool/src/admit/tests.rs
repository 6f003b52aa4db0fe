// Goal: POOL-5, X-05 on headers, X-10. Method: real seals and signatures; every field of the header altered after signing;
// consents missing, foreign, too many.
use super::*;
use crate::testing::{address, header, key, network, payer, sealed};
use crypto::tdh2::AdmitError;
use types::{Amount, EnvelopeHeader, Epoch, EthSignature, Slot};

fn verdicts(envelopes: &[(Envelope, Vec<(Address, Nonce)>)]) -> Vec<Result<(), (Reason, &'static str)>> {
    let sealed: Vec<Sealed> =
        envelopes.iter().map(|(envelope, _)| Sealed::Envelope(Arc::new(envelope.clone()))).collect();
    let requests: Vec<AdmitRequest<'_>> =
        sealed.iter().zip(envelopes).map(|(sealed, (_, after))| AdmitRequest { sealed, after: Some(after) }).collect();
    admit_batch(key(), &network(), &requests, [3; 32]).into_iter().map(|verdict| verdict.map(|_| ())).collect()
}

fn verdict(envelope: Envelope, after: &[(Address, Nonce)]) -> Result<(), (Reason, &'static str)> {
    verdicts(&[(envelope, after.to_vec())]).remove(0)
}

#[test]
fn pool_5_what_a_wallet_makes_is_admitted() {
    for size_class in 0..5 {
        let header = EnvelopeHeader { size_class, ..header(1, 0, 0) };
        assert_eq!(verdict(sealed(header, 1, "hello"), &[]), Ok(()));
    }
}

#[test]
fn x05_any_change_of_the_header_breaks_the_signature_and_a_new_one_breaks_the_proof() {
    let good = sealed(header(1, 0, 0), 1, "hello");
    let changes: [fn(&mut EnvelopeHeader); 7] = [
        |h| h.epoch = Epoch(1),
        |h| h.expiry_slot = Slot(21),
        |h| h.nonce = Nonce(1),
        |h| h.gas_class = 1,
        |h| h.max_fee = Amount::new(99).unwrap(),
        |h| h.version = 2,
        |h| h.fee_account = address(2),
    ];
    for change in changes {
        let mut lifted = good.clone();
        change(&mut lifted.signed.header);
        assert_eq!(verdict(lifted.clone(), &[]), Err((Reason::WrongSignature, "")));
        let signer = if lifted.signed.header.fee_account == address(2) { payer(2) } else { payer(1) };
        let digest = eip712::envelope_digest(&lifted.signed.header, &ids::ciphertext_hash(&lifted.ciphertext));
        lifted.signed.signature = signer.sign(&digest);
        assert_eq!(verdict(lifted, &[]), Err((Reason::BadCiphertext, AdmitError::Proof.name())));
    }
    let mut other = good.clone();
    other.signed.header.network = Hash::ZERO;
    assert_eq!(verdict(other, &[]), Err((Reason::WrongNetwork, "")));
    let mut other = good.clone();
    other.signed.header.size_class = 5;
    assert_eq!(verdict(other, &[]), Err((Reason::MalformedData, "")));
    let mut other = good;
    other.ciphertext[300] ^= 1;
    assert_eq!(verdict(other, &[]), Err((Reason::WrongSignature, "")));
}

#[test]
fn the_detail_names_what_is_wrong_with_a_ciphertext() {
    let resigned = |change: fn(&mut Vec<u8>)| {
        let mut envelope = sealed(header(1, 0, 0), 1, "hello");
        change(&mut envelope.ciphertext);
        let digest = eip712::envelope_digest(&envelope.signed.header, &ids::ciphertext_hash(&envelope.ciphertext));
        envelope.signed.signature = payer(1).sign(&digest);
        verdict(envelope, &[])
    };
    assert_eq!(resigned(|bytes| bytes.push(0)), Err((Reason::BadCiphertext, "LENGTH")));
    assert_eq!(resigned(|bytes| bytes[0] ^= 0x80), Err((Reason::BadCiphertext, "POINT")));
    assert_eq!(resigned(|bytes| bytes[192..224].fill(0xff)), Err((Reason::BadCiphertext, "SCALAR")));
    assert_eq!(resigned(|bytes| bytes[240] ^= 1), Err((Reason::BadCiphertext, "PROOF")));
}

#[test]
fn pool_5_a_verdict_is_a_function_of_the_envelope_alone() {
    let good = |nonce| (sealed(header(1, nonce, 0), 1, "hello"), Vec::new());
    let mut unsigned = good(1);
    unsigned.0.signed.signature = EthSignature([9; 65]);
    let mut altered = good(2);
    altered.0.ciphertext[260] ^= 1;
    let digest = eip712::envelope_digest(&altered.0.signed.header, &ids::ciphertext_hash(&altered.0.ciphertext));
    altered.0.signed.signature = payer(1).sign(&digest);
    let batch = [good(0), unsigned, altered, good(3)];
    let want = [Ok(()), Err((Reason::WrongSignature, "")), Err((Reason::BadCiphertext, "PROOF")), Ok(())];
    assert_eq!(verdicts(&batch), want);
    for (alone, want) in batch.into_iter().zip(want) {
        assert_eq!(verdicts(&[alone]), [want]);
    }
}

/// An envelope of payer 1 that names `units`, with consents signed by these payers for this account and nonce.
fn naming(units: &[u8], consents: &[(u8, u8, u64)]) -> Envelope {
    let header = EnvelopeHeader { after: units.iter().map(|unit| Hash([*unit; 32])).collect(), ..header(1, 5, 0) };
    let mut envelope = sealed(header, 1, "behind");
    let sign = |(unit, by, nonce): &(u8, u8, u64)| {
        payer(*by).sign(&eip712::consent_digest(&network(), &Hash([*unit; 32]), &address(1), Nonce(*nonce)))
    };
    envelope.signed.consents = consents.iter().map(sign).collect();
    envelope
}

#[test]
fn x10_only_own_units_and_those_of_payers_who_consent() {
    let own = (address(1), Nonce(4));
    let (second, third) = ((address(2), Nonce(0)), (address(3), Nonce(9)));
    assert_eq!(verdict(naming(&[1], &[]), &[own]), Ok(()));
    assert_eq!(verdict(naming(&[1], &[(1, 2, 5)]), &[second]), Ok(()));
    assert_eq!(verdict(naming(&[1, 2, 3], &[(1, 2, 5), (3, 3, 5)]), &[second, own, third]), Ok(()));

    let not_allowed = Err((Reason::AfterNotAllowed, ""));
    assert_eq!(verdict(naming(&[1], &[]), &[second]), not_allowed, "nobody pins itself behind a victim");
    assert_eq!(verdict(naming(&[1], &[(1, 3, 5)]), &[second]), not_allowed, "another's consent");
    assert_eq!(verdict(naming(&[1], &[(2, 2, 5)]), &[second]), not_allowed, "for another unit");
    assert_eq!(verdict(naming(&[1], &[(1, 2, 6)]), &[second]), not_allowed, "for another nonce");
    assert_eq!(verdict(naming(&[1, 3], &[(3, 3, 5), (1, 2, 5)]), &[second, third]), not_allowed, "in another order");
    assert_eq!(verdict(naming(&[1], &[]), &[(address(1), Nonce(5))]), not_allowed, "an own unit of no lower nonce");
    assert_eq!(verdict(naming(&[1], &[]), &[]), Err((Reason::AfterUnknown, "")));
    let spare = naming(&[1], &[(1, 2, 5)]);
    assert_eq!(verdict(spare, &[own]), Err((Reason::MalformedData, "")), "one envelope has one hash");
}

#[test]
fn pool_5_a_bid_is_admitted_in_one_batch_with_envelopes() {
    let head = types::BidHeader {
        version: 1,
        network: network(),
        epoch: Epoch(0),
        slot: Slot(2),
        bidder: address(1),
        seq: 0,
        cap_class: 0,
    };
    let text = types::BidText { amount: Amount::ZERO, tail_recipient: Address::ZERO, salt: Hash([1; 32]) };
    let entropy = zeroize::Zeroizing::new([2; 32]);
    let good = bid::seal(key(), entropy.clone(), &payer(1), head, &text).unwrap();
    let foreign = bid::seal(key(), entropy.clone(), &payer(2), head, &text).unwrap();
    let long = bid::seal_bytes(key(), entropy, &payer(1), head, &[1; 100]).unwrap();
    let mut short = good.clone();
    short.ciphertext.pop();
    let mut elsewhere = good.clone();
    elsewhere.header.network = Hash([0; 32]);
    let mut lifted = good.clone();
    lifted.header.slot = Slot(3);
    let digest = eip712::bid_digest(&lifted.header, &ids::ciphertext_hash(&lifted.ciphertext));
    lifted.signature = payer(1).sign(&digest);
    let envelope = sealed(header(1, 0, 0), 1, "hello");
    let bids = [good, foreign, long, short, elsewhere, lifted].map(|bid| Sealed::Bid(Arc::new(bid)));
    let all: Vec<Sealed> = bids.into_iter().chain([Sealed::Envelope(Arc::new(envelope))]).collect();
    let requests: Vec<AdmitRequest<'_>> = all.iter().map(|sealed| AdmitRequest { sealed, after: Some(&[]) }).collect();
    let verdicts = admit_batch(key(), &network(), &requests, [3; 32]);
    let reasons: Vec<_> = verdicts.into_iter().map(|verdict| verdict.map(|_| ())).collect();
    let wrong = |reason| Err((reason, ""));
    assert_eq!(
        reasons,
        [
            Ok(()),
            wrong(Reason::WrongSignature),
            Ok(()),
            wrong(Reason::MalformedData),
            wrong(Reason::WrongNetwork),
            Err((Reason::BadCiphertext, AdmitError::Proof.name())),
            Ok(()),
        ]
    );
}
