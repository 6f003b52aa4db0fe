//! `lockstep builder`: bids for every slot of a running network, from a bond, and says what it won and paid.
mod log;

pub(crate) use log::Log;

use crate::{
    cli::{Failure, note, print, start_log},
    committee,
    entropy::{NoEntropy, Source},
    files::NetworkFiles,
    member::stop_requested,
    submit,
};
use crypto::eth::EthKey;
use serde_json::{Value, json};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};
use types::{Address, Amount, Hash, MemberId, wire::Refusal};
use wallet::{
    NetworkView, Refused, SubmitLimits, Submitter,
    builder::{
        BodyReport, Builder, BuilderError, Entropy, Journal, JournalError, Keys, Reference, Report, SlotReport,
        Summary, TailReport,
    },
};
use zeroize::Zeroizing;

/// Arguments of `lockstep builder`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct BuilderArgs {
    /// The network's network.toml.
    #[arg(long)]
    network: PathBuf,
    /// accounts.json with the builder's account; default: the one beside network.toml.
    #[arg(long)]
    accounts: Option<PathBuf>,
    /// Which account of the file bids.
    #[arg(long, default_value = "builder-0")]
    bidder: String,
    /// Journal of what it signs; default: a folder of the account's name beside network.toml. Without it a restart may
    /// sign twice, and that is slashed.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// What a slot is worth beside its tail, base units: five times the least reserve of a default network.
    #[arg(long, default_value_t = 50_000_000_000_000)]
    worth: u128,
    /// How far the worth of a slot may be from that, in basis points of it; differs by builder and slot.
    #[arg(long, default_value_t = 3_000)]
    spread_bps: u16,
    /// JSON lines instead of text.
    #[arg(long)]
    json: bool,
    /// Filter of the log on stderr, as in `RUST_LOG`.
    #[arg(long, default_value = "warn")]
    log: String,
}

/// Fresh bytes of the operating system.
pub(crate) fn entropy() -> Entropy {
    Box::new(|| Source::System.draw("builder", 0).ok())
}

/// Opens the journal of a builder.
pub(crate) fn journal(dir: &Path, network: Hash, bidder: Address) -> Result<Journal, Failure> {
    let salt = Source::System.draw("journal", 0)?;
    let (salt, _) = salt.split_first_chunk::<16>().ok_or(NoEntropy)?;
    Journal::open(dir, network, bidder, *salt).map_err(|error| match error {
        JournalError::Lock(_) | JournalError::Owner(_) => Failure::usage(format!(
            "{error}\n  do: take the --dir of this builder, and run it once: two that sign for one bond are slashed"
        )),
        JournalError::Wal(_) | JournalError::Disk(_) | JournalError::Record(_) | JournalError::Past(_) | _ => {
            Failure::software(error.to_string())
        }
    })
}

/// The first bytes of an address, as tables show it.
pub(crate) fn short(address: &Address) -> String {
    let text = address.to_string();
    text.get(..10).unwrap_or(&text).to_owned()
}

/// Runs the command.
///
/// # Errors
/// [`Failure`] with the exit status and what to print.
pub(crate) async fn run(args: BuilderArgs) -> Result<(), Failure> {
    start_log(&args.log);
    let network = NetworkFiles::read(&args.network)?;
    let account = submit::account(&args.network, args.accounts.as_deref(), &args.bidder)?;
    let key = |secret: Hash| {
        EthKey::from_bytes(Zeroizing::new(secret.0))
            .map_err(|e| Failure::usage(format!("keys of {}: {e}", args.bidder)))
    };
    let keys = Keys { bidder: key(account.fee_key)?, sender: key(account.sender_key)? };
    let bidder = keys.bidder.address();
    let worth = Amount::new(args.worth).ok_or_else(|| Failure::usage("--worth is 2^96 or more".into()))?;
    let dir = args.dir.clone().unwrap_or_else(|| args.network.with_file_name(&args.bidder));
    let journal = journal(&dir, network.id, bidder)?;
    let now = committee::now(&network).await;
    let view = NetworkView::new(&now.network).map_err(|e| Failure::usage(e.to_string()))?;
    let view = NetworkView { id: now.id, epoch: now.epoch, ..view };
    let submitter = Arc::new(Submitter::start(view, SubmitLimits::default()));
    let strategy = Reference::new(bidder, worth, args.spread_bps);
    let chain = Log::new(&network).map_err(|e| Failure::usage(e.to_string()))?;
    let builder = Builder::new(submitter, keys, journal, strategy, entropy()).with_chain(Arc::new(chain));
    if args.json {
        print(format_args!("{}", json!({"event": "started", "value": {"bidder": bidder.to_string(), "journal": dir}})));
    } else {
        print(format_args!("builder    {bidder}, journal {}", dir.display()));
    }
    let stop = async {
        if let Err(error) = stop_requested().await {
            note(format_args!("lockstep: signals: {error}"));
        }
    };
    let told = |report: &Report| match report {
        Report::Sale(sale) if args.json => print(format_args!("{}", json!({"event": "slot", "value": value(sale)}))),
        Report::Sale(sale) => print(format_args!("{}", row(sale))),
        Report::Body(body) if args.json => {
            print(format_args!("{}", json!({"event": "body", "value": body_value(body)})))
        }
        Report::Body(BodyReport { slot, waiting, units, taken, refused }) => {
            let refused = reasons(refused);
            print(format_args!("body {slot:<8}  {units} of {waiting} units that wait ({taken} members{refused})"));
        }
        Report::Tail(tail) if args.json => {
            print(format_args!("{}", json!({"event": "tail", "value": tail_value(tail)})))
        }
        Report::Tail(TailReport { slot, bundles, taken, refused, gained }) => {
            let refused = reasons(refused);
            print(format_args!("tail {slot:<8}  {bundles} bundles ({taken} members{refused})  gained {gained} wei"));
        }
    };
    let summary = Box::pin(builder.run(stop, told)).await.map_err(failed)?;
    if args.json {
        print(format_args!("{}", json!({"event": "summary", "value": summed(&summary)})));
    } else {
        say(&summary);
    }
    Ok(())
}

/// Why a builder ended, as an exit status.
pub(crate) fn failed(error: BuilderError) -> Failure {
    Failure::software(format!("builder: {error}; it signs nothing more"))
}

fn row(report: &SlotReport) -> String {
    let slot = report.sale.slot;
    let bid = match &report.offer {
        None => "no bid".to_owned(),
        Some(offer) => {
            let again = if offer.is_old { ", signed before the restart" } else { "" };
            let refused: Vec<String> =
                offer.refused.iter().map(|(member, why)| format!(", {member}: {}", name(why))).collect();
            format!("bid {} ({} receipts{again}{})", offer.amount, offer.receipts, refused.concat())
        }
    };
    let result = match (&report.sale.sold, report.won) {
        (None, _) => "not sold".to_owned(),
        (Some((_, price)), true) => format!("won at {price}"),
        (Some((winner, price)), false) => format!("sold to {} at {price}", short(winner)),
    };
    format!("slot {slot:<8}  {bid:<44}  {result}, {} bids", report.sale.bids)
}

fn name(why: &Refused) -> String {
    match why {
        Refused::Refusal(refusal) | Refused::Silent(Some(refusal)) => refusal.reason.clone(),
        Refused::Fault(fault) => fault.to_string(),
        Refused::Silent(None) | _ => "silent".to_owned(),
    }
}

fn value(report: &SlotReport) -> Value {
    let offer = report.offer.as_ref().map(|offer| {
        let refused: Vec<Value> =
            offer.refused.iter().map(|(member, why)| json!({"member": member.0, "reason": name(why)})).collect();
        json!({"amount": offer.amount.to_string(), "receipts": offer.receipts, "refused": refused, "old": offer.is_old})
    });
    let (winner, price) = report.sale.sold.unzip();
    json!({"slot": report.sale.slot.0, "bids": report.sale.bids, "bid": offer, "won": report.won,
        "winner": winner.map(|winner| winner.to_string()), "price": price.map(|price| price.to_string())})
}

fn reasons(refused: &[(MemberId, Refusal)]) -> String {
    refused.iter().map(|(member, refusal)| format!(", {member}: {}", refusal.reason)).collect()
}

fn reason_values(refused: &[(MemberId, Refusal)]) -> Vec<Value> {
    refused.iter().map(|(member, refusal)| json!({"member": member.0, "reason": refusal.reason})).collect()
}

fn body_value(body: &BodyReport) -> Value {
    json!({"slot": body.slot.0, "waiting": body.waiting, "units": body.units, "taken": body.taken,
        "refused": reason_values(&body.refused)})
}

fn tail_value(tail: &TailReport) -> Value {
    json!({"slot": tail.slot.0, "bundles": tail.bundles, "taken": tail.taken, "refused": reason_values(&tail.refused),
        "gained": tail.gained.to_string()})
}

/// A summary for machines.
pub(crate) fn summed(summary: &Summary) -> Value {
    let text = |amount: Amount| amount.to_string();
    json!({"slots": summary.slots, "sold": summary.sold, "bids": summary.bids, "receipted": summary.receipted,
        "won": summary.won, "paid": text(summary.paid), "fees": summary.fees().map(text),
        "bodies": summary.bodies, "tails": summary.tails, "gained": summary.gained().map(|wei| wei.to_string()),
        "earned": summary.earned().map(text), "bond": summary.last.map(|account| text(account.bond))})
}

fn say(summary: &Summary) {
    let Summary { slots, sold, bids, receipted, won, paid, .. } = summary;
    print(format_args!("slots      {slots}, {sold} of them sold"));
    print(format_args!("bids       {bids}, {receipted} with 2f + 1 receipts in time; {won} won"));
    let known = |amount: Option<Amount>| amount.map_or("unknown".to_owned(), |amount| amount.to_string());
    let (fees, earned) = (known(summary.fees()), known(summary.earned()));
    print(format_args!("paid       {paid} for slots; bid fees and fines {fees}"));
    let gained = summary.gained().map_or("unknown".to_owned(), |wei| wei.to_string());
    print(format_args!("bodies     {} sent", summary.bodies));
    print(format_args!("tails      {} sent; {gained} wei gained on the rollups", summary.tails));
    print(format_args!("earned     {earned} on the ledger; bond {}", known(summary.last.map(|account| account.bond))));
}
