//! `ceremony.toml`: a network without its keys, and who is not waited for.
use crate::{
    change::{is_address, join},
    files::{self, FilesError, genesis_name},
};
use execution::genesis::RollupGenesis;
use keygen::operators::Plan;
use serde::{Deserialize, Serialize};
use std::{path::Path, sync::Arc};
use types::{Genesis, Hash, KeySetParts, MemberAddress, MemberId, Network, RollupSpec, limits};

/// Name of the file.
pub(super) const CEREMONY_FILE: &str = "ceremony.toml";
/// Name of the transcript in a member's folder.
pub(super) const TRANSCRIPT_FILE: &str = "transcript.lktr";

/// The file. Everybody has the same; addresses may differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Ceremony {
    /// Which try this is. Whenever the operators begin again, the next one.
    pub(super) number: u32,
    /// Names of members that are not waited for, at most f; anybody can compute their shares.
    pub(super) absent: Vec<String>,
    /// As in network.toml.
    pub(super) genesis: Genesis,
    /// As in network.toml.
    pub(super) addresses: Vec<MemberAddress>,
}

/// Why the file is no ceremony.
#[derive(Debug, thiserror::Error)]
pub(super) enum CeremonyFileError {
    #[error(transparent)]
    Files(#[from] FilesError),
    #[error("absent: no member is called {0}")]
    Name(String),
    #[error("name of member {0}: 1 to 64 printable characters without spaces, and nobody else's")]
    Names(MemberId),
    #[error("addresses of member {0}: once, p2p as ip:port, quic and http as host:port of at most 64 characters")]
    Addresses(MemberId),
    #[error("addresses of somebody who is no member")]
    Stranger,
    #[error(transparent)]
    Plan(#[from] keygen::operators::PlanError),
}

/// A ceremony that can begin.
#[derive(Debug)]
pub(super) struct Planned {
    pub(super) file: Ceremony,
    pub(super) id: Hash,
    pub(super) plan: Arc<Plan>,
    pub(super) rollups: Vec<(RollupSpec, RollupGenesis)>,
}

impl Planned {
    /// Reads the file and the genesis files beside it.
    pub(super) fn read(path: &Path) -> Result<Self, CeremonyFileError> {
        let bytes = files::read(path, limits::NETWORK_FILE_BYTES_MAX)?;
        let file: Ceremony = toml::from_slice(&bytes)
            .map_err(|source| FilesError::Toml { path: path.to_path_buf(), source: Box::new(source) })?;
        let folder = path.parent().unwrap_or(Path::new("."));
        let rollups = files::rollups(&file.genesis, |chain| {
            let path = folder.join(genesis_name(chain));
            files::read(&path, limits::NETWORK_FILE_BYTES_MAX).map(|bytes| (path, bytes))
        })?;
        Self::new(file, rollups)
    }

    /// Checks a file that was made here, with what its genesis files will be.
    pub(super) fn made(file: Ceremony, made: Vec<(RollupSpec, RollupGenesis)>) -> Result<Self, CeremonyFileError> {
        let rollups = files::rollups(&file.genesis, |chain| {
            let found = made.iter().find(|(spec, _)| spec.chain_id == chain);
            Ok((genesis_name(chain).into(), found.map(|(_, genesis)| genesis.to_json()).unwrap_or_default()))
        })?;
        Self::new(file, rollups)
    }

    fn new(file: Ceremony, rollups: Vec<(RollupSpec, RollupGenesis)>) -> Result<Self, CeremonyFileError> {
        let members = &file.genesis.members;
        // they are printed, stand in names of files, and say who is absent
        for (member, record) in (0..).map(MemberId).zip(members) {
            let twice = members.iter().filter(|other| other.name == record.name).count() > 1;
            if twice || !join::is_name(&record.name) {
                return Err(CeremonyFileError::Names(member));
            }
        }
        let index = |name: &String| {
            let found = (0..).map(MemberId).zip(members).find(|(_, member)| member.name == *name);
            found.map(|(member, _)| member).ok_or_else(|| CeremonyFileError::Name(name.clone()))
        };
        let mut absent: Vec<MemberId> = file.absent.iter().map(index).collect::<Result<_, _>>()?;
        absent.sort_unstable();
        // they are asked all the time, printed, and end in node.toml
        for (member, _) in (0..).map(MemberId).zip(members) {
            let mut own = file.addresses.iter().filter(|at| at.member == member);
            if !matches!((own.next(), own.next()), (Some(at), None) if reached_at(at).is_some()) {
                return Err(CeremonyFileError::Addresses(member));
            }
        }
        if file.addresses.len() != members.len() {
            return Err(CeremonyFileError::Stranger);
        }
        let id = crypto::ids::network_id(&file.genesis);
        let keys: Vec<Hash> = members.iter().map(|member| member.consensus).collect();
        let plan = Arc::new(Plan::new(&id, file.number, &keys, &absent)?);
        Ok(Self { file, id, plan, rollups })
    }

    /// The network with these keys.
    pub(super) fn network(&self, keys: KeySetParts) -> Network {
        let Ceremony { genesis, addresses, .. } = self.file.clone();
        Network { genesis, keys, addresses }
    }

    pub(super) fn name(&self, member: MemberId) -> &str {
        name(&self.file.genesis, member)
    }

    pub(super) fn names(&self, members: &[MemberId]) -> String {
        names(&self.file.genesis, members)
    }

    pub(super) fn address(&self, member: MemberId) -> Option<&MemberAddress> {
        self.file.addresses.iter().find(|address| address.member == member)
    }
}

/// Where a member is reached, if that is an address.
pub(super) fn reached_at(at: &MemberAddress) -> Option<join::Addresses> {
    let p2p = at.p2p.parse().ok()?;
    let good = [&at.p2p, &at.quic, &at.http].into_iter().all(|address| is_address(address));
    good.then(|| join::Addresses { p2p, quic: at.quic.clone(), http: at.http.clone() })
}

/// What a member is called.
pub(super) fn name(genesis: &Genesis, member: MemberId) -> &str {
    genesis.members.get(usize::from(member.0)).map_or("?", |record| record.name.as_str())
}

/// What they are called; `none` when there are none.
pub(super) fn names(genesis: &Genesis, members: &[MemberId]) -> String {
    let names: Vec<&str> = members.iter().map(|member| name(genesis, *member)).collect();
    if names.is_empty() { "none".into() } else { names.join(", ") }
}
