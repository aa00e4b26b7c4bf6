//! Any text as an error: it has a failure, and what is stored of it is short and has no control
//! over the class of another.

#![no_main]

use lapwing::enrich::{Evidence, Rules, classify::classify};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|texts: (String, String, String, Option<u16>)| {
    let (message, code, body, http_status) = &texts;
    let evidence = Evidence {
        provider: "openai",
        is_error: true,
        http_status: *http_status,
        error_code: code,
        messages: &[message],
        body,
        ..Evidence::default()
    };
    let failure = classify(Rules::builtin(), &evidence).expect("an error has a failure");
    assert!(failure.message.len() <= 1024);
    assert!(failure.request_id.len() <= 128);
    // The same question has the same answer.
    assert_eq!(classify(Rules::builtin(), &evidence), Some(failure));
});
