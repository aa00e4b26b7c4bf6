//! Exceptions as ClickHouse's HTTP interface tells them: a code, a text, an HTTP status, and the block that reports
//! a failure after part of the result was sent.

use http::StatusCode;

/// A refusal or a failure, in ClickHouse's numbering.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exception {
    pub code: u32,
    /// The whole text as clients show it: `Code: N. DB::Exception: ...`.
    pub text: String,
}

// The codes this front itself raises; numbers and names are ClickHouse's.
pub const BAD_ARGUMENTS: (u32, &str) = (36, "BAD_ARGUMENTS");
pub const NOT_IMPLEMENTED: (u32, &str) = (48, "NOT_IMPLEMENTED");
pub const SYNTAX_ERROR: (u32, &str) = (62, "SYNTAX_ERROR");
pub const READONLY: (u32, &str) = (164, "READONLY");
pub const QUERY_IS_TOO_LARGE: (u32, &str) = (220, "QUERY_IS_TOO_LARGE");
pub const TOO_MANY_QUERIES: (u32, &str) = (202, "TOO_MANY_SIMULTANEOUS_QUERIES");
pub const CANNOT_DECOMPRESS: (u32, &str) = (271, "CANNOT_DECOMPRESS");
pub const SESSION_NOT_FOUND: (u32, &str) = (372, "SESSION_NOT_FOUND");
pub const SESSION_IS_LOCKED: (u32, &str) = (373, "SESSION_IS_LOCKED");
pub const ACCESS_DENIED: (u32, &str) = (497, "ACCESS_DENIED");
pub const AUTHENTICATION_FAILED: (u32, &str) = (516, "AUTHENTICATION_FAILED");
pub const NETWORK_ERROR: (u32, &str) = (210, "NETWORK_ERROR");
pub const UNKNOWN_EXCEPTION: u32 = 1002;

/// Longest exception text put into the tail block; clients search a bounded tail for it.
const TAIL_TEXT_BYTES_MAX: usize = 16 * 1024;

impl Exception {
    pub fn new((code, name): (u32, &str), message: impl std::fmt::Display) -> Self {
        Self {
            code,
            text: format!("Code: {code}. DB::Exception: {message}. ({name})"),
        }
    }

    /// Takes the engine's own text, which begins with `Code: N.` unless it failed outside of a query.
    pub fn from_engine(text: &str) -> Self {
        let code = text.split_once("Code: ").and_then(|(_, rest)| {
            let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
            digits.parse().ok()
        });
        match code {
            Some(code) => Self {
                code,
                text: text.strip_prefix("Error: ").unwrap_or(text).to_owned(),
            },
            None => Self {
                code: UNKNOWN_EXCEPTION,
                text: format!(
                    "Code: {UNKNOWN_EXCEPTION}. DB::Exception: {text} (UNKNOWN_EXCEPTION)"
                ),
            },
        }
    }

    /// The status ClickHouse answers with for this code.
    pub fn status(&self) -> StatusCode {
        match self.code {
            194 => StatusCode::UNAUTHORIZED,
            164 | 192 | 193 | 497 | 516 => StatusCode::FORBIDDEN,
            46 | 47 | 50 | 56 | 60 | 63 | 73 | 81 | 115 | 372 => StatusCode::NOT_FOUND,
            48 | 344 => StatusCode::NOT_IMPLEMENTED,
            159 => StatusCode::REQUEST_TIMEOUT,
            220 => StatusCode::PAYLOAD_TOO_LARGE,
            // Retryable: the store is busy, not the request wrong.
            202 | 209 | 373 => StatusCode::SERVICE_UNAVAILABLE,
            // Server faults: logical errors, memory, disk, corruption.
            40 | 49 | 173 | 74 | 75 | 76 | 210 | 236 | 241 | 243 | 252 | 394 | 1000..=1002 => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
            _ => StatusCode::BAD_REQUEST,
        }
    }

    /// The block at the end of a body that was cut by this exception. `tag` is the value of the response's
    /// `X-ClickHouse-Exception-Tag`, by which a client tells it from data; the number is the length of the message
    /// with its newline.
    pub fn tail(&self, tag: &str) -> Vec<u8> {
        let mut text = self.text.as_str();
        while text.len() > TAIL_TEXT_BYTES_MAX {
            let cut = (0..=TAIL_TEXT_BYTES_MAX)
                .rev()
                .find(|&at| text.is_char_boundary(at))
                .unwrap_or(0);
            text = text.get(..cut).unwrap_or_default();
        }
        let length = text.len().saturating_add(1);
        format!("\r\n__exception__\r\n{tag}\r\n{text}\n{length} {tag}\r\n__exception__\r\n")
            .into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_engines_text_keeps_its_code_and_finds_its_status() {
        let unknown =
            Exception::from_engine("Code: 60. DB::Exception: Unknown table. (UNKNOWN_TABLE)");
        assert_eq!(
            (unknown.code, unknown.status()),
            (60, StatusCode::NOT_FOUND)
        );
        let denied = Exception::from_engine("Error: Code: 497. DB::Exception: no. (ACCESS_DENIED)");
        assert_eq!((denied.code, denied.status()), (497, StatusCode::FORBIDDEN));
        assert!(denied.text.starts_with("Code: 497."));
        assert_eq!(
            Exception::from_engine("boom").status(),
            StatusCode::INTERNAL_SERVER_ERROR
        );
    }

    #[test]
    fn the_tail_says_how_long_its_message_is() {
        let exception = Exception {
            code: 1,
            text: "é".repeat(20_000),
        };
        let tail = exception.tail("abcdefghijklmnop");
        let text = String::from_utf8(tail).unwrap();
        let message = text
            .split("abcdefghijklmnop\r\n")
            .nth(1)
            .unwrap()
            .rsplit_once('\n')
            .unwrap()
            .0;
        let message = message.split("\n__").next().unwrap();
        assert!(text.contains(&format!(
            "\n{} abcdefghijklmnop\r\n__exception__\r\n",
            TAIL_TEXT_BYTES_MAX + 1
        )));
        assert!(message.len() >= TAIL_TEXT_BYTES_MAX);
    }
}
