//! One simplex per epoch (engine.md section 9). Transport, broadcast and marshal go on; votes, certificates and the
//! resolver's messages of an epoch travel on a subchannel of its own.
//!
//! ```text
//!  last block of e final -> delivered, opened by the caller -> Outbox::enter(e + 1) -> simplex e ends, e + 1 starts on it
//!  a vote of e + 1 at a member that is still in e -> marshal asks its sender for the certificate of the last block of e
//! ```
use crate::{
    EngineConfig, EngineEpoch, EngineError, SlotApp,
    adapter::Adapter,
    block::digest,
    config::Checked,
    finals::Marshal,
    tap::Tap,
    validator::{MAILBOX, REPLAY, VALUE_BUFFER, VIEWS},
};
use commonware_consensus::{
    Reporters,
    marshal::standard::Inline,
    simplex::{
        self, ForwardPolicy, SkipBudget, SkipPolicy, elector::RoundRobin, scheme::ed25519::Scheme, types::Finalization,
    },
    types::{Epoch, Epocher as _, FixedEpocher},
};
use commonware_cryptography::{
    Sha256, Signer as _,
    ed25519::{PrivateKey, PublicKey},
    sha256::Digest,
};
use commonware_macros::select;
use commonware_p2p::{
    Blocker, Message, Receiver, Sender,
    utils::mux::{Builder as _, MuxHandle, Muxer},
};
use commonware_parallel::Sequential;
use commonware_runtime::{Clock, Handle, Metrics, Spawner, Storage, buffer::paged::CacheRef};
use commonware_utils::{NZU64, channel::mpsc, ordered::Set, vec::NonEmptyVec};
use core::{num::NonZeroU64, time::Duration};
use rand_core::CryptoRng;
use std::{collections::BTreeMap, time::SystemTime};

/// A member that is behind asks each other one for the last block of its epoch this often at most.
const HINT_EVERY: Duration = Duration::from_millis(200);
/// Epochs whose journals are kept: a member may be asked about the one before.
const JOURNALS: u64 = 2;

/// Heights to epochs, as commonware needs it.
pub(crate) fn epocher(slots: u64) -> FixedEpocher {
    FixedEpocher::new(NonZeroU64::new(slots.max(2)).unwrap_or(NZU64!(2)))
}

/// The three channels of simplex, each cut by epoch.
pub(crate) struct Channels<E: Spawner, S: Sender<PublicKey = PublicKey>, R: Receiver<PublicKey = PublicKey>> {
    muxers: Vec<Muxer<E, S, R>>,
    handles: [MuxHandle<S>; 3],
    /// Votes of epochs that no simplex here works in.
    strays: mpsc::Receiver<(u64, Message<PublicKey>)>,
}

impl<E, S, R> Channels<E, S, R>
where
    E: Spawner + Metrics,
    S: Sender<PublicKey = PublicKey>,
    R: Receiver<PublicKey = PublicKey>,
{
    pub(crate) fn new(ctx: &E, votes: (S, R), certificates: (S, R), resolver: (S, R)) -> Self {
        let (vote_mux, vote_handle, strays) =
            Muxer::builder(ctx.child("votes_mux"), votes.0, votes.1).with_backup().build();
        let (certificate_mux, certificate_handle) =
            Muxer::new(ctx.child("certificates_mux"), certificates.0, certificates.1);
        let (resolver_mux, resolver_handle) = Muxer::new(ctx.child("resolver_mux"), resolver.0, resolver.1);
        Self {
            muxers: vec![vote_mux, certificate_mux, resolver_mux],
            handles: [vote_handle, certificate_handle, resolver_handle],
            strays,
        }
    }
}

/// What every simplex of this member shares.
pub(crate) struct Epochs<M, A> {
    pub(crate) secret: PrivateKey,
    pub(crate) members: Set<PublicKey>,
    pub(crate) cfg: EngineConfig,
    pub(crate) adapter: Adapter<A>,
    pub(crate) app: A,
    pub(crate) marshal: Marshal,
    pub(crate) oracle: M,
    pub(crate) pages: CacheRef,
}

impl<M, A> Epochs<M, A>
where
    M: Blocker<PublicKey = PublicKey> + Sync,
    A: SlotApp,
{
    pub(crate) fn new(
        (checked, cfg): (&Checked, &EngineConfig),
        app: A,
        marshal: Marshal,
        oracle: M,
        pages: CacheRef,
    ) -> Self {
        let Checked { secret, members, block, .. } = checked;
        let adapter = Adapter { app: app.clone(), members: members.clone(), block: *block };
        Self {
            secret: secret.clone(),
            members: members.clone(),
            cfg: cfg.clone(),
            adapter,
            app,
            marshal,
            oracle,
            pages,
        }
    }

    /// Works in one epoch after the other, until a simplex ends by itself.
    pub(crate) async fn run<E, S, R>(
        self,
        ctx: E,
        channels: Channels<E, S, R>,
        mut floor: Option<Finalization<Scheme, Digest>>,
        mut next: mpsc::Receiver<EngineEpoch>,
    ) where
        E: Clock + CryptoRng + Spawner + Storage + Metrics,
        S: Sender<PublicKey = PublicKey>,
        R: Receiver<PublicKey = PublicKey>,
    {
        let Channels { muxers, mut handles, mut strays } = channels;
        let _muxers: Vec<_> = muxers.into_iter().map(Muxer::start).collect();
        let mut now = self.cfg.epoch.clone();
        let mut asked_at: BTreeMap<PublicKey, SystemTime> = BTreeMap::new();
        loop {
            let started = self.start(&ctx, &now, floor.take(), &mut handles).await;
            let Ok(mut simplex) = started else { return };
            tracing::info!(epoch = now.epoch, votes = now.votes, "engine.epoch");
            now = loop {
                select! {
                    asked = next.recv() => {
                        // the caller is gone: so is this engine
                        let Some(asked) = asked else { return };
                        if asked.epoch > now.epoch {
                            break asked;
                        }
                    },
                    _ = &mut simplex => return,
                    stray = strays.recv() => {
                        let Some((epoch, (from, _))) = stray else { return };
                        let at = ctx.current();
                        let soon = |last: &SystemTime| at.duration_since(*last).is_ok_and(|past| past < HINT_EVERY);
                        let is_soon = asked_at.get(&from).is_some_and(soon);
                        if epoch > now.epoch && !is_soon && self.members.position(&from).is_some() {
                            asked_at.insert(from.clone(), at);
                            self.ask_for_the_last(now.epoch, from);
                        }
                    },
                }
            };
            simplex.abort();
            if let Some(old) = now.epoch.checked_sub(JOURNALS) {
                // it may never have been here
                ctx.remove(&partition(&self.cfg.prefix, old), None).await.ok();
            }
        }
    }

    /// A member has gone on to a later epoch: it has the certificate of the last block of this one.
    fn ask_for_the_last(&self, epoch: u64, from: PublicKey) {
        if let Some(last) = epocher(self.cfg.epoch_slots).last(Epoch::new(epoch)) {
            tracing::debug!(epoch, last = last.get(), "engine.epoch: others have gone on");
            self.marshal.hint_finalized(last, NonEmptyVec::new(from));
        }
    }

    async fn start<E, S>(
        &self,
        ctx: &E,
        epoch: &EngineEpoch,
        floor: Option<Finalization<Scheme, Digest>>,
        [votes, certificates, resolver]: &mut [MuxHandle<S>; 3],
    ) -> Result<Handle<()>, EngineError>
    where
        E: Clock + CryptoRng + Spawner + Storage + Metrics,
        S: Sender<PublicKey = PublicKey>,
    {
        let Self { secret, members, cfg, adapter, app, marshal, oracle, pages } = self;
        let ctx = ctx.child("epoch").with_attribute("number", epoch.epoch);
        let namespace = cfg.vote_namespace();
        let scheme = if epoch.votes {
            Scheme::signer(&namespace, members.clone(), secret.clone())
        } else {
            Scheme::member(&namespace, members.clone(), &secret.public_key())
        };
        let inline = Inline::new(ctx.child("inline"), adapter.clone(), marshal.clone(), epocher(cfg.epoch_slots));
        let closed = |_mux| EngineError::Ended { part: "simplex" };
        let votes = votes.register(epoch.epoch).await.map_err(closed)?;
        let certificates = certificates.register(epoch.epoch).await.map_err(closed)?;
        let resolver = resolver.register(epoch.epoch).await.map_err(closed)?;
        let engine = simplex::Engine::new(
            ctx.child("simplex"),
            simplex::Config {
                scheme: scheme.ok_or(EngineError::NotMember)?,
                elector: RoundRobin::<Sha256>::shuffled(epoch.leader_seed.as_ref()),
                blocker: oracle.clone(),
                automaton: inline.clone(),
                relay: inline.clone(),
                reporter: Reporters::from((inline, Tap(app.clone()))),
                track_historical_votes: true,
                strategy: Sequential,
                partition: partition(&cfg.prefix, epoch.epoch),
                mailbox_size: MAILBOX,
                epoch: Epoch::new(epoch.epoch),
                floor: floor.map_or(simplex::Floor::Genesis(digest(&epoch.parent)), simplex::Floor::Finalized),
                replay_buffer: REPLAY,
                write_buffer: VALUE_BUFFER,
                page_cache: pages.clone(),
                leader_timeout: Duration::from_millis(cfg.timeouts.leader_ms),
                certification_timeout: Duration::from_millis(cfg.timeouts.certification_ms),
                timeout_retry: Duration::from_millis(cfg.timeouts.retry_ms),
                view_retention: VIEWS,
                skip: SkipPolicy::Enabled {
                    timeout: Duration::from_millis(cfg.timeouts.skip_ms),
                    budget: SkipBudget::Participants,
                },
                fetch_timeout: cfg.fetch_timeout()?,
                fetch_retry_delay: Duration::from_millis(cfg.timeouts.fetch_retry_ms),
                forward: ForwardPolicy::Disabled,
            },
        );
        Ok(engine.start(votes, certificates, resolver))
    }
}

fn partition(prefix: &str, epoch: u64) -> String {
    format!("{prefix}e{epoch}-simplex")
}
