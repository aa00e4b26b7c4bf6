//! Every key there is: its type, its default and what it is for.
//!
//! The one list behind validation, `LAPWING_...` variables, `print-config` and the reference in the
//! documentation. `*` stands for a name of the user's, `[]` for the elements of a list.

mod alerts;

use std::sync::LazyLock;

use super::value::Kind::{self, *};

/// A key of the configuration.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    pub path: &'static str,
    pub kind: Kind,
    /// As it would be written in the file; `None` = not set.
    pub default: Option<&'static str>,
    pub about: &'static str,
}

const fn key(path: &'static str, kind: Kind, default: &'static str, about: &'static str) -> Key {
    Key {
        path,
        kind,
        default: Some(default),
        about,
    }
}

const fn unset(path: &'static str, kind: Kind, about: &'static str) -> Key {
    Key {
        path,
        kind,
        default: None,
        about,
    }
}

/// The list, in the order of the documentation.
pub static KEYS: LazyLock<Vec<Key>> = LazyLock::new(|| [PLAIN, alerts::ALERTS].concat());

/// What there is beside alerts.
const PLAIN: &[Key] = &[
    unset(
        "data_dir",
        Path,
        "Directory of the journal, the embedded store and all state. Default: /var/lib/lapwing if it can be written, else $XDG_STATE_HOME/lapwing, else ~/.local/state/lapwing",
    ),
    key(
        "receivers.otlp.grpc.listen",
        Address,
        "127.0.0.1:4317",
        "Address of OTLP/gRPC",
    ),
    key(
        "receivers.otlp.grpc.max_message_bytes",
        Size,
        "64MiB",
        "Largest message, before and after decompression",
    ),
    key(
        "receivers.otlp.http.listen",
        Address,
        "127.0.0.1:4318",
        "Address of OTLP/HTTP",
    ),
    key(
        "receivers.otlp.http.max_body_bytes",
        Size,
        "64MiB",
        "Largest body, before and after decompression",
    ),
    key(
        "receivers.otlp.http.cors.allowed_origins",
        Texts,
        "",
        "Origins of browsers that may send; none by default",
    ),
    unset(
        "receivers.otlp.auth.bearer_tokens_file",
        SecretFile,
        "File with one accepted bearer token per line; without it nobody is asked for one",
    ),
    key(
        "receivers.otlp.max_in_flight_bytes",
        Size,
        "256MiB",
        "Bytes of requests worked on at a time; above, senders are told to retry",
    ),
    key(
        "admin.listen",
        Address,
        "127.0.0.1:4319",
        "Address of /livez, /readyz, /metrics, the status page and the admin API",
    ),
    unset(
        "admin.hosts",
        Texts,
        "Names that the port is asked by, beside addresses, localhost and the host of alerts.links.admin; requests under other names are refused, but for health and metrics",
    ),
    unset(
        "admin.bearer_token_file",
        SecretFile,
        "File with the token that silences, acknowledgements and whatever else changes something must carry. Without it they are refused where admin.listen is not a loopback address",
    ),
    key(
        "storage.mode",
        OneOf(&["embedded", "server"]),
        "embedded",
        "The ClickHouse inside, or a server of yours",
    ),
    key(
        "storage.embedded.listen",
        Address,
        "127.0.0.1:8123",
        "Read-only ClickHouse HTTP interface, for Grafana",
    ),
    unset(
        "storage.embedded.library",
        Path,
        "A libchdb.so of yours instead of the one that is fetched",
    ),
    key(
        "storage.embedded.memory_limit",
        Size,
        "2GiB",
        "Ceiling of the engine's memory",
    ),
    unset(
        "storage.clickhouse.url",
        Url,
        "HTTP interface of the server, such as https://ch:8443",
    ),
    key(
        "storage.clickhouse.database",
        Name,
        "lapwing",
        "Database, made if it is missing",
    ),
    key(
        "storage.clickhouse.user",
        Text,
        "default",
        "User that may create tables and insert",
    ),
    unset(
        "storage.clickhouse.password",
        Secret,
        "Password; better in a file",
    ),
    unset(
        "storage.clickhouse.password_file",
        SecretFile,
        "File with the password",
    ),
    unset(
        "storage.clickhouse.cluster",
        Name,
        "Cluster name: ON CLUSTER and replicated engines",
    ),
    unset(
        "storage.clickhouse.ca_file",
        Path,
        "PEM file with the authorities to trust instead of the system's",
    ),
    key(
        "storage.batch.max_rows",
        Count,
        "50000",
        "Rows of one insert",
    ),
    key(
        "storage.batch.max_bytes",
        Size,
        "64MiB",
        "Bytes of one insert, before compression",
    ),
    key(
        "storage.batch.max_delay",
        Duration,
        "200ms",
        "How long rows wait for company",
    ),
    key(
        "storage.retention.traces",
        Days,
        "30d",
        "How long otel_traces is kept",
    ),
    key(
        "storage.retention.logs",
        Days,
        "30d",
        "How long otel_logs is kept",
    ),
    key(
        "storage.retention.calls",
        Days,
        "90d",
        "How long llm_calls is kept",
    ),
    key(
        "storage.retention.content",
        Days,
        "30d",
        "How long prompts and answers in llm_calls are kept",
    ),
    key(
        "journal.durability",
        OneOf(&["disk", "os", "memory"]),
        "disk",
        "What an acknowledgement means: synced to disk, written to the operating system, or only in memory",
    ),
    key(
        "journal.max_bytes",
        Size,
        "8GiB",
        "Quota of the journal on disk; above, senders are told to retry",
    ),
    key(
        "content.policy",
        OneOf(&["full", "truncated", "hash", "none"]),
        "full",
        "How much of prompts, answers and tool arguments is kept",
    ),
    key(
        "content.truncate_at",
        Size,
        "4KiB",
        "Bytes of each that the policy `truncated` keeps",
    ),
    key(
        "content.in_traces",
        Boolean,
        "false",
        "Keep them in the attributes of otel_traces and otel_logs, too (with the policy `full` only)",
    ),
    key(
        "redaction.enabled",
        Boolean,
        "true",
        "Overwrite secrets and personal data before anything is stored or sent",
    ),
    key(
        "redaction.categories",
        Texts,
        "secret, email, card, phone, iban, ssn",
        "What is overwritten",
    ),
    unset(
        "redaction.patterns",
        TextMap,
        "Regular expressions of yours by name, such as {employee: 'EMP-[0-9]{6}'}",
    ),
    unset(
        "dimensions.tenant",
        Texts,
        "Attributes that name the tenant, tried before the built-in ones",
    ),
    unset("dimensions.feature", Texts, "The same for the feature"),
    unset(
        "dimensions.environment",
        Texts,
        "The same for the environment",
    ),
    unset("dimensions.region", Texts, "The same for the region"),
    unset("dimensions.user", Texts, "The same for the user"),
    unset("dimensions.session", Texts, "The same for the session"),
    unset(
        "dimensions.service_version",
        Texts,
        "The same for the service's version",
    ),
    unset(
        "dimensions.custom",
        TextMap,
        "Labels of yours with the attribute that each is read from, such as {plan: app.plan}; kept in the column `dimensions`",
    ),
    key(
        "correlation.max_bytes",
        Size,
        "32MiB",
        "Evidence of recent traces kept to join what arrives late",
    ),
    key(
        "correlation.max_age",
        Duration,
        "5m",
        "How long it is kept after a trace's last arrival",
    ),
    unset(
        "rules.attributes_file",
        Path,
        "Attribute names of yours, tried before the built-in ones",
    ),
    unset(
        "rules.failures_file",
        Path,
        "Failure rules of yours, tried before the built-in ones",
    ),
    unset(
        "rules.prices_file",
        Path,
        "Prices of yours, tried before the built-in ones",
    ),
    key(
        "detection.sensitivity",
        OneOf(&["low", "medium", "high"]),
        "medium",
        "How much evidence an alert needs: low = fewer false ones, later; high = sooner, with more of them",
    ),
    key(
        "detection.disabled",
        Texts,
        "",
        "Kinds of alert that are never raised, such as input_shift",
    ),
    key(
        "detection.approved_models",
        Texts,
        "",
        "Models that may answer, by full name or with a final `*`; none = all",
    ),
    key(
        "detection.deprecated_models",
        Texts,
        "",
        "Models with an announced end, by full name or with a final `*`",
    ),
    unset(
        "detection.rules_file",
        Path,
        "TOML file with limits, budgets and overrides of yours",
    ),
    unset(
        "forward.otlp.endpoint",
        Url,
        "OTLP receiver that every span and log record is passed on to, such as https://otel:4317; off by default",
    ),
    key(
        "forward.otlp.protocol",
        OneOf(&["grpc", "http/protobuf"]),
        "grpc",
        "How; with http/protobuf, /v1/traces and /v1/logs are put behind the endpoint",
    ),
    unset(
        "forward.otlp.headers",
        TextMap,
        "Headers of every request, such as {authorization: 'Bearer ${env:TOKEN}'}",
    ),
    key(
        "forward.otlp.compression",
        OneOf(&["gzip", "none"]),
        "gzip",
        "How requests are packed",
    ),
    key(
        "forward.otlp.timeout",
        Duration,
        "10s",
        "How long one attempt may take",
    ),
    key(
        "telemetry.log_level",
        LogFilter,
        "info",
        "trace, debug, info, warn or error, or a filter such as lapwing=debug",
    ),
    key(
        "telemetry.log_format",
        OneOf(&["text", "json"]),
        "text",
        "How the log on stderr is written",
    ),
    unset(
        "telemetry.otlp_endpoint",
        Url,
        "OTLP/gRPC endpoint for Lapwing's own traces; off by default",
    ),
];

/// The variable that overrides a key: its path in capitals, dots as underscores.
pub fn variable(path: &str) -> String {
    let name: String = path
        .chars()
        .map(|c| {
            if c == '.' {
                '_'
            } else {
                c.to_ascii_uppercase()
            }
        })
        .collect();
    format!("LAPWING_{name}")
}

/// Keys that a variable can set: those without a name or list of the user's in their path.
pub fn fixed() -> impl Iterator<Item = &'static Key> {
    KEYS.iter().filter(|key| !key.path.contains(['*', '[']))
}

/// The reference of all keys, as Markdown.
pub fn reference() -> String {
    let mut out = String::from("| key | type | default | what it is for |\n|---|---|---|---|\n");
    for key in KEYS.iter() {
        let default = key.default.map_or(String::new(), |d| format!("`{d}`"));
        out.push_str(&format!(
            "| `{}` | {} | {default} | {} |\n",
            key.path,
            key.kind.name(),
            key.about
        ));
    }
    out
}
