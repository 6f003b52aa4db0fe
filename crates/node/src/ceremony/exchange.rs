//! How messages travel: everybody serves what it holds, its own and others', and fetches what others hold.
//!
//! | path | answer |
//! |---|---|
//! | `/lockstep/v1/ceremony/<plan>` | u8: 1 once this process needs nothing more, else 0; then ids of its messages, 32 bytes each |
//! | `/lockstep/v1/ceremony/<plan>/<id>` | a message, codec bytes |
//!
//! Trust: none. An answer is bounded before it is read, and a message is checked before it counts; the first byte of a
//! list is a courtesy that decides how long a finished process stays.
use crate::http;
use axum::{
    Router,
    extract::{Path as UrlPath, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::get,
};
use keygen::operators::{MESSAGE_BYTES_MAX, Message, Plan};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};
use tokio::sync::mpsc;
use types::{Hash, MemberId};

/// Between two looks at a peer.
pub(super) const EVERY: Duration = Duration::from_millis(250);
/// Fetches of one message from one peer, before it is believed that it does not count.
const ASKS_MAX: u8 = 3;
/// What a peer is asked for twice is forgotten after so many looks: a word may count later.
const FORGET_AFTER: u32 = 240;
/// Messages that a committee of 127 can have, two of each author and step.
const MESSAGES_MAX: usize = 2 * 5 * 127;

/// What this process holds and shows, and what is known of the others.
#[derive(Debug, Default)]
pub(super) struct Board {
    messages: RwLock<BTreeMap<Hash, Vec<u8>>>,
    peers: RwLock<Peers>,
}

#[derive(Debug, Default)]
struct Peers {
    /// This process needs nothing more.
    ended: bool,
    others_ended: BTreeSet<MemberId>,
    answers: BTreeMap<MemberId, Answers>,
}

/// What a peer said at the last look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Answers {
    /// Nothing.
    #[default]
    Silent,
    /// Something, but it knows no such ceremony.
    Another,
    /// What it holds.
    Here,
}

/// What is handed on, in this order.
#[derive(Debug)]
pub(super) enum Found {
    /// To be judged.
    Message(Box<Message>),
    /// All that this peer had when this process first looked has been handed on; or it has no answer.
    Looked(MemberId),
}

impl Board {
    /// Shows a message, which is on disk.
    pub(super) fn show(&self, plan: &Plan, message: &Message) {
        self.messages.write().unwrap_or_else(PoisonError::into_inner).insert(message.id(plan), message.bytes());
    }

    fn holds(&self, id: &Hash) -> bool {
        self.messages.read().unwrap_or_else(PoisonError::into_inner).contains_key(id)
    }

    fn peers<T>(&self, with: impl FnOnce(&mut Peers) -> T) -> T {
        with(&mut self.peers.write().unwrap_or_else(PoisonError::into_inner))
    }

    /// This process needs nothing more.
    pub(super) fn end(&self) {
        self.peers(|peers| peers.ended = true);
    }

    pub(super) fn have_ended(&self, others: &[MemberId]) -> bool {
        self.peers(|peers| others.iter().all(|other| peers.others_ended.contains(other)))
    }

    pub(super) fn answers(&self, member: MemberId) -> Answers {
        self.peers(|peers| peers.answers.get(&member).copied().unwrap_or_default())
    }
}

#[derive(Clone)]
struct Served {
    plan: Arc<Plan>,
    board: Arc<Board>,
}

fn bytes(found: Option<Vec<u8>>) -> Response {
    found.map_or_else(|| StatusCode::NOT_FOUND.into_response(), IntoResponse::into_response)
}

async fn list(State(served): State<Served>, UrlPath(plan): UrlPath<String>) -> Response {
    let answer = || {
        let mut answer = vec![u8::from(served.board.peers(|peers| peers.ended))];
        for id in served.board.messages.read().unwrap_or_else(PoisonError::into_inner).keys() {
            answer.extend_from_slice(id.as_bytes());
        }
        answer
    };
    bytes((plan == hex::encode(served.plan.name().0)).then(answer))
}

async fn message(State(served): State<Served>, UrlPath((plan, id)): UrlPath<(String, String)>) -> Response {
    let found = || {
        let id = Hash::from_hex(&id).ok()?;
        served.board.messages.read().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()
    };
    bytes((plan == hex::encode(served.plan.name().0)).then(found).flatten())
}

/// Serves the board until the task ends.
pub(super) async fn serve(listener: tokio::net::TcpListener, plan: Arc<Plan>, board: Arc<Board>) {
    let app = Router::new()
        .route("/lockstep/v1/ceremony/{plan}", get(list))
        .route("/lockstep/v1/ceremony/{plan}/{id}", get(message))
        .with_state(Served { plan, board });
    http::serve_app(listener, app, std::future::pending()).await;
}

/// Looks at one peer for ever, and hands on what it has and this process has not.
pub(super) async fn follow(
    (member, http): (MemberId, String),
    plan: Arc<Plan>,
    board: Arc<Board>,
    found: mpsc::Sender<Found>,
) {
    let base = format!("http://{http}/lockstep/v1/ceremony/{}", hex::encode(plan.name().0));
    let mut asked: BTreeMap<Hash, u8> = BTreeMap::new();
    let client = crate::source::Asker::new();
    let mut looked = false;
    for look in 0u32.. {
        if look.is_multiple_of(FORGET_AFTER) {
            asked.clear();
        }
        let list = client.get(base.clone(), 1 + 32 * MESSAGES_MAX).await;
        let answers = match &list {
            Ok(Some(_)) => Answers::Here,
            Ok(None) => Answers::Another,
            Err(_) => Answers::Silent,
        };
        let list = list.ok().flatten();
        let (ended, ids) = list.as_deref().and_then(<[u8]>::split_first).unwrap_or((&0, &[]));
        board.peers(|peers| {
            peers.answers.insert(member, answers);
            if *ended == 1 {
                peers.others_ended.insert(member);
            }
        });
        let mut is_whole = true;
        for id in ids.as_chunks::<32>().0 {
            let id = Hash(*id);
            let times = asked.entry(id).or_default();
            if board.holds(&id) || *times >= ASKS_MAX {
                continue;
            }
            *times = times.saturating_add(1);
            let url = format!("{base}/{}", hex::encode(id.0));
            let bytes = client.get(url, MESSAGE_BYTES_MAX).await.ok().flatten();
            // What does not read, or is another than was asked for, is nothing.
            let message = bytes.and_then(|bytes| Message::read(&bytes).ok()).filter(|message| message.id(&plan) == id);
            let Some(message) = message else {
                is_whole &= *times >= ASKS_MAX;
                continue;
            };
            if found.send(Found::Message(Box::new(message))).await.is_err() {
                return;
            }
        }
        if !looked && is_whole {
            looked = true;
            if found.send(Found::Looked(member)).await.is_err() {
                return;
            }
        }
        tokio::time::sleep(EVERY).await;
    }
}
