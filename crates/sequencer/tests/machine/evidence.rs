// Goal: what a member must not have signed becomes evidence that proves itself and names it, once; honest members and
// forgeries in their name give none (the router holds every piece against `World::guilty`). Method: one member's messages
// and votes are forged with its own keys, and with others'.
use crate::common::{Net, World, id, wire};
use crypto::evidence::{Place, voted_bytes};
use sequencer::{Channel, Input};
use types::{Epoch, Hash, Leaf, MemberId, Rank, Slot, Vote, Voted, codec, reason::Finding};

fn found(world: &World, at: usize) -> Vec<(Finding, Place)> {
    world.members[at].evidence.iter().map(|proved| (proved.finding, proved.place)).collect()
}

/// A network that has opened two slots and stands still.
fn still(seed: u64) -> World {
    let mut world = World::new(Net::four(), seed);
    world.open(2);
    world.consensus.paused = true;
    world.pass(2_000);
    world
}

#[test]
fn a_list_with_a_cut_although_it_had_room_is_evidence_and_an_unsigned_one_is_none() {
    let mut world = still(61);
    world.guilty.insert(3);
    // beyond the slot whose lists are here
    let slot = world.machine(0).last_final().plus(2);
    let leaf = Leaf::Envelope { hash: Hash([7; 32]), fee_per_byte: 3, size: 0, gas: 3 };
    let cut = Some(Rank { fee_per_byte: 1, hash: Hash([1; 32]) });
    let list = wire::sign_list(world.net, slot, 3, vec![leaf], cut);
    let mut forged = list.clone();
    forged.sig.0[3] ^= 1;
    world.inject(3, 0, Channel::Lists, codec::encode(&forged));
    world.pass(20);
    assert_eq!(found(&world, 0), []);
    for _ in 0..3 {
        world.inject(3, 0, Channel::Lists, codec::encode(&list));
    }
    world.pass(20);
    assert_eq!(found(&world, 0), [(Finding::ListInvalid, Place::Slot(slot))], "once");
}

fn vote(world: &World, signer: usize, view: u64, vote: Vote) -> Voted {
    let message = voted_bytes(&world.net.id, Epoch(0), view, &vote);
    Voted { vote, sig: world.net.voters.keys[signer].sign(&message) }
}

fn see(world: &mut World, view: u64, member: MemberId, voted: Voted) {
    world.input_after(1, 0, Input::Vote { epoch: Epoch(0), view, member, voted });
    world.pass(5);
}

fn block(byte: u8) -> (Vote, Vote) {
    let (parent_view, digest) = (1, Hash([byte; 32]));
    (Vote::Notarize { parent_view, digest }, Vote::Finalize { parent_view, digest })
}

#[test]
fn two_votes_at_odds_are_evidence_whatever_is_put_in_between() {
    let mut world = still(62);
    world.guilty.insert(3);
    let view = world.consensus.view;
    let (one, other) = (block(1), block(2));
    // in its name, before and after: not signed by it
    let forged = vote(&world, 1, view, one.0);
    see(&mut world, view, id(3), forged);
    let honest = vote(&world, 3, view, other.0);
    see(&mut world, view, id(3), honest);
    let forged = vote(&world, 1, view, one.0);
    see(&mut world, view, id(3), forged);
    assert_eq!(found(&world, 0), []);
    let second = vote(&world, 3, view, one.0);
    see(&mut world, view, id(3), second);
    assert_eq!(found(&world, 0), [(Finding::VoteDouble, Place::View(view))]);
    let third = vote(&world, 3, view, block(3).0);
    see(&mut world, view, id(3), third);
    assert_eq!(found(&world, 0).len(), 1, "once");
}

#[test]
fn nullify_and_finalize_are_at_odds_and_honest_votes_are_not() {
    let mut world = still(63);
    let view = world.consensus.view;
    let (notarize, finalize) = block(1);
    // one view finalized, one nullified after a vote, members apart, the same vote again
    for member in [1, 2] {
        for (view, said) in [(view, notarize), (view, finalize), (view + 1, block(2).0), (view + 1, Vote::Nullify)] {
            for _ in 0..2 {
                let voted = vote(&world, member, view, said);
                see(&mut world, view, id(member), voted);
            }
        }
    }
    // far off, and of nobody
    for (view, member) in [(view + 1_000, id(3)), (u64::MAX, id(3)), (view, MemberId(9))] {
        for said in [Vote::Nullify, finalize] {
            let voted = vote(&world, 3, view, said);
            see(&mut world, view, member, voted);
        }
    }
    assert_eq!(found(&world, 0), []);
    world.guilty.insert(3);
    for said in [finalize, Vote::Nullify] {
        let voted = vote(&world, 3, view, said);
        see(&mut world, view, id(3), voted);
    }
    assert_eq!(found(&world, 0), [(Finding::VoteDouble, Place::View(view))]);
    assert!(world.machine(0).last_final() >= Slot(2));
}
