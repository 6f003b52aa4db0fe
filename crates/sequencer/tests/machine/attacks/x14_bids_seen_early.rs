// the operator sees bids, and tells or uses what it sees.
//
// Seen in: timeboost, whose auctioneer reads every bid, writes it to its logs, and skips the round when a bid floor agent
// wins it (nitro#4456); relays, which show the best bid while others still bid.
// Goal: before the block that sells a slot is final, nothing that any member holds, is told or writes down has an amount;
// and what f or 2f members hold opens nothing even then. Method: every message and every record up to finality is searched
// for the plaintext, whose bytes no chance gives; the same search finds it afterwards. Members' shares are computed with
// their keys and put together, one short of the quorum. That no code opens a bid sooner is the types' doing: a share comes
// out of `HeldShares::release` alone, which takes an `OrderFixed`, which only `crypto::finality::verify` makes from a
// quorum's votes (examples that do not compile stand at `OrderFixed`).
#![expect(clippy::disallowed_methods, reason = "the token here is made from the test network's own votes")]
use crate::{
    bids::{auction, sold},
    common::{Fate, Net, World, id, net::wallet},
};
use crypto::tdh2::{self, HeldShares};
use std::{cell::RefCell, rc::Rc};
use types::{Address, Amount, Bid, BidText, Hash, Slot, codec};
use zeroize::Zeroizing;

/// Amounts that no chance gives.
const AMOUNTS: [u128; 3] = [0x00a1_5bc3_97e2_4d81, 0x00a2_e64f_0d39_b712, 0x00a3_1c58_a26b_f094];

fn text(at: usize) -> BidText {
    let salt = crypto::hash::sha256(&[b"salt", &[u8::try_from(at).unwrap()]]);
    BidText { amount: Amount::new(AMOUNTS[at]).unwrap(), tail_recipient: Address::ZERO, salt }
}

fn bid(net: &Net, at: usize, slot: u64) -> Bid {
    let header = net.bid(at, slot, 0, None).header;
    let entropy = crypto::hash::sha256(&[b"entropy", &[u8::try_from(at).unwrap()]]).0;
    let key = net.keys.encryption_key();
    crypto::bid::seal(key, Zeroizing::new(entropy), &wallet(at), header, &text(at)).unwrap()
}

/// Whether some bytes hold a part of a bid that only its bidder knows.
fn says(bytes: &[u8]) -> bool {
    let has = |needle: &[u8]| bytes.windows(needle.len()).any(|window| window == needle);
    (0..3).any(|at| {
        let amount = AMOUNTS[at].to_le_bytes();
        let mut reversed = amount;
        reversed.reverse();
        has(&amount[..7]) || has(&reversed[9..]) || has(&text(at).salt.0)
    })
}

#[test]
fn x14_no_member_holds_an_amount_before_the_block_is_final() {
    let net = Net::four();
    let mut world = World::new(net, 341);
    let slot = sold(&mut world);
    let passed: Rc<RefCell<Vec<Vec<u8>>>> = Rc::default();
    let seen = Rc::clone(&passed);
    world.filter = Box::new(move |passing| {
        seen.borrow_mut().push(passing.bytes.to_vec());
        Fate::Arrives
    });
    let bids: Vec<Bid> = (0..3).map(|at| bid(net, at, slot)).collect();
    for bid in &bids {
        for member in 0..4 {
            world.bid(member, bid);
        }
    }
    world.until(10_000, "the block that sells the slot is final somewhere", |w| w.consensus.final_height() >= slot - 1);
    // all that anybody was told, wrote down or was told by its own machine
    let held = |world: &World| -> Vec<Vec<u8>> {
        let mut all = passed.borrow().clone();
        for member in &world.members {
            let disk = &member.disk;
            all.extend(disk.entries.iter().cloned());
            all.extend(disk.bids.iter().map(|(_, record)| record.envelope.clone()));
            all.extend(disk.list.iter().map(|(_, bytes)| bytes.clone()));
            all.extend(disk.share.iter().cloned());
            all.extend(member.told.iter().map(codec::encode));
        }
        all
    };
    let before = held(&world);
    let sealed = &bids[0].ciphertext;
    assert!(before.iter().any(|bytes| bytes.windows(sealed.len()).any(|window| window == sealed)), "the bids are here");
    assert!(!before.iter().any(|bytes| says(bytes)), "and what they say is not");
    world.open(slot - 1);
    assert!(held(&world).iter().any(|bytes| says(bytes)), "the search finds what is there");
    let (bids, winner, price) = auction(&world, slot);
    assert_eq!(bids.len(), 3);
    assert_eq!((winner.map(|at| bids[at].header.bidder), price), (Some(wallet(2).address()), AMOUNTS[1]));
    world.open(slot + 1);
    (0..4).for_each(|member| world.audit(member));
}

#[test]
fn x14_two_f_members_together_open_nothing() {
    let net = Net::seven();
    let bid = bid(net, 0, 3);
    let aad = crypto::bid::aad(&bid.header);
    let (sealed, unit) = (crypto::bid::item(&bid, &aad), crypto::ids::bid_hash(&bid));
    let admitted = tdh2::admit(net.keys.encryption_key(), &[sealed], [1; 32]).remove(0).unwrap();
    let leaf = [bid.header.bidder.0.as_slice(), &[0], &unit.0].concat();
    let fixed = net.voters.fix(net.id, Slot(2), Vec::<Hash>::new(), vec![leaf]);
    let share = |member: usize| {
        let held = net.secrets[member].decrypt.share(unit, &admitted);
        (id(member), HeldShares::collect(vec![held]).release(&fixed).unwrap())
    };
    // more than f, and what everybody has, once the block is final: one short of the quorum
    for together in [net.f, 2 * net.f] {
        let shares: Vec<_> = (0..together).map(share).collect();
        assert!(tdh2::reveal(&net.keys, &[(sealed, &admitted)], &shares, [2; 32]).is_err(), "{together} members");
    }
    let shares: Vec<_> = (0..net.quorum()).map(share).collect();
    let revealed = tdh2::reveal(&net.keys, &[(sealed, &admitted)], &shares, [2; 32]).unwrap();
    assert_eq!(crypto::bid::text(revealed.plaintexts[0].as_ref().map(|message| message.as_slice())), Some(text(0)));
}
