"""A stand-in for wget on machines without it: `wget [-q] [-S] [-O FILE] [-T SECONDS] [--header=H] [--spider] URL`. Standard library only."""

from __future__ import annotations

import argparse
import os
import sys
import urllib.error
import urllib.request
from urllib.parse import urlsplit


def main() -> int:
    """One download; exit codes as wget's: 4 for the network, 8 for an error that the server answered."""
    parser = argparse.ArgumentParser(prog="wget", allow_abbrev=False)
    parser.add_argument("-q", "--quiet", action="store_true")
    parser.add_argument("-S", "--server-response", action="store_true")
    parser.add_argument("-O", "--output-document")
    parser.add_argument("-T", "--timeout", type=float, default=900)
    parser.add_argument("-t", "--tries", default="1")
    parser.add_argument("--header", action="append", default=[])
    parser.add_argument("--post-data")
    parser.add_argument("--spider", action="store_true")
    parser.add_argument("--no-check-certificate", action="store_true")
    parser.add_argument("url")
    options = parser.parse_args()
    url = options.url if "://" in options.url else f"http://{options.url}"
    headers = {"User-Agent": "Wget/1.21"} | {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in options.header)}
    body = options.post_data.encode() if options.post_data is not None else None
    context = None
    if options.no_check_certificate:
        import ssl

        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    try:
        asked = urllib.request.Request(url, data=body, headers=headers, method="HEAD" if options.spider else None)
        with urllib.request.urlopen(asked, timeout=options.timeout, context=context) as answer:
            if options.server_response:
                print(
                    f"  HTTP/1.1 {answer.status} {answer.reason}", *(f"  {name}: {value}" for name, value in answer.headers.items()), sep="\n", file=sys.stderr
                )
            if not options.spider:
                save(answer.read(), options.output_document or os.path.basename(urlsplit(url).path) or "index.html")
    except urllib.error.HTTPError as error:
        print(f"wget: server returned error: HTTP/1.1 {error.code} {error.reason}", file=sys.stderr)
        return 8
    except OSError as error:
        print(f"wget: can't connect to remote host: {getattr(error, 'reason', error)}", file=sys.stderr)
        return 4
    return 0


def save(data: bytes, name: str) -> None:
    """To a file, or with `-` to standard output."""
    if name == "-":
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        return
    with open(name, "wb") as file:
        file.write(data)


if __name__ == "__main__":
    sys.exit(main())
