//! What users' bundles cost whoever executes them: every member, and every auditor.
//!
//! Goal: CPU time per bundle, by step and kind, 128 bundles a slot on two demo rollups. Method: criterion over the CPU time
//! of one thread; every measured slot is executed once before and its outcomes compared with what the wallets meant. The
//! peer is revm by itself: the same transfers, one after the other, straight into its own cache database: no bundles, no
//! overlays that can be dropped, no receipts, no roots.
#![expect(clippy::expect_used, reason = "a bench: what does not hold ends it with the reason")]

#[path = "common/cpu.rs"]
mod cpu;
#[path = "common/network.rs"]
#[expect(dead_code, reason = "members' keys are for the other bench")]
mod network;

use cpu::CpuTime;
use criterion::{BatchSize, Criterion, Throughput};
use execution::{Executor, OpenedUnit, Prepared, Registry, SlotEnv, prepare};
use network::{GENESIS_TIME, Net};
use revm::{
    Context, ExecuteCommitEvm, MainBuilder, MainContext,
    context::TxEnv,
    database::{CacheDB, EmptyDB},
    primitives::{Address as EvmAddress, TxKind, U256, hardfork::SpecId},
    state::AccountInfo,
};
use std::hint::black_box;
use types::{Hash, Slot, Timestamp, codec, reason::Outcome};
use wallet::demo::DemoKind;

const COUNT: usize = 128;
/// Payable gas of these kinds fits one slot.
const KINDS: [(DemoKind, &str); 5] = [
    (DemoKind::Transfer, "a transfer of coins"),
    (DemoKind::TokenTransfer, "a transfer of tokens"),
    (DemoKind::Sell, "a swap"),
    (DemoKind::CrossSwap, "a two-leg swap across two rollups"),
    (DemoKind::CrossRevert, "a two-leg bundle that aborts in its last leg"),
];

/// One slot of bundles of one kind.
struct Slotful {
    name: &'static str,
    executor: Executor,
    registry: Registry,
    /// Padded plaintexts.
    messages: Vec<(Hash, Vec<u8>, u8)>,
    units: Vec<Prepared>,
}

fn env() -> SlotEnv {
    SlotEnv { slot: Slot(1), time_ms: Timestamp(GENESIS_TIME * 1_000 + 500), beacon: Hash([0xbe; 32]) }
}

fn padded(bytes: &[u8], class: usize) -> Vec<u8> {
    let mut message = u32::try_from(bytes.len()).expect("a short bundle").to_le_bytes().to_vec();
    message.extend_from_slice(bytes);
    message.resize(class, 0);
    message
}

fn prepare_all(messages: &[(Hash, Vec<u8>, u8)], registry: &Registry) -> Vec<Prepared> {
    let one = |(hash, message, gas_class): &(Hash, Vec<u8>, u8)| {
        prepare(&OpenedUnit { hash: *hash, message: Some(message), gas_class: *gas_class }, registry)
    };
    messages.iter().map(one).collect()
}

impl Slotful {
    fn new(kind: DemoKind, name: &'static str) -> Self {
        let mut net = Net::new(32);
        let made = net.seal(&[kind], COUNT);
        let messages = made
            .iter()
            .map(|made| {
                let header = &made.envelope.signed.header;
                let class = header.class().expect("a class").bytes();
                (made.item, padded(&codec::encode(&made.bundle), class), header.gas_class)
            })
            .collect();
        let mut this = Self { name, executor: net.executor(), registry: net.registry(), messages, units: Vec::new() };
        this.units = prepare_all(&this.messages, &this.registry);
        let mut executor = this.executor.clone();
        executor.order(&env(), &this.units);
        let result = executor.close();
        let wanted = if kind.aborts() { Outcome::Revert } else { Outcome::Committed };
        assert_eq!(result.outcomes, [wanted.number()].repeat(COUNT), "{name}: as its wallet meant it");
        assert_eq!(
            kind.aborts(),
            executor.states_root() == this.executor.states_root(),
            "{name}: what is undone is gone"
        );
        this
    }
}

fn elements() -> Throughput {
    Throughput::Elements(u64::try_from(COUNT).unwrap_or(0))
}

fn senders_are_recovered(c: &mut Criterion<CpuTime>, slots: &[Slotful]) {
    let mut group = c.benchmark_group("128 opened bundles are decoded, their senders recovered");
    group.throughput(elements());
    for slot in slots {
        group.bench_function(slot.name, |b| b.iter(|| prepare_all(black_box(&slot.messages), &slot.registry)));
    }
    group.finish();
}

fn bundles_are_executed(c: &mut Criterion<CpuTime>, slots: &[Slotful]) {
    let mut group = c.benchmark_group("128 bundles are executed in their order");
    group.throughput(elements());
    for slot in slots {
        group.bench_function(slot.name, |b| {
            b.iter_batched(
                || slot.executor.clone(),
                |mut executor| {
                    executor.order(&env(), &slot.units);
                    executor
                },
                BatchSize::LargeInput,
            );
        });
    }
    let transfers = Transfers::new();
    transfers.check();
    group.bench_function("a transfer of coins, revm alone", |b| {
        b.iter_batched(|| transfers.database.clone(), |database| transfers.run(database), BatchSize::LargeInput);
    });
    group.finish();
}

fn roots_are_computed(c: &mut Criterion<CpuTime>, slots: &[Slotful]) {
    let mut group = c.benchmark_group("the slot's state and receipt roots after 128 bundles");
    group.throughput(elements());
    for slot in slots {
        let mut executed = slot.executor.clone();
        executed.order(&env(), &slot.units);
        group.bench_function(slot.name, |b| {
            b.iter_batched(|| executed.clone(), |mut executor| executor.close(), BatchSize::LargeInput);
        });
    }
    group.finish();
}

/// The same transfers for revm alone: 32 senders, four each.
struct Transfers {
    database: CacheDB<EmptyDB>,
    transactions: Vec<TxEnv>,
}

const COINS: u64 = 1_000_000_000_000_000;
const GAS_PRICE: u128 = 2_000_000_000;

impl Transfers {
    fn new() -> Self {
        let account = |i: u8| EvmAddress::from([i; 20]);
        let mut database = CacheDB::new(EmptyDB::default());
        let balance = U256::from(COINS).saturating_mul(U256::from(1_000_000));
        for i in 1..=32 {
            database.insert_account_info(account(i), AccountInfo { balance, ..AccountInfo::default() });
        }
        let transfer = |i: usize| {
            let sender = u8::try_from(i % 32).unwrap_or(0) + 1;
            TxEnv {
                tx_type: 2,
                caller: account(sender),
                gas_limit: 21_000,
                gas_price: GAS_PRICE,
                gas_priority_fee: Some(1_000_000),
                kind: TxKind::Call(account(sender + 100)),
                value: U256::from(COINS),
                nonce: u64::try_from(i / 32).unwrap_or(0),
                chain_id: Some(901),
                ..TxEnv::default()
            }
        };
        Self { database, transactions: (0..COUNT).map(transfer).collect() }
    }

    fn run(&self, database: CacheDB<EmptyDB>) -> u64 {
        let context = Context::mainnet()
            .with_db(database)
            .modify_cfg_chained(|cfg| {
                cfg.set_spec_and_mainnet_gas_params(SpecId::CANCUN);
                cfg.chain_id = 901;
            })
            .modify_block_chained(|block| {
                block.gas_limit = 30_000_000;
                block.basefee = 1_000_000_000;
            });
        let mut evm = context.build_mainnet();
        let mut gas = 0;
        for transaction in &self.transactions {
            let result = evm.transact_commit(transaction.clone()).expect("a valid transfer");
            assert!(result.is_success());
            gas += result.tx_gas_used();
        }
        gas
    }

    fn check(&self) {
        assert_eq!(self.run(self.database.clone()), 21_000 * 128);
    }
}

fn main() {
    let mut criterion = cpu::criterion(Criterion::default());
    let slots: Vec<Slotful> = KINDS.into_iter().map(|(kind, name)| Slotful::new(kind, name)).collect();
    senders_are_recovered(&mut criterion, &slots);
    bundles_are_executed(&mut criterion, &slots);
    roots_are_computed(&mut criterion, &slots);
    criterion.final_summary();
}
