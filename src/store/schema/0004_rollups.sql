-- Calls by minute and by hour, for dashboards and baselines. Both are fed by the signed versions, so
-- a correction reaches them as its difference; duplicates are not counted. Always sum() the columns:
-- rows of one key are only added up when parts are merged.
-- Buckets of durations: bucket b holds what is above 2^((b-1)/4) ms and up to 2^(b/4) ms.
CREATE TABLE IF NOT EXISTS {database}.llm_calls_1m{on_cluster} (
    timestamp DateTime COMMENT 'start of the minute' CODEC(Delta(4), ZSTD(1)),
    service LowCardinality(String) CODEC(ZSTD(1)),
    environment LowCardinality(String) CODEC(ZSTD(1)),
    tenant LowCardinality(String) CODEC(ZSTD(1)),
    feature LowCardinality(String) CODEC(ZSTD(1)),
    provider LowCardinality(String) CODEC(ZSTD(1)),
    request_model LowCardinality(String) CODEC(ZSTD(1)),
    response_model LowCardinality(String) CODEC(ZSTD(1)),
    failure_class LowCardinality(String) CODEC(ZSTD(1)),
    calls SimpleAggregateFunction(sum, Int64) CODEC(ZSTD(1)),
    calls_weighted SimpleAggregateFunction(sum, Float64) COMMENT 'sum of sample_weight' CODEC(ZSTD(1)),
    failed SimpleAggregateFunction(sum, Int64) CODEC(ZSTD(1)),
    input_tokens SimpleAggregateFunction(sum, Int64) CODEC(ZSTD(1)),
    output_tokens SimpleAggregateFunction(sum, Int64) CODEC(ZSTD(1)),
    cache_read_tokens SimpleAggregateFunction(sum, Int64) CODEC(ZSTD(1)),
    cache_write_tokens SimpleAggregateFunction(sum, Int64) CODEC(ZSTD(1)),
    reasoning_tokens SimpleAggregateFunction(sum, Int64) CODEC(ZSTD(1)),
    cost_usd SimpleAggregateFunction(sum, Decimal(38, 12)) COMMENT 'of the calls whose cost is known' CODEC(ZSTD(1)),
    calls_without_cost SimpleAggregateFunction(sum, Int64) COMMENT 'cost_usd is NULL' CODEC(ZSTD(1)),
    duration_ns SimpleAggregateFunction(sum, Int64) CODEC(ZSTD(1)),
    ttft_ns SimpleAggregateFunction(sum, Int64) CODEC(ZSTD(1)),
    calls_with_ttft SimpleAggregateFunction(sum, Int64) CODEC(ZSTD(1)),
    duration_buckets SimpleAggregateFunction(sumMap, Map(Int16, Int64)) COMMENT 'calls by bucket b: up to 2^(b/4) ms' CODEC(ZSTD(1)),
    ttft_buckets SimpleAggregateFunction(sumMap, Map(Int16, Int64)) CODEC(ZSTD(1))
)
ENGINE = {engine}AggregatingMergeTree
PARTITION BY toDate(timestamp)
ORDER BY (timestamp, service, environment, tenant, feature, provider, request_model, response_model, failure_class)
TTL timestamp + toIntervalDay({rollup_1m_days})
SETTINGS index_granularity = 8192, ttl_only_drop_parts = 1, {settings};

CREATE MATERIALIZED VIEW IF NOT EXISTS {database}.llm_calls_1m_mv{on_cluster}
TO {database}.llm_calls_1m AS
SELECT
    toDateTime(toStartOfMinute(llm_call_versions.timestamp)) AS timestamp,
    service,
    environment,
    tenant,
    feature,
    provider,
    request_model,
    response_model,
    failure_class,
    sum(toInt64(sign)) AS calls,
    sum(sign * sample_weight) AS calls_weighted,
    sum(toInt64(sign) * (llm_call_versions.failure_class != '')) AS failed,
    sum(sign * toInt64(ifNull(llm_call_versions.input_tokens, 0))) AS input_tokens,
    sum(sign * toInt64(ifNull(llm_call_versions.output_tokens, 0))) AS output_tokens,
    sum(sign * toInt64(ifNull(llm_call_versions.cache_read_tokens, 0))) AS cache_read_tokens,
    sum(sign * toInt64(ifNull(llm_call_versions.cache_write_tokens, 0))) AS cache_write_tokens,
    sum(sign * toInt64(ifNull(llm_call_versions.reasoning_tokens, 0))) AS reasoning_tokens,
    sum(sign * toDecimal128(ifNull(llm_call_versions.cost_usd, 0), 12)) AS cost_usd,
    sum(toInt64(sign) * isNull(llm_call_versions.cost_usd)) AS calls_without_cost,
    sum(sign * toInt64(llm_call_versions.duration_ns)) AS duration_ns,
    sum(sign * toInt64(ifNull(llm_call_versions.ttft_ns, 0))) AS ttft_ns,
    sum(toInt64(sign) * isNotNull(llm_call_versions.ttft_ns)) AS calls_with_ttft,
    sumMap(map(
        toInt16(ceil(4 * log2(greatest(llm_call_versions.duration_ns, 1) / 1e6))),
        toInt64(sign)
    )) AS duration_buckets,
    sumMap(if(
        isNull(llm_call_versions.ttft_ns),
        CAST(map(), 'Map(Int16, Int64)'),
        map(
            toInt16(ceil(4 * log2(greatest(ifNull(llm_call_versions.ttft_ns, 1), 1) / 1e6))),
            toInt64(sign)
        )
    )) AS ttft_buckets
FROM {database}.llm_call_versions
WHERE duplicate_of = ''
GROUP BY timestamp, service, environment, tenant, feature, provider, request_model, response_model, failure_class;

CREATE TABLE IF NOT EXISTS {database}.llm_calls_1h{on_cluster} (
    timestamp DateTime COMMENT 'start of the hour' CODEC(Delta(4), ZSTD(1)),
    service LowCardinality(String) CODEC(ZSTD(1)),
    environment LowCardinality(String) CODEC(ZSTD(1)),
    tenant LowCardinality(String) CODEC(ZSTD(1)),
    feature LowCardinality(String) CODEC(ZSTD(1)),
    provider LowCardinality(String) CODEC(ZSTD(1)),
    request_model LowCardinality(String) CODEC(ZSTD(1)),
    response_model LowCardinality(String) CODEC(ZSTD(1)),
    failure_class LowCardinality(String) CODEC(ZSTD(1)),
    calls SimpleAggregateFunction(sum, Int64) CODEC(ZSTD(1)),
    calls_weighted SimpleAggregateFunction(sum, Float64) COMMENT 'sum of sample_weight' CODEC(ZSTD(1)),
    failed SimpleAggregateFunction(sum, Int64) CODEC(ZSTD(1)),
    input_tokens SimpleAggregateFunction(sum, Int64) CODEC(ZSTD(1)),
    output_tokens SimpleAggregateFunction(sum, Int64) CODEC(ZSTD(1)),
    cache_read_tokens SimpleAggregateFunction(sum, Int64) CODEC(ZSTD(1)),
    cache_write_tokens SimpleAggregateFunction(sum, Int64) CODEC(ZSTD(1)),
    reasoning_tokens SimpleAggregateFunction(sum, Int64) CODEC(ZSTD(1)),
    cost_usd SimpleAggregateFunction(sum, Decimal(38, 12)) COMMENT 'of the calls whose cost is known' CODEC(ZSTD(1)),
    calls_without_cost SimpleAggregateFunction(sum, Int64) COMMENT 'cost_usd is NULL' CODEC(ZSTD(1)),
    duration_ns SimpleAggregateFunction(sum, Int64) CODEC(ZSTD(1)),
    ttft_ns SimpleAggregateFunction(sum, Int64) CODEC(ZSTD(1)),
    calls_with_ttft SimpleAggregateFunction(sum, Int64) CODEC(ZSTD(1)),
    duration_buckets SimpleAggregateFunction(sumMap, Map(Int16, Int64)) COMMENT 'calls by bucket b: up to 2^(b/4) ms' CODEC(ZSTD(1)),
    ttft_buckets SimpleAggregateFunction(sumMap, Map(Int16, Int64)) CODEC(ZSTD(1))
)
ENGINE = {engine}AggregatingMergeTree
PARTITION BY toYYYYMM(timestamp)
ORDER BY (timestamp, service, environment, tenant, feature, provider, request_model, response_model, failure_class)
TTL timestamp + toIntervalDay({rollup_1h_days})
SETTINGS index_granularity = 8192, ttl_only_drop_parts = 1, {settings};

CREATE MATERIALIZED VIEW IF NOT EXISTS {database}.llm_calls_1h_mv{on_cluster}
TO {database}.llm_calls_1h AS
SELECT
    toDateTime(toStartOfHour(llm_call_versions.timestamp)) AS timestamp,
    service,
    environment,
    tenant,
    feature,
    provider,
    request_model,
    response_model,
    failure_class,
    sum(toInt64(sign)) AS calls,
    sum(sign * sample_weight) AS calls_weighted,
    sum(toInt64(sign) * (llm_call_versions.failure_class != '')) AS failed,
    sum(sign * toInt64(ifNull(llm_call_versions.input_tokens, 0))) AS input_tokens,
    sum(sign * toInt64(ifNull(llm_call_versions.output_tokens, 0))) AS output_tokens,
    sum(sign * toInt64(ifNull(llm_call_versions.cache_read_tokens, 0))) AS cache_read_tokens,
    sum(sign * toInt64(ifNull(llm_call_versions.cache_write_tokens, 0))) AS cache_write_tokens,
    sum(sign * toInt64(ifNull(llm_call_versions.reasoning_tokens, 0))) AS reasoning_tokens,
    sum(sign * toDecimal128(ifNull(llm_call_versions.cost_usd, 0), 12)) AS cost_usd,
    sum(toInt64(sign) * isNull(llm_call_versions.cost_usd)) AS calls_without_cost,
    sum(sign * toInt64(llm_call_versions.duration_ns)) AS duration_ns,
    sum(sign * toInt64(ifNull(llm_call_versions.ttft_ns, 0))) AS ttft_ns,
    sum(toInt64(sign) * isNotNull(llm_call_versions.ttft_ns)) AS calls_with_ttft,
    sumMap(map(
        toInt16(ceil(4 * log2(greatest(llm_call_versions.duration_ns, 1) / 1e6))),
        toInt64(sign)
    )) AS duration_buckets,
    sumMap(if(
        isNull(llm_call_versions.ttft_ns),
        CAST(map(), 'Map(Int16, Int64)'),
        map(
            toInt16(ceil(4 * log2(greatest(ifNull(llm_call_versions.ttft_ns, 1), 1) / 1e6))),
            toInt64(sign)
        )
    )) AS ttft_buckets
FROM {database}.llm_call_versions
WHERE duplicate_of = ''
GROUP BY timestamp, service, environment, tenant, feature, provider, request_model, response_model, failure_class;
