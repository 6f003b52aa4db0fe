//! Nullifies and finalizes every view in which it votes.
use super::{Adversary, FINALIZE, NOTARIZE, NULLIFY, Sent, VOTES, read_vote, round, sign_vote};
use crate::common::net::Net;
use bytes::Bytes;
use types::MemberId;

pub(crate) struct Nuller {
    pub(crate) me: usize,
}

impl Adversary for Nuller {
    fn wire(&self, net: &'static Net, channel: u64, to: &[MemberId], bytes: Bytes) -> Sent {
        let mut sent = vec![(to.to_vec(), bytes.clone())];
        if channel == VOTES {
            let (tag, msg) = read_vote(net, self.me, &bytes);
            if tag == NOTARIZE {
                sent.push((to.to_vec(), sign_vote(net, self.me, NULLIFY, round(&msg))));
                sent.push((to.to_vec(), sign_vote(net, self.me, FINALIZE, &msg)));
            }
        }
        sent
    }
}
