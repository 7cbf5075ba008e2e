"""A support bundle has what somebody else needs, with few rights too, and no secret is in it wherever it stood."""

from __future__ import annotations

import base64
import io
import re
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from localkube.errors import ApiError
from tdredis.cli.commands.report import Bundle, pack
from tdredis.cli.redact import Redactor
from tdredis.controllers import explain
from tdredis.kube.client import Client
from tdredis.kube.executing import Ran
from tdredis.kube.resources import CONFIGMAPS, EVENTS, PODS, SECRETS
from tests.e2e.world import sample
from tests.unit.cli.conftest import NAMESPACE, Obj, Shell

RAT = "redis-cluster-rat"
# One in each place: in spec, in a Secret that spec names, in a Secret of ours, in another's file.
INLINE, NAMED, OURS = "inline-horse-battery", "named-horse-battery", "ours-horse-battery"
LABELS = {
    "app.kubernetes.io/managed-by": "td-redis-operator",
    "app.kubernetes.io/instance": RAT,
    "app.kubernetes.io/component": "redis",
    "cache.tongdun.net/kind": "RedisCluster",
}
OWNED: Obj = {"namespace": NAMESPACE, "labels": LABELS}
EVERYWHERE = f"{INLINE} {NAMED} {OURS} requirepass nobody-knows-this"


async def make_world(shell: Shell) -> None:
    reference = {"name": "named", "key": "password"}
    manifest = sample(NAMESPACE, secret=INLINE, secretRef=None, proxysecret=None, proxySecretRef=reference)
    manifest["metadata"]["annotations"] = {
        "kubectl.kubernetes.io/last-applied-configuration": f'{{"spec":{{"secret":"{INLINE}"}}}}'
    }
    await shell.create(manifest)
    named: Obj = {"password": _encode(NAMED)}
    await shell.client.create(SECRETS, {"metadata": {"name": "named", "namespace": NAMESPACE}, "data": named})
    data: Obj = {"password": _encode(OURS), "auth.conf": _encode(f'requirepass "{OURS}"')}
    await shell.client.create(SECRETS, {"metadata": {"name": f"{RAT}-auth", **OWNED}, "data": data})
    scripts: Obj = {"start.sh": EVERYWHERE, "redis.conf": "port 6379"}
    await shell.client.create(CONFIGMAPS, {"metadata": {"name": RAT, **OWNED}, "data": scripts})
    env = [{"name": "APP_PASSWORD", "value": "nobody-knows-that"}, {"name": "URL", "value": f"redis://:{OURS}@x:6379"}]
    container: Obj = {"name": "redis", "image": "redis:7.0", "env": env, "args": ["--requirepass", INLINE]}
    await shell.client.create(PODS, {"metadata": {"name": f"{RAT}-0-0", **OWNED}, "spec": {"containers": [container]}})
    about: Obj = {"kind": "Pod", "name": f"{RAT}-0-0", "namespace": NAMESPACE}
    await shell.client.create(
        EVENTS,
        {
            "metadata": {"name": "e", "namespace": NAMESPACE},
            "involvedObject": about,
            "reason": "Odd",
            "message": f"AUTH {INLINE} failed",
            "type": "Warning",
        },
    )


def _encode(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def read(path: Path) -> dict[str, str]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name).decode() for name in archive.namelist()}


@pytest.fixture
async def bundle(shell: Shell, tmp_path: Path) -> dict[str, str]:
    await make_world(shell)
    path = tmp_path / "bundle.zip"
    done = await shell.type("report", RAT, "--file", str(path))
    assert done.code == 0, done.err
    assert path.stat().st_mode & 0o077 == 0
    return {**read(path), "printed": done.out}


async def test_no_secret_is_in_it_wherever_it_stood(bundle: dict[str, str]) -> None:
    known = [INLINE, NAMED, OURS, "nobody-knows-this", "nobody-knows-that"]
    forms = [form for secret in known for form in (secret, _encode(secret))]

    assert [(name, form) for name, text in bundle.items() for form in forms if form in text] == []


async def test_it_has_the_objects_the_events_and_the_plan(bundle: dict[str, str]) -> None:
    assert "phase" in bundle["resource.yaml"] or "spec" in bundle["resource.yaml"]
    assert f"name: {RAT}-0-0" in bundle["objects/pods.yaml"]
    assert "redis.conf: port 6379" in bundle["objects/configmaps.yaml"]
    assert f"name: {RAT}-auth" in bundle["objects/secrets.yaml"]
    assert "Warning Odd Pod/redis-cluster-rat-0-0" in bundle["events.txt"]
    assert "held" in bundle["explain.txt"] or "plan" in bundle["explain.txt"]
    assert bundle["README.txt"].startswith(f"rediscluster/{RAT} in namespace {NAMESPACE}")


async def test_what_could_not_be_had_is_said_in_it_and_on_the_screen(bundle: dict[str, str]) -> None:
    assert "operator/: no pod of the operator was found" in bundle["README.txt"]
    assert "not in it: operator/" in bundle["printed"]


async def test_with_few_rights_the_rest_is_there_and_still_no_secret(shell: Shell, tmp_path: Path) -> None:
    await make_world(shell)
    path = tmp_path / "bundle.zip"
    await forbid(shell, "secrets", "events", "nodes", "configmaps")

    done = await shell.type("report", RAT, "--file", str(path))

    found = read(path)
    assert done.code == 0
    assert {"resource.yaml", "objects/pods.yaml", "status.txt"} <= set(found)
    assert "objects/configmaps.yaml" not in found
    assert "objects/configmaps.yaml: 403" in found["README.txt"]
    assert "what passwords are" in found["README.txt"]
    assert [name for name, text in found.items() if INLINE in text or "nobody-knows" in text] == []


# Blanks, quotes, commas, what means something to a regular expression, what is not ASCII.
NASTY = ("Qz7 ,;Cd2}] Kx9", 'Qz7 it\'s "so" \\ done Kx9', "Qz7.*[a-z]$(^|Kx9", "Qz7äß 漢字 %41 Kx9", "Qz7***, ***Kx9")


@pytest.mark.parametrize("rights", [(), ("secrets/named",), ("secrets", "events")])
@pytest.mark.parametrize("password", NASTY)
async def test_no_part_of_any_password_is_in_it_whatever_may_be_read(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, password: str, rights: tuple[str, ...]
) -> None:
    """One Redis that says it in CONFIG GET and SLOWLOG, and objects in which it is named."""
    manifest = sample(NAMESPACE, secret=None, secretRef={"name": "named", "key": "redis.pw"}, proxysecret=password)
    manifest["spec"].pop("proxySecretRef", None)
    await shell.create(manifest)
    named: Obj = {"redis.pw": _encode(password)}
    await shell.client.create(SECRETS, {"metadata": {"name": "named", "namespace": NAMESPACE}, "data": named})
    config: Obj = {"redis.conf": f"port 6379\nrequirepass {password}\nuser x on >{password} ~*\nsave 60 1"}
    await shell.client.create(CONFIGMAPS, {"metadata": {"name": RAT, **OWNED}, "data": config})
    container: Obj = {"name": "redis", "image": "redis:7.0", "args": ["--requirepass", password, "--port", "6379"]}
    pod = f"{RAT}-0-0"
    await shell.client.create(PODS, {"metadata": {"name": pod, **OWNED}, "spec": {"containers": [container]}})
    state: Obj = {"containerStatuses": [{"name": "redis", "ready": True, "restartCount": 0, "state": {"running": {}}}]}
    await shell.client.patch(PODS, NAMESPACE, pod, {"status": state}, subresource="status")
    answers = {
        "CONFIG": array("maxmemory", "0", "requirepass", password, "masterauth", password),
        "SLOWLOG": f"1) 1) (integer) 7\n   2) (integer) 1700000000\n   3) (integer) 12\n"
        f"   4) {array('CONFIG', 'SET', 'requirepass', password).replace(chr(10), chr(10) + ' ' * 6)}\n",
        "INFO": "redis_version:7.0.15\r\n",
        "CLIENT": "id=7 cmd=client\n",
        "CLUSTER": "",
    }

    async def execute(_self: Client, _n: str, _p: str, _c: str, words: Sequence[str], *, deadline_s: float) -> Ran:
        assert deadline_s < 60
        return Ran(0, answers[words[4]].encode(), b"")

    monkeypatch.setattr(Client, "execute", execute)
    await forbid(shell, *rights)
    path = tmp_path / "bundle.zip"

    done = await shell.type("report", RAT, "--file", str(path))

    assert done.code == 0, done.err
    found = {**read(path), "printed": done.out}
    assert [(name, part) for name, text in found.items() for part in ("Qz7", "Kx9") if part in text] == []
    assert found[f"redis/{pod}/config.txt"] == "masterauth ***\nmaxmemory 0\nrequirepass ***"
    assert "- CONFIG\n    - SET\n    - requirepass\n    - '***'" in found[f"redis/{pod}/slowlog-get.yaml"]
    assert "- --requirepass\n      - '***'\n      - --port" in found["objects/pods.yaml"]


def array(*words: str) -> str:
    """As redis-cli --no-raw prints it. Source: sds.c, sdscatrepr."""

    def written(word: str) -> str:
        plain = word.replace("\\", "\\\\").replace('"', '\\"')
        return "".join(
            letter if letter.isascii() else "".join(f"\\x{b:02x}" for b in letter.encode()) for letter in plain
        )

    return "\n".join(f'{number}) "{written(word)}"' for number, word in enumerate(words, 1))


async def test_a_secret_that_may_not_be_read_does_not_make_forget_those_that_may(shell: Shell, tmp_path: Path) -> None:
    await make_world(shell)
    path = tmp_path / "bundle.zip"
    await forbid(shell, "secrets/named")

    await shell.type("report", RAT, "--file", str(path))

    found = read(path)
    assert "what passwords are in Secret named" in found["README.txt"]
    assert [name for name, text in found.items() if OURS in text or INLINE in text] == []


def files_in(folder: Path) -> set[str]:
    return {each.name for each in folder.iterdir()}


async def test_a_file_that_others_may_read_is_not_written_into_nor_one_that_a_link_leads_to(
    shell: Shell, rat: Obj, tmp_path: Path
) -> None:
    open_to_all, elsewhere, link = tmp_path / "a.zip", tmp_path / "elsewhere", tmp_path / "b.zip"
    open_to_all.write_text("old")
    open_to_all.chmod(0o644)
    elsewhere.write_text("of somebody else")
    link.symlink_to(elsewhere)
    held = open_to_all.open()

    with held:
        for path in (open_to_all, link):
            assert (await shell.type("report", RAT, "--file", str(path))).code == 0
            assert path.stat().st_mode & 0o777 == 0o600
            assert "README.txt" in read(path)
        assert held.read() == "old"
    assert elsewhere.read_text() == "of somebody else"
    assert {"a.zip", "b.zip", "elsewhere", "kubeconfig"} == files_in(tmp_path)


async def test_what_is_no_file_is_not_replaced(shell: Shell, rat: Obj, tmp_path: Path) -> None:
    done = await shell.type("report", RAT, "--file", str(tmp_path))

    assert done.code == 2
    assert "is no file" in done.err
    assert "kubeconfig" in files_in(tmp_path)


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """What may not be listed is not waited for as long as a person would."""
    monkeypatch.setattr(explain, "SYNC_S", 3.0)


async def forbid(shell: Shell, *plurals: str) -> None:
    """The server refuses these, as RBAC does."""
    pattern = re.compile(rf"/({'|'.join(plurals or ('nothing',))})\b")

    async def around(path, request, answer):  # type: ignore[no-untyped-def]  # the server's own callback
        if pattern.search(path):
            raise ApiError(403, "Forbidden", f"{path} is forbidden")
        return await answer()

    shell.server.around = around


def test_everything_goes_through_redaction_on_its_way_in() -> None:
    made = pack(Bundle(files={"a/b.txt": f"x {OURS} y"}, lacking=[f"c: {OURS}"]), Redactor([OURS]), "about\n")

    with zipfile.ZipFile(io.BytesIO(made)) as archive:
        assert archive.read("a/b.txt") == b"x *** y"
        assert archive.read("README.txt") == b"about\nnot in it: c: ***\n"
