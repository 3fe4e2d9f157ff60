"""The cluster's first process, on the host: keeps the relay and the cluster's namespaces alive.

It decides nothing and accepts no connection; the API server's socket it only keeps open for the relay, so that while the
relay is restarted connections wait instead of being refused. The kernel kills its children when it dies, so that nothing of a cluster outlives it.
Started by `varka up` as a script; ends on SIGTERM, which is how `varka down` stops a cluster.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from varka.cluster import children, state

_GRACE = 8.0


def main(arguments: list[str]) -> int:
    """`supervisor.py STATE-FOLDER LISTENER`, the number of a socket that listens on the API server's port."""
    folder, listener = state.StateFolder(Path(arguments[0])), int(arguments[1])
    here = Path(__file__).resolve().parent
    own = {"pid": os.getpid(), "start": state.start_time(os.getpid())}
    kept = [
        children.Child(
            name="relay",
            command=[sys.executable, "-P", "-m", "varka.cluster.relay", "--state", str(folder.root), "--api-listener", str(listener)],
            log=folder.logs / "relay.log",
            pass_fds=(listener,),
        ),
        children.Child(name="init", command=children.bare_python(here / "init.py", str(folder.root), sys.executable), log=folder.logs / "init.log"),
    ]

    def report(all_children: list[children.Child]) -> None:
        state.write_json(folder.supervisor_file, {**own, "children": {child.name: child.record() for child in all_children}})

    children.Keeper(kept, report).run(_GRACE)
    folder.supervisor_file.unlink(missing_ok=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
