"""Decides how a result reads: a text for people, or the same data as JSON or YAML for programs."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Literal, TypeAlias

Data: TypeAlias = "dict[str, Data] | list[Data] | str | int | float | bool | None"
Output: TypeAlias = Literal["text", "json", "yaml"]


def print_data(data: Data, output: str, as_text: Callable[[], str]) -> None:
    """*as_text* is asked only where a text is wanted."""
    if output == "json":
        print(json.dumps(data, indent=2, ensure_ascii=False))
    elif output == "yaml":
        print(dump_yaml(data), end="")
    else:
        print(as_text())


def dump_yaml(data: object) -> str:
    """In the order of *data*, without aliases."""
    import yaml  # noqa: PLC0415 no other output needs it

    class Plain(yaml.SafeDumper):
        def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 the signature of the parent
            return True

    text: str = yaml.dump(data, Dumper=Plain, sort_keys=False, allow_unicode=True, width=120)
    return text


def render_table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Columns as wide as what is in them, three blanks apart, as kubectl has them."""
    texts = [tuple(head), *(tuple("" if cell is None else str(cell) for cell in row) for row in rows)]
    widths = [max(len(row[column]) for row in texts) for column in range(len(head))]
    return "\n".join(
        "   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in texts
    )
