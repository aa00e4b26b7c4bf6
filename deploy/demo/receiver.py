#!/usr/bin/env python3
"""A receiver of webhooks for the first look at Lapwing: prints each alert that it is sent. Not for anything else."""

import http.server
import json
import os


class Receiver(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        try:
            message = json.loads(body)
            data = message.get("data", {})
            print(f"{message.get('type')}: [{data.get('severity')}] {data.get('title')}", flush=True)
        except (ValueError, AttributeError):
            print(f"not an alert: {body[:200]!r}", flush=True)
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    port = int(os.environ.get("RECEIVER_PORT", "9099"))
    print(f"waiting for alerts on http://127.0.0.1:{port}/", flush=True)
    http.server.ThreadingHTTPServer(("127.0.0.1", port), Receiver).serve_forever()
