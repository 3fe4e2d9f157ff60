"""The server's HTTP side: paths, content types, discovery and OpenAPI documents; decides nothing about objects."""

from __future__ import annotations
