//! Limits with their defaults, close codes, and what is counted.
use std::sync::Arc;
use types::{Timestamp, reason::Reason};

/// The node's clock. Quotas and holds read it; a clock that stands still refills no bucket.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// What a member grants strangers. The defaults are wallets-and-builders.md section 7.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IngressLimits {
    /// Handshakes under way; more are refused.
    pub incoming_max: usize,
    /// Handshakes under way from which on addresses must be validated first.
    pub retry_above: usize,
    /// Connections in all.
    pub connections_max: usize,
    /// Connections of one /24 or /48.
    pub prefix_connections_max: u32,
    /// Requests of a connection that may run at once.
    pub streams_max: u32,
    /// Subscriptions of a connection.
    pub subscriptions_max: u32,
    /// Flow control window of a stream, bytes.
    pub stream_window: u32,
    /// Flow control window of a connection, bytes; also the most that its running requests hold together.
    pub connection_window: u32,
    /// Unacknowledged bytes that a connection may hold here.
    pub send_window: u32,
    /// Silence after which a connection ends, ms.
    pub idle_ms: u32,
    /// From the opening of a stream to its answer, ms.
    pub request_ms: u64,
    /// Requests per second of a connection; a second's worth may come at once.
    pub requests_per_s: u64,
    /// Bytes per second of a connection; a second's worth may come at once.
    pub bytes_per_s: u64,
    /// Bad signatures or proofs after which a connection is closed.
    pub strikes_max: u32,
    /// How long its prefix is turned away then, ms.
    pub hold_ms: u64,
    /// Events kept for subscribers that are behind.
    pub events_kept: usize,
    /// Bytes of events kept for subscriptions from an earlier slot.
    pub events_kept_bytes: usize,
    /// Receipts kept for duplicates, twice.
    pub receipts_kept: usize,
}

impl Default for IngressLimits {
    fn default() -> Self {
        Self {
            incoming_max: 1_024,
            retry_above: 256,
            connections_max: 8_192,
            prefix_connections_max: 32,
            streams_max: 64,
            subscriptions_max: 4,
            stream_window: 128 << 10,
            connection_window: 1 << 20,
            send_window: 1 << 20,
            idle_ms: 10_000,
            request_ms: 5_000,
            requests_per_s: 128,
            bytes_per_s: 2 << 20,
            strikes_max: 5,
            hold_ms: 60_000,
            events_kept: 256,
            events_kept_bytes: 8 << 20,
            receipts_kept: 16_384,
        }
    }
}

/// Why a connection was closed, or a stream reset: the application code of QUIC's frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum CloseCode {
    /// The client is done.
    Done = 0x100,
    /// The member is stopping.
    ShuttingDown = 0x101,
    /// Too many connections, here or from this address prefix.
    TooMany = 0x102,
    /// A rule of the transport was broken.
    Protocol = 0x103,
    /// A request was not complete in time; resets its stream, not the connection.
    Deadline = 0x104,
    /// Five bad signatures or proofs.
    BadSignatures = 0x105,
}

impl CloseCode {
    /// The number on the wire.
    #[must_use]
    pub const fn number(self) -> u32 {
        match self {
            Self::Done => 0x100,
            Self::ShuttingDown => 0x101,
            Self::TooMany => 0x102,
            Self::Protocol => 0x103,
            Self::Deadline => 0x104,
            Self::BadSignatures => 0x105,
        }
    }
    pub(crate) fn code(self) -> quinn::VarInt {
        quinn::VarInt::from_u32(self.number())
    }
}

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Counter {
    /// A connection whose handshake ended well.
    Connection,
    /// A connection turned away by a limit or a hold.
    TurnedAway,
    /// A handshake asked to validate its address.
    Retry,
    /// A handshake that failed or took too long.
    HandshakeFailed,
    /// A request that was decoded.
    Request,
    /// A request that ended without an answer: deadline, reset or lost connection.
    Unanswered,
    /// A refusal sent.
    Refused(Reason),
    /// A duplicate answered with the first receipt.
    Duplicate,
    /// Events that a subscriber was too slow for.
    EventsDropped,
    /// An address prefix held.
    Held,
}

impl Counter {
    /// Metric name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connection => "ingress.connection",
            Self::TurnedAway => "ingress.turned_away",
            Self::Retry => "ingress.retry",
            Self::HandshakeFailed => "ingress.handshake_failed",
            Self::Request => "ingress.request",
            Self::Unanswered => "ingress.unanswered",
            Self::Refused(_) => "ingress.refused",
            Self::Duplicate => "ingress.duplicate",
            Self::EventsDropped => "ingress.events_dropped",
            Self::Held => "ingress.held",
        }
    }
    /// Value of the metric's one label, if it has one: the reason.
    #[must_use]
    pub const fn label(self) -> Option<&'static str> {
        if let Self::Refused(reason) = self { Some(reason.name()) } else { None }
    }
}

/// Where counts go.
pub trait Counters: Send + Sync {
    /// Adds to a counter.
    fn add(&self, counter: Counter, n: u64);
}

/// Counts nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoCounters;

impl Counters for NoCounters {
    fn add(&self, _counter: Counter, _n: u64) {}
}
