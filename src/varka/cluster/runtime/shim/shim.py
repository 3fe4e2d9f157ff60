"""The first process of a pod: holds its namespaces, starts its containers, keeps their output and their ends.

Run as `python -I -S shim.py FOLDER` in new network, mount, UTS, IPC and PID namespaces; standard library only, because
one runs for every pod. It outlives the node process: what a successor has to know is in files of FOLDER.

Commands come over the UNIX socket FOLDER/shim.sock, one JSON line a connection, and are answered by JSON lines:

    {"op": "start", "container": {…}}     start a container; {"pid": …}
    {"op": "tmpfs", "target": FOLDER, "size": BYTES}   a file system in memory that the pod's containers share; once
    {"op": "signal", "container": NAME, "signal": N}
    {"op": "exec", "container": NAME, "command": […], "tty": BOOL}   with standard streams as passed descriptors
    {"op": "attach", "container": NAME}   its output from now on, framed; what is sent goes to its standard input
    {"op": "watch"}                       a line whenever a container starts or ends
    {"op": "connect", "port": N}          a connection to the pod's loopback, as a passed descriptor
"""

from __future__ import annotations

import json
import os
import sys

if __name__ == "__main__":
    sys.path.insert(0, os.path.abspath(__file__).rpartition("/varka/")[0])

from varka.cluster.runtime.shim import loop, root


def main() -> None:
    """Take the folder from the command line and the host name from its file."""
    folder = sys.argv[1]
    with open(os.path.join(folder, "sandbox.json")) as file:
        sandbox = json.load(file)
    root.mount("", "/", "", root.MS_REC | root.MS_PRIVATE)
    root.mount("proc", "/proc", "proc", root.MS_NOSUID | root.MS_NODEV)
    name = sandbox["hostname"].encode()
    root.check(root.libc.sethostname(name, len(name)), "set the host name")
    loop.Shim(folder).run()


if __name__ == "__main__":
    main()
