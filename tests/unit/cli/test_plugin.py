"""What krew is given: an archive, the same when it is made again, its manifest, and a start that says what it lacks."""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[3]
SCRIPT = ROOT / "scripts/krew-plugin"
URI = "https://example.invalid/kubectl-tdredis.tar.gz"
NEEDED = ("aiohttp>=3.11", "msgspec>=0.19", "rich>=14 ; extra == 'sandbox'")


def make_wheel(folder: Path) -> Path:
    """As far as it is looked into."""
    path = folder / "td_redis_operator-1.2.3-py3-none-any.whl"
    metadata = "Metadata-Version: 2.4\nName: td-redis-operator\nVersion: 1.2.3\n"
    with zipfile.ZipFile(path, "w") as wheel:
        info = zipfile.ZipInfo("td_redis_operator-1.2.3.dist-info/METADATA")
        wheel.writestr(info, metadata + "".join(f"Requires-Dist: {each}\n" for each in NEEDED))
    return path


def make(folder: Path, wheel: Path) -> tuple[Any, bytes]:
    """The manifest and the archive."""
    words = [sys.executable, str(SCRIPT), str(wheel), "--out", str(folder), "--uri", URI]
    subprocess.run(words, check=True, timeout=60)
    return yaml.safe_load((folder / "tdredis.yaml").read_text()), (folder / "kubectl-tdredis.tar.gz").read_bytes()


@pytest.fixture
def plugin(tmp_path: Path) -> tuple[Any, bytes]:
    return make(tmp_path / "out", make_wheel(tmp_path))


def files_of(archive: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        found = {each.name: tar.extractfile(each) for each in tar.getmembers()}
        return {name: each.read() for name, each in found.items() if each}


def test_the_manifest_is_one_that_krew_takes(plugin: tuple[Any, bytes]) -> None:
    manifest, archive = plugin
    (platform,) = manifest["spec"]["platforms"]

    assert manifest["apiVersion"] == "krew.googlecontainertools.github.com/v1alpha2"
    assert (manifest["kind"], manifest["metadata"]["name"]) == ("Plugin", "tdredis")
    assert manifest["spec"]["version"] == "v1.2.3"
    assert len(manifest["spec"]["shortDescription"]) <= 50
    assert platform["sha256"] == hashlib.sha256(archive).hexdigest()
    assert platform["uri"] == URI
    assert platform["bin"] in files_of(archive)


def test_made_again_it_is_the_same(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path)

    assert make(tmp_path / "a", wheel) == make(tmp_path / "b", wheel)


def test_what_it_needs_is_locked_and_nothing_else_is(plugin: tuple[Any, bytes]) -> None:
    locked = files_of(plugin[1])["requirements.txt"].decode()
    names = [line.partition("==")[0] for line in locked.splitlines() if line[:1].isalpha()]

    assert {"aiohttp", "msgspec", "yarl", "multidict", "idna"} <= set(names)
    assert not {"rich", "pytest", "td-redis-operator"} & set(names)
    assert all(f"{name}==" in locked for name in names)
    assert locked.count("--hash=sha256:") >= len(names)


def test_its_start_script_is_sound(plugin: tuple[Any, bytes], tmp_path: Path) -> None:
    script = tmp_path / "start.sh"
    script.write_bytes(files_of(plugin[1])["kubectl-tdredis"])

    done = subprocess.run(["shellcheck", script], capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == 0, done.stdout


def start(plugin: tuple[Any, bytes], folder: Path, python: str) -> subprocess.CompletedProcess[str]:
    """By a link, as krew makes one, with a cache of its own."""
    unpacked = folder / "unpacked"
    unpacked.mkdir()
    with tarfile.open(fileobj=io.BytesIO(plugin[1])) as tar:
        tar.extractall(unpacked, filter="data")
    link = folder / "kubectl-tdredis"
    link.symlink_to(unpacked / "kubectl-tdredis")
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(folder), "TDREDIS_PYTHON": python}
    return subprocess.run(
        [str(link), "a b", "c"], env=environment, capture_output=True, text=True, timeout=60, check=False
    )


def test_without_a_python_that_will_do_it_says_so(plugin: tuple[Any, bytes], tmp_path: Path) -> None:
    done = start(plugin, tmp_path, "/nowhere/python3")

    assert done.returncode == 2
    assert "needs Python 3.11 or newer" in done.stderr


def test_the_first_start_installs_what_is_locked_and_then_becomes_the_program(
    plugin: tuple[Any, bytes], tmp_path: Path
) -> None:
    """By a Python that writes down what it is told to install, and makes the program that the wheel would."""
    python = tmp_path / "python"
    python.write_text(
        """#!/bin/sh
case "$*" in
  "-c "*) exit 0 ;;
  "-m venv --clear "*) mkdir -p "$4/bin" && cp "$0" "$4/bin/python" && cp "$0" "$4/bin/kubectl-tdredis" ;;
  "-m pip "*) echo "$@" >>"$HOME/installed" ;;
  *) printf '%s|' "$@" ;;
esac
"""
    )
    python.chmod(0o755)

    done = start(plugin, tmp_path, str(python))

    installed = (tmp_path / "installed").read_text().splitlines()
    assert done.stdout == "a b|c|"
    assert "--require-hashes -r" in installed[0]
    assert installed[1].endswith("td_redis_operator-1.2.3-py3-none-any.whl")
    assert (installed[1].count("--no-deps"), len(installed)) == (1, 2)
