//! Goal: ING-1 to ING-6 over real QUIC on loopback, with a scripted driver behind the server and, where our own client
//! would not misbehave, a raw quinn client in front of it that accepts any certificate.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    reason = "a test that fails says so"
)]

use ingress::{
    Answer, Client, ClientError, CloseCode, Counter, Counters, Inbound, IngressLimits, Request, Server, ServerConfig,
    TlsIdentity,
};
use quinn::crypto::rustls::QuicClientConfig;
use rustls::{
    DigitallySignedStruct, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::ring::default_provider,
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::sync::{broadcast, mpsc};
use types::{
    AccountHeader, Address, Amount, Bid, BidHeader, Envelope, EnvelopeHeader, Epoch, EthSignature, Hash, MemberId,
    Nonce, SignedAccountOperation, SignedHeader, Slot, Timestamp, codec, limits,
    reason::Reason,
    wire::{AccountState, Event, Params, Pending, PendingRequest, PendingUnit, Refusal, Status, answer},
};
use zeroize::Zeroizing;

#[derive(Default)]
struct Counts(Mutex<Vec<Counter>>);

impl Counters for Counts {
    fn add(&self, counter: Counter, _n: u64) {
        self.0.lock().unwrap().push(counter);
    }
}

impl Counts {
    fn of(&self, counter: Counter) -> usize {
        self.0.lock().unwrap().iter().filter(|c| **c == counter).count()
    }
}

struct Door {
    server: Server,
    pin: Hash,
    events: broadcast::Sender<Event>,
    time: Arc<AtomicU64>,
    counts: Arc<Counts>,
}

impl Door {
    fn addr(&self) -> SocketAddr {
        self.server.local_addr()
    }
    async fn client(&self) -> Client {
        Client::connect(self.addr(), self.pin).await.unwrap()
    }
}

async fn door(limits: IngressLimits, inbound: mpsc::Sender<Inbound>) -> Door {
    let identity = TlsIdentity::from_seed(&Zeroizing::new([7; 32])).unwrap();
    let pin = identity.pin();
    let (events, _) = broadcast::channel(1_024);
    let time = Arc::new(AtomicU64::new(1_000_000));
    let clock = Arc::clone(&time);
    let counts = Arc::new(Counts::default());
    let config = ServerConfig { listen: "127.0.0.1:0".parse().unwrap(), identity, limits };
    let server = Server::start(
        config,
        inbound,
        events.clone(),
        Arc::new(move || Timestamp(clock.load(Ordering::SeqCst))),
        Arc::clone(&counts) as Arc<dyn Counters>,
    );
    Door { server: server.await.unwrap(), pin, events, time, counts }
}

/// A door whose driver answers by this script.
async fn scripted(
    limits: IngressLimits,
    script: impl Fn(&Request) -> Result<Answer, Refusal> + Send + 'static,
) -> Door {
    let (inbound, mut requests) = mpsc::channel::<Inbound>(64);
    tokio::spawn(async move {
        while let Some(Inbound { request, reply, .. }) = requests.recv().await {
            reply.send(script(&request)).ok();
        }
    });
    door(limits, inbound).await
}

fn envelope(nonce: u64) -> Envelope {
    let header = EnvelopeHeader {
        version: 1,
        network: Hash([1; 32]),
        epoch: Epoch(0),
        expiry_slot: Slot(20),
        fee_account: Address([2; 20]),
        nonce: Nonce(nonce),
        size_class: 4,
        gas_class: 21,
        max_fee: Amount::new(1 << 70).unwrap(),
        after: vec![],
    };
    let signed = SignedHeader { header, signature: EthSignature([4; 65]), consents: vec![] };
    Envelope { signed, ciphertext: vec![9; 61_440 + 256] }
}

fn params() -> Params {
    Params {
        network: Hash([1; 32]),
        epoch: Epoch(3),
        last_final: Slot(9),
        opened: Slot(8),
        byte_price: Amount::new(16).unwrap(),
        gas_price: Amount::new(1).unwrap(),
        reserve: Amount::ZERO,
        time_ms: Timestamp(5),
        ms_to_close: 400,
    }
}

fn refused(result: Result<String, ClientError>) -> Refusal {
    match result {
        Err(ClientError::Refused(refusal)) => refusal,
        other => panic!("{other:?}"),
    }
}

/// A stranger: any certificate, any protocol name, raw streams.
#[derive(Debug)]
struct AnyCertificate;

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }
    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }
    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }
}

async fn stranger(
    addr: SocketAddr,
    alpn: &[&[u8]],
) -> Result<(quinn::Endpoint, quinn::Connection), quinn::ConnectionError> {
    let mut tls = rustls::ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate))
        .with_no_client_auth();
    tls.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    tls.enable_early_data = true;
    let config = quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls).unwrap()));
    let endpoint = quinn::Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
    let connection = endpoint.connect_with(config, addr, "anything").unwrap().await?;
    Ok((endpoint, connection))
}

/// Sends raw bytes on a stream, and reads the refusal that comes back.
async fn raw(connection: &quinn::Connection, bytes: &[u8], finish: bool) -> Refusal {
    let (mut send, mut recv) = connection.open_bi().await.unwrap();
    send.write_all(bytes).await.ok();
    if finish {
        send.finish().ok();
    }
    let frame = recv.read_to_end(1_000).await.unwrap();
    assert_eq!(frame[4], answer::ERROR);
    assert_eq!(usize::try_from(u32::from_le_bytes(frame[..4].try_into().unwrap())).unwrap(), frame.len() - 5);
    codec::decode(&frame[5..], 512).unwrap()
}

fn bid(seq: u8) -> Bid {
    let header = BidHeader {
        version: 1,
        network: Hash([1; 32]),
        epoch: Epoch(0),
        slot: Slot(9),
        bidder: Address([2; 20]),
        seq,
        cap_class: 0,
    };
    Bid { header, signature: EthSignature([4; 65]), ciphertext: vec![9; Bid::CIPHERTEXT_BYTES] }
}

fn operation(nonce: u64) -> SignedAccountOperation {
    let header = AccountHeader {
        version: 1,
        network: Hash([1; 32]),
        epoch: Epoch(0),
        kind: AccountHeader::BOND,
        account: Address([2; 20]),
        nonce: Nonce(nonce),
        to: Address::ZERO,
        amount: Amount::new(5).unwrap(),
        data: Hash::ZERO,
    };
    SignedAccountOperation { header, signature: EthSignature([4; 65]) }
}

/// As much as an answer may hold.
fn pending(slot: Slot) -> Pending {
    let unit = PendingUnit { hash: Hash([9; 32]), fee_per_byte: u64::MAX, size: 250, gas: 250 };
    Pending { slot, units: vec![unit; limits::BODY_UNITS_MAX] }
}

#[tokio::test]
async fn ing_2_every_request_gets_its_answer() {
    let status = Status::Executed { slot: Slot(7), index: 3, outcome: 0, leg: 0 };
    let account = AccountState {
        address: Address([5; 20]),
        account: None,
        pending_nonce: 4,
        free_bond: Amount::new(7).unwrap(),
        unbonding: Amount::new(3).unwrap(),
        withdrawable: Amount::ZERO,
        operation_nonce: 2,
        pending_operation_nonce: 3,
        is_builder: true,
    };
    let door = scripted(IngressLimits::default(), move |request| {
        Ok(match request {
            Request::Submit { envelope, bytes } => {
                assert_eq!(&codec::encode(&**envelope), bytes);
                Answer::Receipt(format!("receipt {}", envelope.signed.header.nonce))
            }
            Request::Bid(bid) => Answer::Receipt(format!("bid {}", bid.header.seq)),
            Request::Object(_) => Answer::Seen,
            Request::Operation(signed) if signed.header.nonce == Nonce(2) => Answer::Seen,
            Request::Operation(_) => return Err(Refusal::new(Reason::NonceTooFar, "")),
            Request::Status(hash) if *hash == Hash([6; 32]) => Answer::Status(status),
            Request::Status(_) => Answer::Status(Status::Unknown),
            Request::Params => Answer::Params(params()),
            Request::Account(address) if *address == Address([5; 20]) => Answer::Account(account),
            Request::Account(_) => return Err(Refusal::new(Reason::UnknownAccount, "not here")),
            Request::Pending(request) => Answer::Pending(pending(request.slot)),
        })
    })
    .await;
    let client = door.client().await;
    let asked = PendingRequest {
        network: Hash([1; 32]),
        member: MemberId(2),
        slot: Slot(9),
        builder: Address([5; 20]),
        signature: EthSignature([3; 65]),
    };
    assert_eq!(client.pending(&asked).await.unwrap(), pending(Slot(9)));
    assert_eq!(client.submit(&envelope(3)).await.unwrap(), "receipt 3");
    assert_eq!(client.bid(&bid(2)).await.unwrap(), "bid 2");
    client.operation(&operation(2)).await.unwrap();
    assert_eq!(
        refused(client.operation(&operation(3)).await.map(|()| String::new())).known(),
        Some(Reason::NonceTooFar)
    );
    assert_eq!(client.status(&Hash([6; 32])).await.unwrap(), status);
    assert_eq!(client.status(&Hash([7; 32])).await.unwrap(), Status::Unknown);
    assert_eq!(client.params().await.unwrap(), params());
    assert_eq!(client.account(&Address([5; 20])).await.unwrap(), account);
    let refusal = match client.account(&Address([6; 20])).await {
        Err(ClientError::Refused(refusal)) => refusal,
        other => panic!("{other:?}"),
    };
    assert_eq!(refusal, Refusal::new(Reason::UnknownAccount, "not here"));
    assert_eq!(door.counts.of(Counter::Connection), 1);
    assert_eq!(door.counts.of(Counter::Refused(Reason::UnknownAccount)), 1);
    client.close().await;
    door.server.shutdown().await;
}

#[tokio::test]
async fn ing_2_every_refusal_arrives_as_it_was_given() {
    let door = scripted(IngressLimits { strikes_max: u32::MAX, ..IngressLimits::default() }, |request| match request {
        Request::Submit { envelope, .. } => {
            let reason = Reason::from_number(u16::try_from(envelope.signed.header.nonce.0).unwrap()).unwrap();
            Err(Refusal::new(reason, &"é".repeat(200)))
        }
        _ => Err(Refusal::new(Reason::Unsupported, "")),
    })
    .await;
    let client = door.client().await;
    for reason in Reason::ALL {
        let refusal = refused(client.submit(&envelope(reason.number().into())).await);
        assert_eq!(refusal, Refusal::new(*reason, &"é".repeat(200)));
        assert!(refusal.detail.len() <= 256);
        assert_eq!(door.counts.of(Counter::Refused(*reason)), 1);
    }
}

#[tokio::test]
async fn ing_1_bytes_that_are_no_request_are_refused_by_name() {
    let door = scripted(IngressLimits::default(), |_| panic!("nothing of this reaches the driver")).await;
    let (_endpoint, connection) = stranger(door.addr(), &[b"lockstep/1"]).await.unwrap();
    let code = |refusal: Refusal| refusal.known().unwrap();
    // A length above the kind's limit is refused although nothing follows it, and the stream is not even finished.
    assert_eq!(code(raw(&connection, &[0xff, 0xff, 0xff, 0xff, 0x01], false).await), Reason::OversizedData);
    assert_eq!(code(raw(&connection, &[0xf1, 0xff, 0, 0, 0x01], false).await), Reason::OversizedData);
    assert_eq!(code(raw(&connection, &[65, 0, 0, 0, 0x02], false).await), Reason::OversizedData);
    assert_eq!(code(raw(&connection, &[0x01, 0x04, 0, 0, 0x11], false).await), Reason::OversizedData);
    assert_eq!(code(raw(&connection, &[1, 0, 0, 0, 0x11, 9], true).await), Reason::MalformedData);
    // Kinds that are to come, of answers, and of nobody.
    for kind in [0x00, 0x10, 0x15, 0x41, 0x7f, 0x80, 0xff] {
        assert_eq!(code(raw(&connection, &[0, 0, 0, 0, kind], true).await), Reason::Unsupported);
        assert_eq!(code(raw(&connection, &[0xff, 0xff, 0, 0, kind], false).await), Reason::Unsupported);
    }
    // Trailing, missing, malformed and non-canonical bytes.
    let status = |len: u8, payload: usize| [vec![len, 0, 0, 0, 0x02], vec![7; payload]].concat();
    assert_eq!(code(raw(&connection, &status(32, 33), true).await), Reason::MalformedData);
    assert_eq!(code(raw(&connection, &status(32, 31), true).await), Reason::MalformedData);
    assert_eq!(code(raw(&connection, &status(33, 33), true).await), Reason::MalformedData);
    assert_eq!(code(raw(&connection, &[1, 0, 0, 0, 0x03, 0], true).await), Reason::MalformedData);
    assert_eq!(code(raw(&connection, &[3, 0, 0, 0, 0x20, 251, 5, 0], true).await), Reason::MalformedData);
    assert_eq!(code(raw(&connection, &[2, 0, 0], true).await), Reason::MalformedData);
    let bomb = [9, 0, 0, 0, 0x01, 253, 0, 0, 0, 0, 0, 0, 0, 16];
    assert_eq!(code(raw(&connection, &bomb, true).await), Reason::MalformedData);
    let longer = [codec::encode(&envelope(0)), vec![0]].concat();
    let header = [u32::try_from(longer.len()).unwrap().to_le_bytes().to_vec(), vec![0x01]].concat();
    assert_eq!(code(raw(&connection, &[header, longer].concat(), true).await), Reason::MalformedData);
    assert!(connection.close_reason().is_none());
}

#[tokio::test]
async fn ing_2_a_stream_that_never_ends_is_ended() {
    let limits = IngressLimits { request_ms: 100, ..IngressLimits::default() };
    let door = scripted(limits, |_| panic!("nothing of this reaches the driver")).await;
    let (_endpoint, connection) = stranger(door.addr(), &[b"lockstep/1"]).await.unwrap();
    let (mut send, mut recv) = connection.open_bi().await.unwrap();
    send.write_all(&[32, 0, 0, 0, 0x02, 1, 2, 3]).await.unwrap();
    let ended = recv.read_to_end(1_000).await;
    let deadline = CloseCode::Deadline.number().into();
    assert_eq!(ended, Err(quinn::ReadToEndError::Read(quinn::ReadError::Reset(deadline))));
    assert_eq!(door.counts.of(Counter::Unanswered), 1);
}

#[tokio::test]
async fn ing_3_a_full_driver_is_busy_and_a_gone_one_shuts_down() {
    let limits = IngressLimits { request_ms: 300, ..IngressLimits::default() };
    let (inbound, mut requests) = mpsc::channel(1);
    let door = door(limits, inbound).await;
    let client = Arc::new(door.client().await);
    // The first request fills the queue: nobody takes it out, so it ends at its deadline.
    let first = tokio::spawn({
        let client = Arc::clone(&client);
        async move { client.submit(&envelope(1)).await }
    });
    while requests.is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(refused(client.submit(&envelope(2)).await).detail, "queue");
    let first = refused(first.await.unwrap());
    assert_eq!((first.known(), first.detail.as_str()), (Some(Reason::Busy), "deadline"));
    assert!(first.retry_after_ms > 0);
    // A dropped reply.
    let third = tokio::spawn({
        let client = Arc::clone(&client);
        async move { client.submit(&envelope(3)).await }
    });
    requests.recv().await.unwrap();
    drop(requests.recv().await.unwrap());
    assert_eq!(refused(third.await.unwrap()).detail, "dropped");
    // No driver any more.
    drop(requests);
    assert_eq!(refused(client.submit(&envelope(4)).await).known(), Some(Reason::ShuttingDown));
}

#[tokio::test]
async fn ing_2_shutdown_answers_what_runs_and_refuses_what_is_new() {
    let (inbound, mut requests) = mpsc::channel(4);
    let door = Arc::new(door(IngressLimits::default(), inbound).await);
    let client = Arc::new(door.client().await);
    let running = tokio::spawn({
        let client = Arc::clone(&client);
        async move { client.submit(&envelope(1)).await }
    });
    let Inbound { reply, .. } = requests.recv().await.unwrap();
    let shutdown = tokio::spawn({
        let door = Arc::clone(&door);
        async move { door.server.shutdown().await }
    });
    tokio::task::yield_now().await;
    assert_eq!(refused(client.submit(&envelope(2)).await).known(), Some(Reason::ShuttingDown));
    reply.send(Ok(Answer::Receipt("kept".into()))).unwrap();
    assert_eq!(running.await.unwrap().unwrap(), "kept");
    shutdown.await.unwrap();
    let error = client.params().await.unwrap_err();
    assert!(error.is_lost());
    assert_eq!(error.close_code(), Some(CloseCode::ShuttingDown.number().into()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ing_2_shutdown_tells_every_connection_why_it_ends() {
    for _ in 0..25 {
        let door = scripted(IngressLimits::default(), |_| Ok(Answer::Params(params()))).await;
        let mut clients = Vec::new();
        for _ in 0..4 {
            let client = door.client().await;
            client.params().await.unwrap();
            clients.push(client);
        }
        door.server.shutdown().await;
        for client in clients {
            let error = client.params().await.unwrap_err();
            assert_eq!(error.close_code(), Some(CloseCode::ShuttingDown.number().into()), "{error:?}");
        }
    }
}

#[tokio::test]
async fn ing_4_another_key_is_not_spoken_to() {
    let door = scripted(IngressLimits::default(), |_| panic!("nothing of this reaches the driver")).await;
    let error = Client::connect(door.addr(), Hash([1; 32])).await.unwrap_err();
    assert!(matches!(error, ClientError::Connection(_)), "{error:?}");
    let other = TlsIdentity::from_seed(&Zeroizing::new([8; 32])).unwrap();
    assert!(Client::connect(door.addr(), other.pin()).await.is_err());
    assert!(Client::connect(door.addr(), door.pin).await.is_ok());
}

#[tokio::test]
async fn ing_4_another_protocol_is_refused_in_the_handshake() {
    let door = scripted(IngressLimits::default(), |_| panic!("nothing of this reaches the driver")).await;
    for alpn in [&[b"lockstep/2".as_slice()] as &[&[u8]], &[b"h3"], &[]] {
        let error = stranger(door.addr(), alpn).await.map(|_| ()).unwrap_err();
        assert!(error.to_string().contains("120") || error.to_string().to_lowercase().contains("alpn"), "{error}");
    }
    assert!(stranger(door.addr(), &[b"h3", b"lockstep/1"]).await.is_ok());
}

#[tokio::test]
async fn early_data_is_never_offered() {
    let door = scripted(IngressLimits::default(), |_| Ok(Answer::Params(params()))).await;
    let mut tls = rustls::ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate))
        .with_no_client_auth();
    tls.alpn_protocols = vec![b"lockstep/1".to_vec()];
    tls.enable_early_data = true;
    let config = quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls).unwrap()));
    let endpoint = quinn::Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
    for _ in 0..3 {
        let connecting = endpoint.connect_with(config.clone(), door.addr(), "anything").unwrap();
        let connection = match connecting.into_0rtt() {
            Ok(_) => panic!("0-RTT keys although the server gives no tickets"),
            Err(connecting) => connecting.await.unwrap(),
        };
        let (mut send, mut recv) = connection.open_bi().await.unwrap();
        send.write_all(&[0, 0, 0, 0, 0x03]).await.unwrap();
        send.finish().unwrap();
        assert_eq!(recv.read_to_end(1_000).await.unwrap()[4], answer::PARAMS);
    }
}

#[tokio::test]
async fn ing_5_a_duplicate_gets_the_first_receipt() {
    let asked = Arc::new(AtomicU64::new(0));
    let door = scripted(IngressLimits::default(), {
        let asked = Arc::clone(&asked);
        move |_| Ok(Answer::Receipt(format!("receipt {}", asked.fetch_add(1, Ordering::SeqCst))))
    })
    .await;
    let (a, b) = (door.client().await, door.client().await);
    assert_eq!(a.submit(&envelope(1)).await.unwrap(), "receipt 0");
    assert_eq!(b.submit(&envelope(1)).await.unwrap(), "receipt 0");
    assert_eq!(a.submit(&envelope(2)).await.unwrap(), "receipt 1");
    assert_eq!(a.submit(&envelope(1)).await.unwrap(), "receipt 0");
    assert_eq!(asked.load(Ordering::SeqCst), 2);
    assert_eq!(door.counts.of(Counter::Duplicate), 2);
}

#[tokio::test]
async fn ing_5_a_refusal_is_not_remembered() {
    let asked = Arc::new(AtomicU64::new(0));
    let door = scripted(IngressLimits::default(), {
        let asked = Arc::clone(&asked);
        move |_| match asked.fetch_add(1, Ordering::SeqCst) {
            0 => Err(Refusal::new(Reason::NonceTooFar, "")),
            _ => Ok(Answer::Receipt("second".into())),
        }
    })
    .await;
    let client = door.client().await;
    assert_eq!(refused(client.submit(&envelope(1)).await).known(), Some(Reason::NonceTooFar));
    assert_eq!(client.submit(&envelope(1)).await.unwrap(), "second");
}

#[tokio::test]
async fn ing_3_a_slow_subscriber_gets_a_gap_and_a_quick_one_everything() {
    let limits = IngressLimits { events_kept: 32, send_window: 64 << 10, ..IngressLimits::default() };
    let narrow = IngressLimits { connection_window: 64 << 10, ..limits.clone() };
    let door = scripted(limits, |_| panic!("nothing of this reaches the driver")).await;
    let quick = door.client().await;
    let slow = Client::connect_with(door.addr(), door.pin, &narrow).await.unwrap();
    let mut quick = quick.subscribe(Slot(0)).await.unwrap();
    let mut lazy = slow.subscribe(Slot(0)).await.unwrap();
    let set = vec![Hash([9; 32]); 512];
    const EVENTS: u64 = 200;
    for slot in 1..=EVENTS {
        door.events.send(Event::Final { slot: Slot(slot), set: set.clone() }).unwrap();
        let got = tokio::time::timeout(Duration::from_secs(10), quick.recv()).await.unwrap().unwrap();
        assert!(matches!(got, Event::Final { slot: s, .. } if s == Slot(slot)), "the quick one misses nothing");
    }
    let (mut got, mut gaps) = (0u64, 0u64);
    while got + gaps < EVENTS {
        match tokio::time::timeout(Duration::from_secs(10), lazy.recv()).await.unwrap().unwrap() {
            Event::Final { .. } => got += 1,
            Event::Gap { dropped } => gaps += dropped,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(got + gaps, EVENTS, "every event is delivered or counted");
    assert!(gaps > 0 && got > 0);
}

#[tokio::test]
async fn events_from_an_earlier_slot_are_sent_again() {
    let limits = IngressLimits { events_kept: 8, ..IngressLimits::default() };
    let door = scripted(limits, |_| panic!("nothing of this reaches the driver")).await;
    let client = door.client().await;
    let mut live = client.subscribe(Slot(0)).await.unwrap();
    for slot in 1..=20 {
        door.events.send(Event::Executed { slot: Slot(slot), outcomes: vec![0] }).unwrap();
        assert!(live.recv().await.is_some());
    }
    let mut replay = client.subscribe(Slot(11)).await.unwrap();
    assert_eq!(replay.recv().await, Some(Event::Gap { dropped: 2 }));
    for slot in 13..=20 {
        assert_eq!(replay.recv().await, Some(Event::Executed { slot: Slot(slot), outcomes: vec![0] }));
    }
    let mut future = client.subscribe(Slot(22)).await.unwrap();
    for slot in 21..=22 {
        door.events.send(Event::Executed { slot: Slot(slot), outcomes: vec![0] }).unwrap();
    }
    assert_eq!(future.recv().await, Some(Event::Executed { slot: Slot(22), outcomes: vec![0] }));
    // Four at most; a subscription whose reader is gone makes room.
    let _fourth = client.subscribe(Slot(0)).await.unwrap();
    let error = client.subscribe(Slot(0)).await.map(|_| ()).unwrap_err();
    assert!(matches!(&error, ClientError::Refused(r) if r.known() == Some(Reason::Quota)), "{error:?}");
}

#[tokio::test]
async fn ing_6_a_connection_has_its_requests_per_second() {
    let limits = IngressLimits { requests_per_s: 10, ..IngressLimits::default() };
    let door = scripted(limits, |_| Ok(Answer::Params(params()))).await;
    let (client, other) = (door.client().await, door.client().await);
    for _ in 0..10 {
        client.params().await.unwrap();
    }
    let refusal = match client.params().await {
        Err(ClientError::Refused(refusal)) => refusal,
        other => panic!("{other:?}"),
    };
    assert_eq!((refusal.known(), refusal.retry_after_ms), (Some(Reason::Quota), 100));
    assert!(other.params().await.is_ok(), "another connection has its own");
    door.time.fetch_add(100, Ordering::SeqCst);
    assert!(client.params().await.is_ok());
    assert!(client.params().await.is_err());
}

#[tokio::test]
async fn ing_6_a_connection_has_its_bytes_per_second() {
    let limits = IngressLimits { bytes_per_s: 100_000, ..IngressLimits::default() };
    let door = scripted(limits, |_| Ok(Answer::Receipt("r".into()))).await;
    let client = door.client().await;
    client.submit(&envelope(1)).await.unwrap();
    let refusal = refused(client.submit(&envelope(2)).await);
    assert_eq!(refusal.known(), Some(Reason::Quota));
    door.time.fetch_add(refusal.retry_after_ms.into(), Ordering::SeqCst);
    client.submit(&envelope(2)).await.unwrap();
}

#[tokio::test]
async fn ing_6_a_prefix_has_its_connections() {
    let limits = IngressLimits { prefix_connections_max: 3, ..IngressLimits::default() };
    let door = scripted(limits, |_| Ok(Answer::Params(params()))).await;
    let mut clients = Vec::new();
    for _ in 0..3 {
        let client = door.client().await;
        client.params().await.unwrap();
        clients.push(client);
    }
    assert!(Client::connect(door.addr(), door.pin).await.is_err());
    assert_eq!(door.counts.of(Counter::TurnedAway), 1);
    clients.pop().unwrap().close().await;
    // The place is free as soon as the server has seen the goodbye.
    for attempt in 0.. {
        match Client::connect(door.addr(), door.pin).await {
            Ok(client) if client.params().await.is_ok() => break,
            _ => assert!(attempt < 100),
        }
    }
}

#[tokio::test]
async fn ing_6_five_bad_signatures_close_the_connection_and_hold_the_prefix() {
    let door = scripted(IngressLimits::default(), |request| match request {
        Request::Submit { envelope, .. } if envelope.signed.header.nonce.0 % 2 == 0 => {
            Err(Refusal::new(Reason::WrongSignature, ""))
        }
        Request::Submit { .. } => Err(Refusal::new(Reason::BadCiphertext, "PROOF")),
        _ => Err(Refusal::new(Reason::FeeTooLow, "")),
    })
    .await;
    let (client, bystander) = (door.client().await, door.client().await);
    bystander.params().await.unwrap_err();
    for nonce in 0..4 {
        refused(client.submit(&envelope(nonce)).await);
        client.params().await.unwrap_err();
    }
    let error = client.submit(&envelope(4)).await.unwrap_err();
    assert_eq!(error.close_code(), Some(0x105), "{error:?}");
    assert!(Client::connect(door.addr(), door.pin).await.is_err(), "its prefix waits");
    assert!(matches!(bystander.params().await, Err(ClientError::Refused(_))), "who is in stays in");
    door.time.fetch_add(59_999, Ordering::SeqCst);
    assert!(Client::connect(door.addr(), door.pin).await.is_err());
    door.time.fetch_add(1, Ordering::SeqCst);
    assert!(Client::connect(door.addr(), door.pin).await.is_ok());
    assert_eq!(door.counts.of(Counter::Held), 1);
}

#[tokio::test]
async fn garbage_datagrams_change_nothing() {
    let door = scripted(IngressLimits::default(), |_| Ok(Answer::Params(params()))).await;
    let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let mut state = 88_172_645_463_325_252u64;
    for i in 0..2_000usize {
        let mut bytes = vec![0u8; i % 1_400];
        for byte in &mut bytes {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            *byte = state.to_le_bytes()[0];
        }
        // Half of them look like the first packet of a QUIC connection.
        if i % 2 == 0 && bytes.len() > 6 {
            bytes[0] |= 0xc0;
            bytes[1..5].copy_from_slice(&[0, 0, 0, 1]);
        }
        socket.send_to(&bytes, door.addr()).await.unwrap();
    }
    let client = door.client().await;
    assert_eq!(client.params().await.unwrap(), params());
}

#[tokio::test]
async fn half_open_handshakes_must_validate_their_address() {
    let limits = IngressLimits { retry_above: 0, ..IngressLimits::default() };
    let door = scripted(limits, |_| Ok(Answer::Params(params()))).await;
    assert_eq!(door.client().await.params().await.unwrap(), params());
    assert_eq!(door.counts.of(Counter::Retry), 1);
}
