//! Sends shares that are none: another point, another beacon share, one too many, for another digest; by turns.
use super::{Adversary, Sent};
use crate::common::{
    net::{Net, id},
    wire,
};
use bytes::Bytes;
use consensus::Channel;
use crypto::tdh2::SharePoint;
use types::{Hash, MemberId, codec};

pub(crate) struct WrongShares {
    pub(crate) me: usize,
}

impl Adversary for WrongShares {
    fn wire(&self, net: &'static Net, channel: u64, to: &[MemberId], bytes: Bytes) -> Sent {
        if channel != Channel::Shares.number() {
            return vec![(to.to_vec(), bytes)];
        }
        let message = wire::share(&bytes);
        let forged = wire::forge_share(net, self.me, &message, |message, points| {
            let point = SharePoint::from_compressed(&net.keys.share_key(id(self.me)).unwrap()).unwrap();
            match message.header.slot.0 % 4 {
                0 if !points.is_empty() => points[0] = point,
                0 | 1 => message.header.beacon = net.keys.share_key_g2(id(self.me)).unwrap(),
                2 => points.push(point),
                _ => message.header.digest = Hash([7; 32]),
            }
        });
        vec![(to.to_vec(), codec::encode(&forged).into())]
    }
}
