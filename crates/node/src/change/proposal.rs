//! A change on its way: what it changes, and the signatures it has so far. The file of it.
use super::page::is_address;
use crate::{
    cli::Failure,
    files::{self, FilesError},
};
use crypto::{
    change::{self, ChangeError},
    ed25519::{self, SigningKey},
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, net::SocketAddr, path::Path};
use types::{Change, EpochRecord, Genesis, Hash, Joining, MemberId, MemberRecord, Signature, SignedChange, VoteSig};

/// Longest file: two committees of 128 members, their keys, addresses and signatures.
const FILE_BYTES_MAX: usize = 1 << 20;

/// Why a file is no change that anybody should sign.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum ProposalError {
    /// Not JSON, or something else in it.
    #[error("no change: {0}")]
    Json(#[from] serde_json::Error),
    /// The EPOCH in it is not the one that the change names.
    #[error("`current` is not what the change names by its hash: the file was altered")]
    Current,
    /// It breaks a rule of the network.
    #[error(transparent)]
    Rule(#[from] ChangeError),
    /// Its parameters break one.
    #[error("parameters: {0}")]
    Params(#[from] auction_rules::GenesisError),
    /// An address that members can not use.
    #[error("{0} joins with an address that is none: p2p is ip:port, quic and http are host:port")]
    Address(String),
    /// There is not one place for the word of each that joins.
    #[error("{0} acceptances for {1} that join")]
    Acceptances(usize, usize),
    /// The key is not one of this committee's.
    #[error("consensus key {0} is not one of the committee of epoch {1}: only members approve")]
    NoMember(Hash, types::Epoch),
    /// The key is not one of those that join.
    #[error("consensus key {0} does not join by this change: only those that join accept")]
    NotJoining(Hash),
    /// A copy of another change.
    #[error("another change than in the first file")]
    Other,
}

/// The file: a `SignedChange` with the EPOCH that it changes. A signature that is not there yet is zeros.
#[derive(Serialize, Deserialize)]
struct File {
    #[serde(flatten)]
    signed: SignedChange,
    current: EpochRecord,
}

/// A change that keeps the rules, as far as it is signed. Signatures in here hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Proposal {
    pub(super) current: EpochRecord,
    pub(super) change: Change,
    /// The committee that it makes.
    pub(super) next: Vec<MemberRecord>,
    pub(super) approvals: BTreeMap<MemberId, Signature>,
    /// In the order of the seats of those that join.
    pub(super) acceptances: Vec<Option<Signature>>,
    /// Signatures that were left out, for people.
    pub(super) left_out: Vec<String>,
}

impl Proposal {
    /// Checks a change against the EPOCH that it names, and which of its signatures hold.
    ///
    /// # Errors
    /// [`ProposalError`].
    pub(super) fn check(current: EpochRecord, signed: SignedChange) -> Result<Self, ProposalError> {
        // f is a function of the members, and not in the hash
        let n = usize::from(current.f).saturating_mul(3).saturating_add(1);
        if signed.change.base != change::base(&current) || n != current.members.len() {
            return Err(ProposalError::Current);
        }
        let next = match change::verify(&signed, &current) {
            // what is signed is looked at below, one by one
            Err(
                ChangeError::Approvals(_)
                | ChangeError::Approval(_)
                | ChangeError::Acceptances(_)
                | ChangeError::Acceptance(_),
            ) => change::members(&signed.change, &current)?,
            verified => verified?,
        };
        check_params(&signed.change, &next)?;
        if let Some(joining) = signed.change.joining().find(|joining| !has_addresses(joining)) {
            return Err(ProposalError::Address(plain(&joining.record.name)));
        }
        let SignedChange { change, approvals, acceptances } = signed;
        let joining = change.joining().count();
        if acceptances.len() != joining {
            return Err(ProposalError::Acceptances(acceptances.len(), joining));
        }
        let mut proposal = Self {
            current,
            change,
            next,
            approvals: BTreeMap::new(),
            acceptances: vec![None; joining],
            left_out: Vec::new(),
        };
        for VoteSig { member, sig } in approvals {
            proposal.take_approval(member, sig);
        }
        for (at, sig) in acceptances.into_iter().enumerate() {
            proposal.take_acceptance(at, sig);
        }
        Ok(proposal)
    }

    fn take_approval(&mut self, member: MemberId, sig: Signature) {
        let digest = change::approval(&self.change);
        match self.current.members.get(usize::from(member.0)) {
            Some(record) if ed25519::verify(&record.consensus, digest.as_bytes(), &sig) => {
                self.approvals.insert(member, sig);
            }
            Some(record) => self.left_out.push(format!("approval of {}: does not verify", plain(&record.name))),
            None => self.left_out.push(format!("approval of member {member}: no such member")),
        }
    }

    fn take_acceptance(&mut self, at: usize, sig: Signature) {
        let digest = change::acceptance(&self.change);
        let holds = |joining: &Joining| ed25519::verify(&joining.record.consensus, digest.as_bytes(), &sig);
        let name = match self.change.joining().nth(at) {
            Some(joining) if holds(joining) => None,
            Some(joining) => Some(plain(&joining.record.name)),
            None => return,
        };
        match (name, self.acceptances.get_mut(at)) {
            (None, Some(place)) => *place = Some(sig),
            (Some(name), _) if sig != Signature::ZERO => {
                self.left_out.push(format!("acceptance of {name}: does not verify"));
            }
            _ => {}
        }
    }

    /// What is sent, or stands in the file: zeros where a word is missing.
    pub(super) fn signed(&self) -> SignedChange {
        SignedChange {
            change: self.change.clone(),
            approvals: self.approvals.iter().map(|(member, sig)| VoteSig { member: *member, sig: *sig }).collect(),
            acceptances: self.acceptances.iter().map(|sig| sig.unwrap_or(Signature::ZERO)).collect(),
        }
    }

    /// As it is sent: with exactly as many approvals as it needs, the first ones.
    pub(super) fn sent(&self) -> SignedChange {
        let mut signed = self.signed();
        signed.approvals.truncate(self.need());
        signed
    }

    /// 2f + 1 of this committee.
    pub(super) fn need(&self) -> usize {
        usize::from(self.current.f).saturating_mul(2).saturating_add(1)
    }

    /// Whether all have signed who must.
    pub(super) fn is_complete(&self) -> bool {
        self.approvals.len() >= self.need() && self.acceptances.iter().all(Option::is_some)
    }

    /// A member of this committee signs; says which.
    ///
    /// # Errors
    /// [`ProposalError::NoMember`].
    pub(super) fn approve(&mut self, key: &SigningKey) -> Result<MemberId, ProposalError> {
        let public = key.public();
        let found = (0u16..).zip(&self.current.members).find(|(_, member)| member.consensus == public);
        let (index, _) = found.ok_or(ProposalError::NoMember(public, self.current.epoch))?;
        self.approvals.insert(MemberId(index), key.sign(change::approval(&self.change).as_bytes()));
        Ok(MemberId(index))
    }

    /// A member that joins signs.
    ///
    /// # Errors
    /// [`ProposalError::NotJoining`].
    pub(super) fn accept(&mut self, key: &SigningKey) -> Result<(), ProposalError> {
        let public = key.public();
        let at = self.change.joining().position(|joining| joining.record.consensus == public);
        let place = at.and_then(|at| self.acceptances.get_mut(at)).ok_or(ProposalError::NotJoining(public))?;
        *place = Some(key.sign(change::acceptance(&self.change).as_bytes()));
        Ok(())
    }

    /// Takes over the signatures of a copy.
    ///
    /// # Errors
    /// [`ProposalError::Other`].
    pub(super) fn merge(&mut self, copy: Self) -> Result<(), ProposalError> {
        if copy.change != self.change {
            return Err(ProposalError::Other);
        }
        self.approvals.extend(copy.approvals);
        for (place, sig) in self.acceptances.iter_mut().zip(copy.acceptances) {
            *place = place.or(sig);
        }
        self.left_out.extend(copy.left_out);
        Ok(())
    }

    /// Reads a file.
    ///
    /// # Errors
    /// [`Failure`]: 66 when it cannot be read, 64 when it is no such change.
    pub(super) fn read(path: &Path) -> Result<Self, Failure> {
        let bytes = files::read(path, FILE_BYTES_MAX)?;
        Self::parse(&bytes).map_err(|error| Failure::usage(format!("{}: {error}", path.display())))
    }

    pub(super) fn parse(bytes: &[u8]) -> Result<Self, ProposalError> {
        let File { signed, current } = serde_json::from_slice(bytes)?;
        Self::check(current, signed)
    }

    /// The file's bytes.
    pub(super) fn to_bytes(&self) -> Result<Vec<u8>, serde_json::Error> {
        let file = File { signed: self.signed(), current: self.current.clone() };
        let mut bytes = serde_json::to_vec_pretty(&file)?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// Writes the file: whole, or as it was before.
    ///
    /// # Errors
    /// [`Failure`].
    pub(super) fn write(&self, path: &Path) -> Result<(), Failure> {
        let bytes = self.to_bytes().map_err(|error| Failure::software(error.to_string()))?;
        Ok(store::durable::write(path, &bytes).map_err(FilesError::Durable)?)
    }
}

/// Whether a member that joins can be reached: who dials p2p looks no name up.
fn has_addresses(joining: &Joining) -> bool {
    let p2p = joining.p2p.parse::<SocketAddr>().is_ok_and(|address| address.port() > 0);
    p2p && is_address(&joining.quic) && is_address(&joining.http)
}

/// The parameters by the ledger's rules, which open a ledger and not a set of parameters: one with nothing on it.
fn check_params(change: &Change, next: &[MemberRecord]) -> Result<(), auction_rules::GenesisError> {
    let genesis = Genesis {
        origin: "lockstep/change".into(),
        members: next.to_vec(),
        params: change.params.clone(),
        rollups: Vec::new(),
        balances: Vec::new(),
    };
    auction_rules::Ledger::genesis(&genesis).map(drop)
}

/// A name of somebody else, fit for a terminal.
pub(super) fn plain(text: &str) -> String {
    text.chars().take(80).map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '?' }).collect()
}
