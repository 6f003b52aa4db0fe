//! What a wallet needs to try a demo rollup: calls of the two contracts, and a transaction to sign.
use alloc::vec::Vec;
use alloy_consensus::{SignableTransaction, TxEip1559, TxEnvelope};
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{Address as EvmAddress, Signature, TxKind, U256};
use alloy_sol_types::{SolCall, sol};
use types::{Address, ChainId, EthSignature, Hash, Leg};

/// The demo contracts of a rollup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DemoAddresses {
    /// Token.sol.
    pub token: Address,
    /// Amm.sol: native coin against token.
    pub amm: Address,
}

/// `Lockstep` and a number, like the mailbox's address.
const fn address(last: u8) -> Address {
    let mut bytes = [0u8; 20];
    let [a, b, c, d, e, f, g, h, .., z] = &mut bytes;
    (*a, *b, *c, *d, *e, *f, *g, *h) = (b'L', b'o', b'c', b'k', b's', b't', b'e', b'p');
    *z = last;
    Address(bytes)
}

pub(crate) const ADDRESSES: DemoAddresses = DemoAddresses { token: address(0xa1), amm: address(0xa2) };
/// Receives the tips of demo rollups.
pub(crate) const FEE_RECIPIENT: Address = address(0xfe);

/// Gas that covers any call below, and a transfer of coins.
pub const CALL_GAS: u64 = 120_000;
/// Gas of a transfer of coins to an account without code.
pub const TRANSFER_GAS: u64 = 21_000;

sol! {
    function transfer(address to, uint256 value) external returns (bool);
    function transferFrom(address from, address to, uint256 value) external returns (bool);
    function approve(address spender, uint256 value) external returns (bool);
    function balanceOf(address owner) external view returns (uint256);
    function reserveNative() external view returns (uint256);
    function reserveToken() external view returns (uint256);
    function swapNativeForToken(uint256 minOut, address to) external payable returns (uint256 out);
    function swapTokenForNative(uint256 amountIn, uint256 minOut, address to) external returns (uint256 out);
}

fn evm(address: &Address) -> EvmAddress {
    EvmAddress::from(address.0)
}

/// Token: sends `value` base units of the sender's.
#[must_use]
pub fn transfer_call(to: &Address, value: u128) -> Vec<u8> {
    transferCall { to: evm(to), value: U256::from(value) }.abi_encode()
}

/// Token: sends `value` base units of `from`, who has allowed them to the sender.
#[must_use]
pub fn transfer_from_call(from: &Address, to: &Address, value: u128) -> Vec<u8> {
    transferFromCall { from: evm(from), to: evm(to), value: U256::from(value) }.abi_encode()
}

/// Token: allows `value` base units to `spender`.
#[must_use]
pub fn approve_call(spender: &Address, value: u128) -> Vec<u8> {
    approveCall { spender: evm(spender), value: U256::from(value) }.abi_encode()
}

/// Token: reads a balance; the answer is one word ([`word`]).
#[must_use]
pub fn balance_of_call(owner: &Address) -> Vec<u8> {
    balanceOfCall { owner: evm(owner) }.abi_encode()
}

/// Market: sells the coins sent along for at least `min_out` base units of the token.
#[must_use]
pub fn swap_native_for_token_call(min_out: u128, to: &Address) -> Vec<u8> {
    swapNativeForTokenCall { minOut: U256::from(min_out), to: evm(to) }.abi_encode()
}

/// Market: sells `amount_in` base units of the token for at least `min_out` wei.
#[must_use]
pub fn swap_token_for_native_call(amount_in: u128, min_out: u128, to: &Address) -> Vec<u8> {
    swapTokenForNativeCall { amountIn: U256::from(amount_in), minOut: U256::from(min_out), to: evm(to) }.abi_encode()
}

/// Market: reads the coins in the pool, wei; one word.
#[must_use]
pub fn reserve_native_call() -> Vec<u8> {
    reserveNativeCall {}.abi_encode()
}

/// Market: reads the tokens in the pool, base units; one word.
#[must_use]
pub fn reserve_token_call() -> Vec<u8> {
    reserveTokenCall {}.abi_encode()
}

/// The number in an answer of one word; `None` when it is not one word, or 2^128 or more.
#[must_use]
pub fn word(answer: &[u8]) -> Option<u128> {
    let bytes: &[u8; 32] = answer.try_into().ok()?;
    u128::try_from(U256::from_be_bytes(*bytes)).ok()
}

/// What `amount_in` buys from a pool of these reserves, as Amm.sol computes it; `None` when it does not fit 128 bits.
#[must_use]
pub fn quote(amount_in: u128, reserve_in: u128, reserve_out: u128) -> Option<u128> {
    let paid = U256::from(amount_in).saturating_mul(U256::from(997));
    let divisor = U256::from(reserve_in).saturating_mul(U256::from(1_000)).saturating_add(paid);
    let out = paid.checked_mul(U256::from(reserve_out))?.checked_div(divisor)?;
    u128::try_from(out).ok()
}

/// Smallest gas class of legs that declare this much gas in all.
#[must_use]
pub fn gas_class(declared: u64) -> u8 {
    (0u8..64).find(|class| 1u64.checked_shl(u32::from(*class)).is_some_and(|gas| gas >= declared)).unwrap_or(64)
}

/// An EIP-1559 transaction to be signed by a wallet; this crate holds no keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LegTx {
    /// The rollup.
    pub chain_id: ChainId,
    /// Nonce of the sender on that rollup.
    pub nonce: u64,
    /// Recipient or contract.
    pub to: Address,
    /// Wei sent along.
    pub value: u128,
    /// Calldata.
    pub data: Vec<u8>,
    /// Gas limit.
    pub gas_limit: u64,
    /// Highest price of gas, wei.
    pub max_fee_per_gas: u128,
    /// Tip, wei per gas.
    pub max_priority_fee_per_gas: u128,
}

impl LegTx {
    fn unsigned(&self) -> TxEip1559 {
        TxEip1559 {
            chain_id: self.chain_id.0,
            nonce: self.nonce,
            gas_limit: self.gas_limit,
            max_fee_per_gas: self.max_fee_per_gas,
            max_priority_fee_per_gas: self.max_priority_fee_per_gas,
            to: TxKind::Call(evm(&self.to)),
            value: U256::from(self.value),
            access_list: Default::default(),
            input: self.data.clone().into(),
        }
    }

    /// What the sender signs.
    #[must_use]
    pub fn digest(&self) -> Hash {
        Hash(self.unsigned().signature_hash().0)
    }

    /// The leg, given the sender's signature over [`LegTx::digest`].
    #[must_use]
    pub fn leg(&self, signature: &EthSignature) -> Leg {
        let (rs, v) = signature.0.split_at(64);
        let (r, s) = rs.split_at(32);
        let signature = Signature::new(U256::from_be_slice(r), U256::from_be_slice(s), v == [28]);
        let tx = TxEnvelope::Eip1559(self.unsigned().into_signed(signature));
        Leg { chain_id: self.chain_id, tx: tx.encoded_2718() }
    }
}
