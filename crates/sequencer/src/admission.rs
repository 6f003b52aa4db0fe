//! Envelopes on their way in: cheap checks, one job for signatures and proofs, the WAL, then the receipt.
use crate::{
    bids,
    effect::{Channel, Effect, ItemRecord, Record, Ticket, To},
    job::{AdmitItem, Job, Verdict},
    message::{ITEMS_BYTES_MAX, Items},
    objects,
    operations::TOLD_MAX,
    sign,
    state::{Flight, Sequencer},
};
use crypto::{
    ids,
    tdh2::{Admitted, HeldShare},
};
use mempool::{Held, Sealed};
use std::{collections::VecDeque, sync::Arc};
use types::{
    Envelope, Hash, MemberId, Receipt, ReceiptKind, Slot, Timestamp, codec, limits, reason::Reason, wire::Refusal,
};

/// Envelopes that wait for their admission job; beyond it a member says BUSY.
const QUEUE_MAX: usize = 4_096;
/// Envelopes that wait for another one which is being admitted: a lower nonce, or a unit of `after`.
const PARKED_MAX: usize = 1_024;
/// Own receipted envelopes that are relayed again after a final block: sends are lossy.
const RELAY_AGAIN_MAX: usize = 64;

/// Envelopes of one message that are looked at: so many of the smallest fill a relayed batch four times.
const OFFERED_MAX: usize = 1_024;

/// Numbers that one millisecond has: a member gives fewer receipts.
const SEQS_PER_MS: u64 = 1 << 10;

/// The number before the first receipt of a life. Two receipts of one number convict, so it is above all of earlier
/// lives, wherever the clock stands now: those of the WAL, and those that it let go, which are older than the last
/// cosignature.
pub(crate) fn first_seq<'a>(now: Timestamp, cosigned_at: u64, items: impl Iterator<Item = &'a ItemRecord>) -> u64 {
    let seq_of = |record: &ItemRecord| {
        let end = record.receipt.find("\n\n")?;
        let receipt = Receipt::parse(record.receipt.get(..=end)?).ok()?;
        Some(receipt.seq)
    };
    let released = cosigned_at.saturating_add(1).saturating_mul(1_000);
    let newest = items.filter_map(seq_of).max().unwrap_or(0);
    now.0.max(released).saturating_mul(SEQS_PER_MS).max(newest)
}

/// An envelope that waits for another one.
#[derive(Debug)]
pub(crate) struct Parked {
    hash: Hash,
    account: types::Address,
    from: Parker,
}

/// The units that must stand before it.
fn after_of(item: &AdmitItem) -> &[Hash] {
    item.sealed.envelope().map_or(&[], |envelope| envelope.signed.header.after.as_slice())
}

fn what_of(item: &AdmitItem) -> &'static str {
    if item.sealed.envelope().is_some() { "envelope" } else { "bid" }
}

/// Whose envelope waits.
#[derive(Debug)]
enum Parker {
    /// A client's.
    Client(Ticket, Box<Envelope>),
    /// That of a member that relayed it.
    Member(MemberId, Vec<u8>),
}

impl Sequencer {
    /// A client submits an envelope.
    pub(crate) fn submit(&mut self, now: Timestamp, ticket: Ticket, envelope: Box<Envelope>) {
        if let Some((reason, detail)) = self.takes_nothing(self.list_from()) {
            self.refuse(ticket, reason, detail);
            return;
        }
        let hash = ids::hash_envelope(&envelope);
        if let Some(flight) = self.flights.get_mut(&hash) {
            flight.tickets.push(ticket);
            return;
        }
        if self.pool.contains(&hash) {
            self.acknowledge_held(now, ticket, hash);
            return;
        }
        match self.precheck(&hash, &envelope) {
            Ok(()) => {
                let flight = Flight { tickets: vec![ticket], ..Flight::default() };
                self.enqueue(hash, Arc::from(envelope), flight);
            }
            Err(reason) if self.may_park(reason, &envelope) => {
                let account = envelope.signed.header.fee_account;
                self.parked.push(Parked { hash, account, from: Parker::Client(ticket, envelope) });
            }
            Err(reason) => self.refuse(ticket, reason, ""),
        }
    }

    /// Why this member takes nothing from clients now that it would have to list from this slot on.
    pub(crate) fn takes_nothing(&self, list_from: Slot) -> Option<(Reason, &'static str)> {
        if self.over {
            return Some((Reason::ShuttingDown, "the committee changes: try again"));
        }
        let lost = "this member has lost its disk and promises nothing yet: ask another";
        (!self.may_list(list_from)).then_some((Reason::Busy, lost))
    }

    fn precheck(&self, hash: &Hash, envelope: &Envelope) -> Result<(), Reason> {
        if self.queue.len() >= QUEUE_MAX {
            return Err(Reason::Busy);
        }
        if self.placed.contains_key(hash) {
            return Err(Reason::NonceTooLow);
        }
        self.pool.precheck(&self.ledger, self.fin.slot().next(), hash, envelope).map(|_terms| ())
    }

    /// What is missing may be on its way, or wait itself: an envelope of the same account, or a unit of `after`.
    fn may_park(&self, reason: Reason, envelope: &Envelope) -> bool {
        let header = &envelope.signed.header;
        let of_account = || {
            let mut accounts = self
                .flights
                .values()
                .filter(|f| !f.bid)
                .map(|f| f.account)
                .chain(self.parked.iter().map(|p| p.account));
            accounts.any(|account| account == header.fee_account)
        };
        let coming = |unit: &Hash| self.flights.contains_key(unit) || self.parked.iter().any(|p| p.hash == *unit);
        let awaited = reason == Reason::NonceTooFar && of_account()
            || reason == Reason::AfterUnknown && header.after.iter().any(coming);
        awaited && self.parked.len() < PARKED_MAX
    }

    fn enqueue(&mut self, hash: Hash, envelope: Arc<Envelope>, flight: Flight) {
        let flight = Flight { account: envelope.signed.header.fee_account, ..flight };
        self.flights.insert(hash, flight);
        let sealed = Sealed::Envelope(envelope);
        self.queue.push_back(AdmitItem { hash, sealed, after: Some(Vec::new()) });
    }

    /// Payer and nonce of a unit that is held here or was included.
    fn payer_of(&self, unit: &Hash) -> Option<(types::Address, types::Nonce)> {
        let held = self.held(unit).map(|held| (held.terms.account, held.terms.nonce));
        held.or_else(|| self.included.get(unit).copied())
    }

    /// What the consents of an envelope are checked against. `None`: f + 1 lists name it, so an honest member has
    /// checked them, and a named unit that is neither listed nor closed only makes it AFTER_OPEN.
    fn payers(&self, item: &AdmitItem) -> Option<Vec<(types::Address, types::Nonce)>> {
        item.after.as_ref()?;
        let after = after_of(item);
        let known: Vec<_> = after.iter().filter_map(|unit| self.payer_of(unit)).collect();
        if known.len() < after.len() && self.needed(&item.hash) { None } else { Some(known) }
    }

    /// A block waits for it, or has waited.
    fn needed(&self, hash: &Hash) -> bool {
        self.wanted.contains_key(hash) || self.flights.get(hash).is_some_and(|f| f.forced)
    }

    /// Envelopes that another member took from its clients, and operations.
    pub(crate) fn on_items(&mut self, from: MemberId, bytes: &[u8]) {
        let max = ITEMS_BYTES_MAX.saturating_add(limits::ENVELOPE_BYTES_MAX).saturating_add(64);
        let Ok(items) = codec::decode::<Items>(bytes, max) else {
            self.out.push(Effect::Reject { from: Some(from), reason: Reason::MalformedData, what: "items" });
            return;
        };
        // more than any member sends at once
        for bytes in items.envelopes.iter().take(OFFERED_MAX) {
            self.offered(from, bytes, false);
        }
        for bytes in items.bids.iter().take(bids::OFFERED_MAX) {
            self.offered_bid(from, bytes, false);
        }
        for bytes in items.objects.iter().take(objects::OFFERED_MAX) {
            self.offered_object(from, bytes, false);
        }
        for bytes in items.operations.into_iter().take(TOLD_MAX) {
            self.offered_operation(from, bytes, false);
        }
    }

    /// One envelope that a member sent; `forced` when it was fetched for a block.
    pub(crate) fn offered(&mut self, from: MemberId, bytes: &[u8], forced: bool) {
        let Ok(envelope) = codec::decode::<Envelope>(bytes, limits::ENVELOPE_BYTES_MAX) else {
            self.out.push(Effect::Reject { from: Some(from), reason: Reason::MalformedData, what: "envelope" });
            return;
        };
        let hash = ids::hash_envelope(&envelope);
        let needed = self.wanted.contains_key(&hash);
        if forced && !needed {
            return;
        }
        if let Some(flight) = self.flights.get_mut(&hash) {
            flight.forced |= needed;
            return;
        }
        if self.pool.contains(&hash) || self.extra.contains_key(&hash) {
            return;
        }
        if !needed {
            // a member's clients cannot take the places of everybody else's
            let relayed = self.flights.values().filter(|f| f.from == Some(from) && !f.bid).count();
            let share = QUEUE_MAX.checked_div(self.setup.members.len().saturating_mul(2)).unwrap_or(0);
            if relayed >= share {
                self.out.push(Effect::Reject { from: Some(from), reason: Reason::Quota, what: "items" });
                return;
            }
            if let Err(reason) = self.precheck(&hash, &envelope) {
                if self.may_park(reason, &envelope) {
                    let account = envelope.signed.header.fee_account;
                    self.parked.push(Parked { hash, account, from: Parker::Member(from, bytes.to_vec()) });
                }
                return;
            }
        }
        self.enqueue(hash, Arc::new(envelope), Flight { from: Some(from), forced: needed, ..Flight::default() });
    }

    /// Starts the next admission job when none runs.
    pub(crate) fn dispatch_admission(&mut self) {
        if self.admitting || self.queue.is_empty() {
            return;
        }
        let (mut items, mut later) = (Vec::new(), VecDeque::new());
        // what a block waits for goes first, then bids, which have little time
        let mut queue: Vec<AdmitItem> = core::mem::take(&mut self.queue).into();
        let lane = |item: &AdmitItem| match &item.sealed {
            _ if item.after.is_none() || self.needed(&item.hash) => 0u8,
            Sealed::Bid(_) => 1,
            Sealed::Envelope(_) => 2,
        };
        queue.sort_by_key(lane);
        for mut item in queue {
            // a named unit that is itself on its way goes first, unless a block waits
            let waits = item.after.is_some()
                && !self.needed(&item.hash)
                && after_of(&item).iter().any(|unit| self.flights.contains_key(unit));
            if waits || items.len() >= limits::ADMIT_BATCH_MAX {
                later.push_back(item);
                continue;
            }
            item.after = self.payers(&item);
            items.push(item);
        }
        self.queue = later;
        if items.is_empty() {
            return;
        }
        let seed = self.next_seed();
        self.admitting = true;
        self.out.push(Effect::Run(Job::Admit { context: Arc::clone(&self.secrets), items, seed }));
    }

    /// The job's verdicts: what passed goes into the WAL in one record, then the receipts go out.
    pub(crate) fn admitted(&mut self, now: Timestamp, verdicts: Vec<(AdmitItem, Verdict)>) {
        self.admitting = false;
        let (mut records, mut replies, mut bids) = (Vec::new(), Vec::new(), Vec::new());
        for (item, verdict) in verdicts {
            let flight = self.flights.remove(&item.hash).unwrap_or_default();
            match verdict {
                Ok(parts) if self.restore_item(&item, &parts.0) => {}
                Ok(parts) => match &item.sealed {
                    Sealed::Envelope(envelope) => {
                        let envelope = (item.hash, envelope);
                        self.accept(now, envelope, *parts, flight, &mut records, &mut replies);
                    }
                    Sealed::Bid(bid) => self.accept_bid(now, (item.hash, bid), *parts, flight, &mut bids),
                },
                Err((reason, detail)) => {
                    self.out.push(Effect::Reject { from: flight.from, reason, what: what_of(&item) });
                    for ticket in flight.tickets {
                        self.refuse(ticket, reason, detail);
                    }
                }
            }
        }
        self.tell_bids(bids);
        if !records.is_empty() {
            self.out.push(Effect::Persist(Record::Items(records)));
        }
        self.out.extend(replies.into_iter().map(|(ticket, note)| Effect::Reply { ticket, answer: Ok(note) }));
        for parked in core::mem::take(&mut self.parked) {
            match parked.from {
                Parker::Client(ticket, envelope) => self.submit(now, ticket, envelope),
                Parker::Member(from, bytes) => self.offered(from, &bytes, false),
            }
        }
    }

    fn accept(
        &mut self,
        now: Timestamp,
        (hash, envelope): (Hash, &Arc<Envelope>),
        (admitted, share): (Admitted, HeldShare),
        flight: Flight,
        records: &mut Vec<(Hash, ItemRecord)>,
        replies: &mut Vec<(Ticket, String)>,
    ) {
        let bytes = codec::encode(&**envelope);
        let mut verdict = self.pool.precheck(&self.ledger, self.fin.slot().next(), &hash, envelope).map(|_terms| ());
        let dead = [Reason::NonceTooLow, Reason::Expired, Reason::WrongEpoch, Reason::WrongNetwork];
        if flight.receipt.is_some() && verdict.is_err_and(|reason| !dead.contains(&reason)) {
            // a receipt was given before a restart: it binds, whatever prices and quotas say by now
            verdict = Ok(());
        }
        let needed = flight.forced || self.wanted.contains_key(&hash);
        let terms = auction_rules::Terms::of(hash, &envelope.signed.header);
        if !flight.tickets.is_empty() && verdict.is_ok() && !self.promisable(envelope) {
            verdict = Err(Reason::Expired);
        }
        let receipt = match (&verdict, flight.tickets.is_empty()) {
            // the first receipt is the only one
            (Ok(()), false) => flight.receipt.clone().or_else(|| self.receipt(now, &hash, envelope)),
            _ => flight.receipt.clone(),
        };
        let held = Held {
            hash,
            envelope: Arc::clone(envelope),
            bytes: bytes.clone(),
            terms,
            admitted,
            share: Some(share),
            receipt: receipt.clone(),
            arrived: now,
        };
        let inserted = match verdict {
            Ok(()) if !needed => self.pool.insert(held),
            Ok(()) if self.pool.has_room(held.bytes.len()) => self.pool.insert(held),
            verdict => {
                // f + 1 lists name it: kept for the block, whatever the pool has room for
                if needed {
                    self.extra.insert(hash, held);
                }
                Err(verdict.err().unwrap_or(Reason::Busy))
            }
        };
        self.wanted.remove(&hash);
        if let Err(reason) = inserted {
            for ticket in flight.tickets {
                self.refuse(ticket, reason, "");
            }
            if !needed {
                return;
            }
        } else if let Some(note) = &receipt {
            self.relay_later(now, bytes.clone());
            replies.extend(flight.tickets.into_iter().map(|ticket| (ticket, note.clone())));
        }
        if !flight.stored || receipt != flight.receipt {
            records.push((hash, ItemRecord { envelope: bytes, receipt: receipt.unwrap_or_default() }));
        }
    }

    /// A client sends again what this member holds: the first receipt, or one now if it came from another member.
    fn acknowledge_held(&mut self, now: Timestamp, ticket: Ticket, hash: Hash) {
        let Some(held) = self.pool.get(&hash) else { return };
        if let Some(note) = held.receipt.clone() {
            self.out.push(Effect::Reply { ticket, answer: Ok(note) });
            return;
        }
        let (envelope, bytes) = (Arc::clone(&held.envelope), held.bytes.clone());
        if !self.promisable(&envelope) {
            self.refuse(ticket, Reason::Expired, "");
            return;
        }
        let Some(note) = self.receipt(now, &hash, &envelope) else { return };
        if let Some(held) = self.pool.get_mut(&hash) {
            held.receipt = Some(note.clone());
        }
        let record = ItemRecord { envelope: bytes, receipt: note.clone() };
        self.out.push(Effect::Persist(Record::Items(vec![(hash, record)])));
        self.out.push(Effect::Reply { ticket, answer: Ok(note) });
    }

    /// The next list that this member has not signed.
    fn list_from(&self) -> Slot {
        let next = self.fin.slot().next();
        match &self.own_list {
            Some((slot, _)) if *slot >= next => slot.next(),
            _ => next,
        }
    }

    /// A receipt whose first list comes after the expiry would promise nothing.
    fn promisable(&self, envelope: &Envelope) -> bool {
        envelope.signed.header.expiry_slot >= self.list_from()
    }

    fn receipt(&mut self, now: Timestamp, hash: &Hash, envelope: &Envelope) -> Option<String> {
        let blank = self.blank_receipt(now, hash, self.list_from());
        let receipt = Receipt { expires: envelope.signed.header.expiry_slot, ..blank };
        sign::receipt(&self.signer, &receipt)
    }

    /// The next receipt's text, but for the last slot that it is about.
    pub(crate) fn blank_receipt(&mut self, now: Timestamp, hash: &Hash, list_from: Slot) -> Receipt {
        self.receipt_seq = self.receipt_seq.saturating_add(1);
        Receipt {
            name: tlog::checkpoint::receipt_name(self.setup.policy.origin(), self.setup.me),
            kind: ReceiptKind::Envelope,
            item: *hash,
            network: self.setup.network,
            last_final: self.fin.slot(),
            list_from,
            admit_by: list_from.next(),
            expires: list_from,
            seq: self.receipt_seq,
            time: now,
        }
    }

    pub(crate) fn refuse(&mut self, ticket: Ticket, reason: Reason, detail: &str) {
        self.out.push(Effect::Reply { ticket, answer: Err(Refusal::new(reason, detail)) });
    }

    /// Envelopes of the WAL are admitted again: their proofs were checked by a process that is gone.
    pub(crate) fn resume_items(&mut self, items: Vec<ItemRecord>) {
        for record in items {
            let Ok(envelope) = codec::decode::<Envelope>(&record.envelope, limits::ENVELOPE_BYTES_MAX) else {
                continue;
            };
            let hash = ids::hash_envelope(&envelope);
            if self.placed.contains_key(&hash) {
                continue;
            }
            let receipt = Some(record.receipt).filter(|r| !r.is_empty());
            if let Some(flight) = self.flights.get_mut(&hash) {
                flight.receipt = flight.receipt.take().or(receipt);
                continue;
            }
            self.enqueue(hash, Arc::new(envelope), Flight { receipt, stored: true, ..Flight::default() });
        }
    }

    fn relay_later(&mut self, now: Timestamp, bytes: Vec<u8>) {
        if self.relay.is_empty() {
            self.relay_since = now;
        }
        self.relay.push_back(bytes);
    }

    /// After a final block: own receipted envelopes that had two slots' time and are still pending go out again, some in
    /// every slot and each in its turn.
    pub(crate) fn relay_again(&mut self, now: Timestamp) {
        let old = Timestamp(now.0.saturating_sub(self.setup.timings.slot.saturating_mul(2)));
        let late = self.pool.iter().filter(|held| held.receipt.is_some() && held.arrived < old);
        let mut late: Vec<Hash> = late.map(|held| held.hash).collect();
        let next = late.partition_point(|hash| *hash <= self.relayed_to);
        late.rotate_left(next);
        late.truncate(RELAY_AGAIN_MAX);
        for hash in late {
            let Some(bytes) = self.pool.get(&hash).map(|held| held.bytes.clone()) else { continue };
            self.relayed_to = hash;
            self.relay_later(now, bytes);
        }
    }

    /// Sends what clients submitted to the other members.
    pub(crate) fn try_relay(&mut self, now: Timestamp) {
        while self.relay_due().is_some_and(|due| due <= now) || self.relay_bytes() > ITEMS_BYTES_MAX {
            let (mut envelopes, mut bytes) = (Vec::new(), 0usize);
            while let Some(next) = self.relay.pop_front() {
                bytes = bytes.saturating_add(next.len());
                if bytes > ITEMS_BYTES_MAX && !envelopes.is_empty() {
                    self.relay.push_front(next);
                    break;
                }
                envelopes.push(next);
            }
            let bytes = codec::encode(&Items { envelopes, ..Items::default() });
            self.out.push(Effect::Send { channel: Channel::Items, to: To::All, bytes });
        }
    }

    fn relay_bytes(&self) -> usize {
        self.relay.iter().map(Vec::len).sum()
    }

    pub(crate) fn relay_due(&self) -> Option<Timestamp> {
        (!self.relay.is_empty()).then(|| self.relay_since.plus(self.setup.timings.relay_linger))
    }
}

#[cfg(test)]
mod tests {
    // Goal: no number of a receipt is given twice over lives. Method: clocks that went back, and a WAL.
    use super::*;

    #[test]
    fn numbers_go_on_above_those_of_earlier_lives() {
        let receipt = Receipt {
            name: "example.net/test/m0/receipt".into(),
            kind: ReceiptKind::Envelope,
            item: Hash::ZERO,
            network: Hash::ZERO,
            last_final: Slot(1),
            list_from: Slot(2),
            admit_by: Slot(3),
            expires: Slot(9),
            seq: 9_000 << 10,
            time: Timestamp(8_000),
        };
        let note = format!("{}\n\u{2014} name sig\n", receipt.text());
        let items = [
            ItemRecord { envelope: Vec::new(), receipt: note },
            ItemRecord { envelope: Vec::new(), receipt: String::new() },
        ];
        assert_eq!(first_seq(Timestamp(70_000), 5, [].iter()), 70_000 << 10, "the clock");
        assert_eq!(first_seq(Timestamp(2_000), 5, [].iter()), 6_000 << 10, "what the WAL let go of");
        assert_eq!(first_seq(Timestamp(2_000), 5, items.iter()), 9_000 << 10, "what it holds");
    }
}
