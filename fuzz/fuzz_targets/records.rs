#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| carousel_fuzz_targets::records(data));
