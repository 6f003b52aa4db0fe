//! The files of a network and of a member: `network.toml`, rollup genesis files, keys.
use crate::passphrase::Lock;
use crypto::{ed25519::SigningKey, ids};
use execution::genesis::{self, RollupGenesis};
use keygen::files::{FileError, Protection, Unlock};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use types::{ChainId, Genesis, Hash, MemberRecord, Network, RollupSpec, codec, limits};
use zeroize::Zeroizing;

/// Why files cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FilesError {
    /// A file cannot be read or written.
    #[error("{path}: {source}")]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file is larger than it may be.
    #[error("{path}: larger than {max} bytes")]
    TooLarge {
        /// Which.
        path: PathBuf,
        /// Limit.
        max: usize,
    },
    /// Not the TOML that is expected.
    #[error("{path}: {source}")]
    Toml {
        /// Which.
        path: PathBuf,
        /// Why.
        source: Box<toml::de::Error>,
    },
    /// A value cannot be written as TOML.
    #[error("network.toml cannot be written: {0}")]
    TomlWrite(#[from] toml::ser::Error),
    /// The genesis breaks a rule.
    #[error("genesis refused: {0}")]
    Genesis(#[from] auction_rules::GenesisError),
    /// A rollup's genesis file is wrong.
    #[error("{path}: {source}")]
    Rollup {
        /// Which.
        path: PathBuf,
        /// Why.
        source: genesis::GenesisError,
    },
    /// A rollup's genesis file is not the one that network.toml names.
    #[error("{path}: genesis hash {found}, network.toml says {wanted}")]
    RollupHash {
        /// Which.
        path: PathBuf,
        /// In the file.
        found: Hash,
        /// In network.toml.
        wanted: Hash,
    },
    /// The key set is no key set of this committee.
    #[error("key set refused: {0}")]
    Keys(#[from] crypto::keys::KeySetError),
    /// A key file is damaged.
    #[error("{path}: no key file of this version")]
    KeyFile {
        /// Which.
        path: PathBuf,
    },
    /// The keys on disk are not those of this member.
    #[error("the keys in {path} are not those of member {member} in network.toml")]
    WrongKeys {
        /// Folder.
        path: PathBuf,
        /// Which member.
        member: u16,
    },
    /// Storage.
    #[error(transparent)]
    Durable(#[from] store::durable::DiskError),
    /// Key files.
    #[error(transparent)]
    Share(#[from] FileError),
    /// A key file that does not open.
    #[error("{path}: {source}")]
    Locked {
        /// Which.
        path: PathBuf,
        /// Why.
        source: FileError,
    },
    /// The TLS key is damaged.
    #[error("tls key: {0}")]
    Tls(#[from] ingress::IdentityError),
}

/// Reads at most `max` bytes of a file.
///
/// # Errors
/// [`FilesError::Io`], [`FilesError::TooLarge`].
pub fn read(path: &Path, max: usize) -> Result<Vec<u8>, FilesError> {
    let io = |source| FilesError::Io { path: path.to_path_buf(), source };
    let size = std::fs::metadata(path).map_err(io)?.len();
    if usize::try_from(size).map_or(true, |size| size > max) {
        return Err(FilesError::TooLarge { path: path.to_path_buf(), max });
    }
    std::fs::read(path).map_err(io)
}

/// Writes a file that is no secret: whole, durable, and never half.
///
/// # Errors
/// [`FilesError::Durable`].
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), FilesError> {
    Ok(store::durable::write(path, bytes)?)
}

/// Makes a folder and those above it, durably.
///
/// # Errors
/// [`FilesError::Durable`].
pub fn make_dir(path: &Path) -> Result<(), FilesError> {
    Ok(store::durable::create_dir(path)?)
}

/// A network as its files describe it, checked.
#[derive(Debug)]
pub struct NetworkFiles {
    /// network.toml.
    pub network: Network,
    /// Network id.
    pub id: Hash,
    /// Executed rollups with their genesis, ascending by chain id.
    pub rollups: Vec<(RollupSpec, RollupGenesis)>,
}

/// Name of a rollup's genesis file, beside network.toml.
#[must_use]
pub fn genesis_name(chain: ChainId) -> String {
    format!("genesis-{chain}.json")
}

impl NetworkFiles {
    /// Reads and checks network.toml and the genesis files beside it.
    ///
    /// # Errors
    /// [`FilesError`].
    pub fn read(path: &Path) -> Result<Self, FilesError> {
        let bytes = read(path, limits::NETWORK_FILE_BYTES_MAX)?;
        let network = parse_network(path, &bytes)?;
        let folder = path.parent().unwrap_or(Path::new("."));
        Self::with_genesis(network, |chain| {
            let path = folder.join(genesis_name(chain));
            read(&path, limits::NETWORK_FILE_BYTES_MAX).map(|bytes| (path, bytes))
        })
    }

    /// Checks a network whose genesis files come from `genesis_file`.
    ///
    /// # Errors
    /// [`FilesError`].
    pub fn with_genesis(
        network: Network,
        genesis_file: impl Fn(ChainId) -> Result<(PathBuf, Vec<u8>), FilesError>,
    ) -> Result<Self, FilesError> {
        let rollups = rollups(&network.genesis, genesis_file)?;
        let files = Self { id: ids::network_id(&network.genesis), network, rollups };
        files.key_set()?;
        Ok(files)
    }

    /// The key set of epoch 0.
    ///
    /// # Errors
    /// [`FilesError::Keys`].
    pub fn key_set(&self) -> Result<crypto::keys::KeySet, FilesError> {
        let n = u16::try_from(self.network.genesis.members.len()).unwrap_or(u16::MAX);
        Ok(crypto::keys::KeySet::new(n, self.network.faults(), &self.network.keys)?)
    }

    /// Writes network.toml and the genesis files into a folder.
    ///
    /// # Errors
    /// [`FilesError`].
    pub fn write(&self, folder: &Path) -> Result<(), FilesError> {
        write(&folder.join(NETWORK_FILE), toml::to_string(&self.network)?.as_bytes())?;
        self.rollups
            .iter()
            .try_for_each(|(spec, genesis)| write(&folder.join(genesis_name(spec.chain_id)), &genesis.to_json()))
    }
}

/// Checks a genesis; its executed rollups with their files.
///
/// # Errors
/// [`FilesError`].
pub(crate) fn rollups(
    genesis: &Genesis,
    genesis_file: impl Fn(ChainId) -> Result<(PathBuf, Vec<u8>), FilesError>,
) -> Result<Vec<(RollupSpec, RollupGenesis)>, FilesError> {
    auction_rules::Ledger::genesis(genesis)?;
    let mut rollups = Vec::with_capacity(genesis.rollups.len());
    for spec in genesis.rollups.iter().filter(|s| s.exec) {
        let (path, bytes) = genesis_file(spec.chain_id)?;
        let genesis = genesis::parse(&bytes).map_err(|source| FilesError::Rollup { path: path.clone(), source })?;
        if genesis.hash() != spec.genesis {
            return Err(FilesError::RollupHash { path, found: genesis.hash(), wanted: spec.genesis });
        }
        rollups.push((spec.clone(), genesis));
    }
    Ok(rollups)
}

/// Name of the genesis file of a network.
pub const NETWORK_FILE: &str = "network.toml";

/// Parses network.toml.
///
/// # Errors
/// [`FilesError::Toml`].
pub fn parse_network(path: &Path, bytes: &[u8]) -> Result<Network, FilesError> {
    toml::from_slice(bytes).map_err(|source| FilesError::Toml { path: path.to_path_buf(), source: Box::new(source) })
}

/// The seeds of a member's ed25519 keys, as they stand in `identity.key`.
#[derive(Serialize, Deserialize)]
struct IdentityFile {
    magic: [u8; 4],
    consensus: [u8; 32],
    log: [u8; 32],
    cosigner: [u8; 32],
    receipt: [u8; 32],
    tls: Vec<u8>,
}

impl Drop for IdentityFile {
    fn drop(&mut self) {
        use zeroize::Zeroize as _;
        self.consensus.zeroize();
        self.log.zeroize();
        self.cosigner.zeroize();
        self.receipt.zeroize();
        self.tls.zeroize();
    }
}

/// First bytes of a plain key file.
pub(crate) const IDENTITY_MAGIC: [u8; 4] = *b"LKID";
/// The same, sealed: a key file of `keygen::files` around it.
pub(crate) const SEALED_MAGIC: [u8; 4] = *b"LKIS";
const IDENTITY_NAME: &str = "identity.key";
const SHARE_NAME: &str = "share.lks";

/// A member's own keys besides its shares.
pub struct Identity {
    /// Seed of the consensus key.
    pub consensus: Zeroizing<[u8; 32]>,
    /// Seed of the log key.
    pub log: Zeroizing<[u8; 32]>,
    /// Seed of the cosigner key.
    pub cosigner: Zeroizing<[u8; 32]>,
    /// Seed of the receipt key.
    pub receipt: Zeroizing<[u8; 32]>,
    /// QUIC certificate and key.
    pub tls: ingress::TlsIdentity,
}

impl core::fmt::Debug for Identity {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Identity(<redacted>)")
    }
}

impl Identity {
    /// The public record of these keys.
    #[must_use]
    pub fn record(&self, name: &str) -> MemberRecord {
        let public = |seed: &Zeroizing<[u8; 32]>| SigningKey::from_seed(seed.clone()).public();
        MemberRecord {
            name: name.into(),
            consensus: public(&self.consensus),
            log: public(&self.log),
            cosigner: public(&self.cosigner),
            receipt: public(&self.receipt),
            tls: self.tls.pin(),
        }
    }

    /// Writes the key file, readable by its owner alone.
    ///
    /// # Errors
    /// [`FilesError::Durable`], [`FilesError::Share`].
    pub fn write(&self, folder: &Path, protection: &Protection) -> Result<(), FilesError> {
        let file = IdentityFile {
            magic: IDENTITY_MAGIC,
            consensus: *self.consensus,
            log: *self.log,
            cosigner: *self.cosigner,
            receipt: *self.receipt,
            tls: self.tls.to_bytes().to_vec(),
        };
        let plain = Zeroizing::new(codec::encode(&file));
        let bytes = match protection {
            Protection::InsecurePlaintext => plain,
            Protection::Passphrase { .. } => keygen::files::lock(SEALED_MAGIC, &plain, protection)?,
        };
        Ok(store::durable::write_private(&identity_path(folder), &bytes)?)
    }

    /// Reads the key file.
    ///
    /// # Errors
    /// [`FilesError`].
    pub fn read(folder: &Path, lock: &Lock) -> Result<Self, FilesError> {
        let path = identity_path(folder);
        let bytes = Zeroizing::new(read(&path, 4_096)?);
        let share = |source| FilesError::Locked { path: path.clone(), source };
        let plain = match (bytes.starts_with(&IDENTITY_MAGIC), lock.unlock()) {
            (true, Unlock::InsecurePlaintext) => bytes,
            (true, Unlock::Passphrase(_)) => return Err(share(FileError::NotSealed)),
            (false, unlock) => keygen::files::unlock(SEALED_MAGIC, &bytes, unlock).map_err(share)?,
        };
        let file: IdentityFile =
            codec::decode(&plain, 4_096).map_err(|_codec| FilesError::KeyFile { path: path.clone() })?;
        if file.magic != IDENTITY_MAGIC {
            return Err(FilesError::KeyFile { path });
        }
        Ok(Self {
            consensus: Zeroizing::new(file.consensus),
            log: Zeroizing::new(file.log),
            cosigner: Zeroizing::new(file.cosigner),
            receipt: Zeroizing::new(file.receipt),
            tls: ingress::TlsIdentity::from_bytes(&file.tls)?,
        })
    }
}

/// Path of the file with a member's other keys.
#[must_use]
pub fn identity_path(folder: &Path) -> PathBuf {
    folder.join(IDENTITY_NAME)
}

/// Path of a member's share file.
#[must_use]
pub fn share_path(folder: &Path) -> PathBuf {
    folder.join(SHARE_NAME)
}
