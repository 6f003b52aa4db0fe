//! In place of `wide` where there is no such thing: values that cannot be.
use super::{Fp, G1, G1Affine};
use crate::lanes::Lane;
use alloc::vec::Vec;
use subtle::Choice;
use zeroize::Zeroizing;

pub(crate) type Words = [u32; 16];
pub(crate) const EIGHT: usize = 8;

#[derive(Clone, Copy)]
pub(crate) enum Wide {}

impl Wide {
    pub(crate) fn get() -> Option<Self> {
        None
    }
    pub(crate) fn square_roots(self, _values: &[Fp]) -> Vec<Fp> {
        match self {}
    }
    pub(crate) fn times_z_in_group(self, _points: &[G1Affine]) -> Vec<Option<Option<G1Affine>>> {
        match self {}
    }
    pub(crate) fn sha256(self, _blocks: &[[Words; 16]], _counts: &[usize; 16]) -> [Words; 8] {
        match self {}
    }
    pub(crate) fn sums_of_products(
        self,
        _points: &[[G1Affine; EIGHT]],
        _windows: &[Vec<i32>],
        _bits: u32,
        _start: &G1Affine,
    ) -> [Option<G1>; EIGHT] {
        match self {}
    }
}

/// Never made: [`Self::new`] wants a [`Wide`].
pub(crate) struct Running(());

impl Running {
    pub(crate) fn new(wide: Wide, _count: usize) -> Self {
        match wide {}
    }
    pub(crate) fn add(&mut self, _with: &[Option<G1Affine>]) {}
    pub(crate) fn add_signed<'a>(&mut self, _with: impl Fn(usize) -> Option<(&'a G1Affine, bool)>) {}
    pub(crate) fn double(&mut self) {}
    pub(crate) fn lanes(&self) -> Vec<Lane> {
        Vec::new()
    }
}

pub(crate) struct Chords;

impl Chords {
    pub(crate) fn sums(wide: Wide, _pairs: &[(G1Affine, G1Affine)]) -> Option<Vec<G1Affine>> {
        match wide {}
    }
}

#[expect(dead_code, reason = "read by the other kind of machine")]
pub(crate) struct Walk<'a> {
    pub(crate) steps: &'a [(u8, u8)],
    pub(crate) careful: usize,
    pub(crate) negative: Choice,
}

impl Walk<'_> {
    pub(crate) fn products(&self, wide: Wide, _: &[(G1Affine, G1Affine)]) -> Option<Zeroizing<Vec<G1Affine>>> {
        match wide {}
    }
}
