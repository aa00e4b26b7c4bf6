-- What the dashboards show beside calls. The tables are made where the schema does not have them yet.
CREATE TABLE IF NOT EXISTS {database}.llm_alerts (
    at DateTime64(3), id String, fingerprint String, kind LowCardinality(String), severity LowCardinality(String),
    status LowCardinality(String), title String, labels Map(LowCardinality(String), String), payload String
) ENGINE = MergeTree ORDER BY at;

CREATE TABLE IF NOT EXISTS {database}.llm_alert_deliveries (
    at DateTime64(3), id String, receiver LowCardinality(String), state LowCardinality(String), error String
) ENGINE = MergeTree ORDER BY at;

CREATE TABLE IF NOT EXISTS {database}.llm_evals (
    timestamp DateTime64(9), name LowCardinality(String), request_model LowCardinality(String),
    score Nullable(Float64), passed Nullable(Bool)
) ENGINE = MergeTree ORDER BY timestamp;

CREATE TABLE IF NOT EXISTS {database}.llm_tool_calls (
    timestamp DateTime64(9), tool_name LowCardinality(String), service LowCardinality(String),
    failure_class LowCardinality(String), duration_ns UInt64
) ENGINE = MergeTree ORDER BY timestamp;

INSERT INTO {database}.llm_alerts (at, id, fingerprint, kind, severity, status, title, labels, payload)
SELECT toDateTime64({to_s} - {seconds} + {seconds} * moment, 3), id, id, kind, severity, status, title, map('provider', provider, 'model', model), '{}'
FROM VALUES('moment Float64, id String, kind String, severity String, status String, title String, provider String, model String',
    (0.56, 'alert-1', 'rate_limit_spike', 'ticket', 'firing', 'openai / gpt-4o: token rate limit, 65 % of calls', 'openai', 'gpt-4o'),
    (0.63, 'alert-1', 'rate_limit_spike', 'ticket', 'resolved', 'openai / gpt-4o: token rate limit, 65 % of calls', 'openai', 'gpt-4o'),
    (0.705, 'alert-2', 'model_change', 'info', 'firing', 'openai / gpt-4o is answered by gpt-4o-2024-11-20', 'openai', 'gpt-4o'),
    (0.815, 'alert-3', 'empty_rise', 'ticket', 'firing', 'gcp.gemini / gemini-2.5-flash: empty answers', 'gcp.gemini', 'gemini-2.5-flash'),
    (0.89, 'alert-3', 'empty_rise', 'ticket', 'resolved', 'gcp.gemini / gemini-2.5-flash: empty answers', 'gcp.gemini', 'gemini-2.5-flash'),
    (0.945, 'alert-4', 'quota_exhausted', 'page', 'firing', 'openai: quota exhausted (insufficient_quota)', 'openai', ''));

INSERT INTO {database}.llm_alert_deliveries (at, id, receiver, state, error)
SELECT at, id, 'oncall', if(number = 0, 'retrying', 'delivered'), if(number = 0, '503 Service Unavailable', '')
FROM {database}.llm_alerts CROSS JOIN numbers(2) AS n;

INSERT INTO {database}.llm_evals (timestamp, name, request_model, score, passed)
SELECT toDateTime64({to_s} - {seconds} * 3 + {seconds} * 3 * number / 3000, 9), ['faithfulness', 'helpfulness'][1 + number % 2],
    ['gpt-4o', 'claude-sonnet-4-5'][1 + intDiv(number, 2) % 2],
    0.9 - if(number > 2700 AND intDiv(number, 2) % 2 = 0, 0.2, 0) + (cityHash64(number) % 100) / 1000 AS graded, graded > 0.8
FROM numbers(3000);

INSERT INTO {database}.llm_tool_calls (timestamp, tool_name, service, failure_class, duration_ns)
SELECT toDateTime64({to_s} - {seconds} + {seconds} * number / 2000, 9), ['lookup_order', 'search_docs', 'refund'][1 + number % 3],
    ['shop', 'search'][1 + number % 2], multiIf(number % 41 = 0, 'llm.tool.invalid_arguments', number % 3 = 2 AND number % 7 = 0, 'llm.tool.execution_failed', ''),
    1000000 * (20 + cityHash64(number) % 400)
FROM numbers(2000);

INSERT INTO {database}.lapwing_metrics (timestamp, instance, name, labels, value)
SELECT toDateTime({to_s} - {seconds} + 15 * number), 'collector-1:4319', name, labels,
    multiIf(gauge = 1, size * (1 + (cityHash64(number, name) % 20) / 20), size * number + cityHash64(number, labels) % 30)
FROM numbers(intDiv({seconds}, 15)) AS n
CROSS JOIN VALUES('name String, labels String, gauge UInt8, size Float64',
    ('lapwing_spans_decoded_total', '', 0, 900), ('lapwing_log_records_decoded_total', '', 0, 120), ('lapwing_calls_total', '', 0, 300),
    ('lapwing_exporter_sent_rows_total', 'table="otel_traces"', 0, 900), ('lapwing_exporter_sent_rows_total', 'table="llm_call_versions"', 0, 300),
    ('lapwing_exporter_queue_bytes', 'table="otel_traces"', 1, 400000), ('lapwing_exporter_queue_bytes', 'table="llm_call_versions"', 1, 150000),
    ('lapwing_exporter_failed_rows_total', 'table="otel_traces"', 0, 0), ('lapwing_items_rejected_total', '', 0, 0),
    ('lapwing_receiver_refused_requests_total', 'transport="http",reason="busy"', 0, 0.01), ('lapwing_receiver_refused_requests_total', 'transport="grpc",reason="invalid"', 0, 0.002),
    ('lapwing_ack_seconds', 'quantile="0.5"', 1, 0.006), ('lapwing_ack_seconds', 'quantile="0.99"', 1, 0.021),
    ('lapwing_process_memory_rss_bytes', '', 1, 48000000), ('lapwing_correlation_bytes', '', 1, 6000000)) AS m;
