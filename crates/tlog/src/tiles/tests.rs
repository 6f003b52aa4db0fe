// Goal: TLG-1, TLG-2, TLG-4 for tiles. Method: names, sets of tiles and bytes against tlog_tiles (a port of Go's
// x/mod/sumdb/tlog); groupings of appends and damaged bytes by proptest.
use super::*;
use proptest::prelude::*;
use std::{collections::BTreeMap, string::ToString, vec};

fn entry(i: u64) -> Vec<u8> {
    i.to_be_bytes().repeat(usize::try_from(i % 7).unwrap())
}

/// Files as a served directory holds them.
type Files = BTreeMap<Tile, Vec<u8>>;

fn build(size: u64) -> (Edge, Files) {
    let mut edge = Edge::new();
    let entries: Vec<_> = (0..size).map(entry).collect();
    let files = edge.append(&entries).unwrap().into_iter().collect();
    (edge, files)
}

fn reader(files: &Files) -> impl FnMut(&Tile) -> Result<Vec<u8>, &'static str> {
    |tile: &Tile| files.get(tile).cloned().ok_or("missing")
}

fn theirs(tile: &Tile) -> String {
    path(tile).replace("tile/", "tile/8/").replace("/entries/", "/data/")
}

/// Stored hashes of the Go layout, for the oracle.
struct Stored(Vec<tlog_tiles::Hash>);

impl tlog_tiles::HashReader for Stored {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<tlog_tiles::Hash>, tlog_tiles::Error> {
        Ok(indexes.iter().map(|i| self.0[usize::try_from(*i).unwrap()]).collect())
    }
}

fn stored(size: u64) -> Stored {
    let mut stored = Stored(Vec::new());
    for i in 0..size {
        let more = tlog_tiles::stored_hashes(i, &entry(i), &stored).unwrap();
        stored.0.extend(more);
    }
    stored
}

#[test]
fn tlg_2_paths_of_the_specification() {
    let tile = |level, index, width| Tile::new(level, index, width).unwrap();
    for (tile, text) in [
        (tile(Level::Hashes(0), 1_234_067, 256), "tile/0/x001/x234/067"),
        (tile(Level::Hashes(0), 273, 112), "tile/0/273.p/112"),
        (tile(Level::Hashes(2), 0, 1), "tile/2/000.p/1"),
        (tile(Level::Entries, 1_000, 256), "tile/entries/x001/000"),
        (tile(Level::Entries, 999, 255), "tile/entries/999.p/255"),
        (tile(Level::Hashes(63), u64::MAX, 256), "tile/63/x018/x446/x744/x073/x709/x551/615"),
    ] {
        assert_eq!(path(&tile), text);
        assert_eq!(Tile::parse(text), Ok(tile));
    }
}

#[test]
fn tlg_2_other_paths_name_nothing() {
    for text in [
        "",
        "tile",
        "tile/0",
        "tile/0/",
        "tile/0/0",
        "tile/0/00",
        "tile/0/0000",
        "tile/0/x000/001",
        "tile/0/001/002",
        "tile/0/x001",
        "tile/0/001.p/0",
        "tile/0/001.p/256",
        "tile/0/001.p/01",
        "tile/0/001.p/+1",
        "tile/0/001.p/",
        "tile/64/000",
        "tile/00/000",
        "tile/+1/000",
        "tile/-1/000",
        "tile/data/000",
        "/tile/0/000",
        "tile/0/000/",
        "tile/0/x018/x446/x744/x073/x709/x551/616",
        "tile/0/xx01/000",
        "tile/0/x1000/000",
        "tile/0/..",
        "tile/0/é00",
        "tile/entries/000.p/1.p/1",
        "checkpoint",
    ] {
        assert_eq!(Tile::parse(text), Err(PathError), "{text}");
    }
    let long = std::format!("tile/0/{}000", "x000/".repeat(30));
    assert_eq!(Tile::parse(&long), Err(PathError));
}

#[test]
fn the_example_of_70_000_entries() {
    let tiles = changed(0, 70_000);
    let count = |level, full: bool| tiles.iter().filter(|t| t.level() == level && t.is_full() == full).count();
    assert_eq!((count(Level::Hashes(0), true), count(Level::Hashes(0), false)), (273, 1));
    assert_eq!((count(Level::Hashes(1), true), count(Level::Hashes(1), false)), (1, 1));
    assert_eq!((count(Level::Hashes(2), true), count(Level::Hashes(2), false)), (0, 1));
    assert_eq!((count(Level::Entries, true), count(Level::Entries, false)), (273, 1));
    let widths: Vec<u16> = partials(70_000).iter().map(Tile::width).collect();
    assert_eq!(widths, [112, 112, 17, 1]);
    assert_eq!(partials(256).iter().map(ToString::to_string).collect::<Vec<_>>(), ["tile/1/000.p/1"]);
    assert_eq!(partials(0), []);
    assert_eq!(partials(1 << 63).iter().map(Tile::width).collect::<Vec<_>>(), [128]);
}

#[test]
fn tlg_1_names_and_sets_equal_go() {
    let sizes = [0u64, 1, 2, 255, 256, 257, 511, 512, 65_535, 65_536, 65_537, 70_000];
    for old in sizes {
        for new in sizes.into_iter().filter(|new| *new >= old) {
            let ours: Vec<_> = changed(old, new).into_iter().filter(|t| !t.is_entries()).collect();
            let go = tlog_tiles::Tile::new_tiles(8, old, new);
            let names = |tiles: Vec<String>| tiles.into_iter().collect::<std::collections::BTreeSet<_>>();
            let ours_names = names(ours.iter().map(theirs).collect());
            assert_eq!(ours_names, names(go.iter().map(tlog_tiles::Tile::path).collect()), "{old} {new}");
        }
    }
    for tile in changed(0, 70_000) {
        let go = tlog_tiles::Tile::from_path(&theirs(&tile)).unwrap();
        assert_eq!((go.level_index(), go.width()), (tile.index(), u32::from(tile.width())));
        assert_eq!(go.is_data(), tile.is_entries());
    }
}

#[test]
fn tlg_1_bytes_equal_go() {
    let go = stored(66_000);
    for size in [1u64, 5, 255, 256, 300, 66_000] {
        let (edge, files) = build(size);
        assert_eq!(edge.tree().root().0, tlog_tiles::tree_hash(size, &go).unwrap().0);
        for tile in changed(0, size) {
            let bytes = &files[&tile];
            if tile.is_entries() {
                let first = tile.index() * 256;
                let want: Vec<_> = (first..first + u64::from(tile.width())).map(entry).collect();
                assert_eq!(entries_of(&tile, bytes).unwrap(), want);
            } else {
                let theirs = tlog_tiles::Tile::from_path(&theirs(&tile)).unwrap();
                assert_eq!(bytes, &theirs.read_data(&go).unwrap(), "{tile}");
            }
        }
    }
}

#[test]
fn an_edge_reads_back_and_goes_on() {
    for size in [0u64, 1, 255, 256, 257, 600, 65_536, 65_800] {
        let (mut edge, files) = build(size);
        let mut again = Edge::read(size, reader(&files)).unwrap();
        assert_eq!(again, edge, "{size}");
        let more: Vec<_> = (size..size + 300).map(entry).collect();
        assert_eq!(again.append(&more).unwrap(), edge.append(&more).unwrap());
        assert_eq!(again, edge);
    }
}

#[test]
fn an_append_writes_each_changed_tile_once() {
    let (mut edge, _) = build(250);
    let more: Vec<_> = (250..900).map(entry).collect();
    let made: Vec<Tile> = edge.append(&more).unwrap().into_iter().map(|(tile, _)| tile).collect();
    let mut sorted = made.clone();
    sorted.sort_unstable();
    let mut want = changed(250, 900);
    want.sort_unstable();
    assert_eq!(sorted, want);
    assert_eq!(edge.append::<Vec<u8>>(&[]).unwrap(), []);
}

#[test]
fn an_entry_that_is_too_long_appends_nothing() {
    let (mut edge, _) = build(3);
    let before = edge.clone();
    assert_eq!(edge.append(&[vec![1], vec![0; ENTRY_BYTES_MAX + 1]]), Err(EntryTooLong));
    assert_eq!(edge, before);
    let files = edge.append(&[vec![7; ENTRY_BYTES_MAX], vec![]]).unwrap();
    let bundle = files.iter().find(|(tile, _)| tile.is_entries()).unwrap();
    assert_eq!(entries_of(&bundle.0, &bundle.1).unwrap()[3..], [&[7u8; ENTRY_BYTES_MAX][..], &[]]);
}

#[test]
fn a_narrower_tile_is_cut_from_a_wider_one() {
    let (_, wide) = build(256);
    let (_, narrow) = build(100);
    for tile in partials(100) {
        let full = &wide[&tile.full()];
        assert_eq!(tile.cut(full).unwrap(), narrow[&tile], "{tile}");
        assert_eq!(tile.cut(&narrow[&tile][..narrow[&tile].len() - 1]), Err(BytesError::Length));
    }
    let tile = Tile::at(Level::Hashes(0), 0, 100).unwrap();
    assert!(tile.is_within(100) && tile.is_within(101) && tile.is_within(1 << 40) && !tile.is_within(99));
}

#[test]
fn a_check_finds_every_flipped_byte() {
    let size = 300;
    let (edge, files) = build(size);
    assert_eq!(check(size, reader(&files)), Ok(edge.tree().head()));
    for (tile, bytes) in &files {
        for place in [0, bytes.len() / 2, bytes.len() - 1] {
            let mut bad = files.clone();
            bad.get_mut(tile).unwrap()[place] ^= 1;
            assert_ne!(check(size, reader(&bad)), Ok(edge.tree().head()), "{tile} {place}");
        }
        let mut bad = files.clone();
        bad.remove(tile);
        assert_eq!(check(size, reader(&bad)), Err(TileError::Read("missing")));
        bad.insert(*tile, bytes[..bytes.len() - 1].to_vec());
        assert!(check(size, reader(&bad)).is_err());
    }
}

#[test]
fn an_edge_whose_bundle_contradicts_its_hashes_is_refused() {
    let (_, mut files) = build(10);
    let tile = Tile::at(Level::Entries, 0, 10).unwrap();
    *files.get_mut(&tile).unwrap().last_mut().unwrap() ^= 1;
    assert_eq!(Edge::read(10, reader(&files)), Err(TileError::Mismatch(tile)));
}

#[test]
fn nodes_outside_the_tree_are_refused() {
    let (_, files) = build(300);
    let mut nodes = NodeReader::new(300, reader(&files));
    assert!(nodes.node(Node { level: 0, index: 299 }).is_ok());
    for (level, index) in [(0, 300), (1, 150), (8, 1), (9, 0), (63, 0), (64, 0), (u32::MAX, u64::MAX), (3, u64::MAX)] {
        assert_eq!(nodes.node(Node { level, index }), Err(TileError::OutOfRange), "{level} {index}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn tlg_4_grouping_of_appends_is_irrelevant(cuts in proptest::collection::vec(0u64..300, 0..8)) {
        let total: u64 = cuts.iter().sum();
        let (whole, files) = build(total);
        let (mut edge, mut parts, mut at) = (Edge::new(), Files::new(), 0);
        for cut in cuts {
            let entries: Vec<_> = (at..at + cut).map(entry).collect();
            parts.extend(edge.append(&entries).unwrap());
            at += cut;
        }
        prop_assert_eq!(&edge, &whole);
        for (tile, bytes) in files {
            prop_assert_eq!(parts.get(&tile), Some(&bytes));
        }
        prop_assert_eq!(check(total, reader(&parts)), Ok(whole.tree().head()));
    }
}

proptest! {
    #[test]
    fn tlg_2_a_path_that_parses_is_the_one_written(text in "tile/(entries|[0-9]{1,2})(/x?[0-9]{3}){1,4}(\\.p/[0-9]{1,3})?") {
        if let Ok(tile) = Tile::parse(&text) {
            prop_assert_eq!(path(&tile), text);
        }
    }

    #[test]
    fn any_text_and_bytes_are_survived(text in ".*", bytes in proptest::collection::vec(any::<u8>(), 0..400), width in 1u16..=256) {
        prop_assert!(Tile::parse(&text).is_err() || text.starts_with("tile/"));
        let tile = Tile::new(Level::Entries, 0, width).unwrap();
        if let Ok(entries) = decode_bundle(&bytes) {
            prop_assert_eq!(encode_bundle(&entries).unwrap(), bytes.clone());
            prop_assert_eq!(entries_of(&tile, &bytes).is_ok(), entries.len() == usize::from(width));
        }
        prop_assert!(hashes_of(&tile, &bytes).is_err());
        let tile = Tile::new(Level::Hashes(0), 0, width).unwrap();
        prop_assert_eq!(hashes_of(&tile, &bytes).is_ok(), bytes.len() == usize::from(width) * 32);
    }
}
