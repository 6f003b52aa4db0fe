//! Read-only HTTP of one member: the log as C2SP tiles, what stands beside it, metrics and health.
//!
//! | path | answer |
//! |---|---|
//! | `/checkpoint` | newest head with a quorum of cosignatures |
//! | `/tile/<L>/<N>[.p/<W>]`, `/tile/entries/<N>[.p/<W>]` | tiles and entry bundles; partial ones are cut from wider ones |
//! | `/lockstep/v1/network` | network.toml |
//! | `/lockstep/v1/rollup/<id>/genesis.json` | a rollup's genesis |
//! | `/lockstep/v1/policy`, `?log=m<i>` | who must have signed a checkpoint |
//! | `/lockstep/v1/finality/<slot>` | headers and votes that prove a block final, codec bytes |
//! | `/lockstep/v1/head/<slot>` | the checkpoint that was published for a slot |
//! | `/lockstep/v1/faults`, `/lockstep/v1/faults/<name>` | evidence that this member came across: JSON, and a piece's bytes |
//! | `/lockstep/v1/epoch` | the newest EPOCH, its leaf hash, and where its members are reached: JSON |
//! | `/lockstep/v1/committee` | the same of the EPOCH that works now |
//! | `/lockstep/v1/tail/<n>` | entries from the n-th on that no head covers yet: how a slot opens; how an epoch ends |
//! | `POST /lockstep/v1/operations` | codec bytes of a change of the committee or a step of a handover: 202, or JSON that says why not |
//! | `/lockstep/v1/status` | how this member is: JSON, unsigned |
//! | `/relay/v1/data/bidtraces/*`, `/lockstep/v1/auction/<slot>`, `/lockstep/v1/builders` | auctions and builders: [`crate::data`] |
//! | `/metrics`, `/healthz`, `/readyz` | Prometheus text, liveness, readiness |
use crate::{
    clock, data,
    disk::Served,
    driver::{Handle, Message},
    evidence, files,
    health::{Health, State as HealthState},
    metrics::Metrics,
    page::Page,
};
use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, Path as UrlPath, Query, State},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use serde::Deserialize;
use serde_json::json;
use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};
use tlog::{checkpoint::Policy, note::Note, tiles::Tile};
use tokio::{
    sync::{Semaphore, oneshot},
    task::JoinSet,
};
use types::{MemberId, limits, reason::Reason, wire::Refusal};

/// What the handlers read.
pub(crate) struct Shared {
    pub(crate) member: MemberId,
    pub(crate) folder: PathBuf,
    pub(crate) served: Served,
    pub(crate) policy: Policy,
    pub(crate) metrics: Metrics,
    pub(crate) engine: Arc<dyn Fn() -> String + Send + Sync>,
    pub(crate) health: Arc<Health>,
    pub(crate) page: Page,
    pub(crate) data: Arc<data::Data>,
    /// Takes operations; `None`: this member only follows.
    pub(crate) driver: Option<Handle>,
}

impl core::fmt::Debug for Shared {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Shared").field("member", &self.member).finish_non_exhaustive()
    }
}

type App = State<Arc<Shared>>;

/// Binds the address.
///
/// # Errors
/// The operating system's.
pub(crate) async fn bind(listen: SocketAddr) -> std::io::Result<tokio::net::TcpListener> {
    tokio::net::TcpListener::bind(listen).await
}

/// Connections at a time; more wait in the listener's backlog.
const CONNECTIONS_MAX: usize = 256;
/// A request's header must be there within this, and a connection may idle for it.
const HEADER_WITHIN: Duration = Duration::from_secs(5);
/// Nothing that is served takes longer.
const CONNECTION_WITHIN: Duration = Duration::from_secs(300);

/// Serves until `stop` resolves; then running answers are cut off.
pub(crate) async fn serve(
    listener: tokio::net::TcpListener,
    shared: Arc<Shared>,
    stop: impl Future<Output = ()> + Send + 'static,
) {
    // ends with the server
    let mut reader = JoinSet::new();
    reader.spawn(Arc::clone(&shared.data).follow(shared.served.clone()));
    let app = Router::new()
        .route("/checkpoint", get(checkpoint))
        .route("/tile/{*path}", get(tile))
        .route("/lockstep/v1/network", get(network))
        .route("/lockstep/v1/rollup/{id}/genesis.json", get(genesis))
        .route("/lockstep/v1/policy", get(policy))
        .route("/lockstep/v1/finality/{slot}", get(finality))
        .route("/lockstep/v1/head/{slot}", get(head))
        .route("/lockstep/v1/faults", get(faults))
        .route("/lockstep/v1/faults/{name}", get(fault))
        .route("/lockstep/v1/epoch", get(epoch))
        .route("/lockstep/v1/committee", get(committee))
        .route("/lockstep/v1/tail/{first}", get(tail))
        .route("/lockstep/v1/operations", post(operation))
        .layer(DefaultBodyLimit::max(limits::OPERATION_BYTES_MAX))
        .route("/metrics", get(prometheus))
        .route("/lockstep/v1/status", get(status))
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .merge(data::routes())
        .with_state(shared);
    serve_app(listener, app, stop).await;
}

/// Serves any paths, within the same bounds.
pub(crate) async fn serve_app(
    listener: tokio::net::TcpListener,
    app: Router,
    stop: impl Future<Output = ()> + Send + 'static,
) {
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    let mut stop = std::pin::pin!(stop);
    loop {
        let accepted = async {
            let slot = Arc::clone(&slots).acquire_owned().await.ok();
            (slot, listener.accept().await)
        };
        let (slot, accepted) = tokio::select! {
            () = &mut stop => return,
            accepted = accepted => accepted,
        };
        while connections.try_join_next().is_some() {}
        match accepted {
            Ok((stream, _)) => {
                let app = app.clone();
                connections.spawn(async move {
                    tokio::time::timeout(CONNECTION_WITHIN, connection(stream, app)).await.ok();
                    drop(slot);
                });
            }
            // out of descriptors: what is open must end first
            Err(error) => {
                tracing::warn!(%error, "http.accept");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn connection(stream: tokio::net::TcpStream, app: Router) {
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_WITHIN)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(app))
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "http.connection");
    }
}

const FOREVER: &str = "public, max-age=31536000, immutable";
const BRIEF: &str = "max-age=1";

fn answer(bytes: Option<Vec<u8>>, kind: &'static str, cache: &'static str) -> Response {
    let Some(bytes) = bytes else { return StatusCode::NOT_FOUND.into_response() };
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
        (header::CACHE_CONTROL, HeaderValue::from_static(cache)),
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*")),
    ];
    (headers, bytes).into_response()
}

/// Reads files off the runtime's own threads.
async fn read(shared: Arc<Shared>, read: impl FnOnce(&Shared) -> Option<Vec<u8>> + Send + 'static) -> Option<Vec<u8>> {
    tokio::task::spawn_blocking(move || read(&shared)).await.ok().flatten()
}

async fn checkpoint(State(shared): App) -> Response {
    answer(read(shared, |s| s.served.checkpoint()).await, "text/plain; charset=utf-8", BRIEF)
}

async fn tile(State(shared): App, UrlPath(path): UrlPath<String>) -> Response {
    let Ok(tile) = Tile::parse(&format!("tile/{path}")) else { return StatusCode::NOT_FOUND.into_response() };
    answer(read(shared, move |s| s.served.tile(&tile)).await, "application/octet-stream", FOREVER)
}

async fn finality(State(shared): App, UrlPath(slot): UrlPath<u64>) -> Response {
    answer(read(shared, move |s| s.served.finality(types::Slot(slot))).await, "application/octet-stream", FOREVER)
}

async fn head(State(shared): App, UrlPath(slot): UrlPath<u64>) -> Response {
    answer(read(shared, move |s| s.served.head(types::Slot(slot))).await, "text/plain; charset=utf-8", FOREVER)
}

async fn faults(State(shared): App) -> Response {
    answer(read(shared, |s| evidence::list(&s.folder)).await, "application/json", BRIEF)
}

async fn fault(State(shared): App, UrlPath(name): UrlPath<String>) -> Response {
    answer(read(shared, move |s| evidence::read(&s.folder, &name)).await, "application/octet-stream", FOREVER)
}

async fn epoch(State(shared): App) -> Response {
    answer(shared.page.newest().and_then(|page| serde_json::to_vec(&*page).ok()), "application/json", BRIEF)
}

async fn committee(State(shared): App) -> Response {
    answer(shared.page.now().and_then(|page| serde_json::to_vec(&*page).ok()), "application/json", BRIEF)
}

async fn tail(State(shared): App, UrlPath(first): UrlPath<u64>) -> Response {
    answer(read(shared, move |s| s.served.tail(first)).await, "application/octet-stream", "no-store")
}

/// Longest wait for the driver.
const OPERATION_WITHIN: Duration = Duration::from_secs(3);

async fn operation(State(shared): App, body: Bytes) -> Response {
    let refused = |status: StatusCode, refusal: &Refusal| {
        let Refusal { reason, detail, .. } = refusal;
        (status, axum::Json(json!({"reason": reason, "detail": detail}))).into_response()
    };
    let Some(driver) = &shared.driver else {
        let refusal = Refusal::new(Reason::Unsupported, "this member only follows the log");
        return refused(StatusCode::SERVICE_UNAVAILABLE, &refusal);
    };
    let (reply, verdict) = oneshot::channel();
    driver.send(Message::Operation { bytes: body.to_vec(), reply });
    match tokio::time::timeout(OPERATION_WITHIN, verdict).await {
        Ok(Ok(Ok(()))) => StatusCode::ACCEPTED.into_response(),
        Ok(Ok(Err(refusal))) => {
            let passing = [Some(Reason::Busy), Some(Reason::ShuttingDown)].contains(&refusal.known());
            refused(if passing { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::BAD_REQUEST }, &refusal)
        }
        Ok(Err(_)) | Err(_) => {
            refused(StatusCode::SERVICE_UNAVAILABLE, &Refusal::new(Reason::Busy, "no answer in time"))
        }
    }
}

async fn network(State(shared): App) -> Response {
    let file = |s: &Shared| files::read(&s.folder.join(files::NETWORK_FILE), limits::NETWORK_FILE_BYTES_MAX).ok();
    answer(read(shared, file).await, "application/toml", BRIEF)
}

async fn genesis(State(shared): App, UrlPath(id): UrlPath<u64>) -> Response {
    let name = files::genesis_name(types::ChainId(id));
    let file = move |s: &Shared| files::read(&s.folder.join(name), limits::NETWORK_FILE_BYTES_MAX).ok();
    answer(read(shared, file).await, "application/json", FOREVER)
}

#[derive(Deserialize)]
struct PolicyQuery {
    log: Option<String>,
}

async fn policy(State(shared): App, Query(query): Query<PolicyQuery>) -> Response {
    let text = match query.log {
        None => Some(shared.policy.text()),
        Some(log) => {
            let member = log.strip_prefix('m').and_then(|i| i.parse().ok());
            member.and_then(|i| shared.policy.text_for_log(MemberId(i)))
        }
    };
    answer(text.map(String::into_bytes), "text/plain; charset=utf-8", BRIEF)
}

async fn prometheus(State(shared): App) -> Response {
    let text = format!("{}{}", shared.metrics.render(shared.member), (shared.engine)());
    answer(Some(text.into_bytes()), "text/plain; version=0.0.4", "no-store")
}

async fn readyz(State(shared): App) -> Response {
    let state = shared.health.state(clock::now());
    let status = if state == HealthState::Ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, format!("{}\n", state.name())).into_response()
}

async fn healthz(State(shared): App) -> Response {
    if shared.health.is_alive(clock::now()) {
        "ok\n".into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "the driver hangs\n").into_response()
    }
}

async fn status(State(shared): App) -> Response {
    let report = |s: &Shared| {
        let size = s.served.checkpoint().and_then(|note| {
            let note = Note::parse(&note).ok()?;
            tlog::checkpoint::parse(note.text()).ok().map(|(_, head)| head.size)
        });
        serde_json::to_vec(&s.health.report(clock::now(), size)).ok()
    };
    answer(read(shared, report).await, "application/json", "no-store")
}
