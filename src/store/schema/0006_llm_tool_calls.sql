-- Tool calls of answers, as signed versions like the calls that they belong to: a tool span that
-- comes later takes the row back (sign -1) and writes a better one, so that sums of sign are right
-- at every moment. The key is the answer's, or the tool span's where no answer asked for it.
CREATE TABLE IF NOT EXISTS {database}.llm_tool_call_versions{on_cluster} (
    timestamp DateTime64(9) COMMENT 'start of the model call' CODEC(Delta(8), ZSTD(1)),
    trace_id String CODEC(ZSTD(1)),
    span_id String COMMENT 'the model call' CODEC(ZSTD(1)),
    response_id String CODEC(ZSTD(1)),
    tool_index UInt16 CODEC(ZSTD(1)),
    attempt UInt16 CODEC(ZSTD(1)),
    tool_span_id String COMMENT 'the execution; empty: none was seen' CODEC(ZSTD(1)),
    started_at Nullable(DateTime64(9)) CODEC(ZSTD(1)),
    duration_ns Nullable(UInt64) CODEC(T64, ZSTD(1)),
    name LowCardinality(String) CODEC(ZSTD(1)),
    tool_call_id String CODEC(ZSTD(1)),
    outcome LowCardinality(String) COMMENT 'requested, ok, failed' CODEC(ZSTD(1)),
    failed_layer LowCardinality(String) COMMENT 'selection, arguments, execution, hand_off' CODEC(ZSTD(1)),
    failure_class LowCardinality(String) CODEC(ZSTD(1)),
    error_type LowCardinality(String) CODEC(ZSTD(1)),
    error_message String CODEC(ZSTD(1)),
    side_effect Bool CODEC(ZSTD(1)),
    repeated Bool COMMENT 'executed before with the same arguments' CODEC(ZSTD(1)),
    arguments String CODEC(ZSTD(3)) TTL toDateTime(timestamp) + toIntervalDay({content_days}),
    result String CODEC(ZSTD(3)) TTL toDateTime(timestamp) + toIntervalDay({content_days}),
    tenant LowCardinality(String) CODEC(ZSTD(1)),
    service LowCardinality(String) CODEC(ZSTD(1)),
    service_version LowCardinality(String) CODEC(ZSTD(1)),
    environment LowCardinality(String) CODEC(ZSTD(1)),
    feature LowCardinality(String) CODEC(ZSTD(1)),
    user_id String CODEC(ZSTD(1)),
    session_id String CODEC(ZSTD(1)),
    convention LowCardinality(String) CODEC(ZSTD(1)),
    provider LowCardinality(String) CODEC(ZSTD(1)),
    request_model LowCardinality(String) CODEC(ZSTD(1)),
    response_model LowCardinality(String) CODEC(ZSTD(1)),
    sample_weight Float64 CODEC(ZSTD(1)),
    sign Int8 CODEC(ZSTD(1)),
    version UInt32 CODEC(ZSTD(1)),
    INDEX idx_trace_id trace_id TYPE bloom_filter(0.001) GRANULARITY 1,
    INDEX idx_name name TYPE set(100) GRANULARITY 1
)
ENGINE = {engine}VersionedCollapsingMergeTree(sign, version)
PARTITION BY toDate(timestamp)
PRIMARY KEY (service, timestamp)
ORDER BY (service, timestamp, trace_id, span_id, tool_index, attempt)
TTL toDateTime(timestamp) + toIntervalDay({calls_days})
SETTINGS index_granularity = 8192, {settings};

CREATE VIEW IF NOT EXISTS {database}.llm_tool_calls{on_cluster} AS
SELECT * EXCEPT (sign, version)
FROM {database}.llm_tool_call_versions FINAL
SETTINGS do_not_merge_across_partitions_select_final = 1;
