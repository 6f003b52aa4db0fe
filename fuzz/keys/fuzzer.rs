#![no_main]
#[path = "laws.rs"]
#[expect(clippy::expect_used, reason = "a fuzzer")]
mod laws;

libfuzzer_sys::fuzz_target!(|data: &[u8]| laws::keys(data));
