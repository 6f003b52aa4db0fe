// Goal: POOL-1, POOL-2 and each refusal by its reason, in the order of cost. Method: one fault at a time, and pairs of
// faults to see which is named.
use super::*;
use crate::testing::{NOW, POOL_BYTES, RICH, account, bare, close, header, held, ledger, network, offer, pool};
use types::Epoch;
use types::{EnvelopeHeader, EthSignature, Params, Slot};

fn params() -> Params {
    Params::default_for(500)
}

fn fault(change: impl FnOnce(&mut EnvelopeHeader)) -> Result<(), Reason> {
    let params = params();
    let mut header = header(1, 0, 0);
    change(&mut header);
    offer(&mut pool(&params), &ledger(&params, &[(1, RICH), (2, 10_000)]), header).map(|_| ())
}

#[test]
fn one_fault_one_reason() {
    assert_eq!(fault(|_| ()), Ok(()));
    assert_eq!(fault(|h| h.version = 2), Err(Reason::MalformedData));
    assert_eq!(fault(|h| h.size_class = 5), Err(Reason::MalformedData));
    assert_eq!(fault(|h| h.gas_class = 25), Err(Reason::MalformedData));
    assert_eq!(fault(|h| h.after = vec![Hash([2; 32]), Hash([1; 32])]), Err(Reason::MalformedData));
    assert_eq!(fault(|h| h.after = vec![Hash([1; 32]); 2]), Err(Reason::MalformedData));
    assert_eq!(fault(|h| h.after = (0..17).map(|n| Hash([n; 32])).collect()), Err(Reason::MalformedData));
    assert_eq!(fault(|h| h.network = Hash::ZERO), Err(Reason::WrongNetwork));
    assert_eq!(fault(|h| h.epoch = Epoch(1)), Err(Reason::WrongEpoch));
    assert_eq!(fault(|h| h.expiry_slot = Slot(0)), Err(Reason::Expired));
    assert_eq!(fault(|h| h.expiry_slot = Slot(257)), Ok(()));
    assert_eq!(fault(|h| h.expiry_slot = Slot(258)), Err(Reason::Expired));
    assert_eq!(fault(|h| h.fee_account = crate::testing::address(9)), Err(Reason::UnknownAccount));
    assert_eq!(fault(|h| h.nonce = Nonce(1)), Err(Reason::NonceTooFar));
    assert_eq!(fault(|h| h.nonce = Nonce(u64::MAX)), Err(Reason::NonceTooFar));
    assert_eq!(fault(|h| h.max_fee = Amount::new(crate::testing::BASE - 1).unwrap()), Err(Reason::FeeTooLow));
    assert_eq!(fault(|h| h.fee_account = crate::testing::address(2)), Err(Reason::InsufficientBalance));
    assert_eq!(fault(|h| h.after = vec![Hash([1; 32])]), Err(Reason::AfterUnknown));
}

#[test]
fn the_cheaper_check_speaks_first() {
    assert_eq!(fault(|h| (h.version, h.network) = (2, Hash::ZERO)), Err(Reason::MalformedData));
    assert_eq!(fault(|h| (h.network, h.epoch) = (Hash::ZERO, Epoch(1))), Err(Reason::WrongNetwork));
    assert_eq!(fault(|h| (h.epoch, h.expiry_slot) = (Epoch(1), Slot(0))), Err(Reason::WrongEpoch));
    assert_eq!(fault(|h| (h.expiry_slot, h.nonce) = (Slot(0), Nonce(1))), Err(Reason::Expired));
    assert_eq!(fault(|h| (h.nonce, h.max_fee) = (Nonce(1), Amount::ZERO)), Err(Reason::NonceTooFar));
    assert_eq!(fault(|h| (h.max_fee, h.after) = (Amount::ZERO, vec![Hash([1; 32])])), Err(Reason::FeeTooLow));
}

#[test]
fn more_consents_than_units_named_are_malformed() {
    let params = params();
    let (ledger, pool) = (ledger(&params, &[(1, RICH)]), pool(&params));
    let mut envelope = bare(header(1, 0, 0));
    envelope.signed.consents.push(EthSignature([0; 65]));
    assert_eq!(pool.precheck(&ledger, NOW, &Hash::ZERO, &envelope), Err(Reason::MalformedData));
}

#[test]
fn pool_2_no_lower_nonce_is_missing() {
    let params = params();
    let mut ledger = ledger(&params, &[(1, RICH)]);
    let mut pool = pool(&params);
    assert_eq!(offer(&mut pool, &ledger, header(1, 1, 0)), Err(Reason::NonceTooFar));
    let first = offer(&mut pool, &ledger, header(1, 0, 0)).unwrap();
    offer(&mut pool, &ledger, header(1, 1, 0)).unwrap();
    assert_eq!(offer(&mut pool, &ledger, header(1, 3, 0)), Err(Reason::NonceTooFar));
    assert_eq!(pool.pending_nonce(&crate::testing::address(1)), Some(2));
    close(&mut pool, &mut ledger, &params, &[first]);
    assert_eq!(account(&ledger, 1).nonce, Nonce(1));
    assert_eq!(offer(&mut pool, &ledger, header(1, 0, 1 << 20)), Err(Reason::NonceTooLow));
    offer(&mut pool, &ledger, header(1, 2, 1 << 10)).unwrap();
}

#[test]
fn pool_1_an_account_holds_no_more_than_its_quota() {
    let params = params();
    let ledger = ledger(&params, &[(1, RICH), (2, RICH)]);
    let mut pool = pool(&params);
    for nonce in 0..15 {
        offer(&mut pool, &ledger, header(1, nonce, 0)).unwrap();
    }
    offer(&mut pool, &ledger, header(1, 0, 10_000)).unwrap();
    assert_eq!(offer(&mut pool, &ledger, header(1, 15, 0)), Err(Reason::Quota), "versions count");
    assert_eq!(offer(&mut pool, &ledger, header(1, 16, 0)), Err(Reason::NonceTooFar));
    assert!(offer(&mut pool, &ledger, header(2, 0, 0)).is_ok(), "nobody spends another's");
}

#[test]
fn what_is_held_passes_again() {
    let params = params();
    let ledger = ledger(&params, &[(1, RICH)]);
    let mut pool = pool(&params);
    for nonce in 0..16 {
        offer(&mut pool, &ledger, header(1, nonce, 0)).unwrap();
    }
    assert!(offer(&mut pool, &ledger, header(1, 15, 0)).is_ok());
    assert_eq!(pool.len(), 16);
}

#[test]
fn a_replacement_offers_a_tenth_more_and_ranks_above() {
    let params = params();
    let ledger = ledger(&params, &[(1, RICH)]);
    let mut pool = pool(&params);
    let offered = 100_000u128;
    let with = |max_fee: u128, size_class: u8| EnvelopeHeader {
        max_fee: Amount::new(max_fee).unwrap(),
        size_class,
        ..header(1, 0, 0)
    };
    offer(&mut pool, &ledger, with(offered, 0)).unwrap();
    assert_eq!(offer(&mut pool, &ledger, with(offered, 1)), Err(Reason::FeeTooLow), "the same offer");
    assert_eq!(offer(&mut pool, &ledger, with(109_999, 0)), Err(Reason::FeeTooLow));
    assert_eq!(offer(&mut pool, &ledger, with(120_000, 1)), Err(Reason::FeeTooLow), "more money, but less per byte");
    offer(&mut pool, &ledger, with(110_000, 0)).unwrap();
    assert_eq!(pool.len(), 2, "a receipt binds for the first, too");
    assert_eq!(offer(&mut pool, &ledger, with(115_000, 0)), Err(Reason::FeeTooLow), "against every version");
}

#[test]
fn funds_are_counted_in_nonce_order_with_the_dearest_version() {
    let params = params();
    // A unit at base costs 5 x 8,193 = 40,965 with its bond.
    let ledger = ledger(&params, &[(1, 3 * 40_965 + 9_999)]);
    let mut pool = pool(&params);
    offer(&mut pool, &ledger, header(1, 0, 0)).unwrap();
    offer(&mut pool, &ledger, header(1, 1, 0)).unwrap();
    offer(&mut pool, &ledger, header(1, 0, 8 * 9_999)).unwrap();
    offer(&mut pool, &ledger, header(1, 2, 0)).unwrap();
    assert_eq!(offer(&mut pool, &ledger, header(1, 3, 0)), Err(Reason::InsufficientBalance));
    assert_eq!(offer(&mut pool, &ledger, header(1, 2, 8 * 9_999)), Err(Reason::InsufficientBalance));
}

#[test]
fn after_names_what_is_pending_here_or_included() {
    let params = params();
    let mut ledger = ledger(&params, &[(1, RICH), (2, RICH)]);
    let mut pool = pool(&params);
    let naming = |n, nonce, unit: Hash| EnvelopeHeader { after: vec![unit], ..header(n, nonce, 0) };
    let foreign = held(header(2, 0, 0)).hash;
    assert_eq!(offer(&mut pool, &ledger, naming(1, 0, foreign)), Err(Reason::AfterUnknown));
    offer(&mut pool, &ledger, header(2, 0, 0)).unwrap();
    offer(&mut pool, &ledger, naming(1, 0, foreign)).unwrap();
    close(&mut pool, &mut ledger, &params, &[foreign]);
    offer(&mut pool, &ledger, naming(1, 1, foreign)).unwrap();
    let later = offer(&mut pool, &ledger, header(1, 2, 0)).unwrap();
    let behind_itself = EnvelopeHeader { after: vec![later], ..header(1, 1, 1 << 20) };
    assert_eq!(offer(&mut pool, &ledger, behind_itself), Err(Reason::AfterNotAllowed));
}

#[test]
fn below_the_cut_of_the_last_list_there_is_no_receipt() {
    let params = Params { count_limit: 1, ..params() };
    let ledger = ledger(&params, &[(1, RICH), (2, RICH), (3, RICH), (4, RICH), (5, RICH)]);
    let mut pool = Mempool::new(network(), params, POOL_BYTES);
    for (n, over) in [(1, 512 * 9), (2, 512 * 8), (3, 512 * 7)] {
        offer(&mut pool, &ledger, header(n, 0, over)).unwrap();
    }
    let (leaves, cut) = pool.list(&ledger, NOW);
    assert_eq!((leaves.len(), cut.map(|cut| cut.fee_per_byte)), (2, Some(7)));
    assert_eq!(offer(&mut pool, &ledger, header(4, 0, 512 * 6)), Err(Reason::FeeTooLow));
    assert!(offer(&mut pool, &ledger, header(5, 0, 512 * 8)).is_ok());
}
