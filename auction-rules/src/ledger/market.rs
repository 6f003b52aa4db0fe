//! Auctions on the ledger: which bids count, what they lock, what an auction debits, where the right stands (A-01, A-04
//! to A-08, A-12, A-18 to A-20, A-35 to A-39).
//!
//! ```text
//!  count_bids(h), lock(h) -> close(h) -> penalise, operate -> auction(h) -> settle(h), which pays the right of h
//! ```
//! Reserves, active builders and accounts that begin with an epoch move in `close`, by the slot alone.
use super::{
    Address, Amount, BTreeMap, BTreeSet, Genesis, Hash, Ledger, LedgerError, Params, Slot, bonds::Holder, step::Step,
};
use crate::{
    AuctionTerms, Prices,
    auction::{Bid, Resolution, Standing, cap_of_class, equivocation_slash, resolve, standings},
    payment::Average,
};
use alloc::vec::Vec;
use core::cmp::Reverse;
use types::{
    BidHeader, BidText, BuildHeader, Epoch, Tail, codec, limits,
    reason::{Finding, Reason, Why},
};

/// A bid as the ledger reads it: its clear head. Signature, network, length and ciphertext proof are checked before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BidTerms {
    /// Bid hash.
    pub hash: Hash,
    /// Who bids.
    pub bidder: Address,
    /// Epoch whose committee opens it.
    pub epoch: Epoch,
    /// The slot that it wants.
    pub slot: Slot,
    /// Which of the bidder's bids.
    pub seq: u8,
    /// Class of its cap.
    pub cap_class: u8,
}

impl BidTerms {
    /// What the ledger reads of a bid of this hash.
    #[must_use]
    pub fn of(hash: Hash, header: &BidHeader) -> Self {
        let BidHeader { epoch, slot, bidder, seq, cap_class, .. } = *header;
        Self { hash, bidder, epoch, slot, seq, cap_class }
    }
    /// Its leaf under the block's root over the bids that count: bidder, seq, hash.
    #[must_use]
    pub fn leaf(&self) -> Vec<u8> {
        [self.bidder.0.as_slice(), &[self.seq], &self.hash.0].concat()
    }
}

/// The listed bids of a block.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CountedBids {
    /// One per bidder, to be opened. Shape: strictly ascending by bidder.
    pub counting: Vec<BidTerms>,
    /// The others. Shape: strictly ascending by hash.
    pub left: Vec<(Hash, Why)>,
    /// Bidders with two bids of one seq (A-08). Shape: strictly ascending.
    pub equivocators: Vec<Address>,
}

/// The right to build a slot, bought and not split yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Right {
    /// W_h: whose bond answers for body and tail.
    pub builder: Address,
    /// In escrow.
    pub price: Amount,
    /// Who signs the tail (A-17).
    pub tail: Address,
}

/// A bid that counts, from the close of its block to the auction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct LiveBid {
    seq: u8,
    cap: Amount,
    lock: Amount,
}

/// The auction's part of the ledger. What is no money and no bond follows from the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Market {
    pub(super) holders: BTreeMap<Address, Holder>,
    /// Builders that may bid, by epoch: of this one and, once announced, the next.
    active: BTreeMap<Epoch, BTreeSet<Address>>,
    /// Terms of the auction under way, and its bids.
    terms: Option<AuctionTerms>,
    live: BTreeMap<Address, LiveBid>,
    locked: Slot,
    pub(super) rights: BTreeMap<Slot, Right>,
    epoch: Epoch,
    average: Average,
    /// Of this epoch so far.
    prices: u128,
    /// Of this epoch and the next.
    reserves: BTreeMap<Epoch, Amount>,
    /// For addresses that are accounts from the next epoch on (A-02).
    pub(super) arriving: BTreeMap<Address, Amount>,
    /// What counts once (A-38), while it can count at all.
    penalised: BTreeSet<(Slot, Address, Finding)>,
    /// Prices of the slot last closed.
    pub(super) charged: Prices,
    pub(super) operated: Slot,
    /// Fees whose outcome became final in the epoch.
    pub(super) fees: u128,
    /// Bid fees, fines and slashes since the last EXEC.
    pub(super) penalties: Amount,
    /// Holders to name in the hash chain.
    pub(super) changed: BTreeSet<Address>,
    /// Addresses of `arriving` to name there.
    arrived: BTreeSet<Address>,
    pub(super) moved: bool,
}

impl Market {
    pub(super) fn genesis(genesis: &Genesis, prices: Prices) -> Self {
        let params = &genesis.params;
        let average = Average::opening(params);
        let bonds = genesis.balances.iter().map(|balance| (balance.address, balance.bond));
        Self {
            holders: BTreeMap::new(),
            active: BTreeMap::from([(Epoch(0), largest(params, bonds))]),
            terms: None,
            live: BTreeMap::new(),
            locked: Slot(0),
            rights: BTreeMap::new(),
            epoch: Epoch(0),
            average,
            prices: 0,
            // A-19: epochs 0 and 1 have the floor
            reserves: BTreeMap::from([(Epoch(0), params.reserve_floor), (Epoch(1), params.reserve_floor)]),
            arriving: BTreeMap::new(),
            penalised: BTreeSet::new(),
            charged: prices,
            operated: Slot(0),
            fees: 0,
            penalties: Amount::ZERO,
            changed: BTreeSet::new(),
            arrived: BTreeSet::new(),
            moved: false,
        }
    }
    /// What the hash chain says of auctions: nothing while no step of theirs was taken since it moved last.
    pub(super) fn take_changes(&mut self) -> Vec<u8> {
        if !core::mem::take(&mut self.moved) {
            return Vec::new();
        }
        let changed = core::mem::take(&mut self.changed);
        let holders: Vec<_> =
            changed.into_iter().filter_map(|address| Some((address, self.holders.get(&address)?.parts()))).collect();
        let rights: Vec<_> =
            self.rights.iter().map(|(slot, right)| (*slot, right.builder, right.price, right.tail)).collect();
        let arriving: Vec<(Address, Amount)> = core::mem::take(&mut self.arrived)
            .into_iter()
            .filter_map(|address| Some((address, *self.arriving.get(&address)?)))
            .collect();
        codec::encode(&(holders, rights, arriving, self.average.units(), self.prices))
    }
    /// What waits for addresses that are accounts from the next epoch on.
    pub(super) fn arrive(&mut self, totals: Vec<(Address, Amount)>) {
        self.moved |= !totals.is_empty();
        self.arrived.extend(totals.iter().map(|(address, _)| *address));
        self.arriving.extend(totals);
    }
    /// What one auction locks of a bond.
    pub(super) fn lock_of(&self, bidder: &Address) -> Amount {
        self.live.get(bidder).map_or(Amount::ZERO, |bid| bid.lock)
    }
    pub(super) fn right_of(&self, slot: Slot) -> Option<Right> {
        self.rights.get(&slot).copied()
    }
    pub(super) fn right_paid(&mut self, slot: Slot) {
        self.moved |= self.rights.remove(&slot).is_some();
    }
}

/// A-01: the `max_builders` largest bonds, ties by address.
fn largest(params: &Params, bonds: impl Iterator<Item = (Address, Amount)>) -> BTreeSet<Address> {
    let mut sorted: Vec<(Reverse<Amount>, Address)> =
        bonds.filter(|(_, bond)| *bond > Amount::ZERO).map(|(address, bond)| (Reverse(bond), address)).collect();
    sorted.sort_unstable();
    sorted.into_iter().take(usize::from(params.max_builders)).map(|(_, address)| address).collect()
}

impl Ledger {
    /// A-19: the reserve of a slot of this epoch or the next; `None` further on, where it is not decided.
    #[must_use]
    pub fn reserve(&self, epoch: Epoch) -> Option<Amount> {
        self.market.reserves.get(&epoch).copied()
    }
    /// A-01, A-35: may bid in this epoch. Of the next epoch nobody may before it is announced.
    #[must_use]
    pub fn is_active(&self, builder: &Address, epoch: Epoch) -> bool {
        let barred = self.market.holders.get(builder).is_some_and(|holder| holder.is_barred(epoch));
        !barred && self.market.active.get(&epoch).is_some_and(|active| active.contains(builder))
    }
    /// Builders of an epoch, ascending; those that are barred included.
    pub fn builders(&self, epoch: Epoch) -> impl Iterator<Item = &Address> {
        self.market.active.get(&epoch).into_iter().flatten()
    }
    /// The right that stands at a slot.
    #[must_use]
    pub fn right(&self, slot: Slot) -> Option<Right> {
        self.market.right_of(slot)
    }
    /// What holds for the auction in the next slot to close, which sells the one after it.
    #[must_use]
    pub fn auction_terms(&self, params: &Params) -> Option<AuctionTerms> {
        let sold = self.next_slot().next();
        AuctionTerms::new(params, &self.prices, self.reserve(params.schedule().epoch_of(sold))?)
    }

    /// A-04, A-05: whether a bid may count in the next slot to close, as far as its head and the ledger say. Gives the
    /// cap.
    ///
    /// # Errors
    /// The [`Reason`] that its sender gets.
    pub fn admit_bid(&self, params: &Params, bid: &BidTerms) -> Result<Amount, Reason> {
        let (slot, schedule) = (self.next_slot(), params.schedule());
        let cap = cap_of_class(params, bid.cap_class).ok_or(Reason::MalformedData)?;
        if bid.slot != slot.next() {
            return Err(Reason::BadRoundNumber);
        }
        if bid.epoch != schedule.epoch_of(slot) {
            return Err(Reason::WrongEpoch);
        }
        if bid.seq > params.bid_seq_max {
            return Err(Reason::PerRoundBidLimitReached);
        }
        if ![slot, bid.slot].iter().all(|at| self.is_active(&bid.bidder, schedule.epoch_of(*at))) {
            return Err(Reason::NotActive);
        }
        let lock = self.auction_terms(params).and_then(|terms| terms.lock(cap));
        match lock.filter(|lock| *lock <= self.free_bond(&bid.bidder)) {
            Some(_) => Ok(cap),
            None => Err(Reason::InsufficientBalance),
        }
    }

    /// A-17, A-29: whether a body may be listed for the next slot to close. Gives who has to have signed it.
    ///
    /// # Errors
    /// The [`Reason`] that its sender gets.
    pub fn admit_body(&self, params: &Params, header: &BuildHeader, units: usize) -> Result<Address, Reason> {
        let right = self.admit_build(params, header, self.next_slot())?;
        if units > limits::BODY_UNITS_MAX { Err(Reason::OversizedData) } else { Ok(right.builder) }
    }

    /// A-17, A-31: whether a tail may be listed while slot `due`, which ended with `reveal`, has no EXEC yet. Gives who
    /// has to have signed it.
    ///
    /// # Errors
    /// The [`Reason`] that its sender gets.
    pub fn admit_tail(&self, params: &Params, due: Slot, reveal: &Hash, tail: &Tail) -> Result<Address, Reason> {
        let right = self.admit_build(params, &tail.header, due)?;
        let bytes = codec::encode(&tail.bundles).len();
        if tail.bundles.is_empty() || tail.reveal != *reveal {
            return Err(Reason::MalformedData);
        }
        let fits = tail.bundles.len() <= usize::from(params.tail_bundles_max)
            && u32::try_from(bytes).is_ok_and(|bytes| bytes <= params.tail_bytes_max);
        if fits { Ok(right.tail) } else { Err(Reason::OversizedData) }
    }

    fn admit_build(&self, params: &Params, header: &BuildHeader, slot: Slot) -> Result<Right, Reason> {
        if header.slot != slot {
            return Err(Reason::BadRoundNumber);
        }
        if header.epoch != params.schedule().epoch_of(slot) {
            return Err(Reason::WrongEpoch);
        }
        if header.seq > params.bid_seq_max {
            return Err(Reason::PerRoundBidLimitReached);
        }
        self.right(slot).filter(|right| right.builder == header.builder).ok_or(Reason::NotWinner)
    }

    /// A-06 to A-08: which of the listed bids count in the next slot to close. The order of `listed` is irrelevant.
    #[must_use]
    pub fn count_bids(&self, params: &Params, listed: &[BidTerms]) -> CountedBids {
        let mut bids = listed.to_vec();
        bids.sort_unstable_by_key(|bid| bid.hash);
        bids.dedup_by_key(|bid| bid.hash);
        let mut counted = CountedBids::default();
        bids.retain(|bid| {
            let admitted = self.admit_bid(params, bid).is_ok();
            if !admitted {
                counted.left.push((bid.hash, Why::Inadmissible));
            }
            admitted
        });
        let standings = standings(bids.iter().map(|bid| (bid.bidder, bid.seq)));
        for (bid, standing) in bids.into_iter().zip(standings) {
            match standing {
                Standing::Live => counted.counting.push(bid),
                Standing::Superseded => counted.left.push((bid.hash, Why::Superseded)),
                Standing::Double => {
                    counted.left.push((bid.hash, Why::Double));
                    counted.equivocators.push(bid.bidder);
                }
            }
        }
        counted.counting.sort_unstable_by_key(|bid| bid.bidder);
        counted.left.sort_unstable_by_key(|(hash, _)| *hash);
        counted.equivocators.sort_unstable();
        counted.equivocators.dedup();
        counted
    }

    /// As [`Self::count_bids`], from the leaves of lists: bidder, seq, hash. Whoever lists a bid has judged it on this very
    /// ledger, so only what would count is judged again: `known` gives it, `None` where its bytes are not here.
    ///
    /// # Errors
    /// The bids that are needed and not known.
    pub fn count_listed(
        &self,
        params: &Params,
        listed: &[(Address, u8, Hash)],
        known: impl Fn(&Hash) -> Option<BidTerms>,
    ) -> Result<CountedBids, Vec<Hash>> {
        let mut leaves = listed.to_vec();
        leaves.sort_unstable();
        leaves.dedup();
        let (mut counted, mut missing) = (CountedBids::default(), Vec::new());
        for of_bidder in leaves.chunk_by(|one, next| one.0 == next.0) {
            self.count_of(params, of_bidder.to_vec(), &known, &mut counted, &mut missing);
        }
        counted.left.sort_unstable_by_key(|(hash, _)| *hash);
        if missing.is_empty() { Ok(counted) } else { Err(missing) }
    }

    /// One bidder's leaves: an inadmissible bid is as if never sent.
    fn count_of(
        &self,
        params: &Params,
        mut leaves: Vec<(Address, u8, Hash)>,
        known: &impl Fn(&Hash) -> Option<BidTerms>,
        counted: &mut CountedBids,
        missing: &mut Vec<Hash>,
    ) {
        loop {
            let standing = standings(leaves.iter().map(|(bidder, seq, _)| (*bidder, *seq)));
            let Some(live) = standing.iter().position(|standing| *standing == Standing::Live) else {
                let bidder = leaves.first().map(|(bidder, ..)| *bidder);
                counted.equivocators.extend(bidder);
                counted.left.extend(leaves.iter().map(|(.., hash)| (*hash, Why::Double)));
                return;
            };
            let Some((bidder, seq, hash)) = leaves.get(live).copied() else { return };
            let Some(bid) = known(&hash) else {
                missing.push(hash);
                return;
            };
            leaves.remove(live);
            if (bid.hash, bid.bidder, bid.seq) == (hash, bidder, seq) && self.admit_bid(params, &bid).is_ok() {
                counted.counting.push(bid);
                counted.left.extend(leaves.iter().map(|(.., hash)| (*hash, Why::Superseded)));
                return;
            }
            counted.left.push((hash, Why::Inadmissible));
        }
    }

    /// Locks what the counting bids of the next slot to close may owe (A-04; A-39, CLOSE). The last auction is over.
    ///
    /// # Errors
    /// [`LedgerError::AuctionOrder`] when it is not.
    pub fn lock(&mut self, params: &Params, listed: &[BidTerms]) -> Result<CountedBids, LedgerError> {
        let slot = self.next_slot();
        if self.market.terms.is_some() || self.market.locked >= slot {
            return Err(LedgerError::AuctionOrder { slot });
        }
        let terms = self.auction_terms(params).ok_or(LedgerError::Range { slot })?;
        let counted = self.count_bids(params, listed);
        let mut live = BTreeMap::new();
        for bid in &counted.counting {
            let cap = cap_of_class(params, bid.cap_class).ok_or(LedgerError::Range { slot })?;
            let lock = terms.lock(cap).ok_or(LedgerError::Range { slot })?;
            live.insert(bid.bidder, LiveBid { seq: bid.seq, cap, lock });
        }
        self.market.live = live;
        self.market.terms = Some(terms);
        self.market.locked = slot;
        Ok(counted)
    }

    /// Resolves the auction of the slot last closed (A-39, AUCTION): bid fees and fines go to the users' pool, the
    /// price into escrow (A-12, A-20, A-36, A-38). `opened` names each counting bid's bidder once, in any order, with
    /// what is inside or `None` for garbage. [`Resolution::bids`] is ascending by bidder. The locks end.
    ///
    /// # Errors
    /// [`LedgerError`] when there is no such auction, or other bids were opened.
    pub fn auction(
        &mut self,
        slot: Slot,
        beacon: &Hash,
        opened: &[(Address, Option<BidText>)],
    ) -> Result<Resolution, LedgerError> {
        let terms = self.market.terms.filter(|_| self.market.locked == slot && self.last_closed == slot);
        let terms = terms.ok_or(LedgerError::AuctionOrder { slot })?;
        let texts: BTreeMap<Address, Option<BidText>> = opened.iter().copied().collect();
        if texts.len() != opened.len() || !texts.keys().eq(self.market.live.keys()) {
            return Err(LedgerError::BidsWrong { slot });
        }
        let bid = |((bidder, live), text): ((&Address, &LiveBid), &Option<BidText>)| Bid {
            bidder: *bidder,
            seq: live.seq,
            cap: live.cap,
            opened: text.map(|text| text.amount),
        };
        let bids: Vec<Bid> = self.market.live.iter().zip(texts.values()).map(bid).collect();
        let resolution = resolve(beacon, &terms, &bids);

        let range = LedgerError::Range { slot };
        let mut step = Step::new(self);
        let mut penalties = self.market.penalties;
        for (bid, judged) in bids.iter().zip(&resolution.bids) {
            let owes = judged.owes().ok_or(range)?;
            let account = step.account(self, &bid.bidder).ok_or(LedgerError::UnknownBuilder { builder: bid.bidder })?;
            // The lock covers it: fee and fine are parts of the lock, and the price is at most the cap.
            account.bond = account.bond.checked_sub(owes).ok_or(range)?;
            let taken = judged.fee.checked_add(judged.fine).ok_or(range)?;
            penalties = penalties.checked_add(taken).ok_or(range)?;
            step.pools.users = step.pools.users.checked_add(taken).ok_or(range)?;
            step.pools.escrow = step.pools.escrow.checked_add(judged.price).ok_or(range)?;
        }
        let prices = self.market.prices.checked_add(resolution.price.units()).ok_or(range)?;
        self.store_step(slot, step, Amount::ZERO)?;
        let market = &mut self.market;
        if let Some(builder) = resolution.winner {
            let named = texts.get(&builder).copied().flatten().map_or(Address::ZERO, |text| text.tail_recipient);
            let tail = if named == Address::ZERO { builder } else { named };
            market.rights.insert(slot.next(), Right { builder, price: resolution.price, tail });
        }
        (market.prices, market.penalties, market.moved) = (prices, penalties, true);
        market.terms = None;
        market.live.clear();
        Ok(resolution)
    }

    /// A-37: the slot last closed is an empty block, so the right that stood there moves to the next one. Nothing is
    /// resold, and nothing comes back.
    ///
    /// # Errors
    /// [`LedgerError::AuctionOrder`] when bids were counted in an empty block, or its EXEC is past.
    pub fn pass_right(&mut self, slot: Slot) -> Result<(), LedgerError> {
        let market = &mut self.market;
        if slot != self.last_closed || slot <= self.last_executed || market.locked == slot {
            return Err(LedgerError::AuctionOrder { slot });
        }
        if let Some(right) = market.rights.remove(&slot) {
            market.rights.insert(slot.next(), right);
            market.moved = true;
        }
        Ok(())
    }

    /// A-35, A-38: the penalty for two signed bids, bodies or tails of one slot and seq, in the slot last closed. Gives
    /// what is taken: nothing when it was taken before, the address is no account, or `of` is not of this epoch or one
    /// beside it. Never out of a lock or a bond that can be withdrawn. The builder is barred until the next
    /// epoch ends.
    ///
    /// # Errors
    /// [`LedgerError`] when this is not the slot last closed, or the finding is none against a builder.
    pub fn penalise(
        &mut self,
        params: &Params,
        slot: Slot,
        finding: Finding,
        builder: &Address,
        of: Slot,
    ) -> Result<Amount, LedgerError> {
        if slot != self.last_closed
            || !matches!(finding, Finding::BidDouble | Finding::BodyDouble | Finding::TailDouble)
        {
            return Err(LedgerError::AuctionOrder { slot });
        }
        let schedule = params.schedule();
        let (epoch, of_epoch) = (schedule.epoch_of(slot), schedule.epoch_of(of));
        // the last slot of an epoch sells the first of the next; a slot far ahead is no place to be convicted for nothing
        let known = of_epoch.next() >= epoch && of_epoch <= epoch.next();
        let claim = (of, *builder, finding);
        if !known || self.market.penalised.contains(&claim) {
            return Ok(Amount::ZERO);
        }
        let range = LedgerError::Range { slot };
        let reserve = self.reserve(epoch).ok_or(range)?;
        let mut step = Step::new(self);
        let free = self.free_bond(builder);
        let mut holder = self.market.holders.get(builder).cloned().unwrap_or_default();
        let Some(account) = step.account(self, builder) else { return Ok(Amount::ZERO) };
        let slashable = free.checked_add(holder.slashable(params, epoch).ok_or(range)?).ok_or(range)?;
        let slash = equivocation_slash(account.bond, reserve).min(slashable);
        account.bond = account.bond.checked_sub(slash).ok_or(range)?;
        holder.slash(params, epoch, slash.saturating_sub(free)).ok_or(range)?;
        holder.bar(epoch.next());
        step.pools.users = step.pools.users.checked_add(slash).ok_or(range)?;
        let penalties = self.market.penalties.checked_add(slash).ok_or(range)?;
        self.store_step(slot, step, Amount::ZERO)?;
        self.market.penalties = penalties;
        self.market.penalised.insert(claim);
        self.store_holder(*builder, holder);
        Ok(slash)
    }

    /// What begins with a slot: builders of an announced epoch, reserves and new accounts of one that begins.
    pub(super) fn begin_slot(&mut self, params: &Params, slot: Slot) {
        let schedule = params.schedule();
        if let Some(next) = schedule.announced(slot) {
            let holders = &self.market.holders;
            let standing = |(address, account): (&Address, &super::Account)| {
                let holder = holders.get(address);
                let leaving = holder.map_or(Amount::ZERO, Holder::unbonding);
                let barred = holder.is_some_and(|holder| holder.is_barred(next));
                (!barred).then(|| (*address, account.bond.saturating_sub(leaving)))
            };
            let active = largest(params, self.accounts.iter().filter_map(standing));
            self.market.active.insert(next, active);
        }
        let epoch = schedule.epoch_of(slot);
        if epoch <= self.market.epoch {
            return;
        }
        let market = &mut self.market;
        // A-18: the epoch that ended; its reserve counts from the next one on
        market.average = market.average.after(params, market.prices);
        market.prices = 0;
        market.epoch = epoch;
        market.reserves.insert(epoch.next(), market.average.reserve(params));
        market.reserves.retain(|of, _| *of >= epoch);
        market.active.retain(|of, _| *of >= epoch);
        market.penalised.retain(|(of, _, _)| schedule.epoch_of(*of).next() >= epoch);
        for (address, amount) in core::mem::take(&mut market.arriving) {
            let account = self.accounts.entry(address).or_default();
            // all money together is below 2^96
            account.balance = account.balance.checked_add(amount).unwrap_or(account.balance);
            self.changed.insert(address);
        }
    }
}
