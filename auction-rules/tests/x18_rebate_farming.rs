//! rebate farming. Who pays itself fees gets back a part of what others paid for the slot.
//!
//! Seen in: any rule that shares the price of a slot, or what an auction of order flow earns, among fee payers pro rata
//! and without a cap: padding pays as soon as u P > F, because the price is known before the slot closes.
//!
//! Goal: for every price P, honest fees F and parameters that a genesis may have, the best padding J of the strongest
//! coalition (payer, the slot's builder whose body placed all of it, and a third of the members) gains nothing (A-22,
//! Method: an optimizer looks for the best J, which finds the peer's optimum sqrt(u P F) - F; against the rule it
//! finds nothing above 0, and a loss of at least a tenth wherever a unit's fee is one that rounding does not decide.
#![expect(
    clippy::unwrap_used,
    clippy::as_conversions,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a test program: what is missing ends it, and its numbers fit"
)]

use auction_rules::{FinalFee, holds_params, rebates, split_price};
use types::{Amount, Params};

fn amount(units: u128) -> Amount {
    Amount::new(units).unwrap()
}

fn signed(units: u128) -> i128 {
    i128::try_from(units).unwrap()
}

/// The best of a function over 1..=2^60: every power of two and its neighbours, the places named, and then ever smaller
/// steps around the best.
fn best(gain: impl Fn(u128) -> i128, places: &[u128]) -> (u128, i128) {
    let tried = (0..=60u32).flat_map(|bits| [1u128 << bits, 3u128 << bits, 5u128 << bits]);
    let tried = tried.chain(places.iter().flat_map(|at| at.saturating_sub(3)..=at + 3));
    let mut at = tried.filter(|at| (1..=1 << 60).contains(at)).max_by_key(|at| gain(*at)).unwrap();
    let mut step = at.next_power_of_two();
    while step > 0 {
        let around = [at.saturating_sub(step).max(1), at, (at + step).min(1 << 60)];
        let next = around.into_iter().max_by_key(|at| gain(*at)).unwrap();
        if gain(next) > gain(at) { at = next } else { step /= 2 }
    }
    (at, gain(at))
}

/// What a peer gives back: a share `pool` of the price, by fee, without a cap.
fn gain_of_peer(pool: u128, fees: u128, padding: u128) -> i128 {
    signed(pool * padding / (fees + padding)) - signed(padding)
}

/// What the coalition has after a slot with its padding, less what it has without.
fn gain(params: &Params, pool: u128, fees: u128, padding: u128) -> i128 {
    let fee = |units| FinalFee { fee: amount(units), failed: false };
    let rebate = rebates(params, amount(pool), &[fee(fees), fee(padding)]).unwrap().shares.last().unwrap().units();
    let committee = amount(padding).bps_floor(10_000 - params.builder_fee_bps).units();
    let builder = padding - committee;
    signed(rebate + builder + committee / 3) - signed(padding)
}

/// Parameters at the edge of what A-25 lets in.
fn edges() -> Vec<Params> {
    let default = Params::default_for(500);
    let mut all = vec![default.clone()];
    for builder_fee_bps in [0, 1, 500, 1_000, 3_333, 5_000, 8_499, 8_500] {
        let rebate_cap_bps = ((17_000 - 2 * builder_fee_bps) / 3).min(10_000);
        let params = Params { builder_fee_bps, rebate_cap_bps, ..default.clone() };
        assert!(holds_params(&params), "{builder_fee_bps}");
        assert!(!holds_params(&Params { rebate_cap_bps: rebate_cap_bps + 1, ..params.clone() }), "the edge");
        all.push(params);
    }
    all
}

/// Zero, one, and three numbers of each size up to 2^52.
fn sizes() -> Vec<u128> {
    let mut sizes = vec![0, 1, 2, 3];
    sizes.extend((1..=13).flat_map(|step| [1u128 << (4 * step), (7u128 << (4 * step)) / 3, (1u128 << (4 * step)) - 1]));
    sizes
}

#[test]
fn x18_the_optimizer_finds_what_padding_gains_without_a_cap() {
    // P = 100, u = 1/2, F = 10, in millionths: J = sqrt(u P F) - F = 12.4, a net gain of 15.3 of the 50 shared
    let (pool, fees) = (50_000_000, 10_000_000);
    let (padding, gained) = best(|j| gain_of_peer(pool, fees, j), &[]);
    assert!((12_300_000..=12_420_000).contains(&padding), "{padding}");
    assert!((15_200_000..=15_300_000).contains(&gained), "{gained}");
    // and nothing where the fees are above what is shared
    assert!(best(|j| gain_of_peer(fees, pool, j), &[]).1 <= 0);
}

#[test]
fn x18_the_best_padding_gains_nothing_for_any_price_and_fees() {
    let mut farmed_at_peer = 0;
    for params in edges() {
        let kappa = u128::from(params.rebate_cap_bps);
        for price in sizes() {
            // the users' part of the price; what earlier slots left in the pool is another price
            let pool = split_price(&params, amount(price)).users.units();
            for fees in sizes() {
                // the peer's optimum, and where the cap begins to bind
                let optimum = ((pool as f64 * fees as f64).sqrt() as u128).saturating_sub(fees);
                let binds = (pool * 10_000).checked_div(kappa).map_or(0, |all| all.saturating_sub(fees));
                let (padding, gained) = best(|j| gain(&params, pool, fees, j), &[optimum, binds]);
                let case = || format!("price {price}, fees {fees}, padding {padding}, kappa {kappa}: {gained}");
                assert!(gained <= 0, "{}", case());
                // what a real unit pays at least is far above what rounding moves
                for real in [512, optimum.max(512), binds.max(512), padding.max(512)] {
                    let lost = -gain(&params, pool, fees, real);
                    assert!(10 * lost + 10 >= signed(real), "{}: of {real} only {lost}", case());
                }
                farmed_at_peer += u32::from(optimum > 0 && gain_of_peer(pool, fees, optimum) > 0);
            }
        }
    }
    assert!(farmed_at_peer > 1_000, "the attack must work on the peer: {farmed_at_peer}");
}
