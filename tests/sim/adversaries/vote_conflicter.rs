//! Votes for every proposal, and for another one that does not exist.
use super::{Adversary, FINALIZE, NOTARIZE, Sent, VOTES, read_vote, sign_vote};
use crate::common::net::Net;
use bytes::Bytes;
use types::MemberId;

pub(crate) struct VoteConflicter {
    pub(crate) me: usize,
}

impl Adversary for VoteConflicter {
    fn wire(&self, net: &'static Net, channel: u64, to: &[MemberId], bytes: Bytes) -> Sent {
        let mut sent = vec![(to.to_vec(), bytes.clone())];
        if channel == VOTES {
            let (tag, mut msg) = read_vote(net, self.me, &bytes);
            if tag == NOTARIZE || tag == FINALIZE {
                let end = msg.len() - 32;
                let other = crypto::hash::sha256(&[&msg]);
                msg[end..].copy_from_slice(other.as_bytes());
                sent.insert(0, (to.to_vec(), sign_vote(net, self.me, tag, &msg)));
            }
        }
        sent
    }
}
