"""The service graph, from Prometheus alone: who calls whom, how often, how fast, how safely.

`queries` says what to ask for a time range and namespaces, `prometheus` asks, `building` makes nodes and edges of the
answers (`topology`), and `reasons` says why there are none when there are none. `kiali_json` is Kiali's form of it.
Everything but `prometheus` and `collecting` is pure.
"""
