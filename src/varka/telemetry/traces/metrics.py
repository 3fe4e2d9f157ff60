"""What the trace store counts, under the names that Jaeger's collector has for it."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge

REGISTRY = CollectorRegistry()

RECEIVED = Counter("jaeger_collector_spans_received", "Spans that arrived.", ["transport"], registry=REGISTRY)
REJECTED = Counter("jaeger_collector_spans_rejected", "Spans that made no sense.", ["transport"], registry=REGISTRY)
DROPPED = Counter("jaeger_collector_spans_dropped", "Spans lost because the queue was full or the disk refused them.", ["reason"], registry=REGISTRY)
SAVED = Counter("jaeger_collector_spans_saved", "Spans written.", registry=REGISTRY)
EXPIRED = Counter("jaeger_store_spans_expired", "Spans removed for their age or for the size of the store.", registry=REGISTRY)
QUEUED = Gauge("jaeger_collector_queue_length", "Spans that wait to be written.", registry=REGISTRY)
BYTES = Gauge("jaeger_store_bytes", "Size of the store.", registry=REGISTRY)
