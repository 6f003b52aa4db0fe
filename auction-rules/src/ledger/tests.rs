// Goal, RUL-2, RUL-5. Method: the worked examples; random slots from select to exec with
// the sum of all money checked after each step; every misuse is an error that changes nothing.
use super::*;
use crate::{
    select,
    testing::{BALANCES, RICH, amount, genesis, ledger, listed, name, narrow, unit},
};
use proptest::prelude::*;
use std::vec;
use types::Nonce;

fn outcomes_of(set: &[Terms], picks: &[Outcome]) -> Vec<(Hash, Outcome)> {
    set.iter().zip(picks.iter().cycle()).map(|(unit, outcome)| (unit.hash, *outcome)).collect()
}

fn finals() -> impl Strategy<Value = Vec<Outcome>> {
    let end = |o: &&Outcome| o.is_final() && !matches!(o, Outcome::CarryPending | Outcome::TailGas);
    let all: Vec<Outcome> = Outcome::ALL.iter().filter(end).copied().collect();
    proptest::collection::vec(proptest::sample::select(all), 1..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]
    #[test]
    fn rul_2_rul_5_money_is_conserved_over_slots(
        slots in proptest::collection::vec((listed(24), finals(), any::<bool>()), 1..5),
    ) {
        let params = narrow();
        let mut ledger = ledger(&params, BALANCES);
        let total = ledger.total();
        let mut late: Vec<(Slot, Vec<(Hash, Outcome)>)> = Vec::new();
        for (slot, (units, picks, empty_block)) in (1..).map(Slot).zip(slots) {
            // Hashes repeat from slot to slot, as if listed again; nonces move on.
            let selection = select(&ledger, &params, slot, &units, &[]);
            let set: Vec<Terms> = if empty_block { Vec::new() } else {
                units.into_iter().filter(|unit| selection.set.contains(&unit.hash)).collect()
            };
            prop_assert_eq!(ledger.close(&params, slot, &set), Ok(()));
            prop_assert_eq!(ledger.total(), total);
            late.push((slot, outcomes_of(&set, &picks)));
            if empty_block {
                continue; // its EXEC waits for the next block with lists
            }
            for (slot, outcomes) in late.drain(..) {
                let before = ledger.chain();
                let sums = ledger.exec(&params, slot, &outcomes);
                prop_assert!(sums.is_ok(), "{:?}", sums);
                prop_assert_eq!(ledger.total(), total);
                prop_assert_ne!(ledger.chain(), before);
            }
        }
    }
}

fn prices(byte: u128) -> Params {
    Params { byte_price_min: amount(byte), gas_price_min: amount(0), ..Params::default_for(500) }
}

/// One account, byte price 20, one unit of class 0: base 10,240, offer `max_fee`.
fn one(max_fee: u128) -> (Params, Ledger, Terms) {
    let params = prices(20);
    let ledger = ledger(&params, &[(1, 1_000_000)]);
    (params, ledger, Terms { max_fee: amount(max_fee), ..unit("u", 1, 0, 0, &[]) })
}

fn after(outcome: Outcome) -> (Ledger, [u128; 8]) {
    let (params, mut ledger, unit) = one(10_240 + 6_000);
    ledger.close(&params, Slot(1), core::slice::from_ref(&unit)).unwrap();
    // charge = 10,240 + 750, bond = 4 x 10,240
    assert_eq!(ledger.account(&unit.account).unwrap().balance, amount(1_000_000 - 10_990 - 40_960));
    assert_eq!(ledger.account(&unit.account).unwrap().nonce, Nonce(1));
    let sums = ledger.exec(&params, Slot(1), &[(unit.hash, outcome)]).unwrap();
    (ledger, sums.map(Amount::units))
}

#[test]
fn a24_a_done_or_aborted_unit_pays_its_charge_and_gets_its_bond_back() {
    for outcome in [Outcome::Committed, Outcome::Included, Outcome::Revert, Outcome::OtherInvalid] {
        let (ledger, sums) = after(outcome);
        assert_eq!(ledger.account(&unit("u", 1, 0, 0, &[]).account).unwrap().balance, amount(1_000_000 - 10_990));
        // committee floor(10,990 x 0.9) = 9,891, the rest 1,099 to the users' pool
        assert_eq!(ledger.pools(), Pools { committee: amount(9_891), users: amount(1_099), ..Pools::default() });
        assert_eq!(sums, [0, 0, 0, 9_891, 10_990, 0, 0, 0]);
    }
}

#[test]
fn a38_a_failed_unit_forfeits_its_bond_to_the_users() {
    for outcome in [Outcome::NotOpened, Outcome::BadPlaintext, Outcome::InitcodeSize] {
        let (ledger, sums) = after(outcome);
        assert_eq!(
            ledger.account(&unit("u", 1, 0, 0, &[]).account).unwrap().balance,
            amount(1_000_000 - 10_990 - 40_960)
        );
        assert_eq!(
            ledger.pools(),
            Pools { committee: amount(9_891), users: amount(1_099 + 40_960), ..Pools::default() }
        );
        assert_eq!(sums, [0, 0, 0, 9_891, 10_990, 0, 40_960, 0]);
    }
}

#[test]
fn a24_an_expired_unit_pays_the_base_alone() {
    let (ledger, sums) = after(Outcome::Expired);
    assert_eq!(ledger.account(&unit("u", 1, 0, 0, &[]).account).unwrap().balance, amount(1_000_000 - 10_240));
    assert_eq!(ledger.pools(), Pools { committee: amount(9_216), users: amount(1_024), ..Pools::default() });
    assert_eq!(sums, [0, 0, 0, 9_216, 10_990, 750, 0, 0]);
}

#[test]
fn a24_the_worked_example() {
    // base 10,000, max_fee 16,000: charge 10,750; committee 9,675; the rest 1,075.
    let charge = charge(amount(16_000), amount(10_000)).unwrap();
    let account = unit("u", 1, 0, 0, &[]).account;
    let unit = Prepaid { slot: Slot(1), account, charge, base: amount(10_000), bond: amount(0), builder: None };
    let settled = unit.settle(&Params::default_for(500), Outcome::Committed, &mut Sums::default()).unwrap();
    assert_eq!((settled.committee, settled.rest), (amount(9_675), amount(1_075)));
}

#[test]
fn a39_a_carried_unit_stays_prepaid_until_it_ends() {
    let (params, mut ledger, unit) = one(10_240);
    ledger.close(&params, Slot(1), core::slice::from_ref(&unit)).unwrap();
    ledger.close(&params, Slot(2), &[]).unwrap();
    assert_eq!(ledger.exec(&params, Slot(1), &[(unit.hash, Outcome::Carried)]).unwrap(), [Amount::ZERO; 8]);
    assert_eq!(ledger.pools(), Pools::default());
    assert_eq!(ledger.clone().exec(&params, Slot(2), &[]), Err(LedgerError::OutcomeMissing { unit: unit.hash }));
    ledger.exec(&params, Slot(2), &[(unit.hash, Outcome::Committed)]).unwrap();
    assert_eq!(ledger.pools().committee, amount(9_216));
}

#[test]
fn a34_prices_follow_the_set_and_fall_after_an_empty_one() {
    let params = Params { bytes_limit: 8 * 61_440, ..prices(1_000) };
    let balances: Vec<(u8, u128)> = (1..=8).map(|payer| (payer, RICH)).collect();
    let mut ledger = ledger(&params, &balances);
    let big =
        |payer: u8| Terms { size: 4, max_fee: amount(1 << 40), ..unit(&std::format!("{payer}"), payer, 0, 0, &[]) };
    let full: Vec<Terms> = (1..=8).map(big).collect();
    ledger.close(&params, Slot(1), &full).unwrap();
    assert_eq!(ledger.prices().byte, 1_125);
    ledger.close(&params, Slot(2), &[]).unwrap();
    assert_eq!(ledger.prices().byte, 1_000, "never below the floor");
}

#[test]
fn closed_units_are_remembered_for_the_longest_expiry() {
    let params = Params { expiry_slots_max: 3, ..Params::default_for(500) };
    let mut ledger = ledger(&params, &[(1, RICH)]);
    let unit = Terms { expiry: Slot(2), ..unit("u", 1, 0, 0, &[]) };
    ledger.close(&params, Slot(1), core::slice::from_ref(&unit)).unwrap();
    for slot in 2..=3 {
        ledger.close(&params, Slot(slot), &[]).unwrap();
        assert!(ledger.is_closed(&unit.hash), "judging slot {}", slot + 1);
    }
    ledger.close(&params, Slot(4), &[]).unwrap();
    assert!(!ledger.is_closed(&unit.hash));
}

#[test]
fn the_chain_moves_over_changes_and_says_everything() {
    let params = Params::default_for(500);
    let base = ledger(&params, &[(1, RICH), (2, RICH)]);
    assert_ne!(base.chain(), ledger(&params, &[(1, RICH), (2, RICH + 1)]).chain());
    let mut one = base.clone();
    one.close(&params, Slot(1), &[unit("u", 1, 0, 0, &[])]).unwrap();
    assert_eq!(one.chain(), base.chain(), "close alone does not move it");
    let mut other = base.clone();
    other.close(&params, Slot(1), &[unit("u", 2, 0, 0, &[])]).unwrap();
    for ledger in [&mut one, &mut other] {
        ledger.exec(&params, Slot(1), &[(name("u"), Outcome::Committed)]).unwrap();
    }
    assert_ne!(one.chain(), other.chain());
    // By hand: tag, previous hash, codec of the changed accounts, pools, prices.
    let address = unit("u", 1, 0, 0, &[]).account;
    let account = one.account(&address).unwrap();
    let mut bytes = vec![1];
    bytes.extend_from_slice(address.as_bytes());
    bytes.extend(codec::encode(&account));
    let Pools { users, committee, rollups, escrow } = one.pools();
    for number in [users, committee, rollups, escrow] {
        bytes.extend(codec::encode(&number));
    }
    bytes.extend(codec::encode(&one.prices().byte));
    bytes.extend(codec::encode(&one.prices().gas));
    assert_eq!(one.chain(), sha256(&[b"lockstep/ledger/v1", base.chain().as_bytes(), &bytes]));
}

#[test]
fn account_root_of_one_account() {
    let ledger = ledger(&Params::default_for(500), &[(1, 7)]);
    let mut leaf = vec![0u8];
    leaf.extend_from_slice(&[1; 20]);
    leaf.extend_from_slice(&[7, 0, 0]);
    assert_eq!(ledger.account_root(), sha256(&[&leaf]));
}

#[test]
fn what_no_select_gives_is_an_error_and_changes_nothing() {
    let params = Params::default_for(500);
    let start = Ledger::genesis(&genesis(params.clone(), &[(1, RICH), (2, 10_000)])).unwrap();
    let u = |text| unit(text, 1, 0, 0, &[]);
    let cases = [
        (vec![unit("x", 9, 0, 0, &[])], LedgerError::UnknownAccount { unit: name("x") }),
        (vec![unit("x", 1, 1, 0, &[])], LedgerError::Nonce { unit: name("x") }),
        (vec![u("x"), unit("y", 1, 2, 0, &[])], LedgerError::Nonce { unit: name("y") }),
        (vec![u("x"), u("x")], LedgerError::Nonce { unit: name("x") }),
        (vec![unit("x", 2, 0, 0, &[])], LedgerError::Funds { unit: name("x") }),
        (vec![Terms { max_fee: amount(1), ..u("x") }], LedgerError::Funds { unit: name("x") }),
    ];
    for (set, error) in cases {
        let mut ledger = start.clone();
        assert_eq!(ledger.close(&params, Slot(1), &set), Err(error));
        assert_eq!(ledger, start);
    }
    let order = LedgerError::CloseOrder { slot: Slot(2), closed: Slot(0) };
    assert_eq!(start.clone().close(&params, Slot(2), &[]), Err(order));

    let mut closed = start;
    closed.close(&params, Slot(1), &[u("x")]).unwrap();
    let before = closed.clone();
    let done = |text| (name(text), Outcome::Committed);
    let cases = [
        (Slot(2), vec![], LedgerError::ExecOrder { slot: Slot(2), executed: Slot(0), closed: Slot(1) }),
        (Slot(1), vec![], LedgerError::OutcomeMissing { unit: name("x") }),
        (Slot(1), vec![done("x"), done("y")], LedgerError::UnknownUnit { unit: name("y") }),
        (Slot(1), vec![done("x"), done("x")], LedgerError::UnknownUnit { unit: name("x") }),
        (Slot(1), vec![(name("x"), Outcome::Carried), done("x")], LedgerError::UnknownUnit { unit: name("x") }),
        (Slot(1), vec![(name("x"), Outcome::TailGas)], LedgerError::OutcomeWrong { unit: name("x") }),
    ];
    for (slot, outcomes, error) in cases {
        assert_eq!(closed.exec(&params, slot, &outcomes), Err(error));
        assert_eq!(closed, before);
    }
    closed.exec(&params, Slot(1), &[done("x")]).unwrap();
    let again = LedgerError::ExecOrder { slot: Slot(1), executed: Slot(1), closed: Slot(1) };
    assert_eq!(closed.exec(&params, Slot(1), &[done("x")]), Err(again));
}
