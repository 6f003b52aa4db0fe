// Goal: in the network: what the holder of a right sends decides what it may, and nothing
// else. Method: builders that buy slots and send bodies and tails to some members or all; what the log, the ledger and the
// refusals say; restarts, empty blocks, slots beyond their limits; an auditor reads every log.
use crate::common::{
    Inside, Net, Order, World,
    net::{transfer, wallet},
    world::kind,
};
use crypto::build;
use sequencer::Ticket;
use types::{
    Body, BuildHeader, Bundle, Envelope, Hash, Kind, Leaf, MemberId, Object, Slot, Tail, codec, limits,
    reason::{Finding, Outcome, Reason, Why},
    wire,
};

const RESERVE: u128 = 10_000_000_000_000;
/// The bond of every builder.
const BOND: u128 = 1_000_000_000_000_000_000;
/// a tenth of the bond, which is more than ten reserves.
const BOND_SLASHED: u128 = (BOND - RESERVE - FEE) / 10;
/// Base fee of size class 0 at floor prices.
const FEE: u128 = 16 * 512 + 1;

/// The slot that builder 0 has bought, opened by nobody yet.
pub(crate) fn bought(world: &mut World) -> u64 {
    let last = world.members.iter().filter_map(|m| m.machine.as_ref()).map(|m| m.last_final().0).max().unwrap();
    world.open(last.max(1));
    let sold = world.machine(0).last_final().0 + 2;
    let bid = world.net.bid(0, sold, 0, Some(5 * RESERVE));
    for member in 0..2 {
        world.bid(member, &bid);
    }
    world.open(sold - 1);
    sold
}

pub(crate) fn header(net: &Net, slot: u64, builder: usize, seq: u8) -> BuildHeader {
    let epoch = net.params().schedule().epoch_of(Slot(slot));
    BuildHeader { version: 1, network: net.id, epoch, slot: Slot(slot), builder: wallet(builder).address(), seq }
}

pub(crate) fn body(net: &Net, slot: u64, builder: usize, seq: u8, units: &[Hash]) -> Object {
    Object::Body(Box::new(build::body(&wallet(builder), header(net, slot, builder, seq), units.to_vec())))
}

pub(crate) fn tail(net: &Net, slot: u64, reveal: Hash, seq: u8, bundles: Vec<Bundle>) -> Object {
    Object::Tail(Box::new(build::tail(&wallet(0), header(net, slot, 0, seq), reveal, bundles)))
}

/// Five wei by the wallet's transaction of this nonce.
pub(crate) fn coins(from: usize, nonce: u64) -> Bundle {
    transfer(&Order::new(from, nonce, Inside::Transfer))
}

pub(crate) fn reveal(world: &World, slot: u64) -> Hash {
    let mut of_slot = world.members[0].told.iter().filter_map(|event| match event {
        wire::Event::Opened { slot: opened, reveal, .. } if opened.0 == slot => Some(*reveal),
        _ => None,
    });
    of_slot.next().expect("the slot is opened")
}

pub(crate) fn submit_to_all(world: &mut World, envelope: &Envelope) {
    for member in 0..4 {
        world.submit(member, envelope);
    }
}

pub(crate) fn to_all(world: &mut World, object: &Object) -> Vec<Ticket> {
    world.net.members().map(|member| world.build(member, object)).collect()
}

pub(crate) fn refusal(world: &World, ticket: Ticket) -> Option<Reason> {
    world.taken[&ticket].as_ref().err().and_then(wire::Refusal::known)
}

pub(crate) fn tails(world: &World) -> Vec<(u64, Tail)> {
    let tail = |entry: &Vec<u8>| match kind(entry) {
        Kind::Tail { slot, bytes } => Some((slot.0, codec::decode(&bytes, limits::TAIL_BYTES_MAX).unwrap())),
        _ => None,
    };
    world.log.iter().filter_map(tail).collect()
}

pub(crate) fn bodies(world: &World) -> Vec<(u64, Body)> {
    let body = |entry: &Vec<u8>| match kind(entry) {
        Kind::Body { slot, bytes } => Some((slot.0, codec::decode(&bytes, limits::BODY_BYTES_MAX).unwrap())),
        _ => None,
    };
    world.log.iter().filter_map(body).collect()
}

/// Codes of a slot's EXEC, and the units of its order.
pub(crate) fn outcomes(world: &World, slot: u64) -> (Vec<Outcome>, usize) {
    let mut order = 0;
    for entry in &world.log {
        match kind(entry) {
            Kind::Order { slot: of, perm, .. } if of.0 == slot => order = perm.len(),
            Kind::Exec { slot: of, outcomes, .. } if of.0 == slot => {
                return (outcomes.iter().map(|code| Outcome::from_number(*code).unwrap()).collect(), order);
            }
            _ => {}
        }
    }
    panic!("no EXEC of slot {slot}: {}", world.story())
}

/// Why leaves of bodies and tails have no entry.
pub(crate) fn left(world: &World) -> Vec<(Hash, u8)> {
    let items = world.log.iter().flat_map(|entry| match kind(entry) {
        Kind::Left { items, .. } => items,
        _ => Vec::new(),
    });
    let built = items.filter(|item| matches!(item.leaf, Leaf::Body { .. } | Leaf::Tail { .. }));
    built.map(|item| (item.leaf.hash(), item.why)).collect()
}

pub(crate) fn hash(object: &Object) -> Hash {
    crypto::ids::object_hash(object)
}

#[test]
fn a_tail_runs_after_the_units_of_its_slot() {
    let net = Net::four();
    let mut world = World::new(net, 91);
    let slot = bought(&mut world);
    let (unit, envelope) = net.envelope(&Order::new(3, 0, Inside::Transfer));
    submit_to_all(&mut world, &envelope);
    world.open(slot);
    // wallet 3's second transaction finds its nonce only after the unit; the last one aborts and stops nothing
    let bundles = vec![coins(3, 1), coins(7, 9), coins(8, 0)];
    let object = tail(net, slot, reveal(&world, slot), 0, bundles);
    let tickets = to_all(&mut world, &object);
    world.open(slot + 2);
    assert!(tickets.iter().all(|ticket| world.taken[ticket].is_ok()), "{:?}", world.taken);
    assert_eq!(world.outcome(0, &unit), Some(Outcome::Committed));
    let (codes, units) = outcomes(&world, slot);
    assert_eq!(units, 1);
    assert_eq!(codes[0], Outcome::Committed);
    assert_eq!((codes[1], codes[3], codes.len()), (Outcome::Committed, Outcome::Committed, 4));
    assert!(codes[2].is_aborted(), "{:?}", codes[2]);
    assert_eq!(tails(&world).iter().map(|(slot, _)| *slot).collect::<Vec<_>>(), [slot]);
    let told = |event: &wire::Event| matches!(event, wire::Event::Tail { slot: of, outcomes } if of.0 == slot && outcomes.len() == 3);
    assert!(world.members.iter().all(|member| member.told.iter().any(told)));
    (0..4).for_each(|member| world.audit(member));
}

#[test]
fn a_tail_that_is_not_its_winners_is_refused() {
    let net = Net::four();
    let mut world = World::new(net, 92);
    let slot = bought(&mut world);
    world.open(slot);
    let named = reveal(&world, slot);
    let alter = |change: &dyn Fn(&mut Tail)| {
        let Object::Tail(mut tail) = tail(net, slot, named, 0, vec![coins(8, 0)]) else { panic!("a tail") };
        change(&mut tail);
        Object::Tail(tail)
    };
    let by = |builder: usize, signer: usize| {
        let tail = build::tail(&wallet(signer), header(net, slot, builder, 0), named, vec![coins(8, 0)]);
        Object::Tail(Box::new(tail))
    };
    let many = usize::from(net.params().tail_bundles_max) + 1;
    let cases = [
        (tail(net, slot, Hash([1; 32]), 0, vec![coins(8, 0)]), Reason::MalformedData),
        (tail(net, slot, named, 0, Vec::new()), Reason::MalformedData),
        (tail(net, slot, named, 0, vec![coins(8, 0); many]), Reason::OversizedData),
        (tail(net, slot - 1, named, 0, vec![coins(8, 0)]), Reason::BadRoundNumber),
        (tail(net, slot + 9, named, 0, vec![coins(8, 0)]), Reason::BadRoundNumber),
        (tail(net, slot, named, 9, vec![coins(8, 0)]), Reason::PerRoundBidLimitReached),
        (by(1, 1), Reason::NotWinner),
        (by(0, 1), Reason::WrongSignature),
        (alter(&|tail| tail.signature.0[5] ^= 1), Reason::WrongSignature),
        (alter(&|tail| tail.header.network.0[0] ^= 1), Reason::WrongNetwork),
        (alter(&|tail| tail.header.version = 2), Reason::MalformedData),
        (alter(&|tail| tail.header.epoch.0 += 1), Reason::WrongEpoch),
    ];
    let tickets: Vec<Ticket> = cases.iter().map(|(object, _)| world.build(0, object)).collect();
    world.pass(20);
    for (ticket, (object, reason)) in tickets.into_iter().zip(&cases) {
        assert_eq!(refusal(&world, ticket), Some(*reason), "{object:?}");
    }
    // after the close
    world.until(5_000, "the next slot is final", |w| w.machine(0).last_final().0 > slot);
    let late = world.build(0, &tail(net, slot, named, 0, vec![coins(8, 0)]));
    world.open(slot + 3);
    assert_eq!(refusal(&world, late), Some(Reason::BadRoundNumber));
    assert_eq!(tails(&world), []);
    world.audit(1);
}

/// FAULT entries against builder 0, and what its bond has lost.
fn slashes(world: &World) -> (Vec<Finding>, u128) {
    let fault = |entry: &Vec<u8>| match kind(entry) {
        Kind::Fault { finding, .. } => Finding::from_number(finding),
        _ => None,
    };
    let bond = world.machine(0).account(&wallet(0).address()).account.unwrap().bond.units();
    (world.log.iter().filter_map(fault).collect(), BOND - bond)
}

#[test]
fn of_two_tails_with_one_seq_none_counts_and_both_convict() {
    let net = Net::four();
    let mut world = World::new(net, 93);
    world.guilty_builders.insert(wallet(0).address());
    let slot = bought(&mut world);
    world.open(slot);
    let named = reveal(&world, slot);
    let both = [0, 1].map(|nonce| tail(net, slot, named, 0, vec![coins(8, nonce)]));
    let before = slashes(&world).1;
    for object in &both {
        to_all(&mut world, object);
    }
    world.open(slot + 4);
    assert_eq!(tails(&world), []);
    let mut twice = both.each_ref().map(|object| (hash(object), Why::Double.number()));
    twice.sort_unstable();
    assert_eq!(left(&world), twice);
    let (faults, lost) = slashes(&world);
    assert_eq!((faults, lost - before), (vec![Finding::TailDouble], BOND_SLASHED));
    // barred: it bids for nothing any more
    let next = world.machine(0).last_final().0 + 3;
    let barred = world.bid(0, &net.bid(0, next, 0, Some(5 * RESERVE)));
    world.open(next);
    assert!(world.replies[&barred].is_err());
    (0..4).for_each(|member| world.audit(member));
}

#[test]
fn a_tail_of_a_higher_seq_replaces() {
    let net = Net::four();
    let mut world = World::new(net, 103);
    let slot = bought(&mut world);
    world.open(slot);
    let named = reveal(&world, slot);
    let [low, high] = [0, 1].map(|seq| tail(net, slot, named, seq, vec![coins(9, u64::from(seq))]));
    // at different members: each tells the others
    world.build(1, &high);
    world.build(2, &low);
    world.open(slot + 2);
    let run: Vec<Object> = tails(&world).into_iter().map(|(_, tail)| Object::Tail(Box::new(tail))).collect();
    assert_eq!(run, [high]);
    assert_eq!(left(&world), [(hash(&low), Why::Superseded.number())]);
    (0..4).for_each(|member| world.audit(member));
}

/// Twenty envelopes for slots of twelve, in the order of their ranks: the best first.
pub(crate) fn crowd(world: &mut World) -> Vec<Hash> {
    let mut hashes = Vec::new();
    for wallet in (0..20).rev() {
        let (hash, envelope) = world.net.envelope(&Order::new(wallet, 0, Inside::Transfer));
        submit_to_all(world, &envelope);
        hashes.push(hash);
    }
    hashes
}

#[test]
fn a_body_fills_what_lists_do_not_force() {
    let net = Net::narrow();
    let mut world = World::new(net, 94);
    let slot = bought(&mut world);
    let ranked = crowd(&mut world);
    // what it names: unknown, forced anyway, one twice, and the three worst
    let named = [Hash([7; 32]), ranked[0], ranked[19], ranked[18], ranked[19], ranked[17]];
    let object = body(net, slot, 0, 0, &named);
    to_all(&mut world, &object);
    let before = world.machine(0).account(&wallet(0).address()).account.unwrap().balance;
    world.open(slot + 2);
    assert_eq!(bodies(&world).iter().map(|(slot, _)| *slot).collect::<Vec<_>>(), [slot]);
    let set: Vec<Hash> = world.members[0]
        .told
        .iter()
        .find_map(|event| match event {
            wire::Event::Final { slot: of, set } if of.0 == slot => Some(set.clone()),
            _ => None,
        })
        .unwrap();
    let mut wanted: Vec<Hash> = [&ranked[..6], &ranked[17..], &ranked[6..9]].concat();
    wanted.sort_unstable();
    assert_eq!(set, wanted, "six are forced, then the body's, then by rank");
    // of what its body placed the builder has a tenth of the fees, and nothing of the rest
    let after = world.machine(0).account(&wallet(0).address()).account.unwrap().balance;
    let own_fees = after.units() as i128 - before.units() as i128;
    assert!(own_fees != 0, "wallet 0 pays for its own unit and gets its share");
    (0..4).for_each(|member| world.audit(member));
}

#[test]
fn whoever_has_bought_a_slot_is_told_what_its_body_could_place() {
    let net = Net::narrow();
    let mut world = World::new(net, 98);
    let slot = bought(&mut world);
    let coming = slot;
    assert_eq!(world.machine(2).last_final().0 + 1, coming);
    let ask = |builder: usize, member: u16, slot: u64| {
        build::ask_pending(&wallet(builder), net.id, MemberId(member), Slot(slot))
    };
    let told = world.ask_pending(1, &ask(0, 1, coming)).unwrap();
    assert_eq!(told, wire::Pending { slot: Slot(coming), units: Vec::new() }, "there is room for all that waits");
    let ranked = crowd(&mut world);
    world.until(3_000, "all wait", |w| w.machine(2).pending().0 == ranked.len());
    assert_eq!(world.machine(2).last_final().0 + 1, coming, "nothing of the crowd is final");
    let told = world.ask_pending(2, &ask(0, 2, coming)).unwrap();
    assert_eq!(told.slot, Slot(coming));
    let hashes: Vec<Hash> = told.units.iter().map(|unit| unit.hash).collect();
    assert_eq!(hashes, ranked[6..], "without the six that rank forces, the best rank first");
    assert!(told.units.is_sorted_by_key(|unit| core::cmp::Reverse(unit.fee_per_byte)));

    let why = |answer: Result<wire::Pending, wire::Refusal>| answer.unwrap_err().known();
    let good = ask(0, 2, coming);
    let forged = ask(0, 3, coming);
    for (request, reason) in [
        (wire::PendingRequest { network: Hash([1; 32]), ..good }, Reason::WrongNetwork),
        (ask(0, 1, coming), Reason::WrongNetwork),
        (ask(0, 2, coming + 1), Reason::BadRoundNumber),
        (ask(0, 2, coming - 1), Reason::BadRoundNumber),
        (ask(9, 2, coming), Reason::NotWinner),
        (ask(1, 2, coming), Reason::NotWinner),
        (wire::PendingRequest { signature: forged.signature, ..good }, Reason::WrongSignature),
    ] {
        assert_eq!(why(world.ask_pending(2, &request)), Some(reason));
    }
    // two questions a slot, and what was refused counts for none
    assert_eq!(world.ask_pending(2, &good).unwrap(), told);
    assert_eq!(why(world.ask_pending(2, &good)), Some(Reason::Quota));
    let closed = |w: &World| w.members[2].disk.list.as_ref().is_some_and(|(slot, _)| slot.0 == coming);
    world.until(3_000, "member 2 has listed", closed);
    assert_eq!(why(world.ask_pending(2, &good)), Some(Reason::BadRoundNumber), "a body would come too late");
    world.open(coming);
    let next = world.machine(2).last_final().0 + 1;
    assert_eq!(why(world.ask_pending(2, &ask(0, 2, next))), Some(Reason::NotWinner), "nobody has bought the next");
}

#[test]
fn what_must_stand_before_a_unit_is_told_before_it() {
    let net = Net::narrow();
    let mut world = World::new(net, 99);
    let slot = bought(&mut world);
    let mut chains = Vec::new();
    for wallet in (0..12).rev() {
        // the second pays more, and ranks with the first
        let mut chain = Vec::new();
        for nonce in 0..2u64 {
            let mut order = Order::new(wallet, nonce, Inside::Transfer);
            order.tip += u128::from(nonce) * 900_000;
            let (hash, envelope) = world.net.envelope(&order);
            submit_to_all(&mut world, &envelope);
            chain.push(hash);
        }
        chains.push(chain);
    }
    world.until(3_000, "all wait", |w| w.machine(2).pending().0 == 24);
    let request = build::ask_pending(&wallet(0), net.id, MemberId(2), Slot(slot));
    let units: Vec<Hash> = world.ask_pending(2, &request).unwrap().units.into_iter().map(|unit| unit.hash).collect();
    assert_eq!(units.len(), 18);
    let place = |hash: &Hash| units.iter().position(|unit| unit == hash);
    for chain in &chains {
        if let Some(second) = place(&chain[1]) {
            assert!(place(&chain[0]).is_none_or(|first| first < second), "{units:?}");
        }
    }
    // so a body in this order places as much as there is room for
    to_all(&mut world, &body(net, slot, 0, 0, &units));
    world.open(slot + 2);
    let (_, body) = bodies(&world).pop().unwrap();
    assert_eq!(body.units, units);
    (0..4).for_each(|member| world.audit(member));
}

#[test]
fn a_body_of_a_slot_with_room_is_unused() {
    let net = Net::four();
    let mut world = World::new(net, 95);
    let slot = bought(&mut world);
    let (unit, envelope) = net.envelope(&Order::new(3, 0, Inside::Transfer));
    submit_to_all(&mut world, &envelope);
    let object = body(net, slot, 0, 0, &[unit]);
    let tickets = to_all(&mut world, &object);
    let rival = world.build(0, &body(net, slot, 1, 0, &[unit]));
    let forged = Object::Body(Box::new(build::body(&wallet(1), header(net, slot, 0, 0), vec![unit])));
    let forged = world.build(0, &forged);
    let stale = world.build(0, &body(net, slot - 1, 0, 0, &[unit]));
    world.open(slot + 2);
    assert!(tickets.iter().all(|ticket| world.taken[ticket].is_ok()));
    assert_eq!(refusal(&world, rival), Some(Reason::NotWinner));
    assert_eq!(refusal(&world, forged), Some(Reason::WrongSignature));
    assert_eq!(refusal(&world, stale), Some(Reason::BadRoundNumber));
    assert_eq!(bodies(&world), []);
    assert_eq!(left(&world), [(hash(&object), Why::Unused.number())]);
    world.audit(0);
}

#[test]
fn two_bodies_of_one_seq_place_nothing_and_convict() {
    let net = Net::narrow();
    let mut world = World::new(net, 96);
    world.guilty_builders.insert(wallet(0).address());
    let slot = bought(&mut world);
    let before = slashes(&world).1;
    let ranked = crowd(&mut world);
    for units in [&ranked[17..18], &ranked[18..19]] {
        to_all(&mut world, &body(net, slot, 0, 0, units));
    }
    world.open(slot + 3);
    assert_eq!(bodies(&world), []);
    assert_eq!(left(&world).iter().filter(|(_, why)| *why == Why::Double.number()).count(), 2);
    let (faults, lost) = slashes(&world);
    assert_eq!((faults, lost - before), (vec![Finding::BodyDouble], BOND_SLASHED));
    world.audit(3);
}

#[test]
fn two_bodies_at_two_members_convict_although_the_slot_has_room() {
    let net = Net::four();
    let mut world = World::new(net, 104);
    world.guilty_builders.insert(wallet(0).address());
    let slot = bought(&mut world);
    world.build(1, &body(net, slot, 0, 2, &[Hash([1; 32])]));
    world.build(2, &body(net, slot, 0, 2, &[Hash([2; 32])]));
    world.open(slot + 3);
    assert_eq!(slashes(&world).0, [Finding::BodyDouble]);
    world.audit(1);
}

#[test]
fn a_right_passes_an_empty_block_and_its_tail_waits() {
    let net = Net::four();
    let mut world = World::new(net, 97);
    let slot = bought(&mut world);
    let (_, envelope) = net.envelope(&Order::new(3, 0, Inside::Transfer));
    submit_to_all(&mut world, &envelope);
    // what follows the slot gets no votes of its own: an empty block stands in
    world.consensus.withheld.extend([slot]);
    world.open(slot);
    let object = tail(net, slot, reveal(&world, slot), 0, vec![coins(3, 1)]);
    to_all(&mut world, &object);
    world.open(slot + 3);
    let empty = world.log.iter().any(|entry| {
        matches!(kind(entry), Kind::Close { slot: of, header, .. } if of.0 == slot + 1 && header.lists.count == 0)
    });
    assert!(empty, "{}", world.story());
    let (codes, units) = outcomes(&world, slot);
    assert_eq!((codes, units), (vec![Outcome::Committed; 2], 1));
    (0..4).for_each(|member| world.audit(member));
}

#[test]
fn a_listed_tail_survives_restarts() {
    for seed in 98..102 {
        let net = Net::four();
        let mut world = World::new(net, seed);
        let slot = bought(&mut world);
        world.open(slot);
        let object = tail(net, slot, reveal(&world, slot), 0, vec![coins(8, 0)]);
        to_all(&mut world, &object);
        let listed = |world: &World, member: usize| world.members[member].lists.contains_key(&Slot(slot + 1));
        world.until(5_000, "all have listed", |w| (0..4).all(|member| listed(w, member)));
        // nobody holds it in memory any more
        (0..4).for_each(|member| world.crash(member));
        (0..4).for_each(|member| world.start(member));
        world.open(slot + 3);
        assert_eq!(tails(&world).len(), 1, "seed {seed} slot {slot}: {:?}\n{}", left(&world), world.story());
        assert_eq!(outcomes(&world, slot).0, [Outcome::Committed]);
        (0..4).for_each(|member| world.audit(member));
    }
}

#[test]
fn a_member_that_lags_fetches_body_and_tail() {
    let net = Net::narrow();
    let mut world = World::new(net, 102);
    let slot = bought(&mut world);
    // member 3 hears of neither until it needs them
    world.filter = Box::new(|passing| match passing.channel {
        sequencer::Channel::Items if passing.to == 3 => crate::common::Fate::Lost,
        _ => crate::common::Fate::Arrives,
    });
    let ranked = crowd(&mut world);
    world.build(0, &body(net, slot, 0, 0, &ranked[17..]));
    world.open(slot);
    let object = tail(net, slot, reveal(&world, slot), 0, vec![coins(8, 5)]);
    world.build(1, &object);
    world.open(slot + 2);
    assert_eq!((bodies(&world).len(), tails(&world).len()), (1, 1));
    (0..4).for_each(|member| world.audit(member));
}
