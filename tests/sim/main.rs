//! Whole networks of production parts on a deterministic runtime.
//!
//! Goal: engine.md section 11. Method: engine, machine, executor and keys are those of a node; runtime and network are
//! simulated and seeded; disks are data. `book` holds every rule against every member as it acts, `world` what must hold
//! in the end, and an auditor with every check reads one honest log of every run.
//!
//! `LOCKSTEP_SEEDS=0..1000 cargo test --release --test sim -- --nocapture` runs many seeds of every scenario,
//! `LOCKSTEP_SEED=0x..` one; each runs twice, with `LOCKSTEP_ONCE=1` once; sizes by turns, with `LOCKSTEP_MEMBERS=4` one.
//! A seed that fails goes into `seeds.txt` by hand and is run ever after.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "a test program: what is not as it should be ends it"
)]

mod adversaries;
mod app;
mod book;
#[expect(dead_code, reason = "the sequencer's own tests use more of it")]
mod common;
mod market;
mod member;
mod places;
mod scenarios;
mod seeds;
mod world;

use adversaries::{FAULTS, HANDOVER_FAULTS, SHARDED_FAULTS};

fn fault(name: &'static str, short: &[(u64, u16)]) {
    let fault = *FAULTS.iter().find(|fault| fault.name == name).unwrap();
    seeds::check(name, short, 1, |seed, n| scenarios::faulty(seed, n, fault));
}

fn sharded_fault(name: &'static str, short: &[(u64, u16)]) {
    let fault = *SHARDED_FAULTS.iter().find(|fault| fault.name == name).unwrap();
    seeds::check(name, short, 0, |seed, n| scenarios::faulty_sharded(seed, n, fault));
}

fn handover_fault(name: &'static str, short: &[(u64, u16)]) {
    let fault = *HANDOVER_FAULTS.iter().find(|fault| fault.name == name).unwrap();
    seeds::check(name, short, 0, |seed, n| scenarios::faulty_changes(seed, n, fault));
}

#[test]
fn a_healthy_network_where_a_few_combine_agrees() {
    seeds::check("healthy sharded", &[(1, 4), (2, 7)], 1, scenarios::healthy_sharded);
}

#[test]
fn nineteen_members_let_a_few_combine() {
    scenarios::healthy_sharded(1, 19);
}

#[test]
fn five_regions_where_a_few_combine_agree() {
    seeds::check("wan sharded", &[(2, 7)], 0, scenarios::wan_sharded);
}

#[test]
fn members_come_back_where_a_few_combine() {
    seeds::check("crashes sharded", &[(1, 4), (2, 7)], 0, scenarios::crashes_sharded);
}

#[test]
fn a_silent_combiner_is_harmless() {
    sharded_fault("silent combiner", &[(1, 4), (2, 7)]);
}

#[test]
fn wrong_openings_are_harmless() {
    sharded_fault("wrong openings", &[(1, 4), (2, 7)]);
}

#[test]
fn wrong_shares_to_combiners_are_harmless() {
    sharded_fault("wrong shares to combiners", &[(1, 4), (2, 7)]);
}

#[test]
fn a_share_withholder_among_combiners_is_harmless() {
    sharded_fault("share withholder among combiners", &[(1, 4)]);
}

#[test]
fn all_at_once_is_harmless_where_a_few_combine() {
    seeds::check("chaos sharded", &[(1, 4), (2, 7)], 0, scenarios::chaos_sharded);
}

#[test]
fn a_healthy_network_agrees() {
    seeds::check("healthy", &[(1, 4), (2, 7), (3, 13)], 1, scenarios::healthy);
}

#[test]
fn five_regions_with_losses_agree() {
    seeds::check("wan", &[(2, 4)], 1, scenarios::wan);
}

#[test]
fn a_partition_heals() {
    seeds::check("partition", &[(1, 4)], 0, scenarios::partition);
}

#[test]
fn blocks_that_nobody_can_finalize_do_not_end_the_chain() {
    seeds::check("edge", &[(1, 4)], 0, scenarios::edge);
}

#[test]
fn without_empty_blocks_they_do() {
    scenarios::edge_without_empty_blocks(1, 4);
}

#[test]
fn a_stop_when_few_know_a_block_final_does_not_end_the_chain() {
    seeds::check("known to few", &[(1, 4), (2, 7)], 1, scenarios::known_to_few);
}

#[test]
fn nor_does_one_when_few_know_the_last_block_of_an_epoch_final() {
    seeds::check("last known to few", &[(1, 4)], 0, scenarios::last_known_to_few);
}

#[test]
fn close_to_opened_by_region() {
    // n = 16 and 64 take long: only when seeds are asked for
    let sizes: &[u16] = if seeds::wanted().is_some() { &[4, 16, 64] } else { &[4] };
    for n in sizes {
        let ms = if *n == 16 { 30_000 } else { 16_000 };
        places::print_medians(*n, &scenarios::wan_for(1, *n, ms));
    }
}

#[test]
fn members_come_back() {
    seeds::check("crashes", &[(1, 4)], 1, scenarios::crashes);
}

#[test]
fn the_secrets_are_handed_over_twice() {
    seeds::check("changes", &[(1, 4)], 1, scenarios::changes);
}

#[test]
fn they_are_in_five_regions_with_losses() {
    seeds::check("changes wan", &[(1, 4)], 0, scenarios::changes_wan);
}

#[test]
fn members_that_crash_about_a_handover_come_back() {
    seeds::check("changes crashes", &[(1, 4)], 0, scenarios::changes_crashes);
}

#[test]
fn a_silent_dealer_is_harmless() {
    handover_fault("silent dealer", &[(1, 4)]);
}

#[test]
fn a_wrong_dealer_is_harmless() {
    handover_fault("wrong dealer", &[(2, 7)]);
}

#[test]
fn all_at_once_is_harmless_while_the_committee_changes() {
    seeds::check("chaos changes", &[(1, 4)], 0, scenarios::chaos_changes);
}

#[test]
fn a_slow_member_stays() {
    seeds::check("slow member", &[(1, 4)], 0, scenarios::slow_member);
}

#[test]
fn an_equivocating_leader_is_harmless() {
    fault("equivocating leader", &[(1, 4)]);
}

#[test]
fn a_vote_conflicter_is_harmless() {
    fault("vote conflicter", &[(1, 4)]);
}

#[test]
fn a_nuller_is_harmless() {
    fault("nuller", &[(1, 4)]);
}

#[test]
fn a_list_equivocator_is_harmless() {
    fault("list equivocator", &[(1, 4)]);
}

#[test]
fn a_forged_cut_is_harmless() {
    fault("forged cut", &[(1, 4)]);
}

#[test]
fn a_share_withholder_is_harmless() {
    fault("share withholder", &[(1, 4)]);
}

#[test]
fn wrong_shares_are_harmless() {
    fault("wrong shares", &[(1, 4)]);
}

#[test]
fn early_shares_open_nothing_early() {
    fault("early shares", &[(1, 4)]);
}

#[test]
fn an_early_empty_block_is_harmless() {
    fault("early empty block", &[(1, 4)]);
}

#[test]
fn a_slow_fetcher_is_harmless() {
    fault("slow fetcher", &[(1, 4)]);
}

#[test]
fn an_item_spammer_is_harmless() {
    fault("item spammer", &[(1, 4)]);
}

#[test]
fn all_at_once_is_harmless() {
    seeds::check("chaos", &[(1, 4), (2, 7)], 1, scenarios::chaos);
}
