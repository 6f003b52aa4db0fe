//! Goal: whatever is undecryptable, malformed, wrongly signed, oversized or replayed gets its typed refusal or its
//! failed place, and others lose nothing by it. Method: raw submissions over QUIC to a running devnet.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test ends where its helper fails")]
#[expect(dead_code, reason = "each test program uses a part")]
mod common;

use common::{Devnet, Person, base_port};
use crypto::{eip712, eth::EthKey, ids, tdh2};
use ingress::{Client, ClientError};
use std::time::Duration;
use types::{
    Amount, Bundle, Envelope, EthSignature, Hash, Leg, Nonce, Policy, SignedHeader, Slot, codec,
    reason::{Outcome, Reason},
    wire::{Params, Status},
};
use zeroize::Zeroizing;

async fn connect(person: &Person) -> Client {
    let member = &person.view.members[0];
    Client::connect(member.quic.parse().unwrap(), member.pin).await.unwrap()
}

fn sign(key: &EthKey, envelope: &mut Envelope) {
    let digest = eip712::envelope_digest(&envelope.signed.header, &ids::ciphertext_hash(&envelope.ciphertext));
    envelope.signed.signature = key.sign(&digest);
}

async fn refused(client: &Client, envelope: &Envelope) -> (Reason, String) {
    match client.submit(envelope).await {
        Err(ClientError::Refused(refusal)) => (refusal.known().unwrap(), refusal.detail),
        other => panic!("not refused: {other:?}"),
    }
}

async fn outcome(client: &Client, hash: &Hash) -> Outcome {
    for _ in 0..200 {
        if let Ok(Status::Executed { outcome, .. }) = client.status(hash).await {
            return Outcome::from_number(outcome).unwrap();
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{hash} was not executed");
}

/// An envelope whose ciphertext is made by `seal` instead of from a bundle.
fn crafted(person: &Person, params: &Params, nonce: u64, seal: impl Fn(&[u8]) -> Vec<u8>) -> (Hash, Envelope) {
    let header = types::EnvelopeHeader {
        version: 1,
        network: person.view.id,
        epoch: params.epoch,
        expiry_slot: params.last_final.plus(100),
        fee_account: person.fee.address(),
        nonce: Nonce(nonce),
        size_class: 0,
        gas_class: 18,
        max_fee: Amount::new(10_000_000).unwrap(),
        after: Vec::new(),
    };
    let ciphertext = seal(&tdh2::envelope_aad(&header));
    let signed = SignedHeader { header, signature: EthSignature::ZERO, consents: Vec::new() };
    let mut envelope = Envelope { signed, ciphertext };
    sign(&person.fee, &mut envelope);
    (ids::hash_envelope(&envelope), envelope)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_input_gets_its_reason_and_others_lose_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("net");
    let devnet = Devnet::start(&folder, base_port(4), &["--wallets", "2"]);
    let mut person = devnet.person();
    devnet.slots(1);
    let client = connect(&person).await;
    let params = client.params().await.unwrap();
    let leg = person.transfer(901, 0);
    let (_, good) = person.envelope(&params, 0, vec![leg]);

    let bytes = codec::encode(&good);
    let answer = client.submit_bytes(&bytes[..bytes.len() - 1]).await;
    assert!(matches!(&answer, Err(ClientError::Refused(r)) if r.known() == Some(Reason::MalformedData)), "{answer:?}");
    let answer = client.submit_bytes(&[bytes.as_slice(), &[0]].concat()).await;
    assert!(matches!(&answer, Err(ClientError::Refused(r)) if r.known() == Some(Reason::MalformedData)), "{answer:?}");
    let answer = client.submit_bytes(&vec![7; 66_000]).await;
    assert!(matches!(&answer, Err(ClientError::Refused(r)) if r.known() == Some(Reason::OversizedData)), "{answer:?}");

    let changed = |change: fn(&mut Envelope), person: &Person| {
        let mut envelope = good.clone();
        change(&mut envelope);
        sign(&person.fee, &mut envelope);
        envelope
    };
    for (want, change) in [
        (Reason::WrongNetwork, (|e| e.signed.header.network = Hash([9; 32])) as fn(&mut Envelope)),
        (Reason::WrongEpoch, |e| e.signed.header.epoch = types::Epoch(3)),
        (Reason::Expired, |e| e.signed.header.expiry_slot = Slot(0)),
        (Reason::Expired, |e| e.signed.header.expiry_slot = Slot(1 << 40)),
        (Reason::UnknownAccount, |e| e.signed.header.fee_account = types::Address([5; 20])),
        (Reason::NonceTooFar, |e| e.signed.header.nonce = Nonce(5)),
        (Reason::FeeTooLow, |e| e.signed.header.max_fee = Amount::new(1).unwrap()),
        (Reason::MalformedData, |e| e.signed.header.size_class = 9),
        (Reason::AfterUnknown, |e| e.signed.header.after = vec![Hash([3; 32])]),
    ] {
        let envelope = changed(change, &person);
        assert_eq!(refused(&client, &envelope).await.0, want);
    }

    // signatures and proofs cost something to check: each bad one is a strike against the connection
    let mut envelope = good.clone();
    envelope.signed.header.max_fee = envelope.signed.header.max_fee.checked_add(Amount::new(1).unwrap()).unwrap();
    assert_eq!(refused(&client, &envelope).await.0, Reason::WrongSignature);
    let bent = |place: usize, person: &Person| {
        let mut envelope = good.clone();
        envelope.ciphertext[place] ^= 1;
        sign(&person.fee, &mut envelope);
        envelope
    };
    // U is no point any more, or of another group; z and c1 no longer prove knowledge of r
    for (place, details) in [(10, &["POINT", "SUBGROUP"][..]), (200, &["PROOF", "SCALAR"]), (230, &["PROOF"])] {
        let (reason, said) = refused(&client, &bent(place, &person)).await;
        assert_eq!(reason, Reason::BadCiphertext);
        assert!(details.contains(&said.as_str()), "{place}: {said}");
    }
    // the fifth strike closes the connection, before or after its answer
    assert!(client.submit(&bent(400, &person)).await.is_err());
    assert!(client.submit(&good).await.is_err(), "five strikes close the connection");

    // through another member: the good one passes, again gives the first receipt, and takes effect once
    let member = &person.view.members[1];
    let client = Client::connect(member.quic.parse().unwrap(), member.pin).await;
    let client = match client {
        Ok(client) => client,
        Err(error) => panic!("a hold is each member's own: {error}"),
    };
    let first = client.submit(&good).await.unwrap();
    assert_eq!(client.submit(&good).await.unwrap(), first, "the same receipt again");
    let hash = ids::hash_envelope(&good);
    assert_eq!(outcome(&client, &hash).await, Outcome::Committed);

    // admitted, in its place, and without effect: nothing opens it, or nothing decodes
    let params = client.params().await.unwrap();
    let key = &person.view.key;
    let padded = tdh2::pad(b"no bundle", 512).unwrap();
    let (undecryptable, envelope) =
        crafted(&person, &params, 1, |aad| tdh2::seal_undecryptable(key, &[4; 16], aad, &padded).unwrap());
    client.submit(&envelope).await.unwrap();
    let (malformed, envelope) =
        crafted(&person, &params, 2, |aad| tdh2::seal(key, Zeroizing::new([8; 32]), aad, &padded));
    client.submit(&envelope).await.unwrap();
    let bundle = Bundle {
        version: Bundle::VERSION,
        policy: Policy::AtomicExec,
        legs: vec![Leg { chain_id: types::ChainId(77), ..person.transfer(901, 1) }],
        deadline_slot: Slot(u64::MAX),
        salt: Hash([2; 32]),
    };
    let padded = tdh2::pad(&codec::encode(&bundle), 512).unwrap();
    let (unknown, envelope) =
        crafted(&person, &params, 3, |aad| tdh2::seal(key, Zeroizing::new([9; 32]), aad, &padded));
    client.submit(&envelope).await.unwrap();
    let leg = person.transfer(901, 1);
    let (fine, envelope) = person.envelope(&params, 4, vec![leg]);
    client.submit(&envelope).await.unwrap();
    assert_eq!(outcome(&client, &undecryptable).await, Outcome::NotOpened);
    assert_eq!(outcome(&client, &malformed).await, Outcome::BadPlaintext);
    assert_eq!(outcome(&client, &unknown).await, Outcome::UnknownChain);
    assert_eq!(outcome(&client, &fine).await, Outcome::Committed);

    // replayed after inclusion, and garbage that is no QUIC at all
    let mut again = good.clone();
    again.signed.header.gas_class += 1;
    sign(&person.fee, &mut again);
    assert_eq!(refused(&client, &again).await.0, Reason::NonceTooLow);
    let garbage = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    for i in 0..200u8 {
        garbage.send_to(&[i; 900], &person.view.members[1].quic).unwrap();
    }
    assert!(client.params().await.is_ok(), "garbage packets change nothing");
    devnet.slots(2);
    let (summary, status) = devnet.terminate();
    assert!(status.success(), "{summary}");
    assert_eq!(summary["lost"], 0, "{summary}");
}
