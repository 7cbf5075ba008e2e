"""How what engines said of their parameters is written down: for the operator, and for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from tdredis.api.settings import instead_of
from tests.engines.scratch import Engine

# Of the scratch process, and no defaults.
OF_THE_SCRATCH: Final = ("bind", "dir", "port")

HEAD: Final = '''\
"""Decides what is known of engines' parameters: which there are, which are live, what they are by default.

Written by `python -m tests.engines.record`, of what the engines themselves answered; do not edit. The running engine's
own answer wins.
"""
# ruff: noqa: E501

from __future__ import annotations

from typing import Final

'''


def render_module(engines: Sequence[Engine]) -> str:
    """A line for each parameter and default. A letter for each engine: L it is live, R it needs a restart, . the engine
    does not know it or has another default.
    """
    width = max(len(name) for engine in engines for name in engine.defaults)
    said = [f"{engine.name} {engine.version}" for engine in engines]
    aliases = {name: now for engine in engines for name, now in engine.aliases.items()}
    lines = [f"{name:<{width}} {letters} {default}".rstrip() for name, letters, default in _rows(engines)]
    return (
        HEAD
        + "# In the order of the letters.\nENGINES: Final = (\n"
        + "".join(f'    "{each}",\n' for each in said)
        + ")\n"
        + "# Name, a letter for each engine (L live, R restart, . not known or another default), default.\n"
        + 'TABLE: Final = """\\\n'
        + "\n".join(line.replace("\\", "\\\\") for line in lines)
        + '\n"""\n'
        + "# Of what is read only at a start: name, x for each engine that says so, how it refuses what is no value.\n"
        + 'VALUES: Final = """\\\n'
        + "".join(f"{line}\n" for line in _values(engines))
        + '"""\n'
        + "# Bytes of an empty database, in the order of the letters.\n"
        + f"DATABASE_BYTES: Final = ({', '.join(str(engine.database_bytes) for engine in engines)})\n"
        + "# Previous names, with the present ones.\nALIASES: Final = {\n"
        + "".join(f'    "{name}": "{aliases[name]}",\n' for name in sorted(aliases))
        + "}\n"
    )


def _rows(engines: Sequence[Engine]) -> Iterator[tuple[str, str, str]]:
    for name in sorted({name for engine in engines for name in engine.defaults}):
        defaults = list(dict.fromkeys(_default(engine, name) for engine in engines if name in engine.defaults))
        for default in defaults:
            yield name, "".join(_letter(engine, name, default) for engine in engines), default


def _values(engines: Sequence[Engine]) -> Iterator[str]:
    names = sorted({name for engine in engines for name in engine.values})
    width = max(map(len, names))
    for name in names:
        for words in dict.fromkeys(engine.values[name] for engine in engines if name in engine.values):
            letters = "".join("x" if engine.values.get(name) == words else "." for engine in engines)
            yield f"{name:<{width}} {letters} {words}"


def _default(engine: Engine, name: str) -> str:
    return "" if name in OF_THE_SCRATCH else engine.defaults[name]


def _letter(engine: Engine, name: str, default: str) -> str:
    if name not in engine.defaults or _default(engine, name) != default:
        return "."
    return "R" if name in engine.restart else "L"


def render_page(engines: Sequence[Engine]) -> str:
    said = ", ".join(f"{engine.name} {engine.version}" for engine in engines)
    lines = [
        "# Parameters of the engines",
        "",
        "Written by `python -m tests.engines.record`, of what the engines themselves answered (`CONFIG GET *` of a"
        " process that was just started, and `CONFIG SET` of each parameter to the value that it has); do not edit.",
        "",
        f"Asked: {said}. A running engine is asked again: its own answer wins.",
        "",
        "live: set on every process at once. restart: given by new pods, one by one. ours: refused in"
        " `spec.config` with what to write instead.",
        "",
        "Last: what to write instead, the present name of a former one, or how engines refuse to start with a value"
        " that is none; a restart parameter that says nothing there takes any text.",
        "",
        "| parameter | class | engines | default | |",
        "|---|---|---|---|---|",
    ]
    for name in sorted({name for engine in engines for name in engine.defaults}):
        knowing = [engine for engine in engines if name in engine.defaults]
        cells = (name, _class(name, knowing), _engines(knowing, engines), _shown(name, knowing), _note(name, knowing))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _class(name: str, knowing: Sequence[Engine]) -> str:
    if instead_of(name):
        return "ours"
    restart = [engine for engine in knowing if name in engine.restart]
    if not restart:
        return "live"
    return "restart" if len(restart) == len(knowing) else f"live; restart in {_listed(restart)}"


def _engines(knowing: Sequence[Engine], engines: Sequence[Engine]) -> str:
    return "all" if len(knowing) == len(engines) else _listed(knowing)


def _listed(engines: Sequence[Engine]) -> str:
    return ", ".join(f"{engine.name} {'.'.join(engine.version.split('.')[:2])}" for engine in engines)


def _shown(name: str, knowing: Sequence[Engine]) -> str:
    """The default, and from which engine on there is another."""
    shown: list[str] = []
    last: dict[str, str] = {}
    for engine in knowing:
        default = _default(engine, name) or '""'
        if not shown or (last.get(engine.name) or next(iter(last.values()))) != default:
            shown.append(f"`{default}`" if not shown else f"`{default}` in {_listed([engine])}")
        last[engine.name] = default
    return ", ".join(shown)


def _note(name: str, knowing: Sequence[Engine]) -> str:
    now = next((engine.aliases[name] for engine in reversed(knowing) if name in engine.aliases), "")
    return instead_of(name) or (f"the same as {now}" if now else "") or _says(name, knowing)


def _says(name: str, knowing: Sequence[Engine]) -> str:
    """How engines refuse to start with what is no value of it."""
    saying = [engine for engine in knowing if name in engine.values]
    found = dict.fromkeys(engine.values[name] for engine in saying)
    if len(found) < 2:
        return next(iter(found), "")
    return "; ".join(f"{words} ({_listed([each for each in saying if each.values[name] == words])})" for words in found)
