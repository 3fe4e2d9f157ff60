"""The command lines: `varka` (this package, one module a verb) and `istioctl` (its own folder)."""
