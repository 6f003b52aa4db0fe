//! The devnet's builders: each bids for every slot over QUIC, from a bond of its own, with its own idea of what slots are
//! worth.
use super::{Crew, Shape};
use crate::{
    builder::{self, Log, short},
    cli::{Failure, note},
    demo,
    files::NetworkFiles,
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::{sync::watch, task::JoinHandle};
use types::{Address, Amount, Slot};
use wallet::{
    SubmitLimits, Submitter,
    builder::{Builder, BuilderError, Chain, Keys, Reference, Report, Summary},
};

/// Builders behind one connection per member, which takes 128 requests a second.
const BUILDERS_PER_CONNECTION: u16 = 8;
/// What a slot is worth to the first builder, base units; each further one finds a fifth of that more in it, up to eight.
const WORTH: u128 = 30_000_000_000_000;
/// How far the worth of a slot may be from that: far enough that the last may beat the first.
const SPREAD_BPS: u16 = 4_000;

/// What tails did, by slot: bundles, and coins that came of them, wei.
pub(super) type Tails = Arc<Mutex<BTreeMap<Slot, (usize, u128)>>>;

struct Started {
    name: String,
    address: Address,
    run: JoinHandle<Result<Summary, BuilderError>>,
}

/// Those that run.
pub(super) struct Builders {
    stop: watch::Sender<bool>,
    started: Vec<Started>,
    pub(super) tails: Tails,
}

/// What one has done.
pub(super) struct Done {
    name: String,
    address: Address,
    summary: Summary,
}

fn worth(index: u16) -> Amount {
    let fifths = u128::from(index & 7).saturating_add(5);
    Amount::new(WORTH.saturating_mul(fifths) / 5).unwrap_or(Amount::ZERO)
}

/// Starts them; journals are folders beside the members'.
pub(super) fn start(shape: &Shape, crew: &Crew, network: &NetworkFiles, dir: &Path) -> Result<Builders, Failure> {
    let (stop, stopped) = watch::channel(false);
    let tails = Tails::default();
    let mut started = Vec::new();
    let mut submitter = None;
    // one reader for all: each of them would read the same
    let chain: Arc<dyn Chain> = Arc::new(Log::new(network).map_err(|e| Failure::software(e.to_string()))?);
    for index in 0..shape.builders {
        if index.is_multiple_of(BUILDERS_PER_CONNECTION) {
            submitter = None;
        }
        let submitter =
            submitter.get_or_insert_with(|| Arc::new(Submitter::start(crew.view.clone(), SubmitLimits::default())));
        let name = demo::builder_name(index);
        let (bidder, sender) = demo::demo_keys(&shape.wallet_seed.0, &name);
        let address = bidder.address();
        let journal = builder::journal(&dir.join(&name), crew.view.id, address)?;
        let strategy = Reference::new(address, worth(index), SPREAD_BPS);
        let keys = Keys { bidder, sender };
        let one = Builder::new(Arc::clone(submitter), keys, journal, strategy, builder::entropy());
        let one = one.with_chain(Arc::clone(&chain));
        let mut stopped = stopped.clone();
        let until = async move {
            // who started it may be gone: then it ends, too
            drop(stopped.wait_for(|stop| *stop).await);
        };
        let seen = Arc::clone(&tails);
        let told = move |report: &Report| {
            if let Report::Tail(tail) = report
                && tail.taken > 0
            {
                let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
                seen.insert(tail.slot, (tail.bundles, tail.gained));
            }
        };
        started.push(Started { name, address, run: tokio::spawn(one.run(until, told)) });
    }
    Ok(Builders { stop, started, tails })
}

impl Builders {
    /// Ends them; what each has done.
    pub(super) async fn end(self, failures: &mut Vec<String>) -> Vec<Done> {
        self.stop.send_replace(true);
        let mut done = Vec::new();
        for Started { name, address, run } in self.started {
            match run.await {
                Ok(Ok(summary)) => done.push(Done { name, address, summary }),
                Ok(Err(error)) => failures.push(format!("{name}: {error}")),
                Err(error) => {
                    note(format_args!("lockstep: {name}: {error}"));
                    failures.push(format!("{name} has panicked"));
                }
            }
        }
        done
    }
}

impl Done {
    /// A line of the summary.
    pub(super) fn row(&self) -> String {
        let Summary { bids, won, paid, bodies, tails, .. } = &self.summary;
        let gained = self.summary.gained().map_or_else(|| "unknown".into(), |wei| wei.to_string());
        let fees = self.summary.fees().map_or_else(|| "unknown".into(), |fees| fees.to_string());
        let (name, address) = (&self.name, short(&self.address));
        format!(
            "{name:<10} {address}: {bids} bids, {won} slots won for {paid}, fees {fees}; {bodies} bodies, {tails} tails gained {gained} wei"
        )
    }

    /// The same for machines.
    pub(super) fn value(&self) -> Value {
        let mut value = builder::summed(&self.summary);
        if let Some(fields) = value.as_object_mut() {
            fields.insert("name".into(), json!(self.name));
            fields.insert("address".into(), json!(self.address.to_string()));
        }
        value
    }
}
