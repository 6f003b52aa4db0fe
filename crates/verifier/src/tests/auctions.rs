// Goal: checks 10 and 12: every lie about bids, their opening, winner, price or reserve has its finding, and a log with an
// honest auction has none. Method: a network with bidders; plants that it makes again with all that follows; bids changed
// in the entries under a quorum's signature.
#![expect(clippy::wildcard_enum_match_arm, reason = "tests pick the kinds that they change")]
use super::{codes, kind};
use crate::{
    Checks, Replay, Status,
    testing::{Draft, Plant, World},
};
use std::{vec, vec::Vec};
use types::{Bid, Entry, Hash, Kind, Slot, codec, limits};

const RESERVE: u128 = 10_000_000_000_000;

/// Five slots; bids in all but the second, which is an empty block in which a right stands; the third has one replaced
/// bid, one said twice and garbage.
fn market(seed: u8) -> World {
    let mut world = World::new(seed);
    world.bid(0, 0, Some(4 * RESERVE));
    world.bid(1, 0, Some(6 * RESERVE));
    world.submit(Draft::of(3));
    world.slot();
    world.empty_slot();
    world.bid(0, 0, Some(9 * RESERVE));
    world.bid(0, 1, Some(3 * RESERVE));
    world.bid(1, 0, Some(8 * RESERVE));
    world.bid(1, 0, Some(7 * RESERVE));
    world.bid(2, 0, None);
    world.slot();
    world.bid(0, 0, Some(2 * RESERVE));
    world.bid(1, 0, Some(2 * RESERVE));
    world.bid(2, 0, Some(RESERVE));
    world.submit(Draft::of(4));
    world.slot();
    world.slot();
    world
}

fn sales(world: &World) -> Vec<(u64, usize, Option<u16>, u128)> {
    let sale = |entry: &Vec<u8>| match kind(entry) {
        Kind::Auction { slot, opened, winner, price, .. } => Some((slot.0, opened.len(), winner, price.units())),
        _ => None,
    };
    world.log().iter().filter_map(sale).collect()
}

#[test]
fn an_honest_market_audits_clean() {
    let world = market(1);
    let prices: Vec<(u64, usize, u128)> =
        sales(&world).into_iter().map(|(slot, bids, _, price)| (slot, bids, price)).collect();
    let (tie, none) = (2 * RESERVE, 0);
    assert_eq!(prices, vec![(1, 2, 4 * RESERVE), (2, 0, none), (3, 2, RESERVE), (4, 3, tie), (5, 0, none)]);
    let report = world.audit();
    assert_eq!(report.findings, vec![]);
    for check in [10u8, 12] {
        let line = &report.checks[usize::from(check) - 1];
        assert_eq!((line.n, &line.status), (check, &Status::Pass), "{line:?}");
        assert_eq!(line.units, 7, "{line:?}");
    }
}

#[test]
fn every_lie_about_an_auction_gives_its_finding() {
    let plants = [
        (Plant::DropBid, "bid-omitted", 7),
        (Plant::WrongBidOpening, "bid-opening-wrong", 12),
        (Plant::WrongWinner, "winner-wrong", 12),
        (Plant::WrongPrice, "price-wrong", 12),
        (Plant::WrongReserve, "reserve-wrong", 12),
    ];
    for (plant, code, check) in plants {
        let mut world = market(1);
        world.plant(plant);
        let report = world.audit();
        assert_eq!(report.findings.len(), 1, "{plant:?}: {:?}", report.findings);
        let finding = &report.findings[0];
        assert_eq!((finding.code.name(), finding.slot, report.exit()), (code, Slot(4), 1), "{plant:?}");
        let failed: Vec<_> = report.checks.iter().filter(|c| c.status == Status::Fail).map(|c| c.n).collect();
        assert_eq!(failed, [check], "{plant:?}");
    }
}

/// What changing the bids of slot 4 gives.
fn edited(f: impl Fn(&mut Bid)) -> Vec<&'static str> {
    let world = market(1);
    let mut entries = Vec::new();
    for entry in world.log() {
        match kind(entry) {
            Kind::Bid { slot: Slot(4), bytes } => {
                let mut bid: Bid = codec::decode(&bytes, limits::BID_BYTES_MAX).unwrap();
                f(&mut bid);
                entries.push(Entry::bytes(Kind::Bid { slot: Slot(4), bytes: codec::encode(&bid) }));
            }
            _ => entries.push(entry.clone()),
        }
    }
    codes(&world, &entries)
}

#[test]
fn a_bid_is_what_the_block_names() {
    assert_eq!(edited(|_| {}), Vec::<&str>::new());
    let changes: [fn(&mut Bid); 4] = [
        |bid| bid.header.cap_class = 1,
        |bid| bid.header.slot = Slot(6),
        |bid| bid.signature.0[3] ^= 1,
        |bid| bid.ciphertext[300] ^= 1,
    ];
    for change in changes {
        let found = edited(change);
        assert!(matches!(found[..], ["close-roots-wrong" | "section-order"]), "{found:?}");
    }
}

#[test]
fn bids_have_their_place() {
    let world = market(1);
    let of_slot = |entry: &Vec<u8>| matches!(kind(entry), Kind::Bid { slot: Slot(4), .. });
    let first = world.log().iter().position(of_slot).unwrap();
    for (a, b) in [(first, first + 1), (first - 1, first), (first + 2, first + 3)] {
        let mut entries = world.log().to_vec();
        entries.swap(a, b);
        assert_eq!(codes(&world, &entries), ["section-order"], "{a} and {b}");
    }
    let mut without = world.log().to_vec();
    without.remove(first);
    assert_eq!(codes(&world, &without), ["section-order"]);
    let mut twice = world.log().to_vec();
    twice.insert(first, twice[first].clone());
    assert_eq!(codes(&world, &twice), ["section-order"]);
}

#[test]
fn a_member_continues_from_a_log_that_ends_between_bids_and_their_opening() {
    let world = market(2);
    let close = usize::try_from(world.close_head(Slot(4)).unwrap().size).unwrap();
    let mut replay = Replay::new(world.anchor(), Checks::TRUSTED).unwrap();
    for (index, entry) in (0..).zip(&world.log()[..close]) {
        replay.entry(index, entry);
    }
    assert_eq!(replay.findings(), []);
    let unopened = replay.end().unopened.unwrap();
    assert_eq!((unopened.bids.len(), unopened.units.len()), (3, 1));
    let hashes: Vec<Hash> = unopened.bids.iter().map(|(_, bid)| crypto::ids::bid_hash(bid)).collect();
    assert!(unopened.bids.iter().zip(hashes).all(|((hash, _), own)| *hash == own));
}
