"""What a Kubernetes 1.36 says of our definitions, samples and cases, and that localkube says it in the same words.

Where the checker that knows this is there (`../shared/crdcheck`, built into CRDCHECK_DIR).
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.unit.api.admission_cases import CASES, Case
from tests.unit.api.test_admission import errors_of_localkube

ROOT = Path(__file__).parents[3]
CHECKER = Path(os.environ.get("CRDCHECK_DIR", "/tmp/crdcheck")) / "bin" / "crdcheck"
DEADLINE_S = 60
MOST_OF_ITS_BUDGET_PERCENT = 50

pytestmark = pytest.mark.skipif(
    not (ROOT.parent / "shared" / "crdcheck").is_dir() or not os.access(CHECKER, os.X_OK),
    reason="the checker is not here",
)


class Server:
    """One process that answers requests, a line each."""

    def __init__(self) -> None:
        command = [str(CHECKER), "--serve", str(ROOT / "deploy" / "crds")]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def answer(self, case: Case) -> dict[str, Any]:
        request = {"object": case.manifest, "old": case.former, "subresource": case.subresource}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({name: value for name, value in request.items() if value}) + "\n")
        self._process.stdin.flush()
        found: dict[str, Any] = json.loads(self._process.stdout.readline())
        return found

    def end(self) -> None:
        self._process.communicate(timeout=DEADLINE_S)  # the end of its input ends it


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    started = Server()
    yield started
    started.end()


def judge(*arguments: str) -> list[dict[str, Any]]:
    done = subprocess.run([str(CHECKER), "--json", *arguments], capture_output=True, timeout=DEADLINE_S, check=False)
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_the_definitions_and_the_samples_are_taken() -> None:
    answers = judge(str(ROOT / "deploy" / "crds"), str(ROOT / "samples"))

    assert [(each["kind"], each["accepted"]) for each in answers] == [
        *[("CustomResourceDefinition", True)] * 3,
        ("RedisCluster", True),
        ("RedisStandalone", True),
        ("RedisStandby", True),
    ]
    assert [each.get("warnings") for each in answers if each.get("warnings")] == []


def test_no_rule_comes_near_its_budget() -> None:
    costs = [cost for answer in judge("--costs", str(ROOT / "deploy" / "crds")) for cost in answer["costs"]]

    assert len(costs) > len(_rules(costs)) > 50
    assert [cost for cost in costs if cost["cost"] * 100 > cost["limit"] * MOST_OF_ITS_BUDGET_PERCENT] == []


def _rules(costs: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [cost for cost in costs if "x-kubernetes-validations" in cost["path"]]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_it_says_what_is_expected_and_so_does_localkube(server: Server, case: Case) -> None:
    answer = server.answer(case)

    assert answer["accepted"] is not bool(case.says), answer
    assert {_bare(error) for error in answer["errors"]} == errors_of_localkube(case)


def _bare(error: str) -> str:
    """Without which kind could not be decoded, which a request says and no field."""
    return error[error.index("strict decoding error") :] if "strict decoding error" in error else error
