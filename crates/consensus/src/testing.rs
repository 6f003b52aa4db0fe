//! The engine on commonware's deterministic runtime and simulated network, for tests of whole networks.
//!
//! What a test compiles against is not generic, so that the engine is compiled once, with this crate. Time, order and
//! loss come from the seed of [`run`]; a [`Wire`] bends what one member says on any channel, votes and blocks included.
#![expect(clippy::expect_used, reason = "for tests: what is made here belongs together")]
use crate::{
    CHANNELS, EngineConfig, MESSAGE_BYTES_MAX, Outbox, Running, SlotApp, adapter::member_of, any_app::AnyApp, validator,
};
use bytes::Bytes;
use commonware_actor::{Feedback, Unreliable};
use commonware_codec::{Copying, DecodeExt as _};
use commonware_cryptography::ed25519::PublicKey;
use commonware_p2p::{
    BlockedSubscription, Blocker, CheckedSender, LimitedSender, PeerSetSubscription, Provider, Recipients, Sender as _,
    TrackedPeers, simulated,
};
use commonware_runtime::{IoBufs, Quota, Runner as _, deterministic};
use commonware_utils::{NZUsize, Probability, ordered::Set};
use core::{
    num::{NonZeroU32, NonZeroUsize},
    time::Duration,
};
use futures::future::BoxFuture;
use std::{sync::Arc, time::SystemTime};
use types::{Hash, MemberId};
use zeroize::Zeroizing;

pub use commonware_runtime::{Clock, Handle, Spawner, Supervisor};

/// The runtime: clock, randomness, tasks, storage that outlives tasks.
pub type Context = deterministic::Context;

/// Bends what a member sends: channel, recipients and bytes go in, what is sent instead comes out. Votes, certificates
/// and the resolver's messages go in without the number of their epoch, which is put before whatever comes out.
pub type Wire = Arc<dyn Fn(u64, &[MemberId], Bytes) -> Vec<(Vec<MemberId>, Bytes)> + Send + Sync>;

/// Runs a scenario from `start` on, at most for `limit`, and returns the runtime's digest of everything that happened.
pub fn run<T>(seed: u64, start: SystemTime, limit: Duration, scenario: impl AsyncFnOnce(Context) -> T) -> (String, T) {
    let config = deterministic::Config::default().with_seed(seed).with_start_time(start).with_timeout(Some(limit));
    deterministic::Runner::new(config).start(|ctx| async move {
        let auditor = ctx.auditor();
        let out = scenario(ctx).await;
        (auditor.state(), out)
    })
}

/// One direction between two members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// Mean latency.
    pub latency: Duration,
    /// Its standard deviation.
    pub jitter: Duration,
    /// Messages in a hundred that are lost.
    pub loss_percent: u64,
}

/// A network of members, none of which runs at first, and none of which is linked.
pub struct Network {
    oracle: simulated::Oracle<PublicKey, Context>,
    members: Set<PublicKey>,
}

impl core::fmt::Debug for Network {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Network").field("members", &self.members.len()).finish_non_exhaustive()
    }
}

impl Network {
    /// A network of the members with these consensus keys, ascending.
    ///
    /// # Panics
    /// If a key is no point.
    pub async fn new(ctx: &Context, keys: &[Hash]) -> Self {
        let keys = keys.iter().map(|key| PublicKey::decode(Copying(key.as_ref())).expect("a consensus key is a point"));
        let members = Set::from_iter_dedup(keys);
        let config = simulated::Config {
            max_size: u32::try_from(MESSAGE_BYTES_MAX).unwrap_or(u32::MAX),
            max_peers_per_set: NonZeroUsize::new(members.len()).unwrap_or(NonZeroUsize::MIN),
            disconnect_on_block: true,
            tracked_peer_sets: NZUsize!(1),
        };
        let peers: Vec<_> = members.iter().cloned().collect();
        let (network, oracle) = simulated::Network::new_with_peers(ctx.child("network"), config, peers).await;
        network.start();
        Self { oracle, members }
    }

    fn key(&self, member: MemberId) -> PublicKey {
        self.members.get(usize::from(member.0)).expect("a member of the network").clone()
    }

    /// Sets or cuts one direction.
    ///
    /// # Panics
    /// If the network has ended, or loss is above a hundred percent.
    pub async fn link(&self, from: MemberId, to: MemberId, link: Option<Link>) {
        let (from, to) = (self.key(from), self.key(to));
        match link {
            Some(Link { latency, jitter, loss_percent }) => {
                let kept = 100u64.saturating_sub(loss_percent);
                let success_rate = Probability::new(kept, 100).expect("a percentage");
                let link = simulated::Link { latency, jitter, success_rate };
                self.oracle.add_link(from, to, link).await.expect("the network runs");
            }
            // cut before: nothing to do
            None => drop(self.oracle.remove_link(from, to).await),
        }
    }

    /// Limits what a member sends and receives, bytes per second.
    ///
    /// # Panics
    /// If the network has ended.
    pub async fn bandwidth(&self, member: MemberId, bytes_per_s: Option<usize>) {
        let limited = self.oracle.limit_bandwidth(self.key(member), bytes_per_s, bytes_per_s);
        limited.await.expect("the network runs");
    }

    /// Who has blocked whom: the first the second.
    ///
    /// # Panics
    /// If the network has ended.
    pub async fn blocked(&self) -> Vec<(MemberId, MemberId)> {
        let blocked = self.oracle.blocked().await.expect("the network runs");
        let pair =
            |(by, peer): (PublicKey, PublicKey)| member_of(&self.members, &by).zip(member_of(&self.members, &peer));
        blocked.into_iter().filter_map(pair).collect()
    }

    /// Starts a member's engine as children of `ctx`: they end with the task that owns it.
    ///
    /// # Panics
    /// If the configuration is refused.
    pub async fn start<A: SlotApp>(
        &self,
        ctx: Context,
        member: MemberId,
        secret: Zeroizing<[u8; 32]>,
        cfg: EngineConfig,
        wire: Option<Wire>,
        make_app: impl FnOnce(Outbox) -> A + Send + 'static,
    ) -> Running {
        let control = self.oracle.control(self.key(member));
        let mut channels = Vec::with_capacity(CHANNELS);
        for (channel, per_s) in (0u64..).zip(cfg.quotas) {
            let quota = Quota::per_second(NonZeroU32::new(per_s).unwrap_or(NonZeroU32::MIN));
            let (inner, receiver) = control.register(channel, quota).await.expect("the network runs");
            let bend = wire.clone().map(|wire| Bend { channel, wire, members: self.members.clone() });
            channels.push((Sender { inner, bend }, receiver));
        }
        let net = channels.try_into().expect("as many channels as quotas");
        let oracle = Oracle { control, manager: self.oracle.manager() };
        start(ctx, secret, net, oracle, Box::new(|outbox| AnyApp::new(make_app(outbox))), cfg).await
    }
}

type Net = [(Sender, simulated::Receiver<PublicKey>); CHANNELS];

/// Not generic, so compiled here.
fn start(
    ctx: Context,
    secret: Zeroizing<[u8; 32]>,
    net: Net,
    oracle: Oracle,
    make_app: Box<dyn FnOnce(Outbox) -> AnyApp + Send>,
    cfg: EngineConfig,
) -> BoxFuture<'static, Running> {
    let started = Box::pin(validator(ctx, secret, net, oracle, make_app, cfg));
    Box::pin(async move { started.await.expect("the engine starts") })
}

#[derive(Clone)]
struct Bend {
    channel: u64,
    wire: Wire,
    members: Set<PublicKey>,
}

/// A sender whose messages a [`Wire`] may bend.
#[derive(Clone)]
struct Sender {
    inner: simulated::Sender<PublicKey, Context>,
    bend: Option<Bend>,
}

impl core::fmt::Debug for Sender {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Sender")
    }
}

/// What [`Sender`] checks.
enum Checked<'a> {
    Straight(<simulated::Sender<PublicKey, Context> as LimitedSender>::Checked<'a>),
    Bent(Box<Bent>),
}

struct Bent {
    inner: simulated::Sender<PublicKey, Context>,
    bend: Bend,
    recipients: Vec<PublicKey>,
}

impl LimitedSender for Sender {
    type PublicKey = PublicKey;
    type Checked<'a> = Checked<'a>;

    fn check(&mut self, recipients: Recipients<PublicKey>) -> Result<Checked<'_>, SystemTime> {
        let Some(bend) = self.bend.clone() else { return self.inner.check(recipients).map(Checked::Straight) };
        let recipients = self.inner.check(recipients)?.recipients();
        Ok(Checked::Bent(Box::new(Bent { inner: self.inner.clone(), bend, recipients })))
    }
}

impl CheckedSender for Checked<'_> {
    type PublicKey = PublicKey;

    fn recipients(&self) -> Vec<PublicKey> {
        match self {
            Self::Straight(checked) => checked.recipients(),
            Self::Bent(bent) => bent.recipients.clone(),
        }
    }

    fn send(self, message: impl Into<IoBufs> + Send, priority: bool) -> Unreliable<Feedback> {
        match self {
            Self::Straight(checked) => checked.send(message, priority),
            Self::Bent(bent) => {
                let Bent { mut inner, bend, recipients } = *bent;
                let bytes: Bytes = message.into().coalesce().into();
                let to: Vec<MemberId> = recipients.iter().filter_map(|key| member_of(&bend.members, key)).collect();
                let (epoch, bytes) = if bend.channel < SIMPLEX_CHANNELS { cut(bytes) } else { (Bytes::new(), bytes) };
                for (to, bytes) in (bend.wire)(bend.channel, &to, bytes) {
                    let bytes = Bytes::from([epoch.as_ref(), bytes.as_ref()].concat());
                    let keys = to.iter().filter_map(|m| bend.members.get(usize::from(m.0)).cloned()).collect();
                    inner.send(Recipients::Some(keys), bytes, priority);
                }
                Unreliable::new(Feedback::Ok)
            }
        }
    }
}

/// Votes, certificates, resolver: the number of the epoch stands before each message.
const SIMPLEX_CHANNELS: u64 = 3;

/// The number of the epoch as sent, and the message.
fn cut(mut bytes: Bytes) -> (Bytes, Bytes) {
    let number = bytes.iter().take_while(|byte| **byte & 0x80 != 0).count().saturating_add(1).min(bytes.len());
    let epoch = bytes.split_to(number);
    (epoch, bytes)
}

#[derive(Clone)]
struct Oracle {
    control: simulated::Control<PublicKey, Context>,
    manager: simulated::Manager<PublicKey, Context>,
}

impl core::fmt::Debug for Oracle {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Oracle")
    }
}

impl Blocker for Oracle {
    type PublicKey = PublicKey;
    fn block(&mut self, peer: PublicKey) -> Feedback {
        self.control.block(peer)
    }
    fn blocked(&mut self) -> BlockedSubscription<PublicKey> {
        self.control.blocked()
    }
}

impl Provider for Oracle {
    type PublicKey = PublicKey;
    async fn peer_set(&mut self, id: u64) -> Option<TrackedPeers<PublicKey>> {
        self.manager.peer_set(id).await
    }
    async fn subscribe(&mut self) -> PeerSetSubscription<PublicKey> {
        self.manager.subscribe().await
    }
}
