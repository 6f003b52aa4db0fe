//! Which committee's certificates an epoch has.
use crate::EngineConfig;
use commonware_consensus::{simplex::scheme::ed25519::Scheme, types::Epoch};
use commonware_cryptography::{
    certificate::{Provider, Scoped},
    ed25519::PublicKey,
};
use commonware_utils::ordered::Set;
use std::sync::Arc;

/// The committee that this engine works with, from the epoch that it starts in, and the one before it.
#[derive(Clone)]
pub(crate) struct Committees {
    first: Epoch,
    now: Arc<Scheme>,
    before: Option<Arc<Scheme>>,
}

impl Committees {
    pub(crate) fn new(cfg: &EngineConfig, now: Scheme, before: Option<Set<PublicKey>>) -> Self {
        let verifier = |members| Arc::new(Scheme::verifier(&cfg.vote_namespace(), members));
        Self { first: Epoch::new(cfg.epoch.epoch), now: Arc::new(now), before: before.map(verifier) }
    }

    /// What certificates of an epoch are checked with.
    pub(crate) fn of(&self, epoch: Epoch) -> Arc<Scheme> {
        let before = self.before.as_ref().filter(|_| epoch < self.first);
        Arc::clone(before.unwrap_or(&self.now))
    }
}

impl Provider for Committees {
    type Scope = Epoch;
    type Scheme = Scheme;

    fn scoped(&self, scope: Epoch) -> Option<Scoped<Scheme>> {
        Some(Scoped::scheme(self.of(scope)))
    }
}
