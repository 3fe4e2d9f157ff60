"""Beside Envoy: what a proxy needs that the control plane cannot give it from afar.

A `sidecar.Sidecar` makes the key, has it signed, serves certificate and root to Envoy over SDS, answers probes, and
drains Envoy when its pod ends. On this machine one agent process holds a Sidecar for every pod (`node`); started as
a container's entry point it holds one (`container`). The programs that run inside the container, before Envoy, are
`pilot_agent` and `redirect`: standard library only, because they start with every pod.
"""
