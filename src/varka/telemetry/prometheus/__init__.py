"""Runs a real Prometheus: distributions build it without Kubernetes discovery, which is put in front of it here.

The configuration that a user writes is read, every `kubernetes_sd_configs` becomes a list of files, and the files follow the
API server. The rest of the configuration, and all flags, go to the program as they are.
"""
