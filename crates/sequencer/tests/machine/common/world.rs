//! The router: events in the order of a seed, effects carried out in order, invariants asserted at every one of them.
use crate::common::{
    consensus::Consensus,
    disk::Disk,
    net::{Net, Term, id},
    rng::Rng,
    wire,
};
use crypto::evidence::{Context, Proved, verify};
use execution::{Executor, OpenedUnit, SlotEnv, prepare, prepare_tail};
use sequencer::{
    At, Channel, Effect, EpochStart, Input, Job, JobResult, Phase, Record, Refused, Resume, Sequencer, Ticket, To,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use tlog::checkpoint;
use types::{
    Accused, Address, Bid, Entry, Envelope, FinalityProof, Hash, Kind, MemberId, Object, Slot, SlotResult, Timestamp,
    codec, limits,
    reason::{Finding, Outcome, Reason},
    wire::{Event as Told, Pending, PendingRequest, Refusal},
};
use verifier::{Checks, Replay};

/// A message on its way.
pub(crate) struct Passing<'a> {
    pub(crate) now: u64,
    pub(crate) from: usize,
    pub(crate) to: usize,
    pub(crate) channel: Channel,
    pub(crate) bytes: &'a [u8],
}

/// What becomes of it.
pub(crate) enum Fate {
    Arrives,
    Lost,
    Changed(Vec<u8>),
    /// Arrives after so many ms.
    Late(u64),
}

pub(crate) enum Event {
    Deliver {
        to: usize,
        from: MemberId,
        channel: Channel,
        bytes: Vec<u8>,
    },
    Job {
        member: usize,
        life: u32,
        job: Job,
    },
    Executed {
        member: usize,
        life: u32,
        slot: Slot,
        result: Box<SlotResult>,
    },
    Input {
        member: usize,
        life: u32,
        input: Input,
    },
    Submit {
        member: usize,
        ticket: Ticket,
        envelope: Arc<Envelope>,
    },
    Bid {
        member: usize,
        ticket: Ticket,
        bid: Box<Bid>,
    },
    Restart {
        member: usize,
    },
    /// Its epoch is over and another committee or other parameters follow: another machine begins.
    Over {
        member: usize,
    },
    /// A view of consensus begins, or ends without a block.
    ViewStart {
        view: u64,
    },
    ViewEnd {
        view: u64,
    },
}

pub(crate) struct Member {
    pub(crate) machine: Option<Sequencer>,
    /// Counts restarts: what was under way in an earlier life is gone.
    pub(crate) life: u32,
    pub(crate) disk: Disk,
    executor: Executor,
    pub(crate) skew: u64,
    pub(crate) rejects: Vec<(Option<MemberId>, Reason, &'static str)>,
    pub(crate) evidence: Vec<Proved>,
    pub(crate) phases: Vec<(Slot, Phase)>,
    /// How many envelopes each admission had, and in how many parts it was done.
    pub(crate) admissions: Vec<(usize, usize)>,
    /// Epochs that consensus was told to go on in.
    pub(crate) epochs: Vec<EpochStart>,
    pub(crate) notes: BTreeMap<Slot, String>,
    pub(crate) told: Vec<Told>,
    /// Every list and share message that it ever signed.
    pub(crate) lists: BTreeMap<Slot, Vec<u8>>,
    pub(crate) shares: BTreeMap<Slot, Vec<u8>>,
    /// When each envelope was stored first: the number of effects before.
    stored: BTreeMap<Hash, u64>,
    voted: BTreeMap<Hash, u64>,
    pub(crate) effects: u64,
    /// Effects until it crashes.
    pub(crate) crash_in: Option<u64>,
    /// How long it stays down.
    pub(crate) down_ms: u64,
    pub(crate) crashes: u32,
}

type Filter = Box<dyn FnMut(&Passing<'_>) -> Fate>;

pub(crate) struct World {
    pub(crate) net: &'static Net,
    pub(crate) seed: u64,
    pub(crate) rng: Rng,
    pub(crate) now: u64,
    pub(crate) members: Vec<Member>,
    queue: BTreeMap<(u64, u64), Event>,
    events: u64,
    tickets: u64,
    pub(crate) delay_max: u64,
    pub(crate) filter: Filter,
    /// What a member's job takes at least, ms.
    pub(crate) slow: fn(usize, &Job) -> u64,
    /// Effects that this picks are carried out after all others of their step: what SEQ-1 forbids.
    pub(crate) postponed: fn(&Effect) -> bool,
    pub(crate) consensus: Consensus,
    /// Members whose messages a test forges: evidence may name these alone.
    pub(crate) guilty: BTreeSet<usize>,
    /// Builders that sign what they must not.
    pub(crate) guilty_builders: BTreeSet<Address>,
    /// What every member writes: SEQ-3.
    pub(crate) log: Vec<Vec<u8>>,
    /// Envelope of a submission.
    submitted: BTreeMap<Ticket, (usize, Hash)>,
    pub(crate) replies: BTreeMap<Ticket, Result<String, Refusal>>,
    pub(crate) taken: BTreeMap<Ticket, Result<(), Refusal>>,
    /// Who gave a receipt for what.
    pub(crate) receipts: BTreeMap<(Hash, usize), String>,
    pub(crate) built: BTreeMap<Ticket, Option<Vec<u8>>>,
    pub(crate) checked: BTreeMap<Ticket, Result<(), Refused>>,
}

/// Time at the start.
pub(crate) const START: u64 = 1_800_000_000_000;

impl World {
    /// A network at genesis whose consensus has not begun.
    pub(crate) fn idle(net: &'static Net, seed: u64) -> Self {
        let mut rng = Rng(seed);
        let mut members = Vec::new();
        for _ in net.members() {
            members.push(Member {
                machine: None,
                life: 0,
                disk: Disk::new(net),
                executor: net.executor.clone(),
                skew: rng.below(15),
                rejects: Vec::new(),
                evidence: Vec::new(),
                phases: Vec::new(),
                admissions: Vec::new(),
                epochs: Vec::new(),
                notes: BTreeMap::new(),
                told: Vec::new(),
                lists: BTreeMap::new(),
                shares: BTreeMap::new(),
                stored: BTreeMap::new(),
                voted: BTreeMap::new(),
                effects: 0,
                crash_in: None,
                down_ms: 400,
                crashes: 0,
            });
        }
        let mut world = Self {
            net,
            seed,
            rng,
            now: START,
            members,
            queue: BTreeMap::new(),
            events: 0,
            tickets: 0,
            delay_max: 12,
            filter: Box::new(|_| Fate::Arrives),
            slow: |_, _| 0,
            postponed: |_| false,
            consensus: Consensus::new(net),
            guilty: BTreeSet::new(),
            guilty_builders: BTreeSet::new(),
            log: net.genesis_entries.clone(),
            submitted: BTreeMap::new(),
            replies: BTreeMap::new(),
            taken: BTreeMap::new(),
            receipts: BTreeMap::new(),
            built: BTreeMap::new(),
            checked: BTreeMap::new(),
        };
        for member in net.members() {
            world.start(member);
        }
        world
    }

    /// A network at genesis.
    pub(crate) fn new(net: &'static Net, seed: u64) -> Self {
        let mut world = Self::idle(net, seed);
        world.begin();
        world
    }

    pub(crate) fn machine(&self, member: usize) -> &Sequencer {
        self.members[member].machine.as_ref().expect("the member runs")
    }
    /// What a builder is told that asks a member.
    pub(crate) fn ask_pending(&mut self, member: usize, request: &PendingRequest) -> Result<Pending, Refusal> {
        self.members[member].machine.as_mut().expect("the member runs").pending_units(request)
    }
    fn clock(&self, member: usize) -> Timestamp {
        Timestamp(self.now + self.members[member].skew)
    }
    pub(crate) fn delay(&mut self) -> u64 {
        // now and then a straggler
        let max = if self.rng.below(20) == 0 { self.delay_max * 8 } else { self.delay_max };
        1 + self.rng.below(max)
    }
    pub(crate) fn after(&mut self, ms: u64, event: Event) {
        self.events += 1;
        self.queue.insert((self.now + ms, self.events), event);
    }
    pub(crate) fn ticket(&mut self) -> Ticket {
        self.tickets += 1;
        Ticket(self.tickets)
    }

    /// Hands an input over after a while, unless the member has crashed by then.
    pub(crate) fn input_after(&mut self, ms: u64, member: usize, input: Input) {
        let life = self.members[member].life;
        self.after(ms, Event::Input { member, life, input });
    }

    /// A client submits; a client's submissions arrive in their order.
    pub(crate) fn submit(&mut self, member: usize, envelope: &Envelope) -> Ticket {
        let ticket = self.ticket();
        self.submitted.insert(ticket, (member, crypto::ids::hash_envelope(envelope)));
        self.after(1, Event::Submit { member, ticket, envelope: Arc::new(envelope.clone()) });
        ticket
    }

    /// A builder bids at one member.
    pub(crate) fn bid(&mut self, member: usize, bid: &Bid) -> Ticket {
        let ticket = self.ticket();
        self.submitted.insert(ticket, (member, crypto::ids::bid_hash(bid)));
        self.after(1, Event::Bid { member, ticket, bid: Box::new(bid.clone()) });
        ticket
    }

    /// A builder sends a body or a tail to one member.
    pub(crate) fn build(&mut self, member: usize, object: &Object) -> Ticket {
        let ticket = self.ticket();
        self.input_after(1, member, Input::SubmitObject { ticket, object: object.clone() });
        ticket
    }

    /// A client hands an operation to a member.
    pub(crate) fn operate(&mut self, member: usize, operation: &types::Operation) -> Ticket {
        let ticket = self.ticket();
        self.input_after(1, member, Input::Operation { ticket, operation: codec::encode(operation) });
        ticket
    }

    /// A message of a member that does not follow the rules, to one member.
    pub(crate) fn inject(&mut self, from: usize, to: usize, channel: Channel, bytes: Vec<u8>) {
        self.after(1, Event::Deliver { to, from: id(from), channel, bytes });
    }

    /// Asks for a block.
    pub(crate) fn ask_build(&mut self, member: usize, parent: &[u8], at: At) -> Ticket {
        let ticket = self.ticket();
        self.input_after(1, member, Input::Build { ticket, parent: parent.to_vec(), at });
        ticket
    }

    /// Asks for a verdict.
    pub(crate) fn ask_check(&mut self, member: usize, block: &[u8], parent: &[u8], at: At) -> Ticket {
        let ticket = self.ticket();
        self.input_after(1, member, Input::Check { ticket, block: block.to_vec(), parent: parent.to_vec(), at });
        ticket
    }

    /// Delivers a final block.
    pub(crate) fn deliver_final(&mut self, ms: u64, member: usize, block: Vec<u8>, proof: FinalityProof) {
        self.input_after(ms, member, Input::Final { block, proof });
    }

    // ---- time ----------------------------------------------------------------------------------------------------

    /// Runs until `done`, at most `ms`; says whether it got there.
    pub(crate) fn run(&mut self, ms: u64, mut done: impl FnMut(&Self) -> bool) -> bool {
        let end = self.now + ms;
        loop {
            if done(self) {
                return true;
            }
            let wakes = self.members.iter().enumerate().filter_map(|(at, member)| {
                let wake = member.machine.as_ref()?.wake_at()?;
                Some((wake.0.saturating_sub(member.skew), at))
            });
            let wake = wakes.min();
            let event = self.queue.first_key_value().map(|(key, _)| *key);
            let next = match (event, wake) {
                (Some((at, _)), Some((wake, _))) => at.min(wake),
                (Some((at, _)), None) | (None, Some((at, _))) => at,
                (None, None) => return done(self),
            };
            if next > end {
                self.now = end;
                return done(self);
            }
            self.now = next.max(self.now);
            match (event, wake) {
                (Some(key), _) if key.0 <= next => {
                    let event = self.queue.remove(&key).unwrap();
                    self.happen(event);
                }
                (_, Some((_, member))) => self.step(member, Input::Tick),
                (_, None) => {}
            }
        }
    }

    /// Runs for so long.
    pub(crate) fn pass(&mut self, ms: u64) {
        self.run(ms, |_| false);
    }

    /// Runs until `done`.
    pub(crate) fn until(&mut self, ms: u64, what: &str, done: impl FnMut(&Self) -> bool) {
        let from = self.now;
        let there = self.run(ms, done);
        assert!(there, "seed {}: {what} within {ms} ms of {}: {}", self.seed, from - START, self.story());
    }

    /// Where everybody stands.
    pub(crate) fn story(&self) -> String {
        let mut out = format!("\n  consensus: view {} final {}", self.consensus.view, self.consensus.final_height());
        for (at, member) in self.members.iter().enumerate() {
            let Some(machine) = &member.machine else {
                out += &format!("\n  m{at} is down");
                continue;
            };
            let (held, _) = machine.pending();
            out += &format!("\n  m{at} final {} opened {} holds {held}", machine.last_final(), machine.opened());
            out += &format!(" rejects {:?}", member.rejects.iter().rev().take(3).collect::<Vec<_>>());
        }
        out
    }

    /// Until every running member has opened `slot`.
    pub(crate) fn open(&mut self, slot: u64) {
        self.until(slot * 4_000 + 20_000, "all open the slot", |w| {
            w.members.iter().all(|m| m.machine.as_ref().is_none_or(|machine| machine.opened() >= Slot(slot)))
        });
    }

    /// Until all of these are executed everywhere.
    pub(crate) fn executed(&mut self, hashes: &[Hash]) {
        self.until(60_000, "all envelopes are executed", |w| {
            w.members.iter().filter_map(|m| m.machine.as_ref()).all(|machine| {
                hashes.iter().all(|hash| matches!(machine.status(hash), types::wire::Status::Executed { .. }))
            })
        });
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Deliver { to, from, channel, bytes } => self.step(to, Input::Message { channel, from, bytes }),
            Event::Job { member, life, job } => {
                if self.members[member].life == life {
                    let asked = match &job {
                        Job::Admit { items, .. } => items.len(),
                        Job::Reveal { .. }
                        | Job::CheckOpenings { .. }
                        | Job::Beacon { .. }
                        | Job::Combine { .. }
                        | Job::CheckClaims { .. } => 0,
                    };
                    // as on a machine with four processors
                    let parts = job.split(4);
                    if asked > 0 {
                        self.members[member].admissions.push((asked, parts.len()));
                    }
                    let result = JobResult::join(parts.into_iter().map(Job::run).collect()).unwrap();
                    self.step(member, Input::Done(Box::new(result)));
                }
            }
            Event::Executed { member, life, slot, result } => {
                if self.members[member].life == life {
                    self.step(member, Input::Executed { slot, result });
                }
            }
            Event::Input { member, life, input } => {
                if self.members[member].life == life {
                    self.step(member, input);
                }
            }
            Event::Submit { member, ticket, envelope } => {
                self.step(member, Input::Submit { ticket, envelope: Box::new(envelope.as_ref().clone()) });
            }
            Event::Bid { member, ticket, bid } => self.step(member, Input::SubmitBid { ticket, bid }),
            Event::Restart { member } => self.start(member),
            Event::Over { member } => self.over(member),
            Event::ViewStart { view } => self.view_start(view),
            Event::ViewEnd { view } => self.view_end(view),
        }
    }

    pub(crate) fn step(&mut self, at: usize, input: Input) {
        let now = self.clock(at);
        let Some(machine) = self.members[at].machine.as_mut() else { return };
        let effects = match machine.step(now, input) {
            Ok(effects) => effects,
            Err(halt) => panic!("seed {}: m{at} halts at {}: {halt}", self.seed, self.now - START),
        };
        let wake = machine.wake_at();
        assert!(wake.is_none_or(|wake| wake > now), "seed {}: m{at} wants to be called at once again", self.seed);
        let (last, first): (Vec<_>, Vec<_>) = effects.into_iter().partition(self.postponed);
        for effect in first.into_iter().chain(last) {
            let member = &mut self.members[at];
            if let Some(left) = member.crash_in.as_mut() {
                if *left == 0 {
                    let down = member.down_ms;
                    self.crash(at);
                    self.after(down, Event::Restart { member: at });
                    return;
                }
                *left -= 1;
            }
            self.members[at].effects += 1;
            self.effect(at, effect);
        }
    }

    // ---- crashes -------------------------------------------------------------------------------------------------

    /// Power loss at a member.
    pub(crate) fn crash(&mut self, at: usize) {
        let keep = self.rng.below(2) == 0;
        let member = &mut self.members[at];
        member.machine = None;
        member.life += 1;
        member.crashes += 1;
        member.crash_in = None;
        member.disk.crash(keep);
        member.told.clear();
    }

    /// Its epoch is over: half of the members go on with what the machine hands on, the others with what the disk says.
    fn over(&mut self, at: usize) {
        let Some(machine) = self.members[at].machine.take() else { return };
        let (from_disk, term, executor) = self.members[at].disk.resume(self.net);
        let handed = machine.hand_on().filter(|_| at.is_multiple_of(2));
        let resume = match handed {
            Some(handed) => {
                assert_eq!(handed.tree.head(), from_disk.tree.head());
                assert_eq!(handed.ledger.account_root(), from_disk.ledger.account_root());
                assert_eq!((handed.reveal, &handed.epochs), (from_disk.reveal, &from_disk.epochs));
                assert_eq!((handed.states, &handed.last), (from_disk.states, &from_disk.last));
                assert_eq!(handed.left_heads, from_disk.left_heads);
                assert!(from_disk.unopened.is_none() && handed.unopened.is_none());
                let Resume { share_message, own_list, cosigned_at, items, bids, objects, operations, .. } = from_disk;
                Resume { share_message, own_list, cosigned_at, items, bids, objects, operations, ..handed }
            }
            None => from_disk,
        };
        self.members[at].life += 1;
        self.run_from(at, resume, &term, executor);
    }

    /// Starts a member from its disk.
    pub(crate) fn start(&mut self, at: usize) {
        if self.members[at].machine.is_some() {
            return;
        }
        let (resume, term, executor) = self.members[at].disk.resume(self.net);
        self.run_from(at, resume, &term, executor);
    }

    fn run_from(&mut self, at: usize, resume: Resume, term: &Term, executor: Executor) {
        let draw = self.rng.next();
        let setup = self.net.setup_in(term, at, draw);
        let secrets = Arc::clone(&self.net.secrets[at]);
        let machine = Sequencer::new(setup, secrets, self.net.signer(at), resume, self.clock(at));
        self.members[at].machine = Some(machine);
        self.members[at].executor = executor;
        self.step(at, Input::Tick);
        self.redeliver(at);
    }

    // ---- effects -------------------------------------------------------------------------------------------------

    fn effect(&mut self, at: usize, effect: Effect) {
        match effect {
            Effect::Persist(record) => self.persist(at, record),
            Effect::Send { channel, to, bytes } => self.send(at, channel, to, bytes),
            Effect::Reply { ticket, answer } => self.reply(at, ticket, answer),
            Effect::Built { ticket, block } => {
                self.built.insert(ticket, block.clone());
                self.on_built(at, ticket, block);
            }
            Effect::Checked { ticket, verdict } => {
                self.checked.insert(ticket, verdict);
                self.on_checked(at, ticket, verdict);
            }
            Effect::Ack(slot) => {
                assert!(self.members[at].disk.slot >= slot, "SEQ-1: acknowledged before it is durable");
                self.consensus.ack(at, slot);
            }
            Effect::Epoch(start) => {
                let changed = start.changed;
                self.members[at].epochs.push(start);
                if changed {
                    self.members[at].disk.settle();
                    self.after(5, Event::Over { member: at });
                }
            }
            Effect::Taken { ticket, verdict } => drop(self.taken.insert(ticket, verdict)),
            Effect::Run(job) => {
                let (delay, life) = (self.delay(), self.members[at].life);
                self.after(delay + (self.slow)(at, &job), Event::Job { member: at, life, job });
            }
            Effect::Execute { slot, time_ms, beacon, units } => {
                let registry = &self.net.registry;
                let prepared: Vec<_> = units
                    .iter()
                    .map(|u| OpenedUnit { hash: u.hash, message: u.message.as_deref(), gas_class: u.gas_class })
                    .map(|u| prepare(&u, registry))
                    .collect();
                let member = &mut self.members[at];
                member.executor.order(&SlotEnv { slot, time_ms, beacon }, &prepared);
                let result = Box::new(member.executor.close());
                let life = member.life;
                let delay = self.delay();
                self.after(delay, Event::Executed { member: at, life, slot, result });
            }
            Effect::ExecuteTail { slot, bundles } => {
                let registry = &self.net.registry;
                let prepared: Vec<_> =
                    bundles.iter().map(|(hash, bundle)| prepare_tail(*hash, bundle, registry)).collect();
                let member = &mut self.members[at];
                member.executor.tail(&prepared);
                let result = Box::new(member.executor.close());
                let life = member.life;
                let delay = self.delay();
                self.after(delay, Event::Executed { member: at, life, slot, result });
            }
            Effect::Publish { slot, note } => {
                let member = &mut self.members[at];
                let verified = checkpoint::verify_checkpoint(&self.net.policy, note.as_bytes()).unwrap();
                assert_eq!(verified.head, member.disk.commits[&slot].0, "the published head is the close head");
                member.notes.insert(slot, note);
            }
            Effect::Event(event) => {
                let durable = match &event {
                    Told::Final { slot, .. } => member_slot(&self.members[at]) >= *slot,
                    _ => true,
                };
                assert!(durable, "SEQ-1: told before it is durable");
                self.members[at].told.push(event);
            }
            Effect::Phase { slot, phase } => self.members[at].phases.push((slot, phase)),
            Effect::Evidence { proved, evidence } => {
                let net = self.net;
                let schedule = net.params().schedule();
                let epoch = evidence.epoch(schedule);
                let context = Context {
                    network: net.id,
                    epoch,
                    first_slot: schedule.first(epoch),
                    last_slot: schedule.last(epoch),
                    f: u16::try_from(net.f).unwrap(),
                    members: &net.network.genesis.members,
                    params: net.params(),
                    keys: &net.keys,
                };
                assert_eq!(verify(&evidence, &context), Ok(proved), "evidence proves itself");
                let is_guilty = match proved.accused {
                    Accused::Member(member) => self.guilty.contains(&usize::from(member.0)),
                    Accused::Builder { builder, .. } => self.guilty_builders.contains(&builder),
                };
                assert!(is_guilty, "{proved:?} is honest");
                self.members[at].evidence.push(proved);
            }
            Effect::Reject { from, reason, what } => self.members[at].rejects.push((from, reason, what)),
        }
    }

    fn persist(&mut self, at: usize, record: Record) {
        let (net, seed) = (self.net, self.seed);
        let member = &mut self.members[at];
        match &record {
            Record::Items(items) | Record::Bids(items) => {
                for (hash, _) in items {
                    member.stored.entry(*hash).or_insert(member.effects);
                }
            }
            Record::Operations(records) | Record::Objects(records) => {
                for (hash, _) in records {
                    member.stored.entry(*hash).or_insert(member.effects);
                }
            }
            Record::List { slot, bytes } => {
                let machine = member.machine.as_ref().unwrap();
                assert_eq!(machine.opened().next(), *slot, "SEQ-4: a list before the slot before is opened");
                let first = member.lists.entry(*slot).or_insert_with(|| bytes.clone());
                assert_eq!(first, bytes, "SEQ-1: m{at} signs a second list for slot {slot}");
            }
            Record::Opened { .. } => {}
            Record::Commit(commit) => {
                let close = commit.entries.iter().find_map(|entry| match kind(entry) {
                    Kind::Close { header, .. } => Some(crypto::ids::block_digest(&header)),
                    _ => None,
                });
                let digest = close.expect("a commit has a CLOSE");
                assert_eq!(
                    Some(digest),
                    self.consensus.final_digest(commit.slot),
                    "SEQ-2: final is what consensus says"
                );
                let first = member.shares.entry(commit.slot).or_insert_with(|| commit.share_message.clone());
                assert_eq!(*first, commit.share_message, "SEQ-1: m{at} signs a second share message");
                if let Some(when) = member.voted.get(&digest) {
                    for hash in units(&commit.entries).chain(bids(&commit.entries)).chain(operations(&commit.entries)) {
                        assert!(member.stored[&hash] < *when, "voted for what was not stored");
                    }
                }
            }
        }
        let commit = matches!(record, Record::Commit(_));
        member.disk.persist(record);
        if commit {
            // the WAL forgets what is live no more
            let machine = member.machine.as_ref().unwrap();
            member.disk.items.retain(|(hash, _)| machine.is_live(hash));
            member.disk.bids.retain(|(hash, _)| machine.is_live(hash));
            member.disk.operations.retain(|(hash, _)| machine.is_live(hash));
        }
        let entries = &member.disk.entries;
        let common = entries.len().min(self.log.len());
        let from = common.saturating_sub(64).max(net.genesis_entries.len());
        assert!(entries[from..common] == self.log[from..common], "SEQ-3, seed {seed}: m{at} writes another log");
        let more = entries[common..].to_vec();
        self.log.extend(more);
    }

    fn send(&mut self, at: usize, channel: Channel, to: To, bytes: Vec<u8>) {
        let member = &self.members[at];
        match channel {
            Channel::Lists => {
                let list = wire::list(&bytes);
                assert_eq!(member.disk.list, Some((list.slot, bytes.clone())), "SEQ-1: a list that is not durable");
            }
            Channel::Shares => {
                let header = wire::share(&bytes).header;
                let follows = wire::follows(self.net, &bytes, member.disk.share.as_deref());
                assert!(follows, "SEQ-1: a share message that is not durable");
                assert_eq!(header.slot, member.disk.slot, "SEQ-2: shares of the last final slot only");
                assert_eq!(
                    Some(header.digest),
                    self.consensus.final_digest(header.slot),
                    "SEQ-2: for the final digest"
                );
                assert_eq!(header.head, member.disk.commits[&header.slot].0, "the close head is cosigned");
            }
            Channel::Items | Channel::Fetch => {}
        }
        for peer in self.net.members() {
            let meant = match to {
                To::All => peer != at,
                To::One(one) => id(peer) == one && peer != at,
            };
            if !meant {
                continue;
            }
            let passing = Passing { now: self.now, from: at, to: peer, channel, bytes: &bytes };
            let (bytes, late) = match (self.filter)(&passing) {
                Fate::Arrives => (bytes.clone(), None),
                Fate::Lost => continue,
                Fate::Changed(bytes) => (bytes, None),
                Fate::Late(ms) => (bytes.clone(), Some(ms)),
            };
            let delay = late.unwrap_or_else(|| self.delay());
            self.after(delay, Event::Deliver { to: peer, from: id(at), channel, bytes });
        }
    }

    fn reply(&mut self, at: usize, ticket: Ticket, answer: Result<String, Refusal>) {
        let (member, hash) = self.submitted[&ticket];
        assert_eq!(member, at);
        if let Ok(note) = &answer {
            let name = checkpoint::receipt_name(self.net.policy.origin(), id(at));
            let key = self.net.network.genesis.members[at].receipt;
            let receipt = tlog::receipt::verify(note.as_bytes(), &key, &name).unwrap();
            assert_eq!(receipt.item, hash);
            let disk = &self.members[at].disk;
            let stored =
                disk.items.iter().chain(&disk.bids).any(|(stored, record)| *stored == hash && record.receipt == *note);
            assert!(stored, "SEQ-1: a receipt that is not durable");
            let first = self.receipts.entry((hash, at)).or_insert_with(|| note.clone());
            assert_eq!(first, note, "the same item gets the same receipt");
        }
        let before = self.replies.insert(ticket, answer);
        assert!(before.is_none(), "two answers to one submission");
    }

    /// Notes a vote: everything in the set is durable by now.
    pub(crate) fn vote(&mut self, at: usize, digest: Hash) {
        let member = &mut self.members[at];
        member.voted.insert(digest, member.effects);
    }

    // ---- what is left --------------------------------------------------------------------------------------------

    /// An auditor reads one member's log and its proofs of finality.
    pub(crate) fn audit(&self, at: usize) {
        let disk = &self.members[at].disk;
        let mut replay = Replay::new(&self.net.anchor, Checks::ALL).unwrap();
        let ends: BTreeMap<u64, Slot> = disk.commits.iter().map(|(slot, (head, _))| (head.size, *slot)).collect();
        for (index, entry) in (0u64..).zip(&disk.entries) {
            replay.entry(index, entry);
            if let Some(slot) = ends.get(&(index + 1)) {
                replay.finality(&codec::decode(&disk.commits[slot].1, 1 << 20).unwrap());
            }
        }
        assert_eq!(replay.findings(), [], "seed {}: m{at}", self.seed);
        assert_eq!(replay.finalities(), u64::try_from(disk.commits.len()).unwrap());
        assert_eq!(replay.slots(), disk.slot.0);
    }

    /// Envelope hashes of all sets so far.
    pub(crate) fn included(&self) -> BTreeSet<Hash> {
        units(&self.log).collect()
    }

    /// Every envelope for which somebody gave a receipt.
    pub(crate) fn acknowledged(&self) -> BTreeSet<Hash> {
        self.receipts.keys().map(|(hash, _)| *hash).collect()
    }

    /// Outcome of each unit, by hash, as this member saw it.
    pub(crate) fn outcome(&self, at: usize, hash: &Hash) -> Option<Outcome> {
        match self.machine(at).status(hash) {
            types::wire::Status::Executed { outcome, .. } => Outcome::from_number(outcome),
            _ => None,
        }
    }
}

fn member_slot(member: &Member) -> Slot {
    member.disk.slot
}

pub(crate) fn kind(entry: &[u8]) -> Kind {
    codec::decode::<Entry>(entry, limits::ENTRY_BYTES_MAX).unwrap().kind
}

/// Hashes of OPERATION and FAULT entries.
fn operations(entries: &[Vec<u8>]) -> impl Iterator<Item = Hash> {
    entries.iter().filter_map(|entry| match kind(entry) {
        Kind::Operation { bytes, .. } => Some(crypto::ids::operation_bytes_hash(&bytes)),
        Kind::Fault { evidence, .. } => {
            let evidence = crypto::evidence::decode(&evidence).unwrap();
            Some(crypto::ids::operation_hash(&types::Operation::Evidence(evidence.into())))
        }
        _ => None,
    })
}

/// FAULT entries: finding, accused member, index.
pub(crate) fn faults(net: &Net, entries: &[Vec<u8>]) -> Vec<(Finding, usize, usize)> {
    let members = &net.network.genesis.members;
    let fault = |(index, entry): (usize, &Vec<u8>)| match kind(entry) {
        Kind::Fault { finding, accused, .. } => {
            let of = members.iter().position(|m| accused == [m.receipt] || accused == [m.consensus])?;
            Some((Finding::from_number(finding).unwrap(), of, index))
        }
        _ => None,
    };
    entries.iter().enumerate().filter_map(fault).collect()
}

/// FAULT entries against builders: which finding, whom as the entry says it, what was taken, in which slot.
pub(crate) fn slashes(net: &Net, entries: &[Vec<u8>]) -> Vec<(Finding, Hash, u128, Slot)> {
    let members = &net.network.genesis.members;
    let fault = |entry: &Vec<u8>| match kind(entry) {
        Kind::Fault { slot, finding, accused, penalty, .. } => {
            let of_member = members.iter().any(|m| accused == [m.receipt] || accused == [m.consensus]);
            (!of_member).then(|| (Finding::from_number(finding).unwrap(), accused[0], penalty.units(), slot))
        }
        _ => None,
    };
    entries.iter().filter_map(fault).collect()
}

fn bids(entries: &[Vec<u8>]) -> impl Iterator<Item = Hash> {
    entries.iter().filter_map(|entry| match kind(entry) {
        Kind::Bid { bytes, .. } => {
            let bid: Bid = codec::decode(&bytes, limits::BID_BYTES_MAX).unwrap();
            Some(crypto::ids::bid_hash(&bid))
        }
        _ => None,
    })
}

fn units(entries: &[Vec<u8>]) -> impl Iterator<Item = Hash> {
    entries.iter().filter_map(|entry| match kind(entry) {
        Kind::Envelope { bytes, .. } => {
            let envelope: Envelope = codec::decode(&bytes, limits::ENVELOPE_BYTES_MAX).unwrap();
            Some(crypto::ids::hash_envelope(&envelope))
        }
        _ => None,
    })
}
