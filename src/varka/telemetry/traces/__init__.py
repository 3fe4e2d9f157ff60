"""The trace store: spans come in by OTLP and Zipkin, are kept in SQLite, and are asked for through Jaeger's query API.

`otlp` and `zipkin` turn what arrives into `spans.Span`; `intake` queues them (bounded: it drops and counts rather than
hold a sender up) for the one thread that writes `store`; `reading` answers questions, and `legacy_json` and `otlp_json`
put the answers into Jaeger's two JSON forms. `collector` and `query_server` are the listeners, `service` the process.
"""
