//! The thread that executes rollups: one a member, in slot order.
use crate::driver::{Handle, Message};
use execution::{Executor, OpenedUnit, Registry, SlotEnv, prepare, prepare_tail};
use sequencer::ExecUnit;
use std::{
    io,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Sender, channel},
    },
    thread,
};
use types::{Bundle, Hash, Slot, Timestamp};

/// Tells the driver when the thread panics.
struct Watch(Handle);

impl Drop for Watch {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.send(Message::Lost("execution"));
        }
    }
}

/// What the thread is asked for; the tail is that of the last order.
enum Work {
    Order(SlotEnv, Vec<ExecUnit>),
    Tail(Slot, Vec<(Hash, Bundle)>),
}

/// Hands orders and tails to the execution thread. At most one slot is under way: the next set waits for its result.
#[derive(Debug)]
pub(crate) struct Executions {
    works: Sender<Work>,
}

impl core::fmt::Debug for Work {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Order(..) => "Order",
            Self::Tail(..) => "Tail",
        })
    }
}

impl Executions {
    /// Starts the thread; results go to the driver. The executor is shared with readers of the rollups' state.
    pub(crate) fn start(executor: Arc<Mutex<Executor>>, registry: Registry, driver: Handle) -> io::Result<Self> {
        let (works, queue) = channel::<Work>();
        thread::Builder::new().name("execute".into()).spawn(move || {
            let _watch = Watch(driver.clone());
            for work in queue {
                let prepared: Vec<_> = match &work {
                    Work::Order(_, units) => units
                        .iter()
                        .map(|u| OpenedUnit { hash: u.hash, message: u.message.as_deref(), gas_class: u.gas_class })
                        .map(|u| prepare(&u, &registry))
                        .collect(),
                    Work::Tail(_, bundles) => {
                        bundles.iter().map(|(hash, bundle)| prepare_tail(*hash, bundle, &registry)).collect()
                    }
                };
                let mut executor = executor.lock().unwrap_or_else(PoisonError::into_inner);
                let slot = match work {
                    Work::Order(env, _) => {
                        executor.order(&env, &prepared);
                        env.slot
                    }
                    Work::Tail(slot, _) => {
                        executor.tail(&prepared);
                        slot
                    }
                };
                let result = executor.close();
                drop(executor);
                driver.send(Message::Executed { slot, result: Box::new(result) });
            }
        })?;
        Ok(Self { works })
    }

    pub(crate) fn run(&self, slot: Slot, time_ms: Timestamp, beacon: Hash, units: Vec<ExecUnit>) {
        self.send(slot, Work::Order(SlotEnv { slot, time_ms, beacon }, units));
    }

    pub(crate) fn tail(&self, slot: Slot, bundles: Vec<(Hash, Bundle)>) {
        self.send(slot, Work::Tail(slot, bundles));
    }

    fn send(&self, slot: Slot, work: Work) {
        if self.works.send(work).is_err() {
            tracing::error!(%slot, "execute.stopped");
        }
    }
}
