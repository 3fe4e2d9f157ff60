"""What every package stands on: clock, logs, errors, digests, wire resources. Knows nothing of meshes."""
