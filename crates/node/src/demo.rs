//! What `init` and `devnet` have in common: rollups from 901, a demo account, bonded builders, lines to copy that work as
//! printed.
use crate::{
    cli::Failure,
    clock,
    entropy::Source,
    files::{self, NETWORK_FILE, NetworkFiles},
    init::{self, Plan},
    submit::{Account, Accounts},
};
use crypto::eth::EthKey;
use execution::demo::{LegTx, gas_class};
use std::path::Path;
use types::{Address, Amount, ChainId, Hash, Params, RevealMode};
use wallet::demo::demo_key;

/// Name of the file with the demo account's keys.
pub(crate) const ACCOUNTS_FILE: &str = "accounts.json";
const FIRST_CHAIN: u64 = 901;

/// Who combines the shares of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Reveal {
    Auto,
    Direct,
    Sharded,
}

impl From<Reveal> for RevealMode {
    fn from(reveal: Reveal) -> Self {
        match reveal {
            Reveal::Auto => Self::Auto,
            Reveal::Direct => Self::Direct,
            Reveal::Sharded => Self::Sharded,
        }
    }
}

/// What is asked of a network on this machine.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) members: u16,
    pub(crate) rollups: u64,
    pub(crate) params: Params,
    pub(crate) base_port: u16,
    /// Last part of the log's origin.
    pub(crate) name: &'static str,
    /// Of the demo account, and in a devnet of the wallets.
    pub(crate) wallet_seed: [u8; 32],
    /// Funded beside the demo account, on the ledger.
    pub(crate) payers: Vec<Address>,
    /// Funded beside the demo account, on every rollup.
    pub(crate) senders: Vec<Address>,
    /// Bonded builders, with a sender each that is funded on every rollup.
    pub(crate) builders: u16,
}

/// Refuses counts that make no network.
pub(crate) fn check(members: u16, rollups: u64) -> Result<(), Failure> {
    if members < 4 || members % 3 != 1 {
        return Err(init::InitError::Members(members).into());
    }
    if rollups == 0 || rollups > 16 {
        return Err(Failure::usage("--rollups takes 1 to 16".into()));
    }
    Ok(())
}

/// Refuses epochs that are too short.
pub(crate) fn check_epoch(slots: u64) -> Result<(), Failure> {
    if slots < types::EPOCH_SLOTS_MIN {
        return Err(Failure::usage(format!("--epoch-slots takes {} or more", types::EPOCH_SLOTS_MIN)));
    }
    Ok(())
}

/// Refuses more builders than may bid.
pub(crate) fn check_builders(count: u16) -> Result<(), Failure> {
    let most = Params::default_for(1).max_builders;
    if count > most {
        return Err(Failure::usage(format!("--builders takes 0 to {most}")));
    }
    Ok(())
}

/// Refuses a folder with anything in it.
pub(crate) fn check_empty(dir: &Path, holds: &str) -> Result<(), Failure> {
    let busy = dir.exists() && !dir.read_dir().is_ok_and(|mut entries| entries.next().is_none());
    if busy { Err(Failure::usage(format!("{} is not empty{holds}", dir.display()))) } else { Ok(()) }
}

/// Chain ids of the rollups.
pub(crate) fn chains(rollups: u64) -> Vec<ChainId> {
    (FIRST_CHAIN..FIRST_CHAIN + rollups).map(ChainId).collect()
}

/// Writes the network with its demo account into a folder; accounts.json comes last.
pub(crate) fn make(wanted: &Wanted, source: Source, dir: &Path) -> Result<NetworkFiles, Failure> {
    let seed = &wanted.wallet_seed;
    let (fee, sender) = demo_keys(seed, DEMO);
    let builders: Vec<_> = (0..wanted.builders).map(|i| account(seed, &builder_name(i))).collect();
    let bond = Amount::new(init::OPENING_BOND).unwrap_or(Amount::ZERO);
    let plan = Plan {
        origin: format!("lockstep.localhost/{}", wanted.name),
        members: wanted.members,
        rollups: chains(wanted.rollups),
        params: wanted.params.clone(),
        payers: wanted.payers.iter().copied().chain([fee.address()]).collect(),
        senders: wanted
            .senders
            .iter()
            .copied()
            .chain([sender.address()])
            .chain(builders.iter().map(|(_, sender)| *sender))
            .collect(),
        builders: builders.iter().map(|(bidder, _)| (*bidder, bond)).collect(),
        base_port: wanted.base_port,
        timestamp: clock::now().0 / 1_000,
        source,
    };
    let network = init::init(&plan, dir)?;
    write_accounts(seed, wanted.builders, dir)?;
    Ok(network)
}

/// Name of the person to play with, in accounts.json.
const DEMO: &str = "demo";

/// Name of a builder's account in accounts.json, and of the folder of its journal.
pub(crate) fn builder_name(index: u16) -> String {
    format!("builder-{index}")
}

/// Writes accounts.json with the demo accounts of this seed: a person's, then the builders'.
pub(crate) fn write_accounts(seed: &[u8; 32], builders: u16, dir: &Path) -> Result<(), Failure> {
    let names = [DEMO.to_owned()].into_iter().chain((0..builders).map(builder_name));
    let one = |name: String| {
        let (fee, sender) = account(seed, &name);
        let (fee_key, sender_key) = (demo_secret(seed, &name, "fee"), demo_secret(seed, &name, "sender"));
        Account { name, fee_account: fee, fee_key, sender, sender_key }
    };
    let accounts =
        Accounts { warning: "demo keys: everybody may know them".into(), accounts: names.map(one).collect() };
    let text = serde_json::to_vec_pretty(&accounts).map_err(|e| Failure::software(e.to_string()))?;
    Ok(files::write(&dir.join(ACCOUNTS_FILE), &text)?)
}

/// Addresses of the demo account: who pays on the ledger, and who sends on the rollups.
pub(crate) fn person(seed: &[u8; 32]) -> (Address, Address) {
    account(seed, DEMO)
}

fn account(seed: &[u8; 32], name: &str) -> (Address, Address) {
    let (fee, sender) = demo_keys(seed, name);
    (fee.address(), sender.address())
}

fn demo_secret(seed: &[u8; 32], name: &str, role: &str) -> Hash {
    if name == DEMO {
        return crypto::hash::sha256(&[b"lockstep demo person", seed, role.as_bytes()]);
    }
    crypto::hash::sha256(&[b"lockstep demo account", seed, name.as_bytes(), b" ", role.as_bytes()])
}

/// Keys of a demo account: of who pays or bids on the ledger, and of who sends on the rollups.
pub(crate) fn demo_keys(seed: &[u8; 32], name: &str) -> (EthKey, EthKey) {
    let key = |role| {
        EthKey::from_bytes(zeroize::Zeroizing::new(demo_secret(seed, name, role).0))
            .unwrap_or_else(|_out_of_range| demo_key(seed, role, u32::MAX))
    };
    (key("fee"), key("sender"))
}

/// Who the transfer of [`submit_line`] comes from, and on which rollup.
pub(crate) fn sender(seed: &[u8; 32]) -> (ChainId, Address) {
    (ChainId(FIRST_CHAIN), demo_keys(seed, DEMO).1.address())
}

/// A command that works as printed: a signed transfer of the demo account on the first rollup.
pub(crate) fn submit_line(dir: &Path, seed: &[u8; 32], nonce: u64) -> String {
    let (_, sender) = demo_keys(seed, DEMO);
    let chain = ChainId(FIRST_CHAIN);
    let tx = LegTx {
        chain_id: chain,
        nonce,
        to: sender.address(),
        value: 1,
        gas_limit: 21_000,
        data: Vec::new(),
        max_fee_per_gas: 100_000_000_000,
        max_priority_fee_per_gas: 1_000_000,
    };
    let leg = tx.leg(&sender.sign(&tx.digest()));
    let gas = 1u64 << gas_class(tx.gas_limit);
    format!(
        "lockstep submit --network {} --gas {gas} --leg {chain}:0x{}",
        dir.join(NETWORK_FILE).display(),
        hex::encode(&leg.tx)
    )
}
