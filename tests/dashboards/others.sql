-- What the dashboards show beside calls. The tables are made where the schema does not have them yet.
CREATE TABLE IF NOT EXISTS {database}.llm_alerts (
    timestamp DateTime64(9), number UInt64, id String, fingerprint String, change LowCardinality(String), status LowCardinality(String),
    kind LowCardinality(String), severity LowCardinality(String), labels Map(LowCardinality(String), String), detected_at DateTime64(9),
    incident String
) ENGINE = ReplacingMergeTree ORDER BY (id, timestamp, number);

CREATE TABLE IF NOT EXISTS {database}.llm_alert_deliveries (
    timestamp DateTime64(9), number UInt64, id String, receiver LowCardinality(String), outcome LowCardinality(String), reason String
) ENGINE = ReplacingMergeTree ORDER BY (receiver, timestamp, number);

CREATE TABLE IF NOT EXISTS {database}.llm_eval_results (
    timestamp DateTime64(9), trace_id String, name LowCardinality(String), score Nullable(Float64), label LowCardinality(String),
    service LowCardinality(String), environment LowCardinality(String)
) ENGINE = ReplacingMergeTree ORDER BY (service, name, timestamp, trace_id);

CREATE VIEW IF NOT EXISTS {database}.llm_evals AS SELECT * FROM {database}.llm_eval_results FINAL;

CREATE TABLE IF NOT EXISTS {database}.llm_tool_call_versions (
    timestamp DateTime64(9), trace_id String, span_id String, tool_index UInt16, attempt UInt16, duration_ns Nullable(UInt64),
    name LowCardinality(String), outcome LowCardinality(String), failed_layer LowCardinality(String), repeated Bool,
    service LowCardinality(String), environment LowCardinality(String), provider LowCardinality(String),
    request_model LowCardinality(String), sample_weight Float64, sign Int8, version UInt32
) ENGINE = VersionedCollapsingMergeTree(sign, version) ORDER BY (service, timestamp, trace_id, span_id, tool_index, attempt);

INSERT INTO {database}.llm_alerts (timestamp, number, id, fingerprint, change, status, kind, severity, labels, detected_at, incident)
SELECT toDateTime64({to_s} - {seconds} + {seconds} * moment, 9), 1, id, id, change, change, kind, severity, map('provider', provider, 'model', model),
    toDateTime64({to_s} - {seconds} + {seconds} * raised, 9), '{}'
FROM VALUES('moment Float64, raised Float64, id String, kind String, severity String, change String, provider String, model String',
    (0.56, 0.56, 'alert-1', 'rate_limit_spike', 'ticket', 'firing', 'openai', 'gpt-4o'),
    (0.63, 0.56, 'alert-1', 'rate_limit_spike', 'ticket', 'resolved', 'openai', 'gpt-4o'),
    (0.705, 0.705, 'alert-2', 'model_change', 'info', 'firing', 'openai', 'gpt-4o'),
    (0.815, 0.815, 'alert-3', 'empty_rise', 'ticket', 'firing', 'gcp.gemini', 'gemini-2.5-flash'),
    (0.89, 0.815, 'alert-3', 'empty_rise', 'ticket', 'resolved', 'gcp.gemini', 'gemini-2.5-flash'),
    (0.945, 0.945, 'alert-4', 'quota_exhausted', 'page', 'firing', 'openai', ''));

INSERT INTO {database}.llm_alert_deliveries (timestamp, number, id, receiver, outcome, reason)
SELECT timestamp, n.number, id, 'oncall', if(n.number = 0, 'failed', 'delivered'), if(n.number = 0, '503 Service Unavailable', '')
FROM {database}.llm_alerts CROSS JOIN numbers(2) AS n;

INSERT INTO {database}.llm_eval_results (timestamp, trace_id, name, score, label, service, environment)
SELECT toDateTime64({to_s} - {seconds} * 3 + {seconds} * 3 * number / 3000, 9), toString(number), ['faithfulness', 'helpfulness'][1 + number % 2],
    0.6 - if(number > 2700 AND intDiv(number, 2) % 2 = 0, 0.2, 0) + (cityHash64(number) % 100) / 1000, '',
    ['shop', 'search'][1 + intDiv(number, 2) % 2], 'production'
FROM numbers(3000);

INSERT INTO {database}.llm_tool_call_versions (
    timestamp, trace_id, span_id, tool_index, attempt, duration_ns, name, outcome, failed_layer, repeated, service, environment, provider,
    request_model, sample_weight, sign, version
)
SELECT toDateTime64({to_s} - {seconds} + {seconds} * number / 2000, 9), toString(number), toString(number), 0, 1,
    1000000 * (20 + cityHash64(number) % 400), ['lookup_order', 'search_docs', 'refund'][1 + number % 3], if(layer = '', 'ok', 'failed'),
    multiIf(number % 41 = 0, 'arguments', number % 3 = 2 AND number % 7 = 0, 'execution', '') AS layer, number % 50 = 0,
    ['shop', 'search'][1 + number % 2], 'production', 'openai', 'gpt-4o', 1, 1, 1
FROM numbers(2000);

INSERT INTO {database}.lapwing_metrics (timestamp, instance, name, labels, value)
SELECT toDateTime({to_s} - {seconds} + 15 * number), 'collector-1:4319', name, labels,
    multiIf(gauge = 1, size * (1 + (cityHash64(number, name) % 20) / 60), floor(size * number) + if(size > 1, cityHash64(number, labels) % 30, 0))
FROM numbers(intDiv({seconds}, 15)) AS n
CROSS JOIN VALUES('name String, labels String, gauge UInt8, size Float64',
    ('lapwing_spans_decoded_total', '', 0, 900), ('lapwing_log_records_decoded_total', '', 0, 120), ('lapwing_calls_total', '', 0, 300),
    ('lapwing_exporter_sent_rows_total', 'table="otel_traces"', 0, 900), ('lapwing_exporter_sent_rows_total', 'table="llm_call_versions"', 0, 300),
    ('lapwing_exporter_queue_bytes', 'table="otel_traces"', 1, 400000), ('lapwing_exporter_queue_bytes', 'table="llm_call_versions"', 1, 150000),
    ('lapwing_exporter_failed_rows_total', 'table="otel_traces"', 0, 0), ('lapwing_items_rejected_total', '', 0, 0),
    ('lapwing_receiver_refused_requests_total', 'transport="http",reason="busy"', 0, 0.01), ('lapwing_receiver_refused_requests_total', 'transport="grpc",reason="invalid"', 0, 0.002),
    ('lapwing_ack_seconds', 'quantile="0.5"', 1, 0.006), ('lapwing_ack_seconds', 'quantile="0.99"', 1, 0.021),
    ('lapwing_process_memory_rss_bytes', '', 1, 48000000), ('lapwing_correlation_bytes', '', 1, 6000000)) AS m;
