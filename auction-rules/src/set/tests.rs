// Goal: on which units form a set, RUL-1, RUL-3, RUL-4. Method: random listed sets against the
// rules' own statements; each reason and each pass by an example.
use super::*;
use crate::testing::{BALANCES, RICH, amount, ledger, listed, name, narrow, unit};
use alloc::collections::{BTreeMap, BTreeSet};
use proptest::prelude::*;
use types::{Epoch, Nonce};

const NOW: Slot = Slot(1);

fn why(selection: &Selection, text: &str) -> Option<Why> {
    selection.left.iter().find(|(hash, _)| *hash == name(text)).map(|(_, why)| *why)
}

fn names(texts: &[&str]) -> Vec<Hash> {
    let mut hashes: Vec<Hash> = texts.iter().map(|text| name(text)).collect();
    hashes.sort_unstable();
    hashes
}

/// The least set of candidates, grown naively: of equal nonces the best-ranked, in nonce order, money and quotas counted.
fn grown(ledger: &Ledger, params: &Params, units: &[Terms], judged: &Judged<'_>) -> BTreeSet<Hash> {
    let prices = ledger.prices();
    let best: Vec<&Terms> = judged
        .listed
        .units
        .iter()
        .zip(&judged.ranking.best)
        .filter(|(_, best)| **best)
        .map(|(unit, _)| *unit)
        .collect();
    let mut closed: BTreeSet<Hash> = BTreeSet::new();
    loop {
        let before = closed.len();
        for unit in &best {
            let own: Vec<&Terms> =
                units.iter().filter(|u| u.account == unit.account && closed.contains(&u.hash)).collect();
            let account = ledger.account(&unit.account).unwrap_or_default();
            let next = account.nonce.0 + u64::try_from(own.len()).unwrap();
            let cost = |u: &Terms| {
                let base = crate::base_fee(&prices, u.size, u.gas).unwrap();
                let paid = crate::charge(u.max_fee, base)?;
                Some(paid.units() + base.units() * u128::from(params.unit_bond_base))
            };
            let Some(own_cost) = cost(unit) else { continue };
            let spent: u128 = own.iter().map(|u| cost(u).unwrap()).sum();
            let bytes: u64 = own.iter().map(|u| u.bytes()).sum();
            if unit.nonce.0 == next
                && unit.after.iter().all(|hash| closed.contains(hash))
                && spent + own_cost <= account.balance.units()
                && own.len() < usize::try_from(params.account_slot_count).unwrap()
                && bytes + unit.bytes() <= params.account_slot_bytes
            {
                closed.insert(unit.hash);
            }
        }
        if closed.len() == before {
            return closed;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a27_candidates_are_the_least_set(units in listed(40)) {
        let (params, slot) = (narrow(), NOW);
        let ledger = ledger(&params, BALANCES);
        let judged = judge(&ledger, &params, slot, &units);
        let selection = select(&ledger, &params, slot, &units, &[]);
        let candidates: BTreeSet<Hash> = selection.candidates.iter().map(|c| c.hash).collect();
        prop_assert_eq!(candidates, grown(&ledger, &params, &units, &judged));
    }

    #[test]
    fn rul_1_arrival_order_is_irrelevant(
        (units, arrived) in listed(30).prop_flat_map(|units| (Just(units.clone()), Just(units).prop_shuffle())),
    ) {
        let params = narrow();
        let ledger = ledger(&params, BALANCES);
        let once = select(&ledger, &params, NOW, &units, &[]);
        prop_assert_eq!(&once, &select(&ledger, &params, NOW, &arrived, &[]));
        let twice: Vec<Terms> = units.iter().chain(&arrived).cloned().collect();
        prop_assert_eq!(&once, &select(&ledger, &params, NOW, &twice, &[]), "repetitions change nothing");
        prop_assert_eq!(list_rank(&ledger, &params, NOW, &units), list_rank(&ledger, &params, NOW, &arrived));
    }

    #[test]
    fn rul_3_rul_4_a_set_is_closed_fits_and_explains_the_rest(
        units in listed(40), picks in proptest::collection::vec(0usize..45, 0..45),
    ) {
        let params = narrow();
        let ledger = ledger(&params, BALANCES);
        let body: Vec<Hash> = picks.iter().map(|at| name(&std::format!("unit {at}"))).collect();
        let selection = select(&ledger, &params, NOW, &units, &body);
        let by_hash: BTreeMap<Hash, &Terms> = units.iter().map(|unit| (unit.hash, unit)).collect();
        let set: BTreeSet<Hash> = selection.set.iter().copied().collect();
        prop_assert!(selection.set.is_sorted() && selection.candidates.is_sorted_by_key(|c| c.hash));
        let mut nonces: BTreeMap<_, Vec<u64>> = BTreeMap::new();
        for unit in set.iter().map(|hash| by_hash[hash]) {
            prop_assert!(unit.after.iter().all(|hash| set.contains(hash)));
            nonces.entry(unit.account).or_default().push(unit.nonce.0);
        }
        for mut nonces in nonces.into_values() {
            nonces.sort_unstable();
            let run: Vec<u64> = (0..).take(nonces.len()).collect();
            prop_assert_eq!(nonces, run);
        }
        let bytes: u64 = set.iter().map(|hash| by_hash[hash].bytes()).sum();
        let gas: u64 = set.iter().map(|hash| by_hash[hash].gas_units().unwrap()).sum();
        prop_assert_eq!((bytes, gas), (selection.bytes, selection.gas));
        prop_assert!(bytes <= params.bytes_limit && gas <= params.gas_limit && set.len() <= 12);
        // RUL-4: each listed envelope is in the set or has one reason; NO_ROOM is for candidates alone.
        let left: BTreeMap<Hash, Why> = selection.left.iter().copied().collect();
        prop_assert_eq!(left.len(), selection.left.len());
        prop_assert!(by_hash.keys().all(|hash| set.contains(hash) != left.contains_key(hash)));
        let candidates: BTreeSet<Hash> = selection.candidates.iter().map(|c| c.hash).collect();
        prop_assert!(set.is_subset(&candidates));
        prop_assert!(left.iter().all(|(hash, why)| (*why == Why::NoRoom) == candidates.contains(hash)));
        // "There was no room" is one comparison of ranks: strictly better than the cut is in.
        if let Some(cut) = selection.cut {
            prop_assert!(selection.candidates.iter().all(|c| c.rank >= cut || set.contains(&c.hash)));
        }
    }

    #[test]
    fn a27_with_room_the_set_is_all_candidates_and_a_body_changes_nothing(units in listed(30)) {
        let params = Params::default_for(500);
        let ledger = ledger(&params, BALANCES);
        let selection = select(&ledger, &params, NOW, &units, &[]);
        let candidates: Vec<Hash> = selection.candidates.iter().map(|c| c.hash).collect();
        prop_assert_eq!(&selection.set, &candidates);
        prop_assert_eq!((selection.cut, selection.placed.len()), (None, 0));
        let body: Vec<Hash> = candidates.into_iter().rev().collect();
        prop_assert_eq!(selection, select(&ledger, &params, NOW, &units, &body));
    }

    #[test]
    fn what_is_listed_best_first_is_what_a_set_takes(units in listed(30)) {
        let params = Params::default_for(500);
        let ledger = ledger(&params, BALANCES);
        let ranked = list_rank(&ledger, &params, NOW, &units);
        prop_assert!(ranked.is_sorted_by_key(|(_, rank)| *rank));
        let ranks: BTreeMap<Hash, Rank> = ranked.iter().copied().collect();
        let selection = select(&ledger, &params, NOW, &units, &[]);
        for candidate in &selection.candidates {
            prop_assert_eq!(ranks[&candidate.hash], candidate.rank);
        }
        for (hash, why) in &selection.left {
            prop_assert_eq!(*why == Why::Inadmissible, !ranks.contains_key(hash));
            if !matches!(why, Why::Inadmissible | Why::Replaced) {
                prop_assert_eq!(ranks[hash], LAST);
            }
        }
    }
}

#[test]
fn each_reason() {
    let params = Params::default_for(500);
    let ledger = ledger(&params, &[(1, RICH), (2, RICH), (3, 60_000), (4, RICH), (5, RICH), (6, RICH)]);
    let base = 16 * 512 + 1;
    let mut units = std::vec![
        unit("a0", 1, 0, 0, &[]),
        unit("a1 better", 1, 1, 999_999, &[]),
        unit("a1 worse", 1, 1, 0, &[]),
        unit("a3", 1, 3, 0, &[]),
        unit("names nobody", 2, 0, 0, &["nobody"]),
        unit("poor 0", 3, 0, 0, &[]),
        unit("poor 1", 3, 1, 0, &[]),
        unit("poor 2", 3, 2, 0, &[]),
        unit("unknown payer", 9, 0, 0, &[]),
        Terms { expiry: Slot(0), ..unit("expired", 4, 0, 0, &[]) },
        Terms { expiry: Slot(258), ..unit("too far ahead", 4, 0, 0, &[]) },
        Terms { expiry: Slot(257), ..unit("just near enough", 4, 0, 0, &[]) },
        Terms { epoch: Epoch(1), ..unit("other epoch", 4, 1, 0, &[]) },
        Terms { gas: 25, ..unit("heavy", 4, 1, 1 << 30, &[]) },
        Terms { size: 5, ..unit("no class", 4, 1, 1 << 30, &[]) },
        Terms { max_fee: amount(base - 1), ..unit("below base", 5, 0, 0, &[]) },
        unit("behind below base", 5, 1, 0, &[]),
    ];
    units.extend((0..10).map(|nonce| unit(&std::format!("many {nonce}"), 6, nonce, 0, &[])));
    let selection = select(&ledger, &params, NOW, &units, &[]);
    let many: Vec<std::string::String> = (0..8).map(|nonce| std::format!("many {nonce}")).collect();
    let mut set = std::vec!["a0", "a1 better", "poor 0", "just near enough"];
    set.extend(many.iter().map(std::string::String::as_str));
    assert_eq!(selection.set, names(&set));
    for (text, reason) in [
        ("a1 worse", Why::Replaced),
        ("a3", Why::NonceGap),
        ("names nobody", Why::AfterOpen),
        ("poor 1", Why::NoFunds),
        ("poor 2", Why::NonceGap),
        ("unknown payer", Why::NoFunds),
        ("expired", Why::Inadmissible),
        ("too far ahead", Why::Inadmissible),
        ("other epoch", Why::Inadmissible),
        ("heavy", Why::Inadmissible),
        ("no class", Why::Inadmissible),
        ("below base", Why::BelowBase),
        ("behind below base", Why::NonceGap),
        ("many 8", Why::Quota),
        ("many 9", Why::NonceGap),
    ] {
        assert_eq!(why(&selection, text), Some(reason), "{text}");
    }
}

#[test]
fn quota_counts_bytes_of_size_classes() {
    let params = Params::default_for(500);
    let ledger = ledger(&params, &[(1, RICH)]);
    let big = |text, nonce, size| Terms { size, max_fee: amount(1 << 40), ..unit(text, 1, nonce, 0, &[]) };
    let units = [big("0", 0, 3), big("1", 1, 3), big("2", 2, 0)];
    let selection = select(&ledger, &params, NOW, &units, &[]);
    assert_eq!(selection.set, names(&["0", "1"]));
    assert_eq!(why(&selection, "2"), Some(Why::Quota));
}

#[test]
fn closed_units_count_and_do_not_come_again() {
    let params = Params::default_for(500);
    let mut ledger = ledger(&params, &[(1, RICH), (2, RICH)]);
    let first = unit("first", 1, 0, 0, &[]);
    ledger.close(&params, Slot(1), core::slice::from_ref(&first)).unwrap();
    let units = [
        first,
        unit("same nonce", 1, 0, 1 << 20, &[]),
        unit("next", 1, 1, 1 << 20, &[]),
        unit("names first", 2, 0, 1 << 20, &["first"]),
    ];
    let selection = select(&ledger, &params, Slot(2), &units, &[]);
    assert_eq!(selection.set, names(&["next", "names first"]));
    assert_eq!(why(&selection, "first"), Some(Why::Inadmissible));
    assert_eq!(why(&selection, "same nonce"), Some(Why::Inadmissible));
    let listed: Vec<Hash> = list_rank(&ledger, &params, Slot(2), &units).into_iter().map(|(hash, _)| hash).collect();
    assert_eq!(listed.len(), 2, "used nonces and included ones are dropped");
}

/// Eight slots of count, four of them forced.
fn eight() -> Params {
    Params { count_limit: 8, ..Params::default_for(500) }
}

/// Twelve accounts, each with one unit, the first the best.
fn twelve() -> (Ledger, Vec<Terms>, Vec<std::string::String>) {
    let payers: Vec<(u8, u128)> = (1..=12).map(|payer| (payer, RICH)).collect();
    let texts: Vec<std::string::String> = (1..=12).map(|n| std::format!("u{n}")).collect();
    let units = (1u8..=12).zip(&texts).map(|(payer, text)| unit(text, payer, 0, 512 * (100 - u128::from(payer)), &[]));
    (ledger(&eight(), &payers), units.collect(), texts)
}

#[test]
fn a27_three_passes() {
    let (ledger, units, _) = twelve();
    let by_rank = select(&ledger, &eight(), NOW, &units, &[]);
    assert_eq!(by_rank.set, names(&["u1", "u2", "u3", "u4", "u5", "u6", "u7", "u8"]));
    assert_eq!((by_rank.forced, by_rank.placed.len()), (4, 0));
    assert_eq!(by_rank.cut, Some(Rank { fee_per_byte: 95, hash: name("u5") }));
    assert_eq!(why(&by_rank, "u9"), Some(Why::NoRoom));

    // the unknown, the repeated and the forced are skipped; what the body names comes before better ranks.
    let body = ["u12", "nobody", "u12", "u1", "u11"].map(name);
    let built = select(&ledger, &eight(), NOW, &units, &body);
    assert_eq!(built.placed, ["u12", "u11"].map(name));
    assert_eq!(built.set, names(&["u1", "u2", "u3", "u4", "u5", "u6", "u11", "u12"]));
    assert_eq!((built.forced, built.cut), (by_rank.forced, by_rank.cut), "a body moves neither");
    assert_eq!(why(&built, "u7"), Some(Why::NoRoom));
}

#[test]
fn a27_pass_1_stops_at_the_first_that_does_not_fit_and_pass_3_skips_it() {
    // Forced bytes are 4 x 61,440; the third of 60 KiB each ends pass 1 although small ones would fit.
    let params = Params { bytes_limit: 8 * 61_440, forced_bps: 5_000, ..Params::default_for(500) };
    let balances: Vec<(u8, u128)> = (1..=12).map(|payer| (payer, RICH)).collect();
    let ledger = ledger(&params, &balances);
    let big = |text: &str, payer: u8, over: u128| {
        let max_fee = amount(16 * 61_440 + 1 + 61_440 * over);
        Terms { size: 4, max_fee, ..unit(text, payer, 0, 0, &[]) }
    };
    let units = [
        big("b1", 1, 90),
        big("b2", 2, 89),
        big("b3", 3, 88),
        big("b4", 4, 87),
        big("b5", 5, 86),
        unit("small", 6, 0, 512 * 50, &[]),
        big("b6", 7, 40),
        big("b7", 8, 39),
        big("b8", 9, 38),
        unit("smaller", 10, 0, 512, &[]),
    ];
    let selection = select(&ledger, &params, NOW, &units, &[]);
    assert_eq!((selection.forced, selection.cut), (4, Some(Rank { fee_per_byte: 86, hash: name("b5") })));
    assert_eq!(selection.set, names(&["b1", "b2", "b3", "b4", "b5", "b6", "b7", "small", "smaller"]));
    assert_eq!(why(&selection, "b8"), Some(Why::NoRoom));
}

#[test]
fn a27_a_body_cannot_take_what_hangs_on_something_untaken() {
    let (ledger, mut units, _) = twelve();
    units.retain(|unit| unit.hash != name("u11") && unit.hash != name("u12"));
    units.push(unit("u10b", 10, 1, 512 * 80, &[]));
    units.push(unit("u11", 11, 0, 512 * 80, &["u9"]));
    let early = select(&ledger, &eight(), NOW, &units, &["u10b", "u11"].map(name));
    assert_eq!(early.placed, []);
    let in_order = select(&ledger, &eight(), NOW, &units, &["u9", "u11", "u10", "u10b"].map(name));
    assert_eq!(in_order.placed, ["u9", "u11", "u10", "u10b"].map(name));
    assert_eq!(in_order.set, names(&["u1", "u2", "u3", "u4", "u9", "u10", "u10b", "u11"]));
}

#[test]
fn x12_a_hostile_builder_delays_an_envelope_by_the_bound() {
    // Section 1: with Q better-ranked bytes before it, an envelope is in within ceil(Q / (forced - 60 KiB)) + 1 slots,
    // although the builder places its own junk in every slot.
    let params =
        Params { bytes_limit: 8 * 61_440, count_limit: 400, account_slot_count: 400, ..Params::default_for(500) };
    let balances: Vec<(u8, u128)> = (1..=250).map(|payer| (payer, RICH)).collect();
    let mut ledger = ledger(&params, &balances);
    let at_top =
        |terms: Terms, over: u64| Terms { max_fee: amount(u128::from(over) << 20), expiry: Slot(100), ..terms };
    let mut waiting: Vec<Terms> = (1u8..=40)
        .map(|payer| {
            at_top(Terms { size: 3, ..unit(&std::format!("w{payer}"), payer, 0, 0, &[]) }, 4_000 - u64::from(payer))
        })
        .collect();
    let victim = at_top(Terms { size: 3, ..unit("victim", 41, 0, 0, &[]) }, 1_000);
    waiting.push(victim.clone());
    let before: u64 = 40 * 32_768;
    let bound = before.div_ceil(4 * 61_440 - 61_440) + 1;
    let mut included_in = None;
    for slot in 1..=bound {
        let junk: Vec<Terms> = (0u8..8)
            .map(|n| {
                let payer = 50 + n * 20 + u8::try_from(slot).unwrap();
                at_top(Terms { size: 4, ..unit(&std::format!("junk {slot} {n}"), payer, 0, 0, &[]) }, 100)
            })
            .collect();
        let listed: Vec<Terms> = waiting.iter().chain(&junk).cloned().collect();
        let body: Vec<Hash> = junk.iter().map(|unit| unit.hash).collect();
        let selection = select(&ledger, &params, Slot(slot), &listed, &body);
        assert!(!selection.placed.is_empty() || selection.cut.is_none());
        let set: Vec<Terms> = listed.into_iter().filter(|unit| selection.set.contains(&unit.hash)).collect();
        ledger.close(&params, Slot(slot), &set).unwrap();
        waiting.retain(|unit| !selection.set.contains(&unit.hash));
        if selection.set.contains(&victim.hash) {
            included_in = Some(slot);
            break;
        }
    }
    assert!(included_in.is_some_and(|slot| slot > 1), "{included_in:?} within {bound}");
}

#[test]
fn leaf_of_a_candidate() {
    let candidate = Candidate { hash: Hash([1; 32]), rank: Rank { fee_per_byte: 0x0203, hash: Hash([4; 32]) } };
    let leaf = candidate.leaf();
    assert_eq!(leaf.len(), 72);
    assert_eq!(leaf[..32], [1; 32]);
    assert_eq!(leaf[32..40], [0, 0, 0, 0, 0, 0, 2, 3]);
    assert_eq!(leaf[40..], [4; 32]);
}

#[test]
fn nonces_at_the_end_of_the_range_are_ordinary() {
    let params = Params::default_for(500);
    let ledger = ledger(&params, &[(1, RICH)]);
    let far = Terms { nonce: Nonce(u64::MAX), ..unit("far", 1, 0, 0, &[]) };
    let selection = select(&ledger, &params, NOW, &[far], &[]);
    assert_eq!(why(&selection, "far"), Some(Why::NonceGap));
}
