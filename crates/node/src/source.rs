//! Where an audit reads from: a folder, or a member over HTTP.
use crate::files::genesis_name;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use std::{
    io,
    path::{Path, PathBuf},
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
    /// `http://host:port`, and the runtime that asks.
    Http(String, Handle),
}

impl Source {
    pub(crate) fn open(text: &str) -> Result<Self, SourceError> {
        if text.starts_with("http://") {
            return Ok(Self::Http(text.trim_end_matches('/').to_owned(), Handle::current()));
        }
        if text.contains("://") {
            return Err(SourceError::Address(text.into()));
        }
        Ok(Self::folder(Path::new(text)))
    }

    pub(crate) fn folder(path: &Path) -> Self {
        Self::Folder(path.to_path_buf())
    }

    /// What is served under this path.
    pub(crate) fn get(&self, path: &str) -> Result<Option<Vec<u8>>, SourceError> {
        self.bytes(path, limits::NETWORK_FILE_BYTES_MAX)
    }

    fn bytes(&self, path: &str, max: usize) -> Result<Option<Vec<u8>>, SourceError> {
        match self {
            Self::Folder(folder) => {
                let in_member = read(&folder.join("log").join(path), max)?;
                if in_member.is_some() { Ok(in_member) } else { read(&folder.join(path), max) }
            }
            Self::Http(base, handle) => handle.block_on(fetch(format!("{base}/{path}"), max)),
        }
    }

    /// A tile; a partial one may be cut from a wider one that has taken its place.
    pub(crate) fn tile(&self, tile: &Tile, max: usize) -> Result<Option<Vec<u8>>, SourceError> {
        let exact = self.bytes(&tile.to_string(), max)?;
        if exact.is_some() || matches!(self, Self::Http(..)) {
            return Ok(exact);
        }
        for width in (tile.width().saturating_add(1))..=256 {
            let Some(wider) = Tile::new(tile.level(), tile.index(), width) else { continue };
            if let Some(bytes) = self.bytes(&wider.to_string(), wider.bytes_max())? {
                return Ok(tile.cut(&bytes).ok().map(<[u8]>::to_vec));
            }
        }
        Ok(None)
    }

    pub(crate) fn finality(&self, slot: Slot) -> Result<Option<Vec<u8>>, SourceError> {
        self.either(&format!("finality/{slot}"), &format!("lockstep/v1/finality/{slot}"), 1 << 20)
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
        self.bytes(served, max)
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

async fn fetch(url: String, max: usize) -> Result<Option<Vec<u8>>, SourceError> {
    let failed = |reason: String| SourceError::Http { url: url.clone(), reason };
    let uri = url.parse().map_err(|_uri| SourceError::Address(url.clone()))?;
    let client: Client<_, Empty<bytes::Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let answer = client.get(uri).await.map_err(|error| failed(error.to_string()))?;
    match answer.status().as_u16() {
        200 => {}
        404 => return Ok(None),
        status => return Err(failed(format!("status {status}"))),
    }
    let body = Limited::new(answer.into_body(), max).collect().await;
    body.map(|body| Some(body.to_bytes().to_vec())).map_err(|error| failed(error.to_string()))
}
