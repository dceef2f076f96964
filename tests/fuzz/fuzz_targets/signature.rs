#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| parsers::signature::check(input));
