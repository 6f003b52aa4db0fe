//! Plans of faults: of this thread in tests of the store, of the whole process by `LOCKSTEP_FAULT`.
use super::Place;
use crate::durable::Op;
use std::{
    cell::{Cell, RefCell},
    fmt, io,
    path::Path,
    str::FromStr,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

/// What happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The process ends before the operation.
    Kill,
    /// The process ends after the operation.
    KillAfter,
    /// A write leaves the first bytes, so many 256ths of them, and the process ends.
    Torn(u8),
    /// A sync fails, once.
    SyncFails,
    /// The disk is full: a write leaves half of its bytes, and nothing grows from there on.
    Full,
}

impl Fault {
    /// Whether the fault can hit such an operation.
    const fn hits(self, op: Option<Op>) -> bool {
        match self {
            Self::Kill => true,
            Self::KillAfter => op.is_some(),
            Self::Torn(_) => matches!(op, Some(Op::Write)),
            Self::SyncFails => matches!(op, Some(Op::SyncFile | Op::SyncDir)),
            Self::Full => matches!(op, Some(Op::CreateDir | Op::Open | Op::Write | Op::Rename)),
        }
    }
}

/// What a plan's process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Target {
    /// This one: it aborts.
    Process,
    /// Pretended: from the fault on nothing reaches the disk, and every operation fails.
    Pretended,
}

#[derive(Debug, Default)]
struct Progress {
    /// Operations that could have been hit.
    met: u64,
    /// The pretended process has ended.
    ended: bool,
    /// The disk is full.
    full: bool,
    hit: Option<(Place, Option<Op>)>,
}

/// One fault at one operation.
#[derive(Debug)]
pub struct Plan {
    fault: Fault,
    place: Option<Place>,
    op: Option<Op>,
    nth: u64,
    target: Target,
    progress: Mutex<Progress>,
}

/// A plan that does not parse.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no fault plan: {0}; fault:where:number, such as kill:commit/sync_file:2")]
pub struct PlanError(String);

const OPS: [(&str, Op); 7] = [
    ("create_dir", Op::CreateDir),
    ("open", Op::Open),
    ("write", Op::Write),
    ("sync_file", Op::SyncFile),
    ("sync_dir", Op::SyncDir),
    ("rename", Op::Rename),
    ("remove", Op::Remove),
];

impl FromStr for Plan {
    type Err = PlanError;

    fn from_str(text: &str) -> Result<Self, PlanError> {
        let error = || PlanError(text.to_owned());
        let mut parts = text.split(':');
        let (Some(fault), Some(at), Some(nth), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
            return Err(error());
        };
        let fault = match fault {
            "kill" => Fault::Kill,
            "kill-after" => Fault::KillAfter,
            "torn" => Fault::Torn(128),
            "eio" => Fault::SyncFails,
            "enospc" => Fault::Full,
            _ => return Err(error()),
        };
        let place_of = |name: &str| Place::ALL.into_iter().find(|place| place.name() == name);
        let op_of = |name: &str| OPS.into_iter().find(|(known, _)| *known == name).map(|(_, op)| op);
        let (place, op) = match at.split_once('/') {
            Some((place, op)) => (Some(place_of(place).ok_or_else(error)?), Some(op_of(op).ok_or_else(error)?)),
            None if at == "any" => (None, None),
            // `open` alone is the place: the operation is seldom what is meant
            None => match place_of(at) {
                Some(place) => (Some(place), None),
                None => (None, Some(op_of(at).ok_or_else(error)?)),
            },
        };
        let nth = nth.parse().ok().filter(|nth| *nth > 0).ok_or_else(error)?;
        Ok(Self { fault, place, op, nth, target: Target::Process, progress: Mutex::default() })
    }
}

/// What an operation has to do.
enum Order {
    Act,
    ActThenEnd,
    /// Write a part, then end, or fail with an error.
    Part(u8, Option<io::Error>),
    Fail(io::Error),
}

fn ended() -> io::Error {
    io::Error::other("the process has ended")
}

/// EIO.
fn failed_sync() -> io::Error {
    io::Error::from_raw_os_error(5)
}

/// ENOSPC.
fn full() -> io::Error {
    io::Error::from_raw_os_error(28)
}

impl Plan {
    /// A fault of a pretended process at the `nth` operation that it can hit, from 1; 0 is never.
    #[must_use]
    pub fn pretended(fault: Fault, nth: u64) -> Arc<Self> {
        let progress = Mutex::default();
        Arc::new(Self { fault, place: None, op: None, nth, target: Target::Pretended, progress })
    }

    /// The same plan, of a pretended process.
    #[must_use]
    pub fn pretend(self) -> Self {
        Self { target: Target::Pretended, ..self }
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Operations met that the fault could have hit.
    #[must_use]
    pub fn met(&self) -> u64 {
        self.progress().met
    }

    /// Where the fault hit; `None`: not yet.
    #[must_use]
    pub fn hit(&self) -> Option<(Place, Option<Op>)> {
        self.progress().hit
    }

    fn order(&self, place: Place, op: Option<Op>) -> Order {
        let mut progress = self.progress();
        if progress.ended {
            return Order::Fail(ended());
        }
        if progress.full && matches!(op, Some(Op::CreateDir | Op::Open | Op::Write)) {
            return Order::Fail(full());
        }
        let is_here = self.place.is_none_or(|want| want == place) && self.op.is_none_or(|want| Some(want) == op);
        if !is_here || !self.fault.hits(op) {
            return Order::Act;
        }
        progress.met = progress.met.saturating_add(1);
        if progress.met != self.nth {
            return Order::Act;
        }
        progress.hit = Some((place, op));
        progress.full = self.fault == Fault::Full;
        // other threads of a process that is about to abort go on until it does: they must not end it in good order
        let ends = matches!(self.fault, Fault::Kill | Fault::KillAfter | Fault::Torn(_));
        progress.ended = ends && self.target == Target::Pretended;
        match self.fault {
            Fault::Kill => {
                drop(progress);
                Order::Fail(self.end(place, op))
            }
            Fault::KillAfter => Order::ActThenEnd,
            Fault::Torn(part) => Order::Part(part, None),
            Fault::SyncFails => Order::Fail(failed_sync()),
            Fault::Full if op == Some(Op::Write) => Order::Part(128, Some(full())),
            Fault::Full => Order::Fail(full()),
        }
    }

    /// Ends the process, or what stands for it.
    fn end(&self, place: Place, op: Option<Op>) -> io::Error {
        match self.target {
            Target::Pretended => ended(),
            Target::Process => {
                say(format_args!("{:?} at {place}, {op:?}, {}", self.fault, self.nth));
                std::process::abort();
            }
        }
    }
}

#[expect(clippy::print_stderr, reason = "a test reads it: the process is about to end, and may have no log")]
fn say(what: fmt::Arguments<'_>) {
    eprintln!("lockstep fault: {what}");
}

/// The plan of the whole process.
#[expect(clippy::disallowed_methods, reason = "a switch of tests, no configuration")]
fn of_process() -> Option<&'static Plan> {
    static PLAN: OnceLock<Option<Plan>> = OnceLock::new();
    let plan = PLAN.get_or_init(|| {
        let text = std::env::var("LOCKSTEP_FAULT").ok().filter(|text| !text.is_empty())?;
        match text.parse() {
            Ok(plan) => Some(plan),
            Err(error) => {
                say(format_args!("{error}"));
                std::process::abort();
            }
        }
    });
    plan.as_ref()
}

thread_local! {
    static HERE: Cell<Place> = const { Cell::new(Place::Other) };
    static OF_THREAD: RefCell<Option<Arc<Plan>>> = const { RefCell::new(None) };
}

/// Ends with its place.
#[derive(Debug)]
#[must_use = "the place ends where this is dropped"]
pub struct At {
    before: Place,
}

impl Drop for At {
    fn drop(&mut self) {
        HERE.set(self.before);
    }
}

/// Durable operations of this thread belong to `place` while the answer is held. Inner places come first.
pub fn at(place: Place) -> At {
    At { before: HERE.replace(place) }
}

/// Holds a plan for this thread.
#[derive(Debug)]
#[must_use = "the plan ends where this is dropped"]
pub struct Scope {
    before: Option<Arc<Plan>>,
}

impl Scope {
    /// Durable operations of this thread follow `plan` until the scope is dropped.
    pub fn new(plan: Arc<Plan>) -> Self {
        Self { before: OF_THREAD.replace(Some(plan)) }
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        drop(OF_THREAD.replace(self.before.take()));
    }
}

fn with_plan<T>(act: impl FnOnce(Option<&Plan>) -> T) -> T {
    match OF_THREAD.with_borrow(Option::clone) {
        Some(plan) => act(Some(&plan)),
        None => act(of_process()),
    }
}

/// A point without an operation.
pub fn passed(place: Place) {
    with_plan(|plan| plan.map(|plan| drop(plan.order(place, None))));
}

/// A sync: a pretended process ends without the machine, whose cache keeps what was written.
pub(crate) fn sync(op: Op, path: &Path, act: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    let is_pretended = with_plan(|plan| plan.is_some_and(|plan| plan.target == Target::Pretended));
    run(op, path, || if is_pretended { Ok(()) } else { act() })
}

pub(crate) fn run<T>(op: Op, _path: &Path, act: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    let here = HERE.get();
    with_plan(|plan| {
        let Some(plan) = plan else { return act() };
        match plan.order(here, Some(op)) {
            Order::Act => act(),
            Order::Fail(error) => Err(error),
            // even one that fails, such as giving up what is not there
            Order::ActThenEnd => {
                drop(act());
                Err(plan.end(here, Some(op)))
            }
            // the length of a file is set as a whole, or not
            Order::Part(_, error) => Err(error.unwrap_or_else(|| plan.end(here, Some(op)))),
        }
    })
}

pub(crate) fn write(_path: &Path, bytes: &[u8], act: impl FnOnce(&[u8]) -> io::Result<()>) -> io::Result<()> {
    let here = HERE.get();
    with_plan(|plan| {
        let Some(plan) = plan else { return act(bytes) };
        match plan.order(here, Some(Op::Write)) {
            Order::Act => act(bytes),
            Order::Fail(error) => Err(error),
            Order::ActThenEnd => {
                drop(act(bytes));
                Err(plan.end(here, Some(Op::Write)))
            }
            Order::Part(part, error) => {
                let length = (bytes.len() >> 8).saturating_mul(usize::from(part));
                let rest = (bytes.len() & 255).saturating_mul(usize::from(part)) >> 8;
                drop(act(bytes.get(..length.saturating_add(rest)).unwrap_or(bytes)));
                Err(error.unwrap_or_else(|| plan.end(here, Some(Op::Write))))
            }
        }
    })
}
