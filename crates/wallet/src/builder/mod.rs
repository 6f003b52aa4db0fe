//! A builder: follows the chain, says what slots are worth, and pays when it wins.
//!
//! ```text
//!  members --events, f+1 alike--> block h final --Strategy::bid--> amount --seal, sign--> journal (fsync)
//!                                      |                                                      |
//!                                      |                                     to all members at once, receipts
//!                                      |                                              bid for slot h+2
//!                                 slot h opened ------> who won h+1, at which price; what units left on the rollups
//! ```
//! A [`Strategy`] is the owner's; the rest is here: cap classes and bond (A-04), times, members that refuse, the journal
//! that keeps a bidder from signing two objects for one place ([`Journal`]), and the account of what was won and paid.
//!
//! Bids for slot h+2 are judged on the ledger as of the opening of slot h, and close soon after it. So they go out when
//! block h is final: members that have not opened it let them wait, and all of the way has the time of the reveal, too.
//!
//! The winner of a slot asks members what waits for it beside what rank forces, and where that is more than the slot
//! holds, its strategy says in a body what goes in; of the fees of that it has a share (A-24).
//!
//! Deliberately absent: randomness and clocks (entropy is an argument, waiting is tokio's).
//!
//! Trust: what f+1 members tell alike. Receipts are evidence against their members, not proof that a bid counts.
mod journal;
pub mod pools;
mod replica;
mod strategy;
pub mod tail;

pub use journal::{Journal, JournalError, Kind, Place, Signed};
pub use replica::{Chain, Look, Replica};
pub use strategy::{Chance, Reference, Strategy};

use crate::{Refused, Submission, Submitter};
use auction_rules::{AuctionTerms, CAP_CLASS_MAX, Prices, cap_of_class};
use crypto::{bid, build, eth::EthKey};
use std::{
    collections::{BTreeMap, BTreeSet},
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{broadcast::error::RecvError, mpsc},
    task::JoinHandle,
    time::{Sleep, sleep, timeout},
};
use types::{
    Account, Address, Amount, Bid, BidHeader, BidText, Body, BuildHeader, Hash, MemberId, Object, Slot, Tail, codec,
    limits,
    wire::{Event, Params, PendingUnit, Refusal},
};
use zeroize::Zeroizing;

/// Where a builder gets 32 fresh bytes; `None` when there are none.
pub type Entropy = Box<dyn FnMut() -> Option<Zeroizing<[u8; 32]>> + Send>;

/// Between questions to members that do not answer yet.
const RETRY: Duration = Duration::from_millis(250);
/// Slots that a builder that stops waits for what it has bid for.
const DRAIN_SLOTS: u64 = 10;
/// Looks that wait while a tail is sent.
const LOOKS_WAITING: usize = 4;
/// Slots whose bids are remembered until their sale is told.
const LIVE_SLOTS: usize = 64;

/// Why a builder ends.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuilderError {
    /// The journal: nothing more may be signed.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// There is no randomness.
    #[error("no randomness")]
    Entropy,
    /// What this builder does off the runtime has panicked.
    #[error("a thread of the builder panicked")]
    Panicked,
}

/// How a slot was sold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sale {
    /// The slot.
    pub slot: Slot,
    /// Bids that were opened.
    pub bids: u32,
    /// Who may build it, and what it pays.
    pub sold: Option<(Address, Amount)>,
}

/// An own bid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// What it says.
    pub amount: Amount,
    /// Members that have given a receipt that holds.
    pub receipts: usize,
    /// Everybody else who has answered.
    pub refused: Vec<(MemberId, Refused)>,
    /// It was signed by an earlier run.
    pub is_old: bool,
}

/// A slot's sale, with the own part in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotReport {
    /// How it was sold.
    pub sale: Sale,
    /// The own bid, if one was sent.
    pub offer: Option<Offer>,
    /// This builder won.
    pub won: bool,
}

/// A tail that was sent, told with the slot after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TailReport {
    /// The slot.
    pub slot: Slot,
    /// Its bundles.
    pub bundles: usize,
    /// Members that took it.
    pub taken: usize,
    /// Members that did not, and why.
    pub refused: Vec<(MemberId, Refusal)>,
    /// Coins that came to the sender on the rollups since, wei.
    pub gained: u128,
}

/// A body that was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BodyReport {
    /// The slot.
    pub slot: Slot,
    /// Units that wait for it at f + 1 members, beside those that rank forces.
    pub waiting: usize,
    /// Units that the body names.
    pub units: usize,
    /// Members that took it.
    pub taken: usize,
    /// Members that did not, and why.
    pub refused: Vec<(MemberId, Refusal)>,
}

/// What a builder tells while it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// A slot was sold, or was not.
    Sale(SlotReport),
    /// A tail was sent after a slot that was won.
    Tail(TailReport),
    /// More waits for a slot that was won than it holds: a body was sent.
    Body(BodyReport),
}

/// What a run has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Sales that were told.
    pub slots: u64,
    /// Slots that were sold to anybody.
    pub sold: u64,
    /// Own bids.
    pub bids: u64,
    /// Of these, bids with 2f + 1 receipts when their sale was told.
    pub receipted: u64,
    /// Slots won.
    pub won: u64,
    /// Prices of the slots won.
    pub paid: Amount,
    /// On the ledger when the run began.
    pub first: Option<Account>,
    /// And at its end.
    pub last: Option<Account>,
    /// Tails that were sent.
    pub tails: u64,
    /// Bodies that were sent.
    pub bodies: u64,
    /// Coins of the sender over all rollups when they were first seen, and when they were last.
    pub coins: Option<(u128, u128)>,
}

impl Summary {
    fn sale(&mut self, report: &SlotReport) {
        self.slots = self.slots.saturating_add(1);
        if let Some((_, price)) = report.sale.sold {
            self.sold = self.sold.saturating_add(1);
            if report.won {
                self.won = self.won.saturating_add(1);
                self.paid = self.paid.checked_add(price).unwrap_or(self.paid);
            }
        }
    }

    /// What left the bond beside prices: bid fees and fines. `None` while the account is not known at both ends.
    #[must_use]
    pub fn fees(&self) -> Option<Amount> {
        let spent = self.first?.bond.checked_sub(self.last?.bond)?;
        Some(spent.saturating_sub(self.paid))
    }

    /// Coins that came to the sender on the rollups, wei. `None` while these are not known.
    #[must_use]
    pub fn gained(&self) -> Option<u128> {
        self.coins.map(|(first, last)| last.saturating_sub(first))
    }

    fn look(&mut self, coins: u128) {
        self.coins = Some((self.coins.map_or(coins, |(first, _)| first), coins));
    }

    /// What came to the balance: the builder's share of fees. `None` as for [`Self::fees`].
    #[must_use]
    pub fn earned(&self) -> Option<Amount> {
        Some(self.last?.balance.saturating_sub(self.first?.balance))
    }
}

/// Whose a builder is.
#[expect(missing_debug_implementations, reason = "secrets")]
pub struct Keys {
    /// Its bond pays.
    pub bidder: EthKey,
    /// Sends the legs of its tails, from what it holds on the rollups.
    pub sender: EthKey,
}

/// Signs, once for each place.
struct Signer {
    keys: Keys,
    journal: Mutex<Journal>,
}

impl Signer {
    fn journal(&self) -> std::sync::MutexGuard<'_, Journal> {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The bytes of a body or a tail: once signed, the same ever after.
    async fn sign(
        self: Arc<Self>,
        slot: Slot,
        kind: Kind,
        make: impl FnOnce(&EthKey) -> Vec<u8> + Send + 'static,
    ) -> Result<Option<Vec<u8>>, BuilderError> {
        let signing = tokio::task::spawn_blocking(move || {
            let make = || Some((Amount::ZERO, make(&self.keys.bidder)));
            self.journal().sign(Place { slot, kind, seq: 0 }, make)
        });
        let signed = signing.await.map_err(|_panic| BuilderError::Panicked)??;
        Ok(signed.map(|signed| signed.bytes))
    }
}

/// The smallest class of a cap that covers an amount, as the bond allows: the class, and the amount cut to what it covers.
/// `None` when the bond covers no class.
#[must_use]
pub fn cap_class(params: &types::Params, terms: &AuctionTerms, bond: Amount, amount: Amount) -> Option<(u8, Amount)> {
    let fits = |cap: Amount| terms.lock(cap).is_some_and(|lock| lock <= bond);
    let caps = (0..=CAP_CLASS_MAX).filter_map(|class| Some((class, cap_of_class(params, class)?)));
    let affordable: Vec<_> = caps.filter(|(_, cap)| fits(*cap)).collect();
    let covering = affordable.iter().find(|(_, cap)| *cap >= amount);
    covering.or(affordable.last()).map(|(class, cap)| (*class, amount.min(*cap)))
}

/// What the ledger says of the next auction, as members tell it.
#[derive(Clone, Copy, Debug)]
struct Market {
    terms: AuctionTerms,
    epoch: types::Epoch,
}

struct Live {
    amount: Amount,
    is_old: bool,
    submission: Submission,
}

/// A builder. Several may share a [`Submitter`].
pub struct Builder<S> {
    submitter: Arc<Submitter>,
    signer: Arc<Signer>,
    bidder: Address,
    strategy: S,
    entropy: Entropy,
    market: Option<Market>,
    account: Option<Account>,
    /// Of its bond.
    leaving: Amount,
    live: BTreeMap<Slot, Live>,
    chain: Option<Arc<dyn Chain>>,
    /// Slots whose tail is this builder's.
    won: BTreeSet<Slot>,
    /// The tail that was sent last, and what the sender held before it.
    tail: Option<(TailReport, u128)>,
    /// No bid up to here: it is late, or an earlier run without this journal may have signed it.
    done: Slot,
    summary: Summary,
}

impl<S> core::fmt::Debug for Builder<S> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Builder").field("bidder", &self.bidder).finish_non_exhaustive()
    }
}

impl<S: Strategy> Builder<S> {
    /// A builder of these keys, whose journal is open.
    #[must_use]
    pub fn new(submitter: Arc<Submitter>, keys: Keys, journal: Journal, strategy: S, entropy: Entropy) -> Self {
        let bidder = keys.bidder.address();
        Self {
            submitter,
            signer: Arc::new(Signer { keys, journal: Mutex::new(journal) }),
            bidder,
            strategy,
            entropy,
            market: None,
            account: None,
            leaving: Amount::ZERO,
            live: BTreeMap::new(),
            chain: None,
            won: BTreeSet::new(),
            tail: None,
            done: Slot(0),
            summary: Summary::default(),
        }
    }

    /// With a view of the rollups: who has none sends no tails.
    #[must_use]
    pub fn with_chain(self, chain: Arc<dyn Chain>) -> Self {
        Self { chain: Some(chain), ..self }
    }

    /// Whose bond pays.
    #[must_use]
    pub const fn bidder(&self) -> Address {
        self.bidder
    }

    /// Bids for every slot until `stop`, and then waits for the last sales; each is reported as it is told.
    ///
    /// # Errors
    /// [`BuilderError`]: nothing more may be signed.
    pub async fn run(
        mut self,
        stop: impl Future<Output = ()> + Send,
        mut report: impl FnMut(&Report) + Send,
    ) -> Result<Summary, BuilderError> {
        let mut stop = std::pin::pin!(stop);
        let mut news = self.submitter.news();
        loop {
            tokio::select! {
                () = &mut stop => return Ok(self.summary),
                params = self.refresh() => if let Some(params) = params {
                    self.resume(&params);
                    break;
                },
            }
            sleep(RETRY).await;
        }
        self.summary.first = self.account;
        let (looks, mut looked) = mpsc::channel(LOOKS_WAITING);
        let (asks, mut asked) = mpsc::channel(LOOKS_WAITING);
        let (sent, mut bodies) = mpsc::channel(LOOKS_WAITING);
        let mut looking: Option<JoinHandle<()>> = None;
        let patience = Duration::from_millis(self.submitter.view().params.slot_ms.saturating_mul(DRAIN_SLOTS));
        // once it is to stop: until when it waits for the sales of what it has bid for, which are paid in any case
        let mut ends: Option<Pin<Box<Sleep>>> = None;
        while ends.is_none() || !self.live.is_empty() {
            let event = tokio::select! {
                () = &mut stop, if ends.is_none() => {
                    ends = Some(Box::pin(sleep(patience)));
                    continue;
                }
                () = over(ends.as_mut()) => break,
                Some((slot, waiting)) = asked.recv() => {
                    self.send_body(slot, waiting, sent.clone());
                    continue;
                }
                Some(body) = bodies.recv() => {
                    let body = body?;
                    self.summary.bodies = self.summary.bodies.saturating_add(1);
                    report(&Report::Body(body));
                    continue;
                }
                Some(look) = looked.recv() => {
                    if let Some(tail) = self.look(look).await? {
                        report(&Report::Tail(tail));
                    }
                    continue;
                }
                event = news.recv() => event,
            };
            match event {
                Ok(Event::Final { slot, .. }) => {
                    if ends.is_none() {
                        self.bid(slot.next().next()).await?;
                    }
                    self.refresh().await;
                }
                Ok(Event::Auction { slot, for_slot, bids, sold }) => {
                    let sale = Sale { slot: for_slot, bids, sold };
                    self.strategy.sold(&sale);
                    // whoever reads the log for the first time reads for long
                    if let Some(chain) =
                        self.chain.as_ref().filter(|_| looking.as_ref().is_none_or(JoinHandle::is_finished))
                    {
                        let (chain, sender, looks) =
                            (Arc::clone(chain), self.signer.keys.sender.address(), looks.clone());
                        looking = Some(tokio::task::spawn_blocking(move || {
                            if let Some(look) = chain.look(slot, &sender) {
                                // the builder may have ended
                                looks.blocking_send(look).ok();
                            }
                        }));
                    }
                    let told = self.settle(slot, sale);
                    report(&Report::Sale(told));
                    if self.won.contains(&for_slot) {
                        self.ask_pending(for_slot, asks.clone());
                    }
                }
                Ok(Event::Opened { .. } | Event::Executed { .. } | Event::Tail { .. } | Event::Gap { .. }) => {}
                // what was missed is over
                Err(RecvError::Lagged(events)) => tracing::warn!(events, "builder.lagged"),
                Err(RecvError::Closed) => break,
            }
        }
        if let Some(looking) = looking {
            // it talks to members over the runtime that may end with this
            timeout(patience, looking).await.ok();
        }
        if self.refresh().await.is_none() {
            self.refresh().await;
        }
        self.summary.last = self.account;
        Ok(self.summary)
    }

    /// Asks for what the next bid is judged by. What is not answered in time stays as it was.
    async fn refresh(&mut self) -> Option<Params> {
        let patience = Duration::from_millis(self.submitter.view().params.slot_ms.max(100));
        let (submitter, bidder) = (Arc::clone(&self.submitter), self.bidder);
        let asked = async { tokio::join!(submitter.current(), submitter.agreed_account(bidder)) };
        let (params, account) = timeout(patience, asked).await.ok()?;
        if let Some((account, leaving)) = account {
            (self.account, self.leaving) = (Some(account), leaving);
        }
        let params = params?;
        let rules = &self.submitter.view().params;
        let prices = Prices { byte: params.byte_price.units(), gas: params.gas_price.units() };
        // the reserve is that of the slot which the next block sells
        let epoch = rules.schedule().epoch_of(params.last_final.plus(2));
        let terms = AuctionTerms::new(rules, &prices, params.reserve)?;
        self.market = Some(Market { terms, epoch });
        Some(params)
    }

    /// What an earlier run signed goes out again, where it may still count.
    fn resume(&mut self, params: &Params) {
        let newest = params.last_final;
        let signer = Arc::clone(&self.signer);
        let journal = signer.journal();
        // Bids for the slot after the next are due now, and at members that are further on the one after it. Without a
        // journal nobody knows whether they were signed.
        self.done = if journal.is_new() { newest.plus(3) } else { newest.next() };
        for signed in journal.after(newest.next()).filter(|signed| signed.place.kind == Kind::Bid) {
            let Ok(bid) = codec::decode::<Bid>(&signed.bytes, limits::BID_BYTES_MAX) else { continue };
            let submission = self.submitter.bid(&bid);
            self.summary.bids = self.summary.bids.saturating_add(1);
            self.done = self.done.max(bid.header.slot);
            self.live.insert(bid.header.slot, Live { amount: signed.amount, is_old: true, submission });
        }
    }

    /// Bids for a slot, once.
    async fn bid(&mut self, slot: Slot) -> Result<(), BuilderError> {
        if slot <= self.done {
            return Ok(());
        }
        self.done = slot;
        let schedule = self.submitter.view().params.schedule();
        if self.market.is_none_or(|market| market.epoch != schedule.epoch_of(slot)) {
            self.refresh().await;
        }
        let (Some(market), Some(account)) = (self.market, self.account) else { return Ok(()) };
        // what the bid before has locked is free again when this one is judged; what leaves is not
        let bond = account.bond.saturating_sub(self.leaving);
        let rules = &self.submitter.view().params;
        let Some((_, most)) = cap_class(rules, &market.terms, bond, MOST) else { return Ok(()) };
        let Market { terms: AuctionTerms { reserve, bid_fee, .. }, .. } = market;
        let Some(wanted) = self.strategy.bid(&Chance { slot, reserve, bid_fee, most }) else { return Ok(()) };
        let Some((cap_class, amount)) = cap_class(rules, &market.terms, bond, wanted) else { return Ok(()) };
        let header = BidHeader {
            version: BidHeader::VERSION,
            network: self.submitter.view().id,
            epoch: schedule.epoch_of(slot.prev()),
            slot,
            bidder: self.bidder,
            seq: 0,
            cap_class,
        };
        let seal = (self.entropy)().ok_or(BuilderError::Entropy)?;
        let salt = Hash(*(self.entropy)().ok_or(BuilderError::Entropy)?);
        let text = BidText { amount, tail_recipient: Address::ZERO, salt };
        let (signer, submitter) = (Arc::clone(&self.signer), Arc::clone(&self.submitter));
        let signing = tokio::task::spawn_blocking(move || {
            let make = || {
                let bid = bid::seal(&submitter.view().key, seal, &signer.keys.bidder, header, &text)?;
                Some((amount, codec::encode(&bid)))
            };
            signer.journal().sign(Place { slot, kind: Kind::Bid, seq: 0 }, make)
        });
        let Some(signed) = signing.await.map_err(|_panic| BuilderError::Panicked)?? else { return Ok(()) };
        let Ok(bid) = codec::decode::<Bid>(&signed.bytes, limits::BID_BYTES_MAX) else { return Ok(()) };
        let submission = self.submitter.bid(&bid);
        self.summary.bids = self.summary.bids.saturating_add(1);
        self.live.insert(slot, Live { amount: signed.amount, is_old: false, submission });
        while self.live.len() > LIVE_SLOTS {
            self.live.pop_first();
        }
        Ok(())
    }

    /// What the units of a slot have left, and the tail if it is this builder's.
    async fn look(&mut self, look: Look) -> Result<Option<TailReport>, BuilderError> {
        let coins = look.coins();
        self.summary.look(coins);
        self.strategy.opened(&look);
        let before = self.tail.take().map(|(report, held)| TailReport { gained: coins.saturating_sub(held), ..report });
        if self.won.contains(&look.slot)
            && let Some(report) = self.send_tail(look).await?
        {
            self.summary.tails = self.summary.tails.saturating_add(1);
            self.tail = Some((report, coins));
        }
        Ok(before)
    }

    async fn send_tail(&mut self, look: Look) -> Result<Option<TailReport>, BuilderError> {
        let rules = &self.submitter.view().params;
        let slot = look.slot;
        // half a slot: what comes later is not listed any more
        let patience = Duration::from_millis(rules.slot_ms >> 1u32);
        let mut bundles = self.strategy.tail(&look, &self.signer.keys.sender);
        bundles.truncate(rules.tail_bundles_max.into());
        if bundles.is_empty() {
            return Ok(None);
        }
        let (header, reveal) = (self.head(slot), look.reveal);
        let make = move |key: &EthKey| codec::encode(&build::tail(key, header, reveal, bundles));
        let Some(bytes) = Arc::clone(&self.signer).sign(slot, Kind::Tail, make).await? else { return Ok(None) };
        let Ok(tail) = codec::decode::<Tail>(&bytes, limits::TAIL_BYTES_MAX) else { return Ok(None) };
        let bundles = tail.bundles.len();
        let (taken, refused) = self.submitter.object(Object::Tail(Box::new(tail)), patience).await;
        Ok(Some(TailReport { slot, bundles, taken, refused, gained: 0 }))
    }

    /// What waits for a slot that was won, asked for beside everything else: a silent member costs no tail and no bid.
    fn ask_pending(&self, slot: Slot, asks: mpsc::Sender<(Slot, Vec<PendingUnit>)>) {
        let (submitter, signer, patience) = (Arc::clone(&self.submitter), Arc::clone(&self.signer), self.patience());
        tokio::spawn(async move {
            let waiting = submitter.pending(&signer.keys.bidder, slot, patience).await;
            // the builder may have ended
            asks.send((slot, waiting)).await.ok();
        });
    }

    /// The body of a slot that holds less than what waits.
    fn send_body(
        &mut self,
        slot: Slot,
        waiting: Vec<PendingUnit>,
        sent: mpsc::Sender<Result<BodyReport, BuilderError>>,
    ) {
        let mut units = if waiting.is_empty() { Vec::new() } else { self.strategy.body(&waiting) };
        units.truncate(limits::BODY_UNITS_MAX);
        if units.is_empty() {
            return;
        }
        let (submitter, signer, patience) = (Arc::clone(&self.submitter), Arc::clone(&self.signer), self.patience());
        let header = self.head(slot);
        tokio::spawn(async move {
            let make = move |key: &EthKey| codec::encode(&build::body(key, header, units));
            let body = match signer.sign(slot, Kind::Body, make).await {
                Ok(bytes) => bytes.and_then(|bytes| codec::decode::<Body>(&bytes, limits::BODY_BYTES_MAX).ok()),
                Err(error) => return drop(sent.send(Err(error)).await),
            };
            let Some(body) = body else { return };
            let units = body.units.len();
            let (taken, refused) = submitter.object(Object::Body(Box::new(body)), patience).await;
            sent.send(Ok(BodyReport { slot, waiting: waiting.len(), units, taken, refused })).await.ok();
        });
    }

    /// A quarter of a slot to ask, and one to send: the slot closes soon.
    fn patience(&self) -> Duration {
        Duration::from_millis(self.submitter.view().params.slot_ms >> 2u32)
    }

    fn head(&self, slot: Slot) -> BuildHeader {
        BuildHeader {
            version: BuildHeader::VERSION,
            network: self.submitter.view().id,
            epoch: self.submitter.view().params.schedule().epoch_of(slot),
            slot,
            builder: self.bidder,
            seq: 0,
        }
    }

    fn settle(&mut self, slot: Slot, sale: Sale) -> SlotReport {
        let quorum = self.submitter.view().quorum();
        let offer = self.live.remove(&sale.slot).map(|live| {
            let collected = live.submission.collected();
            let (receipts, refused) = (collected.receipts.len(), collected.refused);
            Offer { amount: live.amount, receipts, refused, is_old: live.is_old }
        });
        if offer.as_ref().is_some_and(|offer| offer.receipts >= quorum) {
            self.summary.receipted = self.summary.receipted.saturating_add(1);
        }
        let won = sale.sold.is_some_and(|(winner, _)| winner == self.bidder);
        // A-37: after an empty block the right stands at the next slot
        if won || sale.sold.is_none() && self.won.contains(&slot) {
            self.won.insert(sale.slot);
        }
        self.won.retain(|won| *won >= slot);
        let report = SlotReport { sale, offer, won };
        self.summary.sale(&report);
        report
    }
}

async fn over(ends: Option<&mut Pin<Box<Sleep>>>) {
    match ends {
        Some(sleep) => sleep.await,
        None => core::future::pending().await,
    }
}

/// More than any cap.
const MOST: Amount = match Amount::new(limits::AMOUNT_END - 1) {
    Some(most) => most,
    None => Amount::ZERO,
};

#[cfg(test)]
mod tests {
    // Goal: A-04: the smallest class that covers the amount, and never one that the bond does not.
    use super::*;
    use types::Pricing;

    fn amount(units: u128) -> Amount {
        Amount::new(units).unwrap()
    }

    #[test]
    fn a04_the_smallest_class_that_covers_the_amount_within_the_bond() {
        let params = types::Params { cap_unit: amount(1_000), ..types::Params::default_for(500) };
        let terms = AuctionTerms {
            pricing: Pricing::Second,
            reserve: amount(10),
            bid_fee: amount(5),
            garbage_fine: amount(50),
        };
        let class = |bond, units| cap_class(&params, &terms, amount(bond), amount(units));
        assert_eq!(class(1 << 60, 1), Some((0, amount(1))));
        assert_eq!(class(1 << 60, 1_000), Some((0, amount(1_000))));
        assert_eq!(class(1 << 60, 1_001), Some((1, amount(1_001))));
        assert_eq!(class(10_055, 10_000), Some((1, amount(10_000))), "cap, fine and fee, to the unit");
        assert_eq!(class(10_054, 10_000), Some((0, amount(1_000))), "cut to what the bond covers");
        assert_eq!(class(1_054, 1), None);
        assert_eq!(class(1 << 90, 1 << 90), Some((6, amount(1_000_000_000))), "the largest cap");
    }
}
