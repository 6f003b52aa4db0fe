//! an attacker who sees the victim's public header wants to stand right beside it.
//!
//! Goal: the attack succeeds against the rule `hash XOR R` (EIP-7956's first draft) and fails against ours.
//! Method: the attacker grinds envelopes until one hash, then another, shares its first bits with the victim's. Under
//! XOR the distance to the victim is the same for every beacon; 150 honest units rarely fall between. Against ours the
//! same envelopes are sent from accounts ground towards the victim's address. 1,500 beacons each.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test program: what is missing ends it")]

use crypto::hash;
use ordering::{Unit, order};
use types::{Address, Hash, Nonce};

const HONEST: u32 = 150;
const BEACONS: u32 = 1_500;
const GRIND: u32 = 40_000;

fn sha(kind: &str, n: u32) -> Hash {
    hash::sha256(&[kind.as_bytes(), &n.to_le_bytes()])
}

fn address(of: &Hash) -> Address {
    Address::try_from(&of.as_bytes()[12..]).unwrap()
}

fn xor(a: &Hash, b: &Hash) -> Hash {
    Hash(std::array::from_fn(|i| a.0[i] ^ b.0[i]))
}

/// The two ground hashes nearest to the victim's in XOR distance.
fn ground(victim: &Hash) -> [Hash; 2] {
    let mut tries: Vec<Hash> = (0..GRIND).map(|n| sha("try", n)).collect();
    tries.sort_by_key(|hash| xor(hash, victim));
    [tries[0], tries[1]]
}

#[derive(Default, Debug)]
struct Count {
    adjacent: u32,
    sandwiched: u32,
}

impl Count {
    fn see(&mut self, order: &[Hash], victim: &Hash, mine: &[Hash; 2]) {
        let place = |hash: &Hash| order.iter().position(|other| other == hash).unwrap();
        let (victim, first, second) = (place(victim), place(&mine[0]), place(&mine[1]));
        self.adjacent += u32::from(first.abs_diff(victim) == 1);
        let (low, high) = (first.min(second), first.max(second));
        self.sandwiched += u32::from(low + 1 == victim && victim + 1 == high);
    }
}

#[test]
fn x01_grinding_beside_the_victim_works_on_xor_and_not_here() {
    let victim = sha("victim", 0);
    let mine = ground(&victim);
    let mut set: Vec<Unit> = (0..HONEST)
        .map(|n| sha("honest", n))
        .chain([victim, mine[0], mine[1]])
        .map(|hash| Unit { hash, account: address(&hash), nonce: Nonce(0), after: Vec::new() })
        .collect();
    set.sort_by_key(|unit| unit.hash);

    let (mut peer, mut ours) = (Count::default(), Count::default());
    for beacon in 0..BEACONS {
        let r = sha("beacon", beacon);
        let mut by_xor: Vec<Hash> = set.iter().map(|unit| unit.hash).collect();
        by_xor.sort_by_key(|hash| xor(hash, &r));
        peer.see(&by_xor, &victim, &mine);
        let by_rank: Vec<Hash> = order(&r, &set).unwrap().into_iter().map(|at| set[usize::from(at)].hash).collect();
        ours.see(&by_rank, &victim, &mine);
    }
    assert!(peer.adjacent * 100 >= BEACONS * 98, "the attack must work on the peer: {peer:?} of {BEACONS}");
    assert!(peer.sandwiched * 100 >= BEACONS * 30, "the attack must work on the peer: {peer:?} of {BEACONS}");
    assert!(ours.adjacent * 100 <= BEACONS * 3, "{ours:?} of {BEACONS}");
    assert!(ours.sandwiched * 1_000 <= BEACONS * 2, "{ours:?} of {BEACONS}");
}
