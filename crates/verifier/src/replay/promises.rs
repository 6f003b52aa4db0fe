//! Check 21: receipts that somebody holds, against the lists that their givers signed (log.md section 5).
//!
//! A member is convicted only by its own list: without the item, without a cut, of a slot in which the promise still
//! bound it, after lists of every slot since the promise began. A block that left its list out, or an empty one, hides
//! what it listed, and a cut ends a promise: then nothing is said.
use super::{Replay, section::Closed};
use alloc::{format, vec::Vec};
use types::{Envelope, EnvelopeHeader, Hash, Leaf, MemberId, Receipt, codec, limits, reason::Finding};

/// A receipt with the envelope that it is about, and what came of it.
#[derive(Clone, Debug)]
pub(crate) struct Promise {
    /// Index in the committee that it was last a member of.
    pub(crate) member: MemberId,
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
    /// Signed by nobody of the network, or no receipt.
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
        let members = (0u16..).map(MemberId).zip(&self.now.members);
        let mut signed = members.filter_map(|(member, record)| {
            let name = tlog::checkpoint::receipt_name(origin, member);
            tlog::receipt::verify(note, &record.receipt, &name).ok().map(|receipt| (member, record.receipt, receipt))
        });
        let Some((member, key, receipt)) = signed.next() else {
            // perhaps of a member that joins later
            self.strange.push(case.to_vec());
            return Err(ReceiptInputError::Note);
        };
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
        let known = self.promises.iter().any(|p| p.key == key && p.receipt == receipt);
        if !known || header.is_some() {
            self.promises.retain(|p| p.key != key || p.receipt != receipt);
            self.promises.push(Promise { member, key, receipt, header, case: case.to_vec(), kept: Kept::Open });
        }
        Ok(())
    }

    /// Another committee or other parameters begin: a member that stays has another index, perhaps, a promise of one that
    /// leaves ends, and what was promised under other parameters may not be admissible any more.
    pub(super) fn promises_go_on(&mut self) {
        let same = self.before.as_ref().is_some_and(|(_, before)| before.params == self.now.params);
        for promise in self.promises.iter_mut().filter(|promise| promise.kept == Kept::Open) {
            let place = self.now.members.iter().position(|member| member.receipt == promise.key);
            match place.and_then(|place| u16::try_from(place).ok()) {
                Some(place) if same => promise.member = MemberId(place),
                Some(_) => promise.kept = Kept::Unknown("the parameters changed"),
                None => promise.kept = Kept::Unknown("its member left the committee"),
            }
        }
        for case in core::mem::take(&mut self.strange) {
            // who is strange here too may join still later
            self.promise(&case).ok();
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
        let Some(list) = self.section.lists.iter().find(|list| list.text.member == promise.member) else {
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
        let not: Vec<&'static str> = self.promises.iter().filter_map(unknown).collect();
        (self.promises.len().saturating_sub(not.len()), not.first().map(|why| (not.len(), *why)))
    }

    /// Receipts whose givers did not list the item.
    pub(crate) fn broken(&self) -> impl Iterator<Item = &Promise> {
        self.promises.iter().filter(|promise| promise.kept == Kept::No)
    }
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
