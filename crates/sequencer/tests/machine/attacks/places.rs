// Goal: no builder uses up the room that another one's bodies and tails need at members that lag. Method: a member cannot
// open a slot yet; five bonded rivals send it all that it may keep for later, signed and each under a seq of its own, so
// that it costs them nothing; then the winner's body comes.
use crate::{
    bids::{RESERVE, sold},
    build::{body, hash, refusal},
    common::{Fate, Net, World},
};
use sequencer::Channel;
use std::{cell::Cell, rc::Rc, sync::OnceLock};
use types::{Hash, Leaf, Params, Slot, reason::Reason};

/// Objects of this many seqs are taken from each builder.
const SEQS: u8 = 16;

fn many_seqs() -> &'static Net {
    static NET: OnceLock<Net> = OnceLock::new();
    NET.get_or_init(|| Net::new(4, Params { bid_seq_max: SEQS - 1, max_builders: 6, ..Params::default_for(500) }))
}

#[test]
fn rivals_cannot_fill_a_member_that_lags() {
    let net = many_seqs();
    let mut world = World::new(net, 301);
    let slot = sold(&mut world);
    for member in 0..4 {
        world.bid(member, &net.bid(0, slot, 0, Some(5 * RESERVE)));
    }
    let deaf = Rc::new(Cell::new(true));
    let lags = Rc::clone(&deaf);
    world.filter = Box::new(move |passing| match passing.channel {
        Channel::Shares | Channel::Fetch if passing.to == 3 && lags.get() => Fate::Lost,
        _ => Fate::Arrives,
    });
    world.until(20_000, "all but one open the slot before", |w| {
        (0..3).all(|member| w.machine(member).opened().0 >= slot - 1) && w.machine(3).last_final().0 >= slot - 1
    });
    assert!(world.machine(3).opened().0 < slot - 1);
    let mut taken = Vec::new();
    for builder in 1..6 {
        let tickets: Vec<_> = (0..SEQS)
            .flat_map(|seq| [slot, slot + 1].map(|of| body(net, of, builder, seq, &[Hash([seq; 32])])))
            .map(|object| world.build(3, &object))
            .collect();
        world.pass(2);
        assert!(tickets.iter().all(|ticket| [None, Some(Reason::Busy)].contains(&refusal(&world, *ticket))));
        taken.push(tickets.iter().filter(|ticket| refusal(&world, **ticket).is_none()).count());
    }
    let own = body(net, slot, 0, 0, &[Hash([9; 32])]);
    let ticket = world.build(3, &own);
    world.pass(2);
    assert_eq!(refusal(&world, ticket), None, "after {taken:?} of its rivals");
    assert!(taken.iter().all(|places| *places == 8), "{taken:?}: each has places of its own, and no more");
    deaf.set(false);
    world.open(slot + 1);
    let list = crate::common::wire::list(&world.members[3].lists[&Slot(slot)]);
    assert!(list.leaves.contains(&Leaf::Body { seq: 0, hash: hash(&own) }));
    world.audit(3);
}
