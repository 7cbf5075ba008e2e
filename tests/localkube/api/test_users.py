"""Claims about who may run `localkube up`: any user can; where the machine forbids it, one sentence says what to do."""

from __future__ import annotations

import asyncio
import copy
import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import localkube
from localkube.cluster import Cluster
from localkube.kubelet import preflight
from tests.localkube.api.test_up import POD, kubectl

Obj = dict[str, Any]
DEADLINE_S = 60
NOBODY = 65534
PLACES: list[Path] = []  # where the packages are, as `packages` finds or puts them
AS_NOBODY = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")


def as_ordinary_user() -> tuple[str, ...]:
    """What goes before a command to run it as an ordinary user; nothing if we are one."""
    return AS_NOBODY if os.geteuid() == 0 else ()


@pytest.fixture(autouse=True, scope="module")
def packages() -> Iterator[None]:
    """An ordinary user can read localkube and what it imports: where they are, or, where a directory above them is
    closed to others (root's home, or one by `mktemp -d`), as links in one that is open.
    """
    [site] = [Path(path) for path in sys.path if path.endswith("site-packages")][:1]
    root = Path(localkube.__file__).parents[1]
    if all(is_open(place) for place in (root, site)):
        PLACES[:] = [root, site]
        yield
        return
    with tempfile.TemporaryDirectory(prefix="localkube-packages-") as name:
        PLACES[:] = [Path(name), Path(name, "site")]
        Path(name).chmod(0o755)
        shutil.copytree(root / "localkube", Path(name, "localkube"), copy_function=link)
        shutil.copytree(site, Path(name, "site"), copy_function=link)
        yield


def is_open(place: Path) -> bool:
    return all(each.stat().st_mode & stat.S_IXOTH for each in (place, *place.parents))


def link(source: str, target: str) -> None:
    """A copy where it is on another disk."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A directory of the ordinary user's; those of the tests are their user's own."""
    path = Path(tempfile.mkdtemp(prefix="localkube-user-"))
    if os.geteuid() == 0:
        os.chown(path, NOBODY, NOBODY)
    yield path
    shutil.rmtree(path)


def command(*before: str) -> list[str]:
    """`localkube up` behind *before*, by a Python that works there: the machine's own, if ours lies in root's home."""
    ours, machine = sys.executable, "/usr/bin/python3"
    for python in (ours, machine):
        trial = [*before, python, "-c", "import localkube, msgspec"]
        if subprocess.run(trial, env=environment(), check=False, timeout=DEADLINE_S).returncode == 0:
            start = "import sys; from localkube.cli import main; sys.exit(main(['up', '--nodes', '1']))"
            return [*before, python, "-c", start]
    raise AssertionError(f"an ordinary user can run neither {ours} nor {machine} with this project's packages")


def environment(folder: Path | None = None) -> dict[str, str]:
    """No HOME, as in a container: localkube must not need one."""
    return {
        "PATH": "/usr/bin:/bin",
        "PYTHONPATH": ":".join(map(str, PLACES)),
        "PYTHONDONTWRITEBYTECODE": "1",
        **({"TMPDIR": str(folder)} if folder else {}),
    }


def refusal(folder: Path, before: Sequence[str]) -> tuple[int, str]:
    full = command(*before)
    ended = subprocess.run(full, env=environment(folder), capture_output=True, check=False, timeout=DEADLINE_S)
    return ended.returncode, ended.stderr.decode()


@contextmanager
def localkube_of_an_ordinary_user(folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """The process and the line it printed; it has been asked to end when this is left."""
    full = command(*as_ordinary_user())
    process = subprocess.Popen(full, env=environment(folder), stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
    try:
        assert process.stdout is not None
        yield process, process.stdout.readline().decode()
        process.terminate()
        process.wait(DEADLINE_S)
    finally:
        process.kill()
        process.communicate()


async def type_in(kubeconfig: Path, pod: Obj) -> list[tuple[int | None, str]]:
    return [
        await kubectl(kubeconfig, "apply", "-f", "-", stdin=json.dumps(pod)),
        await kubectl(kubeconfig, "wait", "--for=condition=Ready", "pod/p", "--timeout=20s"),
        await kubectl(kubeconfig, "logs", "p"),
    ]


def test_an_ordinary_user_runs_pods(folder: Path, tmp_path: Path) -> None:
    with localkube_of_an_ordinary_user(folder) as (process, line):
        [kubeconfig] = folder.glob("localkube-*/kubeconfig")
        # kubectl keeps a cache beside it, which would be ours.
        said = asyncio.run(type_in(Path(shutil.copy(kubeconfig, tmp_path)), POD))
        owner = Path(f"/proc/{process.pid}").stat().st_uid

    assert f"export KUBECONFIG={kubeconfig}" in line
    assert said == [(0, "pod/p created\n"), (0, "pod/p condition met\n"), (0, "started\n")]
    assert (owner != 0, process.returncode) == (True, 0)
    assert list(folder.rglob("localkube-*")) == []


def test_an_ordinary_users_pod_has_the_user_it_names(folder: Path, tmp_path: Path) -> None:
    """Also what comes into it from outside: probes and commands."""
    pod: Obj = copy.deepcopy(POD)
    [container] = pod["spec"]["containers"]
    locked = {"readOnlyRootFilesystem": True, "allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    probe = {"exec": {"command": ["sh", "-c", "test $(id -u) = 999 && touch /data/x"]}, "periodSeconds": 1}
    script = "id -u; id -g; touch /x 2> /dev/null || echo started; exec sleep 60"
    mounts = [{"name": "data", "mountPath": "/data"}]
    main = container | {
        "command": ["sh", "-c", script], "securityContext": locked, "volumeMounts": mounts, "readinessProbe": probe,
    }  # fmt: skip
    pod["spec"] |= {
        "containers": [main],
        "volumes": [{"name": "data", "emptyDir": {}}],
        "securityContext": {"runAsNonRoot": True, "runAsUser": 999, "runAsGroup": 999, "fsGroup": 999},
    }

    with localkube_of_an_ordinary_user(folder):
        [kubeconfig] = folder.glob("localkube-*/kubeconfig")
        config = Path(shutil.copy(kubeconfig, tmp_path))
        said = asyncio.run(type_in(config, pod))
        inside = asyncio.run(kubectl(config, "exec", "p", "--", "stat", "-c", "%u", "/data/x"))

    assert said[1:] == [(0, "pod/p condition met\n"), (0, "999\n999\nstarted\n")]
    assert inside == (0, "999\n")


def test_without_user_namespaces_one_sentence_says_what_to_do(folder: Path) -> None:
    without = ["bwrap", "--unshare-user", "--disable-userns", "--dev-bind", "/", "/", "--proc", "/proc"]

    code, said = refusal(folder, [*as_ordinary_user(), *without, "--uid", str(NOBODY), "--gid", str(NOBODY), "--"])

    assert code == 1
    assert said.startswith("localkube: bubblewrap cannot fence pods in on this machine (bwrap: ")
    assert said.endswith("run localkube as root\n")
    assert said.count("\n") == 1
    assert list(folder.iterdir()) == []


def test_without_bubblewrap_one_sentence_says_what_to_install(folder: Path) -> None:
    hidden = ["bwrap", "--unshare-user", "--dev-bind", "/", "/", "--ro-bind", "/dev/null", "/usr/bin/bwrap"]

    code, said = refusal(folder, [*as_ordinary_user(), *hidden, "--"])

    assert (code, said.count("\n")) == (1, 1)
    assert "cannot be run: install it (Debian and Ubuntu: `apt-get install bubblewrap`)" in said


@pytest.mark.parametrize(
    ("switch", "value", "advice"),
    [
        ("kernel/unprivileged_userns_clone", "0", "sysctl -w kernel.unprivileged_userns_clone=1"),
        ("kernel/apparmor_restrict_unprivileged_userns", "1", "kernel.apparmor_restrict_unprivileged_userns=0"),
        ("user/max_user_namespaces", "0", "sysctl -w user.max_user_namespaces=15000"),
        ("user/max_user_namespaces", "9", "run localkube as root"),
    ],
)
def test_the_advice_is_for_the_switch_that_is_off(tmp_path: Path, switch: str, value: str, advice: str) -> None:
    (tmp_path / switch).parent.mkdir()
    (tmp_path / switch).write_text(f"{value}\n")

    assert advice in preflight.build_advice(tmp_path, as_root=False)


def test_a_cluster_in_python_says_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "BWRAP", "/nosuch/bwrap")
    preflight.check_sandbox.cache_clear()

    with pytest.raises(RuntimeError, match="pods run under bubblewrap, and /nosuch/bwrap cannot be run"):
        Cluster(nodes=1)
