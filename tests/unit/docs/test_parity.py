"""Every test that the page of promises names exists."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/reference/parity.md").read_text()
NAMED = re.findall(r"`([\w/]+\.py)::(\w+)`", PAGE)


def names_in(file: str) -> set[str]:
    tree = ast.parse((ROOT / "tests" / file).read_text())
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_every_test_that_proves_a_promise_exists() -> None:
    assert [f"{file}::{name}" for file, name in NAMED if name not in names_in(file)] == []


def test_no_promise_is_without_proof_or_word() -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("| ") and not line.endswith("|---|")]
    bare = [row for row in rows if "::" not in row and "not yet" not in row and "](" not in row]

    assert {row.split(" | ")[1].rstrip(" |") for row in bare} == {"proof", "proof that it is gone"}
