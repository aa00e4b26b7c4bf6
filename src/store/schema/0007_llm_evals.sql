-- Evaluations of answers. One that is sent again has the same key and replaces itself.
CREATE TABLE IF NOT EXISTS {database}.llm_eval_results{on_cluster} (
    timestamp DateTime64(9) CODEC(Delta(8), ZSTD(1)),
    trace_id String CODEC(ZSTD(1)),
    span_id String COMMENT 'the span that the result was recorded on' CODEC(ZSTD(1)),
    response_id String COMMENT 'the answer, if told' CODEC(ZSTD(1)),
    name LowCardinality(String) CODEC(ZSTD(1)),
    score Nullable(Float64) CODEC(ZSTD(1)),
    label LowCardinality(String) CODEC(ZSTD(1)),
    explanation String CODEC(ZSTD(3)) TTL toDateTime(timestamp) + toIntervalDay({content_days}),
    error_type LowCardinality(String) CODEC(ZSTD(1)),
    convention LowCardinality(String) CODEC(ZSTD(1)),
    service LowCardinality(String) CODEC(ZSTD(1)),
    service_version LowCardinality(String) CODEC(ZSTD(1)),
    environment LowCardinality(String) CODEC(ZSTD(1)),
    INDEX idx_trace_id trace_id TYPE bloom_filter(0.001) GRANULARITY 1,
    INDEX idx_response_id response_id TYPE bloom_filter(0.01) GRANULARITY 1
)
ENGINE = {engine}ReplacingMergeTree
PARTITION BY toDate(timestamp)
PRIMARY KEY (service, name, timestamp)
ORDER BY (service, name, timestamp, trace_id, span_id, response_id)
TTL toDateTime(timestamp) + toIntervalDay({calls_days})
SETTINGS index_granularity = 8192, {settings};

CREATE VIEW IF NOT EXISTS {database}.llm_evals{on_cluster} AS
SELECT * FROM {database}.llm_eval_results FINAL
SETTINGS do_not_merge_across_partitions_select_final = 1;
