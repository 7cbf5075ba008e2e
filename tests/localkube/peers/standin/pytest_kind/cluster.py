"""The one class of pytest-kind that kr8s' suite uses; the cluster is the one that PEERS_KUBECONFIG names."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path


class KindCluster:
    def __init__(self, name: str, image: str | None = None) -> None:  # noqa: ARG002 - the signature is theirs
        # A name of its own: the suite sets and deletes KUBECONFIG while it runs.
        self.kubeconfig_path = Path(os.environ["PEERS_KUBECONFIG"])
        kubectl = shutil.which("kubectl")
        if kubectl is None:
            raise RuntimeError("kubectl is not on PATH")
        self.kubectl_path = kubectl

    def create(self) -> None:
        """It is there already."""

    def delete(self) -> None:
        """It is not ours."""

    def kubectl(self, *arguments: str) -> str:
        done = subprocess.run(
            [self.kubectl_path, *arguments],
            env={**os.environ, "KUBECONFIG": str(self.kubeconfig_path)},
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        return done.stdout
