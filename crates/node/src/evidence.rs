//! Evidence on disk and over HTTP, and `lockstep verify-evidence`, which needs nothing but a file and the network's.
//!
//! One file per finding, member and epoch, named `finding-member-epoch-hash`, written once; of a builder its address
//! without `0x`, an `s` and its slot stand for the member.
use crate::{
    change::{EpochPage, PAGE_BYTES_MAX},
    cli::{Failure, print},
    files::{self, NetworkFiles},
};
use crypto::{
    evidence::{self, Context, Proved},
    keys::KeySet,
};
use serde_json::json;
use std::path::{Path, PathBuf};
use store::durable;
use types::{Accused, Epoch, EpochRecord, Evidence, Operation, Receipt, limits};

fn folder(member: &Path) -> PathBuf {
    member.join("evidence")
}

/// Longest name: finding, member or builder and slot, epoch, hash.
const NAME_BYTES_MAX: usize = 190;

/// Whom a piece accuses, in its name.
fn accused_name(accused: &Accused) -> String {
    match accused {
        Accused::Member(member) => member.to_string(),
        Accused::Builder { builder, slot } => format!("{}s{slot}", hex::encode(builder.0)),
    }
}

/// Makes a piece durable, unless one for its finding, member and epoch is there; says its name.
pub(crate) fn keep(
    member: &Path,
    proved: &Proved,
    epoch: Epoch,
    piece: &Evidence,
) -> Result<Option<String>, durable::DiskError> {
    let prefix = format!("{}-{}-{}-", proved.finding, accused_name(&proved.accused), epoch);
    if names(member).iter().any(|name| name.starts_with(&prefix)) {
        return Ok(None);
    }
    durable::create_dir(&folder(member))?;
    let name = format!("{prefix}{}", evidence::id(piece));
    durable::write(&folder(member).join(&name), &types::codec::encode(piece))?;
    Ok(Some(name))
}

fn names(member: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder(member)) else { return Vec::new() };
    let mut names: Vec<String> =
        entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).filter(|name| is_name(name)).collect();
    names.sort();
    names
}

fn is_name(name: &str) -> bool {
    let known = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    name.len() <= NAME_BYTES_MAX && name.contains('-') && name.chars().all(known)
}

/// A piece by its name.
pub(crate) fn read(member: &Path, name: &str) -> Option<Vec<u8>> {
    if !is_name(name) {
        return None;
    }
    files::read(&folder(member).join(name), limits::EVIDENCE_BYTES_MAX).ok()
}

/// All pieces as operations: what the log does not hold yet is listed again.
pub(crate) fn operations(member: &Path) -> Vec<Vec<u8>> {
    let piece = |name: String| evidence::decode(&read(member, &name)?);
    let operation = |piece: Evidence| types::codec::encode(&Operation::Evidence(piece.into()));
    names(member).into_iter().filter_map(piece).map(operation).collect()
}

/// All pieces, as JSON: what each says, not checked again.
pub(crate) fn list(member: &Path) -> Option<Vec<u8>> {
    let entry = |name: String| {
        let piece = evidence::decode(&read(member, &name)?)?;
        let mut parts = name.rsplitn(4, '-').skip(1);
        let epoch = parts.next()?.parse::<u64>().ok()?;
        let (finding, accused) = evidence::claim(&piece);
        (parts.next()? == accused_name(&accused)).then_some(())?;
        let finding = finding.name();
        let accused = match accused {
            Accused::Member(member) => json!(member.0),
            Accused::Builder { builder, .. } => json!(builder.to_string()),
        };
        let (slot, view) = match &piece {
            Evidence::ListDouble { a, .. } => (Some(a.slot.0), None),
            Evidence::ListInvalid { list } => (Some(list.slot.0), None),
            Evidence::VoteDouble { view, .. } => (None, Some(*view)),
            Evidence::ShareDouble { a: share, .. }
            | Evidence::BeaconBad { share }
            | Evidence::ShareStray { share, .. } => (Some(share.header.slot.0), None),
            Evidence::ShareBad { fault } => (Some(fault.share.header.slot.0), None),
            Evidence::OpeningBad { fault } => (Some(fault.header.slot.0), None),
            Evidence::Builder { double } => (Some(double.said().2.0), None),
            Evidence::ReceiptDouble { a, .. } => (Receipt::parse(a).ok().map(|receipt| receipt.list_from.0), None),
        };
        Some(
            json!({ "finding": finding, "accused": accused, "epoch": epoch, "slot": slot, "view": view, "file": name }),
        )
    };
    serde_json::to_vec(&names(member).into_iter().filter_map(entry).collect::<Vec<_>>()).ok()
}

/// Arguments of `lockstep verify-evidence`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct VerifyArgs {
    /// A piece of evidence against a member or builder, as /lockstep/v1/faults/<name> gives it.
    file: PathBuf,
    /// The network's network.toml.
    #[arg(long)]
    network: PathBuf,
    /// EPOCH of the epoch that it is about, as a member's /lockstep/v1/epoch or /lockstep/v1/committee gave it: for
    /// another committee than that of network.toml. It is believed.
    #[arg(long, value_name = "FILE")]
    epoch: Option<PathBuf>,
}

/// An EPOCH that a member told, with its key set.
fn later(path: &Path, network: &NetworkFiles) -> Result<(EpochRecord, KeySet), Failure> {
    let unreadable = |text: &dyn core::fmt::Display| Failure { code: 2, text: format!("{}: {text}", path.display()) };
    let bytes = files::read(path, PAGE_BYTES_MAX).map_err(|error| unreadable(&error))?;
    let page = EpochPage::parse(&bytes, &network.id).map_err(|why| unreadable(&why))?;
    let n = u16::try_from(page.record.members.len()).unwrap_or(u16::MAX);
    let keys = KeySet::new(n, page.record.f, &page.record.keys()).map_err(|error| unreadable(&error))?;
    Ok((page.record, keys))
}

/// Runs the command.
///
/// # Errors
/// [`Failure`]: status 1 when it proves nothing, 2 when it cannot be read.
pub(crate) fn run(args: &VerifyArgs) -> Result<(), Failure> {
    let unreadable = |text: String| Failure { code: 2, text };
    let network = NetworkFiles::read(&args.network).map_err(|error| unreadable(error.to_string()))?;
    let keys = network.key_set().map_err(|error| unreadable(error.to_string()))?;
    let bytes = files::read(&args.file, limits::EVIDENCE_BYTES_MAX).map_err(|error| unreadable(error.to_string()))?;
    let no_evidence = || unreadable(format!("{}: no evidence", args.file.display()));
    let piece = evidence::decode(&bytes).ok_or_else(no_evidence)?;
    let genesis = &network.network.genesis;
    let schedule = genesis.params.schedule();
    let epoch = piece.epoch(schedule);
    let (first_slot, last_slot) = (schedule.first(epoch), schedule.last(epoch));
    let later = args.epoch.as_deref().map(|path| later(path, &network)).transpose()?;
    let (f, members, params, keys) = match &later {
        Some((record, _)) if record.epoch != epoch => {
            return Err(unreadable(format!("it is about epoch {epoch}, and --epoch is {}", record.epoch)));
        }
        Some((record, keys)) => (record.f, &record.members, &record.params, keys),
        None => (network.network.faults(), &genesis.members, &genesis.params, &keys),
    };
    let context = Context { network: network.id, epoch, first_slot, last_slot, f, members, params, keys };
    let proved = evidence::verify(&piece, &context).map_err(|step| Failure::found(format!("not proved: {step}")))?;
    print(format_args!("proved: {} by {} in {}", proved.finding, proved.accused, proved.place));
    Ok(())
}
