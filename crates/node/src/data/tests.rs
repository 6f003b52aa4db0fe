// Goal: traces say what the log says, from wherever it is read, and nothing more is kept than there is room for.
// Method: a log of a network of four with bids of every fate, empty blocks and ends of epochs, written by the verifier's
// own tests' world.
use super::{
    query::{Delivered, Received},
    traces::{Kept, Reader},
};
use axum::extract::Query;
use crypto::keys::KeySet;
use std::{collections::BTreeMap, sync::RwLock};
use types::{Entry, Epoch, Kind, Params, Slot, codec, limits, reason::BidVerdict};
use verifier::testing::World;

const RESERVE: u128 = 10_000_000_000_000;

fn kind(entry: &[u8]) -> Kind {
    codec::decode::<Entry>(entry, limits::ENTRY_BYTES_MAX).unwrap().kind
}

fn keys(world: &World) -> KeySet {
    let Kind::Epoch(record) = kind(&world.log()[0]) else { panic!("EPOCH comes first") };
    KeySet::new(4, record.f, &record.keys()).unwrap()
}

fn read(world: &World, from: u64, opens_from: u64) -> Kept {
    let kept = RwLock::default();
    let mut reader = Reader::new(keys(world), Slot(opens_from));
    for entry in world.log().iter().skip(usize::try_from(from).unwrap()) {
        reader.entry(kind(entry), &kept).unwrap();
    }
    kept.into_inner().unwrap()
}

fn query(text: &[(&str, &str)]) -> Query<BTreeMap<String, String>> {
    Query(text.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
}

/// Forty slots with two bids each, every seventh an empty block, one with bids that are none.
fn world() -> World {
    let mut world = World::with_params(3, Params { epoch_slots: 16, ..Params::default_for(500) });
    for slot in 1..=40u64 {
        if slot % 7 == 0 {
            world.empty_slot();
            continue;
        }
        world.bid(0, 0, Some(RESERVE * 3));
        world.bid(1, 0, Some(RESERVE * u128::from(2 + slot % 4)));
        if slot == 9 {
            world.bid(2, 0, None);
        }
        world.slot();
    }
    world
}

#[test]
fn every_bid_has_its_verdict_and_every_right_its_block() {
    let world = world();
    let kept = read(&world, 0, 0);
    let traces: Vec<_> = kept.newest().collect();
    assert_eq!(traces.iter().map(|trace| trace.auction.0).collect::<Vec<_>>(), (1..=40).rev().collect::<Vec<_>>());
    let of = |auction: u64| traces[usize::try_from(40 - auction).unwrap()];

    let garbage = of(9).offers.iter().find(|offer| offer.amount.is_none()).unwrap();
    assert_eq!(garbage.judged.verdict, BidVerdict::Garbage);
    assert_eq!(garbage.judged.fine, of(9).terms.garbage_fine);
    for trace in &traces {
        let price = trace.won().map_or(0, |won| won.judged.price.units());
        assert_eq!(trace.price.units(), price, "auction {}", trace.auction);
        assert_eq!(trace.offers.is_empty(), trace.auction.0 % 7 == 0);
    }
    // the right to slot 7, which is an empty block, builds slot 8; nothing of the empty block's auction does
    let (six, seven) = (of(6).built.unwrap(), of(7));
    assert_eq!((six.slot, seven.won().is_none(), seven.built.is_none()), (Slot(8), true, true));
    assert_eq!(kept.of(Slot(8)).unwrap().auction, Slot(6));
    assert_eq!(kept.of(Slot(10)).unwrap().auction, Slot(9));
    assert_eq!(six.parent, of(7).digest);
    // the last two have no EXEC yet, or no block
    let rows = Delivered::read(Ok(query(&[]))).unwrap().rows(&kept);
    let rows = serde_json::to_value(rows).unwrap();
    assert_eq!(rows[0]["slot"], "39");
    assert_eq!(rows.as_array().unwrap().iter().filter(|row| row["slot"] == "8").count(), 1);
    assert_eq!(rows.as_array().unwrap().iter().filter(|row| row["slot"] == "7").count(), 0);
    let received = Received::read(Ok(query(&[("slot", "10")]))).unwrap().rows(&kept);
    assert_eq!(serde_json::to_value(received).unwrap().as_array().unwrap().len(), 3);
}

#[test]
fn reading_may_begin_where_an_epoch_is_announced() {
    let world = world();
    let told = |kept: &Kept, newest: usize| -> Vec<String> {
        kept.newest().take(newest).map(|trace| format!("{trace:?}")).collect()
    };
    let all = read(&world, 0, 0);
    let announced = Params { epoch_slots: 16, ..Params::default_for(500) }.schedule().announce(Epoch(0));
    let some = read(&world, world.close_head(announced.prev()).unwrap().size, 0);
    // nothing of the epoch before, whose rules are not known
    assert_eq!(some.newest().last().unwrap().auction, Slot(16));
    assert!(told(&some, 25) == told(&all, 25), "another beginning tells otherwise");
    let late = read(&world, 0, 21);
    assert!(told(&late, 40) == told(&all, 20), "what would not be kept is not opened");
}
