// Goal. Method: the worked examples in every order of arrival; random auctions against a
// naive reading of the rules that counts every ordered pair; deviations of one bidder against fixed rivals.
use super::*;
use crate::testing::{address, amount, name};
use proptest::prelude::*;
use std::{collections::BTreeMap, collections::BTreeSet, vec::Vec};

const A: Address = Address([0xaa; 20]);
const B: Address = Address([0xbb; 20]);
const C: Address = Address([0xcc; 20]);

fn beacon() -> Hash {
    name("lockstep/test-beacon")
}

fn terms(reserve: u128) -> AuctionTerms {
    AuctionTerms { pricing: Pricing::Second, reserve: amount(reserve), bid_fee: amount(1), garbage_fine: amount(10) }
}

fn bid(bidder: Address, units: u128) -> Bid {
    Bid { bidder, seq: 0, cap: amount(10), opened: Some(amount(units)) }
}

fn ends(terms: &AuctionTerms, bids: &[Bid]) -> (Option<Address>, u128) {
    let resolution = resolve(&beacon(), terms, bids);
    (resolution.winner, resolution.price.units())
}

fn verdicts(terms: &AuctionTerms, bids: &[Bid]) -> Vec<BidVerdict> {
    resolve(&beacon(), terms, bids).bids.iter().map(|judged| judged.verdict).collect()
}

/// All orders of a few bids.
fn orders(bids: &[Bid]) -> Vec<Vec<Bid>> {
    if bids.len() <= 1 {
        return vec![bids.to_vec()];
    }
    let mut out = Vec::new();
    for at in 0..bids.len() {
        let mut rest = bids.to_vec();
        let first = rest.remove(at);
        out.extend(orders(&rest).into_iter().map(|mut order| {
            order.insert(0, first);
            order
        }));
    }
    out
}

#[test]
fn a13_tie_keys_of_the_worked_example() {
    let key = |bidder| hex::encode(&tie_key(&beacon(), &bidder).0[..4]);
    assert_eq!([key(A), key(B), key(C)], ["edd0ef30", "de02d203", "fd08fca3"]);
}

#[test]
fn a14_a_tie_pays_the_tie_in_all_orders() {
    let bids = [bid(A, 10), bid(B, 10), bid(C, 3)];
    let orders = orders(&bids);
    assert_eq!(orders.len(), 6);
    for order in &orders {
        assert_eq!(ends(&terms(2), order), (Some(B), 10), "{order:?}");
        let first = AuctionTerms { pricing: Pricing::First, ..terms(2) };
        assert_eq!(ends(&first, order), (Some(B), 10));
    }
}

#[test]
fn a15_the_worked_examples() {
    assert_eq!(ends(&terms(2), &[bid(A, 10)]), (Some(A), 2));
    assert_eq!(ends(&terms(2), &[bid(A, 10), bid(C, 3)]), (Some(A), 3));
    assert_eq!(ends(&terms(5), &[bid(A, 10), bid(C, 3)]), (Some(A), 5));
    assert_eq!(
        verdicts(&terms(5), &[bid(A, 10), bid(C, 3)]),
        [BidVerdict::Winner, BidVerdict::ReserveNotMet],
        "C is void"
    );
    assert_eq!(ends(&terms(2), &[bid(A, 1)]), (None, 0));
    assert_eq!(ends(&terms(2), &[]), (None, 0));
    let first = AuctionTerms { pricing: Pricing::First, ..terms(2) };
    assert_eq!(ends(&first, &[bid(A, 10), bid(C, 3)]), (Some(A), 10));
}

#[test]
fn a11_a_bid_equal_to_the_reserve_wins() {
    assert_eq!(ends(&terms(2), &[bid(A, 2)]), (Some(A), 2));
    assert_eq!(ends(&terms(2), &[bid(A, 2), bid(C, 1)]), (Some(A), 2));
}

#[test]
fn a11_a_bid_above_its_cap_is_void_and_fined() {
    let resolution = resolve(&beacon(), &terms(2), &[bid(A, 11), bid(C, 3)]);
    assert_eq!((resolution.winner, resolution.price), (Some(C), amount(2)));
    let [a, c] = resolution.bids.as_slice() else { panic!("two bids") };
    assert_eq!((a.verdict, a.fee, a.fine, a.price), (BidVerdict::AboveCap, amount(1), amount(10), amount(0)));
    assert_eq!((c.verdict, c.fee, c.fine, c.price), (BidVerdict::Winner, amount(1), amount(0), amount(2)));
    // a cap below the reserve frees nobody from the fine
    assert_eq!(verdicts(&terms(20), &[bid(A, 11)]), [BidVerdict::AboveCap]);
    assert_eq!(verdicts(&terms(20), &[bid(A, 10)]), [BidVerdict::ReserveNotMet]);
}

#[test]
fn a10_a36_garbage_is_void_and_fined() {
    let garbage = Bid { opened: None, ..bid(A, 0) };
    let resolution = resolve(&beacon(), &terms(2), &[garbage, bid(C, 3)]);
    assert_eq!((resolution.winner, resolution.price), (Some(C), amount(2)));
    assert_eq!(resolution.bids[0].fine, amount(10));
    assert_eq!(resolution.bids[0].owes(), Some(amount(11)));
}

#[test]
fn a07_one_bidder_never_sets_its_own_price() {
    let lower = Bid { seq: 1, ..bid(A, 4) };
    for order in orders(&[bid(A, 10), lower, bid(C, 3)]) {
        assert_eq!(ends(&terms(2), &order), (Some(A), 3));
    }
    let higher = Bid { seq: 1, ..bid(A, 10) };
    let bids = [bid(A, 4), higher, bid(C, 3)];
    assert_eq!(ends(&terms(2), &bids), (Some(A), 3));
    assert_eq!(verdicts(&terms(2), &bids), [BidVerdict::Superseded, BidVerdict::Winner, BidVerdict::Outbid]);
    // not even with garbage: the replaced bid does not come back
    let garbage = Bid { seq: 1, opened: None, ..bid(A, 0) };
    assert_eq!(ends(&terms(2), &[bid(A, 10), garbage, bid(C, 3)]), (Some(C), 2));
}

#[test]
fn a08_two_bids_of_one_seq_void_all_of_the_bidder() {
    let more = Bid { seq: 1, ..bid(A, 9) };
    for bids in orders(&[bid(A, 10), bid(A, 8), more, bid(C, 3)]) {
        let resolution = resolve(&beacon(), &terms(2), &bids);
        assert_eq!((resolution.winner, resolution.price.units()), (Some(C), 2));
        assert_eq!(resolution.equivocators, [A]);
        for (bid, judged) in bids.iter().zip(&resolution.bids) {
            assert_eq!(judged.verdict == BidVerdict::Equivocation, bid.bidder == A);
            assert!(bid.bidder == C || judged.owes() == Some(Amount::ZERO), "what is not opened pays nothing");
        }
    }
}

#[test]
fn a04_a_cap_is_ten_to_its_class() {
    let params = Params::default_for(500);
    assert_eq!(cap_of_class(&params, 0), Some(params.cap_unit));
    assert_eq!(cap_of_class(&params, 6).map(Amount::units), Some(params.cap_unit.units() * 1_000_000));
    assert_eq!(cap_of_class(&params, 7), None);
    let huge = Params { cap_unit: amount(1 << 94), ..params };
    assert_eq!(cap_of_class(&huge, 1), None, "2^96 and above is no amount");
}

#[test]
fn a35_the_slash_is_between_ten_reserves_and_the_bond() {
    let slash = |bond, reserve| equivocation_slash(amount(bond), amount(reserve)).units();
    assert_eq!(slash(1_000, 5), 100);
    assert_eq!(slash(1_000, 50), 500);
    assert_eq!(slash(1_000, 500), 1_000);
    assert_eq!(slash(0, 500), 0);
    assert_eq!(slash(1_000, (1 << 96) - 1), 1_000);
}

#[test]
fn a36_the_fine_is_the_larger_of_reserve_and_ten_fees() {
    let params = Params::default_for(500);
    let prices = Prices { byte: 16, gas: 1 };
    let terms = AuctionTerms::new(&params, &prices, amount(5)).unwrap();
    assert_eq!((terms.bid_fee, terms.garbage_fine), (amount(16 * 512 + 1), amount(10 * (16 * 512 + 1))));
    assert_eq!(AuctionTerms::new(&params, &prices, amount(1 << 40)).unwrap().garbage_fine, amount(1 << 40));
    assert_eq!(terms.lock(amount(7)), Some(amount(7 + 11 * (16 * 512 + 1))));
}

/// Auctions of few bidders and few amounts, so that seqs, ties and edges meet.
pub(super) fn auctions() -> impl Strategy<Value = (Hash, AuctionTerms, Vec<Bid>)> {
    let one = (0u8..8, 0u8..4, 0u128..12, proptest::option::weighted(0.9, 0u128..14));
    let pricing = proptest::bool::ANY.prop_map(|first| if first { Pricing::First } else { Pricing::Second });
    (any::<[u8; 32]>(), 0u128..8, pricing, proptest::collection::vec(one, 0..14)).prop_map(
        |(beacon, reserve, pricing, draws)| {
            let bid = |(bidder, seq, cap, opened): (u8, u8, u128, Option<u128>)| Bid {
                bidder: address(bidder),
                seq,
                cap: amount(cap),
                opened: opened.map(amount),
            };
            (Hash(beacon), AuctionTerms { pricing, ..terms(reserve) }, draws.into_iter().map(bid).collect())
        },
    )
}

/// The rules word by word: a bid counts when no other of its bidder has its seq or a higher one and no two share a seq;
/// it wins when every other valid bid comes behind it.
fn naive(beacon: &Hash, terms: &AuctionTerms, bids: &[Bid]) -> (Option<Address>, Amount) {
    let others = |at: usize| bids.iter().enumerate().filter(move |(other, _)| *other != at).map(|(_, bid)| bid);
    let equivocates = |bidder: &Address| {
        (0..bids.len())
            .any(|at| bids[at].bidder == *bidder && others(at).any(|o| (o.bidder, o.seq) == (*bidder, bids[at].seq)))
    };
    let counts = |at: usize| {
        let bid = &bids[at];
        !equivocates(&bid.bidder) && others(at).all(|other| other.bidder != bid.bidder || other.seq < bid.seq)
    };
    let valid: Vec<(&Bid, Amount)> = (0..bids.len())
        .filter(|at| counts(*at))
        .filter_map(|at| Some((&bids[at], bids[at].opened?)))
        .filter(|(bid, amount)| *amount >= terms.reserve && *amount <= bid.cap)
        .collect();
    let before = |a: &(&Bid, Amount), b: &(&Bid, Amount)| {
        a.1 > b.1 || (a.1 == b.1 && tie_key(beacon, &a.0.bidder) < tie_key(beacon, &b.0.bidder))
    };
    let first = |among: &[(&Bid, Amount)]| {
        among
            .iter()
            .find(|a| among.iter().all(|b| a.0.bidder == b.0.bidder || before(a, b)))
            .map(|(b, n)| (b.bidder, *n))
    };
    let Some((winner, own)) = first(&valid) else { return (None, Amount::ZERO) };
    let rest: Vec<(&Bid, Amount)> = valid.into_iter().filter(|(bid, _)| bid.bidder != winner).collect();
    let second = first(&rest).map_or(terms.reserve, |(_, amount)| amount);
    (Some(winner), if terms.pricing == Pricing::First { own } else { second })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn a13_a14_equals_the_rules_word_by_word((beacon, terms, bids) in auctions()) {
        let resolution = resolve(&beacon, &terms, &bids);
        prop_assert_eq!((resolution.winner, resolution.price), naive(&beacon, &terms, &bids));
        // exactly one winner or none, and only what is opened pays
        let winners = resolution.bids.iter().filter(|judged| judged.verdict == BidVerdict::Winner).count();
        prop_assert_eq!(winners, usize::from(resolution.winner.is_some()));
        prop_assert_eq!(resolution.winning.map(|at| bids[at].bidder), resolution.winner);
        for (bid, judged) in bids.iter().zip(&resolution.bids) {
            prop_assert_eq!(judged.fee != Amount::ZERO, judged.verdict.is_opened());
            prop_assert_eq!(judged.fine != Amount::ZERO, judged.verdict.is_fined());
            // the lock covers whatever the bid turns out to be
            prop_assert!(judged.owes() <= terms.lock(bid.cap));
        }
        // at most one of a bidder is opened
        let opened: Vec<Address> = bids.iter().zip(&resolution.bids)
            .filter(|(_, judged)| judged.verdict.is_opened()).map(|(bid, _)| bid.bidder).collect();
        prop_assert_eq!(opened.iter().collect::<BTreeSet<_>>().len(), opened.len());
    }

    #[test]
    fn a16_order_of_arrival_moves_nothing(
        ((beacon, terms, bids), order) in (auctions(), any::<u64>())
    ) {
        let mut shuffled: Vec<(usize, Bid)> = bids.iter().copied().enumerate().collect();
        shuffled.sort_by_key(|(at, _)| sha256(&[&order.to_be_bytes(), &at.to_be_bytes()]));
        let (places, moved): (Vec<usize>, Vec<Bid>) = shuffled.into_iter().unzip();
        let (one, other) = (resolve(&beacon, &terms, &bids), resolve(&beacon, &terms, &moved));
        prop_assert_eq!((one.winner, one.price, &one.equivocators), (other.winner, other.price, &other.equivocators));
        let back: BTreeMap<usize, Judged> = places.into_iter().zip(other.bids).collect();
        prop_assert_eq!(one.bids, back.into_values().collect::<Vec<_>>());
    }

    #[test]
    fn a16_void_bids_move_nothing((beacon, terms, bids) in auctions(), void in 0u8..4) {
        let before = resolve(&beacon, &terms, &bids);
        let of = |seq, opened| Bid { bidder: address(99), seq, cap: amount(10), opened };
        let more = match void {
            0 => vec![of(0, None)],
            1 => vec![of(0, Some(amount(11)))],
            2 => vec![of(0, terms.reserve.checked_sub(amount(1)))],
            _ => vec![of(1, Some(amount(10))), of(1, Some(amount(9))), of(2, Some(amount(10)))],
        };
        let after = resolve(&beacon, &terms, &[bids, more].concat());
        prop_assert_eq!((before.winner, before.price), (after.winner, after.price));
    }

    // One bidder with a value, rivals with any bids: whatever it bids instead, under however many names, it gains no
    // more than by bidding its value once. Fees only make a deviation dearer.
    #[test]
    fn a14_no_bidder_gains_by_splitting_or_by_bidding_off_its_value(
        (beacon, terms, rivals) in auctions(),
        value in 0u128..14,
        instead in proptest::collection::vec((0u8..4, 0u128..14), 0..4),
    ) {
        let terms = AuctionTerms { pricing: Pricing::Second, ..terms };
        let mine = |name: u8| address(100 + name);
        let of = |name: u8, units: u128| {
            Bid { bidder: mine(name), seq: 0, cap: amount(20), opened: Some(amount(units)) }
        };
        let gain = |own: Vec<Bid>| -> i128 {
            let resolution = resolve(&beacon, &terms, &[rivals.clone(), own].concat());
            let won = resolution.winner.is_some_and(|winner| (100..104).any(|name| winner == address(name)));
            if won { i128::try_from(value).unwrap() - i128::try_from(resolution.price.units()).unwrap() } else { 0 }
        };
        let truthful = gain(vec![of(0, value)]);
        prop_assert!(truthful >= 0, "bidding the value never loses");
        let names: BTreeMap<u8, u128> = instead.into_iter().collect();
        let deviating = gain(names.into_iter().map(|(name, units)| of(name, units)).collect());
        prop_assert!(deviating <= truthful, "{deviating} against {truthful}");
    }
}
