"""Claims about log files: whole lines with their times, of bounded size, followed without loss."""

from __future__ import annotations

import asyncio
from pathlib import Path

from localkube.kubelet.logs import LONGEST_LINE_BYTES, LogFile, read_lines, rotated, select_lines


def texts(path: Path) -> list[bytes]:
    return [line.text for line in read_lines(path)]


def test_a_line_in_pieces_is_one_line(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "0.log")

    log.write("stdout", b"he")
    log.write("stderr", b"other\n")
    log.write("stdout", b"llo\nlast")
    log.close()

    assert texts(tmp_path / "0.log") == [b"other\n", b"hello\n", b"last"]


def test_a_very_long_line_is_cut_but_reads_whole(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "0.log")

    log.write("stdout", b"x" * (3 * LONGEST_LINE_BYTES) + b"\n")
    log.close()

    assert b"".join(texts(tmp_path / "0.log")) == b"x" * (3 * LONGEST_LINE_BYTES) + b"\n"


def test_a_log_is_bounded_and_keeps_the_newest(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "0.log", limit_bytes=2000)

    for number in range(200):
        log.write("stdout", b"%d\n" % number)
    log.close()

    kept = texts(tmp_path / "0.log")
    assert kept[-1] == b"199\n"
    assert kept == [b"%d\n" % number for number in range(200 - len(kept), 200)]
    assert rotated(tmp_path / "0.log").stat().st_size + (tmp_path / "0.log").stat().st_size <= 4000


def test_tail_and_since(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "0.log")
    log.write("stdout", b"a\nb\nc\n")
    log.close()

    assert [line.text for line in select_lines(log.lines(), tail=2, since=None)] == [b"b\n", b"c\n"]
    assert list(select_lines(log.lines(), tail=0, since=None)) == []
    assert list(select_lines(log.lines(), tail=None, since="2999-01-01T00:00:00Z")) == []


async def test_a_follower_hears_every_line_until_the_end(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "0.log", limit_bytes=500)
    follower = log.follow()

    async def write() -> None:
        for number in range(100):
            log.write("stdout", b"%d\n" % number)
        log.close()

    writing = asyncio.create_task(write())
    heard = [line.text async for line in follower.lines()]
    await writing

    assert heard == [b"%d\n" % number for number in range(100)]


async def test_following_what_has_ended_ends(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "0.log")
    log.close()

    assert [line async for line in log.follow().lines()] == []
