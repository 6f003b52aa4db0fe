//! `lockstep account`: what a ledger account holds, and its own operations: transfer, bond, unbond, withdraw.
use crate::{
    cli::{Failure, print},
    committee,
    files::{self, NetworkFiles},
    submit::Accounts,
};
use clap::{Args, Subcommand};
use crypto::{eth::EthKey, ids};
use serde_json::json;
use std::{path::PathBuf, time::Duration};
use types::{
    AccountHeader, Address, Amount, Hash, Nonce, Operation,
    reason::Reason,
    wire::{AccountState, Params},
};
use wallet::{NetworkView, SubmitLimits, Submitter};
use zeroize::Zeroizing;

/// Slots that an entry is waited for.
const PATIENCE_SLOTS: u64 = 60;

/// Arguments of `lockstep account`.
#[derive(Clone, Debug, Args)]
pub(crate) struct AccountArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Clone, Debug, Subcommand)]
enum Command {
    /// Show balance, bond, what is leaving it, and nonces.
    Show(ShowArgs),
    /// Move money to another account: one that is not on the ledger begins with the next epoch.
    Transfer(TransferArgs),
    /// Move money into the bond: a new builder may bid when the next epoch's builders are chosen.
    Bond(AmountArgs),
    /// Take money out of the free bond; it can be withdrawn after `unbond_epochs` whole epochs.
    Unbond(AmountArgs),
    /// Move what was unbonded long enough ago to the balance.
    Withdraw(AmountArgs),
}

/// Whose key.
#[derive(Clone, Debug, Args)]
struct KeyArgs {
    /// The network's network.toml.
    #[arg(long)]
    network: PathBuf,
    /// accounts.json with the account to use; default: the one beside network.toml.
    #[arg(long, conflicts_with = "key")]
    accounts: Option<PathBuf>,
    /// Which account of the file acts and pays the fee.
    #[arg(long, default_value = "demo", conflicts_with = "key")]
    payer: String,
    /// A file with the account's secret key, 64 hex digits, instead of accounts.json.
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// JSON instead of text.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Debug, Args)]
struct ShowArgs {
    /// Another account than that of the key.
    #[arg(long, value_name = "ADDRESS")]
    account: Option<String>,
    #[command(flatten)]
    key: KeyArgs,
}

#[derive(Clone, Debug, Args)]
struct TransferArgs {
    /// Who receives.
    #[arg(long, value_name = "ADDRESS")]
    to: String,
    #[command(flatten)]
    amount: AmountArgs,
}

#[derive(Clone, Debug, Args)]
struct AmountArgs {
    /// How much, in base units.
    #[arg(long)]
    amount: u128,
    #[command(flatten)]
    key: KeyArgs,
}

fn address(text: &str) -> Result<Address, Failure> {
    Address::from_hex(text).map_err(|error| Failure::usage(format!("{text:.60}: {error}")))
}

impl KeyArgs {
    fn key(&self) -> Result<EthKey, Failure> {
        let bad = |error: crypto::eth::EthError| Failure::usage(format!("key: {error}"));
        if let Some(path) = &self.key {
            let bytes = Zeroizing::new(files::read(path, 256)?);
            let text = core::str::from_utf8(&bytes).unwrap_or_default().trim();
            let key =
                Hash::from_hex(text).map_err(|error| Failure::usage(format!("{}: no key: {error}", path.display())))?;
            return EthKey::from_bytes(Zeroizing::new(key.0)).map_err(bad);
        }
        let path = self.accounts.clone().unwrap_or_else(|| self.network.with_file_name("accounts.json"));
        let bytes = Zeroizing::new(files::read(&path, 1 << 20)?);
        let accounts: Accounts =
            serde_json::from_slice(&bytes).map_err(|e| Failure::usage(format!("{}: {e}", path.display())))?;
        let account = accounts.accounts.iter().find(|account| account.name == self.payer);
        let account =
            account.ok_or_else(|| Failure::usage(format!("{}: no account {}", path.display(), self.payer)))?;
        EthKey::from_bytes(Zeroizing::new(account.fee_key.0)).map_err(bad)
    }
}

/// A network as its members tell it now.
struct Connected {
    submitter: Submitter,
    params: Params,
    slot_ms: u64,
}

async fn connect(path: &std::path::Path) -> Result<Connected, Failure> {
    let network = NetworkFiles::read(path)?;
    let now = committee::now(&network).await;
    let view = NetworkView::new(&now.network).map_err(|e| Failure::usage(e.to_string()))?;
    let view = NetworkView { id: now.id, epoch: now.epoch, ..view };
    let submitter = Submitter::start(view, SubmitLimits::default());
    let params = submitter.current().await.ok_or_else(few)?;
    Ok(Connected { submitter, params, slot_ms: network.network.genesis.params.slot_ms })
}

fn few() -> Failure {
    Failure::unavailable("fewer than 2f + 1 members answer: is the network running?".to_owned())
}

impl Connected {
    async fn state(&self, address: Address) -> Result<AccountState, Failure> {
        self.submitter.account_agreed(address).await.ok_or_else(few)
    }
}

/// Runs the command.
///
/// # Errors
/// [`Failure`]: 1 when it is refused or does nothing, 69 when too few members answer or it has no entry in time.
pub(crate) async fn run(args: AccountArgs) -> Result<(), Failure> {
    let (kind, to, amount) = match args.command {
        Command::Show(args) => return show(args).await,
        Command::Transfer(TransferArgs { to, amount }) => (AccountHeader::TRANSFER, address(&to)?, amount),
        Command::Bond(amount) => (AccountHeader::BOND, Address::ZERO, amount),
        Command::Unbond(amount) => (AccountHeader::UNBOND, Address::ZERO, amount),
        Command::Withdraw(amount) => (AccountHeader::WITHDRAW, Address::ZERO, amount),
    };
    let AmountArgs { amount, key: args } = amount;
    let amount = Amount::new(amount).ok_or_else(|| Failure::usage("--amount is 2^96 or more".to_owned()))?;
    let key = args.key()?;
    let connected = connect(&args.network).await?;
    let state = connected.state(key.address()).await?;
    let header = AccountHeader {
        version: AccountHeader::VERSION,
        network: connected.params.network,
        epoch: connected.params.epoch,
        kind,
        account: key.address(),
        nonce: Nonce(state.pending_operation_nonce),
        to,
        amount,
        data: Hash::ZERO,
    };
    send(&connected, &key, header, args.json).await
}

async fn send(connected: &Connected, key: &EthKey, header: AccountHeader, as_json: bool) -> Result<(), Failure> {
    let signed = crypto::account::sign(key, header);
    let item = ids::operation_hash(&Operation::Account(Box::new(signed)));
    if !as_json {
        print(format_args!("operation  {item}"));
        print(format_args!("account    {} nonce {} of its operations", header.account, header.nonce));
    }
    let answers = connected.submitter.operate(&signed).await;
    let taken = answers.iter().filter(|(_, answer)| answer.is_ok()).count();
    let why = || {
        let refused = answers.iter().filter_map(|(member, answer)| Some((member, answer.as_ref().err()?)));
        refused.map(|(member, error)| format!("member {member}: {}", said(error))).collect::<Vec<_>>().join("; ")
    };
    if taken == 0 {
        return Err(if answers.is_empty() { few() } else { Failure::found(format!("not taken: {}", why())) });
    }
    if !as_json {
        print(format_args!("held       by {taken} of {} members that answer", answers.len()));
    }
    let patience = Duration::from_millis(connected.slot_ms.saturating_mul(PATIENCE_SLOTS));
    let Some((slot, code)) = connected.submitter.entered(item, patience).await else {
        return Err(Failure::unavailable(format!("{item}: no entry within {PATIENCE_SLOTS} slots; {}", why())));
    };
    let undone = (code != 0).then(|| Reason::from_number(code).map_or("UNKNOWN", Reason::name));
    if as_json {
        let line = json!({"operation": item.to_string(), "slot": slot.0, "done": undone.is_none(), "reason": undone});
        print(format_args!("{line}"));
    } else {
        print(format_args!("entered    slot {slot}"));
    }
    match undone {
        None => {
            if !as_json {
                tell(&connected.state(header.account).await?);
            }
            Ok(())
        }
        Some(reason) => Err(Failure::found(format!("it did nothing: {reason}"))),
    }
}

fn said(error: &ingress::ClientError) -> String {
    let ingress::ClientError::Refused(refusal) = error else { return error.to_string() };
    if refusal.detail.is_empty() { refusal.reason.clone() } else { format!("{} ({})", refusal.reason, refusal.detail) }
}

async fn show(args: ShowArgs) -> Result<(), Failure> {
    let ShowArgs { account, key: args } = args;
    let of = match account {
        Some(text) => address(&text)?,
        None => args.key()?.address(),
    };
    let state = connect(&args.network).await?.state(of).await?;
    if !args.json {
        tell(&state);
        return Ok(());
    }
    let account = state.account.unwrap_or_default();
    let text = |amount: Amount| amount.units().to_string();
    let line = json!({"account": of.to_string(), "known": state.account.is_some(), "balance": text(account.balance),
        "bond": text(account.bond), "freeBond": text(state.free_bond), "unbonding": text(state.unbonding),
        "withdrawable": text(state.withdrawable), "builder": state.is_builder, "nonce": account.nonce.0,
        "operationNonce": state.operation_nonce});
    print(format_args!("{line}"));
    Ok(())
}

fn tell(state: &AccountState) {
    let Some(account) = state.account else {
        print(format_args!("account    {} is not on the ledger", state.address));
        return;
    };
    print(format_args!("account    {}", state.address));
    print(format_args!("balance    {}", account.balance));
    let builder = if state.is_builder { "; a builder of this epoch" } else { "" };
    print(format_args!("bond       {}, free {}{builder}", account.bond, state.free_bond));
    print(format_args!("leaving    {}, of which {} can be withdrawn", state.unbonding, state.withdrawable));
    print(format_args!("nonces     {} of envelopes, {} of operations", account.nonce, state.operation_nonce));
}
