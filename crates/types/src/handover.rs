//! What members of the old and of the next committee tell each other while they hand the secrets over. Each message is
//! an operation, so the log is the transcript, and a new member needs only read it and send (crypto.md section 13).
use crate::{Epoch, G2Bytes, Hash, MemberId, SealedDealing, Signature};
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// Which step's turn it is. In the order of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum HandoverPhase {
    /// Dealings.
    Deal,
    /// Acknowledgements.
    Ack,
    /// Logs.
    Seal,
    /// Share keys.
    Publish,
}

impl HandoverPhase {
    /// All, in their order.
    pub const ALL: [Self; 4] = [Self::Deal, Self::Ack, Self::Seal, Self::Publish];

    /// The phase in which such a message counts.
    #[must_use]
    pub fn of(step: &HandoverStep) -> Self {
        match step {
            HandoverStep::Dealing { .. } => Self::Deal,
            HandoverStep::Acks { .. } => Self::Ack,
            HandoverStep::Log { .. } => Self::Seal,
            HandoverStep::ShareKey { .. } => Self::Publish,
        }
    }
}

/// A message of a handover. What it must look like, and whether it counts, says `keygen::handover`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Handover {
    /// The epoch whose committee takes over.
    pub epoch: Epoch,
    /// Which try, from 0.
    pub attempt: u8,
    /// Consensus key of its author: of the old committee for a dealing or a log, of the next one for the others.
    pub from: Hash,
    /// What it says.
    pub step: HandoverStep,
    /// Author's consensus key over T256("lockstep/handover/v1"; plan's name, from, codec(step)).
    pub sig: Signature,
}

/// What a message of a handover says. One per author and step counts, the first in the log; of logs, two that differ
/// count and prove a fault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum HandoverStep {
    /// 0, old member: a share of each of its two shares to every next member.
    Dealing {
        /// Of both polynomials, decryption first: 2 (1 + 48 q) bytes.
        commitments: Vec<u8>,
        /// One per next member, by index: both scalars, decryption first.
        sealed: Vec<SealedDealing>,
    },
    /// 1, next member: the dealings that it has opened and found right, ascending by dealer.
    Acks {
        /// One per such dealer.
        acks: Vec<HandoverAck>,
    },
    /// 2, old member: commitments, acknowledgements, and the scalars that were not acknowledged.
    Log {
        /// As `keygen::reshare` writes it.
        log: Vec<u8>,
    },
    /// 3, next member: its new key in G2.
    ShareKey {
        /// x'_j G^.
        point: G2Bytes,
        /// Over T256("lockstep/reshare/share-key/v1"; digest of the logs, u16le member, point).
        sig: Signature,
    },
}

/// A next member's word for one dealing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandoverAck {
    /// Index in the old committee.
    pub dealer: MemberId,
    /// Of the polynomial of the decryption secret.
    pub decrypt: Signature,
    /// Of the beacon's.
    pub beacon: Signature,
}

impl Handover {
    /// Longest message, codec bytes: an operation of 60,000 says its kind in one byte before it. A committee of 127 has
    /// logs of some 33,200.
    pub const BYTES_MAX: usize = 59_999;
}

#[cfg(test)]
mod tests {
    // Goal: TYP-1 for each step. Method: there and back, and every cut and every changed byte is another value or none.
    use super::*;
    use crate::codec;
    use std::{vec, vec::Vec};

    fn steps() -> Vec<HandoverStep> {
        let ack = HandoverAck { dealer: MemberId(300), decrypt: Signature([1; 64]), beacon: Signature([2; 64]) };
        vec![
            HandoverStep::Dealing { commitments: vec![1, 2, 3], sealed: vec![SealedDealing([9; 112]); 2] },
            HandoverStep::Acks { acks: vec![ack] },
            HandoverStep::Log { log: vec![5; 300] },
            HandoverStep::ShareKey { point: G2Bytes([6; 96]), sig: Signature([7; 64]) },
        ]
    }

    #[test]
    fn typ_1_messages_of_a_handover_there_and_back() {
        for (number, step) in (0u8..).zip(steps()) {
            let message =
                Handover { epoch: Epoch(300), attempt: 2, from: Hash([3; 32]), step, sig: Signature([4; 64]) };
            let bytes = codec::encode(&message);
            assert_eq!(bytes[3 + 1 + 32], number);
            assert_eq!(codec::decode::<Handover>(&bytes, Handover::BYTES_MAX).as_ref(), Ok(&message));
            for cut in 0..bytes.len() {
                assert!(codec::decode::<Handover>(&bytes[..cut], Handover::BYTES_MAX).is_err());
            }
            for at in 0..bytes.len() {
                let mut other = bytes.clone();
                other[at] ^= 0x80;
                assert_ne!(codec::decode::<Handover>(&other, Handover::BYTES_MAX).as_ref(), Ok(&message));
            }
        }
    }
}
