#!/usr/bin/env python3
"""A model provider that answers the same thing every time, for tests. Standard library only.

    python3 mock_llm.py [--port 0]

Prints `listening on http://127.0.0.1:PORT` and serves until its standard input closes, so it never
outlives the test that started it.

    POST /v1/chat/completions   OpenAI, plain and streamed
    POST /v1/responses          OpenAI, plain and streamed
    POST /v1/embeddings         OpenAI
    POST /v1/messages           Anthropic, plain and streamed

What happens is named by the header `x-mock-scenario`, else by a model called `mock-<scenario>`, else it is
`ok`. SCENARIOS below holds every scenario with its tokens. An alias is answered by a dated snapshot, as
providers do, so that a test can tell the requested model from the one that answered.
"""
import argparse
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TEXT = "Paris is the capital of France."
CUT_TEXT = "The history of Paris begins with the Parisii, a Celtic people who settled on the"
TOOL = ("get_weather", {"location": "Paris", "unit": "celsius"})
CREATED_S = 1_767_225_600

# scenario -> (text or None, input tokens, output tokens, OpenAI finish reason)
SCENARIOS = {
    "ok": (TEXT, 24, 9, "stop"),
    "tool": (None, 82, 18, "tool_calls"),
    "empty": ("", 24, 0, "stop"),
    "truncated": (CUT_TEXT, 24, 16, "length"),
}
ANTHROPIC_STOP = {"stop": "end_turn", "tool_calls": "tool_use", "length": "max_tokens"}
SNAPSHOTS = {
    "gpt-4o": "gpt-4o-2024-08-06",
    "gpt-4o-mini": "gpt-4o-mini-2024-07-18",
    "claude-sonnet-4-5": "claude-sonnet-4-5-20250929",
}
EMBEDDING_TOKENS = 8

# scenario -> (status, OpenAI type, OpenAI code, OpenAI message, Anthropic status, type, message)
ERRORS = {
    "quota": (
        429, "insufficient_quota", "insufficient_quota",
        "You exceeded your current quota, please check your plan and billing details. For more information on "
        "this error, read the docs: https://platform.openai.com/docs/guides/error-codes/api-errors.",
        400, "invalid_request_error",
        "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade or "
        "purchase credits.",
    ),
    "rate_limit": (
        429, "requests", "rate_limit_exceeded",
        "Rate limit reached for gpt-4o in organization org-mock on requests per min (RPM): Limit 500, Used 500, "
        "Requested 1. Please try again in 120ms. Visit https://platform.openai.com/account/rate-limits to learn "
        "more.",
        429, "rate_limit_error",
        "This request would exceed your organization's rate limit of 50 requests per minute.",
    ),
    "server_error": (
        500, "server_error", None,
        "The server had an error while processing your request. Sorry about that!",
        500, "api_error", "Internal server error",
    ),
}


def snapshot(model):
    return SNAPSHOTS.get(model, model)


# ---- OpenAI ------------------------------------------------------------------------------------------------

def openai_error(scenario):
    status, kind, code, message = ERRORS[scenario][:4]
    return status, {"error": {"message": message, "type": kind, "param": None, "code": code}}


def chat_usage(tokens_in, tokens_out):
    return {"prompt_tokens": tokens_in, "completion_tokens": tokens_out, "total_tokens": tokens_in + tokens_out,
            "prompt_tokens_details": {"cached_tokens": 0}, "completion_tokens_details": {"reasoning_tokens": 0}}


def tool_call():
    name, arguments = TOOL
    return {"id": "call_1", "type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}


def chat(scenario, request):
    text, tokens_in, tokens_out, finish = SCENARIOS[scenario]
    message = {"role": "assistant", "content": text, "refusal": None}
    if finish == "tool_calls":
        message["tool_calls"] = [tool_call()]
    return {"id": f"chatcmpl-{scenario}", "object": "chat.completion", "created": CREATED_S,
            "model": snapshot(request["model"]), "service_tier": "default", "system_fingerprint": "fp_mock",
            "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": finish}],
            "usage": chat_usage(tokens_in, tokens_out)}


def chat_stream(scenario, request):
    """The chunks of a streamed completion; usage comes last and only when asked for."""
    text, tokens_in, tokens_out, finish = SCENARIOS[scenario]
    head = {"id": f"chatcmpl-{scenario}", "object": "chat.completion.chunk", "created": CREATED_S,
            "model": snapshot(request["model"]), "service_tier": "default", "system_fingerprint": "fp_mock"}

    def chunk(delta, reason=None):
        return head | {"choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}]}

    yield chunk({"role": "assistant", "content": ""})
    if finish == "tool_calls":
        yield chunk({"tool_calls": [tool_call() | {"index": 0}]})
    for word in (text or "").split(" "):
        if word:
            yield chunk({"content": word + " "})
    yield chunk({}, finish)
    if (request.get("stream_options") or {}).get("include_usage"):
        yield head | {"choices": [], "usage": chat_usage(tokens_in, tokens_out)}


def response(scenario, request, status=None):
    """A Responses API object; `in_progress` is the one that opens a stream."""
    text, tokens_in, tokens_out, finish = SCENARIOS[scenario]
    cut = finish == "length"
    status = status or ("incomplete" if cut else "completed")
    name, arguments = TOOL
    if finish == "tool_calls":
        output = [{"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": name,
                   "arguments": json.dumps(arguments), "status": "completed"}]
    elif text:
        output = [{"type": "message", "id": "msg_1", "role": "assistant", "status": status,
                   "content": [{"type": "output_text", "text": text, "annotations": [], "logprobs": []}]}]
    else:
        output = []
    done = status != "in_progress"
    return {"id": f"resp_{scenario}", "object": "response", "created_at": CREATED_S, "status": status, "error": None,
            "incomplete_details": {"reason": "max_output_tokens"} if cut and done else None,
            "instructions": request.get("instructions"), "metadata": {}, "model": snapshot(request["model"]),
            "output": output if done else [], "parallel_tool_calls": True, "temperature": 1.0, "tool_choice": "auto",
            "tools": request.get("tools") or [], "top_p": 1.0, "service_tier": "default",
            "text": {"format": {"type": "text"}},
            "usage": {"input_tokens": tokens_in, "input_tokens_details": {"cached_tokens": 0},
                      "output_tokens": tokens_out, "output_tokens_details": {"reasoning_tokens": 0},
                      "total_tokens": tokens_in + tokens_out} if done else None}


def response_stream(scenario, request):
    full = response(scenario, request)
    events = [("response.created", {"response": response(scenario, request, "in_progress")})]
    for index, item in enumerate(full["output"]):
        events.append(("response.output_item.added",
                       {"output_index": index, "item": item | {"status": "in_progress"} | (
                           {"content": []} if item["type"] == "message" else {})}))
        if item["type"] == "message":
            where = {"item_id": item["id"], "output_index": index, "content_index": 0}
            part = item["content"][0]
            events.append(("response.content_part.added", where | {"part": part | {"text": ""}}))
            events.append(("response.output_text.delta", where | {"delta": part["text"], "logprobs": []}))
            events.append(("response.output_text.done", where | {"text": part["text"], "logprobs": []}))
            events.append(("response.content_part.done", where | {"part": part}))
        events.append(("response.output_item.done", {"output_index": index, "item": item}))
    events.append((f"response.{full['status']}", {"response": full}))
    for number, (kind, body) in enumerate(events):
        yield kind, {"type": kind, "sequence_number": number} | body


def embeddings(request):
    texts = request["input"] if isinstance(request["input"], list) else [request["input"]]
    return {"object": "list", "model": snapshot(request["model"]),
            "data": [{"object": "embedding", "index": i, "embedding": [0.1, 0.2, 0.3]} for i in range(len(texts))],
            "usage": {"prompt_tokens": EMBEDDING_TOKENS, "total_tokens": EMBEDDING_TOKENS}}


# ---- Anthropic ---------------------------------------------------------------------------------------------

def anthropic_error(scenario):
    status, kind, message = ERRORS[scenario][4:]
    return status, {"type": "error", "error": {"type": kind, "message": message}, "request_id": f"req_{scenario}"}


def message(scenario, request):
    text, tokens_in, tokens_out, finish = SCENARIOS[scenario]
    name, arguments = TOOL
    content = [{"type": "text", "text": text}] if text else []
    if finish == "tool_calls":
        content = [{"type": "tool_use", "id": "toolu_1", "name": name, "input": arguments}]
    return {"id": f"msg_{scenario}", "type": "message", "role": "assistant", "model": snapshot(request["model"]),
            "content": content, "stop_reason": ANTHROPIC_STOP[finish], "stop_sequence": None,
            "usage": {"input_tokens": tokens_in, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0,
                      "output_tokens": tokens_out, "service_tier": "standard"}}


def message_stream(scenario, request):
    full = message(scenario, request)
    start = full | {"content": [], "stop_reason": None, "usage": full["usage"] | {"output_tokens": 1}}
    yield "message_start", {"type": "message_start", "message": start}
    for index, block in enumerate(full["content"]):
        if block["type"] == "text":
            empty, delta = block | {"text": ""}, {"type": "text_delta", "text": block["text"]}
        else:
            empty = block | {"input": {}}
            delta = {"type": "input_json_delta", "partial_json": json.dumps(block["input"])}
        yield "content_block_start", {"type": "content_block_start", "index": index, "content_block": empty}
        yield "content_block_delta", {"type": "content_block_delta", "index": index, "delta": delta}
        yield "content_block_stop", {"type": "content_block_stop", "index": index}
    delta = {"stop_reason": full["stop_reason"], "stop_sequence": None}
    yield "message_delta", {"type": "message_delta", "delta": delta, "usage": full["usage"]}
    yield "message_stop", {"type": "message_stop"}


# ---- HTTP --------------------------------------------------------------------------------------------------

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers.get("content-length") or 0)) or b"{}")
        path = self.path.split("?")[0]
        model = str(request.get("model", ""))
        named = model.removeprefix("mock-") if model.startswith("mock-") else "ok"
        scenario = self.headers.get("x-mock-scenario") or named
        if scenario not in SCENARIOS and scenario not in ERRORS:
            return self.send_json(400, {"error": {"message": f"mock: no scenario {scenario!r}", "type": "mock"}})
        error = anthropic_error if path == "/v1/messages" else openai_error
        if scenario in ERRORS:
            return self.send_json(*error(scenario))
        stream = bool(request.get("stream"))
        match path:
            case "/v1/chat/completions" if stream:
                self.send_events(((None, chunk) for chunk in chat_stream(scenario, request)), done=True)
            case "/v1/chat/completions":
                self.send_json(200, chat(scenario, request))
            case "/v1/responses" if stream:
                self.send_events(response_stream(scenario, request))
            case "/v1/responses":
                self.send_json(200, response(scenario, request))
            case "/v1/embeddings":
                self.send_json(200, embeddings(request))
            case "/v1/messages" if stream:
                self.send_events(message_stream(scenario, request))
            case "/v1/messages":
                self.send_json(200, message(scenario, request))
            case _:
                self.send_json(404, {"error": {"message": f"mock: no such path {path}", "type": "mock"}})

    def send_json(self, status, body):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.send_header("x-request-id", "req_mock")
        self.end_headers()
        self.wfile.write(data)

    def send_events(self, events, done=False):
        """Server-sent events; the end of the connection is the end of the answer."""
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("connection", "close")
        self.end_headers()
        self.close_connection = True
        for kind, body in events:
            name = f"event: {kind}\n" if kind else ""
            self.wfile.write(f"{name}data: {json.dumps(body)}\n\n".encode())
        if done:
            self.wfile.write(b"data: [DONE]\n\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, default=0, help="0 picks a free one")
    server = ThreadingHTTPServer(("127.0.0.1", parser.parse_args().port), Handler)
    server.daemon_threads = True
    print(f"listening on http://127.0.0.1:{server.server_address[1]}", flush=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdin.read()


if __name__ == "__main__":
    main()
