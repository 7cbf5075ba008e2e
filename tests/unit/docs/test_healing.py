"""The page about faults says what is: every rule, guard, reason, sentence, command and test that it names exists."""

from __future__ import annotations

import argparse
import ast
import json
import re
from pathlib import Path

import pytest

from bench.healing import condense
from localkube.faults.cli import add_parser
from tdredis.healing.catalogue import Row, guard_name
from tdredis.healing.page import render_page
from tdredis.healing.rows import GUARDS_NOT_ABOUT_FAULTS, ROWS, RULES_NOT_ABOUT_FAULTS
from tdredis.planning import steps
from tdredis.planning.cluster import failover
from tdredis.planning.cluster import rules as cluster
from tdredis.planning.replication import rules as replication
from tests.unit.docs.test_night import GUARDS, OF_KUBERNETES, REASONS
from tests.unit.docs.test_parity import names_in

ROOT = Path(__file__).parents[3]
REFERENCE = ROOT / "docs/reference"
RULES = {*(rule.decide for rule in cluster.RULES), *(rule.decide for rule in replication.RULES)}
EACH = pytest.mark.parametrize("row", ROWS, ids=lambda row: str(row.number))


def constants() -> str:
    """Every piece of text in the code, one a line."""
    found = []
    for path in (ROOT / "tdredis").rglob("*.py"):
        if "healing" not in path.parts:
            tree = ast.parse(path.read_text())
            found += [
                each.value for each in ast.walk(tree) if isinstance(each, ast.Constant) and isinstance(each.value, str)
            ]
    return "\n".join(found)


TEXT = constants()


def test_rows_are_in_their_order_and_none_is_missing() -> None:
    assert [row.number for row in ROWS] == list(range(1, len(ROWS) + 1))
    assert len(ROWS) >= 26


@EACH
def test_every_test_of_a_row_exists(row: Row) -> None:
    named = [test.split("::") for test in row.tests]

    assert [name for file, name in named if name not in names_in(file)] == []
    assert len(named) == len(set(row.tests))


def is_long(file: str, name: str) -> bool:
    """All of it is for `make test-all`."""
    tree = ast.parse((ROOT / "tests" / file).read_text())
    found = (each for each in tree.body if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef))
    marks = [ast.unparse(mark) for each in found if each.name == name for mark in each.decorator_list]
    return "pytest.mark.long" in marks


@EACH
def test_make_test_tries_a_row_on_real_processes_if_anything_does(row: Row) -> None:
    real = [test.split("::") for test in row.tests if test.startswith("e2e/")]

    assert not real or [name for file, name in real if not is_long(file, name)]


@EACH
def test_a_row_without_a_test_says_that_it_is_not_proven(row: Row) -> None:
    assert row.tests or row.missing


@EACH
def test_every_guard_and_reason_of_a_row_is_one_that_the_code_says(row: Row) -> None:
    guards = [guard_name(guard) for guard in row.guards]
    conditions = [seen.name for seen in row.seen if isinstance(seen.reason, str)]
    events = [seen.reason for seen in row.seen if isinstance(seen.reason, type)]

    assert [name for name in guards if name not in GUARDS] == []
    assert [name for name in conditions if name not in REASONS | OF_KUBERNETES] == []
    assert [each for each in events if each not in steps.NAMES] == []


@EACH
def test_every_sentence_of_a_row_is_made_of_pieces_that_the_code_says(row: Row) -> None:
    pieces = [piece.strip() for seen in row.seen for piece in re.split("[…:;,]", seen.words)]

    assert [piece for piece in pieces if piece not in TEXT] == []


@EACH
def test_every_fault_of_localkube_that_a_row_names_is_understood(row: Row) -> None:
    parser = argparse.ArgumentParser("localkube")
    add_parser(parser.add_subparsers())
    for command in row.make:
        words = command.split()
        if words[0] == "localkube":
            parser.parse_args(words[1:])


def test_every_guard_is_named_by_a_row_or_is_not_about_faults() -> None:
    named = {guard_name(guard) for row in ROWS for guard in row.guards}
    others = {guard_name(guard) for guard in GUARDS_NOT_ABOUT_FAULTS}

    assert named | others == GUARDS
    assert named & others == set()
    assert {guard.__name__ for guard in (*failover.FAILOVER_GUARDS, *failover.TAKEOVER_GUARDS)} <= named


def test_every_rule_is_named_by_a_row_or_is_not_about_faults() -> None:
    named = {rule for row in ROWS for rule in row.rules}

    assert {f"{rule.__module__}.{rule.__name__}" for rule in RULES - named - set(RULES_NOT_ABOUT_FAULTS)} == set()
    assert named & set(RULES_NOT_ABOUT_FAULTS) == set()


def test_the_page_is_the_one_that_is_generated() -> None:
    measured = json.loads((REFERENCE / "healing.json").read_text())

    assert (REFERENCE / "healing.md").read_text() == render_page(ROWS, measured), "make generated"


def test_numbers_belong_to_rows() -> None:
    measured = json.loads((REFERENCE / "healing.json").read_text())

    assert set(measured) <= {str(row.number) for row in ROWS}


def test_lines_of_many_runs_become_numbers_of_a_row_and_way() -> None:
    lines = [{"row": 1, "kind": "a", "gap_s": gap, "lost": 0, "heal_s": 2.0} for gap in (0.1, 0.3, 0.2)]

    found = condense([*lines, {"row": 9, "kind": "b", "gap_s": None, "lost": 4}], machine="m", when="w")

    assert found == {
        "1": {
            "a": {
                "runs": 3,
                "machine": "m",
                "when": "w",
                "gap_p50_s": 0.2,
                "gap_p99_s": 0.3,
                "heal_p50_s": 2.0,
                "heal_p99_s": 2.0,
                "lost_most": 0,
            }
        },
        "9": {"b": {"runs": 1, "machine": "m", "when": "w", "lost_most": 4}},
    }
