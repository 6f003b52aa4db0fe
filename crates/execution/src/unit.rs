//! From an opened plaintext to legs that can run: everything that the plaintext and the registry alone decide.
use crate::evm::{blank, spec_id};
use alloc::{boxed::Box, collections::BTreeMap, vec::Vec};
use alloy_consensus::{EthereumTxEnvelope, Transaction, TxEip4844, TxType, Typed2718, transaction::SignerRecoverable};
use alloy_eips::eip2718::{Decodable2718, Encodable2718};
use alloy_primitives::{Address as EvmAddress, Keccak256};
use revm::{
    context::{TxEnv, either::Either},
    context_interface::transaction::RecoveredAuthorization,
    handler::validation::validate_initial_tx_gas,
    primitives::eip3860,
};
use types::{Address, Bundle, ChainId, Fork, Hash, Leg, Policy, RollupSpec, codec, limits, reason::Outcome};

/// The system account: its secret key is public, so nothing that it signs may enter a bundle (rollups.md section 6).
pub const SYSTEM_ACCOUNT: Address = Address([
    0x21, 0x10, 0xe0, 0x4b, 0x27, 0x4b, 0x6d, 0x55, 0x05, 0x2d, 0x0c, 0x05, 0x28, 0x06, 0xb6, 0x71, 0x82, 0x87, 0x15,
    0x9a,
]);

pub(crate) type Tx = EthereumTxEnvelope<TxEip4844>;

/// The rollups of a network, as far as a plaintext is judged by them.
#[derive(Clone, Debug)]
pub struct Registry {
    rollups: BTreeMap<ChainId, Rollup>,
}

#[derive(Clone, Debug)]
struct Rollup {
    exec: bool,
    fork: Fork,
    max_leg_gas: u64,
    /// floor(U / K): what a unit may declare on this rollup.
    slot_gas: u64,
}

impl Registry {
    /// The registry of a network: executed rollups and inclusion-only ones.
    #[must_use]
    pub fn new(specs: &[RollupSpec], slot_ms: u64) -> Self {
        let slots = block_slots(slot_ms);
        let rollup = |spec: &RollupSpec| Rollup {
            exec: spec.exec,
            fork: spec.fork,
            max_leg_gas: spec.max_leg_gas,
            slot_gas: slot_cap(spec.gas_limit, 1, slots),
        };
        Self { rollups: specs.iter().map(|spec| (spec.chain_id, rollup(spec))).collect() }
    }
}

/// K: slots of a batch, ceil(1000 / slot_ms).
pub(crate) fn block_slots(slot_ms: u64) -> u64 {
    1_000u64.div_ceil(slot_ms.max(1))
}

/// floor(U i / K) with U = 9/10 of the block: how far the units of the first `i` slots of a batch may use its gas.
pub(crate) fn slot_cap(gas_limit: u64, i: u64, slots: u64) -> u64 {
    let units = u128::from(gas_limit).saturating_mul(9).checked_div(10).unwrap_or(0);
    let cap = units.saturating_mul(u128::from(i)).checked_div(u128::from(slots)).unwrap_or(0);
    u64::try_from(cap).unwrap_or(u64::MAX)
}

/// floor((gas limit - U) / K): what the tail of one slot may use.
pub(crate) fn tail_cap(gas_limit: u64, slots: u64) -> u64 {
    gas_limit.saturating_sub(slot_cap(gas_limit, slots, slots)).checked_div(slots).unwrap_or(0)
}

/// A unit of the set after the reveal.
#[derive(Clone, Copy, Debug)]
pub struct OpenedUnit<'a> {
    /// Envelope hash.
    pub hash: Hash,
    /// The padded message: u32 little-endian length, that many bytes, zeros. `None`: the ciphertext does not open.
    pub message: Option<&'a [u8]>,
    /// Gas class of the envelope: its legs may declare 2^`gas_class` gas.
    pub gas_class: u8,
}

/// A unit with its legs decoded and their senders recovered, or with the code it failed with. Either way it keeps its
/// place in the order.
#[derive(Clone, Debug)]
pub struct Prepared {
    pub(crate) hash: Hash,
    /// Ascending, each once: rollups that a leg names and the network has.
    pub(crate) chains: Vec<ChainId>,
    pub(crate) body: Body,
}

#[derive(Clone, Debug)]
pub(crate) enum Body {
    Failed { outcome: Outcome, leg: u8 },
    Ready(Ready),
}

#[derive(Clone, Debug)]
pub(crate) struct Ready {
    pub(crate) policy: Policy,
    pub(crate) deadline: types::Slot,
    pub(crate) legs: Vec<ReadyLeg>,
    /// Gas to keep free on each executed rollup: its own legs and room for deliveries.
    pub(crate) needs: Vec<(ChainId, u64)>,
}

#[derive(Clone, Debug)]
pub(crate) struct ReadyLeg {
    pub(crate) chain: ChainId,
    /// keccak-256 of the raw transaction.
    pub(crate) hash: Hash,
    /// `None`: opaque bytes for a rollup that is not executed here.
    pub(crate) run: Option<Box<Run>>,
}

#[derive(Clone, Debug)]
pub(crate) struct Run {
    pub(crate) tx: TxEnv,
    pub(crate) kind: TxType,
}

impl Prepared {
    /// Envelope hash.
    #[must_use]
    pub fn hash(&self) -> Hash {
        self.hash
    }
    /// The code and the deciding leg, when the plaintext alone decides.
    #[must_use]
    pub fn failed(&self) -> Option<(Outcome, u8)> {
        match &self.body {
            Body::Failed { outcome, leg } => Some((*outcome, *leg)),
            Body::Ready(_) => None,
        }
    }
}

/// Why a plaintext fails: the code, and the first leg that it applies to.
struct Failed(Outcome, u8);

/// Judges one unit. Pure, and the only slow part is recovering senders: callers run it on all cores.
///
/// The outcome is the lowest code that applies, its leg the first that it applies to (`EXE-3`).
#[must_use]
pub fn prepare(unit: &OpenedUnit<'_>, reg: &Registry) -> Prepared {
    let mut chains = Vec::new();
    let body = match judge(unit, reg, &mut chains) {
        Ok(ready) => Body::Ready(ready),
        Err(Failed(outcome, leg)) => Body::Failed { outcome, leg },
    };
    Prepared { hash: unit.hash, chains, body }
}

/// Judges one bundle of a tail, as [`prepare`] does units. `hash`: the identity of the tail's unit. It has no gas class:
/// the tail's own gas bounds it when it runs.
#[must_use]
pub fn prepare_tail(hash: Hash, bundle: &Bundle, reg: &Registry) -> Prepared {
    let mut chains = Vec::new();
    let known = Some(bundle).filter(|bundle| bundle.version == Bundle::VERSION);
    let judged =
        known.ok_or(Failed(Outcome::BadPlaintext, 0)).and_then(|b| bundle_of(b.clone(), None, reg, &mut chains));
    let body = match judged {
        Ok(ready) => Body::Ready(ready),
        Err(Failed(outcome, leg)) => Body::Failed { outcome, leg },
    };
    Prepared { hash, chains, body }
}

fn judge(unit: &OpenedUnit<'_>, reg: &Registry, chains: &mut Vec<ChainId>) -> Result<Ready, Failed> {
    // 16, 17
    let message = unit.message.ok_or(Failed(Outcome::NotOpened, 0))?;
    let bundle = open(message).ok_or(Failed(Outcome::BadPlaintext, 0))?;
    bundle_of(bundle, Some(unit.gas_class), reg, chains)
}

fn bundle_of(
    bundle: Bundle,
    gas_class: Option<u8>,
    reg: &Registry,
    chains: &mut Vec<ChainId>,
) -> Result<Ready, Failed> {
    // 18, 19
    if bundle.legs.is_empty() {
        return Err(Failed(Outcome::NoLegs, 0));
    }
    if bundle.legs.len() > limits::LEGS_MAX {
        return Err(Failed(Outcome::TooManyLegs, 0));
    }
    // 20, 21
    *chains = bundle.legs.iter().map(|leg| leg.chain_id).filter(|id| reg.rollups.contains_key(id)).collect();
    chains.sort_unstable();
    chains.dedup();
    let rollups = each(&bundle.legs, |leg| reg.rollups.get(&leg.chain_id), Outcome::UnknownChain)?;
    each(&rollups, |r| (r.exec || bundle.policy == Policy::AtomicInclusion).then_some(()), Outcome::NotExecutedHere)?;
    // 22 to 26
    let decoded: Vec<Judged<'_>> =
        bundle.legs.into_iter().zip(rollups).map(|(leg, rollup)| Judged { leg, rollup, tx: None }).collect();
    let decoded = decode(decoded)?;
    each(&decoded, |leg| leg.on_tx(|tx| type_accepted(tx, leg.rollup.fork)), Outcome::TxType)?;
    each(&decoded, |leg| leg.on_tx(|tx| tx.chain_id() == Some(leg.leg.chain_id.0)), Outcome::WrongChainId)?;
    let legs = each(&decoded, recover, Outcome::BadSignature)?;
    each(&legs, |leg| (!signed_by_system(leg)).then_some(()), Outcome::SystemSender)?;
    // 27, 28
    let needs = gas(&decoded, &legs, gas_class)?;
    // 29 to 31
    let runs: Vec<_> = legs.iter().zip(&decoded).map(|(leg, d)| (leg.run.as_ref(), d.rollup.fork)).collect();
    each(
        &runs,
        |(run, fork)| run.is_none_or(|r| intrinsic_gas_covered(&r.tx, *fork)).then_some(()),
        Outcome::IntrinsicGas,
    )?;
    each(&runs, |(run, _)| run.is_none_or(|r| tip_within_fee(&r.tx)).then_some(()), Outcome::TipOverFee)?;
    each(&runs, |(run, _)| run.is_none_or(|r| initcode_fits(&r.tx)).then_some(()), Outcome::InitcodeSize)?;
    Ok(Ready { policy: bundle.policy, deadline: bundle.deadline_slot, legs, needs })
}

/// `f` of every item, or the code with the index of the first that has none.
fn each<'a, T, U>(items: &'a [T], f: impl Fn(&'a T) -> Option<U>, code: Outcome) -> Result<Vec<U>, Failed> {
    items.iter().zip(0u8..).map(|(item, i)| f(item).ok_or(Failed(code, i))).collect()
}

/// Takes the padding off and decodes.
fn open(message: &[u8]) -> Option<Bundle> {
    let max = limits::SIZE_CLASS_BYTES.last().copied().unwrap_or(0);
    if message.len() > max {
        return None;
    }
    let (length, rest) = message.split_first_chunk::<4>()?;
    let (bytes, padding) = rest.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)?;
    if padding.iter().any(|byte| *byte != 0) {
        return None;
    }
    codec::decode::<Bundle>(bytes, max).ok().filter(|bundle| bundle.version == Bundle::VERSION)
}

/// A leg on its way through the checks; `tx` is set for executed rollups.
struct Judged<'a> {
    leg: Leg,
    rollup: &'a Rollup,
    tx: Option<Tx>,
}

impl Judged<'_> {
    fn on_tx(&self, holds: impl Fn(&Tx) -> bool) -> Option<()> {
        self.tx.as_ref().is_none_or(holds).then_some(())
    }
}

fn decode(mut legs: Vec<Judged<'_>>) -> Result<Vec<Judged<'_>>, Failed> {
    for (judged, i) in legs.iter_mut().zip(0u8..) {
        if judged.rollup.exec {
            judged.tx = Some(decode_tx(&judged.leg.tx).ok_or(Failed(Outcome::TxDecode, i))?);
        }
    }
    Ok(legs)
}

/// EIP-2718, canonical: the bytes are what the transaction encodes to.
pub(crate) fn decode_tx(raw: &[u8]) -> Option<Tx> {
    let tx = Tx::decode_2718_exact(raw).ok()?;
    (tx.encoded_2718() == raw).then_some(tx)
}

fn type_accepted(tx: &Tx, fork: Fork) -> bool {
    match tx.tx_type() {
        TxType::Legacy => tx.chain_id().is_some(),
        TxType::Eip2930 | TxType::Eip1559 => true,
        TxType::Eip4844 => false,
        TxType::Eip7702 => fork == Fork::Prague,
    }
}

/// The leg with its sender, and the authorities of its EIP-7702 list, recovered once for good.
fn recover(judged: &Judged<'_>) -> Option<ReadyLeg> {
    let mut hasher = Keccak256::new();
    hasher.update(&judged.leg.tx);
    let hash = Hash(hasher.finalize().0);
    let run = match &judged.tx {
        Some(tx) => Some(Box::new(Run { tx: tx_env(tx, tx.recover_signer().ok()?), kind: tx.tx_type() })),
        None => None,
    };
    Some(ReadyLeg { chain: judged.leg.chain_id, hash, run })
}

fn tx_env(tx: &Tx, caller: EvmAddress) -> TxEnv {
    TxEnv {
        tx_type: tx.ty(),
        caller,
        gas_limit: tx.gas_limit(),
        gas_price: tx.max_fee_per_gas(),
        kind: tx.kind(),
        value: tx.value(),
        data: tx.input().clone(),
        nonce: tx.nonce(),
        chain_id: tx.chain_id(),
        access_list: tx.access_list().cloned().unwrap_or_default(),
        gas_priority_fee: tx.max_priority_fee_per_gas(),
        authorization_list: tx
            .authorization_list()
            .unwrap_or_default()
            .iter()
            .map(|signed| Either::Right(signed.clone().into_recovered()))
            .collect(),
        ..blank()
    }
}

fn signed_by_system(leg: &ReadyLeg) -> bool {
    let system = EvmAddress::from(SYSTEM_ACCOUNT.0);
    leg.run.as_ref().is_some_and(|run| {
        run.tx.caller == system
            || run
                .tx
                .authorization_list
                .iter()
                .any(|a| a.as_ref().right().and_then(RecoveredAuthorization::authority) == Some(system))
    })
}

/// 27 and 28; what the unit needs on each executed rollup, ascending.
fn gas(judged: &[Judged<'_>], legs: &[ReadyLeg], gas_class: Option<u8>) -> Result<Vec<(ChainId, u64)>, Failed> {
    let class = gas_class.map(|class| 1u64.checked_shl(u32::from(class)).unwrap_or(u64::MAX));
    let declared = |leg: &ReadyLeg| leg.run.as_ref().map_or(0, |run| run.tx.gas_limit);
    let mut sum = 0u64;
    let mut needs = BTreeMap::<ChainId, u64>::new();
    for (leg, i) in legs.iter().zip(0u8..) {
        sum = sum.saturating_add(declared(leg));
        if class.is_some_and(|class| sum > class) {
            return Err(Failed(Outcome::GasOverClass, i));
        }
        if leg.run.is_some() {
            needs.entry(leg.chain).or_default();
        }
    }
    // Room for deliveries: what the class leaves, kept free on each rollup when there are two or more.
    let room = if needs.len() >= 2 { class.map_or(0, |class| class.saturating_sub(sum)) } else { 0 };
    needs.values_mut().for_each(|need| *need = room);
    for ((leg, judged), i) in legs.iter().zip(judged).zip(0u8..) {
        let Some(need) = needs.get_mut(&leg.chain).filter(|_| leg.run.is_some()) else { continue };
        *need = need.saturating_add(declared(leg));
        let over_slot = class.is_some() && *need > judged.rollup.slot_gas;
        if declared(leg) > judged.rollup.max_leg_gas || over_slot {
            return Err(Failed(Outcome::LegGasTooHigh, i));
        }
    }
    Ok(needs.into_iter().collect())
}

fn intrinsic_gas_covered(tx: &TxEnv, fork: Fork) -> bool {
    validate_initial_tx_gas(tx, spec_id(fork), false, false, u64::MAX, None).is_ok()
}

fn tip_within_fee(tx: &TxEnv) -> bool {
    tx.gas_priority_fee.is_none_or(|tip| tip <= tx.gas_price)
}

fn initcode_fits(tx: &TxEnv) -> bool {
    tx.kind.is_call() || tx.data.len() <= eip3860::MAX_INITCODE_SIZE
}
