// Goal: on the ledger, one by one. Method: small ledgers,
// steps by hand, every amount named; misuse is an error that changes nothing. All rules together: simulation.rs.
use super::*;
use crate::testing::{address, amount, genesis, name, unit};
use std::{string::ToString, vec};
use types::{
    Balance, BidText, BuildHeader, Bundle, Epoch, Nonce, Tail,
    reason::{BidVerdict, Finding, Reason, Why},
};

const FEE: u128 = 16 * 512 + 1;
const FINE: u128 = 10 * FEE;
const BEACON: Hash = Hash([7; 32]);

/// Epochs of 16 slots: announced in slots 11, 27, .. A cap of class 0 is 1,000.
fn params() -> Params {
    Params {
        epoch_slots: 16,
        max_builders: 3,
        cap_unit: amount(1_000),
        reserve_floor: amount(20),
        gas_price_min: amount(1),
        ..Params::default_for(500)
    }
}

/// Builders 1, 2 and 3 with bonds, 4 without, payer 9.
fn world() -> (Params, Ledger) {
    let params = params();
    let mut world = genesis(params.clone(), &[]);
    let of = |who, balance, bond| Balance { address: address(who), balance: amount(balance), bond: amount(bond) };
    world.balances = vec![
        of(1, 1_000_000, 500_000),
        of(2, 1_000_000, 400_000),
        of(3, 1_000_000, 300_000),
        of(4, 1_000_000, 0),
        of(9, 1 << 40, 0),
    ];
    let ledger = Ledger::genesis(&world).unwrap();
    (params, ledger)
}

fn bid(ledger: &Ledger, who: u8, seq: u8) -> BidTerms {
    let slot = ledger.next_slot();
    BidTerms {
        hash: name(&std::format!("{slot} {who} {seq}")),
        bidder: address(who),
        epoch: Epoch(slot.0 / 16),
        slot: slot.next(),
        seq,
        cap_class: 0,
    }
}

/// What a bid seals.
fn text(units: u128) -> BidText {
    BidText { amount: amount(units), tail_recipient: Address::ZERO, salt: Hash::ZERO }
}

fn right(who: u8, price: u128) -> Right {
    Right { builder: address(who), price: amount(price), tail: address(who) }
}

/// A slot with these bids of class 0, each of its own builder.
fn slot(params: &Params, ledger: &mut Ledger, offers: &[(u8, Option<u128>)]) -> crate::Resolution {
    let at = ledger.next_slot();
    let bids: Vec<BidTerms> = offers.iter().map(|(who, _)| bid(ledger, *who, 0)).collect();
    assert_eq!(ledger.lock(params, &bids).unwrap().left, []);
    ledger.close(params, at, &[]).unwrap();
    let opened: Vec<_> = offers.iter().map(|(who, units)| (address(*who), units.map(text))).collect();
    ledger.auction(at, &BEACON, &opened).unwrap()
}

fn idle(params: &Params, ledger: &mut Ledger, until: u64) {
    while ledger.next_slot().0 <= until {
        let at = ledger.next_slot();
        ledger.close(params, at, &[]).unwrap();
    }
}

fn bond(ledger: &Ledger, who: u8) -> u128 {
    ledger.account(&address(who)).unwrap().bond.units()
}

fn balance(ledger: &Ledger, who: u8) -> u128 {
    ledger.account(&address(who)).unwrap().balance.units()
}

/// One operation in the slot last closed.
#[expect(clippy::unwrap_in_result, reason = "a step that fails ends the test; what the ledger answers is the result")]
fn act(params: &Params, ledger: &mut Ledger, who: u8, act: Act) -> Result<(), Refused> {
    let nonce = ledger.operation_nonce(&address(who));
    let epoch = params.schedule().epoch_of(ledger.last_closed);
    let operation = AccountOperation { hash: name("operation"), epoch, account: address(who), nonce, act };
    let answers = ledger.operate(params, ledger.last_closed, &[operation]).unwrap();
    assert_eq!(answers.len(), 1);
    answers[0].1
}

#[test]
fn a06_a08_leaves_count_as_the_bids_that_they_name() {
    let (params, ledger) = world();
    let second = |who, seq| BidTerms { hash: name(&std::format!("again {who} {seq}")), ..bid(&ledger, who, seq) };
    // 4 has no bond; a seq above the most is inadmissible, and the next lower one counts
    let all = [
        bid(&ledger, 1, 0),
        bid(&ledger, 1, 1),
        bid(&ledger, 2, 0),
        bid(&ledger, 2, params.bid_seq_max + 1),
        bid(&ledger, 3, 0),
        second(3, 0),
        bid(&ledger, 4, 0),
    ];
    let leaf = |bid: &BidTerms| (bid.bidder, bid.seq, bid.hash);
    for chosen in 0..1u32 << all.len() {
        let listed: Vec<BidTerms> = (0..all.len()).filter(|at| chosen >> at & 1 == 1).map(|at| all[at]).collect();
        let mut leaves: Vec<_> = listed.iter().map(leaf).collect();
        leaves.reverse();
        let known = |hash: &Hash| listed.iter().find(|bid| bid.hash == *hash).copied();
        assert_eq!(ledger.count_listed(&params, &leaves, known), Ok(ledger.count_bids(&params, &listed)));
    }
    // only what would count has to be here
    let leaves: Vec<_> = all.iter().map(leaf).collect();
    let only = |here: &[usize]| {
        let here: Vec<BidTerms> = here.iter().map(|at| all[*at]).collect();
        ledger.count_listed(&params, &leaves, move |hash| here.iter().find(|bid| bid.hash == *hash).copied())
    };
    let mut missing = vec![all[1].hash, all[2].hash];
    missing.sort_unstable();
    let sorted = |result: Result<CountedBids, Vec<Hash>>| {
        let mut hashes = result.unwrap_err();
        hashes.sort_unstable();
        hashes
    };
    assert_eq!(sorted(only(&[3, 6])), missing);
    assert_eq!(only(&[1, 2, 3, 6]), Ok(ledger.count_bids(&params, &all)));
    // a leaf that says another seq than the bid is as if never sent
    let lied = [(address(1), 1, all[0].hash)];
    let counted = ledger.count_listed(&params, &lied, |_| Some(all[0])).unwrap();
    assert_eq!((counted.counting, counted.left), (vec![], vec![(all[0].hash, Why::Inadmissible)]));
}

#[test]
fn a12_a20_fees_fines_and_the_price_leave_the_bonds() {
    let (params, mut ledger) = world();
    let resolution = slot(&params, &mut ledger, &[(1, Some(900)), (2, Some(700)), (3, None)]);
    let verdicts: Vec<BidVerdict> = resolution.bids.iter().map(|judged| judged.verdict).collect();
    assert_eq!(verdicts, [BidVerdict::Winner, BidVerdict::Outbid, BidVerdict::Garbage]);
    assert_eq!(bond(&ledger, 1), 500_000 - FEE - 700);
    assert_eq!(bond(&ledger, 2), 400_000 - FEE);
    assert_eq!(bond(&ledger, 3), 300_000 - FEE - FINE);
    let pools = ledger.pools();
    assert_eq!((pools.escrow, pools.users), (amount(700), amount(3 * FEE + FINE)));
    assert_eq!(ledger.right(Slot(2)), Some(right(1, 700)));
    // whatever the builder does then: nothing of it comes back
    ledger.settle(&params, Slot(1), &[], &[]).unwrap();
    assert_eq!(ledger.pools().escrow, amount(700));
}

#[test]
fn a21_escrow_is_split_where_the_right_stood() {
    let (params, mut ledger) = world();
    slot(&params, &mut ledger, &[(1, Some(1_000)), (2, Some(1_000))]);
    slot(&params, &mut ledger, &[]);
    let first = ledger.settle(&params, Slot(1), &[], &[]).unwrap();
    // EXEC's sums: no price yet, the penalties of the auction
    assert_eq!(first.map(Amount::units), [0, 0, 0, 0, 0, 0, 0, 2 * FEE]);
    let users = ledger.pools().users.units();
    let second = ledger.settle(&params, Slot(2), &[], &[]).unwrap();
    assert_eq!(second.map(Amount::units), [1_000, 0, 450, 50, 0, 0, 0, 0]);
    let pools = ledger.pools();
    assert_eq!(
        [pools.users, pools.rollups, pools.committee, pools.escrow].map(Amount::units),
        [users + 500, 450, 50, 0]
    );
    assert_eq!(ledger.right(Slot(2)), None);
}

#[test]
fn a37_the_right_of_an_empty_block_moves_on_with_its_price() {
    let (params, mut ledger) = world();
    slot(&params, &mut ledger, &[(1, Some(900))]);
    for at in 2..=3 {
        ledger.close(&params, Slot(at), &[]).unwrap();
        ledger.pass_right(Slot(at)).unwrap();
    }
    assert_eq!(ledger.right(Slot(4)), Some(right(1, 20)));
    for at in 1..=3 {
        let sums = ledger.settle(&params, Slot(at), &[], &[]).unwrap();
        assert_eq!(sums[0], Amount::ZERO);
    }
    slot(&params, &mut ledger, &[]);
    assert_eq!(ledger.settle(&params, Slot(4), &[], &[]).unwrap()[0], amount(20));
    // not in a block that counted bids, and not once its EXEC is past
    let order = Err(LedgerError::AuctionOrder { slot: Slot(4) });
    assert_eq!(ledger.pass_right(Slot(4)), order);
}

#[test]
fn a04_a_bid_locks_cap_fine_and_fee_until_its_auction() {
    let (params, mut ledger) = world();
    let lock = 1_000 + FINE + FEE;
    assert_eq!(ledger.free_bond(&address(1)), amount(500_000));
    let bids = [bid(&ledger, 1, 0)];
    ledger.lock(&params, &bids).unwrap();
    assert_eq!(ledger.free_bond(&address(1)), amount(500_000 - lock));
    ledger.close(&params, Slot(1), &[]).unwrap();
    // what is locked cannot leave
    let free = amount(500_000 - lock);
    let more = free.checked_add(amount(1)).unwrap();
    assert_eq!(act(&params, &mut ledger.clone(), 1, Act::Unbond { amount: more }), Err(Refused::NotFree));
    assert_eq!(act(&params, &mut ledger, 1, Act::Unbond { amount: free }), Ok(()));
    assert_eq!(ledger.free_bond(&address(1)), Amount::ZERO);
    ledger.auction(Slot(1), &BEACON, &[(address(1), Some(text(20)))]).unwrap();
    assert_eq!(ledger.free_bond(&address(1)), amount(lock - FEE - 20));
}

#[test]
fn a04_a05_each_reason_why_a_bid_may_not_count() {
    let (params, ledger) = world();
    let good = bid(&ledger, 1, 0);
    assert_eq!(ledger.admit_bid(&params, &good), Ok(amount(1_000)));
    assert_eq!(ledger.admit_bid(&params, &BidTerms { cap_class: 2, ..good }), Ok(amount(100_000)));
    let cases = [
        (BidTerms { cap_class: 7, ..good }, Reason::MalformedData),
        (BidTerms { slot: Slot(1), ..good }, Reason::BadRoundNumber),
        (BidTerms { slot: Slot(3), ..good }, Reason::BadRoundNumber),
        (BidTerms { epoch: Epoch(1), ..good }, Reason::WrongEpoch),
        (BidTerms { seq: 4, ..good }, Reason::PerRoundBidLimitReached),
        (BidTerms { bidder: address(4), ..good }, Reason::NotActive),
        (BidTerms { bidder: address(8), ..good }, Reason::NotActive),
        (BidTerms { cap_class: 3, ..good }, Reason::InsufficientBalance),
        (BidTerms { cap_class: 6, ..good }, Reason::InsufficientBalance),
    ];
    for (bid, reason) in cases {
        assert_eq!(ledger.admit_bid(&params, &bid), Err(reason), "{bid:?}");
        assert_eq!(ledger.count_bids(&params, &[bid]).left, [(bid.hash, Why::Inadmissible)]);
    }
}

#[test]
fn a05_a_bid_over_the_end_of_an_epoch_needs_a_builder_of_both() {
    let (params, mut ledger) = world();
    idle(&params, &mut ledger, 9);
    // 3 leaves before the builders of epoch 1 are chosen, 4 comes
    ledger.close(&params, Slot(10), &[]).unwrap();
    let both = [(3u8, Act::Unbond { amount: amount(300_000) }), (4, Act::Bond { amount: amount(600_000) })];
    let operation = |(who, act): (u8, Act)| AccountOperation {
        hash: name(&who.to_string()),
        epoch: Epoch(0),
        account: address(who),
        nonce: Nonce(0),
        act,
    };
    let answers = ledger.operate(&params, Slot(10), &both.map(operation)).unwrap();
    assert!(answers.iter().all(|(_, answer)| answer.is_ok()));
    idle(&params, &mut ledger, 14);
    let at = ledger.next_slot();
    assert_eq!(at, Slot(15));
    assert!(ledger.is_active(&address(2), Epoch(0)) && ledger.is_active(&address(2), Epoch(1)));
    assert_eq!(ledger.admit_bid(&params, &bid(&ledger, 2, 0)), Ok(amount(1_000)));
    assert_eq!(ledger.admit_bid(&params, &bid(&ledger, 3, 0)), Err(Reason::NotActive));
    assert_eq!(ledger.admit_bid(&params, &bid(&ledger, 4, 0)), Err(Reason::NotActive));
    idle(&params, &mut ledger, 15);
    assert_eq!(ledger.admit_bid(&params, &bid(&ledger, 4, 0)), Ok(amount(1_000)));
}

#[test]
fn a01_the_largest_bonds_are_active_from_the_next_epoch() {
    let (params, mut ledger) = world();
    let active = |ledger: &Ledger, epoch| ledger.builders(Epoch(epoch)).map(|who| who.0[0]).collect::<Vec<_>>();
    assert_eq!(active(&ledger, 0), [1, 2, 3]);
    ledger.close(&params, Slot(1), &[]).unwrap();
    assert_eq!(act(&params, &mut ledger, 4, Act::Bond { amount: amount(300_000) }), Ok(()));
    assert_eq!(active(&ledger, 0), [1, 2, 3], "whoever is new waits");
    idle(&params, &mut ledger, 10);
    assert_eq!(active(&ledger, 1), [] as [u8; 0], "not chosen yet");
    idle(&params, &mut ledger, 11);
    assert_eq!(active(&ledger, 1), [1, 2, 3], "three places; of two equal bonds the smaller address");
    // after the choice it counts for the epoch after the next
    assert_eq!(act(&params, &mut ledger, 4, Act::Bond { amount: amount(1) }), Ok(()));
    idle(&params, &mut ledger, 26);
    assert_eq!(active(&ledger, 1), [1, 2, 3]);
    idle(&params, &mut ledger, 27);
    assert_eq!(active(&ledger, 2), [1, 2, 4]);
}

#[test]
fn a02_a_top_up_counts_at_once() {
    let (params, mut ledger) = world();
    ledger.close(&params, Slot(1), &[]).unwrap();
    assert_eq!(act(&params, &mut ledger, 1, Act::Bond { amount: amount(900_000) }), Ok(()));
    assert_eq!(ledger.free_bond(&address(1)), amount(1_400_000));
    assert_eq!(ledger.admit_bid(&params, &BidTerms { cap_class: 3, ..bid(&ledger, 1, 0) }), Ok(amount(1_000_000)));
}

#[test]
fn a02_operations_pay_count_and_come_one_a_slot() {
    let (params, mut ledger) = world();
    ledger.close(&params, Slot(1), &[]).unwrap();
    let of = |text: &str, who, nonce, act| AccountOperation {
        hash: name(text),
        epoch: Epoch(0),
        account: address(who),
        nonce: Nonce(nonce),
        act,
    };
    let pay = |units| Act::Transfer { to: address(9), amount: amount(units) };
    let listed = [
        of("a", 1, 0, pay(10)),
        of("b", 1, 0, pay(20)),
        of("c", 1, 1, pay(30)),
        of("d", 2, 1, pay(10)),
        of("e", 8, 0, pay(10)),
        of("f", 3, 0, pay(1 << 60)),
        of("f", 3, 0, pay(1 << 60)),
    ];
    let users = ledger.pools().users.units();
    let mut other = ledger.clone();
    let answers = ledger.operate(&params, Slot(1), &listed).unwrap();
    let mut reversed = listed;
    reversed.reverse();
    assert_eq!(other.operate(&params, Slot(1), &reversed).unwrap(), answers, "arrival order is no input");
    assert_eq!(other, ledger);
    let answer = |text: &str| answers.iter().find(|(hash, _)| *hash == name(text)).unwrap().1;
    assert!(answers.is_sorted_by_key(|(hash, _)| *hash) && answers.len() == 6);
    let first = if name("a") < name("b") { ["a", "b"] } else { ["b", "a"] };
    assert_eq!(answer(first[0]), Ok(()));
    assert_eq!(answer(first[1]), Err(Refused::Second));
    // one that comes before the account's turn is no operation, one that comes after is its second
    assert!(matches!(answer("c"), Err(Refused::Second | Refused::Nonce)));
    assert_eq!(answer("d"), Err(Refused::Nonce));
    assert_eq!(answer("e"), Err(Refused::UnknownAccount));
    assert_eq!(answer("f"), Err(Refused::Balance));
    // what asks for too much pays all the same; what is no operation pays nothing
    assert_eq!(balance(&ledger, 3), 1_000_000 - FEE);
    assert_eq!(balance(&ledger, 2), 1_000_000);
    assert_eq!(ledger.pools().users.units() - users, 2 * FEE);
    assert_eq!(ledger.operation_nonce(&address(3)), Nonce(1));
    assert_eq!(ledger.account(&address(3)).unwrap().nonce, Nonce(0), "envelopes count on their own");
    assert_eq!(ledger.operate(&params, Slot(1), &[]), Err(LedgerError::AuctionOrder { slot: Slot(1) }));
}

#[test]
fn a02_a_receiver_that_is_new_is_an_account_from_the_next_epoch() {
    let (params, mut ledger) = world();
    let total = ledger.total();
    for at in 1..=2 {
        ledger.close(&params, Slot(at), &[]).unwrap();
        assert_eq!(act(&params, &mut ledger, 1, Act::Transfer { to: address(7), amount: amount(5) }), Ok(()));
        assert_eq!((ledger.account(&address(7)), ledger.total()), (None, total));
    }
    idle(&params, &mut ledger, 15);
    assert_eq!(ledger.account(&address(7)), None);
    idle(&params, &mut ledger, 16);
    assert_eq!((balance(&ledger, 7), ledger.total()), (10, total));
    // to itself: nothing but the fee
    let before = balance(&ledger, 1);
    assert_eq!(act(&params, &mut ledger, 1, Act::Transfer { to: address(1), amount: amount(5) }), Ok(()));
    assert_eq!(balance(&ledger, 1), before - FEE);
}

#[test]
fn a02_an_operation_counts_in_its_epoch_and_the_next() {
    let (params, mut ledger) = world();
    idle(&params, &mut ledger, 33);
    let of = |epoch| AccountOperation {
        hash: name("one"),
        epoch: Epoch(epoch),
        account: address(1),
        nonce: Nonce(0),
        act: Act::Bond { amount: amount(5) },
    };
    for (epoch, answer) in [(0, Err(Refused::Epoch)), (1, Ok(())), (2, Ok(())), (3, Err(Refused::Epoch))] {
        let mut ledger = ledger.clone();
        let before = balance(&ledger, 1);
        assert_eq!(ledger.operate(&params, Slot(33), &[of(epoch)]).unwrap()[0].1, answer, "{epoch}");
        let paid = if answer.is_ok() { FEE + 5 } else { 0 };
        assert_eq!(before - balance(&ledger, 1), paid, "of another epoch: no trace");
    }
    let admitted = |operation: AccountOperation| ledger.admit_operation(&params, &operation);
    assert_eq!(admitted(of(0)), Err(Reason::Expired));
    assert_eq!((admitted(of(1)), admitted(of(2))), (Ok(true), Ok(true)));
    assert_eq!(admitted(of(3)), Ok(false), "of the next epoch: it waits");
    assert_eq!(admitted(of(4)), Err(Reason::WrongEpoch));
}

#[test]
fn a02_what_may_wait_and_what_it_would_do() {
    let (params, mut ledger) = world();
    ledger.close(&params, Slot(1), &[]).unwrap();
    act(&params, &mut ledger, 1, Act::Unbond { amount: amount(200_000) }).unwrap();
    let of = |who, nonce, act| AccountOperation {
        hash: name("one"),
        epoch: Epoch(0),
        account: address(who),
        nonce: Nonce(nonce),
        act,
    };
    let bond = |units| Act::Bond { amount: amount(units) };
    let admitted = |operation: AccountOperation| ledger.admit_operation(&params, &operation);
    assert_eq!(admitted(of(1, 0, bond(1))), Err(Reason::NonceTooLow));
    assert_eq!((admitted(of(1, 1, bond(1))), admitted(of(1, 2, bond(1)))), (Ok(true), Ok(false)));
    assert_eq!(admitted(of(8, 0, bond(1))), Err(Reason::UnknownAccount));
    let rest = balance(&ledger, 1) - FEE;
    let all = [
        (bond(rest), Ok(())),
        (bond(rest + 1), Err(Refused::Balance)),
        (Act::Transfer { to: address(2), amount: amount(rest + 1) }, Err(Refused::Balance)),
        (Act::Unbond { amount: amount(300_000) }, Ok(())),
        (Act::Unbond { amount: amount(300_001) }, Err(Refused::NotFree)),
        (Act::Withdraw { amount: amount(1) }, Err(Refused::TooEarly)),
    ];
    ledger.close(&params, Slot(2), &[]).unwrap();
    for (act, answer) in all {
        let operation = of(1, 1, act);
        let mut ledger = ledger.clone();
        assert_eq!(ledger.foresee(&params, &operation), answer, "{act:?}");
        assert_eq!(ledger.operate(&params, Slot(2), &[operation]).unwrap()[0].1, answer, "and so it is");
    }
    let leaving = |ledger: &Ledger, epoch| ledger.leaving(&params, &address(1), Epoch(epoch));
    assert_eq!(leaving(&ledger, 2), (amount(200_000), Amount::ZERO));
    assert_eq!(leaving(&ledger, 3), (amount(200_000), amount(200_000)));
    let all = bond(balance(&ledger, 1) - FEE);
    act(&params, &mut ledger, 1, all).unwrap();
    assert_eq!(ledger.admit_operation(&params, &of(1, 2, bond(1))), Err(Reason::InsufficientBalance));
}

#[test]
fn a03_what_is_unbonded_is_not_free_and_waits_whole_epochs() {
    let (params, mut ledger) = world();
    ledger.close(&params, Slot(1), &[]).unwrap();
    assert_eq!(act(&params, &mut ledger, 1, Act::Unbond { amount: amount(200_000) }), Ok(()));
    assert_eq!((bond(&ledger, 1), ledger.free_bond(&address(1))), (500_000, amount(300_000)));
    idle(&params, &mut ledger, 47);
    // epochs 1 and 2 are whole; slot 47 is the last of epoch 2
    let withdraw = Act::Withdraw { amount: amount(200_000) };
    assert_eq!(act(&params, &mut ledger, 1, withdraw), Err(Refused::TooEarly));
    idle(&params, &mut ledger, 48);
    let before = balance(&ledger, 1);
    assert_eq!(act(&params, &mut ledger, 1, withdraw), Ok(()));
    assert_eq!((bond(&ledger, 1), balance(&ledger, 1)), (300_000, before - FEE + 200_000));
    ledger.close(&params, Slot(49), &[]).unwrap();
    assert_eq!(act(&params, &mut ledger, 1, Act::Withdraw { amount: amount(1) }), Err(Refused::TooEarly), "once");
}

#[test]
fn a03_what_is_being_unbonded_is_slashed_and_what_can_be_withdrawn_is_not() {
    let (params, mut ledger) = world();
    ledger.close(&params, Slot(1), &[]).unwrap();
    assert_eq!(act(&params, &mut ledger, 1, Act::Unbond { amount: amount(500_000) }), Ok(()));
    let mut late = ledger.clone();
    let slash = |ledger: &mut Ledger| {
        let at = ledger.last_closed;
        ledger.penalise(&params, at, Finding::BidDouble, &address(1), at).unwrap().units()
    };
    assert_eq!(slash(&mut ledger), 50_000);
    assert_eq!((bond(&ledger, 1), ledger.free_bond(&address(1))), (450_000, Amount::ZERO));
    idle(&params, &mut ledger, 48);
    assert_eq!(act(&params, &mut ledger, 1, Act::Withdraw { amount: amount(450_001) }), Err(Refused::TooEarly));
    idle(&params, &mut ledger, 49);
    assert_eq!(act(&params, &mut ledger, 1, Act::Withdraw { amount: amount(450_000) }), Ok(()));
    idle(&params, &mut late, 48);
    assert_eq!(slash(&mut late), 0);
}

#[test]
fn a35_a38_an_equivocator_is_slashed_once_and_barred_until_the_next_epoch_ends() {
    let (params, mut ledger) = world();
    let one = bid(&ledger, 1, 0);
    let other = BidTerms { hash: name("another"), ..one };
    let higher = bid(&ledger, 1, 1);
    let rival = bid(&ledger, 2, 0);
    let counted = ledger.lock(&params, &[other, higher, rival, one]).unwrap();
    assert_eq!(counted.counting, [rival]);
    assert_eq!(counted.equivocators, [address(1)]);
    assert!(counted.left.iter().all(|(_, why)| *why == Why::Double) && counted.left.len() == 3);
    ledger.close(&params, Slot(1), &[]).unwrap();
    let total = ledger.total();
    let penalise = |ledger: &mut Ledger, finding| {
        let at = ledger.last_closed;
        ledger.penalise(&params, at, finding, &address(1), Slot(2)).unwrap().units()
    };
    // a tenth of the bond is more than ten reserves
    assert_eq!(penalise(&mut ledger, Finding::BidDouble), 50_000);
    assert_eq!(penalise(&mut ledger, Finding::BidDouble), 0);
    assert_eq!(penalise(&mut ledger, Finding::BodyDouble), 45_000, "another finding");
    assert_eq!((bond(&ledger, 1), ledger.pools().users.units()), (405_000, 95_000));
    assert_eq!(ledger.total(), total);
    assert!(!ledger.is_active(&address(1), Epoch(0)) && !ledger.is_active(&address(1), Epoch(1)));
    ledger.auction(Slot(1), &BEACON, &[(address(2), Some(text(30)))]).unwrap();
    idle(&params, &mut ledger, 31);
    assert!(ledger.builders(Epoch(1)).all(|who| *who != address(1)), "its place is another's");
    assert!(ledger.is_active(&address(1), Epoch(2)));
    assert_eq!(penalise(&mut ledger, Finding::TailDouble), 40_500, "of the epoch before");
    idle(&params, &mut ledger, 32);
    assert_eq!(penalise(&mut ledger, Finding::BidDouble), 0, "too long ago");
    // a slot far ahead is convicted as well: nothing there is got over with for free
    assert!(ledger.penalise(&params, Slot(32), Finding::BidDouble, &address(1), Slot(60)).unwrap() > Amount::ZERO);
}

#[test]
fn a35_a_slash_never_takes_what_a_bid_has_locked() {
    let (params, mut ledger) = world();
    let lock = 100_000 + FINE + FEE;
    ledger.lock(&params, &[BidTerms { cap_class: 2, ..bid(&ledger, 3, 0) }]).unwrap();
    ledger.close(&params, Slot(1), &[]).unwrap();
    let free = 300_000 - lock;
    assert_eq!(act(&params, &mut ledger, 3, Act::Unbond { amount: amount(free) }), Ok(()));
    for (finding, took) in [(Finding::BidDouble, 30_000), (Finding::BodyDouble, 27_000), (Finding::TailDouble, 24_300)]
    {
        assert_eq!(ledger.penalise(&params, Slot(1), finding, &address(3), Slot(1)), Ok(amount(took)));
    }
    for of in 2..=3 {
        for finding in [Finding::BidDouble, Finding::BodyDouble, Finding::TailDouble] {
            ledger.penalise(&params, Slot(1), finding, &address(3), Slot(of)).unwrap();
        }
    }
    assert_eq!(bond(&ledger, 3), lock, "ends at the lock");
    ledger.auction(Slot(1), &BEACON, &[(address(3), Some(text(100_000)))]).unwrap();
    assert_eq!(bond(&ledger, 3), lock - FEE - 20, "the lone bid pays the reserve");
    assert_eq!(ledger.penalise(&params, Slot(1), Finding::BidDouble, &address(8), Slot(1)), Ok(Amount::ZERO));
}

#[test]
fn a06_a07_what_is_inadmissible_was_never_sent() {
    let (params, mut ledger) = world();
    let low = bid(&ledger, 1, 0);
    // above the free bond: a lower seq counts, and two of them are no equivocation
    let uncovered = BidTerms { cap_class: 5, ..bid(&ledger, 1, 2) };
    let twice = BidTerms { hash: name("twice"), ..uncovered };
    let replaced = bid(&ledger, 2, 0);
    let replacing = bid(&ledger, 2, 3);
    let counted = ledger.lock(&params, &[uncovered, replaced, low, twice, replacing, low]).unwrap();
    assert_eq!(counted.counting, [low, replacing]);
    assert_eq!(counted.equivocators, []);
    let why = |hash| counted.left.iter().find(|(left, _)| *left == hash).unwrap().1;
    assert_eq!(why(uncovered.hash), Why::Inadmissible);
    assert_eq!(why(replaced.hash), Why::Superseded);
    assert_eq!(counted.left.len(), 3);
}

#[test]
fn a09_a_bid_is_replaced_and_never_taken_back() {
    let (params, mut ledger) = world();
    // the last word of a bidder that wants out is a bid below the reserve, and it pays its fee
    ledger.lock(&params, &[bid(&ledger, 1, 0), bid(&ledger, 1, 1)]).unwrap();
    ledger.close(&params, Slot(1), &[]).unwrap();
    let opened = [(address(1), Some(text(19)))];
    for missing in [&[][..], &[(address(2), Some(text(19)))], &[opened[0], opened[0]]] {
        let before = ledger.clone();
        assert_eq!(ledger.auction(Slot(1), &BEACON, missing), Err(LedgerError::BidsWrong { slot: Slot(1) }));
        assert_eq!(ledger, before);
    }
    let resolution = ledger.auction(Slot(1), &BEACON, &opened).unwrap();
    assert_eq!((resolution.winner, resolution.bids[0].verdict), (None, BidVerdict::ReserveNotMet));
    assert_eq!(bond(&ledger, 1), 500_000 - FEE);
}

#[test]
fn a18_a19_reserves_follow_the_prices_two_epochs_later() {
    let (params, mut ledger) = world();
    assert_eq!([0, 1, 2].map(|epoch| ledger.reserve(Epoch(epoch))), [Some(amount(20)), Some(amount(20)), None]);
    for _ in 1..=15 {
        slot(&params, &mut ledger, &[(1, Some(1_000)), (2, Some(1_000))]);
        let at = ledger.last_closed;
        ledger.settle(&params, at, &[], &[]).unwrap();
    }
    assert_eq!(ledger.reserve(Epoch(2)), None, "not before the epoch has ended");
    idle(&params, &mut ledger, 16);
    // M_0 = 15,000 / 16 = 937; EMA = (7 x 40 + 937) / 8 = 152
    assert_eq!([1, 2].map(|epoch| ledger.reserve(Epoch(epoch))), [Some(amount(20)), Some(amount(76))]);
    idle(&params, &mut ledger, 32);
    // nothing was sold in epoch 1: EMA = 133
    assert_eq!([2, 3].map(|epoch| ledger.reserve(Epoch(epoch))), [Some(amount(76)), Some(amount(66))]);
    assert_eq!(ledger.auction_terms(&params).unwrap().reserve, amount(76));
}

/// A unit of payer 9 at charge 10,750 over a base of 10,000, in a slot whose right is builder 1's.
fn one_unit(beta: u16) -> (Params, Ledger, Hash) {
    let params = Params { builder_fee_bps: beta, byte_price_min: amount(19), gas_price_min: amount(272), ..params() };
    let mut world = genesis(params.clone(), &[(1, 1_000), (9, 1 << 40)]);
    world.balances[0].bond = amount(1 << 30);
    let mut ledger = Ledger::genesis(&world).unwrap();
    slot(&params, &mut ledger, &[(1, Some(900))]);
    let unit = Terms { max_fee: amount(16_000), ..unit("u", 9, 0, 0, &[]) };
    ledger.lock(&params, &[]).unwrap();
    ledger.close(&params, Slot(2), core::slice::from_ref(&unit)).unwrap();
    ledger.auction(Slot(2), &BEACON, &[]).unwrap();
    ledger.settle(&params, Slot(1), &[], &[]).unwrap();
    (params, ledger, unit.hash)
}

#[test]
fn a24_the_builder_whose_body_placed_a_unit_gets_its_share() {
    let (params, mut ledger, unit) = one_unit(1_000);
    ledger.place(Slot(2), &address(1), &[unit]).unwrap();
    let users = ledger.pools().users.units();
    let sums = ledger.exec(&params, Slot(2), &[(unit, Outcome::Committed)]).unwrap();
    assert_eq!(balance(&ledger, 1), 1_000 + 1_075);
    // 9,675 of the fee and a twentieth of the price, which was the reserve of 20
    assert_eq!((sums[3], ledger.pools().committee), (amount(9_676), amount(9_676)));
    assert_eq!(ledger.pools().users.units() - users, 10);
    let unknown = LedgerError::UnknownUnit { unit };
    assert_eq!(ledger.place(Slot(2), &address(1), &[unit]), Err(unknown));
    assert_eq!(ledger.place(Slot(2), &address(8), &[]), Err(LedgerError::UnknownBuilder { builder: address(8) }));
}

#[test]
fn a22_rebates_are_paid_out_of_the_users_pool_at_most_kappa_of_a_fee() {
    let (params, mut ledger, unit) = one_unit(0);
    let users = ledger.pools().users.units();
    let before = balance(&ledger, 9);
    let mut kept = ledger.clone();
    let sums = ledger.settle(&params, Slot(2), &[(unit, Outcome::Committed)], &[]).unwrap();
    assert!(users > 5_375);
    assert_eq!(sums[1], amount(5_375), "kappa is half");
    assert_eq!(balance(&ledger, 9), before + 40_000 + 5_375);
    assert_eq!(ledger.pools().users.units(), users + 10 - 5_375);
    // as the network is today nothing is paid
    assert_eq!(kept.exec(&params, Slot(2), &[(unit, Outcome::Committed)]).unwrap()[1], Amount::ZERO);
    assert_eq!(balance(&kept, 9), before + 40_000);
    let (params, mut failed, unit) = one_unit(0);
    let sums = failed.settle(&params, Slot(2), &[(unit, Outcome::NotOpened)], &[]).unwrap();
    assert_eq!(sums[1], Amount::ZERO, "a failed unit gets nothing");
}

#[test]
fn a23_an_epoch_ends_with_the_rollups_paid_and_the_users_pool_trimmed() {
    let (params, mut ledger, unit) = one_unit(1_000);
    idle(&params, &mut ledger, 15);
    ledger.settle(&params, Slot(2), &[(unit, Outcome::Committed)], &[]).unwrap();
    let rollups = [(address(9), 2), (address(6), 1), (address(5), 0)];
    for at in 3..15 {
        ledger.settle(&params, Slot(at), &[], &rollups).unwrap();
    }
    assert_eq!(ledger.pools().rollups, amount(9), "0.45 of the price of 20");
    let (before, users, total) = (balance(&ledger, 9), ledger.pools().users.units(), ledger.total());
    ledger.settle(&params, Slot(15), &[], &rollups).unwrap();
    assert_eq!(balance(&ledger, 9), before + 6);
    // kappa x the epoch's fees of 10,750 stays with the users
    assert_eq!(ledger.pools().users, amount(5_375));
    assert_eq!(ledger.pools().rollups.units(), users - 5_375);
    assert_eq!(ledger.total(), total);
    // a rollup's account that is new begins with the next epoch
    assert_eq!(ledger.account(&address(6)), None);
    idle(&params, &mut ledger, 16);
    assert_eq!(balance(&ledger, 6), 3);
}

#[test]
fn a39_steps_out_of_order_are_errors_that_change_nothing() {
    let (params, start) = world();
    let order = |slot| LedgerError::AuctionOrder { slot: Slot(slot) };
    let mut ledger = start.clone();
    assert_eq!(ledger.auction(Slot(0), &BEACON, &[]), Err(order(0)));
    assert_eq!(ledger.auction(Slot(1), &BEACON, &[]), Err(order(1)));
    assert_eq!(ledger.operate(&params, Slot(1), &[]), Err(order(1)));
    assert_eq!(ledger.pass_right(Slot(1)), Err(order(1)));
    let evidence = |ledger: &mut Ledger, slot, finding| {
        ledger.penalise(&params, Slot(slot), finding, &address(1), Slot(1)).map(Amount::units)
    };
    assert_eq!(evidence(&mut ledger, 1, Finding::BidDouble), Err(order(1)));
    assert_eq!(ledger, start);
    ledger.lock(&params, &[bid(&start, 1, 0)]).unwrap();
    let locked = ledger.clone();
    assert_eq!(ledger.lock(&params, &[]), Err(order(1)), "once a slot");
    assert_eq!(ledger.auction(Slot(1), &BEACON, &[]), Err(order(1)), "not before the close");
    assert_eq!(ledger, locked);
    ledger.close(&params, Slot(1), &[]).unwrap();
    let closed = ledger.clone();
    assert_eq!(ledger.lock(&params, &[]), Err(order(2)), "not before the auction");
    assert_eq!(ledger.pass_right(Slot(1)), Err(order(1)), "bids were counted");
    assert_eq!(evidence(&mut ledger, 1, Finding::VoteDouble), Err(order(1)), "a member's");
    assert_eq!(ledger, closed);
    ledger.auction(Slot(1), &BEACON, &[(address(1), Some(text(20)))]).unwrap();
    assert_eq!(ledger.auction(Slot(1), &BEACON, &[]), Err(order(1)), "once");
}

#[test]
fn the_chain_says_what_auctions_change_and_nothing_without_them() {
    let (params, start) = world();
    let chain = |mut ledger: Ledger| {
        ledger.exec(&params, Slot(1), &[]).unwrap();
        ledger.chain()
    };
    let mut idle = start.clone();
    idle.close(&params, Slot(1), &[]).unwrap();
    let mut locked = start.clone();
    locked.lock(&params, &[bid(&start, 1, 0)]).unwrap();
    locked.close(&params, Slot(1), &[]).unwrap();
    assert_eq!(chain(idle.clone()), chain(locked.clone()), "a lock is gone before anything is said");
    // equal accounts, pools and prices, another holder
    let unbond = |amount| Act::Unbond { amount };
    let (mut one, mut other) = (idle.clone(), idle.clone());
    act(&params, &mut one, 1, unbond(amount(5))).unwrap();
    act(&params, &mut other, 1, unbond(amount(6))).unwrap();
    assert_eq!((one.account_root(), one.pools()), (other.account_root(), other.pools()));
    assert_ne!(chain(one), chain(other));
    // equal in all but who holds the right
    let sold = |who| {
        let mut ledger = locked.clone();
        ledger.market.rights.insert(Slot(2), right(who, 1));
        ledger.market.moved = true;
        chain(ledger)
    };
    assert_ne!(sold(1), sold(2));
}

#[test]
fn a17_bodies_and_tails_are_their_signers_and_of_their_slot() {
    let (params, mut ledger) = world();
    let header = |builder: u8, slot: u64| BuildHeader {
        version: 1,
        network: Hash::ZERO,
        epoch: params.schedule().epoch_of(Slot(slot)),
        slot: Slot(slot),
        builder: address(builder),
        seq: 0,
    };
    let bundle = Bundle {
        version: 1,
        policy: types::Policy::AtomicExec,
        legs: Vec::new(),
        deadline_slot: Slot(9),
        salt: Hash::ZERO,
    };
    let tail = |header: BuildHeader, bundles: usize| Tail {
        header,
        reveal: name("reveal"),
        signature: types::EthSignature([0; 65]),
        bundles: std::vec![bundle.clone(); bundles],
    };
    ledger.lock(&params, &[bid(&ledger, 1, 0), bid(&ledger, 2, 0)]).unwrap();
    ledger.close(&params, Slot(1), &[]).unwrap();
    let named = BidText { tail_recipient: address(7), ..text(30) };
    ledger.auction(Slot(1), &BEACON, &[(address(1), Some(named)), (address(2), Some(text(20)))]).unwrap();
    let body = |header: BuildHeader, units| ledger.admit_body(&params, &header, units);
    assert_eq!(body(header(1, 2), 1_800), Ok(address(1)));
    assert_eq!(body(header(1, 2), 1_801), Err(Reason::OversizedData));
    assert_eq!(body(header(2, 2), 1), Err(Reason::NotWinner));
    assert_eq!(body(header(1, 1), 1), Err(Reason::BadRoundNumber));
    assert_eq!(body(header(1, 3), 1), Err(Reason::BadRoundNumber));
    assert_eq!(body(BuildHeader { epoch: Epoch(1), ..header(1, 2) }, 1), Err(Reason::WrongEpoch));
    assert_eq!(body(BuildHeader { seq: 4, ..header(1, 2) }, 1), Err(Reason::PerRoundBidLimitReached));

    let reveal = name("reveal");
    let admit = |tail: &Tail, reveal: &Hash| ledger.admit_tail(&params, Slot(2), reveal, tail);
    let most = usize::from(params.tail_bundles_max);
    assert_eq!(admit(&tail(header(1, 2), most), &reveal), Ok(address(7)), "the bid names who signs");
    assert_eq!(admit(&tail(header(1, 2), most + 1), &reveal), Err(Reason::OversizedData));
    assert_eq!(admit(&tail(header(1, 2), 0), &reveal), Err(Reason::MalformedData));
    assert_eq!(admit(&tail(header(1, 2), 1), &name("another")), Err(Reason::MalformedData));
    assert_eq!(admit(&tail(header(2, 2), 1), &reveal), Err(Reason::NotWinner));
    assert_eq!(admit(&tail(header(1, 3), 1), &reveal), Err(Reason::BadRoundNumber));
    let mut long = tail(header(1, 2), 1);
    let leg =
        types::Leg { chain_id: types::ChainId(1), tx: std::vec![0; usize::try_from(params.tail_bytes_max).unwrap()] };
    long.bundles[0].legs.push(leg);
    assert_eq!(admit(&long, &reveal), Err(Reason::OversizedData));
}
