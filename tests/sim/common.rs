//! Keys, wallets, disk and wire formats: those of the sequencer's own tests.
#[path = "../../crates/sequencer/tests/machine/common/disk.rs"]
pub(crate) mod disk;
#[path = "../../crates/sequencer/tests/machine/common/net.rs"]
pub(crate) mod net;
#[path = "../../crates/sequencer/tests/machine/common/rng.rs"]
pub(crate) mod rng;
#[path = "../../crates/sequencer/tests/machine/common/wire.rs"]
pub(crate) mod wire;
