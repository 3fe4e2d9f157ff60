"""A web server with one page, which stands for the image `nginx`: port 80 or the first argument, files from a folder given second."""

from __future__ import annotations

import os
import signal
import sys
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

FOLDERS = ("/usr/share/nginx/html",)
PAGE = (
    b"<!doctype html><html lang=en><meta charset=utf-8><title>Welcome to nginx!</title>"
    b"<h1>Welcome to nginx!</h1><p>This page stands for the one of nginx's image: the server runs, and no files were mounted into it.</p></html>\n"
)


class Files(SimpleHTTPRequestHandler):
    """Serves mounted files, and the page above when there are none."""

    protocol_version = "HTTP/1.1"
    server_version = "nginx"
    sys_version = ""
    wbufsize = 1 << 16
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        folder = self.directory
        if self.path in {"/", "/index.html"} and not os.path.exists(os.path.join(folder, "index.html")):
            self.send_response(200)
            self.send_header("content-type", "text/html")
            self.send_header("content-length", str(len(PAGE)))
            self.end_headers()
            self.wfile.write(PAGE)
            return
        super().do_GET()


def main() -> None:
    """Serve until SIGTERM or SIGQUIT."""
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 80
    folder = sys.argv[2] if len(sys.argv) > 2 else next((each for each in FOLDERS if os.path.isdir(each)), "/nonexistent")
    server = ThreadingHTTPServer(("0.0.0.0", port), lambda *each: Files(*each, directory=folder))
    server.daemon_threads = True
    for number in (signal.SIGTERM, signal.SIGQUIT):
        signal.signal(number, lambda *_: threading.Thread(target=server.shutdown).start())
    server.serve_forever(poll_interval=0.1)


if __name__ == "__main__":
    main()
