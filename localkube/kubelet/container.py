"""The life of one container: created, started, probed, ended, and by which rules it begins again."""

from __future__ import annotations

import asyncio
import re
import secrets
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

import aiohttp

from localkube.kubelet.backoff import Backoff, Pace
from localkube.kubelet.environment import ConfigProblem, Lookup, build_command, build_env, expand
from localkube.kubelet.images import Catalogue, Image, ImageProblem
from localkube.kubelet.logs import LogFile, rotated
from localkube.kubelet.pod_status import ContainerFacts
from localkube.kubelet.probes import Finding, ProbeName, Target, Verdict, act, parse_timing, run_probe
from localkube.kubelet.process import Exit, SandboxedProcess, Stream, identity_of, later
from localkube.kubelet.sandbox import DEFAULT_CAPABILITIES, Mount, Sandbox
from localkube.kubelet.volumes import PAYLOAD_KINDS, MountProblem, PodVolumes, kind_of, sub_path
from localkube.registry import time_text, utc_now

Obj = dict[str, Any]
LEAST_GRACE_S = 2.0  # even without a grace period a process gets this long between SIGTERM and SIGKILL
MESSAGE_LIMIT_BYTES = 4096
CONFIG_RETRY_S = 10.0
PULL_REPORT_S = 0.5  # ErrImagePull is shown for a moment before it becomes ImagePullBackOff


class PodHost(Protocol):
    """What a container needs of its pod."""

    folder: Path
    log_folder: Path
    ip: str
    node_ip: str
    hostname: str
    pace: Pace
    catalogue: Catalogue
    volumes: PodVolumes
    http: aiohttp.ClientSession
    allocatable: Mapping[str, str]

    @property
    def view(self) -> Obj: ...  # the pod as it is, with its addresses
    def spec_of(self, name: str) -> Obj: ...
    def lookup(self, resource: str, name: str) -> Obj | None: ...
    def service_links(self) -> Mapping[str, str]: ...
    def delay_of(self, container: str, command: Sequence[str], *, start: bool) -> float: ...
    def changed(self) -> None: ...
    def event(self, kind: str, reason: str, message: str, container: str) -> None: ...
    async def pause(self, timeout_s: float) -> None: ...  # ends early when something the pod refers to changes


class Container:
    """One container of a pod, over all its restarts."""

    def __init__(self, pod: PodHost, facts: ContainerFacts, *, restart: str) -> None:
        """*restart*: Always, OnFailure or Never, as it applies to this container."""
        self.facts = facts
        self.up = asyncio.Event()  # started once: the next init container may go
        self.log: LogFile | None = None
        self.process: SandboxedProcess | None = None
        self._pod = pod
        self._restart = restart
        self._backoff = Backoff(pod.pace)
        self._image_of_process = ""
        self._stopping = False
        self._kill_task: asyncio.Task[None] | None = None
        self._kill_by = 0.0
        self._kill_sooner = asyncio.Event()
        self._out_of_memory = False  # its process is being killed for that
        self._task: asyncio.Task[None] | None = None

    @property
    def name(self) -> str:
        return self.facts.name

    def start(self) -> asyncio.Task[None]:
        self._task = asyncio.create_task(self._run(), name=f"container {self.name} of {self._pod.hostname}")
        return self._task

    async def stop(self, grace_s: float) -> None:
        """Ends it for good. Calling again may shorten the wait."""
        self._stopping = True
        if self._task is None or self._task.done():
            return
        if self.process is None:
            self._task.cancel()
        else:
            self._pod.event("Normal", "Killing", f"Stopping container {self.name}", self.name)
            self._kill(grace_s)
        await asyncio.wait((self._task,))

    async def abort(self) -> None:
        """Ends it at once, without a word."""
        self._stopping = True
        if self._kill_task is not None:
            self._kill_task.cancel()
        if self.process is not None:
            self.process.kill()
            await asyncio.wait((self.process.ended,))
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait((self._task,))

    def shorten(self, grace_s: float) -> None:
        self._kill_by = min(self._kill_by, asyncio.get_running_loop().time() + max(grace_s, 0))
        self._kill_sooner.set()

    def check_image(self) -> None:
        """A running container of a changed image is ended, and begins again with the new one."""
        if self.process is None or self._stopping or self._kill_task is not None:
            return
        if self._pod.spec_of(self.name)["image"] != self._image_of_process:
            self.restart("definition changed, will be restarted")

    def restart(self, why: str) -> None:
        """Ends its process, so that the next one begins as the spec says now."""
        if self.process is None or self._stopping or self._kill_task is not None:
            return
        self._pod.event("Normal", "Killing", f"Container {self.name} {why}", self.name)
        self._kill(self._grace_s())

    def kill_for_memory(self) -> None:
        if self.process is not None:
            self._out_of_memory = True
            self.process.kill()

    # ---- the life

    async def _run(self) -> None:
        while True:
            image = await self._image()
            process = await self._created(image)
            end = await self._lived(process)
            if self._stopping or not self._wants_restart(end.code):
                return
            wait_s = self._backoff.next_wait_s(asyncio.get_running_loop().time())
            if wait_s > 0:
                await self._crash_loop(wait_s)
            self.facts.restart_count += 1

    def _wants_restart(self, code: int) -> bool:
        return self._restart == "Always" or (self._restart == "OnFailure" and code != 0)

    async def _crash_loop(self, wait_s: float) -> None:
        metadata = self._pod.view["metadata"]
        whom = f"container={self.name} pod={metadata['name']}_{metadata['namespace']}({metadata['uid']})"
        self._show_waiting("CrashLoopBackOff", f"back-off {_duration(wait_s)} restarting failed {whom}")
        self._pod.event("Warning", "BackOff", "Back-off restarting failed container", self.name)
        await asyncio.sleep(wait_s)

    async def _image(self) -> Image:
        failures = 0
        while True:
            name: str = self._pod.spec_of(self.name)["image"]
            try:
                image = self._pod.catalogue.resolve(name)
            except ImageProblem as problem:
                await self._image_missing(name, str(problem), failures)
                failures += 1
                continue
            self.facts.image, self.facts.image_id = name, image.identity
            message = f'Container image "{name}" already present on machine and can be accessed by the pod'
            self._pod.event("Normal", "Pulled", message, self.name)
            return image

    async def _image_missing(self, name: str, problem: str, failures: int) -> None:
        if self._pod.spec_of(self.name).get("imagePullPolicy") == "Never":
            message = f'Container image "{name}" is not present with pull policy of Never'
            self._show_waiting("ErrImageNeverPull", message)
            self._pod.event("Warning", "ErrImageNeverPull", message, self.name)
        else:
            self._show_waiting("ErrImagePull", problem)
            self._pod.event("Normal", "Pulling", f'Pulling image "{name}"', self.name)
            self._pod.event("Warning", "Failed", f'Failed to pull image "{name}": {problem}', self.name)
            self._pod.event("Warning", "Failed", "Error: ErrImagePull", self.name)
            await asyncio.sleep(PULL_REPORT_S)
            self._show_waiting("ImagePullBackOff", f'Back-off pulling image "{name}"')
            self._pod.event("Normal", "BackOff", f'Back-off pulling image "{name}"', self.name)
            self._pod.event("Warning", "Failed", "Error: ImagePullBackOff", self.name)
        pace = self._pod.pace
        await self._pod.pause(min(pace.first_s * 2**failures, pace.longest_s))

    async def _created(self, image: Image) -> SandboxedProcess:
        while True:
            try:
                box, command, env = self._plan(image)
            except (ConfigProblem, MountProblem) as problem:
                self._show_waiting("CreateContainerConfigError", str(problem))
                self._pod.event("Warning", "Failed", f"Error: {problem}", self.name)
                await self._pod.pause(CONFIG_RETRY_S)
                continue
            self.log = self._new_log()
            late_s = self._pod.delay_of(self.name, command, start=True)
            try:
                process = SandboxedProcess(
                    box,
                    later(command, late_s),
                    env,
                    self._on_output,
                    delay_of=lambda entering: self._pod.delay_of(self.name, entering, start=False),
                )
            except OSError as error:
                self.log.close()
                message = f"cannot start bubblewrap ({error.strerror}); install it: apt install bubblewrap"
                self._show_waiting("CreateContainerError", message)
                self._pod.event("Warning", "Failed", f"Error: {message}", self.name)
                await self._pod.pause(CONFIG_RETRY_S)
                continue
            return process

    def _plan(self, image: Image) -> tuple[Sandbox, list[str], dict[str, str]]:
        """Raises ConfigProblem, MountProblem."""
        pod = self._pod.view
        spec = self._pod.spec_of(self.name)
        lookup: Lookup = self._pod.lookup
        inherited = {name: self._fill(value) for name, value in image.env.items()}
        env = build_env(
            spec,
            pod,
            lookup,
            inherited={**inherited, "HOSTNAME": self._pod.hostname},
            services=self._pod.service_links(),
            allocatable=self._pod.allocatable,
        )
        env.setdefault("HOME", "/root")
        command = build_command(spec, image.entrypoint, image.cmd, env)
        # Only the image's own words hold the placeholder.
        if not spec.get("command"):
            head = len(image.entrypoint)
            command = [self._fill(word) for word in command[:head]] + command[head:]
        if not command:
            raise ConfigProblem(f"no command specified for container {self.name}")
        security = {**(pod["spec"].get("securityContext") or {}), **(spec.get("securityContext") or {})}
        if security.get("runAsNonRoot") and not security.get("runAsUser"):
            raise ConfigProblem("container has runAsNonRoot and image will run as root")
        box = Sandbox(
            hostname=self._pod.hostname,
            mounts=(*self._mounts(spec, env), *self._own_files(spec, image)),
            scratch=image.volumes,
            working_dir=spec.get("workingDir") or image.working_dir,
            read_only_root=bool(security.get("readOnlyRootFilesystem")),
            identity=identity_of(security),
            capabilities=_capabilities(security.get("capabilities") or {}),
        )
        return box, command, env

    def _fill(self, text: str) -> str:
        return text.replace("{pod_ip}", self._pod.ip)

    def _mounts(self, spec: Obj, env: Mapping[str, str]) -> list[Mount]:
        sources = {volume["name"]: volume for volume in self._pod.view["spec"].get("volumes") or []}
        mounts = []
        for wanted in spec.get("volumeMounts") or []:
            host = self._pod.volumes.path(wanted["name"])
            below = wanted.get("subPath") or expand(wanted.get("subPathExpr") or "", env)
            is_payload = kind_of(sources[wanted["name"]]) in PAYLOAD_KINDS
            if below:
                host = sub_path(host, below, create=not is_payload)
            read_only = bool(wanted.get("readOnly")) or is_payload
            mounts.append(Mount(host=str(host), path=wanted["mountPath"].rstrip("/") or "/", read_only=read_only))
        return mounts

    def _own_files(self, spec: Obj, image: Image) -> list[Mount]:
        taken = {mount["mountPath"] for mount in spec.get("volumeMounts") or []}
        message = self._message_file()
        message.parent.mkdir(exist_ok=True)
        message.write_bytes(b"")
        message.chmod(0o666)
        own = [
            Mount(host=str(self._pod.folder / "etc-hosts"), path="/etc/hosts"),
            Mount(host=str(self._pod.folder / "etc-hostname"), path="/etc/hostname", read_only=True),
            Mount(host=str(message), path=spec.get("terminationMessagePath") or "/dev/termination-log"),
        ]
        if Path("/etc/resolv.conf").exists():
            own.append(Mount(host="/etc/resolv.conf", path="/etc/resolv.conf", read_only=True))
        own += [Mount(host=host, path=path, read_only=True) for path, host in image.programs.items()]
        return [mount for mount in own if mount.path not in taken]

    def _message_file(self) -> Path:
        return self._pod.folder / "termination" / f"{self.name}-{self.facts.restart_count}"

    def _new_log(self) -> LogFile:
        folder = self._pod.log_folder / self.name
        older = folder / f"{self.facts.restart_count - 2}.log"
        for path in (older, rotated(older)):
            path.unlink(missing_ok=True)
        return LogFile(folder / f"{self.facts.restart_count}.log")

    def _on_output(self, stream: Stream, data: bytes) -> None:
        if self.log is not None:
            self.log.write(stream, data)

    async def _lived(self, process: SandboxedProcess) -> Exit:
        facts = self.facts
        if "terminated" in facts.state:
            facts.last_state = facts.state
        self.process = process
        self._image_of_process = facts.image
        facts.container_id = f"localkube://{secrets.token_hex(32)}"
        started_at = time_text(utc_now())
        facts.started = facts.ready = False
        facts.resources = facts.allocated  # a new one is made with what was promised
        self._pod.event("Normal", "Created", "Container created", self.name)
        care: asyncio.Task[None] | None = None
        try:
            if await process.executed():
                facts.state = {"running": {"startedAt": started_at}}
                self._say_started()
                self._pod.changed()
                care = asyncio.create_task(self._care(process))
                care.add_done_callback(_report)
            end = await asyncio.shield(process.ended)
            if care is None and end.executed:
                self._say_started()  # and it has ended before anybody could look
        finally:
            if care is not None:
                care.cancel()
            if self._kill_task is not None:
                self._kill_task.cancel()
            self.process = None
            self._kill_task = None
            if self.log is not None:
                self.log.close()
        self._record_end(end, started_at)
        return end

    def _say_started(self) -> None:
        self._pod.event("Normal", "Started", "Container started", self.name)

    def _record_end(self, end: Exit, started_at: str) -> None:
        facts = self.facts
        code, reason, message = end.code, "Completed" if end.code == 0 else "Error", self._last_words(end)
        if self._out_of_memory:
            reason, self._out_of_memory = "OOMKilled", False
        if not end.executed:
            code, reason = 128, "StartError"
            message = _start_problem(self._log_tail(lines=3))
            self._pod.event("Warning", "Failed", f"Error: failed to start container: {message}", self.name)
        ended: Obj = {
            "exitCode": code,
            "reason": reason,
            "startedAt": started_at,
            "finishedAt": time_text(utc_now()),
            "containerID": facts.container_id,
        }
        if message:
            ended["message"] = message
        facts.state = {"terminated": ended}
        facts.ready = facts.started = False
        self._pod.changed()

    def _last_words(self, end: Exit) -> str:
        with suppress(OSError):
            said = self._message_file().read_bytes()[:MESSAGE_LIMIT_BYTES].decode(errors="replace")
            if said:
                return said
        policy = self._pod.spec_of(self.name).get("terminationMessagePolicy")
        return self._log_tail(lines=80) if policy == "FallbackToLogsOnError" and end.code != 0 else ""

    def _log_tail(self, *, lines: int) -> str:
        if self.log is None:
            return ""
        texts = [line.text for line in self.log.lines()][-lines:]
        return b"".join(texts)[-2048:].decode(errors="replace").strip()

    def _show_waiting(self, reason: str, message: str) -> None:
        if "terminated" in self.facts.state:
            self.facts.last_state = self.facts.state
        self.facts.state = {"waiting": {"reason": reason, "message": message}}
        self.facts.ready = self.facts.started = False
        self._pod.changed()

    # ---- probes and hooks

    async def _care(self, process: SandboxedProcess) -> None:
        spec = self._pod.spec_of(self.name)
        ports = {port["name"]: port["containerPort"] for port in spec.get("ports") or [] if port.get("name")}
        target = Target(
            pod_ip=self._pod.ip, node_ip=self._pod.node_ip, ports=ports, process=process, http=self._pod.http
        )
        hook = (spec.get("lifecycle") or {}).get("postStart")
        if hook is not None:
            found = await act(hook, target, self._grace_s())
            if not found.ok:
                self._pod.event("Warning", "FailedPostStartHook", f"PostStartHook failed: {found.message}", self.name)
                self._pod.event("Normal", "Killing", "FailedPostStartHook", self.name)
                self._kill(self._grace_s())
                return
        if spec.get("startupProbe"):
            await self._probe("Startup", spec["startupProbe"], target)
        self.facts.started = True
        self.facts.ready = not spec.get("readinessProbe")
        self.up.set()
        self._pod.changed()
        async with asyncio.TaskGroup() as group:
            if spec.get("readinessProbe"):
                group.create_task(self._probe("Readiness", spec["readinessProbe"], target))
            if spec.get("livenessProbe"):
                group.create_task(self._probe("Liveness", spec["livenessProbe"], target))

    async def _probe(self, name: ProbeName, probe: Obj, target: Target) -> None:
        """Startup: returns when it has succeeded. Liveness: until it has failed. Readiness: for ever."""
        timing = parse_timing(probe)
        failed = asyncio.Event()

        def on_finding(finding: Finding, full: bool) -> bool:
            if self._stopping and name != "Readiness":
                return name == "Startup"
            if not finding.ok:
                self._pod.event("Warning", "Unhealthy", f"{name} probe failed: {finding.message}", self.name)
            if not full:
                return True
            if name == "Readiness":
                if self.facts.ready != finding.ok:
                    self.facts.ready = finding.ok
                    self._pod.changed()
                return True
            if finding.ok:
                return name == "Liveness"
            failed.set()
            return False

        await run_probe(timing, lambda timeout_s: act(probe, target, timeout_s), Verdict(timing, None), on_finding)
        if failed.is_set():
            message = f"Container {self.name} failed {name.lower()} probe, will be restarted"
            self._pod.event("Normal", "Killing", message, self.name)
            self._kill(probe.get("terminationGracePeriodSeconds", self._grace_s()))
            await asyncio.Event().wait()  # until the container's end cancels its care

    def _grace_s(self) -> float:
        grace: float = self._pod.view["spec"].get("terminationGracePeriodSeconds", 30)
        return grace

    def _kill(self, grace_s: float) -> None:
        if self._kill_task is not None:
            self.shorten(grace_s)
        elif self.process is not None:
            self._kill_by = asyncio.get_running_loop().time() + grace_s
            self._kill_task = asyncio.create_task(self._kill_gracefully(self.process, grace_s))
            self._kill_task.add_done_callback(_report)

    async def _kill_gracefully(self, process: SandboxedProcess, grace_s: float) -> None:
        hook = (self._pod.spec_of(self.name).get("lifecycle") or {}).get("preStop")
        if hook is not None and grace_s > 0:
            await self._pre_stop(hook, process)
        loop = asyncio.get_running_loop()
        self._kill_by = max(self._kill_by, loop.time() + LEAST_GRACE_S)
        process.signal(signal.SIGTERM)
        await self._wait_within_grace(process.ended)
        process.kill()

    async def _pre_stop(self, hook: Obj, process: SandboxedProcess) -> None:
        spec = self._pod.spec_of(self.name)
        ports = {port["name"]: port["containerPort"] for port in spec.get("ports") or [] if port.get("name")}
        target = Target(
            pod_ip=self._pod.ip, node_ip=self._pod.node_ip, ports=ports, process=process, http=self._pod.http
        )
        running = asyncio.create_task(act(hook, target, timeout_s=86400))
        try:
            await self._wait_within_grace(running, process.ended)
            if running.done() and not running.result().ok and not process.ended.done():
                message = f"PreStopHook failed: {running.result().message}"
                self._pod.event("Warning", "FailedPreStopHook", message, self.name)
        finally:
            running.cancel()

    async def _wait_within_grace(self, *futures: asyncio.Future[Any]) -> None:
        """Until one of *futures* is done or the grace is over; the grace may be cut meanwhile."""
        loop = asyncio.get_running_loop()
        while not any(future.done() for future in futures) and (left_s := self._kill_by - loop.time()) > 0:
            self._kill_sooner.clear()
            sooner = asyncio.create_task(self._kill_sooner.wait())
            try:
                await asyncio.wait((*futures, sooner), timeout=left_s, return_when=asyncio.FIRST_COMPLETED)
            finally:
                sooner.cancel()


def _report(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        task.get_loop().call_exception_handler({"message": "a container's supervision failed", "exception": error})


def _start_problem(said: str) -> str:
    """Why a sandbox or program did not start, in the words of a container runtime where there are such words."""
    missing = re.search(r"bwrap: execvp (.*): No such file or directory", said)
    if missing is None:
        return said
    program = missing[1]
    absolute = program.startswith("/")
    problem = f"stat {program}: no such file or directory" if absolute else "executable file not found in $PATH"
    return f'unable to start container process: exec: "{program}": {problem}'


def _duration(seconds: float) -> str:
    """As Go prints it: 10s, 2m40s."""
    minutes, rest = divmod(seconds, 60)
    return f"{int(minutes)}m{rest:g}s" if minutes else f"{rest:g}s"


def _capabilities(wanted: Obj) -> tuple[str, ...]:
    drop = {_capability(name) for name in wanted.get("drop") or []}
    add = {_capability(name) for name in wanted.get("add") or []}
    base = set() if "CAP_ALL" in drop else set(DEFAULT_CAPABILITIES) - drop
    if "CAP_ALL" in add:
        return ("ALL",)
    return tuple(sorted(base | add))


def _capability(name: str) -> str:
    return name if name.startswith("CAP_") else f"CAP_{name}"
