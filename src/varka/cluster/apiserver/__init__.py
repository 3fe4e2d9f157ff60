"""The Kubernetes API of the embedded cluster: what kubectl and client libraries speak to.

`objects` has the verbs, `rest` the HTTP side, `local` the same verbs in this process; `schema`, `patches` and `kinds` say what
objects look like, how they are changed and what is particular to builtin kinds; `registry` knows what is served and `request`
how the other parts are plugged in: `access`, `admission`, `streams`, `tables`. `server` puts the core together, `plugins` what
is around it.
"""

from __future__ import annotations
