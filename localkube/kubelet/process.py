"""One sandboxed process of this machine: started, heard, signalled, entered, and its end noticed without polling."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import pty
import signal
import struct
import subprocess
import termios
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from localkube.kubelet.lifeline import tied_to
from localkube.kubelet.sandbox import Identity, Sandbox, build_bwrap_argv, confining_argv, has_two_pid_spaces

Stream = Literal["stdout", "stderr"]
NSENTER = "/usr/bin/nsenter"
SETPRIV = "/usr/bin/setpriv"
NS_GET_USERNS = 0xB701  # the namespace that owns another one (ioctl_ns(2))
CHUNK_BYTES = 65536


@dataclass(frozen=True, slots=True)
class Exit:
    """*code* as a shell reports it (128 + signal). *executed* is False when the sandbox or program could not start."""

    code: int
    executed: bool


class Pipe:
    """The reading end of a pipe, handed to *sink* as it comes, until its end."""

    def __init__(self, fd: int, sink: Callable[[bytes], None]) -> None:
        self._fd = fd
        self._sink = sink
        self._loop = asyncio.get_running_loop()
        self.ended = asyncio.Event()
        os.set_blocking(fd, False)
        self._loop.add_reader(fd, self._read)

    def _read(self) -> None:
        try:
            data = os.read(self._fd, CHUNK_BYTES)
        except BlockingIOError:
            return
        except OSError:  # a terminal whose other side is gone
            data = b""
        if data:
            self._sink(data)
        else:
            self.close()

    def drain(self) -> None:
        """Takes what is there now, then closes: the writers are gone."""
        while not self.ended.is_set():
            try:
                data = os.read(self._fd, CHUNK_BYTES)
            except OSError:
                data = b""
            if data:
                self._sink(data)
            else:
                self.close()

    def close(self) -> None:
        if not self.ended.is_set():
            self._loop.remove_reader(self._fd)
            os.close(self._fd)
            self.ended.set()


class Ending:
    """The end of a child of ours, by its pidfd: one file descriptor instead of a thread or a poll."""

    def __init__(self, popen: subprocess.Popen[bytes], on_end: Callable[[int], None]) -> None:
        self._popen = popen
        self._on_end = on_end
        self._fd = os.pidfd_open(popen.pid)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._fd, self._ended)

    def _ended(self) -> None:
        self._loop.remove_reader(self._fd)
        os.close(self._fd)
        code = self._popen.wait()
        self._on_end(128 - code if code < 0 else code)


class SandboxedProcess:
    """A command in its sandbox. Created on the loop's thread: the process dies when that thread does."""

    def __init__(
        self,
        box: Sandbox,
        command: Sequence[str],
        env: Mapping[str, str],
        on_output: Callable[[Stream, bytes], None],
        *,
        delay_of: Callable[[Sequence[str]], float] = lambda _: 0.0,
    ) -> None:
        """*delay_of*: how many seconds later than asked a command begins that enters this container."""
        loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[Exit] = loop.create_future()
        self._box = box
        self._env = dict(env)
        self._delay_of = delay_of
        self.known_pid: int | None = None  # the command's process id on this machine, once it runs
        self._pid_fd: int | None = None
        self._first_pid: asyncio.Future[int | None] = loop.create_future()  # process 1 of the sandbox
        self._first_fd: int | None = None
        self._status = b""
        status_r, status_w = os.pipe()
        out_r, out_w = os.pipe()
        err_r, err_w = os.pipe()
        try:
            # The environment goes through the environment, never through argv: it may hold secrets.
            self._popen = subprocess.Popen(
                build_bwrap_argv(box, command, status_fd=status_w),
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=out_w,
                stderr=err_w,
                pass_fds=(status_w,),
                start_new_session=True,  # Ctrl-C at the terminal is for localkube, which ends its pods in order
                preexec_fn=tied_to(os.getpid()),  # noqa: PLW1509 two system calls, no locks
                cwd="/",
            )
        except OSError:
            for fd in (status_r, out_r, err_r):
                os.close(fd)
            raise
        finally:
            for fd in (status_w, out_w, err_w):
                os.close(fd)
        self._status_pipe = Pipe(status_r, self._on_status)
        self._outputs = (
            Pipe(out_r, lambda data: on_output("stdout", data)),
            Pipe(err_r, lambda data: on_output("stderr", data)),
        )
        Ending(self._popen, self._on_end)

    async def executed(self) -> bool:
        """Waits until the command itself runs, in its finished sandbox. False if it ended before that could be seen."""
        first = await asyncio.shield(self._first_pid)
        # bubblewrap tells nobody when it has become the command, but its name in /proc changes: some milliseconds.
        while first is not None and not self.ended.done():
            with suppress(OSError):
                if _name_of(first) not in _FENCERS:
                    self._pid_fd = os.pidfd_open(first)
                    self.known_pid = first
                    return True
            await asyncio.sleep(0.002)
        return False

    def signal(self, number: signal.Signals) -> None:
        """To process 1 of the container; nothing if it has ended."""
        if self.ended.done():
            return
        if self._pid_fd is None or number == signal.SIGKILL:
            # Still being fenced in there is nobody yet who could handle a signal.
            self._kill_first()
            return
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._pid_fd, number)

    def kill(self) -> None:
        self.signal(signal.SIGKILL)

    def _kill_first(self) -> None:
        if self._first_fd is None:
            self._popen.kill()
            return
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._first_fd, signal.SIGKILL)

    def enter_argv(self, command: Sequence[str]) -> tuple[list[str], list[int]]:
        """What runs *command* inside this container, and the files it needs, which the caller closes.

        Raises ProcessLookupError when the container has ended.
        """
        command = later(command, self._delay_of(command))
        pid = self.known_pid
        if pid is None or self.ended.done():
            raise ProcessLookupError("container not running")
        argv = [NSENTER, "--target", str(pid), "--mount", "--pid", "--uts", "--ipc", f"--wdns={self._box.working_dir}"]
        if os.geteuid() == 0:
            return [*argv, "--", *confining_argv(self._box), *command], []
        inner, outer = _user_namespaces(pid)
        argv += [f"--user=/proc/self/fd/{outer}", "--preserve-credentials", "--"]
        if not os.path.sameopenfile(inner, outer):
            argv += [NSENTER, f"--user=/proc/self/fd/{inner}", "--preserve-credentials", "--"]
        return [*argv, *command], [inner, outer]

    @property
    def env(self) -> dict[str, str]:
        return self._env

    def _on_status(self, data: bytes) -> None:
        self._status += data
        if self._first_pid.done():
            return
        first, newline, _ = self._status.partition(b"\n")
        if newline:
            pid = self._pid_here(int(json.loads(first)["child-pid"]))
            with suppress(ProcessLookupError):
                self._first_fd = None if pid is None else os.pidfd_open(pid)
            self._first_pid.set_result(pid)

    def _pid_here(self, told: int) -> int | None:
        """The number on this machine of the child that bubblewrap tells of by its number over there. None: it ended."""
        if not has_two_pid_spaces(self._box):
            return told
        with suppress(OSError):
            fencer = _only_child(self._popen.pid)
            return None if fencer is None else _only_child(fencer)
        return None

    def _on_end(self, code: int) -> None:
        for pipe in (*self._outputs, self._status_pipe):
            pipe.drain()
        if not self._first_pid.done():
            self._first_pid.set_result(None)
        for fd in (self._pid_fd, self._first_fd):
            if fd is not None:
                os.close(fd)
        self._pid_fd = self._first_fd = None
        # bubblewrap reports the code only of a program that it could execute. Killed with its sandbox, it has none.
        killed = code == 128 + signal.SIGKILL
        self.ended.set_result(Exit(code, executed=killed or b'"exit-code"' in self._status))


def later(command: Sequence[str], seconds: float) -> list[str]:
    """*command* as a shell begins it after so many seconds: whoever waits for it, or ends it, does so from now on."""
    return ["/bin/sh", "-c", 'sleep "$0" && exec "$@"', f"{seconds:g}", *command] if seconds > 0 else list(command)


class ExecProcess:
    """A command run inside a container, beside the container's own."""

    def __init__(
        self, target: SandboxedProcess, command: Sequence[str], *, stdin: bool = False, tty: bool = False
    ) -> None:
        loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[int] = loop.create_future()
        self._output: asyncio.Queue[tuple[Stream, bytes] | None] = asyncio.Queue()
        self._pipes: list[Pipe] = []
        self._stdin: int | None = None
        self._killed = False
        argv, files = target.enter_argv(command)
        try:
            if tty:
                self._start_on_terminal(argv, target.env, files)
            else:
                self._start_on_pipes(argv, target.env, files, stdin=stdin)
        finally:
            for file in files:
                os.close(file)
        Ending(self._popen, self._on_end)

    def _start_on_terminal(self, argv: list[str], env: dict[str, str], files: Sequence[int]) -> None:
        ours, theirs = pty.openpty()
        self._popen = subprocess.Popen(
            # A session of its own with the terminal as its controlling one, so that Ctrl-C reaches the command.
            ["/usr/bin/setsid", "--ctty", "--wait", *argv],
            env={"TERM": "xterm", **env}, stdin=theirs, stdout=theirs, stderr=theirs, cwd="/", pass_fds=files,
            preexec_fn=tied_to(os.getpid()),  # noqa: PLW1509 as above
        )  # fmt: skip
        os.close(theirs)
        self._stdin = os.dup(ours)
        os.set_blocking(self._stdin, False)
        self._terminal = True
        self._pipes = [Pipe(ours, lambda data: self._output.put_nowait(("stdout", data)))]

    def _start_on_pipes(self, argv: list[str], env: dict[str, str], files: Sequence[int], *, stdin: bool) -> None:
        self._terminal = False
        self._popen = subprocess.Popen(
            # Probes run many times a second. With a preexec_fn this process would be copied for each (fork in place of
            # vfork), and the loop, and every connection of a Service on it, would wait until the copy has had its turn.
            # Who is killed before setpriv runs leaves the command alive until its container ends: that is soon.
            [SETPRIV, "--pdeathsig", "KILL", "--", *argv],
            env=env,
            stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=files,
            start_new_session=True,
            cwd="/",
        )
        for file, name in ((self._popen.stdout, "stdout"), (self._popen.stderr, "stderr")):
            if file is None:
                continue
            fd = os.dup(file.fileno())
            file.close()
            self._pipes.append(Pipe(fd, self._taker("stdout" if name == "stdout" else "stderr")))
        if self._popen.stdin is not None:
            self._stdin = os.dup(self._popen.stdin.fileno())
            self._popen.stdin.close()
            os.set_blocking(self._stdin, False)

    def _taker(self, stream: Stream) -> Callable[[bytes], None]:
        return lambda data: self._output.put_nowait((stream, data))

    async def write(self, data: bytes) -> None:
        """To the command's stdin. Data for a command that has closed it is dropped."""
        view = memoryview(data)
        while view and self._stdin is not None:
            try:
                view = view[os.write(self._stdin, view) :]
            except BlockingIOError:
                await self._writable(self._stdin)
            except OSError:
                self.close_stdin()

    def close_stdin(self) -> None:
        if self._stdin is not None:
            os.close(self._stdin)
            self._stdin = None

    def resize(self, columns: int, rows: int) -> None:
        if self._terminal and self._stdin is not None:
            fcntl.ioctl(self._stdin, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    async def output(self) -> AsyncIterator[tuple[Stream, bytes]]:
        """What the command says, until it and all who share its output are gone."""
        while (item := await self._output.get()) is not None:
            yield item

    async def wait(self) -> int:
        return await asyncio.shield(self.ended)

    def kill(self) -> None:
        """The command and whatever it started in its own process group."""
        if self.ended.done():
            return
        self._killed = True
        # The command first: nsenter, its parent, then takes note of its end and ends too. The other way round it
        # would stay in the container as a zombie for ever, for the container's process 1 knows nothing of it.
        with suppress(ProcessLookupError, PermissionError, FileNotFoundError):
            command = _only_child(self._popen.pid)
            if command is None:
                self._kill_group()
            else:
                os.kill(command, signal.SIGKILL)

    def _kill_group(self) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._popen.pid, signal.SIGKILL)

    async def _writable(self, fd: int) -> None:
        loop = asyncio.get_running_loop()
        ready: asyncio.Future[None] = loop.create_future()
        loop.add_writer(fd, lambda: None if ready.done() else ready.set_result(None))
        try:
            await asyncio.wait((ready, self.ended), return_when=asyncio.FIRST_COMPLETED)
        finally:
            loop.remove_writer(fd)

    def _on_end(self, code: int) -> None:
        if self._killed:
            self._kill_group()
        for pipe in self._pipes:
            pipe.drain()
        self.close_stdin()
        self._output.put_nowait(None)
        self.ended.set_result(code)


def _user_namespaces(pid: int) -> tuple[int, int]:
    """The one a process is in, and the one its other namespaces belong to: two when the pod named a user.

    bubblewrap is root in the outer one while it mounts, and makes the inner one to show the pod's user. Only who comes
    through the outer one is let into the rest.
    """
    inner = os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    other = os.open(f"/proc/{pid}/ns/ipc", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return inner, fcntl.ioctl(other, NS_GET_USERNS)
    except OSError:
        os.close(inner)
        raise
    finally:
        os.close(other)


_FENCERS = ("bwrap", "setpriv")


def _name_of(pid: int) -> str:
    return Path(f"/proc/{pid}/comm").read_text().strip()


def _only_child(pid: int) -> int | None:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(children[0]) if children else None


def identity_of(security: Mapping[str, Any]) -> Identity | None:
    """Who a container runs as; None: the image's user, root."""
    groups: list[int] = [*(security.get("supplementalGroups") or ())]
    if security.get("fsGroup") is not None:
        groups.append(security["fsGroup"])
    uid, gid = security.get("runAsUser"), security.get("runAsGroup")
    if uid is None and gid is None and not groups:
        return None
    return Identity(uid=uid or 0, gid=gid or 0, groups=tuple(dict.fromkeys(groups)))
