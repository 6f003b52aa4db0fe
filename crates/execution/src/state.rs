//! The state of one rollup, and the overlay that a unit writes to until it is decided.
//!
//! Keys are the hashed keys of Ethereum's state trie, so a map in order *is* the trie's leaf order and a root is one
//! walk. Storage roots are kept per account and walked again only where a slot changed.
use alloc::collections::BTreeMap;
use alloy_primitives::{Address, B256, U256, keccak256};
use alloy_trie::{EMPTY_ROOT_HASH, HashBuilder, KECCAK_EMPTY, Nibbles, TrieAccount};
use core::convert::Infallible;
use revm::{
    Database,
    bytecode::Bytecode,
    state::{Account as TouchedAccount, AccountInfo, EvmState},
};

/// An account as the trie has it.
#[derive(Clone, Debug)]
pub(crate) struct Account {
    pub(crate) nonce: u64,
    pub(crate) balance: U256,
    code_hash: B256,
    storage: BTreeMap<B256, U256>,
    storage_root: B256,
    storage_stale: bool,
}

impl Account {
    fn empty() -> Self {
        Self {
            nonce: 0,
            balance: U256::ZERO,
            code_hash: KECCAK_EMPTY,
            storage: BTreeMap::new(),
            storage_root: EMPTY_ROOT_HASH,
            storage_stale: false,
        }
    }

    fn set_slot(&mut self, slot: U256, value: U256) {
        let key = hashed_slot(slot);
        let before = if value.is_zero() { self.storage.remove(&key) } else { self.storage.insert(key, value) };
        self.storage_stale |= before.unwrap_or_default() != value;
    }

    fn refresh_storage_root(&mut self) {
        if !self.storage_stale {
            return;
        }
        let mut builder = HashBuilder::default();
        for (key, value) in &self.storage {
            builder.add_leaf(Nibbles::unpack(key), &alloy_rlp::encode_fixed_size(value));
        }
        self.storage_root = builder.root();
        self.storage_stale = false;
    }
}

fn hashed_slot(slot: U256) -> B256 {
    keccak256(slot.to_be_bytes::<32>())
}

/// All accounts of a rollup, with the root as of the last [`State::root`].
#[derive(Clone, Debug)]
pub(crate) struct State {
    accounts: BTreeMap<B256, Account>,
    codes: BTreeMap<B256, Bytecode>,
    root: B256,
    stale: bool,
}

impl State {
    pub(crate) fn new() -> Self {
        Self { accounts: BTreeMap::new(), codes: BTreeMap::new(), root: EMPTY_ROOT_HASH, stale: false }
    }

    /// Puts an account of the genesis file in.
    pub(crate) fn insert(
        &mut self,
        address: Address,
        nonce: u64,
        balance: U256,
        code: Bytecode,
        storage: impl Iterator<Item = (U256, U256)>,
    ) {
        let mut account = Account { nonce, balance, ..Account::empty() };
        if !code.is_empty() {
            account.code_hash = code.hash_slow();
            self.codes.insert(account.code_hash, code);
        }
        for (slot, value) in storage {
            account.set_slot(slot, value);
        }
        self.accounts.insert(keccak256(address), account);
        self.stale = true;
    }

    pub(crate) fn account(&self, address: Address) -> Option<&Account> {
        self.accounts.get(&keccak256(address))
    }

    pub(crate) fn slot(&self, address: Address, slot: U256) -> U256 {
        self.account(address).and_then(|account| account.storage.get(&hashed_slot(slot))).copied().unwrap_or_default()
    }

    /// Merges what a decided unit wrote.
    pub(crate) fn merge(&mut self, overlay: Overlay) {
        self.codes.extend(overlay.codes);
        for (address, change) in overlay.accounts {
            let key = keccak256(address);
            let Some(info) = change.info else {
                self.stale |= self.accounts.remove(&key).is_some();
                continue;
            };
            let account = self.accounts.entry(key).or_insert_with(Account::empty);
            account.nonce = info.nonce;
            account.balance = info.balance;
            account.code_hash = info.code_hash;
            if change.cleared && !account.storage.is_empty() {
                account.storage.clear();
                account.storage_stale = true;
            }
            for (slot, value) in change.slots {
                account.set_slot(slot, value);
            }
            self.stale = true;
        }
    }

    /// The state root, computed when something was merged since the last call: stale storage roots, then one walk over
    /// all accounts.
    pub(crate) fn root(&mut self) -> B256 {
        if self.stale {
            let mut builder = HashBuilder::default();
            for (key, account) in &mut self.accounts {
                account.refresh_storage_root();
                let leaf = TrieAccount::new(account.nonce, account.balance, account.storage_root, account.code_hash);
                builder.add_leaf(Nibbles::unpack(key), &alloy_rlp::encode(leaf));
            }
            self.root = builder.root();
            self.stale = false;
        }
        self.root
    }
}

/// What a unit writes on one rollup until it is decided: dropped, it leaves nothing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Overlay {
    accounts: BTreeMap<Address, Change>,
    codes: BTreeMap<B256, Bytecode>,
}

#[derive(Clone, Debug, Default)]
struct Change {
    /// `None`: the account does not exist.
    info: Option<AccountInfo>,
    /// The storage below is not seen any more.
    cleared: bool,
    slots: BTreeMap<U256, U256>,
}

impl Overlay {
    /// Takes what one transaction left.
    pub(crate) fn commit(&mut self, touched: EvmState) {
        // The order of a hash map reaches nothing: each account is written by itself.
        touched.into_iter().for_each(|(address, account)| self.commit_account(address, account));
    }

    fn commit_account(&mut self, address: Address, account: TouchedAccount) {
        if !account.is_touched() {
            return;
        }
        let change = self.accounts.entry(address).or_default();
        // EIP-6780 and EIP-161: destroyed accounts and touched empty ones are gone.
        if account.is_selfdestructed() || account.is_empty() {
            *change = Change { info: None, cleared: true, slots: BTreeMap::new() };
            return;
        }
        if account.is_created() {
            change.cleared = true;
            change.slots.clear();
        }
        if let Some(code) = account.info.code.as_ref().filter(|code| !code.is_empty()) {
            self.codes.entry(account.info.code_hash).or_insert_with(|| code.clone());
        }
        change.slots.extend(account.changed_storage_slots().map(|(slot, value)| (*slot, value.present_value())));
        change.info = Some(AccountInfo { code: None, ..account.info });
    }
}

/// A rollup as a leg of a unit sees it.
#[derive(Debug)]
pub(crate) struct View<'a> {
    pub(crate) state: &'a State,
    pub(crate) overlay: &'a Overlay,
    /// Hash of the genesis block, for BLOCKHASH.
    pub(crate) genesis: B256,
}

impl View<'_> {
    fn code(&self, hash: B256) -> Bytecode {
        self.overlay.codes.get(&hash).or_else(|| self.state.codes.get(&hash)).cloned().unwrap_or_default()
    }
}

impl Database for View<'_> {
    type Error = Infallible;

    fn basic(&mut self, address: Address) -> Result<Option<AccountInfo>, Infallible> {
        let mut info = match self.overlay.accounts.get(&address) {
            Some(change) => change.info.clone(),
            None => self.state.account(address).map(|a| AccountInfo {
                nonce: a.nonce,
                balance: a.balance,
                code_hash: a.code_hash,
                ..AccountInfo::default()
            }),
        };
        if let Some(info) = &mut info {
            info.code = Some(self.code(info.code_hash));
        }
        Ok(info)
    }

    fn code_by_hash(&mut self, hash: B256) -> Result<Bytecode, Infallible> {
        Ok(self.code(hash))
    }

    fn storage(&mut self, address: Address, slot: U256) -> Result<U256, Infallible> {
        let change = self.overlay.accounts.get(&address);
        let written = change.and_then(|change| change.slots.get(&slot)).copied();
        let hidden = change.is_some_and(|change| change.cleared);
        Ok(written.unwrap_or_else(|| if hidden { U256::ZERO } else { self.state.slot(address, slot) }))
    }

    fn block_hash(&mut self, number: u64) -> Result<B256, Infallible> {
        Ok(if number == 0 { self.genesis } else { B256::ZERO })
    }
}

#[cfg(test)]
mod tests;
