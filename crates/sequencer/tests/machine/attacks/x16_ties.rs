// the winner of a tie pays less than the tie; a tie is won by grinding.
//
// Seen in: nitro#4742, where bids of {10, 10, 3} could charge the winner 3; tie hashes over what a bidder may still choose.
// Goal: in a network, too, a tie pays the tie, whoever is told first, and goes to the lower SHA-256(tag | R | bidder), R
// being what nobody knew when the bids closed. Method: three bids, two of them equal, handed to different members in all
// six orders; the beacon is read from the log and the key computed here. On the rule alone, and that nothing of a bid but
// its amount and bidder moves a tie: auction-rules/tests/x16_ties.rs.
use crate::{
    bids::{RESERVE, auction, sold},
    common::{Net, World, net::wallet, world::kind},
};
use types::{Address, Hash, Kind};

fn beacon(world: &World, slot: u64) -> Hash {
    let of_slot = |entry: &Vec<u8>| match kind(entry) {
        Kind::Beacon { slot: of, sig } if of.0 == slot => Some(crypto::beacon::value(&sig)),
        _ => None,
    };
    world.log.iter().find_map(of_slot).unwrap()
}

#[test]
fn x16_a_tie_pays_the_tie_in_all_orders_and_the_beacon_decides_it() {
    let net = Net::four();
    let offers = [(0, 10), (1, 10), (2, 3)];
    let orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
    let mut winners = Vec::new();
    for (seed, order) in (361..).zip(orders) {
        let mut world = World::new(net, seed);
        let slot = sold(&mut world);
        for (member, at) in order.into_iter().enumerate() {
            let (builder, units) = offers[at];
            world.bid(member, &net.bid(builder, slot, 0, Some(units * RESERVE)));
            world.pass(20);
        }
        world.open(slot);
        let (bids, winner, price) = auction(&world, slot);
        assert_eq!((bids.len(), price), (3, 10 * RESERVE), "{order:?}");
        let r = beacon(&world, slot - 1);
        let key = |who: &Address| crypto::hash::sha256(&[b"lockstep/tie/v1", &r.0, &who.0]);
        let first = [0, 1].map(|builder| wallet(builder).address()).into_iter().min_by_key(key);
        assert_eq!(winner.map(|at| bids[at].header.bidder), first, "{order:?}");
        winners.extend(first);
        world.audit(1);
    }
    winners.sort_unstable();
    winners.dedup();
    assert_eq!(winners.len(), 2, "now one, now the other");
}
