//! `lockstep submit`: sends a bundle to a running network and tells what became of it.
use crate::{
    cli::{Failure, print},
    committee,
    entropy::Source,
    files::NetworkFiles,
};
use execution::demo::gas_class;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::{
    path::{Path, PathBuf},
    time::Duration,
};
use types::{Address, Bundle, ChainId, Hash, Leg, Policy, Slot};
use wallet::{NetworkView, SealOptions, SubmitLimits, Submitter};
use zeroize::Zeroizing;

/// Arguments of `lockstep submit`.
#[derive(Clone, Debug, clap::Args)]
pub struct SubmitArgs {
    /// The network's network.toml.
    #[arg(long)]
    network: PathBuf,
    /// A leg: chain id, colon, signed transaction in hex (EIP-2718). Repeat for more legs, in execution order.
    #[arg(long = "leg", required = true, value_name = "CHAIN:RAWTX")]
    legs: Vec<String>,
    /// accounts.json with the fee account to use; default: the one beside network.toml.
    #[arg(long)]
    accounts: Option<PathBuf>,
    /// Which account of the file pays.
    #[arg(long, default_value = "demo")]
    payer: String,
    /// Place the legs whatever they do, instead of all or nothing.
    #[arg(long)]
    inclusion: bool,
    /// Gas that all legs together may use; rounded up to a power of two.
    #[arg(long, default_value_t = 1_000_000)]
    gas: u64,
    /// Slots that it stays valid.
    #[arg(long, default_value_t = 60)]
    expiry_slots: u64,
    /// JSON instead of text.
    #[arg(long)]
    json: bool,
}

/// accounts.json: demo keys, funded in the genesis that `devnet` and `init` write. Never keys of value.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Accounts {
    /// Says that these keys are public.
    pub warning: String,
    /// The accounts.
    pub accounts: Vec<Account>,
}

/// One demo account.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Account {
    /// Name for `--payer`.
    pub name: String,
    /// Pays for inclusion on the ledger.
    pub fee_account: Address,
    /// Its key.
    pub fee_key: Hash,
    /// Funded on every rollup.
    pub sender: Address,
    /// Its key.
    pub sender_key: Hash,
}

impl core::fmt::Debug for Accounts {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Accounts").field("count", &self.accounts.len()).finish_non_exhaustive()
    }
}

impl core::fmt::Debug for Account {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Account").field("name", &self.name).finish_non_exhaustive()
    }
}

/// An account of accounts.json; without a path that of the file beside network.toml.
pub(crate) fn account(network: &Path, accounts: Option<&Path>, name: &str) -> Result<Account, Failure> {
    let path = accounts.map_or_else(|| network.with_file_name("accounts.json"), Path::to_path_buf);
    let bytes = Zeroizing::new(crate::files::read(&path, 1 << 20)?);
    let accounts: Accounts =
        serde_json::from_slice(&bytes).map_err(|e| Failure::usage(format!("{}: {e}", path.display())))?;
    let account = accounts.accounts.into_iter().find(|a| a.name == name);
    account.ok_or_else(|| Failure::usage(format!("{}: no account {name}", path.display())))
}

fn leg(text: &str) -> Result<Leg, Failure> {
    let bad = || Failure::usage(format!("--leg wants CHAIN:RAWTX, not {text:.40}"));
    let (chain, raw) = text.split_once(':').ok_or_else(bad)?;
    let chain_id = ChainId(chain.parse().map_err(|_number| bad())?);
    let tx = hex::decode(raw.trim_start_matches("0x")).map_err(|_hex| bad())?;
    Ok(Leg { chain_id, tx })
}

/// Runs the command.
///
/// # Errors
/// [`Failure`] with the exit status and what to print.
pub async fn run(args: SubmitArgs) -> Result<(), Failure> {
    let network = NetworkFiles::read(&args.network)?;
    let account = account(&args.network, args.accounts.as_deref(), &args.payer)?;
    let key = crypto::eth::EthKey::from_bytes(Zeroizing::new(account.fee_key.0))
        .map_err(|e| Failure::usage(format!("fee key: {e}")))?;
    let legs = args.legs.iter().map(|text| leg(text)).collect::<Result<Vec<_>, _>>()?;

    let now = committee::now(&network).await;
    let view = NetworkView::new(&now.network).map_err(|e| Failure::usage(e.to_string()))?;
    let view = NetworkView { id: now.id, epoch: now.epoch, ..view };
    let submitter = Submitter::start(view, SubmitLimits::default());
    let few = || Failure::unavailable("fewer than 2f + 1 members answer: is the network running?".to_string());
    let params = submitter.current().await.ok_or_else(few)?;
    let nonce = submitter.next_nonce(key.address()).await.ok_or_else(few)?;
    let expiry_slot = params.last_final.plus(args.expiry_slots);
    let bundle = Bundle {
        version: Bundle::VERSION,
        policy: if args.inclusion { Policy::AtomicInclusion } else { Policy::AtomicExec },
        legs,
        deadline_slot: Slot(expiry_slot.0 + network.network.genesis.params.carry_slots_max),
        salt: Hash(*Source::System.draw("salt", 0)?),
    };
    let gas_class = gas_class(args.gas);
    let size = wallet::size_class(&bundle).map_err(|e| Failure::usage(e.to_string()))?;
    let max_fee =
        wallet::offer(&params, size, gas_class).ok_or_else(|| Failure::usage("prices are out of range".to_string()))?;
    let options =
        SealOptions { epoch: params.epoch, expiry_slot, gas_class, max_fee, after: Vec::new(), consents: Vec::new() };
    let entropy = Source::System.draw("seal", 0)?;
    let (item, envelope) = wallet::seal_bundle(submitter.view(), &key, nonce, &bundle, options, entropy)
        .map_err(|e| Failure::usage(e.to_string()))?;
    if !args.json {
        print(format_args!("envelope   {item}"));
        print(format_args!("payer      {} nonce {nonce}, offers at most {max_fee}", key.address()));
    }
    let submission = match submitter.submit(&envelope).await {
        Ok(submission) => submission,
        Err(error) => {
            let refused = error.submission.collected().refused;
            let why: Vec<String> = refused.iter().map(|(member, r)| format!("member {member}: {r:?}")).collect();
            return Err(Failure::unavailable(format!("{} of {} receipts; {}", error.have, error.need, why.join("; "))));
        }
    };
    if !args.json {
        let receipts = submission.collected().receipts;
        for receipt in &receipts {
            print(format_args!("receipt    member {}: listed by slot {}", receipt.member, receipt.receipt.admit_by));
        }
    }
    let patience = Duration::from_millis(network.network.genesis.params.slot_ms * (args.expiry_slots + 20));
    let outcome =
        submitter.outcome(&submission, patience).await.map_err(|e| Failure::unavailable(format!("{item}: {e}")))?;
    let _all = submission.all().await;
    if args.json {
        let receipts: Vec<_> = outcome.receipts.iter().map(|r| json!({"member": r.member.0, "note": r.note})).collect();
        let line = json!({"item": item.to_string(), "slot": outcome.slot.0, "index": outcome.index,
            "outcome": outcome.outcome.name(), "leg": outcome.leg, "receipts": receipts});
        print(format_args!("{line}"));
    } else {
        print(format_args!("order      slot {}, place {}", outcome.slot, outcome.index));
        let leg = if outcome.outcome.is_aborted() { format!(" (leg {})", outcome.leg) } else { String::new() };
        print(format_args!("outcome    {}{leg}", outcome.outcome));
    }
    Ok(())
}
