//! One member's engine, the same for TCP and for simulation.
use crate::{
    Channel, EngineBlock, EngineConfig, EngineEpoch, EngineError, Floor, Outbox, SlotApp,
    adapter::member_of,
    committees::Committees,
    config::{CHANNELS, Checked, StorageError},
    epochs::{Channels, Epochs, epocher},
    finals::{self, Finals, PENDING_ACKS},
    outbox::Queue,
};
use commonware_broadcast::buffered;
use commonware_consensus::{
    marshal::{self, core::Actor as MarshalActor, resolver::p2p as backfill, standard::Standard},
    simplex::scheme::ed25519::Scheme,
    types::{Epoch, ViewDelta},
};
use commonware_cryptography::{Digested, Signer as _, ed25519::PublicKey};
use commonware_p2p::{Blocker, Provider, Receiver, Sender};
use commonware_parallel::Sequential;
use commonware_runtime::{
    Clock, Handle, Metrics, Spawner, Storage,
    buffer::paged::{CacheRef, page_size},
    telemetry::metrics::{Counter, MetricsExt as _},
};
use commonware_storage::{archive::prunable, translator::TwoCap};
use commonware_utils::{NZU64, NZUsize, channel::mpsc, ordered::Set};
use core::{
    num::{NonZeroU16, NonZeroUsize},
    time::Duration,
};
use futures::FutureExt as _;
use rand_core::CryptoRng;
use types::limits;
use zeroize::Zeroizing;

/// Messages inside each actor's mailbox before its overflow policy applies.
pub(crate) const MAILBOX: NonZeroUsize = NZUsize!(1_024);
/// Bytes of a page on disk. Changing it makes existing directories unreadable.
const PAGE: NonZeroU16 = page_size(16_384);
/// Pages kept in memory per member: 8 MiB.
const PAGES: NonZeroUsize = NZUsize!(512);
/// Views that votes are kept for, behind the newest final one (engine.md section 8).
pub(crate) const VIEWS: ViewDelta = ViewDelta::new(256);
/// Views behind the newest final one for which marshal keeps blocks that did not become final.
const CACHED_VIEWS: ViewDelta = ViewDelta::new(10);
/// Missing heights fetched at a time.
const REPAIR: NonZeroUsize = NZUsize!(20);
/// Blocks per peer that the broadcast keeps.
const BROADCAST_DEQUE: usize = 16;
pub(crate) const REPLAY: NonZeroUsize = NZUsize!(1 << 20);
const KEY_BUFFER: NonZeroUsize = NZUsize!(1 << 16);
pub(crate) const VALUE_BUFFER: NonZeroUsize = NZUsize!(1 << 20);

/// A member's engine at work. It lives as long as the task that started it.
#[must_use = "await `ended`, or keep it for as long as the engine should run"]
pub struct Running {
    tasks: Vec<(&'static str, Handle<()>)>,
    outbox: Outbox,
    _counters: Vec<Counter>,
}

impl core::fmt::Debug for Running {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Running").field("outbox", &self.outbox).finish_non_exhaustive()
    }
}

impl Running {
    /// Where the caller's own messages go.
    #[must_use]
    pub fn outbox(&self) -> Outbox {
        self.outbox.clone()
    }

    /// Waits until a part ends, which none does on its own account, ends the others and names it.
    pub async fn ended(mut self) -> &'static str {
        let parts = self.tasks.iter_mut().map(|(name, task)| task.map(|_how| *name));
        let (part, ..) = futures::future::select_all(parts).await;
        self.abort();
        part
    }

    /// Ends every part at once, as a crash would.
    pub fn abort(&self) {
        for (_, task) in &self.tasks {
            task.abort();
        }
    }
}

/// Starts one member's engine on any runtime and network.
///
/// `net` holds sender and receiver of channels 0..=9 in order, `oracle` blocks peers and names the tracked set (which
/// must be `cfg.members`). `make_app` gets the [`Outbox`] that the application sends with.
///
/// Below this function time, randomness and tasks come from `ctx` alone, so equal seeds of a deterministic runtime give
/// equal runs (ENG-2).
///
/// # Security
/// `secret` signs handshakes, and votes if the configuration says so. commonware's key type wipes its copies on drop; those on the stack and in
/// registers are not wiped. Two engines that vote with one secret, or one that lost its journal, are a double vote.
///
/// # Errors
/// What the configuration's checks say, [`EngineError::NotMember`] for a secret that is no member's, and
/// [`EngineError::Storage`].
pub async fn validator<E, S, R, M, A>(
    ctx: E,
    secret: Zeroizing<[u8; 32]>,
    net: [(S, R); CHANNELS],
    oracle: M,
    make_app: impl FnOnce(Outbox) -> A + Send,
    cfg: EngineConfig,
) -> Result<Running, EngineError>
where
    E: Clock + CryptoRng + Spawner + Storage + Metrics,
    S: Sender<PublicKey = PublicKey>,
    R: Receiver<PublicKey = PublicKey>,
    M: Blocker<PublicKey = PublicKey> + Provider<PublicKey = PublicKey> + Sync,
    A: SlotApp,
{
    let checked = cfg.check(&secret)?;
    start(ctx, checked, net, oracle, Outbox::new(), make_app, cfg).await
}

pub(crate) async fn start<E, S, R, M, A>(
    ctx: E,
    checked: Checked,
    net: [(S, R); CHANNELS],
    oracle: M,
    (outbox, queue, entered): (Outbox, Queue, mpsc::Receiver<EngineEpoch>),
    make_app: impl FnOnce(Outbox) -> A + Send,
    cfg: EngineConfig,
) -> Result<Running, EngineError>
where
    E: Clock + CryptoRng + Spawner + Storage + Metrics,
    S: Sender<PublicKey = PublicKey>,
    R: Receiver<PublicKey = PublicKey>,
    M: Blocker<PublicKey = PublicKey> + Provider<PublicKey = PublicKey> + Sync,
    A: SlotApp,
{
    let Checked { me, members, before, genesis, block, .. } = &checked;
    let (me, block, members) = (*me, *block, members.clone());
    let public = checked.secret.public_key();
    // verifies; what signs is made per epoch
    let scheme = Scheme::member(&cfg.vote_namespace(), members.clone(), &public).ok_or(EngineError::NotMember)?;
    let schemes = Committees::new(&cfg, scheme, before.clone());
    let finalization = |floor: &Floor| floor.finalization(&schemes.of(Epoch::new(floor.epoch)));
    let floor = cfg.floor.as_ref().map(finalization).transpose()?;
    let fetch = cfg.fetch_timeout()?;
    let mut counters = Vec::from(queue.register(&ctx));
    let app = make_app(outbox.clone());
    let pages = CacheRef::new(PAGE, PAGES);
    let retry = Duration::from_millis(cfg.timeouts.fetch_retry_ms);
    let [votes, certificates, resolver, backfill_net, broadcast, shares, items, fetches, lists, dkg] = net;

    let back_fill = backfill::init(
        ctx.child("backfill"),
        backfill::Config {
            public_key: public.clone(),
            peer_provider: oracle.clone(),
            blocker: oracle.clone(),
            mailbox_size: MAILBOX,
            fetch_timeout: fetch,
            fetch_retry_delay: retry,
            priority_requests: false,
            priority_responses: false,
        },
        backfill_net,
    );
    let (broadcaster, blocks_seen) = buffered::Engine::new(
        ctx.child("broadcast"),
        buffered::Config {
            public_key: public,
            mailbox_size: MAILBOX,
            deque_size: BROADCAST_DEQUE,
            priority: false,
            codec_config: block,
            peer_provider: oracle.clone(),
            strategy: Sequential,
        },
    );

    // of committees that were larger, too
    let certificate_cfg = limits::MEMBERS_MAX;
    let finalizations =
        prunable::Archive::init(ctx.child("finalizations"), archive(&cfg.prefix, "fins", certificate_cfg, &pages));
    let finalizations = finalizations.await.map_err(StorageError)?;
    let blocks = prunable::Archive::init(ctx.child("blocks"), archive(&cfg.prefix, "blocks", block, &pages));
    let blocks = blocks.await.map_err(StorageError)?;
    let genesis_digest = crate::block::digest(&genesis.head.digest);
    let start = match &floor {
        Some(floor) => marshal::Start::Floor(floor.clone()),
        None => marshal::Start::Genesis(Digested::precomputed(genesis.clone(), genesis_digest)),
    };
    let (marshal_actor, marshal, _processed) = Box::pin(MarshalActor::<_, Standard<EngineBlock>, _, _, _, _, _>::init(
        ctx.child("marshal"),
        finalizations,
        blocks,
        marshal::Config {
            provider: schemes,
            epocher: epocher(cfg.epoch_slots),
            start,
            partition_prefix: format!("{}marshal", cfg.prefix),
            mailbox_size: MAILBOX,
            view_retention: CACHED_VIEWS,
            prunable_items_per_section: NZU64!(64),
            page_cache: pages.clone(),
            replay_buffer: REPLAY,
            key_write_buffer: KEY_BUFFER,
            value_write_buffer: VALUE_BUFFER,
            block_codec_config: block,
            max_repair: REPAIR,
            max_pending_acks: PENDING_ACKS,
            strategy: Sequential,
        },
    ))
    .await;

    let epochs = Epochs::new((&checked, &cfg), app.clone(), marshal.clone(), oracle, pages);
    let channels = Channels::new(&ctx, votes, certificates, resolver);
    let (finals_queue, delivered) = mpsc::channel(PENDING_ACKS.get().saturating_mul(2));
    let tip = ctx.gauge("tip", "height of the newest certificate, not durable");
    let strangers = ctx.counter("strangers", "messages of keys that are no member's");
    counters.push(strangers.clone());

    // Marshal first: when it ends others follow at once, and `Running::ended` names the first of those that have.
    let broadcaster = broadcaster.start(broadcast);
    let mut tasks = vec![("marshal", marshal_actor.start(Finals { queue: finals_queue, tip }, blocks_seen, back_fill))];
    tasks.push(("broadcast", broadcaster));
    // a floor of the epoch before is the block that this one starts on
    let floor = floor.filter(|_| cfg.floor.as_ref().is_some_and(|floor| floor.epoch == cfg.epoch.epoch));
    tasks.push(("simplex", ctx.child("epochs").spawn(move |ctx| epochs.run(ctx, channels, floor, entered))));
    let deliver_app = app.clone();
    tasks.push((
        "delivery",
        ctx.child("delivery").spawn(move |ctx| finals::deliver(ctx, marshal, delivered, deliver_app)),
    ));
    let senders = [shares.0, items.0, fetches.0, lists.0, dkg.0];
    let receivers = [shares.1, items.1, fetches.1, lists.1, dkg.1];
    for (channel, receiver) in Channel::ALL.into_iter().zip(receivers) {
        let (app, members, strangers) = (app.clone(), members.clone(), strangers.clone());
        let task = ctx.child("inbox").with_attribute("channel", channel.number());
        tasks.push(("inbox", task.spawn(move |_| listen(channel, receiver, app, members, strangers))));
    }
    tasks.push(("outbox", ctx.child("outbox").spawn(move |_| queue.run(senders, members, me))));
    Ok(Running { tasks, outbox, _counters: counters })
}

/// An archive of final things, by height and digest.
fn archive<C>(prefix: &str, name: &str, codec_config: C, pages: &CacheRef) -> prunable::Config<TwoCap, C> {
    prunable::Config {
        translator: TwoCap,
        metadata_partition: format!("{prefix}{name}-m"),
        key_partition: format!("{prefix}{name}-k"),
        key_page_cache: pages.clone(),
        value_partition: format!("{prefix}{name}-v"),
        compression: None,
        codec_config,
        items_per_section: NZU64!(64),
        key_write_buffer: KEY_BUFFER,
        value_write_buffer: VALUE_BUFFER,
        replay_buffer: REPLAY,
    }
}

/// Hands one channel's messages to the application, each with its sender's index.
async fn listen<R, A>(channel: Channel, mut receiver: R, app: A, members: Set<PublicKey>, strangers: Counter)
where
    R: Receiver<PublicKey = PublicKey>,
    A: SlotApp,
{
    while let Ok((from, bytes)) = receiver.recv().await {
        match member_of(&members, &from) {
            Some(member) => app.message(channel, member, bytes.into()),
            None => {
                strangers.inc();
            }
        }
    }
}
