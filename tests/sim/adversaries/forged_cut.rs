//! Lists nothing, and says that there was no room for more.
use super::{Adversary, Sent};
use crate::common::{net::Net, wire};
use bytes::Bytes;
use consensus::Channel;
use types::{Hash, MemberId, Rank, codec};

pub(crate) struct ForgedCut {
    pub(crate) me: usize,
}

impl Adversary for ForgedCut {
    fn wire(&self, net: &'static Net, channel: u64, to: &[MemberId], bytes: Bytes) -> Sent {
        if channel != Channel::Lists.number() {
            return vec![(to.to_vec(), bytes)];
        }
        let slot = wire::list(&bytes).slot;
        let cut = Rank { fee_per_byte: u64::MAX, hash: Hash::ZERO };
        let forged = wire::sign_list(net, slot, self.me, Vec::new(), Some(cut));
        vec![(to.to_vec(), codec::encode(&forged).into())]
    }
}
