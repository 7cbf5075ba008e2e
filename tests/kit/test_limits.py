"""What is promised of waiting: who is ended says for what it waited, and waiting for a turn costs nobody its time."""

from __future__ import annotations

import asyncio
import fcntl
import os
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ended_after, locked
from tests.kit.waiting import eventually

ROOT = Path(__file__).parents[2]
SHORT_S, LIMIT_S = 0.05, 1.0


async def is_full() -> bool:
    return False


async def wait_for_the_moon() -> None:
    await eventually(is_full, "the moon is full")


async def test_giving_up_says_what_was_waited_for_and_what_was_seen() -> None:
    with pytest.raises(AssertionError, match=r"not within 0.05 s: the moon is full; last seen: False"):
        await eventually(is_full, "the moon is full", deadline_s=SHORT_S)
    with pytest.raises(AssertionError, match=r"not within 0.05 s: \[1, 2\]; last seen: 0"):
        await eventually(lambda: 0, lambda: [1, 2], deadline_s=SHORT_S)


async def test_an_error_that_is_an_answer_is_asked_again_and_any_other_is_raised() -> None:
    answers: Iterator[str | Exception] = iter([KeyError("a"), KeyError("b"), "found", ValueError("c")])

    def ask() -> str:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert await eventually(ask, "it is found", not_yet=(KeyError,)) == "found"
    with pytest.raises(ValueError, match="c"):
        await eventually(ask, "it is found", not_yet=(KeyError,))


async def test_who_is_ended_says_what_it_waited_for() -> None:
    with pytest.raises(TimeoutError) as ended:
        await ended_after(SHORT_S, wait_for_the_moon)()

    assert ended.value.__cause__ is not None
    assert ended.value.__cause__.__notes__ == ["it waited for: the moon is full; last seen: False"]


async def test_who_wants_the_room_alone_waits_for_those_in_it_and_lets_nobody_else_in(tmp_path: Path) -> None:
    door, room = tmp_path / "door", tmp_path / "room"
    door.mkdir()
    room.mkdir()
    told: list[str] = []

    def enter(name: str, how: int) -> None:
        with locked(room, door, how):
            told.append(name)

    with locked(room, door, fcntl.LOCK_SH):
        await asyncio.to_thread(enter, "beside", fcntl.LOCK_SH)
        alone = asyncio.create_task(asyncio.to_thread(enter, "alone", fcntl.LOCK_EX))
        await eventually(lambda: is_taken(door), "it waits with the door in its hand")
        late = asyncio.create_task(asyncio.to_thread(enter, "late", fcntl.LOCK_SH))
        assert told == ["beside"]
    await asyncio.gather(alone, late)

    assert told == ["beside", "alone", "late"]


def is_taken(folder: Path) -> bool:
    opened = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(opened)
    return False


async def pytest_on(folder: Path, text: str) -> str:
    """What a run of pytest with our conftest says of one file of tests, as a worker whose room is *folder*."""
    (folder / "kit").mkdir(exist_ok=True)
    (folder / "conftest.py").write_text(
        textwrap.dedent(
            f"""\
            from pathlib import Path
            from tests import conftest
            from tests.conftest import *
            conftest.DOOR, conftest.ROOM = Path({str(folder)!r}), Path({str(folder)!r}) / "kit"
            """
        )
    )
    (folder / "test_it.py").write_text(textwrap.dedent(text))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pytest", "-q", "-c", str(ROOT / "pyproject.toml"), "--rootdir", str(ROOT)),
        *("-p", "no:cacheprovider", "-p", "no:xdist", "-o", "addopts=", str(folder / "test_it.py")),
        cwd=ROOT,
        env={**os.environ, "PYTEST_XDIST_WORKER": "gw0"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(60):
        out, _ = await process.communicate()
    return out.decode()


async def test_a_test_that_runs_into_its_limit_names_the_line_and_what_it_waited_for(tmp_path: Path) -> None:
    said = await pytest_on(
        tmp_path,
        """\
        import pytest
        from tests.kit.waiting import eventually

        @pytest.mark.timeout(15.5)
        async def test_the_moon() -> None:
            await eventually(lambda: 0, "the moon is full", deadline_s=60)
        """,
    )

    assert "1 failed" in said, said
    assert "it waited for: the moon is full; last seen: 0" in said
    assert 'await eventually(lambda: 0, "the moon is full", deadline_s=60)' in said


async def test_waiting_for_the_turn_does_not_count(tmp_path: Path) -> None:
    with_limit = """\
        import pytest

        @pytest.mark.alone
        @pytest.mark.timeout(1)  # LIMIT_S
        def test_it() -> None:
            pass
        """
    door, room = tmp_path, tmp_path / "kit"
    room.mkdir()
    with locked(room, door, fcntl.LOCK_SH):
        run = asyncio.create_task(pytest_on(tmp_path, with_limit))
        await eventually(lambda: is_taken(door), "its test waits with the door in its hand", deadline_s=30)
        await asyncio.wait({run}, timeout=2 * LIMIT_S)
        assert not run.done()

    assert "1 passed" in await run
