//! A member from its start to its end, whatever it is in between: of the committee, following the log, catching up.
use crate::{
    clock,
    config::NodeConfig,
    driver::DriverError,
    files::NetworkFiles,
    member::{self, Carried, Follower, Member, MemberError, Process, Started},
};
use std::{sync::Arc, time::Duration};
use tokio::{sync::watch, task::JoinHandle};

/// A member that follows for this long has caught up, whatever happens then.
const AGAIN_MS: u64 = 120_000;
const AGAIN_MIN: Duration = Duration::from_secs(1);
const AGAIN_MAX: Duration = Duration::from_secs(60);
/// How often it is looked whether the member has ended.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How long after its end a member's own addresses may still be taken.
const PORTS_WITHIN_MS: u64 = 15_000;
/// Starts of which each finds another committee in the log: one that does not end is a fault of ours.
const AGAINS_MAX: u32 = 8;

/// What runs now.
enum Life {
    Member(Box<Member>),
    Follower(Box<Follower>),
}

impl Life {
    fn ended(&self) -> bool {
        match self {
            Self::Member(member) => member.ended(),
            Self::Follower(follower) => follower.ended(),
        }
    }
    async fn stop(self) -> Result<Option<Box<Carried>>, MemberError> {
        match self {
            Self::Member(member) => Box::pin(member.stop()).await,
            Self::Follower(follower) => Box::pin(follower.stop()).await,
        }
    }
}

/// A member that is started again when it has to be.
#[derive(Debug)]
pub struct Running {
    stop: watch::Sender<bool>,
    task: JoinHandle<Result<(), MemberError>>,
}

impl Running {
    /// Whether it has ended for good.
    #[must_use]
    pub fn ended(&self) -> bool {
        self.task.is_finished()
    }

    /// Stops it, or says why it had ended.
    ///
    /// # Errors
    /// [`MemberError`].
    pub async fn stop(self) -> Result<(), MemberError> {
        self.stop.send_replace(true);
        self.task.await.map_err(|_panic| MemberError::from(DriverError::Panicked))?
    }

    /// When it ends by itself.
    ///
    /// # Errors
    /// Why.
    pub async fn ends(&mut self) -> Result<(), MemberError> {
        (&mut self.task).await.map_err(|_panic| MemberError::from(DriverError::Panicked))?
    }
}

/// Starts a member; `look` sees it before it is left to itself, if it is one of the committee.
///
/// # Errors
/// [`MemberError`]: it does not start.
pub async fn start<T>(
    network: Arc<NetworkFiles>,
    node: NodeConfig,
    process: Process,
    look: impl FnOnce(Option<&Member>) -> T,
) -> Result<(Running, T), MemberError> {
    let runner = Runner { network, node, process };
    let life = Box::pin(runner.begin()).await?;
    let seen = look(match &life {
        Life::Member(member) => Some(member),
        Life::Follower(_) => None,
    });
    let (stop, stopped) = watch::channel(false);
    let task = tokio::spawn(runner.run(life, stopped));
    Ok((Running { stop, task }, seen))
}

struct Runner {
    network: Arc<NetworkFiles>,
    node: NodeConfig,
    process: Process,
}

impl Runner {
    async fn begin(&self) -> Result<Life, MemberError> {
        for _ in 0..AGAINS_MAX {
            let started = Member::start(Arc::clone(&self.network), self.node.clone(), self.process.clone());
            match Box::pin(started).await? {
                Started::Member(member) => return Ok(Life::Member(member)),
                Started::Follower(follower) => return Ok(Life::Follower(follower)),
                Started::Again => {}
            }
        }
        Err(MemberError::Unsettled)
    }

    /// Goes on with what is carried over, if the member stays.
    async fn go_on(&self, carried: Option<Box<Carried>>) -> Result<Life, MemberError> {
        if let Some(carried) = carried {
            let (network, node, process) = (Arc::clone(&self.network), self.node.clone(), self.process.clone());
            match Box::pin(member::carry_on(network, node, process, *carried)).await {
                Ok(Some(member)) => return Ok(Life::Member(Box::new(member))),
                Ok(None) => {}
                // everything is on disk
                Err(error) => tracing::warn!(%error, "member.changed: starting from the log"),
            }
        }
        let until = clock::now().plus(PORTS_WITHIN_MS);
        loop {
            match self.begin().await {
                // what listened before may need a moment to be gone
                Err(MemberError::Port { .. } | MemberError::Ingress { .. } | MemberError::Http { .. })
                    if clock::now() < until =>
                {
                    tokio::time::sleep(LOOK_EVERY).await;
                }
                begun => return begun,
            }
        }
    }

    async fn run(self, mut life: Life, mut stopped: watch::Receiver<bool>) -> Result<(), MemberError> {
        let mut pause = Duration::ZERO;
        loop {
            let begun = clock::now();
            let asked = loop {
                tokio::select! {
                    // whoever could ask is gone: that is a stop, too
                    _ = stopped.wait_for(|stop| *stop) => break true,
                    () = tokio::time::sleep(LOOK_EVERY) => {
                        if life.ended() { break false; }
                    }
                }
            };
            let mut carried = None;
            match Box::pin(life.stop()).await {
                Ok(_) if asked => return Ok(()),
                Ok(Some(next)) => {
                    tracing::info!(member = self.node.member, "member.changed: going on with the next committee");
                    (pause, carried) = (Duration::ZERO, Some(next));
                }
                Ok(None) => return Ok(()),
                Err(MemberError::Driver(DriverError::Changed(epoch))) if !asked => {
                    tracing::info!(member = self.node.member, %epoch, "member.changed: starting again with what it has");
                    pause = Duration::ZERO;
                }
                // starting again is what catches up by the log; when it does not help, no sooner than ever later
                Err(MemberError::Driver(DriverError::Behind(slot))) if !asked => {
                    let ran = clock::now().0.saturating_sub(begun.0);
                    pause = if ran > AGAIN_MS { Duration::ZERO } else { (pause * 2).clamp(AGAIN_MIN, AGAIN_MAX) };
                    let pause_ms = pause.as_millis();
                    tracing::warn!(%slot, pause_ms, "member.behind: starting again to catch up by the log");
                }
                Err(MemberError::Driver(DriverError::Changed(_) | DriverError::Behind(_))) => return Ok(()),
                Err(error) => return Err(error),
            }
            let started = async {
                tokio::time::sleep(pause).await;
                self.go_on(carried).await
            };
            life = tokio::select! {
                _ = stopped.wait_for(|stop| *stop) => return Ok(()),
                started = started => started?,
            };
        }
    }
}
