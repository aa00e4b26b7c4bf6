//! Any bytes, read as binary traces, logs and metrics.

#![no_main]

use bumpalo::Bump;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let arena = Bump::new();
    if let Ok(traces) = lapwing::decode::traces(bytes, &arena) {
        for span in &traces.spans {
            assert!(traces.resources.get(span.resource as usize).is_some());
            assert!(traces.scopes.get(span.scope as usize).is_some());
        }
    }
    let _ = lapwing::decode::logs(bytes, &arena);
    let _ = lapwing::decode::count_metric_points(bytes);
});
