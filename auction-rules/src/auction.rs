//! The auction of a slot (A-06 to A-16): which bids stand, who wins, what each bidder owes.
//!
//! ```text
//!  listed bids --highest seq--> one live bid of each bidder --opened--> reserve <= amount <= cap --sorted--> winner
//!             (A-07, A-08)                               (A-10, A-11)                        (A-13, A-14)
//! ```
//! The order in which bids are given is never an input: a verdict belongs to its bid, winner and price to the set
//! (A-16).
use crate::{Prices, base_fee, root::sha256};
use alloc::{vec, vec::Vec};
use core::cmp::Reverse;
use types::{Address, Amount, Hash, Params, Pricing, reason::BidVerdict, tag};

/// Largest class of a cap.
pub const CAP_CLASS_MAX: u8 = 6;

/// A listed admissible bid. Two of these are two bids: the caller gives each set of bytes once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bid {
    /// Whose bond answers.
    pub bidder: Address,
    /// Which of the bidder's bids; the highest counts.
    pub seq: u8,
    /// Most that it may offer, as its clear head says.
    pub cap: Amount,
    /// The amount inside; `None`: the plaintext is no bid. Read of the bid that counts alone, no other is ever opened.
    pub opened: Option<Amount>,
}

/// What holds for every bid of one auction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuctionTerms {
    /// Whose amount the winner pays.
    pub pricing: Pricing,
    /// Least price.
    pub reserve: Amount,
    /// What an opened bid pays (A-12).
    pub bid_fee: Amount,
    /// What garbage and a bid above its cap pay besides (A-36).
    pub garbage_fine: Amount,
}

impl AuctionTerms {
    /// The terms at these prices and this reserve: the bid fee is [`class0_fee`], the fine the larger of the reserve
    /// and ten bid fees. `None` at 2^96.
    #[must_use]
    pub fn new(params: &Params, prices: &Prices, reserve: Amount) -> Option<Self> {
        let bid_fee = class0_fee(prices)?;
        let garbage_fine = bid_fee.checked_mul(10)?.max(reserve);
        Some(Self { pricing: params.pricing, reserve, bid_fee, garbage_fine })
    }
    /// What a bid of this cap locks (A-04): whatever it turns out to be, it owes at most this.
    #[must_use]
    pub fn lock(&self, cap: Amount) -> Option<Amount> {
        Amount::sum([cap, self.garbage_fine, self.bid_fee])
    }
}

/// The base fee of size class 0 and gas class 0: what a bid (A-12) and an operation (A-02) cost.
#[must_use]
pub fn class0_fee(prices: &Prices) -> Option<Amount> {
    base_fee(prices, 0, 0)
}

/// cap(c) = `cap_unit` x 10^c (A-04); `None` above class 6 and at 2^96.
#[must_use]
pub fn cap_of_class(params: &Params, class: u8) -> Option<Amount> {
    if class > CAP_CLASS_MAX {
        return None;
    }
    (0..class).try_fold(params.cap_unit, |cap, _| cap.checked_mul(10))
}

/// A-35: the smaller of the bond and the larger of ten reserves and a tenth of the bond.
#[must_use]
pub fn equivocation_slash(bond: Amount, reserve: Amount) -> Amount {
    // ten reserves that do not fit an amount are more than any bond
    let wanted = reserve.checked_mul(10).unwrap_or(bond).max(bond.bps_floor(1_000));
    wanted.min(bond)
}

/// What became of one bid, and what it owes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Judged {
    /// What became of it.
    pub verdict: BidVerdict,
    /// Bid fee (A-12).
    pub fee: Amount,
    /// Fine (A-11, A-36).
    pub fine: Amount,
    /// The price, of the winner's alone (A-14).
    pub price: Amount,
}

impl Judged {
    /// All that it owes; never more than its lock.
    #[must_use]
    pub fn owes(&self) -> Option<Amount> {
        Amount::sum([self.fee, self.fine, self.price])
    }
}

/// What an auction gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolution {
    /// One per bid, in the order given.
    pub bids: Vec<Judged>,
    /// Who gets the build right.
    pub winner: Option<Address>,
    /// Index of its bid.
    pub winning: Option<usize>,
    /// What it pays; 0 without a winner.
    pub price: Amount,
    /// Bidders with two bids of one seq. Shape: strictly ascending.
    pub equivocators: Vec<Address>,
}

/// Whether a listed bid counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// A-07: the highest seq of its bidder.
    Live,
    Superseded,
    /// A-08: its bidder has two bids of one seq.
    Double,
}

/// A-07, A-08: of each bidder the bid of the highest seq; none of one that has two of the same.
pub(crate) fn standings(bids: impl Iterator<Item = (Address, u8)>) -> Vec<Standing> {
    let mut sorted: Vec<(Address, Reverse<u8>, usize)> =
        bids.enumerate().map(|(at, (bidder, seq))| (bidder, Reverse(seq), at)).collect();
    sorted.sort_unstable();
    let mut out = vec![Standing::Superseded; sorted.len()];
    for of_bidder in sorted.chunk_by(|one, next| one.0 == next.0) {
        let double = of_bidder.iter().zip(of_bidder.iter().skip(1)).any(|(one, next)| one.1 == next.1);
        for (rank, (_, _, at)) in of_bidder.iter().enumerate() {
            if let Some(standing) = out.get_mut(*at) {
                *standing = match (double, rank) {
                    (true, _) => Standing::Double,
                    (false, 0) => Standing::Live,
                    (false, _) => Standing::Superseded,
                };
            }
        }
    }
    out
}

/// A-10, A-11, A-36: what an opened bid is before it is compared with others. Above the cap comes first: a cap below
/// the reserve frees nobody from the fine.
fn judge(terms: &AuctionTerms, bid: &Bid) -> Result<Amount, BidVerdict> {
    match bid.opened {
        None => Err(BidVerdict::Garbage),
        Some(amount) if amount > bid.cap => Err(BidVerdict::AboveCap),
        Some(amount) if amount < terms.reserve => Err(BidVerdict::ReserveNotMet),
        Some(amount) => Ok(amount),
    }
}

/// A-13: of two equal amounts the smaller of these comes first.
#[must_use]
pub fn tie_key(beacon: &Hash, bidder: &Address) -> Hash {
    sha256(&[tag::TIE.as_bytes(), beacon.as_bytes(), bidder.as_bytes()])
}

/// Resolves one auction from the listed admissible bids (A-06 to A-16).
#[must_use]
pub fn resolve(beacon: &Hash, terms: &AuctionTerms, bids: &[Bid]) -> Resolution {
    let standings = standings(bids.iter().map(|bid| (bid.bidder, bid.seq)));
    let mut equivocators: Vec<Address> = Vec::new();
    let mut valid: Vec<(Reverse<Amount>, Hash, Address, usize)> = Vec::with_capacity(bids.len());
    let mut verdicts: Vec<BidVerdict> = Vec::with_capacity(bids.len());
    for (at, (bid, standing)) in bids.iter().zip(standings).enumerate() {
        verdicts.push(match standing {
            Standing::Superseded => BidVerdict::Superseded,
            Standing::Double => {
                equivocators.push(bid.bidder);
                BidVerdict::Equivocation
            }
            Standing::Live => match judge(terms, bid) {
                Ok(amount) => {
                    valid.push((Reverse(amount), tie_key(beacon, &bid.bidder), bid.bidder, at));
                    BidVerdict::Outbid
                }
                Err(void) => void,
            },
        });
    }
    equivocators.sort_unstable();
    equivocators.dedup();
    valid.sort_unstable();

    let winning = valid.first().map(|(_, _, _, at)| *at);
    // A-14: one live bid per bidder, so the next bid is another bidder's.
    let next = valid.get(1).map_or(Amount::ZERO, |(Reverse(amount), ..)| *amount);
    let price = match (valid.first(), terms.pricing) {
        (None, _) => Amount::ZERO,
        (Some((Reverse(own), ..)), Pricing::First) => *own,
        (Some(_), Pricing::Second) => next.max(terms.reserve),
    };
    let owed = |(at, verdict): (usize, BidVerdict)| {
        let won = winning == Some(at);
        Judged {
            verdict: if won { BidVerdict::Winner } else { verdict },
            fee: if verdict.is_opened() { terms.bid_fee } else { Amount::ZERO },
            fine: if verdict.is_fined() { terms.garbage_fine } else { Amount::ZERO },
            price: if won { price } else { Amount::ZERO },
        }
    };
    Resolution {
        bids: verdicts.into_iter().enumerate().map(owed).collect(),
        winner: valid.first().map(|(_, _, bidder, _)| *bidder),
        winning,
        price,
        equivocators,
    }
}

#[cfg(test)]
mod tests;
