//! What an auction costs on one thread, besides opening the bids.
//!
//! Goal: CPU time to resolve 64 bids, which is all that the default network lets in, and 1,000 of them. Method:
//! criterion, one thread; half of the bids are replaced ones, garbage, or outside reserve and cap, and amounts repeat,
//! so that ties are broken. The second group takes the bids through a ledger: counted, locked, the slot closed,
//! resolved, debited. Results are checked against a count by hand. `cargo bench -p auction-rules --bench auction`: this
//! bench builds the rules alone.
#![expect(clippy::expect_used, reason = "a bench: what does not hold ends it with the reason")]

#[path = "common/cpu.rs"]
mod cpu;

use auction_rules::{AuctionTerms, Bid, BidTerms, Ledger, resolve, tie_key};
use cpu::CpuTime;
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput};
use std::hint::black_box;
use types::{Address, Amount, Balance, BidText, Epoch, Genesis, Hash, MemberRecord, Params, Pricing, Slot};

const BEACON: Hash = Hash([0x42; 32]);

fn amount(units: u64) -> Amount {
    Amount::new(u128::from(units)).expect("below 2^96")
}

/// Addresses in no order, so that sorting has work to do.
fn address(i: u64) -> Address {
    let mut bytes = [0; 20];
    let mixed = i.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    for (byte, mixed) in bytes.iter_mut().zip(mixed.to_be_bytes().into_iter().cycle()) {
        *byte = mixed;
    }
    Address(bytes)
}

fn bids(count: u64) -> Vec<Bid> {
    let bid = |i: u64| {
        let (bidder, seq) = if i % 8 == 7 { (i - 1, 1) } else { (i, 0) };
        let opened = match i % 8 {
            5 => None,
            4 => Some(amount(2_000)),
            3 => Some(amount(1)),
            _ => Some(amount(100 + i % 10)),
        };
        Bid { bidder: address(bidder), seq, cap: amount(1_000), opened }
    };
    (0..count).map(bid).collect()
}

fn bids_are_resolved(c: &mut Criterion<CpuTime>) {
    let terms =
        AuctionTerms { pricing: Pricing::Second, reserve: amount(10), bid_fee: amount(1), garbage_fine: amount(10) };
    let mut group = c.benchmark_group("bids are resolved");
    for count in [64, 1_000] {
        let bids = bids(count);
        let resolution = resolve(&BEACON, &terms, &bids);
        let valid = |bid: &&Bid| bid.opened.is_some_and(|a| a >= terms.reserve && a <= bid.cap);
        let best = bids.iter().filter(valid).filter_map(|bid| bid.opened).max();
        let first = bids.iter().filter(|bid| bid.opened == best).map(|bid| bid.bidder);
        assert_eq!(resolution.winner, first.min_by_key(|bidder| tie_key(&BEACON, bidder)));
        assert_eq!(Some(resolution.price), best, "the tie is paid");
        group.throughput(Throughput::Elements(count));
        group.bench_with_input(BenchmarkId::from_parameter(count), &bids, |b, bids| {
            b.iter(|| resolve(&BEACON, black_box(&terms), black_box(bids)));
        });
    }
    group.finish();
}

/// A ledger with this many builders, all active.
fn ledger(count: u64) -> (Params, Ledger) {
    let bond = amount(1 << 60);
    let mut balances: Vec<Balance> =
        (0..count).map(|i| Balance { address: address(i), balance: Amount::ZERO, bond }).collect();
    balances.sort_by_key(|balance| balance.address);
    let member = |key: u8| MemberRecord {
        name: String::new(),
        consensus: Hash([key; 32]),
        log: Hash([key; 32]),
        cosigner: Hash([key; 32]),
        receipt: Hash([key; 32]),
        tls: Hash([key; 32]),
    };
    let max_builders = u16::try_from(count).expect("few builders");
    let params =
        Params { max_builders, cap_unit: amount(1 << 40), reserve_floor: amount(1 << 20), ..Params::default_for(500) };
    let genesis = Genesis {
        origin: "example.net/bench".into(),
        members: (0..4).map(member).collect(),
        params: params.clone(),
        rollups: Vec::new(),
        balances,
    };
    (params, Ledger::genesis(&genesis).expect("a genesis"))
}

fn bids_go_through_the_ledger(c: &mut Criterion<CpuTime>) {
    let mut group = c.benchmark_group("bids are counted, locked, resolved and debited");
    for count in [64, 1_000] {
        let (params, ledger) = ledger(count);
        let bid = |i: u64| BidTerms {
            hash: tie_key(&BEACON, &address(i)),
            bidder: address(i),
            epoch: Epoch(0),
            slot: Slot(2),
            seq: 0,
            cap_class: 0,
        };
        let bids: Vec<BidTerms> = (0..count).map(bid).collect();
        let text =
            |i: u64| BidText { amount: amount((1 << 30) + i % 10), tail_recipient: Address::ZERO, salt: Hash::ZERO };
        let opened: Vec<(Address, Option<BidText>)> = (0..count).map(|i| (address(i), Some(text(i)))).collect();
        let run = |mut ledger: Ledger| {
            let counted = ledger.lock(&params, black_box(&bids)).expect("a lock");
            ledger.close(&params, Slot(1), &[]).expect("a close");
            let resolution = ledger.auction(Slot(1), &BEACON, black_box(&opened)).expect("an auction");
            (ledger, counted, resolution)
        };
        let (after, counted, resolution) = run(ledger.clone());
        assert_eq!(u64::try_from(counted.counting.len()), Ok(count));
        assert_eq!(resolution.price, amount((1 << 30) + 9));
        assert_eq!((after.total(), after.pools().escrow), (ledger.total(), resolution.price));
        group.throughput(Throughput::Elements(count));
        group.bench_with_input(BenchmarkId::from_parameter(count), &ledger, |b, ledger| {
            b.iter_batched(|| ledger.clone(), run, BatchSize::SmallInput);
        });
    }
    group.finish();
}

fn main() {
    let mut criterion = cpu::criterion(Criterion::default());
    bids_are_resolved(&mut criterion);
    bids_go_through_the_ledger(&mut criterion);
    criterion.final_summary();
}
