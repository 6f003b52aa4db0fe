//! One running member: disk, machine, engine, ingress, HTTP. `lockstep node` and `lockstep devnet` run this same code.
use crate::{
    clock, config,
    config::{ConfigError, NodeConfig},
    data::Data,
    disk::{Disk, DiskError, ENGINE},
    driver::{self, Driver, DriverError, Handle, Message, Observed, Waiting},
    engine::{self, EngineApp},
    entropy::{NoEntropy, Source},
    execute::Executions,
    files::{self, FilesError, Identity, NetworkFiles},
    handover::{HandoverError, Handovers},
    health::Health,
    http, init,
    metrics::{MemberMetrics, Metrics},
    page::Page,
    passphrase::Lock,
    pool::Pool,
    recover::{Found, Recovered, Recovery, with_saved},
    start,
    sync::{Peers, SyncError},
    term::{self, Roster, SharesError, Term},
};
use consensus::{EngineConfig, EngineEpoch, EngineError, EngineHandle, Floor, TcpConfig, Timeouts};
use crypto::{
    ed25519::SigningKey,
    keys::{BeaconShareKey, DecryptionShareKey},
    succession::Succession,
};
use execution::{Executor, Registry};
use ingress::{Inbound, IngressError, Server, ServerConfig};
use keygen::{MemberSecrets, files::ShareFile};
use sequencer::{Former, Resume, Secrets, Sequencer, Setup, SignKeys, Timings};
use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
};

use tokio::sync::{broadcast, mpsc, watch};
use types::{Block, Epoch, Hash, MemberAddress, MemberId, Slot, codec, limits, wire::Event};
use verifier::{AnchorError, Committee, Finding};

pub use crate::follow::Follower;

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
    /// This member has no shares of its committee's secrets.
    #[error("shares: {0}")]
    Shares(#[from] SharesError),
    /// Every start finds another committee in the log than the folder remembered.
    #[error("the committee in the log is another one at every start")]
    Unsettled,
    /// Its part in a handover.
    #[error(transparent)]
    Handover(#[from] HandoverError),
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
    driver: JoinHandle<driver::Ended>,
    term: Term,
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
    /// Starts a member from its files: as one of the committee, if the log says that it is in it.
    ///
    /// # Errors
    /// [`MemberError`] says what is wrong and where.
    pub async fn start(network: Arc<NetworkFiles>, node: NodeConfig, process: Process) -> Result<Started, MemberError> {
        start::belongs(&network, &node.data)?;
        let identity = Identity::read(&node.data, &node.lock)?;
        let key = identity.record("").consensus;
        let roster = Roster::read(&network, &node.data)?;
        let at_genesis = roster == Roster::genesis(&network);
        if at_genesis && !node.joins {
            let id = MemberId(node.member);
            let record = roster.members.get(usize::from(id.0)).ok_or(MemberError::NoMember(id.0))?;
            if identity.record(&record.name) != *record {
                return Err(FilesError::WrongKeys { path: node.data.clone(), member: id.0 }.into());
            }
        }
        let me = roster.index(&key);
        has_keys(&identity, &roster, me, &node)?;
        // one that has left still serves the log where it did
        let genesis = &network.network.addresses;
        let left = genesis.iter().find(|address| !node.joins && address.member.0 == node.member);
        let listen = Listen::of(&node, me.and_then(|me| roster.address(me)).or(left))?;
        // said before a log of hours is read
        let dealt = match me.filter(|_| at_genesis) {
            Some(me) => Some(dealt(&network, &node.data, &node.lock, me)?),
            None => None,
        };

        start::has_room(&node)?;
        let heard = start::hear(&network.id, me, &roster).await;
        let recovery = Recovery {
            network: Arc::clone(&network),
            key,
            follows: me.is_none(),
            peers: Peers::new(me, &roster.addresses),
            cosigned: start::cosigned(&heard, roster.f),
        };
        start::clock_agrees(roster.f, &node, &heard)?;
        let disk = Disk::open(&node.data, node.wal_segment_bytes, start::certain_time(roster.f, &heard))?;
        start::ports([("p2p_listen", listen.p2p), ("http_listen", listen.http)], listen.quic)?;
        // reads, recomputes and waits for peers: not on the runtime's threads
        let (recovery, found) = tokio::task::spawn_blocking(move || {
            let found = recovery.find(disk);
            (recovery, found)
        })
        .await
        .map_err(|_panic| DriverError::Panicked)?;
        let found = found?;
        if found.term.roster != roster {
            // the log says another one: everything above is to be asked again
            found.term.roster.write(&node.data)?;
            return Ok(Started::Again);
        }
        let parts = Parts { network, node, process, identity, listen };
        match me {
            None => Ok(Started::Follower(Box::new(Follower::start(parts, recovery, found).await?))),
            Some(me) => {
                let member = parts.recover(me, dealt, recovery, found);
                Ok(Started::Member(Box::new(Box::pin(member).await?)))
            }
        }
    }

    /// Whether the member has ended by itself.
    #[must_use]
    pub fn ended(&self) -> bool {
        self.driver.is_finished()
            || self.engine.lock().ok().is_some_and(|e| e.as_ref().is_none_or(EngineHandle::is_finished))
    }

    /// Stops: no new requests, engine, driver, HTTP; in this order, each waited for. What goes on in the next epoch, if
    /// the member had ended because the committee changes.
    ///
    /// # Errors
    /// Why a part had ended before.
    pub(crate) async fn stop(self) -> Result<Option<Box<Carried>>, MemberError> {
        let Self { id, handle, driver, engine, ingress, health, look, stop_http, http, executor, term, .. } = self;
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
            let driver = driver.join().unwrap_or((Err(DriverError::Panicked), None));
            (engine, driver)
        })
        .await;
        stop_http.send_replace(true);
        if let Err(error) = http.await {
            tracing::warn!(member = %id, %error, "http.stop");
        }
        let (engine, (ended, handed)) = joined.map_err(|_panic| DriverError::Panicked)?;
        if let (Err(DriverError::Changed(epoch)), Some(resume)) = (&ended, handed) {
            return Ok(Some(Box::new(Carried::Machine { epoch: *epoch, resume, executor, term })));
        }
        ended?;
        engine?;
        tracing::info!(member = %id, "member.stop");
        Ok(None)
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

/// Where a member listens.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Listen {
    pub(crate) p2p: SocketAddr,
    pub(crate) quic: SocketAddr,
    pub(crate) http: SocketAddr,
}

impl Listen {
    /// The config's addresses, or else those that the network knows.
    fn of(node: &NodeConfig, known: Option<&MemberAddress>) -> Result<Self, ConfigError> {
        let known = |of: fn(&MemberAddress) -> &String| known.map(of).map(String::as_str).unwrap_or_default();
        Ok(Self {
            p2p: config::listen("p2p_listen", &node.p2p_listen, known(|a| &a.p2p))?,
            quic: config::listen("quic_listen", &node.quic_listen, known(|a| &a.quic))?,
            http: config::listen("http_listen", &node.http_listen, known(|a| &a.http))?,
        })
    }
}

/// What a start gives.
#[derive(Debug)]
pub enum Started {
    /// A member of the committee.
    Member(Box<Member>),
    /// One that is not in it, or not any more, or not yet: it follows the log.
    Follower(Box<Follower>),
    /// The log says another committee than the folder remembered: start again.
    Again,
}

/// Whose member starts, with what.
pub(crate) struct Parts {
    pub(crate) network: Arc<NetworkFiles>,
    pub(crate) node: NodeConfig,
    pub(crate) process: Process,
    pub(crate) identity: Identity,
    pub(crate) listen: Listen,
}

impl Parts {
    /// A member of the committee, from its log.
    async fn recover(
        self,
        id: MemberId,
        dealt: Option<MemberSecrets>,
        recovery: Recovery,
        found: Found,
    ) -> Result<Member, MemberError> {
        let term = found.term.clone();
        let shares = match dealt.filter(|_| term.committee.keys_since == Epoch(0)) {
            Some(shares) => shares,
            None => self.shares(id, &term.committee, found.own.replay.succession())?,
        };
        let recovered = tokio::task::spawn_blocking(move || recovery.resume(found));
        let Recovered { disk, resume, executor, floor } = recovered.await.map_err(|_panic| DriverError::Panicked)??;
        Box::pin(self.serve((id, term), shares, (disk, resume, Arc::new(Mutex::new(executor))), floor)).await
    }

    fn shares(&self, id: MemberId, committee: &Committee, said: &Succession) -> Result<MemberSecrets, MemberError> {
        if committee.keys_since == Epoch(0) {
            return dealt_to(&self.network, &self.node.data, &self.node.lock, id);
        }
        Ok(term::shares(committee, said, &self.identity.consensus)?)
    }

    /// A member that stays, in the next epoch: nothing of the log is read again. `None`: it does not stay.
    pub(crate) async fn carry_on(
        network: Arc<NetworkFiles>,
        node: NodeConfig,
        process: Process,
        carried: Carried,
    ) -> Result<Option<Member>, MemberError> {
        let identity = Identity::read(&node.data, &node.lock)?;
        let key = identity.record("").consensus;
        let (term, carried) = match carried {
            Carried::Machine { epoch, resume, executor, term } => {
                let next = term.clone().next(&network, epoch, &resume.epochs, &resume.succession)?;
                (next, Carried::Machine { epoch, resume, executor, term })
            }
            Carried::Log { found, recovery } => (found.term.clone(), Carried::Log { found, recovery }),
        };
        let Some(id) = term.roster.index(&key) else { return Ok(None) };
        has_keys(&identity, &term.roster, Some(id), &node)?;
        let listen = Listen::of(&node, term.roster.address(id))?;
        start::ports_within(listen).await?;
        term.roster.write(&node.data)?;
        let parts = Self { network, node, process, identity, listen };
        match carried {
            Carried::Machine { resume, executor, .. } => {
                let shares = parts.shares(id, &term.committee, &resume.succession)?;
                let mut disk = Disk::open(&parts.node.data, parts.node.wal_segment_bytes, None)?;
                let resume = with_saved(*resume, &mut disk)?;
                Box::pin(parts.serve((id, term), shares, (disk, resume, executor), None)).await.map(Some)
            }
            Carried::Log { found, recovery } => Box::pin(parts.recover(id, None, *recovery, *found)).await.map(Some),
        }
    }

    /// Starts everything of a member of the committee.
    async fn serve(
        self,
        (id, term): (MemberId, Term),
        shares: MemberSecrets,
        (disk, resume, executor): (Disk, Resume, Arc<Mutex<Executor>>),
        floor: Option<Floor>,
    ) -> Result<Member, MemberError> {
        let Self { network, node, process, identity, listen } = self;
        let committee = &term.committee;
        let (decrypt, beacon) = term::fits(committee, id, &shares).ok_or(SharesError::Wrong)?;
        let keys = Arc::new(committee.keys.clone());
        let secrets = Arc::new(Secrets { network: network.id, keys, decrypt, beacon });
        let metrics = MemberMetrics::new(id);
        let setup = setup(&network, id, &term)?;
        let signer = SignKeys {
            receipt: SigningKey::from_seed(identity.receipt.clone()),
            log: SigningKey::from_seed(identity.log.clone()),
            cosigner: SigningKey::from_seed(identity.cosigner.clone()),
        };
        let served = disk.served();
        let health = Arc::new(Health::new(Some(id), &network, &term.roster, node.min_free_bytes, clock::now()));
        let page = Page::new(&network);
        let data = Arc::new(Data::new(network.key_set()?, network.network.genesis.params.schedule()));
        let handovers = Handovers::new(&node.data, &identity.consensus, Some(shares));
        let machine = Sequencer::new(setup, secrets, signer, resume, clock::now());

        let handle = Handle::new(metrics.clone());
        let (events, _) = broadcast::channel(EVENTS_MAX);
        let registry = Registry::new(&network.network.genesis.rollups, network.network.genesis.params.slot_ms);
        let executions = Executions::start(Arc::clone(&executor), registry, handle.clone())?;
        let Listen { p2p: p2p_listen, quic: quic_listen, http: http_listen } = listen;
        let http_listener =
            http::bind(http_listen).await.map_err(|source| MemberError::Http { listen: http_listen, source })?;
        let ingress = ingress(quic_listen, identity.tls, &handle, events.clone(), metrics.clone()).await?;
        let start = machine.epoch_start();
        let epoch = engine::epoch(&start, disk.may_vote(start.epoch, None)?);
        let engine =
            start_engine(&network, &node, p2p_listen, identity.consensus, handle.clone(), (&term, floor, epoch))?;
        disk.follows(false)?;
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
            handovers,
            page: page.clone(),
            data: Arc::clone(&data),
            final_slots: true,
            final_at: (Slot(0), clock::now()),
            leaves: None,
        };
        let driver = driver.start()?;
        let (stop_http, stopped) = watch::channel(false);
        let shared = http::Shared {
            member: id,
            folder: node.data.clone(),
            served,
            policy: term.committee.policy.clone(),
            metrics: process.metrics,
            engine: engine_metrics(Arc::clone(&engine)),
            health: Arc::clone(&health),
            page,
            data,
            driver: Some(handle.clone()),
        };
        let look = start::look(&term.roster, &node, id, Arc::clone(&health), Arc::clone(&shared.engine), metrics);
        let look = tokio::spawn(look.run()).abort_handle();
        let http = tokio::spawn(http::serve(http_listener, Arc::new(shared), stop_signal(stopped)));
        tracing::info!(member = %id, p2p = %p2p_listen, quic = %quic_listen, http = %http_listen, "member.start");
        Ok(Member {
            id,
            handle,
            driver,
            term,
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
}

/// What is taken along into an epoch of another committee or other parameters.
#[derive(Debug)]
pub(crate) enum Carried {
    /// By a member that worked in the epoch before.
    Machine { epoch: Epoch, resume: Box<Resume>, executor: Arc<Mutex<Executor>>, term: Term },
    /// By one that followed.
    Log { found: Box<Found>, recovery: Box<Recovery> },
}

/// A member that stays, in the next epoch. `None`: it does not stay.
///
/// # Errors
/// [`MemberError`].
pub(crate) async fn carry_on(
    network: Arc<NetworkFiles>,
    node: NodeConfig,
    process: Process,
    carried: Carried,
) -> Result<Option<Member>, MemberError> {
    Box::pin(Parts::carry_on(network, node, process, carried)).await
}

/// A change may say other keys of a member than its folder has: then it can sign nothing that counts.
fn has_keys(identity: &Identity, roster: &Roster, me: Option<MemberId>, node: &NodeConfig) -> Result<(), FilesError> {
    let Some((me, record)) = me.and_then(|me| Some((me, roster.members.get(usize::from(me.0))?))) else {
        return Ok(());
    };
    if identity.record(&record.name) == *record {
        return Ok(());
    }
    Err(FilesError::WrongKeys { path: node.data.clone(), member: me.0 })
}

/// The shares of the key ceremony, from the share file.
pub(crate) fn dealt(
    network: &NetworkFiles,
    data: &Path,
    lock: &Lock,
    id: MemberId,
) -> Result<MemberSecrets, MemberError> {
    let shares = dealt_to(network, data, lock, id)?;
    let keys = network.key_set()?;
    let decrypt = DecryptionShareKey::from_le_bytes(shares.decrypt.clone())?;
    let beacon = BeaconShareKey::from_le_bytes(shares.beacon.clone())?;
    if keys.share_key(id) != Some(decrypt.public_g1()) || keys.beacon_share_key(id) != Some(beacon.public_g1()) {
        return Err(MemberError::WrongShare { path: files::share_path(data) });
    }
    Ok(shares)
}

/// What the share file holds, if it is of this network's ceremony: a member that stays may have another index by now.
fn dealt_to(network: &NetworkFiles, data: &Path, lock: &Lock, id: MemberId) -> Result<MemberSecrets, MemberError> {
    let path = files::share_path(data);
    let share: ShareFile = keygen::files::read_share(&path, &network.id, lock.unlock())
        .map_err(|source| MemberError::Share { path: path.clone(), source })?;
    if share.index != id || share.keyset_hash != keygen::files::keyset_hash(&init::keyset_file(network)) {
        return Err(MemberError::WrongShare { path });
    }
    Ok(MemberSecrets { decrypt: share.decrypt, beacon: share.beacon })
}

fn setup(network: &NetworkFiles, me: MemberId, term: &Term) -> Result<Setup, MemberError> {
    let Committee { f, members, params, policy, .. } = &*term.committee;
    let before = term.before.as_ref().map(|(epoch, before)| Former {
        epoch: *epoch,
        f: before.f,
        members: before.members.clone(),
        params: before.params.clone(),
        keys: Arc::new(before.keys.clone()),
    });
    Ok(Setup {
        me,
        network: network.id,
        policy: policy.clone(),
        params: params.clone(),
        f: *f,
        members: members.clone(),
        before,
        ceremony: keygen::handover::CEREMONY,
        timings: Timings::for_slot(params.slot_ms),
        seed: *Source::System.draw("batch", u64::from(me.0))?,
    })
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
    (term, floor, epoch): (&Term, Option<Floor>, EngineEpoch),
) -> Result<EngineHandle, MemberError> {
    let genesis = &network.network.genesis;
    let keys = |committee: &Committee| committee.members.iter().map(|member| member.consensus).collect();
    let mut peers = Vec::new();
    for address in &term.roster.addresses {
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
        members: keys(&term.committee),
        before: term.before.as_ref().map(|(_, before)| keys(before)).unwrap_or_default(),
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
