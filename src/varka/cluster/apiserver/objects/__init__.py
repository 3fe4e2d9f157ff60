"""The verbs on objects, free of HTTP: what the server's routes and the in-process API both call.

`intake` turns a body into an object of its kind, `writes` creates and changes, `deletion` removes, `lists` lists and watches,
`subresources` has scale, binding and eviction.
"""

from __future__ import annotations
