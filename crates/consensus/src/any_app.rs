//! One type for every application, so that the engine over TCP is compiled once, with this crate.
use crate::{Ack, At, Channel, EngineBlock, FinalBlock, SeenVote, SlotApp, Verdict};
use bytes::Bytes;
use futures::future::BoxFuture;
use std::sync::Arc;
use types::MemberId;

trait Ask: Send + Sync {
    fn build(&self, parent: EngineBlock, at: At) -> BoxFuture<'_, Option<Bytes>>;
    fn check(&self, block: EngineBlock, parent: EngineBlock, at: At) -> BoxFuture<'_, Verdict>;
    fn finalized(&self, f: FinalBlock, ack: Ack);
    fn message(&self, channel: Channel, from: MemberId, bytes: Bytes);
    fn vote(&self, vote: SeenVote);
}

impl<A: SlotApp> Ask for A {
    fn build(&self, parent: EngineBlock, at: At) -> BoxFuture<'_, Option<Bytes>> {
        Box::pin(SlotApp::build(self, parent, at))
    }
    fn check(&self, block: EngineBlock, parent: EngineBlock, at: At) -> BoxFuture<'_, Verdict> {
        Box::pin(SlotApp::check(self, block, parent, at))
    }
    fn finalized(&self, f: FinalBlock, ack: Ack) {
        SlotApp::finalized(self, f, ack);
    }
    fn message(&self, channel: Channel, from: MemberId, bytes: Bytes) {
        SlotApp::message(self, channel, from, bytes);
    }
    fn vote(&self, vote: SeenVote) {
        SlotApp::vote(self, vote);
    }
}

#[derive(Clone)]
pub(crate) struct AnyApp(Arc<dyn Ask>);

impl AnyApp {
    pub(crate) fn new(app: impl SlotApp) -> Self {
        Self(Arc::new(app))
    }
}

impl SlotApp for AnyApp {
    async fn build(&self, parent: EngineBlock, at: At) -> Option<Bytes> {
        self.0.build(parent, at).await
    }
    async fn check(&self, block: EngineBlock, parent: EngineBlock, at: At) -> Verdict {
        self.0.check(block, parent, at).await
    }
    fn finalized(&self, f: FinalBlock, ack: Ack) {
        self.0.finalized(f, ack);
    }
    fn message(&self, channel: Channel, from: MemberId, bytes: Bytes) {
        self.0.message(channel, from, bytes);
    }
    fn vote(&self, vote: SeenVote) {
        self.0.vote(vote);
    }
}
