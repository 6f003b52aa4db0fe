//! Configuration of one member: one TOML file, unknown keys refused by name.
use crate::passphrase::Lock;
use serde::{Deserialize, Serialize};
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

/// `node.toml`. Times, limits and prices are the network's, not a node's: they stand in `network.toml`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NodeConfig {
    /// Index of this member at genesis; of one that joins later, a number of its own.
    pub member: u16,
    /// This member is not one of genesis: it follows the log until a change of the committee takes it in, and needs
    /// addresses of its own below.
    pub joins: bool,
    /// Everything of this member: keys, log, WAL, engine journal. Relative to the config file.
    pub data: PathBuf,
    /// Where the committee's transport listens (TCP). Empty: the address in network.toml.
    pub p2p_listen: String,
    /// Where clients connect (QUIC, UDP). Empty: the address in network.toml.
    pub quic_listen: String,
    /// Where log, read API, metrics and health are served (HTTP, TCP). Empty: the address in network.toml.
    pub http_listen: String,
    /// File with the passphrase of `identity.key` and `share.lks`; empty: they are plain.
    #[serde(alias = "share_passphrase_file")]
    pub passphrase_file: PathBuf,
    /// Worker threads of the consensus engine.
    pub engine_threads: usize,
    /// Bytes of a segment of the receipt WAL.
    pub wal_segment_bytes: u64,
    /// With less free disk than this the member does not start, and gives no receipts while it runs.
    pub min_free_bytes: u64,
    /// With a clock that differs by more than this from those of more than f peers the member does not start; 0: it does.
    pub clock_skew_max_ms: u64,
    /// Filter of the log on stderr, as in `RUST_LOG`.
    pub log: String,
    /// What opens the key files: of `passphrase_file`, or of the command line.
    #[serde(skip)]
    pub lock: Lock,
}

impl Default for NodeConfig {
    fn default() -> Self {
        Self {
            member: 0,
            joins: false,
            data: PathBuf::from("."),
            p2p_listen: String::new(),
            quic_listen: String::new(),
            http_listen: String::new(),
            passphrase_file: PathBuf::new(),
            engine_threads: 2,
            wal_segment_bytes: 4 << 20,
            min_free_bytes: 1 << 30,
            clock_skew_max_ms: 5_000,
            log: "info".into(),
            lock: Lock::Plain,
        }
    }
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Not the TOML that is expected; the text names the key.
    #[error("{path}: {source}")]
    Toml {
        /// Which.
        path: PathBuf,
        /// Why.
        source: Box<toml::de::Error>,
    },
    /// An address does not parse.
    #[error("{key}: not an address: {text}")]
    Address {
        /// Key.
        key: &'static str,
        /// Text.
        text: String,
    },
}

impl NodeConfig {
    /// Reads a config file; `data` becomes relative to its folder.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text =
            std::fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.to_path_buf(), source })?;
        let mut config: Self = toml::from_str(&text)
            .map_err(|source| ConfigError::Toml { path: path.to_path_buf(), source: Box::new(source) })?;
        let folder = path.parent().unwrap_or(Path::new("."));
        // without the "." of the default, which people would read in every message
        config.data = folder.join(&config.data).components().collect();
        if !config.passphrase_file.as_os_str().is_empty() {
            let path = folder.join(&config.passphrase_file);
            config.lock = Lock::file(&path).map_err(|source| ConfigError::Read { path, source })?;
        }
        Ok(config)
    }

    /// The defaults, as a commented file.
    #[must_use]
    pub fn print_default() -> String {
        let header = "# lockstep node: one member. Empty addresses are those of network.toml.\n";
        format!("{header}{}", toml::to_string(&Self::default()).unwrap_or_default())
    }
}

/// The address to listen on: the config's, or else the network's.
///
/// # Errors
/// [`ConfigError::Address`].
pub fn listen(key: &'static str, own: &str, network: &str) -> Result<SocketAddr, ConfigError> {
    let text = if own.is_empty() { network } else { own };
    text.parse().map_err(|_no_address| ConfigError::Address { key, text: text.into() })
}

#[cfg(test)]
mod tests {
    // Goal: the printed default is what is read back, and unknown keys are refused by name.
    use super::*;

    #[test]
    fn the_printed_default_reads_back() {
        let config: NodeConfig = toml::from_str(&NodeConfig::print_default()).unwrap();
        assert_eq!(config, NodeConfig::default());
    }

    #[test]
    fn an_unknown_key_is_refused_by_name() {
        let error = toml::from_str::<NodeConfig>("membr = 1").unwrap_err();
        assert!(error.to_string().contains("membr"), "{error}");
    }
}
