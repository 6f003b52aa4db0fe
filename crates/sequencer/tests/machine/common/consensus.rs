//! A tiny stand-in for consensus: leaders in turn, verdicts of the others, real finalize votes, finals in height order.
//! It is fair, never equivocates, and can keep a block's own certificate back.
use crate::common::{
    net::{Net, id},
    world::{Event, World},
};
use sequencer::{At, Input, Refused, Ticket};
use std::collections::{BTreeMap, BTreeSet};
use types::{Block, BlockHeader, FinalityProof, Hash, Slot, VoteSig, codec};

/// A block that a quorum voted for.
#[derive(Clone)]
pub(crate) struct Certified {
    pub(crate) bytes: Vec<u8>,
    pub(crate) header: BlockHeader,
    pub(crate) digest: Hash,
    /// Finalize votes of its own.
    votes: Option<Vec<VoteSig>>,
}

pub(crate) struct Consensus {
    /// By height; genesis first.
    pub(crate) chain: Vec<Certified>,
    pub(crate) view: u64,
    begun: bool,
    /// No view begins.
    pub(crate) paused: bool,
    /// Heights that get no finalize votes of their own.
    pub(crate) withheld: BTreeSet<u64>,
    /// Leads every view, if it is set.
    pub(crate) leader: Option<usize>,
    build: Option<Ticket>,
    proposal: Option<(Vec<u8>, BlockHeader, Hash)>,
    checks: BTreeMap<Ticket, usize>,
    valid: BTreeSet<usize>,
    /// View, member and reason of every refusal.
    pub(crate) refused: Vec<(u64, usize, Refused)>,
    refusals: usize,
    done: bool,
    /// Highest height handed to each member in this life, and highest acknowledged.
    handed: Vec<(u64, u64)>,
    acked: Vec<u64>,
    /// Views that ended without a block.
    pub(crate) nullified: u64,
}

const LEADER_TIMEOUT: u64 = 1_000;

impl Consensus {
    pub(crate) fn new(net: &Net) -> Self {
        let block = Block::genesis(net.id);
        let genesis = Certified {
            bytes: codec::encode(&block),
            digest: crypto::ids::block_digest(&block.header),
            header: block.header,
            votes: Some(Vec::new()),
        };
        Self {
            chain: vec![genesis],
            view: 0,
            begun: false,
            paused: false,
            withheld: BTreeSet::new(),
            leader: None,
            build: None,
            proposal: None,
            checks: BTreeMap::new(),
            valid: BTreeSet::new(),
            refused: Vec::new(),
            refusals: 0,
            done: false,
            handed: vec![(0, 0); net.n],
            acked: vec![0; net.n],
            nullified: 0,
        }
    }
    pub(crate) fn tip(&self) -> &Certified {
        self.chain.last().unwrap()
    }
    pub(crate) fn final_height(&self) -> u64 {
        let height = self.chain.iter().rposition(|block| block.votes.is_some()).unwrap();
        u64::try_from(height).unwrap()
    }
    pub(crate) fn final_digest(&self, slot: Slot) -> Option<Hash> {
        let at = usize::try_from(slot.0).unwrap();
        self.chain.get(at).filter(|_| slot.0 <= self.final_height()).map(|block| block.digest)
    }
    pub(crate) fn ack(&mut self, member: usize, slot: Slot) {
        self.acked[member] = self.acked[member].max(slot.0);
    }

    /// Headers up to the nearest block with votes of its own, and these.
    pub(crate) fn proof(&self, height: u64) -> FinalityProof {
        let at = usize::try_from(height).unwrap();
        let end = (at..self.chain.len()).find(|at| self.chain[*at].votes.is_some()).unwrap();
        FinalityProof {
            headers: self.chain[at..=end].iter().map(|block| block.header.clone()).collect(),
            view: self.chain[end].header.view,
            parent_view: self.chain[end - 1].header.view,
            votes: self.chain[end].votes.clone().unwrap(),
        }
    }
    pub(crate) fn at(&self, net: &Net, view: u64) -> At {
        let leader = self.leader.unwrap_or_else(|| usize::try_from(view).unwrap() % net.n);
        let epoch = net.params().schedule().epoch_of(self.tip().header.height.next());
        At { epoch: epoch.0, view, leader: id(leader) }
    }
}

impl World {
    /// The first view.
    pub(crate) fn begin(&mut self) {
        assert!(!self.consensus.begun);
        self.consensus.begun = true;
        self.next_view(1);
    }

    /// Goes on after `paused`.
    pub(crate) fn go_on(&mut self) {
        self.consensus.paused = false;
        self.next_view(1);
    }

    fn next_view(&mut self, ms: u64) {
        self.consensus.done = true;
        let view = self.consensus.view + 1;
        self.after(ms, Event::ViewStart { view });
    }

    pub(crate) fn view_start(&mut self, view: u64) {
        if self.consensus.paused || view != self.consensus.view + 1 {
            return;
        }
        for (ticket, member) in core::mem::take(&mut self.consensus.checks) {
            self.input_after(0, member, Input::Cancel(ticket));
        }
        if let Some(ticket) = self.consensus.build.take() {
            let leader = usize::from(self.consensus.at(self.net, self.consensus.view).leader.0);
            self.input_after(0, leader, Input::Cancel(ticket));
        }
        let at = self.consensus.at(self.net, view);
        self.consensus.view = view;
        self.consensus.valid.clear();
        self.consensus.proposal = None;
        self.consensus.refusals = 0;
        self.consensus.done = false;
        let parent = self.consensus.tip().bytes.clone();
        let ticket = self.ask_build(at.leader.0.into(), &parent, at);
        self.consensus.build = Some(ticket);
        self.after(LEADER_TIMEOUT, Event::ViewEnd { view });
    }

    pub(crate) fn view_end(&mut self, view: u64) {
        if view == self.consensus.view && !self.consensus.done {
            self.consensus.nullified += 1;
            self.next_view(1);
        }
    }

    pub(crate) fn on_built(&mut self, leader: usize, ticket: Ticket, block: Option<Vec<u8>>) {
        if self.consensus.build != Some(ticket) || self.consensus.done {
            return;
        }
        self.consensus.build = None;
        let Some(bytes) = block else {
            self.consensus.nullified += 1;
            return self.next_view(5);
        };
        let opened = sequencer::open(&bytes).expect("an own block opens");
        let tip = self.consensus.tip().clone();
        assert_eq!((opened.block.header.parent, opened.block.header.height), (tip.digest, tip.header.height.next()));
        self.consensus.valid.insert(leader);
        self.vote(leader, opened.digest);
        let (parent, at) = (tip.bytes, self.consensus.at(self.net, self.consensus.view));
        for member in self.net.members().filter(|member| *member != leader) {
            let (ticket, delay) = (self.ticket(), self.delay());
            self.consensus.checks.insert(ticket, member);
            let input = Input::Check { ticket, block: bytes.clone(), parent: parent.clone(), at };
            self.input_after(delay, member, input);
        }
        self.consensus.proposal = Some((bytes, opened.block.header, opened.digest));
    }

    pub(crate) fn on_checked(&mut self, member: usize, ticket: Ticket, verdict: Result<(), Refused>) {
        if self.consensus.checks.remove(&ticket) != Some(member) {
            return;
        }
        let Some((bytes, header, digest)) = self.consensus.proposal.clone() else { return };
        if let Err(refused) = verdict {
            self.consensus.refused.push((self.consensus.view, member, refused));
            self.consensus.refusals += 1;
            if self.consensus.refusals > self.net.f && !self.consensus.done {
                self.consensus.nullified += 1;
                self.next_view(5);
            }
            return;
        }
        self.vote(member, digest);
        self.consensus.valid.insert(member);
        if self.consensus.done || self.consensus.valid.len() < self.net.quorum() {
            return;
        }
        let votes = (!self.consensus.withheld.contains(&header.height.0)).then(|| self.votes(&header, &digest));
        let is_final = votes.is_some();
        self.consensus.chain.push(Certified { bytes, header, digest, votes });
        if self.rng.below(2) == 0 {
            for (ticket, member) in core::mem::take(&mut self.consensus.checks) {
                self.input_after(0, member, Input::Cancel(ticket));
            }
        }
        if is_final {
            for member in self.net.members() {
                self.hand_over(member);
            }
        }
        let delay = self.delay();
        self.next_view(delay);
    }

    /// The last block gets finalize votes of its own after all.
    pub(crate) fn certify_tip(&mut self) {
        let Certified { header, digest, .. } = self.consensus.chain.pop().unwrap();
        let votes = self.votes(&header, &digest);
        let bytes = self.consensus.proposal.as_ref().unwrap().0.clone();
        self.consensus.chain.push(Certified { bytes, header, digest, votes: Some(votes) });
        for member in self.net.members() {
            self.hand_over(member);
        }
    }

    /// Finalize votes of some quorum.
    fn votes(&mut self, header: &BlockHeader, digest: &Hash) -> Vec<VoteSig> {
        let mut members: Vec<usize> = self.net.members().collect();
        while members.len() > self.net.quorum() {
            let out = self.rng.pick(members.len());
            members.remove(out);
        }
        let parent_view = self.consensus.tip().header.view;
        members.into_iter().map(|m| self.net.finalize_vote(m, header, parent_view, digest)).collect()
    }

    /// Hands final blocks to a member, in height order, each after a while.
    fn hand_over(&mut self, member: usize) {
        let end = self.consensus.final_height();
        let (mut height, mut when) = self.consensus.handed[member];
        while height < end {
            height += 1;
            when = when.max(self.now + self.delay());
            let block = self.consensus.chain[usize::try_from(height).unwrap()].bytes.clone();
            let proof = self.consensus.proof(height);
            self.deliver_final(when - self.now, member, block, proof);
        }
        self.consensus.handed[member] = (height, when);
    }

    /// After a restart: what was not acknowledged comes again, and sometimes what was.
    pub(crate) fn redeliver(&mut self, member: usize) {
        let again = self.rng.below(3);
        self.consensus.handed[member] = (self.consensus.acked[member].saturating_sub(again), self.now);
        self.hand_over(member);
    }
}
