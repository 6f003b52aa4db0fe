// Goal: the auction of in the network: sealed until the block is final, opened together, resolved
// by rule; and A-06 against members and proposers that would rather not. Method: builders at several members; what
// AUCTION, the ledger and the refusals say; messages lost, members restarted between close and opening.
use crate::common::{Fate, Net, World, net::wallet, world::kind};
use sequencer::{Channel, Ticket};
use std::{cell::Cell, rc::Rc};
use types::{Address, Amount, Bid, Hash, Kind, Slot, codec, limits, reason::Reason};

/// The slot that the next block sells, once everybody has opened the same slot.
pub(crate) fn sold(world: &mut World) -> u64 {
    let last = world.members.iter().filter_map(|m| m.machine.as_ref()).map(|m| m.last_final().0).max().unwrap();
    world.open(last.max(1));
    // nobody has closed the next slot yet: closes are 200 ms after openings
    world.machine(0).last_final().0 + 2
}

/// What AUCTION of the slot before `sold` says: bids, winner's place, price.
pub(crate) fn auction(world: &World, sold: u64) -> (Vec<Bid>, Option<usize>, u128) {
    let of_slot = |slot: Slot| slot.0 + 1 == sold;
    let mut bids: Vec<Bid> = Vec::new();
    for entry in &world.log {
        match kind(entry) {
            Kind::Bid { slot, bytes } if of_slot(slot) => {
                bids.push(codec::decode(&bytes, limits::BID_BYTES_MAX).unwrap());
            }
            Kind::Auction { slot, opened, winner, price, .. } if of_slot(slot) => {
                assert_eq!(opened.len(), bids.len());
                return (bids, winner.map(usize::from), price.units());
            }
            _ => {}
        }
    }
    panic!("no auction of slot {sold}: {}", world.story())
}

pub(crate) fn bond(world: &World, builder: usize) -> u128 {
    world.machine(0).account(&wallet(builder).address()).account.unwrap().bond.units()
}

pub(crate) fn who(bids: &[Bid]) -> Vec<Address> {
    bids.iter().map(|bid| bid.header.bidder).collect()
}

/// Floor of the reserve.
pub(crate) const RESERVE: u128 = 10_000_000_000_000;
/// Base fee of size class 0 at floor prices.
pub(crate) const FEE: u128 = 16 * 512 + 1;
/// The bond of every builder.
pub(crate) const BOND: u128 = 1_000_000_000_000_000_000;

#[test]
fn bids_open_together_and_the_winner_pays_the_second() {
    let net = Net::four();
    let mut world = World::new(net, 71);
    let sold = sold(&mut world);
    let offers = [(0, 5 * RESERVE), (1, 9 * RESERVE), (2, 7 * RESERVE), (3, RESERVE - 1)];
    let tickets: Vec<_> = offers
        .iter()
        .map(|(builder, units)| world.bid(*builder % 4, &net.bid(*builder, sold, 0, Some(*units))))
        .collect();
    let garbage = world.bid(0, &net.bid(4, sold, 0, None));
    world.open(sold);
    for ticket in tickets.iter().chain([&garbage]) {
        assert!(world.replies[ticket].is_ok(), "{:?}", world.replies[ticket]);
    }
    let (bids, winner, price) = auction(&world, sold);
    let mut wanted: Vec<Address> = (0..5).map(|builder| wallet(builder).address()).collect();
    wanted.sort_unstable();
    assert_eq!(who(&bids), wanted);
    assert_eq!(winner.map(|at| bids[at].header.bidder), Some(wallet(1).address()));
    assert_eq!(price, 7 * RESERVE);
    // fees of all, the price of one, the fine of garbage
    assert_eq!(bond(&world, 0), BOND - FEE);
    assert_eq!(bond(&world, 1), BOND - FEE - 7 * RESERVE);
    assert_eq!(bond(&world, 3), BOND - FEE, "below the reserve: void, no fine");
    assert_eq!(bond(&world, 4), BOND - FEE - RESERVE, "garbage: the fine is the reserve, which is above ten fees");
    assert_eq!(bond(&world, 5), BOND);
    world.audit(2);
}

#[test]
fn no_bid_and_one_bid() {
    let net = Net::four();
    let mut world = World::new(net, 72);
    let first = sold(&mut world);
    world.open(first - 1);
    assert_eq!(auction(&world, first), (vec![], None, 0));
    let second = sold(&mut world);
    world.bid(1, &net.bid(2, second, 0, Some(3 * RESERVE)));
    world.open(second);
    let (bids, winner, price) = auction(&world, second);
    assert_eq!((who(&bids), winner, price), (vec![wallet(2).address()], Some(0), RESERVE), "alone: the reserve");
    world.audit(0);
}

#[test]
fn a_bid_is_replaced_until_the_close_and_two_of_one_seq_are_none() {
    let net = Net::four();
    let mut world = World::new(net, 73);
    world.guilty_builders.insert(wallet(1).address());
    let sold = sold(&mut world);
    // 0 lowers its bid, 1 says two things at once at two members, 2 is alone with what it says
    let low = net.bid(0, sold, 1, Some(2 * RESERVE));
    for (member, bid) in [
        (0, net.bid(0, sold, 0, Some(9 * RESERVE))),
        (1, low.clone()),
        (2, net.bid(1, sold, 0, Some(8 * RESERVE))),
        (3, net.bid(1, sold, 0, Some(6 * RESERVE))),
        (3, net.bid(2, sold, 0, Some(3 * RESERVE))),
    ] {
        world.bid(member, &bid);
    }
    world.open(sold);
    let (bids, winner, price) = auction(&world, sold);
    assert!(bids.contains(&low));
    assert_eq!(bids.len(), 2);
    assert_eq!(winner.map(|at| bids[at].header.bidder), Some(wallet(2).address()));
    assert_eq!(price, 2 * RESERVE, "what was replaced and what was said twice set no price");
    // the two that do not count stay sealed, pay no fee, and are evidence
    assert_eq!(bond(&world, 1), BOND - BOND / 10);
    world.audit(1);
}

#[test]
fn every_bad_bid_gets_its_refusal() {
    let net = Net::four();
    let mut world = World::new(net, 74);
    let sold = sold(&mut world);
    let good = net.bid(0, sold, 0, Some(5 * RESERVE));
    let signed = |change: &dyn Fn(&mut types::BidHeader), builder: usize| {
        let mut bid = good.clone();
        change(&mut bid.header);
        let digest = crypto::eip712::bid_digest(&bid.header, &crypto::ids::ciphertext_hash(&bid.ciphertext));
        bid.signature = wallet(builder).sign(&digest);
        bid
    };
    let mut foreign = good.clone();
    foreign.header.bidder = wallet(1).address();
    let mut short = good.clone();
    short.ciphertext.pop();
    // the rival's own signature over the ciphertext of another, under its own head
    let copied = signed(&|h| h.bidder = wallet(1).address(), 1);
    let cases = [
        (signed(&|h| h.network = Hash([3; 32]), 0), Reason::WrongNetwork),
        (short, Reason::MalformedData),
        (signed(&|h| h.version = 2, 0), Reason::MalformedData),
        (signed(&|h| h.slot = Slot(sold - 1), 0), Reason::BadRoundNumber),
        (signed(&|h| h.slot = Slot(sold + 9), 0), Reason::BadRoundNumber),
        (signed(&|h| h.epoch = types::Epoch(1), 0), Reason::WrongEpoch),
        (signed(&|h| h.seq = net.params().bid_seq_max + 1, 0), Reason::PerRoundBidLimitReached),
        (signed(&|h| h.cap_class = 7, 0), Reason::MalformedData),
        (signed(&|h| h.cap_class = 6, 0), Reason::InsufficientBalance),
        (signed(&|h| h.bidder = wallet(19).address(), 19), Reason::NotActive),
        (foreign, Reason::WrongSignature),
        (copied, Reason::BadCiphertext),
    ];
    let tickets: Vec<_> = cases.iter().map(|(bid, reason)| (world.bid(0, bid), *reason)).collect();
    let held = world.bid(0, &good);
    world.pass(120);
    for (at, (ticket, reason)) in tickets.iter().enumerate() {
        let answer = world.replies.get(ticket).unwrap_or_else(|| panic!("case {at} waits"));
        assert_eq!(answer.as_ref().map_err(|refusal| refusal.known().unwrap()), Err(*reason), "case {at}");
    }
    assert!(world.replies[&held].is_ok());
    // the same again gets the same receipt; after the close there is none
    let again = world.bid(0, &good);
    world.pass(20);
    assert_eq!(world.replies[&again], world.replies[&held]);
    world.until(2_000, "member 0 closes", |w| w.members[0].lists.contains_key(&Slot(sold - 1)));
    let late = world.bid(0, &net.bid(1, sold, 0, Some(9 * RESERVE)));
    world.pass(20);
    assert_eq!(world.replies[&late].as_ref().map_err(|r| r.known().unwrap()), Err(Reason::BadRoundNumber));
    world.open(sold);
    let (bids, _, price) = auction(&world, sold);
    assert_eq!((who(&bids), price), (vec![wallet(0).address()], RESERVE));
    world.audit(3);
}

#[test]
fn a_bid_that_comes_before_its_ledger_waits() {
    let net = Net::four();
    let mut world = World::new(net, 75);
    let sold = sold(&mut world);
    let early = world.bid(0, &net.bid(0, sold + 1, 0, Some(5 * RESERVE)));
    world.open(sold + 1);
    assert!(world.replies[&early].is_ok());
    assert_eq!(auction(&world, sold), (vec![], None, 0));
    assert_eq!(who(&auction(&world, sold + 1).0), vec![wallet(0).address()]);
    world.audit(0);
}

#[test]
fn a_member_without_a_bid_fetches_it_for_the_block() {
    let net = Net::four();
    let mut world = World::new(net, 76);
    world.filter = Box::new(|passing| match passing.channel {
        Channel::Items if passing.to == 3 => Fate::Lost,
        _ => Fate::Arrives,
    });
    let sold = sold(&mut world);
    world.bid(0, &net.bid(0, sold, 0, Some(5 * RESERVE)));
    world.open(sold);
    assert_eq!(auction(&world, sold).0.len(), 1, "listed by three of four");
    assert!(world.machine(3).opened().0 >= sold);
    world.audit(3);
}

#[test]
fn a_bid_at_one_member_that_tells_nobody_counts_for_nobody() {
    let net = Net::four();
    let mut world = World::new(net, 77);
    world.filter = Box::new(|passing| match passing.channel {
        Channel::Items if passing.from == 0 => Fate::Lost,
        _ => Fate::Arrives,
    });
    let sold = sold(&mut world);
    world.bid(0, &net.bid(0, sold, 0, Some(5 * RESERVE)));
    world.bid(1, &net.bid(1, sold, 0, Some(3 * RESERVE)));
    world.open(sold);
    let (bids, _, price) = auction(&world, sold);
    assert_eq!((who(&bids), price), (vec![wallet(1).address()], RESERVE), "one list is not f + 1");
    world.audit(0);
}

#[test]
fn bids_survive_restarts_before_and_after_the_block_is_final() {
    let net = Net::four();
    for (seed, after) in [(78, 60), (79, 180), (80, 230), (81, 260)] {
        let mut world = World::new(net, seed);
        let sold = sold(&mut world);
        for builder in 0..3u8 {
            let units = (3 + u128::from(builder)) * RESERVE;
            world.bid(usize::from(builder), &net.bid(builder.into(), sold, 0, Some(units)));
        }
        world.pass(after);
        for member in net.members() {
            world.crash(member);
        }
        for member in net.members() {
            world.start(member);
        }
        world.open(sold + 1);
        let (bids, winner, price) = auction(&world, sold);
        assert_eq!(bids.len(), 3, "seed {seed}");
        assert_eq!(winner.map(|at| bids[at].header.bidder), Some(wallet(2).address()));
        assert_eq!(price, 4 * RESERVE);
        world.audit(2);
    }
}

#[test]
fn what_a_signed_list_names_is_served_after_a_restart() {
    let net = Net::four();
    let mut world = World::new(net, 83);
    let quiet = Rc::new(Cell::new(true));
    let hush = Rc::clone(&quiet);
    // the bid is with 0, which has it from the builder, and with 1, which gave no receipt; nobody else can get it
    world.filter = Box::new(move |passing| {
        let lost = match passing.channel {
            Channel::Items => passing.to > 1,
            Channel::Fetch => hush.get(),
            Channel::Lists | Channel::Shares => false,
        };
        if lost { Fate::Lost } else { Fate::Arrives }
    });
    let sold = sold(&mut world);
    world.bid(0, &net.bid(0, sold, 0, Some(5 * RESERVE)));
    world.until(2_000, "all close", |w| w.members.iter().all(|m| m.lists.contains_key(&Slot(sold - 1))));
    world.pass(100);
    world.crash(0);
    world.crash(1);
    world.start(1);
    quiet.set(false);
    world.open(sold);
    assert_eq!(who(&auction(&world, sold).0), vec![wallet(0).address()]);
}

#[test]
fn nobody_takes_the_places_of_another_bidder() {
    let net = Net::four();
    let mut world = World::new(net, 84);
    // says many things of one seq
    world.guilty_builders.insert(wallet(0).address());
    let sold = sold(&mut world);
    let refusal = |world: &World, ticket: Ticket| Some(world.replies.get(&ticket)?.as_ref().err()?.known().unwrap());
    // early or in time, unsigned or of nobody: told at once, and no place is taken
    for slot in [sold, sold + 1] {
        let mut forged = net.bid(0, slot, 0, Some(RESERVE));
        forged.signature.0[7] ^= 1;
        let stranger = net.bid(19, slot, 0, Some(RESERVE));
        let tickets = [world.bid(0, &forged), world.bid(0, &stranger)];
        world.pass(5);
        let [forged, stranger] = tickets.map(|ticket| refusal(&world, ticket).unwrap());
        assert!([Reason::WrongSignature, Reason::NotActive].contains(&forged));
        assert_eq!(stranger, Reason::NotActive);
    }
    // two of each seq are kept, in time and early
    for slot in [sold, sold + 1] {
        let most = u128::from(net.params().bid_seq_max + 1) * 2;
        let many = (0..most + 2).map(|units| net.bid(0, slot, u8::try_from(units / 3).unwrap(), Some(RESERVE + units)));
        let tickets: Vec<_> = many.map(|bid| world.bid(0, &bid)).collect();
        world.pass(5);
        let over = tickets.iter().filter(|t| refusal(&world, **t) == Some(Reason::PerRoundBidLimitReached));
        assert_eq!(over.count(), 2, "slot {slot}");
    }
    world.bid(1, &net.bid(1, sold, 0, Some(2 * RESERVE)));
    world.open(sold);
    let (bids, _, price) = auction(&world, sold);
    assert_eq!((who(&bids), price), (vec![wallet(1).address()], RESERVE));
    world.audit(0);
}

#[test]
fn copies_of_a_bid_take_one_place_and_get_one_receipt() {
    let net = Net::four();
    let mut world = World::new(net, 85);
    for (builder, early) in [(0, 0), (1, 1)] {
        let slot = sold(&mut world) + early;
        // whoever has seen a bid can send it again
        let copied = net.bid(builder, slot, 0, Some(2 * RESERVE));
        let copies: Vec<_> = (0..20).map(|_| world.bid(0, &copied)).collect();
        let higher = world.bid(0, &net.bid(builder, slot, 1, Some(3 * RESERVE)));
        world.open(slot);
        assert!(world.replies[&higher].is_ok(), "{:?}", world.replies[&higher]);
        let first = world.replies[&copies[0]].as_ref().unwrap();
        assert!(copies.iter().all(|copy| world.replies[copy].as_ref() == Ok(first)));
        let (bids, ..) = auction(&world, slot);
        assert_eq!((who(&bids), bids[0].header.seq), (vec![wallet(builder).address()], 1));
    }
    world.audit(2);
}

#[test]
fn the_price_is_split_where_the_right_stands() {
    let net = Net::four();
    let mut world = World::new(net, 82);
    let sold = sold(&mut world);
    world.bid(0, &net.bid(0, sold, 0, Some(5 * RESERVE)));
    world.open(sold + 2);
    let sums = world.log.iter().find_map(|entry| match kind(entry) {
        Kind::Exec { slot, sums, .. } if slot == Slot(sold) => Some(sums.map(Amount::units)),
        _ => None,
    });
    let (committee, rollups) = (RESERVE * 500 / 10_000, RESERVE * 4_500 / 10_000);
    assert_eq!(sums.map(|s| (s[0], s[2], s[3])), Some((RESERVE, rollups, committee)));
    world.audit(0);
}
