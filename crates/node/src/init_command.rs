//! `lockstep init`: a network's files, and the commands that bring it up as separate processes.
use crate::{
    cli::{Failure, print},
    demo::{self, Reveal, Wanted},
    entropy::Source,
    files::NETWORK_FILE,
};
use std::path::PathBuf;
use types::Params;

/// Arguments of `lockstep init`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct InitArgs {
    /// Members: 3f + 1, at least 4.
    #[arg(long, default_value_t = 4)]
    members: u16,
    /// Rollups, with chain ids from 901.
    #[arg(long, default_value_t = 2)]
    rollups: u64,
    /// Where to write; must be empty or absent.
    #[arg(long)]
    dir: PathBuf,
    /// Length of a slot, ms.
    #[arg(long, default_value_t = 500)]
    slot_ms: u64,
    /// Slots of an epoch: committee and parameters can change between epochs. An hour of slots of 500 ms.
    #[arg(long, default_value_t = 7_200)]
    epoch_slots: u64,
    /// Who combines shares: everybody (direct), two members for each unit (sharded), two above 16 members (auto).
    #[arg(long, value_enum, default_value_t = Reveal::Auto)]
    reveal: Reveal,
    /// Builders with a bond: each may bid for slots as a `lockstep builder`.
    #[arg(long, default_value_t = 3)]
    builders: u16,
    /// First of the loopback ports; a member takes three.
    #[arg(long, default_value_t = 27_100)]
    base_port: u16,
    /// Keys from a seed, so that a demo can be repeated. They are then no secret.
    #[arg(long)]
    seed: Option<u64>,
}

/// Runs the command.
///
/// # Errors
/// [`Failure`]: what cannot be made, or where something stands already.
pub(crate) fn run(args: &InitArgs) -> Result<(), Failure> {
    let dir = &args.dir;
    demo::check(args.members, args.rollups)?;
    demo::check_epoch(args.epoch_slots)?;
    demo::check_builders(args.builders)?;
    demo::check_empty(dir, ": a network is written into a folder of its own; take another --dir")?;
    let source = args.seed.map_or(Source::System, Source::Seed);
    let wallet_seed = *source.draw("wallets", 0)?;
    let wanted = Wanted {
        members: args.members,
        rollups: args.rollups,
        params: Params {
            epoch_slots: args.epoch_slots,
            reveal: args.reveal.into(),
            ..Params::default_for(args.slot_ms)
        },
        base_port: args.base_port,
        name: "local",
        wallet_seed,
        payers: Vec::new(),
        senders: Vec::new(),
        builders: args.builders,
    };
    let network = demo::make(&wanted, source, dir)?;
    let file = dir.join(NETWORK_FILE);
    let file = file.display();
    let member = |i: u16| dir.join(format!("member-{i}"));
    print(format_args!("network    {} of {} members, {} rollups", network.id, args.members, args.rollups));
    print(format_args!("wrote      {file}"));
    for chain in demo::chains(args.rollups) {
        print(format_args!("wrote      {}", dir.join(crate::files::genesis_name(chain)).display()));
    }
    print(format_args!("wrote      {}", dir.join(demo::ACCOUNTS_FILE).display()));
    for (i, at) in (0..args.members).zip(&network.network.addresses) {
        print(format_args!("wrote      {}   p2p {} quic {} http {}", member(i).display(), at.p2p, at.quic, at.http));
    }
    print(format_args!(
        "PLAIN      keys were made in this process and are not sealed: for trying things (else: lockstep keygen)"
    ));
    print(format_args!(""));
    for i in 0..args.members {
        let config = member(i).join("node.toml");
        print(format_args!("start      lockstep node --network {file} --config {}", config.display()));
    }
    print(format_args!("status     lockstep status --network {file}"));
    print(format_args!("submit     {}", demo::submit_line(dir, &wallet_seed, 0)));
    for i in 0..args.builders {
        print(format_args!("bid        lockstep builder --network {file} --bidder {}", demo::builder_name(i)));
    }
    print(format_args!("audit      lockstep audit {} --network {file}", member(0).display()));
    Ok(())
}
