"""Whether this machine lets localkube fence pods in, and if not, the one sentence that says what to do."""

from __future__ import annotations

import functools
import os
import subprocess
from pathlib import Path

from localkube.kubelet.sandbox import BWRAP, Sandbox, build_bwrap_argv

TRIAL_TIMEOUT_S = 20.0
# What forbids user namespaces to ordinary users, what it then says, and the setting that allows them.
_SWITCHES = (
    ("kernel/unprivileged_userns_clone", "0", "kernel.unprivileged_userns_clone=1"),
    ("kernel/apparmor_restrict_unprivileged_userns", "1", "kernel.apparmor_restrict_unprivileged_userns=0"),
    ("user/max_user_namespaces", "0", "user.max_user_namespaces=15000"),
)


@functools.cache
def check_sandbox() -> None:
    """Runs nothing in a sandbox like a pod's. Raises RuntimeError with what its reader can do."""
    if not os.access(BWRAP, os.X_OK):
        raise RuntimeError(
            f"pods run under bubblewrap, and {BWRAP} cannot be run: install it (Debian and Ubuntu: "
            "`apt-get install bubblewrap`)"
        )
    said = _try_sandbox()
    if said is not None:
        raise RuntimeError(
            f"bubblewrap cannot fence pods in on this machine ({said}): {build_advice(Path('/proc/sys'))}"
        )


def _try_sandbox() -> str | None:
    """None if it worked, else what bubblewrap said."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        tried = subprocess.run(
            build_bwrap_argv(Sandbox(hostname="trial"), ["/bin/true"], status_fd=nowhere),
            pass_fds=(nowhere,),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=TRIAL_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"a trial did not end within {TRIAL_TIMEOUT_S:.0f} s"
    finally:
        os.close(nowhere)
    if tried.returncode == 0:
        return None
    lines = tried.stderr.decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else f"it ended with code {tried.returncode}"


def build_advice(settings: Path, *, as_root: bool | None = None) -> str:
    if os.geteuid() == 0 if as_root is None else as_root:
        return "root lacks rights here; if this is a container, start it with `--privileged`"
    for name, forbidding, allowing in _SWITCHES:
        switch = settings / name
        if switch.exists() and switch.read_text().strip() == forbidding:
            return f"allow ordinary users user namespaces with `sudo sysctl -w {allowing}`, or run localkube as root"
    return "user namespaces seem to be off for ordinary users; run localkube as root"
