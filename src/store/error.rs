//! What ClickHouse answered, and what to do about it.
//!
//! ClickHouse says what happened by a number. Whether an insert may be tried again, must wait for
//! the operator, or can never succeed is decided here and nowhere else.

use std::time::Duration;

/// Wait this long before the first retry of a plain failure.
const RETRY: Duration = Duration::from_millis(100);

/// Wait this long where the server said that it has too much to do.
const RETRY_OVERLOADED: Duration = Duration::from_millis(500);

/// A statement or insert did not succeed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// It may succeed if sent again, as it is and with the same token: whether the first attempt
    /// took effect is not known.
    #[error("{message}")]
    Retry {
        code: Option<u32>,
        message: String,
        /// The least time to wait.
        after: Duration,
    },
    /// Nothing was stored, because the batch as a whole is too much; its parts may succeed.
    #[error("{message}")]
    Split { code: u32, message: String },
    /// Nothing was stored and nothing will be until somebody repairs the store; the data is good.
    #[error("{message}: {advice}")]
    Hold {
        code: u32,
        message: String,
        /// What the operator can do.
        advice: &'static str,
    },
    /// Nothing was stored, and this data never will be.
    #[error("{message}")]
    Permanent { code: Option<u32>, message: String },
}

impl WriteError {
    /// ClickHouse's number for what happened.
    pub fn code(&self) -> Option<u32> {
        match self {
            WriteError::Retry { code, .. } | WriteError::Permanent { code, .. } => *code,
            WriteError::Split { code, .. } | WriteError::Hold { code, .. } => Some(*code),
        }
    }

    /// Sorts an answer by its text, which begins with `Code: <number>.` if it is ClickHouse's.
    pub(super) fn from_answer(text: &str) -> WriteError {
        let message = shortened(text);
        let Some(code) = code_of(text) else {
            // A proxy in between, or an answer that broke off.
            return WriteError::Retry {
                code: None,
                message: format!("clickhouse did not answer as expected: {message}"),
                after: RETRY,
            };
        };
        let message = format!("clickhouse answered: {message}");
        if let Some(advice) = advice(code) {
            return WriteError::Hold {
                code,
                message,
                advice,
            };
        }
        match code {
            // The same number means "merges cannot keep up", which passes.
            252 if text.contains("for single INSERT block") => WriteError::Split { code, message },
            202 | 203 | 241 | 252 | 439 => WriteError::Retry {
                code: Some(code),
                message,
                after: RETRY_OVERLOADED,
            },
            _ if is_final(code) => WriteError::Permanent {
                code: Some(code),
                message,
            },
            // Timeouts, lost connections, lost coordination, full disks, and all that is not
            // known here: losing data by a wrong guess is worse than asking again.
            _ => WriteError::Retry {
                code: Some(code),
                message,
                after: RETRY,
            },
        }
    }
}

impl From<clickhouse::error::Error> for WriteError {
    fn from(error: clickhouse::error::Error) -> Self {
        use clickhouse::error::Error;
        match error {
            Error::BadResponse(text) => WriteError::from_answer(&text),
            Error::Network(cause) => WriteError::Retry {
                code: None,
                message: format!("clickhouse cannot be reached: {}", chain(&*cause)),
                after: RETRY,
            },
            Error::TimedOut => WriteError::Retry {
                code: None,
                message: "clickhouse did not answer in time".into(),
                after: RETRY,
            },
            Error::InvalidParams(cause) => WriteError::Permanent {
                code: None,
                message: format!(
                    "the request cannot be made: {}; check the URL",
                    chain(&*cause)
                ),
            },
            // Answers that break off or cannot be unpacked: what took effect is not known.
            other => WriteError::Retry {
                code: None,
                message: format!("the answer of clickhouse cannot be read: {}", chain(&other)),
                after: RETRY,
            },
        }
    }
}

/// The number in `Code: 60. DB::Exception: ...`.
fn code_of(text: &str) -> Option<u32> {
    let rest = text.split_once("Code: ")?.1;
    let end = rest
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(rest.len());
    rest.get(..end)?.parse().ok()
}

/// Errors that lie in the statement or its data, and so come again with them.
fn is_final(code: u32) -> bool {
    // CANNOT_PARSE_* and what else is wrong with data: 6, 20, 26, 27, 38, 41, 69, 70, 72, 117, 128,
    // 131, 190, 271, 407. CHECKSUM_DOESNT_MATCH: 40. What is wrong with a statement: 36, 42, 43, 44,
    // 46, 48, 50, 53, 57, 62, 63, 73.
    const FINAL: [u32; 28] = [
        6, 20, 26, 27, 36, 38, 40, 41, 42, 43, 44, 46, 48, 50, 53, 57, 62, 63, 69, 70, 72, 73, 117,
        128, 131, 190, 271, 407,
    ];
    FINAL.contains(&code)
}

/// What the operator can do about errors that wait for him.
fn advice(code: u32) -> Option<&'static str> {
    match code {
        // UNKNOWN_TABLE, UNKNOWN_DATABASE.
        60 | 81 => Some("run `lapwing schema apply`, or check storage.clickhouse.database"),
        // NO_SUCH_COLUMN_IN_TABLE, NOT_FOUND_COLUMN_IN_BLOCK, UNKNOWN_IDENTIFIER.
        16 | 10 | 47 => Some("the tables have another schema: run `lapwing schema apply`"),
        // UNKNOWN_USER, WRONG_PASSWORD, REQUIRED_PASSWORD, AUTHENTICATION_FAILED.
        192 | 193 | 194 | 516 => {
            Some("check storage.clickhouse.user and storage.clickhouse.password_file")
        }
        // READONLY, ACCESS_DENIED, QUERY_IS_PROHIBITED.
        164 | 497 | 392 => Some("the user needs INSERT, SELECT, CREATE and ALTER on the database"),
        // UNKNOWN_SETTING.
        115 => Some("this ClickHouse is too old: version 24.3 or newer is needed"),
        // QUOTA_EXCEEDED.
        201 => Some("raise the quota of the user"),
        _ => None,
    }
}

/// The first line, without the stack trace and version that may follow.
fn shortened(text: &str) -> String {
    const CHARS_MAX: usize = 600;
    let line = text.trim().lines().next().unwrap_or("an empty answer");
    line.chars().take(CHARS_MAX).collect()
}

/// An error with its causes, which is where the reason of a network error is.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_decides_and_for_252_the_text_too() {
        let answer = |code, text| {
            let text = format!("Code: {code}. DB::Exception: {text} (NAME) (version 26.7)");
            WriteError::from_answer(&text)
        };
        let partitions = "Too many partitions for single INSERT block (more than 100)";
        assert!(matches!(answer(252, partitions), WriteError::Split { .. }));
        let parts = "Too many parts (3000). Merges are processing significantly slower";
        assert!(matches!(answer(252, parts), WriteError::Retry { .. }));
        for code in [159, 202, 209, 210, 241, 242, 319, 394, 999, 4711] {
            assert!(
                matches!(answer(code, "x"), WriteError::Retry { .. }),
                "{code}"
            );
        }
        for code in [16, 60, 81, 164, 516] {
            assert!(
                matches!(answer(code, "x"), WriteError::Hold { .. }),
                "{code}"
            );
        }
        for code in [6, 27, 53, 62] {
            assert!(
                matches!(answer(code, "x"), WriteError::Permanent { .. }),
                "{code}"
            );
        }
        let proxy = WriteError::from_answer("<html>502 Bad Gateway</html>");
        assert!(matches!(proxy, WriteError::Retry { code: None, .. }));
    }

    #[test]
    fn messages_say_what_to_do() {
        let error = WriteError::from_answer("Code: 60. DB::Exception: Table x does not exist");
        let text = error.to_string();
        assert!(text.contains("Table x"), "{text}");
        assert!(text.contains("lapwing schema apply"), "{text}");
        assert_eq!(error.code(), Some(60));
    }
}
