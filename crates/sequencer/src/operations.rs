//! What lists name besides envelopes: held, told to the others, listed until it is in the log.
//!
//! Members find different pieces of evidence for one claim. Each tells the first that it holds to everybody, and takes
//! one of a claim from every member; so what any honest member holds, all hold, and no piece that is sent to some only
//! keeps a claim out of f + 1 lists. All pieces of a claim are listed; the first by hash convicts, and then the others
//! are dropped.
//!
//! What an account asks for waits until its nonce is used or it is out of time, also when a slot entered it and its fee
//! could not be paid there. It is listed when its nonce is next and it can pay.
use crate::{
    effect::{Channel, Effect, Record, To},
    message::Items,
    state::{Halt, RECENT_SLOTS, Sequencer},
};
use auction_rules::{AccountOperation, Answer, Claim, EnteredOperation, ListedOperation, convicts};
use crypto::{
    account,
    change::ChangeError,
    evidence::Proved,
    ids,
    operation::{self, Judged},
    succession::{self, NotCounted},
};
use std::collections::{BTreeMap, BTreeSet};
use tlog::checkpoint::Policy;
use types::{
    AccountHeader, Accused, Amount, Epoch, HandoverPhase, Hash, Kind, Leaf, MemberId, MemberRecord, Nonce, Operation,
    OperationKind, Params, SignedAccountOperation, Slot, codec, limits,
    reason::Reason,
    wire::{Refusal, Status},
};

/// Operations of one kind on a list, the lowest hashes: as many as slots take or more, few enough for a block.
const LISTED_MAX: usize = 64;
/// Bytes of operations that wait and came from one member.
const SHARE_BYTES_MAX: usize = 4 << 20;
/// Operations of a member that were looked at in vain between two final blocks: a proof takes milliseconds.
const TRIES_MAX: u16 = 8;
/// The same of operations of accounts: a signature takes less than a tenth of a millisecond.
const ACCOUNT_TRIES_MAX: u16 = 512;
/// Operations of accounts that wait and came from one member, or from clients.
const ACCOUNT_SHARE_MAX: usize = 1_024;
/// Operations of one message, and how many are told again after a final block.
pub(crate) const TOLD_MAX: usize = 4;

/// One operation.
#[derive(Debug)]
struct Held {
    bytes: Vec<u8>,
    kind: OperationKind,
    proved: Option<Proved>,
    claim: Option<Claim>,
    /// What changes an epoch: the change however it is signed, or the author's step. One for each that sends some.
    key: Option<Hash>,
    /// Of an account: what it asks for. Kept for others may be what is not admissible.
    account: Option<AccountOperation>,
    admissible: bool,
    /// The slot that entered it last, and the number of why it did nothing there.
    entered: Option<(Slot, u16)>,
    /// Who sent it; `None`: found here, or handed in by somebody outside.
    from: Option<MemberId>,
    /// Listed until it has an entry, or another one of its claim convicts.
    pending: bool,
    /// Told to the others by this member: its own, and the first of a claim.
    told: bool,
    /// The last final slot when it came, was told again, or the slot of its entry.
    since: Slot,
}

/// Those that are held.
#[derive(Debug, Default)]
pub(crate) struct Operations {
    held: BTreeMap<Hash, Held>,
    /// Claims with a FAULT in the log of this epoch.
    faults: BTreeSet<Claim>,
    tries: BTreeMap<(MemberId, bool), u16>,
}

impl Operations {
    /// `entered`: by hash, the slot of the entry and the bytes. They wait for members that lag.
    pub(crate) fn new(faults: BTreeSet<Claim>, slot: Slot, entered: BTreeMap<Hash, (Slot, Vec<u8>)>) -> Self {
        let held = |(hash, (since, bytes)): (Hash, (Slot, Vec<u8>))| {
            let operation = read(&bytes);
            let kind = operation.as_ref().map_or(OperationKind::Evidence, Operation::kind);
            let signed = operation.as_ref().and_then(Operation::account);
            let account = signed.and_then(|signed| AccountOperation::of(hash, &signed.header));
            (
                hash,
                Held {
                    bytes,
                    kind,
                    proved: None,
                    claim: None,
                    key: None,
                    account,
                    admissible: true,
                    entered: None,
                    from: None,
                    pending: false,
                    told: false,
                    since: since.min(slot),
                },
            )
        };
        Self { held: entered.into_iter().map(held).collect(), faults, tries: BTreeMap::new() }
    }

    /// Claims with a FAULT in the log of this epoch.
    pub(crate) const fn faults(&self) -> &BTreeSet<Claim> {
        &self.faults
    }

    /// Those that have an entry, and are kept for members that lag.
    pub(crate) fn into_entered(self) -> BTreeMap<Hash, (Slot, Vec<u8>)> {
        let entered = self.held.into_iter().filter(|(_, held)| !held.pending || held.entered.is_some());
        entered.map(|(hash, held)| (hash, (held.since, held.bytes))).collect()
    }

    /// What the rule reads of one.
    pub(crate) fn get(&self, hash: &Hash) -> Option<ListedOperation> {
        let held = self.held.get(hash)?;
        Some(ListedOperation {
            hash: *hash,
            kind: held.kind,
            bytes: held.bytes.len(),
            claim: held.claim,
            admissible: held.admissible,
        })
    }

    /// What an account asks for.
    fn account(&self, hash: &Hash) -> Option<AccountOperation> {
        self.held.get(hash)?.account
    }

    /// Where one is in its life, as far as this member remembers.
    pub(crate) fn status(&self, hash: &Hash) -> Option<Status> {
        let held = self.held.get(hash)?;
        if held.pending {
            return Some(Status::Pending);
        }
        let (slot, code) = held.entered?;
        Some(Status::Entered { slot, code })
    }

    /// Nonces of an account's operations that wait.
    fn waiting(&self, of: &AccountOperation) -> impl Iterator<Item = &Held> {
        let account = of.account;
        let same = move |held: &&Held| held.pending && held.account.is_some_and(|held| held.account == account);
        self.held.values().filter(same)
    }

    /// The next nonce of an account's operations after those that wait, from the ledger's on.
    pub(crate) fn pending_nonce(&self, account: &types::Address, next: Nonce) -> Nonce {
        let of = |held: &Held| held.account.filter(|one| held.pending && one.account == *account);
        let nonces: BTreeSet<Nonce> = self.held.values().filter_map(of).map(|one| one.nonce).collect();
        let mut nonce = next;
        while nonces.contains(&nonce) {
            nonce = nonce.next();
        }
        nonce
    }

    /// Its bytes.
    pub(crate) fn bytes(&self, hash: &Hash) -> Option<&[u8]> {
        self.held.get(hash).map(|held| held.bytes.as_slice())
    }

    /// Whether it must survive a restart: it waits for its entry, or for the block that enters it.
    pub(crate) fn is_live(&self, hash: &Hash, last: Slot) -> bool {
        self.held.get(hash).is_some_and(|held| held.pending || held.since >= last)
    }

    /// Leaves of this member's list in a slot of `epoch`, ascending. Evidence of the epoch after waits for it, what
    /// changes an epoch for the slots in which it `counts`.
    pub(crate) fn listed(&self, epoch: Epoch, counts: impl Fn(&Operation) -> bool) -> Vec<Leaf> {
        let mut taken: BTreeMap<OperationKind, usize> = BTreeMap::new();
        let mut leaves = Vec::new();
        let counts = |held: &Held| {
            held.pending
                && held.claim.is_none_or(|claim| convicts(&claim, epoch))
                && (held.kind == OperationKind::Evidence
                    || read(&held.bytes).is_some_and(|operation| counts(&operation)))
        };
        for (hash, held) in self.held.iter().filter(|(_, held)| counts(held)) {
            let taken = taken.entry(held.kind).or_default();
            if *taken < held.kind.budget().count.max(LISTED_MAX) {
                *taken = taken.saturating_add(1);
                leaves.push(Leaf::Op { hash: *hash });
            }
        }
        leaves
    }

    /// A final block entered these; `epoch` is that of the next slot, and what can not count any more is `hopeless`.
    pub(crate) fn settle(
        &mut self,
        slot: Slot,
        epoch: Epoch,
        (entered, answers): (&[EnteredOperation], &[Answer]),
        hopeless: impl Fn(&Operation) -> bool,
    ) {
        let undone: BTreeMap<Hash, u16> =
            answers.iter().filter_map(|(hash, answer)| Some((*hash, answer.err()?.reason().number()))).collect();
        self.faults.extend(entered.iter().filter_map(|operation| operation.fault));
        self.faults.retain(|claim| convicts(claim, epoch));
        for (hash, held) in &mut self.held {
            let here = entered.binary_search_by(|operation| operation.hash.cmp(hash)).is_ok();
            let given_up = |held: &Held| match held.kind {
                OperationKind::Evidence => {
                    held.claim.is_some_and(|claim| self.faults.contains(&claim) || !is_near(&claim, epoch))
                }
                OperationKind::Epoch | OperationKind::Account => {
                    read(&held.bytes).is_none_or(|operation| hopeless(&operation))
                }
            };
            if here {
                held.entered = Some((slot, undone.get(hash).copied().unwrap_or(0)));
            }
            // one of an account may have its place again, while its nonce is not used
            if here && held.kind != OperationKind::Account || held.pending && given_up(held) {
                held.pending = false;
                held.since = slot;
            }
        }
        let oldest = Slot(slot.0.saturating_sub(RECENT_SLOTS));
        self.held.retain(|_, held| held.pending || held.since > oldest);
        self.tries.clear();
    }

    /// Whether a member may make this one look at another operation.
    fn may_try(&self, from: MemberId, account: bool) -> bool {
        let most = if account { ACCOUNT_TRIES_MAX } else { TRIES_MAX };
        self.tries.get(&(from, account)).is_none_or(|tries| *tries < most)
    }

    fn tried(&mut self, from: MemberId, account: bool) {
        let tries = self.tries.entry((from, account)).or_default();
        *tries = tries.saturating_add(1);
    }

    /// Whether one of this claim or key, and so many bytes, may be held on behalf of `from`.
    fn has_room(&self, from: Option<MemberId>, (claim, key): (Option<Claim>, Option<Hash>), bytes: usize) -> bool {
        let of = || self.held.values().filter(|held| held.from == from && held.kind != OperationKind::Account);
        let sum = of().map(|held| held.bytes.len()).fold(bytes, usize::saturating_add);
        sum <= SHARE_BYTES_MAX
            && (claim.is_none() || of().all(|held| held.claim != claim))
            && (key.is_none() || of().all(|held| held.key != key || !held.pending))
    }

    /// The same of what an account asks for: one of a nonce, a few of an account.
    fn has_room_of(&self, from: Option<MemberId>, one: &AccountOperation) -> bool {
        let of_account = || self.waiting(one).filter(|held| held.from == from);
        let all = self.held.values().filter(|held| held.pending && held.account.is_some() && held.from == from);
        of_account().count() < limits::ACCOUNT_WAITING_MAX
            && of_account().all(|held| held.account.is_none_or(|other| other.nonce != one.nonce))
            && all.count() < ACCOUNT_SHARE_MAX
    }

    /// Keeps one; it is listed if `pending` and nobody of its claim is convicted.
    fn keep(&mut self, hash: Hash, bytes: Vec<u8>, judged: &Judged, from: Option<MemberId>, pending: bool, slot: Slot) {
        let (kind, proved, claim) = (judged.kind, judged.proof(), judged.claim());
        let key = judged.operation.as_ref().and_then(key_of);
        let pending = pending && claim.is_none_or(|claim| !self.faults.contains(&claim));
        let first = claim.is_none_or(|claim| self.held.values().all(|held| held.claim != Some(claim)))
            && key.is_none_or(|key| self.held.values().all(|held| held.key != Some(key)));
        let account = judged.account().and_then(|signed| AccountOperation::of(hash, &signed.header));
        // an account's own member tells of it: others would tell of everything that anybody waits for
        let told = pending && (from.is_none() || first && account.is_none());
        let (admissible, since) = (judged.admissible, slot);
        let entered = self.held.get(&hash).and_then(|held| held.entered);
        let held = Held { bytes, kind, proved, claim, key, account, admissible, entered, from, pending, told, since };
        self.held.insert(hash, held);
    }

    /// What this member tells again: it has waited for two slots, so it may not have reached everybody.
    fn late(&mut self, slot: Slot, accounts: bool) -> Vec<Vec<u8>> {
        let waits = |held: &&mut Held| {
            held.pending && held.told && held.since.plus(2) <= slot && held.account.is_some() == accounts
        };
        let mut late: Vec<&mut Held> = self.held.values_mut().filter(waits).collect();
        late.sort_by_key(|held| held.since);
        late.into_iter()
            .take(TOLD_MAX)
            .map(|held| {
                held.since = slot;
                held.bytes.clone()
            })
            .collect()
    }
}

fn read(bytes: &[u8]) -> Option<Operation> {
    codec::decode(bytes, limits::OPERATION_BYTES_MAX).ok()
}

/// A change, however it is signed, or an author's step of a handover.
fn key_of(operation: &Operation) -> Option<Hash> {
    match operation {
        Operation::Evidence(_) | Operation::Account(_) => None,
        Operation::Change(signed) => Some(succession::name(&signed.change)),
        Operation::Handover(message) => {
            let phase = codec::encode(&(message.epoch, message.attempt, message.from));
            let step = [HandoverPhase::ALL
                .iter()
                .position(|phase| *phase == HandoverPhase::of(&message.step))
                .and_then(|at| u8::try_from(at).ok())
                .unwrap_or(u8::MAX)];
            Some(crypto::hash::sha256(&[&phase, &step]))
        }
    }
}

/// Whether a claim can convict in a slot of `epoch` or the epoch after: a sender may be a block ahead.
fn is_near(claim: &Claim, epoch: Epoch) -> bool {
    convicts(claim, epoch) || claim.epoch == epoch.next()
}

impl Sequencer {
    /// An operation that this member makes.
    pub(crate) fn found_operation(&mut self, operation: Operation) {
        let bytes = codec::encode(&operation);
        let hash = ids::operation_bytes_hash(&bytes);
        if self.operations.held.contains_key(&hash) || bytes.len() > limits::OPERATION_BYTES_MAX {
            return;
        }
        let judged = self.judge(&bytes);
        self.operations.keep(hash, bytes.clone(), &judged, None, true, self.fin.slot());
        self.out.push(Effect::Persist(Record::Operations(vec![(hash, bytes.clone())])));
        self.send_operations(vec![bytes]);
    }

    fn judge(&self, bytes: &[u8]) -> Judged {
        operation::judge(bytes, self.fin.header.epoch, |epoch| self.epoch_context(epoch))
    }

    /// One that somebody outside hands in: a change of the committee, a step of a handover. Members find evidence
    /// themselves.
    pub(crate) fn submitted_operation(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        if self.over {
            return Err(Refusal::new(Reason::ShuttingDown, "the committee changes: try again"));
        }
        if bytes.len() > limits::OPERATION_BYTES_MAX {
            return Err(Refusal::new(Reason::OversizedData, "longer than an operation can be"));
        }
        match self.operations.held.get(&ids::operation_bytes_hash(bytes)) {
            Some(held) if held.pending => return Ok(()),
            Some(held) if held.account.is_none() => {
                return Err(Refusal::new(Reason::Expired, "it had its place in the log: make another one"));
            }
            Some(_) | None => {}
        }
        let operation = read(bytes).ok_or_else(|| Refusal::new(Reason::MalformedData, "not an operation"))?;
        match operation {
            Operation::Evidence(_) => return Err(Refusal::new(Reason::Unsupported, "evidence is the members' own")),
            Operation::Account(signed) => return self.submitted_account(bytes, &signed),
            Operation::Change(_) | Operation::Handover(_) => self.may_count(&operation).map_err(|why| {
                let reason = match why {
                    NotCounted::Window | NotCounted::NoHandover => Reason::BadRoundNumber,
                    NotCounted::Repeated => Reason::Equivocation,
                    NotCounted::Change(ChangeError::Late | ChangeError::Base) => Reason::Expired,
                    NotCounted::Change(_) | NotCounted::Rules | NotCounted::Message | _ => Reason::WrongSignature,
                };
                Refusal::new(reason, &why.to_string())
            })?,
        }
        if !self.operations.has_room(None, (None, key_of(&operation)), bytes.len()) {
            return Err(Refusal::new(Reason::Quota, "the same is held already, signed by others or otherwise"));
        }
        self.found_operation(operation);
        Ok(())
    }

    /// What a client's account asks for: it waits here, and is told to the others.
    fn submitted_account(&mut self, bytes: &[u8], signed: &SignedAccountOperation) -> Result<(), Refusal> {
        let refused = |reason, detail: &str| Err(Refusal::new(reason, detail));
        let header = &signed.header;
        if header.network != self.setup.network {
            return refused(Reason::WrongNetwork, "");
        }
        if header.version != AccountHeader::VERSION || header.kind == AccountHeader::ROLLUP {
            return refused(Reason::Unsupported, "version or kind");
        }
        if !account::is_well_formed(header, &self.setup.network) {
            return refused(Reason::MalformedData, "unknown kind, or a field that it does not read is not zero");
        }
        let hash = ids::operation_bytes_hash(bytes);
        let Some(one) = AccountOperation::of(hash, header) else { return refused(Reason::Unsupported, "kind") };
        let params = &self.setup.params;
        let is_next = self.ledger.admit_operation(params, &one).map_err(|reason| Refusal::new(reason, ""))?;
        let next = self.operations.pending_nonce(&one.account, self.ledger.operation_nonce(&one.account));
        if one.nonce > next {
            return refused(Reason::NonceTooFar, "a lower nonce of the account's operations is missing here");
        }
        if one.nonce < next || !self.operations.has_room_of(None, &one) {
            return refused(Reason::Quota, "another operation of this nonce waits, or too many do");
        }
        if let (true, Err(why)) = (is_next, self.ledger.foresee(params, &one)) {
            return Err(Refusal::new(why.reason(), &why.to_string()));
        }
        let judged = self.judge(bytes);
        if !judged.admissible {
            return refused(Reason::WrongSignature, "");
        }
        let bytes = bytes.to_vec();
        self.operations.keep(hash, bytes.clone(), &judged, None, true, self.fin.slot());
        self.out.push(Effect::Persist(Record::Operations(vec![(hash, bytes.clone())])));
        self.send_operations(vec![bytes]);
        Ok(())
    }

    /// Whether what an account asks for may still count: `Ok(true)`, in the next slot.
    fn admits_account(&self, signed: &SignedAccountOperation) -> Result<bool, Reason> {
        let one = AccountOperation::of(Hash::ZERO, &signed.header).ok_or(Reason::Unsupported)?;
        self.ledger.admit_operation(&self.setup.params, &one)
    }

    /// Whether what changes an epoch would count at `slot`, as far as can be said without looking at signatures again.
    pub(crate) fn counts(&self, operation: &Operation, slot: Slot) -> Result<(), NotCounted> {
        match operation {
            Operation::Evidence(_) => Ok(()),
            Operation::Account(signed) => match self.admits_account(signed) {
                Ok(true) => Ok(()),
                Ok(false) => Err(NotCounted::Window),
                Err(_over) => Err(NotCounted::Repeated),
            },
            Operation::Change(change) => {
                let rules = |members: &[MemberRecord], params: &Params| self.holds_next(members, params);
                self.succession.admits_change(&self.epochs, slot, change, rules).map(drop)
            }
            Operation::Handover(message) => self.succession.admits_message(&self.epochs, slot, message),
        }
    }

    /// Whether a committee could work with these parameters.
    fn holds_next(&self, members: &[MemberRecord], params: &Params) -> bool {
        auction_rules::holds_params(params) && Policy::holds(self.setup.policy.origin(), members)
    }

    /// Whether it may count in one of the next slots: a change may wait for its window, a step of a handover for two
    /// slots, as its author may be ahead.
    fn may_count(&self, operation: &Operation) -> Result<(), NotCounted> {
        let next = self.current();
        match (operation, self.counts(operation, next)) {
            (Operation::Change(_), Err(NotCounted::Window)) => Ok(()),
            (Operation::Handover(message), verdict) => {
                let soon = |ahead| self.succession.admits_message(&self.epochs, next.plus(ahead), message);
                verdict.or_else(|why| soon(1).or_else(|_next| soon(2)).map_err(|_after| why))?;
                let current = self.epochs.last();
                let members = self.succession.takes_over(current).ok_or(NotCounted::NoHandover)?;
                let holds = (self.setup.ceremony.holds)(current, members, message);
                if holds { Ok(()) } else { Err(NotCounted::Message) }
            }
            (Operation::Account(_), Err(NotCounted::Window)) => Ok(()),
            (Operation::Evidence(_) | Operation::Change(_) | Operation::Account(_), verdict) => verdict,
        }
    }

    /// What changes an epoch, or is an account's, and can not count any more.
    pub(crate) fn is_hopeless(&self, operation: &Operation) -> bool {
        let next = self.current();
        match operation {
            Operation::Evidence(_) => false,
            Operation::Account(signed) => self.admits_account(signed).is_err(),
            Operation::Change(_) => self.counts(operation, next).is_err_and(|why| why != NotCounted::Window),
            Operation::Handover(message) => {
                (0..3).all(|ahead| self.succession.admits_message(&self.epochs, next.plus(ahead), message).is_err())
            }
        }
    }

    /// One that a member sent; `forced` when it was fetched for a block.
    pub(crate) fn offered_operation(&mut self, from: MemberId, bytes: Vec<u8>, forced: bool) {
        let is_account = read(&bytes).is_some_and(|operation| operation.kind() == OperationKind::Account);
        if !forced && !self.operations.may_try(from, is_account) {
            return;
        }
        let hash = ids::operation_bytes_hash(&bytes);
        let needed = self.wanted.contains_key(&hash);
        if self.operations.held.contains_key(&hash) || forced && !needed {
            return;
        }
        if bytes.len() > limits::OPERATION_BYTES_MAX {
            // no entry holds it, so no block may need it
            self.out.push(Effect::Reject { from: Some(from), reason: Reason::MalformedData, what: "operation" });
            return;
        }
        if !needed {
            // good or bad: each costs a look
            self.operations.tried(from, is_account);
            if self.is_worthless(&bytes) {
                return;
            }
        }
        let judged = self.judge(&bytes);
        let refused = match (&judged.operation, judged.proved) {
            (None, _) => Some(Reason::MalformedData),
            (Some(_), Some(Err(_proves_nothing))) => Some(Reason::WrongSignature),
            (Some(_), Some(Ok(_))) => None,
            (Some(Operation::Account(_)), None) => (!judged.admissible).then_some(Reason::WrongSignature),
            (Some(operation), None) => self.may_count(operation).err().map(|_| Reason::WrongSignature),
        };
        if let (Some(reason), false) = (refused, needed) {
            self.out.push(Effect::Reject { from: Some(from), reason, what: "operation" });
            return;
        }
        let claim = judged.claim();
        let key = judged.operation.as_ref().and_then(key_of);
        let account = judged.account().and_then(|signed| AccountOperation::of(hash, &signed.header));
        let room = match &account {
            Some(one) => self.is_soon(one) && self.operations.has_room_of(Some(from), one),
            None => self.operations.has_room(Some(from), (claim, key), bytes.len()),
        };
        if !needed && !room {
            return;
        }
        self.wanted.remove(&hash);
        self.operations.keep(hash, bytes.clone(), &judged, Some(from), refused.is_none(), self.fin.slot());
        // before a vote for a block that enters it
        self.out.push(Effect::Persist(Record::Operations(vec![(hash, bytes)])));
        if let (Some(Operation::Evidence(evidence)), Some(Ok(proved))) = (judged.operation, judged.proved) {
            self.tell(proved, *evidence);
        }
    }

    /// Its sender may be a slot ahead, and its messages may overtake each other.
    fn is_soon(&self, one: &AccountOperation) -> bool {
        let ahead = u64::try_from(limits::ACCOUNT_WAITING_MAX).unwrap_or(u64::MAX);
        one.nonce <= self.ledger.operation_nonce(&one.account).plus(ahead)
    }

    /// Whether there is anything to take from whom evidence accuses: keys without a bond cost nothing, and could fill
    /// the room of evidence for ever.
    pub(crate) fn has_stake(&self, accused: &Accused) -> bool {
        match accused {
            Accused::Member(_) => true,
            Accused::Builder { builder, .. } => {
                self.ledger.account(builder).is_some_and(|account| account.bond > Amount::ZERO)
            }
        }
    }

    /// Evidence of another time, or against somebody whom the log convicts already, or what changes an epoch and can not
    /// count: not worth a look.
    fn is_worthless(&self, bytes: &[u8]) -> bool {
        match read(bytes) {
            Some(Operation::Evidence(evidence)) => {
                let claim = operation::claim(&evidence, &self.setup.params);
                self.operations.faults.contains(&claim)
                    || !is_near(&claim, self.epoch_of(self.current()))
                    || !self.has_stake(&claim.accused)
            }
            Some(operation) => self.is_hopeless(&operation),
            None => false,
        }
    }

    /// Forgets claims that are out of time.
    pub(crate) fn forget_claims(&mut self, epoch: Epoch) {
        self.accused.retain(|claim| is_near(claim, epoch));
    }

    /// What was held before a restart.
    pub(crate) fn resume_operations(&mut self, all: &[Vec<u8>]) {
        for bytes in all {
            let hash = ids::operation_bytes_hash(bytes);
            if self.operations.held.contains_key(&hash) {
                continue;
            }
            let judged = self.judge(bytes);
            // what is worth nothing any more may still be needed for a block that enters it
            let good = judged.operation.is_some()
                && judged.admissible
                && judged.proved.is_none_or(|proved| proved.is_ok())
                && (judged.kind == OperationKind::Evidence
                    || judged.operation.as_ref().is_some_and(|operation| self.may_count(operation).is_ok()))
                && !self.is_worthless(bytes);
            self.operations.keep(hash, bytes.clone(), &judged, None, good, self.fin.slot());
            self.accused.extend(judged.claim());
        }
    }

    /// After a final block: what still waits goes out again, some in every slot.
    pub(crate) fn relay_operations(&mut self) {
        for accounts in [false, true] {
            let late = self.operations.late(self.fin.slot(), accounts);
            if !late.is_empty() {
                self.send_operations(late);
            }
        }
    }

    fn send_operations(&mut self, operations: Vec<Vec<u8>>) {
        let bytes = codec::encode(&Items { operations, ..Items::default() });
        self.out.push(Effect::Send { channel: Channel::Items, to: To::All, bytes });
    }

    /// What a final block enters of the next epoch.
    pub(crate) fn count_operations(&mut self, slot: Slot, entered: &[EnteredOperation]) {
        let mut succession = core::mem::take(&mut self.succession);
        for held in entered.iter().filter_map(|operation| self.operations.held.get(&operation.hash)) {
            if held.kind == OperationKind::Epoch
                && let Some(operation) = read(&held.bytes)
            {
                // one that does not count changes nothing
                let rules = |members: &[MemberRecord], params: &Params| self.holds_next(members, params);
                succession.on(&self.epochs, slot, &operation, (rules, Some(&self.setup.ceremony))).ok();
            }
        }
        self.succession = succession;
    }

    /// What the entered operations of a closed slot do to the ledger: slashes, then what accounts ask for. Gives
    /// what each slash took, by the operation's hash, and what became of the others.
    pub(crate) fn carry_out(
        &mut self,
        slot: Slot,
        entered: &[EnteredOperation],
    ) -> Result<(BTreeMap<Hash, Amount>, Vec<Answer>), Halt> {
        let params = &self.setup.params;
        let mut slashes = BTreeMap::new();
        for EnteredOperation { hash, fault } in entered {
            if let Some(Claim { finding, accused: Accused::Builder { builder, slot: of }, .. }) = fault {
                let took = self.ledger.penalise(params, slot, *finding, builder, *of).map_err(Halt::Ledger)?;
                slashes.insert(*hash, took);
            }
        }
        let asked: Vec<AccountOperation> =
            entered.iter().filter_map(|one| self.operations.account(&one.hash)).collect();
        let answers = self.ledger.operate(params, slot, &asked).map_err(Halt::Ledger)?;
        Ok((slashes, answers))
    }

    /// Entries of what a final block enters, in its order; `slashes`: what was taken from builders.
    pub(crate) fn operation_entries(
        &self,
        slot: Slot,
        entered: &[EnteredOperation],
        slashes: &BTreeMap<Hash, Amount>,
    ) -> Result<Vec<Kind>, Halt> {
        let entry = |operation: &EnteredOperation| {
            let operation_hash = operation.hash;
            let held = self.operations.held.get(&operation_hash)?;
            if operation.fault.is_none() {
                return Some(Kind::Operation { slot, bytes: held.bytes.clone() });
            }
            let proved = held.proved?;
            let operation = read(&held.bytes)?;
            let evidence = operation.evidence()?;
            let context = self.epoch_context(self.epoch_about(evidence));
            Some(Kind::Fault {
                slot,
                finding: proved.finding.number(),
                accused: vec![proved.key(context.members)?],
                penalty: slashes.get(&operation_hash).copied().unwrap_or(self.setup.params.member_penalty),
                evidence: codec::encode(evidence),
            })
        };
        entered.iter().map(entry).collect::<Option<_>>().ok_or(Halt::Sequence)
    }
}
