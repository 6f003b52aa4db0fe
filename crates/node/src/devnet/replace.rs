//! A change of the committee in the devnet: a member with fresh keys takes the place of the last one of genesis, by what
//! operators would do: a proposal, the word of 2f + 1, and then the log decides. Wallets go on as they are.
use crate::{
    change::{EPOCH_PATH, EpochPage, PAGE_BYTES_MAX},
    cli::Failure,
    config::NodeConfig,
    entropy::Source,
    files::{Identity, NetworkFiles},
    init,
    passphrase::Lock,
    source,
};
use crypto::{change, ed25519::SigningKey};
use keygen::files::Protection;
use std::{path::Path, time::Duration};
use types::{Change, Joining, MemberId, Operation, Seat, SignedChange, VoteSig, codec, reason::Reason};

/// Epochs of fewer slots leave a handover less than four slots a phase.
const EPOCH_SLOTS_MIN: u64 = 32;
/// Epochs in whose windows the change may count.
const WAITS: u64 = 1_000;
/// How long members are asked for the newest EPOCH.
const TRIES: u32 = 50;

/// Number of the folder of the member that joins, if one does.
pub(super) fn joiner(members: u16, epoch_slots: u64) -> Option<u16> {
    (epoch_slots >= EPOCH_SLOTS_MIN).then_some(members)
}

/// Makes the folder of the member that joins.
pub(super) fn make(network: &NetworkFiles, dir: &Path, number: u16, port: u16, source: Source) -> Result<(), Failure> {
    let data = dir.join(format!("member-{number}"));
    let local = |offset: u16| format!("127.0.0.1:{}", port.saturating_add(offset));
    let config = NodeConfig {
        member: number,
        joins: true,
        p2p_listen: local(0),
        quic_listen: local(1),
        http_listen: local(2),
        ..NodeConfig::default()
    };
    init::member_folder(&data, network, &config)?;
    let identity = init::identity(source, number.into())?;
    Ok(identity.write(&data, &Protection::InsecurePlaintext).map_err(init::InitError::Files)?)
}

/// The newest EPOCH of a member.
pub(super) async fn page(http: &str, network: &NetworkFiles) -> Option<EpochPage> {
    let answer = source::fetch(format!("http://{http}{EPOCH_PATH}"), PAGE_BYTES_MAX).await;
    EpochPage::parse(&answer.ok()??, &network.id).ok()
}

/// Hands the change in, signed by 2f + 1, unless it has taken effect.
pub(super) async fn submit(network: &NetworkFiles, dir: &Path, number: u16, http: &str) -> Result<(), Failure> {
    let failed = |text: &str| Failure::software(format!("change of the committee: {text}"));
    let mut current = None;
    for _ in 0..TRIES {
        current = page(http, network).await;
        if current.is_some() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let EpochPage { record, .. } = current.ok_or_else(|| failed("no member says which epoch it is"))?;
    let members = &network.network.genesis.members;
    if record.members != *members {
        return Ok(());
    }
    let folder = |index: u16| dir.join(format!("member-{index}"));
    let key = |index: u16| {
        Identity::read(&folder(index), &Lock::Plain).map(|identity| SigningKey::from_seed(identity.consensus))
    };
    let config = NodeConfig::read(&folder(number).join("node.toml"))?;
    let joining = Joining {
        record: Identity::read(&folder(number), &Lock::Plain)?.record(&format!("member-{number}")),
        p2p: config.p2p_listen,
        quic: config.quic_listen,
        http: config.http_listen,
    };
    let stays = (0..number).map(MemberId).zip(members).rev().skip(1);
    let mut seats: Vec<_> = stays.map(|(id, member)| (member.consensus, Seat::Stays(id))).collect();
    seats.push((joining.record.consensus, Seat::Joins(Box::new(joining))));
    seats.sort_by_key(|(key, _)| *key);
    let seats = seats.into_iter().map(|(_, seat)| seat).collect();
    // another one in each epoch: one that had its place counts no more
    let until = record.epoch.plus(WAITS);
    let (base, params) = (change::base(&record), record.params);
    let change = Change { network: network.id, until, base, seats, params };
    let (approval, acceptance) = (change::approval(&change), change::acceptance(&change));
    let mut approvals = Vec::new();
    for index in 0..network.network.faults().saturating_mul(2).saturating_add(1) {
        approvals.push(VoteSig { member: MemberId(index), sig: key(index)?.sign(approval.as_bytes()) });
    }
    let acceptances = vec![key(number)?.sign(acceptance.as_bytes())];
    let operation = Operation::Change(Box::new(SignedChange { change, approvals, acceptances }));
    let url = format!("http://{http}/lockstep/v1/operations");
    match source::post(url, codec::encode(&operation), 4 << 10).await {
        Ok((200..300, _)) => Ok(()),
        // of this epoch, from before a restart
        Ok((_, answer)) if is_in_the_log(&answer) => Ok(()),
        Ok((_, answer)) => Err(failed(&String::from_utf8_lossy(&answer))),
        Err(error) => Err(failed(&error.to_string())),
    }
}

/// What a member answers to a change that stands in its log.
fn is_in_the_log(answer: &[u8]) -> bool {
    let answer: Option<serde_json::Value> = serde_json::from_slice(answer).ok();
    answer.is_some_and(|answer| answer.get("reason").and_then(|reason| reason.as_str()) == Some(Reason::Expired.name()))
}
