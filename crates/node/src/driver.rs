//! The member's thread: takes messages, steps the machine, carries out effects in order.
//!
//! Trust: the driver decides nothing. It makes durable what the machine says must be durable before anything that
//! follows it, and ends the member on any error of disk or machine, before anything else is signed.
use crate::{
    clock,
    data::Data,
    disk::{Disk, DiskError, Walling},
    engine,
    execute::Executions,
    handover::{HandoverError, Handovers},
    health::{Health, Noted},
    mailbox::{Class, Mailbox},
    metrics::MemberMetrics,
    page::Page,
    pool::Pool,
};
use bytes::Bytes;
use consensus::{Ack, Outbox};
use ingress::{Answer, Request};
use sequencer::{At, Channel, Effect, Halt, Input, JobResult, Phase, Record, Resume, Sequencer, Ticket, To};
use std::{
    collections::BTreeMap,
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};
use tokio::sync::{broadcast, oneshot};
use types::{
    Epoch, FinalityProof, MemberId, Operation, Slot, SlotResult, Timestamp, Voted, codec,
    reason::Reason,
    wire::{Event, Refusal},
};

/// What the driver is told.
pub(crate) enum Message {
    Client {
        request: Request,
        reply: oneshot::Sender<Result<Answer, Refusal>>,
    },
    Peer {
        channel: Channel,
        from: MemberId,
        bytes: Vec<u8>,
    },
    Build {
        ticket: Ticket,
        parent: Vec<u8>,
        at: At,
        reply: oneshot::Sender<Option<Vec<u8>>>,
    },
    Check {
        ticket: Ticket,
        block: Vec<u8>,
        parent: Vec<u8>,
        at: At,
        reply: oneshot::Sender<bool>,
    },
    Vote {
        epoch: Epoch,
        view: u64,
        member: MemberId,
        voted: Voted,
    },
    Cancel(Ticket),
    Final {
        block: Vec<u8>,
        proof: FinalityProof,
        ack: Ack,
    },
    Done(Box<JobResult>),
    Executed {
        slot: Slot,
        result: Box<SlotResult>,
    },
    /// Somebody outside hands in an operation.
    Operation {
        bytes: Vec<u8>,
        reply: oneshot::Sender<Result<(), Refusal>>,
    },
    /// A thread of ours is gone: nothing that waits for it would ever end.
    Lost(&'static str),
    Stop,
}

/// Puts messages into the driver's inbox.
#[derive(Clone, Debug)]
pub(crate) struct Handle {
    mailbox: Arc<Mailbox<Message>>,
    tickets: Arc<AtomicU64>,
    metrics: MemberMetrics,
}

impl Handle {
    pub(crate) fn new(metrics: MemberMetrics) -> Self {
        Self { mailbox: Arc::new(Mailbox::new()), tickets: Arc::new(AtomicU64::new(1)), metrics }
    }

    pub(crate) fn ticket(&self) -> Ticket {
        Ticket(self.tickets.fetch_add(1, Ordering::Relaxed))
    }

    pub(crate) fn send(&self, message: Message) {
        let class = if matches!(message, Message::Peer { .. } | Message::Vote { .. }) {
            Class::Peer
        } else if matches!(message, Message::Client { .. } | Message::Operation { .. }) {
            Class::Client
        } else {
            Class::Own
        };
        match self.mailbox.put(class, message) {
            Ok(()) => {}
            Err(Message::Client { reply, .. }) => {
                self.metrics.refused(Reason::Busy);
                // the client may be gone by now, then nobody needs the answer
                reply.send(Err(Refusal::new(Reason::Busy, ""))).ok();
            }
            Err(Message::Operation { reply, .. }) => {
                reply.send(Err(Refusal::new(Reason::Busy, ""))).ok();
            }
            Err(Message::Peer { .. } | Message::Vote { .. }) => self.metrics.rejected("overflow"),
            Err(_stopped) => {}
        }
    }
}

/// What happened in a slot at a member, for whoever watches.
#[derive(Clone, Debug)]
pub struct Observed {
    /// Where.
    pub member: MemberId,
    /// When.
    pub time: Timestamp,
    /// Slot.
    pub slot: Slot,
    /// What.
    pub phase: Phase,
}

/// Why a member stopped by itself.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DriverError {
    /// Disk.
    #[error("disk: {0}")]
    Disk(#[from] DiskError),
    /// An invariant of the machine.
    #[error("halt: {0}")]
    Halt(#[from] Halt),
    /// The thread could not be started, or panicked.
    #[error("thread: {0}")]
    Thread(#[from] io::Error),
    /// Peers have gone so far ahead that they no longer serve what following them block by block takes.
    #[error("slot {0} is far ahead: catching up by the log")]
    Behind(Slot),
    /// Another committee, or other parameters, begin: this member starts again with them, or follows.
    #[error("epoch {0} has another committee or other parameters")]
    Changed(Epoch),
    /// This member's part in a handover.
    #[error(transparent)]
    Handover(#[from] HandoverError),
    /// A thread of ours ended by itself.
    #[error("the {0} thread ended")]
    Lost(&'static str),
    /// The driver's thread panicked.
    #[error("the driver panicked")]
    Panicked,
}

/// The parts that effects go to.
pub(crate) struct Driver {
    pub(crate) machine: Sequencer,
    pub(crate) disk: Disk,
    pub(crate) outbox: Outbox,
    pub(crate) pool: Pool,
    pub(crate) executions: Executions,
    pub(crate) handle: Handle,
    pub(crate) events: broadcast::Sender<Event>,
    pub(crate) observer: Option<std::sync::mpsc::Sender<Observed>>,
    pub(crate) metrics: MemberMetrics,
    pub(crate) health: Arc<Health>,
    pub(crate) waiting: Waiting,
    pub(crate) handovers: Handovers,
    pub(crate) page: Page,
    pub(crate) data: Arc<Data>,
    /// A slot has become final since the last look at the handover.
    pub(crate) final_slots: bool,
    /// The last final slot, and since when it is.
    pub(crate) final_at: (Slot, Timestamp),
    /// The epoch that begins with another committee or other parameters, and when this member starts again in it.
    pub(crate) leaves: Option<(Epoch, Timestamp)>,
}

/// Whoever waits for an answer of the machine.
#[derive(Default)]
pub(crate) struct Waiting {
    submits: BTreeMap<Ticket, oneshot::Sender<Result<Answer, Refusal>>>,
    builds: BTreeMap<Ticket, oneshot::Sender<Option<Vec<u8>>>>,
    checks: BTreeMap<Ticket, oneshot::Sender<bool>>,
    operations: BTreeMap<Ticket, oneshot::Sender<Result<(), Refusal>>>,
    acks: BTreeMap<Slot, Vec<Ack>>,
    reached: BTreeMap<Slot, Timestamp>,
}

/// How a driver ended, and what the next machine continues from when the committee changes.
pub(crate) type Ended = (Result<(), DriverError>, Option<Box<Resume>>);

/// Messages of one turn: their durable writes share an fsync.
const TURN_MAX: usize = 256;
/// How long a member whose epoch is over still sends what others need of its last slot.
const LEAVES_AFTER_MS: u64 = 400;
/// How long nothing may become final before this member asks the log whether another committee works: slots, and ms.
const OVERDUE_SLOTS: u64 = 40;
const OVERDUE_MIN_MS: u64 = 20_000;
/// Longest sleep.
const WAIT_MAX: Duration = Duration::from_millis(500);

impl Driver {
    /// Starts the thread.
    pub(crate) fn start(self) -> io::Result<thread::JoinHandle<Ended>> {
        let name = format!("member-{}", self.machine.me());
        thread::Builder::new().name(name).spawn(move || self.run())
    }

    fn run(mut self) -> Ended {
        let mailbox = Arc::clone(&self.handle.mailbox);
        let result = self.turns(&mailbox);
        mailbox.close();
        if let Err(DriverError::Changed(epoch)) = &result {
            tracing::info!(member = %self.machine.me(), %epoch, "member.stop: the committee changes");
        } else if let Err(error) = &result {
            tracing::error!(member = %self.machine.me(), %error, "member.stop");
        }
        let handed = matches!(result, Err(DriverError::Changed(_))).then(|| self.machine.hand_on()).flatten();
        (result, handed.map(Box::new))
    }

    fn turns(&mut self, mailbox: &Mailbox<Message>) -> Result<(), DriverError> {
        self.page.show(&self.machine);
        self.data.show_builders(self.machine.builders());
        let effects = self.machine.step(clock::now(), Input::Tick)?;
        self.carry_out(effects)?;
        self.hand_over()?;
        loop {
            let wait = self
                .machine
                .wake_at()
                .map_or(WAIT_MAX, |at| Duration::from_millis(at.0.saturating_sub(clock::now().0)).min(WAIT_MAX));
            let messages = mailbox.take(wait, TURN_MAX);
            let now = clock::now();
            self.health.beat(now);
            let mut effects = Vec::new();
            let mut stop = false;
            for message in messages {
                match self.input(now, message) {
                    Turn::Input(input) => effects.extend(self.machine.step(now, input)?),
                    Turn::Nothing => {}
                    Turn::Stop => stop = true,
                    Turn::Lost(what) => return Err(DriverError::Lost(what)),
                }
            }
            if self.machine.wake_at().is_some_and(|at| at <= now) {
                effects.extend(self.machine.step(now, Input::Tick)?);
            }
            self.carry_out(effects)?;
            self.hand_over()?;
            if stop {
                return Ok(());
            }
            if let Some((epoch, at)) = self.leaves
                && at <= clock::now()
            {
                return Err(DriverError::Changed(epoch));
            }
            if let Some(slot) = self.left_behind(clock::now()) {
                return Err(DriverError::Behind(slot));
            }
            if let Some(slot) = self.machine.behind() {
                return Err(DriverError::Behind(slot));
            }
        }
    }

    /// The others have perhaps gone on to a committee that this member's engine does not reach: the epoch's last slots
    /// are overdue, and the log says whether they have.
    fn left_behind(&mut self, now: Timestamp) -> Option<Slot> {
        let slot = self.machine.last_final();
        if self.final_at.0 != slot {
            self.final_at = (slot, now);
        }
        let (epochs, epoch) = (self.machine.epochs(), self.machine.epoch_of(slot.next()));
        let next = epochs.last();
        let changes = next.epoch > epoch && !next.continues(epochs.of(epoch));
        let patience = next.params.slot_ms.saturating_mul(OVERDUE_SLOTS).max(OVERDUE_MIN_MS);
        (changes && self.leaves.is_none() && now.0.saturating_sub(self.final_at.1.0) > patience).then_some(slot)
    }

    /// This member's part in handing the secrets over, when a slot is final.
    fn hand_over(&mut self) -> Result<(), DriverError> {
        if !core::mem::take(&mut self.final_slots) || self.leaves.is_some() {
            return Ok(());
        }
        let next = self.machine.last_final().next();
        let Some(operation) = self.handovers.due(self.machine.epochs(), self.machine.succession(), next)? else {
            return Ok(());
        };
        let (ticket, bytes) = (self.handle.ticket(), codec::encode(&operation));
        let effects = self.machine.step(clock::now(), Input::Operation { ticket, operation: bytes })?;
        self.carry_out(effects)
    }

    fn input(&mut self, now: Timestamp, message: Message) -> Turn {
        Turn::Input(match message {
            Message::Client { request, reply } => return self.client(now, request, reply),
            Message::Peer { channel, from, bytes } => Input::Message { channel, from, bytes },
            Message::Build { ticket, parent, at, reply } => {
                self.waiting.builds.insert(ticket, reply);
                Input::Build { ticket, parent, at }
            }
            Message::Check { ticket, block, parent, at, reply } => {
                self.waiting.checks.insert(ticket, reply);
                Input::Check { ticket, block, parent, at }
            }
            Message::Vote { epoch, view, member, voted } => Input::Vote { epoch, view, member, voted },
            Message::Cancel(ticket) => {
                let known = self.waiting.builds.remove(&ticket).is_some();
                if !(self.waiting.checks.remove(&ticket).is_some() || known) {
                    return Turn::Nothing;
                }
                Input::Cancel(ticket)
            }
            Message::Final { block, proof, ack } => {
                if let Some(header) = proof.headers.first() {
                    self.waiting.acks.entry(header.height).or_default().push(ack);
                }
                Input::Final { block, proof }
            }
            Message::Done(result) => Input::Done(result),
            Message::Executed { slot, result } => Input::Executed { slot, result },
            Message::Operation { bytes, reply } => {
                let ticket = self.handle.ticket();
                self.waiting.operations.insert(ticket, reply);
                Input::Operation { ticket, operation: bytes }
            }
            Message::Lost(what) => return Turn::Lost(what),
            Message::Stop => return Turn::Stop,
        })
    }

    fn client(&mut self, now: Timestamp, request: Request, reply: oneshot::Sender<Result<Answer, Refusal>>) -> Turn {
        let answer = match request {
            Request::Submit { .. } if self.health.is_disk_low() => {
                self.metrics.refused(Reason::Busy);
                Err(Refusal::new(Reason::Busy, "disk nearly full"))
            }
            Request::Submit { envelope, .. } => {
                let ticket = self.handle.ticket();
                self.waiting.submits.insert(ticket, reply);
                return Turn::Input(Input::Submit { ticket, envelope });
            }
            Request::Bid(_) if self.health.is_disk_low() => {
                self.metrics.refused(Reason::Busy);
                Err(Refusal::new(Reason::Busy, "disk nearly full"))
            }
            Request::Bid(bid) => {
                let ticket = self.handle.ticket();
                self.waiting.submits.insert(ticket, reply);
                return Turn::Input(Input::SubmitBid { ticket, bid });
            }
            Request::Object(_) | Request::Operation(_) if self.health.is_disk_low() => {
                self.metrics.refused(Reason::Busy);
                Err(Refusal::new(Reason::Busy, "disk nearly full"))
            }
            Request::Object(object) => {
                let ticket = self.handle.ticket();
                self.waiting.submits.insert(ticket, reply);
                return Turn::Input(Input::SubmitObject { ticket, object });
            }
            Request::Operation(signed) => {
                let ticket = self.handle.ticket();
                self.waiting.submits.insert(ticket, reply);
                let operation = codec::encode(&Operation::Account(signed));
                return Turn::Input(Input::Operation { ticket, operation });
            }
            Request::Status(hash) => Ok(Answer::Status(self.machine.status(&hash))),
            Request::Params => Ok(Answer::Params(self.machine.params(now))),
            Request::Account(address) => Ok(Answer::Account(self.machine.account(&address))),
            Request::Pending(request) => self.machine.pending_units(&request).map(Answer::Pending),
        };
        // the client may be gone by now, then nobody needs the answer
        reply.send(answer).ok();
        Turn::Nothing
    }

    /// In order; the WAL records of the whole turn go first, with one fsync: earlier than asked is never wrong.
    fn carry_out(&mut self, effects: Vec<Effect>) -> Result<(), DriverError> {
        let (mut walling, mut admitted) = (Walling::default(), 0usize);
        let mut rest = Vec::with_capacity(effects.len());
        for effect in effects {
            let Effect::Persist(record) = effect else {
                rest.push(effect);
                continue;
            };
            match record {
                Record::Items(records) => {
                    admitted = admitted.saturating_add(records.len());
                    walling.items(records);
                }
                Record::Bids(records) => walling.bids(records),
                Record::Objects(records) => walling.objects(records),
                Record::Operations(records) => walling.operations(records),
                record @ (Record::List { .. } | Record::Opened { .. } | Record::Commit(_)) => {
                    rest.push(Effect::Persist(record));
                }
            }
        }
        if !walling.is_empty() {
            self.metrics.admitted(u64::try_from(admitted).unwrap_or(u64::MAX));
            self.timed("items", |disk| disk.items(walling))?;
        }
        rest.into_iter().try_for_each(|effect| self.effect(effect))?;
        // how the epoch ended must be there after the start that follows
        if self.leaves.is_some() { Ok(self.disk.settle()?) } else { Ok(()) }
    }

    fn timed(
        &mut self,
        what: &'static str,
        write: impl FnOnce(&mut Disk) -> Result<(), DiskError>,
    ) -> Result<(), DriverError> {
        let start = clock::now();
        write(&mut self.disk)?;
        self.metrics.persisted(what, clock::now().0.saturating_sub(start.0));
        Ok(())
    }

    fn effect(&mut self, effect: Effect) -> Result<(), DriverError> {
        match effect {
            Effect::Persist(record) => self.persist(record)?,
            Effect::Send { channel, to, bytes } => {
                let to = match to {
                    To::All => consensus::To::All,
                    To::One(member) => consensus::To::One(member),
                };
                self.outbox.send(engine::channel(channel), to, Bytes::from(bytes));
            }
            Effect::Reply { ticket, answer } => {
                if let Err(refusal) = &answer
                    && let Some(reason) = refusal.known()
                {
                    self.metrics.refused(reason);
                }
                if let Some(reply) = self.waiting.submits.remove(&ticket) {
                    reply.send(answer.map(Answer::Receipt)).ok();
                }
            }
            Effect::Built { ticket, block } => {
                if let Some(reply) = self.waiting.builds.remove(&ticket) {
                    reply.send(block).ok();
                }
            }
            Effect::Checked { ticket, verdict } => {
                if let Err(refused) = verdict {
                    tracing::warn!(member = %self.machine.me(), %refused, "block.refused");
                    self.metrics.rejected("block");
                }
                if let Some(reply) = self.waiting.checks.remove(&ticket) {
                    reply.send(verdict.is_ok()).ok();
                }
            }
            Effect::Ack(slot) => {
                for ack in self.waiting.acks.remove(&slot).into_iter().flatten() {
                    ack.acknowledge();
                }
            }
            Effect::Epoch(start) => {
                let votes = self.disk.may_vote(start.epoch, self.machine.rejoined_in())?;
                tracing::info!(member = %self.machine.me(), epoch = %start.epoch, votes, changed = start.changed, "epoch");
                if start.changed {
                    self.leaves = Some((start.epoch, clock::now().plus(LEAVES_AFTER_MS)));
                } else {
                    self.outbox.enter(engine::epoch(&start, votes));
                }
            }
            Effect::Taken { ticket, verdict } => {
                if let Some(reply) = self.waiting.operations.remove(&ticket) {
                    reply.send(verdict).ok();
                } else if let Some(reply) = self.waiting.submits.remove(&ticket) {
                    if let Some(reason) = verdict.as_ref().err().and_then(Refusal::known) {
                        self.metrics.refused(reason);
                    }
                    reply.send(verdict.map(|()| Answer::Seen)).ok();
                }
            }
            Effect::Run(job) => {
                let handle = self.handle.clone();
                self.pool.run(job, move |result| {
                    handle.send(match result {
                        Some(result) => Message::Done(Box::new(result)),
                        None => Message::Lost("job"),
                    });
                });
            }
            Effect::Execute { slot, time_ms, beacon, units } => self.executions.run(slot, time_ms, beacon, units),
            Effect::ExecuteTail { slot, bundles } => self.executions.tail(slot, bundles),
            Effect::Publish { slot, note } => {
                let epoch = self.machine.epoch_of(slot);
                self.timed("checkpoint", |disk| disk.publish(epoch, slot, &note))?;
                self.metrics.published(slot);
                self.health.published(clock::now(), slot);
            }
            // nobody subscribed is no error
            Effect::Event(event) => drop(self.events.send(event)),
            Effect::Phase { slot, phase } => self.observe(slot, phase),
            Effect::Evidence { proved, evidence } => {
                let kept = self.disk.evidence(&proved, self.machine.epoch_about(&evidence), &evidence)?;
                let file = kept.unwrap_or_default();
                let (finding, accused, place) = (proved.finding, proved.accused, proved.place);
                tracing::error!(member = %self.machine.me(), %finding, %accused, %place, file, "evidence");
                self.metrics.evidence(finding);
            }
            Effect::Reject { from, reason, what } => {
                tracing::debug!(member = %self.machine.me(), ?from, %reason, what, "reject");
                if from.is_some() {
                    self.metrics.rejected(what);
                }
            }
        }
        Ok(())
    }

    fn persist(&mut self, record: Record) -> Result<(), DriverError> {
        let mut walling = Walling::default();
        match record {
            Record::Items(records) => walling.items(records),
            Record::Bids(records) => walling.bids(records),
            Record::Objects(records) => walling.objects(records),
            Record::Operations(records) => walling.operations(records),
            Record::List { slot, bytes } => return self.timed("list", |disk| disk.list(slot, bytes)),
            Record::Opened { slot, entries } => return self.timed("opened", |disk| disk.opened(slot, &entries)),
            Record::Commit(commit) => {
                self.timed("commit", |disk| disk.commit(&commit))?;
                self.page.show(&self.machine);
                self.data.show_builders(self.machine.builders());
                self.final_slots = true;
                let machine = &self.machine;
                self.disk.forget(|hash| machine.is_live(hash))?;
                return Ok(());
            }
        }
        self.timed("items", |disk| disk.items(walling))
    }

    /// One place for a slot's story: metrics, one span of events, the watcher.
    fn observe(&mut self, slot: Slot, phase: Phase) {
        let now = clock::now();
        let reached = &mut self.waiting.reached;
        // beside the way of a slot from close to executed
        let aside = matches!(phase, Phase::Built | Phase::Ordered | Phase::Tail { .. });
        let before = if aside { reached.get(&slot).copied() } else { reached.insert(slot, now) };
        let since = before.map_or(0, |before| now.0.saturating_sub(before.0));
        let member = self.machine.me();
        let span = tracing::info_span!("slot", %member, %slot);
        let _in_slot = span.enter();
        match &phase {
            Phase::Closed { listed } => tracing::debug!(listed, "slot.close"),
            Phase::Built => tracing::debug!(ms = since, "slot.build"),
            Phase::Ordered => {
                self.metrics.phase("ordered", since);
                tracing::debug!(ms = since, "slot.order");
            }
            Phase::Final { units, empty, size, left } => {
                self.metrics.phase("final", since);
                if *empty {
                    self.metrics.empty_block();
                }
                tracing::debug!(units, empty, size, left, ms = since, "slot.fix");
            }
            Phase::Opened { opened, bottom, bids, sold } => {
                self.metrics.phase("opened", since);
                self.metrics.auction(*bids, sold.is_some());
                let price = sold.map_or(0, |(_, price)| price.units());
                tracing::debug!(opened, bottom, bids, price, ms = since, "slot.open");
            }
            Phase::Executed { outcomes, bundles } => {
                self.metrics.phase("executed", since);
                outcomes.iter().for_each(|outcome| self.metrics.outcome(*outcome));
                tracing::info!(units = outcomes.len(), bundles, ms = since, "slot.executed");
                reached.retain(|s, _| *s >= slot);
            }
            Phase::Tail { outcomes } => {
                outcomes.iter().for_each(|outcome| self.metrics.outcome(*outcome));
                tracing::info!(bundles = outcomes.len(), "slot.tail");
            }
        }
        let (items, bytes) = self.machine.pending();
        self.metrics.mempool(items, bytes);
        self.metrics.heights(self.machine.last_final(), self.machine.opened(), self.machine.head().size);
        let noted = Noted {
            epoch: self.machine.epoch_start().epoch,
            last_final: self.machine.last_final(),
            opened: self.machine.opened(),
            entries: self.machine.head().size,
            pending: (items, bytes),
            cosigners: self.machine.cosigners().clone(),
        };
        self.health.note(now, noted);
        if let Some(observer) = &self.observer {
            // a watcher that left is no error
            drop(observer.send(Observed { member, time: now, slot, phase }));
        }
    }
}

enum Turn {
    Input(Input),
    Nothing,
    Lost(&'static str),
    Stop,
}
