//! Sends every combiner shares that are none, all under one signed header.
use super::{Adversary, Sent};
use crate::common::{
    net::{Net, id},
    wire,
};
use bytes::Bytes;
use consensus::Channel;
use crypto::tdh2::SharePoint;
use types::{MemberId, codec};

pub(crate) struct WrongSharesToCombiners {
    pub(crate) me: usize,
}

impl Adversary for WrongSharesToCombiners {
    fn wire(&self, net: &'static Net, channel: u64, to: &[MemberId], bytes: Bytes) -> Sent {
        if channel != Channel::Shares.number() {
            return vec![(to.to_vec(), bytes)];
        }
        let point = SharePoint::from_compressed(&net.keys.share_key(id(self.me)).unwrap()).unwrap();
        let forged = wire::same_everywhere(net, self.me, &wire::share(&bytes), point);
        vec![(to.to_vec(), codec::encode(&forged).into())]
    }
}
