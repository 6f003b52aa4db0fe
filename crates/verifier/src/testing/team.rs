//! Committees: who is in one, and how the next one comes.
use super::{FAULTY, MEMBERS, World, seed_of};
use alloc::{boxed::Box, format, string::String, vec::Vec};
use crypto::{change, dealer::Voters, ed25519::SigningKey};
use tlog::checkpoint::Policy;
use types::{
    Change, Epoch, Hash, Joining, MemberId, MemberRecord, Operation, Params, Seat, SignedChange, Slot, VoteSig, codec,
};

/// What a member signs with, besides its votes.
pub(super) struct Keys {
    pub(super) log: SigningKey,
    pub(super) cosigner: SigningKey,
    pub(super) receipt: SigningKey,
}

/// A committee, by index.
pub(super) struct Team {
    /// The first epoch that it works in.
    since: Epoch,
    /// Who its members are: below [`MEMBERS`] in genesis, by index there, and else one that joined later.
    serials: Vec<u16>,
    pub(super) voters: Voters,
    pub(super) members: Vec<Keys>,
    pub(super) records: Vec<MemberRecord>,
}

fn joiner(seed: &[u8; 32], serial: u16) -> SigningKey {
    SigningKey::from_seed(seed_of(seed, "joiner", serial.into()).into())
}

impl Team {
    pub(super) fn genesis(seed: &[u8; 32]) -> Self {
        Self::new(seed, Epoch(0), (0..MEMBERS).collect())
    }

    fn new(seed: &[u8; 32], since: Epoch, serials: Vec<u16>) -> Self {
        let mut first = (0u16..).zip(Voters::new(MEMBERS, FAULTY, seed).keys).peekable();
        // ascending, and who joins comes last
        let voter = |serial: &u16| {
            while first.next_if(|(at, _)| at < serial).is_some() {}
            first.next_if(|(at, _)| at == serial).map_or_else(|| joiner(seed, *serial), |(_, key)| key)
        };
        let voters = Voters { keys: serials.iter().map(voter).collect(), f: FAULTY };
        let key = |what: &str, i: u16| SigningKey::from_seed(seed_of(seed, what, i.into()).into());
        let members: Vec<Keys> = serials
            .iter()
            .map(|i| Keys { log: key("log", *i), cosigner: key("cosigner", *i), receipt: key("receipt", *i) })
            .collect();
        let record = |((serial, keys), voter): ((&u16, &Keys), &SigningKey)| MemberRecord {
            name: format!("m{serial}"),
            consensus: voter.public(),
            log: keys.log.public(),
            cosigner: keys.cosigner.public(),
            receipt: keys.receipt.public(),
            tls: Hash([u8::try_from(*serial).unwrap_or(u8::MAX); 32]),
        };
        let records = serials.iter().zip(&members).zip(&voters.keys).map(record).collect();
        Self { since, serials, voters, members, records }
    }

    /// A member's keys.
    pub(super) fn keys(&self, member: MemberId) -> &Keys {
        self.members.get(usize::from(member.0)).expect("a member")
    }

    /// Who must have signed its heads.
    pub(super) fn policy(&self, origin: &str) -> Policy {
        Policy::new(origin, &self.records, FAULTY).expect("a committee has a policy")
    }
}

impl World {
    /// The committee of an epoch.
    pub(super) fn team(&self, epoch: Epoch) -> &Team {
        self.teams.iter().rev().find(|team| team.since <= epoch).expect("genesis has one")
    }
    /// The committee of a slot.
    pub(super) fn team_at(&self, slot: Slot) -> &Team {
        self.team(self.anchor.network.genesis.params.schedule().epoch_of(slot))
    }

    /// Hands in a change for the next epoch, in the first quarter of this one: this member leaves, if one does, and one
    /// joins that is the last by index; and the parameters are these. What this network computes goes on by those of
    /// genesis, so only such may differ that nothing in the log depends on. The keys of the shares stay as they are.
    ///
    /// # Panics
    /// If there is no such member.
    pub fn change(&mut self, leaves: Option<MemberId>, params: Params) {
        let current = self.state.epochs.last().clone();
        let team = self.team(current.epoch);
        let mut serials = team.serials.clone();
        let mut seats: Vec<Seat> = (0..MEMBERS).map(MemberId).map(Seat::Stays).collect();
        if let Some(MemberId(at)) = leaves {
            serials.remove(at.into());
            seats.remove(at.into());
            let above =
                |serial: &u16| current.members.iter().all(|m| m.consensus < joiner(&self.seed, *serial).public());
            serials.push((MEMBERS..).find(above).expect("a key above theirs"));
        }
        let next = Team::new(&self.seed, current.epoch.next(), serials);
        if let Some(record) = next.records.last().filter(|_| leaves.is_some()).cloned() {
            let [p2p, quic, http] = [(); 3].map(|()| String::from("127.0.0.1:1"));
            seats.push(Seat::Joins(Box::new(Joining { record, p2p, quic, http })));
        }
        let until = current.epoch.next();
        let change = Change { network: self.anchor.id, until, base: change::base(&current), seats, params };
        let (approved, accepted) = (change::approval(&change), change::acceptance(&change));
        let approve = |(member, key): (MemberId, &SigningKey)| VoteSig { member, sig: key.sign(approved.as_bytes()) };
        let quorum = usize::from(MEMBERS.saturating_sub(FAULTY));
        let approvals = (0..).map(MemberId).zip(&team.voters.keys).take(quorum).map(approve).collect();
        let joins = next.voters.keys.iter().rev().take(change.joining().count());
        let acceptances = joins.map(|key| key.sign(accepted.as_bytes())).collect();
        let operation = Operation::Change(Box::new(SignedChange { change, approvals, acceptances }));
        let holders: Vec<MemberId> = (0..MEMBERS).map(MemberId).collect();
        self.teams.push(next);
        self.operate(codec::encode(&operation), &holders);
    }

    /// Whether a member lists an envelope from the next slot on.
    ///
    /// # Panics
    /// If nobody holds it, or it is in a set.
    pub fn hold(&mut self, member: MemberId, item: &Hash, holds: bool) {
        let held = self.state.pool.get_mut(item).expect("it waits");
        held.holders.retain(|holder| *holder != member);
        held.holders.extend(holds.then_some(member));
    }

    /// The next committee takes over: who stays holds what it held, under its index there.
    pub(super) fn hand_over(&mut self, ended: Epoch) {
        let (old, new) = (&self.team(ended).serials, &self.team(ended.next()).serials);
        let place = |MemberId(at): &MemberId| new.iter().position(|serial| old.get(usize::from(*at)) == Some(serial));
        let places: Vec<Option<MemberId>> = (0..MEMBERS)
            .map(|at| place(&MemberId(at)).and_then(|place| u16::try_from(place).ok()).map(MemberId))
            .collect();
        let moved = |holders: &mut Vec<MemberId>| {
            *holders = holders.iter().filter_map(|MemberId(at)| *places.get(usize::from(*at))?).collect();
        };
        self.state.pool.values_mut().for_each(|held| moved(&mut held.holders));
        self.state.operations.values_mut().for_each(|(_, holders)| moved(holders));
    }
}
