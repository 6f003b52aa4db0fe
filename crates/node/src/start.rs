//! What is checked before a member starts: whose folder it is, room on the disk, free addresses, the clock.
use crate::{
    clock,
    config::NodeConfig,
    files::{self, FilesError, NETWORK_FILE, NetworkFiles},
    health::{
        Health, Heard, Look, disk,
        peers::{self, Clock},
    },
    member::{Listen, MemberError},
    metrics::MemberMetrics,
    term::Roster,
};
use std::{
    net::{SocketAddr, TcpListener, UdpSocket},
    path::Path,
    sync::Arc,
    time::Duration,
};
use types::{Entry, Hash, Kind, MemberId, Slot, Timestamp, codec, limits};

/// How long after its end a member's own addresses may still be taken.
const PORTS_WITHIN_MS: u64 = 15_000;
const PORTS_EVERY: Duration = Duration::from_millis(20);
/// How far from others' a clock may be that a loss is dated with: half of what `Rejoin` allows for.
const CLOCKS_MS: u64 = 5_000;

/// The folder's own network.toml, if it has one, is of this network. Addresses may differ.
pub(crate) fn belongs(network: &NetworkFiles, folder: &Path) -> Result<(), MemberError> {
    let path = folder.join(NETWORK_FILE);
    if !path.exists() {
        return Ok(());
    }
    let own = files::parse_network(&path, &files::read(&path, limits::NETWORK_FILE_BYTES_MAX)?)?;
    same(network, folder, crypto::ids::network_id(&own.genesis))
}

/// The log's first entry names this network; whatever else it is, the replay judges.
pub(crate) fn begins_with(entry: &[u8], network: &NetworkFiles, folder: &Path) -> Result<(), MemberError> {
    match codec::decode::<Entry>(entry, limits::ENTRY_BYTES_MAX) {
        Ok(Entry { kind: Kind::Epoch(epoch), .. }) => same(network, &folder.join("log"), epoch.network),
        Ok(_) | Err(_) => Ok(()),
    }
}

fn same(network: &NetworkFiles, path: &Path, found: Hash) -> Result<(), MemberError> {
    if found == network.id {
        return Ok(());
    }
    Err(MemberError::WrongNetwork { path: path.to_path_buf(), found, wanted: network.id })
}

/// There is at least `min_free_bytes` of disk.
pub(crate) fn has_room(node: &NodeConfig) -> Result<(), MemberError> {
    let free = disk::free(&node.data).map_err(|source| FilesError::Io { path: node.data.clone(), source })?;
    if free < node.min_free_bytes {
        return Err(MemberError::DiskSpace { path: node.data.clone(), free, wanted: node.min_free_bytes });
    }
    Ok(())
}

/// Every address can be listened on: said before a log of hours is replayed, and with the key's name.
pub(crate) fn ports(tcp: [(&'static str, SocketAddr); 2], udp: SocketAddr) -> Result<(), MemberError> {
    for (key, listen) in tcp {
        TcpListener::bind(listen).map_err(|source| MemberError::Port { key, listen, source })?;
    }
    let key = "quic_listen";
    UdpSocket::bind(udp).map(drop).map_err(|source| MemberError::Port { key, listen: udp, source })
}

/// As [`ports`], for a member that starts again in place: what listened there before may need a moment to be gone.
pub(crate) async fn ports_within(listen: Listen) -> Result<(), MemberError> {
    let until = clock::now().plus(PORTS_WITHIN_MS);
    loop {
        match ports([("p2p_listen", listen.p2p), ("http_listen", listen.http)], listen.quic) {
            Err(_taken) if clock::now() < until => tokio::time::sleep(PORTS_EVERY).await,
            checked => return checked,
        }
    }
}

/// The other members, and where they serve HTTP.
fn others(roster: &Roster, me: Option<MemberId>) -> Vec<(MemberId, String)> {
    let others = roster.addresses.iter().filter(|address| Some(address.member) != me);
    others.map(|address| (address.member, address.http.clone())).collect()
}

/// What the members that answer say.
pub(crate) async fn hear(network: &Hash, me: Option<MemberId>, roster: &Roster) -> Vec<Heard> {
    let heard = peers::ask_all(me, &others(roster, me), network, &roster.id()).await;
    heard.into_iter().map(|(_, heard)| heard).collect()
}

/// The last slot that this member is certain to have cosigned: more than f say so, one of them is honest.
pub(crate) fn cosigned(heard: &[Heard], f: u16) -> Slot {
    let mut slots: Vec<Slot> = heard.iter().map(|heard| heard.cosigned).collect();
    slots.sort_unstable_by(|a, b| b.cmp(a));
    slots.get(usize::from(f)).copied().unwrap_or(Slot(0))
}

/// Now, if more than f members say so: what a member that lost its disk may sign hangs on it.
pub(crate) fn certain_time(f: u16, heard: &[Heard]) -> Option<Timestamp> {
    let near = heard.iter().filter(|heard| heard.clock_ms.unsigned_abs() <= CLOCKS_MS).count();
    (near > usize::from(f)).then(clock::now)
}

/// This clock is near those of the members that answer.
pub(crate) fn clock_agrees(f: u16, node: &NodeConfig, heard: &[Heard]) -> Result<(), MemberError> {
    let offsets: Vec<i64> = heard.iter().map(|heard| heard.clock_ms).collect();
    match peers::judge(&offsets, usize::from(f), node.clock_skew_max_ms) {
        Clock::Fine => Ok(()),
        Clock::Off(ms) => {
            tracing::warn!(
                member = node.member,
                ms,
                "clock.off: other members' clocks differ by so much; set this one"
            );
            Ok(())
        }
        Clock::FarOff { ms, peers } => Err(MemberError::Clock { ms, peers }),
    }
}

/// What the task that looks around needs.
pub(crate) fn look(
    roster: &Roster,
    node: &NodeConfig,
    me: MemberId,
    health: Arc<Health>,
    engine: Arc<dyn Fn() -> String + Send + Sync>,
    metrics: MemberMetrics,
) -> Look {
    let keys = (0u16..).map(MemberId).zip(roster.members.iter().map(|m| m.consensus));
    Look {
        health,
        peers: others(roster, Some(me)),
        keys: keys.filter(|(id, _)| *id != me).collect(),
        folder: node.data.clone(),
        engine,
        metrics,
    }
}
