//! The client: one connection to one member, checked against its pin.
use crate::{
    IdentityError, IngressLimits,
    frame::{FrameHeader, HEADER_BYTES, answer_bytes_max, frame},
    identity::{SERVER_NAME, client_config, close},
    limits::CloseCode,
};
use core::future::Future;
use serde::{Serialize, de::DeserializeOwned};
use std::{
    fmt, io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};
use tokio::{
    sync::{Mutex, mpsc},
    time::timeout,
};
use types::{
    Address, Bid, Body, Envelope, Hash, Operation, SignedAccountOperation, Slot, Tail, codec,
    wire::{AccountState, Event, Params, Pending, PendingRequest, Refusal, RequestKind, Status, Subscribe, answer},
};

/// Events that wait for a slow reader here; more wait at the member, which then sends a `Gap`.
const EVENTS_WAITING: usize = 64;

/// Why a request has no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The member refused, with a reason.
    #[error("refused: {} {}", .0.reason, .0.detail)]
    Refused(Refusal),
    /// No socket here.
    #[error("cannot open a socket")]
    Socket(#[from] io::Error),
    /// The pin or this machine's TLS cannot be used.
    #[error("tls")]
    Tls(#[from] IdentityError),
    /// The address cannot be connected to.
    #[error("cannot connect")]
    Connect(#[from] quinn::ConnectError),
    /// The connection failed or ended: wrong key, wrong protocol, timeout, closed by the member.
    #[error("connection: {0}")]
    Connection(#[from] quinn::ConnectionError),
    /// The answer could not be read.
    #[error("answer cut short")]
    Cut,
    /// No answer within the deadline.
    #[error("no answer in time")]
    Deadline,
    /// The member answered bytes that are no answer to the request.
    #[error("answer of kind {kind:#04x} is malformed or out of place")]
    Answer {
        /// Kind byte.
        kind: u8,
    },
}

impl ClientError {
    /// The code that the member closed the connection with, if it did.
    #[must_use]
    pub fn close_code(&self) -> Option<u64> {
        if let Self::Connection(quinn::ConnectionError::ApplicationClosed(close)) = self {
            Some(close.error_code.into_inner())
        } else {
            None
        }
    }
    /// The connection is of no use any more: connect again.
    #[must_use]
    pub const fn is_lost(&self) -> bool {
        matches!(self, Self::Connection(_) | Self::Connect(_) | Self::Socket(_))
    }
}

/// A connection to a member. Requests may run at once; a lost connection is the caller's to make again.
pub struct Client {
    endpoint: quinn::Endpoint,
    connection: quinn::Connection,
    deadline: Duration,
    subscribing: Mutex<()>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("member", &self.connection.remote_address()).finish_non_exhaustive()
    }
}

impl Client {
    /// Connects to the member whose certificate has this SPKI hash.
    ///
    /// # Errors
    /// [`ClientError::Connection`] for a member with another key or protocol, and as the variants say.
    pub async fn connect(member: SocketAddr, pin: Hash) -> Result<Self, ClientError> {
        Self::connect_with(member, pin, &IngressLimits::default()).await
    }

    /// Connects with other windows and deadlines than the default.
    ///
    /// # Errors
    /// As [`Self::connect`].
    pub async fn connect_with(member: SocketAddr, pin: Hash, limits: &IngressLimits) -> Result<Self, ClientError> {
        let local = match member {
            SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
            SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
        };
        let endpoint = quinn::Endpoint::client(local)?;
        let connecting = endpoint.connect_with(client_config(pin, limits)?, member, SERVER_NAME)?;
        // Longer than the member's own, so that its refusal of what takes too long still arrives.
        let deadline = Duration::from_millis(limits.request_ms.saturating_add(1_000));
        let connection = in_time(deadline, async { Ok(connecting.await?) }).await?;
        Ok(Self { endpoint, connection, deadline, subscribing: Mutex::new(()) })
    }

    /// Submits an envelope; the receipt's note, unchecked.
    ///
    /// # Errors
    /// [`ClientError::Refused`] with the member's reason.
    pub async fn submit(&self, envelope: &Envelope) -> Result<String, ClientError> {
        self.submit_bytes(&codec::encode(envelope)).await
    }

    /// Submits an envelope's bytes.
    ///
    /// # Errors
    /// As [`Self::submit`].
    pub async fn submit_bytes(&self, envelope: &[u8]) -> Result<String, ClientError> {
        let note = self.call(RequestKind::SubmitEnvelope, envelope, answer::RECEIPT).await?;
        String::from_utf8(note).map_err(|_utf8| ClientError::Answer { kind: answer::RECEIPT })
    }

    /// Submits a bid; the receipt's note, unchecked.
    ///
    /// # Errors
    /// As [`Self::submit`].
    pub async fn bid(&self, bid: &Bid) -> Result<String, ClientError> {
        self.bid_bytes(&codec::encode(bid)).await
    }

    /// Submits a bid's bytes.
    ///
    /// # Errors
    /// As [`Self::submit`].
    pub async fn bid_bytes(&self, bid: &[u8]) -> Result<String, ClientError> {
        let note = self.call(RequestKind::SubmitBid, bid, answer::RECEIPT).await?;
        String::from_utf8(note).map_err(|_utf8| ClientError::Answer { kind: answer::RECEIPT })
    }

    /// Sends the body of a slot. That it was taken is no promise.
    ///
    /// # Errors
    /// As [`Self::submit`].
    pub async fn body(&self, body: &Body) -> Result<(), ClientError> {
        self.call(RequestKind::SubmitBody, &codec::encode(body), answer::SEEN).await.map(drop)
    }

    /// Sends the tail of a slot. That it was taken is no promise.
    ///
    /// # Errors
    /// As [`Self::submit`].
    pub async fn tail(&self, tail: &Tail) -> Result<(), ClientError> {
        self.call(RequestKind::SubmitTail, &codec::encode(tail), answer::SEEN).await.map(drop)
    }

    /// Submits what an account asks for: held here once this is `Ok`, which is no promise.
    ///
    /// # Errors
    /// As the variants of [`ClientError`] say.
    pub async fn operation(&self, signed: &SignedAccountOperation) -> Result<(), ClientError> {
        let operation = Operation::Account(Box::new(*signed));
        self.call(RequestKind::SubmitOperation, &codec::encode(&operation), answer::SEEN).await.map(drop)
    }

    /// Where an item is, as this member sees it.
    ///
    /// # Errors
    /// As the variants of [`ClientError`] say.
    pub async fn status(&self, item: &Hash) -> Result<Status, ClientError> {
        read(answer::STATUS, &self.call(RequestKind::GetStatus, &codec::encode(item), answer::STATUS).await?)
    }

    /// What is needed to seal and price an envelope, as this member sees it.
    ///
    /// # Errors
    /// As the variants of [`ClientError`] say.
    pub async fn params(&self) -> Result<Params, ClientError> {
        read(answer::PARAMS, &self.call(RequestKind::GetParams, &[], answer::PARAMS).await?)
    }

    /// A ledger account, as this member sees it.
    ///
    /// # Errors
    /// As the variants of [`ClientError`] say.
    pub async fn account(&self, address: &Address) -> Result<AccountState, ClientError> {
        read(answer::ACCOUNT, &self.call(RequestKind::GetAccount, &codec::encode(address), answer::ACCOUNT).await?)
    }

    /// What the body of a slot could place, for whoever has bought the slot.
    ///
    /// # Errors
    /// As the variants of [`ClientError`] say.
    pub async fn pending(&self, request: &PendingRequest) -> Result<Pending, ClientError> {
        read(answer::PENDING, &self.call(RequestKind::GetPending, &codec::encode(request), answer::PENDING).await?)
    }

    /// The events of a slot and later ones; slot 0: from now on. The channel ends with the connection. A reader that is
    /// slow gets [`Event::Gap`].
    ///
    /// # Errors
    /// As the variants of [`ClientError`] say.
    pub async fn subscribe(&self, from_slot: Slot) -> Result<mpsc::Receiver<Event>, ClientError> {
        // One at a time, so that answers and streams pair up.
        let _one = self.subscribing.lock().await;
        self.call(RequestKind::Subscribe, &codec::encode(&Subscribe { from_slot }), answer::SEEN).await?;
        let mut stream = in_time(self.deadline, async { Ok(self.connection.accept_uni().await?) }).await?;
        let first = in_time(self.deadline, next_event(&mut stream)).await?;
        let (events, receiver) = mpsc::channel(EVENTS_WAITING);
        tokio::spawn(async move {
            let mut next = first;
            loop {
                // The first frame counts what is gone, which is mostly nothing.
                let nothing = next == Event::Gap { dropped: 0 };
                if !nothing && events.send(next).await.is_err() {
                    return;
                }
                next = tokio::select! {
                    event = next_event(&mut stream) => match event {
                        Ok(event) => event,
                        Err(_ended) => return,
                    },
                    () = events.closed() => return,
                };
            }
        });
        Ok(receiver)
    }

    /// The connection has ended: connect again.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.connection.close_reason().is_some()
    }

    /// Says goodbye, and waits until the member was told.
    pub async fn close(self) {
        close(&self.connection, CloseCode::Done, "");
        timeout(self.deadline, self.endpoint.wait_idle()).await.ok();
    }

    /// One request, one answer of the kind that is expected.
    async fn call(&self, kind: RequestKind, payload: &[u8], expected: u8) -> Result<Vec<u8>, ClientError> {
        #[expect(clippy::as_conversions, reason = "the enum is repr(u8) and has no other way to its number")]
        let number = kind as u8;
        let answered = in_time(self.deadline, async {
            let (mut send, mut recv) = self.connection.open_bi().await?;
            // A member that refuses early stops reading; its answer says why.
            if send.write_all(&frame(number, payload)).await.is_ok() {
                send.finish().ok();
            }
            let (kind, payload) = read_frame(&mut recv).await?;
            match recv.read_to_end(0).await {
                Ok(_end) => Ok((kind, payload)),
                Err(_leftover) => Err(ClientError::Answer { kind }),
            }
        });
        match answered.await? {
            (answer::ERROR, payload) => Err(ClientError::Refused(read(answer::ERROR, &payload)?)),
            (kind, payload) if kind == expected => Ok(payload),
            (kind, _) => Err(ClientError::Answer { kind }),
        }
    }
}

async fn in_time<T>(deadline: Duration, work: impl Future<Output = Result<T, ClientError>>) -> Result<T, ClientError> {
    timeout(deadline, work).await.map_err(|_elapsed| ClientError::Deadline)?
}

fn read<T: Serialize + DeserializeOwned>(kind: u8, payload: &[u8]) -> Result<T, ClientError> {
    let max = answer_bytes_max(kind).unwrap_or(0);
    codec::decode(payload, max).map_err(|_malformed| ClientError::Answer { kind })
}

async fn read_frame(recv: &mut quinn::RecvStream) -> Result<(u8, Vec<u8>), ClientError> {
    let cut = |error| {
        if let quinn::ReadExactError::ReadError(quinn::ReadError::ConnectionLost(lost)) = error {
            ClientError::Connection(lost)
        } else {
            ClientError::Cut
        }
    };
    let mut header = [0; HEADER_BYTES];
    recv.read_exact(&mut header).await.map_err(cut)?;
    let header = FrameHeader::parse(header);
    let kind = header.kind;
    let len = answer_bytes_max(kind).and_then(|max| header.within(max)).ok_or(ClientError::Answer { kind })?;
    let mut payload = vec![0; len];
    recv.read_exact(&mut payload).await.map_err(cut)?;
    Ok((kind, payload))
}

async fn next_event(stream: &mut quinn::RecvStream) -> Result<Event, ClientError> {
    match read_frame(stream).await? {
        (answer::EVENT, payload) => read(answer::EVENT, &payload),
        (kind, _) => Err(ClientError::Answer { kind }),
    }
}
