//! `lockstep keygen verify-transcript`: from public data alone.
use super::files::{Planned, name, names};
use crate::{
    cli::{Failure, print},
    files::{self, NetworkFiles},
};
use keygen::operators::{self, TRANSCRIPT_BYTES_MAX, Transcript, TranscriptError, Verified};
use std::path::{Path, PathBuf};
use types::{Genesis, Hash};

/// Arguments of `lockstep keygen verify-transcript`.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct VerifyArgs {
    /// A transcript, as `keygen ceremony` wrote it, or a proof that it kept.
    file: PathBuf,
    /// The network's network.toml.
    #[arg(long, required_unless_present = "plan", conflicts_with = "plan")]
    network: Option<PathBuf>,
    /// ceremony.toml, for a proof: there may be no network.
    #[arg(long)]
    plan: Option<PathBuf>,
}

fn unreadable(error: &dyn core::fmt::Display) -> Failure {
    Failure { code: 2, text: error.to_string() }
}

fn refused(error: TranscriptError) -> Failure {
    let mut text = format!("refused: {}: {error}", error.code());
    let mut cause = std::error::Error::source(&error);
    while let Some(next) = cause {
        text = format!("{text}: {next}");
        cause = next.source();
    }
    Failure::found(text)
}

fn keys(genesis: &Genesis) -> Vec<Hash> {
    genesis.members.iter().map(|member| member.consensus).collect()
}

fn read(file: &Path) -> Result<Transcript, Failure> {
    let bytes = files::read(file, TRANSCRIPT_BYTES_MAX).map_err(|error| unreadable(&error))?;
    Transcript::read(&bytes).map_err(refused)
}

/// A transcript and what it proves. Status 1 when it proves nothing, 2 when it cannot be read.
pub(super) fn verified(file: &Path, network: &NetworkFiles) -> Result<(Transcript, Verified), Failure> {
    let transcript = read(file)?;
    let NetworkFiles { id, network, .. } = network;
    let verified = operators::verify(&transcript, id, &keys(&network.genesis), &network.keys).map_err(refused)?;
    Ok((transcript, verified))
}

/// Runs the command.
pub(super) fn run(args: &VerifyArgs) -> Result<(), Failure> {
    if let Some(plan) = &args.plan {
        let planned = Planned::read(plan).map_err(|error| unreadable(&error))?;
        let proof = read(&args.file)?;
        if !proof.is_proof() {
            return Err(Failure::usage(
                "a transcript is held against the keys of a network: name it with --network".into(),
            ));
        }
        return proved(&proof, &planned.id, &planned.file.genesis);
    }
    let path = args.network.as_deref().unwrap_or(Path::new(files::NETWORK_FILE));
    let network = NetworkFiles::read(path).map_err(|error| unreadable(&error))?;
    let proof = read(&args.file)?;
    if proof.is_proof() {
        return proved(&proof, &network.id, &network.network.genesis);
    }
    report(&args.file, path, &network)
}

/// What a proof proves.
fn proved(proof: &Transcript, network: &Hash, genesis: &Genesis) -> Result<(), Failure> {
    let (member, phase) = operators::verify_proof(proof, network, &keys(genesis)).map_err(refused)?;
    print(format_args!("network    {network}"));
    print(format_args!("ceremony   number {}, absent: {}", proof.number, names(genesis, &proof.absent)));
    print(format_args!("proved     {} signed two different messages of step {phase}", name(genesis, member)));
    print(format_args!("verified   a proof, not keys"));
    Ok(())
}

fn report(file: &Path, path: &Path, network: &NetworkFiles) -> Result<(), Failure> {
    let (transcript, verified) = verified(file, network)?;
    let genesis = &network.network.genesis;
    let outcome = &verified.finished.outcome;
    print(format_args!("network    {}", network.id));
    print(format_args!("ceremony   number {}, {} messages", verified.number, transcript.messages.len()));
    print(format_args!("keys       those of {}", path.display()));
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
    print(format_args!(
        "note       another number can have come to other keys: the network's are those of EPOCH in its log, which lockstep \
         audit holds against network.toml"
    ));
    Ok(())
}
