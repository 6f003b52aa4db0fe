//! The two roles: an old member deals, a new member plays. A member of both committees is both, and deals to itself.
use super::{Committee, Outcome, Plan, ReshareError, outcome::Taken};
use crate::{
    ceremony::{CeremonyError, MemberSecrets, member_id},
    party::{DealerSide, Dealt, PlayerSide, consensus_key},
    public,
};
use commonware_cryptography::{Signer, ed25519::PrivateKey};
use crypto::hash::t256;
use std::collections::BTreeSet;
use types::{MemberId, tag};
use zeroize::Zeroizing;

/// What a dealer sends to one new member: for both secrets commitments, then that member's scalar. Wiped on drop.
pub type Dealing = Zeroizing<Vec<u8>>;

/// Bytes of an acknowledgement: a signature per secret.
const ACK_BYTES: usize = 128;

/// A member of the old committee. Holds secrets; no `Debug`, no `Clone`.
///
/// ```compile_fail,E0277
/// fn copied<T: Clone>() {}
/// copied::<keygen::reshare::Dealer>();
/// ```
#[expect(missing_debug_implementations, reason = "secret")]
pub struct Dealer {
    decrypt: DealerSide,
    beacon: DealerSide,
    waiting: BTreeSet<MemberId>,
}

impl Dealer {
    /// A dealer, and a dealing per new member, by index: each must reach its member, and nobody else, over a channel
    /// that proves who sent it.
    ///
    /// `entropy` must be secret and uniform. The same plan and entropy give the same dealings; keep it until the log is
    /// sealed. It may serve several plans.
    ///
    /// # Errors
    /// [`ReshareError::Stranger`], [`ReshareError::Shares`].
    pub fn start(
        plan: &Plan,
        consensus_seed: &Zeroizing<[u8; 32]>,
        secrets: &MemberSecrets,
        entropy: &Zeroizing<[u8; 32]>,
    ) -> Result<(Self, Vec<Dealing>), ReshareError> {
        let key = key(consensus_seed)?;
        let me = plan.decrypt.round.dealer(&key.public_key());
        let me = me.ok_or(ReshareError::Stranger { committee: Committee::Old })?;
        let entropy = Zeroizing::new(t256(tag::RESHARE_ENTROPY, &[plan.name.as_bytes(), entropy.as_slice()]).0);
        let [decrypt, beacon] = plan.halves();
        let deal = |half: &super::Half, bytes| {
            let share = public::share(me, bytes).map_err(|_not| ReshareError::Shares)?;
            public::check_share(&half.commitments, me, &share).map_err(|_not| ReshareError::Shares)?;
            DealerSide::start(&half.round, &key, &entropy, Some(share))
                .map_err(|source| ReshareError::Library { source })
        };
        let Dealt { dealer: decrypt, dealings: first } = deal(decrypt, &secrets.decrypt)?;
        let Dealt { dealer: beacon, dealings: second } = deal(beacon, &secrets.beacon)?;
        let join = |(a, b): (&Dealing, &Dealing)| Zeroizing::new([a.as_slice(), b].concat());
        let dealings: Vec<_> = first.iter().zip(&second).map(join).collect();
        let waiting = (0..plan.new.0).map(member_id).collect();
        Ok((Self { decrypt, beacon, waiting }, dealings))
    }

    /// Takes a new member's acknowledgement; whether it was good.
    pub fn on_ack(&mut self, from: MemberId, bytes: &[u8]) -> bool {
        if bytes.len() != ACK_BYTES {
            return false;
        }
        let (decrypt, beacon) = bytes.split_at(ACK_BYTES.div_euclid(2));
        let good = self.decrypt.on_ack(from, decrypt) && self.beacon.on_ack(from, beacon);
        if good {
            self.waiting.remove(&from);
        }
        good
    }

    /// New members that have not acknowledged. Sealing publishes their scalars, if they are at most f; if they are
    /// more, the log is empty and does not count.
    pub fn waiting(&self) -> impl Iterator<Item = MemberId> {
        self.waiting.iter().copied()
    }

    /// Closes the dealing: the signed log for both secrets, at most [`super::LOG_BYTES_MAX`]. Write it to disk before
    /// it is sent, and never seal for this plan again.
    #[must_use]
    pub fn seal(self) -> Vec<u8> {
        super::outcome::join(self.decrypt.seal(), self.beacon.seal())
    }
}

/// A member of the new committee. Holds secrets; no `Debug`, no `Clone`.
///
/// ```compile_fail,E0277
/// fn copied<T: Clone>() {}
/// copied::<keygen::reshare::Player>();
/// ```
#[expect(missing_debug_implementations, reason = "secret")]
pub struct Player {
    me: MemberId,
    decrypt: PlayerSide,
    beacon: PlayerSide,
}

impl Player {
    /// A player without dealings.
    ///
    /// # Errors
    /// [`ReshareError::Stranger`].
    pub fn start(plan: &Plan, consensus_seed: &Zeroizing<[u8; 32]>) -> Result<Self, ReshareError> {
        let key = key(consensus_seed)?;
        let side = |half: &super::Half| {
            PlayerSide::new(&half.round, &key).map_err(|_not| ReshareError::Stranger { committee: Committee::New })
        };
        let decrypt = side(&plan.decrypt)?;
        Ok(Self { me: decrypt.me(), decrypt, beacon: side(&plan.beacon)? })
    }

    /// A player that has the dealings again which it had written down: those that it acknowledged.
    ///
    /// # Errors
    /// [`ReshareError::Stranger`], [`ReshareError::Stored`].
    pub fn resume<'a>(
        plan: &Plan,
        consensus_seed: &Zeroizing<[u8; 32]>,
        dealings: impl IntoIterator<Item = (MemberId, &'a [u8])>,
    ) -> Result<Self, ReshareError> {
        let mut player = Self::start(plan, consensus_seed)?;
        for (dealer, bytes) in dealings {
            player.on_dealing(dealer, bytes).ok_or(ReshareError::Stored { dealer })?;
        }
        Ok(player)
    }

    /// Checks a dealing; the acknowledgement to send once the dealing is on disk, or `None` for one that does not earn
    /// it. The same dealing again gives the same acknowledgement; another one of the same dealer gives none.
    ///
    /// `from` must be who the channel says.
    pub fn on_dealing(&mut self, from: MemberId, bytes: &[u8]) -> Option<Vec<u8>> {
        if !bytes.len().is_multiple_of(2) {
            return None;
        }
        let (decrypt, beacon) = bytes.split_at_checked(bytes.len().div_euclid(2))?;
        let first = self.decrypt.on_dealing(from, decrypt)?;
        let second = self.beacon.on_dealing(from, beacon)?;
        Some([first, second].concat())
    }

    /// The outcome and this member's new shares, from the agreed logs.
    ///
    /// # Errors
    /// As [`super::observe`]; and [`ReshareError::State`], after which the others still finish.
    pub fn finish<'a>(
        self,
        plan: &Plan,
        logs: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<(Outcome, MemberSecrets), ReshareError> {
        let taken = Taken::new(plan.rounds(), logs)?;
        let (outcome, outputs) = taken.outcome(plan)?;
        let me = self.me;
        let entropy = taken.entropy();
        let sides = [(self.decrypt, &taken.decrypt), (self.beacon, &taken.beacon)];
        let mut shares = Vec::with_capacity(sides.len());
        for ((side, board), output) in sides.into_iter().zip(&outputs) {
            let (own, share) = side.finish(&entropy, board).map_err(|source| ReshareError::State { source })?;
            let agrees = own == output.output;
            let checked = public::check_share(&output.commitments, me, &share);
            let checked = if agrees { checked } else { Err(CeremonyError::Disagrees { member: me }) };
            checked.map_err(|source| ReshareError::Library { source })?;
            shares.push(public::share_bytes(&share));
        }
        let beacon = shares.pop();
        let (Some(decrypt), Some(beacon)) = (shares.pop(), beacon) else {
            return Err(ReshareError::Library { source: CeremonyError::Library });
        };
        Ok((outcome, MemberSecrets { decrypt, beacon }))
    }
}

fn key(seed: &Zeroizing<[u8; 32]>) -> Result<PrivateKey, ReshareError> {
    consensus_key(seed).map_err(|source| ReshareError::Library { source })
}
