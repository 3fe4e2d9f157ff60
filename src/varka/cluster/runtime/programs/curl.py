"""A stand-in for curl on machines without it: the options that people type at a mesh, curl's exit codes and error texts.

Standard library only. `curl.py [OPTION…] URL…`; http, https and telnet.
"""

from __future__ import annotations

import argparse
import base64
import http.client
import os
import select
import socket
import ssl
import sys
import time
from urllib.parse import urljoin, urlsplit

MOST_REDIRECTS = 50
VERSION = "curl 8.0 (stand-in) Protocols: http https telnet"


class CurlError(Exception):
    """A failure with curl's exit code."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


def arguments() -> argparse.ArgumentParser:
    """curl's options, as far as they go here."""
    parser = argparse.ArgumentParser(prog="curl", add_help=False, allow_abbrev=False)
    flags = (
        "s:silent",
        "S:show-error",
        "v:verbose",
        "i:include",
        "I:head",
        "L:location",
        "k:insecure",
        "f:fail",
        "G:get",
        "O:remote-name",
        "N:no-buffer",
        "g:globoff",
    )
    for entry in flags:
        short, _, name = entry.partition(":")
        parser.add_argument(f"-{short}", f"--{name}", action="store_true", dest=name.replace("-", "_"))
    for name in ("fail-with-body", "compressed", "http1.1", "http2", "http2-prior-knowledge", "no-progress-meter", "path-as-is", "ipv4"):
        parser.add_argument(f"--{name}", action="store_true")
    values = ("o:output", "w:write-out", "X:request", "A:user-agent", "u:user", "e:referer", "b:cookie", "T:upload-file", "x:proxy", "m:max-time")
    for entry in values:
        short, _, name = entry.partition(":")
        parser.add_argument(f"-{short}", f"--{name}", dest=name.replace("-", "_"))
    for name in ("connect-timeout", "cacert", "cert", "key", "resolve", "connect-to", "retry", "retry-delay", "json", "url", "interface"):
        parser.add_argument(f"--{name}")
    parser.add_argument("-H", "--header", action="append", default=[])
    parser.add_argument("-d", "--data", "--data-raw", "--data-binary", "--data-ascii", action="append")
    parser.add_argument("-V", "--version", action="store_true")
    parser.add_argument("-h", "--help", nargs="?", const="all")
    parser.add_argument("urls", nargs="*")
    return parser


class Transfer:
    """One URL: connect, ask, show, follow."""

    def __init__(self, options: argparse.Namespace, url: str) -> None:
        self.options = options
        self.url = url if "://" in url else f"http://{url}"
        self.begin = time.monotonic()
        self.limit = float(options.max_time) if options.max_time else None
        self.facts: dict[str, object] = {"http_code": 0, "size_download": 0, "num_redirects": 0, "remote_ip": "", "remote_port": 0, "content_type": ""}
        self.out = sys.stdout.buffer

    def left(self) -> float | None:
        """Seconds until --max-time."""
        if self.limit is None:
            return None
        rest = self.limit - (time.monotonic() - self.begin)
        if rest <= 0:
            raise CurlError(28, f"Operation timed out after {(time.monotonic() - self.begin) * 1000:.0f} milliseconds")
        return rest

    def note(self, mark: str, text: str) -> None:
        """A line of -v."""
        if self.options.verbose:
            print(f"{mark} {text}", file=sys.stderr)

    def connect(self, host: str, port: int) -> socket.socket:
        """A TCP connection within --connect-timeout."""
        patience = float(self.options.connect_timeout) if self.options.connect_timeout else self.left()
        wanted = self.options.resolve.split(":", 2) if self.options.resolve else []
        where = wanted[2] if len(wanted) == 3 and wanted[0] == host and wanted[1] == str(port) else host
        try:
            found = socket.getaddrinfo(where, port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise CurlError(6, f"Could not resolve host: {host}") from error
        self.facts["time_namelookup"] = time.monotonic() - self.begin
        problem: OSError = OSError("no address")
        for family, kind, protocol, _, address in found:
            handle = socket.socket(family, kind, protocol)
            handle.settimeout(patience)
            self.note("*", f"  Trying {where}:{port}...")
            try:
                handle.connect(address)
            except TimeoutError as error:
                raise CurlError(28, f"Failed to connect to {host} port {port}: Timeout was reached") from error
            except OSError as error:
                handle.close()
                problem = error
                continue
            self.note("*", f"Connected to {host} port {port}")
            self.facts |= {"remote_ip": address[0], "remote_port": address[1], "time_connect": time.monotonic() - self.begin}
            return handle
        spent = (time.monotonic() - self.begin) * 1000
        raise CurlError(7, f"Failed to connect to {host} port {port} after {spent:.0f} ms: Couldn't connect to server") from problem

    def secured(self, handle: socket.socket, host: str) -> socket.socket:
        """TLS over a connection."""
        context = ssl.create_default_context(cafile=self.options.cacert)
        if self.options.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if self.options.cert:
            context.load_cert_chain(self.options.cert, self.options.key)
        context.set_alpn_protocols(["http/1.1"])
        try:
            made = context.wrap_socket(handle, server_hostname=host)
        except ssl.SSLCertVerificationError as error:
            raise CurlError(60, f"SSL certificate problem: {error.verify_message}") from error
        except (ssl.SSLError, OSError) as error:
            raise CurlError(35, f"TLS connect error: {error}") from error
        self.note("*", f"SSL connection using {made.version()} / {(made.cipher() or ('',))[0]}")
        return made

    def run(self) -> None:
        """The transfer with its redirects."""
        if self.url.startswith("telnet://"):
            self.telnet()
            return
        method, body, headers = request(self.options)
        for count in range(MOST_REDIRECTS + 1):
            self.facts["num_redirects"] = count
            status, location = self.ask(method, body, headers)
            if not (self.options.location and location and status in (301, 302, 303, 307, 308)):
                return
            self.url = urljoin(self.url, location)
            if status in (301, 302, 303) and method not in ("GET", "HEAD"):
                method, body = "GET", None
        raise CurlError(47, f"Maximum ({MOST_REDIRECTS}) redirects followed")

    def ask(self, method: str, body: bytes | None, headers: list[tuple[str, str]]) -> tuple[int, str]:
        """One request; its status and where it redirects to."""
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https"):
            raise CurlError(1, f'Protocol "{parts.scheme}" not supported')
        if not parts.hostname:
            raise CurlError(3, "URL using bad/illegal format or missing URL")
        port = parts.port or (443 if parts.scheme == "https" else 80)
        handle = self.connect(parts.hostname, port)
        if parts.scheme == "https":
            handle = self.secured(handle, parts.hostname)
        handle.settimeout(self.left())
        connection = http.client.HTTPConnection(parts.hostname, port)
        connection.sock = handle
        try:
            return self.exchange(connection, method, (parts.path or "/") + (f"?{parts.query}" if parts.query else ""), body, [("Host", parts.netloc), *headers])
        except TimeoutError as error:
            raise CurlError(28, f"Operation timed out after {(time.monotonic() - self.begin) * 1000:.0f} milliseconds with 0 bytes received") from error
        except http.client.RemoteDisconnected as error:
            raise CurlError(52, "Empty reply from server") from error
        except http.client.IncompleteRead as error:
            raise CurlError(18, "transfer closed with outstanding read data remaining") from error
        except http.client.BadStatusLine as error:
            raise CurlError(1, "Received HTTP/0.9 when not allowed") from error
        except OSError as error:
            raise CurlError(56, f"Recv failure: {error.strerror or error}") from error
        finally:
            connection.close()

    def exchange(self, connection: http.client.HTTPConnection, method: str, path: str, body: bytes | None, headers: list[tuple[str, str]]) -> tuple[int, str]:
        """Send, then show what comes."""
        options = self.options
        given = {name.lower() for name, _ in headers[1:]}
        if "host" in given:
            headers = headers[1:]
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        self.note(">", f"{method} {path} HTTP/1.1")
        defaults = [("User-Agent", options.user_agent or "curl/8.0"), ("Accept", "*/*")]
        if body is not None:
            defaults.append(("Content-Length", str(len(body))))
        for name, value in [*headers, *((name, value) for name, value in defaults if name.lower() not in given)]:
            if value:
                connection.putheader(name, value)
                self.note(">", f"{name}: {value}")
        connection.endheaders(body)
        self.note(">", "")
        response = connection.getresponse()
        self.facts["time_starttransfer"] = time.monotonic() - self.begin
        self.facts |= {"http_code": response.status, "content_type": response.headers.get("content-type", "")}
        lines = [
            f"HTTP/{response.version / 10:.1f} {response.status} {response.reason}".rstrip(),
            *(f"{name}: {value}" for name, value in response.headers.items()),
            "",
        ]
        for line in lines:
            self.note("<", line)
        location = response.headers.get("location", "")
        redirected = bool(options.location and location and 300 <= response.status < 400)
        if options.include or options.head:
            self.write("\r\n".join([*lines, ""]).encode())
        refused = response.status >= 400 and (options.fail or options.fail_with_body)
        while chunk := response.read1(1 << 16) if response.length is None else response.read(min(1 << 16, response.length)):
            self.facts["size_download"] = int(str(self.facts["size_download"])) + len(chunk)
            if not redirected and (not refused or options.fail_with_body):
                self.write(chunk)
        if refused:
            raise CurlError(22, f"The requested URL returned error: {response.status}")
        return response.status, location

    def write(self, data: bytes) -> None:
        """To --output or standard output."""
        if self.options.output and self.out is sys.stdout.buffer and self.options.output != "-":
            self.out = open(self.options.output, "wb")  # noqa: SIM115
        elif self.options.remote_name and self.out is sys.stdout.buffer:
            self.out = open(os.path.basename(urlsplit(self.url).path) or "index.html", "wb")  # noqa: SIM115
        try:
            self.out.write(data)
            self.out.flush()
        except BrokenPipeError:
            os._exit(23)

    def telnet(self) -> None:
        """Standard input to the peer and back, until either ends or --max-time is over."""
        parts = urlsplit(self.url)
        handle = self.connect(parts.hostname or "", parts.port or 23)
        sources: list[int] = [handle.fileno(), 0]
        while True:
            ready, _, _ = select.select(sources, [], [], self.left())
            self.left()
            if 0 in ready:
                typed = os.read(0, 4096)
                if typed:
                    handle.sendall(typed)
                else:
                    sources.remove(0)
            if handle.fileno() in ready:
                data = handle.recv(1 << 16)
                if not data:
                    return
                self.write(data)

    def summary(self, template: str) -> str:
        """--write-out."""
        self.facts["time_total"] = time.monotonic() - self.begin
        self.facts["url_effective"] = self.url
        text = template.replace("%{response_code}", "%{http_code}").replace("\\n", "\n").replace("\\t", "\t").replace("\\r", "\r")
        for name in ("time_total", "time_connect", "time_starttransfer", "time_namelookup", "time_pretransfer", "time_appconnect"):
            text = text.replace("%{" + name + "}", f"{float(str(self.facts.get(name, 0.0))):.6f}")
        text = text.replace("%{http_code}", f"{int(str(self.facts['http_code'])):03d}")
        for name, value in self.facts.items():
            text = text.replace("%{" + name + "}", str(value))
        return text.replace("%%", "%")


def request(options: argparse.Namespace) -> tuple[str, bytes | None, list[tuple[str, str]]]:
    """Method, body and headers that the options ask for."""
    headers = [(name.strip(), value.strip()) for name, _, value in (line.partition(":") for line in options.header)]
    body = None
    if options.json is not None:
        body = content(options.json)
        headers += [("Content-Type", "application/json"), ("Accept", "application/json")]
    elif options.data:
        body = b"&".join(content(part) for part in options.data)
        if not any(name.lower() == "content-type" for name, _ in headers):
            headers.append(("Content-Type", "application/x-www-form-urlencoded"))
    elif options.upload_file:
        body = content("@" + options.upload_file)
    if options.user:
        headers.append(("Authorization", "Basic " + base64.b64encode(options.user.encode()).decode()))
    for name, value in (("Referer", options.referer), ("Cookie", options.cookie)):
        if value:
            headers.append((name, value))
    method = options.request or ("HEAD" if options.head else "PUT" if options.upload_file else "POST" if body is not None else "GET")
    return method, body, headers


def content(text: str) -> bytes:
    """The text, or with @ the file that it names."""
    if not text.startswith("@"):
        return text.encode()
    if text == "@-":
        return sys.stdin.buffer.read()
    with open(text[1:], "rb") as file:
        return file.read()


def main() -> int:
    """All URLs in turn; the exit code of the last."""
    options, unknown = arguments().parse_known_args()
    if options.version:
        print(VERSION)
        return 0
    urls = [*options.urls, *([options.url] if options.url else [])]
    if unknown:
        print(f"curl: option {unknown[0]}: is unknown", file=sys.stderr)
        return 2
    if not urls:
        print("curl: (2) no URL specified\ncurl: usage: curl [options...] <url>", file=sys.stderr)
        return 0 if options.help else 2
    code = 0
    for url in urls:
        transfer, code = Transfer(options, url), 0
        try:
            transfer.run()
        except CurlError as error:
            code = error.code
            if not options.silent or options.show_error:
                print(f"curl: ({error.code}) {error}", file=sys.stderr)
        if options.write_out:
            sys.stdout.write(transfer.summary(options.write_out))
            sys.stdout.flush()
    return code


if __name__ == "__main__":
    sys.exit(main())
