//! What a change changes, who has signed it, and whose word is missing, for people.
use super::proposal::{Proposal, plain};
use crate::cli;
use serde::Serialize as _;
use types::{MemberId, MemberRecord, Params};

/// Prints [`lines`].
pub(super) fn print(proposal: &Proposal) {
    for (label, text) in lines(proposal) {
        cli::print(format_args!("{label:<10} {text}"));
    }
    for text in &proposal.left_out {
        cli::note(format_args!("lockstep: left out: {text}"));
    }
}

/// The lines of `lockstep change show`: what, and the text.
pub(super) fn lines(proposal: &Proposal) -> Vec<(&'static str, String)> {
    let Proposal { current, change, next, approvals, acceptances, .. } = proposal;
    let stays = |member: &&MemberRecord| next.contains(member);
    let list = |members: Vec<String>| if members.is_empty() { "none".into() } else { members.join(", ") };
    let n = next.len();
    let mut out = vec![
        ("change", format!("{} of network {}", crypto::change::approval(change), change.network)),
        ("of", format!("what epoch {} has: {}", current.epoch, change.base)),
        ("until", format!("epoch {}: the last one that it may be for", change.until)),
        ("stay", list(current.members.iter().filter(stays).map(named).collect())),
    ];
    out.extend(current.members.iter().filter(|member| !stays(member)).map(|member| ("leaves", named(member))));
    for joining in change.joining() {
        let at = [("p2p", &joining.p2p), ("quic", &joining.quic), ("http", &joining.http)];
        let at: Vec<String> = at.iter().map(|(what, address)| format!("{what} {}", plain(address))).collect();
        out.push(("joins", format!("{}   {}", named(&joining.record), at.join(" "))));
    }
    out.push((
        "committee",
        format!(
            "{n} members, of which {} may fail; before: {}, {}",
            n.saturating_sub(1) / 3,
            current.members.len(),
            current.f
        ),
    ));
    let differences = differences(&current.params, &change.params);
    if differences.is_empty() {
        out.push(("parameters", "as they are".into()));
    }
    out.extend(differences.into_iter().map(|text| ("parameter", text)));
    let (have, lack): (Vec<_>, Vec<_>) =
        (0u16..).zip(&current.members).partition(|(index, _)| approvals.contains_key(&MemberId(*index)));
    let name =
        |members: Vec<(u16, &MemberRecord)>| list(members.iter().map(|(_, member)| plain(&member.name)).collect());
    let open = proposal.need().saturating_sub(have.len());
    out.push(("approved", format!("{} of {} needed: {}", have.len(), proposal.need(), name(have))));
    if open > 0 {
        out.push(("missing", format!("{open} approvals of: {}", name(lack))));
    }
    for (joining, sig) in change.joining().zip(acceptances) {
        let name = plain(&joining.record.name);
        out.push(if sig.is_some() { ("accepted", name) } else { ("missing", format!("acceptance of {name}")) });
    }
    let whole = if proposal.is_complete() { "complete: lockstep change submit sends it" } else { "not complete" };
    out.push(("state", whole.into()));
    out
}

fn named(member: &MemberRecord) -> String {
    format!("{} ({:.10})", plain(&member.name), member.consensus.to_string())
}

/// Parameters that differ, by name.
fn differences(before: &Params, after: &Params) -> Vec<String> {
    let table = |params: &Params| params.serialize(serde_json::value::Serializer).unwrap_or_default();
    let (before, after) = (table(before), table(after));
    let pairs = before.as_object().into_iter().flatten();
    let changed = pairs.filter_map(|(name, old)| {
        let new = after.get(name)?;
        (new != old).then(|| format!("{name}: {} -> {}", text(old), text(new)))
    });
    changed.collect()
}

fn text(value: &serde_json::Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
