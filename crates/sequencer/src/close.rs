//! The close of a slot: this member's list is persisted, signed and sent; other members' lists are kept.
use crate::{
    effect::{Channel, Effect, Phase, Record, To},
    lists, sign,
    state::Sequencer,
};
use types::{MemberId, SignedList, Slot, Timestamp, codec, limits, reason::Reason};

/// Lists of a member for a slot, besides the one that counts, that are looked at: hashing and checking one takes
/// milliseconds.
const LIST_TRIES: u8 = 8;

impl Sequencer {
    /// The slot whose set is collected.
    pub(crate) fn current(&self) -> Slot {
        self.fin.slot().next()
    }

    pub(crate) fn listed(&self) -> bool {
        self.own_list.as_ref().is_some_and(|(slot, _)| *slot >= self.current())
    }

    /// SEQ-4: no list before the slot before is opened.
    pub(crate) fn close_due(&self) -> Option<Timestamp> {
        // what was promised before a restart is on the list, or there is none yet
        let promised = self.flights.values().any(|f| f.stored && f.receipt.is_some());
        if self.opened < self.fin.slot() || self.listed() || promised || !self.may_list(self.current()) {
            return None;
        }
        let timings = &self.setup.timings;
        Some(self.opened_at.plus(timings.close_min).max(self.closed_at.plus(timings.slot)))
    }

    pub(crate) fn try_close(&mut self, now: Timestamp) {
        if self.close_due().is_none_or(|due| due > now) {
            return;
        }
        let slot = self.current();
        let (mut leaves, cut) = self.pool.list(&self.ledger, slot);
        let count = leaves.len();
        // in the order of the kinds
        leaves.extend(self.bids.listed(slot.next()));
        leaves.extend(self.objects.listed(slot, self.tail_due().map(|(due, _)| due)));
        leaves.extend(self.operations.listed(self.epoch_of(slot), |operation| self.counts(operation, slot).is_ok()));
        let list = sign::list(&self.signer, self.setup.network, slot, self.setup.me, leaves, cut);
        let bytes = codec::encode(&list);
        self.out.push(Effect::Persist(Record::List { slot, bytes: bytes.clone() }));
        self.out.push(Effect::Send { channel: Channel::Lists, to: To::All, bytes: bytes.clone() });
        self.out.push(Effect::Phase { slot, phase: Phase::Closed { listed: count } });
        self.lists.entry(slot).or_default().insert(self.setup.me, list);
        self.own_list = Some((slot, bytes));
        self.closed_at = now;
        self.broadcast_at = now;
    }

    /// After a restart: the list that this member signed is the only one it may send.
    pub(crate) fn resume_list(&mut self, own: Option<(Slot, Vec<u8>)>) {
        let Some((slot, bytes)) = own else { return };
        if let Ok(list) = codec::decode::<SignedList>(&bytes, limits::LIST_BYTES_MAX)
            && slot == self.current()
        {
            self.lists.entry(slot).or_default().insert(self.setup.me, list);
            self.out.push(Effect::Send { channel: Channel::Lists, to: To::All, bytes: bytes.clone() });
        }
        self.own_list = Some((slot, bytes));
    }

    /// A list of another member, for the current slot or one of the next two: it may be ahead.
    pub(crate) fn on_list(&mut self, from: MemberId, bytes: &[u8]) {
        let refused = |reason, what| Effect::Reject { from: Some(from), reason, what };
        let Ok(list) = codec::decode::<SignedList>(bytes, limits::LIST_BYTES_MAX) else {
            self.out.push(refused(Reason::MalformedData, "list"));
            return;
        };
        if list.slot > self.current().plus(2) {
            self.is_ahead(from, list.slot);
            return;
        }
        if list.slot < self.current() {
            return;
        }
        let Some(member) = self.setup.members.get(usize::from(from.0)).filter(|_| list.member == from) else {
            self.out.push(refused(Reason::WrongSignature, "list"));
            return;
        };
        if self.refused_lists.get(&(list.slot, from)).is_some_and(|tried| *tried >= LIST_TRIES) {
            return;
        }
        let key = member.receipt;
        let first = self.lists.get(&list.slot).and_then(|by| by.get(&from));
        if first == Some(&list) {
            return;
        }
        if let Some(first) = first.cloned() {
            self.tried_list(list.slot, from);
            if lists::verify(self.setup.network, &self.setup.params, &key, &list).is_ok() {
                self.out.push(refused(Reason::Equivocation, "list"));
                self.accuse_lists(&first, &list);
            }
            return;
        }
        match lists::verify(self.setup.network, &self.setup.params, &key, &list) {
            Ok(_text) => {
                self.lists.entry(list.slot).or_default().insert(from, list);
            }
            Err(broken) => {
                self.tried_list(list.slot, from);
                self.out.push(refused(Reason::WrongSignature, "list"));
                if broken != crate::Refused::ListSignature {
                    self.accuse_list(list);
                }
            }
        }
    }

    fn tried_list(&mut self, slot: Slot, from: MemberId) {
        let tried = self.refused_lists.entry((slot, from)).or_default();
        *tried = tried.saturating_add(1);
    }

    /// Own list and share message go out again until the next block is final: sends are lossy for peers that are away.
    pub(crate) fn try_broadcast(&mut self, now: Timestamp) {
        if self.broadcast_due().is_none_or(|due| due > now) {
            return;
        }
        self.broadcast_at = now;
        if let Some((slot, bytes)) = &self.own_list
            && *slot == self.current()
        {
            self.out.push(Effect::Send { channel: Channel::Lists, to: To::All, bytes: bytes.clone() });
        }
        self.tell_bids_again();
        self.send_shares();
        self.send_openings();
    }

    pub(crate) fn broadcast_due(&self) -> Option<Timestamp> {
        Some(self.broadcast_at.plus(self.setup.timings.rebroadcast))
    }
}
