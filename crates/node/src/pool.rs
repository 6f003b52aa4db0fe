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

type Done = Box<dyn FnOnce(Option<JobResult>) + Send>;
type Task = (Job, Done);

/// Threads that run jobs. A member has at most one job of each kind under way (admission, reveal; where a few combine,
/// beacon, own items, what others opened), each in at most as many parts as there are threads, so the queue is bounded by
/// the number of members that share the pool. Threads end when the last handle is dropped.
#[derive(Clone, Debug)]
pub struct Pool {
    tasks: Sender<Task>,
    threads: usize,
}

impl Pool {
    /// Starts `threads` threads.
    ///
    /// # Errors
    /// The operating system's, when a thread cannot be started.
    pub fn start(threads: usize) -> io::Result<Self> {
        let (tasks, queue) = channel::<Task>();
        let queue = Arc::new(Mutex::new(queue));
        let threads = threads.max(1);
        for i in 0..threads {
            let queue = Arc::clone(&queue);
            thread::Builder::new().name(format!("job-{i}")).spawn(move || work(&queue))?;
        }
        Ok(Self { tasks, threads })
    }

    /// Runs a job, in parts if it has some, and hands its result to `done` on one of the pool's threads; `None` if the
    /// job panicked.
    pub fn run(&self, job: Job, done: impl FnOnce(Option<JobResult>) + Send + 'static) {
        let parts = job.split(self.threads);
        let gathered = Arc::new(Mutex::new(Gathered {
            results: parts.iter().map(|_| None).collect(),
            open: parts.len(),
            done: Some(Box::new(done)),
        }));
        for (at, part) in parts.into_iter().enumerate() {
            let gathered = Arc::clone(&gathered);
            let task = (part, Box::new(move |result| arrived(&gathered, at, result)) as Done);
            if self.tasks.send(task).is_err() {
                tracing::error!("pool.stopped");
            }
        }
    }
}

/// Results of a job's parts, in the order of the parts.
struct Gathered {
    results: Vec<Option<JobResult>>,
    open: usize,
    done: Option<Done>,
}

/// The last part to arrive hands on the whole.
fn arrived(gathered: &Mutex<Gathered>, at: usize, result: Option<JobResult>) {
    let mut all = gathered.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(place) = all.results.get_mut(at) {
        *place = result;
    }
    all.open = all.open.saturating_sub(1);
    if all.open > 0 {
        return;
    }
    let (results, done) = (std::mem::take(&mut all.results), all.done.take());
    drop(all);
    if let Some(done) = done {
        done(results.into_iter().collect::<Option<Vec<_>>>().and_then(JobResult::join));
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
