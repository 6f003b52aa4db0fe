//! A member that is in no committee now: one that joins with the next change, or one that has left. It reads the log
//! that the committee publishes, recomputes it, serves it, and says what it must say in a handover.
use crate::{
    clock,
    data::Data,
    files::NetworkFiles,
    handover::Handovers,
    health::{Health, Noted},
    http,
    member::{Carried, MemberError, Parts},
    page::Page,
    recover::{Found, Recovery},
    source,
    term::Roster,
};
use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};
use tokio::{runtime, sync::watch};
use types::{MemberId, Operation, Slot, codec};

/// A member that follows the log.
#[derive(Debug)]
pub struct Follower {
    stop: mpsc::Sender<()>,
    reader: thread::JoinHandle<Result<Option<Carried>, MemberError>>,
    health: Arc<Health>,
    stop_http: watch::Sender<bool>,
    http: tokio::task::JoinHandle<()>,
    /// Where HTTP is served.
    pub http_listen: SocketAddr,
}

/// Looks after which peers that failed are asked again.
const FORGIVE_EVERY: u64 = 10;
/// Longest answer to an operation that is read.
const ANSWER_BYTES_MAX: usize = 4 << 10;

impl Follower {
    pub(crate) async fn start(parts: Parts, recovery: Recovery, found: Found) -> Result<Self, MemberError> {
        let Parts { network, node, process, identity, listen } = parts;
        let disk = &found.own.disk;
        disk.follows(true)?;
        let page = Page::new(&network);
        let health = Health::new(None, &network, &found.term.roster, node.min_free_bytes, clock::now());
        let health = Arc::new(health);
        let listener =
            http::bind(listen.http).await.map_err(|source| MemberError::Http { listen: listen.http, source })?;
        let shared = http::Shared {
            member: MemberId(node.member),
            folder: node.data.clone(),
            served: disk.served(),
            policy: found.term.committee.policy.clone(),
            metrics: process.metrics,
            engine: Arc::new(String::new),
            health: Arc::clone(&health),
            page: page.clone(),
            data: Arc::new(Data::new(network.key_set()?, network.network.genesis.params.schedule())),
            driver: None,
        };
        let (stop_http, mut stopped) = watch::channel(false);
        let http = tokio::spawn(http::serve(listener, Arc::new(shared), async move {
            // its owner may be gone: then it ends, too
            drop(stopped.wait_for(|stop| *stop).await);
        }));
        let (stop, stops) = mpsc::channel();
        let reader = Reader {
            slot: Duration::from_millis(network.network.genesis.params.slot_ms),
            handovers: Handovers::new(&node.data, &identity.consensus, None),
            health: Arc::clone(&health),
            runtime: runtime::Handle::current(),
            folder: node.data,
            network,
            recovery,
            page,
        };
        tracing::info!(folder = %reader.folder.display(), http = %listen.http, "member.follows");
        let reader = thread::Builder::new().name("follower".into()).spawn(move || reader.run(found, &stops))?;
        Ok(Self { stop, reader, health, stop_http, http, http_listen: listen.http })
    }

    /// Whether it has ended by itself: the next start says as what it goes on.
    #[must_use]
    pub fn ended(&self) -> bool {
        self.reader.is_finished()
    }

    /// Stops. What goes on if it had ended because the log says another committee.
    ///
    /// # Errors
    /// Why it had ended before.
    pub(crate) async fn stop(self) -> Result<Option<Box<Carried>>, MemberError> {
        let Self { stop, reader, health, stop_http, http, .. } = self;
        health.stop();
        // it may have ended
        stop.send(()).ok();
        let read = tokio::task::spawn_blocking(move || reader.join()).await;
        stop_http.send_replace(true);
        if let Err(error) = http.await {
            tracing::warn!(%error, "http.stop");
        }
        let panicked = |_any| MemberError::from(crate::DriverError::Panicked);
        let read = read.map_err(|_panic| MemberError::from(crate::DriverError::Panicked))?.map_err(panicked)?;
        Ok(read?.map(Box::new))
    }
}

/// The thread that reads.
struct Reader {
    slot: Duration,
    handovers: Handovers,
    health: Arc<Health>,
    runtime: runtime::Handle,
    folder: PathBuf,
    network: Arc<NetworkFiles>,
    recovery: Recovery,
    page: Page,
}

impl Reader {
    /// Until it is told to stop, or the log says another committee.
    fn run(mut self, mut found: Found, stops: &mpsc::Receiver<()>) -> Result<Option<Carried>, MemberError> {
        let started_with = found.term.roster.clone();
        let mut turns = 0u64;
        loop {
            if found.term.roster != started_with {
                found.term.roster.write(&self.folder)?;
                return Ok(Some(Carried::Log { found: Box::new(found), recovery: Box::new(self.recovery) }));
            }
            let replay = &found.own.replay;
            self.page.show_log(replay.slot().next(), replay.epochs(), replay.succession());
            self.note(replay.slot(), found.own.disk.size());
            let epoch = self.network.network.genesis.params.schedule().epoch_of(replay.slot());
            let slot = replay.slot();
            if let Some((head, note)) = &found.caught.note
                && found.own.disk.slot()? == slot
                && head.size == found.own.disk.size()
            {
                found.own.disk.publish(epoch, slot, note)?;
            }
            let replay = &found.own.replay;
            let next = replay.slot().next();
            if let Some(operation) = self.handovers.due(replay.epochs(), replay.succession(), next)? {
                self.say(&found.term.roster, &operation);
            }
            match stops.recv_timeout(self.slot) {
                Err(mpsc::RecvTimeoutError::Timeout) => {}
                Ok(()) | Err(mpsc::RecvTimeoutError::Disconnected) => return Ok(None),
            }
            turns = turns.wrapping_add(1);
            if turns.is_multiple_of(FORGIVE_EVERY) {
                // who did not answer once is asked again
                self.recovery.peers.forgive();
            }
            found = self.recovery.extend(found.own)?;
        }
    }

    fn note(&self, slot: Slot, entries: u64) {
        let now = clock::now();
        self.health.beat(now);
        let epoch = self.network.network.genesis.params.schedule().epoch_of(slot);
        self.health.note(now, Noted { epoch, last_final: slot, opened: slot, entries, ..Noted::default() });
        self.health.published(now, slot);
    }

    /// To every member: one honest one tells the others.
    fn say(&self, roster: &Roster, operation: &Operation) {
        let bytes = codec::encode(operation);
        for address in &roster.addresses {
            let url = format!("http://{}/lockstep/v1/operations", address.http);
            match self.runtime.block_on(source::post(url, bytes.clone(), ANSWER_BYTES_MAX)) {
                Ok((200..300, _)) => {}
                Ok((status, answer)) => {
                    let answer = String::from_utf8_lossy(&answer).into_owned();
                    tracing::debug!(member = %address.member, status, answer, "handover.say");
                }
                Err(error) => tracing::debug!(member = %address.member, %error, "handover.say"),
            }
        }
    }
}
