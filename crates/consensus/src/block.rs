//! What simplex and marshal see of a block.
use bytes::{BufMut, Bytes};
use commonware_codec::{Buf, EncodeSize, Error, RangeCfg, Read, Write};
use commonware_consensus::{Block, BoundedBlock, Heightable, types::Height};
use commonware_cryptography::{Digestible, sha256::Digest};
use types::{Hash, reason::Reason};

/// The caller's pure check of block bytes: canonical, complete, roots as recomputed; the same answer for ever.
///
/// # Security
/// Marshal and the broadcast cache trust the digest alone, so bytes and digest must be one to one: `open` refuses all
/// but one encoding per digest.
pub type OpenFn = fn(&[u8]) -> Result<BlockHead, Reason>;

/// What the engine needs to know of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockHead {
    /// Height = slot. Genesis is 0.
    pub height: u64,
    /// Digest of the parent. Zeros at genesis.
    pub parent: Hash,
    /// Digest of the block.
    pub digest: Hash,
}

/// A block: its bytes and what `open` read out of them. Cloning shares the bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineBlock {
    /// The caller's encoding.
    pub bytes: Bytes,
    /// Read from the bytes by `open`.
    pub head: BlockHead,
}

/// How bytes become a block. Equal on all members.
#[derive(Clone, Copy, Debug)]
pub struct BlockCfg {
    /// Largest number of bytes. Must never decrease while blocks are stored.
    pub max: u32,
    /// The caller's check.
    pub open: OpenFn,
}

impl BlockCfg {
    /// The block of these bytes.
    ///
    /// # Errors
    /// [`Reason::OversizedData`] above `max`, else what `open` says.
    pub fn open(&self, bytes: Bytes) -> Result<EngineBlock, Reason> {
        if u32::try_from(bytes.len()).map_or(true, |len| len > self.max) {
            return Err(Reason::OversizedData);
        }
        let head = (self.open)(&bytes)?;
        Ok(EngineBlock { bytes, head })
    }
}

pub(crate) fn digest(hash: &Hash) -> Digest {
    Digest(hash.0)
}

// On the wire and on disk: varint length, then the bytes.
impl Write for EngineBlock {
    fn write(&self, buf: &mut impl BufMut) {
        self.bytes.write(buf);
    }
}
impl EncodeSize for EngineBlock {
    fn encode_size(&self) -> usize {
        self.bytes.encode_size()
    }
}
impl Read for EngineBlock {
    type Cfg = BlockCfg;
    fn read_cfg(buf: &mut impl Buf, cfg: &BlockCfg) -> Result<Self, Error> {
        let max = usize::try_from(cfg.max).unwrap_or(usize::MAX);
        let bytes = Bytes::read_cfg(buf, &RangeCfg::from(0..=max))?;
        cfg.open(bytes).map_err(|reason| Error::Invalid("EngineBlock", reason.name()))
    }
}
impl BoundedBlock for EngineBlock {
    fn max_encode_size(cfg: &BlockCfg) -> usize {
        usize::try_from(cfg.max).unwrap_or(usize::MAX).saturating_add(5)
    }
}
impl Digestible for EngineBlock {
    type Digest = Digest;
    fn digest(&self) -> Digest {
        digest(&self.head.digest)
    }
}
impl Heightable for EngineBlock {
    fn height(&self) -> Height {
        Height::new(self.head.height)
    }
}
impl Block for EngineBlock {
    fn parent(&self) -> Digest {
        digest(&self.head.parent)
    }
}
