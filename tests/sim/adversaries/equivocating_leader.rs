//! When it leads, half of the members get another block than the others; both are valid.
use super::{Adversary, BLOCKS, NOTARIZE, Sent, VOTES, read_vote, sign_vote};
use crate::common::net::Net;
use bytes::Bytes;
use std::{collections::BTreeMap, sync::Mutex};
use types::{Hash, MemberId, codec};

/// The other block of the same view.
struct Twin {
    block: Vec<u8>,
    other: Vec<u8>,
    digest: Hash,
}

pub(crate) struct EquivocatingLeader {
    me: usize,
    /// By the digest of the first.
    twins: Mutex<BTreeMap<Hash, Twin>>,
}

pub(crate) fn new(me: usize) -> EquivocatingLeader {
    EquivocatingLeader { me, twins: Mutex::default() }
}

/// As the broadcast sends a block.
fn framed(block: &[u8]) -> Bytes {
    let mut out = Vec::new();
    let mut left = block.len();
    while left >= 0x80 {
        out.push(u8::try_from(left & 0x7f).unwrap() | 0x80);
        left >>= 7;
    }
    out.push(u8::try_from(left).unwrap());
    out.extend_from_slice(block);
    out.into()
}

/// Which half a member is in; the halves change from block to block.
fn is_other(digest: &Hash, member: MemberId) -> bool {
    (u16::from(digest.0[0]) + member.0).is_multiple_of(2)
}

fn split(digest: &Hash, to: &[MemberId], first: Bytes, other: Bytes) -> Sent {
    let (others, firsts) = to.iter().partition(|member| is_other(digest, **member));
    vec![(firsts, first), (others, other)]
}

impl Adversary for EquivocatingLeader {
    fn built(&self, _: &'static Net, block: &[u8]) {
        let mut twin = sequencer::open(block).unwrap();
        twin.block.header.time_ms = twin.block.header.time_ms.next();
        let first = sequencer::open(block).unwrap().digest;
        let other = codec::encode(&twin.block);
        let digest = sequencer::open(&other).unwrap().digest;
        self.twins.lock().unwrap().insert(first, Twin { block: block.to_vec(), other, digest });
    }

    fn wire(&self, net: &'static Net, channel: u64, to: &[MemberId], bytes: Bytes) -> Sent {
        let twins = self.twins.lock().unwrap();
        if channel == BLOCKS {
            let twin = twins.iter().find(|(_, twin)| framed(&twin.block) == bytes);
            if let Some((digest, twin)) = twin {
                return split(digest, to, bytes, framed(&twin.other));
            }
        }
        if channel == VOTES {
            let (tag, mut msg) = read_vote(net, self.me, &bytes);
            let end = msg.len().saturating_sub(32);
            let voted = Hash(msg[end..].try_into().unwrap_or([0; 32]));
            if let Some(twin) = twins.get(&voted).filter(|_| tag == NOTARIZE) {
                msg[end..].copy_from_slice(twin.digest.as_bytes());
                return split(&voted, to, bytes, sign_vote(net, self.me, NOTARIZE, &msg));
            }
        }
        vec![(to.to_vec(), bytes)]
    }
}
