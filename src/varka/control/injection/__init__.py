"""Adding a proxy to a pod: pure functions from what the user wrote to what will run.

`policy` decides whether, `sidecar` and `gateway` build the container, `probes` sends the kubelet's probes through
the agent, `owners` finds the workload's name, `pods` puts it together, and `workloads` does the same for whole
manifests (`istioctl kube-inject`). The webhook and the command line give the same result because both call this.
"""
