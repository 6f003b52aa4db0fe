//! Constant-product pools on several rollups, and what it pays to buy in one and sell in another. Pure, integers only.
//!
//! Pools (x1, y1) and (x2, y2) with fee factor g: dx into the first gives dy = g dx y1 / (x1 + g dx), and dy into the
//! second gives coins back. The profit is largest at dx = (g sqrt(x1 y1 x2 y2) - x1 y2) / (g (y2 + g y1)); the pools round
//! down, so the integers around it are tried, too.
use alloy_primitives::{U256, U512};
use execution::{
    Executor,
    demo::{quote, reserve_native_call, reserve_token_call, word},
    genesis::demo_addresses,
};
use std::collections::BTreeMap;
use types::ChainId;

/// g of the demo market, in thousandths: its fee is 0.3 %.
const KEEP: u64 = 997;
const UNIT: u64 = 1_000;
/// How far around the formula's value is looked.
const AROUND: u128 = 300;

/// Reserves of a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pool {
    /// x: coins of the rollup, wei.
    pub coins: u128,
    /// y: tokens, base units.
    pub tokens: u128,
}

/// Coins for tokens in one pool, these tokens for coins in another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trade {
    /// Into the first pool.
    pub coins_in: u128,
    /// Out of the first, into the second.
    pub tokens: u128,
    /// Out of the second.
    pub coins_out: u128,
}

impl Trade {
    /// Coins gained over both rollups, before gas.
    #[must_use]
    pub const fn profit(&self) -> u128 {
        self.coins_out.saturating_sub(self.coins_in)
    }
}

/// What somebody holds on a rollup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holding {
    /// Wei.
    pub coins: u128,
    /// Base units.
    pub tokens: u128,
}

/// A trade with the rollups of its two legs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arbitrage {
    /// Where tokens are cheap.
    pub buy: ChainId,
    /// Where they are dear.
    pub sell: ChainId,
    /// How much.
    pub trade: Trade,
}

fn wide(number: u128) -> U512 {
    U512::from(number)
}

/// floor(sqrt(n)), by Newton from above.
fn root(n: U512) -> U512 {
    let mut guess = U512::from(1u64) << n.bit_len().div_ceil(2);
    loop {
        let next: U512 = (guess + n.checked_div(guess).unwrap_or_default()) >> 1usize;
        if next >= guess {
            return guess;
        }
        guess = next;
    }
}

/// The formula, rounded down; `None` when nothing is gained in this direction.
fn best_input(first: Pool, second: Pool) -> Option<u128> {
    let (x1, y1, x2, y2) = (wide(first.coins), wide(first.tokens), wide(second.coins), wide(second.tokens));
    let product = x1.checked_mul(y1)?.checked_mul(x2.checked_mul(y2)?)?;
    let (keep, unit) = (U512::from(KEEP), U512::from(UNIT));
    // both sides times 10^6, so that g and its square are whole
    let gain = root(product).checked_mul(keep)?.checked_mul(unit)?;
    let numerator = gain.checked_sub(x1.checked_mul(y2)?.checked_mul(unit)?.checked_mul(unit)?)?;
    let sum = y2.checked_mul(unit)?.checked_add(y1.checked_mul(keep)?)?;
    let input = numerator.checked_div(sum.checked_mul(keep)?)?;
    u128::try_from(input).ok()
}

fn trade(coins_in: u128, first: Pool, second: Pool) -> Option<Trade> {
    let tokens = quote(coins_in, first.coins, first.tokens)?;
    let coins_out = quote(tokens, second.tokens, second.coins)?;
    Some(Trade { coins_in, tokens, coins_out })
}

/// The most coins whose tokens are at most `tokens`, up to `most`.
fn input_for(tokens: u128, most: u128, pool: Pool) -> u128 {
    let fits = |coins| quote(coins, pool.coins, pool.tokens).is_some_and(|bought| bought <= tokens);
    if fits(most) {
        return most;
    }
    let (mut low, mut high) = (0u128, most);
    while high.saturating_sub(low) > 1 {
        let middle = low.saturating_add(high.saturating_sub(low) >> 1);
        if fits(middle) {
            low = middle;
        } else {
            high = middle;
        }
    }
    low
}

/// The trade that gains most, of those that `coins` on the first rollup and `tokens` on the second pay for; `None` when
/// none gains anything.
#[must_use]
pub fn best_trade(first: Pool, second: Pool, coins: u128, tokens: u128) -> Option<Trade> {
    let start = best_input(first, second)?;
    let most = input_for(tokens, coins.min(start.saturating_add(AROUND)), first);
    let least = start.saturating_sub(AROUND).min(most.saturating_sub(AROUND.saturating_mul(2)));
    let mut best = Trade::default();
    for coins_in in least..=most {
        let Some(found) = trade(coins_in, first, second) else { continue };
        if found.coins_out > found.coins_in && found.profit() > best.profit() {
            best = found;
        }
    }
    (best.profit() > 0).then_some(best)
}

/// Trades between rollups, best first, each on what the ones before leave, as long as one gains more than `cost`; at
/// most `count`. `held` is what the trader has, by rollup.
#[must_use]
pub fn arbitrages(
    pools: &BTreeMap<ChainId, Pool>,
    held: &BTreeMap<ChainId, Holding>,
    cost: u128,
    count: usize,
) -> Vec<Arbitrage> {
    let (mut pools, mut held) = (pools.clone(), held.clone());
    let mut found = Vec::new();
    while found.len() < count {
        let mut best: Option<Arbitrage> = None;
        for (buy, first) in &pools {
            for (sell, second) in pools.iter().filter(|(chain, _)| *chain != buy) {
                let (Some(coins), Some(tokens)) = (held.get(buy), held.get(sell)) else { continue };
                let Some(trade) = best_trade(*first, *second, coins.coins, tokens.tokens) else { continue };
                if best.is_none_or(|best| trade.profit() > best.trade.profit()) {
                    best = Some(Arbitrage { buy: *buy, sell: *sell, trade });
                }
            }
        }
        let Some(best) = best.filter(|best| best.trade.profit() > cost) else { break };
        apply(&mut pools, &mut held, &best);
        found.push(best);
    }
    found
}

fn apply(pools: &mut BTreeMap<ChainId, Pool>, held: &mut BTreeMap<ChainId, Holding>, done: &Arbitrage) {
    let Trade { coins_in, tokens, coins_out } = done.trade;
    for (chain, bought) in [(done.buy, true), (done.sell, false)] {
        if let Some(pool) = pools.get_mut(&chain) {
            let Pool { coins: x, tokens: y } = *pool;
            *pool = if bought {
                Pool { coins: x.saturating_add(coins_in), tokens: y.saturating_sub(tokens) }
            } else {
                Pool { coins: x.saturating_sub(coins_out), tokens: y.saturating_add(tokens) }
            };
        }
        if let Some(own) = held.get_mut(&chain) {
            let Holding { coins: x, tokens: y } = *own;
            *own = if bought {
                Holding { coins: x.saturating_sub(coins_in), tokens: y.saturating_add(tokens) }
            } else {
                Holding { coins: x.saturating_add(coins_out), tokens: y.saturating_sub(tokens) }
            };
        }
    }
}

/// The demo market of a rollup, as a state shows it; `None` where there is none.
#[must_use]
pub fn demo_pool(state: &Executor, chain: ChainId) -> Option<Pool> {
    let amm = demo_addresses().amm;
    let read = |call: &[u8]| word(&state.call(chain, &amm, call).ok()?);
    Some(Pool { coins: read(&reserve_native_call())?, tokens: read(&reserve_token_call())? })
}

/// k of a pool: it never falls by a trade.
#[must_use]
pub fn product(pool: Pool) -> U256 {
    U256::from(pool.coins).saturating_mul(U256::from(pool.tokens))
}

#[cfg(test)]
mod tests {
    // Goal: the trade is the best there is, to a unit or two, and never more than what is held. Method: the golden case of
    // the design, brute force on small pools, random pools and holdings.
    use super::*;
    use proptest::prelude::*;

    const fn pool(coins: u128, tokens: u128) -> Pool {
        Pool { coins, tokens }
    }

    #[test]
    fn the_golden_case() {
        let (first, second) = (pool(1_000_000, 1_000_000), pool(1_050_000, 952_518));
        assert_eq!(quote(50_000, 1_000_000, 1_000_000), Some(1_000_000 - 952_518), "50,000 X into the second pool");
        assert_eq!(best_input(first, second), Some(22_922));
        let found = best_trade(first, second, u128::MAX, u128::MAX).unwrap();
        assert!((1_071..=1_072).contains(&found.profit()), "{found:?}");
        assert!(found.coins_in.abs_diff(22_922) <= AROUND);
        let brute = (0..200_000).filter_map(|dx| trade(dx, first, second)).map(|t| t.profit()).max();
        assert_eq!(brute, Some(1_072));
        assert_eq!(best_trade(second, first, u128::MAX, u128::MAX), None, "the other way loses");
        assert_eq!(best_trade(first, first, u128::MAX, u128::MAX), None, "equal pools: the fees are lost");
    }

    #[test]
    fn nothing_is_traded_that_is_not_held() {
        let (first, second) = (pool(1_000_000, 1_000_000), pool(1_050_000, 952_518));
        let few = best_trade(first, second, 5_000, u128::MAX).unwrap();
        assert!(few.coins_in <= 5_000 && few.profit() > 300, "{few:?}");
        let few = best_trade(first, second, u128::MAX, 4_000).unwrap();
        assert!(few.tokens <= 4_000 && few.profit() > 200, "{few:?}");
        assert_eq!(best_trade(first, second, 0, u128::MAX), None);
        assert_eq!(best_trade(first, second, u128::MAX, 0), None);
    }

    #[test]
    fn pools_of_any_size_give_an_answer() {
        let coin = 1_000_000_000_000_000_000u128;
        let (first, second) = (pool(1_000 * coin, 2_000_000 * coin), pool(1_020 * coin, 1_961_000 * coin));
        let found = best_trade(first, second, u128::MAX, u128::MAX).unwrap();
        assert!(found.profit() > coin / 20, "{found:?}");
        for extreme in [pool(0, 0), pool(0, u128::MAX), pool(u128::MAX, 0), pool(u128::MAX, u128::MAX), pool(1, 1)] {
            for (one, other) in [(first, extreme), (extreme, first)] {
                let found = best_trade(one, other, u128::MAX, u128::MAX);
                assert!(found.is_none_or(|trade| trade.coins_out > trade.coins_in), "{found:?}");
            }
        }
    }

    #[test]
    fn four_rollups_are_traded_until_nothing_is_left() {
        let chains = [ChainId(901), ChainId(902), ChainId(903), ChainId(904)];
        let cheap = pool(1_000_000, 1_000_000);
        let made = [cheap, pool(1_200_000, 833_500), cheap, pool(1_100_000, 909_500)];
        let pools: BTreeMap<_, _> = chains.into_iter().zip(made).collect();
        let held: BTreeMap<_, _> =
            chains.iter().map(|chain| (*chain, Holding { coins: 1 << 40, tokens: 1 << 40 })).collect();
        let found = arbitrages(&pools, &held, 10, 16);
        assert!(found.len() >= 2, "{found:?}");
        assert_eq!((found[0].buy, found[0].sell), (ChainId(901), ChainId(902)));
        assert!(found.windows(2).all(|pair| pair[0].trade.profit() >= pair[1].trade.profit()));
        let (mut after, mut left) = (pools.clone(), held.clone());
        found.iter().for_each(|done| apply(&mut after, &mut left, done));
        assert!(arbitrages(&after, &left, 10, 16).is_empty(), "nothing more than the cost is left");
        assert!(pools.iter().all(|(chain, pool)| product(after[chain]) >= product(*pool)));
        assert_eq!(arbitrages(&pools, &held, 1_000_000, 16), [], "all of it below the cost");
        assert_eq!(arbitrages(&pools, &held, 10, 1).len(), 1);
        assert_eq!(arbitrages(&pools, &BTreeMap::new(), 10, 16), [], "nothing held");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn no_input_gains_noticeably_more(
            x1 in 500u128..20_000, y1 in 500u128..20_000, x2 in 500u128..20_000, y2 in 500u128..20_000,
        ) {
            let (first, second) = (pool(x1, y1), pool(x2, y2));
            let brute = (1..60_000).filter_map(|dx| trade(dx, first, second)).filter(|t| t.coins_out > t.coins_in);
            let brute = brute.map(|t| t.profit()).max().unwrap_or(0);
            let found = best_trade(first, second, u128::MAX, u128::MAX).map_or(0, |t| t.profit());
            prop_assert!(found <= brute);
            prop_assert!(found + 2 >= brute, "{found} against {brute}");
        }

        #[test]
        fn the_root_is_the_root(a in any::<u128>(), b in any::<u128>()) {
            let n = U512::from(a) * U512::from(a) * U512::from(b);
            let r = root(n);
            prop_assert!(r * r <= n && (r + U512::from(1u64)) * (r + U512::from(1u64)) > n);
        }
    }
}
