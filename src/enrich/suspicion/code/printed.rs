//! Printed: stack traces and logs, which programs write and nobody else.

/// Frames of stack traces, and lines of logs.
pub(super) fn written_by_program(line: &str) -> bool {
    const BEGINS: &[&str] = &[
        "at ",
        "File \"",
        "Traceback (",
        "Caused by:",
        "goroutine ",
        "Exception in thread",
        "panic:",
        "thread '",
        "stack backtrace",
        "... ",
        "[ERROR]",
        "[INFO]",
        "[WARN",
        "[DEBUG",
        "ERROR ",
        "INFO ",
        "WARN ",
        "DEBUG ",
    ];
    let line = line.trim_start().trim_start_matches('[');
    let digits = |from: usize, to: usize| {
        line.get(from..to)
            .is_some_and(|part| part.bytes().all(|b| b.is_ascii_digit()))
    };
    let dated =
        digits(0, 4) && line.get(4..5).is_some_and(|c| c == "-" || c == "/") && digits(5, 7);
    let timed = digits(0, 2) && line.get(2..3) == Some(":") && digits(3, 5);
    dated || timed || BEGINS.iter().any(|word| line.starts_with(word)) || is_error(line)
}

/// `ValueError: bad`, `com.shop.CartException: empty`
fn is_error(line: &str) -> bool {
    let name = line.split([':', ' ']).next().unwrap_or("");
    (name.ends_with("Error") || name.ends_with("Exception"))
        && name.len() > 9
        && !line.contains('{')
}

/// `/tmp/x.go:8 +0x1d`, indented: where the function of the line above was called.
pub(super) fn is_place(line: &str) -> bool {
    let place = line.trim_start();
    let numbered = || {
        place
            .split(':')
            .nth(1)
            .is_some_and(|n| n.starts_with(|c: char| c.is_ascii_digit()))
    };
    line.starts_with(['\t', ' ']) && place.starts_with('/') && numbered()
}
