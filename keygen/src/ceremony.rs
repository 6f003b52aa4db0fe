//! A whole ceremony: both secrets, several rounds if needed, one key set.
use crate::{
    party::{Board, Dealing, PublicOutput, Round, Sealed, Secret, consensus_key},
    public,
};
use commonware_cryptography::{
    Signer,
    bls12381::{dkg::feldman_desmedt::Error as DkgError, primitives::group::Share},
    ed25519::{PrivateKey, PublicKey},
};
use types::{Hash, KeySetParts, MemberId, codec, limits, tag};
use zeroize::Zeroizing;

/// Rounds in search of a key set without revealed shares, before one with them is accepted.
pub const ROUNDS_MAX: u64 = 3;

/// The two shares of a member, little-endian scalars. Wiped on drop; no `Debug`, no `Clone`.
///
/// # Security
/// Secret. q of them open every envelope of the network before its order is fixed.
///
/// ```compile_fail,E0277
/// fn printed<T: core::fmt::Debug>() {}
/// printed::<keygen::MemberSecrets>();
/// ```
/// ```compile_fail,E0277
/// fn copied<T: Clone>() {}
/// copied::<keygen::MemberSecrets>();
/// ```
#[expect(missing_debug_implementations, reason = "secret")]
pub struct MemberSecrets {
    /// x_j of the decryption secret.
    pub decrypt: Zeroizing<[u8; 32]>,
    /// x_j of the beacon secret.
    pub beacon: Zeroizing<[u8; 32]>,
}

/// What a ceremony leaves behind. The share of a member in `parts.revealed` is here, too: anyone computes it from the logs.
#[expect(missing_debug_implementations, reason = "secret")]
pub struct CeremonyResult {
    /// The public key set.
    pub parts: KeySetParts,
    /// By member index.
    pub secrets: Vec<MemberSecrets>,
    /// SHA-256 over the dealer logs of both secrets, sorted: what operators compare out of band. Zero for a dealt set.
    pub logs: Hash,
    /// The round that made it, from 0.
    pub round: u64,
}

/// Why a ceremony made no key set.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CeremonyError {
    /// Not n = 3f + 1 members with f >= 1, or too many.
    #[error("{n} members: not 3f + 1, or too many")]
    Size {
        /// How many there are.
        n: usize,
    },
    /// Consensus keys not strictly ascending: member indices would not be their ranks.
    #[error("consensus key of member {index} out of order")]
    Order {
        /// The first that is not at its rank.
        index: usize,
    },
    /// No such member.
    #[error("no member {member}")]
    Member {
        /// The index asked for.
        member: MemberId,
    },
    /// The library refuses the parameters of a round.
    #[error("the round's parameters are refused")]
    Parameters {
        /// Why.
        source: DkgError,
    },
    /// Too few usable dealer logs.
    #[error("{found} usable dealer logs of {required}")]
    TooFewLogs {
        /// q.
        required: u32,
        /// How many were usable.
        found: u32,
        /// Dealers whose signed logs prove a fault.
        faulty: Vec<MemberId>,
        /// Dealers without a usable log.
        unavailable: Vec<MemberId>,
    },
    /// A participant lost what it had acknowledged.
    #[error("member {member} cannot finish")]
    State {
        /// Who.
        member: MemberId,
        /// Why.
        source: DkgError,
    },
    /// A participant computed another key set from the same logs.
    #[error("member {member} has another key set")]
    Disagrees {
        /// Who.
        member: MemberId,
    },
    /// A participant's share is not the one that the commitments name.
    #[error("share of member {member} does not fit the commitments")]
    Share {
        /// Whose.
        member: MemberId,
    },
    /// Too few members published a fitting key in G2.
    #[error("{found} share keys in G2 of {required}")]
    TooFewShareKeys {
        /// q.
        required: usize,
        /// How many fit.
        found: usize,
    },
    /// A value of the library is not encoded as documented.
    #[error("unexpected encoding")]
    Encoding(#[from] commonware_codec::Error),
    /// The library broke one of its promises.
    #[error("the library broke a promise")]
    Library,
}

/// q = 2f + 1 of n = 3f + 1 members, f >= 1.
pub(crate) fn quorum(n: usize) -> Result<usize, CeremonyError> {
    let f = n.saturating_sub(1).div_euclid(3);
    if f == 0 || n != f.saturating_mul(3).saturating_add(1) || n > limits::MEMBERS_MAX {
        return Err(CeremonyError::Size { n });
    }
    Ok(n.saturating_sub(f))
}

/// What travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Commitments and a scalar, dealer to member.
    Dealing,
    /// Acknowledgement, member to dealer.
    Ack,
    /// Signed log, dealer to all.
    Log,
    /// x_j G^, member to all.
    ShareKey,
}

/// Where a message comes from and goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Route {
    pub(crate) round: u64,
    pub(crate) secret: Secret,
    pub(crate) step: Step,
    pub(crate) from: MemberId,
    /// `None`: everybody.
    pub(crate) to: Option<MemberId>,
}

/// Carries a message, or loses it. Tests lose and alter.
pub(crate) type Wire<'a> = &'a mut dyn FnMut(Route, Zeroizing<Vec<u8>>) -> Option<Zeroizing<Vec<u8>>>;

/// Runs both ceremonies between n participants in this process: each has its own key and randomness, and they know of
/// each other only what the protocol's messages say. Nobody deals for the others.
///
/// `consensus_seeds` are by member index, so their public keys ascend. `entropy` seeds what the participants draw; it
/// must be secret, uniform and used once.
///
/// # Errors
/// [`CeremonyError`], in process only for a wrong size or order.
///
/// # Security
/// Afterwards this process has held every share: good for a devnet and for tests, not between operators.
pub fn run_in_process(
    network: &Hash,
    consensus_seeds: &[Zeroizing<[u8; 32]>],
    entropy: [u8; 32],
) -> Result<CeremonyResult, CeremonyError> {
    run(network, consensus_seeds, entropy, &mut |_, bytes| Some(bytes))
}

/// As [`run_in_process`], over `wire`.
pub(crate) fn run(
    network: &Hash,
    consensus_seeds: &[Zeroizing<[u8; 32]>],
    entropy: [u8; 32],
    wire: Wire<'_>,
) -> Result<CeremonyResult, CeremonyError> {
    let entropy = Zeroizing::new(entropy);
    quorum(consensus_seeds.len())?;
    let keys = consensus_seeds.iter().map(consensus_key).collect::<Result<Vec<_>, _>>()?;
    let mut completed = None;
    for number in 0..ROUNDS_MAX {
        match attempt(network, &keys, number, &entropy, wire) {
            Ok(result) if result.parts.revealed.is_empty() => return Ok(result),
            Ok(result) => completed = Some(result),
            Err(CeremonyError::TooFewLogs { .. }) if number.saturating_add(1) < ROUNDS_MAX || completed.is_some() => {}
            Err(error) => return Err(error),
        }
    }
    completed.ok_or(CeremonyError::Library)
}

/// One round for both secrets.
fn attempt(
    network: &Hash,
    keys: &[PrivateKey],
    number: u64,
    entropy: &Zeroizing<[u8; 32]>,
    wire: Wire<'_>,
) -> Result<CeremonyResult, CeremonyError> {
    let (n, q) = (keys.len(), quorum(keys.len())?);
    let public_keys: Vec<PublicKey> = keys.iter().map(Signer::public_key).collect();
    let mut one = |secret| {
        let round = Round::new(network, secret, number, &public_keys)?;
        let outcome = exchange(&round, secret, number, keys, entropy, wire)?;
        let commitments = public::commitments(&outcome.output, n, q)?;
        for (index, share) in outcome.shares.iter().enumerate() {
            public::check_share(&commitments, member_id(index), share)?;
        }
        let revealed = round.revealed(&outcome.output);
        Ok::<_, CeremonyError>((outcome, commitments, revealed))
    };
    let (decrypt, decrypt_commitments, mut revealed) = one(Secret::Decrypt)?;
    let (beacon, beacon_commitments, beacon_revealed) = one(Secret::Beacon)?;
    revealed.extend(beacon_revealed);
    revealed.sort_unstable();
    revealed.dedup();

    let published: Vec<Option<Vec<u8>>> = decrypt
        .shares
        .iter()
        .enumerate()
        .map(|(index, share)| {
            let route = Route {
                round: number,
                secret: Secret::Decrypt,
                step: Step::ShareKey,
                from: member_id(index),
                to: None,
            };
            wire(route, Zeroizing::new(public::share_key_g2(share))).map(|bytes| bytes.to_vec())
        })
        .collect();
    let keys_g2 = public::keys_g2(&decrypt_commitments, &published)?;

    let bytes = |points: &[_]| points.iter().map(public::g1_bytes).collect::<Result<Vec<_>, _>>();
    let secrets = decrypt.shares.iter().zip(&beacon.shares);
    Ok(CeremonyResult {
        parts: KeySetParts {
            decrypt: bytes(&decrypt_commitments)?,
            decrypt_g2: keys_g2.group,
            share_keys_g2: keys_g2.members,
            beacon: bytes(&beacon_commitments)?,
            revealed,
        },
        secrets: secrets
            .map(|(d, b)| MemberSecrets { decrypt: public::share_bytes(d), beacon: public::share_bytes(b) })
            .collect(),
        logs: logs_digest(&decrypt.board, &beacon.board),
        round: number,
    })
}

/// What one round left for one secret.
struct Outcome {
    output: PublicOutput,
    /// By member index.
    shares: Vec<Share>,
    board: Board,
}

/// Dealings, acknowledgements, logs; then everybody finishes with the same logs.
fn exchange(
    round: &Round,
    secret: Secret,
    number: u64,
    keys: &[PrivateKey],
    entropy: &Zeroizing<[u8; 32]>,
    wire: Wire<'_>,
) -> Result<Outcome, CeremonyError> {
    let route = |step, from, to| Route { round: number, secret, step, from, to };
    let mut parties = Vec::with_capacity(keys.len());
    let mut dealers = Vec::with_capacity(keys.len());
    for key in keys {
        let started = Dealing::start(round, key, entropy)?;
        parties.push(started.party);
        dealers.push(started.dealings);
    }

    // 1. Every dealer to every member, itself included; the acknowledgement goes back.
    for (from, dealings) in dealers.into_iter().enumerate().map(|(i, d)| (member_id(i), d)) {
        for (index, dealing) in dealings.into_iter().enumerate() {
            let to = member_id(index);
            let arrived = wire(route(Step::Dealing, from, Some(to)), dealing);
            let ack = arrived.and_then(|bytes| parties.get_mut(index)?.on_dealing(from, &bytes));
            let arrived = ack.and_then(|ack| wire(route(Step::Ack, to, Some(from)), Zeroizing::new(ack)));
            if let (Some(ack), Some(dealer)) = (arrived, parties.get_mut(usize::from(from.0))) {
                // A bad acknowledgement counts as none: the scalar goes into the log.
                let _accepted: bool = dealer.on_ack(to, &ack);
            }
        }
    }

    // 2. Every dealer's log to everybody. A log that is no log counts as none.
    let (logs, waiting): (Vec<Vec<u8>>, Vec<Sealed>) = parties.into_iter().map(Dealing::seal).unzip();
    let mut board = Board::default();
    for (index, log) in logs.into_iter().enumerate() {
        if let Some(log) = wire(route(Step::Log, member_id(index), None), Zeroizing::new(log)) {
            let _posted: Option<MemberId> = board.post(round, &log).ok();
        }
    }

    // 3. Same logs, same key set (KEY-2).
    let output = round.observe(entropy, &board)?;
    let mut shares = Vec::with_capacity(waiting.len());
    for (index, party) in waiting.into_iter().enumerate() {
        let (own, share) = party.finish(entropy, &board)?;
        if own != output {
            return Err(CeremonyError::Disagrees { member: member_id(index) });
        }
        shares.push(share);
    }
    Ok(Outcome { output, shares, board })
}

pub(crate) fn member_id(index: usize) -> MemberId {
    MemberId(u16::try_from(index).unwrap_or(u16::MAX))
}

/// SHA-256 over the logs of both secrets, each list sorted by dealer.
fn logs_digest(decrypt: &Board, beacon: &Board) -> Hash {
    let list = |board: &Board| codec::encode(&board.bytes().map(<[u8]>::to_vec).collect::<Vec<_>>());
    crypto::hash::tagged(tag::DKG_LOGS, &[&list(decrypt), &list(beacon)])
}

#[cfg(test)]
mod tests;
