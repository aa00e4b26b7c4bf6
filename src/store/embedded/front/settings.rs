//! Settings of one request as a `SET` statement.
//!
//! The writer may set anything the engine knows. On the read door a statement runs under `readonly=1`, in which nothing
//! can be set any more, so the settings that cannot hurt are taken from the URL first; limits are put on top.

use super::auth::Side;
use super::error::{Exception, READONLY};
use super::request::Ask;

/// Longest a statement may run on the read door, in seconds.
const READ_SECONDS_MAX: u64 = 60;
/// Largest result on the read door, in bytes.
const READ_RESULT_BYTES_MAX: u64 = 4 * 1024 * 1024 * 1024;
/// The share of the engine's memory one statement of the read door may take: one part in so many.
const READ_MEMORY_PARTS: u64 = 2;

/// Settings that only change how values are read and written, or how much is computed.
const READ_PREFIXES: &[&str] = &[
    "output_format_",
    "input_format_",
    "format_",
    "date_time_",
    "http_",
    "send_progress_",
    "join_",
    "group_by_",
    "optimize_",
    "allow_experimental_",
    "enable_",
];
const READ_NAMES: &[&str] = &[
    "add_http_cors_header",
    "aggregate_functions_null_for_empty",
    "cancel_http_readonly_queries_on_client_close",
    "cast_string_to_dynamic_use_inference",
    "connect_timeout",
    "describe_include_subcolumns",
    "distributed_product_mode",
    "extremes",
    "final",
    "limit",
    "log_comment",
    "max_block_size",
    "max_rows_to_read",
    "max_threads",
    "network_compression_method",
    "network_zstd_compression_level",
    "offset",
    "prefer_column_name_to_alias",
    "query_plan_optimize_lazy_materialization",
    "receive_timeout",
    "result_overflow_mode",
    "send_timeout",
    "session_timezone",
    "timeout_overflow_mode",
    "union_default_mode",
    "use_query_condition_cache",
    "use_uncompressed_cache",
];

/// The `SET` statement of a request.
///
/// `tag` marks the query so that it can be found and killed; `memory_bytes` is the engine's ceiling.
pub fn statement(ask: &Ask, side: Side, tag: &str, memory_bytes: u64) -> Result<String, Exception> {
    let mut pairs: Vec<(String, String)> = Vec::new();
    let mut limits = match side {
        Side::Writer => Vec::new(),
        Side::Reader => vec![
            ("max_execution_time", READ_SECONDS_MAX),
            ("max_memory_usage", memory_bytes / READ_MEMORY_PARTS),
            ("max_result_bytes", READ_RESULT_BYTES_MAX),
            ("max_result_rows", u64::MAX >> 1),
        ],
    };
    let mut comment = String::new();
    for (name, value) in &ask.settings {
        if name == "log_comment" {
            comment.clone_from(value);
        } else if let Some((_, limit)) = limits.iter_mut().find(|(limited, _)| limited == name) {
            // Zero means without limit, which is more than any limit.
            let asked = value.parse::<f64>().unwrap_or_default().ceil().max(0.0) as u64;
            *limit = if asked == 0 {
                *limit
            } else {
                asked.min(*limit)
            };
        } else if side == Side::Writer || is_harmless(name) {
            pairs.push((name.clone(), value.clone()));
        } else if name != "readonly" || value == "0" {
            let message = format!("Cannot modify '{name}' setting in readonly mode");
            return Err(Exception::new(READONLY, message));
        }
    }
    pairs.extend(
        limits
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.to_string())),
    );
    // The caller's own comment stays readable in front of the tag.
    pairs.push(("log_comment".to_owned(), format!("{comment}{tag}")));
    let list: Vec<String> = pairs
        .iter()
        .map(|(name, value)| format!("{name} = {}", quote(value)))
        .collect();
    let readonly = if side == Side::Reader {
        ", readonly = 1"
    } else {
        ""
    };
    Ok(format!("SET {}{readonly}", list.join(", ")))
}

fn is_harmless(name: &str) -> bool {
    READ_NAMES.contains(&name) || READ_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// A string literal.
pub fn quote(value: &str) -> String {
    format!("'{}'", value.replace('\\', "\\\\").replace('\'', "\\'"))
}

/// A quoted identifier.
pub fn identifier(name: &str) -> String {
    format!("`{}`", name.replace('\\', "\\\\").replace('`', "\\`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(side: Side, settings: &[(&str, &str)]) -> Result<String, Exception> {
        let settings = settings
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let ask = Ask {
            settings,
            ..Ask::default()
        };
        statement(&ask, side, "|tag", 1_000)
    }

    #[test]
    fn the_writer_sets_what_it_likes_and_cannot_break_out_of_a_value() {
        let text = set(
            Side::Writer,
            &[("a", "x', readonly='0"), ("log_comment", "mine")],
        )
        .unwrap();
        assert_eq!(
            text,
            "SET a = 'x\\', readonly=\\'0', log_comment = 'mine|tag'"
        );
    }

    #[test]
    fn the_reader_is_limited_and_read_only() {
        let text = set(
            Side::Reader,
            &[
                ("max_execution_time", "0"),
                ("max_memory_usage", "100"),
                ("extremes", "1"),
            ],
        )
        .unwrap();
        for part in [
            "max_execution_time = '60'",
            "max_memory_usage = '100'",
            "extremes = '1'",
            ", readonly = 1",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
        let text = set(Side::Reader, &[("max_execution_time", "5.5")]).unwrap();
        assert!(text.contains("max_execution_time = '6'"), "{text}");
        assert_eq!(
            set(Side::Reader, &[("max_partitions_to_read", "1")])
                .unwrap_err()
                .code,
            164
        );
        assert_eq!(
            set(Side::Reader, &[("readonly", "0")]).unwrap_err().code,
            164
        );
        assert!(set(Side::Reader, &[("readonly", "2")]).is_ok());
    }
}
