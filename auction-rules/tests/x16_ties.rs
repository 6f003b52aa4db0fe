//! the winner of a tie pays less than the tie; a tie is won by grinding.
//!
//! Seen in: nitro#4742, where bids of {10, 10, 3} may charge the winner 3, by the order in which they are looked at: the
//! second of the tied bids is held against a lower one by hash alone. Tie hashes over what a bidder may choose until the
//! close, such as the bid itself.
//!
//! Goal: a tie pays the tie in every order, and nobody improves its chance in one by anything that it does:
//! the key is a hash of the beacon, which nobody knows before the bids have closed, and of the bidder, whose address
//! counts from an epoch that began before. Method: all orders; then a bidder that may try 2,000 bids, or choose among 2,000
//! addresses by every beacon so far, against a rival that does nothing, over 1,000 beacons.
#![expect(clippy::unwrap_used, reason = "a test program: what is missing ends it")]

use auction_rules::{AuctionTerms, Bid, resolve, tie_key};
use sha2::{Digest, Sha256};
use types::{Address, Amount, Hash, Pricing};

const BEACONS: u32 = 1_000;
const TRIES: u32 = 2_000;

fn sha(parts: &[&[u8]]) -> Hash {
    let mut state = Sha256::new();
    parts.iter().for_each(|part| state.update(part));
    Hash(state.finalize().into())
}

fn amount(units: u128) -> Amount {
    Amount::new(units).unwrap()
}

fn beacon(n: u32) -> Hash {
    sha(&[b"beacon", &n.to_le_bytes()])
}

fn address(kind: &str, n: u32) -> Address {
    Address::try_from(&sha(&[kind.as_bytes(), &n.to_le_bytes()]).as_bytes()[12..]).unwrap()
}

fn terms() -> AuctionTerms {
    AuctionTerms { pricing: Pricing::Second, reserve: amount(2), bid_fee: amount(1), garbage_fine: amount(10) }
}

fn bid(bidder: Address, seq: u8, cap: u128, units: u128) -> Bid {
    Bid { bidder, seq, cap: amount(cap), opened: Some(amount(units)) }
}

/// The peer's second price: the amount of the second of the two best, as it goes through the bids.
fn price_of_peer(r: &Hash, bids: &[Bid]) -> Option<Amount> {
    let beats = |a: &Bid, b: &Bid| tie_key(r, &a.bidder) < tie_key(r, &b.bidder);
    let (mut first, mut second): (Option<Bid>, Option<Bid>) = (None, None);
    for bid in bids {
        match &first {
            Some(best) if bid.opened < best.opened => {
                if second.is_none_or(|other| bid.opened > other.opened) {
                    second = Some(*bid);
                }
            }
            // the defect: amounts are not looked at
            Some(best) if bid.opened == best.opened && !beats(bid, best) => {
                if second.is_none_or(|other| beats(bid, &other)) {
                    second = Some(*bid);
                }
            }
            _ => (first, second) = (Some(*bid), first),
        }
    }
    second?.opened
}

#[test]
fn x16_a_tie_pays_the_tie_in_all_six_orders() {
    let three = [(1, 10), (2, 10), (3, 3)].map(|(n, units)| bid(address("bidder", n), 0, 10, units));
    let orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
    let mut charged_3 = 0;
    for n in 0..50 {
        let first = [0, 1].into_iter().min_by_key(|at| tie_key(&beacon(n), &three[*at].bidder)).unwrap();
        for order in orders {
            let bids = order.map(|at| three[at]);
            let resolution = resolve(&beacon(n), &terms(), &bids);
            assert_eq!((resolution.winner, resolution.price), (Some(three[first].bidder), amount(10)), "{order:?}");
            charged_3 += u32::from(price_of_peer(&beacon(n), &bids) == Some(amount(3)));
        }
    }
    assert!(charged_3 > 0, "the defect must show on the peer's rule");
}

/// How often the first of two equal bidders wins, of 1,000 beacons.
fn wins(own: impl Fn(u32) -> Bid, rival: Address) -> u32 {
    let won = |n: &u32| {
        let own = own(*n);
        resolve(&beacon(*n), &terms(), &[own, bid(rival, 0, 10, 10)]).winner == Some(own.bidder)
    };
    u32::try_from((0..BEACONS).filter(won).count()).unwrap()
}

#[test]
fn x16_a_tie_cannot_be_ground() {
    let (own, rival) = (address("own", 0), address("rival", 0));
    // four standard deviations around the half
    let fair = |won: u32| won.abs_diff(BEACONS / 2) <= 64;
    let plain = wins(|_| bid(own, 0, 10, 10), rival);
    assert!(fair(plain), "{plain}");
    // nothing that a bidder writes into its bid moves the tie
    for (seq, cap) in [(1, 10), (3, 11), (0, 1_000)] {
        assert_eq!(wins(|_| bid(own, seq, cap, 10), rival), plain, "seq {seq}, cap {cap}");
    }
    // a peer's tie goes to the lower hash of the bid, salt included: whoever tries salts until its hash is low has it
    let peer = |bidder: &Address, salt: u32| sha(&[&bidder.0, &salt.to_le_bytes()]);
    let ground = (0..TRIES).map(|salt| peer(&own, salt)).min().unwrap();
    let lost = (0..BEACONS).filter(|n| peer(&rival, *n + TRIES) < ground).count();
    assert!(lost <= 5, "the attack must work on the peer: {lost} lost of {BEACONS}");
    // of 2,000 addresses the one that won most often under all beacons before wins no more of those that follow
    let before: Vec<Hash> = (0..50).map(|n| sha(&[b"past", &u32::to_le_bytes(n)])).collect();
    let past = |who: &Address| before.iter().filter(|r| tie_key(r, who) < tie_key(r, &rival)).count();
    let best = (0..TRIES).map(|n| address("ground", n)).max_by_key(past).unwrap();
    assert!(past(&best) >= 33, "it won two thirds of them: {}", past(&best));
    let later = wins(|_| bid(best, 0, 10, 10), rival);
    assert!(fair(later), "{later}");
}
