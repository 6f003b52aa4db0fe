//! Goal: WAL-2 and WAL-3 over real QUIC: four members on loopback, each with a script that may lie, be silent or go
//! away. Method: the scripts sign receipts with the network's keys; what the wallet believes is compared.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    reason = "a test that fails says so"
)]

#[path = "../src/testing.rs"]
mod testing;

use crypto::ed25519::SigningKey;
use ingress::{Answer, Inbound, IngressLimits, NoCounters, Request, Server, ServerConfig, TlsIdentity};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};
use testing::{CHAINS, SEED};
use tokio::sync::{broadcast, mpsc, oneshot};
use types::{
    Address, Amount, Envelope, Epoch, Hash, MemberId, Network, Nonce, Receipt, ReceiptKind, Slot, Timestamp,
    reason::{Outcome as Code, Reason},
    wire::{AccountState, Event, Params, Refusal, Status},
};
use wallet::{
    Collected, NetworkView, OutcomeError, ReceiptFault, Refused, SubmitLimits, Submitter,
    demo::{self, DemoKind, DemoWallet, Made},
};
use zeroize::Zeroizing;

/// What a member does with a submitted envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    Sign,
    SignOtherItem,
    SignOtherNetwork,
    SignBid,
    SignSlots(u64, u64, u64, u64),
    SignAs(u16),
    Babble,
    Refuse(Reason),
    RefuseTwice(Reason),
    Hang,
}

struct Member {
    server: Server,
    events: broadcast::Sender<Event>,
    submits: Arc<AtomicU32>,
}

#[derive(Clone)]
struct Script {
    member: u16,
    act: Act,
    status: Status,
    gas_price: u128,
    network: Hash,
    key: Arc<SigningKey>,
}

impl Script {
    fn receipt(&self, envelope: &Envelope, name: u16) -> Receipt {
        let mut receipt = Receipt {
            name: format!("example.net/test/m{name}/receipt"),
            kind: ReceiptKind::Envelope,
            item: crypto::ids::hash_envelope(envelope),
            network: self.network,
            last_final: Slot(1),
            list_from: Slot(2),
            admit_by: Slot(3),
            expires: envelope.signed.header.expiry_slot,
            seq: 1,
            time: Timestamp(1_800_000_000_000),
        };
        match self.act {
            Act::SignOtherItem => receipt.item = Hash([1; 32]),
            Act::SignOtherNetwork => receipt.network = Hash([1; 32]),
            Act::SignBid => receipt.kind = ReceiptKind::Bid,
            Act::SignSlots(last_final, list_from, admit_by, expires) => {
                receipt.last_final = Slot(last_final);
                receipt.list_from = Slot(list_from);
                receipt.admit_by = Slot(admit_by);
                receipt.expires = Slot(expires);
            }
            Act::Sign | Act::SignAs(_) | Act::Babble | Act::Refuse(_) | Act::RefuseTwice(_) | Act::Hang => {}
        }
        receipt
    }

    fn submit(&self, envelope: &Envelope, count: u32) -> Option<Result<Answer, Refusal>> {
        let sign = |name| {
            let note = tlog::receipt::sign(&self.receipt(envelope, name), &self.key).unwrap();
            Some(Ok(Answer::Receipt(note)))
        };
        match self.act {
            Act::SignAs(other) => sign(other),
            Act::Babble => Some(Ok(Answer::Receipt("— no note".into()))),
            Act::Refuse(reason) => Some(Err(Refusal::new(reason, ""))),
            Act::RefuseTwice(reason) if count < 2 => Some(Err(Refusal::new(reason, ""))),
            Act::Hang => None,
            _ => sign(self.member),
        }
    }

    fn params(&self) -> Params {
        Params {
            network: self.network,
            epoch: Epoch(0),
            last_final: Slot(1),
            opened: Slot(1),
            byte_price: Amount::new(16).unwrap(),
            gas_price: Amount::new(self.gas_price).unwrap(),
            reserve: Amount::ZERO,
            time_ms: Timestamp(0),
            ms_to_close: 0,
        }
    }
}

async fn start(listen: &str, script: Script) -> Member {
    let (inbound, mut requests) = mpsc::channel::<Inbound>(64);
    let submits = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&submits);
    let seed = Zeroizing::new([0x50 + u8::try_from(script.member).unwrap(); 32]);
    tokio::spawn(async move {
        let mut hung: Vec<oneshot::Sender<Result<Answer, Refusal>>> = Vec::new();
        while let Some(Inbound { request, reply, .. }) = requests.recv().await {
            let answer = match &request {
                Request::Submit { envelope, .. } => script.submit(envelope, counted.fetch_add(1, Ordering::SeqCst)),
                Request::Bid(_) | Request::Object(_) | Request::Pending(_) => {
                    Some(Err(Refusal::new(Reason::NotActive, "")))
                }
                Request::Operation(_) => Some(Err(Refusal::new(Reason::UnknownAccount, ""))),
                Request::Status(_) => Some(Ok(Answer::Status(script.status))),
                Request::Params => Some(Ok(Answer::Params(script.params()))),
                Request::Account(address) => {
                    let pending_nonce = u64::try_from(script.gas_price).unwrap_or(u64::MAX);
                    Some(Ok(Answer::Account(account_state(*address, pending_nonce))))
                }
            };
            match answer {
                Some(answer) => drop(reply.send(answer)),
                None => hung.push(reply),
            }
        }
    });
    let (events, _) = broadcast::channel(64);
    let config = ServerConfig {
        listen: listen.parse().unwrap(),
        identity: TlsIdentity::from_seed(&seed).unwrap(),
        limits: IngressLimits::default(),
    };
    let clock = Arc::new(|| Timestamp(1));
    let server = Server::start(config, inbound, events.clone(), clock, Arc::new(NoCounters)).await.unwrap();
    Member { server, events, submits }
}

struct World {
    members: Vec<Member>,
    scripts: Vec<Script>,
    network: Network,
    view: NetworkView,
}

/// Four members with these scripts.
async fn world(acts: [Act; 4], statuses: [Status; 4]) -> World {
    let (mut network, keys) = testing::network();
    let id = crypto::ids::network_id(&network.genesis);
    let (mut members, mut scripts) = (Vec::new(), Vec::new());
    for ((member, key), (act, status)) in (0..).zip(keys).zip(acts.into_iter().zip(statuses)) {
        let script = Script { member, act, status, gas_price: 1, network: id, key: Arc::new(key) };
        members.push(start("127.0.0.1:0", script.clone()).await);
        scripts.push(script);
        network.addresses[usize::from(member)].quic = members[usize::from(member)].server.local_addr().to_string();
    }
    let view = NetworkView::new(&network).unwrap();
    World { members, scripts, network, view }
}

impl World {
    fn submitter(&self) -> Submitter {
        let limits = SubmitLimits { receipts_ms: 5_000, collect_ms: 5_000, poll_ms: 200, retry_ms: 50, jitter_ms: 5 };
        Submitter::start(self.view.clone(), limits)
    }
    fn tell(&self, member: usize, event: Event) {
        self.members[member].events.send(event).unwrap();
    }
}

fn made(view: &NetworkView, params: &Params) -> Made {
    let mut wallet = DemoWallet::new(&SEED, 0, &CHAINS, 8);
    wallet.make(view, params, DemoKind::Transfer, 20, Hash([7; 32]), Zeroizing::new([8; 32])).unwrap()
}

fn faults(collected: &Collected) -> Vec<(u16, ReceiptFault)> {
    let fault = |(member, refused): &(MemberId, Refused)| match refused {
        Refused::Fault(fault) => (member.0, *fault),
        other => panic!("{other:?}"),
    };
    let mut faults: Vec<_> = collected.refused.iter().map(fault).collect();
    faults.sort_by_key(|(member, _)| *member);
    faults
}

const UNKNOWN: [Status; 4] = [Status::Unknown; 4];
const LONG: Duration = Duration::from_secs(20);

fn account_state(address: Address, pending_nonce: u64) -> AccountState {
    AccountState {
        address,
        account: None,
        pending_nonce,
        free_bond: Amount::ZERO,
        unbonding: Amount::ZERO,
        withdrawable: Amount::ZERO,
        operation_nonce: 0,
        pending_operation_nonce: 0,
        is_builder: false,
    }
}

#[tokio::test]
async fn wal_3_success_is_f_plus_1_receipts_and_collecting_goes_on() {
    // a committee that changes refuses for a moment; a lower nonce may be on its way
    let passing = [Reason::ShuttingDown, Reason::NonceTooFar].map(Act::RefuseTwice);
    let world = world([Act::Sign, Act::Hang, passing[0], passing[1]], UNKNOWN).await;
    let submitter = world.submitter();
    let made = made(&world.view, &submitter.current().await.unwrap());
    let submission = submitter.submit(&made.envelope).await.unwrap();
    assert_eq!(submission.item(), made.item);
    assert!(submission.collected().receipts.len() >= 2);
    let all = submission.all().await;
    let mut givers: Vec<_> = all.receipts.iter().map(|r| r.member.0).collect();
    givers.sort_unstable();
    assert_eq!(givers, [0, 2, 3], "a passing refusal is tried again");
    assert_eq!([2, 3].map(|member: usize| world.members[member].submits.load(Ordering::SeqCst)), [3, 3]);
    assert!(matches!(all.refused[..], [(MemberId(1), Refused::Silent(_))]));
    for receipted in &all.receipts {
        assert_eq!(receipted.receipt.item, made.item);
        assert!(receipted.note.contains("lockstep-receipt v1"));
    }
}

#[tokio::test]
async fn wal_2_what_is_no_receipt_for_this_item_does_not_count() {
    let world = world([Act::SignOtherItem, Act::SignOtherNetwork, Act::SignBid, Act::Sign], UNKNOWN).await;
    let submitter = world.submitter();
    let made = made(&world.view, &submitter.current().await.unwrap());
    let error = submitter.submit(&made.envelope).await.unwrap_err();
    assert_eq!((error.have, error.need), (1, 2));
    let all = error.submission.all().await;
    assert_eq!(faults(&all), [0, 1, 2].map(|m| (m, ReceiptFault::Item)));
}

#[tokio::test]
async fn wal_2_a_receipt_of_another_key_or_shape_does_not_count() {
    // A name that no member has; a name that another member has, under the member's own key: a change may have moved it.
    let world = world([Act::SignAs(500), Act::Babble, Act::SignAs(0), Act::Sign], UNKNOWN).await;
    let submitter = world.submitter();
    let made = made(&world.view, &submitter.current().await.unwrap());
    let all = submitter.submit(&made.envelope).await.unwrap().all().await;
    let mut givers: Vec<_> = all.receipts.iter().map(|r| r.member.0).collect();
    givers.sort_unstable();
    assert_eq!(givers, [2, 3]);
    let found = faults(&all);
    assert_eq!(found.len(), 2);
    assert_eq!(found[0], (0, ReceiptFault::Note(tlog::receipt::ReceiptNoteError::Name)));
    assert!(matches!(found[1], (1, ReceiptFault::Note(_))));
    // The right name, the wrong key.
    let (key, member) = (&world.scripts[0].key, &world.view.members[1]);
    let note = tlog::receipt::sign(&world.scripts[1].receipt(&made.envelope, 1), key).unwrap();
    let expiry = made.envelope.signed.header.expiry_slot;
    assert!(wallet::check_receipt(&world.view.id, member, &made.item, expiry, &note).is_err());
    let note = tlog::receipt::sign(&world.scripts[1].receipt(&made.envelope, 1), &world.scripts[1].key).unwrap();
    assert!(wallet::check_receipt(&world.view.id, member, &made.item, expiry, &note).is_ok());
}

#[tokio::test]
async fn wal_2_slots_must_fit_together() {
    // Expiry is 21: last final 1, 20 slots.
    let bad = [Act::SignSlots(2, 2, 3, 21), Act::SignSlots(1, 2, 4, 21), Act::SignSlots(1, 2, 3, 22)];
    let world = world([bad[0], bad[1], bad[2], Act::SignSlots(21, 22, 23, 21)], UNKNOWN).await;
    let submitter = world.submitter();
    let made = made(&world.view, &submitter.current().await.unwrap());
    let error = submitter.submit(&made.envelope).await.unwrap_err();
    assert_eq!((error.have, error.need), (0, 2));
    assert_eq!(faults(&error.submission.all().await), [0, 1, 2, 3].map(|m| (m, ReceiptFault::Slots)));
}

#[tokio::test]
async fn wal_3_f_receipts_are_no_success() {
    let refuse = Act::Refuse(Reason::FeeTooLow);
    let world = world([refuse, refuse, refuse, Act::Sign], UNKNOWN).await;
    let submitter = world.submitter();
    let made = made(&world.view, &submitter.current().await.unwrap());
    let error = submitter.submit(&made.envelope).await.unwrap_err();
    assert_eq!((error.have, error.need), (1, 2));
    let refusals = error.submission.collected().refused;
    assert_eq!(refusals.len(), 3);
    let expected = Refused::Refusal(Refusal::new(Reason::FeeTooLow, ""));
    assert!(refusals.iter().all(|(_, refused)| *refused == expected));
}

fn opened(slot: u64, order: &[Hash]) -> Event {
    let openings = vec![types::Opening::Key(types::Key128([0; 16])); order.len()];
    Event::Opened { slot: Slot(slot), reveal: Hash::ZERO, order: order.to_vec(), openings }
}

fn executed(slot: u64, outcomes: &[Code]) -> Event {
    Event::Executed { slot: Slot(slot), outcomes: outcomes.iter().map(|code| code.number()).collect() }
}

#[tokio::test]
async fn wal_3_the_outcome_is_what_f_plus_1_members_tell() {
    let world = world([Act::Sign; 4], UNKNOWN).await;
    let submitter = world.submitter();
    let made = made(&world.view, &submitter.current().await.unwrap());
    let submission = submitter.submit(&made.envelope).await.unwrap();
    // The liar is first, and says it again and again until the others speak.
    let (other, item) = (Hash([1; 32]), made.item);
    let outcome = submitter.outcome(&submission, LONG);
    let telling = async {
        for round in 0.. {
            world.tell(3, opened(4, &[item]));
            world.tell(3, executed(4, &[Code::Revert]));
            if round > 2 {
                for member in [0, 1] {
                    world.tell(member, opened(5, &[other, item]));
                    world.tell(member, executed(5, &[Code::Revert, Code::Committed]));
                }
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let outcome = tokio::select! { outcome = outcome => outcome.unwrap(), () = telling => unreachable_end() };
    assert_eq!((outcome.slot, outcome.index, outcome.outcome), (Slot(5), 1, Code::Committed));
    assert_eq!((outcome.item, outcome.leg), (item, 0));
    assert!(outcome.receipts.len() >= 2);
}

fn unreachable_end() -> ! {
    panic!("the telling never ends")
}

#[tokio::test]
async fn wal_3_the_leg_of_an_abort_is_asked_for() {
    let reverted = Status::Executed { slot: Slot(5), index: 0, outcome: Code::Revert.number(), leg: 1 };
    let liar = Status::Executed { slot: Slot(5), index: 0, outcome: Code::Revert.number(), leg: 0 };
    let world = world([Act::Sign; 4], [liar, reverted, reverted, Status::Unknown]).await;
    let submitter = world.submitter();
    let made = made(&world.view, &submitter.current().await.unwrap());
    let submission = submitter.submit(&made.envelope).await.unwrap();
    // No events at all: asking alone finds it.
    let outcome = submitter.outcome(&submission, LONG).await.unwrap();
    assert_eq!((outcome.slot, outcome.index, outcome.outcome, outcome.leg), (Slot(5), 0, Code::Revert, 1));
}

#[tokio::test]
async fn wal_3_dropped_and_unknown_are_told_apart() {
    let dropped = Status::Dropped { code: Reason::Expired.number() };
    let world = world([Act::Sign; 4], [dropped, Status::Pending, dropped, Status::Unknown]).await;
    let submitter = world.submitter();
    let made = made(&world.view, &submitter.current().await.unwrap());
    let submission = submitter.submit(&made.envelope).await.unwrap();
    let error = submitter.outcome(&submission, LONG).await.unwrap_err();
    assert_eq!(error.reason(), Some(Reason::Expired));
}

#[tokio::test]
async fn nothing_agreed_on_ends_with_patience() {
    let world = world([Act::Sign; 4], [Status::Dropped { code: 7 }, Status::Pending, Status::Unknown, Status::Pending]);
    let world = world.await;
    let submitter = world.submitter();
    let made = made(&world.view, &submitter.current().await.unwrap());
    let submission = submitter.submit(&made.envelope).await.unwrap();
    let waited = submitter.outcome(&submission, Duration::from_millis(600)).await;
    assert_eq!(waited, Err(OutcomeError::Patience));
}

#[tokio::test]
async fn a_member_that_was_away_gets_it_when_it_comes_back() {
    let mut world = world([Act::Sign; 4], UNKNOWN).await;
    let address = world.members[2].server.local_addr().to_string();
    let submitter = world.submitter();
    let params = submitter.current().await.unwrap();
    world.members[2].server.shutdown().await;
    let made = made(&world.view, &params);
    let submission = submitter.submit(&made.envelope).await.unwrap();
    assert_eq!(submitter.params().await.iter().filter(|params| params.is_some()).count(), 3);
    drop(world.members.remove(2));
    let script = world.scripts[2].clone();
    let back = loop {
        // The old socket goes when its last task has ended.
        match std::net::UdpSocket::bind(&address) {
            Ok(free) => drop(free),
            Err(_in_use) => {
                tokio::task::yield_now().await;
                continue;
            }
        }
        break start(&address, script).await;
    };
    let all = submission.all().await;
    assert!(all.receipts.iter().any(|receipted| receipted.member == MemberId(2)), "{all:?}");
    assert_eq!(back.submits.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn parameters_are_in_the_middle_of_what_members_say() {
    let mut world = world([Act::Sign; 4], UNKNOWN).await;
    world.scripts[0].gas_price = 1 << 90;
    let liar = start("127.0.0.1:0", world.scripts[0].clone()).await;
    world.network.addresses[0].quic = liar.server.local_addr().to_string();
    world.view = NetworkView::new(&world.network).unwrap();
    let submitter = world.submitter();
    for _ in 0..5 {
        assert_eq!(submitter.current().await.unwrap().gas_price.units(), 1);
        assert_eq!(submitter.next_nonce(Address([1; 20])).await, Some(Nonce(1)));
    }
}

#[tokio::test]
async fn ingress_and_wallet_name_an_envelope_alike() {
    let world = world([Act::Hang; 4], UNKNOWN).await;
    let submitter = world.submitter();
    let made = made(&world.view, &submitter.current().await.unwrap());
    for (member, script) in world.members.iter().zip(&world.scripts) {
        let note = tlog::receipt::sign(&script.receipt(&made.envelope, script.member), &script.key).unwrap();
        member.server.remember(made.item, note);
    }
    let all = submitter.submit(&made.envelope).await.unwrap().all().await;
    assert_eq!(all.receipts.len(), 4, "answered without the driver, which hangs");
}
