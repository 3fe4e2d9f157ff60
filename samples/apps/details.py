"""The details service: what a library catalogue says of a book."""

from __future__ import annotations

import service


def details(request: service.Request) -> service.Response:
    """`GET /details/{id}`."""
    number = request.parameters["id"]
    if not number.isdigit():
        return service.as_json({"error": "please provide numeric product id"}, 400)
    return service.as_json(
        {
            "id": int(number),
            "author": "William Shakespeare",
            "year": 1595,
            "type": "paperback",
            "pages": 200,
            "publisher": "PublisherA",
            "language": "English",
            "ISBN-10": "1234567890",
            "ISBN-13": "123-1234567890",
        }
    )


def health(request: service.Request) -> service.Response:
    """`GET /health`."""
    return service.as_json({"status": "Details is healthy"})


if __name__ == "__main__":
    service.serve([service.route("GET", "/details/{id}", details), service.route("GET", "/health", health)])
