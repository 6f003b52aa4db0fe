//! When combiners fail: members ask each other for shares, or for what opened the slot, and are answered within bounds.
use super::outgoing;
use crate::{
    effect::{Channel, Effect, To},
    message::Fetch,
    state::Sequencer,
};
use std::collections::BTreeSet;
use types::{MemberId, Slot, Timestamp, codec};

/// Items whose shares are asked for at a time, when their combiners failed, not counting the last combiner's that is
/// named: bounds what others' answers take.
pub(super) const ASK_ITEMS: usize = 2_048;
/// For each time that a member got twice the items of a slot it waits twice as long for more shares of it; so many times.
const DOUBLINGS_MAX: usize = 5;
/// Openings of slots that a member gets at once; from then on one per `fetch_retry`.
const OPENINGS_AT_ONCE: u64 = 64;
/// Shares of one message of an answer.
pub(super) const ANSWER_SHARES: usize = 8_192;

impl Sequencer {
    pub(crate) fn fallback_due(&self) -> Option<Timestamp> {
        Some(self.fixed.as_ref()?.sharded.as_ref()?.fallback_at)
    }

    /// Asks everybody for shares of what is missing.
    pub(crate) fn try_fallback(&mut self, now: Timestamp) {
        let slot = self.fin.slot();
        let retry = self.setup.timings.rebroadcast;
        let Some(fixed) = self.fixed.as_mut() else { return };
        let is_due = |state: &&mut super::Sharded| state.fallback_at <= now && !state.is_busy();
        let Some(state) = fixed.sharded.as_mut().filter(is_due) else { return };
        (state.asked_at, state.fallback_at) = (now, now.plus(retry));
        fixed.opening_wanted = true;
        // own items are asked for as those of others: what came here may be too little
        let mut wanted: Vec<MemberId> =
            state.asked.iter().copied().filter(|combiner| !state.missing_of(*combiner).is_empty()).collect();
        let mut covered: BTreeSet<usize> = wanted.iter().flat_map(|combiner| state.missing_of(*combiner)).collect();
        for item in state.missing() {
            if covered.contains(&item) {
                continue;
            }
            let own = state.combiners.of_item(item).find(|combiner| *combiner == self.setup.me);
            if let Some(combiner) = own.or_else(|| state.combiners.of_item(item).next()) {
                wanted.push(combiner);
                covered.extend(state.missing_of(combiner));
            }
        }
        let combiners = outgoing::some_of(&state.combiners, wanted.into_iter());
        state.asked.extend(&combiners);
        let bytes = codec::encode(&Fetch::GetShares(slot, combiners));
        self.out.push(Effect::Send { channel: Channel::Fetch, to: To::All, bytes });
    }

    /// A member lacks what combiners should have sent it.
    pub(crate) fn serve_shares(&mut self, now: Timestamp, to: MemberId, slot: Slot, combiners: &[MemberId]) {
        let (from, given) = self.exchange.served.get(&to).copied().unwrap_or((Timestamp(0), 0));
        if from > now {
            return;
        }
        let (mut shares, mut budget) = (given, usize::MAX);
        if !self.serve_opening(to, slot) {
            let Some(outgoing) = self.exchange.outgoing.as_ref().filter(|outgoing| outgoing.slot() == slot) else {
                return;
            };
            let (answers, some) = outgoing.answers(combiners);
            (shares, budget) = (given.saturating_add(some), outgoing.items().saturating_mul(2).max(1));
            for bytes in answers {
                self.out.push(Effect::Send { channel: Channel::Shares, to: To::One(to), bytes });
            }
        }
        // half of what an asker waits: its second message may be faster than its first. It needs no item twice
        let pause = self.setup.timings.fetch_retry.checked_div(2).unwrap_or(0);
        let doublings = shares.checked_div(budget).unwrap_or(0).min(DOUBLINGS_MAX);
        let pause = (0..doublings).fold(pause, |pause, _| pause.saturating_mul(2));
        self.exchange.served.insert(to, (now.plus(pause), shares));
    }

    /// A member asks what opened a slot: many slots at once when it catches up, and no more often than it should.
    pub(crate) fn serve_section(&mut self, now: Timestamp, to: MemberId, slot: Slot) {
        let pause = self.setup.timings.fetch_retry;
        let used = self.exchange.sections.get(&to).copied().unwrap_or(Timestamp(0)).max(now).plus(pause);
        if used <= now.plus(pause.saturating_mul(OPENINGS_AT_ONCE)) && self.serve_opening(to, slot) {
            self.exchange.sections.insert(to, used);
        }
    }
}
