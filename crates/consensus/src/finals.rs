//! From marshal's ordered blocks to [`FinalBlock`]s: the proof is looked up before the caller hears of the block.
use crate::{Ack, EngineBlock, FinalBlock, SlotApp};
use commonware_actor::Feedback;
use commonware_codec::Encode as _;
use commonware_consensus::{
    Reporter,
    marshal::{Update, core::Mailbox, standard::Standard},
    simplex::{scheme::ed25519::Scheme, types::Finalization},
    types::Height,
};
use commonware_cryptography::{ed25519, sha256::Digest};
use commonware_runtime::{Clock, telemetry::metrics::Gauge};
use commonware_utils::{NZUsize, acknowledgement::Exact, channel::mpsc};
use core::{num::NonZeroUsize, time::Duration};
use types::{MemberId, Signature, VoteSig};

/// Blocks that marshal delivers ahead of their acknowledgements.
pub(crate) const PENDING_ACKS: NonZeroUsize = NZUsize!(16);
/// How long to wait for a certificate or block that marshal is still storing.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

pub(crate) type Marshal = Mailbox<Scheme, Standard<EngineBlock>>;
pub(crate) type Delivered = (EngineBlock, Exact);

/// Marshal's end. Twice the pending acknowledgements fit the queue, so it is full only if marshal breaks its bound.
#[derive(Clone)]
pub(crate) struct Finals {
    pub(crate) queue: mpsc::Sender<Delivered>,
    pub(crate) tip: Gauge,
}

impl Reporter for Finals {
    type Activity = Update<EngineBlock>;

    fn report(&mut self, update: Update<EngineBlock>) -> Feedback {
        match update {
            // Not durable: a figure to look at, nothing to act on.
            Update::Tip(_, height, _) => {
                self.tip.set(i64::try_from(height.get()).unwrap_or(i64::MAX));
                Feedback::Ok
            }
            Update::Block(block, ack) => {
                let height = block.inner().head.height;
                match self.queue.try_send((block.inner().clone(), ack)) {
                    Ok(()) => Feedback::Ok,
                    Err(_full) => {
                        tracing::error!(height, "engine.final: delivery queue closed or over its bound");
                        Feedback::Closed
                    }
                }
            }
        }
    }
}

/// Delivers in order, each block with its proof.
pub(crate) async fn deliver<E: Clock, A: SlotApp>(
    ctx: E,
    marshal: Marshal,
    mut queue: mpsc::Receiver<Delivered>,
    app: A,
) {
    while let Some((block, ack)) = queue.recv().await {
        let height = block.head.height;
        if height == 0 {
            // Genesis is configuration: nobody voted for it, and the caller has it.
            Ack(ack).acknowledge();
            continue;
        }
        let mut looked: u32 = 0;
        let proven = loop {
            if let Some(proven) = prove(&marshal, &block).await {
                break proven;
            }
            looked = looked.saturating_add(1);
            if looked.is_multiple_of(50) {
                tracing::warn!(height, looked, "engine.final: no certificate for a delivered block yet");
            }
            ctx.sleep(LOOK_AGAIN).await;
        };
        tracing::debug!(height, view = proven.view, link = proven.link.len(), "engine.final");
        app.finalized(proven, Ack(ack));
    }
}

/// Walks up from `block` to the nearest certified height. `None`: something is not stored yet.
async fn prove(marshal: &Marshal, block: &EngineBlock) -> Option<FinalBlock> {
    let mut link = Vec::new();
    let mut top = block.head;
    loop {
        if let Some(certificate) = marshal.get_finalization(Height::new(top.height)).await {
            return (certificate.proposal.payload.0 == top.digest.0).then(|| FinalBlock {
                block: block.clone(),
                link,
                view: certificate.proposal.round.view().get(),
                parent_view: certificate.proposal.parent.get(),
                votes: votes(&certificate),
            });
        }
        let child = marshal.get_block(Height::new(top.height.checked_add(1)?)).await?;
        let child = child.inner();
        if child.head.parent != top.digest {
            return None;
        }
        link.push(child.bytes.clone());
        top = child.head;
    }
}

pub(crate) fn signature(sig: &ed25519::Signature) -> Option<Signature> {
    Signature::try_from(&sig.encode()[..]).ok()
}

/// The single votes inside a certificate, by ascending member.
fn votes(certificate: &Finalization<Scheme, Digest>) -> Vec<VoteSig> {
    let certificate = &certificate.certificate;
    let single = certificate.signers.iter().zip(&certificate.signatures);
    single
        .filter_map(|(signer, sig)| {
            let member = MemberId(u16::try_from(signer.get()).ok()?);
            Some(VoteSig { member, sig: signature(sig.get()?)? })
        })
        .collect()
}
