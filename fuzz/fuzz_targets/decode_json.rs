//! Any bytes, read as JSON; what is JSON is read as binary then.

#![no_main]

use bumpalo::Bump;
use lapwing::decode::{self, json};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let arena = Bump::new();
    if let Ok(body) = json::traces_to_proto(bytes) {
        let _ = decode::traces(&body, &arena);
    }
    if let Ok(body) = json::logs_to_proto(bytes) {
        let _ = decode::logs(&body, &arena);
    }
    let _ = json::metrics_point_count(bytes);
    for document in json::documents(bytes).flatten() {
        let _ = json::signal(document);
    }
});
