"""What is particular to builtin kinds: their names (`builtin`), defaults, checks, and what happens when they are written.

`rules` gathers it by resource; everything else in the server is the same for all kinds.
"""

from __future__ import annotations
