//! The newest EPOCH as members tell it.
//!
//! Trust: an EPOCH of f + 1 members is that of at least one honest one. Addresses are not covered by it: those of
//! network.toml go first, then what most of these members say.
use super::FromArgs;
use crate::{
    cli::Failure,
    files::NetworkFiles,
    health::{peers, report::Report},
    source::{self, SourceError},
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use tokio::task::JoinSet;
use types::{Entry, EpochRecord, Hash, Kind, MemberAddress, MemberId, Slot};

/// What `GET /lockstep/v1/epoch` answers: the newest EPOCH of a member's log, which may not have begun.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct EpochPage {
    /// RFC 6962 leaf hash of its entry.
    pub(crate) leaf: Hash,
    /// What it says.
    pub(crate) record: EpochRecord,
    /// By index in the record's members.
    pub(crate) addresses: Vec<MemberAddress>,
}

/// Longest page: 128 members with five keys, a name and three addresses each, and their key set, are below 150,000.
pub(crate) const PAGE_BYTES_MAX: usize = 512 << 10;
pub(crate) const PATH: &str = "/lockstep/v1/epoch";

/// The leaf hash of EPOCH with this record.
pub(crate) fn leaf(record: &EpochRecord) -> Hash {
    crypto::merkle::leaf_hash(&Entry::bytes(Kind::Epoch(Box::new(record.clone()))))
}

impl EpochPage {
    /// Reads a page and checks that it is one of this network whose leaf is its record's.
    pub(crate) fn parse(bytes: &[u8], network: &Hash) -> Result<Self, &'static str> {
        let page: Self = serde_json::from_slice(bytes).map_err(|_json| "sends no EPOCH")?;
        if page.record.network != *network {
            return Err("is of another network");
        }
        if leaf(&page.record) != page.leaf {
            return Err("sends an EPOCH that is not its leaf");
        }
        Ok(page)
    }
}

/// The newest EPOCH, believed, and who is reached where.
#[derive(Clone, Debug)]
pub(super) struct Current {
    pub(super) record: EpochRecord,
    /// Where each member of the record serves HTTP, as far as known.
    pub(super) http: BTreeMap<MemberId, String>,
    /// The last final slot that as many members as were needed have reached, if they say.
    pub(super) slot: Option<Slot>,
    /// How it came to be believed, for people.
    pub(super) told: String,
}

/// Asks for the newest EPOCH.
///
/// # Errors
/// [`Failure::unavailable`]: too few tell the same.
pub(super) async fn ask(network: &NetworkFiles, from: &FromArgs) -> Result<Current, Failure> {
    match &from.from {
        Some(url) => one(network, url).await,
        None => several(network).await,
    }
}

async fn one(network: &NetworkFiles, url: &str) -> Result<Current, Failure> {
    let host = url
        .strip_prefix("http://")
        .ok_or_else(|| Failure::usage(format!("--from wants http://host:port, not {url:.60}")))?;
    let host = host.trim_end_matches('/');
    let failed = |why: &dyn core::fmt::Display| Failure::unavailable(format!("{url}: {why}"));
    let bytes = source::fetch(format!("http://{host}{PATH}"), PAGE_BYTES_MAX).await;
    let bytes = bytes.map_err(|error: SourceError| Failure::unavailable(error.to_string()))?;
    let bytes = bytes.ok_or_else(|| failed(&"has no EPOCH yet"))?;
    let page = EpochPage::parse(&bytes, &network.id).map_err(|why| failed(&why))?;
    let slot = peers::ask(host).await.and_then(|report| final_slot(&report, &network.id));
    let http = addresses(network, &page.record, std::slice::from_ref(&page));
    let told = format!("{url} alone says so (--from): nobody else was asked");
    Ok(Current { record: page.record, http, slot, told })
}

fn final_slot(report: &Report, network: &Hash) -> Option<Slot> {
    (report.network == network.to_string()).then_some(Slot(report.final_slot))
}

async fn several(network: &NetworkFiles) -> Result<Current, Failure> {
    let need = usize::from(network.network.faults()) + 1;
    let mut asked = JoinSet::new();
    for address in &network.network.addresses {
        let (member, http, id) = (address.member, address.http.clone(), network.id);
        asked.spawn(async move {
            let (page, report) = tokio::join!(peers::get(&http, PATH, PAGE_BYTES_MAX), peers::ask(&http));
            let page = page.ok_or("no answer").and_then(|bytes| EpochPage::parse(&bytes, &id));
            (member, page, report.and_then(|report| final_slot(&report, &id)))
        });
    }
    let mut pages = BTreeMap::new();
    let mut said = BTreeMap::new();
    let mut slots = Vec::new();
    while let Some(Ok((member, page, slot))) = asked.join_next().await {
        slots.extend(slot);
        match page {
            Ok(page) => {
                said.insert(member, format!("epoch {} {:.8}", page.record.epoch, page.leaf.to_string()));
                pages.insert(member, page);
            }
            Err(why) => {
                said.insert(member, why.to_owned());
            }
        }
    }
    let mut groups: BTreeMap<Hash, Vec<EpochPage>> = BTreeMap::new();
    for page in pages.into_values() {
        groups.entry(page.leaf).or_default().push(page);
    }
    // of two that enough members tell, some are a moment behind
    let agreed = groups.into_values().filter(|pages| pages.len() >= need);
    let newest = agreed.max_by_key(|pages| pages.first().map(|page| page.record.epoch));
    let Some((pages, first)) = newest.and_then(|pages| pages.first().cloned().map(|first| (pages, first))) else {
        let said: Vec<String> = said.iter().map(|(member, what)| format!("member {member}: {what}")).collect();
        return Err(Failure::unavailable(format!(
            "fewer than f + 1 = {need} members tell the same newest EPOCH ({})\n\
             do: ask again in a moment; when members of network.toml have left, --from URL of one that you trust",
            said.join("; ")
        )));
    };
    slots.sort_unstable_by(|a: &Slot, b| b.cmp(a));
    let slot = slots.get(need.saturating_sub(1)).copied();
    let http = addresses(network, &first.record, &pages);
    let told = format!("{} of {} members say so", pages.len(), said.len());
    Ok(Current { record: first.record, http, slot, told })
}

/// Where members serve HTTP: by network.toml if it has them, or else as most pages say.
pub(super) fn addresses(
    network: &NetworkFiles,
    record: &EpochRecord,
    pages: &[EpochPage],
) -> BTreeMap<MemberId, String> {
    let genesis = &network.network.genesis.members;
    let mut found = BTreeMap::new();
    for (index, member) in (0u16..).zip(&record.members) {
        let own = network.network.addresses.iter().find(|address| {
            genesis.get(usize::from(address.member.0)).is_some_and(|known| known.consensus == member.consensus)
        });
        let mut votes: BTreeMap<&str, usize> = BTreeMap::new();
        let told = pages.iter().flat_map(|page| page.addresses.iter().filter(|a| a.member.0 == index).take(1));
        for address in told.filter(|address| is_address(&address.http)) {
            *votes.entry(&address.http).or_default() += 1;
        }
        let most = votes.into_iter().max_by_key(|(_, count)| *count).map(|(http, _)| http);
        if let Some(http) = own.map(|address| address.http.as_str()).or(most) {
            found.insert(MemberId(index), http.to_owned());
        }
    }
    found
}

/// `host:port` of printable characters, at most 64.
pub(crate) fn is_address(text: &str) -> bool {
    let plain = text.len() <= 64 && text.chars().all(|c| c.is_ascii_graphic() && !"/?#@".contains(c));
    let parts = text.rsplit_once(':').filter(|_| plain);
    parts.is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0))
}
