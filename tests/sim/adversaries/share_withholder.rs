//! Never sends its shares.
use super::{Adversary, Sent};
use crate::common::net::Net;
use bytes::Bytes;
use consensus::Channel;
use types::MemberId;

pub(crate) struct ShareWithholder;

impl Adversary for ShareWithholder {
    fn wire(&self, _: &'static Net, channel: u64, to: &[MemberId], bytes: Bytes) -> Sent {
        if channel == Channel::Shares.number() { Vec::new() } else { vec![(to.to_vec(), bytes)] }
    }
}
