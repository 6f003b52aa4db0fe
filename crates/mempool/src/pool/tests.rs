// Goal: POOL-1 on bytes, what settling drops and tells, and the indices. Method: examples; after any sequence of inserts
// and takes the indices equal what a scan gives.
use super::*;
use crate::testing::{NOW, POOL_BYTES, RICH, address, close, header, held, ledger, network, offer, pool};
use proptest::prelude::*;
use types::EnvelopeHeader;

fn params() -> Params {
    Params::default_for(500)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn indices_are_what_a_scan_gives(steps in proptest::collection::vec((1u8..4, 0u64..4, 0u128..2, any::<bool>()), 0..40)) {
        let mut pool = pool(&params());
        for (n, nonce, over, put) in steps {
            let held = held(header(n, nonce, over));
            if put {
                pool.insert(held).unwrap();
            } else {
                pool.take(&held.hash);
            }
        }
        let bytes: usize = pool.iter().map(|held| held.bytes.len()).sum();
        prop_assert_eq!((pool.bytes(), pool.iter().count()), (bytes, pool.len()));
        for n in 1..4 {
            let mut scan: Vec<(u64, Hash)> = pool.iter().filter(|h| h.terms.account == address(n)).map(|h| (h.terms.nonce.0, h.hash)).collect();
            scan.sort_unstable();
            let indexed: Vec<(u64, Hash)> = pool.by_account(&address(n)).map(|h| (h.terms.nonce.0, h.hash)).collect();
            prop_assert_eq!(&indexed, &scan);
            let first = scan.first().map(|(nonce, _)| *nonce);
            let run = first.map(|first| (first..).find(|nonce| !scan.iter().any(|(n, _)| n == nonce)).unwrap());
            prop_assert_eq!(pool.pending_nonce(&address(n)), run);
        }
    }
}

#[test]
fn settling_tells_what_was_dropped_and_why() {
    let params = params();
    let mut ledger = ledger(&params, &[(1, RICH), (2, RICH), (3, RICH)]);
    let mut pool = pool(&params);
    let replaced = offer(&mut pool, &ledger, header(1, 0, 0)).unwrap();
    let included = offer(&mut pool, &ledger, header(1, 0, 1 << 20)).unwrap();
    let short = EnvelopeHeader { expiry_slot: NOW, ..header(2, 0, 0) };
    let expired = offer(&mut pool, &ledger, short).unwrap();
    let waiting = offer(&mut pool, &ledger, header(3, 0, 0)).unwrap();
    assert_eq!(pool.settle(&ledger, NOW), []);
    close(&mut pool, &mut ledger, &params, &[included]);
    let mut want = vec![(replaced, Reason::NonceTooLow), (expired, Reason::Expired)];
    want.sort_unstable();
    assert_eq!(pool.settle(&ledger, ledger.next_slot()), want);
    assert_eq!(pool.iter().map(|held| held.hash).collect::<Vec<_>>(), [waiting]);
    assert_eq!(pool.settle(&ledger, ledger.next_slot()), []);
}

#[test]
fn an_included_envelope_that_was_not_taken_out_leaves_silently() {
    let params = params();
    let mut ledger = ledger(&params, &[(1, RICH)]);
    let mut pool = pool(&params);
    let hash = offer(&mut pool, &ledger, header(1, 0, 0)).unwrap();
    let terms = pool.get(&hash).unwrap().terms.clone();
    ledger.close(&params, NOW, &[terms]).unwrap();
    assert_eq!(pool.settle(&ledger, ledger.next_slot()), []);
    assert!(pool.is_empty());
}

#[test]
fn pool_1_a_full_store_is_busy_and_drops_only_what_was_below_the_cut() {
    let params = Params { count_limit: 1, ..params() };
    let ledger = ledger(&params, &[(1, RICH), (2, RICH), (3, RICH), (4, RICH), (5, RICH), (6, RICH)]);
    let room = 4 * held(header(1, 0, 1 << 20)).bytes.len() + 8;
    assert!(room < POOL_BYTES);
    let mut pool = Mempool::new(network(), params, room);
    let hashes: Vec<Hash> =
        (1u8..=4).map(|n| offer(&mut pool, &ledger, header(n, 0, 512 * u128::from(n))).unwrap()).collect();
    assert_eq!(offer(&mut pool, &ledger, header(5, 0, 512 * 9)), Err(Reason::Busy), "receipts bind for all four");
    // Two are listed, 4 and 3; 2 and 1 are below the cut.
    let (_, cut) = pool.list(&ledger, NOW);
    assert_eq!(cut.map(|cut| cut.hash), Some(hashes[1]));
    let newcomer = offer(&mut pool, &ledger, header(5, 0, 512 * 9)).unwrap();
    assert!(!pool.contains(&hashes[0]) && pool.contains(&hashes[1]) && pool.contains(&newcomer));
    assert!(pool.bytes() <= room);
    assert_eq!(pool.settle(&ledger, NOW), [(hashes[0], Reason::FeeTooLow)]);
    offer(&mut pool, &ledger, header(6, 0, 512 * 9)).unwrap();
    assert_eq!(offer(&mut pool, &ledger, header(1, 0, 512 * 9)), Err(Reason::Busy));
    assert!(pool.contains(&hashes[3]) && pool.contains(&hashes[2]));
}

#[test]
fn the_largest_legal_envelope_fits_an_entry() {
    let header = EnvelopeHeader {
        epoch: types::Epoch(u64::MAX),
        expiry_slot: Slot(u64::MAX),
        nonce: Nonce(u64::MAX),
        size_class: 4,
        max_fee: types::Amount::new(types::limits::AMOUNT_END - 1).unwrap(),
        after: (0..16).map(|n| Hash([n; 32])).collect(),
        ..header(1, 0, 0)
    };
    let mut envelope = crate::testing::bare(header);
    envelope.signed.consents = vec![types::EthSignature([1; 65]); 16];
    envelope.ciphertext = vec![0; 61_440 + types::limits::CIPHERTEXT_OVERHEAD];
    let bytes = types::codec::encode(&envelope).len();
    assert!(bytes <= 61_440 + types::limits::ENVELOPE_OVERHEAD_MAX, "{bytes}");
    const { assert!(61_440 + types::limits::ENVELOPE_OVERHEAD_MAX <= types::limits::ENVELOPE_BYTES_MAX) };
}
