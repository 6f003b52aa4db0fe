// Goal: POOL-3, POOL-4 and the wording of log.md section 4. Method: pools of any size against both caps; shuffled arrival.
use super::*;
use crate::testing::{NOW, RICH, close, header, held, ledger, offer, pool};
use auction_rules::{LAST, select};
use proptest::prelude::*;
use types::{EnvelopeHeader, Hash, Params};

const PAYERS: [(u8, u128); 12] = [
    (1, RICH),
    (2, RICH),
    (3, RICH),
    (4, RICH),
    (5, RICH),
    (6, RICH),
    (7, RICH),
    (8, RICH),
    (9, RICH),
    (10, RICH),
    (11, RICH),
    (12, RICH),
];

fn leaf_hashes(leaves: &[Leaf]) -> Vec<Hash> {
    leaves.iter().map(Leaf::hash).collect()
}

fn class(size_class: u8, header: EnvelopeHeader, per_byte: u64) -> EnvelopeHeader {
    let bytes = [512u128, 2_048, 8_192, 32_768, 61_440][usize::from(size_class)];
    let max_fee = types::Amount::new(16 * bytes + 1 + bytes * u128::from(per_byte)).unwrap();
    EnvelopeHeader { size_class, max_fee, ..header }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn pool_3_pool_4_everything_is_listed_or_below_a_cut_without_room(
        draws in proptest::collection::vec((0usize..12, 0u8..5, 0u64..6), 0..40),
        count_limit in 1u32..12, bytes_limit in 8u64..14,
    ) {
        let params = Params { count_limit, bytes_limit: bytes_limit * 61_440, ..Params::default_for(500) };
        let ledger = ledger(&params, &PAYERS);
        let mut next = [0u64; 12];
        let mut headers = Vec::new();
        for (n, size_class, per_byte) in draws {
            headers.push(class(size_class, header(PAYERS[n].0, next[n], 0), per_byte));
            next[n] += 1;
        }
        let (mut one, mut other) = (pool(&params), pool(&params));
        headers.iter().for_each(|header| one.insert(held(header.clone())).unwrap());
        headers.iter().rev().for_each(|header| other.insert(held(header.clone())).unwrap());
        let (leaves, cut) = one.list(&ledger, NOW);
        prop_assert_eq!((&leaves, cut), (&other.list(&ledger, NOW).0, other.list(&ledger, NOW).1));

        prop_assert!(leaves.is_sorted() && leaves.iter().all(|leaf| one.contains(&leaf.hash())));
        let bytes: u64 = leaves.iter().map(|leaf| one.get(&leaf.hash()).unwrap().terms.bytes()).sum();
        let (count, count_cap, bytes_cap) = (leaves.len() as u64, 2 * u64::from(count_limit), 2 * bytes_limit * 61_440);
        prop_assert!(count <= count_cap && bytes <= bytes_cap);
        prop_assert_eq!(cut.is_some(), leaves.len() < one.len());
        prop_assert!(cut.is_none() || count == count_cap || bytes_cap - bytes < 61_440);
        // Whatever a set could take strictly above the cut is listed.
        let terms: Vec<Terms> = one.iter().map(|held| held.terms.clone()).collect();
        let listed = leaf_hashes(&leaves);
        for candidate in select(&ledger, &params, NOW, &terms, &[]).candidates {
            prop_assert!(cut.is_some_and(|cut| candidate.rank >= cut) || listed.contains(&candidate.hash));
        }
    }
}

#[test]
fn a_leaf_is_a_function_of_the_header_and_the_slots_prices() {
    let params = Params::default_for(500);
    let mut ledger = ledger(&params, &PAYERS);
    let mut pool = pool(&params);
    let hash = offer(&mut pool, &ledger, class(1, header(1, 0, 0), 5)).unwrap();
    let (leaves, cut) = pool.list(&ledger, NOW);
    assert_eq!((leaves, cut), (vec![Leaf::Envelope { hash, fee_per_byte: 5, size: 1, gas: 0 }], None));
    // A full slot raises the price of a byte from 16 to 18: two less are offered above it.
    let full: Vec<Hash> = (2..=9).map(|n| offer(&mut pool, &ledger, class(4, header(n, 0, 0), 50)).unwrap()).collect();
    let params = Params { bytes_limit: 8 * 61_440, ..params };
    close(&mut pool, &mut ledger, &params, &full);
    assert_eq!(ledger.prices().byte, 18);
    let (leaves, _) = pool.list(&ledger, Slot(2));
    assert_eq!(leaves, [Leaf::Envelope { hash, fee_per_byte: 3, size: 1, gas: 0 }]);
}

#[test]
fn what_cannot_be_a_candidate_is_listed_last_and_used_nonces_not_at_all() {
    let params = Params { count_limit: 1, ..Params::default_for(500) };
    let ledger = ledger(&params, &PAYERS);
    let mut pool = pool(&params);
    let gap = held(header(1, 5, 512 * 90));
    let gap_hash = gap.hash;
    pool.insert(gap).unwrap();
    let first = offer(&mut pool, &ledger, header(2, 0, 512)).unwrap();
    let mut with_gap = vec![first, gap_hash];
    with_gap.sort_unstable();
    assert_eq!(leaf_hashes(&pool.list(&ledger, NOW).0), with_gap);
    let second = offer(&mut pool, &ledger, header(3, 0, 512)).unwrap();
    let (leaves, cut) = pool.list(&ledger, NOW);
    let mut both = vec![first, second];
    both.sort_unstable();
    assert_eq!((leaf_hashes(&leaves), cut), (both, Some(LAST)));
    assert!(offer(&mut pool, &ledger, header(4, 0, 0)).is_ok(), "a cut at the last rank refuses nobody");
}

#[test]
fn all_versions_of_a_nonce_are_listed() {
    let params = Params::default_for(500);
    let ledger = ledger(&params, &PAYERS);
    let mut pool = pool(&params);
    let old = offer(&mut pool, &ledger, header(1, 0, 0)).unwrap();
    let new = offer(&mut pool, &ledger, header(1, 0, 1 << 20)).unwrap();
    let mut both = vec![old, new];
    both.sort_unstable();
    assert_eq!(leaf_hashes(&pool.list(&ledger, NOW).0), both);
}
