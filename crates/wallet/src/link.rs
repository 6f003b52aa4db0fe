//! The connection to one member.
use crate::MemberView;
use ingress::{Client, ClientError};
use std::sync::Arc;
use tokio::sync::watch;

/// How a member can be reached.
#[derive(Clone)]
pub(crate) enum Line {
    /// The first attempt, or the first after a loss, is under way.
    Trying,
    /// Connected.
    Up(Arc<Client>),
    /// The last attempt failed; the next one is under way or soon will be.
    Away,
}

/// The connection to one member. Its listener makes it, and makes it again; everybody else looks.
pub(crate) struct Link {
    pub(crate) view: MemberView,
    pub(crate) line: watch::Sender<Line>,
}

impl Link {
    pub(crate) async fn connect(&self) -> Result<Arc<Client>, ClientError> {
        let mut addresses = tokio::net::lookup_host(&self.view.quic).await?;
        let address = addresses.next().ok_or_else(|| ClientError::Socket(std::io::ErrorKind::NotFound.into()))?;
        Ok(Arc::new(Client::connect(address, self.view.pin).await?))
    }

    /// The connection, or `None` if the member is away. Waits for an attempt that may well succeed.
    pub(crate) async fn now(&self) -> Option<Arc<Client>> {
        let mut line = self.line.subscribe();
        let line = line.wait_for(|line| !matches!(line, Line::Trying)).await.ok()?;
        if let Line::Up(client) = &*line { Some(Arc::clone(client)) } else { None }
    }

    /// The connection, once there is one.
    pub(crate) async fn up(&self) -> Option<Arc<Client>> {
        let mut line = self.line.subscribe();
        let line = line.wait_for(|line| matches!(line, Line::Up(client) if !client.is_closed())).await.ok()?;
        if let Line::Up(client) = &*line { Some(Arc::clone(client)) } else { None }
    }
}
