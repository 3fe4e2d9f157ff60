"""The parts of `istioctl analyze`: `collecting` from the cluster, `files` from disk, and `findings` as text, JSON or YAML."""
