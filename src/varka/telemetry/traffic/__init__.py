"""A load generator for labs and demos: requests at a steady rate, from this machine or from inside a pod.

`plan` says what to send and picks each request; `engine` sends them; `statistics` keeps counts and latencies, which are
handed on once a second as `statistics.Interval`, as JSON lines where the engine runs in a pod (`__main__`).
"""
