//! Builders of a simulated network: they bid, and send bodies and tails of what they have bought, to many members or to
//! few. One of them signs two bids of one seq now and then.
use crate::{
    app::Message,
    common::net::{BUILDERS, Inside, Net, Order, transfer, wallet},
    world::World,
};
use crypto::build;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Mutex,
};
use types::{Address, Bid, BuildHeader, Hash, Object, Slot};

/// Builders that bid.
const BIDDERS: usize = 4;
/// The one that does not follow the rules.
const GUILTY: usize = BIDDERS - 1;
/// Above every reserve of these runs, base units.
const LEAST: u128 = 20_000_000_000_000;

/// What builders have done.
#[derive(Default)]
pub(crate) struct Market {
    /// The last slot that was bid for.
    bid: u64,
    /// The last slots that got a body and a tail.
    body: u64,
    tail: u64,
}

/// Which builder of the network this is.
pub(crate) fn builder(address: &Address) -> usize {
    (0..BUILDERS).find(|at| wallet(*at).address() == *address).expect("a builder")
}

/// Whether a builder signs two objects for one place.
pub(crate) fn is_guilty(address: &Address) -> bool {
    builder(address) == GUILTY
}

/// How a FAULT names the one that does.
pub(crate) fn accused() -> Hash {
    Hash(crypto::eip712::address(&wallet(GUILTY).address()))
}

type Sealed = BTreeMap<(Hash, usize, u64, u8, u128), Bid>;

static SEALED: Mutex<Sealed> = Mutex::new(BTreeMap::new());

/// A bid, sealed once: no seed enters it.
fn bid(net: &Net, builder: usize, slot: u64, seq: u8, units: u128) -> Bid {
    let mut sealed = SEALED.lock().unwrap();
    sealed
        .entry((net.id, builder, slot, seq, units))
        .or_insert_with(|| net.bid(builder, slot, seq, Some(units)))
        .clone()
}

/// The bid of a hash.
pub(crate) fn sealed(net: &Net, hash: &Hash) -> Option<Bid> {
    let sealed = SEALED.lock().unwrap();
    let mut all = sealed.iter().filter(|((of, ..), _)| *of == net.id).map(|(_, bid)| bid);
    all.find(|bid| crypto::ids::bid_hash(bid) == *hash).cloned()
}

impl World {
    /// Builders do what is due: bids for the slot after the next, the body of the next, the tail of the one opened last.
    pub(crate) fn trade(&mut self) {
        let last = self.finals().into_iter().max().unwrap_or_default().0;
        if last + 2 > self.market.bid {
            self.market.bid = last + 2;
            self.bid_for(last + 2);
        }
        let (holder, known) = {
            let book = self.book();
            (book.rights.get(&Slot(last + 1)).copied(), book.included.keys().next().copied())
        };
        if let Some(holder) = holder.filter(|_| last + 1 > self.market.body) {
            self.market.body = last + 1;
            // slots have room here: it is listed, and left as unused
            let units = known.into_iter().chain([Hash([9; 32])]).collect();
            let body = build::body(&wallet(holder), self.build_header(holder, last + 1), units);
            self.build(&Object::Body(Box::new(body)));
        }
        let opened = self.book().reveals.last_key_value().map(|(slot, reveal)| (slot.0, *reveal));
        if let Some((slot, reveal)) = opened.filter(|(slot, _)| *slot > self.market.tail) {
            self.market.tail = slot;
            let holder = self.book().rights.get(&Slot(slot)).copied();
            if let Some(holder) = holder {
                // what it does on the rollup is its own affair: a nonce that is used up aborts
                let bundle = transfer(&Order::new(40 + holder, slot % 3, Inside::Transfer));
                let tail = build::tail(&wallet(holder), self.build_header(holder, slot), reveal, vec![bundle]);
                self.build(&Object::Tail(Box::new(tail)));
            }
        }
    }

    fn build_header(&self, holder: usize, slot: u64) -> BuildHeader {
        let epoch = self.net.params().schedule().epoch_of(Slot(slot));
        let builder = wallet(holder).address();
        BuildHeader { version: 1, network: self.net.id, epoch, slot: Slot(slot), builder, seq: 0 }
    }

    fn bid_for(&mut self, slot: u64) {
        for builder in 0..BIDDERS {
            let draw = self.rng.below(12);
            let units = LEAST * u128::from(1 + draw % 5);
            // some slots it leaves out
            if draw < 3 {
                continue;
            }
            self.send_bid(&bid(self.net, builder, slot, 0, units));
            if builder == GUILTY && draw == 11 {
                self.send_bid(&bid(self.net, builder, slot, 0, units + 1));
            } else if draw == 10 {
                self.send_bid(&bid(self.net, builder, slot, 1, units + 1));
            }
        }
    }

    /// A quorum, or now and then one or two members.
    fn some_members(&mut self) -> BTreeSet<usize> {
        let count = if self.rng.below(4) == 0 { 1 + self.rng.pick(2) } else { self.net.quorum() };
        self.rng.some(count, self.net.n)
    }

    fn send_bid(&mut self, bid: &Bid) {
        let hash = crypto::ids::bid_hash(bid);
        for handle in self.some_members().iter().filter_map(|member| self.handle(*member)) {
            handle.send(Message::Bid { ticket: handle.ticket(), hash, bid: Box::new(bid.clone()) });
        }
    }

    fn build(&mut self, object: &Object) {
        for handle in self.some_members().iter().filter_map(|member| self.handle(*member)) {
            handle.send(Message::Object { ticket: handle.ticket(), object: object.clone() });
        }
    }
}
