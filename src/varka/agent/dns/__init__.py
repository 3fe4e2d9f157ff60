"""The agent's name server for one pod: names of the mesh from the control plane's table, all others from the pod's own server."""
