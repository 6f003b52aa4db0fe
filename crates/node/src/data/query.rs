//! Queries and rows of the two bid traces, with the names that relays have (ethereum/builder-specs' relay API and
//! flashbots/mev-boost-relay): numbers as decimal text, the newest first.
//!
//! Where there is nothing of that name here, the field holds what comes next to it: a builder is its 20-byte address, a
//! proposer its consensus key, a block number its slot, a block hash the digest that the committee voted for, and of a
//! bid, which has no block yet, the bid's hash. What a price pays goes to the ledger's pools, so that there is no fee
//! recipient. Fields after `block_number` are ours.
use super::{
    Texts,
    traces::{Built, Kept, Offer, Trace},
};
use axum::http::StatusCode;
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use types::{Address, Amount, Hash, wire::AccountState};

/// Rows of one answer.
const DELIVERED_MAX: usize = 200;
const RECEIVED_MAX: usize = 500;

/// An answer that is none.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) status: StatusCode,
    pub(super) message: String,
}

impl Refused {
    fn bad(message: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, message: message.into() }
    }
    pub(super) fn unready(message: &str) -> Self {
        Self { status: StatusCode::SERVICE_UNAVAILABLE, message: message.into() }
    }
}

/// A decimal number.
pub(super) fn number(name: &str, text: &str) -> Result<u64, Refused> {
    let digits = !text.is_empty() && text.bytes().all(|c| c.is_ascii_digit());
    let number = if digits { text.parse().ok() } else { None };
    number.ok_or_else(|| Refused::bad(format!("invalid {name} argument")))
}

/// What a query asks for, taken out one by one.
struct Given(BTreeMap<String, String>);

impl Given {
    fn new(texts: Texts) -> Result<Self, Refused> {
        texts.map(|query| Self(query.0)).map_err(|_rejection| Refused::bad("invalid query"))
    }
    fn number(&mut self, name: &str) -> Result<Option<u64>, Refused> {
        self.0.remove(name).map(|text| number(name, &text)).transpose()
    }
    fn parsed<T: core::str::FromStr>(&mut self, name: &str) -> Result<Option<T>, Refused> {
        let parse = |text: String| text.parse().map_err(|_other| Refused::bad(format!("invalid {name} argument")));
        self.0.remove(name).map(parse).transpose()
    }
    fn limit(&mut self, most: usize) -> Result<usize, Refused> {
        let limit = self.number("limit")?.map_or(Ok(most), usize::try_from);
        let limit = limit.ok().filter(|limit| *limit <= most);
        limit.ok_or_else(|| Refused::bad(format!("maximum limit is {most}")))
    }
}

fn is<T: PartialEq>(wanted: Option<&T>, given: &T) -> bool {
    wanted.is_none_or(|wanted| wanted == given)
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum OrderBy {
    #[default]
    Slot,
    Cheapest,
    Dearest,
}

/// `proposer_payload_delivered`.
#[derive(Debug)]
pub(super) struct Delivered {
    slot: Option<u64>,
    /// Slots above it are left out.
    cursor: Option<u64>,
    block: Option<Hash>,
    number: Option<u64>,
    proposer: Option<Hash>,
    builder: Option<Address>,
    order: OrderBy,
    limit: usize,
}

/// The fields that relays have in both traces, in their order.
#[derive(Clone, Debug, Serialize)]
struct BidTrace {
    slot: String,
    parent_hash: Hash,
    block_hash: Hash,
    builder_pubkey: Address,
    proposer_pubkey: Hash,
    proposer_fee_recipient: Address,
    gas_limit: String,
    gas_used: String,
    /// Base units: the price, or what a bid says, 0 for garbage.
    value: Amount,
    num_tx: String,
    block_number: String,
}

/// A slot that was sold and built.
#[derive(Clone, Debug, Serialize)]
pub(super) struct DeliveredRow {
    #[serde(flatten)]
    trace: BidTrace,
    auction_slot: String,
    reserve: Amount,
    bid_hash: Hash,
    bids: String,
}

impl Delivered {
    pub(super) fn read(texts: Texts) -> Result<Self, Refused> {
        let mut given = Given::new(texts)?;
        let order = match given.0.remove("order_by").as_deref() {
            None | Some("") => OrderBy::Slot,
            Some("value") => OrderBy::Cheapest,
            Some("-value") => OrderBy::Dearest,
            Some(_) => return Err(Refused::bad("order_by must be value or -value")),
        };
        let read = Self {
            slot: given.number("slot")?,
            cursor: given.number("cursor")?,
            block: given.parsed("block_hash")?,
            number: given.number("block_number")?,
            proposer: given.parsed("proposer_pubkey")?,
            builder: given.parsed("builder_pubkey")?,
            order,
            limit: given.limit(DELIVERED_MAX)?,
        };
        if read.slot.is_some() && read.cursor.is_some() {
            return Err(Refused::bad("cannot specify both slot and cursor"));
        }
        Ok(read)
    }

    /// A slot is there once it is executed.
    pub(super) fn rows(&self, kept: &Kept) -> Vec<DeliveredRow> {
        let done = kept.newest().filter_map(|trace| {
            let built = trace.built.filter(|built| built.gas_used.is_some())?;
            Some((trace, built, trace.won()?))
        });
        let mut found: Vec<(&Trace, Built, &Offer)> = done
            .filter(|(_, built, offer)| {
                is(self.slot.as_ref(), &built.slot.0)
                    && is(self.number.as_ref(), &built.slot.0)
                    && self.cursor.is_none_or(|cursor| built.slot.0 <= cursor)
                    && is(self.block.as_ref(), &built.digest)
                    && is(self.proposer.as_ref(), &built.proposer)
                    && is(self.builder.as_ref(), &offer.bidder)
            })
            .collect();
        match self.order {
            OrderBy::Slot => {}
            OrderBy::Cheapest => found.sort_by_key(|(trace, ..)| trace.price),
            OrderBy::Dearest => found.sort_by_key(|(trace, ..)| core::cmp::Reverse(trace.price)),
        }
        found.iter().take(self.limit).map(|(trace, built, offer)| delivered(trace, built, offer)).collect()
    }
}

fn delivered(trace: &Trace, built: &Built, offer: &Offer) -> DeliveredRow {
    let fields = BidTrace {
        slot: built.slot.to_string(),
        parent_hash: built.parent,
        block_hash: built.digest,
        builder_pubkey: offer.bidder,
        proposer_pubkey: built.proposer,
        proposer_fee_recipient: Address::ZERO,
        gas_limit: built.gas_limit.to_string(),
        gas_used: built.gas_used.unwrap_or(0).to_string(),
        value: trace.price,
        num_tx: built.units.to_string(),
        block_number: built.slot.to_string(),
    };
    DeliveredRow {
        trace: fields,
        auction_slot: trace.auction.to_string(),
        reserve: trace.terms.reserve,
        bid_hash: offer.hash,
        bids: trace.offers.len().to_string(),
    }
}

/// `builder_blocks_received`.
#[derive(Debug)]
pub(super) struct Received {
    slot: Option<u64>,
    bid: Option<Hash>,
    number: Option<u64>,
    builder: Option<Address>,
    limit: usize,
}

/// A bid that was opened: for the slot that it wanted.
#[derive(Clone, Debug, Serialize)]
pub(super) struct ReceivedRow {
    #[serde(flatten)]
    trace: BidTrace,
    timestamp: String,
    timestamp_ms: String,
    optimistic_submission: bool,
    auction_slot: String,
    seq: u8,
    cap: Amount,
    /// `null` for garbage.
    amount: Option<Amount>,
    valid: bool,
    reason: &'static str,
    fee: Amount,
    fine: Amount,
    price: Amount,
}

impl Received {
    pub(super) fn read(texts: Texts) -> Result<Self, Refused> {
        let mut given = Given::new(texts)?;
        let read = Self {
            slot: given.number("slot")?,
            bid: given.parsed("block_hash")?,
            number: given.number("block_number")?,
            builder: given.parsed("builder_pubkey")?,
            limit: given.limit(RECEIVED_MAX)?,
        };
        if read.slot.is_none() && read.bid.is_none() && read.number.is_none() && read.builder.is_none() {
            return Err(Refused::bad(
                "need to query for specific slot or block_hash or block_number or builder_pubkey",
            ));
        }
        Ok(read)
    }

    pub(super) fn rows(&self, kept: &Kept) -> Vec<ReceivedRow> {
        let of = |trace: &&Trace| is(self.slot.as_ref(), &trace.sold.0) && is(self.number.as_ref(), &trace.sold.0);
        let offers = kept.newest().filter(of).flat_map(|t| t.offers.iter().map(move |offer| (t, offer)));
        let wanted =
            offers.filter(|(_, offer)| is(self.bid.as_ref(), &offer.hash) && is(self.builder.as_ref(), &offer.bidder));
        wanted.map(|(trace, offer)| received(trace, offer)).take(self.limit).collect()
    }
}

fn received(trace: &Trace, offer: &Offer) -> ReceivedRow {
    let zero = || "0".to_owned();
    let fields = BidTrace {
        slot: trace.sold.to_string(),
        parent_hash: trace.digest,
        block_hash: offer.hash,
        builder_pubkey: offer.bidder,
        proposer_pubkey: trace.built.map(|built| built.proposer).unwrap_or_default(),
        proposer_fee_recipient: Address::ZERO,
        gas_limit: zero(),
        gas_used: zero(),
        value: offer.amount.unwrap_or_default(),
        num_tx: zero(),
        block_number: trace.sold.to_string(),
    };
    ReceivedRow {
        trace: fields,
        timestamp: (trace.time.0 / 1_000).to_string(),
        timestamp_ms: trace.time.0.to_string(),
        optimistic_submission: false,
        auction_slot: trace.auction.to_string(),
        seq: offer.seq,
        cap: offer.cap,
        amount: offer.amount,
        valid: offer.judged.verdict.is_valid(),
        reason: offer.judged.verdict.name(),
        fee: offer.judged.fee,
        fine: offer.judged.fine,
        price: offer.judged.price,
    }
}

/// Builders' accounts, amounts in base units.
pub(super) fn accounts(builders: &[AccountState]) -> Vec<Value> {
    let row = |state: &AccountState| {
        let account = state.account.unwrap_or_default();
        json!({
            "address": state.address,
            "balance": account.balance,
            "bond": account.bond,
            "free_bond": state.free_bond,
            "unbonding": state.unbonding,
            "withdrawable": state.withdrawable,
            "may_bid": state.is_builder,
        })
    };
    builders.iter().map(row).collect()
}
