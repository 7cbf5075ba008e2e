"""What is worked out once for each schema: on every write, most of the work would be the same as on the last one."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

Schema = Mapping[str, Any]
Result = TypeVar("Result")


def once_per_schema(work: Callable[[Schema], Result]) -> Callable[[Schema], Result]:
    """Remembers the answer for this very object. A schema is never changed in place, so the answer stays true."""
    known: dict[int, tuple[Schema, Result]] = {}

    @functools.wraps(work)
    def remembered(schema: Schema) -> Result:
        found = known.get(id(schema))
        # The schema is kept with its answer: another one at the same address would be taken for it.
        if found is None:
            found = known[id(schema)] = (schema, work(schema))
        return found[1]

    return remembered
