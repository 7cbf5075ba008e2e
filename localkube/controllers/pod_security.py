"""Whether a namespace that asks for it takes a pod: the Pod Security Standards, in the words of a real server.

Facts: Kubernetes documentation "Pod Security Standards"; k8s.io/pod-security-admission, whose sentences these are. The
version of a policy (`enforce-version`) is not looked at: it is always the latest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from localkube.controllers.settings import Settings
from localkube.errors import forbidden
from localkube.registry import Obj, Registry

_LABEL = "pod-security.kubernetes.io/"
LEVELS = ("privileged", "baseline", "restricted")
# What a pod's template is in, for those that make pods.
_TEMPLATES = {
    "deployments.apps": ("spec", "template"),
    "replicasets.apps": ("spec", "template"),
    "statefulsets.apps": ("spec", "template"),
    "jobs.batch": ("spec", "template"),
    "cronjobs.batch": ("spec", "jobTemplate", "spec", "template"),
}
_DEFAULT_CAPABILITIES = frozenset(
    ("AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE", "SETFCAP",
     "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT")
)  # fmt: skip
_VOLUMES = frozenset(
    ("configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret")
)
Found = tuple[str, str]  # what is violated, and by whom


class PodSecurityAdmission:
    def __init__(self, registry: Registry, _: Settings) -> None:
        self._registry = registry
        registry.check("pods", self._check)

    def start(self) -> None: ...

    async def stop(self) -> None: ...

    def _check(self, new: Obj, old: Obj | None, subresource: str | None) -> None:
        """Raises ApiError 403. What a pod may be is asked when it is made, and when its spec changes."""
        if subresource is not None or (old is not None and old["spec"] == new["spec"]):
            return
        level = _level(self._registry, new["metadata"]["namespace"], "enforce")
        if found := violations(new["spec"], level):
            raise forbidden("pods", new["metadata"]["name"], f'violates PodSecurity "{level}:latest": {found}')


def warnings_about(registry: Registry, resource: str, obj: Obj) -> list[str]:
    """What a namespace's label `warn` says of a pod, or of what makes pods."""
    if resource == "pods":
        spec = obj.get("spec") or {}
    elif resource in _TEMPLATES:
        at = obj
        for name in _TEMPLATES[resource]:
            at = at.get(name) or {}
        spec = at.get("spec") or {}
    else:
        return []
    level = _level(registry, obj["metadata"].get("namespace", ""), "warn")
    found = violations(spec, level)
    return [f'would violate PodSecurity "{level}:latest": {found}'] if found else []


def _level(registry: Registry, namespace: str, mode: str) -> str:
    found = registry.find("namespaces", None, namespace)
    level = ((found or {}).get("metadata", {}).get("labels") or {}).get(f"{_LABEL}{mode}", "privileged")
    # As a real server has it: what is not understood is not trusted.
    return level if level in LEVELS else "restricted"


def violations(spec: Obj, level: str) -> str:
    """What of a pod's spec *level* forbids, as one sentence; empty if nothing."""
    if level == "privileged":
        return ""
    checks = _RESTRICTED if level == "restricted" else _BASELINE
    found = [one for check in checks if (one := check(spec)) is not None]
    return ", ".join(f"{what} ({whose})" if whose else what for what, whose in found)


def _containers(spec: Obj) -> list[Obj]:
    return [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]


def _security(container: Obj) -> Obj:
    found: Obj = container.get("securityContext") or {}
    return found


def _names(containers: Iterable[Obj]) -> str:
    named = [f'"{one["name"]}"' for one in containers]
    return f"{'container' if len(named) == 1 else 'containers'} {', '.join(named)}"


def _privilege_escalation(spec: Obj) -> Found | None:
    bad = [one for one in _containers(spec) if _security(one).get("allowPrivilegeEscalation") is not False]
    if not bad:
        return None
    return "allowPrivilegeEscalation != false", f"{_names(bad)} must set securityContext.allowPrivilegeEscalation=false"


def _added(containers: Sequence[Obj], allowed: frozenset[str]) -> tuple[list[Obj], list[str]]:
    """Those that add more capabilities than allowed, and which."""
    bad, which = [], set()
    for one in containers:
        extra = set((_security(one).get("capabilities") or {}).get("add") or ()) - allowed
        if extra:
            bad.append(one)
            which |= extra
    return bad, sorted(which)


def _must_not_include(bad: Sequence[Obj], which: Sequence[str]) -> str:
    listed = ", ".join(f'"{one}"' for one in which)
    return f"{_names(bad)} must not include {listed} in securityContext.capabilities.add"


def _capabilities_baseline(spec: Obj) -> Found | None:
    bad, which = _added(_containers(spec), _DEFAULT_CAPABILITIES)
    return ("non-default capabilities", _must_not_include(bad, which)) if bad else None


def _capabilities_restricted(spec: Obj) -> Found | None:
    kept = [
        one for one in _containers(spec) if "ALL" not in ((_security(one).get("capabilities") or {}).get("drop") or ())
    ]
    said = [f'{_names(kept)} must set securityContext.capabilities.drop=["ALL"]'] if kept else []
    bad, which = _added(_containers(spec), frozenset(("NET_BIND_SERVICE",)))
    if bad:
        said.append(_must_not_include(bad, which))
    return ("unrestricted capabilities", "; ".join(said)) if said else None


def _host_namespaces(spec: Obj) -> Found | None:
    bad = [f"{name}=true" for name in ("hostNetwork", "hostPID", "hostIPC") if spec.get(name)]
    return ("host namespaces", ", ".join(bad)) if bad else None


def _volume_names(volumes: Sequence[Obj]) -> str:
    named = ", ".join(f'"{one["name"]}"' for one in volumes)
    return f"{'volume' if len(volumes) == 1 else 'volumes'} {named}"


def _host_paths(spec: Obj) -> Found | None:
    bad = [one for one in spec.get("volumes") or () if one.get("hostPath")]
    return ("hostPath volumes", _volume_names(bad)) if bad else None


def _host_ports(spec: Obj) -> Found | None:
    bad, ports = [], set()
    for one in _containers(spec):
        taken = {port["hostPort"] for port in one.get("ports") or () if port.get("hostPort")}
        if taken:
            bad.append(one)
            ports |= taken
    if not bad:
        return None
    verb = "uses" if len(bad) == 1 else "use"
    noun = "hostPort" if len(ports) == 1 else "hostPorts"
    return "hostPort", f"{_names(bad)} {verb} {noun} {', '.join(map(str, sorted(ports)))}"


def _privileged(spec: Obj) -> Found | None:
    bad = [one for one in _containers(spec) if _security(one).get("privileged")]
    return ("privileged", f"{_names(bad)} must not set securityContext.privileged=true") if bad else None


def _volume_types(spec: Obj) -> Found | None:
    bad, kinds = [], set()
    for one in spec.get("volumes") or ():
        kind = next((name for name in one if name != "name"), "emptyDir")
        if kind not in _VOLUMES:
            bad.append(one)
            kinds.add(kind)
    if not bad:
        return None
    verb = "uses" if len(bad) == 1 else "use"
    noun = "restricted volume type" if len(kinds) == 1 else "restricted volume types"
    listed = ", ".join(f'"{kind}"' for kind in sorted(kinds))
    return "restricted volume types", f"{_volume_names(bad)} {verb} {noun} {listed}"


def _non_root(spec: Obj) -> Found | None:
    of_pod = (spec.get("securityContext") or {}).get("runAsNonRoot")
    refusing = [one for one in _containers(spec) if _security(one).get("runAsNonRoot") is False]
    said = [f"{_names(refusing)} must not set securityContext.runAsNonRoot=false"] if refusing else []
    silent = [one for one in _containers(spec) if _security(one).get("runAsNonRoot") is None]
    if of_pod is False:
        said.insert(0, "pod must not set securityContext.runAsNonRoot=false")
    elif of_pod is None and silent:
        said.append(f"pod or {_names(silent)} must set securityContext.runAsNonRoot=true")
    return ("runAsNonRoot != true", "; ".join(said)) if said else None


def _as_root(spec: Obj) -> Found | None:
    said = []
    if (spec.get("securityContext") or {}).get("runAsUser") == 0:
        said.append("pod must not set runAsUser=0")
    if bad := [one for one in _containers(spec) if _security(one).get("runAsUser") == 0]:
        said.append(f"{_names(bad)} must not set runAsUser=0")
    return ("runAsUser=0", "; ".join(said)) if said else None


def _seccomp(spec: Obj) -> Found | None:
    good = ("RuntimeDefault", "Localhost")
    kind = ((spec.get("securityContext") or {}).get("seccompProfile") or {}).get("type")
    kinds = [((_security(one).get("seccompProfile") or {}).get("type"), one) for one in _containers(spec)]
    wrong = [one for found, one in kinds if found is not None and found not in good]
    silent = [one for found, one in kinds if found is None]
    said = [f'{_names(wrong)} must not set securityContext.seccompProfile.type to "Unconfined"'] if wrong else []
    if kind is not None and kind not in good:
        said.insert(0, f'pod must not set securityContext.seccompProfile.type to "{kind}"')
    elif kind is None and silent:
        said.append(
            f'pod or {_names(silent)} must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost"'
        )
    return ("seccompProfile", "; ".join(said)) if said else None


Check = Callable[[Obj], Found | None]
_BASELINE: tuple[Check, ...] = (_capabilities_baseline, _host_namespaces, _host_paths, _host_ports, _privileged)
_RESTRICTED: tuple[Check, ...] = (
    _privilege_escalation,
    _capabilities_restricted,
    _host_namespaces,
    _host_paths,
    _host_ports,
    _privileged,
    _volume_types,
    _non_root,
    _as_root,
    _seccomp,
)
