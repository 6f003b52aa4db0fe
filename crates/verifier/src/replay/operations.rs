//! Check 20: every operation has its entry within its budget, what accounts ask for is signed by them, every FAULT proves
//! itself and says what it takes, and nobody is convicted twice of one finding in an epoch or slot, or let off.
use super::{
    Committee, Replay,
    section::{Entered, Fault},
};
use alloc::{format, string::String, vec::Vec};
use auction_rules::{AccountOperation, LedgerError, ListedOperation};
use crypto::{
    evidence::{self, Context},
    ids, operation,
};
use tlog::checkpoint::Policy;
use types::{
    Accused, Claim, Epoch, Hash, MemberRecord, Operation, OperationKind, Params, Slot, codec, limits,
    reason::{Finding, Why},
};

impl Replay {
    /// A FAULT: the operation that it stands for is its evidence with the operation's kind before it.
    pub(super) fn fault(&mut self, bytes: &[u8], fault: Fault) {
        let Some(evidence) = evidence::decode(bytes) else {
            return self.find(Finding::FaultFalse, "what it holds is no evidence");
        };
        self.operation(codec::encode(&Operation::Evidence(evidence.into())), Some(fault));
    }

    /// An entry of an operation.
    pub(super) fn operation(&mut self, bytes: Vec<u8>, fault: Option<Fault>) {
        let hash = ids::operation_bytes_hash(&bytes);
        if self.section.operations.last().is_some_and(|last| last.hash >= hash) {
            return self.find(Finding::SectionOrder, "operations are not ascending by hash");
        }
        self.section.operations.push(Entered { hash, bytes, fault, claim: None });
    }

    fn epoch(&self) -> Epoch {
        self.schedule().epoch_of(self.section.slot)
    }

    /// What evidence about an epoch is held against: the committee of the section, or the one before it.
    fn epoch_context(&self, epoch: Epoch) -> Context<'_> {
        let schedule = self.schedule();
        let before = self.before.as_ref().filter(|(last, _)| epoch <= *last);
        let Committee { f, members, params, keys, .. } = before.map_or(&*self.now, |(_, before)| before);
        let (first_slot, last_slot) = (schedule.first(epoch), schedule.last(epoch));
        Context { network: self.anchor.id, epoch, first_slot, last_slot, f: *f, members, params, keys }
    }

    /// Whether an operation without an entry may have found no room.
    pub(super) fn may_lack_room(&self, hash: &Hash) -> bool {
        let kind = |bytes: &[u8]| {
            codec::decode::<Operation>(bytes, bytes.len()).map_or(OperationKind::Evidence, |operation| operation.kind())
        };
        let entered: Vec<_> = self.section.operations.iter().map(|o| (o.hash, kind(&o.bytes), o.bytes.len())).collect();
        auction_rules::may_lack_room(hash, &entered)
    }

    /// Judges the section's operations.
    pub(super) fn check_operations(&mut self) {
        let judged: Result<Vec<_>, _> = self.section.operations.iter().map(|entered| self.judge_one(entered)).collect();
        let listed = match judged {
            Ok(listed) => listed,
            Err((code, detail)) => return self.find(code, &detail),
        };
        let epoch = self.epoch();
        let result = auction_rules::enter(&listed, &self.claims, epoch);
        match result.left.first() {
            Some((hash, Why::Inadmissible)) => {
                let detail = format!("{hash}: network, form or signature of an account's operation");
                return self.find(Finding::OperationInvalid, &detail);
            }
            Some((hash, _)) => {
                return self.find(Finding::LimitsExceeded, &format!("operation {hash} is over the budget of its kind"));
            }
            None => {}
        }
        for (entered, own) in self.section.operations.iter().zip(&result.entered) {
            let detail = match (&entered.fault, own.fault) {
                (Some(_), None) => "a second FAULT of its finding and member in the epoch, or builder and slot",
                (None, Some(_)) => "evidence that convicts, without a FAULT",
                (Some(_), Some(_)) | (None, None) => continue,
            };
            let detail = format!("{}: {detail}", own.hash);
            return self.find(Finding::FaultFalse, &detail);
        }
        self.count_operations();
        for (entered, own) in self.section.operations.iter_mut().zip(&result.entered) {
            entered.claim = own.fault;
        }
        self.claims.extend(result.entered.iter().filter_map(|own| own.fault));
        self.claims.retain(|claim| auction_rules::convicts(claim, epoch));
    }

    /// What the section's operations do to the ledger: slashes, each as its FAULT says, then what accounts ask for
    ///
    pub(super) fn carry_out_operations(&mut self, params: &Params, slot: Slot) -> Result<(), LedgerError> {
        let mut other = None;
        for entered in &self.section.operations {
            if let (Some(Claim { finding, accused: Accused::Builder { builder, slot: of }, .. }), Some(fault)) =
                (entered.claim, &entered.fault)
            {
                let took = self.ledger.penalise(params, slot, finding, &builder, of)?;
                if took != fault.penalty {
                    other = other.or(Some((entered.hash, took)));
                }
            }
        }
        let account = |entered: &Entered| {
            let operation = codec::decode::<Operation>(&entered.bytes, limits::OPERATION_BYTES_MAX).ok()?;
            AccountOperation::of(entered.hash, &operation.account()?.header)
        };
        let asked: Vec<AccountOperation> = self.section.operations.iter().filter_map(account).collect();
        self.ledger.operate(params, slot, &asked)?;
        if let Some((hash, took)) = other {
            self.find(Finding::PenaltyWrong, &format!("{hash}: the slash is {took}"));
        }
        Ok(())
    }

    /// What the section says of the next epoch.
    fn count_operations(&mut self) {
        let mut succession = core::mem::take(&mut self.succession);
        for entered in self.section.operations.iter().filter(|entered| entered.fault.is_none()) {
            if let Ok(operation) = codec::decode::<Operation>(&entered.bytes, limits::OPERATION_BYTES_MAX) {
                let rules = |members: &[MemberRecord], params: &Params| {
                    auction_rules::holds_params(params) && Policy::holds(self.anchor.policy.origin(), members)
                };
                let judges = (rules, self.anchor.ceremony.as_ref());
                // one that does not count changes nothing
                succession.on(&self.epochs, self.section.slot, &operation, judges).ok();
            }
        }
        self.succession = succession;
    }

    /// What the rule reads of an entry. Without signatures a FAULT is taken at its word.
    fn judge_one(&self, entered: &Entered) -> Result<ListedOperation, (Finding, String)> {
        let (hash, bytes) = (entered.hash, entered.bytes.len());
        if !self.checks.signatures {
            let operation = codec::decode::<Operation>(&entered.bytes, bytes).ok();
            let kind = operation.as_ref().map_or(OperationKind::Evidence, Operation::kind);
            let fault = operation.filter(|_| entered.fault.is_some());
            let evidence = fault.as_ref().and_then(Operation::evidence);
            let claim = evidence.map(|evidence| operation::claim(evidence, &self.now.params));
            return Ok(ListedOperation { hash, kind, bytes, claim, admissible: true });
        }
        let judged = operation::judge(&entered.bytes, self.epoch(), |epoch| self.epoch_context(epoch));
        let (claim, admissible) = (judged.claim(), judged.admissible);
        let listed = ListedOperation { hash, kind: judged.kind, bytes, claim, admissible };
        let proved = judged.proved;
        let Some(fault) = &entered.fault else { return Ok(listed) };
        let proved = match proved {
            Some(Ok(proved)) => proved,
            Some(Err(step)) => return Err((Finding::FaultFalse, format!("{hash}: {step}"))),
            None => return Err((Finding::FaultFalse, format!("{hash}: no evidence"))),
        };
        let key: Vec<Hash> = proved.key(self.epoch_context(judged.epoch).members).into_iter().collect();
        if (fault.finding, &fault.accused) != (proved.finding.number(), &key) {
            return Err((Finding::FaultFalse, format!("{hash} proves {} of {}", proved.finding, proved.accused)));
        }
        let of_member = matches!(proved.accused, Accused::Member(_));
        if of_member && fault.penalty != self.now.params.member_penalty {
            return Err((Finding::PenaltyWrong, format!("{hash}: the parameters say another penalty")));
        }
        Ok(listed)
    }
}
