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
use std::{
    collections::{BTreeMap, VecDeque},
    sync::{PoisonError, RwLock},
};
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
    slot: Slot,
    header: BlockHeader,
    prices: Prices,
    bids: Vec<Bid>,
    beacon: Hash,
}

/// The newest auctions, ascending by slot.
#[derive(Debug, Default)]
pub(super) struct Kept {
    traces: VecDeque<Trace>,
    bids: usize,
}

impl Kept {
    /// The newest first.
    pub(super) fn newest(&self) -> impl Iterator<Item = &Trace> {
        self.traces.iter().rev()
    }

    /// The auction whose right the block of a slot used, or else that which sold the slot.
    pub(super) fn of(&self, slot: Slot) -> Option<&Trace> {
        let used = self.newest().find(|trace| trace.built.is_some_and(|built| built.slot == slot));
        used.or_else(|| self.traces.binary_search_by_key(&slot, |t| t.sold).ok().and_then(|at| self.traces.get(at)))
    }

    fn push(&mut self, trace: Trace) {
        self.bids = self.bids.saturating_add(trace.offers.len());
        self.traces.push_back(trace);
        while self.traces.len() > SLOTS_MAX || self.bids > BIDS_MAX {
            let Some(oldest) = self.traces.pop_front() else { break };
            self.bids = self.bids.saturating_sub(oldest.offers.len());
        }
    }

    fn sold_at(&mut self, auction: Slot) -> Option<&mut Trace> {
        let at = self.traces.binary_search_by_key(&auction, |trace| trace.auction).ok()?;
        self.traces.get_mut(at)
    }
}

/// Folds the entries of a log, from genesis or from where an epoch was announced on.
#[derive(Debug)]
pub(super) struct Reader {
    /// For the encryption key, which outlives every committee.
    keys: KeySet,
    /// Bids of auctions before this slot are not opened: nobody would keep them.
    opens_from: Slot,
    /// Of the epoch that is read, and of one that is announced.
    epochs: [Option<Box<EpochRecord>>; 2],
    /// `None` up to the first CLOSE whose epoch is known.
    section: Option<Section>,
    /// Rights whose slot has no EXEC yet: slot, and the slot of the auction.
    rights: BTreeMap<Slot, Slot>,
}

impl Reader {
    pub(super) fn new(keys: KeySet, opens_from: Slot) -> Self {
        Self { keys, opens_from, epochs: [None, None], section: None, rights: BTreeMap::new() }
    }

    /// Auctions before that slot are passed over from now on, unopened.
    pub(super) fn passes(&mut self, slot: Slot) {
        self.opens_from = self.opens_from.max(slot);
    }

    /// The entry that comes next. Bids are opened before `kept` is locked.
    ///
    /// # Errors
    /// [`Odd`].
    pub(super) fn entry(&mut self, kind: Kind, kept: &RwLock<Kept>) -> Result<(), Odd> {
        let odd = |slot: Slot, what: &'static str| Odd { slot, what };
        let kept = || kept.write().unwrap_or_else(PoisonError::into_inner);
        match kind {
            Kind::Epoch(record) => self.epochs[1] = Some(record),
            Kind::Close { slot, header, byte_price, gas_price, .. } => {
                let prices = Prices { byte: byte_price, gas: gas_price };
                if let Some((auction, built)) = self.close(slot, header, prices)
                    && let Some(trace) = kept().sold_at(auction)
                {
                    trace.built = Some(built);
                }
            }
            Kind::Bid { slot, bytes } => {
                let bid = codec::decode(&bytes, limits::BID_BYTES_MAX).map_err(|_other| odd(slot, "BID"))?;
                if let Some(section) = &mut self.section {
                    section.bids.push(bid);
                }
            }
            Kind::Beacon { sig, .. } => {
                if let Some(section) = &mut self.section {
                    section.beacon = hash::sha256(&[sig.as_ref()]);
                }
            }
            Kind::Auction { slot, for_slot, reserve, opened, winner, price } if slot >= self.opens_from => {
                if let Some((section, params)) = self.section.as_ref().zip(self.params()) {
                    let told = (for_slot, reserve, winner.map(usize::from), price);
                    let trace = section.auction(&self.keys, params, told, &opened).ok_or(odd(slot, "AUCTION"))?;
                    if winner.is_some() {
                        self.rights.insert(for_slot, slot);
                    }
                    kept().push(trace);
                }
            }
            Kind::Tail { slot, bytes } => {
                let tail: Tail = codec::decode(&bytes, limits::TAIL_BYTES_MAX).map_err(|_other| odd(slot, "TAIL"))?;
                let bundles = u64::try_from(tail.bundles.len()).unwrap_or(u64::MAX);
                self.change(slot, &mut kept(), |built| built.units = built.units.saturating_add(bundles));
            }
            Kind::Exec { slot, chains, .. } => {
                let gas = chains.iter().fold(0u64, |sum, chain| sum.saturating_add(chain.gas));
                self.change(slot, &mut kept(), |built| built.gas_used = Some(gas));
                self.rights.remove(&slot);
            }
            Kind::Auction { .. }
            | Kind::Registry { .. }
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

    fn change(&self, slot: Slot, kept: &mut Kept, change: impl FnOnce(&mut Built)) {
        let trace = self.rights.get(&slot).and_then(|auction| kept.sold_at(*auction));
        if let Some(built) = trace.and_then(|trace| trace.built.as_mut()) {
            change(built);
        }
    }

    /// What the block of a slot that was sold is, and the slot of the auction.
    fn close(&mut self, slot: Slot, header: BlockHeader, prices: Prices) -> Option<(Slot, Built)> {
        let [now, next] = &mut self.epochs;
        if next.as_ref().is_some_and(|next| next.first_slot <= slot) {
            *now = next.take();
        }
        let record = now.as_ref()?;
        let auction = self.rights.get(&slot).copied();
        let mut used = None;
        if let Some(auction) = auction {
            if header.lists.count == 0 {
                //
                self.rights.remove(&slot);
                self.rights.insert(slot.next(), auction);
            } else {
                let proposer = record.members.get(usize::from(header.proposer.0));
                let built = Built {
                    slot,
                    digest: ids::block_digest(&header),
                    parent: header.parent,
                    proposer: proposer.map_or(Hash::default(), |member| member.consensus),
                    gas_limit: record.params.gas_limit,
                    units: u64::from(header.set.count),
                    gas_used: None,
                };
                used = Some((auction, built));
            }
        }
        self.section = Some(Section { slot, header, prices, bids: Vec::new(), beacon: Hash::default() });
        used
    }
}

impl Section {
    /// `told`: the slot sold, the reserve, the winning bid's index and the price.
    fn auction(
        &self,
        keys: &KeySet,
        params: &Params,
        (sold, reserve, winner, price): (Slot, Amount, Option<usize>, Amount),
        openings: &[Opening],
    ) -> Option<Trace> {
        let aads: Vec<_> = self.bids.iter().map(|b| bid::aad(&b.header)).collect();
        let items: Vec<Item<'_>> = self.bids.iter().zip(&aads).map(|(b, aad)| bid::item(b, aad)).collect();
        let opened = tdh2::check_openings(keys, &items, openings, self.beacon.0);
        if opened.len() != self.bids.len() {
            return None;
        }
        let texts = opened.iter().map(|o| o.as_ref().ok().map(|m| bid::text(m.as_ref().map(|m| m.as_slice()))));
        let offered = self.bids.iter().zip(texts).map(|(Bid { header, .. }, text)| {
            Some(Offered {
                bidder: header.bidder,
                seq: header.seq,
                cap: cap_of_class(params, header.cap_class)?,
                opened: text?.map(|text| text.amount),
            })
        });
        let offered: Vec<Offered> = offered.collect::<Option<_>>()?;
        let terms = AuctionTerms::new(params, &self.prices, reserve)?;
        let judged = resolve(&self.beacon, &terms, &offered).bids;
        let offers = self.bids.iter().zip(&offered).zip(judged).map(|((bid, offered), judged)| Offer {
            hash: ids::bid_hash(bid),
            bidder: offered.bidder,
            seq: offered.seq,
            cap: offered.cap,
            amount: offered.opened,
            judged,
        });
        Some(Trace {
            auction: self.slot,
            time: self.header.time_ms,
            digest: ids::block_digest(&self.header),
            sold,
            beacon: self.beacon,
            terms,
            offers: offers.collect(),
            winner,
            price,
            built: None,
        })
    }
}
