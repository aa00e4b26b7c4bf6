-- What happened to alerts, one row for each change, and to their delivery, one row for each attempt.
-- Rows come at least once; equal keys are replaced, so FINAL or a merge shows each once.
CREATE TABLE IF NOT EXISTS {database}.llm_alerts{on_cluster} (
    timestamp DateTime64(9) CODEC(Delta(8), ZSTD(1)),
    number UInt64 COMMENT 'counts the rows of one collector' CODEC(ZSTD(1)),
    id String COMMENT 'the incident, the same on every replica' CODEC(ZSTD(1)),
    fingerprint String COMMENT 'kind and scope, the same for each return' CODEC(ZSTD(1)),
    change LowCardinality(String) COMMENT 'opened, firing, updated, muted, unmuted, acknowledged, resolved' CODEC(ZSTD(1)),
    by String COMMENT 'who or what did it' CODEC(ZSTD(1)),
    status LowCardinality(String) CODEC(ZSTD(1)),
    kind LowCardinality(String) CODEC(ZSTD(1)),
    severity LowCardinality(String) CODEC(ZSTD(1)),
    failure_class LowCardinality(String) CODEC(ZSTD(1)),
    labels Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    starts_at DateTime64(9) CODEC(ZSTD(1)),
    detected_at DateTime64(9) CODEC(ZSTD(1)),
    ends_at Nullable(DateTime64(9)) CODEC(ZSTD(1)),
    value Float64 CODEC(ZSTD(1)),
    baseline Float64 CODEC(ZSTD(1)),
    calls UInt64 CODEC(ZSTD(1)),
    failed UInt64 CODEC(ZSTD(1)),
    incident String COMMENT 'all of it, as JSON' CODEC(ZSTD(3))
)
ENGINE = {engine}ReplacingMergeTree
PARTITION BY toYYYYMM(timestamp)
ORDER BY (id, timestamp, number)
SETTINGS index_granularity = 8192, {settings};

CREATE TABLE IF NOT EXISTS {database}.llm_alert_deliveries{on_cluster} (
    timestamp DateTime64(9) CODEC(Delta(8), ZSTD(1)),
    number UInt64 COMMENT 'counts the rows of one collector' CODEC(ZSTD(1)),
    id String COMMENT 'idempotency key of the message' CODEC(ZSTD(1)),
    receiver LowCardinality(String) CODEC(ZSTD(1)),
    alert_ids Array(String) CODEC(ZSTD(1)),
    outcome LowCardinality(String) COMMENT 'delivered, failed (tried again), dead' CODEC(ZSTD(1)),
    attempt UInt32 CODEC(ZSTD(1)),
    http_status Nullable(UInt16) CODEC(ZSTD(1)),
    reason String CODEC(ZSTD(1))
)
ENGINE = {engine}ReplacingMergeTree
PARTITION BY toYYYYMM(timestamp)
ORDER BY (receiver, timestamp, number)
SETTINGS index_granularity = 8192, {settings};
