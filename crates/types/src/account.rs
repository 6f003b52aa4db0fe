//! An account's own operations: money to others, into a bond and out of it (wallets-and-builders.md section 3, A-02).
use crate::{Address, Amount, Epoch, EthSignature, Hash, Nonce};
use serde::{Deserialize, Serialize};

/// What an account asks for. The account signs it as EIP-712, without the network, which is the domain's salt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountHeader {
    /// Format; 1.
    pub version: u8,
    /// Network id.
    pub network: Hash,
    /// It counts in this epoch and the next: what nobody entered by then never takes effect.
    pub epoch: Epoch,
    /// [`AccountHeader::TRANSFER`] and so on.
    pub kind: u8,
    /// Who signs, acts and pays the fee.
    pub account: Address,
    /// Contiguous over the account's operations; envelopes count on their own.
    pub nonce: Nonce,
    /// Who receives a transfer; zero otherwise.
    pub to: Address,
    /// How much.
    pub amount: Amount,
    /// For kinds to come; zero in those that exist.
    pub data: Hash,
}

impl AccountHeader {
    /// The only format.
    pub const VERSION: u8 = 1;
    /// From the balance to another account's.
    pub const TRANSFER: u8 = 1;
    /// From the balance to the bond.
    pub const BOND: u8 = 2;
    /// From the free bond, to be withdrawn later.
    pub const UNBOND: u8 = 3;
    /// From what left the bond to the balance.
    pub const WITHDRAW: u8 = 4;
    /// Registration of a rollup: no network takes it yet.
    pub const ROLLUP: u8 = 5;
}

/// An account's operation as it travels and as it stands in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedAccountOperation {
    /// What is signed.
    pub header: AccountHeader,
    /// The account's EIP-712 signature.
    pub signature: EthSignature,
}
