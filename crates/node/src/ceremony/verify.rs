//! `lockstep keygen verify-transcript`: from public data alone.
use super::files::{name, names};
use crate::{
    cli::{Failure, print},
    files::{self, NetworkFiles},
};
use keygen::operators::{self, TRANSCRIPT_BYTES_MAX, Transcript, TranscriptError, Verified};
use std::path::{Path, PathBuf};

/// Arguments of `lockstep keygen verify-transcript`.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct VerifyArgs {
    /// A transcript, as `keygen ceremony` wrote it.
    file: PathBuf,
    /// The network's network.toml.
    #[arg(long)]
    network: PathBuf,
}

/// A transcript and what it proves. Status 1 when it proves nothing, 2 when it cannot be read.
pub(super) fn verified(file: &Path, network: &NetworkFiles) -> Result<(Transcript, Verified), Failure> {
    let bytes =
        files::read(file, TRANSCRIPT_BYTES_MAX).map_err(|error| Failure { code: 2, text: error.to_string() })?;
    let refused = |error: TranscriptError| {
        let mut text = format!("refused: {}: {error}", error.code());
        let mut cause = std::error::Error::source(&error);
        while let Some(next) = cause {
            text = format!("{text}: {next}");
            cause = next.source();
        }
        Failure::found(text)
    };
    let transcript = Transcript::read(&bytes).map_err(refused)?;
    let genesis = &network.network.genesis;
    let members: Vec<_> = genesis.members.iter().map(|member| member.consensus).collect();
    let verified = operators::verify(&transcript, &network.id, &members, &network.network.keys).map_err(refused)?;
    Ok((transcript, verified))
}

/// Runs the command.
pub(super) fn run(args: &VerifyArgs) -> Result<(), Failure> {
    let network = NetworkFiles::read(&args.network).map_err(|error| Failure { code: 2, text: error.to_string() })?;
    let (transcript, verified) = verified(&args.file, &network)?;
    let genesis = &network.network.genesis;
    let outcome = &verified.finished.outcome;
    print(format_args!("network    {}", network.id));
    print(format_args!("ceremony   number {}, {} messages", verified.number, transcript.messages.len()));
    print(format_args!("keys       those of {}", args.network.display()));
    print(format_args!("agreed     {}, by all but the absent", outcome.hash));
    print(format_args!("absent     {}", names(genesis, &verified.absent)));
    print(format_args!("dealers    {}", names(genesis, &outcome.dealers)));
    print(format_args!("faulty     {}", names(genesis, &outcome.faulty)));
    print(format_args!("wrong key  {}", names(genesis, &verified.finished.liars)));
    print(format_args!("revealed   {}", names(genesis, &outcome.revealed)));
    for (member, phase) in &verified.contradicted {
        print(format_args!("proved     {} signed two different messages of step {phase}", name(genesis, *member)));
    }
    print(format_args!("verified"));
    Ok(())
}
