// Goal: of a tail that its winner's bid gives to somebody else: that address alone signs it, and answers
// with its own bond for two of one seq, whoever holds the right. Method: builder 0 buys a slot and names another address;
// tails of both, at several members; ledgers and an auditor of every log.
use crate::{
    bids::{BOND, FEE, RESERVE, bond, sold},
    build::{coins, header, left, refusal, reveal, tails},
    common::{
        Net, World,
        net::wallet,
        world::{kind, slashes},
    },
};
use crypto::build;
use types::{
    Address, Amount, Bid, BidText, Hash, Kind, Object,
    reason::{Finding, Reason, Why},
};
use zeroize::Zeroizing;

/// A bid of builder 0 that gives the tail to another address.
fn bid_for(net: &Net, slot: u64, tail_recipient: Address) -> Bid {
    let header = net.bid(0, slot, 0, None).header;
    let text = BidText { amount: Amount::new(5 * RESERVE).unwrap(), tail_recipient, salt: Hash([4; 32]) };
    crypto::bid::seal(net.keys.encryption_key(), Zeroizing::new([9; 32]), &wallet(0), header, &text).unwrap()
}

/// A slot whose tail a wallet signs, opened.
fn given(world: &mut World, to: usize) -> u64 {
    let slot = sold(world);
    let bid = bid_for(world.net, slot, wallet(to).address());
    for member in 0..4 {
        world.bid(member, &bid);
    }
    world.open(slot);
    slot
}

/// A tail of builder 0's slot.
fn tail_by(world: &World, slot: u64, signer: usize, seq: u8, nonce: u64) -> Object {
    let head = header(world.net, slot, 0, seq);
    Object::Tail(Box::new(build::tail(&wallet(signer), head, reveal(world, slot), vec![coins(8, nonce)])))
}

fn word(builder: usize) -> Hash {
    let mut word = [0; 32];
    word[12..].copy_from_slice(&wallet(builder).address().0);
    Hash(word)
}

#[test]
fn whom_the_bid_names_signs_the_tail_and_nobody_else() {
    let net = Net::four();
    let mut world = World::new(net, 371);
    let slot = given(&mut world, 12);
    let [own, other] = [0, 5].map(|signer| tail_by(&world, slot, signer, 1, 0));
    let refused = [own, other].map(|object| world.build(0, &object));
    let good = tail_by(&world, slot, 12, 0, 0);
    let taken = world.build(1, &good);
    world.open(slot + 2);
    assert!(refused.iter().all(|ticket| refusal(&world, *ticket) == Some(Reason::WrongSignature)));
    assert_eq!(refusal(&world, taken), None);
    let run: Vec<Object> = tails(&world).into_iter().map(|(_, tail)| Object::Tail(Box::new(tail))).collect();
    assert_eq!(run, [good]);
    (0..4).for_each(|member| world.audit(member));
}

#[test]
fn two_tails_of_a_bonded_recipient_cost_it_its_bond_and_not_the_winners() {
    let net = Net::four();
    let mut world = World::new(net, 372);
    // builder 3 did not bid
    world.guilty_builders.insert(wallet(3).address());
    let slot = given(&mut world, 3);
    let both = [0, 1].map(|nonce| tail_by(&world, slot, 3, 2, nonce));
    // each at one member: those tell the others
    world.build(1, &both[0]);
    world.build(2, &both[1]);
    // a lower seq would count if there were not two of the highest
    world.build(3, &tail_by(&world, slot, 3, 0, 7));
    world.open(slot + 4);
    assert_eq!(tails(&world), []);
    assert_eq!(left(&world).iter().filter(|(_, why)| *why == Why::Double.number()).count(), 3);
    let found: Vec<_> = slashes(net, &world.log).iter().map(|(what, who, took, _)| (*what, *who, *took)).collect();
    assert_eq!(found, [(Finding::TailDouble, word(3), BOND / 10)], "once, and with its own bond");
    assert_eq!(bond(&world, 3), BOND - BOND / 10);
    assert_eq!(bond(&world, 0), BOND - FEE - RESERVE, "who sold the tail pays its price");
    // what a member reads of its own log, where it takes FAULT at its word, says the same
    world.crash(0);
    world.start(0);
    assert_eq!(bond(&world, 3), BOND - BOND / 10);
    // a log that lays it on the winner, or says that less was taken, is found out
    for (at, lie) in [word(0), word(3)].into_iter().zip(["fault-false", "penalty-wrong"]) {
        let found = super::audits::changed(&world, |kind| match kind {
            Kind::Fault { slot, finding, evidence, penalty, .. } => {
                let taken = if lie == "penalty-wrong" { penalty.bps_floor(9_999) } else { penalty };
                vec![Kind::Fault { slot, finding, accused: vec![at], evidence, penalty: taken }]
            }
            other => vec![other],
        });
        assert!(found.contains(&lie), "{lie}: {found:?}");
    }
    // barred as any builder is
    let next = sold(&mut world);
    let tickets = [0, 3].map(|builder| world.bid(0, &net.bid(builder, next, 0, Some(2 * RESERVE))));
    world.open(next);
    let told = tickets.map(|ticket| world.replies[&ticket].as_ref().err().and_then(|refusal| refusal.known()));
    assert_eq!(told, [None, Some(Reason::NotActive)]);
    (0..4).for_each(|member| world.audit(member));
}

#[test]
fn two_tails_of_a_recipient_without_a_bond_count_for_nothing_and_fill_no_log() {
    let net = Net::four();
    let mut world = World::new(net, 373);
    // an account without a bond, then an address without an account
    for (to, none) in [(12, 2), (400, 4)] {
        let slot = given(&mut world, to);
        for (member, nonce) in [(1, 0), (2, 1)] {
            let object = tail_by(&world, slot, to, 0, nonce);
            world.build(member, &object);
        }
        world.open(slot + 3);
        assert_eq!(left(&world).iter().filter(|(_, why)| *why == Why::Double.number()).count(), none);
    }
    assert_eq!(tails(&world), []);
    assert!(!world.log.iter().any(|entry| matches!(kind(entry), Kind::Fault { .. })));
    assert!(world.members.iter().all(|member| member.evidence.is_empty() && member.disk.operations.is_empty()));
    (0..4).for_each(|member| world.audit(member));
}
