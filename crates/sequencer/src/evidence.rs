//! Evidence that this member comes across: kept once per finding and member, or builder and slot, and told only if it
//! proves itself.
use crate::{
    effect::Effect,
    job::BadShare,
    reveal::Received,
    state::{Former, Sequencer},
};
use crypto::{
    build,
    combiners::Combiners,
    ed25519,
    evidence::{self, Context, Proved},
    merkle, operation,
};
use types::{
    Accused, Bid, Block, Claim, Envelope, Epoch, Evidence, G1Bytes, Hash, MemberId, Object, OpeningFault,
    OpeningHeader, OpeningMessage, Operation, ShareFault, ShareHeader, ShareMode, SignedList, SignedShare, Slot, Voted,
    limits, reason::Finding,
};

/// Views before and after that of the last final block whose votes are kept.
const VIEWS_KEPT: u64 = 256;
/// Votes of one member in one view that are kept.
const VOTES_KEPT: usize = 4;

impl Received {
    fn signed(&self) -> SignedShare {
        SignedShare { header: self.header.clone(), sig: self.sig }
    }
}

impl Sequencer {
    /// Tells of a member once per finding and epoch. What does not prove itself is nobody's fault and is dropped.
    fn accuse(
        &mut self,
        finding: Finding,
        member: MemberId,
        epoch: Epoch,
        made: impl FnOnce(&Self) -> Option<Evidence>,
    ) {
        if member != self.setup.me {
            self.accuse_of(Claim { finding, accused: Accused::Member(member), epoch }, made);
        }
    }

    /// Two bids of one builder, slot and seq.
    pub(crate) fn accuse_bids(&mut self, one: &Bid, other: &Bid) {
        let accused = Accused::Builder { builder: one.header.bidder, slot: one.header.slot };
        let epoch = self.epoch_of(one.header.slot);
        let claim = Claim { finding: Finding::BidDouble, accused, epoch };
        self.accuse_of(claim, |_| Some(evidence::bids(one, other)));
    }

    /// Two bodies, or two tails, of one builder, slot and seq. Whoever signed both answers: the builder, or whom its bid
    /// names for the tail, if that is an account with a bond.
    pub(crate) fn accuse_objects(&mut self, one: &Object, other: &Object) {
        let header = one.header();
        let Some(signer) = build::signer(&build::signed(one)) else { return };
        let accused = Accused::Builder { builder: signer, slot: header.slot };
        if !self.has_stake(&accused) {
            return;
        }
        let finding = if matches!(one, Object::Tail(_)) { Finding::TailDouble } else { Finding::BodyDouble };
        let claim = Claim { finding, accused, epoch: self.epoch_of(header.slot) };
        self.accuse_of(claim, |_| Some(evidence::objects(signer, one, other)));
    }

    fn accuse_of(&mut self, claim: Claim, made: impl FnOnce(&Self) -> Option<Evidence>) {
        if self.accused.contains(&claim) {
            return;
        }
        let Some(evidence) = made(self) else { return };
        if let Ok(proved) =
            evidence::verify(&evidence, &self.epoch_context(evidence.epoch(self.setup.params.schedule())))
        {
            self.found_operation(Operation::Evidence(evidence.clone().into()));
            self.tell(proved, evidence);
        }
    }

    /// Says once in a life that somebody is guilty of a claim.
    pub(crate) fn tell(&mut self, proved: Proved, evidence: Evidence) {
        if self.accused.insert(operation::claim(&evidence, &self.setup.params)) {
            self.out.push(Effect::Evidence { proved, evidence: Box::new(evidence) });
        }
    }

    /// The epoch that evidence is about.
    #[must_use]
    pub fn epoch_about(&self, evidence: &Evidence) -> Epoch {
        evidence.epoch(self.setup.params.schedule())
    }

    /// What evidence about an epoch is held against: this committee, or the one before it.
    pub(crate) fn epoch_context(&self, epoch: Epoch) -> Context<'_> {
        let setup = &self.setup;
        let schedule = setup.params.schedule();
        let (network, first_slot, last_slot) = (setup.network, schedule.first(epoch), schedule.last(epoch));
        match setup.before.as_ref().filter(|before| epoch <= before.epoch) {
            Some(Former { f, members, params, keys, .. }) => {
                Context { network, epoch, first_slot, last_slot, f: *f, members, params, keys }
            }
            None => {
                let (members, params, keys) = (&setup.members, &setup.params, &self.secrets.keys);
                Context { network, epoch, first_slot, last_slot, f: setup.f, members, params, keys }
            }
        }
    }

    /// A list that breaks the rules; it counts for nothing, and if its member signed it, that shows.
    pub(crate) fn accuse_list(&mut self, list: SignedList) {
        let epoch = self.epoch_of(list.slot);
        self.accuse(Finding::ListInvalid, list.member, epoch, |_| Some(Evidence::ListInvalid { list }));
    }

    /// Two lists of one member and slot.
    pub(crate) fn accuse_lists(&mut self, one: &SignedList, other: &SignedList) {
        let text = |machine: &Self, list: &SignedList| {
            let network = machine.setup.network;
            (evidence::list_text(network, list.slot, list.member, &list.leaves, list.cut), list.sig)
        };
        let epoch = self.epoch_of(one.slot);
        self.accuse(Finding::ListEquivocation, one.member, epoch, |m| {
            Some(evidence::lists(text(m, one), text(m, other)))
        });
    }

    /// A final block may hold other lists than those that came here.
    pub(crate) fn compare_lists(&mut self, block: &Block) {
        let Some(set) = &block.lists else { return };
        let slot = block.header.height;
        for listed in &set.members {
            let here = self.lists.get(&slot).and_then(|by| by.get(&listed.member));
            let Some(here) = here.filter(|list| list.sig != listed.sig).cloned() else { continue };
            let leaves = crate::lists::leaves_of(set, listed);
            let there = SignedList { slot, member: listed.member, cut: listed.cut, leaves, sig: listed.sig };
            self.accuse_lists(&here, &there);
        }
    }

    /// Two share messages of one member and slot.
    pub(crate) fn accuse_shares(&mut self, slot: Slot, second: &SignedShare) {
        let member = second.header.member;
        self.accuse(Finding::ShareEquivocation, member, self.epoch_of(slot), |m| {
            let first = m.shares.get(&slot)?.get(&member)?;
            Some(evidence::shares(first.signed(), second.clone()))
        });
    }

    /// Share messages of the last final slot that are for another block.
    pub(crate) fn accuse_strays(&mut self) {
        let strays: Vec<SignedShare> = self
            .shares
            .get(&self.fin.slot())
            .into_iter()
            .flat_map(|by| by.values())
            .filter(|received| received.header.digest != self.fin.digest)
            .map(Received::signed)
            .collect();
        for share in strays {
            self.accuse(Finding::ShareStray, share.header.member, share.header.epoch, |m| {
                Some(Evidence::ShareStray { share: share.into(), proof: m.fin_proof.clone()? })
            });
        }
    }

    /// Shares of the last final slot that the reveal found bad.
    pub(crate) fn accuse_bad(&mut self, bad: &[(MemberId, BadShare)]) {
        for (member, what) in bad {
            self.accuse(Finding::ShareBad, *member, self.fin.header.epoch, |m| match what {
                BadShare::Beacon => {
                    let share = m.shares.get(&m.fin.slot())?.get(member)?.signed().into();
                    Some(Evidence::BeaconBad { share })
                }
                BadShare::Item(unit) => m.share_fault(*member, *unit),
                BadShare::Piece { combiner, item } => m.piece_fault(*member, *combiner, *item),
            });
        }
    }

    fn share_fault(&self, member: MemberId, unit: usize) -> Option<Evidence> {
        let received = self.shares.get(&self.fin.slot())?.get(&member)?;
        let points: Vec<G1Bytes> = received.points.iter().map(crypto::tdh2::SharePoint::compressed).collect();
        let chunks: Vec<&[G1Bytes]> = points.chunks(limits::CHUNK_SHARES_MAX).collect();
        let leaves: Vec<Hash> = (0u16..).zip(&chunks).map(|(at, chunk)| evidence::chunk_leaf(at, chunk)).collect();
        let item = unit.checked_add(self.bids())?;
        let chunk = item.checked_div(limits::CHUNK_SHARES_MAX)?;
        self.fault_of(received, item, chunks.get(chunk)?.to_vec(), merkle::path(&leaves, chunk)?)
    }

    /// A bad share among those for a combiner. The slot may be opened already: other combiners may be faster than who
    /// looks for the culprit.
    fn piece_fault(&self, member: MemberId, combiner: MemberId, item: usize) -> Option<Evidence> {
        let received = self.shares.get(&self.fin.slot())?.get(&member)?;
        let ShareHeader { mode, items, .. } = received.header;
        let ShareMode::Sharded { offset } = mode else { return None };
        let combiners = Combiners::new(self.n(), self.setup.params.combiners, offset, items);
        let (chunk, _) = combiners.place(item, combiner)?;
        let piece = received.pieces.get(&chunk)?;
        let points = piece.points.iter().map(crypto::tdh2::SharePoint::compressed).collect();
        self.fault_of(received, item, points, piece.path.clone())
    }

    fn fault_of(
        &self,
        received: &Received,
        item: usize,
        chunk: Vec<G1Bytes>,
        chunk_path: Vec<Hash>,
    ) -> Option<Evidence> {
        let (unit, unit_path, envelope) = self.unit_of(item)?;
        let (share, block) = (received.signed(), self.fin.header.clone());
        let fault = ShareFault { share, block, unit, unit_path, envelope, chunk, chunk_path };
        Some(Evidence::ShareBad { fault: fault.into() })
    }

    /// Bids that count in the last final block: in share messages and openings they come before the set.
    pub(crate) fn bids(&self) -> usize {
        usize::try_from(self.fin.header.bids.count).unwrap_or(usize::MAX)
    }

    /// An item of the last final block that is a unit: its place in the set, the path from its hash to the block's set.
    /// `None` for a bid, of which evidence does not speak.
    fn unit_of(&self, item: usize) -> Option<(u32, Vec<Hash>, Envelope)> {
        let unit = item.checked_sub(self.bids())?;
        let units = self.recent.get(&self.fin.slot())?;
        let hashes: Vec<Hash> = units.iter().map(|(hash, _)| *hash).collect();
        let (_, envelope) = units.get(unit)?;
        Some((u32::try_from(unit).ok()?, merkle::path(&hashes, unit)?, envelope.as_ref().clone()))
    }

    /// Openings of the last final block's items that are not theirs. One of a unit proves it, and that with the smallest
    /// envelope fits evidence if any does.
    pub(crate) fn accuse_opening(&mut self, message: &OpeningMessage, wrong: &[u32]) {
        let OpeningHeader { member, epoch, .. } = message.header;
        self.accuse(Finding::OpeningBad, member, epoch, |m| {
            let sizes = wrong.iter().filter_map(|item| Some((m.unit_bytes(*item)?, *item)));
            let (_, item) = sizes.min()?;
            let at = message.items.iter().position(|(of, _)| *of == item)?;
            let leaves: Vec<Vec<u8>> = message.items.iter().map(|(of, o)| evidence::opening_leaf(*of, o)).collect();
            let (unit, unit_path, envelope) = m.unit_of(usize::try_from(item).ok()?)?;
            let fault = OpeningFault {
                header: message.header.clone(),
                sig: message.sig,
                block: m.fin.header.clone(),
                unit,
                unit_path,
                envelope,
                opening: message.items.get(at)?.1,
                at: u32::try_from(at).ok()?,
                path: merkle::path(&leaves, at)?,
            };
            Some(Evidence::OpeningBad { fault: fault.into() })
        });
    }

    /// What the envelope of an item takes in evidence; `None` for a bid.
    fn unit_bytes(&self, item: u32) -> Option<(usize, usize)> {
        let unit = usize::try_from(item).ok()?.checked_sub(self.bids())?;
        let (_, envelope) = self.recent.get(&self.fin.slot())?.get(unit)?;
        Some((envelope.ciphertext.len(), envelope.signed.consents.len()))
    }

    /// A vote passed by, signature unchecked: it is checked when another one of its member and view is at odds with it.
    pub(crate) fn on_vote(&mut self, epoch: Epoch, view: u64, member: MemberId, voted: Voted) {
        let Some(record) = self.setup.members.get(usize::from(member.0)) else { return };
        if self.is_far(epoch, view)
            || self.accused.contains(&Claim { finding: Finding::VoteDouble, accused: Accused::Member(member), epoch })
        {
            return;
        }
        let (network, key) = (self.setup.network, record.consensus);
        let signed = |voted: &Voted| {
            ed25519::verify(&key, &evidence::voted_bytes(&network, epoch, view, &voted.vote), &voted.sig)
        };
        let given = self.votes.entry((epoch, view, member)).or_default();
        if given.contains(&voted) {
            return;
        }
        let at_odds = |one: &Voted| one.vote == voted.vote || evidence::contradict(&one.vote, &voted.vote);
        if given.iter().any(at_odds) {
            if !signed(&voted) {
                return;
            }
            given.retain(signed);
        }
        let other = given.iter().find(|one| evidence::contradict(&one.vote, &voted.vote)).copied();
        if given.len() < VOTES_KEPT && given.iter().all(|one| one.vote != voted.vote) {
            given.push(voted);
        }
        if let Some(other) = other {
            self.accuse(Finding::VoteDouble, member, epoch, |_| {
                Some(evidence::votes(epoch, view, member, other, voted))
            });
        }
    }

    /// Forgets votes of views that are long past.
    pub(crate) fn prune_votes(&mut self) {
        let (epoch, first) = (self.fin.header.epoch, self.fin.header.view.saturating_sub(VIEWS_KEPT));
        self.votes.retain(|(of, view, _), _| *of > epoch || *of == epoch && *view >= first);
    }

    /// Views whose votes are not kept: those begin anew with each epoch.
    fn is_far(&self, epoch: Epoch, view: u64) -> bool {
        let last = &self.fin.header;
        let from = if epoch == last.epoch { last.view } else { 0 };
        epoch < last.epoch || epoch > last.epoch.next() || view.abs_diff(from) > VIEWS_KEPT
    }
}
