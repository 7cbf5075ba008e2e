"""What the pages show to write is accepted: every block of YAML, and every patch, of README and docs."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tdredis.api.fields import API_VERSION
from tdredis.api.kinds import KINDS, parse
from tdredis.api.validation import problems
from tests.unit.api.admission_cases import sample
from tests.unit.api.test_admission import judge

ROOT: Final = Path(__file__).parents[3]
PAGES: Final = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
_BLOCK = re.compile(r"^```ya?ml\n(.*?)^```", re.MULTILINE | re.DOTALL)
_PATCH = re.compile(r"""-p '(\{"spec".*?\})'""")
LATER: Final = "no-such-redis:99"  # an image that nobody has is a good name all the same


def blocks() -> list[tuple[str, dict[str, Any]]]:
    """Where it stands, and what it says: a resource, or a part of one that begins with spec."""
    found = []
    for page in PAGES:
        text, name = page.read_text(), str(page.relative_to(ROOT))
        for written in _BLOCK.finditer(text):
            documents = yaml.safe_load_all(written[1])
            found += [(name, each) for each in documents if isinstance(each, dict) and _is_ours(each)]
        found += [(name, json.loads(written[1])) for written in _PATCH.finditer(text)]
    return found


def _is_ours(document: dict[str, Any]) -> bool:
    return document.get("apiVersion") == API_VERSION or set(document) == {"spec"}


BLOCKS: Final = blocks()


@pytest.mark.parametrize(("page", "document"), BLOCKS, ids=[page for page, _ in BLOCKS])
def test_it_is_accepted(page: str, document: dict[str, Any]) -> None:
    assert any(_complaints(kind, document) == () for kind in _kinds(document)), {
        kind: _complaints(kind, document) for kind in _kinds(document)
    }


def _kinds(document: dict[str, Any]) -> tuple[str, ...]:
    """Which kinds it may be of: a part says nothing of that."""
    return (document["kind"],) if "kind" in document else tuple(KINDS)


def _complaints(kind: str, document: dict[str, Any]) -> tuple[str, ...]:
    whole = document if "kind" in document else sample(kind, document)
    return (*judge(kind, copy.deepcopy(whole)), *problems(parse(KINDS[kind], whole)))


def test_the_pages_have_examples_of_every_sort() -> None:
    kinds = {document.get("kind") for _, document in BLOCKS}

    assert {"RedisCluster", "RedisStandby", None} <= kinds
    assert any(LATER in json.dumps(document) for _, document in BLOCKS)
