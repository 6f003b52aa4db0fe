#![no_main]
#[path = "../targets.rs"]
#[expect(dead_code, clippy::expect_used, clippy::indexing_slicing, reason = "a fuzzer, one of several")]
mod targets;

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::points(data));
