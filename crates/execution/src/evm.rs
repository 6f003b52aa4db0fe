//! One transaction on one rollup: the environment that revm gets, and what its refusals are called.
use crate::state::View;
use alloc::vec::Vec;
use alloy_primitives::{Address, B256, Bytes, TxKind, U256};
use core::convert::Infallible;
use revm::{
    Context, ExecuteEvm, Journal, MainBuilder,
    context::{
        BlockEnv, CfgEnv, TxEnv,
        result::{EVMError, HaltReason, InvalidTransaction, ResultAndState},
    },
    context_interface::block::BlobExcessGasAndPrice,
    primitives::{eip4844, hardfork::SpecId},
};
use types::{Fork, reason::Outcome};

/// The environment of a rollup's block (rollups.md section 4).
#[derive(Clone, Debug)]
pub(crate) struct Env {
    pub(crate) chain_id: u64,
    pub(crate) fork: Fork,
    pub(crate) number: u64,
    pub(crate) timestamp: u64,
    pub(crate) beneficiary: Address,
    pub(crate) gas_limit: u64,
    pub(crate) base_fee: u64,
    pub(crate) prevrandao: B256,
}

/// revm's name of a fork.
pub(crate) fn spec_id(fork: Fork) -> SpecId {
    match fork {
        Fork::Cancun => SpecId::CANCUN,
        Fork::Prague => SpecId::PRAGUE,
    }
}

impl Env {
    fn block(&self) -> BlockEnv {
        let fraction = match self.fork {
            Fork::Cancun => eip4844::BLOB_BASE_FEE_UPDATE_FRACTION_CANCUN,
            Fork::Prague => eip4844::BLOB_BASE_FEE_UPDATE_FRACTION_PRAGUE,
        };
        BlockEnv {
            number: U256::from(self.number),
            beneficiary: self.beneficiary,
            timestamp: U256::from(self.timestamp),
            gas_limit: self.gas_limit,
            basefee: self.base_fee,
            difficulty: U256::ZERO,
            prevrandao: Some(self.prevrandao),
            blob_excess_gas_and_price: Some(BlobExcessGasAndPrice::new(0, fraction)),
            slot_num: 0,
        }
    }

    /// Runs a transaction on a view; the view is left as it was.
    ///
    /// # Errors
    /// The outcome that a transaction of this kind has when no valid block can hold it.
    pub(crate) fn run(&self, view: View<'_>, tx: TxEnv) -> Result<ResultAndState<HaltReason>, Outcome> {
        let context: Context<BlockEnv, TxEnv, CfgEnv, View<'_>, Journal<View<'_>>, ()> =
            Context::new(view, spec_id(self.fork));
        let context = context.with_block(self.block()).modify_cfg_chained(|cfg| cfg.chain_id = self.chain_id);
        context.build_mainnet().transact(tx).map_err(|error| refusal(&error))
    }

    /// Reads by calling a contract from the zero address, without fee.
    ///
    /// # Errors
    /// As [`Env::run`].
    pub(crate) fn call(
        &self,
        view: View<'_>,
        nonce: u64,
        to: Address,
        data: &[u8],
    ) -> Result<ResultAndState<HaltReason>, Outcome> {
        let free = Self { base_fee: 0, ..self.clone() };
        let tx = TxEnv {
            nonce,
            gas_limit: self.gas_limit,
            chain_id: Some(self.chain_id),
            kind: TxKind::Call(to),
            data: Bytes::copy_from_slice(data),
            ..blank()
        };
        free.run(view, tx)
    }
}

/// A transaction with every field empty.
pub(crate) fn blank() -> TxEnv {
    TxEnv {
        tx_type: 0,
        caller: Address::ZERO,
        gas_limit: 0,
        gas_price: 0,
        kind: TxKind::Call(Address::ZERO),
        value: U256::ZERO,
        data: Bytes::new(),
        nonce: 0,
        chain_id: None,
        access_list: Default::default(),
        gas_priority_fee: None,
        blob_hashes: Vec::new(),
        max_fee_per_blob_gas: 0,
        authorization_list: Vec::new(),
    }
}

fn refusal(error: &EVMError<Infallible>) -> Outcome {
    match error {
        EVMError::Transaction(invalid) => invalid_outcome(invalid),
        EVMError::Header(_) | EVMError::Database(_) | EVMError::Custom(_) | EVMError::CustomAny(_) => {
            Outcome::OtherInvalid
        }
    }
}

/// What an invalid transaction is called. Every variant stands here by name: one that a later revm adds does not
/// compile. Those of the last arm were decided before (`prepare`), or have no code of their own.
pub(crate) fn invalid_outcome(invalid: &InvalidTransaction) -> Outcome {
    use InvalidTransaction as I;
    match invalid {
        I::NonceTooLow { .. } => Outcome::NonceTooLow,
        I::NonceTooHigh { .. } => Outcome::NonceTooHigh,
        I::LackOfFundForMaxFee { .. } | I::OverflowPaymentInTransaction => Outcome::InsufficientFunds,
        I::GasPriceLessThanBasefee => Outcome::FeeBelowBase,
        I::RejectCallerWithCode => Outcome::SenderHasCode,
        I::PriorityFeeGreaterThanMaxFee
        | I::CallerGasLimitMoreThanBlock
        | I::CallGasCostMoreThanGasLimit { .. }
        | I::GasFloorMoreThanGasLimit { .. }
        | I::NonceOverflowInTransaction
        | I::CreateInitCodeSizeLimit
        | I::InvalidChainId
        | I::MissingChainId
        | I::TxGasLimitGreaterThanCap { .. }
        | I::AccessListNotSupported
        | I::MaxFeePerBlobGasNotSupported
        | I::BlobVersionedHashesNotSupported
        | I::BlobGasPriceGreaterThanMax { .. }
        | I::EmptyBlobs
        | I::BlobCreateTransaction
        | I::TooManyBlobs { .. }
        | I::BlobVersionNotSupported
        | I::AuthorizationListNotSupported
        | I::AuthorizationListInvalidFields
        | I::EmptyAuthorizationList
        | I::Eip2930NotSupported
        | I::Eip1559NotSupported
        | I::Eip4844NotSupported
        | I::Eip7702NotSupported
        | I::Eip7873NotSupported
        | I::Eip7873MissingTarget
        | I::Str(_) => Outcome::OtherInvalid,
    }
}
