"""What some tests need of a Kubernetes, and how to see whether it has that. localkube has all of it."""

from __future__ import annotations

import functools
import json
import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.world import BIN, Obj


@dataclass(frozen=True, slots=True)
class Need:
    what: str
    is_met: Callable[[Path], bool]  # by the Kubernetes of that kubeconfig


@functools.cache
def _get(kubeconfig: Path, path: str) -> Obj:
    command = [str(BIN / "kubectl"), f"--kubeconfig={kubeconfig}", "get", "--raw", path]
    answer = subprocess.run(command, check=True, capture_output=True, timeout=60)
    found: Obj = json.loads(answer.stdout)
    return found


def _is_as_new_as(minor: int) -> Callable[[Path], bool]:
    return lambda kubeconfig: int(_get(kubeconfig, "/version")["minor"].rstrip("+")) >= minor


def _has_nodes(count: int) -> Callable[[Path], bool]:
    return lambda kubeconfig: len(_get(kubeconfig, "/api/v1/nodes")["items"]) >= count


def _runs_here(kubeconfig: Path) -> bool:
    nodes = _get(kubeconfig, "/api/v1/nodes")["items"]
    here = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return os.geteuid() == 0 and all(node["status"]["nodeInfo"]["bootID"] == here for node in nodes)


def images_of(node: Obj) -> frozenset[str]:
    """What *node* says that it has, by all of their names: null for an image whose names all went to another one."""
    return frozenset(name for image in node["status"].get("images") or () for name in image.get("names") or ())


def _has_image(name: str) -> Callable[[Path], bool]:
    def is_met(kubeconfig: Path) -> bool:
        nodes = _get(kubeconfig, "/api/v1/nodes")["items"]
        return all(any(each.endswith(name) for each in images_of(node)) for node in nodes)

    return is_met


SIX_NODES = Need("six nodes", _has_nodes(6))
CEL_RULES = Need("Kubernetes 1.25: CEL rules", _is_as_new_as(25))
SERVER_VALIDATION = Need("Kubernetes 1.25: kubectl leaves the checking of fields to the server", _is_as_new_as(25))
TEMPLATES_ARE_CHECKED = Need("Kubernetes 1.34: the pod template of a StatefulSet is checked", _is_as_new_as(34))
RESIZING = Need("Kubernetes 1.33: pods/resize", _is_as_new_as(33))
BUDGETS = Need("Kubernetes 1.21: disruption budgets of policy/v1", _is_as_new_as(21))
ROOM_IS_ASKED_FOR = Need("Kubernetes 1.36: a resize that no node has room for is refused", _is_as_new_as(36))
PROCESSES = Need("the pods' processes on this machine, and root", _runs_here)
OPERATOR_IMAGE = Need("the operator's image on every node", _has_image("td-redis-operator:0.1.0"))
REDIS_7_2 = Need("the image redis:7.2 on every node", _has_image("redis:7.2"))
VALKEY = Need("the image valkey/valkey:8.0 on every node", _has_image("valkey/valkey:8.0"))
LOCALKUBE = Need("localkube, which it is about", lambda _: False)
