//! As a combiner says keys that open nothing, and of what opens that it does not; by turns, of one item or of all.
use super::{Adversary, Sent};
use crate::common::{
    net::{Net, id},
    wire,
};
use bytes::Bytes;
use consensus::Channel;
use types::{Key128, MemberId, Opening, codec};

pub(crate) struct WrongOpenings {
    pub(crate) me: usize,
}

impl Adversary for WrongOpenings {
    fn wire(&self, net: &'static Net, channel: u64, to: &[MemberId], bytes: Bytes) -> Sent {
        let message = if channel == Channel::Fetch.number() { wire::openings(&bytes) } else { None };
        let Some(message) = message else { return vec![(to.to_vec(), bytes)] };
        let forged = wire::forge_openings(net, self.me, &message, |message| {
            let bottom = Opening::Bottom(net.keys.share_key(id(self.me)).unwrap());
            let wrong = [Opening::Key(Key128([9; 16])), bottom][usize::from(message.header.slot.0 % 3 == 0)];
            let count = if message.header.slot.0.is_multiple_of(2) { 1 } else { message.items.len() };
            message.items.iter_mut().take(count).for_each(|(_, opening)| *opening = wrong);
        });
        vec![(to.to_vec(), codec::encode(&wire::Fetch::Openings(Box::new(forged))).into())]
    }
}
