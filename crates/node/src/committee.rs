//! The committee that works now, for who only has network.toml: f + 1 of the members in it must tell the same. A network
//! whose members have all left since needs a newer network.toml.
use crate::{
    change::{EpochPage, PAGE_BYTES_MAX, is_address},
    files::NetworkFiles,
    health::peers,
    term::Roster,
};
use std::collections::BTreeMap;
use tokio::task::JoinSet;
use types::{Epoch, Hash, MemberAddress, MemberId, Network};

/// Where a member tells it.
pub(crate) const PATH: &str = "/lockstep/v1/committee";

/// The network with the members, keys and parameters of an epoch in place of those of genesis.
#[derive(Clone, Debug)]
pub(crate) struct Now {
    pub(crate) epoch: Epoch,
    /// Its id is not that of the genesis in here, but `id`.
    pub(crate) network: Network,
    pub(crate) id: Hash,
}

/// Asks the members of network.toml. That of genesis when fewer than f + 1 tell the same, or none has changed.
pub(crate) async fn now(files: &NetworkFiles) -> Now {
    let (id, need) = (files.id, usize::from(files.network.faults()).saturating_add(1));
    let mut asked = JoinSet::new();
    for address in files.network.addresses.iter().cloned() {
        asked.spawn(async move {
            let bytes = peers::get(&address.http, PATH, PAGE_BYTES_MAX).await?;
            EpochPage::parse(&bytes, &id).ok()
        });
    }
    let mut told: BTreeMap<Hash, Vec<EpochPage>> = BTreeMap::new();
    while let Some(answer) = asked.join_next().await {
        if let Ok(Some(page)) = answer {
            told.entry(page.leaf).or_default().push(page);
        }
    }
    let agreed = told.into_values().filter(|pages| pages.len() >= need);
    let newest = agreed.max_by_key(|pages| pages.first().map(|page| page.record.epoch));
    let pages = newest.unwrap_or_default();
    let mut network = files.network.clone();
    let Some(EpochPage { record, .. }) = pages.first() else { return Now { epoch: Epoch(0), network, id } };
    let genesis = Roster::genesis(files);
    let address = |(index, member): (u16, &types::MemberRecord)| {
        let known = genesis.index(&member.consensus).and_then(|at| genesis.address(at)).cloned();
        let address = known.or_else(|| told_by(&pages, need, MemberId(index)))?;
        Some(MemberAddress { member: MemberId(index), ..address })
    };
    network.addresses = (0..).zip(&record.members).filter_map(address).collect();
    network.genesis.members.clone_from(&record.members);
    network.genesis.params = record.params.clone();
    network.keys = record.keys();
    Now { epoch: record.epoch, network, id }
}

/// The addresses of a member as `need` pages say.
fn told_by(pages: &[EpochPage], need: usize, member: MemberId) -> Option<MemberAddress> {
    let told = pages.iter().filter_map(|page| page.addresses.iter().find(|address| address.member == member));
    let fit = |a: &&MemberAddress| [&a.p2p, &a.quic, &a.http].into_iter().all(|text| is_address(text));
    let told: Vec<&MemberAddress> = told.filter(fit).collect();
    told.iter().find(|address| told.iter().filter(|other| other == address).count() >= need).copied().cloned()
}
