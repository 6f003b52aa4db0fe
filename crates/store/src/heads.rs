//! `heads/<epoch>`: every published checkpoint of an epoch, one after the other. Record: length u32 LE, slot u64 LE,
//! CRC32C u32 LE over slot and note, note. Kept for auditors; a torn record at the end is cut off.
use crate::{
    durable::{self, Context, DiskError, Op},
    fault::{self, Place as Step},
};
use std::{
    collections::BTreeMap,
    fs::{File, OpenOptions},
    io::{Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};
use tlog::note::NOTE_BYTES_MAX;
use types::{Epoch, Slot};

const OVERHEAD: usize = 16;

/// Where a note stands.
#[derive(Clone, Copy, Debug)]
struct Place {
    epoch: Epoch,
    offset: u64,
    length: usize,
}

/// All epochs' files.
#[derive(Debug)]
pub(crate) struct Heads {
    dir: PathBuf,
    places: BTreeMap<Slot, Place>,
    ends: BTreeMap<Epoch, u64>,
}

/// One record at the front of `bytes`.
fn record(bytes: &[u8]) -> Option<(Slot, &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (slot, rest) = rest.split_first_chunk::<8>()?;
    let (crc, rest) = rest.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok().filter(|length| *length <= NOTE_BYTES_MAX)?;
    let note = rest.get(..length)?;
    let sum = crc32c::crc32c_append(crc32c::crc32c(slot), note);
    (sum == u32::from_le_bytes(*crc)).then_some((Slot(u64::from_le_bytes(*slot)), note))
}

impl Heads {
    pub(crate) fn open(dir: &Path) -> Result<Self, DiskError> {
        durable::create_dir(dir)?;
        let mut heads = Self { dir: dir.to_path_buf(), places: BTreeMap::new(), ends: BTreeMap::new() };
        for name in durable::names(dir)? {
            let Ok(epoch) = name.parse().map(Epoch) else { continue };
            let path = dir.join(&name);
            let bytes = durable::read(&path, usize::MAX >> 1)?.unwrap_or_default();
            let mut rest = bytes.as_slice();
            let mut offset = 0u64;
            while let Some((slot, note)) = record(rest) {
                heads.places.insert(slot, Place { epoch, offset, length: note.len() });
                let step = OVERHEAD.saturating_add(note.len());
                offset = offset.saturating_add(u64::try_from(step).unwrap_or(u64::MAX));
                rest = rest.get(step..).unwrap_or_default();
            }
            if !rest.is_empty() {
                let file = durable::open(OpenOptions::new().write(true), &path)?;
                durable::set_length(&file, &path, offset)?;
                durable::sync_file(&file, &path)?;
            }
            heads.ends.insert(epoch, offset);
        }
        Ok(heads)
    }

    /// Appends a slot's checkpoint; the first one of a slot stays.
    pub(crate) fn push(&mut self, epoch: Epoch, slot: Slot, note: &str) -> Result<(), DiskError> {
        if self.places.contains_key(&slot) {
            return Ok(());
        }
        let path = self.dir.join(epoch.to_string());
        let is_new = !self.ends.contains_key(&epoch);
        let _step = fault::at(Step::Heads);
        let mut file = durable::open(OpenOptions::new().append(true).create(true), &path)?;
        let slot_bytes = slot.0.to_le_bytes();
        let sum = crc32c::crc32c_append(crc32c::crc32c(&slot_bytes), note.as_bytes());
        let mut bytes = u32::try_from(note.len()).unwrap_or(u32::MAX).to_le_bytes().to_vec();
        bytes.extend_from_slice(&slot_bytes);
        bytes.extend_from_slice(&sum.to_le_bytes());
        bytes.extend_from_slice(note.as_bytes());
        durable::write_bytes(&path, &bytes, |bytes| file.write_all(bytes))?;
        durable::sync_data(&file, &path)?;
        if is_new {
            durable::sync_dir(&self.dir)?;
        }
        let end = self.ends.entry(epoch).or_insert(0);
        self.places.insert(slot, Place { epoch, offset: *end, length: note.len() });
        *end = end.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        Ok(())
    }

    pub(crate) fn note(&self, slot: Slot) -> Result<Option<String>, DiskError> {
        let Some(place) = self.places.get(&slot) else { return Ok(None) };
        let path = self.dir.join(place.epoch.to_string());
        let mut file = File::open(&path).context(Op::Open, &path)?;
        file.seek(SeekFrom::Start(place.offset)).context(Op::Read, &path)?;
        let mut bytes = vec![0; OVERHEAD.saturating_add(place.length)];
        file.read_exact(&mut bytes).context(Op::Read, &path)?;
        // Bytes that changed since they were written are not served.
        let note = record(&bytes).filter(|(found, _)| *found == slot).map(|(_, note)| note.to_vec());
        Ok(note.and_then(|note| String::from_utf8(note).ok()))
    }

    pub(crate) fn last(&self) -> Option<Slot> {
        self.places.keys().next_back().copied()
    }
}
