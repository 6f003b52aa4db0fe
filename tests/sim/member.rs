//! A member: one task that owns machine and executor, and a disk that outlives it. Effects are carried out in order as
//! `node::driver` does; jobs run inline and take simulated time. When committee, keys or parameters change, engine and
//! machine end, and others begin, as `node::member` does it.
use crate::{
    adversaries::Adversary,
    app::{App, Door, Handle, Message, channel, open},
    book::Book,
    common::{
        disk::Disk,
        net::{Net, SEED, Term, id},
    },
};
use consensus::{
    Ack, EngineConfig, EngineEpoch, Outbox, QUOTAS, SeenVote, Timeouts, VoteKind,
    testing::{Clock as _, Context, Network, Spawner as _, Supervisor as _, Wire},
};
use crypto::keys::{BeaconShareKey, DecryptionShareKey};
use execution::{Executor, OpenedUnit, SlotEnv, prepare, prepare_tail};
use futures::{
    StreamExt as _,
    channel::{mpsc, oneshot},
    future::{Either, select},
};
use keygen::{
    MemberSecrets,
    handover::{self, Handovers, Saved, Start},
    reshare::ReshareError,
};
use sequencer::{Effect, Input, Record, Resume, Secrets, Sequencer, Ticket, Timings, To};
use std::{
    collections::BTreeMap,
    convert::Infallible,
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, UNIX_EPOCH},
};
use types::{Block, Epoch, Handover, Hash, Operation, Slot, Timestamp, Vote, Voted, codec, limits};
use zeroize::Zeroizing;

/// What a member starts from, again and again.
#[derive(Clone)]
pub(crate) struct Node {
    pub(crate) net: &'static Net,
    pub(crate) me: usize,
    pub(crate) network: Arc<Network>,
    pub(crate) disk: Arc<Mutex<Disk>>,
    /// What it keeps of a handover, sealed.
    pub(crate) saved: Arc<Mutex<Option<Vec<u8>>>>,
    pub(crate) book: Arc<Mutex<Book>>,
    pub(crate) adversary: Option<Arc<dyn Adversary>>,
    pub(crate) timings: Timings,
    pub(crate) timeouts: Timeouts,
    /// How long it looks at a proposal before it asks the machine, ms.
    pub(crate) look: u64,
    /// How far its clock is ahead, ms.
    pub(crate) skew: u64,
    /// Simulated time of a job: once, and for each unit in it, us.
    pub(crate) cost: (u64, u64),
}

/// One life of it.
struct Life {
    ctx: Context,
    node: Node,
    machine: Sequencer,
    executor: Executor,
    handovers: Handovers,
    /// For its entropy.
    draw: u64,
    outbox: Outbox,
    handle: Handle,
    submits: BTreeMap<Ticket, Hash>,
    bids: BTreeMap<Ticket, Hash>,
    builds: BTreeMap<Ticket, oneshot::Sender<Option<Vec<u8>>>>,
    checks: BTreeMap<Ticket, oneshot::Sender<bool>>,
    acks: BTreeMap<Slot, Vec<Ack>>,
    /// Effects until the power goes.
    crash_in: Option<u64>,
    /// The last slot that was looked at for the handover.
    looked: Option<Slot>,
    /// Another machine begins then.
    leaves: Option<Timestamp>,
}

/// Messages of one turn, as in `node::driver`.
const TURN_MAX: usize = 256;
const WAIT_MAX: u64 = 500;
/// How long a member whose epoch is over still sends what others need of its last slot, as in `node::driver`.
const LEAVES_AFTER: u64 = 400;

/// How a life ends.
enum End {
    /// The power is gone.
    Power,
    /// Another machine begins, for so many effects.
    Changed(Option<u64>),
}

/// What goes on in another machine.
type Carried = (Resume, Executor);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap()
}

/// Runs until it is aborted, or for `crash_in` effects.
pub(crate) async fn run(ctx: Context, node: Node, draw: u64, mut crash_in: Option<u64>, door: Door) {
    let mut carried = None;
    loop {
        let (handle, inbox) = Handle::new();
        door.leads_to(&handle);
        let (node_of, from) = (node.clone(), carried.take());
        let life = move |ctx| live(ctx, node_of, (draw, crash_in), from, (handle, inbox));
        // the engine is a child of this task: both end with it
        match ctx.child("life").spawn(life).await {
            Ok((End::Changed(left), handed)) => (crash_in, carried) = (left, handed),
            Ok((End::Power, _)) => return lock(&node.book).power_lost(node.me),
            // the runtime ends
            Err(_closed) => return,
        }
    }
}

/// From what was handed on, or else from the disk.
async fn live(
    ctx: Context,
    node: Node,
    (draw, crash_in): (u64, Option<u64>),
    carried: Option<Carried>,
    (handle, mut inbox): (Handle, mpsc::UnboundedReceiver<Message>),
) -> (End, Option<Carried>) {
    let (found, term, executor) = lock(&node.disk).resume(node.net);
    let (resume, executor) = match carried {
        Some((handed, executor)) => {
            assert_eq!((handed.tree.head(), &handed.epochs), (found.tree.head(), &found.epochs), "m{}", node.me);
            let Resume { share_message, own_list, cosigned_at, items, bids, objects, operations, .. } = found;
            let saved = Resume { share_message, own_list, cosigned_at, items, bids, objects, operations, ..handed };
            (saved, executor)
        }
        None => (found, executor),
    };
    let setup = sequencer::Setup {
        timings: node.timings,
        ceremony: handover::CEREMONY,
        ..node.net.setup_in(&term, node.me, draw)
    };
    let shares = shares(&node, &term, &resume);
    let keys = Arc::new(term.committee.keys.clone());
    let decrypt = DecryptionShareKey::from_le_bytes(shares.decrypt.clone()).unwrap();
    let beacon = BeaconShareKey::from_le_bytes(shares.beacon.clone()).unwrap();
    assert_eq!(keys.share_key(id(node.me)), Some(decrypt.public_g1()), "m{} has another share", node.me);
    let secrets = Arc::new(Secrets { network: node.net.id, keys, decrypt, beacon });
    let handovers = Handovers::new(secret(node.net, node.me), Some(shares));
    let now = clock(&ctx, &node);
    let machine = Sequencer::new(setup, secrets, node.net.signer(node.me), resume, now);
    lock(&node.book).works(node.me, term.committee.keys_since);
    let (outbox, engine) = start_engine(&ctx, &node, &term, &machine, handle.clone()).await;
    let me = node.me;
    ctx.child("watch").spawn(move |_| async move {
        let part = engine.ended().await;
        panic!("the engine of m{me} ended: {part}");
    });
    let mut life = Life {
        ctx,
        node,
        machine,
        executor,
        handovers,
        draw,
        outbox,
        handle,
        submits: BTreeMap::new(),
        bids: BTreeMap::new(),
        builds: BTreeMap::new(),
        checks: BTreeMap::new(),
        acks: BTreeMap::new(),
        crash_in,
        looked: None,
        leaves: None,
    };
    let Err(end) = life.turns(&mut inbox).await;
    let carried = match end {
        End::Power => None,
        End::Changed(_) => life.machine.hand_on().map(|resume| (resume, life.executor)),
    };
    (end, carried)
}

/// This member's shares: those of genesis, or of the handover in its log.
fn shares(node: &Node, term: &Term, resume: &Resume) -> MemberSecrets {
    let (n, f) = (u16::try_from(node.net.n).unwrap(), u16::try_from(node.net.f).unwrap());
    match term.committee.keys_since {
        Epoch(0) => {
            let [decrypt, beacon] = crypto::dealer::shares(n, f, &SEED).swap_remove(node.me);
            MemberSecrets { decrypt, beacon }
        }
        since => handover::shares(resume.succession.handed(since).unwrap(), &secret(node.net, node.me)).unwrap(),
    }
}

fn epoch(start: sequencer::EpochStart) -> EngineEpoch {
    EngineEpoch { epoch: start.epoch.0, parent: start.parent, leader_seed: start.leader_seed, votes: true }
}

async fn start_engine(
    ctx: &Context,
    node: &Node,
    term: &Term,
    machine: &Sequencer,
    handle: Handle,
) -> (Outbox, consensus::Running) {
    let net = node.net;
    let keys = |committee: &verifier::Committee| committee.members.iter().map(|m| m.consensus).collect();
    let cfg = EngineConfig {
        network: net.id,
        epoch_slots: net.params().schedule().slots(),
        epoch: epoch(machine.epoch_start()),
        before: term.before.as_ref().map(|(_, before)| keys(before)).unwrap_or_default(),
        members: keys(&term.committee),
        prefix: format!("m{}-", node.me),
        timeouts: node.timeouts,
        quotas: QUOTAS,
        open,
        genesis: codec::encode(&Block::genesis(net.id)).into(),
        floor: None,
        block_max: u32::try_from(limits::BLOCK_BYTES_MAX).unwrap(),
    };
    let adversary = node.adversary.clone();
    let wire = adversary.clone().map(|bad| -> Wire { Arc::new(move |ch, to, bytes| bad.wire(net, ch, to, bytes)) });
    let (clock, look) = (Arc::new(ctx.child("clock")), node.look);
    let make_app = move |outbox| App { handle, outbox, net, adversary, clock, look };
    let engine = ctx.child("engine");
    let running = node.network.start(engine, id(node.me), secret(net, node.me), cfg, wire, make_app).await;
    (running.outbox(), running)
}

/// What a vote of the engine says.
fn voted(seen: &SeenVote) -> Voted {
    let parent = || {
        let (numbers, digest) = seen.msg.split_last_chunk::<32>().unwrap();
        // epoch, view, parent's view
        let (mut values, mut value, mut shift) = (Vec::new(), 0, 0);
        for byte in numbers {
            value |= u64::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                values.push(core::mem::take(&mut value));
                shift = 0;
            }
        }
        (values[2], Hash(*digest))
    };
    let vote = match seen.kind {
        VoteKind::Nullify => Vote::Nullify,
        VoteKind::Notarize => {
            let (parent_view, digest) = parent();
            Vote::Notarize { parent_view, digest }
        }
        VoteKind::Finalize => {
            let (parent_view, digest) = parent();
            Vote::Finalize { parent_view, digest }
        }
    };
    Voted { vote, sig: seen.sig }
}

/// The consensus secret behind a member's key.
fn secret(net: &Net, member: usize) -> Zeroizing<[u8; 32]> {
    let seed_of = |at: u16| Zeroizing::new(crypto::hash::t256("voter", &[&SEED, &at.to_le_bytes()]).0);
    let public = net.voters.keys[member].public();
    let mut seeds = (0..u16::try_from(net.n).unwrap()).map(seed_of);
    seeds.find(|seed| crypto::ed25519::SigningKey::from_seed(seed.clone()).public() == public).unwrap()
}

fn millis(ctx: &Context) -> u64 {
    u64::try_from(ctx.current().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

fn clock(ctx: &Context, node: &Node) -> Timestamp {
    Timestamp(millis(ctx) + node.skew)
}

impl Life {
    fn now(&self) -> Timestamp {
        clock(&self.ctx, &self.node)
    }

    async fn turns(&mut self, inbox: &mut mpsc::UnboundedReceiver<Message>) -> Result<Infallible, End> {
        let effects = self.step(Input::Tick);
        self.carry_out(effects)?;
        self.hand_over()?;
        loop {
            let now = self.now();
            let wake = self.machine.wake_at().into_iter().chain(self.leaves).min();
            let wait = wake.map_or(WAIT_MAX, |at| at.0.saturating_sub(now.0).min(WAIT_MAX));
            let first = {
                let sleep = std::pin::pin!(self.ctx.sleep(Duration::from_millis(wait)));
                match select(inbox.next(), sleep).await {
                    Either::Left((message, _)) => message,
                    Either::Right(_) => None,
                }
            };
            let mut effects = Vec::new();
            let mut next = first;
            let mut taken = 0;
            while let Some(message) = next {
                if let Some(input) = self.input(message) {
                    effects.extend(self.step(input));
                }
                taken += 1;
                next = if taken < TURN_MAX { inbox.try_recv().ok() } else { None };
            }
            if self.machine.wake_at().is_some_and(|at| at <= self.now()) {
                effects.extend(self.step(Input::Tick));
            }
            self.carry_out(effects)?;
            self.hand_over()?;
            if self.leaves.is_some_and(|at| at <= self.now()) {
                return Err(End::Changed(self.crash_in));
            }
            assert_eq!(self.machine.behind(), None, "m{} would catch up by the log", self.node.me);
        }
    }

    /// This member's part in handing the secrets over, when a slot is final.
    fn hand_over(&mut self) -> Result<(), End> {
        let last = self.machine.last_final();
        if self.leaves.is_some() || self.looked.replace(last) == Some(last) {
            return Ok(());
        }
        let Some(message) = self.message(last.next()) else { return Ok(()) };
        let operation = codec::encode(&Operation::Handover(Box::new(message)));
        let effects = self.step(Input::Operation { ticket: self.handle.ticket(), operation });
        self.carry_out(effects)
    }

    /// What it says next in a handover; what it keeps of it is on its disk before.
    fn message(&mut self, next: Slot) -> Option<Handover> {
        let (epochs, said) = (self.machine.epochs(), self.machine.succession());
        let seed = secret(self.node.net, self.node.me);
        let start = || -> Result<Start, ReshareError> {
            let number = u64::try_from(self.node.me).expect("members are few");
            let drawn = [self.draw, number, epochs.last().epoch.0].map(u64::to_le_bytes);
            let entropy = crypto::hash::t256("entropy", &drawn.each_ref().map(|part| part.as_slice()));
            let open = |bytes: &Vec<u8>| Saved::open(bytes, &seed).expect("a member's own");
            let saved = lock(&self.node.saved).as_ref().map(open);
            Ok(Start { entropy: Zeroizing::new(entropy.0), saved })
        };
        let due = self.handovers.due(epochs, said, next, start).unwrap()?;
        if let Some(saved) = due.save {
            *lock(&self.node.saved) = Some(saved.seal(&seed).unwrap());
        }
        let Some(adversary) = &self.node.adversary else { return Some(due.message) };
        let to = said.takes_over(epochs.last())?;
        let plan = handover::plan(epochs.last(), to).unwrap().name();
        adversary.hands_over(self.node.net, &plan, due.message)
    }

    fn step(&mut self, input: Input) -> Vec<Effect> {
        let now = self.now();
        match self.machine.step(now, input) {
            Ok(effects) => effects,
            Err(halt) if self.node.adversary.is_some() => panic!("m{}, which is faulty, halts: {halt}", self.node.me),
            Err(halt) => panic!("m{} halts: {halt}", self.node.me),
        }
    }

    fn input(&mut self, message: Message) -> Option<Input> {
        Some(match message {
            Message::Submit { ticket, hash, envelope } => {
                self.submits.insert(ticket, hash);
                Input::Submit { ticket, envelope }
            }
            Message::Bid { ticket, hash, bid } => {
                self.bids.insert(ticket, hash);
                Input::SubmitBid { ticket, bid }
            }
            Message::Object { ticket, object } => Input::SubmitObject { ticket, object },
            Message::Peer { channel, from, bytes } => {
                lock(&self.node.book).heard(self.node.me, channel, from, &bytes);
                Input::Message { channel, from, bytes }
            }
            Message::Build { ticket, parent, at, reply } => {
                self.builds.insert(ticket, reply);
                Input::Build { ticket, parent, at }
            }
            Message::Check { ticket, block, parent, at, reply } => {
                self.checks.insert(ticket, reply);
                Input::Check { ticket, block, parent, at }
            }
            Message::Cancel(ticket) => {
                let known = self.builds.remove(&ticket).is_some();
                if !(self.checks.remove(&ticket).is_some() || known) {
                    return None;
                }
                Input::Cancel(ticket)
            }
            Message::Final { block, proof, ack } => {
                lock(&self.node.book).delivered(self.node.me, &proof);
                self.acks.entry(proof.headers[0].height).or_default().push(ack);
                Input::Final { block, proof }
            }
            Message::Operation(operation) => Input::Operation { ticket: self.handle.ticket(), operation },
            Message::Done(result) => Input::Done(result),
            Message::Executed { slot, result } => Input::Executed { slot, result },
            Message::Vote(vote) => {
                lock(&self.node.book).vote(&vote);
                Input::Vote { epoch: Epoch(vote.epoch), view: vote.view, member: vote.member, voted: voted(&vote) }
            }
        })
    }

    /// In order; the WAL records of the whole turn go first, as in `node::driver`.
    fn carry_out(&mut self, effects: Vec<Effect>) -> Result<(), End> {
        let (items, rest): (Vec<_>, Vec<_>) = effects.into_iter().partition(|effect| {
            matches!(
                effect,
                Effect::Persist(Record::Items(_) | Record::Bids(_) | Record::Objects(_) | Record::Operations(_))
            )
        });
        for effect in items.into_iter().chain(rest) {
            if let Some(left) = self.crash_in.as_mut() {
                if *left == 0 {
                    return Err(End::Power);
                }
                *left -= 1;
            }
            self.effect(effect);
        }
        if self.leaves.is_some() {
            lock(&self.node.disk).settle();
        }
        Ok(())
    }

    fn effect(&mut self, effect: Effect) {
        let (me, now) = (self.node.me, millis(&self.ctx));
        lock(&self.node.book).effect(me, now, &effect, &lock(&self.node.disk));
        match effect {
            Effect::Persist(record) => {
                let commit = matches!(record, Record::Commit(_));
                let mut disk = lock(&self.node.disk);
                disk.persist(record);
                if commit {
                    disk.operations.retain(|(hash, _)| self.machine.is_live(hash));
                    // the WAL forgets what is live no more
                    disk.items.retain(|(hash, _)| self.machine.is_live(hash));
                    disk.bids.retain(|(hash, _)| self.machine.is_live(hash));
                    disk.objects.retain(|(hash, _)| self.machine.is_live(hash));
                }
                lock(&self.node.book).wrote(me, &disk);
            }
            Effect::Send { channel: on, to, bytes } => {
                let to = match to {
                    To::All => consensus::To::All,
                    To::One(member) => consensus::To::One(member),
                };
                self.outbox.send(channel(on), to, bytes.into());
            }
            Effect::Reply { ticket, answer } => {
                let (mut book, disk) = (lock(&self.node.book), lock(&self.node.disk));
                if let Some(hash) = self.bids.remove(&ticket) {
                    book.bid_reply(me, &hash, answer, &disk);
                } else {
                    book.reply(me, &self.submits.remove(&ticket).unwrap(), answer, &disk);
                }
            }
            Effect::Built { ticket, block } => {
                if let Some(reply) = self.builds.remove(&ticket) {
                    reply.send(block).ok();
                }
            }
            Effect::Checked { ticket, verdict } => {
                if let Some(reply) = self.checks.remove(&ticket) {
                    reply.send(verdict.is_ok()).ok();
                }
            }
            Effect::Ack(slot) => {
                for ack in self.acks.remove(&slot).into_iter().flatten() {
                    ack.acknowledge();
                }
            }
            Effect::Epoch(start) if start.changed => self.leaves = Some(Timestamp(self.now().0 + LEAVES_AFTER)),
            Effect::Epoch(start) => self.outbox.enter(epoch(start)),
            Effect::Run(job) => {
                let units = match &job {
                    sequencer::Job::Admit { items, .. } => items.len(),
                    sequencer::Job::Reveal { work, .. } | sequencer::Job::CheckOpenings { work, .. } => {
                        work.items.len()
                    }
                    sequencer::Job::Beacon { .. } => 0,
                    sequencer::Job::Combine { work, .. } => work.places.len(),
                    sequencer::Job::CheckClaims { claims, .. } => claims.len(),
                };
                let handle = self.handle.clone();
                self.later(units, move || handle.send(Message::Done(Box::new(job.run()))));
            }
            Effect::Execute { slot, time_ms, beacon, units } => {
                let prepared: Vec<_> = units
                    .iter()
                    .map(|u| OpenedUnit { hash: u.hash, message: u.message.as_deref(), gas_class: u.gas_class })
                    .map(|u| prepare(&u, &self.node.net.registry))
                    .collect();
                self.executor.order(&SlotEnv { slot, time_ms, beacon }, &prepared);
                let result = Box::new(self.executor.close());
                let handle = self.handle.clone();
                self.later(units.len(), move || handle.send(Message::Executed { slot, result }));
            }
            Effect::ExecuteTail { slot, bundles } => {
                let registry = &self.node.net.registry;
                let prepared: Vec<_> =
                    bundles.iter().map(|(hash, bundle)| prepare_tail(*hash, bundle, registry)).collect();
                self.executor.tail(&prepared);
                let result = Box::new(self.executor.close());
                let handle = self.handle.clone();
                self.later(bundles.len(), move || handle.send(Message::Executed { slot, result }));
            }
            Effect::Publish { .. }
            | Effect::Taken { .. }
            | Effect::Event(_)
            | Effect::Phase { .. }
            | Effect::Evidence { .. }
            | Effect::Reject { .. } => {}
        }
    }

    /// After the time that work on so many units takes.
    fn later(&self, units: usize, done: impl FnOnce() + Send + 'static) {
        let (once, each) = self.node.cost;
        let cost = Duration::from_micros(once + each * u64::try_from(units).unwrap());
        self.ctx.child("work").spawn(move |ctx| async move {
            ctx.sleep(cost).await;
            done();
        });
    }
}
