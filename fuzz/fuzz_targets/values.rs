//! Any text as JSON or as a Python repr, cut anywhere: no panic, and views stay inside the text.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| lapwing::normalise::fuzzing::values(text));
