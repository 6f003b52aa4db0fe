//! To all members at once; receipts checked; the fate believed when f+1 tell it.
use crate::{
    MemberView, NetworkView, ReceiptFault, Receipted,
    board::{Board, Fate},
    link::{Line, Link},
    news::News,
    receipt::check_receipt_of,
};
use crypto::{build, eth::EthKey, hash::sha256, ids};
use ingress::{Client, ClientError};
use std::{
    cmp::Reverse,
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{broadcast, mpsc, watch},
    task::JoinHandle,
    time::{sleep, timeout},
};
use types::{
    Account, Address, Amount, Bid, Envelope, Hash, MemberId, Nonce, Object, ReceiptKind, SignedAccountOperation, Slot,
    codec,
    reason::{Outcome as Code, Reason},
    wire::{AccountState, Event, Params, PendingUnit, Refusal, Status},
};

/// How patient a submitter is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubmitLimits {
    /// For f+1 receipts, ms.
    pub receipts_ms: u64,
    /// For every further answer, ms; collecting goes on behind the caller.
    pub collect_ms: u64,
    /// Silence about an item after which members are asked, ms.
    pub poll_ms: u64,
    /// Between attempts to reach a member, ms.
    pub retry_ms: u64,
    /// Spread of repeated sends, ms.
    pub jitter_ms: u64,
}

impl Default for SubmitLimits {
    fn default() -> Self {
        Self { receipts_ms: 3_000, collect_ms: 10_000, poll_ms: 2_000, retry_ms: 250, jitter_ms: 20 }
    }
}

/// Why a member gave no receipt.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refused {
    /// It said so.
    Refusal(Refusal),
    /// What it sent is no receipt.
    Fault(ReceiptFault),
    /// It did not answer, or could not be reached, as long as was waited; with the last refusal that might have passed.
    Silent(Option<Refusal>),
}

/// What members answered so far, in the order of their answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    /// Receipts that hold, one per member.
    pub receipts: Vec<Receipted>,
    /// Everybody else who has answered.
    pub refused: Vec<(MemberId, Refused)>,
}

impl Collected {
    fn answered(&self) -> usize {
        self.receipts.len().saturating_add(self.refused.len())
    }
}

/// An envelope or bid on its way. Dropping it stops the waiting, not the sending.
pub struct Submission {
    item: Hash,
    members: usize,
    collected: watch::Receiver<Collected>,
    _watched: Watched,
}

impl fmt::Debug for Submission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Submission").field("item", &self.item).finish_non_exhaustive()
    }
}

impl Submission {
    /// Envelope or bid hash.
    #[must_use]
    pub const fn item(&self) -> Hash {
        self.item
    }
    /// What has come so far.
    #[must_use]
    pub fn collected(&self) -> Collected {
        self.collected.borrow().clone()
    }
    /// Waits until every member has answered or been waited for.
    pub async fn all(&self) -> Collected {
        let mut collected = self.collected.clone();
        collected.wait_for(|so_far| so_far.answered() >= self.members).await.ok();
        self.collected()
    }
}

/// Fewer than f+1 receipts in time. The submission goes on: more may come, and the item may be in a set all the same.
#[derive(Debug, thiserror::Error)]
#[error("{have} of {need} receipts")]
pub struct SubmitError {
    /// Receipts in time.
    pub have: usize,
    /// f + 1.
    pub need: usize,
    /// What goes on.
    pub submission: Submission,
}

/// What became of an item that was executed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Envelope hash.
    pub item: Hash,
    /// Receipts until now.
    pub receipts: Vec<Receipted>,
    /// The slot whose set it is in.
    pub slot: Slot,
    /// Place in L_h.
    pub index: u32,
    /// Outcome.
    pub outcome: Code,
    /// The leg that decided an abort; 0 where none did, or where members do not agree on it.
    pub leg: u8,
}

/// Why there is no outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OutcomeError {
    /// f+1 members say that it can be in no set any more.
    #[error("dropped: reason {code}")]
    Dropped {
        /// [`Reason`] number.
        code: u16,
    },
    /// f+1 members name an outcome that this version does not know.
    #[error("outcome {0} is unknown here")]
    Unknown(u8),
    /// Nothing that f+1 members agree on in time.
    #[error("no f + 1 equal answers in time")]
    Patience,
}

impl OutcomeError {
    /// The reason of a drop, if this version knows it.
    #[must_use]
    pub fn reason(&self) -> Option<Reason> {
        if let Self::Dropped { code } = self { Reason::from_number(*code) } else { None }
    }
}

/// Believed events that wait for a slow listener: a few for each of some fifty slots.
const NEWS_WAITING: usize = 256;
/// Between two questions to a member for what a body could place.
const ASK_AGAIN_AFTER: Duration = Duration::from_millis(25);

struct Shared {
    view: NetworkView,
    limits: SubmitLimits,
    links: Vec<Arc<Link>>,
    board: Mutex<Board>,
    /// Rises when the board learns something.
    learned: watch::Sender<u64>,
    /// What f+1 members tell.
    news: Mutex<News>,
    believed: broadcast::Sender<Event>,
}

impl Shared {
    fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }
    fn hear(&self, member: MemberId, event: &Event) {
        let believed = self.news.lock().unwrap_or_else(PoisonError::into_inner).hear(member, event);
        if believed {
            // nobody listening is no error
            self.believed.send(event.clone()).ok();
        }
    }
    fn tell(&self) {
        self.learned.send_modify(|n| *n = n.wrapping_add(1));
    }

    /// Asks all members that are there at once; each answers once, and the channel ends.
    fn ask<Q, T, F>(
        &self,
        question: Q,
        ask: impl Fn(Arc<Client>, Q) -> F + Clone + Send + 'static,
    ) -> mpsc::Receiver<(MemberId, Result<T, ClientError>)>
    where
        Q: Clone + Send + 'static,
        T: Send + 'static,
        F: Future<Output = Result<T, ClientError>> + Send,
    {
        self.ask_each(|_member| question.clone(), ask)
    }

    /// The same with a question of its own for each.
    fn ask_each<Q, T, F>(
        &self,
        question: impl Fn(MemberId) -> Q,
        ask: impl Fn(Arc<Client>, Q) -> F + Clone + Send + 'static,
    ) -> mpsc::Receiver<(MemberId, Result<T, ClientError>)>
    where
        Q: Send + 'static,
        T: Send + 'static,
        F: Future<Output = Result<T, ClientError>> + Send,
    {
        let (answer, answers) = mpsc::channel(self.links.len().max(1));
        for link in &self.links {
            let question = question(link.view.member);
            let (link, ask, answer) = (Arc::clone(link), ask.clone(), answer.clone());
            tokio::spawn(async move {
                if let Some(client) = link.now().await {
                    let told = ask(client, question).await;
                    // Nobody waits any more: nothing to do.
                    answer.send((link.view.member, told)).await.ok();
                }
            });
        }
        answers
    }
}

/// Whether a member may have another answer to what a body could place, when it has opened one more slot.
fn is_early(refusal: &Refusal) -> bool {
    matches!(refusal.known(), Some(Reason::BadRoundNumber | Reason::NotWinner))
}

/// The one in the middle by size.
fn middle<T: Ord>(told: &[Params], field: impl Fn(&Params) -> T) -> Option<T> {
    let mut values: Vec<T> = told.iter().map(field).collect();
    values.sort();
    let at = values.len() >> 1;
    values.into_iter().nth(at)
}

/// Asks all members where an item is, and puts each answer onto the board as it comes.
async fn poll_members(shared: Arc<Shared>, item: Hash) {
    let mut answers = shared.ask(item, |client, item| async move { client.status(&item).await });
    while let Some((member, answer)) = answers.recv().await {
        if let Ok(status) = answer {
            shared.board().status(member, &item, &status);
            shared.tell();
        }
    }
}

/// Keeps an item on the board.
struct Watched {
    shared: Arc<Shared>,
    item: Hash,
}

impl Watched {
    fn new(shared: &Arc<Shared>, item: Hash) -> Self {
        shared.board().watch(item);
        Self { shared: Arc::clone(shared), item }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.shared.board().forget(&self.item);
    }
}

/// Connections to all members of a network, shared by everything that a process submits.
pub struct Submitter {
    shared: Arc<Shared>,
    listeners: Vec<JoinHandle<()>>,
}

impl fmt::Debug for Submitter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Submitter").field("network", &self.shared.view.id).finish_non_exhaustive()
    }
}

impl Drop for Submitter {
    fn drop(&mut self) {
        self.listeners.iter().for_each(JoinHandle::abort);
    }
}

impl Submitter {
    /// Starts to connect to every member and to listen to its events, inside a tokio runtime. A member that is away is
    /// tried again for as long as the submitter lives.
    #[must_use]
    pub fn start(view: NetworkView, limits: SubmitLimits) -> Self {
        let link =
            |member: &MemberView| Arc::new(Link { view: member.clone(), line: watch::Sender::new(Line::Trying) });
        let links: Vec<_> = view.members.iter().map(link).collect();
        let board = Mutex::new(Board::new(view.witness_count()));
        let news = Mutex::new(News::new(view.witness_count()));
        let (believed, _) = broadcast::channel(NEWS_WAITING);
        let shared = Arc::new(Shared { view, limits, links, board, learned: watch::Sender::new(0), news, believed });
        let listen = |link: &Arc<Link>| tokio::spawn(listen(Arc::clone(link), Arc::clone(&shared)));
        let listeners = shared.links.iter().map(listen).collect();
        Self { shared, listeners }
    }

    /// The network.
    #[must_use]
    pub fn view(&self) -> &NetworkView {
        &self.shared.view
    }

    /// Sends an envelope to all members; returns at f+1 receipts that hold, and goes on collecting.
    ///
    /// # Errors
    /// [`SubmitError`] when everybody has answered or the time is over, with what goes on.
    pub async fn submit(&self, envelope: &Envelope) -> Result<Submission, SubmitError> {
        let item = ids::hash_envelope(envelope);
        let expiry = envelope.signed.header.expiry_slot;
        let submission = self.send(ReceiptKind::Envelope, item, expiry, codec::encode(envelope));
        let members = submission.members;
        let need = self.shared.view.witness_count();
        let mut collected = submission.collected.clone();
        let enough = collected.wait_for(|so_far| so_far.receipts.len() >= need || so_far.answered() >= members);
        timeout(Duration::from_millis(self.shared.limits.receipts_ms), enough).await.ok();
        let have = submission.collected.borrow().receipts.len();
        if have >= need { Ok(submission) } else { Err(SubmitError { have, need, submission }) }
    }

    /// Sends a bid to all members at once and goes on collecting what they say; nothing is waited for. A bid has no
    /// outcome of its own: [`Event::Auction`] says who won.
    #[must_use]
    pub fn bid(&self, bid: &Bid) -> Submission {
        self.send(ReceiptKind::Bid, ids::bid_hash(bid), bid.header.slot.prev(), codec::encode(bid))
    }

    /// Sends a body or a tail to all members at once, and waits until each has answered or `patience` ends. Who took it,
    /// and who refused and why; that a member took it is no promise.
    pub async fn object(&self, object: Object, patience: Duration) -> (usize, Vec<(MemberId, Refusal)>) {
        let mut answers = self.shared.ask(Arc::new(object), |client, object| async move {
            match &*object {
                Object::Body(body) => client.body(body).await,
                Object::Tail(tail) => client.tail(tail).await,
            }
        });
        let (mut taken, mut refused) = (0usize, Vec::new());
        let collect = async {
            while let Some((member, answer)) = answers.recv().await {
                match answer {
                    Ok(()) => taken = taken.saturating_add(1),
                    Err(ClientError::Refused(refusal)) => refused.push((member, refusal)),
                    Err(error) => tracing::debug!(%member, %error, "submit.object"),
                }
            }
        };
        timeout(patience, collect).await.ok();
        (taken, refused)
    }

    /// Asks all members, with the signature of whoever has bought `slot` for each, what its body could place, until 2f + 1
    /// have answered or `patience` ends: what f + 1 tell alike, best rank first. Of equal ranks the one that stands first
    /// in the middle answer: what must stand before another has its rank. Members answer twice for one slot.
    pub async fn pending(&self, key: &EthKey, slot: Slot, patience: Duration) -> Vec<PendingUnit> {
        let view = &self.shared.view;
        let mut told: BTreeMap<PendingUnit, Vec<usize>> = BTreeMap::new();
        let tries = patience.as_millis().div_ceil(ASK_AGAIN_AFTER.as_millis()).max(1);
        let mut answers = self.shared.ask_each(
            |member| build::ask_pending(key, view.id, member, slot),
            move |client, request| async move {
                // members open a slot one after the other, and who has not opened it knows no right to the next
                for _ in 1..tries {
                    match client.pending(&request).await {
                        Err(ClientError::Refused(refusal)) if is_early(&refusal) => sleep(ASK_AGAIN_AFTER).await,
                        answer => return answer,
                    }
                }
                client.pending(&request).await
            },
        );
        let collect = async {
            let mut answered = 0usize;
            while answered < view.quorum()
                && let Some((member, answer)) = answers.recv().await
            {
                match answer {
                    Ok(pending) if pending.slot == slot => {
                        answered = answered.saturating_add(1);
                        let mut places: BTreeMap<PendingUnit, usize> = BTreeMap::new();
                        for (place, unit) in pending.units.into_iter().enumerate() {
                            places.entry(unit).or_insert(place);
                        }
                        places.into_iter().for_each(|(unit, place)| told.entry(unit).or_default().push(place));
                    }
                    Ok(_other_slot) => {}
                    Err(error) => tracing::debug!(%member, %error, "submit.pending"),
                }
            }
        };
        timeout(patience, collect).await.ok();
        told.retain(|_, places| places.len() >= view.witness_count());
        let middle = |mut places: Vec<usize>| {
            places.sort_unstable();
            places.get(places.len().saturating_sub(1) >> 1).copied()
        };
        let mut units: Vec<_> =
            told.into_iter().map(|(unit, places)| (Reverse(unit.fee_per_byte), middle(places), unit)).collect();
        units.sort_unstable();
        units.into_iter().map(|(_, _, unit)| unit).collect()
    }

    /// `expiry`: the last slot that may list it.
    fn send(&self, kind: ReceiptKind, item: Hash, expiry: Slot, bytes: Vec<u8>) -> Submission {
        let (collecting, collected) = watch::channel(Collected::default());
        let watched = Watched::new(&self.shared, item);
        let sent = Arc::new(Sent { kind, item, expiry, bytes, collecting });
        for link in &self.shared.links {
            tokio::spawn(Arc::clone(&sent).deliver(Arc::clone(link), Arc::clone(&self.shared)));
        }
        Submission { item, members: self.shared.links.len(), collected, _watched: watched }
    }

    /// Events that f+1 members tell alike, each once, from now on. Who is slow misses the oldest.
    #[must_use]
    pub fn news(&self) -> broadcast::Receiver<Event> {
        self.shared.believed.subscribe()
    }

    /// A ledger account, and what is leaving its bond, as f+1 members show them alike; `None` when no f+1 do, or nobody
    /// has it.
    pub async fn agreed_account(&self, address: Address) -> Option<(Account, Amount)> {
        let mut told: Vec<(Account, Amount)> = Vec::new();
        let mut answers = self.shared.ask(address, |client, address| async move { client.account(&address).await });
        while let Some((_member, answer)) = answers.recv().await {
            let state = answer.ok().filter(|state| state.address == address);
            let Some(shown) = state.and_then(|state| Some((state.account?, state.unbonding))) else { continue };
            told.push(shown);
            if told.iter().filter(|other| **other == shown).count() >= self.shared.view.witness_count() {
                return Some(shown);
            }
        }
        None
    }

    /// Waits for what becomes of an item, until f+1 members tell the same.
    ///
    /// # Errors
    /// [`OutcomeError`]: dropped, or nothing agreed on in time.
    pub async fn outcome(&self, submission: &Submission, patience: Duration) -> Result<Outcome, OutcomeError> {
        let item = submission.item;
        let fate = timeout(patience, self.fate(item)).await.map_err(|_elapsed| OutcomeError::Patience)?;
        let (slot, index, outcome, mut leg) = match fate {
            Fate::Executed { slot, index, outcome, leg } => (slot, index, outcome, leg),
            Fate::Dropped { code } => return Err(OutcomeError::Dropped { code }),
        };
        let outcome = Code::from_number(outcome).ok_or(OutcomeError::Unknown(outcome))?;
        if leg.is_none() && (outcome.is_failed() || outcome.is_aborted()) {
            leg = self.leg(item).await;
        }
        let receipts = submission.collected().receipts;
        Ok(Outcome { item, receipts, slot, index, outcome, leg: leg.unwrap_or(0) })
    }

    async fn fate(&self, item: Hash) -> Fate {
        let mut learned = self.shared.learned.subscribe();
        let poll = || sleep(Duration::from_millis(self.shared.limits.poll_ms));
        let mut due = Box::pin(poll());
        loop {
            let fate = self.shared.board().fate(&item);
            if let Some(fate) = fate {
                return fate;
            }
            tokio::select! {
                news = learned.changed() => if news.is_err() { return core::future::pending().await },
                () = &mut due => {
                    // Behind the caller's back: a member that hangs must not hide what the others say.
                    tokio::spawn(poll_members(Arc::clone(&self.shared), item));
                    due = Box::pin(poll());
                }
            }
        }
    }

    /// Events name no leg; members that are asked do. Waits as long as between two polls.
    async fn leg(&self, item: Hash) -> Option<u8> {
        let mut learned = self.shared.learned.subscribe();
        let poll = tokio::spawn(poll_members(Arc::clone(&self.shared), item));
        let named = async {
            while learned.changed().await.is_ok() {
                if let Some(Fate::Executed { leg: Some(leg), .. }) = self.shared.board().fate(&item) {
                    return Some(leg);
                }
            }
            None
        };
        let leg = timeout(Duration::from_millis(self.shared.limits.poll_ms), named).await.ok().flatten();
        poll.abort();
        leg
    }

    /// What each member says of its clock, slot and prices, by index; `None` for who does not answer.
    pub async fn params(&self) -> Vec<Option<Params>> {
        self.all((), |client, ()| async move { client.params().await }).await
    }

    /// A ledger account as each member sees it, by index; `None` for who does not answer.
    pub async fn account(&self, address: Address) -> Vec<Option<AccountState>> {
        self.all(address, |client, address| async move { client.account(&address).await }).await
    }

    /// The next nonce of an account after everything pending, from the first 2f+1 members that answer: the one in the
    /// middle, which no f members can push beyond what honest ones say. `None`: fewer answer.
    pub async fn next_nonce(&self, account: Address) -> Option<Nonce> {
        let mut told: Vec<u64> = Vec::new();
        let mut answers = self.shared.ask(account, |client, account| async move { client.account(&account).await });
        while told.len() < self.shared.view.quorum() {
            let (_member, answer) = answers.recv().await?;
            told.extend(answer.ok().filter(|state| state.address == account).map(|state| state.pending_nonce));
        }
        told.sort_unstable();
        told.into_iter().nth(self.shared.view.witness_count().saturating_sub(1)).map(Nonce)
    }

    /// Hands what an account asks for to all members; what each says, in the order of the answers. One honest member that
    /// holds it tells the others.
    pub async fn operate(&self, signed: &SignedAccountOperation) -> Vec<(MemberId, Result<(), ClientError>)> {
        let mut answers = self.shared.ask(*signed, |client, signed| async move { client.operation(&signed).await });
        let mut told = Vec::new();
        while let Some(answer) = answers.recv().await {
            told.push(answer);
        }
        told
    }

    /// An account as f + 1 members see it alike, or, while they differ by a slot, as the one in the middle of 2f + 1 by
    /// its nonce of operations. `None`: fewer answer.
    pub async fn account_agreed(&self, address: Address) -> Option<AccountState> {
        let mut told: Vec<AccountState> = self.account(address).await.into_iter().flatten().collect();
        told.retain(|state| state.address == address);
        let need = self.shared.view.witness_count();
        let agreed = told.iter().find(|one| told.iter().filter(|other| other == one).count() >= need).copied();
        if told.len() < self.shared.view.quorum() {
            return agreed;
        }
        told.sort_by_key(|state| state.pending_operation_nonce);
        agreed.or_else(|| told.into_iter().nth(need.saturating_sub(1)))
    }

    /// Waits until f + 1 members say of an operation that the same slot entered it, with the same end: the slot, and 0
    /// or the [`Reason`](types::reason::Reason) number of what kept it from doing what it asks for. `None`: not in time.
    pub async fn entered(&self, item: Hash, patience: Duration) -> Option<(Slot, u16)> {
        let need = self.shared.view.witness_count();
        let poll = async {
            loop {
                let told = self.status(item).await;
                let all: Vec<(Slot, u16)> = told
                    .into_iter()
                    .filter_map(|status| match status {
                        Some(Status::Entered { slot, code }) => Some((slot, code)),
                        _ => None,
                    })
                    .collect();
                if let Some(agreed) = all.iter().find(|one| all.iter().filter(|other| other == one).count() >= need) {
                    return *agreed;
                }
                sleep(Duration::from_millis(self.shared.limits.retry_ms)).await;
            }
        };
        timeout(patience, poll).await.ok()
    }

    /// Where an item is as each member sees it, by index; `None` for who does not answer.
    pub async fn status(&self, item: Hash) -> Vec<Option<Status>> {
        self.all(item, |client, item| async move { client.status(&item).await }).await
    }

    /// Parameters to seal by, from the first 2f+1 members that answer for this network: of each number the one in the
    /// middle, which no f members can push beyond what honest ones say. `None`: fewer answer.
    pub async fn current(&self) -> Option<Params> {
        let view = &self.shared.view;
        let mut told: Vec<Params> = Vec::new();
        let mut answers = self.shared.ask((), |client, ()| async move { client.params().await });
        while told.len() < view.quorum() {
            let (_member, answer) = answers.recv().await?;
            told.extend(answer.ok().filter(|params| params.network == view.id));
        }
        Some(Params {
            network: view.id,
            epoch: middle(&told, |params| params.epoch)?,
            last_final: middle(&told, |params| params.last_final)?,
            opened: middle(&told, |params| params.opened)?,
            byte_price: middle(&told, |params| params.byte_price)?,
            gas_price: middle(&told, |params| params.gas_price)?,
            reserve: middle(&told, |params| params.reserve)?,
            time_ms: middle(&told, |params| params.time_ms)?,
            ms_to_close: middle(&told, |params| params.ms_to_close)?,
        })
    }

    async fn all<Q, T, F>(
        &self,
        question: Q,
        ask: impl Fn(Arc<Client>, Q) -> F + Clone + Send + 'static,
    ) -> Vec<Option<T>>
    where
        Q: Clone + Send + 'static,
        T: Send + 'static,
        F: Future<Output = Result<T, ClientError>> + Send,
    {
        let mut told: Vec<Option<T>> = self.shared.links.iter().map(|_| None).collect();
        let mut answers = self.shared.ask(question, ask);
        while let Some((member, answer)) = answers.recv().await {
            if let (Ok(answer), Some(place)) = (answer, told.get_mut(usize::from(member.0))) {
                *place = Some(answer);
            }
        }
        told
    }
}

/// Keeps the connection to one member, and brings its events onto the board, for as long as the submitter lives.
async fn listen(link: Arc<Link>, shared: Arc<Shared>) {
    let pause = Duration::from_millis(shared.limits.retry_ms);
    let mut from = Slot(0);
    loop {
        match link.connect().await {
            Ok(client) => {
                link.line.send_replace(Line::Up(Arc::clone(&client)));
                while !client.is_closed() {
                    follow(&client, link.view.member, &shared, &mut from).await;
                    sleep(pause).await;
                }
                link.line.send_replace(Line::Trying);
            }
            Err(error) => {
                tracing::debug!(member = %link.view.member, %error, "submit.away");
                link.line.send_replace(Line::Away);
                sleep(pause).await;
            }
        }
    }
}

/// Events until the subscription ends.
async fn follow(client: &Client, member: MemberId, shared: &Shared, from: &mut Slot) {
    let Ok(mut events) = client.subscribe(*from).await else { return };
    while let Some(event) = events.recv().await {
        if let Event::Final { slot, .. } | Event::Opened { slot, .. } | Event::Executed { slot, .. } = &event {
            // What a slot's items became is told while later slots are: a new subscription begins a little earlier.
            *from = (*from).max(slot.prev().prev());
        }
        shared.hear(member, &event);
        let concerned = shared.board().event(member, &event);
        if concerned {
            shared.tell();
        }
    }
}

/// One envelope or bid on its way to all members.
struct Sent {
    kind: ReceiptKind,
    item: Hash,
    expiry: Slot,
    bytes: Vec<u8>,
    collecting: watch::Sender<Collected>,
}

impl Sent {
    /// Sends until the member answers for good, or patience ends.
    async fn deliver(self: Arc<Self>, link: Arc<Link>, shared: Arc<Shared>) {
        let mut passing = None;
        let patience = Duration::from_millis(shared.limits.collect_ms);
        let answered = timeout(patience, self.attempts(&link, &shared, &mut passing)).await;
        let member = link.view.member;
        let answer = answered.unwrap_or(Err(Refused::Silent(passing)));
        if let Err(refused) = &answer {
            tracing::debug!(item = %self.item, %member, ?refused, "submit.refused");
        }
        self.collecting.send_modify(|collected| match answer {
            Ok(receipted) => collected.receipts.push(receipted),
            Err(refused) => collected.refused.push((member, refused)),
        });
    }

    async fn attempts(
        &self,
        link: &Link,
        shared: &Shared,
        passing: &mut Option<Refusal>,
    ) -> Result<Receipted, Refused> {
        let mut attempt = 0u32;
        loop {
            // Without a listener the submitter is gone, and with it the reason to send.
            let Some(client) = link.up().await else { return Err(Refused::Silent(passing.take())) };
            let told = match self.kind {
                ReceiptKind::Envelope => client.submit_bytes(&self.bytes).await,
                ReceiptKind::Bid => client.bid_bytes(&self.bytes).await,
            };
            let wait_ms = match told {
                Ok(note) => return self.receipted(&link.view, &shared.view.id, note),
                Err(ClientError::Refused(refusal)) if refusal.retry_after_ms == 0 => {
                    return Err(Refused::Refusal(refusal));
                }
                Err(ClientError::Refused(refusal)) => {
                    let wait_ms = u64::from(refusal.retry_after_ms);
                    *passing = Some(refusal);
                    wait_ms
                }
                Err(_away) => shared.limits.retry_ms,
            };
            attempt = attempt.saturating_add(1);
            let jitter = self.jitter(link.view.member, attempt, shared.limits.jitter_ms);
            sleep(Duration::from_millis(wait_ms.saturating_add(jitter))).await;
        }
    }

    fn receipted(&self, member: &MemberView, network: &Hash, note: String) -> Result<Receipted, Refused> {
        match check_receipt_of(self.kind, network, member, &self.item, self.expiry, &note) {
            Ok(receipt) => Ok(Receipted { member: member.member, receipt, note }),
            Err(fault) => Err(Refused::Fault(fault)),
        }
    }

    /// 0 to `spread` ms that differ by item, member and attempt: nobody's sends march in step, and no randomness is drawn.
    fn jitter(&self, member: MemberId, attempt: u32, spread: u64) -> u64 {
        let digest = sha256(&[self.item.as_ref(), &member.0.to_le_bytes(), &attempt.to_le_bytes()]);
        let [a, b, ..] = digest.0;
        u64::from(u16::from_le_bytes([a, b])).checked_rem(spread.saturating_add(1)).unwrap_or(0)
    }
}
