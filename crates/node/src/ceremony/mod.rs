//! `lockstep keygen`: the keys of a network, made by its operators, each in a process of its own; key files and transcripts.
//!
//! ```text
//!  join               each operator     keys and a folder of its own; joining.json to give away
//!  plan               one of them       all joining.json become ceremony.toml, which everybody reads and compares
//!  ceremony           each operator     the same moment, more or less: key set, share, transcript
//!  verify-transcript  anybody           that the keys of network.toml came of it
//!  check-backup, show, seal, share      key files
//! ```
//! What is said, and why all end with the same keys: `keygen::operators`. Here its messages travel: each process serves
//! what it holds over HTTP and fetches what the others hold. They are signed, and secret parts are sealed to consensus
//! keys, so the transport needs neither authentication nor secrecy: who changes, withholds or invents bytes stops it at worst.
use crate::cli::Failure;

mod exchange;
mod files;
mod finish;
mod journal;
mod keys;
mod plan;
mod run;
mod verify;

/// Arguments of `lockstep keygen`.
#[derive(Clone, Debug, clap::Args)]
#[command(arg_required_else_help = true)]
pub(crate) struct KeygenArgs {
    #[command(subcommand)]
    step: Step,
}

#[derive(Clone, Debug, clap::Subcommand)]
enum Step {
    /// Make an operator's folder: keys, and joining.json for whoever writes the plan.
    Join(plan::JoinArgs),
    /// Write ceremony.toml and the rollups' genesis files: the network without its keys.
    Plan(plan::PlanArgs),
    /// Make the keys together with the other operators; write network.toml, this member's share and the transcript.
    Ceremony(run::CeremonyArgs),
    /// Check that the keys of a network came of a ceremony, and say who took part.
    VerifyTranscript(verify::VerifyArgs),
    /// Open a member's key files and hold them against the network. Prints nothing secret.
    CheckBackup(keys::CheckArgs),
    /// Say what a key file, a transcript or network.toml is. Opens nothing.
    Show(keys::ShowArgs),
    /// Seal a member's key files under a passphrase, or under another one.
    Seal(keys::SealArgs),
    /// Write a member's share again, from the transcript and its consensus key.
    Share(keys::ShareArgs),
}

/// Runs the command.
///
/// # Errors
/// [`Failure`].
pub(crate) async fn run(args: KeygenArgs) -> Result<(), Failure> {
    match args.step {
        Step::Join(args) => plan::join(&args),
        Step::Plan(args) => plan::plan(&args),
        Step::Ceremony(args) => Box::pin(run::run(args)).await,
        Step::VerifyTranscript(args) => verify::run(&args),
        Step::CheckBackup(args) => keys::check(&args),
        Step::Show(args) => keys::show(&args),
        Step::Seal(args) => keys::seal(&args),
        Step::Share(args) => keys::share(&args),
    }
}

#[cfg(test)]
mod tests;
