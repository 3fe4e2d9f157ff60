"""Which cluster a verb about the mesh means: the one named, else KUBECONFIG's, else this machine's."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from varka.cluster import state

if TYPE_CHECKING:
    from varka.client.kubeconfig import Target


def load(name: str | None) -> Target:
    """The connection; VarkaError when there is no such cluster."""
    from varka.cli import env
    from varka.client import kubeconfig

    if name is None and os.environ.get("KUBECONFIG"):
        return kubeconfig.load()
    folder = state.folder(name or os.environ.get("VARKA_CLUSTER") or state.DEFAULT_NAME)
    env.require_cluster(folder)
    return kubeconfig.load(path=str(folder.kubeconfig))
