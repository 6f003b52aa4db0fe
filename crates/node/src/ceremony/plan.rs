//! `lockstep keygen join` and `plan`: from nothing to a file that all operators have.
use super::files::{CEREMONY_FILE, Ceremony, Planned};
use crate::{
    change::join,
    cli::{Failure, print},
    clock, demo,
    entropy::Source,
    files, init,
};
use std::path::{Path, PathBuf};
use types::{Address, Amount, Joining, MemberAddress, MemberId, Params};

/// Arguments of `lockstep keygen join`.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct JoinArgs {
    #[command(flatten)]
    folder: join::NewFolder,
}

/// Arguments of `lockstep keygen plan`.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct PlanArgs {
    /// joining.json of a member; 3f + 1 times.
    #[arg(long = "add", required = true, value_name = "FILE")]
    add: Vec<PathBuf>,
    /// Where to write; must be empty or absent.
    #[arg(long)]
    dir: PathBuf,
    /// Origin of the log: a domain of yours, a slash, a name.
    #[arg(long)]
    origin: String,
    /// Rollups, with chain ids from 901.
    #[arg(long, default_value_t = 2)]
    rollups: u64,
    /// Length of a slot, ms.
    #[arg(long, default_value_t = 500)]
    slot_ms: u64,
    /// Slots of an epoch.
    #[arg(long, default_value_t = 7_200)]
    epoch_slots: u64,
    /// Account that is funded on the ledger; may be repeated.
    #[arg(long, value_name = "ADDRESS")]
    payer: Vec<String>,
    /// Account that is funded on every rollup; may be repeated.
    #[arg(long, value_name = "ADDRESS")]
    sender: Vec<String>,
    /// Builder, and its bond in base units: it may bid from the first slot on; may be repeated.
    #[arg(long, value_name = "ADDRESS[=BOND]")]
    builder: Vec<String>,
    /// Fund a demo account, too, and write its keys to accounts.json: for trying a network.
    #[arg(long)]
    demo: bool,
}

/// Runs `join`.
pub(super) fn join(args: &JoinArgs) -> Result<(), Failure> {
    let made = args.folder.make(|_, _, _| Ok(()))?;
    made.say();
    print(format_args!(
        "next       give {} to whoever writes the plan: lockstep keygen plan --add",
        made.file.display()
    ));
    Ok(())
}

fn read(path: &Path) -> Result<Joining, Failure> {
    let bytes = files::read(path, 1 << 16)?;
    serde_json::from_slice(&bytes).map_err(|error| Failure::usage(format!("{}: {error}", path.display())))
}

fn addresses(texts: &[String]) -> Result<Vec<Address>, Failure> {
    let one = |text: &String| Address::from_hex(text).map_err(|_not| Failure::usage(format!("{text:.80}: no address")));
    texts.iter().map(one).collect()
}

/// Builders and their bonds; without a number that of a demo builder.
fn builders(texts: &[String]) -> Result<Vec<(Address, Amount)>, Failure> {
    let one = |text: &String| {
        let bad = || Failure::usage(format!("--builder wants ADDRESS[=BOND], not {text:.80}"));
        let (address, bond) = text.split_once('=').unzip();
        let address = Address::from_hex(address.unwrap_or(text)).map_err(|_not| bad())?;
        let bond = bond.map_or(Ok(init::OPENING_BOND), |bond| bond.parse().map_err(|_digits| bad()))?;
        Ok((address, Amount::new(bond).ok_or_else(bad)?))
    };
    texts.iter().map(one).collect()
}

/// Runs `plan`.
pub(super) fn plan(args: &PlanArgs) -> Result<(), Failure> {
    let dir = &args.dir;
    let mut joining: Vec<Joining> = args.add.iter().map(|path| read(path)).collect::<Result<_, _>>()?;
    joining.sort_by_key(|joining| joining.record.consensus);
    let members = u16::try_from(joining.len()).map_err(|_many| Failure::usage("too many members".into()))?;
    demo::check(members, args.rollups)?;
    demo::check_epoch(args.epoch_slots)?;
    demo::check_empty(dir, ": a plan is written into a folder of its own; take another --dir")?;
    let seed = if args.demo { Some(Source::System.draw("wallets", 0)?) } else { None };
    let (mut payers, mut senders) = (addresses(&args.payer)?, addresses(&args.sender)?);
    if let Some(seed) = &seed {
        let (fee, sender) = demo::person(seed);
        payers.push(fee);
        senders.push(sender);
    }
    let wanted = init::Plan {
        origin: args.origin.clone(),
        members,
        rollups: demo::chains(args.rollups),
        params: Params { epoch_slots: args.epoch_slots, ..Params::default_for(args.slot_ms) },
        payers,
        senders,
        builders: builders(&args.builder)?,
        base_port: 0,
        timestamp: clock::now().0 / 1_000,
        source: Source::System,
    };
    let records = joining.iter().map(|joining| joining.record.clone()).collect();
    let (genesis, rollups) = init::genesis(&wanted, records);
    let addresses = (0..).map(MemberId).zip(&joining).map(|(member, joining)| joining.address(member));
    let file =
        Ceremony { number: 0, absent: Vec::new(), genesis, addresses: addresses.collect::<Vec<MemberAddress>>() };
    let text = toml::to_string(&file).map_err(|error| Failure::software(error.to_string()))?;
    // whatever is wrong with it is said now, and not to every operator
    let planned = Planned::made(file, rollups)
        .map_err(|error| Failure { code: 78, text: format!("no such network: {error}") })?;
    files::make_dir(dir)?;
    for (spec, genesis) in &planned.rollups {
        files::write(&dir.join(files::genesis_name(spec.chain_id)), &genesis.to_json())?;
    }
    let path = dir.join(CEREMONY_FILE);
    files::write(&path, text.as_bytes())?;
    if let Some(seed) = &seed {
        demo::write_accounts(seed, 0, dir)?;
    }
    print(format_args!("network    {} of {members} members, {} rollups", planned.id, args.rollups));
    for (index, record) in planned.file.genesis.members.iter().enumerate() {
        print(format_args!("member {index:<3} {}, consensus key {}", record.name, record.consensus));
    }
    print(format_args!("wrote      {}", dir.display()));
    print(format_args!(
        "next       give the folder to every operator; each reads it, compares the network's id with the others, and runs"
    ));
    print(format_args!("           lockstep keygen ceremony --plan {} --dir <its folder>", path.display()));
    Ok(())
}
