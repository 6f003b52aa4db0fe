//! Wallets of a devnet: keys that follow from a seed, and bundles that really are signed.
//!
//! A [`DemoWallet`] has one fee account and one sender, which has the same address on every rollup. It counts its own
//! nonces: those of bundles under way are planned, those of committed ones are used, those of aborted and dropped ones
//! are used again (`WAL-4`). After a surprise it waits until nothing is under way, and starts again from what it knows.
//!
//! # Security
//! Whoever knows the seed has the keys. For networks that are thrown away.
use crate::{NetworkView, SealError, SealOptions, offer, seal_bundle, size_class};
use crypto::{eth::EthKey, hash::sha256};
use execution::{
    demo::{
        CALL_GAS, LegTx, TRANSFER_GAS, gas_class, swap_native_for_token_call, swap_token_for_native_call, transfer_call,
    },
    genesis::demo_addresses,
};
use std::collections::{BTreeMap, BTreeSet};
use types::{Address, Bundle, ChainId, Envelope, Hash, Leg, Nonce, Policy, Slot, reason::Outcome, wire::Params};
use zeroize::Zeroizing;

/// Highest price of gas that demo legs offer, wei: far above what a devnet reaches.
const MAX_FEE_PER_GAS: u128 = 100_000_000_000;
/// Tip of demo legs, wei per gas.
const TIP_PER_GAS: u128 = 1_000_000;
/// Coins that a demo leg moves, wei: a thousandth of a coin.
const COINS: u128 = 1_000_000_000_000_000;
/// Tokens that a demo leg moves, base units: one token.
const TOKENS: u128 = 1_000_000_000_000_000_000;
/// Coins that a demo leg trades on one rollup alone, wei: some hundredth of the market's, so that rollups' prices part.
const TRADED_COINS: u128 = 8_000 * COINS;
/// Tokens that it trades, at the market's first price.
const TRADED_TOKENS: u128 = 16_000 * TOKENS;

/// A secret key that follows from a seed, a role and an index.
#[must_use]
pub fn demo_key(seed: &[u8; 32], role: &str, index: u32) -> EthKey {
    let mut secret = Zeroizing::new(sha256(&[b"lockstep demo key", seed, role.as_bytes(), &index.to_le_bytes()]).0);
    loop {
        // A digest is out of range once in 2^128.
        match EthKey::from_bytes(secret.clone()) {
            Ok(key) => return key,
            Err(_out_of_range) => secret = Zeroizing::new(sha256(&[secret.as_slice()]).0),
        }
    }
}

/// What a demo bundle does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DemoKind {
    /// One leg: coins to somebody.
    Transfer,
    /// One leg: tokens to somebody.
    TokenTransfer,
    /// One leg: coins for tokens at the market.
    Buy,
    /// One leg: tokens for coins at the market.
    Sell,
    /// Two legs on two rollups: tokens sold on one, bought on the other. Atomic.
    CrossSwap,
    /// Two legs on two rollups, the last of which asks the market for what it cannot give: everything is undone.
    CrossRevert,
}

impl DemoKind {
    /// Every kind.
    pub const ALL: [Self; 6] =
        [Self::Transfer, Self::TokenTransfer, Self::Buy, Self::Sell, Self::CrossSwap, Self::CrossRevert];

    /// A mix: of 16 draws 3 transfers, 3 of tokens, 2 buy, 2 sell, 4 across rollups, 2 that abort.
    #[must_use]
    pub const fn of(draw: u8) -> Self {
        match draw & 15 {
            0..=2 => Self::Transfer,
            3..=5 => Self::TokenTransfer,
            6 | 7 => Self::Buy,
            8 | 9 => Self::Sell,
            10..=13 => Self::CrossSwap,
            _ => Self::CrossRevert,
        }
    }
    /// The bundle is made to be undone.
    #[must_use]
    pub const fn aborts(self) -> bool {
        matches!(self, Self::CrossRevert)
    }
    const fn crosses(self) -> bool {
        matches!(self, Self::CrossSwap | Self::CrossRevert)
    }
}

/// Why a demo wallet makes no envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DemoError {
    /// The kind needs more rollups than the wallet has.
    #[error("too few rollups")]
    Rollups,
    /// As much is under way as may be, or the wallet waits for all of it after a surprise: settle first.
    #[error("waits for what is under way")]
    Waits,
    /// No sensible offer at these prices.
    #[error("prices out of range")]
    Prices,
    /// The bundle cannot be sealed.
    #[error("seal: {0}")]
    Seal(#[from] SealError),
}

/// What the wallet is told about an envelope it made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// Executed, with this outcome.
    Executed(Outcome),
    /// In no set, and cannot be in one any more.
    Dropped,
}

/// A sealed demo bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made {
    /// Envelope hash.
    pub item: Hash,
    /// To submit.
    pub envelope: Envelope,
    /// The plaintext.
    pub bundle: Bundle,
    /// What it does.
    pub kind: DemoKind,
}

#[derive(Clone, Debug)]
struct UnderWay {
    fee_nonce: Nonce,
    /// Rollup nonces that it uses if it commits.
    uses: BTreeMap<ChainId, u64>,
    kind: DemoKind,
}

/// A wallet of a devnet.
#[expect(missing_debug_implementations, reason = "holds secrets")]
pub struct DemoWallet {
    fee: EthKey,
    sender: EthKey,
    chains: Vec<ChainId>,
    /// Next nonce per rollup, counting what is under way and expected to commit.
    planned: BTreeMap<ChainId, u64>,
    /// Next nonce per rollup, counting what has committed.
    committed: BTreeMap<ChainId, u64>,
    fee_next: Nonce,
    /// Fee nonces of dropped envelopes: the next to be used, or nothing after them can be in a set.
    fee_free: BTreeSet<Nonce>,
    under_way: BTreeMap<Hash, UnderWay>,
    under_way_max: usize,
    surprised: bool,
    turn: usize,
}

impl DemoWallet {
    /// The wallet of this index, on these rollups, with at most so many envelopes under way.
    #[must_use]
    pub fn new(seed: &[u8; 32], index: u32, chains: &[ChainId], under_way_max: usize) -> Self {
        Self {
            fee: demo_key(seed, "fee", index),
            sender: demo_key(seed, "sender", index),
            chains: chains.to_vec(),
            planned: BTreeMap::new(),
            committed: BTreeMap::new(),
            fee_next: Nonce(0),
            fee_free: BTreeSet::new(),
            under_way: BTreeMap::new(),
            under_way_max,
            surprised: false,
            turn: usize::try_from(index).unwrap_or(0),
        }
    }

    /// Pays for inclusion: to be given a balance on the ledger.
    #[must_use]
    pub fn fee_account(&self) -> Address {
        self.fee.address()
    }

    /// Sends the legs: to be funded on every rollup.
    #[must_use]
    pub fn sender(&self) -> Address {
        self.sender.address()
    }

    /// Starts from other nonces than zero: those of the ledger and of the rollups.
    pub fn resume(&mut self, fee: Nonce, rollups: &[(ChainId, u64)]) {
        self.fee_next = fee;
        self.committed = rollups.iter().copied().collect();
        self.planned = self.committed.clone();
    }

    /// Envelopes under way.
    #[must_use]
    pub fn under_way(&self) -> usize {
        self.under_way.len()
    }

    /// An envelope may be made now.
    #[must_use]
    pub fn ready(&self) -> bool {
        !self.surprised && self.under_way.len() < self.under_way_max
    }

    /// Makes, signs and seals a bundle that stays payable for `slots` slots. `salt` may be public, `entropy` not.
    ///
    /// # Errors
    /// [`DemoError::Waits`] before [`Self::settle`] has made room; others when kind and network do not fit.
    pub fn make(
        &mut self,
        view: &NetworkView,
        params: &Params,
        kind: DemoKind,
        slots: u64,
        salt: Hash,
        entropy: Zeroizing<[u8; 32]>,
    ) -> Result<Made, DemoError> {
        if !self.ready() {
            return Err(DemoError::Waits);
        }
        let expiry_slot = params.last_final.plus(slots);
        let legs = self.legs(kind)?;
        let declared = legs.iter().map(|leg| leg.gas_limit).sum();
        let mut uses = BTreeMap::new();
        for leg in &legs {
            let used: &mut u64 = uses.entry(leg.chain_id).or_default();
            *used = used.saturating_add(1);
        }
        let bundle = Bundle {
            version: Bundle::VERSION,
            policy: Policy::AtomicExec,
            legs: legs.iter().map(|leg| self.signed(leg)).collect(),
            deadline_slot: Slot(expiry_slot.0.saturating_add(view.params.carry_slots_max)),
            salt,
        };
        let gas_class = gas_class(declared);
        let fee_nonce = self.fee_free.first().copied().unwrap_or(self.fee_next);
        let options = SealOptions {
            epoch: params.epoch,
            expiry_slot,
            gas_class,
            max_fee: offer(params, size_class(&bundle)?, gas_class).ok_or(DemoError::Prices)?,
            after: Vec::new(),
            consents: Vec::new(),
        };
        let (item, envelope) = seal_bundle(view, &self.fee, fee_nonce, &bundle, options, entropy)?;
        if !self.fee_free.remove(&fee_nonce) {
            self.fee_next = fee_nonce.next();
        }
        if !kind.aborts() {
            for (chain, used) in &uses {
                let next = self.planned.entry(*chain).or_default();
                *next = next.saturating_add(*used);
            }
        }
        self.turn = self.turn.wrapping_add(1);
        self.under_way.insert(item, UnderWay { fee_nonce, uses, kind });
        Ok(Made { item, envelope, bundle, kind })
    }

    /// Takes in what became of an envelope; true if it was one that was under way.
    pub fn settle(&mut self, item: &Hash, settled: Settled) -> bool {
        let Some(UnderWay { fee_nonce, uses, kind }) = self.under_way.remove(item) else { return false };
        let committed = settled == Settled::Executed(Outcome::Committed);
        if committed {
            for (chain, used) in uses {
                let next = self.committed.entry(chain).or_default();
                *next = next.saturating_add(used);
            }
        }
        if settled == Settled::Dropped {
            self.fee_free.insert(fee_nonce);
        }
        // Later bundles were signed for nonces that this one has not used up, or has.
        let expected = committed != kind.aborts() && settled != Settled::Dropped;
        self.surprised |= !expected;
        if self.under_way.is_empty() {
            self.planned = self.committed.clone();
            self.surprised = false;
        }
        true
    }

    fn chain(&self, offset: usize) -> Option<ChainId> {
        let at = self.turn.wrapping_add(offset).checked_rem(self.chains.len())?;
        self.chains.get(at).copied()
    }

    fn legs(&self, kind: DemoKind) -> Result<Vec<LegTx>, DemoError> {
        let here = self.chain(0).ok_or(DemoError::Rollups)?;
        let there = self.chain(1).filter(|there| *there != here || !kind.crosses()).ok_or(DemoError::Rollups)?;
        let (token, amm) = (demo_addresses().token, demo_addresses().amm);
        let me = self.sender();
        let leg = |chain_id: ChainId, to: Address, value: u128, data: Vec<u8>| LegTx {
            chain_id,
            nonce: self.planned.get(&chain_id).copied().unwrap_or(0),
            to,
            value,
            gas_limit: if data.is_empty() { TRANSFER_GAS } else { CALL_GAS },
            data,
            max_fee_per_gas: MAX_FEE_PER_GAS,
            max_priority_fee_per_gas: TIP_PER_GAS,
        };
        let sell = |chain, tokens, least| leg(chain, amm, 0, swap_token_for_native_call(tokens, least, &me));
        let buy = |chain, coins, least| leg(chain, amm, coins, swap_native_for_token_call(least, &me));
        Ok(match kind {
            DemoKind::Transfer => vec![leg(here, self.stranger(), COINS, Vec::new())],
            DemoKind::TokenTransfer => vec![leg(here, token, 0, transfer_call(&self.stranger(), TOKENS))],
            DemoKind::Buy => vec![buy(here, TRADED_COINS, 1)],
            DemoKind::Sell => vec![sell(here, TRADED_TOKENS, 1)],
            DemoKind::CrossSwap => vec![sell(here, TOKENS, 1), buy(there, COINS, 1)],
            DemoKind::CrossRevert => vec![sell(here, TOKENS, 1), buy(there, COINS, u128::MAX)],
        })
    }

    /// Somebody without code: an account that follows from the sender and the turn, a few in all.
    fn stranger(&self) -> Address {
        let [turn, ..] = self.turn.to_le_bytes();
        let digest = sha256(&[b"lockstep demo stranger", self.sender().as_ref(), &[turn & 7]]);
        let mut address = [0; 20];
        address.iter_mut().zip(digest.0).for_each(|(to, from)| *to = from);
        Address(address)
    }

    fn signed(&self, leg: &LegTx) -> Leg {
        leg.leg(&self.sender.sign(&leg.digest()))
    }
}

#[cfg(test)]
mod tests;
