"""What objects look like: schemas of builtin kinds and of CRDs in one form, and what is done by them.

`nodes` is the form; `definitions` makes it from Kubernetes' OpenAPI definitions and `structural` from a CRD; `decoding`
takes in objects of builtin kinds, `structural` and `validation` those of custom ones; `cel` runs a CRD's rules.
"""

from __future__ import annotations
