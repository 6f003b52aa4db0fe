// a high bid is taken back at the end, or somebody overwrites another's.
//
// Seen in: mev-boost#113 (a builder bids very high, which scares others off, and cancels just before the end);
// mev-boost-relay#206 (a builder's latest bid counts, also when it is lower, until the proposer asks).
// Goal: up to the close a bid can be replaced and nothing else; two of one seq void their builder's bids at the price of a
// slash, so that taking one back this way costs more than the slot; after the close nothing changes anything. Method: all
// pairs of (replace, duplicate, late), each after a first bid above a rival's; what the auction says, and what it cost.
use crate::{
    bids::{BOND, RESERVE, auction, bond, sold},
    common::{Net, World, net::wallet},
};
use types::{Address, Slot, reason::Reason};

/// What a builder does about its own bid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// A bid of the next seq, below the rival's.
    Replace,
    /// Another one of the same seq, below the rival's.
    Duplicate,
    /// A bid of the highest seq, below the rival's, when its member has closed the slot.
    Late,
}

const RIVAL: u128 = 3 * RESERVE;

/// After a bid of nine reserves and these steps: who has the slot, for how much, and whether builder 0 was slashed.
fn after(seed: u64, steps: [Step; 2]) -> (Option<Address>, u128, bool) {
    let net = Net::four();
    let mut world = World::new(net, seed);
    world.guilty_builders.insert(wallet(0).address());
    let slot = sold(&mut world);
    let first = world.bid(0, &net.bid(0, slot, 0, Some(9 * RESERVE)));
    let rival = world.bid(1, &net.bid(1, slot, 0, Some(RIVAL)));
    // a rival that speaks in the builder's name: of the same seq, and of a higher one
    let forged = [0, 3].map(|seq| {
        let mut bid = net.bid(0, slot, seq, Some(2 * RESERVE));
        let digest = crypto::eip712::bid_digest(&bid.header, &crypto::ids::ciphertext_hash(&bid.ciphertext));
        bid.signature = wallet(1).sign(&digest);
        world.bid(2, &bid)
    });
    let (mut seq, mut closed) = (0, false);
    for (at, step) in (0u128..).zip(steps) {
        let units = 2 * RESERVE - 1 - at;
        if step == Step::Late && !closed {
            let all = |w: &World| w.members.iter().all(|m| m.lists.contains_key(&Slot(slot - 1)));
            world.until(5_000, "all have closed", all);
            closed = true;
        }
        if step != Step::Duplicate {
            seq += 1;
        }
        let said = if step == Step::Late { net.params().bid_seq_max } else { seq };
        let ticket = world.bid(0, &net.bid(0, slot, said, Some(units)));
        world.pass(3);
        if closed {
            let answer = world.replies[&ticket].as_ref().err().and_then(|refusal| refusal.known());
            assert_eq!(answer, Some(Reason::BadRoundNumber), "{steps:?}");
        }
    }
    world.open(slot);
    for ticket in forged {
        assert_eq!(world.replies[&ticket].as_ref().err().and_then(|r| r.known()), Some(Reason::WrongSignature));
    }
    assert!(world.replies[&first].is_ok() && world.replies[&rival].is_ok());
    let (bids, winner, price) = auction(&world, slot);
    let winner = winner.map(|at| bids[at].header.bidder);
    world.open(slot + 4);
    let slashed = bond(&world, 0) < BOND - BOND / 20;
    (0..4).for_each(|member| world.audit(member));
    (winner, price, slashed)
}

#[test]
fn x15_all_pairs_of_replace_duplicate_and_late() {
    use Step::{Duplicate, Late, Replace};
    let (own, rival) = (Some(wallet(0).address()), Some(wallet(1).address()));
    // the bid stands and pays the rival's amount; it was replaced and sets the price; it is void and slashed
    let stands = (own, RIVAL, false);
    let replaced = |units| (rival, units, false);
    let void = (rival, RESERVE, true);
    let cases = [
        ([Replace, Replace], replaced(2 * RESERVE - 2)),
        ([Replace, Duplicate], void),
        ([Replace, Late], replaced(2 * RESERVE - 1)),
        ([Duplicate, Replace], void),
        ([Duplicate, Duplicate], void),
        ([Duplicate, Late], void),
        ([Late, Replace], stands),
        ([Late, Duplicate], stands),
        ([Late, Late], stands),
    ];
    for (seed, (steps, wanted)) in (351..).zip(cases) {
        assert_eq!(after(seed, steps), wanted, "{steps:?}");
    }
}
