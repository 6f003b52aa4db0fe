// Goal: what builders may try with bids, bodies and tails, one by one, and what it gets them. Method: a builder in a
// network of honest members; the log, the ledger and an auditor of every log say what came of it. Refused bids are in
// bids.rs, refused bodies and tails and two of one seq in build.rs, slashes in slashes.rs.
use crate::{
    bids::{BOND, FEE, RESERVE, auction, bond, sold, who},
    build::{bodies, body, bought, coins, crowd, left, outcomes, refusal, reveal, submit_to_all, tail, tails, to_all},
    common::{
        Fate, Inside, Net, Order, World,
        net::{CHAIN, wallet},
        world::kind,
    },
};
use execution::demo::{LegTx, TRANSFER_GAS, gas_class};
use sequencer::Channel;
use std::sync::OnceLock;
use types::{
    Amount, Bid, Hash, Kind, Object, Params, Slot,
    reason::{Outcome, Reason, Why},
    wire,
};

/// What a block fixed for a slot.
fn set(world: &World, slot: u64) -> Vec<Hash> {
    let of_slot = |event: &wire::Event| match event {
        wire::Event::Final { slot: of, set } if of.0 == slot => Some(set.clone()),
        _ => None,
    };
    world.members[0].told.iter().find_map(of_slot).unwrap()
}

fn audit_all(world: &World) {
    (0..4).for_each(|member| world.audit(member));
}

fn sorted(mut hashes: Vec<Hash>) -> Vec<Hash> {
    hashes.sort_unstable();
    hashes
}

/// Balance and bond.
fn worth(world: &World, builder: usize) -> u128 {
    let account = world.machine(0).account(&wallet(builder).address()).account.unwrap();
    account.balance.units() + account.bond.units()
}

#[test]
fn a_bid_above_its_cap_is_void_and_fined() {
    let net = Net::four();
    let mut world = World::new(net, 321);
    let sold = sold(&mut world);
    // a cap of class 2 is a hundred units
    let cap = 100 * net.params().cap_unit.units();
    world.bid(0, &net.bid(0, sold, 0, Some(cap + 1)));
    world.bid(1, &net.bid(1, sold, 0, Some(cap)));
    world.open(sold);
    let (bids, winner, price) = auction(&world, sold);
    assert_eq!(bids.len(), 2);
    assert_eq!(winner.map(|at| bids[at].header.bidder), Some(wallet(1).address()), "as much as its cap is no fault");
    assert_eq!(price, RESERVE, "what is void sets no price");
    assert_eq!(bond(&world, 0), BOND - FEE - RESERVE, "the fine is the reserve, which is above ten fees");
    assert_eq!(bond(&world, 1), BOND - FEE - RESERVE, "the price");
    audit_all(&world);
}

/// Malleability and replay: whoever reads a rival's bid on its way can make nothing of it.
#[test]
fn a_rivals_ciphertext_is_worth_nothing_whatever_is_changed_on_it() {
    let net = Net::four();
    let mut world = World::new(net, 322);
    let first = sold(&mut world);
    let rival = net.bid(0, first, 0, Some(5 * RESERVE));
    world.bid(1, &rival);
    let signed = |mut bid: Bid| {
        let digest = crypto::eip712::bid_digest(&bid.header, &crypto::ids::ciphertext_hash(&bid.ciphertext));
        bid.signature = wallet(1).sign(&digest);
        bid
    };
    let own_head = net.bid(1, first, 0, Some(RESERVE)).header;
    let mut cases = vec![(signed(Bid { header: own_head, ..rival.clone() }), Reason::BadCiphertext)];
    // one bit of each part of it: U, the sealed bytes, the proof
    let length = rival.ciphertext.len();
    for at in [0, 60, 130, length / 2, length - 70, length - 1] {
        let mut mauled = Bid { header: own_head, ..rival.clone() };
        mauled.ciphertext[at] ^= 1;
        cases.push((signed(mauled), Reason::BadCiphertext));
    }
    // the rival's own bid with a bit of it changed, or as a bid of another seq, class or slot
    let mut mauled = rival.clone();
    mauled.ciphertext[length - 1] ^= 1;
    cases.push((mauled, Reason::WrongSignature));
    let heads: [fn(&mut types::BidHeader); 2] = [|h| h.seq = 3, |h| h.cap_class = 1];
    for change in heads {
        let mut other = rival.clone();
        change(&mut other.header);
        cases.push((other, Reason::WrongSignature));
    }
    // the mirror image of its signature is none, so nobody makes a second bid of one
    let mut mirrored = rival.clone();
    mirrored.signature.0[64] ^= 7;
    cases.push((mirrored, Reason::WrongSignature));
    let tickets: Vec<_> = cases.iter().map(|(bid, _)| world.bid(0, bid)).collect();
    world.pass(120);
    for (at, (ticket, (_, reason))) in tickets.iter().zip(&cases).enumerate() {
        let answer = world.replies.get(ticket).unwrap_or_else(|| panic!("case {at} waits"));
        assert_eq!(answer.as_ref().map_err(|r| r.known().unwrap()), Err(*reason), "case {at}");
    }
    world.open(first);
    assert_eq!(who(&auction(&world, first).0), vec![wallet(0).address()]);
    // the bid itself in a later slot
    let second = sold(&mut world);
    let replayed = world.bid(0, &rival);
    let mut moved = rival.clone();
    moved.header.slot = Slot(second);
    let moved = world.bid(0, &moved);
    world.open(second);
    let told = |ticket| world.replies[&ticket].as_ref().map_err(|r| r.known().unwrap());
    assert_eq!(told(replayed), Err(Reason::BadRoundNumber));
    assert_eq!(told(moved), Err(Reason::WrongSignature));
    assert_eq!(auction(&world, second), (vec![], None, 0));
    assert!(world.members.iter().all(|member| member.evidence.is_empty()), "and nobody is convicted by copies");
    audit_all(&world);
}

/// The slot is full, so that a body would decide.
#[test]
fn a_winner_that_delivers_nothing_pays_and_harms_nobody() {
    let net = Net::narrow();
    let mut world = World::new(net, 323);
    let slot = bought(&mut world);
    let ranked = crowd(&mut world);
    let (before, unit) = (world.machine(0).account(&wallet(0).address()).account.unwrap().balance, ranked[19]);
    world.open(slot + 3);
    assert_eq!(set(&world, slot), sorted(ranked[..12].to_vec()), "by rank to the end");
    assert!(bodies(&world).is_empty() && tails(&world).is_empty());
    assert_eq!(bond(&world, 0), BOND - FEE - RESERVE, "alone: the reserve, which does not come back");
    // builder 0 pays as a user of the next slot, and has no share of anybody's fee
    assert_eq!(world.outcome(0, &unit), Some(Outcome::Committed));
    assert!(world.machine(0).account(&wallet(0).address()).account.unwrap().balance < before);
    let price = world.log.iter().find_map(|entry| match kind(entry) {
        Kind::Exec { slot: of, sums, .. } if of.0 == slot => Some(sums[0]),
        _ => None,
    });
    assert_eq!(price.map(Amount::units), Some(RESERVE), "split as if it had built");
    audit_all(&world);
}

#[test]
fn a_body_of_what_nobody_lists_places_nothing() {
    let net = Net::narrow();
    let mut world = World::new(net, 324);
    let slot = bought(&mut world);
    let ranked = crowd(&mut world);
    // one that member 0 alone ever holds, one of another slot, one that nobody has
    world.filter = Box::new(|passing| match passing.channel {
        Channel::Items if passing.from == 0 => Fate::Lost,
        _ => Fate::Arrives,
    });
    let (unlisted, envelope) = net.envelope(&Order { tip: 1 << 40, ..Order::new(40, 0, Inside::Junk) });
    let held = world.submit(0, &envelope);
    let object = body(net, slot, 0, 0, &[unlisted, Hash([3; 32]), ranked[19], unlisted]);
    to_all(&mut world, &object);
    world.open(slot);
    assert!(world.replies[&held].is_ok(), "one member holds it and lists it");
    assert_eq!(set(&world, slot), sorted([&ranked[..6], &ranked[19..], &ranked[6..11]].concat()));
    world.filter = Box::new(|_| Fate::Arrives);
    world.open(slot + 2);
    assert_eq!(bodies(&world).len(), 1);
    audit_all(&world);
}

/// What the accounts of a builder are worth after it has bought a slot and filled it up, with its own units or others'.
fn after_building(own_junk: bool) -> (u128, Vec<Hash>, World) {
    let net = Net::narrow();
    let mut world = World::new(net, 325);
    let slot = bought(&mut world);
    let ranked = crowd(&mut world);
    // units of the builder's own account, below everybody's rank
    let junk: Vec<Hash> = (1..5)
        .map(|nonce| {
            let (hash, envelope) = net.envelope(&Order { tip: 1_000, ..Order::new(0, nonce, Inside::Transfer) });
            if own_junk {
                submit_to_all(&mut world, &envelope);
            }
            hash
        })
        .collect();
    // its own first unit is ranked last: behind it stand the others
    let placed = if own_junk { [&ranked[19..], &junk].concat() } else { ranked[15..].to_vec() };
    to_all(&mut world, &body(net, slot, 0, 0, &placed));
    world.open(slot + 4);
    let rest = ranked[6..].iter().copied().filter(|hash| !placed.contains(hash)).take(6 - placed.len());
    let wanted = ranked[..6].iter().copied().chain(placed.iter().copied()).chain(rest).collect();
    assert_eq!(set(&world, slot), sorted(wanted));
    audit_all(&world);
    (worth(&world, 0), junk, world)
}

/// Junk takes at most what lists do not force, pays in full, and gives its builder less than honest units do.
#[test]
fn a_body_of_its_own_junk_costs_its_builder() {
    let (honest, ..) = after_building(false);
    let (own, junk, world) = after_building(true);
    assert!(junk.iter().all(|hash| world.outcome(0, hash) == Some(Outcome::Committed)));
    // each of four units costs at least a tenth of the base price, whatever comes back
    let base = FEE - 1 + (1 << gas_class(TRANSFER_GAS));
    assert!(honest > own && honest - own >= 4 * base / 10, "{honest} with honest units, {own} with its own");
}

fn tight() -> &'static Net {
    static NET: OnceLock<Net> = OnceLock::new();
    NET.get_or_init(|| Net::new(4, Params { tail_bytes_max: 600, ..Params::default_for(500) }))
}

#[test]
fn a_tail_above_its_budget_is_refused_and_one_members_list_brings_none_in() {
    let net = tight();
    let mut world = World::new(net, 326);
    let slot = bought(&mut world);
    world.open(slot);
    let named = reveal(&world, slot);
    let fits = tail(net, slot, named, 0, vec![coins(8, 0)]);
    let big = tail(net, slot, named, 1, (0..6).map(|nonce| coins(8, nonce)).collect());
    let tickets = to_all(&mut world, &big);
    world.pass(5);
    assert!(tickets.iter().all(|ticket| refusal(&world, *ticket) == Some(Reason::OversizedData)));
    to_all(&mut world, &fits);
    // a member that lists what it must not
    let items = crate::common::wire::Items {
        objects: vec![types::codec::encode(&big)],
        ..crate::common::wire::Items::default()
    };
    for to in 0..3 {
        world.inject(3, to, Channel::Items, types::codec::encode(&items));
    }
    world.open(slot + 2);
    let run: Vec<Object> = tails(&world).into_iter().map(|(_, tail)| Object::Tail(Box::new(tail))).collect();
    assert_eq!(run, [fits]);
    assert!(left(&world).iter().all(|(_, why)| *why != Why::Superseded.number()));
    audit_all(&world);
}

#[test]
fn a_tail_bundle_above_the_gas_of_tails_is_dropped_and_stops_nothing() {
    let net = Net::four();
    let mut world = World::new(net, 327);
    let slot = bought(&mut world);
    let (unit, envelope) = net.envelope(&Order::new(3, 0, Inside::Transfer));
    submit_to_all(&mut world, &envelope);
    world.open(slot);
    // half of a tenth of the block is a slot's: a leg declares more, two together do, the rest fits
    let cap = net.network.genesis.rollups[0].gas_limit / 20;
    let declares = |from: usize, nonce: u64, gas_limit: u64| {
        let tx = LegTx {
            chain_id: CHAIN,
            nonce,
            to: wallet(1).address(),
            value: 5,
            data: Vec::new(),
            gas_limit,
            max_fee_per_gas: 10_000_000_000,
            max_priority_fee_per_gas: 1,
        };
        let mut bundle = coins(from, nonce);
        bundle.legs = vec![tx.leg(&wallet(from).sign(&tx.digest()))];
        bundle
    };
    let bundles =
        vec![declares(7, 0, cap + 1), declares(7, 0, cap), declares(8, 0, cap - TRANSFER_GAS + 1), coins(9, 0)];
    let object = tail(net, slot, reveal(&world, slot), 0, bundles);
    to_all(&mut world, &object);
    world.open(slot + 2);
    assert_eq!(world.outcome(0, &unit), Some(Outcome::Committed));
    let wanted = [Outcome::Committed, Outcome::TailGas, Outcome::Committed, Outcome::TailGas, Outcome::Committed];
    assert_eq!(outcomes(&world, slot).0, wanted);
    audit_all(&world);
}
