//! lottery tickets. Where an order is random, many units or many accounts buy more chances to stand beside a victim
//! or behind a price move.
//!
//! Seen in: first-come and random orders of rollups, where searchers send the same trade hundreds of times and most of them
//! revert (arXiv 2602.22032: about V/c copies of a back-run of worth V at a cost of c each).
//!
//! Goal: the chances are those of the formulas in docs/src/wallets-and-builders.md, by accounts; more units of one account
//! are no further tickets, as they would be where each envelope has a rank of its own. So a ticket costs a funded account,
//! which counts from the next epoch only (A-02, `a02_a_receiver_that_is_new_is_an_account_from_the_next_epoch`), and a fee
//! that no rebate gives back. Method: slots of thirty honest units under 1,500 beacons, counted against the
//! formulas within four standard deviations.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test program: what is missing ends it")]

use crypto::hash;
use ordering::{Unit, order};
use types::{Address, Hash, Nonce};

const BEACONS: u32 = 1_500;
const HONEST: u32 = 30;

fn sha(kind: &str, n: u32) -> Hash {
    hash::sha256(&[kind.as_bytes(), &n.to_le_bytes()])
}

fn unit(kind: &str, n: u32, account: &str, nonce: u64) -> Unit {
    let hash = sha(kind, n);
    let account = hash::sha256(&[account.as_bytes()]);
    Unit {
        hash,
        account: Address::try_from(&account.as_bytes()[12..]).unwrap(),
        nonce: Nonce(nonce),
        after: Vec::new(),
    }
}

/// A set: the victim, honest units, and the attacker's, some to go before and some after.
struct Slot {
    units: Vec<Unit>,
    victim: Hash,
    before: Vec<Hash>,
    after: Vec<Hash>,
}

/// `k` tickets for each side, each of an account of its own.
fn of_accounts(k: u32) -> Slot {
    slot(k, |side, n| unit(side, n, &format!("{side} {n}"), 0))
}

/// The same units, all of one account.
fn of_one_account(k: u32) -> Slot {
    slot(k, |side, n| unit(side, n, "one", u64::from(n) + if side == "after" { u64::from(k) } else { 0 }))
}

fn slot(k: u32, ticket: impl Fn(&str, u32) -> Unit) -> Slot {
    let victim = unit("victim", 0, "victim", 0);
    let side = |name: &str| (0..k).map(|n| ticket(name, n)).collect::<Vec<_>>();
    let (before, after) = (side("before"), side("after"));
    let hashes = |units: &[Unit]| units.iter().map(|unit| unit.hash).collect();
    let (victim_hash, before_hashes, after_hashes) = (victim.hash, hashes(&before), hashes(&after));
    let honest = (0..HONEST).map(|n| unit("honest", n, &format!("honest {n}"), 0));
    let mut units: Vec<Unit> = honest.chain([victim]).chain(before).chain(after).collect();
    units.sort_by_key(|unit| unit.hash);
    Slot { units, victim: victim_hash, before: before_hashes, after: after_hashes }
}

impl Slot {
    /// Shares of beacons under which the victim stands between tickets of both sides, and under which one comes after it.
    fn chances(&self, ranked: impl Fn(&Hash, &[Unit]) -> Vec<Hash>) -> (f64, f64) {
        let (mut between, mut behind) = (0u32, 0u32);
        for beacon in 0..BEACONS {
            let order = ranked(&sha("beacon", beacon), &self.units);
            let at = |hash: &Hash| order.iter().position(|other| other == hash).unwrap();
            let victim = at(&self.victim);
            let before = self.before.iter().any(|hash| at(hash) < victim);
            let after = self.after.iter().any(|hash| at(hash) > victim);
            between += u32::from(before && after);
            behind += u32::from(after);
        }
        (f64::from(between) / f64::from(BEACONS), f64::from(behind) / f64::from(BEACONS))
    }
}

fn ours(r: &Hash, units: &[Unit]) -> Vec<Hash> {
    order(r, units).unwrap().into_iter().map(|at| units[usize::from(at)].hash).collect()
}

/// A peer's: each envelope has a rank of its own.
fn by_envelope(r: &Hash, units: &[Unit]) -> Vec<Hash> {
    let mut hashes: Vec<Hash> = units.iter().map(|unit| unit.hash).collect();
    hashes.sort_by_key(|hash| hash::sha256(&[&r.0, &hash.0]));
    hashes
}

/// P(sandwiched) with k tickets on each side: 1 - 2/(k+1) + k! k!/(2k+1)!
fn sandwiched(k: u32) -> f64 {
    let factorial = |n: u32| (1..=n).map(f64::from).product::<f64>();
    1.0 - 2.0 / f64::from(k + 1) + factorial(k) * factorial(k) / factorial(2 * k + 1)
}

/// P(some ticket lands after the source) with K of them.
fn lands(k: u32) -> f64 {
    f64::from(k) / f64::from(k + 1)
}

fn near(seen: f64, wanted: f64) -> bool {
    (seen - wanted).abs() <= 4.0 * (wanted * (1.0 - wanted) / f64::from(BEACONS)).sqrt() + 1e-9
}

#[test]
fn x11_chances_of_sybil_accounts_are_those_of_the_formulas() {
    let table = [(1, 0.167), (2, 0.367), (5, 0.667), (10, 0.818)];
    for (k, wanted) in table {
        assert!((sandwiched(k) - wanted).abs() < 0.000_6, "{k}: {}", sandwiched(k));
        let (between, behind) = of_accounts(k).chances(ours);
        assert!(near(between, sandwiched(k)), "{k}: {between}, not {}", sandwiched(k));
        assert!(near(behind, lands(k)), "{k}: {behind}, not {}", lands(k));
    }
}

#[test]
fn x11_units_of_one_account_are_one_ticket() {
    let one = of_one_account(5);
    let (between, behind) = one.chances(by_envelope);
    assert!(
        near(between, sandwiched(5)) && near(behind, lands(5)),
        "the attack must work on the peer: {between} {behind}"
    );
    let (between, behind) = one.chances(ours);
    assert!(between == 0.0, "nothing of another account stands between two units of one: {between}");
    assert!(near(behind, lands(1)), "{behind}");
}

/// A back-run of worth V at a cost of c each: one spammer buys sqrt(V/c) - 1 tickets, free entry ends at V/c - 1, and spam
/// stays below a share s of N units for c >= V/(sN + 1).
#[test]
fn x11_a_fee_bounds_how_many_tickets_pay() {
    const WORTH: u32 = 100;
    // costs are 1; the gain of one spammer of K tickets, by the chances seen above
    let gain = |k: u32| f64::from(WORTH) * lands(k) - f64::from(k);
    let best = (0..200).max_by(|a, b| gain(*a).total_cmp(&gain(*b))).unwrap();
    assert_eq!(best, 9, "sqrt(100) - 1");
    let (_, behind) = of_accounts(best).chances(ours);
    assert!(near(behind, lands(best)));
    // with free entry each has an equal part of the chance, and the last one to pay is number 99
    let share = |k: u32| f64::from(WORTH) * lands(k) / f64::from(k);
    assert!(share(99) >= 1.0 && share(100) < 1.0);
    // what keeps spam below a tenth of 200 units
    let (s, n) = (0.1, 200.0);
    let cost = f64::from(WORTH) / (s * n + 1.0);
    let entrants = f64::from(WORTH) / cost - 1.0;
    assert!((entrants - s * n).abs() < 1e-9);
}
