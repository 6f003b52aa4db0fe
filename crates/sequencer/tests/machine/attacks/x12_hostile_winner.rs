// a censoring body, a junk body, an absent builder.
//
// Seen in: every design where the winner decides what is in its block; builders and relays of Ethereum have left out
// whole addresses since 2022. Here a body fills what lists do not force, and no more.
// Goal: a unit with Q bytes of better rank before it is in a set within ceil(Q / (forced share of the limit)) + 1 slots,
// although one hostile builder wins every slot. Method: slots of twelve units, six of them forced; a victim behind
// nineteen others; the winner's body names its own junk alone, or the winner sends none. The same bound in bytes, on the
// rule alone: `x12_a_hostile_builder_delays_an_envelope_by_the_bound` in auction-rules.
use crate::{
    bids::RESERVE,
    build::{bodies, body, crowd, submit_to_all, to_all},
    common::{Inside, Net, Order, World},
};
use types::{Hash, Slot, wire};

/// Forced places of a slot.
const FORCED: u64 = 6;
/// Units of better rank than the victim.
const AHEAD: u64 = 19;

/// The slots that the last of a crowd waits for while builder 0 holds every right.
fn delay(seed: u64, junk: bool) -> u64 {
    let net = Net::narrow();
    let mut world = World::new(net, seed);
    world.open(1);
    let first = world.machine(0).last_final().0 + 2;
    world.bid(0, &net.bid(0, first, 0, Some(9 * RESERVE)));
    world.open(first - 1);
    let victim = crowd(&mut world)[19];
    let mut payer = 100;
    for slot in first..first + 12 {
        world.bid(1, &net.bid(0, slot + 1, 0, Some(9 * RESERVE)));
        if junk {
            let own: Vec<Hash> = (0..6)
                .map(|_| {
                    payer += 1;
                    let order = Order { tip: 1_000, ..Order::new(payer, 0, Inside::Junk) };
                    let (hash, envelope) = net.envelope(&order);
                    submit_to_all(&mut world, &envelope);
                    hash
                })
                .collect();
            to_all(&mut world, &body(net, slot, 0, 0, &own));
        }
        world.open(slot);
        let won = world.members[0].told.iter().any(|event| match event {
            wire::Event::Auction { for_slot, sold, .. } => *for_slot == Slot(slot) && sold.is_some(),
            _ => false,
        });
        assert!(won, "the hostile builder holds slot {slot}");
        if world.included().contains(&victim) {
            assert_eq!(bodies(&world).is_empty(), !junk, "its bodies do count");
            (0..4).for_each(|member| world.audit(member));
            return slot - first + 1;
        }
    }
    panic!("never: {}", world.story());
}

#[test]
fn x12_a_winner_of_every_slot_delays_a_unit_by_the_bound_and_no_more() {
    let bound = AHEAD.div_ceil(FORCED) + 1;
    let waited = delay(331, true);
    assert!(waited <= bound, "{waited} slots of at most {bound}");
    assert!(waited > 2, "the attack must bite: without it the victim waits for two slots, not {waited}");
}

#[test]
fn x12_an_absent_winner_delays_nothing() {
    assert_eq!(delay(332, false), 2, "twenty units, twelve a slot, by rank");
}
