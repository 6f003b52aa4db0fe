//! Goal: `EXE-1`, a unit is on all its rollups or on none. Method: planted failures at each leg against a control run
//! without them, and single bundles read back.
use super::*;
use crate::genesis::DEMO_TOKENS;

/// A small generator with a seed, so that a failing round can be run again.
struct Draw(u64);

impl Draw {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}

/// Nonces of the four wallets on A and B.
type Nonces = [[u64; 2]; 4];

fn chain(i: u64) -> (ChainId, usize) {
    if i == 0 { (A, 0) } else { (B, 1) }
}

/// A leg that succeeds: coins, tokens, or a swap either way.
fn good_leg(net: &Net, draw: &mut Draw, nonces: &mut Nonces) -> Leg {
    let (id, c) = chain(draw.below(2));
    let w = usize::try_from(draw.below(4)).unwrap();
    let wallet = &net.wallets[w];
    let to = match draw.below(3) {
        0 => Wallet::new(1_000 + draw.below(50)).address,
        _ => net.wallets[usize::try_from(draw.below(4)).unwrap()].address,
    };
    let genesis::DemoAddresses { token, amm } = genesis::demo_addresses();
    let amount = u128::from(1 + draw.below(1_000_000_000));
    let nonce = nonces[w][c];
    nonces[w][c] += 1;
    let tx = match draw.below(4) {
        0 => pay(id, nonce, to, amount),
        1 => call(id, nonce, token, 0, demo::transfer_call(&to, amount)),
        2 => call(id, nonce, amm, amount, demo::swap_native_for_token_call(0, &to)),
        _ => call(id, nonce, amm, 0, demo::swap_token_for_native_call(amount, 0, &wallet.address)),
    };
    wallet.leg(&tx)
}

/// A leg that fails whatever stands before it, with the outcome that it has.
fn bad_leg(net: &Net, draw: &mut Draw, nonces: &Nonces) -> (Leg, Outcome) {
    let (id, c) = chain(draw.below(2));
    let w = usize::try_from(draw.below(4)).unwrap();
    let wallet = &net.wallets[w];
    let to = net.wallets[0].address;
    let nonce = nonces[w][c];
    let genesis::DemoAddresses { token, amm } = genesis::demo_addresses();
    let good = pay(id, nonce, to, 1);
    let transfer = demo::transfer_call(&to, 1);
    let (tx, outcome) = match draw.below(8) {
        0 => (call(id, nonce, token, 0, demo::transfer_call(&to, DEMO_TOKENS * 100)), Outcome::Revert),
        1 => (call(id, nonce, amm, 1, demo::swap_native_for_token_call(u128::MAX, &to)), Outcome::Revert),
        2 => (LegTx { gas_limit: 23_000, ..call(id, nonce, token, 0, transfer) }, Outcome::Halt),
        3 => (LegTx { nonce: nonce + 5, ..good }, Outcome::NonceTooHigh),
        4 => (LegTx { value: 1_000_000 * COIN, ..good }, Outcome::InsufficientFunds),
        5 => (LegTx { max_fee_per_gas: 6, max_priority_fee_per_gas: 0, ..good }, Outcome::FeeBelowBase),
        6 => (LegTx { max_priority_fee_per_gas: u128::MAX, ..good }, Outcome::TipOverFee),
        _ => (LegTx { gas_limit: 20_000, ..good }, Outcome::IntrinsicGas),
    };
    (wallet.leg(&tx), outcome)
}

#[test]
fn exe_1_two_thousand_bundles_with_planted_failures_equal_a_control_without_them() {
    let mut net = Net::new();
    let mut control = Net::new();
    let mut draw = Draw(7);
    let mut nonces = Nonces::default();
    let mut planted = 0;
    for round in 0..50 {
        let mut units = Vec::new();
        let mut clean = Vec::new();
        let mut expected = Vec::new();
        for _ in 0..40 {
            let legs = 1 + draw.below(4);
            let (bundle, outcome) = if draw.below(4) == 0 {
                // Good legs before and behind, all with right nonces: they would be placed if a half were.
                let mut tentative = nonces;
                let at = draw.below(legs);
                let mut list: Vec<Leg> = (0..at).map(|_| good_leg(&net, &mut draw, &mut tentative)).collect();
                let (bad, outcome) = bad_leg(&net, &mut draw, &tentative);
                list.push(bad);
                list.extend((at + 1..legs).map(|_| good_leg(&net, &mut draw, &mut tentative)));
                planted += 1;
                (bundle(Policy::AtomicExec, list), (outcome, u8::try_from(at).unwrap()))
            } else {
                let list = (0..legs).map(|_| good_leg(&net, &mut draw, &mut nonces)).collect();
                (bundle(Policy::AtomicExec, list), (Outcome::Committed, 0))
            };
            let unit = net.prepare(&bundle, 20);
            if outcome.0 == Outcome::Committed {
                clean.push(unit.clone());
            }
            expected.push(outcome);
            units.push(unit);
        }
        let result = net.slot(&units);
        let wanted = control.slot(&clean);
        let outcomes: Vec<_> = result.outcomes.iter().map(|code| Outcome::from_number(*code).unwrap()).collect();
        let got: Vec<_> = outcomes.into_iter().zip(result.legs.iter().copied()).collect();
        assert_eq!(got, expected, "round {round}");
        let roots = |result: &SlotResult| -> Vec<_> {
            result.chains.iter().map(|c| (c.chain_id, c.pre, c.post, c.receipts, c.gas)).collect()
        };
        assert_eq!(roots(&result), roots(&wanted), "round {round}");
        assert_eq!(net.executor.states_root(), control.executor.states_root(), "round {round}");
    }
    assert!(planted > 400, "{planted}");
}

#[test]
fn exe_1_a_revert_on_the_last_leg_undoes_the_other_rollup() {
    let mut net = Net::new();
    let [wallet, other] = [0, 1].map(|i| net.wallets[i].clone());
    let genesis::DemoAddresses { token, amm } = genesis::demo_addresses();
    let before = (net.executor.account(A, &wallet.address), net.tokens(A, &wallet.address), net.executor.states_root());
    let legs = |min_out| {
        vec![
            wallet.leg(&call(A, 0, amm, COIN, demo::swap_native_for_token_call(1, &wallet.address))),
            wallet.leg(&call(A, 1, token, 0, demo::transfer_call(&other.address, 5))),
            wallet.leg(&call(B, 0, amm, 0, demo::swap_token_for_native_call(COIN, min_out, &wallet.address))),
        ]
    };
    let class = demo::gas_class(3 * demo::CALL_GAS);
    assert_eq!(net.one(&bundle(Policy::AtomicExec, legs(COIN)), class), (Outcome::Revert, 2));
    assert_eq!(
        before,
        (net.executor.account(A, &wallet.address), net.tokens(A, &wallet.address), net.executor.states_root())
    );

    let bought = demo::quote(COIN, genesis::DEMO_RESERVE_NATIVE, genesis::DEMO_RESERVE_TOKENS).unwrap();
    assert_eq!(net.one(&bundle(Policy::AtomicExec, legs(1)), class), (Outcome::Committed, 0));
    assert_eq!(net.tokens(A, &wallet.address), DEMO_TOKENS + bought - 5);
    assert_eq!(net.tokens(A, &other.address), DEMO_TOKENS + 5);
    assert_eq!(net.tokens(B, &wallet.address), DEMO_TOKENS - COIN);
    assert_eq!(net.executor.account(A, &wallet.address).0, 2);
    assert_eq!(net.executor.account(B, &wallet.address).0, 1);
}

#[test]
fn inclusion_places_reverts_and_opaque_bytes_but_no_invalid_leg() {
    let mut net = Net::new();
    let [wallet, other] = [0, 1].map(|i| net.wallets[i].clone());
    let token = genesis::demo_addresses().token;
    let too_much = call(A, 0, token, 0, demo::transfer_call(&other.address, DEMO_TOKENS + 1));
    let opaque = Leg { chain_id: OPAQUE, tx: vec![7; 9] };
    let legs = vec![wallet.leg(&too_much), opaque.clone(), wallet.leg(&pay(B, 0, other.address, 3))];
    let unit = net.prepare(&bundle(Policy::AtomicInclusion, legs.clone()), CLASS);
    let result = net.slot(core::slice::from_ref(&unit));
    assert_eq!((result.outcomes, result.legs), (vec![Outcome::Included.number()], vec![0]));
    assert_eq!(result.chains.iter().map(|c| c.chain_id).collect::<Vec<_>>(), [A, B, OPAQUE]);
    // The revert is placed: nonce, fee and a receipt with status 0, no tokens.
    assert_eq!(net.executor.account(A, &wallet.address).0, 1);
    assert_eq!(net.tokens(A, &other.address), DEMO_TOKENS);
    // Chains ascend, legs stand in the order of the bundle.
    for (i, leg) in [&legs[0], &legs[2], &legs[1]].into_iter().enumerate() {
        let txs = vec![Hash(alloy_primitives::keccak256(&leg.tx).0)];
        let leaf = types::UnitLeaf { unit: unit.hash(), outcome: Outcome::Included.number(), txs };
        assert_eq!(result.units[i], core::slice::from_ref(&leaf));
        assert_eq!(result.chains[i].units_root, roots::root(&[codec::encode(&leaf)]));
    }
    let opaque_exec = &result.chains[2];
    assert_eq!([opaque_exec.pre, opaque_exec.post, opaque_exec.receipts], [Hash::ZERO; 3]);
    assert_eq!(opaque_exec.gas, 0);

    // A leg that no block can hold drops the unit, also from the rollup that would take anything.
    let legs = vec![opaque, wallet.leg(&pay(B, 1, other.address, 3)), wallet.leg(&pay(A, 0, other.address, 1))];
    let unit = net.prepare(&bundle(Policy::AtomicInclusion, legs), CLASS);
    let result = net.slot(&[unit]);
    assert_eq!((result.outcomes[0], result.legs[0]), (Outcome::NonceTooLow.number(), 2));
    assert!(result.units.iter().flatten().all(|leaf| leaf.txs.is_empty()));
    assert_eq!(net.executor.account(B, &wallet.address).0, 1);
}

#[test]
fn legs_see_the_legs_before_them_and_nothing_of_a_dropped_unit() {
    let mut net = Net::new();
    let rich = net.wallets[0].clone();
    let fresh = Wallet::new(500);
    // The account has coins only through the first leg.
    let relay =
        |nonce| vec![rich.leg(&pay(A, nonce, fresh.address, COIN)), fresh.leg(&pay(A, 0, rich.address, COIN / 2))];
    let mut broken = relay(0);
    broken.push(rich.leg(&pay(B, 9, rich.address, 1)));
    assert_eq!(net.one(&bundle(Policy::AtomicExec, broken), CLASS), (Outcome::NonceTooHigh, 2));
    assert_eq!(net.executor.account(A, &fresh.address), (0, 0));
    assert_eq!(net.one(&bundle(Policy::AtomicExec, relay(0)), CLASS), (Outcome::Committed, 0));
    assert_eq!(net.executor.account(A, &fresh.address).0, 1);
    assert!(net.executor.account(A, &fresh.address).1 < COIN / 2);
}

#[test]
fn exe_2_two_runs_give_equal_results() {
    let run = || {
        let mut net = Net::new();
        let mut draw = Draw(11);
        let mut nonces = Nonces::default();
        let mut results = Vec::new();
        for _ in 0..6 {
            let units: Vec<Prepared> = (0..20)
                .map(|_| {
                    let legs = (0..2).map(|_| good_leg(&net, &mut draw, &mut nonces)).collect();
                    net.prepare(&bundle(Policy::AtomicExec, legs), 20)
                })
                .collect();
            results.push(net.slot(&units));
        }
        (results, net.executor.states_root())
    };
    let (results, states) = run();
    assert_eq!((results, states), run());
    // Frozen: the same in the build with libsecp256k1 (feature `native`) and in any later one.
    assert_eq!(states.to_string(), "0x8c08d854ee3188e0971c0fb2f71beff0998cddd348e7820f9cf73d8d3cab4ca0");
}

#[test]
fn failed_and_dropped_units_keep_their_place_on_the_rollups_that_they_name() {
    let mut net = Net::new();
    let wallet = net.wallets[0].clone();
    let exec = |legs| bundle(Policy::AtomicExec, legs);
    let failed = exec(vec![wallet.leg(&pay(A, 0, wallet.address, 1)), Leg { chain_id: B, tx: vec![1] }]);
    let dropped = exec(vec![wallet.leg(&pay(B, 4, wallet.address, 1))]);
    let unknown = exec(vec![wallet.leg(&pay(A, 0, wallet.address, 1)), Leg { chain_id: ChainId(5), tx: vec![] }]);
    let units = [failed, dropped, unknown, exec(vec![])].map(|bundle| net.prepare(&bundle, CLASS));
    let result = net.slot(&units);
    let outcomes = [Outcome::TxDecode, Outcome::NonceTooHigh, Outcome::UnknownChain, Outcome::NoLegs];
    assert_eq!(result.outcomes, outcomes.map(Outcome::number));
    let leaf = |i: usize| types::UnitLeaf { unit: units[i].hash(), outcome: outcomes[i].number(), txs: vec![] };
    assert_eq!(result.units, [vec![leaf(0), leaf(2)], vec![leaf(0), leaf(1)]]);
    for (exec, genesis) in result.chains.iter().zip(&net.genesis) {
        let root = genesis.1.state_root();
        assert_eq!((exec.pre, exec.post, exec.gas, exec.units), (root, root, 0, 2));
    }
}

#[test]
fn callers_may_move_everything_between_threads() {
    fn send_and_sync<T: Send + Sync>() {}
    send_and_sync::<Executor>();
    send_and_sync::<Prepared>();
    send_and_sync::<Registry>();
}
