"""Pods as processes of this machine.

A pod is a set of namespaces held by its `shim`; a container is a process in them whose command an image's recipe names
(`catalog`). `runtime` follows the pods of the node and gives each a worker (`pods`), which brings the processes in line
with the object and the object's status (`status`) in line with the processes. Nothing here keeps a pod alive: the shims
do, so the node process may be killed and its successor takes the pods back.
"""
