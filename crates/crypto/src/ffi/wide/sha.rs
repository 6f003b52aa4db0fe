//! SHA-256 of sixteen messages side by side. The CPUs at hand have no instructions for it, and one message at a time
//! each round waits for the one before. Our own, because no well-kept crate has it: `sha2` takes one message.
#![expect(clippy::indexing_slicing, reason = "places in sixteen words are taken modulo sixteen")]
use core::arch::x86_64::{
    __m512i, _mm512_add_epi32, _mm512_loadu_si512, _mm512_mask_add_epi32, _mm512_ror_epi32, _mm512_set1_epi32,
    _mm512_setzero_si512, _mm512_srli_epi32, _mm512_storeu_si512, _mm512_ternarylogic_epi32,
};

/// A word of each message.
pub(crate) type Words = [u32; 16];

const ROUNDS: [u32; 64] = [
    0x428a_2f98,
    0x7137_4491,
    0xb5c0_fbcf,
    0xe9b5_dba5,
    0x3956_c25b,
    0x59f1_11f1,
    0x923f_82a4,
    0xab1c_5ed5,
    0xd807_aa98,
    0x1283_5b01,
    0x2431_85be,
    0x550c_7dc3,
    0x72be_5d74,
    0x80de_b1fe,
    0x9bdc_06a7,
    0xc19b_f174,
    0xe49b_69c1,
    0xefbe_4786,
    0x0fc1_9dc6,
    0x240c_a1cc,
    0x2de9_2c6f,
    0x4a74_84aa,
    0x5cb0_a9dc,
    0x76f9_88da,
    0x983e_5152,
    0xa831_c66d,
    0xb003_27c8,
    0xbf59_7fc7,
    0xc6e0_0bf3,
    0xd5a7_9147,
    0x06ca_6351,
    0x1429_2967,
    0x27b7_0a85,
    0x2e1b_2138,
    0x4d2c_6dfc,
    0x5338_0d13,
    0x650a_7354,
    0x766a_0abb,
    0x81c2_c92e,
    0x9272_2c85,
    0xa2bf_e8a1,
    0xa81a_664b,
    0xc24b_8b70,
    0xc76c_51a3,
    0xd192_e819,
    0xd699_0624,
    0xf40e_3585,
    0x106a_a070,
    0x19a4_c116,
    0x1e37_6c08,
    0x2748_774c,
    0x34b0_bcb5,
    0x391c_0cb3,
    0x4ed8_aa4a,
    0x5b9c_ca4f,
    0x682e_6ff3,
    0x748f_82ee,
    0x78a5_636f,
    0x84c8_7814,
    0x8cc7_0208,
    0x90be_fffa,
    0xa450_6ceb,
    0xbef9_a3f7,
    0xc671_78f2,
];
const START: [u32; 8] =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];
/// Of three bits: their sum, the second or third as the first says, and what two of them are.
const XOR: i32 = 0x96;
const CHOOSE: i32 = 0xca;
const MAJORITY: i32 = 0xe8;

#[target_feature(enable = "avx512f,avx512dq")]
#[inline]
fn xor(a: __m512i, b: __m512i, c: __m512i) -> __m512i {
    _mm512_ternarylogic_epi32::<XOR>(a, b, c)
}

#[target_feature(enable = "avx512f,avx512dq")]
#[inline]
fn sum<const N: usize>(words: [__m512i; N]) -> __m512i {
    words.into_iter().fold(_mm512_setzero_si512(), |sum, word| _mm512_add_epi32(sum, word))
}

#[target_feature(enable = "avx512f,avx512dq")]
#[inline]
fn constant(word: u32) -> __m512i {
    _mm512_set1_epi32(word.cast_signed())
}

/// Of padded messages: `blocks` word by word, `counts` says how many blocks each has. A digest's eight words,
/// big-endian.
#[target_feature(enable = "avx512f,avx512dq")]
pub(super) fn sha256(blocks: &[[Words; 16]], counts: &[usize; 16]) -> [Words; 8] {
    let mut state = START.map(|word| constant(word));
    for (at, block) in blocks.iter().enumerate() {
        let inside = counts.iter().rev().fold(0u16, |bits, count| bits << 1 | u16::from(at < *count));
        // SAFETY: reads sixteen words.
        let mut schedule = block.map(|words| unsafe { _mm512_loadu_si512(words.as_ptr().cast()) });
        let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = state;
        for (round, constants) in ROUNDS.as_chunks::<16>().0.iter().enumerate() {
            if round > 0 {
                next(&mut schedule);
            }
            for (word, k) in schedule.iter().zip(constants) {
                let high = xor(_mm512_ror_epi32::<6>(e), _mm512_ror_epi32::<11>(e), _mm512_ror_epi32::<25>(e));
                let first = sum([h, high, _mm512_ternarylogic_epi32::<CHOOSE>(e, f, g), constant(*k), *word]);
                let low = xor(_mm512_ror_epi32::<2>(a), _mm512_ror_epi32::<13>(a), _mm512_ror_epi32::<22>(a));
                let second = sum([low, _mm512_ternarylogic_epi32::<MAJORITY>(a, b, c)]);
                (h, g, f, e) = (g, f, e, _mm512_add_epi32(d, first));
                (d, c, b, a) = (c, b, a, _mm512_add_epi32(first, second));
            }
        }
        for (state, word) in state.iter_mut().zip([a, b, c, d, e, f, g, h]) {
            *state = _mm512_mask_add_epi32(*state, inside, *state, word);
        }
    }
    state.map(|state| {
        let mut words = [0; 16];
        // SAFETY: writes sixteen words.
        unsafe { _mm512_storeu_si512(words.as_mut_ptr().cast(), state) };
        words
    })
}

/// The next sixteen words of the schedule.
#[target_feature(enable = "avx512f,avx512dq")]
#[inline]
fn next(schedule: &mut [__m512i; 16]) {
    let small =
        |word: __m512i| xor(_mm512_ror_epi32::<7>(word), _mm512_ror_epi32::<18>(word), _mm512_srli_epi32::<3>(word));
    let large =
        |word: __m512i| xor(_mm512_ror_epi32::<17>(word), _mm512_ror_epi32::<19>(word), _mm512_srli_epi32::<10>(word));
    for at in 0..16usize {
        let before = |places: usize| schedule[at.wrapping_sub(places) & 15];
        schedule[at] = sum([schedule[at], small(before(15)), before(7), large(before(2))]);
    }
}
