"""An OTLP receiver of OpenTelemetry's own generated classes: what a collector forwards to.

    receive_otlp.py PROTOCOL PORT FILE [WHAT]

PROTOCOL is grpc or http. Each span and log record is appended to FILE as a line of JSON, before
the request is answered. A request that has a span named "poison" is refused for good; one that has
a span named "partial" is accepted without it. WHAT makes it difficult: "busy" refuses the first
three requests for a moment, "token" wants `authorization: Bearer open-sesame`. It ends when its
input does.
"""

import gzip
import json
import os
import signal
import sys
import threading
from concurrent import futures
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import grpc
from google.rpc import error_details_pb2, status_pb2
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2 as logs
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2_grpc as logs_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as traces
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as traces_grpc

PROTOCOL, PORT, FILE = sys.argv[1], int(sys.argv[2]), sys.argv[3]
WHAT = sys.argv[4] if len(sys.argv) > 4 else ""
LOCK = threading.Lock()
REQUESTS = 0


class Refusal(Exception):
    """`code` as gRPC and HTTP have it, and seconds to wait."""

    def __init__(self, grpc_code, http_code, after=None):
        super().__init__(grpc_code)
        self.grpc_code, self.http_code, self.after = grpc_code, http_code, after


def value(any_value):
    kind = any_value.WhichOneof("value")
    if kind is None:
        return None
    inner = getattr(any_value, kind)
    if kind == "array_value":
        return [value(v) for v in inner.values]
    if kind == "kvlist_value":
        return attributes(inner.values)
    return inner.hex() if kind == "bytes_value" else inner


def attributes(pairs):
    return {pair.key: value(pair.value) for pair in pairs}


def admit(authorization):
    global REQUESTS
    with LOCK:
        REQUESTS += 1
        number = REQUESTS
    if WHAT == "token" and authorization != "Bearer open-sesame":
        raise Refusal(grpc.StatusCode.UNAUTHENTICATED, 401)
    if WHAT == "busy" and number <= 3:
        raise Refusal(grpc.StatusCode.RESOURCE_EXHAUSTED, 429, after=1)


def write(lines):
    with LOCK, open(FILE, "a") as out:
        out.writelines(json.dumps(line) + "\n" for line in lines)
        out.flush()
        os.fsync(out.fileno())


def take_traces(request):
    """The number of spans left out."""
    lines, left_out = [], 0
    for resource in request.resource_spans:
        for scope in resource.scope_spans:
            for span in scope.spans:
                if span.name == "poison":
                    raise Refusal(grpc.StatusCode.INVALID_ARGUMENT, 400)
                if span.name == "partial":
                    left_out += 1
                    continue
                lines.append(
                    {
                        "kind": "span",
                        "name": span.name,
                        "trace": span.trace_id.hex(),
                        "span": span.span_id.hex(),
                        "resource": attributes(resource.resource.attributes),
                        "scope": scope.scope.name,
                        "attributes": attributes(span.attributes),
                        "events": [[e.name, attributes(e.attributes)] for e in span.events],
                    }
                )
    write(lines)
    return left_out


def take_logs(request):
    write(
        {
            "kind": "log",
            "name": record.event_name,
            "trace": record.trace_id.hex(),
            "body": value(record.body),
            "attributes": attributes(record.attributes),
        }
        for resource in request.resource_logs
        for scope in resource.scope_logs
        for record in scope.log_records
    )


def guarded(context, work):
    try:
        admit(dict(context.invocation_metadata()).get("authorization"))
        return work()
    except Refusal as refusal:
        if refusal.after is not None:
            info = error_details_pb2.RetryInfo()
            info.retry_delay.seconds = refusal.after
            status = status_pb2.Status(code=refusal.grpc_code.value[0], message="later")
            status.details.add().Pack(info)
            context.set_trailing_metadata(
                [("grpc-status-details-bin", status.SerializeToString())]
            )
        context.abort(refusal.grpc_code, "refused by the test")


class Traces(traces_grpc.TraceServiceServicer):
    def Export(self, request, context):
        def work():
            answer = traces.ExportTraceServiceResponse()
            left_out = take_traces(request)
            if left_out:
                answer.partial_success.rejected_spans = left_out
                answer.partial_success.error_message = "not those"
            return answer

        return guarded(context, work)


class Logs(logs_grpc.LogsServiceServicer):
    def Export(self, request, context):
        def work():
            take_logs(request)
            return logs.ExportLogsServiceResponse()

        return guarded(context, work)


class Http(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        assert self.headers["content-type"] == "application/x-protobuf"
        try:
            admit(self.headers.get("authorization"))
            if self.path == "/v1/traces":
                answer = traces.ExportTraceServiceResponse()
                left_out = take_traces(traces.ExportTraceServiceRequest.FromString(body))
                if left_out:
                    answer.partial_success.rejected_spans = left_out
            elif self.path == "/v1/logs":
                answer = logs.ExportLogsServiceResponse()
                take_logs(logs.ExportLogsServiceRequest.FromString(body))
            else:
                return self.answer(404, b"no such path")
            self.answer(200, answer.SerializeToString())
        except Refusal as refusal:
            self.answer(refusal.http_code, b"refused by the test", refusal.after)

    def answer(self, status, body, after=None):
        self.send_response(status)
        self.send_header("content-type", "application/x-protobuf")
        self.send_header("content-length", str(len(body)))
        if after is not None:
            self.send_header("retry-after", str(after))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def main():
    if PROTOCOL == "grpc":
        server = grpc.server(futures.ThreadPoolExecutor(4), options=[("grpc.so_reuseport", 0)])
        traces_grpc.add_TraceServiceServicer_to_server(Traces(), server)
        logs_grpc.add_LogsServiceServicer_to_server(Logs(), server)
        server.add_insecure_port(f"127.0.0.1:{PORT}")
        server.start()
    else:
        server = ThreadingHTTPServer(("127.0.0.1", PORT), Http)
        threading.Thread(target=server.serve_forever, daemon=True).start()
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    print("listening", flush=True)
    sys.stdin.read()
    os._exit(0)


main()
