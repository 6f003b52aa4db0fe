//! A bounded pool of threads for pure jobs: signatures, proofs, openings.
use sequencer::{Job, JobResult};
use std::{
    io,
    panic::{self, AssertUnwindSafe},
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, Sender, channel},
    },
    thread,
};

type Task = (Job, Box<dyn FnOnce(Option<JobResult>) + Send>);

/// Threads that run jobs. A member has at most two jobs under way (admission, reveal), so the queue is bounded by the
/// number of members that share the pool. Threads end when the last handle is dropped.
#[derive(Clone, Debug)]
pub struct Pool {
    tasks: Sender<Task>,
}

impl Pool {
    /// Starts `threads` threads.
    ///
    /// # Errors
    /// The operating system's, when a thread cannot be started.
    pub fn start(threads: usize) -> io::Result<Self> {
        let (tasks, queue) = channel::<Task>();
        let queue = Arc::new(Mutex::new(queue));
        for i in 0..threads.max(1) {
            let queue = Arc::clone(&queue);
            thread::Builder::new().name(format!("job-{i}")).spawn(move || work(&queue))?;
        }
        Ok(Self { tasks })
    }

    /// Runs a job and hands its result to `done` on the pool's thread; `None` if the job panicked.
    pub fn run(&self, job: Job, done: impl FnOnce(Option<JobResult>) + Send + 'static) {
        if self.tasks.send((job, Box::new(done))).is_err() {
            tracing::error!("pool.stopped");
        }
    }
}

fn work(queue: &Mutex<Receiver<Task>>) {
    loop {
        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok((job, done)) = next else { return };
        // a job is plain data that is gone afterwards: nothing half-changed is seen
        done(panic::catch_unwind(AssertUnwindSafe(|| job.run())).ok());
    }
}
