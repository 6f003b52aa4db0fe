//! `lockstep change`: other members or parameters for a running network, from the next epoch on.
//!
//! ```text
//!  join     who joins              keys and a folder of its own; joining.json to give away
//!  propose  anybody                change.json, against the newest EPOCH that f + 1 members tell
//!  approve  2f + 1 of the members  each signs a copy
//!  accept   each that joins        signs a copy too
//!  merge    anybody                copies become one
//!  submit   anybody                verified, then sent to every member; the log decides (ADR 0005)
//! ```
//! `change.json` is a [`types::SignedChange`] with the EPOCH that it changes beside it. The change names members, keys
//! and parameters of that EPOCH by a hash, so whoever signs or reads the file needs no network to know what it says.
//!
//! Trust: who proposes and who submits can forge nothing; a file that was altered loses the signatures it had.
use crate::cli::Failure;
use std::path::PathBuf;

pub(crate) mod join;
mod page;
mod proposal;
mod propose;
mod show;
mod sign;
mod submit;
mod window;

pub(crate) use page::{EpochPage, PAGE_BYTES_MAX, PATH as EPOCH_PATH, is_address, leaf};

/// Arguments of `lockstep change`.
#[derive(Clone, Debug, clap::Args)]
#[command(arg_required_else_help = true)]
pub(crate) struct ChangeArgs {
    #[command(subcommand)]
    step: Step,
}

#[derive(Clone, Debug, clap::Subcommand)]
enum Step {
    /// Make a new member's folder: keys, node.toml, and joining.json for whoever proposes it.
    Join(join::JoinArgs),
    /// Write a change of members or parameters for the next epoch.
    Propose(propose::ProposeArgs),
    /// Say what a change changes, who has signed it, and whose word is missing.
    Show(ShowArgs),
    /// Sign a change as a member of this committee.
    Approve(sign::SignArgs),
    /// Sign a change as a member that joins by it.
    Accept(sign::SignArgs),
    /// Join the signatures of several copies of one change.
    Merge(sign::MergeArgs),
    /// Verify a change and send it to every member.
    Submit(submit::SubmitArgs),
}

#[derive(Clone, Debug, clap::Args)]
struct ShowArgs {
    /// A change.
    file: PathBuf,
}

/// Where the newest EPOCH is asked for.
#[derive(Clone, Debug, clap::Args)]
struct FromArgs {
    /// The network's network.toml.
    #[arg(long)]
    network: PathBuf,
    /// Believe one member, at this http:// address, instead of f + 1 of those in network.toml.
    #[arg(long, value_name = "URL")]
    from: Option<String>,
}

/// Runs the command.
///
/// # Errors
/// [`Failure`].
pub(crate) async fn run(args: ChangeArgs) -> Result<(), Failure> {
    match args.step {
        Step::Join(args) => join::run(&args),
        Step::Propose(args) => propose::run(args).await,
        Step::Show(args) => {
            let proposal = proposal::Proposal::read(&args.file)?;
            show::print(&proposal);
            Ok(())
        }
        Step::Approve(args) => sign::approve(&args),
        Step::Accept(args) => sign::accept(&args),
        Step::Merge(args) => sign::merge(&args),
        Step::Submit(args) => submit::run(args).await,
    }
}

#[cfg(test)]
mod tests;
