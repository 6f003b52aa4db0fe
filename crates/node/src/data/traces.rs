//! What the auctions of a log came to: folds its entries, as they stand, into one trace for each slot that was sold.
//!
//! Trust: nothing is verified here. The log is this member's own, and whoever wants proof audits it; the traces are the
//! convenient form of what it says.
use auction_rules::{AuctionTerms, Bid as Offered, Judged, Prices, cap_of_class, resolve};
use crypto::{
    bid, hash, ids,
    keys::KeySet,
    tdh2::{self, Item},
};
use std::collections::{BTreeMap, VecDeque};
use types::{
    Address, Amount, Bid, BlockHeader, EpochRecord, Hash, Kind, Opening, Params, Slot, Tail, Timestamp, codec, limits,
};

/// Slots whose auctions are kept.
pub(super) const SLOTS_MAX: usize = 4_096;
/// Bids of these, all together.
const BIDS_MAX: usize = 1 << 16;

/// A bid that was opened.
#[derive(Clone, Copy, Debug)]
pub(super) struct Offer {
    pub(super) hash: Hash,
    pub(super) bidder: Address,
    pub(super) seq: u8,
    pub(super) cap: Amount,
    /// `None`: garbage.
    pub(super) amount: Option<Amount>,
    pub(super) judged: Judged,
}

/// The block of a slot that was sold.
#[derive(Clone, Copy, Debug)]
pub(super) struct Built {
    /// The slot sold, or a later one when that was an empty block.
    pub(super) slot: Slot,
    pub(super) digest: Hash,
    pub(super) parent: Hash,
    /// Consensus key.
    pub(super) proposer: Hash,
    pub(super) gas_limit: u64,
    /// Units of the set and bundles of the tail.
    pub(super) units: u64,
    /// By all rollups; `None` before its EXEC.
    pub(super) gas_used: Option<u64>,
}

/// One auction.
#[derive(Clone, Debug)]
pub(super) struct Trace {
    /// The slot whose block listed the bids.
    pub(super) auction: Slot,
    /// Of that block.
    pub(super) time: Timestamp,
    /// Its digest.
    pub(super) digest: Hash,
    /// The slot sold.
    pub(super) sold: Slot,
    pub(super) beacon: Hash,
    pub(super) terms: AuctionTerms,
    /// As they stand in the log.
    pub(super) offers: Vec<Offer>,
    pub(super) winner: Option<usize>,
    pub(super) price: Amount,
    pub(super) built: Option<Built>,
}

impl Trace {
    pub(super) fn won(&self) -> Option<&Offer> {
        self.offers.get(self.winner?)
    }
}

/// A log that no rule allows: this member's own disk is damaged, or the code is.
#[derive(Clone, Debug, thiserror::Error)]
#[error("slot {slot}: {what}")]
pub(super) struct Odd {
    slot: Slot,
    what: &'static str,
}

/// The slot that is read.
#[derive(Debug)]
struct Section {
    header: BlockHeader,
    prices: Prices,
    bids: Vec<Bid>,
    beacon: Hash,
}

/// Folds the entries of a log from genesis on.
#[derive(Debug)]
pub(super) struct Traces {
    /// For the encryption key, which outlives every committee.
    keys: KeySet,
    /// Of the epoch that is read, and of one that is announced.
    epochs: [Option<Box<EpochRecord>>; 2],
    section: Option<Section>,
    /// Ascending by slot.
    kept: VecDeque<Trace>,
    bids: usize,
    /// Rights that are not used yet, and those whose slot has no EXEC: slot, and the slot of the auction.
    rights: BTreeMap<Slot, Slot>,
}

impl Traces {
    pub(super) fn new(keys: KeySet) -> Self {
        let (kept, rights) = (VecDeque::new(), BTreeMap::new());
        Self { keys, epochs: [None, None], section: None, kept, bids: 0, rights }
    }

    /// Ascending by slot.
    pub(super) fn kept(&self) -> &VecDeque<Trace> {
        &self.kept
    }

    /// The auction that sold a slot.
    pub(super) fn of(&self, sold: Slot) -> Option<&Trace> {
        self.kept.binary_search_by_key(&sold, |trace| trace.sold).ok().and_then(|at| self.kept.get(at))
    }

    /// The entry that comes next.
    ///
    /// # Errors
    /// [`Odd`].
    pub(super) fn entry(&mut self, kind: Kind) -> Result<(), Odd> {
        let odd = |slot: Slot, what: &'static str| move || Odd { slot, what };
        match kind {
            Kind::Epoch(record) => {
                let [now, next] = &mut self.epochs;
                *next = Some(record);
                if now.is_none() {
                    now.clone_from(next);
                }
            }
            Kind::Close { slot, header, byte_price, gas_price, .. } => {
                self.close(slot, header, Prices { byte: byte_price, gas: gas_price })
                    .ok_or_else(odd(slot, "CLOSE before EPOCH"))?;
            }
            Kind::Bid { slot, bytes } => {
                let bid = codec::decode(&bytes, limits::BID_BYTES_MAX).map_err(|_other| odd(slot, "BID")())?;
                self.section.as_mut().ok_or_else(odd(slot, "BID without CLOSE"))?.bids.push(bid);
            }
            Kind::Beacon { slot, sig } => {
                let section = self.section.as_mut().ok_or_else(odd(slot, "BEACON without CLOSE"))?;
                section.beacon = hash::sha256(&[sig.as_ref()]);
            }
            Kind::Auction { slot, for_slot, reserve, opened, winner, price } => {
                let trace = self.auction(slot, (for_slot, reserve), &opened, (winner.map(usize::from), price));
                self.keep(trace.ok_or_else(odd(slot, "AUCTION"))?);
            }
            Kind::Tail { slot, bytes } => {
                let tail: Tail = codec::decode(&bytes, limits::TAIL_BYTES_MAX).map_err(|_other| odd(slot, "TAIL")())?;
                if let Some(built) = self.built(slot) {
                    built.units = built.units.saturating_add(u64::try_from(tail.bundles.len()).unwrap_or(u64::MAX));
                }
            }
            Kind::Exec { slot, chains, .. } => {
                if let Some(built) = self.built(slot) {
                    built.gas_used = Some(chains.iter().fold(0, |sum, chain| sum.saturating_add(chain.gas)));
                }
                self.rights.remove(&slot);
            }
            Kind::Registry { .. }
            | Kind::Left { .. }
            | Kind::LeftHead { .. }
            | Kind::List { .. }
            | Kind::Body { .. }
            | Kind::Envelope { .. }
            | Kind::Operation { .. }
            | Kind::Fault { .. }
            | Kind::Order { .. }
            | Kind::Opened { .. } => {}
        }
        Ok(())
    }

    fn params(&self) -> Option<&Params> {
        self.epochs[0].as_ref().map(|record| &record.params)
    }

    fn built(&mut self, slot: Slot) -> Option<&mut Built> {
        let auction = self.rights.get(&slot)?;
        let at = self.kept.binary_search_by_key(auction, |trace| trace.auction).ok()?;
        self.kept.get_mut(at)?.built.as_mut()
    }

    fn close(&mut self, slot: Slot, header: BlockHeader, prices: Prices) -> Option<()> {
        let [now, next] = &mut self.epochs;
        if next.as_ref().is_some_and(|next| next.first_slot <= slot) {
            *now = next.take();
        }
        let record = now.as_ref()?;
        let proposer = record.members.get(usize::from(header.proposer.0)).map_or(Hash::default(), |m| m.consensus);
        if let Some(auction) = self.rights.get(&slot).copied() {
            if header.lists.count == 0 {
                //
                self.rights.remove(&slot);
                self.rights.insert(slot.next(), auction);
            } else if let Ok(at) = self.kept.binary_search_by_key(&auction, |trace| trace.auction)
                && let Some(trace) = self.kept.get_mut(at)
            {
                trace.built = Some(Built {
                    slot,
                    digest: ids::block_digest(&header),
                    parent: header.parent,
                    proposer,
                    gas_limit: record.params.gas_limit,
                    units: u64::from(header.set.count),
                    gas_used: None,
                });
            }
        }
        self.section = Some(Section { header, prices, bids: Vec::new(), beacon: Hash::default() });
        Some(())
    }

    fn auction(
        &self,
        slot: Slot,
        (sold, reserve): (Slot, Amount),
        openings: &[Opening],
        (winner, price): (Option<usize>, Amount),
    ) -> Option<Trace> {
        let (params, section) = (self.params()?, self.section.as_ref()?);
        let aads: Vec<_> = section.bids.iter().map(|b| bid::aad(&b.header)).collect();
        let items: Vec<Item<'_>> = section.bids.iter().zip(&aads).map(|(b, aad)| bid::item(b, aad)).collect();
        let opened = tdh2::check_openings(&self.keys, &items, openings, section.beacon.0);
        if opened.len() != section.bids.len() {
            return None;
        }
        let texts = opened.iter().map(|o| o.as_ref().ok().map(|m| bid::text(m.as_ref().map(|m| m.as_slice()))));
        let offered = section.bids.iter().zip(texts).map(|(Bid { header, .. }, text)| {
            Some(Offered {
                bidder: header.bidder,
                seq: header.seq,
                cap: cap_of_class(params, header.cap_class)?,
                opened: text?.map(|text| text.amount),
            })
        });
        let offered: Vec<Offered> = offered.collect::<Option<_>>()?;
        let terms = AuctionTerms::new(params, &section.prices, reserve)?;
        let judged = resolve(&section.beacon, &terms, &offered).bids;
        let offers = section.bids.iter().zip(&offered).zip(judged).map(|((bid, offered), judged)| Offer {
            hash: ids::bid_hash(bid),
            bidder: offered.bidder,
            seq: offered.seq,
            cap: offered.cap,
            amount: offered.opened,
            judged,
        });
        Some(Trace {
            auction: slot,
            time: section.header.time_ms,
            digest: ids::block_digest(&section.header),
            sold,
            beacon: section.beacon,
            terms,
            offers: offers.collect(),
            winner,
            price,
            built: None,
        })
    }

    fn keep(&mut self, trace: Trace) {
        if trace.winner.is_some() {
            self.rights.insert(trace.sold, trace.auction);
        }
        self.bids = self.bids.saturating_add(trace.offers.len());
        self.kept.push_back(trace);
        while self.kept.len() > SLOTS_MAX || self.bids > BIDS_MAX {
            let Some(oldest) = self.kept.pop_front() else { break };
            self.bids = self.bids.saturating_sub(oldest.offers.len());
        }
    }
}
