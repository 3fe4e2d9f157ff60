"""The product page: asks details and reviews, and shows one book with what they answered.

Signing in takes any name and sets the header `end-user` on the calls behind the page, which is what routes by user
in Istio's examples match on.
"""

from __future__ import annotations

import html
import json
import os
import secrets
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import service

DOMAIN = os.environ.get("SERVICES_DOMAIN", "")
FLOOD = int(os.environ.get("FLOOD_FACTOR", "0"))
SECONDS = 3.0
MAX_DELAY = 10.0
PRODUCT = {
    "id": 0,
    "title": "The Comedy of Errors",
    "descriptionHtml": "Two pairs of twins, parted in a shipwreck, find themselves in one town on one day. "
    "It is among the shortest of Shakespeare's plays and the fullest of doors that open at the wrong moment.",
}
PAGE = (Path(__file__).parent / "productpage.html").read_text(encoding="utf-8")
INDEX = (Path(__file__).parent / "index.html").read_text(encoding="utf-8")
MAX_SESSIONS = 10_000
_sessions: dict[str, str] = {}
_results: Counter[tuple[str, str]] = Counter()
_lock = threading.Lock()


def host(name: str) -> tuple[str, int]:
    """Host and port of a service: `DETAILS_HOSTNAME` and `DETAILS_SERVICE_PORT` for `details`."""
    base = os.environ.get(f"{name.upper()}_HOSTNAME", name)
    return f"{base}.{DOMAIN}" if DOMAIN else base, int(os.environ.get(f"{name.upper()}_SERVICE_PORT", "9080"))


def user_of(request: service.Request) -> str:
    """Who is signed in; empty when nobody is."""
    for part in request.headers.get("cookie", "").split(";"):
        name, _, value = part.strip().partition("=")
        if name == "session":
            with _lock:
                return _sessions.get(value, "")
    return ""


def headers_for(request: service.Request) -> dict[str, str]:
    """What travels on to the services behind the page."""
    user = user_of(request)
    return {**request.forwarded, **({"end-user": user} if user else {})}


def ask(name: str, number: str, request: service.Request, attempts: int = 1) -> tuple[int, Any]:
    """The answer of a service for a product, with a second try where the page wants one."""
    where, port = host(name)
    status, document = 0, None
    for _ in range(attempts):
        status, document = service.call(where, port, f"/{name}/{number}", headers_for(request), SECONDS)
        with _lock:
            _results[name, str(status or 500)] += 1
        if status == 200:
            break
    return status or 500, document


def page(request: service.Request) -> service.Response:
    """`GET /productpage`; `?delay=2` waits two seconds first, for labs that want slow requests."""
    time.sleep(delay_of(request))
    for _ in range(FLOOD):
        ask("reviews", "0", request)
    details_status, details = ask("details", "0", request)
    reviews_status, reviews = ask("reviews", "0", request, attempts=2)
    user = user_of(request)
    filled = PAGE
    for name, part in {
        "account": account(user),
        "title": html.escape(str(PRODUCT["title"])),
        "description": html.escape(str(PRODUCT["descriptionHtml"])),
        "details": details_part(details if details_status == 200 else None),
        "reviews": reviews_part(reviews if reviews_status == 200 else None),
    }.items():
        filled = filled.replace(f"<!--{name}-->", part)
    return service.Response(200, filled.encode(), "text/html; charset=utf-8")


def delay_of(request: service.Request) -> float:
    """The seconds that a request asks to wait, within bounds; what is no number is none."""
    text = request.fields.get("delay", "")
    return min(float(text), MAX_DELAY) if text.replace(".", "", 1).isdecimal() else 0.0


def account(user: str) -> str:
    """Who is signed in, or the form to sign in."""
    if user:
        return f'<span class="user">{html.escape(user)}</span> <a class="button" href="logout">Sign out</a>'
    return (
        '<form method="post" action="login"><label for="username" class="hidden">User name</label>'
        '<input id="username" name="username" placeholder="User name" autocomplete="username" required>'
        '<label for="passwd" class="hidden">Password</label>'
        '<input id="passwd" name="passwd" type="password" placeholder="Password" autocomplete="current-password">'
        '<button class="button">Sign in</button></form>'
    )


def details_part(details: dict[str, Any] | None) -> str:
    """The catalogue entry, or why there is none."""
    if details is None:
        return away("Error fetching product details!", "Sorry, product details are currently unavailable for this book.")
    labels = {
        "type": "Type", "pages": "Pages", "publisher": "Publisher", "language": "Language", "author": "Author", "year": "Year",
        "ISBN-10": "ISBN-10", "ISBN-13": "ISBN-13",
    }  # fmt: skip
    rows = "".join(f"<dt>{label}</dt><dd>{html.escape(str(details[name]))}</dd>" for name, label in labels.items() if name in details)
    return f"<dl>{rows}</dl>"


def reviews_part(reviews: dict[str, Any] | None) -> str:
    """The reviews with their stars, or why there are none."""
    if reviews is None:
        return away("Error fetching product reviews!", "Sorry, product reviews are currently unavailable for this book.")
    found = "".join(
        f"<blockquote><p>{html.escape(review['text'])}</p>{stars(review.get('rating'))}<cite>{html.escape(review['reviewer'])}</cite></blockquote>"
        for review in reviews["reviews"]
    )
    return f'{found}<p class="served">Reviews served by <code>{html.escape(str(reviews.get("podname", "")))}</code></p>'


def stars(rating: dict[str, Any] | None) -> str:
    """Five stars, the given ones filled in the version's colour."""
    if rating is None:
        return ""
    if "error" in rating:
        return f'<p class="away small">{html.escape(rating["error"])}</p>'
    given = max(0, min(5, int(rating["stars"])))
    color = "red" if rating.get("color") == "red" else "black"
    return f'<p class="stars {color}" role="img" aria-label="{given} of 5 stars">{"★" * given}<span>{"★" * (5 - given)}</span></p>'


def away(title: str, text: str) -> str:
    """What stands where a service did not answer."""
    return f'<div class="away"><h3>{title}</h3><p>{text}</p></div>'


def login(request: service.Request) -> service.Response:
    """`POST /login`: any name will do; the password is not looked at."""
    user = request.fields.get("username", "").strip()[:64]
    back = {"location": "productpage"}
    if not user or not user.isprintable():
        return service.Response(303, b"", "text/plain", back)
    token = secrets.token_urlsafe(24)
    with _lock:
        while len(_sessions) >= MAX_SESSIONS:
            _sessions.pop(next(iter(_sessions)))
        _sessions[token] = user
    return service.Response(303, b"", "text/plain", {**back, "set-cookie": f"session={token}; Path=/; HttpOnly; SameSite=Lax"})


def logout(request: service.Request) -> service.Response:
    """`GET /logout`."""
    return service.Response(303, b"", "text/plain", {"location": "productpage", "set-cookie": "session=; Path=/; Max-Age=0"})


def index(request: service.Request) -> service.Response:
    """`GET /`."""
    return service.Response(200, INDEX.encode(), "text/html; charset=utf-8")


def products(request: service.Request) -> service.Response:
    """`GET /api/v1/products`."""
    return service.as_json([PRODUCT])


def product_part(name: str) -> service.Handler:
    """`GET /api/v1/products/{id}` for details, and the same with `/reviews` and `/ratings`."""

    def answer(request: service.Request) -> service.Response:
        number = request.parameters["id"]
        if not number.isdigit():
            return service.as_json({"error": "please provide numeric product id"}, 400)
        status, document = ask(name, number, request)
        problem = {"error": f"Sorry, product {name} are currently unavailable for this book."}
        return service.Response(status, json.dumps(document if status == 200 else problem).encode())

    return answer


def health(request: service.Request) -> service.Response:
    """`GET /health`."""
    return service.Response(200, b"Product page is healthy", "text/plain")


def metrics(request: service.Request) -> service.Response:
    """`GET /metrics`: how often each service behind the page was asked, by its answers' codes."""
    with _lock:
        found = sorted(_results.items())
    lines = ["# HELP request_result_total Answers of the services behind the page.", "# TYPE request_result_total counter"]
    lines += [f'request_result_total{{destination_app="{name}",response_code="{code}"}} {count}' for (name, code), count in found]
    return service.Response(200, "\n".join([*lines, ""]).encode(), "text/plain; version=0.0.4; charset=utf-8")


ROUTES = [
    service.route("GET", "/", index),
    service.route("GET", "/index.html", index),
    service.route("GET", "/health", health),
    service.route("GET", "/metrics", metrics),
    service.route("GET", "/productpage", page),
    service.route("POST", "/login", login),
    service.route("GET", "/logout", logout),
    service.route("GET", "/api/v1/products", products),
    service.route("GET", "/api/v1/products/{id}", product_part("details")),
    service.route("GET", "/api/v1/products/{id}/reviews", product_part("reviews")),
    service.route("GET", "/api/v1/products/{id}/ratings", product_part("ratings")),
]

if __name__ == "__main__":
    service.serve(ROUTES)
