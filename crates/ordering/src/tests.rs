// Goal: ORD-1 to ORD-5. Method: random sets that have an order, against the definition written out naively; and sets
// that have none.
use super::*;
use proptest::prelude::*;
use std::collections::BTreeSet;

fn sha(text: &str) -> Hash {
    hash::sha256(&[text.as_bytes()])
}

fn account(byte: u8) -> Address {
    Address([byte; 20])
}

fn unit(name: &str, payer: u8, nonce: u64, after: &[&str]) -> Unit {
    Unit {
        hash: sha(name),
        account: account(payer),
        nonce: Nonce(nonce),
        after: after.iter().map(|n| sha(n)).collect(),
    }
}

fn sorted(mut units: Vec<Unit>) -> Vec<Unit> {
    units.sort_by_key(|unit| unit.hash);
    units
}

fn hashes(r: &Hash, set: &[Unit]) -> Vec<Hash> {
    order(r, set).unwrap().into_iter().map(|at| set[usize::from(at)].hash).collect()
}

/// The definition: among the units whose predecessors are all placed, the smallest key.
fn naive(r: &Hash, set: &[Unit]) -> Vec<Hash> {
    let mut placed: Vec<Hash> = Vec::new();
    while placed.len() < set.len() {
        let open = |unit: &&Unit| !placed.contains(&unit.hash);
        let ready = set.iter().filter(open).filter(|unit| {
            let lower = |other: &Unit| other.account == unit.account && other.nonce < unit.nonce;
            set.iter().filter(open).all(|other| !lower(other) && !unit.after.contains(&other.hash))
        });
        placed.push(ready.min_by_key(|unit| (rank_key(r, &unit.account), unit.nonce, unit.hash)).unwrap().hash);
    }
    placed
}

/// Sets that have an order: a unit takes the next nonce of its account, and `after` names earlier draws or strangers.
fn sets() -> impl Strategy<Value = Vec<Unit>> {
    let draw = (0u8..6, any::<u32>(), proptest::collection::vec(0usize..40, 0..3));
    proptest::collection::vec(draw, 0..40).prop_map(|draws| {
        let mut next: BTreeMap<u8, u64> = BTreeMap::new();
        let mut units: Vec<Unit> = Vec::new();
        for (at, (payer, salt, after)) in draws.into_iter().enumerate() {
            let nonce = next.entry(payer).or_insert(u64::from(payer));
            let named = after.iter().map(|n| units.get(*n).map_or_else(|| sha("stranger"), |unit| unit.hash));
            let after: BTreeSet<Hash> = named.collect();
            let name = std::format!("{at} {salt}");
            units.push(Unit { after: after.into_iter().collect(), ..unit(&name, payer, *nonce, &[]) });
            *nonce += 1;
        }
        units
    })
}

proptest! {
    #[test]
    fn ord_1_every_set_is_ordered_once(units in sets(), r: [u8; 32]) {
        let set = sorted(units);
        let perm = order(&Hash(r), &set).unwrap();
        let places: BTreeSet<u16> = perm.iter().copied().collect();
        prop_assert_eq!(perm.len(), set.len());
        prop_assert_eq!(places.len(), set.len());
    }

    #[test]
    fn ord_2_arrival_order_is_irrelevant((units, arrived) in sets().prop_flat_map(|u| (Just(u.clone()), Just(u).prop_shuffle())), r: [u8; 32]) {
        prop_assert_eq!(hashes(&Hash(r), &sorted(units)), hashes(&Hash(r), &sorted(arrived)));
    }

    #[test]
    fn ord_3_every_edge_holds(units in sets(), r: [u8; 32]) {
        let set = sorted(units);
        let placed = hashes(&Hash(r), &set);
        let place = |hash: &Hash| placed.iter().position(|other| other == hash);
        for unit in &set {
            for before in unit.after.iter().filter_map(place) {
                prop_assert!(before < place(&unit.hash).unwrap());
            }
            for lower in set.iter().filter(|other| other.account == unit.account && other.nonce < unit.nonce) {
                prop_assert!(place(&lower.hash) < place(&unit.hash));
            }
        }
    }

    #[test]
    fn ord_4_an_account_stands_together(units in sets(), r: [u8; 32]) {
        let set = sorted(units.into_iter().map(|unit| Unit { after: Vec::new(), ..unit }).collect());
        let perm = order(&Hash(r), &set).unwrap();
        let key = |at: &u16| (rank_key(&Hash(r), &set[usize::from(*at)].account), set[usize::from(*at)].nonce);
        prop_assert!(perm.is_sorted_by_key(key));
    }

    #[test]
    fn ord_5_equals_the_definition(units in sets(), r: [u8; 32]) {
        let set = sorted(units);
        prop_assert_eq!(hashes(&Hash(r), &set), naive(&Hash(r), &set));
    }
}

#[test]
fn rank_keys_of_the_test_beacon() {
    // SHA-256 of tag, beacon and address, computed by a program that is not ours.
    let r = sha("lockstep/test-beacon");
    let want = [
        (0xaa, "4eb96f6bea6226f060ad1692bceacff402c4010bebe3e087e6cd036810624dd7"),
        (0xbb, "2f1f018b9cde3e48bad82bdd39267fadce5bb69eda9b5460aec624ad4ac3a7de"),
        (0xcc, "a2522f70ec7cac46d3d826fd8b5dc58fa1335f87be5415d557772a3a940e3738"),
    ];
    for (payer, key) in want {
        assert_eq!(rank_key(&r, &account(payer)), Hash::from_hex(key).unwrap());
    }
}

#[test]
fn a_worked_slot() {
    // By the keys above B < A < C. A0 waits for C0, so A waits; B's second unit waits for A0.
    let r = sha("lockstep/test-beacon");
    let set = sorted(std::vec![
        unit("a0", 0xaa, 0, &["c0"]),
        unit("a1", 0xaa, 1, &[]),
        unit("b0", 0xbb, 7, &["in an earlier set"]),
        unit("b1", 0xbb, 8, &["a0"]),
        unit("c0", 0xcc, 3, &[]),
        unit("c1", 0xcc, 4, &[]),
    ]);
    assert_eq!(hashes(&r, &set), ["b0", "c0", "a0", "b1", "a1", "c1"].map(sha));
    let root = order_root(&hashes(&r, &set));
    assert_eq!(root, merkle::root(&["b0", "c0", "a0", "b1", "a1", "c1"].map(sha)));
    assert_eq!(order_root(&[]), hash::sha256(&[]));
}

#[test]
fn one_bit_of_the_beacon_changes_the_order() {
    let set = sorted((0u8..16).map(|payer| unit(&std::format!("u{payer}"), payer, 0, &[])).collect());
    let r = sha("lockstep/test-beacon");
    for bit in 0..256usize {
        let mut other = r;
        other.0[bit / 8] ^= 1 << (bit % 8);
        assert_ne!(order(&r, &set), order(&other, &set), "bit {bit}");
    }
}

#[test]
fn sets_that_no_rules_select_are_refused() {
    let r = Hash::ZERO;
    let pair = sorted(std::vec![unit("x", 1, 0, &["y"]), unit("y", 2, 0, &["x"])]);
    assert_eq!(order(&r, &pair), Err(OrderError::Cycle(2)));
    let own = [unit("x", 1, 0, &["x"])];
    assert_eq!(order(&r, &own), Err(OrderError::Cycle(1)));
    let against_nonce = sorted(std::vec![unit("x", 1, 0, &["y"]), unit("y", 1, 1, &[]), unit("z", 2, 0, &[])]);
    assert_eq!(order(&r, &against_nonce), Err(OrderError::Cycle(2)));
    let twice = sorted(std::vec![unit("x", 1, 0, &[]), unit("y", 1, 0, &[])]);
    assert_eq!(order(&r, &twice), Err(OrderError::NonceTwice(twice[1].hash)));
    let mut backward = sorted(std::vec![unit("x", 1, 0, &[]), unit("y", 2, 0, &[])]);
    backward.reverse();
    assert_eq!(order(&r, &backward), Err(OrderError::Unsorted(backward[1].hash)));
    let repeated = [unit("x", 1, 0, &[]), unit("x", 1, 0, &[])];
    assert_eq!(order(&r, &repeated), Err(OrderError::Unsorted(sha("x"))));
    let many = std::vec![unit("x", 1, 0, &[]); 16_385];
    assert_eq!(order(&r, &many), Err(OrderError::TooMany(16_385)));
    assert_eq!(order(&r, &[]), Ok(Vec::new()));
}
