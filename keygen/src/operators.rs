//! A ceremony between operators: each runs one process with its own consensus key, and nobody is trusted.
//!
//! Five steps. A step ends when every *expected* operator has spoken in it, and nobody goes on before: there is no
//! clock, and so nobody's share is published because a network was slow. Who cannot or will not take part stalls the
//! ceremony; the operators agree, outside of it, on a new [`Plan`] with the next number that names it as absent, at most f.
//!
//! ```text
//!  Deal    commitments | sealed to each member    public but for what is sealed to consensus keys
//!  Ack     a word for each dealing that holds     a dealing that does not: no word, and its dealer must publish the scalar
//!  Seal    log: commitments | acks | scalars never acked
//!  Echo    which messages of the three steps I hold      their union U is what counts, the same for everybody
//!  Agree   hash of U and the keys that follow | x_j G^   all expected the same: done
//! ```
//!
//! **Why all who finish have the same keys.** An operator finishes when *every* expected operator, each honest one
//! among them, has signed its hash; an honest operator signs one hash. So two that finish have the same. Keys are a
//! function of U, and U is the union of what the echoes say, so without a lie in an echo all honest ones sign the same.
//!
//! **Who says two things in a step** (two dealings, two logs, ..) is found as soon as two operators compare: echoes name
//! messages by their hash, everybody fetches what an echo names, and two signed messages of one author and step are a
//! proof that is kept. If the echoes show it, the author's log does not count, and the ceremony goes on with the others. Two
//! different echoes split U: the hashes differ, nobody finishes ([`Failure::NoAgreement`]), and the proof names the author.
//! A bad scalar to f players at most, a log that does not hold or is empty: as in [`crate::reshare`].
//!
//! **What is on disk**: every message that counts, own ones before they leave, in the order in which they came. Nothing
//! of it is secret: a dealer's randomness follows from its consensus seed and the plan, and what it was dealt stands in
//! the messages, sealed to it. A restart reads them again and says the same bytes. So does whoever lost a share: the
//! messages and the consensus seed give it back ([`Operator::secrets`]).
//!
//! Trust: q consensus seeds are the secrets, now and later, for whoever has the transcript. The network may lose, delay,
//! repeat and alter anything; it can stop the ceremony, not change what it comes to. A Byzantine operator can stop it,
//! and that shows which one; it can make the others start again without it after it has seen what the keys would be, up
//! to f times in all, and so choose among f + 1 keys: as Joint-Feldman allows anyway, harmless for these two uses.
use crate::{ceremony::CeremonyError, reshare::ReshareError};
use types::{Hash, MemberId};

mod message;
mod operator;
mod plan;
mod record;
mod transcript;

pub use message::{MESSAGE_BYTES_MAX, Message, Phase, Sighting, Step};
pub use operator::{Finished, Operator, State};
pub use plan::{Plan, PlanError};
pub use record::{Outcome, Refused};
pub use transcript::{
    TRANSCRIPT_BYTES_MAX, TRANSCRIPT_MAGIC, Transcript, TranscriptError, Verified, verify, verify_proof,
};

/// Why a ceremony ended without keys. Whoever has the same messages has the same failure.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// Operators signed different outcomes.
    #[error("no agreement on the outcome")]
    NoAgreement {
        /// Who signed which; this operator's own among them.
        said: Vec<(MemberId, Hash)>,
    },
    /// Too few dealers can be used.
    #[error("too few usable dealers")]
    Dealers(#[source] ReshareError),
    /// The logs that count come to no keys.
    #[error("the logs come to no keys")]
    Keys(#[source] CeremonyError),
    /// Too few operators published a share key that fits.
    #[error("too few share keys")]
    ShareKeys {
        /// Who published one that does not fit.
        liars: Vec<MemberId>,
        /// How many fit.
        #[source]
        source: CeremonyError,
    },
    /// This operator has no share of the keys: its messages are not those it acknowledged.
    #[error("this operator has no share")]
    Share(#[source] CeremonyError),
}

#[cfg(test)]
mod tests;
