"""How one container is fenced in: the bubblewrap command line that gives it its own root, mounts, pids, and name."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

BWRAP = "/usr/bin/bwrap"
UNSHARE = "/usr/bin/unshare"

# The machine's programs and libraries, read-only.
_HOST_TREES = ("/usr", "/opt", "/nix")
_HOST_LINKS = ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
# Of /etc only what programs cannot do without; the rest of the machine's configuration is not the pod's business.
_HOST_ETC = (
    "passwd", "group", "nsswitch.conf", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "alternatives", "ssl",
    "ca-certificates", "pki", "localtime", "timezone", "protocols", "services", "mime.types", "os-release",
)  # fmt: skip
_EMPTY_DIRS = ("/home", "/mnt", "/root", "/run", "/srv", "/var", "/var/lib", "/var/log", "/var/cache")

# What container runtimes leave to root by default.
DEFAULT_CAPABILITIES = (
    "CAP_AUDIT_WRITE", "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_MKNOD",
    "CAP_NET_BIND_SERVICE", "CAP_NET_RAW", "CAP_SETFCAP", "CAP_SETGID", "CAP_SETPCAP", "CAP_SETUID", "CAP_SYS_CHROOT",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """A file or directory of this machine at *path* in the container."""

    host: str
    path: str
    read_only: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    uid: int
    gid: int
    groups: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Sandbox:
    hostname: str
    mounts: tuple[Mount, ...] = ()
    scratch: tuple[str, ...] = ()  # writable directories of this container's own
    working_dir: str = "/"
    read_only_root: bool = False
    identity: Identity | None = None
    capabilities: tuple[str, ...] = DEFAULT_CAPABILITIES


def build_bwrap_argv(box: Sandbox, command: Sequence[str], *, status_fd: int, as_root: bool | None = None) -> list[str]:
    """The argument list that runs *command* as process 1 of *box*. No environment is in it: everybody can read argv."""
    privileged = os.geteuid() == 0 if as_root is None else as_root
    mounts = sorted(box.mounts, key=lambda mount: PurePosixPath(mount.path).parts)
    argv = (
        [UNSHARE, "--pid", "--fork", "--kill-child=KILL", "--"] if has_two_pid_spaces(box, as_root=privileged) else []
    )
    argv += [
        BWRAP, "--unshare-pid", "--as-pid-1", "--unshare-ipc", "--unshare-uts", "--hostname", box.hostname,
        # When localkube dies, so does everything in it.
        "--die-with-parent", "--new-session", "--json-status-fd", str(status_fd),
    ]  # fmt: skip
    argv += _privilege_args(box, privileged)
    argv += _root_args([mount.path for mount in mounts])
    argv += ["--perms", "1777", "--dir", "/tmp", "--perms", "1777", "--dir", "/var/tmp"]  # noqa: S108 - the pod's own
    argv += ["--proc", "/proc", "--ro-bind-try", "/sys", "/sys", "--dev", "/dev"]
    mounted = [mount.path for mount in mounts]
    for path in box.scratch:
        if path not in mounted:
            argv += ["--perms", "0777", "--tmpfs", path]
    argv += _open_parents([*box.scratch, *mounted])
    for mount in mounts:
        argv += ["--ro-bind" if mount.read_only else "--bind", mount.host, mount.path]
    if not _lies_in(box.working_dir, (*_HOST_TREES, *_HOST_LINKS, *box.scratch, *mounted)):
        argv += ["--dir", box.working_dir]
    if box.read_only_root:
        argv += ["--remount-ro", "/"]
    argv += ["--chdir", box.working_dir, "--"]
    if privileged and _is_somebody(box):
        argv += confining_argv(box)
    return [*argv, *command]


def _open_parents(paths: Iterable[str]) -> list[str]:
    """Directories above *paths*, for everybody: those that bubblewrap makes by itself only root may pass."""
    parents = {str(parent) for path in paths for parent in PurePosixPath(path).parents}
    own = sorted(parent for parent in parents if not _lies_in(parent, (*_HOST_TREES, *_HOST_LINKS, "/proc", "/dev")))
    return [word for parent in own if parent != "/" for word in ("--perms", "0755", "--dir", parent)]


def _privilege_args(box: Sandbox, privileged: bool) -> list[str]:
    if privileged:
        args = ["--cap-drop", "ALL"]
        # To become somebody and to give up rights takes rights, which the last step gives up as well.
        needed = _TO_BECOME if _is_somebody(box) else ()
        for capability in dict.fromkeys((*box.capabilities, *needed)):
            args += ["--cap-add", capability]
        return args
    # An ordinary user has exactly one identity to give: it appears in the pod as the user the pod asked for.
    shown = box.identity or Identity(uid=0, gid=0)
    return ["--unshare-user", "--uid", str(shown.uid), "--gid", str(shown.gid)]


_TO_BECOME = ("CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP")


def _is_somebody(box: Sandbox) -> bool:
    """Whether a container has a user or groups of its own; otherwise it is root."""
    return box.identity is not None and box.identity != Identity(uid=0, gid=0)


def confining_argv(box: Sandbox) -> list[str]:
    """What goes before a command that root starts in *box*: it has the user, groups and rights of the container."""
    argv = ["/usr/bin/setpriv", "--no-new-privs", "--inh-caps=-all"]
    if box.identity is not None:
        groups = ["--groups", ",".join(map(str, box.identity.groups))] if box.identity.groups else ["--clear-groups"]
        argv += ["--reuid", str(box.identity.uid), "--regid", str(box.identity.gid), *groups]
    kept = [f"+{one.removeprefix('CAP_').lower()}" for one in box.capabilities]
    return [*argv, f"--bounding-set={','.join(['-all', *kept])}", "--"]


def has_two_pid_spaces(box: Sandbox, *, as_root: bool | None = None) -> bool:
    """Whether bubblewrap is process 1 of a PID namespace around that of the container.

    The signal that ends a process with its parent is not allowed across users: a command of another user would outlive
    a killed localkube. bubblewrap, which is root, does not; and when process 1 of a namespace ends, the kernel ends all
    that is in it, whosever it is, and in the namespaces below (pid_namespaces(7)).
    """
    privileged = os.geteuid() == 0 if as_root is None else as_root
    return privileged and box.identity is not None and (box.identity.uid, box.identity.gid) != (0, 0)


def _root_args(mount_paths: Sequence[str]) -> list[str]:
    args: list[str] = []
    for tree in _HOST_TREES:
        if Path(tree).is_dir():
            args += _bind_tree(tree, mount_paths)
    for link in _HOST_LINKS:
        path = Path(link)
        if path.is_symlink():
            args += ["--symlink", str(path.readlink()), link]
        elif path.is_dir():
            args += _bind_tree(link, mount_paths)
    args += ["--perms", "0755", "--dir", "/etc"]
    for name in _HOST_ETC:
        args += ["--ro-bind-try", f"/etc/{name}", f"/etc/{name}"]
    for path_text in _EMPTY_DIRS:
        args += ["--dir", path_text]
    return args


def _bind_tree(tree: str, mount_paths: Sequence[str]) -> list[str]:
    """*tree* of this machine, read-only; opened up where the pod mounts something that this machine does not have."""
    missing = [path for path in mount_paths if _lies_in(path, [tree]) and not Path(path).exists()]
    if not missing:
        return ["--ro-bind", tree, tree]
    args = ["--dir", tree]
    for entry in sorted(os.scandir(tree), key=lambda entry: entry.name):
        if entry.is_symlink():
            args += ["--symlink", str(Path(entry.path).readlink()), entry.path]
        elif entry.is_dir():
            args += _bind_tree(entry.path, missing)
        else:
            args += ["--ro-bind", entry.path, entry.path]
    return args


def _lies_in(path: str, trees: Iterable[str]) -> bool:
    return any(path == tree or path.startswith(tree.rstrip("/") + "/") for tree in trees)
