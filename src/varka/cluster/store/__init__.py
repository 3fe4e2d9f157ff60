"""Where the embedded cluster keeps its objects: SQLite on disk, everything current in memory, and a log of changes for watches.

Knows nothing of kinds: an object is JSON with a resource, a namespace, a name and a resourceVersion.
"""

from __future__ import annotations
