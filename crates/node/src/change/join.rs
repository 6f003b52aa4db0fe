//! `lockstep change join`: the folder of a member that is not in the committee yet.
use super::page::is_address;
use crate::{
    cli::{Failure, print},
    config::NodeConfig,
    entropy::Source,
    files::{FilesError, NetworkFiles},
    init,
};
use std::{net::SocketAddr, path::PathBuf};
use types::{Hash, Joining, limits};

/// Name of the file that whoever proposes the member needs.
pub(super) const JOINING_FILE: &str = "joining.json";

/// `member` of node.toml: above every index, and hardly ever that of another who joins.
fn number(key: &Hash) -> u16 {
    let Hash([one, two, ..]) = *key;
    let least = u16::try_from(limits::MEMBERS_MAX).unwrap_or(u16::MAX);
    u16::from_be_bytes([one, two]).max(least)
}

/// Arguments of `lockstep change join`.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct JoinArgs {
    /// The network's network.toml, with the rollups' genesis files beside it.
    #[arg(long)]
    network: PathBuf,
    /// Where to write the member's folder; must be empty or absent.
    #[arg(long)]
    dir: PathBuf,
    /// Name of the member: up to 64 characters without spaces.
    #[arg(long)]
    name: String,
    /// Where the committee reaches it: ip:port, TCP.
    #[arg(long, value_name = "ADDR")]
    p2p: SocketAddr,
    /// Where clients reach it: host:port, UDP.
    #[arg(long, value_name = "ADDR")]
    quic: String,
    /// Where its log is served: host:port, TCP.
    #[arg(long, value_name = "ADDR")]
    http: String,
}

/// Runs the command.
///
/// # Errors
/// [`Failure`]: 64 when an argument does not fit or something stands in the folder already.
pub(super) fn run(args: &JoinArgs) -> Result<(), Failure> {
    let dir = &args.dir;
    let (name, p2p) = (&args.name, args.p2p.to_string());
    if name.is_empty() || name.len() > 64 || !name.chars().all(|c| c.is_ascii_graphic()) {
        return Err(Failure::usage("--name takes 1 to 64 printable characters without spaces".into()));
    }
    for (key, address) in [("--p2p", &p2p), ("--quic", &args.quic), ("--http", &args.http)] {
        if !is_address(address) {
            return Err(Failure::usage(format!("{key} wants host:port of at most 64 characters, not {address:.80}")));
        }
    }
    crate::demo::check_empty(
        dir,
        ": a member has a folder of its own, and its keys are never replaced; take another --dir",
    )?;
    let network = NetworkFiles::read(&args.network)?;
    let identity = init::identity(Source::System, 0)?;
    let record = identity.record(name);
    let config = NodeConfig {
        member: number(&record.consensus),
        joins: true,
        p2p_listen: p2p.clone(),
        quic_listen: listen(&args.quic),
        http_listen: listen(&args.http),
        ..NodeConfig::default()
    };
    init::member_folder(dir, &network, &identity, &config)?;
    let joining = Joining { record, p2p, quic: args.quic.clone(), http: args.http.clone() };
    let mut text = serde_json::to_vec_pretty(&joining).map_err(|error| Failure::software(error.to_string()))?;
    text.push(b'\n');
    let file = dir.join(JOINING_FILE);
    // last: a folder with it is whole
    store::durable::write(&file, &text).map_err(FilesError::Durable)?;
    print(format_args!("network    {}", network.id));
    print(format_args!("member     {name}, consensus key {}", joining.record.consensus));
    print(format_args!(
        "wrote      {}   p2p {} quic {} http {}",
        dir.display(),
        joining.p2p,
        joining.quic,
        joining.http
    ));
    print(format_args!("secret     {}: keep it, and a copy", dir.join("identity.key").display()));
    print(format_args!("next       give {} to whoever proposes it: lockstep change propose --add", file.display()));
    Ok(())
}

/// Where to listen for an address: there, or on every interface when it is a name.
fn listen(address: &str) -> String {
    let port = address.rsplit_once(':').map_or("0", |(_, port)| port);
    if address.parse::<SocketAddr>().is_ok() { address.to_owned() } else { format!("0.0.0.0:{port}") }
}
