// What a process takes from the others, and when it speaks.
use super::*;
use crate::ceremony::{
    exchange::{self, Answers, Board, Found},
    journal::Journal,
    run::Process,
};
use crypto::ed25519::SigningKey;
use keygen::operators::{Message, Phase, Plan, Step};
use std::collections::BTreeSet;
use tokio::{net::TcpListener, sync::mpsc};
use types::{SealedDealing, Signature};

/// Another dealing of a member, with nothing in it for member 0.
fn second_deal(done: &Done, member: usize) -> Message {
    let seed = &done.identities[member].consensus;
    let mut message = Operator::start(Arc::clone(&done.planned.plan), seed).unwrap().due().unwrap();
    let Step::Deal { sealed, .. } = &mut message.step else { panic!() };
    sealed[0] = SealedDealing::ZERO;
    message.sig = Signature([0; 64]);
    message.sig = SigningKey::from_seed(seed.clone()).sign(message.id(&done.planned.plan).as_bytes());
    message
}

fn process(done: &Done, member: usize, dir: &Path) -> Process {
    let planned = planned(&done.identities);
    let operator = Operator::start(Arc::clone(&planned.plan), &done.identities[member].consensus).unwrap();
    let (journal, kept) = Journal::open(dir, &planned.plan.name()).unwrap();
    Process::new(planned, operator, journal, &kept).unwrap()
}

#[test]
fn with_its_journal_lost_a_member_hears_its_own_words_before_it_makes_up_others() {
    let done = done();
    let me = MemberId(0);
    let words = |phase| done.transcript.messages.iter().filter(move |message| message.step.phase() == phase);
    let hear = |message: &Message| Found::Message(Box::new(message.clone()));
    let dir = tempfile::tempdir().unwrap();
    let mut process = process(done, 0, dir.path());
    process.speak().unwrap();
    // member 3 showed another dealing once all had acknowledged; the old words come from the others, in any order
    process.take(&hear(&second_deal(done, 3))).unwrap();
    for message in words(Phase::Deal).chain(words(Phase::Ack).filter(|message| message.from != me)) {
        process.take(&hear(message)).unwrap();
        process.speak().unwrap();
    }
    process.take(&Found::Looked(MemberId(1))).unwrap();
    process.take(&Found::Looked(MemberId(3))).unwrap();
    process.speak().unwrap();
    process.take(&hear(words(Phase::Ack).find(|message| message.from == me).unwrap())).unwrap();
    process.take(&Found::Looked(MemberId(2))).unwrap();
    process.speak().unwrap();
    let accused: Vec<MemberId> = process.operator().contradictions().map(|[first, _]| first.from).collect();
    assert_eq!(accused, [MemberId(3)]);
    let own: BTreeSet<Phase> = process
        .operator()
        .messages()
        .filter(|message| message.from == me)
        .map(|message| message.step.phase())
        .collect();
    assert_eq!(own, BTreeSet::from([Phase::Deal, Phase::Ack, Phase::Seal]), "then it goes on");
}

async fn listener() -> TcpListener {
    let first = 20_000 + u16::try_from(std::process::id() * 11 % 12_000).unwrap();
    for port in (first..32_000).chain(20_000..first) {
        if let Ok(bound) = TcpListener::bind(("127.0.0.1", port)).await {
            return bound;
        }
    }
    panic!("no port")
}

/// All that comes of a peer until it has been looked at.
async fn look(plan: &Arc<Plan>, peer: String) -> (Vec<Message>, Answers) {
    let member = MemberId(1);
    let board = Arc::new(Board::default());
    let (send, mut found) = mpsc::channel(1);
    let task = tokio::spawn(exchange::follow((member, peer), Arc::clone(plan), Arc::clone(&board), send));
    let mut messages = Vec::new();
    loop {
        match found.recv().await.unwrap() {
            Found::Message(message) => messages.push(*message),
            Found::Looked(looked) => {
                assert_eq!(looked, member);
                task.abort();
                return (messages, board.answers(member));
            }
        }
    }
}

#[tokio::test]
async fn a_peer_has_been_looked_at_once_all_that_it_shows_is_here_or_when_it_has_no_answer() {
    let done = done();
    let plan = &done.planned.plan;
    let board = Arc::new(Board::default());
    let shown = &done.transcript.messages;
    shown.iter().for_each(|message| board.show(plan, message));
    let listener = listener().await;
    let address = listener.local_addr().unwrap().to_string();
    let server = tokio::spawn(exchange::serve(listener, Arc::clone(plan), board));

    let (messages, answers) = look(plan, address.clone()).await;
    let ids = |messages: &[Message]| messages.iter().map(|message| message.id(plan)).collect::<BTreeSet<_>>();
    assert_eq!((ids(&messages), answers), (ids(shown), Answers::Here));

    // the same operators, who have not the same file
    let keys: Vec<_> = done.network.network.genesis.members.iter().map(|member| member.consensus).collect();
    let other = Arc::new(Plan::new(&done.network.id, 1, &keys, &[]).unwrap());
    let (messages, answers) = look(&other, address.clone()).await;
    assert_eq!((messages.len(), answers), (0, Answers::Another));

    server.abort();
    assert!(server.await.unwrap_err().is_cancelled());
    let (messages, answers) = look(plan, address).await;
    assert_eq!((messages.len(), answers), (0, Answers::Silent));
}
