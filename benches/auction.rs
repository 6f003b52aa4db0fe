//! What an auction costs on one thread, besides opening the bids.
//!
//! Goal: CPU time to resolve 64 bids, which is all that the default network lets in, and 1,000 of them. Method:
//! criterion, one thread; half of the bids are replaced ones, equivocations, garbage, or outside reserve and cap, and
//! amounts repeat, so that ties are broken. The result is checked against a count by hand. `cargo bench -p auction-rules
//! --bench auction`: this bench builds the rules alone.
#![expect(clippy::expect_used, reason = "a bench: what does not hold ends it with the reason")]

#[path = "common/cpu.rs"]
mod cpu;

use auction_rules::{AuctionTerms, Bid, resolve, tie_key};
use cpu::CpuTime;
use criterion::{BenchmarkId, Criterion, Throughput};
use std::hint::black_box;
use types::{Address, Amount, Hash, Pricing};

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
            _ => Some(amount(100 + i % 50)),
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

fn main() {
    let mut criterion = cpu::criterion();
    bids_are_resolved(&mut criterion);
    criterion.final_summary();
}
