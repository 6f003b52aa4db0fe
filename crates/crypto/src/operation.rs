//! Operations as members and auditors judge them: from their bytes and the epoch alone, so everybody judges the same.
use crate::{
    account,
    evidence::{self, Context, EvidenceError, Proved},
};
use types::{Claim, Epoch, Evidence, Operation, OperationKind, Params, SignedAccountOperation, codec, limits};

/// What an operation's bytes are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judged {
    /// The operation; `None`: the bytes are none.
    pub operation: Option<Operation>,
    /// Whose budget it takes. What is no operation takes that of evidence.
    pub kind: OperationKind,
    /// What it proves, or why it proves nothing. `None`: it is no evidence.
    pub proved: Option<Result<Proved, EvidenceError>>,
    /// The epoch that evidence is about.
    pub epoch: Epoch,
    /// An account's: of this network, in its form, signed. Others may always have an entry.
    pub admissible: bool,
}

impl Judged {
    /// What it proves, if it proves anything.
    #[must_use]
    pub fn proof(&self) -> Option<Proved> {
        self.proved.and_then(Result::ok)
    }
    /// What a FAULT of it says: of what, whom, and in which epoch.
    #[must_use]
    pub fn claim(&self) -> Option<Claim> {
        self.proof().map(|Proved { finding, accused, .. }| Claim { finding, accused, epoch: self.epoch })
    }
    /// What an account asks for.
    #[must_use]
    pub fn account(&self) -> Option<&SignedAccountOperation> {
        self.operation.as_ref().and_then(Operation::account)
    }
}

/// What evidence is said to prove, and in which epoch, by its form alone.
#[must_use]
pub fn claim(evidence: &Evidence, params: &Params) -> Claim {
    let (finding, accused) = evidence::claim(evidence);
    Claim { finding, accused, epoch: evidence.epoch(params.schedule()) }
}

/// Judges an operation that was met in epoch `now`. Evidence is held against the epoch that it is about: `context` says
/// what that is.
#[must_use]
pub fn judge<'a>(bytes: &[u8], now: Epoch, context: impl Fn(Epoch) -> Context<'a>) -> Judged {
    let operation = codec::decode::<Operation>(bytes, limits::OPERATION_BYTES_MAX).ok();
    let kind = operation.as_ref().map_or(OperationKind::Evidence, Operation::kind);
    let signed = operation.as_ref().and_then(Operation::account);
    let network = context(now).network;
    let admissible = signed.is_none_or(|one| account::is_well_formed(&one.header, &network) && account::is_signed(one));
    let Some(evidence) = operation.as_ref().and_then(Operation::evidence) else {
        return Judged { operation, kind, proved: None, epoch: now, admissible };
    };
    let epoch = evidence.epoch(context(now).params.schedule());
    let proved = Some(evidence::verify(evidence, &context(epoch)));
    Judged { operation, kind, proved, epoch, admissible }
}
