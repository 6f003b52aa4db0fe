//! Simplex's questions, put to the [`SlotApp`].
use crate::{At, BlockCfg, EngineBlock, SlotApp, Verdict, block::digest};
use commonware_consensus::{
    Application,
    marshal::ancestry::Ancestry,
    simplex::{scheme::ed25519::Scheme, types::Context},
};
use commonware_cryptography::{Digested, Digestible as _, ed25519::PublicKey, sha256::Digest};
use commonware_utils::ordered::Set;
use futures::StreamExt as _;
use types::MemberId;

/// The index of a key: its rank.
pub(crate) fn member_of(members: &Set<PublicKey>, key: &PublicKey) -> Option<MemberId> {
    members.position(key).and_then(|rank| u16::try_from(rank).ok()).map(MemberId)
}

#[derive(Clone)]
pub(crate) struct Adapter<A> {
    pub(crate) app: A,
    pub(crate) members: Set<PublicKey>,
    pub(crate) block: BlockCfg,
}

impl<A> Adapter<A> {
    fn at(&self, ctx: &Context<Digest, PublicKey>) -> Option<At> {
        let leader = member_of(&self.members, &ctx.leader)?;
        Some(At { epoch: ctx.round.epoch().get(), view: ctx.round.view().get(), leader })
    }
}

impl<E: Send, A: SlotApp> Application<E> for Adapter<A> {
    type SigningScheme = Scheme;
    type Context = Context<Digest, PublicKey>;
    type Block = EngineBlock;
    type Input = ();

    async fn propose(
        &mut self,
        (_, ctx): (E, Self::Context),
        ancestry: impl Ancestry<EngineBlock>,
        (): (),
    ) -> Option<Digested<EngineBlock>> {
        let at = self.at(&ctx)?;
        let parent = ancestry.peek()?.inner().clone();
        let head = parent.head;
        let bytes = self.app.build(parent, at).await?;
        // ENG-5: what is proposed must open here as it will at the others. A failure is a bug of the caller's.
        let block = match self.block.open(bytes) {
            Ok(block) => block,
            Err(reason) => {
                tracing::error!(view = at.view, %reason, "engine.build: own block refused");
                return None;
            }
        };
        if block.head.parent != head.digest || Some(block.head.height) != head.height.checked_add(1) {
            tracing::error!(view = at.view, height = block.head.height, "engine.build: own block is not on its parent");
            return None;
        }
        let digest = digest(&block.head.digest);
        Some(Digested::precomputed(block, digest))
    }

    async fn verify(&mut self, (_, ctx): (E, Self::Context), mut ancestry: impl Ancestry<EngineBlock>) -> bool {
        let Some(at) = self.at(&ctx) else { return false };
        // `Inline` puts block and parent first and has checked digest and height of the parent.
        let Some(block) = ancestry.next().await else { return false };
        let Some(parent) = ancestry.next().await else { return false };
        debug_assert_eq!(block.digest(), digest(&block.inner().head.digest));
        self.app.check(block.inner().clone(), parent.inner().clone(), at).await == Verdict::Valid
    }
}
