"""A stand-in for prometheus-config-reloader: watches folders and asks a server to read its configuration again when they change.

`--watched-dir=DIR` (may be repeated), `--reload-url=URL`, `--listen-address=HOST:PORT` for `/healthz` and `/metrics`; further
flags are accepted. Standard library only.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import signal
import sys
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

LOOK_SECONDS = 1.0
RETRY_SECONDS = 3.0
reloads = {"success": 0, "failure": 0}


class Status(BaseHTTPRequestHandler):
    """Health, and how often the server was asked."""

    def do_GET(self) -> None:
        """`/healthz` and `/metrics`."""
        if self.path not in {"/healthz", "/metrics"}:
            self.send_error(404)
            return
        lines = [
            "# TYPE reloader_reloads_total counter",
            f"reloader_reloads_total {reloads['success'] + reloads['failure']}",
            "# TYPE reloader_reloads_failed_total counter",
            f"reloader_reloads_failed_total {reloads['failure']}",
        ]
        body = ("OK" if self.path == "/healthz" else "\n".join(lines)).encode() + b"\n"
        self.send_response(200)
        self.send_header("content-type", "text/plain; version=0.0.4")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing: probes come every few seconds."""


def digest(folders: list[str]) -> str:
    """What the folders hold, as one text that changes with any file."""
    found = hashlib.sha256()
    for top in folders:
        for folder, names, files in os.walk(top, followlinks=True):
            names[:] = sorted(name for name in names if not name.startswith(".."))
            for name in sorted(files):
                path = os.path.join(folder, name)
                try:
                    with open(path, "rb") as opened:
                        found.update(path.encode() + b"\0" + opened.read() + b"\0")
                except OSError:
                    continue
    return found.hexdigest()


def reload(url: str) -> bool:
    """Ask once; whether the server took it."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method="POST"), timeout=10) as answer:
            taken = bool(answer.status < 300)
    except (OSError, ValueError) as error:
        print(f"reload of {url} failed: {error}", file=sys.stderr, flush=True)
        taken = False
    reloads["success" if taken else "failure"] += 1
    return taken


def main() -> None:
    """Watch until ended."""
    parser = argparse.ArgumentParser(prog="prometheus-config-reloader", allow_abbrev=False)
    parser.add_argument("--watched-dir", action="append", default=[])
    parser.add_argument("--listen-address", default=":8080")
    parser.add_argument("--reload-url", default="http://127.0.0.1:9090/-/reload")
    given, _ = parser.parse_known_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    host, _, port = given.listen_address.rpartition(":")
    threading.Thread(target=ThreadingHTTPServer((host or "0.0.0.0", int(port)), Status).serve_forever, daemon=True).start()
    known = digest(given.watched_dir)
    while True:
        time.sleep(LOOK_SECONDS)
        now = digest(given.watched_dir)
        if now != known and reload(given.reload_url):
            known = now
        elif now != known:
            time.sleep(RETRY_SECONDS)


if __name__ == "__main__":
    main()
