//! `lockstep change propose`.
use super::{
    FromArgs, page,
    proposal::{Proposal, ProposalError, plain},
    show, submit, window,
};
use crate::{
    cli::{Failure, note, print},
    files::{self, FilesError, NetworkFiles},
};
use std::path::{Path, PathBuf};
use types::{
    Change, Epoch, EpochRecord, Hash, Joining, MemberId, MemberRecord, Params, Seat, Signature, SignedChange, limits,
};

/// Arguments of `lockstep change propose`.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct ProposeArgs {
    #[command(flatten)]
    from: FromArgs,
    /// A member that leaves: its name, or its consensus key. Repeat for more.
    #[arg(long, value_name = "NAME")]
    remove: Vec<String>,
    /// joining.json of a member that joins. Repeat for more.
    #[arg(long, value_name = "FILE")]
    add: Vec<PathBuf>,
    /// TOML with the parameters that change, as in [genesis.params] of network.toml.
    #[arg(long, value_name = "FILE")]
    params: Option<PathBuf>,
    /// The last epoch that the change may be for; without it, 24 after the newest.
    #[arg(long, value_name = "EPOCH")]
    until: Option<u64>,
    /// Where to write the change; must be absent.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// Why nothing was proposed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum ProposeError {
    /// Nothing differs.
    #[error("nothing changes: give --remove, --add or --params")]
    Nothing,
    /// No member is called so.
    #[error("--remove {0}: no member of epoch {1} has this name or consensus key; there are {2}")]
    NoMember(String, Epoch, String),
    /// Two members are called so.
    #[error("--remove {0}: several members have this name; give the consensus key instead")]
    Ambiguous(String),
    /// Two of the next committee would be called so.
    #[error("two members of the next committee would be called {0}: remove one, or join under another name")]
    Name(String),
    /// Two of the next committee would have this key.
    #[error("{0} has the consensus key of a member that stays: remove that one, or join with keys of its own")]
    SameKey(String),
    /// n is not 3f + 1.
    #[error("the next committee would have {0} members: n must be 3f + 1 (4, 7, 10, .. 127)\ndo: {1}")]
    Size(usize, String),
    /// What was built breaks a rule.
    #[error(transparent)]
    Proposal(#[from] ProposalError),
    /// It does not fit an operation.
    #[error("{0} bytes with all signatures do not fit the log: change fewer members at a time")]
    TooLarge(usize),
}

impl From<ProposeError> for Failure {
    fn from(error: ProposeError) -> Self {
        Self::usage(error.to_string())
    }
}

/// Epochs that a change may wait for its signatures and its window: a day of epochs of an hour.
const WAITS: u64 = 24;

/// Builds a change of what `current` says, without signatures.
///
/// # Errors
/// [`ProposeError`].
pub(super) fn build(
    current: &EpochRecord,
    until: Epoch,
    remove: &[String],
    add: Vec<Joining>,
    params: Params,
) -> Result<Proposal, ProposeError> {
    if remove.is_empty() && add.is_empty() && params == current.params {
        return Err(ProposeError::Nothing);
    }
    let mut leaving = Vec::new();
    for name in remove {
        leaving.push(find(current, name)?);
    }
    let stays = (0u16..).zip(&current.members).filter(|(index, _)| !leaving.contains(index));
    let mut seats: Vec<(MemberRecord, Seat)> =
        stays.map(|(index, member)| (member.clone(), Seat::Stays(MemberId(index)))).collect();
    for joining in add {
        let record = joining.record.clone();
        if seats.iter().any(|(member, _)| member.consensus == record.consensus) {
            return Err(ProposeError::SameKey(plain(&record.name)));
        }
        if seats.iter().any(|(member, _)| member.name == record.name) {
            return Err(ProposeError::Name(plain(&record.name)));
        }
        seats.push((record, Seat::Joins(Box::new(joining))));
    }
    check_size(seats.len())?;
    seats.sort_by_key(|(member, _)| member.consensus);
    let seats = seats.into_iter().map(|(_, seat)| seat).collect();
    let change = Change { network: current.network, until, base: crypto::change::base(current), seats, params };
    let acceptances = vec![Signature::ZERO; change.joining().count()];
    let proposal = Proposal::check(current.clone(), SignedChange { change, approvals: Vec::new(), acceptances })?;
    // an index in its codec form is at most 3 bytes, a signature 64
    let size = submit::operation_bytes(proposal.signed()).len() + proposal.current.members.len() * 67 + 8;
    if size > limits::OPERATION_BYTES_MAX { Err(ProposeError::TooLarge(size)) } else { Ok(proposal) }
}

fn find(current: &EpochRecord, name: &str) -> Result<u16, ProposeError> {
    let key = Hash::from_hex(name).ok();
    let mut found =
        (0u16..).zip(&current.members).filter(|(_, member)| member.name == name || Some(member.consensus) == key);
    match (found.next(), found.next()) {
        (Some((index, _)), None) => Ok(index),
        (None, _) => {
            let names: Vec<String> = current.members.iter().map(|member| plain(&member.name)).collect();
            Err(ProposeError::NoMember(plain(name), current.epoch, names.join(", ")))
        }
        (Some(_), Some(_)) => Err(ProposeError::Ambiguous(plain(name))),
    }
}

fn check_size(n: usize) -> Result<(), ProposeError> {
    let over = n.saturating_sub(1) % 3;
    let help = match n {
        0..4 => format!("add {} more, or remove fewer; fewer than 4 members tolerate no fault", 4 - n),
        limits::MEMBERS_MAX.. => format!("remove {} more", n - (limits::MEMBERS_MAX - 1)),
        _ if over == 0 => return Ok(()),
        _ => format!("add {} more, or remove {over} more", 3 - over),
    };
    Err(ProposeError::Size(n, help))
}

/// Reads a joining.json.
fn read_joining(path: &Path) -> Result<Joining, Failure> {
    let bytes = files::read(path, 16 << 10)?;
    serde_json::from_slice(&bytes)
        .map_err(|error| Failure::usage(format!("{}: no joining.json: {error}", path.display())))
}

/// The parameters of now with those of a file instead, by name.
pub(super) fn with_params(current: &Params, path: &Path, bytes: &[u8]) -> Result<Params, Failure> {
    let bad = |error: &dyn core::fmt::Display| Failure::usage(format!("{}: {error}", path.display()));
    let changes: toml::Table = toml::from_slice(bytes).map_err(|error| bad(&error))?;
    let mut all = toml::Table::try_from(current).map_err(|error| Failure::software(error.to_string()))?;
    all.extend(changes);
    all.try_into().map_err(|error: toml::de::Error| bad(&error.message()))
}

/// Runs the command.
///
/// # Errors
/// [`Failure`]: 64 when there is nothing to propose, 69 when too few members answer, 75 when it is too late.
pub(super) async fn run(args: ProposeArgs) -> Result<(), Failure> {
    let out = &args.out;
    if out.exists() {
        return Err(Failure::usage(format!("{} exists, perhaps with signatures: take another --out", out.display())));
    }
    let network = NetworkFiles::read(&args.from.network)?;
    let add = args.add.iter().map(|path| read_joining(path)).collect::<Result<Vec<_>, _>>()?;
    let params = match &args.params {
        Some(path) => Some((path, files::read(path, 64 << 10)?)),
        None => None,
    };
    let current = page::ask(&network, &args.from).await?;
    if args.from.from.is_some() {
        note(format_args!("lockstep: EPOCH of epoch {}: {}", current.record.epoch, current.told));
    }
    let params = match params {
        Some((path, bytes)) => with_params(&current.record.params, path, &bytes)?,
        None => current.record.params.clone(),
    };
    let until = args.until.map_or_else(|| current.record.epoch.plus(WAITS), Epoch);
    let hint = window::hint(&current.record, until, current.slot);
    if window::is_over(&current.record, until, current.slot) {
        return Err(Failure {
            code: 75,
            text: format!("nothing written: of the slots in which a change counts {hint}"),
        });
    }
    let proposal = build(&current.record, until, &args.remove, add, params)?;
    store::durable::write(out, &proposal.to_bytes().map_err(|error| Failure::software(error.to_string()))?)
        .map_err(FilesError::Durable)?;
    print(format_args!("epoch      {}: {}", current.record.epoch, current.told));
    show::print(&proposal);
    print(format_args!("window     {hint}"));
    let file = out.display();
    print(format_args!("wrote      {file}"));
    print(format_args!(
        "next       {} members: lockstep change approve --change {file} --config node.toml",
        proposal.need()
    ));
    if proposal.acceptances.is_empty() {
        return Ok(());
    }
    print(format_args!("next       who joins: lockstep change accept --change {file} --config node.toml"));
    Ok(())
}
