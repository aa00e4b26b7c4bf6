#!/usr/bin/env python3
"""detect-otlp.py EVENTS.jsonl HOST:PORT: a stream of benchmark events, as `lapwing detect` reads it, as OTLP/JSON requests.
detect-otlp.py --alerts ALERTS.jsonl: alerts with the benchmark's names of providers instead of the registry's, for its scorer.

Standard attributes and events only, so no class is sent: the collector works it out. Tenant and feature stand in `app.tenant.id`
and `app.feature` (`dimensions: {tenant: [app.tenant.id], feature: [app.feature]}`). Move the times into the last days first: what is older than
its retention is not kept. Afterwards `lapwing backtest --since 30d --learn 0s` finds the incidents.
"""
import hashlib
import http.client
import itertools
import json
import sys
import time

BATCH = 500
PROVIDERS = {"azure": "azure.ai.openai", "google": "gcp.gemini", "bedrock": "aws.bedrock", "mistral": "mistral_ai"}
ATTRIBUTES = {
    "request_model": "gen_ai.request.model",
    "response_model": "gen_ai.response.model",
    "input_tokens": "gen_ai.usage.input_tokens",
    "output_tokens": "gen_ai.usage.output_tokens",
    "retry_count": "http.request.resend_count",
    "stream": "gen_ai.request.stream",
    "tenant": "app.tenant.id",
    "feature": "app.feature",
}


def attribute(key, value):
    kinds = [(bool, "boolValue"), (int, "intValue"), (float, "doubleValue"), (str, "stringValue")]
    if isinstance(value, list):
        return {"key": key, "value": {"arrayValue": {"values": [{"stringValue": v} for v in value]}}}
    kind = next(name for type_, name in kinds if isinstance(value, type_))
    return {"key": key, "value": {kind: str(value) if kind == "intValue" else value}}


def evaluation(event, trace):
    end = event["timestamp_ns"]
    result = {
        "gen_ai.evaluation.name": event["suite"],
        "gen_ai.evaluation.score.value": float(event["score"]),
        "gen_ai.evaluation.score.label": "pass" if event["passed"] else "fail",
    }
    told = [attribute(key, value) for key, value in result.items()]
    return {
        "traceId": trace, "spanId": trace[:16], "name": "evaluate", "kind": 1,
        "startTimeUnixNano": str(end - 5_000_000), "endTimeUnixNano": str(end),
        "attributes": [attribute("app.feature", event["feature"])],
        "events": [{"timeUnixNano": str(end), "name": "gen_ai.evaluation.result", "attributes": told}],
    }


def call(event, trace):
    end = event["timestamp_ns"]
    provider = PROVIDERS.get(event["provider"], event["provider"])
    told = {"gen_ai.operation.name": "chat", "gen_ai.provider.name": provider}
    told |= {name: event[field] for field, name in ATTRIBUTES.items() if field in event}
    if event.get("http_status"):
        told["http.response.status_code"] = event["http_status"]
    if "finish_reason" in event:
        told["gen_ai.response.finish_reasons"] = ["refusal" if event.get("refusal") else event["finish_reason"]]
    if "ttft_ms" in event:
        told["gen_ai.response.time_to_first_chunk"] = event["ttft_ms"] / 1e3
    message = event.get("error_body")
    if message is not None:
        told["error.type"] = event.get("error_type") or str(event.get("http_status", 0))
    elif "validation_error" in event:
        message = "response does not match the schema: " + event["validation_error"]
        told["error.type"] = "ValidationError"
    elif "error_type" in event:
        message, told["error.type"] = "", event["error_type"]
    # What nothing came out of asked for no tool.
    if "tool" in event and event.get("output_tokens"):
        part = {"type": "tool_call", "id": "c" + trace[:8], "name": event["tool"], "arguments": {}}
        told["gen_ai.output.messages"] = json.dumps([{"role": "assistant", "parts": [part]}])
    return {
        "traceId": trace, "spanId": trace[:16], "name": "chat " + event["request_model"], "kind": 3,
        "startTimeUnixNano": str(end - int(event.get("latency_ms", 5) * 1e6)), "endTimeUnixNano": str(end),
        "attributes": [attribute(key, value) for key, value in told.items()],
        "status": {"code": 0} if message is None else {"code": 2, "message": message},
    }


def execution(event, trace):
    end = event["timestamp_ns"]
    failed = event.get("tool_status") == "error"
    told = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": event["tool"], "gen_ai.tool.call.id": "c" + trace[:8]}
    told |= {"error.type": "ToolError"} if failed else {}
    return {
        "traceId": trace, "spanId": trace[16:], "parentSpanId": trace[:16], "name": "execute_tool " + event["tool"], "kind": 1,
        "startTimeUnixNano": str(end), "endTimeUnixNano": str(end + 1_000_000),
        "attributes": [attribute(key, value) for key, value in told.items()],
        "status": {"code": 2, "message": "tool failed"} if failed else {"code": 0},
    }


def spans(event, number):
    trace = hashlib.md5(str(number).encode()).hexdigest()
    if event["kind"] == "eval":
        return [evaluation(event, trace)]
    return [call(event, trace)] + ([execution(event, trace)] if "tool" in event else [])


def request(events):
    groups = {}
    for number, event in events:
        groups.setdefault((event["service"], event["environment"]), []).extend(spans(event, number))
    return {"resourceSpans": [
        {
            "resource": {"attributes": [attribute("service.name", service), attribute("deployment.environment.name", environment)]},
            "scopeSpans": [{"scope": {"name": "app"}, "spans": group}],
        }
        for (service, environment), group in groups.items()
    ]}


def named(alert):
    """An alert in the benchmark's words."""
    own = {registered: name for name, registered in PROVIDERS.items()}
    labels = alert["labels"]
    if "provider" in labels:
        told = labels["provider"]
        labels["provider"] = [own.get(name, name) for name in told] if isinstance(told, list) else own.get(told, told)
    return alert


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    if sys.argv[1] == "--alerts":
        with open(sys.argv[2], encoding="utf-8") as lines:
            for line in lines:
                print(json.dumps(named(json.loads(line))))
        return
    collector = http.client.HTTPConnection(sys.argv[2], timeout=60)
    with open(sys.argv[1], encoding="utf-8") as lines:
        numbered = enumerate(map(json.loads, lines))
        sent = 0
        while batch := list(itertools.islice(numbered, BATCH)):
            body = json.dumps(request(batch), separators=(",", ":")).encode()
            while True:
                collector.request("POST", "/v1/traces", body, {"content-type": "application/json"})
                answer = collector.getresponse()
                text = answer.read()
                if answer.status == 200:
                    break
                if answer.status not in (429, 503):
                    sys.exit(f"{answer.status}: {text[:300]!r}")
                time.sleep(1)
            sent += len(batch)
    print(f"{sent} events")


if __name__ == "__main__":
    main()
