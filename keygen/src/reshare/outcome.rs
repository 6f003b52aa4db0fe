//! From the agreed set of logs to the new committee's commitments: what everybody computes.
use super::{LogError, Plan, ReshareError, ShareKey};
use crate::{
    ceremony::{CeremonyError, member_id},
    party::{Board, Opened, PublicOutput, Round, Verdict},
    public,
};
use commonware_cryptography::bls12381::primitives::group::G1;
use crypto::hash::t256;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use types::{G1Bytes, G2Bytes, Hash, KeySetParts, MemberId, codec, tag};
use zeroize::Zeroizing;

/// A log of both secrets, bytes: above those of the largest committees.
pub const LOG_BYTES_MAX: usize = 60_000;

/// A log on the wire.
#[derive(Serialize, Deserialize)]
struct LogHalves {
    decrypt: Vec<u8>,
    beacon: Vec<u8>,
}

pub(crate) fn join(decrypt: Vec<u8>, beacon: Vec<u8>) -> Vec<u8> {
    codec::encode(&LogHalves { decrypt, beacon })
}

#[cfg(test)]
pub(super) fn split(log: &[u8]) -> [Vec<u8>; 2] {
    let halves: LogHalves = codec::decode(log, LOG_BYTES_MAX).unwrap();
    [halves.decrypt, halves.beacon]
}

/// A log whose signatures hold.
struct Log {
    halves: LogHalves,
    decrypt: Opened,
    beacon: Opened,
}

/// What logs are judged by: the two rounds of one plan.
#[derive(Clone, Copy)]
pub(crate) struct Rounds<'a> {
    /// Of the plan.
    pub(crate) name: &'a Hash,
    pub(crate) decrypt: &'a Round,
    pub(crate) beacon: &'a Round,
    /// How many dealers there are, and how many it takes.
    pub(crate) dealers: (usize, usize),
}

impl Plan {
    pub(super) fn rounds(&self) -> Rounds<'_> {
        Rounds { name: &self.name, decrypt: &self.decrypt.round, beacon: &self.beacon.round, dealers: self.old }
    }
}

fn open(rounds: Rounds<'_>, bytes: &[u8]) -> Result<Log, LogError> {
    let halves: LogHalves = codec::decode(bytes, LOG_BYTES_MAX)?;
    let decrypt = rounds.decrypt.open(&halves.decrypt)?;
    let beacon = rounds.beacon.open(&halves.beacon)?;
    if decrypt.member != beacon.member {
        return Err(LogError::Halves);
    }
    Ok(Log { halves, decrypt, beacon })
}

/// Admission of a log: well-formed, and signed for this plan by the old member returned. What it says is judged by
/// [`observe`], so that a dealer who signs nonsense is named.
///
/// # Errors
/// [`LogError`].
pub fn check_log(plan: &Plan, bytes: &[u8]) -> Result<MemberId, LogError> {
    author(plan.rounds(), bytes)
}

/// As [`check_log`], of any two rounds.
pub(crate) fn author(rounds: Rounds<'_>, bytes: &[u8]) -> Result<MemberId, LogError> {
    open(rounds, bytes).map(|log| log.decrypt.member)
}

fn digest(name: &Hash, logs: &[&[u8]]) -> Hash {
    t256(tag::RESHARE_LOGS, &[name.as_bytes(), &codec::encode(&logs)])
}

/// The logs of a set that count.
pub(crate) struct Taken {
    pub(crate) decrypt: Board,
    pub(crate) beacon: Board,
    pub(crate) dealers: Vec<MemberId>,
    pub(crate) faulty: Vec<MemberId>,
    pub(crate) logs: Hash,
}

impl Taken {
    /// Whatever the order of `logs` is, and how often each is in it. What is no log of this plan is not there.
    pub(crate) fn new<'a>(rounds: Rounds<'_>, logs: impl IntoIterator<Item = &'a [u8]>) -> Result<Self, ReshareError> {
        let mut by_dealer: BTreeMap<MemberId, BTreeMap<&[u8], Log>> = BTreeMap::new();
        for bytes in logs.into_iter().collect::<BTreeSet<_>>() {
            if let Ok(log) = open(rounds, bytes) {
                by_dealer.entry(log.decrypt.member).or_default().insert(bytes, log);
            }
        }
        let mut taken = Self {
            decrypt: Board::default(),
            beacon: Board::default(),
            dealers: Vec::new(),
            faulty: Vec::new(),
            logs: digest(rounds.name, &by_dealer.values().flat_map(BTreeMap::keys).copied().collect::<Vec<_>>()),
        };
        for (member, mut logs) in by_dealer {
            let first = logs.pop_first();
            // Two logs of one dealer: which one counts would hang on their order, so none does.
            let Some((bytes, log)) = first.filter(|_| logs.is_empty()) else {
                taken.faulty.push(member);
                continue;
            };
            // The coefficients of the check come from the log's own bytes: nobody can fit a log to them.
            let entropy = Zeroizing::new(digest(rounds.name, &[bytes]).0);
            let verdicts = [rounds.decrypt.judge(&entropy, &log.decrypt), rounds.beacon.judge(&entropy, &log.beacon)];
            if verdicts.contains(&Verdict::Faulty) {
                taken.faulty.push(member);
            } else if verdicts == [Verdict::Usable; 2] {
                taken.decrypt.put(&log.halves.decrypt, log.decrypt);
                taken.beacon.put(&log.halves.beacon, log.beacon);
                taken.dealers.push(member);
            }
        }
        let (n, required) = rounds.dealers;
        let found = taken.dealers.len();
        if found < required {
            let named = |member: &MemberId| taken.dealers.contains(member) || taken.faulty.contains(member);
            let unavailable = (0..n).map(member_id).filter(|member| !named(member)).collect();
            return Err(ReshareError::TooFewLogs { required, found, faulty: taken.faulty, unavailable });
        }
        // As the library does: the first q usable ones.
        taken.dealers.truncate(required);
        Ok(taken)
    }

    /// Public randomness of the checks, which all these logs fix.
    pub(crate) fn entropy(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.logs.0)
    }

    pub(super) fn outcome(&self, plan: &Plan) -> Result<(Outcome, [Sharing; 2]), ReshareError> {
        let both = || {
            let decrypt = Sharing::new(self, plan, &plan.decrypt, &self.decrypt)?;
            let beacon = Sharing::new(self, plan, &plan.beacon, &self.beacon)?;
            let bytes = |points: &[G1]| points.iter().map(public::g1_bytes).collect::<Result<Vec<_>, _>>();
            let mut revealed = [decrypt.revealed.as_slice(), &beacon.revealed].concat();
            revealed.sort_unstable();
            revealed.dedup();
            let outcome = Outcome {
                members: plan.members.clone(),
                decrypt: bytes(&decrypt.commitments)?,
                decrypt_g2: plan.decrypt_g2,
                beacon: bytes(&beacon.commitments)?,
                revealed,
                dealers: self.dealers.clone(),
                faulty: self.faulty.clone(),
                logs: self.logs,
            };
            Ok::<_, CeremonyError>((outcome, [decrypt, beacon]))
        };
        both().map_err(|source| ReshareError::Library { source })
    }
}

/// The new sharing of one secret.
pub(super) struct Sharing {
    pub(super) output: PublicOutput,
    pub(super) commitments: Vec<G1>,
    revealed: Vec<MemberId>,
}

impl Sharing {
    fn new(taken: &Taken, plan: &Plan, half: &super::Half, board: &Board) -> Result<Self, CeremonyError> {
        let output = half.round.observe(&taken.entropy(), board)?;
        let commitments = public::commitments(&output, plan.new.0, plan.new.1)?;
        if commitments.first() != half.commitments.first() {
            return Err(CeremonyError::Library);
        }
        let revealed = half.round.revealed(&output);
        Ok(Self { output, commitments, revealed })
    }
}

/// The public result of a resharing: equal for everybody who has the same set of logs (KEY-6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Consensus keys of the new committee, ascending.
    pub members: Vec<Hash>,
    /// Commitments of the decryption secret. The first is PK, as before.
    pub decrypt: Vec<G1Bytes>,
    /// PK2, as before.
    pub decrypt_g2: G2Bytes,
    /// Commitments of the beacon secret. The first is the beacon's key, as before.
    pub beacon: Vec<G1Bytes>,
    /// New members whose share of either secret anyone can compute from the logs.
    pub revealed: Vec<MemberId>,
    /// Old members whose logs made it: the first q usable ones.
    pub dealers: Vec<MemberId>,
    /// Old members whose signatures prove a fault: a log that does not hold, or two logs.
    pub faulty: Vec<MemberId>,
    /// T256("lockstep/reshare/logs/v1"; plan's name, codec(logs by dealer)), over all logs of this plan in the set.
    pub logs: Hash,
}

impl Outcome {
    /// The new key set, once q members have published fitting keys in G2. Which q does not matter: the others' are
    /// interpolated.
    ///
    /// # Errors
    /// [`CeremonyError::TooFewShareKeys`].
    pub fn key_set(&self, share_keys: &[ShareKey]) -> Result<KeySetParts, CeremonyError> {
        let of = |member| share_keys.iter().find(|key| key.member == member).map(|key| key.point.0.to_vec());
        let published: Vec<_> = (0..self.members.len()).map(|index| of(member_id(index))).collect();
        let keys_g2 = public::keys_g2(&public::points(&self.decrypt)?, &published)?;
        if keys_g2.group != self.decrypt_g2 {
            return Err(CeremonyError::Library);
        }
        Ok(KeySetParts {
            decrypt: self.decrypt.clone(),
            decrypt_g2: self.decrypt_g2,
            share_keys_g2: keys_g2.members,
            beacon: self.beacon.clone(),
            revealed: self.revealed.clone(),
        })
    }
}

/// What anyone computes from the agreed logs, in any order. Logs that [`check_log`] refuses do not count.
///
/// # Errors
/// [`ReshareError::TooFewLogs`].
pub fn observe<'a>(plan: &Plan, logs: impl IntoIterator<Item = &'a [u8]>) -> Result<Outcome, ReshareError> {
    Ok(Taken::new(plan.rounds(), logs)?.outcome(plan)?.0)
}
