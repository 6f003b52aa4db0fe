//! The driver's inbox: bounded for strangers, open for our own parts.
use std::{
    collections::VecDeque,
    sync::{Condvar, Mutex, PoisonError},
    time::Duration,
};

/// Who fills the inbox, and so what happens when it is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// Our own parts: each has a few messages under way at most, so nothing is refused.
    Own,
    /// Other members: dropped and counted; what matters is sent again or fetched.
    Peer,
    /// Clients: refused with BUSY.
    Client,
}

struct Inner<M> {
    queue: VecDeque<(Class, M)>,
    peers: usize,
    clients: usize,
    closed: bool,
}

/// A queue with one reader.
pub(crate) struct Mailbox<M> {
    inner: Mutex<Inner<M>>,
    filled: Condvar,
}

/// Messages of other members that wait at most.
const PEERS_MAX: usize = 8_192;
/// Requests of clients that wait at most.
const CLIENTS_MAX: usize = 4_096;

impl<M> Mailbox<M> {
    pub(crate) fn new() -> Self {
        let inner = Inner { queue: VecDeque::new(), peers: 0, clients: 0, closed: false };
        Self { inner: Mutex::new(inner), filled: Condvar::new() }
    }

    /// Puts a message in, or gives it back when its class is full or the reader is gone.
    pub(crate) fn put(&self, class: Class, message: M) -> Result<(), M> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let full = match class {
            Class::Own => false,
            Class::Peer => inner.peers >= PEERS_MAX,
            Class::Client => inner.clients >= CLIENTS_MAX,
        };
        if full || inner.closed {
            return Err(message);
        }
        match class {
            Class::Own => {}
            Class::Peer => inner.peers += 1,
            Class::Client => inner.clients += 1,
        }
        inner.queue.push_back((class, message));
        drop(inner);
        self.filled.notify_one();
        Ok(())
    }

    /// Waits at most `wait` for a first message, then takes what is there, at most `most`.
    pub(crate) fn take(&self, wait: Duration, most: usize) -> Vec<M> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if inner.queue.is_empty() {
            inner = self.filled.wait_timeout(inner, wait).unwrap_or_else(PoisonError::into_inner).0;
        }
        let count = inner.queue.len().min(most);
        let mut taken = Vec::with_capacity(count);
        for _ in 0..count {
            let Some((class, message)) = inner.queue.pop_front() else { break };
            match class {
                Class::Own => {}
                Class::Peer => inner.peers -= 1,
                Class::Client => inner.clients -= 1,
            }
            taken.push(message);
        }
        taken
    }

    /// The reader is gone: everything is dropped, nothing more is taken.
    pub(crate) fn close(&self) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.closed = true;
        let dropped = core::mem::take(&mut inner.queue);
        drop(inner);
        drop(dropped);
    }
}

impl<M> core::fmt::Debug for Mailbox<M> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Mailbox")
    }
}
