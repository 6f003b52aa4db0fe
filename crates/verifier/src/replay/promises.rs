//! Check 21: receipts that somebody holds, against the lists that their givers signed (log.md section 5).
//!
//! A member is convicted only by its own list: without the item, without a cut, of a slot in which the promise still
//! bound it, after lists of every slot since the promise began. A block that left its list out, or an empty one, hides
//! what it listed, and a cut ends a promise: then nothing is said.
//!
//! A promise is its key's: a member that stays keeps it under the index that it has then. One of a later committee waits
//! until the log says whose key that is.
use super::{Replay, section::Closed};
use alloc::{format, vec::Vec};
use tlog::note::Note;
use types::{Envelope, EnvelopeHeader, Hash, Leaf, MemberId, Receipt, codec, limits, reason::Finding};

/// A receipt with the envelope that it is about, and what came of it.
#[derive(Clone, Debug)]
pub(crate) struct Promise {
    /// Index in the committee that it was last a member of.
    pub(crate) member: MemberId,
    /// Index in the committee of the epoch whose lists the promise begins with: whom evidence about it names.
    pub(crate) giver: MemberId,
    /// The key that signed.
    pub(crate) key: Hash,
    pub(crate) receipt: Receipt,
    pub(crate) header: Option<EnvelopeHeader>,
    /// As it was given.
    pub(crate) case: Vec<u8>,
    pub(crate) kept: Kept,
}

/// What came of a promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    /// Nothing has ended it, and every list since has the item.
    Open,
    /// It was kept to its end.
    Yes,
    /// A list lacks the item.
    No,
    /// Not to be judged, for this reason.
    Unknown(&'static str),
}

/// Why a receipt is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReceiptInputError {
    /// Signed by nobody of the network, or no receipt. One for lists of a later epoch is taken: who is a member then, the
    /// log must say.
    #[error("no receipt that a member of this network has signed")]
    Note,
    /// Of another network.
    #[error("a receipt of another network")]
    Network,
    /// The envelope beside it is another one.
    #[error("the envelope beside it is not its item")]
    Envelope,
}

/// The line between a note and an envelope.
const ENVELOPE: &[u8] = b"\nenvelope ";

/// The note of a receipt as it was given.
pub(crate) fn note_of(case: &[u8]) -> &[u8] {
    let at = case.windows(ENVELOPE.len()).position(|window| window == ENVELOPE);
    at.and_then(|at| case.get(..=at)).unwrap_or(case)
}

impl Replay {
    /// Takes a receipt to hold the lists against: the signed note, then perhaps a line `envelope` and the envelope's bytes
    /// in hex. Before the entries.
    ///
    /// # Errors
    /// [`ReceiptInputError`]: it promises nothing.
    pub fn promise(&mut self, case: &[u8]) -> Result<(), ReceiptInputError> {
        let note = note_of(case);
        let envelope = case.get(note.len()..).and_then(|rest| rest.strip_prefix(ENVELOPE.get(1..)?));
        let origin = self.anchor.policy.origin();
        let schedule = self.schedule();
        let now = schedule.epoch_of(self.last.height.next());
        let begins = |receipt: &Receipt| schedule.epoch_of(receipt.list_from);
        let members = (0u16..).map(MemberId).zip(&self.now.members);
        let mut signed = members.filter_map(|(member, record)| {
            let name = tlog::checkpoint::receipt_name(origin, member);
            let receipt = tlog::receipt::verify(note, &record.receipt, &name).ok();
            // who is a member since then alone had no lists before
            receipt.filter(|receipt| begins(receipt) >= now).map(|receipt| (Some((member, record.receipt)), receipt))
        });
        let of_later = || said(note).filter(|receipt| begins(receipt) > now);
        let read = signed.next().or_else(|| of_later().map(|receipt| (None, receipt)));
        let (signer, receipt) = read.ok_or(ReceiptInputError::Note)?;
        if receipt.network != self.anchor.id {
            return Err(ReceiptInputError::Network);
        }
        let header = match envelope {
            None => None,
            Some(hex) => {
                let bytes = unhex(hex.trim_ascii_end()).ok_or(ReceiptInputError::Envelope)?;
                let envelope = codec::decode::<Envelope>(&bytes, limits::ENVELOPE_BYTES_MAX).ok();
                let envelope = envelope.filter(|e| crypto::ids::hash_envelope(e) == receipt.item);
                Some(envelope.ok_or(ReceiptInputError::Envelope)?.signed.header)
            }
        };
        let Some((member, key)) = signer else {
            self.strange.push(case.to_vec());
            return Ok(());
        };
        let known = self.promises.iter().any(|p| p.key == key && p.receipt == receipt);
        if !known || header.is_some() {
            self.promises.retain(|p| p.key != key || p.receipt != receipt);
            let (giver, case, kept) = (member, case.to_vec(), Kept::Open);
            self.promises.push(Promise { member, giver, key, receipt, header, case, kept });
        }
        Ok(())
    }

    /// Another committee or other parameters begin: a member that stays has another index, perhaps, a promise of one that
    /// leaves ends, and what was promised under other parameters may not be admissible any more.
    pub(super) fn promises_go_on(&mut self) {
        let schedule = self.schedule();
        let Some((ended, before)) = &self.before else { return };
        let same = before.params == self.now.params;
        for promise in &mut self.promises {
            let mut members = (0u16..).map(MemberId).zip(&self.now.members);
            let place = members.find(|(_, member)| member.receipt == promise.key).map(|(place, _)| place);
            if schedule.epoch_of(promise.receipt.list_from) > *ended {
                promise.giver = place.unwrap_or(promise.giver);
            }
            if promise.kept != Kept::Open {
                continue;
            }
            // one that is given later knows this committee and these parameters
            let later = schedule.epoch_of(promise.receipt.last_final) > *ended;
            match place {
                Some(place) if same || later => promise.member = place,
                Some(_) => promise.kept = Kept::Unknown("the parameters changed"),
                None if later => {}
                None => promise.kept = Kept::Unknown("its member left the committee"),
            }
        }
        for case in core::mem::take(&mut self.strange) {
            if self.promise(&case).is_err() {
                // who is strange here too may join still later
                self.strange.push(case);
            }
        }
    }

    /// Pairs of receipts of one member and number for different items.
    pub(crate) fn conflicts(&self) -> Vec<(&Promise, &Promise)> {
        let mut pairs = Vec::new();
        for (at, one) in self.promises.iter().enumerate() {
            let clash = |other: &&Promise| {
                let item = |p: &Promise| (p.receipt.kind, p.receipt.item);
                other.key == one.key && other.receipt.seq == one.receipt.seq && item(other) != item(one)
            };
            pairs.extend(self.promises.iter().skip(at).filter(clash).map(|other| (one, other)));
        }
        pairs
    }

    /// Holds the lists of a slot against the promises that bind in it.
    pub(super) fn check_promises(&mut self, closed: &Closed, union: &[Leaf]) {
        let mut promises = core::mem::take(&mut self.promises);
        for promise in &mut promises {
            if promise.kept != Kept::Open || closed.slot < promise.receipt.list_from {
                continue;
            }
            promise.kept = self.judge_promise(closed, union, promise);
            if promise.kept == Kept::No {
                let detail = format!("{} was promised from slot {}", promise.receipt.item, promise.receipt.list_from);
                self.convict(Finding::ReceiptUnlisted, promise.member, &detail);
            }
        }
        self.promises = promises;
    }

    fn judge_promise(&self, closed: &Closed, union: &[Leaf], promise: &Promise) -> Kept {
        let item = promise.receipt.item;
        let of_log = || self.header(&item).map(|signed| signed.header);
        let Some(header) = promise.header.clone().or_else(of_log) else {
            return Kept::Unknown("the envelope is not beside the receipt");
        };
        let used = self.judged.account(&header.fee_account).is_none_or(|account| header.nonce < account.nonce);
        let over = closed.slot > header.expiry_slot || closed.slot > promise.receipt.expires;
        if used || over || self.placed.contains_key(&item) {
            return Kept::Yes;
        }
        // another may have the index of one that has left
        let place = usize::from(promise.member.0);
        let works = self.now.members.get(place).is_some_and(|member| member.receipt == promise.key);
        let mut lists = self.section.lists.iter().filter(|list| works && list.text.member == promise.member);
        let Some(list) = lists.next() else {
            return Kept::Unknown("a block without the member's list");
        };
        let named = |(at, leaf): (usize, &Leaf)| leaf.hash() == item && super::lists::bit(&list.bits, at);
        match (union.iter().enumerate().any(named), list.text.cut) {
            (true, _) => Kept::Open,
            (false, Some(_)) => Kept::Unknown("the member's list was cut"),
            (false, None) => Kept::No,
        }
    }

    /// How many promises were judged, and why the first that was not is not.
    pub(crate) fn promises_judged(&self) -> (usize, Option<(usize, &'static str)>) {
        let unknown = |promise: &Promise| match promise.kept {
            Kept::Unknown(why) => Some(why),
            Kept::Open | Kept::Yes | Kept::No => None,
        };
        let strange = self.strange.iter().map(|_| "no member up to the head has signed it");
        let not: Vec<&'static str> = self.promises.iter().filter_map(unknown).chain(strange).collect();
        let all = self.promises.len().saturating_add(self.strange.len());
        (all.saturating_sub(not.len()), not.first().map(|why| (not.len(), *why)))
    }

    /// Receipts whose givers did not list the item.
    pub(crate) fn broken(&self) -> impl Iterator<Item = &Promise> {
        self.promises.iter().filter(|promise| promise.kept == Kept::No)
    }
}

/// What a note says, whoever has signed it.
fn said(note: &[u8]) -> Option<Receipt> {
    Receipt::parse(Note::parse(note).ok()?.text()).ok()
}

fn unhex(text: &[u8]) -> Option<Vec<u8>> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    if text.len() > limits::ENVELOPE_BYTES_MAX.saturating_mul(2) {
        return None;
    }
    let (pairs, rest) = text.as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    pairs.iter().map(|[high, low]| Some(digit(high)?.checked_mul(16)?.saturating_add(digit(low)?))).collect()
}
