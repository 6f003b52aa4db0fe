//! Says nothing while the secrets are handed over: deals nothing, acknowledges nothing, signs no log, publishes no key.
use super::Adversary;
use crate::common::net::Net;
use types::{Handover, Hash};

pub(crate) struct SilentDealer;

impl Adversary for SilentDealer {
    fn hands_over(&self, _: &'static Net, _: &Hash, _: Handover) -> Option<Handover> {
        None
    }
}
