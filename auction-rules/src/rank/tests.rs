// Goal: A-28. Method: random listed sets, cycles and gaps included, against the equations iterated until nothing changes;
// and the cases that the rule's words name.
use super::*;
use crate::testing::{BALANCES, RICH, ledger, listed, name, unit};
use crate::{Ledger, Terms};
use alloc::collections::BTreeMap;
use proptest::prelude::*;
use types::Params;

/// A-28 written out: start with everything last, apply the equations to all units until they hold.
fn naive(ledger: &Ledger, prices: &Prices, units: &[&Terms]) -> Vec<Option<Place>> {
    let mut places: Vec<Option<Place>> = vec![None; units.len()];
    loop {
        let next: Vec<Option<Place>> =
            (0..units.len()).map(|index| by_the_rule(ledger, prices, units, &places, index)).collect();
        if next == places {
            return places;
        }
        places = next;
    }
}

fn by_the_rule(
    ledger: &Ledger,
    prices: &Prices,
    units: &[&Terms],
    places: &[Option<Place>],
    index: usize,
) -> Option<Place> {
    let unit = units[index];
    let own = Reverse(fee_per_byte(unit.max_fee, unit.size, unit.gas, prices));
    let mut place = Place { fee: own, of: index, generation: 0, own_fee: own, unit: index };
    let mut meet = |other: Option<Place>| -> Option<()> {
        let other = other?;
        (place.fee, place.of) = (place.fee, place.of).max((other.fee, other.of));
        place.generation = place.generation.max(other.generation + 1);
        Some(())
    };
    for hash in unit.after.iter().filter(|hash| !ledger.is_closed(hash)) {
        meet(units.iter().position(|other| other.hash == *hash).and_then(|at| places[at]))?;
    }
    let open = ledger.account(&unit.account).unwrap_or_default().nonce.0..unit.nonce.0;
    for nonce in open {
        let versions = units.iter().zip(places).filter(|(v, _)| v.account == unit.account && v.nonce.0 == nonce);
        meet(versions.filter_map(|(_, place)| *place).min())?;
    }
    Some(place)
}

fn sorted(mut units: Vec<Terms>) -> Vec<Terms> {
    units.sort_by_key(|unit| unit.hash);
    units
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn a28_equals_the_equations(units in listed(40)) {
        let ledger = ledger(&Params::default_for(500), BALANCES);
        let units = sorted(units);
        let refs: Vec<&Terms> = units.iter().collect();
        let prices = ledger.prices();
        let ranking = rank(&Listed::resolve(&ledger, refs.clone()), &prices);
        prop_assert_eq!(&ranking.places, &naive(&ledger, &prices, &refs));
        // Best first, and a unit comes after all it hangs on.
        prop_assert!(ranking.order.is_sorted_by_key(|at| ranking.places[*at]));
        let settled = ranking.places.iter().flatten().count();
        prop_assert_eq!(ranking.order.len(), settled);
        // `best` marks the best version of each nonce.
        for (at, unit) in units.iter().enumerate() {
            let versions = units.iter().zip(&ranking.places).filter(|(v, _)| (v.account, v.nonce) == (unit.account, unit.nonce));
            let best = versions.filter_map(|(_, place)| *place).min();
            prop_assert_eq!(ranking.best[at], best.is_some() && best == ranking.places[at]);
        }
    }
}

fn ranks(units: Vec<Terms>) -> BTreeMap<Hash, Option<Rank>> {
    let ledger = ledger(&Params::default_for(500), &[(1, RICH), (2, RICH), (3, RICH)]);
    let units = sorted(units);
    let refs: Vec<&Terms> = units.iter().collect();
    let listed = Listed::resolve(&ledger, refs);
    let ranking = rank(&listed, &ledger.prices());
    units.iter().enumerate().map(|(index, unit)| (unit.hash, ranking.rank(&listed, index))).collect()
}

fn at(fee_per_byte: u64, text: &str) -> Option<Rank> {
    Some(Rank { fee_per_byte, hash: name(text) })
}

#[test]
fn a28_a_unit_is_no_better_than_what_it_hangs_on() {
    let ranks = ranks(vec![
        unit("cheap", 1, 0, 512 * 2, &[]),
        unit("second nonce", 1, 1, 512 * 9, &[]),
        unit("names cheap", 2, 0, 512 * 5, &["cheap"]),
        unit("dear", 3, 0, 512 * 7, &[]),
        unit("names dear", 3, 1, 512 * 3, &["dear"]),
    ]);
    assert_eq!(ranks[&name("cheap")], at(2, "cheap"));
    assert_eq!(ranks[&name("second nonce")], at(2, "cheap"));
    assert_eq!(ranks[&name("names cheap")], at(2, "cheap"));
    assert_eq!(ranks[&name("dear")], at(7, "dear"));
    assert_eq!(ranks[&name("names dear")], at(3, "names dear"));
}

#[test]
fn a28_a_replacement_raises_what_hangs_on_its_nonce() {
    let ranks = ranks(vec![
        unit("first version", 1, 0, 512, &[]),
        unit("better version", 1, 0, 512 * 6, &[]),
        unit("next nonce", 1, 1, 512 * 4, &[]),
    ]);
    assert_eq!(ranks[&name("next nonce")], at(4, "next nonce"));
}

#[test]
fn a28_cycles_gaps_and_strangers_rank_last() {
    let ranks = ranks(vec![
        unit("a", 1, 0, 512, &["b"]),
        unit("b", 2, 0, 512, &["a"]),
        unit("behind a", 1, 1, 512, &[]),
        unit("itself", 3, 0, 512, &["itself"]),
        unit("gap", 3, 5, 512, &[]),
        unit("stranger", 3, 1, 512, &["nobody listed this"]),
    ]);
    assert!(ranks.values().all(Option::is_none), "{ranks:?}");
    assert!(Rank { fee_per_byte: 0, hash: name("any") } < LAST);
}

#[test]
fn a28_a_version_behind_its_own_nonce_is_no_better_than_the_other() {
    // v2 names x, which is behind nonce 0: v2 closes no cycle as long as v1 carries nonce 0.
    let ranks =
        ranks(vec![unit("v1", 1, 0, 512, &[]), unit("v2", 1, 0, 512 * 9, &["x"]), unit("x", 1, 1, 512 * 9, &[])]);
    assert_eq!(ranks[&name("x")], at(1, "v1"));
    assert_eq!(ranks[&name("v2")], at(1, "v1"));
}

#[test]
fn a28_behind_a_cheap_nonce_the_dearer_version_is_the_better() {
    let ledger = ledger(&Params::default_for(500), &[(1, RICH)]);
    for texts in [["v1", "v2"], ["v2", "v1"]] {
        let units = sorted(vec![
            unit("cheap", 1, 0, 0, &[]),
            unit(texts[0], 1, 1, 512 * 3, &[]),
            unit(texts[1], 1, 1, 512 * 4, &[]),
        ]);
        let refs: Vec<&Terms> = units.iter().collect();
        let ranking = rank(&Listed::resolve(&ledger, refs.clone()), &ledger.prices());
        let best = |text: &str| ranking.best[refs.iter().position(|unit| unit.hash == name(text)).unwrap()];
        assert!(best(texts[1]) && !best(texts[0]));
    }
}
