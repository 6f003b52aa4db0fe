//! What a member has at the end: everything that `lockstep node` starts from.
use super::{
    files::{Planned, reached_at},
    journal::Journal,
};
use crate::{
    change::join,
    cli::Failure,
    config::NodeConfig,
    files::{self, FilesError, NETWORK_FILE, NetworkFiles},
    init,
    member::MemberError,
    passphrase::Lock,
};
use keygen::{
    MemberSecrets,
    files::{ShareFile, keyset_hash},
};
use std::path::{Path, PathBuf};
use store::durable;
use types::{Epoch, Hash, KeySetParts, MemberAddress, MemberId, limits};

/// What a member that has run leaves in its folder.
const HAS_RUN: [&str; 5] = ["state.redb", "engine", "wal", "log", "heads"];

/// A folder in which a member has run is never given keys: it would forget what it has signed.
pub(super) fn check_unused(dir: &Path) -> Result<(), Failure> {
    if let Some(there) = HAS_RUN.iter().find(|name| dir.join(name).exists()) {
        let text = format!(
            "{}: this member has run already ({there} is there); a ceremony is for a new network",
            dir.display()
        );
        return Err(Failure { code: 78, text });
    }
    Ok(())
}

/// Says that the member is new: once, before its first word in a ceremony. Later nobody knows from the folder whether the
/// member has run since, nor where a backup of its keys stands in it.
pub(super) fn mark_new(dir: &Path, plan: &Hash) -> Result<(), FilesError> {
    let begins = Journal::is_new(dir, plan) && !files::share_path(dir).exists();
    if begins { init::mark_new(dir) } else { Ok(()) }
}

/// The network with its keys, checked as everybody who reads it does.
pub(super) fn network(planned: &Planned, keys: KeySetParts) -> Result<NetworkFiles, FilesError> {
    NetworkFiles::with_genesis(planned.network(keys), |chain| {
        let found = planned.rollups.iter().find(|(spec, _)| spec.chain_id == chain);
        Ok((PathBuf::from(files::genesis_name(chain)), found.map(|(_, genesis)| genesis.to_json()).unwrap_or_default()))
    })
}

/// Writes what is missing or does not read: network.toml, genesis files, node.toml, and last the share. What it wrote.
///
/// Not [`init::mark_new`]: that the keys come now does not say that the member is new.
pub(super) fn write(
    dir: &Path,
    network: &NetworkFiles,
    (me, at): (MemberId, Option<&MemberAddress>),
    secrets: &MemberSecrets,
    lock: &Lock,
) -> Result<Vec<PathBuf>, Failure> {
    let path = files::share_path(dir);
    let keyset_hash = keyset_hash(&init::keyset_file(network));
    let has_share = path.exists();
    if has_share {
        let there = keygen::files::read_share(&path, &network.id, lock.unlock());
        let there = there.map_err(|source| MemberError::Share { path: path.clone(), source })?;
        if there.keyset_hash != keyset_hash || there.index != me {
            let text = format!("{}: a share of other keys of this network is there", path.display());
            return Err(Failure { code: 78, text });
        }
    }
    let mut wrote = write_network(dir, network)?;
    let config = dir.join(init::CONFIG_FILE);
    if !is_config(&config)? {
        let no_address =
            || Failure { code: 78, text: format!("network.toml: no address of member {me} that can be one") };
        let listens = join::listening(&at.and_then(reached_at).ok_or_else(no_address)?);
        init::write_config(dir, &NodeConfig { member: me.0, ..listens })?;
        wrote.push(config);
    }
    if !has_share {
        let share = ShareFile {
            network: network.id,
            epoch: Epoch(0),
            index: me,
            decrypt: secrets.decrypt.clone(),
            beacon: secrets.beacon.clone(),
            keyset_hash,
        };
        let protection = lock.protection()?;
        keygen::files::write_share(&path, &share, &protection).map_err(FilesError::Share)?;
        wrote.push(path);
    }
    Ok(wrote)
}

/// network.toml stays if it is this network's with these keys, whatever addresses it has; a genesis file if it is the one
/// that network.toml names.
fn write_network(dir: &Path, network: &NetworkFiles) -> Result<Vec<PathBuf>, Failure> {
    let mut wrote = Vec::new();
    let path = dir.join(NETWORK_FILE);
    let bytes = durable::read(&path, limits::NETWORK_FILE_BYTES_MAX).map_err(FilesError::Durable)?;
    let there = bytes.and_then(|bytes| files::parse_network(&path, &bytes).ok());
    if there.as_ref().is_some_and(|there| crypto::ids::network_id(&there.genesis) != network.id) {
        return Err(Failure { code: 78, text: format!("{}: of another network", path.display()) });
    }
    if there.is_none_or(|there| there.keys != network.network.keys) {
        files::write(&path, toml::to_string(&network.network).map_err(FilesError::TomlWrite)?.as_bytes())?;
        wrote.push(path);
    }
    for (spec, genesis) in &network.rollups {
        let path = dir.join(files::genesis_name(spec.chain_id));
        let bytes = durable::read(&path, limits::NETWORK_FILE_BYTES_MAX).map_err(FilesError::Durable)?;
        let there = bytes.and_then(|bytes| execution::genesis::parse(&bytes).ok());
        if there.is_none_or(|there| there.hash() != spec.genesis) {
            files::write(&path, &genesis.to_json())?;
            wrote.push(path);
        }
    }
    Ok(wrote)
}

/// Whether a configuration is there that reads. What it names need not be there.
fn is_config(path: &Path) -> Result<bool, FilesError> {
    let bytes = durable::read(path, CONFIG_BYTES_MAX)?;
    Ok(bytes.is_some_and(|bytes| toml::from_slice::<NodeConfig>(&bytes).is_ok()))
}

/// Longest node.toml that is looked at.
const CONFIG_BYTES_MAX: usize = 1 << 16;
