//! Attacks on the auction and on the right to build, each from the side of whoever tries it: what it may hope for, and
//! what everybody's logs say afterwards. An auditor, who shares no state with the members, reads every log.
//! Files named after an id show an attack of the list in docs/src/wallets-and-builders.md.
mod audits;
mod builders;
mod places;
mod proposer;
mod recipients;
mod x12_hostile_winner;
mod x14_bids_seen_early;
mod x15_taken_back;
mod x16_ties;
