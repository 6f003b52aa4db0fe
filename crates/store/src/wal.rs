//! The receipt WAL: what a member has promised is on disk, with the item's bytes, before the receipt leaves.
//!
//! Segments are files of one size, filled with zeros when they are made, so that an append changes no metadata and
//! one fdatasync is enough. A record never crosses segments.
//!
//! | offset | bytes | what |
//! |---|---|---|
//! | 0 | 4 | length of the payload, u32 LE, at least 1 |
//! | 4 | 4 | segment number, u32 LE: bytes of a segment's earlier life never count |
//! | 8 | 8 | sequence number, u64 LE, rises by one |
//! | 16 | 4 | place in its batch, u32 LE |
//! | 20 | 4 | CRC32C over salt, the four fields above, and the payload, u32 LE |
//! | 24 | | payload |
//!
//! **Torn tail or damage.** A batch becomes durable as a whole, by one fdatasync, and before that in any order of its
//! pages. So a bad record is the torn end of a batch that nobody was told of, unless a *later batch* has a valid
//! record: `seq - place` of that record is above the bad one's number. The first is cut off, the second is damage, and
//! the member refuses to start. Payloads are a stranger's bytes: the salt keeps records that he wrote into his
//! envelope from looking like ours.
use crate::{
    durable::{self, Context, DiskError, Op},
    fault::{self, Place},
};
use std::{
    fs::{File, OpenOptions},
    io::{Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

/// Bytes of a record before its payload.
pub const RECORD_OVERHEAD: usize = 24;
/// Longest payload, bytes.
pub const PAYLOAD_BYTES_MAX: usize = 1 << 20;
/// Smallest segment, bytes.
pub const SEGMENT_BYTES_MIN: u32 = 4_096;
/// Largest segment, bytes.
pub const SEGMENT_BYTES_MAX: u32 = 256 << 20;
/// Segment size of a deployment, bytes.
pub const SEGMENT_BYTES: u32 = 64 << 20;
/// Segment size in the devnet, bytes.
pub const SEGMENT_BYTES_DEVNET: u32 = 4 << 20;

const SPARE: &str = "spare";
const SALT: &str = "salt";

/// Why the WAL cannot be opened or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WalError {
    /// The disk failed. Fatal.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// A record is bad and a later batch is not: bytes that were durable have changed. Refuse to start.
    #[error("damaged record {seq} in segment {segment} at byte {offset}: record {later} after it is whole")]
    Damaged {
        /// Segment.
        segment: u32,
        /// Where the bad record begins.
        offset: usize,
        /// Its number.
        seq: u64,
        /// A valid record of a later batch.
        later: u64,
    },
    /// A segment between two others is not there. Refuse to start.
    #[error("segment {0} is missing")]
    MissingSegment(u32),
    /// The salt's file is not 16 bytes, or gone while there are records. Refuse to start.
    #[error("salt file damaged")]
    Salt,
    /// Records that a commit has counted on are gone. Refuse to start.
    #[error("records {} to before {} of the WAL are owed, {} to before {} are there", owed.0, owed.1, found.0, found.1)]
    Lost {
        /// Numbers that must be there.
        owed: (u64, u64),
        /// Numbers that are.
        found: (u64, u64),
    },
    /// A payload is empty or too long for a segment.
    #[error("payload of {0} bytes")]
    Payload(usize),
    /// The segment size asked for is out of range.
    #[error("segment size of {0} bytes")]
    SegmentSize(u32),
    /// An earlier append failed: nothing more is written.
    #[error("an earlier write failed")]
    Failed,
}

/// A record read back at the start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its number.
    pub seq: u64,
    /// As it was appended.
    pub payload: Vec<u8>,
}

/// What was found at the start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replay {
    /// All records, in order.
    pub records: Vec<Record>,
    /// A torn tail was cut off after the last record.
    pub cut: bool,
}

/// A segment and the numbers of its records.
#[derive(Clone, Copy, Debug)]
struct Segment {
    number: u32,
    /// One past the last record's number.
    end: u64,
}

/// The WAL. One writer.
#[derive(Debug)]
pub struct Wal {
    dir: PathBuf,
    segment_bytes: usize,
    salt: [u8; 16],
    file: File,
    path: PathBuf,
    /// The last one is written to.
    segments: Vec<Segment>,
    /// Where the next record goes.
    offset: usize,
    next: u64,
    failed: bool,
}

struct Header {
    length: usize,
    segment: u32,
    seq: u64,
    place: u32,
    crc: u32,
}

impl Header {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let (header, _) = bytes.split_first_chunk::<RECORD_OVERHEAD>()?;
        let (words, _) = header.as_chunks::<4>();
        let [length, segment, low, high, place, crc] = words else { return None };
        let word = |bytes: &[u8; 4]| u32::from_le_bytes(*bytes);
        Some(Self {
            length: usize::try_from(word(length)).ok()?,
            segment: word(segment),
            seq: u64::from(word(low)) | u64::from(word(high)) << 32,
            place: word(place),
            crc: word(crc),
        })
    }
}

fn checksum(salt: &[u8; 16], fields: &[u8], payload: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c_append(crc32c::crc32c(salt), fields), payload)
}

fn encode(salt: &[u8; 16], segment: u32, seq: u64, place: u32, payload: &[u8], out: &mut Vec<u8>) {
    let mut fields = [0u8; 20];
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    let parts = [length.to_le_bytes(), segment.to_le_bytes()].into_iter().flatten();
    let parts = parts.chain(seq.to_le_bytes()).chain(place.to_le_bytes());
    fields.iter_mut().zip(parts).for_each(|(byte, part)| *byte = part);
    out.extend_from_slice(&fields);
    out.extend_from_slice(&checksum(salt, &fields, payload).to_le_bytes());
    out.extend_from_slice(payload);
}

/// The valid record at `offset` of a segment, if there is one.
fn record_at<'a>(salt: &[u8; 16], segment: u32, bytes: &'a [u8], offset: usize) -> Option<(Header, &'a [u8])> {
    let rest = bytes.get(offset..)?;
    let header = Header::parse(rest)?;
    if header.segment != segment || header.length == 0 || header.length > PAYLOAD_BYTES_MAX {
        return None;
    }
    let payload = rest.get(RECORD_OVERHEAD..RECORD_OVERHEAD.checked_add(header.length)?)?;
    (checksum(salt, rest.get(..20)?, payload) == header.crc).then_some((header, payload))
}

/// A record at or after `from` whose batch began after record `seq`.
fn later_batch(salt: &[u8; 16], segment: u32, bytes: &[u8], from: usize, seq: u64) -> Option<u64> {
    let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last.saturating_add(1));
    (from..end).find_map(|offset| {
        let (header, _) = record_at(salt, segment, bytes, offset)?;
        (header.seq.saturating_sub(u64::from(header.place)) > seq).then_some(header.seq)
    })
}

fn segment_path(dir: &Path, number: u32) -> PathBuf {
    dir.join(format!("{number:010}"))
}

impl Wal {
    /// Opens the WAL in `dir`, makes it if there is none, and reads every record back. `entropy` becomes the salt of a
    /// new WAL and is not used otherwise.
    ///
    /// # Errors
    /// [`WalError::Damaged`] and [`WalError::MissingSegment`]: do not start. [`WalError::Disk`]: fatal.
    pub fn open(dir: &Path, segment_bytes: u32, entropy: [u8; 16]) -> Result<(Self, Replay), WalError> {
        if !(SEGMENT_BYTES_MIN..=SEGMENT_BYTES_MAX).contains(&segment_bytes) {
            return Err(WalError::SegmentSize(segment_bytes));
        }
        let _step = fault::at(Place::Open);
        let bytes_of_segment = usize::try_from(segment_bytes).unwrap_or(usize::MAX);
        durable::create_dir(dir)?;
        let numbers: Vec<u32> =
            durable::names(dir)?.iter().filter(|name| name.len() == 10).filter_map(|name| name.parse().ok()).collect();
        let salt = match durable::read(&dir.join(SALT), 16)? {
            Some(_) if numbers.is_empty() => return Err(WalError::MissingSegment(1)),
            Some(salt) => salt.try_into().map_err(|_length| WalError::Salt)?,
            None => {
                // The first segment comes before the salt, and records after it.
                if numbers.is_empty() {
                    create_segment(dir, 1, bytes_of_segment)?;
                } else if !is_blank(dir, &numbers)? {
                    return Err(WalError::Salt);
                }
                durable::write(&dir.join(SALT), &entropy)?;
                entropy
            }
        };
        let numbers = if numbers.is_empty() { vec![1] } else { numbers };
        for pair in numbers.windows(2) {
            if let [a, b] = pair
                && a.saturating_add(1) != *b
            {
                return Err(WalError::MissingSegment(a.saturating_add(1)));
            }
        }
        let first = numbers.first().copied().unwrap_or(1);
        let mut scan = Scan { salt, segments: Vec::new(), replay: Replay::default(), next: None, bad: None, offset: 0 };
        for number in numbers {
            let path = segment_path(dir, number);
            let most = usize::try_from(SEGMENT_BYTES_MAX).unwrap_or(usize::MAX);
            let bytes = durable::read(&path, most)?.ok_or(WalError::MissingSegment(number))?;
            scan.segment(number, &bytes)?;
        }
        let Scan { mut segments, mut replay, next, offset, .. } = scan;
        // Segments after the last record hold nothing that was acknowledged.
        while segments.len() > 1 {
            let Some(empty) = segments.pop_if(|last| last.end == 0) else { break };
            durable::remove(&segment_path(dir, empty.number))?;
            durable::sync_dir(dir)?;
        }
        let next = next.unwrap_or(1);
        let number = segments.last().map_or(first, |last| last.number);
        let path = segment_path(dir, number);
        let file = durable::open(OpenOptions::new().read(true).write(true), &path)?;
        let mut wal = Self {
            dir: dir.to_path_buf(),
            segment_bytes: bytes_of_segment,
            salt,
            file,
            path,
            segments,
            offset,
            next,
            failed: false,
        };
        replay.cut = wal.clear_tail()?;
        Ok((wal, replay))
    }

    /// Zeros what stands behind the last record, so that a later start cannot take the rest of a torn batch for ours.
    fn clear_tail(&mut self) -> Result<bool, DiskError> {
        let most = usize::try_from(SEGMENT_BYTES_MAX).unwrap_or(usize::MAX);
        let bytes = durable::read(&self.path, most)?.unwrap_or_default();
        let tail = bytes.get(self.offset..).unwrap_or_default();
        let dirty = tail.iter().any(|byte| *byte != 0);
        if dirty || bytes.len() < self.segment_bytes {
            let length = self.segment_bytes.max(bytes.len()).saturating_sub(self.offset);
            self.write_at(self.offset, &vec![0; length])?;
            durable::sync_file(&self.file, &self.path)?;
        }
        Ok(dirty)
    }

    fn write_at(&mut self, offset: usize, bytes: &[u8]) -> Result<(), DiskError> {
        let place = SeekFrom::Start(u64::try_from(offset).unwrap_or(u64::MAX));
        self.file.seek(place).context(Op::Write, &self.path)?;
        durable::write_bytes(&self.path, bytes, |bytes| self.file.write_all(bytes))
    }

    /// Checks that the records that are owed were found.
    ///
    /// # Errors
    /// [`WalError::Lost`]: do not start.
    pub fn check_owed(&self, replay: &Replay, owed: (u64, u64)) -> Result<(), WalError> {
        let found = (replay.records.first().map_or(self.next, |first| first.seq), self.next);
        let is_whole = owed.1 <= found.1 && (owed.0 >= owed.1 || found.0 <= owed.0);
        if is_whole { Ok(()) } else { Err(WalError::Lost { owed, found }) }
    }

    /// Number of the next record.
    #[must_use]
    pub const fn next_seq(&self) -> u64 {
        self.next
    }

    /// Appends a batch and returns the number of its first record, after one fdatasync (two if it crosses segments).
    ///
    /// # Errors
    /// [`WalError::Payload`]: nothing was written. Anything else is fatal: nothing of the batch may be acknowledged.
    pub fn append<P: AsRef<[u8]>>(&mut self, batch: &[P]) -> Result<u64, WalError> {
        if self.failed {
            return Err(WalError::Failed);
        }
        let room = self.segment_bytes.saturating_sub(RECORD_OVERHEAD).min(PAYLOAD_BYTES_MAX);
        for payload in batch {
            let length = payload.as_ref().len();
            if length == 0 || length > room {
                return Err(WalError::Payload(length));
            }
        }
        let first = self.next;
        let _step = fault::at(Place::WalAppend);
        self.failed = true;
        self.append_checked(batch)?;
        self.failed = false;
        Ok(first)
    }

    fn append_checked<P: AsRef<[u8]>>(&mut self, batch: &[P]) -> Result<(), DiskError> {
        let mut buffer = Vec::new();
        let mut place = 0u32;
        for payload in batch {
            let payload = payload.as_ref();
            let taken = self.offset.saturating_add(buffer.len());
            if taken.saturating_add(RECORD_OVERHEAD).saturating_add(payload.len()) > self.segment_bytes {
                self.flush(&mut buffer)?;
                self.rotate()?;
                place = 0;
            }
            encode(&self.salt, self.number(), self.next, place, payload, &mut buffer);
            place = place.saturating_add(1);
            self.next = self.next.saturating_add(1);
            let next = self.next;
            if let Some(segment) = self.segments.last_mut() {
                segment.end = next;
            }
        }
        self.flush(&mut buffer)
    }

    fn number(&self) -> u32 {
        self.segments.last().map_or(0, |segment| segment.number)
    }

    fn flush(&mut self, buffer: &mut Vec<u8>) -> Result<(), DiskError> {
        if buffer.is_empty() {
            return Ok(());
        }
        self.write_at(self.offset, buffer)?;
        durable::sync_data(&self.file, &self.path)?;
        self.offset = self.offset.saturating_add(buffer.len());
        buffer.clear();
        Ok(())
    }

    fn rotate(&mut self) -> Result<(), DiskError> {
        let number = self.number().saturating_add(1);
        let path = segment_path(&self.dir, number);
        let spare = self.dir.join(SPARE);
        let length = std::fs::metadata(&spare).ok().and_then(|meta| usize::try_from(meta.len()).ok());
        if length == Some(self.segment_bytes) {
            durable::rename(&spare, &path)?;
            durable::sync_dir(&self.dir)?;
        } else {
            create_segment(&self.dir, number, self.segment_bytes)?;
        }
        self.file = durable::open(OpenOptions::new().read(true).write(true), &path)?;
        self.path = path;
        self.offset = 0;
        self.segments.push(Segment { number, end: self.next });
        Ok(())
    }

    /// Gives up the segments that hold only records below `seq`. One of them is kept to be used again.
    ///
    /// # Errors
    /// [`WalError`]; fatal.
    pub fn prune(&mut self, seq: u64) -> Result<(), WalError> {
        if self.failed {
            return Err(WalError::Failed);
        }
        let _step = fault::at(Place::Prune);
        self.failed = true;
        while self.segments.len() > 1 {
            let Some(first) = self.segments.first().filter(|first| first.end <= seq) else { break };
            let path = segment_path(&self.dir, first.number);
            let spare = self.dir.join(SPARE);
            if spare.exists() {
                durable::remove(&path)?;
            } else {
                durable::rename(&path, &spare)?;
            }
            // In order: a hole between segments would be damage.
            durable::sync_dir(&self.dir)?;
            self.segments.remove(0);
        }
        self.failed = false;
        Ok(())
    }
}

/// No segment has a byte that is not zero.
fn is_blank(dir: &Path, numbers: &[u32]) -> Result<bool, DiskError> {
    let most = usize::try_from(SEGMENT_BYTES_MAX).unwrap_or(usize::MAX);
    for number in numbers {
        let bytes = durable::read(&segment_path(dir, *number), most)?.unwrap_or_default();
        if bytes.iter().any(|byte| *byte != 0) {
            return Ok(false);
        }
    }
    Ok(true)
}

fn create_segment(dir: &Path, number: u32, bytes: usize) -> Result<(), DiskError> {
    durable::write(&segment_path(dir, number), &vec![0; bytes])
}

/// Reads segments in order.
struct Scan {
    salt: [u8; 16],
    segments: Vec<Segment>,
    replay: Replay,
    /// Number of the record to come; `None` before the first one.
    next: Option<u64>,
    /// Where the first record that is not there would have been: segment, offset.
    bad: Option<(u32, usize)>,
    /// End of the last record, in its segment.
    offset: usize,
}

impl Scan {
    fn segment(&mut self, number: u32, bytes: &[u8]) -> Result<(), WalError> {
        let mut end = 0;
        let mut offset = 0usize;
        while let Some((header, payload)) = record_at(&self.salt, number, bytes, offset) {
            if self.next.is_some_and(|next| next != header.seq) {
                break;
            }
            self.replay.records.push(Record { seq: header.seq, payload: payload.to_vec() });
            let next = header.seq.saturating_add(1);
            (self.next, end) = (Some(next), next);
            offset = offset.saturating_add(RECORD_OVERHEAD).saturating_add(payload.len());
            self.bad = None;
            self.offset = offset;
        }
        let (segment, place) = *self.bad.get_or_insert((number, offset));
        // Number of the record that is missing at the first bad place. Records are numbered from 1, and where earlier
        // segments were given up this one began with acknowledged records.
        let seq = self.next.unwrap_or(1);
        if let Some(later) = later_batch(&self.salt, number, bytes, offset, seq) {
            return Err(WalError::Damaged { segment, offset: place, seq, later });
        }
        self.segments.push(Segment { number, end });
        Ok(())
    }
}

#[cfg(test)]
mod tests;
