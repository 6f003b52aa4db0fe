//! The data API for whoever watches auctions: the paths that relays of proposer-builder auctions have, over what this
//! member's log says, and the accounts of builders.
//!
//! | path | answer |
//! |---|---|
//! | `/relay/v1/data/bidtraces/proposer_payload_delivered` | slots that were sold and built, newest first |
//! | `/relay/v1/data/bidtraces/builder_blocks_received` | every bid that was opened, newest first |
//! | `/lockstep/v1/auction/<slot>` | the auction that sold a slot, as `lockstep auction resolve` takes it |
//! | `/lockstep/v1/builders` | builders of this epoch, with what the ledger says of each |
//!
//! A task reads the log from its first entry on and then along with it; traces of the newest slots stay in memory.
//! Unlike at a relay, "received" is complete: a bid that counted was opened, and no other amount ever is.
mod query;
mod traces;

use crate::{disk::Served, http::Shared};
use axum::{
    Router,
    extract::{Path, State, rejection::QueryRejection},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use crypto::keys::KeySet;
use query::{Delivered, Received, Refused};
use serde::Serialize;
use serde_json::json;
use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};
use traces::Traces;
use types::{Entry, Pricing, Slot, codec, limits, wire::AccountState};

type Texts = Result<axum::extract::Query<BTreeMap<String, String>>, QueryRejection>;

/// Between looks for new entries.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Entries that are read at once.
const ENTRIES_MAX: u64 = 1_024;

/// What is served.
#[derive(Debug)]
pub(crate) struct Data {
    read: RwLock<Reading>,
    builders: RwLock<Option<Arc<Vec<AccountState>>>>,
}

#[derive(Debug)]
struct Reading {
    traces: Traces,
    /// Entries that are read.
    size: u64,
    /// As far as there was anything to read.
    caught_up: bool,
}

impl Data {
    /// `keys` of genesis: the encryption key is that of every epoch.
    pub(crate) fn new(keys: KeySet) -> Self {
        let reading = Reading { traces: Traces::new(keys), size: 0, caught_up: false };
        Self { read: RwLock::new(reading), builders: RwLock::default() }
    }

    /// The builders as of now.
    pub(crate) fn show_builders(&self, builders: Vec<AccountState>) {
        *self.builders.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(builders));
    }

    /// Reads along until the task is dropped, or the log cannot be read.
    pub(crate) async fn follow(self: Arc<Self>, served: Served) {
        loop {
            let (data, log) = (Arc::clone(&self), served.clone());
            match tokio::task::spawn_blocking(move || data.read_on(&log)).await {
                Ok(Ok(true)) => {}
                Ok(Ok(false)) => tokio::time::sleep(LOOK_EVERY).await,
                Ok(Err(error)) => return tracing::error!(%error, "data.stop: auctions are not served any more"),
                // the process ends
                Err(_cancelled) => return,
            }
        }
    }

    /// Some more entries of what is published; whether there may be others.
    fn read_on(&self, served: &Served) -> Result<bool, String> {
        let from = self.reading().size;
        let published = served.published();
        let to = published.min(from.saturating_add(ENTRIES_MAX));
        let entries = if from < to { served.entries(from..to).map_err(|e| e.to_string())? } else { Vec::new() };
        let mut kinds = Vec::with_capacity(entries.len());
        for (entry, index) in entries.iter().zip(from..) {
            let entry: Entry =
                codec::decode(entry, limits::ENTRY_BYTES_MAX).map_err(|e| format!("entry {index}: {e}"))?;
            kinds.push(entry.kind);
        }
        let change = || self.read.write().unwrap_or_else(PoisonError::into_inner);
        for kind in kinds {
            // readers wait for one entry, not for all of them
            let read = &mut *change();
            if let Err(odd) = read.traces.entry(kind) {
                read.caught_up = false;
                return Err(odd.to_string());
            }
        }
        let mut read = change();
        (read.size, read.caught_up) = (to.max(from), to >= published && published > 0);
        Ok(to < published)
    }

    fn reading(&self) -> std::sync::RwLockReadGuard<'_, Reading> {
        self.read.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<T>(&self, look: impl FnOnce(&Traces) -> Result<T, Refused>) -> Result<T, Refused> {
        let read = self.reading();
        if read.caught_up { look(&read.traces) } else { Err(Refused::unready("the log is being read")) }
    }
}

/// The paths.
pub(crate) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/relay/v1/data/bidtraces/proposer_payload_delivered", get(delivered))
        .route("/relay/v1/data/bidtraces/builder_blocks_received", get(received))
        .route("/lockstep/v1/auction/{slot}", get(auction))
        .route("/lockstep/v1/builders", get(builders))
}

fn answer<T: Serialize>(result: Result<T, Refused>) -> Response {
    match result {
        Ok(value) => {
            let headers = [(header::CACHE_CONTROL, "max-age=1"), (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*")];
            (headers, axum::Json(value)).into_response()
        }
        Err(Refused { status, message }) => {
            (status, axum::Json(json!({ "code": status.as_u16(), "message": message }))).into_response()
        }
    }
}

async fn delivered(State(shared): State<Arc<Shared>>, texts: Texts) -> Response {
    answer(Delivered::read(texts).and_then(|query| shared.data.with(|traces| Ok(query.rows(traces)))))
}

async fn received(State(shared): State<Arc<Shared>>, texts: Texts) -> Response {
    answer(Received::read(texts).and_then(|query| shared.data.with(|traces| Ok(query.rows(traces)))))
}

async fn auction(State(shared): State<Arc<Shared>>, Path(slot): Path<String>) -> Response {
    answer(query::number("slot", &slot).and_then(|slot| shared.data.with(|traces| case(traces, Slot(slot)))))
}

/// As `lockstep auction resolve` takes it.
fn case(traces: &Traces, sold: Slot) -> Result<serde_json::Value, Refused> {
    let gone = || Refused { status: StatusCode::NOT_FOUND, message: "no auction of this slot is kept".into() };
    let trace = traces.of(sold).ok_or_else(gone)?;
    let bids = trace
        .offers
        .iter()
        .map(|offer| json!({ "bidder": offer.bidder, "seq": offer.seq, "cap": offer.cap, "amount": offer.amount }));
    Ok(json!({
        "beacon": trace.beacon,
        "reserve": trace.terms.reserve,
        "pricing": if trace.terms.pricing == Pricing::First { "first" } else { "second" },
        "bid_fee": trace.terms.bid_fee,
        "garbage_fine": trace.terms.garbage_fine,
        "bids": bids.collect::<Vec<_>>(),
    }))
}

async fn builders(State(shared): State<Arc<Shared>>) -> Response {
    let shown = shared.data.builders.read().unwrap_or_else(PoisonError::into_inner).clone();
    let none = || Refused::unready("this member only follows the log");
    answer(shown.map(|builders| query::accounts(&builders)).ok_or_else(none))
}
