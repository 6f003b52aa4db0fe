//! A member over TCP: its own thread, runtime and storage directory.
use crate::{
    EngineConfig, EngineError, MESSAGE_BYTES_MAX, Outbox, SlotApp,
    any_app::AnyApp,
    config::{CHANNELS, Checked},
    validator::start,
};
use commonware_cryptography::{
    ChaCha20Poly1305,
    ed25519::{PrivateKey, PublicKey},
};
use commonware_macros::select;
use commonware_p2p::{
    Address, AddressableManager as _,
    authenticated::lookup::{self, Network},
};
use commonware_runtime::{Metrics as _, Quota, Runner as _, Spawner as _, Supervisor as _, tokio};
use commonware_stream::{
    cups::{self, Cups},
    sake::{self, Sake},
};
use commonware_utils::{NZUsize, channel::oneshot, ordered::Map, sync::Mutex};
use core::{
    net::SocketAddr,
    num::{NonZeroU32, NonZeroUsize},
    time::Duration,
};
use std::{collections::BTreeMap, net::TcpListener, path::PathBuf, sync::Arc, thread};
use types::MemberId;
use zeroize::Zeroizing;

/// How long parts may take to end after [`EngineHandle::stop`] before they are cut off.
const STOP_WITHIN: Duration = Duration::from_secs(5);
/// Clocks of two members may differ by this much, or they cannot connect.
const SYNCHRONY_BOUND: Duration = Duration::from_secs(5);
const HANDSHAKE_AGE_MAX: Duration = Duration::from_secs(10);
/// Between two pings of a quiet connection.
const PING: Duration = Duration::from_secs(5);

/// Addresses, directory and patience of one member.
#[derive(Clone, Debug)]
pub struct TcpConfig {
    /// Where this member listens.
    pub listen: SocketAddr,
    /// Where each member is reached; every member once. The entry of this member may be missing.
    pub peers: Vec<(MemberId, SocketAddr)>,
    /// This member's engine directory. Another process or engine that holds it makes the start wait.
    pub storage_dir: PathBuf,
    /// Threads of the runtime.
    pub worker_threads: usize,
    /// Between two attempts to connect to whichever peer is missing, milliseconds.
    pub dial_ms: u64,
    /// Between two connections of one peer, milliseconds.
    pub cooldown_ms: u64,
    /// Handshakes per second from one address and from one subnet.
    pub handshakes_per_s: u32,
    /// Whether peers may have private addresses.
    pub private_addresses: bool,
}

impl TcpConfig {
    /// All members on one host or a private network (engine.md section 10, first row).
    #[must_use]
    pub fn devnet(listen: SocketAddr, peers: Vec<(MemberId, SocketAddr)>, storage_dir: PathBuf) -> Self {
        Self {
            listen,
            peers,
            storage_dir,
            worker_threads: 2,
            dial_ms: 20,
            cooldown_ms: 100,
            handshakes_per_s: 1_024,
            private_addresses: true,
        }
    }
}

type Handshake = Cups<Sake<PrivateKey>, ChaCha20Poly1305>;
type MakeApp = Box<dyn FnOnce(Outbox) -> AnyApp + Send>;
type Shared = Arc<Mutex<Option<tokio::Context>>>;

/// Takes the context out of the handle when the runtime ends, however it does: a context holds the storage directory.
struct Cleared(Shared);
impl Drop for Cleared {
    fn drop(&mut self) {
        drop(self.0.lock().take());
    }
}

/// A running member. Dropping the handle stops the engine without waiting for it.
pub struct EngineHandle {
    /// Where the caller's own messages go.
    pub outbox: Outbox,
    stop: Mutex<Option<oneshot::Sender<()>>>,
    context: Shared,
    thread: thread::JoinHandle<Result<(), EngineError>>,
}

impl core::fmt::Debug for EngineHandle {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("EngineHandle").field("outbox", &self.outbox).finish_non_exhaustive()
    }
}

impl EngineHandle {
    /// Asks the engine to end: journals are closed, then connections. Returns at once; [`join`](Self::join) waits.
    pub fn stop(&self) {
        // Dropping the sender is the signal.
        drop(self.stop.lock().take());
    }

    /// Whether the engine has ended, asked or not.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.thread.is_finished()
    }

    /// Waits for the end. Blocks: not for an async task.
    ///
    /// # Errors
    /// Why the engine ended or did not start, unless [`stop`](Self::stop) ended it.
    pub fn join(self) -> Result<(), EngineError> {
        let Self { stop, context, thread, outbox } = self;
        let ended = thread.join().unwrap_or(Err(EngineError::Panicked));
        drop((stop, context, outbox));
        ended
    }

    /// The runtime's metrics as Prometheus text; empty before the start and after the end. Those of the engine carry
    /// the label `member`.
    #[must_use]
    pub fn metrics(&self) -> String {
        self.context.lock().as_ref().map_or_else(String::new, tokio::Context::encode)
    }
}

/// Starts a member on a thread of its own. Returns when the configuration is checked and the thread runs;
/// a failure of storage shows at [`EngineHandle::join`].
///
/// `make_app` is called once, on that thread, inside the runtime (tokio's `spawn` works there).
///
/// # Security
/// As for [`validator`](crate::validator).
///
/// # Errors
/// What is wrong with the configuration, the addresses, the directory or the thread.
pub fn start_tcp<A: SlotApp>(
    secret: Zeroizing<[u8; 32]>,
    tcp: TcpConfig,
    cfg: EngineConfig,
    make_app: impl FnOnce(Outbox) -> A + Send + 'static,
) -> Result<EngineHandle, EngineError> {
    start_any(secret, tcp, cfg, Box::new(|outbox| AnyApp::new(make_app(outbox))))
}

fn start_any(
    secret: Zeroizing<[u8; 32]>,
    tcp: TcpConfig,
    cfg: EngineConfig,
    make_app: MakeApp,
) -> Result<EngineHandle, EngineError> {
    let checked = cfg.check(&secret)?;
    let peers = addresses(&checked, &tcp)?;
    let quotas = quotas(&cfg)?;
    let handshakes = NonZeroU32::new(tcp.handshakes_per_s).ok_or(EngineError::Addresses)?;
    std::fs::create_dir_all(&tcp.storage_dir).map_err(EngineError::Directory)?;
    // The runtime panics on an address it cannot bind, so it is tried here.
    drop(TcpListener::bind(tcp.listen).map_err(EngineError::Listen)?);

    let me = checked.me;
    let (stop, stopped) = oneshot::channel::<()>();
    let (outbox, queue, entered) = Outbox::new();
    let context = Shared::default();
    let running = context.clone();
    let sender = outbox.clone();
    let p2p = p2p(&checked, &tcp, &cfg, handshakes);
    let runtime =
        tokio::Config::new().with_worker_threads(tcp.worker_threads.max(1)).with_storage_directory(tcp.storage_dir);
    let work = move || {
        let context = Cleared(running);
        tokio::Runner::new(runtime).start(|ctx| {
            let ctx = ctx.with_attribute("member", me);
            *context.0.lock() = Some(ctx.child("handle"));
            Box::pin(async move {
                let (mut network, mut oracle) = Network::new(ctx.child("network"), p2p);
                oracle.track(0, peers);
                let mut channel = 0;
                let net = quotas.map(|quota| {
                    let pair = network.register(channel, quota);
                    channel += 1;
                    pair
                });
                let transport = network.start();
                let engine =
                    start(ctx.child("engine"), checked, net, oracle, (sender, queue, entered), make_app, cfg).await?;
                select! {
                    part = engine.ended() => Err(EngineError::Ended { part }),
                    _ = transport => Err(EngineError::Ended { part: "transport" }),
                    _ = stopped => {
                        if ctx.stop(0, Some(STOP_WITHIN)).await.is_err() {
                            tracing::warn!(%me, "engine.stop: parts still at work are cut off");
                        }
                        Ok(())
                    },
                }
            })
        })
    };
    let thread = thread::Builder::new().name(format!("engine-{me}")).spawn(work).map_err(EngineError::Thread)?;
    Ok(EngineHandle { outbox, stop: Mutex::new(Some(stop)), context, thread })
}

fn addresses(checked: &Checked, tcp: &TcpConfig) -> Result<Map<PublicKey, Address>, EngineError> {
    let mut known: BTreeMap<MemberId, SocketAddr> = BTreeMap::new();
    for (member, address) in &tcp.peers {
        if known.insert(*member, *address).is_some() {
            return Err(EngineError::Addresses);
        }
    }
    known.entry(checked.me).or_insert(tcp.listen);
    // As many as there are members, each of them below that number: every member once.
    if known.len() != checked.members.len() {
        return Err(EngineError::Addresses);
    }
    let mut peers = Vec::with_capacity(known.len());
    for (member, address) in known {
        let key = checked.members.get(usize::from(member.0)).ok_or(EngineError::Addresses)?;
        peers.push((key.clone(), Address::from(address)));
    }
    Ok(Map::from_iter_dedup(peers))
}

fn quotas(cfg: &EngineConfig) -> Result<[Quota; CHANNELS], EngineError> {
    let mut quotas = [Quota::per_second(NonZeroU32::MIN); CHANNELS];
    for (channel, (quota, per_s)) in quotas.iter_mut().zip(cfg.quotas).enumerate() {
        *quota = Quota::per_second(NonZeroU32::new(per_s).ok_or(EngineError::Quota { channel })?);
    }
    Ok(quotas)
}

fn p2p(checked: &Checked, tcp: &TcpConfig, cfg: &EngineConfig, handshakes: NonZeroU32) -> lookup::Config<Handshake> {
    let sake = Sake {
        signer: checked.secret.clone(),
        synchrony_bound: SYNCHRONY_BOUND,
        max_handshake_age: HANDSHAKE_AGE_MAX,
        version: sake::Version::V1,
    };
    let members = NonZeroUsize::new(checked.members.len()).unwrap_or(NonZeroUsize::MIN);
    let mut p2p = lookup::Config::recommended(
        Cups::new(sake, cups::Version::V1),
        &cfg.p2p_namespace(),
        tcp.listen,
        members,
        u32::try_from(MESSAGE_BYTES_MAX).unwrap_or(u32::MAX),
        NZUsize!(1_024),
    );
    p2p.allow_private_ips = tcp.private_addresses;
    p2p.allow_dns = false;
    p2p.peer_connection_cooldown = Duration::from_millis(tcp.cooldown_ms);
    p2p.dial_frequency = Duration::from_millis(tcp.dial_ms);
    p2p.allowed_handshake_rate_per_ip = Quota::per_second(handshakes);
    p2p.allowed_handshake_rate_per_subnet = Quota::per_second(handshakes);
    p2p.ping_frequency = PING;
    // One committee: mailboxes are sized by the sets that are tracked at once.
    p2p.tracked_peer_sets = NZUsize!(1);
    p2p
}
