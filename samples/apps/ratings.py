"""The ratings service: how many stars each reviewer gave. Ratings posted to it live as long as its process."""

from __future__ import annotations

import json
import threading

import service

DEFAULT = {"Reviewer1": 5, "Reviewer2": 4}
_posted: dict[int, dict[str, int]] = {}
_lock = threading.Lock()


def ratings(request: service.Request) -> service.Response:
    """`GET /ratings/{id}`."""
    number = request.parameters["id"]
    if not number.isdigit():
        return service.as_json({"error": "please provide numeric product ID"}, 400)
    with _lock:
        found = _posted.get(int(number), DEFAULT)
    return service.as_json({"id": int(number), "ratings": found})


def post(request: service.Request) -> service.Response:
    """`POST /ratings/{id}` with a JSON object of reviewer → stars."""
    number = request.parameters["id"]
    if not number.isdigit():
        return service.as_json({"error": "please provide numeric product ID"}, 400)
    try:
        given = json.loads(request.body)
        stars = {str(name): int(value) for name, value in given.items()}
    except (ValueError, AttributeError, TypeError):
        return service.as_json({"error": "please provide valid ratings JSON"}, 400)
    with _lock:
        _posted[int(number)] = stars
    return service.as_json({"id": int(number), "ratings": stars})


def health(request: service.Request) -> service.Response:
    """`GET /health`."""
    return service.as_json({"status": "Ratings is healthy"})


if __name__ == "__main__":
    service.serve([service.route("GET", "/ratings/{id}", ratings), service.route("POST", "/ratings/{id}", post), service.route("GET", "/health", health)])
