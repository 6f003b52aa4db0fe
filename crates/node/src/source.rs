//! Where an audit reads from: a folder, or a member over HTTP.
use crate::files::genesis_name;
use http_body_util::{BodyExt as _, Empty, Full, Limited};
use hyper::{Request, body::Body, header};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};
use tlog::tiles::Tile;
use tokio::runtime::Handle;
use types::{ChainId, Slot, limits};

/// Why a source cannot be read. What it does not have is no error.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum SourceError {
    /// Not an address.
    #[error("{0}: not an http:// address")]
    Address(String),
    /// A file.
    #[error("{path}: {source}")]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file or answer larger than it may be.
    #[error("{0}: too large")]
    TooLarge(String),
    /// The server does not answer.
    #[error("{url}: {reason}")]
    Http {
        /// What was asked for.
        url: String,
        /// Why not.
        reason: String,
    },
}

/// A source of log bytes. Nothing in them is believed.
#[derive(Debug)]
pub(crate) enum Source {
    /// A member's folder (with `log/`) or a mirror of what is served.
    Folder(PathBuf),
    /// A member's address.
    Http(Http),
}

type HttpClient = Client<HttpConnector, Empty<bytes::Bytes>>;

fn client<B>() -> Client<HttpConnector, B>
where
    B: Body + Send,
    B::Data: Send,
{
    let mut connector = HttpConnector::new();
    connector.set_connect_timeout(Some(CONNECT_WITHIN));
    Client::builder(TokioExecutor::new()).build(connector)
}

/// `http://host:port`, its connections, and the runtime that asks.
#[derive(Debug)]
pub(crate) struct Http {
    base: String,
    client: HttpClient,
    runtime: Handle,
}

/// Until a connection stands.
const CONNECT_WITHIN: Duration = Duration::from_secs(2);
/// Until a small answer is here.
const SMALL_WITHIN: Duration = Duration::from_secs(3);
const SMALL_BYTES: usize = 1 << 20;
/// Until any other is here: the largest is a bundle of 16 MiB.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

impl Source {
    pub(crate) fn open(text: &str) -> Result<Self, SourceError> {
        if text.starts_with("http://") {
            return Ok(Self::http(text));
        }
        if text.contains("://") {
            return Err(SourceError::Address(text.into()));
        }
        Ok(Self::folder(Path::new(text)))
    }

    /// An `http://` address. To be called inside a runtime; the answers are waited for on threads outside of it.
    pub(crate) fn http(base: &str) -> Self {
        Self::Http(Http { base: base.trim_end_matches('/').to_owned(), client: client(), runtime: Handle::current() })
    }

    pub(crate) fn folder(path: &Path) -> Self {
        Self::Folder(path.to_path_buf())
    }

    /// What is served under this path.
    pub(crate) fn get(&self, path: &str) -> Result<Option<Vec<u8>>, SourceError> {
        self.get_within(path, limits::NETWORK_FILE_BYTES_MAX)
    }

    /// What is served under this path, of at most `max` bytes.
    pub(crate) fn get_within(&self, path: &str, max: usize) -> Result<Option<Vec<u8>>, SourceError> {
        match self {
            Self::Folder(folder) => {
                let in_member = read(&folder.join("log").join(path), max)?;
                if in_member.is_some() { Ok(in_member) } else { read(&folder.join(path), max) }
            }
            Self::Http(http) => http.runtime.block_on(ask(&http.client, format!("{}/{path}", http.base), max)),
        }
    }

    /// A tile; a partial one may be cut from a wider one that has taken its place.
    pub(crate) fn tile(&self, tile: &Tile, max: usize) -> Result<Option<Vec<u8>>, SourceError> {
        let exact = self.get_within(&tile.to_string(), max)?;
        if exact.is_some() || matches!(self, Self::Http(_)) {
            return Ok(exact);
        }
        for width in (tile.width().saturating_add(1))..=256 {
            let Some(wider) = Tile::new(tile.level(), tile.index(), width) else { continue };
            if let Some(bytes) = self.get_within(&wider.to_string(), wider.bytes_max())? {
                return Ok(tile.cut(&bytes).ok().map(<[u8]>::to_vec));
            }
        }
        Ok(None)
    }

    pub(crate) fn finality(&self, slot: Slot) -> Result<Option<Vec<u8>>, SourceError> {
        self.either(&format!("finality/{slot}"), &format!("lockstep/v1/finality/{slot}"), limits::FINALITY_BYTES_MAX)
    }

    pub(crate) fn network(&self) -> Result<Option<Vec<u8>>, SourceError> {
        self.either("network.toml", "lockstep/v1/network", limits::NETWORK_FILE_BYTES_MAX)
    }

    pub(crate) fn genesis(&self, chain: ChainId) -> Result<Option<Vec<u8>>, SourceError> {
        let served = format!("lockstep/v1/rollup/{chain}/genesis.json");
        self.either(&genesis_name(chain), &served, limits::NETWORK_FILE_BYTES_MAX)
    }

    /// A member's folder has its own name for it; a mirror has the served one.
    fn either(&self, own: &str, served: &str, max: usize) -> Result<Option<Vec<u8>>, SourceError> {
        if let Self::Folder(folder) = self {
            let bytes = read(&folder.join(own), max)?;
            if bytes.is_some() {
                return Ok(bytes);
            }
        }
        self.get_within(served, max)
    }
}

fn read(path: &Path, max: usize) -> Result<Option<Vec<u8>>, SourceError> {
    let failed = |source| SourceError::Io { path: path.to_path_buf(), source };
    let size = match std::fs::metadata(path) {
        Ok(meta) if meta.is_file() => meta.len(),
        Ok(_) => return Ok(None),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    if usize::try_from(size).map_or(true, |size| size > max) {
        return Err(SourceError::TooLarge(path.display().to_string()));
    }
    std::fs::read(path).map(Some).map_err(failed)
}

/// One answer of an address that is asked now and then.
pub(crate) async fn fetch(url: String, max: usize) -> Result<Option<Vec<u8>>, SourceError> {
    ask(&client(), url, max).await
}

/// Asks one address again and again over the connections that it keeps.
#[derive(Debug)]
pub(crate) struct Asker(HttpClient);

impl Asker {
    pub(crate) fn new() -> Self {
        Self(client())
    }
    /// An answer of at most `max` bytes.
    pub(crate) async fn get(&self, url: String, max: usize) -> Result<Option<Vec<u8>>, SourceError> {
        ask(&self.0, url, max).await
    }
}

/// Sends bytes to an address; the status and at most `max` bytes of the answer.
pub(crate) async fn post(url: String, bytes: Vec<u8>, max: usize) -> Result<(u16, Vec<u8>), SourceError> {
    let failed = |reason: String| SourceError::Http { url: url.clone(), reason };
    let client: Client<HttpConnector, Full<bytes::Bytes>> = client();
    let request = Request::post(&url).header(header::CONTENT_TYPE, "application/octet-stream");
    let request = request.body(Full::from(bytes)).map_err(|_uri| SourceError::Address(url.clone()))?;
    let answer = async {
        let answer = client.request(request).await.map_err(|error| failed(error.to_string()))?;
        let status = answer.status().as_u16();
        let body = Limited::new(answer.into_body(), max).collect().await;
        body.map(|body| (status, body.to_bytes().to_vec())).map_err(|error| failed(error.to_string()))
    };
    let answer = tokio::time::timeout(SMALL_WITHIN, answer).await;
    answer.unwrap_or_else(|_late| Err(failed(format!("no answer within {} s", SMALL_WITHIN.as_secs()))))
}

async fn ask(client: &HttpClient, url: String, max: usize) -> Result<Option<Vec<u8>>, SourceError> {
    let failed = |reason: String| SourceError::Http { url: url.clone(), reason };
    let uri = url.parse().map_err(|_uri| SourceError::Address(url.clone()))?;
    let answer = async {
        let answer = client.get(uri).await.map_err(|error| failed(error.to_string()))?;
        match answer.status().as_u16() {
            200 => {}
            404 => return Ok(None),
            status => return Err(failed(format!("status {status}"))),
        }
        let body = Limited::new(answer.into_body(), max).collect().await;
        body.map(|body| Some(body.to_bytes().to_vec())).map_err(|error| failed(error.to_string()))
    };
    let within = if max <= SMALL_BYTES { SMALL_WITHIN } else { ANSWER_WITHIN };
    let answer = tokio::time::timeout(within, answer).await;
    answer.unwrap_or_else(|_late| Err(failed(format!("no answer within {} s", within.as_secs()))))
}
