//! Whole networks in memory: real machines, keys, execution and disks as data; time, order and loss from a seed.
mod consensus;
mod disk;
pub(crate) mod net;
mod rng;
pub(crate) mod wire;
pub(crate) mod world;

pub(crate) use net::{Inside, Net, Order, id};
pub(crate) use rng::Rng;
pub(crate) use world::{Fate, World};
