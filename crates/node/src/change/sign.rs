//! `lockstep change approve`, `accept` and `merge`: signatures on copies of one change, and the copies joined.
//!
//! Trust: an approval says nothing but "these seats and parameters after that EPOCH". Of several changes with a quorum
//! the last one in the window counts, so a member that signs two has done nothing wrong.
use super::{proposal::Proposal, show};
use crate::{
    cli::{Failure, print},
    config::NodeConfig,
    files::Identity,
    passphrase::PassphraseArgs,
};
use crypto::ed25519::SigningKey;
use std::path::{Path, PathBuf};

/// Arguments of `lockstep change approve` and `accept`.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct SignArgs {
    /// The change; it is rewritten with the signature.
    #[arg(long, value_name = "FILE")]
    change: PathBuf,
    /// node.toml of the member that signs.
    #[arg(long)]
    config: PathBuf,
    #[command(flatten)]
    passphrase: PassphraseArgs,
}

/// Arguments of `lockstep change merge`.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct MergeArgs {
    /// Where to write all signatures; may be one of the copies.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Copies of one change.
    #[arg(required = true)]
    files: Vec<PathBuf>,
}

/// The consensus key of the member whose node.toml this is.
fn key(args: &SignArgs) -> Result<SigningKey, Failure> {
    let config = NodeConfig::read(&args.config)?;
    let lock = args.passphrase.named()?.unwrap_or(config.lock);
    Ok(SigningKey::from_seed(Identity::read(&config.data, &lock)?.consensus))
}

fn refused(path: &Path, error: &dyn core::fmt::Display) -> Failure {
    Failure::usage(format!("{}: {error}", path.display()))
}

/// Runs `approve`.
///
/// # Errors
/// [`Failure`]: 64 when the change breaks a rule or the member has no vote, 66 when a file cannot be read.
pub(super) fn approve(args: &SignArgs) -> Result<(), Failure> {
    let mut proposal = Proposal::read(&args.change)?;
    proposal.approve(&key(args)?).map_err(|error| refused(&args.change, &error))?;
    finish(&proposal, &args.change)
}

/// Runs `accept`.
///
/// # Errors
/// As [`approve`].
pub(super) fn accept(args: &SignArgs) -> Result<(), Failure> {
    let mut proposal = Proposal::read(&args.change)?;
    proposal.accept(&key(args)?).map_err(|error| refused(&args.change, &error))?;
    finish(&proposal, &args.change)
}

/// Runs `merge`.
///
/// # Errors
/// [`Failure`]: 64 when a file is no copy of the first one.
pub(super) fn merge(args: &MergeArgs) -> Result<(), Failure> {
    let mut all: Option<Proposal> = None;
    for path in &args.files {
        let copy = Proposal::read(path)?;
        match &mut all {
            Some(all) => all.merge(copy).map_err(|error| refused(path, &error))?,
            None => all = Some(copy),
        }
    }
    let all = all.ok_or_else(|| Failure::usage("no files to merge".into()))?;
    if args.out.exists() && !args.files.contains(&args.out) {
        // whoever merges into a file that has signatures of its own wants those, too
        return Err(refused(
            &args.out,
            &"exists and is not one of the copies: name it among them, or take another --out",
        ));
    }
    finish(&all, &args.out)
}

fn finish(proposal: &Proposal, path: &Path) -> Result<(), Failure> {
    proposal.write(path)?;
    show::print(proposal);
    print(format_args!("wrote      {}", path.display()));
    Ok(())
}
