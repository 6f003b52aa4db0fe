//! Assembly: clock, entropy, configuration, disk, threads, HTTP and the command line around the pure crates.
//!
//! ```text
//!  clients --QUIC--> ingress --+                       +--> disk (WAL, state.redb, staging, tiles)
//!  members --TCP--> consensus --+--> driver: Sequencer --+--> pool (signatures, proofs, openings)
//!  log readers --HTTP--> http     ^                     +--> execute (all rollups)
//!                                 '---- results --------'
//! ```
//! `lockstep devnet` runs several [`member::Member`]s in one process, `lockstep node` runs one: the same code.
//!
//! Deliberately absent: protocol rules. What deserves a test vector lives further in; this crate reads, calls the pure
//! function, and carries out effects in order.
//!
//! * `NODE-1` nothing that follows a durable write is carried out before the write is durable.
//! * `NODE-2` any error of disk or machine ends the member before it signs anything else.
//! * `NODE-3` time and randomness are read in `clock` and `entropy` alone.
#![forbid(unsafe_code)]

mod account;
mod advice;
mod auction;
mod audit;
mod builder;
mod ceremony;
mod change;
mod cli;
pub mod clock;
mod committee;
pub mod config;
mod data;
mod demo;
pub mod devnet;
mod disk;
mod driver;
mod dump;
mod engine;
pub mod entropy;
mod evidence;
mod execute;
pub mod files;
mod follow;
mod handover;
mod health;
mod http;
pub mod init;
mod init_command;
mod mailbox;
pub mod member;
pub mod metrics;
mod page;
pub mod passphrase;
pub mod pool;
mod receipts;
mod recover;
pub mod runner;
mod source;
mod start;
mod status;
pub mod submit;
mod sync;
mod term;

pub use cli::{Failure, main};
pub use driver::{DriverError, Observed};
