"""The first process of a pod, which holds its namespaces for as long as the pod lives.

`shim` is that program (standard library only, because one runs for every pod): `loop` serves its commands, `root` builds what
a container sees of the file system, `container` keeps a container's output. `client` is the node's side of it.
"""
