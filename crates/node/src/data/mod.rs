//! The data API for whoever watches auctions: the paths that relays of proposer-builder auctions have, over what this
//! member's log says, and the accounts of builders.
//!
//! | path | answer |
//! |---|---|
//! | `/relay/v1/data/bidtraces/proposer_payload_delivered` | slots that were sold and built, newest first |
//! | `/relay/v1/data/bidtraces/builder_blocks_received` | every bid that was opened, newest first |
//! | `/lockstep/v1/auction/<slot>` | the auction whose right a slot used, as `lockstep auction resolve` takes it |
//! | `/lockstep/v1/builders` | builders of this epoch, with what the ledger says of each |
//!
//! A task reads the log of the newest slots and then along with it; their traces stay in memory.
//! Unlike at a relay, "received" is complete: a bid that counted was opened, and no other amount ever is.
mod query;
#[cfg(test)]
mod tests;
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
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};
use store::log::LogError;
use traces::{Kept, Odd, Reader, SLOTS_MAX};
use types::{Entry, Epoch, Pricing, Schedule, Slot, codec, limits, wire::AccountState};

type Texts = Result<axum::extract::Query<BTreeMap<String, String>>, QueryRejection>;

/// Between looks for new entries.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// After a read that failed.
const AGAIN_AFTER: Duration = Duration::from_secs(10);
/// Entries that are read at once.
const ENTRIES_MAX: u64 = 256;
/// Epochs whose announcement is looked for when reading begins.
const EPOCHS_TRIED: u32 = 4;

/// What is served.
#[derive(Debug)]
pub(crate) struct Data {
    keys: KeySet,
    schedule: Schedule,
    kept: RwLock<Kept>,
    state: AtomicU8,
    builders: RwLock<Option<Arc<Vec<AccountState>>>>,
}

/// The log is being read; traces reach its end; it cannot be read.
const READING: u8 = 0;
const READY: u8 = 1;
const STOPPED: u8 = 2;

/// As far as the log is read.
struct Position {
    reader: Reader,
    size: u64,
}

#[derive(Debug, thiserror::Error)]
enum ReadError {
    #[error(transparent)]
    Log(#[from] LogError),
    #[error("entry {0} is none")]
    Entry(u64),
    #[error(transparent)]
    Odd(#[from] Odd),
}

impl Data {
    /// `keys` of genesis: the encryption key is that of every epoch.
    pub(crate) fn new(keys: KeySet, schedule: Schedule) -> Self {
        let (kept, state) = (RwLock::default(), AtomicU8::new(READING));
        Self { keys, schedule, kept, state, builders: RwLock::default() }
    }

    /// The builders as of now.
    pub(crate) fn show_builders(&self, builders: Vec<AccountState>) {
        *self.builders.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(builders));
    }

    /// Reads along until the task is dropped, or the log cannot be read.
    pub(crate) async fn follow(self: Arc<Self>, served: Served) {
        let mut position = None;
        loop {
            let (data, log) = (Arc::clone(&self), served.clone());
            let read = tokio::task::spawn_blocking(move || {
                let mut position = position.unwrap_or_else(|| data.begin(&log));
                let more = data.read_on(&log, &mut position);
                (position, more)
            });
            match read.await {
                Ok((reached, Ok(more))) => {
                    position = Some(reached);
                    if !more {
                        tokio::time::sleep(LOOK_EVERY).await;
                    }
                    continue;
                }
                Ok((reached, Err(ReadError::Log(error)))) => {
                    // a file could not be opened, perhaps: its owner says whether the log is lost
                    tracing::warn!(%error, "data.again");
                    position = Some(reached);
                    tokio::time::sleep(AGAIN_AFTER).await;
                    continue;
                }
                Ok((_, Err(error))) => tracing::error!(%error, "data.stop: auctions are not served any more"),
                Err(error) if error.is_panic() => {
                    tracing::error!(%error, "data.stop: auctions are not served any more")
                }
                // the process ends
                Err(_cancelled) => return,
            }
            return self.state.store(STOPPED, Ordering::Release);
        }
    }

    /// Where the epoch of the oldest auction that can be kept was announced, or an earlier one, or genesis.
    fn begin(&self, served: &Served) -> Position {
        let from = oldest(served);
        let mut epoch = self.schedule.epoch_of(from);
        let mut size = 0;
        for _ in 0..EPOCHS_TRIED {
            if epoch.0 == 0 {
                break;
            }
            epoch = Epoch(epoch.0.saturating_sub(1));
            // EPOCH of the next stands before this CLOSE
            if let Some(before) = served.size_at(self.schedule.announce(epoch).prev()) {
                size = before;
                break;
            }
        }
        Position { reader: Reader::new(self.keys.clone(), from), size }
    }

    /// Some more entries of what is published; whether there may be others.
    fn read_on(&self, served: &Served, position: &mut Position) -> Result<bool, ReadError> {
        // a member that catches up publishes the end of a long log at once
        position.reader.passes(oldest(served));
        let (from, published) = (position.size, served.published());
        let to = published.min(from.saturating_add(ENTRIES_MAX));
        let entries = if from < to { served.entries(from..to)? } else { Vec::new() };
        for (entry, index) in entries.into_iter().zip(from..) {
            let entry: Entry =
                codec::decode(&entry, limits::ENTRY_BYTES_MAX).map_err(|_other| ReadError::Entry(index))?;
            position.reader.entry(entry.kind, &self.kept)?;
            position.size = index.saturating_add(1);
        }
        if to >= published && published > 0 {
            self.state.store(READY, Ordering::Release);
        }
        Ok(to < published)
    }

    fn look<T>(&self, look: impl FnOnce(&Kept) -> Result<T, Refused>) -> Result<T, Refused> {
        match self.state.load(Ordering::Acquire) {
            READY => look(&self.kept.read().unwrap_or_else(PoisonError::into_inner)),
            READING => Err(Refused::unready("the log is being read")),
            _ => Err(Refused::unready("this member cannot read its log: see its own")),
        }
    }
}

/// The oldest auction that can be kept.
fn oldest(served: &Served) -> Slot {
    let kept = u64::try_from(SLOTS_MAX).unwrap_or(u64::MAX);
    Slot(served.last_published_slot().0.saturating_sub(kept))
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

/// Off the runtime's own threads: traces are many, and their lock is taken by who reads the log.
async fn looked<T: Serialize + Send + 'static>(
    shared: Arc<Shared>,
    look: impl FnOnce(&Kept) -> Result<T, Refused> + Send + 'static,
) -> Response {
    let looked = tokio::task::spawn_blocking(move || shared.data.look(look)).await;
    answer(looked.unwrap_or_else(|_ended| Err(Refused::unready("no answer"))))
}

async fn delivered(State(shared): State<Arc<Shared>>, texts: Texts) -> Response {
    match Delivered::read(texts) {
        Ok(query) => looked(shared, move |kept| Ok(query.rows(kept))).await,
        Err(refused) => answer::<()>(Err(refused)),
    }
}

async fn received(State(shared): State<Arc<Shared>>, texts: Texts) -> Response {
    match Received::read(texts) {
        Ok(query) => looked(shared, move |kept| Ok(query.rows(kept))).await,
        Err(refused) => answer::<()>(Err(refused)),
    }
}

async fn auction(State(shared): State<Arc<Shared>>, Path(slot): Path<String>) -> Response {
    match query::number("slot", &slot) {
        Ok(slot) => looked(shared, move |kept| case(kept, Slot(slot))).await,
        Err(refused) => answer::<()>(Err(refused)),
    }
}

/// As `lockstep auction resolve` takes it.
fn case(kept: &Kept, slot: Slot) -> Result<serde_json::Value, Refused> {
    let gone = || Refused { status: StatusCode::NOT_FOUND, message: "no auction of this slot is kept".into() };
    let trace = kept.of(slot).ok_or_else(gone)?;
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
