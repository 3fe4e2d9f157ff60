"""gRPC served by asyncio alone: calls over HTTP/2 with optional client certificates.

`messages` is what goes over a call, `connection` one HTTP/2 connection without I/O, `server` sockets, TLS and the tasks
that answer calls. Bytes that many callers get are framed once and shared; a caller who does not read holds nobody up.
"""
