//! Signs two lists for every slot: half of the members get one without its first leaves.
use super::{Adversary, Sent};
use crate::common::{net::Net, wire};
use bytes::Bytes;
use consensus::Channel;
use types::{MemberId, codec};

pub(crate) struct ListEquivocator {
    pub(crate) me: usize,
}

impl Adversary for ListEquivocator {
    fn wire(&self, net: &'static Net, channel: u64, to: &[MemberId], bytes: Bytes) -> Sent {
        if channel != Channel::Lists.number() {
            return vec![(to.to_vec(), bytes)];
        }
        let list = wire::list(&bytes);
        let rest = list.leaves[list.leaves.len().div_ceil(2)..].to_vec();
        let second = codec::encode(&wire::sign_list(net, list.slot, self.me, rest, None));
        let (one, other) = to.iter().partition(|member| member.0.is_multiple_of(2));
        // every third slot, everybody gets both
        if list.slot.0.is_multiple_of(3) {
            return vec![(to.to_vec(), bytes), (to.to_vec(), second.into())];
        }
        vec![(one, bytes), (other, second.into())]
    }
}
