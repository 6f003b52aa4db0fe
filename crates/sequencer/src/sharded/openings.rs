//! What combiners say that opens their items: signed here, checked there.
use super::Sharded;
use crate::{
    effect::{Channel, Effect, To},
    job::{ClaimKind, Claimed, Job, Judged},
    message::Fetch,
    state::{Halt, Sequencer},
};
use crypto::{ed25519, evidence, merkle};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use types::{MemberId, Opening, OpeningHeader, OpeningMessage, SetRef, Slot, Timestamp, codec, limits, reason::Reason};

fn openings_of(items: &[(u32, Opening)]) -> SetRef {
    let leaves: Vec<Vec<u8>> = items.iter().map(|(item, opening)| evidence::opening_leaf(*item, opening)).collect();
    merkle::set_ref(&leaves)
}

/// Claims to be checked together.
#[derive(Default)]
struct Claims {
    claims: Vec<Claimed>,
    places: BTreeSet<usize>,
    /// No place twice with the same opening; of Bottoms no place twice, since the right one is as slow to check.
    given: BTreeSet<(usize, Option<[u8; 16]>)>,
}

impl Claims {
    fn add(&mut self, at: usize, opening: Opening, claim: impl FnOnce() -> Claimed) {
        if self.given.insert((at, opening.key().map(|key| key.0))) {
            self.places.insert(at);
            self.claims.push(claim());
        }
    }
}

impl Sequencer {
    fn sharded_mut(&mut self) -> Option<&mut Sharded> {
        self.fixed.as_mut()?.sharded.as_mut()
    }

    /// Signs and sends what opens this member's items, once all of them are opened, by whom ever: then the message is the
    /// same after a restart.
    pub(super) fn publish_openings(&mut self) {
        let (slot, me) = (self.fin.slot(), self.setup.me);
        if self.exchange.own_openings.as_ref().is_some_and(|(sent, _)| *sent == slot) {
            return;
        }
        let Some(state) = self.fixed.as_ref().and_then(|fixed| fixed.sharded.as_ref()) else { return };
        let mut items = Vec::new();
        for item in state.combiners.items_of(me) {
            let (Ok(place), Some((opening, _))) = (u32::try_from(item), state.found(item)) else { return };
            items.push((place, *opening));
        }
        if items.is_empty() {
            return;
        }
        let header = OpeningHeader {
            version: 1,
            network: self.setup.network,
            epoch: self.fin.header.epoch,
            slot,
            digest: self.fin.digest,
            member: me,
            openings: openings_of(&items),
        };
        let sig = self.signer.receipt.sign(evidence::openings_digest(&header).as_bytes());
        let message = OpeningMessage { header, sig, items };
        self.exchange.own_openings = Some((slot, codec::encode(&Fetch::Openings(Box::new(message)))));
        self.send_openings();
    }

    /// Own openings of the last final slot.
    pub(crate) fn send_openings(&mut self) {
        if let Some((_, bytes)) = &self.exchange.own_openings {
            self.out.push(Effect::Send { channel: Channel::Fetch, to: To::All, bytes: bytes.clone() });
        }
    }

    /// A combiner's message; kept for the last final slot and the two after it, one per member.
    pub(crate) fn on_openings(&mut self, from: MemberId, message: OpeningMessage) {
        let slot = message.header.slot;
        if slot > self.fin.slot().plus(2) {
            self.is_ahead(from, slot);
            return;
        }
        if slot < self.fin.slot() || self.exchange.refused.contains(&(slot, from)) {
            return;
        }
        if let Some(first) = self.exchange.openings.get(&slot).and_then(|by| by.get(&from)) {
            if first.header != message.header {
                // an honest combiner says everything at once; if the two differ in an item, one of them is wrong by itself
                self.refuse_openings(slot, from, Reason::Equivocation);
            }
            return;
        }
        if !self.is_shaped(from, &message) {
            self.refuse_openings(slot, from, Reason::MalformedData);
            return;
        }
        // what costs a hash per item is looked at only if its member signed it
        let digest = evidence::openings_digest(&message.header);
        if !self.member_of(from).is_some_and(|m| ed25519::verify(&m.receipt, digest.as_bytes(), &message.sig)) {
            self.refuse_openings(slot, from, Reason::WrongSignature);
            return;
        }
        if message.header.openings != openings_of(&message.items) {
            self.refuse_openings(slot, from, Reason::MalformedData);
            return;
        }
        self.exchange.openings.entry(slot).or_default().insert(from, message);
        if slot == self.fin.slot() && self.opened == slot {
            self.compare_openings(from);
        }
    }

    /// Names a member, once in a slot.
    fn refuse_openings(&mut self, slot: Slot, from: MemberId, reason: Reason) {
        if self.exchange.refused.insert((slot, from)) {
            self.reject(from, reason, "openings");
        }
    }

    /// What can be said at a glance, without knowing the slot.
    fn is_shaped(&self, from: MemberId, message: &OpeningMessage) -> bool {
        let OpeningMessage { header, items, .. } = message;
        let most = limits::SET_COUNT_MAX.div_ceil(self.n().max(1).into());
        let most = usize::try_from(most.saturating_mul(self.setup.params.combiners.into())).unwrap_or(usize::MAX);
        self.is_sharded()
            && header.version == 1
            && header.network == self.setup.network
            && header.epoch == self.epoch_of(header.slot)
            && header.member == from
            && !items.is_empty()
            && items.len() <= most
            && items.is_sorted_by(|(one, _), (next, _)| one < next)
    }

    /// Whether a message is for the last final block, and its items are the member's.
    fn is_combiner_of(&self, message: &OpeningMessage) -> bool {
        let count = self.recent.get(&self.fin.slot()).map_or(0, Vec::len).saturating_add(self.bids());
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        let Some(combiners) = self.combiners_of(self.fin.slot(), count) else { return false };
        let own: BTreeSet<usize> = combiners.items_of(message.header.member).into_iter().collect();
        let place = |item: &u32| usize::try_from(*item).is_ok_and(|item| own.contains(&item));
        message.header.digest == self.fin.digest && message.items.iter().all(|(item, _)| place(item))
    }

    /// The slot is opened: what a combiner says otherwise is wrong.
    fn compare_openings(&mut self, from: MemberId) {
        let slot = self.fin.slot();
        let Some(message) = self.exchange.openings.get(&slot).and_then(|by| by.get(&from)).cloned() else { return };
        if !self.is_combiner_of(&message) {
            self.refuse_openings(slot, from, Reason::MalformedData);
            return;
        }
        let known = self.recent_openings.get(&slot).map_or(&[][..], |section| &section.openings);
        let right = |item: &u32| usize::try_from(*item).ok().and_then(|item| known.get(item));
        let wrong = message.items.iter().filter(|(item, opening)| right(item) != Some(opening));
        let wrong: Vec<u32> = wrong.map(|(item, _)| *item).collect();
        self.wrong_openings(from, &wrong);
    }

    /// The slot is opened, by whom ever: only now can be said of every item what combiners should have said, and one lie
    /// that was found first may be of an item that no evidence speaks of.
    pub(crate) fn compare_all_openings(&mut self) {
        let said = self.exchange.openings.get(&self.fin.slot()).into_iter().flat_map(BTreeMap::keys);
        for member in said.copied().collect::<Vec<_>>() {
            self.compare_openings(member);
        }
    }

    fn wrong_openings(&mut self, from: MemberId, wrong: &[u32]) {
        if wrong.is_empty() {
            return;
        }
        let slot = self.fin.slot();
        self.distrust(&[from]);
        self.refuse_openings(slot, from, Reason::BadCiphertext);
        if let Some(message) = self.exchange.openings.get(&slot).and_then(|by| by.get(&from)).cloned() {
            self.accuse_opening(&message, wrong);
        }
    }

    /// Checks what is claimed of items that are not opened here; compares the rest. Keys come before Bottoms of the same
    /// items, since they are quick to check, and culprits of the epoch after all others.
    pub(super) fn try_claims(&mut self) {
        let slot = self.fin.slot();
        let (culprits, all) = (self.culprits(), self.needs_culprits());
        let Some(fixed) = self.fixed.as_ref() else { return };
        let Some(state) = fixed.sharded.as_ref() else { return };
        let Some(said) = self.exchange.openings.get(&slot) else { return };
        let (mut settled, mut misfits, mut wrong) = (Vec::new(), Vec::new(), Vec::new());
        let (mut keys, mut bottoms) = (Claims::default(), Claims::default());
        let mut said: Vec<_> = said.iter().filter(|(member, _)| !state.settled.contains(member)).collect();
        said.sort_by_key(|(member, _)| culprits.contains(member));
        for (member, message) in said {
            if !self.is_combiner_of(message) {
                misfits.push(*member);
                continue;
            }
            let places =
                message.items.iter().filter_map(|(place, o)| Some((*place, usize::try_from(*place).ok()?, *o)));
            let known = |at: usize| state.found(at).map(|(opening, _)| *opening);
            let at_odds = places.clone().filter(|(_, at, o)| known(*at).is_some_and(|known| known != *o));
            let lies: Vec<u32> = at_odds.map(|(place, ..)| place).collect();
            if !lies.is_empty() {
                wrong.push((*member, lies));
                continue;
            }
            let open: Vec<_> = places.filter(|(_, at, _)| known(*at).is_none()).collect();
            if open.is_empty() {
                settled.push(*member);
            }
            if culprits.contains(member) && !all {
                continue;
            }
            for (place, at, opening) in open {
                // an envelope may still be on its way through admission after a restart
                let Some(item) = fixed.items.get(at).and_then(Option::as_ref) else { continue };
                let claim = || Claimed { member: *member, place, opening, item: item.clone() };
                match opening {
                    Opening::Key(_) => keys.add(at, opening, claim),
                    Opening::Bottom(_) => bottoms.add(at, opening, claim),
                }
            }
        }
        bottoms.claims.retain(|claim| usize::try_from(claim.place).is_ok_and(|at| !keys.places.contains(&at)));
        for (member, lies) in &wrong {
            self.wrong_openings(*member, lies);
        }
        for member in &misfits {
            self.refuse_openings(slot, *member, Reason::MalformedData);
        }
        for (kind, claims) in [(ClaimKind::Keys, keys.claims), (ClaimKind::Bottoms, bottoms.claims)] {
            self.check_claims(kind, claims);
        }
        if let Some(state) = self.sharded_mut() {
            state.settled.extend(settled.into_iter().chain(misfits).chain(wrong.into_iter().map(|(member, _)| member)));
        }
    }

    fn check_claims(&mut self, kind: ClaimKind, claims: Vec<Claimed>) {
        let (slot, seed) = (self.fin.slot(), self.next_seed());
        let idle = |state: &&mut Sharded| !claims.is_empty() && !state.checking.contains_key(&kind);
        let Some(state) = self.sharded_mut().filter(idle) else { return };
        let places = claims.iter().filter_map(|claim| usize::try_from(claim.place).ok()).collect();
        state.checking.insert(kind, places);
        let keys = Arc::clone(&self.secrets.keys);
        self.out.push(Effect::Run(Job::CheckClaims { keys, slot, kind, claims, seed }));
    }

    pub(crate) fn checked_claims(
        &mut self,
        now: Timestamp,
        slot: Slot,
        kind: ClaimKind,
        judged: Vec<Judged>,
    ) -> Result<(), Halt> {
        if slot != self.fin.slot() {
            return Ok(());
        }
        let mut wrong: BTreeMap<MemberId, Vec<u32>> = BTreeMap::new();
        let mut state = self.sharded_mut();
        for Judged { member, place, opening, holds, message } in judged {
            if !holds {
                wrong.entry(member).or_default().push(place);
            } else if let Some(state) = state.as_mut() {
                state.find(usize::try_from(place).unwrap_or(usize::MAX), opening, message);
            }
        }
        if let Some(state) = state {
            state.checking.remove(&kind);
            state.settled.extend(wrong.keys());
        }
        for (member, lies) in wrong {
            self.wrong_openings(member, &lies);
        }
        self.try_complete(now)
    }
}
