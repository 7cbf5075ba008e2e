"""Which listeners an Envoy is given: one that does not know RESP3 would refuse the whole configuration for it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tdredis.manifests.envoy import build_envoy_files
from tdredis.manifests.start_scripts import ENVOY

SAYS = "envoy  version: 9e5580933739775e8bce696a57a2e1bc99368f23/{}/Clean/RELEASE/BoringSSL"
BOTH, RESP2 = [6379, 6380], [6379]


@pytest.mark.parametrize(
    ("version", "ports"),
    [
        ("1.40.0", BOTH),
        ("1.41.0-dev", BOTH),
        ("1.100.2", BOTH),
        ("2.0.0", BOTH),
        ("1.39.9", RESP2),
        ("1.4.0", RESP2),
        ("1.9.0", RESP2),
        ("0.0.1", RESP2),
        ("next", RESP2),
        ("", RESP2),
    ],
)
def test_the_listener_for_resp3_is_there_from_1_40_on(tmp_path: Path, version: str, ports: list[int]) -> None:
    assert listeners(tmp_path, f"echo '{SAYS.format(version)}'") == ports


@pytest.mark.parametrize("answer", ["exit 1", "true", "echo hello world"])
def test_an_envoy_of_which_nothing_is_known_gets_what_every_envoy_understands(tmp_path: Path, answer: str) -> None:
    assert listeners(tmp_path, answer) == RESP2


def listeners(folder: Path, answer: str) -> list[int]:
    """Ports that a program is told to listen on which answers the question for its version by *answer*."""
    for name, text in build_envoy_files("10.96.0.1", upstream_auth=True, downstream_auth=True).items():
        (folder / name).write_text(text)
    envoy = folder / "envoy"
    # What it is started with is all that is asked of it here; real ones are tested beside this.
    envoy.write_text(f'#!/bin/sh\nif [ "$1" = --version ]; then {answer}; exit; fi\nprintf "%s" "$4"\n')
    envoy.chmod(0o755)

    done = subprocess.run(
        ["sh", "-c", ENVOY.replace("/etc/proxy/", f"{folder}/")],
        env={"POD_IP": "10.0.0.7", "PATH": f"{folder}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )

    overlay: Any = json.loads(done.stdout)
    addresses = [each["address"]["socket_address"] for each in overlay["static_resources"]["listeners"]]
    assert {address["address"] for address in addresses} == {"0.0.0.0"}  # noqa: S104 what it is told to listen on
    assert ("older than 1.40" in done.stderr) == (len(addresses) == 1)
    return [address["port_value"] for address in addresses]
