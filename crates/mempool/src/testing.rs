//! Payers, envelopes and ledgers for tests; all of it real, but for ciphertexts where no proof is looked at.
use crate::{Held, Mempool};
use auction_rules::{Ledger, Terms};
use crypto::{
    eip712,
    eth::EthKey,
    ids,
    keys::{DecryptionShareKey, EncryptionKey},
    tdh2::{self, Admitted, Item},
};
use std::sync::{Arc, OnceLock};
use types::{
    Account, Address, Amount, Balance, Envelope, EnvelopeHeader, Epoch, EthSignature, Genesis, Hash, MemberRecord,
    Nonce, Params, SignedHeader, Slot, Timestamp, codec, reason::Reason,
};
use zeroize::Zeroizing;

pub(crate) const RICH: u128 = 1 << 60;
pub(crate) const NOW: Slot = Slot(1);
/// Base fee of size class 0 and gas class 0 at floor prices.
pub(crate) const BASE: u128 = 16 * 512 + 1;
pub(crate) const POOL_BYTES: usize = 1 << 20;

pub(crate) fn network() -> Hash {
    crypto::hash::sha256(&[b"mempool test"])
}

pub(crate) fn payer(n: u8) -> EthKey {
    EthKey::from_bytes(Zeroizing::new([n; 32])).unwrap()
}

/// A group key whose secret is one number: for admission, sharing it makes no difference.
pub(crate) fn secret() -> DecryptionShareKey {
    let mut bytes = [0; 32];
    bytes[0] = 7;
    DecryptionShareKey::from_le_bytes(Zeroizing::new(bytes)).unwrap()
}

pub(crate) fn key() -> &'static EncryptionKey {
    static KEY: OnceLock<EncryptionKey> = OnceLock::new();
    KEY.get_or_init(|| EncryptionKey::new(&secret().public_g1(), &secret().public_g2()).unwrap())
}

/// A ledger on which these payers hold these balances.
pub(crate) fn ledger(params: &Params, balances: &[(u8, u128)]) -> Ledger {
    let member = |key: u8| MemberRecord {
        name: format!("m{key}"),
        consensus: Hash([key; 32]),
        log: Hash([key; 32]),
        cosigner: Hash([key; 32]),
        receipt: Hash([key; 32]),
        tls: Hash([key; 32]),
    };
    let balance = |(n, units): &(u8, u128)| Balance {
        address: address(*n),
        balance: Amount::new(*units).unwrap(),
        bond: Amount::ZERO,
    };
    let mut balances: Vec<Balance> = balances.iter().map(balance).collect();
    balances.sort_by_key(|balance| balance.address);
    let genesis = Genesis {
        origin: "example.net/test".into(),
        members: (0..4).map(member).collect(),
        params: params.clone(),
        rollups: Vec::new(),
        balances,
    };
    Ledger::genesis(&genesis).unwrap()
}

pub(crate) fn header(n: u8, nonce: u64, over: u128) -> EnvelopeHeader {
    EnvelopeHeader {
        version: 1,
        network: network(),
        epoch: Epoch(0),
        expiry_slot: Slot(20),
        fee_account: address(n),
        nonce: Nonce(nonce),
        size_class: 0,
        gas_class: 0,
        max_fee: Amount::new(BASE + over).unwrap(),
        after: Vec::new(),
    }
}

/// The header, unsigned, with a few bytes where nobody looks for a ciphertext.
pub(crate) fn bare(header: EnvelopeHeader) -> Envelope {
    let signed = SignedHeader { header, signature: EthSignature([0; 65]), consents: Vec::new() };
    Envelope { signed, ciphertext: vec![0; 64] }
}

/// An envelope as a wallet makes it.
pub(crate) fn sealed(header: EnvelopeHeader, n: u8, text: &str) -> Envelope {
    let message = tdh2::pad(text.as_bytes(), header.class().unwrap().bytes()).unwrap();
    let entropy = Zeroizing::new(crypto::hash::sha256(&[text.as_bytes()]).0);
    let ciphertext = tdh2::seal(key(), entropy, &tdh2::envelope_aad(&header), &message);
    let signature = payer(n).sign(&eip712::envelope_digest(&header, &ids::ciphertext_hash(&ciphertext)));
    Envelope { signed: SignedHeader { header, signature, consents: Vec::new() }, ciphertext }
}

fn any_admitted() -> Admitted {
    static ADMITTED: OnceLock<Admitted> = OnceLock::new();
    let admit = || {
        let header = header(1, 0, 0);
        let envelope = sealed(header.clone(), 1, "any");
        let item = Item { aad: &tdh2::envelope_aad(&header), class_bytes: 512, ciphertext: &envelope.ciphertext };
        tdh2::admit(key(), &[item], [1; 32]).remove(0).unwrap()
    };
    ADMITTED.get_or_init(admit).clone()
}

pub(crate) fn held(header: EnvelopeHeader) -> Held {
    let envelope = bare(header);
    let hash = ids::hash_envelope(&envelope);
    Held {
        hash,
        bytes: codec::encode(&envelope),
        terms: Terms::of(hash, &envelope.signed.header),
        envelope: Arc::new(envelope),
        admitted: any_admitted(),
        share: None,
        receipt: None,
        arrived: Timestamp(0),
    }
}

pub(crate) fn pool(params: &Params) -> Mempool {
    Mempool::new(network(), params.clone(), POOL_BYTES)
}

/// Prechecks and takes an envelope; its hash, or why not.
pub(crate) fn offer(pool: &mut Mempool, ledger: &Ledger, header: EnvelopeHeader) -> Result<Hash, Reason> {
    let held = held(header);
    let hash = held.hash;
    pool.precheck(ledger, ledger.next_slot(), &hash, &held.envelope)?;
    pool.insert(held).map(|()| hash)
}

/// Closes the next slot with what is held under these hashes, and takes it out.
pub(crate) fn close(pool: &mut Mempool, ledger: &mut Ledger, params: &Params, set: &[Hash]) {
    let terms: Vec<Terms> = set.iter().map(|hash| pool.take(hash).unwrap().terms).collect();
    ledger.close(params, ledger.next_slot(), &terms).unwrap();
}

pub(crate) fn account(ledger: &Ledger, n: u8) -> Account {
    ledger.account(&address(n)).unwrap()
}

pub(crate) fn address(n: u8) -> Address {
    static ADDRESSES: [OnceLock<Address>; 16] = [const { OnceLock::new() }; 16];
    *ADDRESSES[usize::from(n)].get_or_init(|| payer(n).address())
}
