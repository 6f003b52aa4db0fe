//! What a member answers about its state; nothing here changes it but how often a builder has asked.
use crate::state::Sequencer;
use crypto::build;
use std::collections::BTreeMap;
use types::{Address, Hash, Head, MemberId, Slot, Timestamp, limits, reason::Reason, wire};

/// Questions for what the body of one slot could place.
const PENDING_ASKS_MAX: u8 = 2;

impl Sequencer {
    /// Last final slot.
    #[must_use]
    pub fn last_final(&self) -> Slot {
        self.fin.slot()
    }
    /// Digest of the last final block.
    #[must_use]
    pub fn last_digest(&self) -> Hash {
        self.fin.digest
    }
    /// Last opened slot.
    #[must_use]
    pub fn opened(&self) -> Slot {
        self.opened
    }
    /// The log's head, parts that are not cosigned yet included.
    #[must_use]
    pub fn head(&self) -> Head {
        self.tree.head()
    }
    /// This member.
    #[must_use]
    pub fn me(&self) -> MemberId {
        self.setup.me
    }
    /// Envelopes that wait, and their bytes.
    #[must_use]
    pub fn pending(&self) -> (usize, usize) {
        (self.pool.len(), self.pool.bytes())
    }

    /// The newest slot for which a member's share message, with its cosignature, came; this member's own included.
    #[must_use]
    pub fn cosigners(&self) -> &BTreeMap<MemberId, Slot> {
        &self.cosigners
    }

    /// Where an envelope or an operation is in its life.
    #[must_use]
    pub fn status(&self, hash: &Hash) -> wire::Status {
        if let Some(placed) = self.placed.get(hash) {
            let slot = placed.slot;
            return match (placed.index, placed.outcome) {
                (Some(index), Some((outcome, leg))) => wire::Status::Executed { slot, index, outcome, leg },
                (Some(index), None) => wire::Status::Opened { slot, index },
                (None, _) => wire::Status::Fixed { slot },
            };
        }
        if let Some(status) = self.operations.status(hash) {
            return status;
        }
        if self.pool.contains(hash) || self.flights.contains_key(hash) {
            return wire::Status::Pending;
        }
        self.dropped.get(hash).map_or(wire::Status::Unknown, |(_, code)| wire::Status::Dropped { code: *code })
    }

    /// What a wallet needs to seal and price an envelope.
    #[must_use]
    pub fn params(&self, now: Timestamp) -> wire::Params {
        let prices = self.ledger.prices();
        let amount = |units| types::Amount::new(units).unwrap_or(types::Amount::ZERO);
        let ms_to_close = self.close_due().map_or(0, |due| due.0.saturating_sub(now.0));
        wire::Params {
            network: self.setup.network,
            epoch: self.epoch_of(self.current()),
            last_final: self.fin.slot(),
            opened: self.opened,
            byte_price: amount(prices.byte),
            gas_price: amount(prices.gas),
            reserve: self.ledger.reserve(self.epoch_of(self.current().next())).unwrap_or_default(),
            time_ms: now,
            ms_to_close: u32::try_from(ms_to_close).unwrap_or(u32::MAX),
        }
    }

    /// A ledger account, its bond, and its next nonces after everything pending here.
    #[must_use]
    pub fn account(&self, address: &Address) -> wire::AccountState {
        let account = self.ledger.account(address);
        let next = account.map_or(0, |a| a.nonce.0);
        let pending_nonce = self.pool.pending_nonce(address).map_or(next, |nonce| nonce.max(next));
        let epoch = self.epoch_of(self.current());
        let (unbonding, withdrawable) = self.ledger.leaving(&self.setup.params, address, epoch);
        let operation_nonce = self.ledger.operation_nonce(address);
        wire::AccountState {
            address: *address,
            account,
            pending_nonce,
            free_bond: self.ledger.free_bond(address),
            unbonding,
            withdrawable,
            operation_nonce: operation_nonce.0,
            pending_operation_nonce: self.operations.pending_nonce(address, operation_nonce).0,
            is_builder: self.ledger.is_active(address, epoch),
        }
    }

    /// Accounts of the builders of this epoch, those that are barred included.
    #[must_use]
    pub fn builders(&self) -> Vec<wire::AccountState> {
        self.ledger.builders(self.epoch_of(self.current())).map(|builder| self.account(builder)).collect()
    }

    /// Tells the holder of the right to the slot that comes what its body could place, as of now.
    ///
    /// # Errors
    /// A refusal: another network, member or slot, one that this member has listed, not the holder, no signature of it, or more than 2 questions for one
    /// slot, each of which goes over all that waits.
    pub fn pending_units(&mut self, request: &wire::PendingRequest) -> Result<wire::Pending, wire::Refusal> {
        let refuse = |reason: Reason, detail: &str| Err(wire::Refusal::new(reason, detail));
        let slot = self.current();
        if request.network != self.setup.network || request.member != self.setup.me {
            return refuse(Reason::WrongNetwork, "another network or member");
        }
        if request.slot != slot {
            return refuse(Reason::BadRoundNumber, "another slot comes");
        }
        if self.listed() {
            // a body would come too late, and what has come since is not for this slot
            return refuse(Reason::BadRoundNumber, "the slot is closed here");
        }
        if self.ledger.right(slot).is_none_or(|right| right.builder != request.builder) {
            return refuse(Reason::NotWinner, "no right to this slot");
        }
        let (of, times) = self.asked;
        let times = if of == slot { times } else { 0 };
        if times >= PENDING_ASKS_MAX {
            return refuse(Reason::Quota, "asked for this slot already");
        }
        if !build::is_asked_by_builder(request) {
            return refuse(Reason::WrongSignature, "not the builder's");
        }
        self.asked = (slot, times.saturating_add(1));
        Ok(wire::Pending { slot, units: self.pool.unforced(&self.ledger, slot, limits::BODY_UNITS_MAX) })
    }

    /// The lowest WAL sequence matters to the node: hashes of all envelopes and operations that must survive a restart.
    #[must_use]
    pub fn is_live(&self, hash: &Hash) -> bool {
        self.pool.contains(hash)
            || self.bids.is_live(hash)
            || self.objects.is_live(hash)
            || self.extra.contains_key(hash)
            || self.flights.contains_key(hash)
            || self.operations.is_live(hash, self.fin.slot())
    }

    /// Why an envelope was dropped without being included.
    #[must_use]
    pub fn dropped(&self, hash: &Hash) -> Option<Reason> {
        self.dropped.get(hash).and_then(|(_, code)| Reason::from_number(*code))
    }
}
