"""The processes behind the add-ons `kiali` and `grafana`: what other programs ask of them, without pages.

They answer the HTTP APIs that tools, probes and scripts use, in those programs' own JSON.
"""
