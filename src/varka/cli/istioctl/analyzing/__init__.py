"""The parts of `istioctl analyze`: `collecting` from the cluster, `files` from disk, `webhook_names` in DNS, and `findings` as text, JSON or YAML."""
