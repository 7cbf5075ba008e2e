"""How the charts are asked: both Helms, what they render, and who judges that."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import jsonschema
import yaml
from kubernetes_validate.utils import schema_contents
from referencing import Registry, Resource

from tests.charts.generated import INSTANCE, OPERATOR, ROOT

BIN: Final = Path(sys.executable).parent
HELMS: Final = ("helm3", "helm4")
CHARTS: Final = (OPERATOR, INSTANCE)
DEADLINE_S: Final = 60
OWN_GROUPS: Final = ("cache.tongdun.net", "monitoring.coreos.com")  # kinds that no Kubernetes has by itself
PROMETHEUS: Final = ("--api-versions", "monitoring.coreos.com/v1/PodMonitor,monitoring.coreos.com/v1/PrometheusRule")
_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # thousands of lines: ten times as quick
Obj = dict[str, Any]


class RefusedError(Exception):
    """What Helm says."""


def helm(program: str, *words: str) -> str:
    """What it prints. Raises RefusedError. It keeps nothing outside of a folder that goes with the call."""
    with tempfile.TemporaryDirectory() as home:
        own = {"HOME": home, "HELM_CACHE_HOME": home, "HELM_CONFIG_HOME": home, "HELM_DATA_HOME": home}
        done = subprocess.run(
            [str(BIN / program), *words],
            env={**os.environ, **own},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
            check=False,
        )
    if done.returncode:
        raise RefusedError(done.stderr + done.stdout)
    return done.stdout


def template(
    program: str,
    chart: Path,
    values: Obj | None = None,
    *words: str,
    release: str = "td-redis-operator",
    namespace: str = "td-redis-operator",
) -> list[Obj]:
    """The objects of a release. Raises RefusedError."""
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        yaml.safe_dump(values or {}, file)
        file.flush()
        text = helm(program, "template", release, str(chart), "--namespace", namespace, "--values", file.name, *words)
    return read(text)


def read(text: str) -> list[Obj]:
    """The documents of *text* that say something."""
    return [each for each in yaml.load_all(text, Loader=_LOADER) if each]


def of_kind(objects: Iterable[Obj], *kinds: str) -> list[Obj]:
    return [each for each in objects if each["kind"] in kinds]


def the(objects: Iterable[Obj], kind: str) -> Obj:
    (found,) = of_kind(objects, kind)
    return found


def rights(rules: Iterable[Obj]) -> list[str]:
    """One line a right, comparable."""
    return sorted(
        f"{verb} {resource}.{group} {rule.get('resourceNames', '')}"
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    )


def deployed(kind: str) -> Obj:
    """The object of deploy/operator.yaml."""
    return the(read((ROOT / "deploy/operator.yaml").read_text()), kind)


def validate(objects: Iterable[Obj], version: str) -> None:
    """Raises jsonschema.ValidationError: Kubernetes *version* does not know a field, or lacks one."""
    for each in objects:
        group = each["apiVersion"].partition("/")[0]
        if group not in OWN_GROUPS and each["kind"] != "CustomResourceDefinition":
            _validator(version, each["kind"], each["apiVersion"]).validate(each)


@functools.cache
def _validator(version: str, kind: str, api_version: str) -> Any:
    """As kubernetes-validate makes it, which reads its files anew for each object."""
    group, _, rest = api_version.rpartition("/")
    name = "-".join(filter(None, (kind.lower(), group.partition(".")[0], rest)))
    schema = schema_contents(f"{_folder(version)}/{name}.json", version)
    return jsonschema.Draft202012Validator(schema, registry=_definitions(version))


def _folder(version: str) -> str:
    return f"kubernetes-json-schema/v{version}.0-local-strict"


@functools.cache
def _definitions(version: str) -> Any:
    made = Resource.from_contents(schema_contents(f"{_folder(version)}/_definitions.json", version))
    return made @ Registry()


CHECKER: Final = Path(os.environ.get("CRDCHECK_DIR", "/tmp/crdcheck")) / "bin" / "crdcheck"
HAS_CHECKER: Final = (ROOT.parent / "shared" / "crdcheck").is_dir() and os.access(CHECKER, os.X_OK)


def refused_by_a_server(objects: Iterable[Obj]) -> list[str]:
    """What a modern API server has against them, by its own libraries."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "objects.yaml"
        path.write_text(yaml.safe_dump_all(objects))
        command = [str(CHECKER), "--json", "--field-validation", "Strict", str(path)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_S, check=False)
    assert done.returncode in (0, 1), done.stderr
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    return [f"{each['name']}: {each['message']}" for each in answers if not each["accepted"]]


def has_restricted_pods(objects: Iterable[Obj]) -> list[str]:
    """What of the standard `restricted` pods do not keep. Source: Kubernetes, Pod Security Standards."""
    found = []
    for each in of_kind(objects, "Deployment", "StatefulSet", "Job", "DaemonSet"):
        pod = each["spec"]["template"]["spec"]
        context = pod.get("securityContext", {})
        if context.get("runAsNonRoot") is not True:
            found.append("runAsNonRoot")
        if context.get("seccompProfile", {}).get("type") not in ("RuntimeDefault", "Localhost"):
            found.append("seccompProfile")
        if any(pod.get(name) for name in ("hostNetwork", "hostPID", "hostIPC")):
            found.append("host namespaces")
        found += ["volumes" for volume in pod.get("volumes", ()) if "hostPath" in volume]
        for container in (*pod.get("initContainers", ()), *pod["containers"]):
            own = container.get("securityContext", {})
            if own.get("allowPrivilegeEscalation") is not False:
                found.append("allowPrivilegeEscalation")
            if own.get("capabilities", {}).get("drop") != ["ALL"] or own["capabilities"].get("add"):
                found.append("capabilities")
            if own.get("readOnlyRootFilesystem") is not True:  # more than the standard asks for
                found.append("readOnlyRootFilesystem")
            found += ["hostPort" for port in container.get("ports", ()) if "hostPort" in port]
    return found
