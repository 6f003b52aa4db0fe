//! The member's side: accept, bound, decode, hand over, answer.
use crate::{
    Answer, Asked, CloseCode, Counter, Counters, IdentityError, IngressLimits, Request, TlsIdentity,
    events::{Hub, gap},
    frame::{FrameHeader, HEADER_BYTES, decode_request, frame},
    identity::close,
    limits::Clock,
    quota::{Bucket, Prefix, PrefixGuard, Prefixes},
    receipts::{Receipts, envelope_hash},
};
use core::{fmt, pin::Pin};
use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::{Semaphore, broadcast, mpsc, oneshot, watch},
    task::{JoinHandle, JoinSet},
    time::{Sleep, sleep, timeout},
};
use types::{
    Hash, codec,
    reason::Reason,
    wire::{Event, Refusal, RequestKind, Subscribe, answer},
};

/// Where a request comes from: what it can be blamed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// /24 or /48.
    pub prefix: Prefix,
    /// Number of the connection, rising from 1.
    pub connection: u64,
}

/// A request for the driver. Dropping `reply` answers `BUSY`.
#[derive(Debug)]
pub struct Inbound {
    /// What is wanted.
    pub request: Request,
    /// Where the answer goes. A `WRONG_SIGNATURE` or `BAD_CIPHERTEXT` refusal counts against the connection.
    pub reply: oneshot::Sender<Result<Answer, Refusal>>,
    /// Who asks.
    pub peer: Peer,
}

/// What a server needs to listen.
#[derive(Debug)]
pub struct ServerConfig {
    /// UDP address.
    pub listen: SocketAddr,
    /// Certificate and key.
    pub identity: TlsIdentity,
    /// What strangers are granted.
    pub limits: IngressLimits,
}

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IngressError {
    /// The identity cannot serve.
    #[error("tls identity")]
    Identity(#[from] IdentityError),
    /// The socket could not be opened.
    #[error("cannot listen")]
    Listen(#[from] io::Error),
}

/// A listening ingress. Ends when dropped; [`Server::shutdown`] lets running requests finish first.
pub struct Server {
    endpoint: quinn::Endpoint,
    local: SocketAddr,
    shared: Arc<Shared>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("local", &self.local).finish_non_exhaustive()
    }
}

struct Shared {
    limits: IngressLimits,
    inbound: mpsc::Sender<Inbound>,
    clock: Clock,
    counters: Arc<dyn Counters>,
    prefixes: Arc<Prefixes>,
    receipts: Receipts,
    hub: Hub,
    connections: Semaphore,
    stopping: AtomicBool,
    /// Requests whose answer has not arrived yet; subscriptions do not count.
    running: watch::Sender<usize>,
}

impl Server {
    /// Listens, and answers until [`Self::shutdown`] or drop. A full `inbound` is answered `BUSY`, a closed one
    /// `SHUTTING_DOWN`.
    ///
    /// # Errors
    /// [`IngressError`] when the identity or the address cannot be used.
    #[expect(clippy::unused_async, reason = "quinn must be started inside a runtime, and the signature says so")]
    pub async fn start(
        config: ServerConfig,
        inbound: mpsc::Sender<Inbound>,
        events: broadcast::Sender<Event>,
        clock: Clock,
        counters: Arc<dyn Counters>,
    ) -> Result<Self, IngressError> {
        let ServerConfig { listen, identity, limits } = config;
        let endpoint = quinn::Endpoint::server(identity.server_config(&limits)?, listen)?;
        let local = endpoint.local_addr()?;
        let shared = Arc::new(Shared {
            inbound,
            clock,
            counters,
            prefixes: Arc::default(),
            receipts: Receipts::new(limits.receipts_kept),
            hub: Hub::new(limits.events_kept, limits.events_kept_bytes),
            connections: Semaphore::new(limits.connections_max),
            stopping: AtomicBool::new(false),
            running: watch::Sender::new(0),
            limits,
        });
        let accept = tokio::spawn(accept(endpoint.clone(), Arc::clone(&shared)));
        let pump = tokio::spawn(pump(events.subscribe(), Arc::clone(&shared)));
        tracing::info!(%local, pin = %identity.pin(), "ingress.listen");
        Ok(Self { endpoint, local, shared, tasks: Mutex::new(vec![accept, pump]) })
    }

    /// The address that it listens on.
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Answers later submits of this envelope with this receipt, without asking the driver. Receipts that the driver
    /// gives are remembered by themselves; a restarted node names those of its WAL.
    pub fn remember(&self, envelope: Hash, receipt: String) {
        self.shared.receipts.remember(envelope, receipt);
    }

    /// Refuses what is new (`SHUTTING_DOWN`), lets what runs finish within the request deadline, then closes.
    pub async fn shutdown(&self) {
        self.shared.stopping.store(true, Ordering::Release);
        let deadline = Duration::from_millis(self.shared.limits.request_ms);
        let mut running = self.shared.running.subscribe();
        timeout(deadline, running.wait_for(|n| *n == 0)).await.ok();
        self.endpoint.close(CloseCode::ShuttingDown.code(), Reason::ShuttingDown.name().as_bytes());
        timeout(deadline, self.endpoint.wait_idle()).await.ok();
        self.abort();
        tracing::info!(local = %self.local, "ingress.stop");
    }

    fn abort(&self) {
        for task in self.tasks.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            task.abort();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.endpoint.close(CloseCode::ShuttingDown.code(), Reason::ShuttingDown.name().as_bytes());
        self.abort();
    }
}

/// Takes events from the driver, once for all subscribers.
async fn pump(mut events: broadcast::Receiver<Event>, shared: Arc<Shared>) {
    loop {
        match events.recv().await {
            Ok(event) => shared.hub.push(&event),
            Err(broadcast::error::RecvError::Lagged(dropped)) => {
                shared.counters.add(Counter::EventsDropped, dropped);
                shared.hub.push(&Event::Gap { dropped });
            }
            Err(broadcast::error::RecvError::Closed) => return,
        }
    }
}

/// A number that is one higher while it lives.
struct Running<'a>(&'a watch::Sender<usize>);

impl<'a> Running<'a> {
    fn new(count: &'a watch::Sender<usize>) -> Self {
        count.send_modify(|n| *n = n.saturating_add(1));
        Self(count)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|n| *n = n.saturating_sub(1));
    }
}

async fn accept(endpoint: quinn::Endpoint, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    let half_open = Arc::new(watch::Sender::new(0usize));
    let mut number = 0u64;
    loop {
        let incoming = tokio::select! {
            incoming = endpoint.accept() => incoming,
            Some(_ended) = connections.join_next() => continue,
        };
        let Some(incoming) = incoming else { break };
        let now = (shared.clock)();
        shared.prefixes.expire(now);
        let prefix = Prefix::of(incoming.remote_address().ip());
        let waiting = *half_open.borrow();
        // No counter of a prefix is touched before a handshake has proved the address: a forged one would spend another's.
        let full = waiting >= shared.limits.incoming_max || shared.connections.available_permits() == 0;
        if full || !shared.prefixes.admits(prefix, shared.limits.prefix_connections_max, now) {
            shared.counters.add(Counter::TurnedAway, 1);
            incoming.refuse();
            continue;
        }
        if waiting >= shared.limits.retry_above && !incoming.remote_address_validated() && incoming.may_retry() {
            shared.counters.add(Counter::Retry, 1);
            incoming.retry().ok();
            continue;
        }
        number = number.saturating_add(1);
        let peer = Peer { prefix, connection: number };
        connections.spawn(connect(incoming, peer, Arc::clone(&shared), Arc::clone(&half_open)));
    }
    // The endpoint is closed. A connection whose last handle goes before it has heard of that closes with code 0.
    while connections.join_next().await.is_some() {}
}

/// A handshake, then the connection until it ends.
async fn connect(incoming: quinn::Incoming, peer: Peer, shared: Arc<Shared>, half_open: Arc<watch::Sender<usize>>) {
    let waiting = Running::new(&half_open);
    let handshake = async { incoming.accept()?.await };
    let Ok(Ok(connection)) = timeout(Duration::from_millis(shared.limits.request_ms), handshake).await else {
        shared.counters.add(Counter::HandshakeFailed, 1);
        return;
    };
    drop(waiting);
    let place = shared.prefixes.enter(peer.prefix, shared.limits.prefix_connections_max);
    let (Some(place), Ok(_permit)) = (place, shared.connections.try_acquire()) else {
        shared.counters.add(Counter::TurnedAway, 1);
        close(&connection, CloseCode::TooMany, "TOO_MANY");
        return;
    };
    shared.counters.add(Counter::Connection, 1);
    tracing::debug!(prefix = %peer.prefix, connection = peer.connection, "ingress.connect");
    Arc::new(Client::new(connection, peer, &shared, place)).serve().await;
    tracing::debug!(prefix = %peer.prefix, connection = peer.connection, "ingress.disconnect");
}

struct Buckets {
    requests: Bucket,
    bytes: Bucket,
}

/// One connection.
struct Client {
    connection: quinn::Connection,
    peer: Peer,
    shared: Arc<Shared>,
    buckets: Mutex<Buckets>,
    /// Bytes that running requests may hold together; whoever finds none left waits, and QUIC holds the sender back.
    room: Semaphore,
    strikes: AtomicU32,
    subscriptions: AtomicU32,
    _place: PrefixGuard,
}

/// How the reading of a request ended.
enum Unread {
    /// Answer this.
    Refuse(Refusal),
    /// Nobody is there to answer.
    Gone,
}

impl From<Refusal> for Unread {
    fn from(refusal: Refusal) -> Self {
        Self::Refuse(refusal)
    }
}

fn refusal(reason: Reason, detail: &str) -> Refusal {
    Refusal::new(reason, detail)
}

impl Client {
    fn new(connection: quinn::Connection, peer: Peer, shared: &Arc<Shared>, place: PrefixGuard) -> Self {
        let now = (shared.clock)();
        let limits = &shared.limits;
        Self {
            connection,
            peer,
            shared: Arc::clone(shared),
            buckets: Mutex::new(Buckets {
                requests: Bucket::full(limits.requests_per_s, now),
                bytes: Bucket::full(limits.bytes_per_s, now),
            }),
            room: Semaphore::new(usize::try_from(limits.connection_window).unwrap_or(usize::MAX >> 4)),
            strikes: AtomicU32::new(0),
            subscriptions: AtomicU32::new(0),
            _place: place,
        }
    }

    async fn serve(self: Arc<Self>) {
        let mut streams = JoinSet::new();
        loop {
            tokio::select! {
                stream = self.connection.accept_bi() => match stream {
                    Ok((send, recv)) => { streams.spawn(Arc::clone(&self).stream(send, recv)); }
                    Err(_ended) => break,
                },
                Some(_ended) = streams.join_next() => {}
            }
        }
        // Requests in the driver's hands go on there; their answers have no reader.
        streams.shutdown().await;
    }

    async fn stream(self: Arc<Self>, mut send: quinn::SendStream, mut recv: quinn::RecvStream) {
        // Until the client has its answer: a shutdown waits for that.
        let running = Running::new(&self.shared.running);
        let deadline = core::pin::pin!(sleep(Duration::from_millis(self.shared.limits.request_ms)));
        match self.answer(&mut recv, deadline).await {
            Ok(Reply::Frame(bytes)) => self.finish(&mut send, &bytes).await,
            Ok(Reply::Feed(subscribe)) => {
                if let Some(_place) = self.subscription() {
                    let Ok(uni) = self.connection.open_uni().await else { return };
                    self.finish(&mut send, &frame(answer::SEEN, &[])).await;
                    drop(running);
                    self.feed(uni, subscribe).await;
                } else {
                    let refused = refusal(Reason::Quota, "subscriptions of the connection");
                    self.finish(&mut send, &self.refused(&refused)).await;
                }
            }
            Err(Unread::Refuse(refused)) => {
                recv.stop(CloseCode::Protocol.code()).ok();
                self.finish(&mut send, &self.refused(&refused)).await;
            }
            Err(Unread::Gone) => {
                self.shared.counters.add(Counter::Unanswered, 1);
                send.reset(CloseCode::Deadline.code()).ok();
            }
        }
    }

    /// Writes the one frame of an answer, and gives the client as long to take it as the request had.
    async fn finish(&self, send: &mut quinn::SendStream, bytes: &[u8]) {
        let write = async {
            if send.write_all(bytes).await.is_ok() && send.finish().is_ok() {
                send.stopped().await.ok();
            }
        };
        timeout(Duration::from_millis(self.shared.limits.request_ms), write).await.ok();
    }

    /// The frame of a refusal, counted.
    fn refused(&self, refused: &Refusal) -> Vec<u8> {
        if let Some(reason) = refused.known() {
            self.shared.counters.add(Counter::Refused(reason), 1);
        }
        frame(answer::ERROR, &codec::encode(refused))
    }

    async fn answer(&self, recv: &mut quinn::RecvStream, mut deadline: Pin<&mut Sleep>) -> Result<Reply, Unread> {
        let (kind, asked, room) = tokio::select! {
            read = self.read(recv) => read?,
            () = deadline.as_mut() => return Err(Unread::Gone),
        };
        self.shared.counters.add(Counter::Request, 1);
        let request = match asked {
            Asked::Subscribe(subscribe) => return Ok(Reply::Feed(subscribe)),
            Asked::Request(request) => request,
        };
        let submitted =
            if let Request::Submit { envelope, .. } = &request { Some(envelope_hash(envelope)) } else { None };
        if let Some(note) = submitted.and_then(|hash| self.shared.receipts.get(&hash)) {
            self.shared.counters.add(Counter::Duplicate, 1);
            return Ok(Reply::Frame(Answer::Receipt(note).frame()));
        }
        let (reply, answered) = oneshot::channel();
        let inbound = Inbound { request, reply, peer: self.peer };
        self.shared.inbound.try_send(inbound).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => refusal(Reason::Busy, "queue"),
            mpsc::error::TrySendError::Closed(_) => refusal(Reason::ShuttingDown, ""),
        })?;
        let answered = tokio::select! {
            answered = answered => answered,
            () = deadline => return Err(refusal(Reason::Busy, "deadline").into()),
        };
        drop(room);
        match answered {
            Ok(Ok(answer)) if answer.answers(kind) => {
                if let (Some(hash), Answer::Receipt(note)) = (submitted, &answer) {
                    self.shared.receipts.remember(hash, note.clone());
                }
                Ok(Reply::Frame(answer.frame()))
            }
            Ok(Ok(_other_kind)) => {
                tracing::error!(?kind, "ingress.answer_of_another_kind");
                Err(refusal(Reason::Busy, "answer").into())
            }
            Ok(Err(refused)) => {
                self.strike(&refused);
                Err(refused.into())
            }
            Err(_dropped) => Err(refusal(Reason::Busy, "dropped").into()),
        }
    }

    /// Length, quota, bytes, decode: in the order of what they cost.
    async fn read(
        &self,
        recv: &mut quinn::RecvStream,
    ) -> Result<(RequestKind, Asked, tokio::sync::SemaphorePermit<'_>), Unread> {
        let mut header = [0; HEADER_BYTES];
        match recv.read_exact(&mut header).await {
            Ok(()) => {}
            Err(quinn::ReadExactError::FinishedEarly(_)) => return Err(refusal(Reason::MalformedData, "header").into()),
            Err(quinn::ReadExactError::ReadError(_)) => return Err(Unread::Gone),
        }
        let header = FrameHeader::parse(header);
        if self.shared.stopping.load(Ordering::Acquire) {
            return Err(refusal(Reason::ShuttingDown, "").into());
        }
        self.charge(1, 0)?;
        let kind = RequestKind::from_number(header.kind).ok_or_else(|| refusal(Reason::Unsupported, "kind"))?;
        let len = header.within(kind.bytes_max()).ok_or_else(|| refusal(Reason::OversizedData, "length"))?;
        self.charge(0, header.len)?;
        let room = self.room.acquire_many(header.len).await.map_err(|_closed| Unread::Gone)?;
        let bytes = match recv.read_to_end(len).await {
            Ok(bytes) if bytes.len() == len => bytes,
            Ok(_short) => return Err(refusal(Reason::MalformedData, "shorter than its length").into()),
            Err(quinn::ReadToEndError::TooLong) => {
                return Err(refusal(Reason::MalformedData, "longer than its length").into());
            }
            Err(quinn::ReadToEndError::Read(_)) => return Err(Unread::Gone),
        };
        Ok((kind, decode_request(kind, bytes)?, room))
    }

    fn charge(&self, requests: u64, bytes: u32) -> Result<(), Refusal> {
        let now = (self.shared.clock)();
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = buckets.requests.take(requests, now).and_then(|()| buckets.bytes.take(bytes.into(), now));
        taken.map_err(|wait_ms| Refusal { retry_after_ms: wait_ms, ..refusal(Reason::Quota, "connection") })
    }

    /// Counts a bad signature or proof; at the limit the connection ends and its prefix waits.
    fn strike(&self, refused: &Refusal) {
        if !matches!(refused.known(), Some(Reason::WrongSignature | Reason::BadCiphertext)) {
            return;
        }
        let strikes = self.strikes.fetch_add(1, Ordering::AcqRel).saturating_add(1);
        if strikes == self.shared.limits.strikes_max {
            let until = (self.shared.clock)().plus(self.shared.limits.hold_ms);
            self.shared.prefixes.hold(self.peer.prefix, until);
            self.shared.counters.add(Counter::Held, 1);
            tracing::info!(prefix = %self.peer.prefix, connection = self.peer.connection, "ingress.hold");
            close(&self.connection, CloseCode::BadSignatures, refused.reason.as_str());
        }
    }

    fn subscription(&self) -> Option<SubscriptionGuard<'_>> {
        let max = self.shared.limits.subscriptions_max;
        let counted = self
            .subscriptions
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |n| if n < max { n.checked_add(1) } else { None });
        counted.ok().map(|_before| SubscriptionGuard(&self.subscriptions))
    }

    /// Writes events until the client or the server is gone. While a write waits for the client, events pass by.
    async fn feed(&self, mut uni: quinn::SendStream, subscribe: Subscribe) {
        let mut feed = self.shared.hub.feed(subscribe.from_slot);
        let first =
            core::iter::once(gap(feed.gone)).chain(core::mem::take(&mut feed.kept).into_iter().map(|f| f.bytes()));
        for bytes in first {
            if uni.write_chunk(bytes).await.is_err() {
                return;
            }
        }
        loop {
            let bytes = match feed.live.recv().await {
                Ok(frame) if frame.is_from(subscribe.from_slot) => frame.bytes(),
                Ok(_earlier) => continue,
                Err(broadcast::error::RecvError::Lagged(dropped)) => {
                    self.shared.counters.add(Counter::EventsDropped, dropped);
                    gap(dropped)
                }
                Err(broadcast::error::RecvError::Closed) => return,
            };
            if uni.write_chunk(bytes).await.is_err() {
                return;
            }
        }
    }
}

enum Reply {
    Frame(Vec<u8>),
    Feed(Subscribe),
}

struct SubscriptionGuard<'a>(&'a AtomicU32);

impl Drop for SubscriptionGuard<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}
