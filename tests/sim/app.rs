//! Between the engine and the member's task, as `node::engine` does it.
use crate::{adversaries::Adversary, common::net::Net};
use bytes::Bytes;
use consensus::testing::{Clock as _, Context};
use consensus::{Ack, At, BlockHead, Channel, EngineBlock, FinalBlock, Outbox, SeenVote, SlotApp, To, Verdict};
use futures::channel::{mpsc, oneshot};
use sequencer::{JobResult, Ticket};
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use types::{Bid, Envelope, FinalityProof, Hash, MemberId, Object, Slot, SlotResult, reason::Reason};

/// What a member's task is told.
pub(crate) enum Message {
    Submit { ticket: Ticket, hash: Hash, envelope: Box<Envelope> },
    Bid { ticket: Ticket, hash: Hash, bid: Box<Bid> },
    Object { ticket: Ticket, object: Object },
    Peer { channel: sequencer::Channel, from: MemberId, bytes: Vec<u8> },
    Build { ticket: Ticket, parent: Vec<u8>, at: sequencer::At, reply: oneshot::Sender<Option<Vec<u8>>> },
    Check { ticket: Ticket, block: Vec<u8>, parent: Vec<u8>, at: sequencer::At, reply: oneshot::Sender<bool> },
    Cancel(Ticket),
    Final { block: Vec<u8>, proof: FinalityProof, ack: Ack },
    Done(Box<JobResult>),
    Executed { slot: Slot, result: Box<SlotResult> },
    Vote(SeenVote),
    Operation(Vec<u8>),
}

/// Puts messages into a member's inbox.
#[derive(Clone)]
pub(crate) struct Handle {
    inbox: mpsc::UnboundedSender<Message>,
    tickets: Arc<AtomicU64>,
}

impl Handle {
    pub(crate) fn new() -> (Self, mpsc::UnboundedReceiver<Message>) {
        let (inbox, messages) = mpsc::unbounded();
        (Self { inbox, tickets: Arc::new(AtomicU64::new(1)) }, messages)
    }
    pub(crate) fn ticket(&self) -> Ticket {
        Ticket(self.tickets.fetch_add(1, Ordering::Relaxed))
    }
    /// Lost when the member is down.
    pub(crate) fn send(&self, message: Message) {
        drop(self.inbox.unbounded_send(message));
    }
}

/// Where a member that runs is reached: each of its machines has a handle of its own.
#[derive(Clone)]
pub(crate) struct Door(Arc<Mutex<Option<Handle>>>);

impl Door {
    pub(crate) fn new() -> Self {
        Self(Arc::default())
    }
    /// Behind it is another machine from now on.
    pub(crate) fn leads_to(&self, handle: &Handle) {
        *self.0.lock().unwrap() = Some(handle.clone());
    }
    /// `None` before the member has started.
    pub(crate) fn handle(&self) -> Option<Handle> {
        self.0.lock().unwrap().clone()
    }
}

#[derive(Clone)]
pub(crate) struct App {
    pub(crate) handle: Handle,
    pub(crate) outbox: Outbox,
    pub(crate) net: &'static Net,
    pub(crate) adversary: Option<Arc<dyn Adversary>>,
    pub(crate) clock: Arc<Context>,
    /// How long it looks at a proposal first, ms.
    pub(crate) look: u64,
}

pub(crate) fn open(bytes: &[u8]) -> Result<BlockHead, Reason> {
    let opened = sequencer::open(bytes).map_err(|_refused| Reason::MalformedData)?;
    let types::BlockHeader { height, parent, .. } = opened.block.header;
    Ok(BlockHead { height: height.0, parent, digest: opened.digest })
}

struct Waiting(Handle, Ticket);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.send(Message::Cancel(self.1));
    }
}

fn at(at: At) -> sequencer::At {
    sequencer::At { epoch: at.epoch, view: at.view, leader: at.leader }
}

impl SlotApp for App {
    async fn build(&self, parent: EngineBlock, place: At) -> Option<Bytes> {
        if let Some(block) = self.adversary.as_ref().and_then(|a| a.builds(self.net, &parent.bytes, place)) {
            return Some(block.into());
        }
        let (reply, answer) = oneshot::channel();
        let ticket = self.handle.ticket();
        let _waiting = Waiting(self.handle.clone(), ticket);
        self.handle.send(Message::Build { ticket, parent: parent.bytes.to_vec(), at: at(place), reply });
        let block = answer.await.ok().flatten()?;
        if let Some(adversary) = &self.adversary {
            adversary.built(self.net, &block);
        }
        Some(block.into())
    }

    async fn check(&self, block: EngineBlock, parent: EngineBlock, place: At) -> Verdict {
        for (channel, bytes) in self.adversary.iter().flat_map(|a| a.checks(self.net, &block.bytes)) {
            self.outbox.send(channel, To::All, bytes.into());
        }
        if self.look > 0 {
            self.clock.sleep(Duration::from_millis(self.look)).await;
        }
        let (reply, answer) = oneshot::channel();
        let ticket = self.handle.ticket();
        let _waiting = Waiting(self.handle.clone(), ticket);
        let (block, parent) = (block.bytes.to_vec(), parent.bytes.to_vec());
        self.handle.send(Message::Check { ticket, block, parent, at: at(place), reply });
        match answer.await {
            Ok(true) => Verdict::Valid,
            Ok(false) => Verdict::Invalid,
            Err(_down) => std::future::pending().await,
        }
    }

    fn finalized(&self, f: FinalBlock, ack: Ack) {
        let blocks = std::iter::once(&f.block.bytes).chain(&f.link);
        let headers = blocks.map(|bytes| sequencer::open(bytes).expect("a final block opens").block.header).collect();
        let proof = FinalityProof { headers, view: f.view, parent_view: f.parent_view, votes: f.votes };
        self.handle.send(Message::Final { block: f.block.bytes.to_vec(), proof, ack });
    }

    fn message(&self, channel: Channel, from: MemberId, bytes: Bytes) {
        let heard = self.adversary.as_ref().is_none_or(|a| a.hears(channel, from, &bytes));
        let channel = match channel {
            Channel::Shares => sequencer::Channel::Shares,
            Channel::Items => sequencer::Channel::Items,
            Channel::Fetch => sequencer::Channel::Fetch,
            Channel::Lists => sequencer::Channel::Lists,
            Channel::Dkg => return,
        };
        if heard {
            self.handle.send(Message::Peer { channel, from, bytes: bytes.to_vec() });
        }
    }

    fn vote(&self, vote: SeenVote) {
        self.handle.send(Message::Vote(vote));
    }
}

pub(crate) fn channel(channel: sequencer::Channel) -> Channel {
    match channel {
        sequencer::Channel::Shares => Channel::Shares,
        sequencer::Channel::Items => Channel::Items,
        sequencer::Channel::Fetch => Channel::Fetch,
        sequencer::Channel::Lists => Channel::Lists,
    }
}
