"""httpbin: a server that answers with what it was asked. The endpoints that people use against a mesh, named as in go-httpbin."""

from __future__ import annotations

import base64
import json
import os
import random
import time
import uuid

import service

MAX_BYTES = 10 << 20
MAX_SECONDS = 30.0
PAGE = (
    b"<!doctype html><html lang=en><meta charset=utf-8><title>httpbin</title><h1>httpbin</h1>"
    b"<p>Ask for <code>/get</code>, <code>/headers</code>, <code>/status/418</code>, <code>/delay/2</code> or <code>/anything</code>.</p></html>"
)


def described(request: service.Request) -> dict[str, object]:
    """What every echoing endpoint says of a request; header and query values are lists, as in go-httpbin."""
    headers = {"-".join(part.capitalize() for part in name.split("-")): [value] for name, value in sorted(request.headers.items())}
    scheme = request.headers.get("x-forwarded-proto", "http")
    return {
        "args": {name: [value] for name, value in request.fields.items()},
        "headers": headers,
        "method": request.method,
        "origin": request.headers.get("x-forwarded-for", request.peer),
        "url": f"{scheme}://{request.headers.get('host', '')}{request.target}",
    }


def get(request: service.Request) -> service.Response:
    """`/get`."""
    return service.as_json(described(request))


def echo(request: service.Request) -> service.Response:
    """`/post`, `/put`, `/patch`, `/delete`, `/anything`: the body too."""
    text = request.body.decode(errors="replace")
    try:
        parsed = json.loads(text) if text else None
    except ValueError:
        parsed = None
    return service.as_json({**described(request), "data": text, "json": parsed})


def headers(request: service.Request) -> service.Response:
    """`/headers`."""
    return service.as_json({"headers": described(request)["headers"]})


def origin(request: service.Request) -> service.Response:
    """`/ip`."""
    return service.as_json({"origin": described(request)["origin"]})


def agent(request: service.Request) -> service.Response:
    """`/user-agent`."""
    return service.as_json({"user-agent": request.headers.get("user-agent", "")})


def status(request: service.Request) -> service.Response:
    """`/status/{codes}`: one of a list of codes, each with an optional weight: `200:0.9,503:0.1`."""
    try:
        choices = [(int(code.partition(":")[0]), float(code.partition(":")[2] or 1)) for code in request.parameters["codes"].split(",")]
        chosen = random.choices([code for code, _ in choices], [weight for _, weight in choices])[0]
    except ValueError:
        return service.as_json({"error": "invalid status code"}, 400)
    if not 200 <= chosen <= 599:
        return service.as_json({"error": "invalid status code: it must be from 200 to 599"}, 400)
    extra = {"location": "/redirect/1"} if chosen in {301, 302, 303, 307, 308} else {}
    body = b"I'm a teapot!" if chosen == 418 else b""
    return service.Response(chosen, body, "text/plain; charset=utf-8", extra)


def delay(request: service.Request) -> service.Response:
    """`/delay/{seconds}`."""
    try:
        wait = float(request.parameters["seconds"].removesuffix("s"))
    except ValueError:
        return service.as_json({"error": "invalid duration"}, 400)
    time.sleep(max(0.0, min(wait, MAX_SECONDS)))
    return echo(request)


def some_bytes(request: service.Request) -> service.Response:
    """`/bytes/{count}`."""
    if not request.parameters["count"].isdigit():
        return service.as_json({"error": "invalid byte count"}, 400)
    return service.Response(200, os.urandom(min(int(request.parameters["count"]), MAX_BYTES)), "application/octet-stream")


def redirect(request: service.Request) -> service.Response:
    """`/redirect/{count}`: that many redirects, then `/get`."""
    count = int(request.parameters["count"]) if request.parameters["count"].isdigit() else 1
    return service.Response(302, b"", "text/plain", {"location": f"/redirect/{min(count, 20) - 1}" if count > 1 else "/get"})


def response_headers(request: service.Request) -> service.Response:
    """`/response-headers?name=value`."""
    given = {name: value for name, value in request.fields.items() if value.isprintable() and name.replace("-", "").isalnum()}
    return service.Response(200, json.dumps(given).encode(), "application/json", given)


def cookies(request: service.Request) -> service.Response:
    """`/cookies`."""
    pairs = (part.strip().partition("=") for part in request.headers.get("cookie", "").split(";") if part.strip())
    return service.as_json({"cookies": {name: value for name, _, value in pairs}})


def basic_auth(request: service.Request) -> service.Response:
    """`/basic-auth/{user}/{password}`."""
    expected = base64.b64encode(f"{request.parameters['user']}:{request.parameters['password']}".encode()).decode()
    if request.headers.get("authorization") == f"Basic {expected}":
        return service.as_json({"authorized": True, "user": request.parameters["user"]})
    return service.Response(401, b'{"authorized": false}', "application/json", {"www-authenticate": 'Basic realm="Fake Realm"'})


def new_uuid(request: service.Request) -> service.Response:
    """`/uuid`."""
    return service.as_json({"uuid": str(uuid.uuid4())})


def page(request: service.Request) -> service.Response:
    """`/` and `/html`."""
    return service.Response(200, PAGE, "text/html; charset=utf-8")


def routes() -> list[service.Route]:
    """Every endpoint; `/anything`, `/status` and `/delay` take every method."""
    found = [
        service.route("GET", "/", page),
        service.route("GET", "/get", get),
        service.route("GET", "/headers", headers),
        service.route("GET", "/ip", origin),
        service.route("GET", "/user-agent", agent),
        service.route("GET", "/bytes/{count}", some_bytes),
        service.route("GET", "/redirect/{count}", redirect),
        service.route("GET", "/response-headers", response_headers),
        service.route("GET", "/cookies", cookies),
        service.route("GET", "/basic-auth/{user}/{password}", basic_auth),
        service.route("GET", "/uuid", new_uuid),
        service.route("GET", "/html", page),
    ]
    found += [service.route(method, f"/{method.lower()}", echo) for method in ("POST", "PUT", "PATCH", "DELETE")]
    for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
        found += [service.route(method, path, handler) for path, handler in _ANY_METHOD]
    return found


_ANY_METHOD = [("/status/{codes}", status), ("/delay/{seconds}", delay), ("/anything", echo), ("/anything/{rest}", echo)]

if __name__ == "__main__":
    service.serve(routes(), default_port=8080)
