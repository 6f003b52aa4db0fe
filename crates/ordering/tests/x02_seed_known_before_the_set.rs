//! an attacker who can compute the seed before the set is fixed grinds addresses until one comes first.
//!
//! Goal: the attack succeeds where the seed is a hash of round, time and index, and gives exactly one lottery ticket
//! where it is a beacon signed over the final set.
//! Method: 300 honest accounts; the attacker tries 100 or 1,000 addresses against the seed it expects and sends one unit
//! from the best. With K tries and a known seed it is first with probability K / (K + 300): 25 and 77 %.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test program: what is missing ends it")]

use crypto::hash;
use ordering::{Unit, order, rank_key};
use types::{Address, Hash, Nonce};

const HONEST: u32 = 300;

fn sha(kind: &str, n: u32) -> Hash {
    hash::sha256(&[kind.as_bytes(), &n.to_le_bytes()])
}

fn address(kind: &str, n: u32) -> Address {
    Address::try_from(&sha(kind, n).as_bytes()[12..]).unwrap()
}

/// The peer's seed: everybody knows it as soon as the round is known.
fn peer_seed(round: u32) -> Hash {
    let (time_ms, index) = (u64::from(round) * 500, 0u32);
    hash::sha256(&[&round.to_le_bytes(), &time_ms.to_le_bytes(), &index.to_le_bytes()])
}

/// How often the attacker's one unit is first in `rounds` rounds whose real seed is `seed`.
fn first(rounds: u32, tries: u32, seed: impl Fn(u32) -> Hash) -> u32 {
    let unit = |account: Address| {
        let hash = hash::sha256(&[account.as_bytes()]);
        Unit { hash, account, nonce: Nonce(0), after: Vec::new() }
    };
    let honest: Vec<Unit> = (0..HONEST).map(|n| unit(address("honest", n))).collect();
    let mut wins = 0;
    for round in 0..rounds {
        let expected = peer_seed(round);
        let mine =
            (0..tries).map(|n| address("mine", round * tries + n)).min_by_key(|a| rank_key(&expected, a)).unwrap();
        let mut set = honest.clone();
        set.push(unit(mine));
        set.sort_by_key(|unit| unit.hash);
        let perm = order(&seed(round), &set).unwrap();
        wins += u32::from(set[usize::from(perm[0])].account == mine);
    }
    wins
}

#[test]
fn x02_a_seed_known_ahead_is_ground_and_a_beacon_is_not() {
    let rounds = 80;
    let beacon = |round| hash::sha256(&[b"a signature over the final set", &sha("beacon", round).0]);
    let few = first(rounds, 100, peer_seed);
    let many = first(rounds, 1_000, peer_seed);
    assert!(few * 100 >= rounds * 15, "100 addresses must pay on the peer: {few} of {rounds}");
    assert!(many * 100 >= rounds * 65, "1,000 addresses must pay on the peer: {many} of {rounds}");
    // One ticket among 301: 0.27 expected in 80 rounds; 5 or more would be a chance of 1 in 10^5.
    let ours = first(rounds, 1_000, beacon);
    assert!(ours <= 4, "{ours} of {rounds}");
}
