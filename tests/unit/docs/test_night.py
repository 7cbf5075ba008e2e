"""The page for the night names every reason and guard that status can have, and none that does not exist."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/howto/night.md").read_text()
# Words of the scheduler, the kubelet and the container runtime, passed on as they are.
OF_KUBERNETES = {"Unschedulable", "ErrImagePull", "ImagePullBackOff", "CrashLoopBackOff"}

ASSIGNED = {"reason": ("reason", "first", "under_way"), "guard": ("guard",)}  # variables that hold one


def texts(node: ast.AST | None) -> Iterator[str]:
    """Every string that *node* may have as its value."""
    match node:
        case ast.Constant(value=str(text)):
            yield text
        case ast.IfExp(body=body, orelse=other):
            yield from (*texts(body), *texts(other))


def said(word: str) -> set[str]:
    """Strings that the code passes as, or calls, *word*."""
    found: set[str] = set()
    for path in (*(ROOT / "tdredis/planning").rglob("*.py"), *(ROOT / "tdredis/controllers").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.keyword(arg=name, value=value) if name == word:
                    found.update(texts(value))
                case ast.Assign(targets=[ast.Name(id=name)], value=value) if name in ASSIGNED[word]:
                    found.update(texts(value))
                case ast.Call(func=ast.Name(id="held"), args=[first, *_]) if word == "guard":
                    found.update(texts(first))
    return found


REASONS, GUARDS = said("reason"), said("guard")


def listed(heading: str) -> set[str]:
    """The first column of the tables below *heading*."""
    part = PAGE.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| ([A-Za-z_, ]+) \|", part, re.MULTILINE)
    return {name for row in rows for name in row.split(", ")} - {"reason", "guard"}


def test_the_code_is_read_as_it_is_written() -> None:
    assert {"NoPrimary", "StepFailed", "Paused", "AsSpecified"} <= REASONS
    assert {"vip_is_an_ip", "no_failover_in_progress", "other_sentinels_are_ready"} <= GUARDS


@pytest.mark.parametrize("heading", ["Reasons of conditions and events", "Guards"])
def test_the_page_names_all_that_the_code_can_say_and_nothing_else(heading: str) -> None:
    expected = GUARDS if heading == "Guards" else REASONS | OF_KUBERNETES

    assert expected == listed(heading)


def guards_of_spec() -> set[str]:
    """Those of which a Hold says that it is about spec, itself or by the function that makes it."""
    found: set[str] = set()
    for path in (ROOT / "tdredis/planning").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
                continue
            words = {each.arg: each.value for each in node.keywords}
            if node.func.id == "_at" or "spec" in texts(words.get("about")):
                found.update(texts(words.get("guard")))
    return found


def test_a_guard_stands_in_the_table_of_what_it_is_about() -> None:
    spec, _, world = PAGE.partition("## Guards\n")[2].partition("Of the world:")
    of_spec, of_world = (
        set(", ".join(re.findall(r"^\| ([a-z_, ]+) \|", part, re.MULTILINE)).split(", ")) for part in (spec, world)
    )

    assert of_spec - {"guard"} == guards_of_spec()
    assert not of_world & guards_of_spec()
