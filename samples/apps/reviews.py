"""The reviews service. Version 1 shows no stars, version 2 black ones, version 3 red ones, which it asks the ratings service for."""

from __future__ import annotations

import os
import socket

import service

RATINGS_HOST = os.environ.get("RATINGS_HOSTNAME", "ratings")
RATINGS_PORT = int(os.environ.get("RATINGS_SERVICE_PORT", "9080"))
DOMAIN = os.environ.get("SERVICES_DOMAIN", "")
STARS = os.environ.get("ENABLE_RATINGS", "false").lower() == "true"
COLOR = os.environ.get("STAR_COLOR", "black")
SECONDS = 10.0 if COLOR == "black" else 2.5
"""The black-star version waits longer for the ratings than the page waits for it: the lesson of Istio's fault-injection task."""
TEXTS = {
    "Reviewer1": "A night of mistaken lovers, quarrelling fairies and one unlucky weaver. I laughed from the first scene to the last.",
    "Reviewer2": "Charming and quick, though it leans on its magic where a little more character would have done.",
}


def reviews(request: service.Request) -> service.Response:
    """`GET /reviews/{id}`."""
    number = request.parameters["id"]
    if not number.isdigit():
        return service.as_json({"error": "please provide numeric product id"}, 400)
    found = [{"reviewer": reviewer, "text": text, **rating(reviewer, stars)} for stars in [ratings(number, request)] for reviewer, text in TEXTS.items()]
    pod = os.environ.get("HOSTNAME") or socket.gethostname()
    return service.as_json({"id": number, "podname": pod, "clustername": os.environ.get("CLUSTER_NAME", "null"), "reviews": found})


def ratings(number: str, request: service.Request) -> dict[str, int] | None:
    """Reviewer → stars; None when the ratings service gives none."""
    if not STARS:
        return {}
    host = f"{RATINGS_HOST}.{DOMAIN}" if DOMAIN else RATINGS_HOST
    status, document = service.call(host, RATINGS_PORT, f"/ratings/{number}", request.forwarded, SECONDS)
    return document["ratings"] if status == 200 else None


def rating(reviewer: str, stars: dict[str, int] | None) -> dict[str, object]:
    """The part of a review that the ratings service decides."""
    if not STARS:
        return {}
    if stars is None:
        return {"rating": {"error": "Ratings service is currently unavailable"}}
    return {"rating": {"stars": stars.get(reviewer, -1), "color": COLOR}}


def health(request: service.Request) -> service.Response:
    """`GET /health`."""
    return service.as_json({"status": "Reviews is healthy"})


if __name__ == "__main__":
    service.serve([service.route("GET", "/reviews/{id}", reviews), service.route("GET", "/health", health)])
