// Goal: a proposer decides nothing about an auction: the best bid cannot be dropped, and no list can be forged. Method: a
// block with three bids, which every member lists, is changed in each way that would lose the best one; a member that has
// everything is asked. What the proposer may choose, the lists, changes nothing.
use crate::{
    bids::RESERVE,
    common::{Net, net::wallet, wire},
    lies::{Scene, scene_with},
};
use crypto::merkle;
use sequencer::Refused;
use types::{Address, Bid, Hash, Leaf};

struct Sale {
    scene: Scene,
    best: Leaf,
}

/// Bids of three builders at all members; builder 1's is the best.
fn sale(seed: u64) -> Sale {
    let net = Net::four();
    let mut bids: Vec<Bid> = Vec::new();
    let scene = scene_with(net, seed, |world| {
        let sold = world.machine(0).last_final().0 + 2;
        bids = [(0, 5), (1, 9), (2, 7)].map(|(builder, n)| net.bid(builder, sold, 0, Some(n * RESERVE))).into();
        for bid in &bids {
            for member in 0..4 {
                world.bid(member, bid);
            }
        }
    });
    Sale { scene, best: leaf(&bids[1]) }
}

fn leaf(bid: &Bid) -> Leaf {
    Leaf::Bid { bidder: bid.header.bidder, seq: bid.header.seq, hash: crypto::ids::bid_hash(bid) }
}

fn named(leaf: &Leaf) -> Option<(Address, u8, Hash)> {
    match leaf {
        Leaf::Bid { bidder, seq, hash } => Some((*bidder, *seq, *hash)),
        _ => None,
    }
}

/// Root over the bids of a block's lists but this one.
fn without(scene: &Scene, best: &Leaf) -> types::SetRef {
    let leaves = &scene.block.lists.as_ref().unwrap().leaves;
    let others = leaves.iter().filter(|leaf| *leaf != best).filter_map(named);
    let bytes: Vec<Vec<u8>> =
        others.map(|(bidder, seq, hash)| [bidder.0.as_slice(), &[seq], &hash.0].concat()).collect();
    merkle::set_ref(&bytes)
}

#[test]
fn a_proposer_cannot_drop_the_best_bid() {
    let Sale { mut scene, best } = sale(311);
    let honest = scene.block.clone();
    assert_eq!(honest.header.bids.count, 3);
    assert_eq!(scene.verdict(&honest), Some(Ok(())));

    // it leaves the bid out of what follows from the lists
    let mut block = honest.clone();
    block.header.bids = without(&scene, &best);
    assert_eq!(block.header.bids.count, 2);
    assert_eq!(scene.verdict(&block), Some(Err(Refused::Roots)));

    // it takes the bid off the lists: these are not what their members signed
    let mut lists = scene.lists();
    for list in &mut lists {
        list.leaves.retain(|leaf| *leaf != best);
    }
    let mut block = scene.with(&lists);
    block.header.bids = without(&scene, &best);
    assert_eq!(scene.verdict(&block), Some(Err(Refused::ListSignature)));

    // it may leave out any member's list, and its own list may leave out the bid
    for left_out in 0..4 {
        let mut lists = scene.lists();
        lists[0].leaves.retain(|leaf| *leaf != best);
        lists[0] = wire::sign_list(Net::four(), scene.slot(), 0, lists[0].leaves.clone(), None);
        lists.remove(left_out);
        let block = scene.with(&lists);
        assert_eq!(block.header.bids, honest.header.bids);
        assert_eq!(scene.verdict(&block), Some(Ok(())), "f + 1 lists name it whichever are taken");
    }
}

#[test]
fn a_member_cannot_speak_for_another_nor_bid_for_a_builder() {
    let Sale { mut scene, best } = sale(312);
    let net = Net::four();
    // member 3 signs lists in the names of 1 and 2, without the bid
    let mut lists = scene.lists();
    for at in [1, 2] {
        let leaves = lists[at].leaves.iter().copied().filter(|leaf| *leaf != best).collect();
        let forged = wire::sign_list(net, scene.slot(), 3, leaves, None);
        lists[at].leaves = forged.leaves;
        lists[at].sig = forged.sig;
    }
    let mut block = scene.with(&lists);
    block.header.bids = without(&scene, &best);
    assert_eq!(scene.verdict(&block), Some(Err(Refused::ListSignature)));

    // a bid that builder 1 never made, of a higher seq, on one list: f + 1 are needed, and no honest member lists it
    let invented = Leaf::Bid { bidder: wallet(1).address(), seq: 3, hash: Hash([5; 32]) };
    let mut lists = scene.lists();
    let leaves = [lists[3].leaves.clone(), vec![invented]].concat();
    lists[3] = wire::sign_list(net, scene.slot(), 3, leaves, None);
    let block = scene.with(&lists);
    assert_eq!(block.header.bids.count, 3);
    assert_eq!(scene.verdict(&block), Some(Ok(())), "it counts for nothing, and the rest for what it is");
}
