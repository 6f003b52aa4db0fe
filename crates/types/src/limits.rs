//! Limits, with units. What a network may configure is in [`crate::Params`]; these hold for every network.

/// Money: amounts are below this many base units.
pub const AMOUNT_END: u128 = 1 << 96;
/// An entry of the log, bytes.
pub const ENTRY_BYTES_MAX: usize = 65_535;
/// An envelope on the wire, bytes: what still fits an entry.
pub const ENVELOPE_BYTES_MAX: usize = 65_520;
/// Header, signature and consents of an envelope, over its class and the ciphertext's overhead, bytes.
pub const ENVELOPE_OVERHEAD_MAX: usize = 4_000;
/// Bytes of a ciphertext over its size class: U, V, W, X, z, c1 and the AEAD tag.
pub const CIPHERTEXT_OVERHEAD: usize = 256;
/// Padded plaintext of each size class, bytes.
pub const SIZE_CLASS_BYTES: [usize; 5] = [512, 2_048, 8_192, 32_768, 61_440];
/// Padded plaintext of a bid, bytes.
pub const BID_CLASS_BYTES: usize = 128;
/// A bid on the wire, bytes.
pub const BID_BYTES_MAX: usize = 1_024;
/// Units of one body.
pub const BODY_UNITS_MAX: usize = 1_800;
/// A body on the wire, bytes.
pub const BODY_BYTES_MAX: usize = 60 << 10;
/// A tail on the wire, bytes: what a network allows, and its head.
pub const TAIL_BYTES_MAX: usize = 62 << 10;
/// `after` references of one envelope.
pub const AFTER_MAX: usize = 16;
/// Legs of one bundle.
pub const LEGS_MAX: usize = 16;
/// Largest gas class: 2^24 gas at the default slot limit.
pub const GAS_CLASS_MAX: u8 = 40;
/// Units of one set.
pub const SET_COUNT_MAX: u32 = 16_384;
/// A block, bytes of its codec.
pub const BLOCK_BYTES_MAX: usize = (4 << 20) - 64;
/// Headers and votes that prove a block final.
pub const FINALITY_BYTES_MAX: usize = 1 << 20;
/// A list message, bytes.
pub const LIST_BYTES_MAX: usize = 2 << 20;
/// Leaves of one list.
pub const LIST_LEAVES_MAX: usize = 40_000;
/// Members of a committee.
pub const MEMBERS_MAX: usize = 128;
/// Leaves that no other list has before a proposer leaves a list out.
pub const LIST_EXTRAS_MAX: usize = 512;
/// Bids that one list may have to name: no more than leaves that nobody else has, or bids could keep a list out.
pub const LIST_BIDS_MAX: usize = LIST_EXTRAS_MAX;
/// Shares of one chunk of a share message.
pub const CHUNK_SHARES_MAX: usize = 512;
/// A share message on the wire, bytes.
pub const SHARE_BYTES_MAX: usize = 4 << 20;
/// Records of one REGISTRY entry: none is longer than 200 bytes.
pub const REGISTRY_RECORDS_MAX: usize = 256;
/// LEFT items of one entry.
pub const LEFT_ITEMS_MAX: usize = 1_300;
/// Openings of one OPENED entry.
pub const OPENED_ITEMS_MAX: usize = 3_000;
/// Total size of the heads of one LEFTHEAD entry, bytes.
pub const LEFT_HEAD_BYTES_MAX: usize = 60_000;
/// An operation, bytes of its codec: what still fits an entry.
pub const OPERATION_BYTES_MAX: usize = 60_000;
/// A piece of evidence, bytes of its codec: an operation says its kind in one byte before it.
pub const EVIDENCE_BYTES_MAX: usize = OPERATION_BYTES_MAX - 1;
/// Operations of one kind in one slot, bytes of their codec.
pub const OPERATIONS_BYTES_MAX: usize = 512 << 10;
/// Operations of accounts in one slot, bytes of their codec.
pub const ACCOUNT_OPERATIONS_BYTES_MAX: usize = 128 << 10;
/// Operations of one account that wait for their nonce's turn: one is carried out in a slot.
pub const ACCOUNT_WAITING_MAX: usize = 8;
/// Rollups of a network.
pub const ROLLUPS_MAX: usize = 128;
/// The genesis file, bytes.
pub const NETWORK_FILE_BYTES_MAX: usize = 16 << 20;
/// A request on the ingress that is no envelope, bytes.
pub const REQUEST_BYTES_MAX: usize = 1_024;
/// An answer of the ingress, bytes.
pub const ANSWER_BYTES_MAX: usize = 65_535;
/// What a body could place, bytes: [`BODY_UNITS_MAX`] units.
pub const PENDING_BYTES_MAX: usize = 98_304;
/// An event on a subscription, bytes: hashes and openings of a set of the largest count.
pub const EVENT_BYTES_MAX: usize = 1_376_256;
/// A refusal on the wire, bytes.
pub const REFUSAL_BYTES_MAX: usize = 512;
/// Detail text of a refusal, bytes.
pub const DETAIL_BYTES_MAX: usize = 256;
/// A batch of ciphertext proofs.
pub const ADMIT_BATCH_MAX: usize = 128;
