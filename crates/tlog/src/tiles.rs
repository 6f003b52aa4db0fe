//! Tiles (C2SP tlog-tiles v0.1.0): names, bundles of entries, and the files that an append produces.
//!
//! | path | bytes |
//! |---|---|
//! | `tile/<L>/<N>[.p/<W>]` | W (or 256) hashes of 32 bytes; hash i of tile N at level L covers entries `(256 N + i) 256^L` and on |
//! | `tile/entries/<N>[.p/<W>]` | W (or 256) entries, each after its length as u16 big-endian |
//!
//! N is written in groups of three digits, all but the last after an `x`: 1234067 is `x001/x234/067`.
use crate::{
    proof::Node,
    tree::{Tree, root_of_hashes},
};
use alloc::{collections::BTreeMap, format, string::String, vec::Vec};
use core::fmt;
use crypto::merkle::leaf_hash;
use types::{Hash, Head, limits::ENTRY_BYTES_MAX};

/// Hashes of a full tile, entries of a full bundle.
pub const TILE_WIDTH: u16 = 256;
/// Longest hash tile, bytes.
pub const TILE_BYTES_MAX: usize = 256 * 32;
/// Longest entry bundle, bytes.
pub const BUNDLE_BYTES_MAX: usize = 256 * (2 + ENTRY_BYTES_MAX);
/// Longest path that is parsed, bytes.
pub const PATH_BYTES_MAX: usize = 64;

/// What a tile holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Entries.
    Entries,
    /// Hashes of full tiles of the level below; of entries at level 0. At most 63.
    Hashes(u8),
}

impl Level {
    /// How many bits of an entry's index one item of the tile spans.
    fn bits(self) -> u32 {
        match self {
            Self::Entries => 0,
            Self::Hashes(level) => u32::from(level).saturating_mul(8),
        }
    }
}

/// The name of a tile: level, index, and width 1 to 256.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tile {
    level: Level,
    index: u64,
    width: u16,
}

/// Why a path names no tile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the path of a tile")]
pub struct PathError;

/// Why bytes are not the bundle or tile that a name says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BytesError {
    /// The tile's bytes are not as many as its width says, or the bundle ends inside an entry.
    #[error("too short, too long, or ends inside an entry")]
    Length,
    /// The tile named is not of the wanted kind.
    #[error("tile of the other kind")]
    Kind,
}

/// An entry longer than 65,535 bytes: it has no place in a bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("entry longer than 65535 bytes")]
pub struct EntryTooLong;

/// Why tiles are not those of a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TileError<E> {
    /// The tile could not be read.
    #[error("a tile cannot be read")]
    Read(E),
    /// The bytes of this tile are no tile.
    #[error("{0}: {1}")]
    Bytes(Tile, BytesError),
    /// The tile contradicts the entries below it.
    #[error("{0} contradicts the entries")]
    Mismatch(Tile),
    /// The tree has no such node.
    #[error("no such node in a tree of this size")]
    OutOfRange,
}

fn shift_right(n: u64, bits: u32) -> u64 {
    n.checked_shr(bits).unwrap_or(0)
}

impl Tile {
    /// A tile of `width` 1 to 256 at a level of at most 63; `None` otherwise.
    #[must_use]
    pub fn new(level: Level, index: u64, width: u16) -> Option<Self> {
        let level_ok = matches!(level, Level::Entries | Level::Hashes(0..=63));
        (level_ok && (1..=TILE_WIDTH).contains(&width)).then_some(Self { level, index, width })
    }

    /// The tile as it stands in a tree of `size` entries; `None` when the tree does not reach it.
    #[must_use]
    pub fn at(level: Level, index: u64, size: u64) -> Option<Self> {
        let items = shift_right(size, level.bits());
        let left = items.checked_sub(index.checked_mul(u64::from(TILE_WIDTH))?)?;
        Self::new(level, index, u16::try_from(left.min(u64::from(TILE_WIDTH))).ok()?)
    }

    /// What it holds.
    #[must_use]
    pub const fn level(&self) -> Level {
        self.level
    }
    /// Place among the tiles of its level.
    #[must_use]
    pub const fn index(&self) -> u64 {
        self.index
    }
    /// Number of hashes or entries, 1 to 256.
    #[must_use]
    pub const fn width(&self) -> u16 {
        self.width
    }
    /// 256 wide.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        self.width == TILE_WIDTH
    }
    /// Is this a bundle of entries?
    #[must_use]
    pub const fn is_entries(&self) -> bool {
        matches!(self.level, Level::Entries)
    }
    /// The full tile in its place.
    #[must_use]
    pub const fn full(&self) -> Self {
        Self { level: self.level, index: self.index, width: TILE_WIDTH }
    }
    /// Is it part of a tree of `size` entries, or of an earlier state of that tree?
    #[must_use]
    pub fn is_within(&self, size: u64) -> bool {
        Self::at(self.level, self.index, size).is_some_and(|tile| tile.width >= self.width)
    }
    /// Longest content, bytes; a hash tile has exactly this many.
    #[must_use]
    pub fn bytes_max(&self) -> usize {
        let item = if self.is_entries() { ENTRY_BYTES_MAX.saturating_add(2) } else { Hash::LEN };
        usize::from(self.width).saturating_mul(item)
    }

    /// Parses a path as [`fmt::Display`] writes it, and nothing else.
    ///
    /// # Errors
    /// [`PathError`] for any other text.
    pub fn parse(path: &str) -> Result<Self, PathError> {
        if path.len() > PATH_BYTES_MAX {
            return Err(PathError);
        }
        let (level, rest) = path.strip_prefix("tile/").and_then(|rest| rest.split_once('/')).ok_or(PathError)?;
        let level = match level {
            "entries" => Level::Entries,
            number => Level::Hashes(number.parse().map_err(|_digits| PathError)?),
        };
        let (index, width) = match rest.split_once(".p/") {
            Some((index, width)) => (index, width.parse().map_err(|_digits| PathError)?),
            None => (rest, TILE_WIDTH),
        };
        let mut number = 0u64;
        for group in index.split('/') {
            let digits = group.strip_prefix('x').unwrap_or(group);
            let digits: u64 = digits.parse().map_err(|_digits| PathError)?;
            number = number.checked_mul(1_000).and_then(|n| n.checked_add(digits)).ok_or(PathError)?;
        }
        let tile = Self::new(level, number, width).ok_or(PathError)?;
        // One name per tile: `x000/001`, `+1` and `.p/256` parse, but are not what would be written.
        if format!("{tile}") == path { Ok(tile) } else { Err(PathError) }
    }

    /// Cuts this tile out of the bytes of a wider one in the same place.
    ///
    /// # Errors
    /// [`BytesError::Length`] when the bytes hold fewer items than this tile has.
    pub fn cut<'a>(&self, wider: &'a [u8]) -> Result<&'a [u8], BytesError> {
        let end = if self.is_entries() {
            let mut rest = wider;
            for _ in 0..self.width {
                (_, rest) = split_entry(rest).ok_or(BytesError::Length)?;
            }
            wider.len().saturating_sub(rest.len())
        } else {
            self.bytes_max()
        };
        wider.get(..end).ok_or(BytesError::Length)
    }
}

impl fmt::Display for Tile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.level {
            Level::Entries => f.write_str("tile/entries/")?,
            Level::Hashes(level) => write!(f, "tile/{level}/")?,
        }
        let digits = format!("{}", self.index);
        let groups = digits.len().div_ceil(3).max(1);
        let padded = format!("{digits:0>width$}", width = groups.saturating_mul(3));
        let (chunks, _none) = padded.as_bytes().as_chunks::<3>();
        for (i, chunk) in chunks.iter().enumerate() {
            let last = i.saturating_add(1) == groups;
            let group = core::str::from_utf8(chunk).unwrap_or_default();
            if last { f.write_str(group)? } else { write!(f, "x{group}/")? }
        }
        if self.is_full() { Ok(()) } else { write!(f, ".p/{}", self.width) }
    }
}

impl core::str::FromStr for Tile {
    type Err = PathError;
    fn from_str(path: &str) -> Result<Self, PathError> {
        Self::parse(path)
    }
}

/// Levels of hash tiles in a tree of `size` entries.
fn hash_levels(size: u64) -> impl Iterator<Item = Level> {
    (0u8..8).map(Level::Hashes).take_while(move |level| shift_right(size, level.bits()) > 0)
}

fn levels(size: u64) -> impl Iterator<Item = Level> {
    let entries = (size > 0).then_some(Level::Entries);
    entries.into_iter().chain(hash_levels(size))
}

/// The tiles that a tree of `new` entries has and one of `old` entries has not: by level, then index.
#[must_use]
pub fn changed(old: u64, new: u64) -> Vec<Tile> {
    let mut tiles = Vec::new();
    for level in levels(new) {
        let mut index = shift_right(shift_right(old, level.bits()), 8);
        while let Some(tile) = Tile::at(level, index, new) {
            if Tile::at(level, index, old) != Some(tile) {
                tiles.push(tile);
            }
            index = index.saturating_add(1);
        }
    }
    tiles
}

/// The partial tiles of a tree: at most one per level.
#[must_use]
pub fn partials(size: u64) -> Vec<Tile> {
    let edge = |level: Level| Tile::at(level, shift_right(shift_right(size, level.bits()), 8), size);
    levels(size).filter_map(edge).collect()
}

fn split_entry(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<2>()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))
}

fn push_entry(bundle: &mut Vec<u8>, entry: &[u8]) -> Result<(), EntryTooLong> {
    let length = u16::try_from(entry.len()).map_err(|_long| EntryTooLong)?;
    bundle.extend_from_slice(&length.to_be_bytes());
    bundle.extend_from_slice(entry);
    Ok(())
}

/// Entries, each after its length as u16 big-endian.
///
/// # Errors
/// [`EntryTooLong`].
pub fn encode_bundle<L: AsRef<[u8]>>(entries: &[L]) -> Result<Vec<u8>, EntryTooLong> {
    let mut bundle = Vec::new();
    entries.iter().try_for_each(|entry| push_entry(&mut bundle, entry.as_ref()))?;
    Ok(bundle)
}

/// The entries of a bundle, in order, with nothing left over.
///
/// # Errors
/// [`BytesError::Length`] when the bytes end inside an entry.
pub fn decode_bundle(bytes: &[u8]) -> Result<Vec<&[u8]>, BytesError> {
    let mut entries = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let (entry, after) = split_entry(rest).ok_or(BytesError::Length)?;
        entries.push(entry);
        rest = after;
    }
    Ok(entries)
}

/// The entries of the bundle that `tile` names.
///
/// # Errors
/// [`BytesError`] when the tile is no bundle or the bytes do not hold exactly its entries.
pub fn entries_of<'a>(tile: &Tile, bytes: &'a [u8]) -> Result<Vec<&'a [u8]>, BytesError> {
    if !tile.is_entries() {
        return Err(BytesError::Kind);
    }
    let entries = decode_bundle(bytes)?;
    if entries.len() == usize::from(tile.width) { Ok(entries) } else { Err(BytesError::Length) }
}

/// The hashes of the hash tile that `tile` names.
///
/// # Errors
/// [`BytesError`] when the tile is a bundle or the bytes are not exactly its hashes.
pub fn hashes_of(tile: &Tile, bytes: &[u8]) -> Result<Vec<Hash>, BytesError> {
    if tile.is_entries() {
        return Err(BytesError::Kind);
    }
    if bytes.len() != tile.bytes_max() {
        return Err(BytesError::Length);
    }
    let (hashes, _none) = bytes.as_chunks::<32>();
    Ok(hashes.iter().copied().map(Hash).collect())
}

fn hash_bytes(hashes: &[Hash]) -> Vec<u8> {
    hashes.iter().flat_map(|hash| hash.0).collect()
}

/// A tile and its bytes.
pub type TileFile = (Tile, Vec<u8>);

/// The right edge of the tiles: all that is needed to write the next ones. Holds at most one bundle and 8 hash tiles.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edge {
    tree: Tree,
    /// Bytes of the partial bundle.
    bundle: Vec<u8>,
    /// Hashes of the partial tile of each level; empty where the last tile is full.
    levels: Vec<Vec<Hash>>,
}

impl Edge {
    /// Of the empty tree.
    #[must_use]
    pub const fn new() -> Self {
        Self { tree: Tree::new(), bundle: Vec::new(), levels: Vec::new() }
    }

    /// Reads the partial tiles of a tree of `size` entries and checks the bundle against its hashes.
    ///
    /// # Errors
    /// [`TileError`] when a tile cannot be read or does not fit.
    ///
    /// # Security
    /// Compare the root of [`Edge::tree`] with one that is known: the hashes of the upper levels are believed.
    pub fn read<E>(size: u64, mut read: impl FnMut(&Tile) -> Result<Vec<u8>, E>) -> Result<Self, TileError<E>> {
        let mut levels: Vec<Vec<Hash>> = hash_levels(size).map(|_level| Vec::new()).collect();
        let mut bundle = Vec::new();
        for tile in partials(size) {
            let bytes = read(&tile).map_err(TileError::Read)?;
            match tile.level {
                Level::Entries => bundle = bytes,
                Level::Hashes(level) => {
                    let hashes = hashes_of(&tile, &bytes).map_err(|error| TileError::Bytes(tile, error))?;
                    if let Some(place) = levels.get_mut(usize::from(level)) {
                        *place = hashes;
                    }
                }
            }
        }
        if let Some(tile) = Tile::at(Level::Entries, shift_right(size, 8), size) {
            let entries = entries_of(&tile, &bundle).map_err(|error| TileError::Bytes(tile, error))?;
            let leaves: Vec<Hash> = entries.into_iter().map(leaf_hash).collect();
            if levels.first() != Some(&leaves) {
                return Err(TileError::Mismatch(tile));
            }
        }
        // A level's hashes are the leaves of that part of the frontier: largest subtrees at the top level.
        let mut frontier = Vec::new();
        for level in levels.iter().rev() {
            let mut part = Tree::new();
            level.iter().for_each(|hash| part.append_hash(*hash));
            frontier.extend_from_slice(part.frontier());
        }
        let tree = Tree::from_frontier(size, frontier).ok_or(TileError::OutOfRange)?;
        Ok(Self { tree, bundle, levels })
    }

    /// The tree that ends here.
    #[must_use]
    pub const fn tree(&self) -> &Tree {
        &self.tree
    }

    /// Appends entries and returns the files that change, each once, with its last content: full tiles by the order
    /// in which they fill, then the partial ones.
    ///
    /// # Errors
    /// [`EntryTooLong`], and nothing is appended.
    pub fn append<L: AsRef<[u8]>>(&mut self, entries: &[L]) -> Result<Vec<TileFile>, EntryTooLong> {
        if entries.iter().any(|entry| entry.as_ref().len() > ENTRY_BYTES_MAX) {
            return Err(EntryTooLong);
        }
        let old = self.tree.size();
        let mut files = Vec::new();
        for entry in entries {
            push_entry(&mut self.bundle, entry.as_ref())?;
            let leaf = self.tree.append(entry.as_ref());
            self.push_hash(leaf, &mut files);
        }
        for tile in partials(self.tree.size()) {
            if Tile::at(tile.level, tile.index, old) == Some(tile) {
                continue;
            }
            let bytes = match tile.level {
                Level::Entries => self.bundle.clone(),
                Level::Hashes(level) => {
                    self.levels.get(usize::from(level)).map(|hashes| hash_bytes(hashes)).unwrap_or_default()
                }
            };
            files.push((tile, bytes));
        }
        Ok(files)
    }

    /// Adds a leaf hash at level 0; every tile that fills becomes a file and one hash of the level above.
    fn push_hash(&mut self, leaf: Hash, files: &mut Vec<TileFile>) {
        let size = self.tree.size();
        let mut hash = leaf;
        for number in 0u8..8 {
            let place = usize::from(number);
            if self.levels.len() <= place {
                self.levels.push(Vec::new());
            }
            let Some(hashes) = self.levels.get_mut(place) else { return };
            hashes.push(hash);
            if hashes.len() < usize::from(TILE_WIDTH) {
                return;
            }
            let hashes = core::mem::take(hashes);
            let index = shift_right(shift_right(size, Level::Hashes(number).bits()), 8).saturating_sub(1);
            if number == 0 {
                let tile = Tile { level: Level::Entries, index, width: TILE_WIDTH };
                files.push((tile, core::mem::take(&mut self.bundle)));
            }
            let tile = Tile { level: Level::Hashes(number), index, width: TILE_WIDTH };
            files.push((tile, hash_bytes(&hashes)));
            let Some(root) = root_of_hashes(&hashes) else { return };
            hash = root;
        }
    }
}

/// Reads nodes of the tree out of its hash tiles, for [`crate::proof`]; keeps the tiles that it has read.
#[derive(Debug)]
pub struct NodeReader<F> {
    size: u64,
    read: F,
    cache: BTreeMap<(u8, u64), Vec<Hash>>,
}

impl<F, E> NodeReader<F>
where
    F: FnMut(&Tile) -> Result<Vec<u8>, E>,
{
    /// A reader of the tree of `size` entries; `read` fetches a tile of that tree.
    #[must_use]
    pub const fn new(size: u64, read: F) -> Self {
        Self { size, read, cache: BTreeMap::new() }
    }

    /// Entries of the tree.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The hash of a perfect subtree.
    ///
    /// # Errors
    /// [`TileError`] when the tile cannot be read, is no tile, or the tree has no such node.
    pub fn node(&mut self, node: Node) -> Result<Hash, TileError<E>> {
        let number = u8::try_from(shift_right(u64::from(node.level), 3)).map_err(|_level| TileError::OutOfRange)?;
        let bits = node.level & 7;
        let first = node.index.checked_shl(bits).filter(|first| shift_right(*first, bits) == node.index);
        let first = first.ok_or(TileError::OutOfRange)?;
        let index = shift_right(first, 8);
        let hashes = match self.cache.entry((number, index)) {
            alloc::collections::btree_map::Entry::Occupied(known) => known.into_mut(),
            alloc::collections::btree_map::Entry::Vacant(place) => {
                let tile = Tile::at(Level::Hashes(number), index, self.size).ok_or(TileError::OutOfRange)?;
                let bytes = (self.read)(&tile).map_err(TileError::Read)?;
                place.insert(hashes_of(&tile, &bytes).map_err(|error| TileError::Bytes(tile, error))?)
            }
        };
        let start = usize::try_from(first & 255).map_err(|_wide| TileError::OutOfRange)?;
        let count = 1usize.checked_shl(bits).unwrap_or(0);
        let leaves = hashes.get(start..start.saturating_add(count)).ok_or(TileError::OutOfRange)?;
        root_of_hashes(leaves).ok_or(TileError::OutOfRange)
    }
}

/// Replays every bundle of a tree of `size` entries, compares every hash tile, and returns the head.
///
/// # Errors
/// [`TileError`]; [`TileError::Mismatch`] names the first tile that the entries do not give.
pub fn check<E>(size: u64, mut read: impl FnMut(&Tile) -> Result<Vec<u8>, E>) -> Result<Head, TileError<E>> {
    let mut edge = Edge::new();
    let mut index = 0u64;
    while let Some(tile) = Tile::at(Level::Entries, index, size) {
        let bytes = read(&tile).map_err(TileError::Read)?;
        let entries = entries_of(&tile, &bytes).map_err(|error| TileError::Bytes(tile, error))?;
        // A bundle of at most 2^16 - 1 bytes per entry cannot be too long for `append`.
        let files = edge.append(&entries).map_err(|_long| TileError::Bytes(tile, BytesError::Length))?;
        for (made, content) in files {
            let stands = !made.is_entries() && Tile::at(made.level, made.index, size) == Some(made);
            if stands && read(&made).map_err(TileError::Read)? != content {
                return Err(TileError::Mismatch(made));
            }
        }
        index = index.saturating_add(1);
    }
    Ok(edge.tree.head())
}

/// The path of the newest checkpoint, beside the tiles.
pub const CHECKPOINT_PATH: &str = "checkpoint";

/// The path of a tile as text.
#[must_use]
pub fn path(tile: &Tile) -> String {
    format!("{tile}")
}

#[cfg(test)]
mod tests;
