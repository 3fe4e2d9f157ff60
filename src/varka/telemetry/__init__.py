"""What the mesh tells of itself, taken in and asked: metrics, traces, access logs and the service graph."""
