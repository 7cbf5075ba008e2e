"""Every command of the pages for users is typed by a test, or says why not; and how these pages are read."""

from __future__ import annotations

from typing import Final

import pytest

from tests.e2e.test_howto import PAGES
from tests.kit.howto import HOWTO, Block, parse_blocks, read_blocks

# What nobody can try on a Kubernetes of one process: no mark in a page counts that is not here.
NOT_RUN: Final = {
    ("restart.md", "it is about an edit that failed"),
    ("install.md", "it installs an operator for all namespaces, with an image that you build"),
    ("cli.md", "krew is a program of its own"),
    ("cli.md", "it goes on until Ctrl-C"),
    ("outside.md", "PORT and the address are those of your nodes"),
}

WITHOUT_COMMANDS: Final = {
    "clients.md": "what is written in programs, a line a client; which were tried, the page says",
    "monitoring.md": "files of Prometheus, which promtool reads in another test",
    "night.md": "what to look for, by reason and guard: tests of each make it so",
    "security.md": "what the operator does by itself",
    "standby.md": "fields of spec, which samples/ have; samples are applied by other tests",
}


def blocks() -> list[Block]:
    return [block for page in sorted(HOWTO.glob("*.md")) for block in read_blocks(page)]


def test_every_command_is_typed_by_a_test_or_says_why_not() -> None:
    untried = [block.place for block in blocks() if not block.not_run and block.page.rpartition("/")[2] not in PAGES]

    assert untried == []


def test_what_is_not_typed_is_known() -> None:
    marked = {(block.page.rpartition("/")[2], block.not_run) for block in blocks() if block.not_run}

    assert marked == NOT_RUN


def test_a_page_without_a_command_that_is_typed_is_known() -> None:
    without = {path.name for path in HOWTO.glob("*.md") if all(block.not_run for block in read_blocks(path))}

    assert without == set(WITHOUT_COMMANDS)


def test_a_page_that_is_tried_has_commands() -> None:
    assert [page for page in PAGES if not [each for each in read_blocks(HOWTO / page) if not each.not_run]] == []


TEXT = """\
1. Here:

   ```sh
   kubectl get \\
     pods
   ```

   ```text
   NAME   READY
   a-…    1/1
   ```

```yaml
spec: {}
```

```sh not run: needs a balancer
redis-cli
```
"""


def test_blocks_are_read_with_what_they_show_and_why_they_are_not_run() -> None:
    first, second = parse_blocks("page.md", TEXT)

    assert first == Block(page="page.md", line=3, command="kubectl get \\\n  pods\n", shows="NAME   READY\na-…    1/1")
    assert second == Block(page="page.md", line=17, command="redis-cli\n", not_run="needs a balancer")


@pytest.mark.parametrize(
    "text", ["```text\nalone\n```\n", "```sh quickly\nls\n```\n", "```yaml\na: 1\n```\n```text\nb\n```\n"]
)
def test_a_fence_that_means_nothing_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"page\.md:"):
        list(parse_blocks("page.md", text))


@pytest.mark.parametrize(
    ("shows", "output", "is_it"),
    [
        ("a", "a\n", True),
        ("a", "b\n", False),
        ("a", "a\nb\n", False),
        ("a …", "a \n", False),
        ("a …", "a 12 c\n", True),
        ("a…", "a\n", True),
        ("… of 2 (it?)", "0 of 2 (it?)", True),
        ("a\n…\nd", "a\nb\nc\nd\n", True),
        ("a\n…\nd", "a\nd\n", True),
        ("a\n…", "a\nb\nc\n", True),
        ("a\n…", "a\n", True),
        ("…\nd", "x\nd\n", True),
        ("a\n…\nd", "a\nd\ne\n", False),
    ],
)
def test_output_is_what_the_page_shows_but_for_its_wildcards(shows: str, output: str, is_it: bool) -> None:
    assert Block(page="p", line=1, command="", shows=shows).is_shown_by(output) is is_it
