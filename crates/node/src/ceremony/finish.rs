//! What a member has at the end: everything that `lockstep node` starts from.
use super::files::Planned;
use crate::{
    change::{
        is_address,
        join::{self, Addresses},
    },
    cli::Failure,
    config::NodeConfig,
    files::{self, FilesError, NetworkFiles},
    init,
    member::MemberError,
    passphrase::Lock,
};
use keygen::{
    MemberSecrets,
    files::{ShareFile, keyset_hash},
};
use std::path::{Path, PathBuf};
use types::{Epoch, KeySetParts, MemberAddress, MemberId};

/// A folder in which a member has run is never given keys: it would forget what it has signed.
pub(super) fn check_unused(dir: &Path) -> Result<(), Failure> {
    if dir.join("state.redb").exists() {
        let text = format!("{}: this member has run already; a ceremony is for a new network", dir.display());
        return Err(Failure { code: 78, text });
    }
    Ok(())
}

/// The network with its keys, checked as everybody who reads it does.
pub(super) fn network(planned: &Planned, keys: KeySetParts) -> Result<NetworkFiles, FilesError> {
    NetworkFiles::with_genesis(planned.network(keys), |chain| {
        let found = planned.rollups.iter().find(|(spec, _)| spec.chain_id == chain);
        Ok((PathBuf::from(files::genesis_name(chain)), found.map(|(_, genesis)| genesis.to_json()).unwrap_or_default()))
    })
}

/// Writes network.toml, node.toml and last the share: a folder with it is whole, and nothing in it is written again.
pub(super) fn write(
    dir: &Path,
    network: &NetworkFiles,
    (me, at): (MemberId, Option<&MemberAddress>),
    secrets: &MemberSecrets,
    lock: &Lock,
) -> Result<(), Failure> {
    let path = files::share_path(dir);
    let keyset_hash = keyset_hash(&init::keyset_file(network));
    if path.exists() {
        let there = keygen::files::read_share(&path, &network.id, lock.unlock());
        let there = there.map_err(|source| MemberError::Share { path: path.clone(), source })?;
        if there.keyset_hash != keyset_hash {
            let text = format!("{}: a share of other keys of this network is there", path.display());
            return Err(Failure { code: 78, text });
        }
        return Ok(());
    }
    let listens = at.and_then(|at| {
        let p2p = at.p2p.parse().ok()?;
        let known = is_address(&at.quic) && is_address(&at.http);
        known.then(|| join::listening(&Addresses { p2p, quic: at.quic.clone(), http: at.http.clone() }))
    });
    let config = NodeConfig { member: me.0, ..listens.unwrap_or_default() };
    init::member_folder(dir, network, &config).map_err(Failure::from)?;
    let share = ShareFile {
        network: network.id,
        epoch: Epoch(0),
        index: me,
        decrypt: secrets.decrypt.clone(),
        beacon: secrets.beacon.clone(),
        keyset_hash,
    };
    let protection = lock.protection()?;
    Ok(keygen::files::write_share(&path, &share, &protection).map_err(FilesError::Share)?)
}
