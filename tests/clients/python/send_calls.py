"""Calls a model as an application does, under a real instrumentation, and lets a real exporter send it.

    opentelemetry-instrument python send_calls.py INSTRUMENTATION CALL...

Nothing here configures OpenTelemetry: `opentelemetry-instrument` does, from the OTEL_ variables. The provider
is at OPENAI_BASE_URL. Each CALL is `scenario` or `api:scenario` (chat, stream, responses, embeddings; chat
unless said). Prints one JSON line: when the export began and ended (Unix nanoseconds) and what each call came to.
"""
import json
import sys
import time
from importlib import import_module

from openai import APIStatusError, OpenAI
from opentelemetry import trace
from opentelemetry._logs import get_logger_provider

INSTRUMENTATIONS = {
    "openai-v2": "opentelemetry.instrumentation.openai_v2",
    "genai-openai": "opentelemetry.instrumentation.genai.openai",
    "openinference": "openinference.instrumentation.openai",
}
MODEL = "gpt-4o"
EMBEDDING_MODEL = "text-embedding-3-small"
MESSAGES = [
    {"role": "system", "content": "You are a concise assistant."},
    {"role": "user", "content": "What is the capital of France?"},
]
WEATHER = {"type": "object", "properties": {"location": {"type": "string"}, "unit": {"type": "string"}}}
TOOLS = [{"type": "function", "function": {"name": "get_weather", "parameters": WEATHER}}]
FLUSH_TIMEOUT_MS = 20_000


def call(client, api, scenario):
    headers = {"x-mock-scenario": scenario}
    tools = {"tools": TOOLS} if scenario == "tool" else {}
    match api:
        case "chat":
            client.chat.completions.create(model=MODEL, messages=MESSAGES, extra_headers=headers, **tools)
        case "stream":
            for _ in client.chat.completions.create(
                model=MODEL, messages=MESSAGES, extra_headers=headers, stream=True,
                stream_options={"include_usage": True}, **tools,
            ):
                pass
        case "responses":
            client.responses.create(model=MODEL, input=MESSAGES[1]["content"], extra_headers=headers)
        case "embeddings":
            client.embeddings.create(model=EMBEDDING_MODEL, input="Paris", extra_headers=headers)
        case _:
            raise SystemExit(f"no such api: {api}")


def main():
    instrumentation, *calls = sys.argv[1:]
    import_module(INSTRUMENTATIONS[instrumentation]).OpenAIInstrumentor().instrument()
    client = OpenAI(api_key="sk-test", max_retries=0)
    came_to = []
    for text in calls:
        api, _, scenario = text.rpartition(":")
        try:
            call(client, api or "chat", scenario)
            came_to.append("ok")
        except APIStatusError as error:
            came_to.append(f"{error.status_code}")
    began_ns = time.time_ns()
    flushed = [p.force_flush(FLUSH_TIMEOUT_MS) for p in (trace.get_tracer_provider(), get_logger_provider())]
    print(json.dumps({"began_ns": began_ns, "ended_ns": time.time_ns(), "flushed": all(flushed), "calls": came_to}))


if __name__ == "__main__":
    main()
