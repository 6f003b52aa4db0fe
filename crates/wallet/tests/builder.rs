//! Goal: a builder bids once for each slot, on what f + 1 members tell, never two objects for one place, and counts what
//! it pays. Method: four scripted members over real QUIC, one of which lies; a builder that is dropped and started again.
#![expect(
    clippy::unwrap_used,
    clippy::unwrap_in_result,
    clippy::indexing_slicing,
    reason = "a test that fails says so"
)]

#[path = "../src/testing.rs"]
mod testing;

use crypto::{ed25519::SigningKey, eth::EthKey};
use ingress::{Answer, Inbound, IngressLimits, NoCounters, Request, Server, ServerConfig, TlsIdentity};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::sync::{broadcast, mpsc, oneshot};
use types::{
    Account, Address, Amount, Bid, Body, ChainId, Epoch, Hash, Object, Receipt, ReceiptKind, Slot, Tail, Timestamp,
    codec,
    reason::Reason,
    wire::{AccountState, Event, Params, Pending, PendingUnit, Refusal, Status},
};
use wallet::{
    NetworkView, Refused, SubmitLimits, Submitter,
    builder::{
        BodyReport, Builder, Chain, Journal, Keys, Look, Reference, Report, SlotReport, Summary, TailReport,
        pools::{Holding, Pool},
        tail::Scene,
    },
    demo,
};
use zeroize::Zeroizing;

/// The slot that all members have opened at first.
const OPENED: u64 = 10;
const BOND: u128 = 1_000_000_000_000_000_000;
const RESERVE: u128 = 10_000_000_000_000;
const WORTH: u128 = 50_000_000_000_000;
const LONG: Duration = Duration::from_secs(20);

/// What all members took, in the order of arrival.
type Taken = Arc<Mutex<Vec<(u16, Bid)>>>;
type Tails = Arc<Mutex<Vec<(u16, Tail)>>>;
type Bodies = Arc<Mutex<Vec<(u16, Body)>>>;

fn unit(number: u8, fee_per_byte: u64) -> PendingUnit {
    PendingUnit { hash: Hash([number; 32]), fee_per_byte, size: 0, gas: 4 }
}

/// Rollups whose markets stand apart after every slot.
struct Apart;

const REVEAL: Hash = Hash([0x77; 32]);

impl Chain for Apart {
    fn look(&self, slot: Slot, _sender: &Address) -> Option<Look> {
        let coin = 1_000_000_000_000_000_000u128;
        let scene = |tokens: u128| Scene {
            pool: Pool { coins: 1_000 * coin, tokens: tokens * coin },
            // a coin more with every slot
            held: Holding { coins: (100 + u128::from(slot.0)) * coin, tokens: 1_000_000 * coin },
            nonce: slot.0,
            base_fee: 1_000_000_000,
        };
        let scenes = [(901, 2_000_000), (902, 1_900_000)].map(|(chain, tokens)| (ChainId(chain), scene(tokens)));
        Some(Look { slot, reveal: REVEAL, scenes: scenes.into_iter().collect() })
    }
}

#[derive(Clone)]
struct Script {
    member: u16,
    refuses: Option<Reason>,
    network: Hash,
    key: Arc<SigningKey>,
    bond: Arc<Mutex<u128>>,
    leaving: Arc<Mutex<u128>>,
    taken: Taken,
    tails: Tails,
    bodies: Bodies,
    waiting: Arc<Mutex<Vec<PendingUnit>>>,
    /// Slots that it was asked of.
    asked: BTreeSet<Slot>,
}

fn amount(units: u128) -> Amount {
    Amount::new(units).unwrap()
}

impl Script {
    fn answer(&mut self, request: &Request) -> Result<Answer, Refusal> {
        match request {
            Request::Bid(bid) => {
                self.taken.lock().unwrap().push((self.member, (**bid).clone()));
                if let Some(reason) = self.refuses {
                    return Err(Refusal::new(reason, ""));
                }
                let list_from = bid.header.slot.prev();
                let receipt = Receipt {
                    name: format!("example.net/test/m{}/receipt", self.member),
                    kind: ReceiptKind::Bid,
                    item: crypto::ids::bid_hash(bid),
                    network: self.network,
                    last_final: list_from.prev(),
                    list_from,
                    admit_by: list_from.next(),
                    expires: list_from,
                    seq: 1,
                    time: Timestamp(1_800_000_000_000),
                };
                Ok(Answer::Receipt(tlog::receipt::sign(&receipt, &self.key).unwrap()))
            }
            Request::Object(Object::Tail(tail)) => {
                self.tails.lock().unwrap().push((self.member, (**tail).clone()));
                self.refuses.map_or(Ok(Answer::Seen), |reason| Err(Refusal::new(reason, "")))
            }
            Request::Params => Ok(Answer::Params(Params {
                network: self.network,
                epoch: Epoch(0),
                last_final: Slot(OPENED),
                opened: Slot(OPENED),
                byte_price: amount(16),
                gas_price: amount(1),
                reserve: amount(RESERVE),
                time_ms: Timestamp(0),
                ms_to_close: 0,
            })),
            Request::Account(address) => {
                let account = Account { bond: amount(*self.bond.lock().unwrap()), ..Account::default() };
                Ok(Answer::Account(AccountState {
                    address: *address,
                    account: Some(account),
                    pending_nonce: 0,
                    free_bond: account.bond,
                    unbonding: amount(*self.leaving.lock().unwrap()),
                    withdrawable: Amount::ZERO,
                    operation_nonce: 0,
                    pending_operation_nonce: 0,
                    is_builder: true,
                }))
            }
            Request::Object(Object::Body(body)) => {
                self.bodies.lock().unwrap().push((self.member, (**body).clone()));
                self.refuses.map_or(Ok(Answer::Seen), |reason| Err(Refusal::new(reason, "")))
            }
            Request::Pending(request) => {
                assert!(crypto::build::is_asked_by_builder(request) && request.member.0 == self.member);
                let mut units = self.waiting.lock().unwrap().clone();
                if [1, 2].contains(&self.member) && self.asked.insert(request.slot) {
                    // it has not opened the slot before
                    return Err(Refusal::new(Reason::NotWinner, ""));
                }
                if self.member == 3 {
                    // what nobody else tells, and nothing else
                    units = vec![unit(200, u64::MAX)];
                }
                Ok(Answer::Pending(Pending { slot: request.slot, units }))
            }
            Request::Submit { .. } | Request::Operation(_) | Request::Status(_) => Ok(Answer::Status(Status::Unknown)),
        }
    }
}

struct Member {
    _server: Server,
    events: broadcast::Sender<Event>,
}

async fn member(mut script: Script) -> (Member, String) {
    let (inbound, mut requests) = mpsc::channel::<Inbound>(64);
    let seed = Zeroizing::new([0x50 + u8::try_from(script.member).unwrap(); 32]);
    tokio::spawn(async move {
        while let Some(Inbound { request, reply, .. }) = requests.recv().await {
            drop(reply.send(script.answer(&request)));
        }
    });
    let (events, _) = broadcast::channel(64);
    let config = ServerConfig {
        listen: "127.0.0.1:0".parse().unwrap(),
        identity: TlsIdentity::from_seed(&seed).unwrap(),
        limits: IngressLimits::default(),
    };
    let clock = Arc::new(|| Timestamp(1));
    let server = Server::start(config, inbound, events.clone(), clock, Arc::new(NoCounters)).await.unwrap();
    let address = server.local_addr().to_string();
    (Member { _server: server, events }, address)
}

struct World {
    members: Vec<Member>,
    view: NetworkView,
    bond: Arc<Mutex<u128>>,
    leaving: Arc<Mutex<u128>>,
    taken: Taken,
    tails: Tails,
    bodies: Bodies,
    waiting: Arc<Mutex<Vec<PendingUnit>>>,
}

fn key(n: u8) -> EthKey {
    EthKey::from_bytes(Zeroizing::new(testing::SEED.map(|byte| byte ^ n))).unwrap()
}

/// Four members, the last of which refuses with this.
async fn world(refuses: Option<Reason>) -> World {
    let (mut network, keys) = testing::network();
    let id = crypto::ids::network_id(&network.genesis);
    let (bond, taken, tails) = (Arc::new(Mutex::new(BOND)), Taken::default(), Tails::default());
    let (bodies, waiting, leaving) = (Bodies::default(), Arc::default(), Arc::<Mutex<u128>>::default());
    let mut members = Vec::new();
    for (number, key) in (0u16..).zip(keys) {
        let script = Script {
            member: number,
            refuses: refuses.filter(|_| number == 3),
            network: id,
            key: Arc::new(key),
            bond: Arc::clone(&bond),
            leaving: Arc::clone(&leaving),
            taken: Arc::clone(&taken),
            tails: Arc::clone(&tails),
            bodies: Arc::clone(&bodies),
            waiting: Arc::clone(&waiting),
            asked: BTreeSet::new(),
        };
        let (member, address) = member(script).await;
        members.push(member);
        network.addresses[usize::from(number)].quic = address;
    }
    World { members, view: NetworkView::new(&network).unwrap(), bond, leaving, taken, tails, bodies, waiting }
}

/// A running builder.
struct Running {
    stop: oneshot::Sender<()>,
    reports: mpsc::UnboundedReceiver<SlotReport>,
    tails: mpsc::UnboundedReceiver<TailReport>,
    bodies: mpsc::UnboundedReceiver<BodyReport>,
    end: tokio::task::JoinHandle<Summary>,
}

impl Running {
    async fn report(&mut self) -> SlotReport {
        tokio::time::timeout(LONG, self.reports.recv()).await.unwrap().unwrap()
    }
    async fn end(self) -> Summary {
        self.stop.send(()).unwrap();
        self.end.await.unwrap()
    }
}

impl World {
    /// Starts a builder whose draws are `draw`: two runs with other draws seal other bytes.
    fn start(&self, dir: &Path, worth: u128, draw: u8) -> Running {
        let limits = SubmitLimits { receipts_ms: 5_000, collect_ms: 5_000, poll_ms: 200, retry_ms: 50, jitter_ms: 5 };
        let submitter = Arc::new(Submitter::start(self.view.clone(), limits));
        let keys = Keys { bidder: key(1), sender: key(2) };
        let bidder = keys.bidder.address();
        let journal = Journal::open(dir, self.view.id, bidder, [7; 16]).unwrap();
        let strategy = Reference::new(bidder, amount(worth), 0);
        let builder =
            Builder::new(submitter, keys, journal, strategy, Box::new(move || Some(Zeroizing::new([draw; 32]))));
        let (stop, stopped) = oneshot::channel::<()>();
        let builder = builder.with_chain(Arc::new(Apart));
        let (reported, reports) = mpsc::unbounded_channel();
        let (tailed, tails) = mpsc::unbounded_channel();
        let (bodied, bodies) = mpsc::unbounded_channel();
        let until = async {
            stopped.await.ok();
        };
        let run = builder.run(until, move |report| match report {
            Report::Sale(sale) => drop(reported.send(sale.clone())),
            Report::Tail(tail) => drop(tailed.send(tail.clone())),
            Report::Body(body) => drop(bodied.send(body.clone())),
        });
        Running { stop, reports, tails, bodies, end: tokio::spawn(async { run.await.unwrap() }) }
    }

    /// Members tell of a block and of its auction, again and again until `done`; the last one tells another one, too.
    async fn tell(&self, slot: u64, sold: Option<(Address, u128)>, done: impl Fn(&World) -> bool) {
        let sold = sold.map(|(winner, price)| (winner, amount(price)));
        let event = |slot| Event::Auction { slot: Slot(slot), for_slot: Slot(slot + 1), bids: 2, sold };
        let block = |slot| Event::Final { slot: Slot(slot), set: Vec::new() };
        let telling = async {
            while !done(self) {
                tokio::time::sleep(Duration::from_millis(20)).await;
                for member in &self.members {
                    // nobody listens yet: told again
                    member.events.send(block(slot)).ok();
                    member.events.send(event(slot)).ok();
                }
                // alone with these
                self.members[3].events.send(block(slot + LIE)).ok();
                self.members[3].events.send(event(slot + LIE)).ok();
            }
        };
        tokio::time::timeout(LONG, telling).await.unwrap();
    }

    /// Bids that were taken for a slot, by how many members.
    fn bids(&self, slot: u64) -> BTreeMap<Vec<u8>, BTreeSet<u16>> {
        let mut found: BTreeMap<_, BTreeSet<u16>> = BTreeMap::new();
        for (member, bid) in self.taken.lock().unwrap().iter().filter(|(_, bid)| bid.header.slot == Slot(slot)) {
            found.entry(codec::encode(bid)).or_default().insert(*member);
        }
        found
    }

    fn all_have(&self, slot: u64) -> bool {
        self.bids(slot).values().any(|members| members.len() == 4)
    }
}

/// How far ahead the liar is.
const LIE: u64 = 400;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_builder_bids_once_a_slot_and_counts_what_it_pays() {
    let world = world(Some(Reason::NotActive)).await;
    let dir = tempfile::tempdir().unwrap();
    let mut running = world.start(dir.path(), WORTH, 1);
    let me = key(1).address();
    // a journal that is new leaves out the slot of an earlier run
    world.tell(OPENED + 2, Some((me, 3 * RESERVE)), |world| world.all_have(OPENED + 4)).await;
    let first = running.report().await;
    assert!(first.won && first.offer.is_none(), "{first:?}");
    let bid = world.taken.lock().unwrap()[0].1.clone();
    assert!(crypto::bid::is_signed(&bid) && crypto::bid::is_well_formed(&bid, &world.view.id));
    assert_eq!((bid.header.bidder, bid.header.epoch, bid.header.seq), (me, Epoch(0), 0));
    assert_eq!(bid.header.cap_class, 0, "the smallest that covers it");
    *world.bond.lock().unwrap() = BOND - 3 * RESERVE - 100;
    world.tell(OPENED + 3, Some((Address([9; 20]), 4 * RESERVE)), |world| world.all_have(OPENED + 5)).await;
    let second = running.report().await;
    let offer = second.offer.unwrap();
    assert_eq!(second.sale.slot, Slot(OPENED + 4));
    assert!(!second.won);
    let fee = 16 * 512 + 1;
    assert_eq!(offer.amount.units(), WORTH - fee);
    assert_eq!((offer.receipts, offer.is_old), (3, false));
    assert!(
        matches!(&offer.refused[..], [(_, Refused::Refusal(refusal))] if refusal.known() == Some(Reason::NotActive))
    );
    let summary = running.end().await;
    assert_eq!((summary.slots, summary.sold, summary.bids, summary.won), (2, 2, 2, 1));
    assert_eq!(summary.paid.units(), 3 * RESERVE);
    assert_eq!(summary.fees().map(Amount::units), Some(100));
    let slots: BTreeSet<u64> = world.taken.lock().unwrap().iter().map(|(_, bid)| bid.header.slot.0).collect();
    assert_eq!(slots.into_iter().collect::<Vec<_>>(), [OPENED + 4, OPENED + 5], "what one member tells moves nothing");
    assert!([OPENED + 4, OPENED + 5].iter().all(|slot| world.bids(*slot).len() == 1), "one bid for a slot");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_builder_that_starts_again_sends_the_same_bytes() {
    let world = world(None).await;
    let dir = tempfile::tempdir().unwrap();
    let running = world.start(dir.path(), WORTH, 1);
    world.tell(OPENED + 2, None, |world| world.all_have(OPENED + 4)).await;
    let before = world.bids(OPENED + 4);
    // as a kill would: it ends wherever it stands
    running.end.abort();
    running.end.await.unwrap_err();
    world.taken.lock().unwrap().clear();

    // other randomness and another worth: a new bid would be another object
    let mut running = world.start(dir.path(), 2 * WORTH, 2);
    world.tell(OPENED + 2, None, |world| world.all_have(OPENED + 4)).await;
    assert_eq!(world.bids(OPENED + 4).keys().collect::<Vec<_>>(), before.keys().collect::<Vec<_>>());
    world.tell(OPENED + 3, None, |world| world.all_have(OPENED + 5)).await;
    let old = loop {
        let report = running.report().await;
        if report.sale.slot == Slot(OPENED + 4) {
            break report.offer.unwrap();
        }
    };
    assert!(old.is_old);
    assert_eq!(old.amount.units(), WORTH - (16 * 512 + 1), "what it said then");
    assert_eq!(world.bids(OPENED + 5).len(), 1);
    running.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_tail_of_a_slot_that_was_won_is_signed_once_and_counted() {
    let world = world(Some(Reason::NotWinner)).await;
    let dir = tempfile::tempdir().unwrap();
    let mut running = world.start(dir.path(), WORTH, 1);
    let me = key(1).address();
    // slot 13 is won with block 12; its tail follows its opening
    world.tell(OPENED + 2, Some((me, RESERVE)), |world| world.all_have(OPENED + 4)).await;
    let other = Some((Address([9; 20]), RESERVE));
    world.tell(OPENED + 3, other, |world| world.tails.lock().unwrap().len() >= 4).await;
    world.tell(OPENED + 4, other, |world| world.all_have(OPENED + 6)).await;
    let told = tokio::time::timeout(LONG, running.tails.recv()).await.unwrap().unwrap();
    assert_eq!((told.slot, told.bundles, told.taken), (Slot(OPENED + 3), 1, 3));
    assert_eq!(told.refused[0].1.known(), Some(Reason::NotWinner));
    assert_eq!(told.gained, 2_000_000_000_000_000_000, "a coin on each rollup until the next look");
    let tails = world.tails.lock().unwrap().clone();
    let first = &tails[0].1;
    assert!(tails.iter().all(|(_, tail)| tail == first), "one tail, to all");
    assert_eq!((first.header.builder, first.header.slot, first.reveal), (me, Slot(OPENED + 3), REVEAL));
    assert_eq!(crypto::build::tail_signer(first), Some(me));
    assert_eq!(first.bundles[0].legs.len(), 2);
    let summary = running.end().await;
    assert_eq!((summary.tails, summary.won), (1, 1));
    assert!(summary.gained().unwrap() >= told.gained);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slot_that_is_worth_less_than_the_reserve_gets_no_bid() {
    nothing_is_bid(&world(None).await, RESERVE - 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_leaves_the_bond_covers_no_bid() {
    let world = world(None).await;
    // all but half of what the smallest cap takes
    *world.leaving.lock().unwrap() = BOND - world.view.params.cap_unit.units() / 2;
    nothing_is_bid(&world, WORTH).await;
}

async fn nothing_is_bid(world: &World, worth: u128) {
    let dir = tempfile::tempdir().unwrap();
    let mut running = world.start(dir.path(), worth, 1);
    let told = std::sync::atomic::AtomicU32::new(0);
    world.tell(OPENED + 2, None, |_| told.fetch_add(1, std::sync::atomic::Ordering::SeqCst) > 100).await;
    let report = running.report().await;
    assert_eq!((report.offer, report.sale.sold), (None, None));
    let summary = running.end().await;
    assert_eq!((summary.bids, summary.sold, summary.won), (0, 0, 0));
    assert!(world.taken.lock().unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_winner_whose_slot_holds_too_little_says_what_goes_in() {
    let world = world(Some(Reason::Busy)).await;
    let dir = tempfile::tempdir().unwrap();
    let mut running = world.start(dir.path(), WORTH, 1);
    let me = key(1).address();
    // there is room for all: no body
    world.tell(OPENED + 4, Some((me, RESERVE)), |world| world.all_have(OPENED + 6)).await;
    // the first two rank alike: the second of them has to stand behind the first
    let more = 7u8;
    let alike = [unit(90, 9), unit(80, 9)];
    *world.waiting.lock().unwrap() =
        alike.into_iter().chain((1..=5).map(|number| unit(number, u64::from(number)))).collect();
    world.tell(OPENED + 6, Some((me, RESERVE)), |world| world.bodies.lock().unwrap().len() >= 4).await;
    let told = tokio::time::timeout(LONG, running.bodies.recv()).await.unwrap().unwrap();
    assert_eq!((told.slot, told.waiting, told.units, told.taken), (Slot(OPENED + 7), more.into(), more.into(), 3));
    assert_eq!(
        told.refused.iter().map(|(member, refusal)| (member.0, refusal.known())).collect::<Vec<_>>(),
        [(3, Some(Reason::Busy))]
    );
    let bodies = world.bodies.lock().unwrap().clone();
    for (_, body) in &bodies {
        assert_eq!((body.header.slot, body.header.builder, body.header.seq), (Slot(OPENED + 7), me, 0));
        assert_eq!(crypto::build::body_signer(body), Some(me));
        // the best first, and not what one member alone tells
        assert_eq!(body.units, [90, 80, 5, 4, 3, 2, 1].map(|number| Hash([number; 32])));
    }
    let summary = running.end().await;
    assert_eq!(summary.bodies, 1);
}
