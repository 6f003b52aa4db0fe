//! Deals what the first f other members cannot open, acknowledges nobody but itself.
use super::Adversary;
use crate::common::net::{Net, id};
use crypto::hash::t256;
use types::{Handover, HandoverStep, Hash, codec, tag};

pub(crate) struct WrongDealer {
    pub(crate) me: usize,
}

impl Adversary for WrongDealer {
    fn hands_over(&self, net: &'static Net, plan: &Hash, mut message: Handover) -> Option<Handover> {
        match &mut message.step {
            HandoverStep::Dealing { sealed, .. } => {
                let others = sealed.iter_mut().enumerate().filter(|(at, _)| *at != self.me);
                others.take(net.f).for_each(|(_, dealing)| dealing.0[50] ^= 1);
            }
            HandoverStep::Acks { acks } => acks.retain(|ack| ack.dealer == id(self.me)),
            HandoverStep::Log { .. } | HandoverStep::ShareKey { .. } => {}
        }
        let text = t256(tag::HANDOVER, &[plan.as_bytes(), message.from.as_bytes(), &codec::encode(&message.step)]);
        message.sig = net.voters.keys[self.me].sign(text.as_bytes());
        Some(message)
    }
}
