//! Every vote that passes by goes to [`SlotApp::vote`] (engine.md section 8).
use crate::{SeenVote, SlotApp, VoteKind, finals::signature};
use bytes::Bytes;
use commonware_actor::Feedback;
use commonware_codec::{Encode, ReadExt as _};
use commonware_consensus::{
    Reporter,
    simplex::{
        scheme::ed25519::Scheme,
        types::{Activity, Finalize, Notarize, Nullify},
    },
    types::Round,
};
use commonware_cryptography::{certificate::Attestation, ed25519::certificate::Certificate, sha256::Digest};
use types::MemberId;

#[derive(Clone)]
pub(crate) struct Tap<A>(pub(crate) A);

impl<A: SlotApp> Tap<A> {
    fn single(&self, kind: VoteKind, round: Round, msg: Bytes, vote: &Attestation<Scheme>) {
        // A signature that does not parse is no vote.
        let (Ok(member), Some(sig)) = (u16::try_from(vote.signer.get()), vote.signature.get().and_then(signature))
        else {
            return;
        };
        let (epoch, view) = (round.epoch().get(), round.view().get());
        self.0.vote(SeenVote { kind, epoch, view, member: MemberId(member), msg, sig });
    }

    fn certificate(&self, kind: VoteKind, round: Round, msg: &Bytes, certificate: &Certificate) {
        for (signer, signature) in certificate.signers.iter().zip(&certificate.signatures) {
            self.single(kind, round, msg.clone(), &Attestation { signer, signature: signature.clone() });
        }
    }

    fn notarize(&self, vote: &Notarize<Scheme, Digest>) {
        self.single(VoteKind::Notarize, vote.proposal.round, vote.proposal.encode(), &vote.attestation);
    }
    fn nullify(&self, vote: &Nullify<Scheme>) {
        self.single(VoteKind::Nullify, vote.round, vote.round.encode(), &vote.attestation);
    }
    fn finalize(&self, vote: &Finalize<Scheme, Digest>) {
        self.single(VoteKind::Finalize, vote.proposal.round, vote.proposal.encode(), &vote.attestation);
    }
}

impl<A: SlotApp> Reporter for Tap<A> {
    type Activity = Activity<Scheme, Digest>;

    fn report(&mut self, activity: Self::Activity) -> Feedback {
        match &activity {
            Activity::Notarize(vote) => self.notarize(vote),
            Activity::Nullify(vote) => self.nullify(vote),
            Activity::Finalize(vote) => self.finalize(vote),
            Activity::Notarization(c) => {
                self.certificate(VoteKind::Notarize, c.proposal.round, &c.proposal.encode(), &c.certificate);
            }
            // The notarization reported before, now with its block.
            Activity::Certification(_) => {}
            Activity::Nullification(c) => {
                self.certificate(VoteKind::Nullify, c.round, &c.round.encode(), &c.certificate)
            }
            Activity::Finalization(c) => {
                self.certificate(VoteKind::Finalize, c.proposal.round, &c.proposal.encode(), &c.certificate);
            }
            // commonware keeps the two votes of a pair private; their encoding is one after the other.
            Activity::ConflictingNotarize(pair) => {
                let mut bytes = pair.encode();
                while let Ok(vote) = Notarize::read(&mut bytes) {
                    self.notarize(&vote);
                }
            }
            Activity::ConflictingFinalize(pair) => {
                let mut bytes = pair.encode();
                while let Ok(vote) = Finalize::read(&mut bytes) {
                    self.finalize(&vote);
                }
            }
            Activity::NullifyFinalize(pair) => {
                let mut bytes = pair.encode();
                if let Ok(vote) = Nullify::read(&mut bytes) {
                    self.nullify(&vote);
                }
                if let Ok(vote) = Finalize::read(&mut bytes) {
                    self.finalize(&vote);
                }
            }
        }
        Feedback::Ok
    }
}
