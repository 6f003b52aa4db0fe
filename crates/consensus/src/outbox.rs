//! Our own messages on their way out.
use crate::{Channel, EngineEpoch, MESSAGE_BYTES_MAX};
use bytes::Bytes;
use commonware_cryptography::ed25519::PublicKey;
use commonware_p2p::{Recipients, Sender};
use commonware_runtime::{
    IoBuf, Metrics,
    telemetry::metrics::{Counter, raw},
};
use commonware_utils::{channel::mpsc, ordered::Set};
use core::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;
use types::MemberId;

/// Messages that wait for the engine's sender.
const QUEUE_MESSAGES: usize = 4_096;
/// Epochs that wait to be entered: one begins when the one before has ended.
const QUEUE_EPOCHS: usize = 4;
/// Bytes that wait for the engine's sender. It never waits itself, so the queue is short unless the runtime is starved.
const QUEUE_BYTES: usize = 64 << 20;

/// Who gets a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum To {
    /// Every other member that is connected.
    All,
    /// One other member, if it is connected.
    One(MemberId),
}

/// What became of messages, since the engine started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutboxCounts {
    /// Handed to the transport, counted once per recipient.
    pub sent: u64,
    /// Larger than [`MESSAGE_BYTES_MAX`].
    pub oversize: u64,
    /// Dropped here: the queue was full or the engine has stopped.
    pub dropped: u64,
    /// Recipients that did not get it: away, over the channel's quota, or no other member.
    pub missed: u64,
}

#[derive(Clone, Default)]
struct Counters {
    sent: raw::Counter,
    oversize: raw::Counter,
    dropped: raw::Counter,
    missed: raw::Counter,
}

struct Outgoing {
    channel: Channel,
    to: To,
    bytes: Bytes,
}

/// Where the caller puts its messages. Clones share one queue.
///
/// Full means dropped and counted: the protocol above repeats what matters. Nothing is kept for absent peers.
#[derive(Clone)]
pub struct Outbox {
    queue: mpsc::Sender<Outgoing>,
    epochs: mpsc::Sender<EngineEpoch>,
    waiting: Arc<AtomicUsize>,
    counters: Counters,
}

impl core::fmt::Debug for Outbox {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Outbox").field("counts", &self.counts()).finish_non_exhaustive()
    }
}

impl Outbox {
    pub(crate) fn new() -> (Self, Queue, mpsc::Receiver<EngineEpoch>) {
        let (queue, receiver) = mpsc::channel(QUEUE_MESSAGES);
        let (epochs, entered) = mpsc::channel(QUEUE_EPOCHS);
        let (waiting, counters) = (Arc::new(AtomicUsize::new(0)), Counters::default());
        let inner = Queue { receiver, waiting: waiting.clone(), counters: counters.clone() };
        (Self { queue, epochs, waiting, counters }, inner, entered)
    }

    /// Consensus goes on in this epoch, and ends in the one before. Never blocks; what is no later epoch is ignored.
    pub fn enter(&self, epoch: EngineEpoch) {
        // an engine that has ended enters nothing
        self.epochs.try_send(epoch).ok();
    }

    /// Sends, or counts why not. Never blocks, never panics; a message to oneself goes nowhere.
    pub fn send(&self, channel: Channel, to: To, bytes: Bytes) {
        let len = bytes.len();
        if len > MESSAGE_BYTES_MAX {
            self.counters.oversize.inc();
            return;
        }
        let before = self.waiting.fetch_add(len, Ordering::Relaxed);
        let fits = before.saturating_add(len) <= QUEUE_BYTES;
        if !fits || self.queue.try_send(Outgoing { channel, to, bytes }).is_err() {
            self.waiting.fetch_sub(len, Ordering::Relaxed);
            self.counters.dropped.inc();
        }
    }

    /// What became of messages so far.
    #[must_use]
    pub fn counts(&self) -> OutboxCounts {
        OutboxCounts {
            sent: self.counters.sent.get(),
            oversize: self.counters.oversize.get(),
            dropped: self.counters.dropped.get(),
            missed: self.counters.missed.get(),
        }
    }
}

/// The engine's end of an [`Outbox`].
pub(crate) struct Queue {
    receiver: mpsc::Receiver<Outgoing>,
    waiting: Arc<AtomicUsize>,
    counters: Counters,
}

impl Queue {
    /// Shows the counters under the context's name for as long as the result lives.
    pub(crate) fn register(&self, ctx: &impl Metrics) -> [Counter; 4] {
        [
            ctx.register("outbox_sent", "messages handed to the transport", self.counters.sent.clone()),
            ctx.register("outbox_oversize", "messages refused for their size", self.counters.oversize.clone()),
            ctx.register("outbox_dropped", "messages dropped at a full queue", self.counters.dropped.clone()),
            ctx.register("outbox_missed", "recipients away or over quota", self.counters.missed.clone()),
        ]
    }

    /// Carries messages to the transport until every [`Outbox`] is gone. `senders` are in the order of [`Channel::ALL`].
    pub(crate) async fn run<S>(mut self, mut senders: [S; 5], members: Set<PublicKey>, me: MemberId)
    where
        S: Sender<PublicKey = PublicKey>,
    {
        let others = u64::try_from(members.len()).unwrap_or(u64::MAX).saturating_sub(1);
        while let Some(Outgoing { channel, to, bytes }) = self.receiver.recv().await {
            self.waiting.fetch_sub(bytes.len(), Ordering::Relaxed);
            let (recipients, wanted) = match to {
                To::All => (Some(Recipients::All), others),
                To::One(member) if member == me => (None, 1),
                To::One(member) => (members.get(usize::from(member.0)).cloned().map(Recipients::One), 1),
            };
            let [shares, items, fetch, lists, dkg] = &mut senders;
            let sender = match channel {
                Channel::Shares => shares,
                Channel::Items => items,
                Channel::Fetch => fetch,
                Channel::Lists => lists,
                Channel::Dkg => dkg,
            };
            let sent = recipients.map_or(0, |recipients| sender.send(recipients, IoBuf::from(bytes), false).len());
            let sent = u64::try_from(sent).unwrap_or(u64::MAX);
            self.counters.sent.inc_by(sent);
            self.counters.missed.inc_by(wanted.saturating_sub(sent));
        }
    }
}
