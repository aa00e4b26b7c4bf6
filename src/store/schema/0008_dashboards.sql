-- What dashboards ask of every call beyond the rollups of 0004, summed up while rows are written, so
-- that a panel over weeks reads thousands of rows instead of millions. All of it is fed by the signed
-- versions: a correction reaches the sums as its difference. Duplicates are not counted.

-- Which model answered to which name, for whom, since when. A call taken back leaves its times
-- behind, but no count: what has no calls is not shown.
CREATE TABLE IF NOT EXISTS {database}.llm_models_seen{on_cluster} (
    provider LowCardinality(String) CODEC(ZSTD(1)),
    request_model LowCardinality(String) CODEC(ZSTD(1)),
    response_model LowCardinality(String) CODEC(ZSTD(1)),
    system_fingerprint LowCardinality(String) CODEC(ZSTD(1)),
    service LowCardinality(String) CODEC(ZSTD(1)),
    environment LowCardinality(String) CODEC(ZSTD(1)),
    first_seen SimpleAggregateFunction(min, DateTime) CODEC(ZSTD(1)),
    last_seen SimpleAggregateFunction(max, DateTime) CODEC(ZSTD(1)),
    calls SimpleAggregateFunction(sum, Int64) CODEC(ZSTD(1))
)
ENGINE = {engine}AggregatingMergeTree
ORDER BY (provider, request_model, response_model, system_fingerprint, service, environment)
TTL last_seen + toIntervalDay({rollup_1h_days})
SETTINGS index_granularity = 8192, {settings};

CREATE MATERIALIZED VIEW IF NOT EXISTS {database}.llm_models_seen_mv{on_cluster}
TO {database}.llm_models_seen AS
SELECT
    provider,
    request_model,
    response_model,
    system_fingerprint,
    service,
    environment,
    min(toDateTime(timestamp)) AS first_seen,
    max(toDateTime(timestamp)) AS last_seen,
    sum(toInt64(sign)) AS calls
FROM {database}.llm_call_versions
WHERE duplicate_of = '' AND response_model != ''
GROUP BY provider, request_model, response_model, system_fingerprint, service, environment;

-- Which version of a service called models, since when: a first sight is a deploy.
CREATE TABLE IF NOT EXISTS {database}.llm_deploys_seen{on_cluster} (
    service LowCardinality(String) CODEC(ZSTD(1)),
    environment LowCardinality(String) CODEC(ZSTD(1)),
    service_version LowCardinality(String) CODEC(ZSTD(1)),
    first_seen SimpleAggregateFunction(min, DateTime) CODEC(ZSTD(1)),
    last_seen SimpleAggregateFunction(max, DateTime) CODEC(ZSTD(1)),
    calls SimpleAggregateFunction(sum, Int64) CODEC(ZSTD(1))
)
ENGINE = {engine}AggregatingMergeTree
ORDER BY (service, environment, service_version)
TTL last_seen + toIntervalDay({rollup_1h_days})
SETTINGS index_granularity = 8192, {settings};

CREATE MATERIALIZED VIEW IF NOT EXISTS {database}.llm_deploys_seen_mv{on_cluster}
TO {database}.llm_deploys_seen AS
SELECT
    service,
    environment,
    service_version,
    min(toDateTime(timestamp)) AS first_seen,
    max(toDateTime(timestamp)) AS last_seen,
    sum(toInt64(sign)) AS calls
FROM {database}.llm_call_versions
WHERE duplicate_of = '' AND service_version != ''
GROUP BY service, environment, service_version;

-- The failing calls by minute, with all that tells one failure from another. Few calls fail, so this
-- stays small with many columns in its key. Calls are weighted as in calls_weighted.
CREATE TABLE IF NOT EXISTS {database}.llm_failures_1m{on_cluster} (
    timestamp DateTime COMMENT 'start of the minute' CODEC(Delta(4), ZSTD(1)),
    service LowCardinality(String) CODEC(ZSTD(1)),
    service_version LowCardinality(String) CODEC(ZSTD(1)),
    environment LowCardinality(String) CODEC(ZSTD(1)),
    region LowCardinality(String) CODEC(ZSTD(1)),
    tenant LowCardinality(String) CODEC(ZSTD(1)),
    feature LowCardinality(String) CODEC(ZSTD(1)),
    provider LowCardinality(String) CODEC(ZSTD(1)),
    request_model LowCardinality(String) CODEC(ZSTD(1)),
    response_model LowCardinality(String) CODEC(ZSTD(1)),
    failure_class LowCardinality(String) CODEC(ZSTD(1)),
    failure_phase LowCardinality(String) CODEC(ZSTD(1)),
    fault_domain LowCardinality(String) CODEC(ZSTD(1)),
    retry_advice LowCardinality(String) CODEC(ZSTD(1)),
    http_status UInt16 COMMENT '0: not known' CODEC(ZSTD(1)),
    error_code LowCardinality(String) CODEC(ZSTD(1)),
    calls SimpleAggregateFunction(sum, Float64) COMMENT 'sum of sample_weight' CODEC(ZSTD(1)),
    tokens SimpleAggregateFunction(sum, Int64) COMMENT 'input and output' CODEC(ZSTD(1)),
    cost_usd SimpleAggregateFunction(sum, Decimal(38, 12)) COMMENT 'of the calls whose cost is known' CODEC(ZSTD(1))
)
ENGINE = {engine}AggregatingMergeTree
PARTITION BY toDate(timestamp)
ORDER BY (timestamp, service, service_version, environment, region, tenant, feature, provider, request_model,
    response_model, failure_class, failure_phase, fault_domain, retry_advice, http_status, error_code)
TTL timestamp + toIntervalDay({rollup_1m_days})
SETTINGS index_granularity = 8192, ttl_only_drop_parts = 1, {settings};

CREATE MATERIALIZED VIEW IF NOT EXISTS {database}.llm_failures_1m_mv{on_cluster}
TO {database}.llm_failures_1m AS
SELECT
    toDateTime(toStartOfMinute(llm_call_versions.timestamp)) AS timestamp,
    service,
    service_version,
    environment,
    region,
    tenant,
    feature,
    provider,
    request_model,
    response_model,
    failure_class,
    failure_phase,
    fault_domain,
    retry_advice,
    ifNull(llm_call_versions.http_status, 0) AS http_status,
    error_code,
    sum(sign * sample_weight) AS calls,
    sum(sign * toInt64(ifNull(input_tokens, 0) + ifNull(output_tokens, 0))) AS tokens,
    sum(sign * toDecimal128(ifNull(llm_call_versions.cost_usd, 0), 12)) AS cost_usd
FROM {database}.llm_call_versions
WHERE duplicate_of = '' AND failure_class != ''
GROUP BY timestamp, service, service_version, environment, region, tenant, feature, provider, request_model,
    response_model, failure_class, failure_phase, fault_domain, retry_advice, http_status, error_code;

-- One trait of the calls beside whether they failed: a row says how many calls of a model had, say,
-- an input between 2000 and 4000 characters. A new trait is a new word, not a new column.
-- Numbers are put into classes that are named by their lower end.
CREATE TABLE IF NOT EXISTS {database}.llm_traits_5m{on_cluster} (
    trait LowCardinality(String) CODEC(ZSTD(1)),
    timestamp DateTime COMMENT 'start of the five minutes' CODEC(Delta(4), ZSTD(1)),
    service LowCardinality(String) CODEC(ZSTD(1)),
    environment LowCardinality(String) CODEC(ZSTD(1)),
    provider LowCardinality(String) CODEC(ZSTD(1)),
    request_model LowCardinality(String) CODEC(ZSTD(1)),
    value LowCardinality(String) CODEC(ZSTD(1)),
    calls SimpleAggregateFunction(sum, Float64) COMMENT 'sum of sample_weight' CODEC(ZSTD(1)),
    failed SimpleAggregateFunction(sum, Float64) CODEC(ZSTD(1)),
    output_failed SimpleAggregateFunction(sum, Float64) COMMENT 'answered, but badly: llm.output.*' CODEC(ZSTD(1)),
    cost_usd SimpleAggregateFunction(sum, Decimal(38, 12)) COMMENT 'of the calls whose cost is known' CODEC(ZSTD(1))
)
ENGINE = {engine}AggregatingMergeTree
PARTITION BY toDate(timestamp)
ORDER BY (trait, timestamp, service, environment, provider, request_model, value)
TTL timestamp + toIntervalDay({rollup_1m_days})
SETTINGS index_granularity = 8192, ttl_only_drop_parts = 1, {settings};

CREATE MATERIALIZED VIEW IF NOT EXISTS {database}.llm_traits_5m_mv{on_cluster}
TO {database}.llm_traits_5m AS
SELECT
    tupleElement(one, 1) AS trait,
    toDateTime(toStartOfFiveMinutes(llm_call_versions.timestamp)) AS timestamp,
    service,
    environment,
    provider,
    request_model,
    tupleElement(one, 2) AS value,
    sum(sign * sample_weight) AS calls,
    sum(sign * sample_weight * (failure_class != '')) AS failed,
    sum(sign * sample_weight * startsWith(failure_class, 'llm.output.')) AS output_failed,
    sum(sign * toDecimal128(ifNull(llm_call_versions.cost_usd, 0), 12)) AS cost_usd
FROM {database}.llm_call_versions
ARRAY JOIN arrayConcat(
    [
        ('attempt', toString(least(attempt, 9))),
        ('cost_status', toString(cost_status)),
        ('tokens_source', toString(tokens_source)),
        ('finish_reason', toString(finish_reason)),
        ('service_version', toString(service_version))
    ],
    if(stream_outcome = '', [], [('stream_outcome', toString(stream_outcome))]),
    if(message_count = 0, [], [
        ('input_chars', toString(multiIf(
            input_chars < 500, 0, input_chars < 1000, 500, input_chars < 2000, 1000, input_chars < 4000, 2000,
            input_chars < 8000, 4000, input_chars < 16000, 8000, input_chars < 32000, 16000,
            input_chars < 64000, 32000, 64000))),
        ('language', if(language = '', 'not told', toString(language))),
        ('has_code', if(has_code, 'code', 'no code'))
    ]),
    arrayMap(flag -> ('input_flag', toString(flag)), input_flags),
    arrayMap(flag -> ('output_flag', toString(flag)), output_flags),
    arrayMap(flag -> ('tool_flag', toString(flag)), tool_flags)
) AS one
WHERE duplicate_of = ''
GROUP BY trait, timestamp, service, environment, provider, request_model, value;

-- The collector's own numbers, as on its /metrics, four times a minute.
CREATE TABLE IF NOT EXISTS {database}.lapwing_metrics{on_cluster} (
    timestamp DateTime CODEC(Delta(4), ZSTD(1)),
    instance LowCardinality(String) COMMENT 'host and admin port' CODEC(ZSTD(1)),
    name LowCardinality(String) CODEC(ZSTD(1)),
    labels LowCardinality(String) COMMENT 'as Prometheus writes them' CODEC(ZSTD(1)),
    value Float64 CODEC(ZSTD(1))
)
ENGINE = {engine}MergeTree
PARTITION BY toDate(timestamp)
ORDER BY (name, timestamp, instance, labels)
TTL timestamp + toIntervalDay({logs_days})
SETTINGS index_granularity = 8192, ttl_only_drop_parts = 1, {settings};
