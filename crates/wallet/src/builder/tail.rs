//! A tail: bundles that run after the units of a slot, and trade what these left between the markets of two rollups.
//! Pure.
//!
//! A trade's two legs are one `AtomicExec` bundle, paid from what the sender holds on both rollups: tokens bought on one,
//! as many sold on the other. Each leg asks for exactly what it computes, so a bundle that meets another state is undone.
use super::pools::{Arbitrage, Holding, Pool, arbitrages, demo_pool};
use crypto::{eth::EthKey, hash::sha256};
use execution::{
    Executor,
    demo::{CALL_GAS, LegTx, balance_of_call, swap_native_for_token_call, swap_token_for_native_call, word},
    genesis::demo_addresses,
};
use std::collections::BTreeMap;
use types::{Address, Bundle, ChainId, Hash, Leg, Policy, Slot};

/// Tip of a leg, wei per gas.
const TIP_PER_GAS: u128 = 1_000_000;

/// What a sender finds on a rollup after the units of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scene {
    /// The market.
    pub pool: Pool,
    /// What the sender holds.
    pub held: Holding,
    /// Its next nonce.
    pub nonce: u64,
    /// The rollup's base fee, wei per gas.
    pub base_fee: u128,
}

impl Scene {
    /// As a state shows it; `None` where the rollup has no demo market.
    #[must_use]
    pub fn of(state: &Executor, chain: ChainId, sender: &Address) -> Option<Self> {
        let (nonce, coins) = state.account(chain, sender);
        let tokens = state.call(chain, &demo_addresses().token, &balance_of_call(sender)).ok()?;
        Some(Self {
            pool: demo_pool(state, chain)?,
            held: Holding { coins, tokens: word(&tokens)? },
            nonce,
            base_fee: state.base_fee(chain)?.into(),
        })
    }

    fn gas_price(&self) -> u128 {
        self.base_fee.saturating_add(TIP_PER_GAS)
    }

    fn leg_cost(&self) -> u128 {
        self.gas_price().saturating_mul(CALL_GAS.into())
    }
}

/// The trades that pay, best first: those that gain more than the gas of two legs costs where it is dearest.
#[must_use]
pub fn trades(scenes: &BTreeMap<ChainId, Scene>, count: usize) -> Vec<Arbitrage> {
    let leg = scenes.values().map(Scene::leg_cost).max().unwrap_or(0);
    let pools = scenes.iter().map(|(chain, scene)| (*chain, scene.pool)).collect();
    // gas comes out of the same coins
    let spare = leg.saturating_mul(u128::try_from(count).unwrap_or(u128::MAX));
    let held = scenes.iter().map(|(chain, scene)| {
        (*chain, Holding { coins: scene.held.coins.saturating_sub(spare), tokens: scene.held.tokens })
    });
    arbitrages(&pools, &held.collect(), leg.saturating_mul(2), count)
}

/// What these trades gain less their gas, wei.
#[must_use]
pub fn gain(scenes: &BTreeMap<ChainId, Scene>, found: &[Arbitrage]) -> u128 {
    let cost = |chain: &ChainId| scenes.get(chain).map_or(0, Scene::leg_cost);
    found.iter().fold(0, |sum: u128, done| {
        let costs = cost(&done.buy).saturating_add(cost(&done.sell));
        sum.saturating_add(done.trade.profit().saturating_sub(costs))
    })
}

/// The bundles of a tail of this slot, signed by the sender.
#[must_use]
pub fn bundles(scenes: &BTreeMap<ChainId, Scene>, found: &[Arbitrage], sender: &EthKey, slot: Slot) -> Vec<Bundle> {
    let me = sender.address();
    let amm = demo_addresses().amm;
    let mut nonces: BTreeMap<ChainId, u64> = scenes.iter().map(|(chain, scene)| (*chain, scene.nonce)).collect();
    let mut leg = |chain_id: ChainId, value: u128, data: Vec<u8>| -> Option<Leg> {
        let scene = scenes.get(&chain_id)?;
        let next = nonces.get_mut(&chain_id)?;
        let nonce = *next;
        *next = nonce.saturating_add(1);
        let tx = LegTx {
            chain_id,
            nonce,
            to: amm,
            value,
            gas_limit: CALL_GAS,
            data,
            // of this slot's block, or of the next one if the slot begins a batch: at most an eighth more
            max_fee_per_gas: scene.base_fee.saturating_mul(2).saturating_add(TIP_PER_GAS),
            max_priority_fee_per_gas: TIP_PER_GAS,
        };
        Some(tx.leg(&sender.sign(&tx.digest())))
    };
    let one = |(index, done): (u32, &Arbitrage)| {
        let trade = done.trade;
        let buy = leg(done.buy, trade.coins_in, swap_native_for_token_call(trade.tokens, &me))?;
        let sell = leg(done.sell, 0, swap_token_for_native_call(trade.tokens, trade.coins_out, &me))?;
        Some(Bundle {
            version: Bundle::VERSION,
            policy: Policy::AtomicExec,
            legs: vec![buy, sell],
            deadline_slot: slot,
            salt: salt(&me, slot, index),
        })
    };
    (0u32..).zip(found).map_while(one).collect()
}

/// Makes equal bundles different: nothing about a tail is secret.
fn salt(sender: &Address, slot: Slot, index: u32) -> Hash {
    sha256(&[b"lockstep tail", sender.as_ref(), &slot.0.to_le_bytes(), &index.to_le_bytes()])
}

#[cfg(test)]
mod tests {
    // Goal: what is computed is what the markets do, to the wei. Method: the real contracts on two and three rollups, moved
    // apart by a large sale; the tail runs after it, and balances are compared.
    use super::*;
    use crate::demo::demo_key;
    use execution::{OpenedUnit, Registry, SlotEnv, genesis::demo, prepare};
    use types::{Fork, RollupSpec, Timestamp, codec};

    const SIZE: usize = 8_192;
    const COIN: u128 = 1_000_000_000_000_000_000;

    struct World {
        state: Executor,
        registry: Registry,
        chains: Vec<ChainId>,
        slot: u64,
    }

    impl World {
        fn new(rollups: u64, funded: &[Address]) -> Self {
            let chains: Vec<_> = (901..901 + rollups).map(ChainId).collect();
            let made = chains.iter().map(|chain| demo(*chain, Fork::Prague, 1_800_000_000, funded));
            let made: Vec<_> = made.map(|(genesis, spec)| (spec, genesis)).collect();
            let specs: Vec<RollupSpec> = made.iter().map(|(spec, _)| spec.clone()).collect();
            let state = Executor::genesis(&made, 500).unwrap();
            Self { state, registry: Registry::new(&specs, 500), chains, slot: 0 }
        }

        /// Runs bundles as the units of a slot; outcome codes.
        fn run(&mut self, bundles: &[Bundle]) -> Vec<u8> {
            self.slot += 1;
            let messages: Vec<Vec<u8>> = bundles
                .iter()
                .map(|bundle| {
                    let bytes = codec::encode(bundle);
                    let mut message = u32::try_from(bytes.len()).unwrap().to_le_bytes().to_vec();
                    message.extend(bytes);
                    message.resize(SIZE, 0);
                    message
                })
                .collect();
            let unit = |(i, message)| OpenedUnit { hash: Hash([i; 32]), message: Some(message), gas_class: 20 };
            let units: Vec<_> = (0u8..)
                .zip(messages.iter().map(Vec::as_slice))
                .map(unit)
                .map(|unit| prepare(&unit, &self.registry))
                .collect();
            let time_ms = Timestamp(1_800_000_000_000 + self.slot * 500);
            self.state.order(&SlotEnv { slot: Slot(self.slot), time_ms, beacon: Hash([7; 32]) }, &units);
            self.state.close().outcomes
        }

        fn scenes(&self, sender: &Address) -> BTreeMap<ChainId, Scene> {
            self.chains.iter().map(|chain| (*chain, Scene::of(&self.state, *chain, sender).unwrap())).collect()
        }

        /// Coins over all rollups.
        fn coins(&self, who: &Address) -> u128 {
            self.chains.iter().map(|chain| self.state.account(*chain, who).1).sum()
        }

        fn tokens(&self, who: &Address) -> u128 {
            self.scenes(who).values().map(|scene| scene.held.tokens).sum()
        }
    }

    /// Somebody sells tokens on one rollup.
    fn sale(user: &EthKey, chain: ChainId, nonce: u64, tokens: u128) -> Bundle {
        let tx = LegTx {
            chain_id: chain,
            nonce,
            to: demo_addresses().amm,
            value: 0,
            gas_limit: CALL_GAS,
            data: swap_token_for_native_call(tokens, 1, &user.address()),
            max_fee_per_gas: 100_000_000_000,
            max_priority_fee_per_gas: 1,
        };
        let legs = vec![tx.leg(&user.sign(&tx.digest()))];
        Bundle { version: 1, policy: Policy::AtomicExec, legs, deadline_slot: Slot(9), salt: Hash::ZERO }
    }

    #[test]
    fn a_tail_gains_what_it_computed_and_keeps_its_tokens() {
        let (user, builder) = (demo_key(&[1; 32], "user", 0), demo_key(&[1; 32], "builder", 0));
        let me = builder.address();
        let mut world = World::new(2, &[user.address(), me]);
        assert_eq!(trades(&world.scenes(&me), 16), [], "equal markets");
        assert_eq!(world.run(&[sale(&user, ChainId(902), 0, 40_000 * COIN)]), [0]);
        let scenes = world.scenes(&me);
        let found = trades(&scenes, 16);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(
            (found[0].buy, found[0].sell),
            (ChainId(902), ChainId(901)),
            "tokens are cheap where they were sold"
        );
        let gain = gain(&scenes, &found);
        assert!(gain > COIN / 10, "{gain}");
        let (coins, tokens) = (world.coins(&me), world.tokens(&me));
        let tail = bundles(&scenes, &found, &builder, Slot(2));
        assert_eq!(tail, bundles(&scenes, &found, &builder, Slot(2)), "the same again");
        assert_eq!(world.run(&tail), [0]);
        let earned = world.coins(&me) - coins;
        assert!(earned >= gain, "{earned} of {gain}: gas is reckoned at its limit");
        assert!(earned - gain < COIN / 1_000);
        assert_eq!(world.tokens(&me), tokens, "as many bought as sold");
        assert_eq!(trades(&world.scenes(&me), 16), [], "nothing is left");
        // it was signed for this state and for no other
        assert!(world.run(&tail).iter().all(|outcome| *outcome != 0));
    }

    #[test]
    fn a_tail_that_meets_another_state_is_undone() {
        let (user, builder) = (demo_key(&[1; 32], "user", 0), demo_key(&[1; 32], "builder", 0));
        let me = builder.address();
        let mut world = World::new(2, &[user.address(), me]);
        world.run(&[sale(&user, ChainId(902), 0, 40_000 * COIN)]);
        let scenes = world.scenes(&me);
        let tail = bundles(&scenes, &trades(&scenes, 16), &builder, Slot(9));
        world.run(&[sale(&user, ChainId(901), 0, 40_000 * COIN)]);
        let before = (world.coins(&me), world.tokens(&me));
        assert!(world.run(&tail)[0] >= 64, "aborted");
        assert_eq!((world.coins(&me), world.tokens(&me)), before, "no trace on either rollup");
    }

    #[test]
    fn a_sender_that_holds_nothing_trades_nothing() {
        let user = demo_key(&[1; 32], "user", 0);
        let mut world = World::new(2, &[user.address()]);
        world.run(&[sale(&user, ChainId(902), 0, 40_000 * COIN)]);
        assert_eq!(trades(&world.scenes(&Address([5; 20])), 16), []);
    }

    #[test]
    fn several_trades_of_one_tail_follow_each_other() {
        let (user, builder) = (demo_key(&[1; 32], "user", 0), demo_key(&[1; 32], "builder", 0));
        let me = builder.address();
        let mut world = World::new(4, &[user.address(), me]);
        let sales = [(902, 40_000), (904, 60_000)].map(|(chain, coins)| sale(&user, ChainId(chain), 0, coins * COIN));
        assert_eq!(world.run(&sales), [0, 0]);
        let scenes = world.scenes(&me);
        let found = trades(&scenes, 16);
        assert!(found.len() >= 2, "{found:?}");
        let (coins, gain) = (world.coins(&me), gain(&scenes, &found));
        let tail = bundles(&scenes, &found, &builder, Slot(2));
        assert!(world.run(&tail).iter().all(|outcome| *outcome == 0));
        assert!(world.coins(&me) - coins >= gain);
        assert_eq!(bundles(&scenes, &found[..1], &builder, Slot(2)).len(), 1);
    }
}
