//! `lockstep change join`: the folder of a member that is not in the committee yet.
use super::page::is_address;
use crate::{
    cli::{Failure, print},
    config::NodeConfig,
    entropy::Source,
    files::{self, FilesError, Identity, NetworkFiles},
    init,
    passphrase::{Lock, PassphraseArgs},
};
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};
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
    #[command(flatten)]
    folder: NewFolder,
}

/// A new member's folder.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct NewFolder {
    /// Where to write the member's folder; must be empty or absent.
    #[arg(long)]
    dir: PathBuf,
    /// Name of the member: up to 64 characters without spaces.
    #[arg(long)]
    name: String,
    #[command(flatten)]
    at: Addresses,
    #[command(flatten)]
    passphrase: PassphraseArgs,
}

impl NewFolder {
    /// Draws the member's keys and writes its folder; `more` writes what else belongs there, before the keys.
    ///
    /// # Errors
    /// [`Failure`]: 64 when an argument does not fit or something stands in the folder already.
    pub(crate) fn make(
        &self,
        more: impl FnOnce(&Path, &Addresses, &Joining) -> Result<(), Failure>,
    ) -> Result<Made<'_>, Failure> {
        let dir = &self.dir;
        let identity = init::identity(Source::System, 0)?;
        let joining = joining(&identity, &self.name, &self.at)?;
        crate::demo::check_empty(
            dir,
            ": a member has a folder of its own, and its keys are never replaced; take another --dir",
        )?;
        let lock = self.passphrase.new_one()?;
        files::make_dir(dir)?;
        more(dir, &self.at, &joining)?;
        identity.write(dir, &lock.protection()?)?;
        // last: a folder with it is whole
        let file = write(dir, &joining)?;
        Ok(Made { dir, joining, lock, file })
    }
}

/// What was made.
pub(crate) struct Made<'a> {
    dir: &'a Path,
    pub(crate) joining: Joining,
    lock: Lock,
    /// joining.json.
    pub(crate) file: PathBuf,
}

impl Made<'_> {
    /// Says where everything is.
    pub(crate) fn say(&self) {
        let Joining { record, p2p, quic, http } = &self.joining;
        print(format_args!("member     {}, consensus key {}", record.name, record.consensus));
        print(format_args!("wrote      {}   p2p {p2p} quic {quic} http {http}", self.dir.display()));
        say_secret(self.dir, &self.lock);
    }
}

/// What a member may be called.
pub(crate) fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.len()) && name.chars().all(|c| c.is_ascii_graphic())
}

/// Where a member is reached.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Addresses {
    /// Where the committee reaches it: ip:port, TCP.
    #[arg(long, value_name = "ADDR")]
    pub(crate) p2p: SocketAddr,
    /// Where clients reach it: host:port, UDP.
    #[arg(long, value_name = "ADDR")]
    pub(crate) quic: String,
    /// Where its log is served: host:port, TCP.
    #[arg(long, value_name = "ADDR")]
    pub(crate) http: String,
}

/// Name and addresses of a member, if they can be those of one.
pub(crate) fn joining(identity: &Identity, name: &str, at: &Addresses) -> Result<Joining, Failure> {
    let p2p = at.p2p.to_string();
    if !is_name(name) {
        return Err(Failure::usage("--name takes 1 to 64 printable characters without spaces".into()));
    }
    for (key, address) in [("--p2p", &p2p), ("--quic", &at.quic), ("--http", &at.http)] {
        if !is_address(address) {
            return Err(Failure::usage(format!("{key} wants host:port of at most 64 characters, not {address:.80}")));
        }
    }
    Ok(Joining { record: identity.record(name), p2p, quic: at.quic.clone(), http: at.http.clone() })
}

/// Where it listens.
pub(crate) fn listening(at: &Addresses) -> NodeConfig {
    NodeConfig {
        p2p_listen: at.p2p.to_string(),
        quic_listen: listen(&at.quic),
        http_listen: listen(&at.http),
        ..NodeConfig::default()
    }
}

/// Writes what the member gives away.
pub(crate) fn write(dir: &Path, joining: &Joining) -> Result<PathBuf, Failure> {
    let mut text = serde_json::to_vec_pretty(joining).map_err(|error| Failure::software(error.to_string()))?;
    text.push(b'\n');
    let file = dir.join(JOINING_FILE);
    store::durable::write(&file, &text).map_err(FilesError::Durable)?;
    Ok(file)
}

/// Runs the command.
///
/// # Errors
/// [`Failure`]: 64 when an argument does not fit or something stands in the folder already.
pub(super) fn run(args: &JoinArgs) -> Result<(), Failure> {
    let network = NetworkFiles::read(&args.network)?;
    let made = args.folder.make(|dir, at, joining| {
        let config = NodeConfig { member: number(&joining.record.consensus), joins: true, ..listening(at) };
        Ok(init::member_folder(dir, &network, &config)?)
    })?;
    print(format_args!("network    {}", network.id));
    made.say();
    print(format_args!(
        "next       give {} to whoever proposes it: lockstep change propose --add",
        made.file.display()
    ));
    Ok(())
}

/// Says where the secret is, and how it is kept.
fn say_secret(dir: &Path, lock: &Lock) {
    let file = files::identity_path(dir);
    let how = match lock {
        Lock::Passphrase(_) => "sealed: keep a copy, and the passphrase elsewhere",
        Lock::Plain => "PLAIN: whoever reads it is this member; keep a copy",
    };
    print(format_args!("secret     {}: {how}", file.display()));
}

/// Where to listen for an address: there, or on every interface when it is a name.
pub(crate) fn listen(address: &str) -> String {
    let port = address.rsplit_once(':').map_or("0", |(_, port)| port);
    if address.parse::<SocketAddr>().is_ok() { address.to_owned() } else { format!("0.0.0.0:{port}") }
}
