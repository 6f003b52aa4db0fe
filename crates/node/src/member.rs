//! One running member: disk, machine, engine, ingress, HTTP. `lockstep node` and `lockstep devnet` run this same code.
use crate::{
    clock, config,
    config::{ConfigError, NodeConfig},
    disk::{Disk, DiskError, ENGINE},
    driver::{Driver, DriverError, Handle, Message, Observed, Waiting},
    engine::{self, EngineApp},
    entropy::{NoEntropy, Source},
    execute::Executions,
    files::{self, FilesError, Identity, NetworkFiles},
    health::Health,
    http, init,
    metrics::{MemberMetrics, Metrics},
    pool::Pool,
    start,
    sync::{self, Own, Peers, Place, SyncError},
};
use consensus::{EngineConfig, EngineEpoch, EngineError, EngineHandle, Floor, TcpConfig, Timeouts};
use crypto::{
    ed25519::SigningKey,
    keys::{BeaconShareKey, DecryptionShareKey, KeySet},
};
use execution::{Executor, Registry};
use ingress::{Inbound, IngressError, Server, ServerConfig};
use keygen::files::{ShareFile, Unlock};
use sequencer::{Placed, Recent, Rejoin, Resume, Secrets, Sequencer, Setup, SignKeys, Timings, Unopened};
use std::{
    io,
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
};

use tlog::checkpoint::Policy;
use tokio::sync::{broadcast, mpsc, watch};
use types::{Block, FinalityProof, Hash, MemberId, Slot, codec, limits, wire::Event};
use verifier::{Anchor, AnchorError, Checks, Finding, Replay};

/// Why a member does not start, or ended by itself.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MemberError {
    /// Configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Files.
    #[error(transparent)]
    Files(#[from] FilesError),
    /// The config names a member that the network does not have.
    #[error("network.toml has no member {0}")]
    NoMember(u16),
    /// The folder is another network's.
    #[error("{path} belongs to network {found}, and {wanted} was to be started")]
    WrongNetwork {
        /// The member's folder, or what in it says so.
        path: PathBuf,
        /// Whose it is.
        found: Hash,
        /// What was asked for.
        wanted: Hash,
    },
    /// The share file cannot be used.
    #[error("{path}: {source}")]
    Share {
        /// Which.
        path: PathBuf,
        /// Why.
        source: keygen::files::FileError,
    },
    /// The share file is not this member's.
    #[error("{path}: the share of another member, epoch or key ceremony")]
    WrongShare {
        /// Which.
        path: PathBuf,
    },
    /// An address cannot be listened on.
    #[error("cannot listen on {listen} ({key})")]
    Port {
        /// Key of node.toml.
        key: &'static str,
        /// Where.
        listen: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// Too little free disk.
    #[error("{path}: {free} bytes of disk are free, less than min_free_bytes = {wanted}")]
    DiskSpace {
        /// Where.
        path: PathBuf,
        /// How many there are.
        free: u64,
        /// How many there must be.
        wanted: u64,
    },
    /// The clock is far off.
    #[error("the clock is {} ms {} what {peers} other members say", .ms.unsigned_abs(), if *.ms < 0 { "ahead of" } else { "behind" })]
    Clock {
        /// Their clock less ours.
        ms: i64,
        /// How many say so.
        peers: usize,
    },
    /// A share is no scalar.
    #[error("share file: {0}")]
    Scalar(#[from] crypto::keys::ScalarError),
    /// The policy of the log.
    #[error("members: {0}")]
    Policy(#[from] tlog::checkpoint::PolicyError),
    /// Disk.
    #[error("disk: {0}")]
    Disk(#[from] DiskError),
    /// The network's files make no anchor.
    #[error("anchor: {0}")]
    Anchor(#[from] AnchorError),
    /// The log on disk is not a log of this network.
    #[error("the log on disk breaks a rule at entry {index}: {finding}", finding = .finding.code, index = .finding.index)]
    Log {
        /// What the replay found.
        finding: Finding,
    },
    /// What peers have published cannot be taken over.
    #[error(transparent)]
    Sync(#[from] SyncError),
    /// No randomness.
    #[error(transparent)]
    Entropy(#[from] NoEntropy),
    /// Consensus.
    #[error("engine: {0}")]
    Engine(#[from] EngineError),
    /// Ingress.
    #[error("ingress {listen}: {source}")]
    Ingress {
        /// Where.
        listen: SocketAddr,
        /// Why.
        source: IngressError,
    },
    /// HTTP.
    #[error("http {listen}: {source}")]
    Http {
        /// Where.
        listen: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// A thread.
    #[error("thread: {0}")]
    Thread(#[from] io::Error),
    /// The driver ended.
    #[error(transparent)]
    Driver(#[from] DriverError),
}

/// What members of one process share.
#[derive(Clone, Debug)]
pub struct Process {
    /// Pure jobs.
    pub pool: Pool,
    /// The recorder.
    pub metrics: Metrics,
    /// Who watches phases.
    pub observer: Option<std::sync::mpsc::Sender<Observed>>,
}

/// A running member.
pub struct Member {
    id: MemberId,
    handle: Handle,
    driver: JoinHandle<Result<(), DriverError>>,
    engine: Arc<Mutex<Option<EngineHandle>>>,
    ingress: Server,
    health: Arc<Health>,
    look: tokio::task::AbortHandle,
    stop_http: watch::Sender<bool>,
    http: tokio::task::JoinHandle<()>,
    /// Where HTTP is served.
    pub http_listen: SocketAddr,
    /// Where clients connect.
    pub quic_listen: SocketAddr,
    /// State of the rollups, for readers in this process.
    pub executor: Arc<Mutex<Executor>>,
    /// What the member tells subscribers.
    pub events: broadcast::Sender<Event>,
}

impl core::fmt::Debug for Member {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Member").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Clients' requests that wait between ingress and driver.
const INBOUND_MAX: usize = 1_024;
/// Events that wait for the ingress to fan them out.
const EVENTS_MAX: usize = 1_024;

impl Member {
    /// Starts a member from its files.
    ///
    /// # Errors
    /// [`MemberError`] says what is wrong and where.
    pub async fn start(network: Arc<NetworkFiles>, node: NodeConfig, process: Process) -> Result<Self, MemberError> {
        let id = MemberId(node.member);
        let members = &network.network.genesis.members;
        let record = members.get(usize::from(node.member)).ok_or(MemberError::NoMember(node.member))?.clone();
        let address = network.network.addresses.iter().find(|a| a.member == id).ok_or(MemberError::NoMember(id.0))?;
        let p2p_listen = config::listen("p2p_listen", &node.p2p_listen, &address.p2p)?;
        let quic_listen = config::listen("quic_listen", &node.quic_listen, &address.quic)?;
        let http_listen = config::listen("http_listen", &node.http_listen, &address.http)?;
        start::belongs(&network, &node.data)?;
        let identity = Identity::read(&node.data)?;
        if identity.record(&record.name) != record {
            return Err(FilesError::WrongKeys { path: node.data.clone(), member: id.0 }.into());
        }
        let keys = Arc::new(network.key_set()?);
        let secrets = Arc::new(secrets(&network, &node, id, Arc::clone(&keys))?);
        let policy = Policy::new(&network.network.genesis.origin, members, network.network.faults())?;

        start::has_room(&node)?;
        let metrics = MemberMetrics::new(id);
        let heard = start::hear(&network, &node).await;
        let recovery = Recovery {
            network: Arc::clone(&network),
            me: id,
            policy: policy.clone(),
            peers: Peers::new(id, &network.network.addresses),
            cosigned: start::cosigned(&heard, network.network.faults()),
        };
        start::clock_agrees(&network, &node, &heard)?;
        let disk = Disk::open(&node.data, node.wal_segment_bytes, start::certain_time(&network, &heard))?;
        start::ports([("p2p_listen", p2p_listen), ("http_listen", http_listen)], quic_listen)?;
        // reads, recomputes and waits for peers: not on the runtime's threads
        let recovered = tokio::task::spawn_blocking(move || recovery.recover(disk));
        let Recovered { disk, resume, executor, floor } = recovered.await.map_err(|_panic| DriverError::Panicked)??;
        let setup = setup(&network, id, &policy)?;
        let signer = SignKeys {
            receipt: SigningKey::from_seed(identity.receipt.clone()),
            log: SigningKey::from_seed(identity.log.clone()),
            cosigner: SigningKey::from_seed(identity.cosigner.clone()),
        };
        let served = disk.served();
        let health = Health::new(id, network.id, &network.network, node.min_free_bytes, clock::now());
        let health = Arc::new(health);
        let machine = Sequencer::new(setup, secrets, signer, resume, clock::now());

        let handle = Handle::new(metrics.clone());
        let (events, _) = broadcast::channel(EVENTS_MAX);
        let executor = Arc::new(Mutex::new(executor));
        let registry = Registry::new(&network.network.genesis.rollups, network.network.genesis.params.slot_ms);
        let executions = Executions::start(Arc::clone(&executor), registry, handle.clone())?;
        let http_listener =
            http::bind(http_listen).await.map_err(|source| MemberError::Http { listen: http_listen, source })?;
        let ingress = ingress(quic_listen, identity.tls, &handle, events.clone(), metrics.clone()).await?;
        let start = machine.epoch_start();
        let epoch = engine::epoch(&start, disk.may_vote(start.epoch, None)?);
        let engine = start_engine(&network, &node, p2p_listen, identity.consensus, handle.clone(), (floor, epoch))?;
        let outbox = engine.outbox.clone();
        let engine = Arc::new(Mutex::new(Some(engine)));
        let driver = Driver {
            machine,
            disk,
            outbox,
            pool: process.pool,
            executions,
            handle: handle.clone(),
            events: events.clone(),
            observer: process.observer,
            metrics: metrics.clone(),
            health: Arc::clone(&health),
            waiting: Waiting::default(),
        };
        let driver = driver.start()?;
        let (stop_http, stopped) = watch::channel(false);
        let shared = http::Shared {
            member: id,
            folder: node.data.clone(),
            served,
            policy,
            metrics: process.metrics,
            engine: engine_metrics(Arc::clone(&engine)),
            health: Arc::clone(&health),
        };
        let look = start::look(&network, &node, Arc::clone(&health), Arc::clone(&shared.engine), metrics);
        let look = tokio::spawn(look.run()).abort_handle();
        let http = tokio::spawn(http::serve(http_listener, Arc::new(shared), stop_signal(stopped)));
        tracing::info!(member = %id, p2p = %p2p_listen, quic = %quic_listen, http = %http_listen, "member.start");
        Ok(Self {
            id,
            handle,
            driver,
            engine,
            ingress,
            health,
            look,
            stop_http,
            http,
            http_listen,
            quic_listen,
            executor,
            events,
        })
    }

    /// Whether the member has ended by itself.
    #[must_use]
    pub fn ended(&self) -> bool {
        self.driver.is_finished()
            || self.engine.lock().ok().is_some_and(|e| e.as_ref().is_none_or(EngineHandle::is_finished))
    }

    /// Stops: no new requests, engine, driver, HTTP; in this order, each waited for.
    ///
    /// # Errors
    /// Why a part had ended before.
    pub async fn stop(self) -> Result<(), MemberError> {
        let Self { id, handle, driver, engine, ingress, health, look, stop_http, http, .. } = self;
        health.stop();
        look.abort();
        ingress.shutdown().await;
        let engine = engine.lock().ok().and_then(|mut e| e.take());
        let joined = tokio::task::spawn_blocking(move || {
            let engine = engine.map_or(Ok(()), |engine| {
                engine.stop();
                engine.join()
            });
            handle.send(Message::Stop);
            let driver = driver.join().unwrap_or(Err(DriverError::Panicked));
            (engine, driver)
        })
        .await;
        stop_http.send_replace(true);
        if let Err(error) = http.await {
            tracing::warn!(member = %id, %error, "http.stop");
        }
        let (engine, driver) = joined.map_err(|_panic| DriverError::Panicked)?;
        driver?;
        engine?;
        tracing::info!(member = %id, "member.stop");
        Ok(())
    }
}

async fn stop_signal(mut stopped: watch::Receiver<bool>) {
    if stopped.wait_for(|stop| *stop).await.is_err() {
        tracing::debug!("http.owner gone");
    }
}

fn engine_metrics(engine: Arc<Mutex<Option<EngineHandle>>>) -> Arc<dyn Fn() -> String + Send + Sync> {
    Arc::new(move || engine.lock().ok().and_then(|e| e.as_ref().map(EngineHandle::metrics)).unwrap_or_default())
}

fn secrets(network: &NetworkFiles, node: &NodeConfig, id: MemberId, keys: Arc<KeySet>) -> Result<Secrets, MemberError> {
    let passphrase = init::passphrase(&node.share_passphrase_file)?;
    let unlock = passphrase.as_ref().map_or(Unlock::InsecurePlaintext, |p| Unlock::Passphrase(p));
    let path = files::share_path(&node.data);
    let share: ShareFile = keygen::files::read_share(&path, &network.id, unlock)
        .map_err(|source| MemberError::Share { path: path.clone(), source })?;
    if share.index != id || share.keyset_hash != keygen::files::keyset_hash(&init::keyset_file(network)) {
        return Err(MemberError::WrongShare { path });
    }
    let decrypt = DecryptionShareKey::from_le_bytes(share.decrypt)?;
    let beacon = BeaconShareKey::from_le_bytes(share.beacon)?;
    if keys.share_key(id) != Some(decrypt.public_g1()) {
        return Err(MemberError::WrongShare { path });
    }
    Ok(Secrets { network: network.id, keys, decrypt, beacon })
}

fn setup(network: &NetworkFiles, me: MemberId, policy: &Policy) -> Result<Setup, MemberError> {
    let genesis = &network.network.genesis;
    Ok(Setup {
        me,
        network: network.id,
        policy: policy.clone(),
        params: genesis.params.clone(),
        f: network.network.faults(),
        members: genesis.members.clone(),
        timings: Timings::for_slot(genesis.params.slot_ms),
        seed: *Source::System.draw("batch", u64::from(me.0))?,
    })
}

/// Slots in which a block with votes of its own is looked for: an empty one above it has them else.
const FLOOR_BACK: u64 = 256;

/// How far a vote of this member can be above its own log.
const VOTES_AHEAD: u64 = 8;

/// What it takes to know where the network is.
struct Recovery {
    network: Arc<NetworkFiles>,
    me: MemberId,
    policy: Policy,
    peers: Peers,
    /// The last slot that this member has certainly cosigned.
    cosigned: Slot,
}

/// Where a member starts.
struct Recovered {
    disk: Disk,
    resume: Resume,
    executor: Executor,
    floor: Option<Floor>,
}

impl Recovery {
    /// The log is replayed from genesis and then extended by what a quorum has published; state.redb and the WAL say
    /// the rest.
    fn recover(self, disk: Disk) -> Result<Recovered, MemberError> {
        let network = &self.network;
        let mut own = self.read(disk)?;
        let knows_more = own.disk.slot()? < self.cosigned;
        if knows_more && own.rejoin.is_none_or(|rejoin| rejoin.from.is_some()) {
            return Err(SyncError::OldCopy(format!("slot {}", self.cosigned)).into());
        }
        let place = Place { me: self.me, policy: &self.policy, params: &network.network.genesis.params };
        let caught = sync::catch_up(&self.peers, &place, &mut own)?;
        if caught.torn {
            own = self.read(own.disk)?;
        }
        let Own { mut disk, replay, recent, rejoin } = own;
        disk.votes_from_here()?;
        // a lost disk: what was voted came before `from`; a lost journal: the log shows how far it can have been
        let is_known = rejoin.is_none_or(|rejoin| rejoin.from.is_some());
        let schedule = network.network.genesis.params.schedule();
        let reached = is_known.then(|| schedule.epoch_of(replay.slot().plus(VOTES_AHEAD)));
        let votes = disk.may_vote(schedule.epoch_of(replay.slot()), reached)?;
        let far = caught.slots > 0 || !votes;
        let floor = far.then(|| disk.voted_block(replay.slot(), FLOOR_BACK)).flatten().and_then(floor_of);
        let (resume, executor) = resume(network, replay, recent, rejoin, &mut disk)?;
        Ok(Recovered { disk, resume, executor, floor })
    }

    fn read(&self, mut disk: Disk) -> Result<Own, MemberError> {
        let network = &self.network;
        let anchor = Anchor::new(network.network.clone(), network.rollups.clone())?;
        let mut recent = Recent::default();
        let mut replay = Replay::new(&anchor, Checks::TRUSTED)?;
        let mut rejoin = disk.rejoin()?;
        if disk.size() == 0 {
            let entries =
                sequencer::genesis_section(&network.network, network.id, replay.ledger_root(), replay.states());
            disk.genesis(&entries)?;
        }
        for index in 0..disk.size() {
            let entry = disk.entry(index)?;
            if index == 0 {
                start::begins_with(&entry, network, disk.folder())?;
            }
            replay.entry(index, &entry);
            recent.entry(&entry);
            if let Some(finding) = replay.findings().first() {
                return Err(MemberError::Log { finding: finding.clone() });
            }
            if let (Some(slot), Some(rejoin)) = (replay.take_closed(), rejoin.as_mut()) {
                rejoin.block(slot, replay.last().time_ms);
            }
        }
        Ok(Own { disk, replay, recent, rejoin })
    }
}

/// Where the engine starts when the log is ahead of it.
fn floor_of(proof: FinalityProof) -> Option<Floor> {
    let last = proof.headers.last()?;
    let (epoch, digest) = (last.epoch.0, crypto::ids::block_digest(last));
    Some(Floor { epoch, digest, view: proof.view, parent_view: proof.parent_view, votes: proof.votes })
}

fn resume(
    network: &NetworkFiles,
    replay: Replay,
    recent: Recent,
    rejoin: Option<Rejoin>,
    disk: &mut Disk,
) -> Result<(Resume, Executor), MemberError> {
    let state = replay.end();
    let unopened = state.unopened.map(|units| Unopened {
        units: units.into_iter().map(|(hash, envelope)| (hash, Arc::new(envelope))).collect(),
    });
    let last = state.last.unwrap_or_else(|| Block::genesis(network.id).header);
    let saved = disk.saved()?;
    let resume = Resume {
        ledger: state.ledger,
        tree: state.tree,
        last,
        unopened,
        reveal: state.reveal,
        epochs: state.epochs,
        states: state.states,
        unexecuted: state.unexecuted,
        left_heads: state.left_heads,
        included: state.included,
        placed: state
            .placed
            .into_iter()
            .map(|(hash, p)| (hash, Placed { slot: p.slot, index: p.index, outcome: p.outcome }))
            .collect(),
        recent,
        rejoin,
        share_message: saved.share_message,
        own_list: saved.own_list,
        cosigned_at: saved.cosigned_at,
        items: saved.items,
        operations: saved.operations,
        faults: state.faults,
    };
    Ok((resume, state.executor))
}

async fn ingress(
    listen: SocketAddr,
    identity: ingress::TlsIdentity,
    driver: &Handle,
    events: broadcast::Sender<Event>,
    metrics: MemberMetrics,
) -> Result<Server, MemberError> {
    let (inbound, mut requests) = mpsc::channel::<Inbound>(INBOUND_MAX);
    let driver = driver.clone();
    tokio::spawn(async move {
        while let Some(Inbound { request, reply, .. }) = requests.recv().await {
            driver.send(Message::Client { request, reply });
        }
    });
    let config = ServerConfig { listen, identity, limits: ingress::IngressLimits::default() };
    Server::start(config, inbound, events, clock::clock(), Arc::new(metrics))
        .await
        .map_err(|source| MemberError::Ingress { listen, source })
}

fn start_engine(
    network: &NetworkFiles,
    node: &NodeConfig,
    listen: SocketAddr,
    consensus: zeroize::Zeroizing<[u8; 32]>,
    driver: Handle,
    (floor, epoch): (Option<Floor>, EngineEpoch),
) -> Result<EngineHandle, MemberError> {
    let genesis = &network.network.genesis;
    let mut peers = Vec::new();
    for address in &network.network.addresses {
        peers.push((address.member, config::listen("p2p", "", &address.p2p)?));
    }
    let mut tcp = TcpConfig::devnet(listen, peers, node.data.join(ENGINE));
    tcp.worker_threads = node.engine_threads;
    let timeouts = Timeouts::for_slot(genesis.params.slot_ms);
    let timings = Timings::for_slot(genesis.params.slot_ms);
    timeouts.check_slot(timings.slot, timings.close_min, timings.list_grace, timings.fill_after)?;
    let engine = EngineConfig {
        network: network.id,
        epoch_slots: genesis.params.schedule().slots(),
        epoch,
        members: genesis.members.iter().map(|m| m.consensus).collect(),
        prefix: format!("m{}-", node.member),
        timeouts,
        quotas: consensus::QUOTAS,
        open: engine::open,
        genesis: codec::encode(&Block::genesis(network.id)).into(),
        floor,
        block_max: u32::try_from(limits::BLOCK_BYTES_MAX).unwrap_or(u32::MAX),
    };
    let started = consensus::start_tcp(consensus, tcp, engine, move |_outbox| EngineApp::new(driver));
    started.map_err(|error| {
        if let EngineError::Listen(source) = error {
            MemberError::Port { key: "p2p_listen", listen, source }
        } else {
            error.into()
        }
    })
}

/// Set by SIGTERM and Ctrl-C.
#[derive(Clone, Debug, Default)]
pub struct StopFlag(Arc<AtomicBool>);

impl StopFlag {
    /// Whether a stop was asked for.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
    /// Asks for a stop.
    pub fn set(&self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Resolves at SIGTERM or Ctrl-C.
///
/// # Errors
/// The operating system's, when a signal handler cannot be installed.
pub async fn stop_requested() -> io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        result = tokio::signal::ctrl_c() => result,
        _ = terminate.recv() => Ok(()),
    }
}
