//! Bids: sealed to the committee as envelopes are, with a head of their own as associated data (protocol.md section 5).
use crate::{
    eip712,
    eth::{self, EthKey},
    ids,
    keys::EncryptionKey,
    tdh2,
};
use alloc::vec::Vec;
use types::{Bid, BidHeader, BidText, Hash, SignedBid, codec, limits};
use zeroize::Zeroizing;

/// The first byte of associated data: a bid.
const KIND_BID: u8 = 2;

/// Associated data of a bid's ciphertext: 0x02, then the codec bytes of the head.
#[must_use]
pub fn aad(header: &BidHeader) -> Vec<u8> {
    let mut out = Vec::from([KIND_BID]);
    out.extend_from_slice(&codec::encode(header));
    out
}

/// The bid as the admission and the opening of ciphertexts see it; `aad` is [`aad`] of its head.
#[must_use]
pub fn item<'a>(bid: &'a Bid, aad: &'a [u8]) -> tdh2::Item<'a> {
    tdh2::Item { aad, class_bytes: limits::BID_CLASS_BYTES, ciphertext: &bid.ciphertext }
}

/// Seals and signs a bid. Deterministic in its arguments.
///
/// # Security
/// `entropy` must be secret and fresh, as in [`tdh2::seal`].
#[must_use]
pub fn seal(
    key: &EncryptionKey,
    entropy: Zeroizing<[u8; 32]>,
    bidder: &EthKey,
    header: BidHeader,
    text: &BidText,
) -> Option<Bid> {
    let plain = Zeroizing::new(codec::encode(text));
    seal_bytes(key, entropy, bidder, header, &plain)
}

/// As [`seal`], of any bytes that fit: what does not decode is garbage, and its bidder is fined.
#[must_use]
pub fn seal_bytes(
    key: &EncryptionKey,
    entropy: Zeroizing<[u8; 32]>,
    bidder: &EthKey,
    header: BidHeader,
    plain: &[u8],
) -> Option<Bid> {
    let message = tdh2::pad(plain, limits::BID_CLASS_BYTES)?;
    let ciphertext = tdh2::seal(key, entropy, &aad(&header), &message);
    let signature = bidder.sign(&eip712::bid_digest(&header, &ids::ciphertext_hash(&ciphertext)));
    Some(Bid { header, signature, ciphertext })
}

/// Whether the bidder signed head and ciphertext.
#[must_use]
pub fn is_signed(bid: &Bid) -> bool {
    is_signed_as(&signed(bid))
}

/// A bid as evidence shows it.
#[must_use]
pub fn signed(bid: &Bid) -> SignedBid {
    SignedBid { header: bid.header, ciphertext: ids::ciphertext_hash(&bid.ciphertext), signature: bid.signature }
}

/// As [`is_signed`], of the ciphertext's hash.
#[must_use]
pub fn is_signed_as(bid: &SignedBid) -> bool {
    let digest = eip712::bid_digest(&bid.header, &bid.ciphertext);
    eth::recover(&digest, &bid.signature).ok() == Some(bid.header.bidder)
}

/// What can be said of a bid without any ledger: format, network, length.
#[must_use]
pub fn is_well_formed(bid: &Bid, network: &Hash) -> bool {
    bid.header.version == BidHeader::VERSION
        && bid.header.network == *network
        && bid.ciphertext.len() == Bid::CIPHERTEXT_BYTES
}

/// what an opened bid says; `None` for garbage. `message` is the padded plaintext, `None` when no key opens it.
#[must_use]
pub fn text(message: Option<&[u8]>) -> Option<BidText> {
    codec::decode(tdh2::unpad(message?)?, limits::BID_CLASS_BYTES).ok()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "the token here is made from real votes")]
    // Goal: a bid opens to what was sealed, for the head that it was sealed under and no other. Method: seal, admit and
    // open with a committee of four; change head, signature and ciphertext; seal what is no bid.
    use super::*;
    use crate::{
        dealer::{Voters, deal},
        tdh2::HeldShares,
    };
    use alloc::vec;
    use types::{Address, Amount, Epoch, MemberId, Slot};

    fn bidder(n: u8) -> EthKey {
        EthKey::from_bytes(Zeroizing::new([n; 32])).unwrap()
    }
    fn head(n: u8) -> BidHeader {
        BidHeader {
            version: 1,
            network: Hash([9; 32]),
            epoch: Epoch(0),
            slot: Slot(12),
            bidder: bidder(n).address(),
            seq: 0,
            cap_class: 2,
        }
    }
    fn amount(units: u128) -> BidText {
        BidText { amount: Amount::new(units).unwrap(), tail_recipient: Address::ZERO, salt: Hash([7; 32]) }
    }
    fn entropy() -> Zeroizing<[u8; 32]> {
        Zeroizing::new([5; 32])
    }

    #[test]
    fn a_bid_opens_to_its_amount_under_its_own_head_only() {
        let dealt = deal(4, 1, &[3; 32]);
        let keys = dealt.key_set();
        let key = keys.encryption_key();
        let bid = seal(key, entropy(), &bidder(1), head(1), &amount(1 << 90)).unwrap();
        assert!(codec::encode(&bid).len() <= limits::BID_BYTES_MAX);
        assert!(is_signed(&bid) && is_well_formed(&bid, &Hash([9; 32])));
        let own = aad(&bid.header);
        let (sealed, unit) = (item(&bid, &own), ids::bid_hash(&bid));
        let admitted = tdh2::admit(key, &[sealed], [1; 32]).remove(0).unwrap();
        let leaf = [bid.header.bidder.0.as_slice(), &[0], &unit.0].concat();
        let fixed = Voters::new(4, 1, &[4; 32]).fix(Hash([9; 32]), Slot(11), vec![], vec![leaf]);
        let released = dealt
            .decrypt
            .iter()
            .map(|share| HeldShares::collect(vec![share.share(unit, &admitted)]).release(&fixed).unwrap());
        let shares: Vec<_> = (0..).map(MemberId).zip(released).collect();
        let revealed = tdh2::reveal(&keys, &[(sealed, &admitted)], &shares, [2; 32]).unwrap();
        let message = revealed.plaintexts[0].as_ref().unwrap();
        assert_eq!(text(Some(message)), Some(amount(1 << 90)));
        // A rival's ciphertext under another head: no proof, whoever signs it.
        let changes: [fn(&mut BidHeader); 6] = [
            |h| h.bidder = bidder(2).address(),
            |h| h.slot = Slot(13),
            |h| h.seq = 1,
            |h| h.cap_class = 3,
            |h| h.epoch = Epoch(1),
            |h| h.network = Hash([8; 32]),
        ];
        for change in changes {
            let mut lifted = bid.clone();
            change(&mut lifted.header);
            assert!(!is_signed(&lifted));
            let aad = aad(&lifted.header);
            let verdict = tdh2::admit(key, &[item(&lifted, &aad)], [1; 32]).remove(0);
            assert_eq!(verdict.err(), Some(tdh2::AdmitError::Proof));
        }
        // As an envelope's it proves nothing either.
        let mut other_kind = aad(&bid.header);
        other_kind[0] = 1;
        let verdict = tdh2::admit(key, &[item(&bid, &other_kind)], [1; 32]).remove(0);
        assert_eq!(verdict.err(), Some(tdh2::AdmitError::Proof));
    }

    #[test]
    fn what_is_no_canonical_text_is_garbage() {
        let good = codec::encode(&amount(5));
        let padded = |bytes: &[u8]| {
            let mut message = Vec::from(u32::try_from(bytes.len()).unwrap().to_le_bytes());
            message.extend_from_slice(bytes);
            message.resize(limits::BID_CLASS_BYTES, 0);
            message
        };
        assert_eq!(text(Some(&padded(&good))), Some(amount(5)));
        let mut stray = padded(&good);
        stray[127] = 1;
        let wide: Vec<u8> = [&[251, 5, 0][..], &good[1..]].concat();
        let too_much = codec::encode(&(1u128 << 96, Address::ZERO, Hash([7; 32])));
        let cases = [stray, padded(&good[1..]), padded(&[&good[..], &[0]].concat()), padded(&wide), padded(&too_much)];
        for garbage in cases.iter().chain([&padded(&[]), &vec![0xff; 128], &vec![]]) {
            assert_eq!(text(Some(garbage)), None);
        }
        assert_eq!(text(None), None);
    }
}
