//! The command line.
use crate::{
    account, auction, audit, builder, ceremony, change,
    config::{ConfigError, NodeConfig},
    devnet,
    entropy::NoEntropy,
    evidence,
    files::{FilesError, NetworkFiles},
    init, init_command, member,
    passphrase::PassphraseArgs,
    runner, status, submit,
};
use clap::{Parser, Subcommand};
use std::{io::Write as _, path::PathBuf, process::ExitCode, sync::Arc};

/// An encrypted mempool and a sealed builder auction for sequencing many rollups together.
#[derive(Debug, Parser)]
#[command(name = "lockstep", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write a network's files: keys from a real ceremony, a folder per member, a funded demo account.
    Init(init_command::InitArgs),
    /// Run a whole network in this process: members, rollups, wallets, builders; audit it at the end.
    Devnet(devnet::DevnetArgs),
    /// Run one member of a network.
    Node(NodeArgs),
    /// Ask every member of a network how it is: heights, lag, checkpoints, missing cosigners.
    Status(status::StatusArgs),
    /// Recompute a log from the genesis file and report what does not follow from the rules.
    Audit(audit::AuditArgs),
    /// Check a piece of evidence against a member or builder: needs no log and no running network.
    VerifyEvidence(evidence::VerifyArgs),
    /// Recompute auctions outside any network.
    Auction(auction::AuctionArgs),
    /// Send a bundle to a running network and wait for its outcome.
    Submit(submit::SubmitArgs),
    /// Bid for every slot of a running network from a bond, and tell what was won and paid.
    Builder(builder::BuilderArgs),
    /// Show a ledger account, move its money, bond and unbond it.
    Account(account::AccountArgs),
    /// Make a network's keys with its operators, each in a process of its own; check key files and transcripts.
    Keygen(ceremony::KeygenArgs),
    /// Replace, add and remove members and change parameters of a running network.
    Change(change::ChangeArgs),
}

#[derive(Debug, clap::Args)]
struct NodeArgs {
    /// The network's network.toml.
    #[arg(long, required_unless_present = "print_default_config")]
    network: Option<PathBuf>,
    /// This member's node.toml.
    #[arg(long, required_unless_present = "print_default_config")]
    config: Option<PathBuf>,
    /// Print a node.toml with every key and its default, and end.
    #[arg(long)]
    print_default_config: bool,
    #[command(flatten)]
    passphrase: PassphraseArgs,
}

/// Why a command failed, and the exit status (sysexits).
#[derive(Debug)]
pub struct Failure {
    /// Exit status.
    pub code: u8,
    /// For people; empty when everything was said.
    pub text: String,
}

impl Failure {
    /// Wrong arguments or files: 64.
    #[must_use]
    pub fn usage(text: String) -> Self {
        Self { code: 64, text }
    }
    /// Something that should answer does not: 69.
    #[must_use]
    pub fn unavailable(text: String) -> Self {
        Self { code: 69, text }
    }
    /// A problem of ours or of the operating system: 70.
    #[must_use]
    pub fn software(text: String) -> Self {
        Self { code: 70, text }
    }
    /// The command ran and found something wrong: 1.
    #[must_use]
    pub fn found(text: String) -> Self {
        Self { code: 1, text }
    }
}

impl From<FilesError> for Failure {
    fn from(error: FilesError) -> Self {
        Self { code: 66, text: error.to_string() }
    }
}
impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self { code: 78, text: error.to_string() }
    }
}
impl From<NoEntropy> for Failure {
    fn from(error: NoEntropy) -> Self {
        Self::software(error.to_string())
    }
}
impl From<init::InitError> for Failure {
    fn from(error: init::InitError) -> Self {
        Self { code: 64, text: error.to_string() }
    }
}

/// Prints a line to stdout. A closed pipe ends nothing: the network goes on.
pub(crate) fn print(line: std::fmt::Arguments<'_>) {
    let mut out = std::io::stdout().lock();
    // who no longer reads no longer needs the line
    drop(writeln!(out, "{line}"));
    drop(out.flush());
}

/// Prints a line to stderr.
pub(crate) fn note(line: std::fmt::Arguments<'_>) {
    let mut out = std::io::stderr().lock();
    drop(writeln!(out, "{line}"));
}

/// Runs the program.
#[must_use]
pub fn main() -> ExitCode {
    if let Err(error) = crate::dump::forbid() {
        note(format_args!("lockstep: a crash may leave keys in a core dump: {error}"));
    }
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            note(format_args!("lockstep: {error}"));
            return ExitCode::from(71);
        }
    };
    let result = runtime.block_on(async {
        match cli.command {
            Command::Init(args) => init_command::run(&args),
            Command::Devnet(args) => Box::pin(devnet::run(args)).await,
            Command::Node(args) => Box::pin(node(args)).await,
            Command::Status(args) => Box::pin(status::run(args)).await,
            Command::Audit(args) => Box::pin(audit::run(args)).await,
            Command::VerifyEvidence(args) => evidence::run(&args),
            Command::Auction(args) => auction::run(&args),
            Command::Submit(args) => Box::pin(submit::run(args)).await,
            Command::Builder(args) => Box::pin(builder::run(args)).await,
            Command::Account(args) => Box::pin(account::run(args)).await,
            Command::Keygen(args) => Box::pin(ceremony::run(args)).await,
            Command::Change(args) => Box::pin(change::run(args)).await,
        }
    });
    // a start that was given up may still be reading: what it has on disk is whole at any moment
    runtime.shutdown_timeout(std::time::Duration::from_secs(5));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure { code, text }) => {
            if !text.is_empty() {
                note(format_args!("lockstep: {text}"));
            }
            ExitCode::from(code)
        }
    }
}

/// Starts the log on stderr; `filter` as in `RUST_LOG`.
pub(crate) fn start_log(filter: &str) {
    let filter = tracing_subscriber::EnvFilter::try_new(filter).unwrap_or_default();
    let colours = std::io::IsTerminal::is_terminal(&std::io::stderr());
    let log =
        tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours).with_writer(std::io::stderr).try_init();
    if let Err(error) = log {
        note(format_args!("lockstep: log: {error}"));
    }
}

async fn node(args: NodeArgs) -> Result<(), Failure> {
    let (Some(network), Some(config)) = (args.network, args.config) else {
        print(format_args!("{}", NodeConfig::print_default().trim_end()));
        return Ok(());
    };
    let mut config = NodeConfig::read(&config).map_err(member::MemberError::from)?;
    if let Some(lock) = args.passphrase.named()? {
        config.lock = lock;
    }
    start_log(&config.log);
    let network = Arc::new(NetworkFiles::read(&network).map_err(member::MemberError::from)?);
    let process = member::Process {
        pool: crate::pool::Pool::start(threads()).map_err(|e| Failure::software(e.to_string()))?,
        metrics: crate::metrics::Metrics::install().map_err(|e| Failure::software(e.to_string()))?,
        observer: None,
    };
    let mut stop = std::pin::pin!(member::stop_requested());
    let software = |error: std::io::Error| Failure::software(error.to_string());
    let (mut running, ()) = tokio::select! {
        result = &mut stop => return result.map_err(software),
        started = runner::start(network, config, process, |_| ()) => started?,
    };
    tokio::select! {
        result = &mut stop => {
            result.map_err(software)?;
            Ok(running.stop().await?)
        }
        ended = running.ends() => Ok(ended?),
    }
}

/// Threads for pure jobs: one per processor.
pub(crate) fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}
