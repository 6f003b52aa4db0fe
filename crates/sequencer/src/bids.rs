//! Bids: admitted like envelopes, listed by whoever holds them in the one block that sells their slot, opened with it.
//!
//! ```text
//!  slot h-1 opened -> bids for slot h+1 are judged on this ledger -> lists of h -> block h final -> opened with S_h
//! ```
//! A bid is judged where block h will judge it: on the ledger as of the opening of h-1. What comes sooner waits. Two bids
//! of one seq are both held, listed and told to the others: neither counts (A-08), and together they are evidence (A-35).
//!
//! Bids have little time, so they go before envelopes, and only what an active builder has signed gets a place: nobody can
//! use up the places of another.
use crate::{
    derive::Derived,
    effect::{Channel, Effect, ItemRecord, Record, Ticket, To},
    job::AdmitItem,
    message::Items,
    state::{Flight, Sequencer},
};
use auction_rules::BidTerms;
use crypto::{
    ids,
    tdh2::{Admitted, HeldShare},
};
use mempool::Sealed;
use std::{collections::BTreeMap, sync::Arc};
use types::{
    Bid, Hash, Leaf, MemberId, Receipt, ReceiptKind, Slot, Timestamp, codec, limits,
    reason::{Reason, Why},
    wire::Refusal,
};

/// Detail of a refusal.
const CLOSED: &str = "the slot is closed here";

/// Bids of one message that are looked at: all bidders' of a slot with the most that each may send.
pub(crate) const OFFERED_MAX: usize = 512;

/// An admitted bid for the slot after the one that is collected.
pub(crate) struct HeldBid {
    pub(crate) bid: Arc<Bid>,
    pub(crate) bytes: Vec<u8>,
    pub(crate) admitted: Admitted,
    pub(crate) share: HeldShare,
    receipt: Option<String>,
}

impl core::fmt::Debug for HeldBid {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("HeldBid").field("bid", &self.bid.header).finish_non_exhaustive()
    }
}

/// A bid that waits, once, however often and by whom it is sent: nobody uses up its bidder's places with copies.
#[derive(Debug)]
struct Waiting {
    bid: Arc<Bid>,
    tickets: Vec<Ticket>,
    from: Option<MemberId>,
}

/// Those that are held.
#[derive(Debug, Default)]
pub(crate) struct Bids {
    held: BTreeMap<Hash, HeldBid>,
    /// Sent before the ledger that judges them is here.
    waiting: BTreeMap<Hash, Waiting>,
    /// Of the newest final blocks, for members that lag: the slot that each wants.
    past: BTreeMap<Hash, Arc<Bid>>,
}

/// Where a bid stands in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    Now,
    Later,
    Never,
}

impl Bids {
    pub(crate) fn new(past: BTreeMap<Hash, Arc<Bid>>) -> Self {
        Self { past, ..Self::default() }
    }
    /// An admitted bid of the slot under way.
    pub(crate) fn get(&self, hash: &Hash) -> Option<&HeldBid> {
        self.held.get(hash)
    }
    /// Any bid that a block may need, or has needed lately.
    pub(crate) fn any(&self, hash: &Hash) -> Option<&Arc<Bid>> {
        self.held.get(hash).map(|held| &held.bid).or_else(|| self.past.get(hash))
    }
    /// Takes a bid that counts in a final block.
    pub(crate) fn take(&mut self, hash: &Hash) -> Option<HeldBid> {
        let held = self.held.remove(hash)?;
        self.past.insert(*hash, Arc::clone(&held.bid));
        Some(held)
    }
    /// A block is final: the bids of its slot are over.
    pub(crate) fn end_slot(&mut self, oldest: Slot) {
        let over = core::mem::take(&mut self.held).into_iter().map(|(hash, held)| (hash, held.bid));
        self.past.extend(over);
        self.past.retain(|_, bid| bid.header.slot > oldest);
    }
    pub(crate) fn into_past(self) -> BTreeMap<Hash, Arc<Bid>> {
        self.past
    }
    /// What a restart must not forget.
    pub(crate) fn is_live(&self, hash: &Hash) -> bool {
        self.held.contains_key(hash)
    }
    /// Leaves of a list, ascending.
    pub(crate) fn listed(&self, sold: Slot) -> Vec<Leaf> {
        let held = self.held.iter().filter(|(_, held)| held.bid.header.slot == sold);
        let mut leaves: Vec<Leaf> = held
            .map(|(hash, held)| Leaf::Bid { bidder: held.bid.header.bidder, seq: held.bid.header.seq, hash: *hash })
            .collect();
        leaves.sort_unstable();
        leaves
    }
    /// Of the same bidder for the same slot, held or waiting.
    fn of(&self, bid: &Bid) -> usize {
        let same = |other: &Bid| (other.header.bidder, other.header.slot) == (bid.header.bidder, bid.header.slot);
        let held = self.held.values().filter(|held| same(&held.bid)).count();
        held.saturating_add(self.waiting.values().filter(|waiting| same(&waiting.bid)).count())
    }
}

impl Sequencer {
    /// A builder submits a bid.
    pub(crate) fn submit_bid(&mut self, now: Timestamp, ticket: Ticket, bid: Box<Bid>) {
        if let Some((reason, detail)) = self.takes_nothing(self.current()) {
            self.refuse(ticket, reason, detail);
            return;
        }
        let hash = ids::bid_hash(&bid);
        let under_way = self.flights.get_mut(&hash).map(|flight| &mut flight.tickets);
        let waits = self.bids.waiting.get_mut(&hash).map(|waiting| &mut waiting.tickets);
        if let Some(tickets) = under_way.or(waits) {
            tickets.push(ticket);
            return;
        }
        if let Some(held) = self.bids.get(&hash) {
            match held.receipt.clone() {
                Some(note) => self.out.push(Effect::Reply { ticket, answer: Ok(note) }),
                None => self.acknowledge_bid(now, ticket, hash),
            }
            return;
        }
        let closed = self.bid_is_due(&bid) == When::Now && self.listed();
        match self.judge_new_bid(&bid) {
            Err(reason) => self.refuse(ticket, reason, ""),
            Ok(()) if closed => self.refuse(ticket, Reason::BadRoundNumber, CLOSED),
            Ok(()) => self.take_bid(hash, Arc::from(bid), vec![ticket], None),
        }
    }

    /// Bids that another member took from its builders.
    pub(crate) fn offered_bid(&mut self, from: MemberId, bytes: &[u8], forced: bool) {
        let Ok(bid) = codec::decode::<Bid>(bytes, limits::BID_BYTES_MAX) else {
            self.out.push(Effect::Reject { from: Some(from), reason: Reason::MalformedData, what: "bid" });
            return;
        };
        let hash = ids::bid_hash(&bid);
        let needed = self.wanted.contains_key(&hash);
        if forced && !needed {
            return;
        }
        if let Some(flight) = self.flights.get_mut(&hash) {
            flight.forced |= needed;
            return;
        }
        if self.bids.get(&hash).is_some() {
            return;
        }
        if needed {
            let flight = Flight { from: Some(from), forced: true, ..Flight::default() };
            self.enqueue_bid(hash, Arc::new(bid), flight);
            return;
        }
        if self.bids.waiting.contains_key(&hash) {
            return;
        }
        match self.judge_new_bid(&bid) {
            Err(reason @ Reason::WrongSignature) => {
                self.out.push(Effect::Reject { from: Some(from), reason, what: "bid" });
            }
            Err(_no_fault) => {}
            Ok(()) => self.take_bid(hash, Arc::new(bid), Vec::new(), Some(from)),
        }
    }

    /// One that passed [`Self::judge_new_bid`]: its proof is checked now, or when its ledger is here.
    fn take_bid(&mut self, hash: Hash, bid: Arc<Bid>, tickets: Vec<Ticket>, from: Option<MemberId>) {
        if self.bid_is_due(&bid) == When::Later {
            self.bids.waiting.insert(hash, Waiting { bid, tickets, from });
        } else {
            self.enqueue_bid(hash, bid, Flight { tickets, from, ..Flight::default() });
        }
    }

    fn enqueue_bid(&mut self, hash: Hash, bid: Arc<Bid>, flight: Flight) {
        let flight = Flight { account: bid.header.bidder, bid: true, ..flight };
        self.flights.insert(hash, flight);
        self.queue.push_back(AdmitItem { hash, sealed: Sealed::Bid(bid), after: Some(Vec::new()) });
    }

    fn bid_is_due(&self, bid: &Bid) -> When {
        let sold = self.current().next();
        if bid.header.slot == sold {
            if self.opened == self.fin.slot() { When::Now } else { When::Later }
        } else if bid.header.slot == sold.next() {
            When::Later
        } else {
            When::Never
        }
    }

    /// What head and ledger say; of one that comes too soon, what its own ledger does not decide.
    fn judge_bid(&self, bid: &Bid) -> Result<(), Reason> {
        if bid.header.network != self.setup.network {
            return Err(Reason::WrongNetwork);
        }
        if !crypto::bid::is_well_formed(bid, &self.setup.network) {
            return Err(Reason::MalformedData);
        }
        match self.bid_is_due(bid) {
            When::Now => {
                let terms = BidTerms::of(Hash::ZERO, &bid.header);
                self.ledger.admit_bid(&self.setup.params, &terms).map(|_cap| ())
            }
            When::Later => self.judge_early(bid),
            When::Never => Err(Reason::BadRoundNumber),
        }
    }

    /// Everything but the proof, of a bid that is not here yet.
    fn judge_new_bid(&self, bid: &Bid) -> Result<(), Reason> {
        self.judge_bid(bid)?;
        // two of each seq leave none of them; more say nothing new
        let most = usize::from(self.setup.params.bid_seq_max).saturating_add(1).saturating_mul(2);
        let now = self.bid_is_due(bid) == When::Now;
        let on_its_way = |flight: &&Flight| now && flight.bid && flight.account == bid.header.bidder;
        let under_way = self.flights.values().filter(on_its_way).count();
        if self.bids.of(bid).saturating_add(under_way) >= most {
            return Err(Reason::PerRoundBidLimitReached);
        }
        // only what is signed counts against its bidder, so nobody spends another's places
        if crypto::bid::is_signed(bid) { Ok(()) } else { Err(Reason::WrongSignature) }
    }

    fn judge_early(&self, bid: &Bid) -> Result<(), Reason> {
        let (params, header) = (&self.setup.params, &bid.header);
        let epoch = self.epoch_of(header.slot.prev());
        if auction_rules::cap_of_class(params, header.cap_class).is_none() {
            return Err(Reason::MalformedData);
        }
        if header.epoch != epoch {
            return Err(Reason::WrongEpoch);
        }
        if header.seq > params.bid_seq_max {
            return Err(Reason::PerRoundBidLimitReached);
        }
        if self.ledger.is_active(&header.bidder, self.epoch_of(self.current())) {
            Ok(())
        } else {
            Err(Reason::NotActive)
        }
    }

    /// A bid whose signature and proof hold.
    pub(crate) fn accept_bid(
        &mut self,
        now: Timestamp,
        (hash, bid): (Hash, &Arc<Bid>),
        (admitted, share): (Admitted, HeldShare),
        flight: Flight,
        told: &mut Vec<Vec<u8>>,
    ) {
        let needed = flight.forced || self.wanted.contains_key(&hash);
        self.wanted.remove(&hash);
        let mut verdict = self.judge_bid(bid);
        if verdict.is_ok() && self.bid_is_due(bid) != When::Now {
            verdict = Err(Reason::BadRoundNumber);
        }
        let client = !flight.tickets.is_empty();
        if client && verdict.is_ok() && self.listed() {
            verdict = Err(Reason::BadRoundNumber);
        }
        // f + 1 lists name it, or it was here in a life before this one: the own list may name it
        let kept = needed || flight.stored && bid.header.slot == self.current().next();
        if let (Err(reason), false) = (verdict, kept) {
            for ticket in flight.tickets {
                self.refuse(ticket, reason, "");
            }
            return;
        }
        let receipt = flight.receipt.clone().or_else(|| {
            let wanted = client && verdict.is_ok();
            if wanted { self.bid_receipt(now, &hash, bid) } else { None }
        });
        let bytes = codec::encode(&**bid);
        let held = HeldBid { bid: Arc::clone(bid), bytes: bytes.clone(), admitted, share, receipt: receipt.clone() };
        self.bids.held.insert(hash, held);
        self.accuse_bidder(&hash, bid);
        if !flight.stored || receipt != flight.receipt {
            let record = ItemRecord { envelope: bytes.clone(), receipt: receipt.clone().unwrap_or_default() };
            self.out.push(Effect::Persist(Record::Bids(vec![(hash, record)])));
        }
        if receipt.is_some() && verdict.is_ok() {
            told.push(bytes);
        }
        for ticket in flight.tickets {
            let refused = verdict.err().unwrap_or(Reason::Busy);
            let answer = receipt.clone().ok_or_else(|| Refusal::new(refused, ""));
            self.out.push(Effect::Reply { ticket, answer });
        }
    }

    /// A-35: a bidder of whom another bid of this seq is here.
    fn accuse_bidder(&mut self, hash: &Hash, bid: &Arc<Bid>) {
        let place = |bid: &Bid| (bid.header.bidder, bid.header.slot, bid.header.seq);
        let held = self.bids.held.iter().map(|(hash, held)| (hash, &held.bid));
        let all = held.chain(&self.bids.past);
        let other = all.filter(|(at, _)| *at != hash).map(|(_, other)| other).find(|other| place(other) == place(bid));
        if let Some(other) = other.cloned() {
            self.accuse_bids(bid, &other);
        }
    }

    /// A-08: the lists of a final block name two bids of one seq. They may have come to this member one by one, and late:
    /// what is not here is asked for.
    pub(crate) fn accuse_bidders(&mut self, now: Timestamp, derived: Option<&Derived>) {
        let Some(derived) = derived else { return };
        let double = derived.left.iter().filter(|item| item.why == Why::Double.number());
        let doubles: Vec<Hash> = double
            .map(|item| item.leaf)
            .filter(|leaf| matches!(leaf, Leaf::Bid { .. }))
            .map(|leaf| leaf.hash())
            .collect();
        for bid in doubles.iter().filter_map(|hash| self.bids.any(hash).cloned()).collect::<Vec<_>>() {
            self.accuse_bidder(&ids::bid_hash(&bid), &bid);
        }
        let absent: Vec<Hash> = doubles.into_iter().filter(|hash| self.bids.any(hash).is_none()).collect();
        self.want(now, &absent, None);
    }

    /// A builder sends to this member what it holds from another one.
    fn acknowledge_bid(&mut self, now: Timestamp, ticket: Ticket, hash: Hash) {
        if self.listed() {
            self.refuse(ticket, Reason::BadRoundNumber, CLOSED);
            return;
        }
        let held = self.bids.get(&hash).map(|held| (Arc::clone(&held.bid), held.bytes.clone()));
        let Some((bid, bytes)) = held else { return };
        let Some(note) = self.bid_receipt(now, &hash, &bid) else {
            self.refuse(ticket, Reason::Busy, "");
            return;
        };
        if let Some(held) = self.bids.held.get_mut(&hash) {
            held.receipt = Some(note.clone());
        }
        let record = ItemRecord { envelope: bytes, receipt: note.clone() };
        self.out.push(Effect::Persist(Record::Bids(vec![(hash, record)])));
        self.out.push(Effect::Reply { ticket, answer: Ok(note) });
    }

    fn bid_receipt(&mut self, now: Timestamp, hash: &Hash, bid: &Bid) -> Option<String> {
        let list_from = self.current();
        let receipt = Receipt {
            kind: ReceiptKind::Bid,
            // the one block that may list it
            expires: bid.header.slot.prev(),
            ..self.blank_receipt(now, hash, list_from)
        };
        crate::sign::receipt(&self.signer, &receipt)
    }

    /// A slot is opened: bids that waited for its ledger are judged.
    pub(crate) fn wake_bids(&mut self) {
        for (hash, Waiting { bid, tickets, from }) in core::mem::take(&mut self.bids.waiting) {
            // its signature and its place were looked at when it came
            match self.judge_bid(&bid) {
                Ok(()) => self.take_bid(hash, bid, tickets, from),
                Err(reason) => tickets.into_iter().for_each(|ticket| self.refuse(ticket, reason, "")),
            }
        }
    }

    pub(crate) fn tell_bids(&mut self, bids: Vec<Vec<u8>>) {
        if bids.is_empty() {
            return;
        }
        let bytes = codec::encode(&Items { bids, ..Items::default() });
        self.out.push(Effect::Send { channel: Channel::Items, to: To::All, bytes });
    }

    /// Own receipted bids go out again with the own list until the block is final: sends are lossy.
    pub(crate) fn tell_bids_again(&mut self) {
        let own = self.bids.held.values().filter(|held| held.receipt.is_some());
        let own: Vec<Vec<u8>> = own.map(|held| held.bytes.clone()).take(OFFERED_MAX).collect();
        self.tell_bids(own);
    }

    /// Bids of the WAL are admitted again.
    pub(crate) fn resume_bids(&mut self, records: Vec<ItemRecord>) {
        for record in records {
            let Ok(bid) = codec::decode::<Bid>(&record.envelope, limits::BID_BYTES_MAX) else { continue };
            let hash = ids::bid_hash(&bid);
            let receipt = Some(record.receipt).filter(|r| !r.is_empty());
            if let Some(flight) = self.flights.get_mut(&hash) {
                flight.receipt = flight.receipt.take().or(receipt);
                continue;
            }
            if bid.header.slot != self.current().next() {
                continue;
            }
            self.enqueue_bid(hash, Arc::new(bid), Flight { receipt, stored: true, ..Flight::default() });
        }
    }
}
