//! The messages of a ceremony, and what follows from them: the same for an operator and for whoever reads the transcript.
use super::{Failure, Message, Phase, Plan, Sighting, Step};
use crate::{
    ceremony::CeremonyError,
    party::{Board, LogError, PublicOutput, Round},
    public::{self, KeysG2},
    reshare::outcome::Taken,
};
use commonware_cryptography::bls12381::primitives::group::G1;
use crypto::hash::t256;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use types::{G1Bytes, Hash, KeySetParts, MemberId, codec, codec::DecodeError, tag};

/// Why a message does not count. What names a member is signed by it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// No encoding of a message.
    #[error("malformed message")]
    Malformed(#[from] DecodeError),
    /// Of nobody in the committee.
    #[error("not by a member")]
    Stranger,
    /// Of a member that the plan says is absent.
    #[error("member {member} is absent in this ceremony")]
    Absent {
        /// Who.
        member: MemberId,
    },
    /// Numbers, lengths or an order that no such message of this committee has.
    #[error("counts that do not fit the committee")]
    Counts {
        /// Who is said to have sent it.
        member: MemberId,
    },
    /// Not its author's signature for this plan.
    #[error("bad signature")]
    Signature,
    /// What is said to be a log is none.
    #[error("not a log")]
    Log(#[from] LogError),
    /// A log that another dealer signed.
    #[error("member {member} sent the log of another")]
    LogAuthor {
        /// Who sent it.
        member: MemberId,
    },
    /// Two others of its author and step are there: they say what a third would say.
    #[error("member {member} has said two other things in this step")]
    Spent {
        /// Who.
        member: MemberId,
    },
}

/// The result that everybody computes from the messages that count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Commitments of the decryption secret.
    pub decrypt: Vec<G1Bytes>,
    /// Commitments of the beacon secret.
    pub beacon: Vec<G1Bytes>,
    /// Members whose share of either secret anyone can compute from the logs.
    pub revealed: Vec<MemberId>,
    /// Members whose dealings made the keys.
    pub dealers: Vec<MemberId>,
    /// Members whose signatures prove a fault: two messages in one step, or a log that does not hold.
    pub faulty: Vec<MemberId>,
    /// T256("lockstep/ceremony/outcome/v1"; plan's name, codec(U), digest of the logs, codec(decrypt, beacon, revealed,
    /// dealers, faulty)): what every operator signs.
    pub hash: Hash,
}

/// An outcome with what a member needs to find its share.
pub(super) struct Settled {
    pub(super) outcome: Outcome,
    pub(super) taken: Taken,
    pub(super) sharings: [PublicOutput; 2],
    pub(super) commitments: [Vec<G1>; 2],
    /// The dealing that counts, of each dealer whose log does.
    pub(super) deals: BTreeMap<MemberId, Hash>,
}

/// The messages so far: at most two of an author and step, which differ.
pub(super) struct Record {
    plan: Arc<Plan>,
    held: BTreeMap<(Phase, MemberId), Vec<(Hash, Message)>>,
}

impl Record {
    pub(super) fn new(plan: Arc<Plan>) -> Self {
        Self { plan, held: BTreeMap::new() }
    }

    pub(super) fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// Takes a message; whether it is new. A third word is one that U names, or agrees to the outcome `wanted`: it takes
    /// the place of one that does not.
    pub(super) fn take(&mut self, message: &Message, wanted: Option<Hash>) -> Result<bool, Refused> {
        let id = message.check(&self.plan)?;
        let (phase, author) = (message.step.phase(), message.from);
        let named = if self.of(phase, author).len() > 1 { self.named(phase, author) } else { BTreeSet::new() };
        let held = self.held.entry((phase, author)).or_default();
        if held.iter().any(|(known, _)| *known == id) {
            return Ok(false);
        }
        if held.len() > 1 {
            let spare = match message.agrees() {
                Some((said, _)) => {
                    let agrees = |message: &Message| message.agrees().is_some_and(|(said, _)| Some(said) == wanted);
                    let is_new = Some(said) == wanted && !held.iter().any(|(_, message)| agrees(message));
                    is_new.then(|| held.len().saturating_sub(1))
                }
                None if named.contains(&id) => held.iter().rposition(|(known, _)| !named.contains(known)),
                None => None,
            };
            held.remove(spare.ok_or(Refused::Spent { member: message.from })?);
        }
        held.push((id, message.clone()));
        Ok(true)
    }

    pub(super) fn of(&self, phase: Phase, member: MemberId) -> &[(Hash, Message)] {
        self.held.get(&(phase, member)).map_or(&[], Vec::as_slice)
    }

    /// The message of this id, if it is here.
    pub(super) fn held(&self, phase: Phase, author: MemberId, id: &Hash) -> Option<&Message> {
        self.of(phase, author).iter().find(|(known, _)| known == id).map(|(_, message)| message)
    }

    pub(super) fn first(&self, phase: Phase, member: MemberId) -> Option<&Message> {
        self.of(phase, member).first().map(|(_, message)| message)
    }

    /// Who has not spoken in a step.
    pub(super) fn missing(&self, phase: Phase) -> Vec<MemberId> {
        self.plan.expected().filter(|member| self.of(phase, *member).is_empty()).collect()
    }

    /// All messages, by step and author.
    pub(super) fn messages(&self) -> impl Iterator<Item = &Message> {
        self.held.values().flatten().map(|(_, message)| message)
    }

    /// Two messages of one author and step, for each that signed such.
    pub(super) fn contradictions(&self) -> impl Iterator<Item = [&Message; 2]> {
        self.held.values().filter_map(|held| match held.as_slice() {
            [(_, first), (_, second)] => Some([first, second]),
            _ => None,
        })
    }

    /// What an operator holds now.
    pub(super) fn sightings(&self) -> Vec<Sighting> {
        let named = |(&(phase, author), held): (&(Phase, MemberId), &Vec<(Hash, Message)>)| {
            held.iter().map(|(id, _)| Sighting { author, phase, id: *id }).collect::<Vec<_>>()
        };
        let held = self.held.iter().filter(|((phase, _), _)| Phase::ECHOED.contains(phase));
        let mut sightings: Vec<_> = held.flat_map(named).collect();
        sightings.sort_unstable();
        sightings
    }

    /// U: what the echoes name, once all are there.
    fn union(&self) -> Option<BTreeSet<Sighting>> {
        let mut union = BTreeSet::new();
        for member in self.plan.expected() {
            let Step::Echo { held } = &self.first(Phase::Echo, member)?.step else { return None };
            union.extend(held.iter().copied());
        }
        Some(union)
    }

    /// What U names of an author in a step, once the echoes are all there; before, nothing.
    fn named(&self, phase: Phase, author: MemberId) -> BTreeSet<Hash> {
        let union = self.union().unwrap_or_default();
        union.iter().filter(|s| (s.phase, s.author) == (phase, author)).map(|s| s.id).collect()
    }

    /// What is named in U and decides, and is not here yet. Of an author that U names with two words in a step any two
    /// that are here decide: they prove what the others would.
    pub(super) fn unresolved(&self) -> Option<Vec<Sighting>> {
        let union = self.union()?;
        let named = by_place(&union);
        let open = |s: &&Sighting| {
            let place = (s.author, s.phase);
            let proved = self.of(s.phase, s.author).len() > 1 && named.get(&place).is_some_and(|ids| ids.len() > 1);
            !proved && self.held(s.phase, s.author, &s.id).is_none()
        };
        Some(union.iter().filter(open).copied().collect())
    }

    /// What U comes to. `None` as long as something is missing.
    pub(super) fn settle(&self) -> Option<Result<Settled, Failure>> {
        let union = self.union()?;
        if !self.unresolved()?.is_empty() {
            return None;
        }
        let named = by_place(&union);
        let twice: BTreeSet<MemberId> =
            named.iter().filter(|(_, ids)| ids.len() > 1).map(|((author, _), _)| *author).collect();
        // the one word that U names of each that contradicts itself nowhere
        let counted = |phase: Phase| -> Vec<&Message> {
            let once = named.iter().filter(|((author, of), _)| *of == phase && !twice.contains(author));
            once.filter_map(|((author, of), ids)| self.held(*of, *author, ids.first()?)).collect()
        };
        let mut logs = Vec::new();
        for message in counted(Phase::Seal) {
            if let Step::Seal { log } = &message.step {
                logs.push(log.as_slice());
            }
        }
        let deals = counted(Phase::Deal).iter().map(|message| (message.from, message.id(&self.plan))).collect();
        Some(self.reckon(&union, twice, logs, deals))
    }

    fn reckon(
        &self,
        union: &BTreeSet<Sighting>,
        twice: BTreeSet<MemberId>,
        logs: Vec<&[u8]>,
        deals: BTreeMap<MemberId, Hash>,
    ) -> Result<Settled, Failure> {
        let plan = &self.plan;
        let rounds = plan.rounds();
        let taken = Taken::new(rounds, logs).map_err(Failure::Dealers)?;
        let one = |round: &Round, board: &Board| {
            let output = round.observe(&taken.entropy(), board)?;
            let commitments = public::commitments(&output, plan.members().len(), plan.q())?;
            let revealed = round.revealed(&output);
            Ok::<_, CeremonyError>((output, commitments, revealed))
        };
        let both =
            || Ok::<_, CeremonyError>([one(rounds.decrypt, &taken.decrypt)?, one(rounds.beacon, &taken.beacon)?]);
        let bytes = |points: &[G1]| points.iter().map(public::g1_bytes).collect::<Result<Vec<_>, _>>();
        let [decrypt, beacon] = both().map_err(Failure::Keys)?;
        let revealed: BTreeSet<MemberId> = decrypt.2.iter().chain(&beacon.2).copied().collect();
        let faulty: BTreeSet<MemberId> = taken.faulty.iter().copied().chain(twice).collect();
        let mut outcome = Outcome {
            decrypt: bytes(&decrypt.1).map_err(Failure::Keys)?,
            beacon: bytes(&beacon.1).map_err(Failure::Keys)?,
            revealed: revealed.into_iter().collect(),
            dealers: taken.dealers.clone(),
            faulty: faulty.into_iter().collect(),
            hash: Hash::ZERO,
        };
        outcome.hash = hash(plan, union, &taken.logs, &outcome);
        Ok(Settled { outcome, taken, sharings: [decrypt.0, beacon.0], commitments: [decrypt.1, beacon.1], deals })
    }

    /// Who signed another outcome and not this one, once all have signed some.
    pub(super) fn disagreeing(&self, outcome: &Hash) -> Option<Vec<(MemberId, Hash)>> {
        let mut others = Vec::new();
        for member in self.plan.expected() {
            let held = self.of(Phase::Agree, member);
            let said = |(_, message): &(Hash, Message)| message.agrees().map(|(outcome, _)| outcome);
            let first = held.first().and_then(said)?;
            if !held.iter().any(|entry| said(entry) == Some(*outcome)) {
                others.push((member, first));
            }
        }
        Some(others)
    }

    /// The whole key set, and who published a share key that does not fit. For when all agree.
    pub(super) fn key_set(
        &self,
        outcome: &Outcome,
        commitments: &[G1],
    ) -> Result<(KeySetParts, Vec<MemberId>), Failure> {
        let mut published = vec![None; self.plan.members().len()];
        let mut liars = Vec::new();
        for member in self.plan.expected() {
            let said = self.of(Phase::Agree, member).iter().filter_map(|(_, message)| message.agrees());
            let agreed = said.filter(|(said, _)| *said == outcome.hash).map(|(_, point)| point.0.to_vec()).next();
            let index = usize::from(member.0);
            let Some(point) = agreed else { continue };
            if public::fitting_g2(commitments, index, &point).is_none() {
                liars.push(member);
            }
            if let Some(place) = published.get_mut(index) {
                *place = Some(point);
            }
        }
        match public::keys_g2(commitments, &published) {
            Ok(KeysG2 { group, members }) => {
                let parts = KeySetParts {
                    decrypt: outcome.decrypt.clone(),
                    decrypt_g2: group,
                    share_keys_g2: members,
                    beacon: outcome.beacon.clone(),
                    revealed: outcome.revealed.clone(),
                };
                Ok((parts, liars))
            }
            Err(source) => Err(Failure::ShareKeys { liars, source }),
        }
    }
}

fn hash(plan: &Plan, union: &BTreeSet<Sighting>, logs: &Hash, outcome: &Outcome) -> Hash {
    let union: Vec<&Sighting> = union.iter().collect();
    let Outcome { decrypt, beacon, revealed, dealers, faulty, .. } = outcome;
    let keys = codec::encode(&(decrypt, beacon, revealed, dealers, faulty));
    t256(tag::CEREMONY_OUTCOME, &[plan.name().as_bytes(), &codec::encode(&union), logs.as_bytes(), &keys])
}

/// The ids that U names, by author and step.
fn by_place(union: &BTreeSet<Sighting>) -> BTreeMap<(MemberId, Phase), Vec<Hash>> {
    let mut named: BTreeMap<(MemberId, Phase), Vec<Hash>> = BTreeMap::new();
    for sighting in union {
        named.entry((sighting.author, sighting.phase)).or_default().push(sighting.id);
    }
    named
}
