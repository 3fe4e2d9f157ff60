"""The `istioctl` command line: Istio's verbs, flags and forms of output, one module a verb."""
