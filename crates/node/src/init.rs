//! Makes a network: member keys, a real key ceremony in process, rollup genesis files, opening balances.
use crate::{
    config::NodeConfig,
    disk::NEW_MEMBER,
    entropy::{NoEntropy, Source},
    files::{self, FilesError, Identity, NetworkFiles},
};
use execution::genesis::{self, RollupGenesis};
use keygen::files::{Origin, Protection, ShareFile};
use std::path::{Path, PathBuf};
use types::{
    Address, Amount, Balance, ChainId, Epoch, Fork, Genesis, KeySetParts, MemberAddress, MemberId, MemberRecord,
    Network, Params, RollupSpec,
};

/// What to make.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Log origin.
    pub origin: String,
    /// n = 3f + 1, at least 4.
    pub members: u16,
    /// Chain ids of executed rollups.
    pub rollups: Vec<ChainId>,
    /// Of the first epoch.
    pub params: Params,
    /// Accounts that are funded on the sequencing ledger.
    pub payers: Vec<Address>,
    /// Accounts that are funded on every rollup.
    pub senders: Vec<Address>,
    /// Builders with their bonds: they may bid from the first slot on.
    pub builders: Vec<(Address, Amount)>,
    /// First of the loopback ports; a member takes three.
    pub base_port: u16,
    /// Unix seconds of the rollups' genesis.
    pub timestamp: u64,
    /// Where randomness comes from.
    pub source: Source,
}

/// Why no network was made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InitError {
    /// n is not 3f + 1 with f of at least 1.
    #[error("{0} members: n must be 3f + 1 with f at least 1 (4, 7, 10, ..): fewer tolerate no fault")]
    Members(u16),
    /// Ports beyond 65535.
    #[error("base port {0} leaves no room for three ports a member")]
    Ports(u16),
    /// No randomness.
    #[error(transparent)]
    Entropy(#[from] NoEntropy),
    /// The ceremony failed.
    #[error("key ceremony: {0}")]
    Ceremony(#[from] keygen::CeremonyError),
    /// Files.
    #[error(transparent)]
    Files(#[from] FilesError),
    /// A configuration cannot be written.
    #[error("node.toml: {0}")]
    Toml(#[from] toml::ser::Error),
}

/// Spendable on the ledger at first: enough for a very long demo.
const OPENING_BALANCE: u128 = 1_000_000_000_000_000_000;
/// Bond of a demo builder, base units: covers every cap of a bid, and a very long demo.
pub(crate) const OPENING_BOND: u128 = 1_000_000_000_000_000_000_000_000;

/// Makes the files of a network in `folder`, and of each member in `folder/member-<i>`.
///
/// # Errors
/// [`InitError`].
pub fn init(plan: &Plan, folder: &Path) -> Result<NetworkFiles, InitError> {
    if plan.members < 4 || plan.members % 3 != 1 {
        return Err(InitError::Members(plan.members));
    }
    let addresses = addresses(plan)?;
    files::make_dir(folder)?;
    let mut identities = Vec::new();
    for i in 0..u64::from(plan.members) {
        identities.push(identity(plan.source, i)?);
    }
    // a member's index is the rank of its consensus key
    identities.sort_by_key(|identity| identity.record("").consensus);
    let members = (0u16..).zip(&identities).map(|(i, id)| id.record(&format!("member-{i}"))).collect();
    let (genesis, rollups) = genesis(plan, members);
    let id = crypto::ids::network_id(&genesis);
    let seeds: Vec<_> = identities.iter().map(|identity| identity.consensus.clone()).collect();
    let ceremony = keygen::run_in_process(&id, &seeds, *plan.source.draw("ceremony", 0)?)?;
    let network = Network { genesis, keys: ceremony.parts, addresses };
    let network = NetworkFiles::with_genesis(network, |chain| {
        let found = rollups.iter().find(|(spec, _)| spec.chain_id == chain);
        Ok((PathBuf::from(files::genesis_name(chain)), found.map(|(_, g)| g.to_json()).unwrap_or_default()))
    })?;
    network.write(folder)?;
    let keyset = keyset_file(&network);
    for ((index, identity), secrets) in (0u16..).zip(&identities).zip(ceremony.secrets) {
        let data = folder.join(format!("member-{index}"));
        let config = NodeConfig { member: index, ..NodeConfig::default() };
        member_folder(&data, &network, &config)?;
        identity.write(&data, &Protection::InsecurePlaintext)?;
        let share = ShareFile {
            network: id,
            epoch: Epoch(0),
            index: MemberId(index),
            decrypt: secrets.decrypt,
            beacon: secrets.beacon,
            keyset_hash: keygen::files::keyset_hash(&keyset),
        };
        keygen::files::write_share(&files::share_path(&data), &share, &Protection::InsecurePlaintext)
            .map_err(FilesError::Share)?;
    }
    Ok(network)
}

/// The genesis of a plan with these members, and the genesis of each rollup.
pub(crate) fn genesis(plan: &Plan, mut members: Vec<MemberRecord>) -> (Genesis, Vec<(RollupSpec, RollupGenesis)>) {
    members.sort_by_key(|member| member.consensus);
    let mut rollups: Vec<_> = plan
        .rollups
        .iter()
        .map(|chain| genesis::demo(*chain, Fork::Cancun, plan.timestamp, &plan.senders))
        .map(|(genesis, spec)| (spec, genesis))
        .collect();
    rollups.sort_by_key(|(spec, _)| spec.chain_id);
    let mut balances: Vec<Balance> = plan
        .payers
        .iter()
        .map(|address| Balance {
            address: *address,
            balance: Amount::new(OPENING_BALANCE).unwrap_or(Amount::ZERO),
            bond: Amount::ZERO,
        })
        .collect();
    for (address, bond) in &plan.builders {
        match balances.iter_mut().find(|balance| balance.address == *address) {
            Some(payer) => payer.bond = *bond,
            None => balances.push(Balance { address: *address, balance: Amount::ZERO, bond: *bond }),
        }
    }
    balances.sort_by_key(|b| b.address);
    let genesis = Genesis {
        origin: plan.origin.clone(),
        members,
        params: plan.params.clone(),
        rollups: rollups.iter().map(|(spec, _)| spec.clone()).collect(),
        balances,
    };
    (genesis, rollups)
}

/// Draws the keys of one member besides its shares; `index` tells members apart when a seed is used.
///
/// # Errors
/// [`InitError`].
pub(crate) fn identity(source: Source, index: u64) -> Result<Identity, InitError> {
    let draw = |label| source.draw(label, index);
    Ok(Identity {
        consensus: draw("consensus")?,
        log: draw("log")?,
        cosigner: draw("cosigner")?,
        receipt: draw("receipt")?,
        tls: ingress::TlsIdentity::from_seed(&draw("tls")?).map_err(FilesError::Tls)?,
    })
}

/// Makes the folder of a member that has not run yet: all but its keys.
///
/// # Errors
/// [`InitError`].
pub(crate) fn member_folder(data: &Path, network: &NetworkFiles, config: &NodeConfig) -> Result<(), InitError> {
    files::make_dir(data)?;
    network.write(data)?;
    mark_new(data)?;
    write_config(data, config)
}

/// Says in a folder that its member has signed nothing in the network. Whoever writes it has to know that: without it
/// the member starts as one that lost its disk, with it an old one can sign twice.
pub(crate) fn mark_new(data: &Path) -> Result<(), FilesError> {
    files::write(&data.join(NEW_MEMBER), b"This member has not run yet. Its first start removes this file.\n")
}

/// Name of a member's configuration.
pub(crate) const CONFIG_FILE: &str = "node.toml";

/// Writes a member's configuration.
///
/// # Errors
/// [`InitError`].
pub(crate) fn write_config(data: &Path, config: &NodeConfig) -> Result<(), InitError> {
    Ok(files::write(&data.join(CONFIG_FILE), toml::to_string(config)?.as_bytes())?)
}

/// The key set of a network as a file's contents; share files name its hash.
#[must_use]
pub fn keyset_file(network: &NetworkFiles) -> keygen::files::KeySetFile {
    let parts: KeySetParts = network.network.keys.clone();
    keygen::files::KeySetFile {
        network: network.id,
        epoch: Epoch(0),
        f: network.network.faults(),
        origin: Origin::Dkg,
        members: network.network.genesis.members.iter().map(|m| m.consensus).collect(),
        parts,
        logs: types::Hash::ZERO,
    }
}

fn addresses(plan: &Plan) -> Result<Vec<MemberAddress>, InitError> {
    let local = |port: u16| format!("127.0.0.1:{port}");
    let last = u32::from(plan.base_port) + 3 * u32::from(plan.members);
    if plan.base_port < 1_024 || last > 65_536 {
        return Err(InitError::Ports(plan.base_port));
    }
    let address = |i: u16| MemberAddress {
        member: MemberId(i),
        p2p: local(plan.base_port + 3 * i),
        quic: local(plan.base_port + 3 * i + 1),
        http: local(plan.base_port + 3 * i + 2),
    };
    Ok((0..plan.members).map(address).collect())
}
