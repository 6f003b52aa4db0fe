//! Eight points side by side, for machines with AVX-512: an element of the field is eight vectors of doubles, each
//! lane an element of its own. Detected when the program runs; everything here has a portable way that gives the same.
//!
//! [`field`] multiplies with fused multiply-adds, [`curve`] has the group law on it, in the forms that
//! [`crate::lanes`] needs, [`products`] sums of products; [`sha`] hashes.
mod curve;
mod field;
mod products;
mod sha;

pub(crate) use curve::{Chords, Running, Walk};
pub(crate) use sha::Words;

use super::{Fp, G1, G1Affine};
use alloc::vec::Vec;
use core::arch::x86_64::{__cpuid, __cpuid_count, _xgetbv};
use core::sync::atomic::{AtomicU8, Ordering};

/// That this machine has AVX-512 F and DQ, and saves its registers.
#[derive(Clone, Copy)]
pub(crate) struct Wide(());

/// Items that are done together.
pub(crate) const EIGHT: usize = 8;

const UNKNOWN: u8 = 0;
const ABSENT: u8 = 1;
const PRESENT: u8 = 2;

impl Wide {
    /// Asked once: the question is dear in a virtual machine.
    pub(crate) fn get() -> Option<Self> {
        static ANSWER: AtomicU8 = AtomicU8::new(UNKNOWN);
        #[cfg(test)]
        if super::tests::is_portable() {
            return None;
        }
        let answer = match ANSWER.load(Ordering::Relaxed) {
            UNKNOWN => {
                let answer = if detected() { PRESENT } else { ABSENT };
                ANSWER.store(answer, Ordering::Relaxed);
                answer
            }
            known => known,
        };
        (answer == PRESENT).then_some(Self(()))
    }

    /// The (p + 1) / 4-th power of each: its square root, if it has one.
    pub(crate) fn square_roots(self, values: &[Fp]) -> Vec<Fp> {
        // SAFETY: `self` says that the features are there.
        unsafe { curve::square_roots(values) }
    }

    /// Of each point Z times it if it is in the subgroup, as [`G1Affine::times_z_in_group`]. An outer `None`: the plain
    /// way must say.
    pub(crate) fn times_z_in_group(self, points: &[G1Affine]) -> Vec<Option<Option<G1Affine>>> {
        // SAFETY: `self` says that the features are there.
        unsafe { curve::times_z_in_group(points) }
    }

    /// SHA-256 of sixteen padded messages: `blocks` word by word, `counts` says how many blocks each has. The words of
    /// the digests, big-endian.
    pub(crate) fn sha256(self, blocks: &[[Words; 16]], counts: &[usize; 16]) -> [Words; 8] {
        // SAFETY: `self` says that the features are there.
        unsafe { sha::sha256(blocks, counts) }
    }

    /// Per item the sum of 2^(bits w) `windows[w][j] points[j]` with the item as lane, plus `start` times the sum of
    /// 2^(bits w). `None`: the plain way must say.
    pub(crate) fn sums_of_products(
        self,
        points: &[[G1Affine; EIGHT]],
        windows: &[Vec<i32>],
        bits: u32,
        start: &G1Affine,
    ) -> [Option<G1>; EIGHT] {
        // SAFETY: `self` says that the features are there.
        unsafe { products::sums(points, windows, bits, start) }
    }
}

fn detected() -> bool {
    const OSXSAVE: u32 = 1 << 27;
    const AVX512_F_DQ: u32 = 1 << 16 | 1 << 17;
    /// SSE, AVX, and the three parts of AVX-512.
    const SAVED: u64 = 0xe6;
    let (most, basic) = (__cpuid(0).eax, __cpuid(1).ecx);
    if most < 7 || basic & OSXSAVE == 0 || __cpuid_count(7, 0).ebx & AVX512_F_DQ != AVX512_F_DQ {
        return false;
    }
    // SAFETY: OSXSAVE says that the instruction is there.
    unsafe { _xgetbv(0) & SAVED == SAVED }
}

#[cfg(test)]
mod tests;
