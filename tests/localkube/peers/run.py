"""Whether suites that others wrote for real clusters pass on localkube: `run.py [PEER ...]`.

It installs each suite from its published source into a temporary folder, starts a localkube, and prints a table.
It ends with 1 when a test fails that docs/reference/localkube-peers.md does not name. Nothing of theirs stays.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import venv
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
RECORD = ROOT / "docs" / "reference" / "localkube-peers.md"
INSTALL_LIMIT_S = 600
SUITE_LIMIT_S = 900
READY_LIMIT_S = 30
# A real cluster has pods of its own in kube-system, and kr8s' suite counts on it.
SYSTEM_POD = """
apiVersion: v1
kind: Pod
metadata: {name: coredns, namespace: kube-system, labels: {k8s-app: kube-dns}}
spec: {containers: [{name: pause, image: registry.k8s.io/pause}]}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """*arguments* of pytest, run in the folder of the source, or in ours when there is *suite*."""

    source: str
    needs: tuple[str, ...]
    arguments: tuple[str, ...]
    suite: Path | None = None


PEERS: Mapping[str, Peer] = {
    "kopf": Peer(
        source="kopf==1.45.2",
        needs=(
            "kubernetes", "pykube-ng", "uvloop", "kmock>=0.5", "looptime>=0.8", "pytest-mock", "pytest-aiohttp",
            "freezegun", "pyngrok", "certbuilder", "certvalidator", "oscrypto",
        ),
        arguments=("--only-e2e", "--timeout=120", "tests/e2e", "examples"),
    ),
    "kr8s": Peer(
        source="kr8s==0.20.15",
        needs=("pytest-rerunfailures", "trio", "kubernetes", "kubernetes-asyncio", "kubernetes-validate", "pykube-ng",
               "lightkube"),
        arguments=("-o", "addopts=", "-p", "pytest_kind", "--timeout=25", "kr8s/tests"),
    ),
    "lightkube": Peer(
        source="lightkube==1.0.1",
        needs=(),
        arguments=("-c", os.devnull, "--rootdir", str(HERE), "--noconftest", "--timeout=60"),
        suite=HERE / "lightkube_claims.py",
    ),
}  # fmt: skip
TOOLS = ("pytest>=9", "pytest-asyncio", "pytest-timeout", "pytest-xdist", "pytest-cov")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    passed: int
    skipped: int
    failed: tuple[str, ...]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("peers", nargs="*", metavar="PEER", help=f"one of {', '.join(PEERS)} (default: all)")
    wanted = parser.parse_args().peers or list(PEERS)
    if unknown := sorted(set(wanted) - set(PEERS)):
        parser.error(f"unknown: {', '.join(unknown)}")
    surprising = 0
    with tempfile.TemporaryDirectory(prefix="localkube-peers-") as folder:
        for name in wanted:
            outcome = run_peer(PEERS[name], Path(folder) / name)
            surprising += tell(name, outcome)
    return 1 if surprising else 0


def tell(name: str, outcome: Outcome) -> int:
    """Prints the peer's row of the table and its failed tests. Returns how many of them are not on record."""
    recorded = RECORD.read_text()
    say(f"{name:10} passed {outcome.passed:4}  skipped {outcome.skipped:3}  failed {len(outcome.failed):3}")
    surprises = 0
    for test in outcome.failed:
        known = f"`{test}`" in recorded or f"`{test.partition('[')[0]}`" in recorded
        surprises += not known
        say(f"  {'known' if known else 'NEW  '} {test}")
    return surprises


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def run_peer(peer: Peer, folder: Path) -> Outcome:
    venv.create(folder / "env", with_pip=True)
    python = folder / "env" / "bin" / "python"
    install(python, "--upgrade", "pip")
    install(python, *TOOLS, *peer.needs, peer.source)
    where = folder if peer.suite else download(python, peer.source, folder)
    report = folder / "report.xml"
    with (folder / "localkube.log").open("wb") as log:
        cluster = subprocess.Popen(
            [str(Path(sys.executable).parent / "localkube"), "up", "--kubeconfig", str(folder / "kubeconfig")],
            stdout=subprocess.PIPE,
            stderr=log,
            cwd=ROOT,
        )
        try:
            assert cluster.stdout is not None
            cluster.stdout.readline()
            environment = build_environment(python, folder / "kubeconfig")
            apply = ["kubectl", "apply", "-f", "-"]
            subprocess.run(apply, input=SYSTEM_POD.encode(), env=environment, check=True, timeout=READY_LIMIT_S)
            command = [str(python), "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}"]
            suite = [str(peer.suite)] if peer.suite else []
            with (folder / "pytest.log").open("wb") as said:
                subprocess.run(
                    [*command, *peer.arguments, *suite],
                    cwd=where, env=environment, stdout=said, stderr=said, timeout=SUITE_LIMIT_S, check=False,
                )  # fmt: skip
        finally:
            cluster.terminate()
            cluster.wait(READY_LIMIT_S)
    if not report.exists():
        raise SystemExit((folder / "pytest.log").read_text(errors="replace")[-4000:])
    return parse_report(report)


def install(python: Path, *what: str) -> None:
    pip = [str(python), "-m", "pip", "install", "-qqq", "--disable-pip-version-check", *what]
    subprocess.run(pip, check=True, timeout=INSTALL_LIMIT_S)


def download(python: Path, source: str, folder: Path) -> Path:
    """The unpacked source: wheels come without tests."""
    name = source.partition("==")[0]
    pip = [str(python), "-m", "pip", "download", "-qqq", "--no-deps", "--no-binary", name, "-d", str(folder), source]
    subprocess.run(pip, check=True, timeout=INSTALL_LIMIT_S)
    archive = next(folder.glob("*.tar.gz"))
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
    return folder / archive.name.removesuffix(".tar.gz")


def build_environment(python: Path, kubeconfig: Path) -> dict[str, str]:
    ours = {name: value for name, value in os.environ.items() if not re.match(r"PYTHON|PYTEST|KUBE", name)}
    path = f"{python.parent}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    standin = str(HERE / "standin")
    return {
        **ours, "PATH": path, "KUBECONFIG": str(kubeconfig), "PEERS_KUBECONFIG": str(kubeconfig), "PYTHONPATH": standin,
    }  # fmt: skip


def parse_report(report: Path) -> Outcome:
    passed, skipped, failed = 0, 0, []
    for case in ET.parse(report).getroot().iter("testcase"):  # noqa: S314 - pytest wrote it a moment ago
        if case.find("failure") is not None or case.find("error") is not None:
            failed.append(str(case.get("name")))
        elif case.find("skipped") is not None:
            skipped += 1
        else:
            passed += 1
    return Outcome(passed=passed, skipped=skipped, failed=tuple(sorted(set(failed))))


if __name__ == "__main__":
    raise SystemExit(main())
