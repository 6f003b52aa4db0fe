//! The thread that executes rollups: one a member, in slot order.
use crate::driver::{Handle, Message};
use execution::{Executor, OpenedUnit, Registry, SlotEnv, prepare};
use sequencer::ExecUnit;
use std::{
    io,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Sender, channel},
    },
    thread,
};
use types::{Hash, Slot, Timestamp};

/// Tells the driver when the thread panics.
struct Watch(Handle);

impl Drop for Watch {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.send(Message::Lost("execution"));
        }
    }
}

struct Order {
    env: SlotEnv,
    units: Vec<ExecUnit>,
}

/// Hands orders to the execution thread. At most one slot is under way: the next set waits for its result.
#[derive(Debug)]
pub(crate) struct Executions {
    orders: Sender<Order>,
}

impl core::fmt::Debug for Order {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Order")
    }
}

impl Executions {
    /// Starts the thread; results go to the driver. The executor is shared with readers of the rollups' state.
    pub(crate) fn start(executor: Arc<Mutex<Executor>>, registry: Registry, driver: Handle) -> io::Result<Self> {
        let (orders, queue) = channel::<Order>();
        thread::Builder::new().name("execute".into()).spawn(move || {
            let _watch = Watch(driver.clone());
            for order in queue {
                let slot = order.env.slot;
                let prepared: Vec<_> = order
                    .units
                    .iter()
                    .map(|u| OpenedUnit { hash: u.hash, message: u.message.as_deref(), gas_class: u.gas_class })
                    .map(|u| prepare(&u, &registry))
                    .collect();
                let mut executor = executor.lock().unwrap_or_else(PoisonError::into_inner);
                executor.order(&order.env, &prepared);
                let result = executor.close();
                drop(executor);
                driver.send(Message::Executed { slot, result: Box::new(result) });
            }
        })?;
        Ok(Self { orders })
    }

    pub(crate) fn run(&self, slot: Slot, time_ms: Timestamp, beacon: Hash, units: Vec<ExecUnit>) {
        let order = Order { env: SlotEnv { slot, time_ms, beacon }, units };
        if self.orders.send(order).is_err() {
            tracing::error!(%slot, "execute.stopped");
        }
    }
}
