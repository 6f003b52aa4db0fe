//! Attacks on the auction and on the right to build, each from the side of whoever tries it: what it may hope for, and
//! what everybody's logs say afterwards. An auditor, who shares no state with the members, reads every log.
//! Attacks of one file per id are those of the list in docs/src/wallets-and-builders.md.
mod places;
