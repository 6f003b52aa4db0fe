//! Carries blocks, votes and verdicts between the consensus engine and the member's driver.
use crate::driver::{Handle, Message};
use bytes::Bytes;
use consensus::{Ack, At, BlockHead, Channel, EngineBlock, FinalBlock, SlotApp, Verdict};
use sequencer::Ticket;
use tokio::sync::oneshot;
use types::{BlockHeader, FinalityProof, Hash, MemberId, reason::Reason};

/// The engine's view of a member.
#[derive(Clone, Debug)]
pub(crate) struct EngineApp {
    driver: Handle,
}

impl EngineApp {
    pub(crate) fn new(driver: Handle) -> Self {
        Self { driver }
    }
}

/// The pure check of block bytes that consensus runs before it keeps or relays them.
pub(crate) fn open(bytes: &[u8]) -> Result<BlockHead, Reason> {
    let opened = sequencer::open(bytes).map_err(|_refused| Reason::MalformedData)?;
    let BlockHeader { height, parent, .. } = opened.block.header;
    Ok(BlockHead { height: height.0, parent, digest: opened.digest })
}

/// Cancels a ticket when consensus drops the future that waits for it.
struct Waiting {
    driver: Handle,
    ticket: Ticket,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.driver.send(Message::Cancel(self.ticket));
    }
}

fn at(at: At) -> sequencer::At {
    sequencer::At { epoch: at.epoch, view: at.view, leader: at.leader }
}

impl SlotApp for EngineApp {
    async fn build(&self, parent: EngineBlock, place: At) -> Option<Bytes> {
        let (reply, answer) = oneshot::channel();
        let ticket = self.driver.ticket();
        let _waiting = Waiting { driver: self.driver.clone(), ticket };
        self.driver.send(Message::Build { ticket, parent: parent.bytes.to_vec(), at: at(place), reply });
        answer.await.ok().flatten().map(Bytes::from)
    }

    async fn check(&self, block: EngineBlock, parent: EngineBlock, place: At) -> Verdict {
        let (reply, answer) = oneshot::channel();
        let ticket = self.driver.ticket();
        let _waiting = Waiting { driver: self.driver.clone(), ticket };
        let (block, parent) = (block.bytes.to_vec(), parent.bytes.to_vec());
        self.driver.send(Message::Check { ticket, block, parent, at: at(place), reply });
        match answer.await {
            Ok(true) => Verdict::Valid,
            Ok(false) => Verdict::Invalid,
            // the driver is gone: no vote, rather than a vote against
            Err(_stopped) => std::future::pending().await,
        }
    }

    fn finalized(&self, f: FinalBlock, ack: Ack) {
        let mut headers: Vec<BlockHeader> = Vec::with_capacity(f.link.len() + 1);
        for bytes in core::iter::once(&f.block.bytes).chain(&f.link) {
            match sequencer::open(bytes) {
                Ok(opened) => headers.push(opened.block.header),
                Err(refused) => tracing::error!(%refused, "engine.final"),
            }
        }
        let proof = FinalityProof { headers, view: f.view, parent_view: f.parent_view, votes: f.votes };
        self.driver.send(Message::Final { block: f.block.bytes.to_vec(), proof, ack });
    }

    fn message(&self, channel: Channel, from: MemberId, bytes: Bytes) {
        let channel = match channel {
            Channel::Shares => sequencer::Channel::Shares,
            Channel::Items => sequencer::Channel::Items,
            Channel::Fetch => sequencer::Channel::Fetch,
            Channel::Lists => sequencer::Channel::Lists,
            Channel::Dkg => return,
        };
        self.driver.send(Message::Peer { channel, from, bytes: bytes.to_vec() });
    }
}

/// The engine's channel of a machine's channel.
pub(crate) fn channel(channel: sequencer::Channel) -> Channel {
    match channel {
        sequencer::Channel::Shares => Channel::Shares,
        sequencer::Channel::Items => Channel::Items,
        sequencer::Channel::Fetch => Channel::Fetch,
        sequencer::Channel::Lists => Channel::Lists,
    }
}

/// Order of leaders of epoch 0: SHA-256(tag | network | epoch | zeros).
pub(crate) fn leader_seed(network: &Hash) -> Hash {
    crypto::hash::tagged(types::tag::LEADERS, &[network.as_bytes(), &0u64.to_le_bytes(), &[0; 32]])
}
