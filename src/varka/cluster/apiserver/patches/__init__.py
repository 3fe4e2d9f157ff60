"""The four ways to change part of an object: JSON patch, JSON merge patch, strategic merge patch, server-side apply.

`fields` is the record of who set which field (`metadata.managedFields`), by which apply finds conflicts.
"""

from __future__ import annotations
