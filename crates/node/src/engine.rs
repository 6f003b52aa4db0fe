//! Carries blocks, votes and verdicts between the consensus engine and the member's driver.
use crate::driver::{Handle, Message};
use bytes::Bytes;
use consensus::{
    Ack, At, BlockHead, Channel, EngineBlock, EngineEpoch, FinalBlock, SeenVote, SlotApp, Verdict, VoteKind,
};
use sequencer::{EpochStart, Ticket};
use tokio::sync::oneshot;
use types::{BlockHeader, Epoch, FinalityProof, Hash, MemberId, Vote, Voted, reason::Reason};

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

    fn vote(&self, seen: SeenVote) {
        if let Some(voted) = voted(&seen) {
            let epoch = Epoch(seen.epoch);
            self.driver.send(Message::Vote { epoch, view: seen.view, member: seen.member, voted });
        }
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

/// What a vote says; `None` for bytes that are no vote.
fn voted(seen: &SeenVote) -> Option<Voted> {
    let parent = || {
        let (numbers, digest) = seen.msg.split_last_chunk::<32>()?;
        let mut numbers = numbers;
        let (_epoch, _view) = (leb128(&mut numbers)?, leb128(&mut numbers)?);
        let parent_view = leb128(&mut numbers)?;
        numbers.is_empty().then_some((parent_view, Hash(*digest)))
    };
    let vote = match seen.kind {
        VoteKind::Nullify => Vote::Nullify,
        VoteKind::Notarize => parent().map(|(parent_view, digest)| Vote::Notarize { parent_view, digest })?,
        VoteKind::Finalize => parent().map(|(parent_view, digest)| Vote::Finalize { parent_view, digest })?,
    };
    Some(Voted { vote, sig: seen.sig })
}

fn leb128(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(first & 0x7f).checked_shl(shift)?;
        if first & 0x80 == 0 {
            return Some(value);
        }
    }
    None
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

/// What consensus of an epoch starts with.
pub(crate) fn epoch(start: &EpochStart, votes: bool) -> EngineEpoch {
    EngineEpoch { epoch: start.epoch.0, parent: start.parent, leader_seed: start.leader_seed, votes }
}

#[cfg(test)]
mod tests {
    // Goal: a vote that passes by says what its member signed. Method: signed bytes of every kind, without the namespace.
    use super::*;
    use crypto::evidence::voted_bytes;
    use types::Signature;

    fn seen(vote: Vote, view: u64) -> (SeenVote, Vec<u8>) {
        let bytes = voted_bytes(&Hash([7; 32]), Epoch(0), view, &vote);
        let kind = match vote {
            Vote::Notarize { .. } => VoteKind::Notarize,
            Vote::Nullify => VoteKind::Nullify,
            Vote::Finalize { .. } => VoteKind::Finalize,
        };
        let msg = Bytes::copy_from_slice(&bytes[usize::from(bytes[0]) + 1..]);
        (SeenVote { kind, epoch: 0, view, member: MemberId(1), msg, sig: Signature([0; 64]) }, bytes)
    }

    #[test]
    fn a_vote_that_passes_by_is_read_as_it_was_signed() {
        for (view, parent_view) in [(1, 0), (300, 127), (u64::MAX, u64::MAX - 1)] {
            let digest = Hash([9; 32]);
            for vote in [Vote::Notarize { parent_view, digest }, Vote::Nullify, Vote::Finalize { parent_view, digest }]
            {
                let (seen, bytes) = seen(vote, view);
                let read = voted(&seen).unwrap().vote;
                assert_eq!(read, vote);
                assert_eq!(voted_bytes(&Hash([7; 32]), Epoch(0), view, &read), bytes);
            }
        }
        let (mut cut, _) = seen(Vote::Finalize { parent_view: 1, digest: Hash([9; 32]) }, 2);
        cut.msg = cut.msg.slice(1..);
        assert_eq!(voted(&cut), None);
    }
}
