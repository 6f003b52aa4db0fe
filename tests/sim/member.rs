//! A member: one task that owns machine and executor, and a disk that outlives it. Effects are carried out in order as
//! `node::driver` does; jobs run inline and take simulated time.
use crate::{
    adversaries::Adversary,
    app::{App, Handle, Message, channel, open},
    book::Book,
    common::{
        disk::Disk,
        net::{Net, id},
    },
};
use consensus::{
    Ack, EngineConfig, EngineEpoch, Outbox, QUOTAS, SeenVote, Timeouts, VoteKind,
    testing::{Clock as _, Context, Network, Spawner as _, Supervisor as _, Wire},
};
use execution::{Executor, OpenedUnit, SlotEnv, prepare, prepare_tail};
use futures::{
    StreamExt as _,
    channel::{mpsc, oneshot},
    future::{Either, select},
};
use sequencer::{Effect, Input, Record, Sequencer, Ticket, Timings, To};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, UNIX_EPOCH},
};
use types::{Block, Epoch, Hash, Slot, Timestamp, Vote, Voted, codec, limits};
use zeroize::Zeroizing;

/// What a member starts from, again and again.
#[derive(Clone)]
pub(crate) struct Node {
    pub(crate) net: &'static Net,
    pub(crate) me: usize,
    pub(crate) network: Arc<Network>,
    pub(crate) disk: Arc<Mutex<Disk>>,
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
    outbox: Outbox,
    handle: Handle,
    submits: BTreeMap<Ticket, Hash>,
    bids: BTreeMap<Ticket, Hash>,
    builds: BTreeMap<Ticket, oneshot::Sender<Option<Vec<u8>>>>,
    checks: BTreeMap<Ticket, oneshot::Sender<bool>>,
    acks: BTreeMap<Slot, Vec<Ack>>,
    /// Effects until the power goes.
    crash_in: Option<u64>,
}

/// Messages of one turn, as in `node::driver`.
const TURN_MAX: usize = 256;
const WAIT_MAX: u64 = 500;

/// The power is gone.
struct Gone;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap()
}

/// Runs until it is aborted, or for `crash_in` effects.
pub(crate) async fn run(
    ctx: Context,
    node: Node,
    draw: u64,
    crash_in: Option<u64>,
    (handle, mut inbox): (Handle, mpsc::UnboundedReceiver<Message>),
) {
    let (resume, _committee, executor) = lock(&node.disk).resume(node.net);
    let setup = sequencer::Setup { timings: node.timings, ..node.net.setup(node.me, draw) };
    let now = clock(&ctx, &node);
    let secrets = Arc::clone(&node.net.secrets[node.me]);
    let machine = Sequencer::new(setup, secrets, node.net.signer(node.me), resume, now);
    let (outbox, engine) = start_engine(&ctx, &node, &machine, handle.clone()).await;
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
        outbox,
        handle,
        submits: BTreeMap::new(),
        bids: BTreeMap::new(),
        builds: BTreeMap::new(),
        checks: BTreeMap::new(),
        acks: BTreeMap::new(),
        crash_in,
    };
    if life.turns(&mut inbox).await.is_err() {
        lock(&life.node.book).power_lost(life.node.me);
    }
}

fn epoch(start: sequencer::EpochStart) -> EngineEpoch {
    EngineEpoch { epoch: start.epoch.0, parent: start.parent, leader_seed: start.leader_seed, votes: true }
}

async fn start_engine(ctx: &Context, node: &Node, machine: &Sequencer, handle: Handle) -> (Outbox, consensus::Running) {
    let net = node.net;
    let cfg = EngineConfig {
        network: net.id,
        epoch_slots: net.params().schedule().slots(),
        epoch: epoch(machine.epoch_start()),
        before: Vec::new(),
        members: net.network.genesis.members.iter().map(|m| m.consensus).collect(),
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
    let seed_of =
        |at: u16| Zeroizing::new(crypto::hash::t256("voter", &[&crate::common::net::SEED, &at.to_le_bytes()]).0);
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

    async fn turns(&mut self, inbox: &mut mpsc::UnboundedReceiver<Message>) -> Result<(), Gone> {
        let effects = self.step(Input::Tick);
        self.carry_out(effects)?;
        loop {
            let now = self.now();
            let wait = self.machine.wake_at().map_or(WAIT_MAX, |at| at.0.saturating_sub(now.0).min(WAIT_MAX));
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
            assert_eq!(self.machine.behind(), None, "m{} would catch up by the log", self.node.me);
        }
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
            Message::Done(result) => Input::Done(result),
            Message::Executed { slot, result } => Input::Executed { slot, result },
            Message::Vote(vote) => {
                lock(&self.node.book).vote(&vote);
                Input::Vote { epoch: Epoch(vote.epoch), view: vote.view, member: vote.member, voted: voted(&vote) }
            }
        })
    }

    /// In order; the WAL records of the whole turn go first, as in `node::driver`.
    fn carry_out(&mut self, effects: Vec<Effect>) -> Result<(), Gone> {
        let (items, rest): (Vec<_>, Vec<_>) = effects.into_iter().partition(|effect| {
            matches!(
                effect,
                Effect::Persist(Record::Items(_) | Record::Bids(_) | Record::Objects(_) | Record::Operations(_))
            )
        });
        for effect in items.into_iter().chain(rest) {
            if let Some(left) = self.crash_in.as_mut() {
                if *left == 0 {
                    return Err(Gone);
                }
                *left -= 1;
            }
            self.effect(effect);
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
            Effect::Epoch(start) => {
                assert!(!start.changed, "nobody proposes a change here");
                self.outbox.enter(epoch(start));
            }
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
