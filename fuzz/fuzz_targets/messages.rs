//! Any text as recorded messages or tool definitions: no panic, and nothing that is not in it.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| lapwing::normalise::fuzzing::messages(text));
