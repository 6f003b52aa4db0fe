//! Requests and answers of the QUIC ingress (wallets-and-builders.md section 7).
//!
//! One bidirectional stream per request: `u32 LE length | u8 kind | codec bytes` each way, then FIN.
use crate::{
    Account, Address, Amount, Epoch, EthSignature, Hash, MemberId, Opening, Slot, Timestamp, limits, reason::Reason,
};
use alloc::{string::String, vec::Vec};
use serde::{Deserialize, Serialize};

/// The ALPN of clients.
pub const ALPN: &[u8] = b"lockstep/1";

/// Kinds of request frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[repr(u8)]
pub enum RequestKind {
    /// codec(Envelope).
    SubmitEnvelope = 0x01,
    /// codec([`crate::Bid`]).
    SubmitBid = 0x11,
    /// codec([`crate::Body`]).
    SubmitBody = 0x12,
    /// codec([`crate::Tail`]).
    SubmitTail = 0x13,
    /// codec([`crate::Operation`]) of an account.
    SubmitOperation = 0x04,
    /// A hash.
    GetStatus = 0x02,
    /// Empty.
    GetParams = 0x03,
    /// An [`Address`].
    GetAccount = 0x05,
    /// codec([`PendingRequest`]).
    GetPending = 0x14,
    /// codec([`Subscribe`]).
    Subscribe = 0x20,
}

impl RequestKind {
    /// The kind of this number.
    #[must_use]
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            0x01 => Some(Self::SubmitEnvelope),
            0x11 => Some(Self::SubmitBid),
            0x12 => Some(Self::SubmitBody),
            0x13 => Some(Self::SubmitTail),
            0x04 => Some(Self::SubmitOperation),
            0x02 => Some(Self::GetStatus),
            0x03 => Some(Self::GetParams),
            0x05 => Some(Self::GetAccount),
            0x14 => Some(Self::GetPending),
            0x20 => Some(Self::Subscribe),
            _ => None,
        }
    }
    /// Longest payload, bytes.
    #[must_use]
    pub const fn bytes_max(self) -> usize {
        match self {
            Self::SubmitEnvelope => limits::ENVELOPE_BYTES_MAX,
            Self::SubmitBid => limits::BID_BYTES_MAX,
            Self::SubmitBody => limits::BODY_BYTES_MAX,
            Self::SubmitTail => limits::TAIL_BYTES_MAX,
            Self::SubmitOperation => limits::REQUEST_BYTES_MAX,
            Self::GetPending => 256,
            Self::GetStatus | Self::GetParams | Self::GetAccount | Self::Subscribe => 64,
        }
    }
}

/// Kinds of answer and event frames.
pub mod answer {
    /// A receipt: the signed note's text.
    pub const RECEIPT: u8 = 0x41;
    /// codec([`super::Status`]).
    pub const STATUS: u8 = 0x42;
    /// codec([`super::Params`]).
    pub const PARAMS: u8 = 0x43;
    /// codec([`super::AccountState`]).
    pub const ACCOUNT: u8 = 0x45;
    /// Empty: the subscription runs on a stream of its own; or the operation is held here, which is no promise.
    pub const SEEN: u8 = 0x51;
    /// codec([`super::Pending`]).
    pub const PENDING: u8 = 0x54;
    /// codec([`super::Event`]).
    pub const EVENT: u8 = 0x80;
    /// codec([`super::Refusal`]).
    pub const ERROR: u8 = 0x7f;
}

/// What to send on a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscribe {
    /// Events of this slot and later ones; 0: from now on.
    pub from_slot: Slot,
}

/// A refusal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// [`Reason`] number.
    pub code: u16,
    /// [`Reason`] name.
    pub reason: String,
    /// At most 256 bytes, for people.
    pub detail: String,
    /// When it may make sense to try again; 0: not by itself.
    pub retry_after_ms: u32,
}

impl Refusal {
    /// A refusal with a detail, cut to its limit.
    #[must_use]
    pub fn new(reason: Reason, detail: &str) -> Self {
        let mut end = detail.len().min(limits::DETAIL_BYTES_MAX);
        while !detail.is_char_boundary(end) {
            end = end.saturating_sub(1);
        }
        let passing = [
            Reason::Busy,
            Reason::Quota,
            Reason::NonceTooFar,
            Reason::AfterUnknown,
            // it comes back, or its committee has changed
            Reason::ShuttingDown,
        ]
        .contains(&reason);
        let retry_after_ms = if passing { 200 } else { 0 };
        Self {
            code: reason.number(),
            reason: reason.name().into(),
            detail: detail.get(..end).unwrap_or_default().into(),
            retry_after_ms,
        }
    }
    /// The code as a [`Reason`], `None` for a number that this version does not know.
    #[must_use]
    pub fn known(&self) -> Option<Reason> {
        Reason::from_number(self.code)
    }
}

/// Where an item is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Status {
    /// Not known here.
    Unknown,
    /// Admitted, in no set yet.
    Pending,
    /// In the set of a slot that is final, not opened yet.
    Fixed {
        /// Slot.
        slot: Slot,
    },
    /// Opened.
    Opened {
        /// Slot.
        slot: Slot,
        /// Place in L_h.
        index: u32,
    },
    /// Executed.
    Executed {
        /// Slot.
        slot: Slot,
        /// Place in L_h.
        index: u32,
        /// Outcome code.
        outcome: u8,
        /// Leg that decided an abort.
        leg: u8,
    },
    /// It can be in no set any more.
    Dropped {
        /// [`Reason`] number.
        code: u16,
    },
    /// An operation that has its entry in the log.
    Entered {
        /// Slot.
        slot: Slot,
        /// 0, or the [`Reason`] number of what kept an account's from doing what it asks for.
        code: u16,
    },
}

/// What a wallet needs to seal and price an envelope.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Params {
    /// Network id.
    pub network: Hash,
    /// Epoch whose key to use.
    pub epoch: Epoch,
    /// Last final slot.
    pub last_final: Slot,
    /// Last opened slot.
    pub opened: Slot,
    /// Price of a byte in the next slot.
    pub byte_price: Amount,
    /// Price of a unit of gas in the next slot.
    pub gas_price: Amount,
    /// Reserve of the slot that the next block sells.
    pub reserve: Amount,
    /// The member's clock.
    pub time_ms: Timestamp,
    /// Until the next close.
    pub ms_to_close: u32,
}

/// A ledger account as a member sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountState {
    /// Address.
    pub address: Address,
    /// On the ledger, if it is there.
    pub account: Option<Account>,
    /// Next nonce after everything pending here.
    pub pending_nonce: u64,
    /// Of the bond, what a bid may lock: neither locked nor leaving.
    pub free_bond: Amount,
    /// Of the bond, what is leaving it.
    pub unbonding: Amount,
    /// Of what is leaving, what can be withdrawn now.
    pub withdrawable: Amount,
    /// Next nonce of operations on the ledger.
    pub operation_nonce: u64,
    /// The same after everything pending here.
    pub pending_operation_nonce: u64,
    /// It may bid in this epoch.
    pub is_builder: bool,
}

/// Asks a member, as the holder of the right to a slot, what its body could place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingRequest {
    /// Network id.
    pub network: Hash,
    /// Who is asked: no other member can use it.
    pub member: MemberId,
    /// The slot that comes.
    pub slot: Slot,
    /// Who asks: has bought the slot.
    pub builder: Address,
    /// The builder's EIP-712 signature over the rest.
    pub signature: EthSignature,
}

/// What the body of a slot could place if the slot closed now with what a member holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    /// The slot.
    pub slot: Slot,
    /// Candidates that rank does not force, the best first, at most [`limits::BODY_UNITS_MAX`]. Empty when the slot
    /// has room for all.
    pub units: Vec<PendingUnit>,
}

/// An envelope that waits, as its clear header shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PendingUnit {
    /// Envelope hash.
    pub hash: Hash,
    /// Of its rank: the worst of its own and of what must stand before it.
    pub fee_per_byte: u64,
    /// Size class.
    pub size: u8,
    /// Gas class.
    pub gas: u8,
}

/// What happens, in slot order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// A set is final: envelope hashes, sorted.
    Final {
        /// Slot.
        slot: Slot,
        /// S_h.
        set: Vec<Hash>,
    },
    /// Opened: envelope hashes in the order.
    Opened {
        /// Slot.
        slot: Slot,
        /// Reveal hash: what the slot's tail names.
        reveal: Hash,
        /// L_h.
        order: Vec<Hash>,
        /// What opens each.
        openings: Vec<Opening>,
    },
    /// The auction of a slot is over: what its bids were stands in AUCTION of the log.
    Auction {
        /// The slot whose block listed the bids.
        slot: Slot,
        /// The slot sold.
        for_slot: Slot,
        /// Bids that were opened.
        bids: u32,
        /// Who won, and what it pays.
        sold: Option<(Address, Amount)>,
    },
    /// Executed: one outcome per unit of the order.
    Executed {
        /// Slot.
        slot: Slot,
        /// Outcome codes.
        outcomes: Vec<u8>,
    },
    /// The tail of a slot ran: one outcome per bundle.
    Tail {
        /// Slot.
        slot: Slot,
        /// Outcome codes.
        outcomes: Vec<u8>,
    },
    /// So many events were dropped because the subscriber was slow.
    Gap {
        /// How many.
        dropped: u64,
    },
}
