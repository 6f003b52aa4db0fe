//! Goal: the invariants of this crate on whole slots. Method: two demo rollups (one Cancun, one Prague) and one that is
//! not executed, wallets that sign with k256, bundles through `prepare` and `Executor`.
mod atomicity;
mod environment;
mod outcomes;
mod peers;
mod transactions;

use crate::{
    Executor, OpenedUnit, Prepared, Registry, SlotEnv,
    demo::{self, LegTx},
    genesis::{self, RollupGenesis},
    prepare, roots,
};
use alloy_consensus::{SignableTransaction, TxEnvelope};
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{B256, Signature};
use k256::ecdsa::SigningKey;
use std::{string::ToString, vec, vec::Vec};
use types::{
    Address, Bundle, ChainId, EthSignature, Fork, Hash, Leg, Policy, RollupSpec, Slot, SlotResult, Timestamp, codec,
    reason::Outcome,
};

pub(crate) const A: ChainId = ChainId(901);
pub(crate) const B: ChainId = ChainId(902);
/// Inclusion-only.
pub(crate) const OPAQUE: ChainId = ChainId(903);
pub(crate) const GENESIS_TIME: u64 = 1_800_000_000;
pub(crate) const SLOT_MS: u64 = 500;
pub(crate) const COIN: u128 = genesis::DEMO_COIN;
pub(crate) const CLASS: u8 = 18;

/// A key and its address; nonces are the caller's.
#[derive(Clone)]
pub(crate) struct Wallet {
    key: SigningKey,
    pub(crate) address: Address,
}

impl Wallet {
    pub(crate) fn from_secret(secret: Hash) -> Self {
        let key = SigningKey::from_slice(secret.as_ref()).unwrap();
        let address = Address(alloy_primitives::Address::from_public_key(key.verifying_key()).into_array());
        Self { key, address }
    }

    pub(crate) fn new(n: u64) -> Self {
        Self::from_secret(roots::sha256(&[b"wallet", &n.to_be_bytes()]))
    }

    pub(crate) fn sign(&self, digest: B256) -> Signature {
        let (signature, id) = self.key.sign_prehash_recoverable(digest.as_ref()).unwrap();
        Signature::from_signature_and_parity(signature, id.is_y_odd())
    }

    /// Any unsigned transaction of alloy's, signed.
    pub(crate) fn signed<T>(&self, tx: T) -> Vec<u8>
    where
        T: SignableTransaction<Signature>,
        TxEnvelope: From<alloy_consensus::Signed<T>>,
    {
        let signature = self.sign(tx.signature_hash());
        TxEnvelope::from(tx.into_signed(signature)).encoded_2718()
    }

    pub(crate) fn leg(&self, tx: &LegTx) -> Leg {
        let signature = self.sign(B256::from(tx.digest().0));
        tx.leg(&EthSignature(signature.as_bytes()))
    }
}

/// A transaction that succeeds: coins to `to`.
pub(crate) fn pay(chain_id: ChainId, nonce: u64, to: Address, value: u128) -> LegTx {
    LegTx {
        chain_id,
        nonce,
        to,
        value,
        data: Vec::new(),
        gas_limit: demo::TRANSFER_GAS,
        max_fee_per_gas: 2_000_000_000,
        max_priority_fee_per_gas: 1,
    }
}

/// A call of a contract.
pub(crate) fn call(chain_id: ChainId, nonce: u64, to: Address, value: u128, data: Vec<u8>) -> LegTx {
    LegTx { data, gas_limit: demo::CALL_GAS, ..pay(chain_id, nonce, to, value) }
}

pub(crate) fn bundle(policy: Policy, legs: Vec<Leg>) -> Bundle {
    Bundle { version: Bundle::VERSION, policy, legs, deadline_slot: Slot(u64::MAX), salt: Hash::ZERO }
}

/// The padded message of a plaintext, in the smallest class.
pub(crate) fn padded(bytes: &[u8]) -> Vec<u8> {
    let mut message = Vec::from(u32::try_from(bytes.len()).unwrap().to_le_bytes());
    message.extend_from_slice(bytes);
    let class = types::limits::SIZE_CLASS_BYTES.iter().find(|class| **class >= message.len()).copied();
    message.resize(class.unwrap_or(message.len()), 0);
    message
}

/// Two executed rollups, one that is not, four funded wallets.
pub(crate) struct Net {
    pub(crate) executor: Executor,
    pub(crate) registry: Registry,
    pub(crate) specs: Vec<RollupSpec>,
    pub(crate) genesis: Vec<(RollupSpec, RollupGenesis)>,
    pub(crate) wallets: Vec<Wallet>,
    slot: u64,
}

impl Net {
    pub(crate) fn new() -> Self {
        Self::with_slot_ms(SLOT_MS)
    }

    pub(crate) fn with_slot_ms(slot_ms: u64) -> Self {
        let wallets: Vec<Wallet> = (0..4).map(Wallet::new).collect();
        let funded: Vec<Address> = wallets.iter().map(|wallet| wallet.address).collect();
        let demo = |id, fork| {
            let (genesis, spec) = genesis::demo(id, fork, GENESIS_TIME, &funded);
            (spec, genesis)
        };
        Self::from_rollups(vec![demo(A, Fork::Cancun), demo(B, Fork::Prague)], slot_ms)
    }

    pub(crate) fn from_rollups(rollups: Vec<(RollupSpec, RollupGenesis)>, slot_ms: u64) -> Self {
        let mut specs: Vec<RollupSpec> = rollups.iter().map(|(spec, _)| spec.clone()).collect();
        specs.push(RollupSpec { chain_id: OPAQUE, exec: false, ..specs[0].clone() });
        Self {
            executor: Executor::genesis(&rollups, slot_ms).unwrap(),
            registry: Registry::new(&specs, slot_ms),
            specs,
            genesis: rollups,
            wallets: (0..4).map(Wallet::new).collect(),
            slot: 0,
        }
    }

    pub(crate) fn prepare(&self, bundle: &Bundle, gas_class: u8) -> Prepared {
        self.prepare_bytes(&codec::encode(bundle), gas_class)
    }

    pub(crate) fn prepare_bytes(&self, plaintext: &[u8], gas_class: u8) -> Prepared {
        let message = padded(plaintext);
        let hash = roots::sha256(&[&message]);
        prepare(&OpenedUnit { hash, message: Some(&message), gas_class }, &self.registry)
    }

    pub(crate) fn env(&self) -> SlotEnv {
        SlotEnv {
            slot: Slot(self.slot),
            time_ms: Timestamp(GENESIS_TIME * 1_000 + self.slot * SLOT_MS),
            beacon: roots::sha256(&[b"beacon", &self.slot.to_be_bytes()]),
        }
    }

    /// Executes the next slot.
    pub(crate) fn slot(&mut self, units: &[Prepared]) -> SlotResult {
        self.slot += 1;
        let env = self.env();
        self.executor.order(&env, units);
        self.executor.close()
    }

    /// Executes one bundle in a slot of its own; its outcome and the leg that decided.
    pub(crate) fn one(&mut self, bundle: &Bundle, gas_class: u8) -> (Outcome, u8) {
        let unit = self.prepare(bundle, gas_class);
        let result = self.slot(&[unit]);
        (Outcome::from_number(result.outcomes[0]).unwrap(), result.legs[0])
    }

    pub(crate) fn tokens(&self, chain: ChainId, owner: &Address) -> u128 {
        let answer =
            self.executor.call(chain, &genesis::demo_addresses().token, &demo::balance_of_call(owner)).unwrap();
        demo::word(&answer).unwrap()
    }
}

/// A rollup with one more account in its genesis file.
pub(crate) fn with_account(
    (spec, genesis): &(RollupSpec, RollupGenesis),
    address: &Address,
    account: &str,
) -> (RollupSpec, RollupGenesis) {
    let mut file: serde_json::Value = serde_json::from_slice(&genesis.to_json()).unwrap();
    file["alloc"][address.to_string()] = serde_json::from_str(account).unwrap();
    let genesis = genesis::parse(&serde_json::to_vec(&file).unwrap()).unwrap();
    (RollupSpec { genesis: genesis.hash(), ..spec.clone() }, genesis)
}
