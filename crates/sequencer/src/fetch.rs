//! Asking other members for what is missing, and answering them.
use crate::{
    effect::{Channel, Effect, To},
    job::{Job, RevealWork},
    message::{FETCH_ITEMS_MAX, Fetch, OpeningSection},
    state::Sequencer,
};
use crypto::ids;
use mempool::Held;
use std::{collections::BTreeSet, sync::Arc};
use types::{Envelope, EnvelopeHeader, Hash, MemberId, SignedHeader, Slot, Timestamp, codec, limits, reason::Reason};

/// Bytes of envelopes in one answer.
const ANSWER_BYTES_MAX: usize = 1 << 20;

impl Sequencer {
    /// An admitted envelope, wherever it is held.
    pub(crate) fn held(&self, hash: &Hash) -> Option<&Held> {
        self.pool.get(hash).or_else(|| self.extra.get(hash))
    }

    /// The header of a listed envelope, from the envelope or without it.
    pub(crate) fn header_of(&self, hash: &Hash) -> Option<&EnvelopeHeader> {
        let held = self.held(hash).map(|held| &held.envelope.signed);
        held.or_else(|| self.heads.get(hash).map(|(signed, _)| signed)).map(|signed| &signed.header)
    }

    /// Signed header and hash of the ciphertext of a listed envelope.
    pub(crate) fn head_of(&self, hash: &Hash) -> Option<(SignedHeader, Hash)> {
        self.heads.get(hash).cloned().or_else(|| {
            let envelope = &self.held(hash)?.envelope;
            Some((envelope.signed.clone(), ids::ciphertext_hash(&envelope.ciphertext)))
        })
    }

    /// Asks `ask` at once, everybody later.
    pub(crate) fn want(&mut self, now: Timestamp, missing: &[Hash], ask: Option<MemberId>) {
        let fresh: Vec<Hash> = missing.iter().filter(|h| !self.wanted.contains_key(h)).copied().collect();
        for hash in &fresh {
            self.wanted.insert(*hash, now);
            if let Some(flight) = self.flights.get_mut(hash) {
                flight.forced = true;
            }
        }
        let to = ask.filter(|m| *m != self.setup.me).map_or(To::All, To::One);
        self.ask_items(fresh.into_iter().filter(|h| !self.flights.contains_key(h)).collect(), to);
    }

    fn ask_items(&mut self, hashes: Vec<Hash>, to: To) {
        for chunk in hashes.chunks(FETCH_ITEMS_MAX) {
            let bytes = codec::encode(&Fetch::GetItems(chunk.to_vec()));
            self.out.push(Effect::Send { channel: Channel::Fetch, to, bytes });
        }
    }

    /// Repeats what is still missing, and asks for an opening that peers have gone past.
    pub(crate) fn try_fetch(&mut self, now: Timestamp) {
        if self.fetch_due().is_none_or(|due| due > now) {
            return;
        }
        let late: Vec<Hash> = self.wanted.keys().filter(|h| !self.flights.contains_key(h)).copied().collect();
        for asked in self.wanted.values_mut() {
            *asked = now;
        }
        self.ask_items(late, To::All);
        if self.opening_due().is_some_and(|due| due <= now)
            && let Some(fixed) = self.fixed.as_mut()
        {
            fixed.opening_asked = now;
            fixed.opening_wanted = true;
            let bytes = codec::encode(&Fetch::GetOpening(self.fin.slot()));
            self.out.push(Effect::Send { channel: Channel::Fetch, to: To::All, bytes });
        }
    }

    /// When to ask what opened the last final slot. At once when a later block is final: others have gone past it, and
    /// send no more shares of it.
    fn opening_due(&self) -> Option<Timestamp> {
        let fixed = self.fixed.as_ref().filter(|f| !f.running)?;
        let timings = &self.setup.timings;
        Some(match (self.finals.is_empty(), fixed.opening_wanted) {
            // who is asked for shares answers with the opening if it can
            (true, _) if fixed.sharded.is_some() => return None,
            (true, _) => fixed.opening_asked.plus(timings.rebroadcast.saturating_mul(2)),
            (false, true) => fixed.opening_asked.plus(timings.fetch_retry),
            (false, false) => fixed.opening_asked,
        })
    }

    pub(crate) fn fetch_due(&self) -> Option<Timestamp> {
        let retry = self.setup.timings.fetch_retry;
        let items = self.wanted.values().min().map(|asked| asked.plus(retry));
        items.into_iter().chain(self.opening_due()).min()
    }

    pub(crate) fn on_fetch(&mut self, now: Timestamp, from: MemberId, bytes: &[u8]) {
        let max = ANSWER_BYTES_MAX.saturating_add(limits::ENVELOPE_BYTES_MAX).saturating_add(1_024);
        match codec::decode::<Fetch>(bytes, max) {
            Ok(Fetch::GetItems(hashes)) => self.serve_items(from, &hashes),
            Ok(Fetch::Items(items)) => {
                for bytes in items.iter().take(FETCH_ITEMS_MAX) {
                    self.offered(from, bytes, true);
                }
            }
            Ok(Fetch::GetOpening(slot)) => self.serve_section(now, from, slot),
            Ok(Fetch::Opening(section)) => self.on_opening(from, *section),
            Ok(Fetch::Heads(heads)) => {
                for (signed, ciphertext) in heads {
                    let hash = ids::envelope_hash(&signed, &ciphertext);
                    if self.wanted.contains_key(&hash) {
                        self.heads.insert(hash, (signed, ciphertext));
                    }
                }
            }
            Ok(Fetch::GetList(slot)) => {
                if let Some((_, bytes)) = self.own_list.as_ref().filter(|(own, _)| *own == slot) {
                    let bytes = bytes.clone();
                    self.out.push(Effect::Send { channel: Channel::Lists, to: To::One(from), bytes });
                }
            }
            Ok(Fetch::Operations(operations)) => {
                for bytes in operations.into_iter().take(FETCH_ITEMS_MAX) {
                    self.offered_operation(from, bytes, true);
                }
            }
            Ok(Fetch::Bids(bids)) => {
                for bytes in bids.iter().take(FETCH_ITEMS_MAX) {
                    self.offered_bid(from, bytes, true);
                }
            }
            Ok(Fetch::Objects(objects)) => {
                for bytes in objects.iter().take(FETCH_ITEMS_MAX) {
                    self.offered_object(from, bytes, true);
                }
            }
            Ok(Fetch::Openings(message)) => self.on_openings(from, *message),
            Ok(Fetch::GetShares(slot, combiners)) => self.serve_shares(now, from, slot, &combiners),
            Err(_codec) => {
                self.out.push(Effect::Reject { from: Some(from), reason: Reason::MalformedData, what: "fetch" });
            }
        }
    }

    /// What opened a slot, if that is known here.
    pub(crate) fn serve_opening(&mut self, to: MemberId, slot: Slot) -> bool {
        let Some(section) = self.recent_openings.get(&slot) else { return false };
        let bytes = codec::encode(&Fetch::Opening(Box::new(section.clone())));
        self.out.push(Effect::Send { channel: Channel::Fetch, to: To::One(to), bytes });
        true
    }

    fn serve_items(&mut self, to: MemberId, hashes: &[Hash]) {
        let (mut items, mut heads, mut operations) = (Vec::new(), Vec::new(), Vec::new());
        let (mut bids, mut objects, mut size) = (Vec::new(), Vec::new(), 0usize);
        // one bounded answer to a request: who lacks more asks again
        let distinct: BTreeSet<&Hash> = hashes.iter().take(FETCH_ITEMS_MAX).collect();
        for hash in distinct {
            if let Some(envelope) = self.any_envelope(hash) {
                let bytes = codec::encode(&*envelope);
                size = size.saturating_add(bytes.len());
                items.push(bytes);
            } else if let Some(operation) = self.operations.bytes(hash) {
                size = size.saturating_add(operation.len());
                operations.push(operation.to_vec());
            } else if let Some(bid) = self.bids.any(hash) {
                let bytes = codec::encode(&**bid);
                size = size.saturating_add(bytes.len());
                bids.push(bytes);
            } else if let Some(object) = self.objects.any(hash) {
                let bytes = codec::encode(&**object);
                size = size.saturating_add(bytes.len());
                objects.push(bytes);
            } else {
                heads.extend(self.heads.get(hash).cloned());
            }
            if size > ANSWER_BYTES_MAX {
                break;
            }
        }
        let answers = [
            (!items.is_empty()).then_some(Fetch::Items(items)),
            (!operations.is_empty()).then_some(Fetch::Operations(operations)),
            (!bids.is_empty()).then_some(Fetch::Bids(bids)),
            (!objects.is_empty()).then_some(Fetch::Objects(objects)),
            (!heads.is_empty()).then_some(Fetch::Heads(heads)),
        ];
        for answer in answers.into_iter().flatten() {
            let bytes = codec::encode(&answer);
            self.out.push(Effect::Send { channel: Channel::Fetch, to: To::One(to), bytes });
        }
    }

    fn any_envelope(&self, hash: &Hash) -> Option<Arc<Envelope>> {
        let held = self.held(hash).map(|h| Arc::clone(&h.envelope));
        held.or_else(|| {
            let units = self.recent.get(&self.placed.get(hash)?.slot)?;
            let at = units.binary_search_by(|(h, _)| h.cmp(hash)).ok()?;
            units.get(at).map(|(_, envelope)| Arc::clone(envelope))
        })
    }

    /// An opening that a peer serves: checked like an auditor checks the log, then used.
    fn on_opening(&mut self, from: MemberId, section: OpeningSection) {
        let slot = self.fin.slot();
        let message = self.beacon_message();
        let seed = self.next_seed();
        let Some(fixed) = self.fixed.as_mut() else { return };
        // who served garbage once is not believed again: it could always be the first to answer
        let unasked = !fixed.opening_wanted || fixed.running || fixed.excluded.contains(&from);
        if section.slot != slot || unasked || section.openings.len() != fixed.items.len() {
            return;
        }
        let Some(items) = fixed.items.iter().cloned().collect::<Option<Vec<_>>>() else { return };
        fixed.running = true;
        fixed.opening_wanted = false;
        self.out.push(Effect::Run(Job::CheckOpenings {
            keys: Arc::clone(&self.secrets.keys),
            work: Box::new(RevealWork { message, items, shares: Vec::new(), seed }),
            sig: section.sig,
            openings: section.openings,
            from,
        }));
    }
}
