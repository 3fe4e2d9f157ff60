"""The objects that make a mesh, as plain Kubernetes objects: what a chart would render for an Installation."""
