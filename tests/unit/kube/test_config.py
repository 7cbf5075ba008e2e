"""Claims about where the server is and as whom we come, against real files, processes and TLS."""

import base64
import json
import ssl
import time
from pathlib import Path

import pytest
import yaml

from tdredis.kube.client import Client
from tdredis.kube.config import ClusterConfig
from tdredis.kube.credentials import ConfigError
from tdredis.kube.errors import ServerUnavailable, Unauthorized
from tdredis.kube.kubeconfig import load_config, load_in_cluster, load_kubeconfig
from tdredis.kube.objects import render_time
from tdredis.kube.resources import CONFIGMAPS
from tests.unit.kube.scripted_server import ScriptedServer, answer, build_object, refuse

# A certificate for 127.0.0.1 that signs itself, made for these tests and known to nobody else.
CERTIFICATE = Path(__file__).with_name("localhost.cert.pem")
KEY = Path(__file__).with_name("localhost.key.pem")


def write(
    path: Path,
    *,
    user: dict[str, object] | None = None,
    cluster: dict[str, object] | None = None,
    server: str = "http://127.0.0.1:1",
    name: str = "c",
) -> Path:
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": {"server": server, **(cluster or {})}}],
        "users": [{"name": name, "user": user or {}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name, "namespace": f"ns-{name}"}}],
        "current-context": name,
    }
    path.write_text(yaml.safe_dump(config))
    return path


def encoded(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()


async def headers(config: ClusterConfig) -> dict[str, str]:
    return dict((await config.current()).headers)


async def test_a_token_is_a_bearer(tmp_path: Path) -> None:
    config = load_config(write(tmp_path / "config", user={"token": "t"}))

    assert await headers(config) == {"Authorization": "Bearer t"}
    assert (config.server, config.namespace) == ("http://127.0.0.1:1", "ns-c")


async def test_a_name_and_a_password_are_basic(tmp_path: Path) -> None:
    config = load_config(write(tmp_path / "config", user={"username": "u", "password": "p"}))

    assert await headers(config) == {"Authorization": "Basic dTpw"}


async def test_impersonation_is_a_header(tmp_path: Path) -> None:
    config = load_config(write(tmp_path / "config", user={"token": "t", "as": "dba"}))

    assert (await headers(config))["Impersonate-User"] == "dba"


async def test_the_context_can_be_chosen_and_files_merge_with_the_first_winning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = write(tmp_path / "1", user={"token": "first"}, name="a")
    second = write(tmp_path / "2", user={"token": "second"}, name="a")
    third = write(tmp_path / "3", user={"token": "third"}, name="b")
    monkeypatch.setenv("KUBECONFIG", f"{first}:{second}:{tmp_path}/absent:{third}")

    assert await headers(load_config()) == {"Authorization": "Bearer first"}
    assert await headers(load_config(context="b")) == {"Authorization": "Bearer third"}


async def test_a_token_file_is_read_again_when_it_rotates(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("old\n")
    (tmp_path / "namespace").write_text("redis-system")
    config = load_in_cluster(tmp_path, {"KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "443"})
    config._ca = None  # the machine's own: this claim is about the token
    assert await headers(config) == {"Authorization": "Bearer old"}
    (tmp_path / "token").write_text("new\n")

    assert await headers(config) == {"Authorization": "Bearer old"}
    config.refused()
    assert await headers(config) == {"Authorization": "Bearer new"}
    (tmp_path / "token").unlink()
    config.refused()
    assert await headers(config) == {"Authorization": "Bearer new"}
    assert (config.server, config.namespace) == ("https://[fd00::1]:443", "redis-system")


def test_outside_of_a_pod_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="not in a pod"):
        load_in_cluster(tmp_path, {})


async def serve_tls(kubeconfig: Path, user: dict[str, object], cluster: dict[str, object]) -> None:
    """One GET over TLS against a server that demands a client certificate."""
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(CERTIFICATE))
    tls.load_cert_chain(CERTIFICATE, KEY)
    tls.verify_mode = ssl.CERT_REQUIRED
    async with ScriptedServer(answer(build_object("a", 1)), tls=tls) as server:
        config = load_config(write(kubeconfig, user=user, cluster=cluster, server=server.url))
        async with Client(config, deadline_s=5) as client:
            await client.get(CONFIGMAPS, "n", "a")


async def test_certificates_inline(tmp_path: Path) -> None:
    user: dict[str, object] = {"client-certificate-data": encoded(CERTIFICATE), "client-key-data": encoded(KEY)}

    await serve_tls(tmp_path / "config", user, {"certificate-authority-data": encoded(CERTIFICATE)})


async def test_certificates_in_files_beside_the_kubeconfig(tmp_path: Path) -> None:
    (tmp_path / "cert.pem").write_bytes(CERTIFICATE.read_bytes())
    (tmp_path / "key.pem").write_bytes(KEY.read_bytes())
    user: dict[str, object] = {"client-certificate": "cert.pem", "client-key": "key.pem"}

    await serve_tls(tmp_path / "config", user, {"certificate-authority": "cert.pem"})


async def test_a_server_of_an_unknown_authority_is_not_talked_to_unless_we_are_told_to(tmp_path: Path) -> None:
    user: dict[str, object] = {"client-certificate-data": encoded(CERTIFICATE), "client-key-data": encoded(KEY)}
    with pytest.raises(ServerUnavailable, match="certificate"):
        await serve_tls(tmp_path / "config", user, {})

    await serve_tls(tmp_path / "config", user, {"insecure-skip-tls-verify": True})


async def test_the_name_in_the_certificate_can_be_said(tmp_path: Path) -> None:
    user: dict[str, object] = {"client-certificate-data": encoded(CERTIFICATE), "client-key-data": encoded(KEY)}
    cluster: dict[str, object] = {"certificate-authority-data": encoded(CERTIFICATE)}
    with pytest.raises(ServerUnavailable, match="certificate"):
        await serve_tls(tmp_path / "config", user, {**cluster, "tls-server-name": "elsewhere"})

    await serve_tls(tmp_path / "config", user, {**cluster, "tls-server-name": "localhost"})


def build_plugin(directory: Path, status: dict[str, object]) -> dict[str, object]:
    """A plug-in that counts its runs, and keeps what it was asked."""
    (directory / "answer.json").write_text(
        json.dumps({"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": status})
    )
    plugin = directory / "plugin"
    plugin.write_text(
        '#!/bin/sh\ncd "$(dirname "$0")"\necho "$1 $COLOUR" >>runs\n'
        'printf %s "$KUBERNETES_EXEC_INFO" >asked\ncat answer.json\n'
    )
    plugin.chmod(0o755)
    return {
        "exec": {
            "apiVersion": "client.authentication.k8s.io/v1",
            "command": "./plugin",
            "args": ["get-token"],
            "env": [{"name": "COLOUR", "value": "blue"}],
            "provideClusterInfo": True,
            "interactiveMode": "Never",
        }
    }


async def test_a_plugin_is_run_once_and_again_after_a_401(tmp_path: Path) -> None:
    user = build_plugin(tmp_path, {"token": "t"})
    script = (answer(build_object("a", 1)), refuse(401, "Unauthorized"), answer(build_object("a", 1)))
    async with ScriptedServer(*script) as server:
        async with Client(load_config(write(tmp_path / "config", user=user, server=server.url))) as client:
            await client.get(CONFIGMAPS, "n", "a")
            await client.get(CONFIGMAPS, "n", "a")

        assert [seen.headers["Authorization"] for seen in server.requests] == ["Bearer t"] * 3
        assert (tmp_path / "runs").read_text().splitlines() == ["get-token blue"] * 2
        asked = json.loads((tmp_path / "asked").read_text())
        assert asked["spec"]["cluster"]["server"] == server.url


@pytest.mark.parametrize(("lives_s", "runs"), [(3600, 1), (0, 2)])
async def test_a_plugin_is_run_again_before_its_token_expires(tmp_path: Path, lives_s: float, runs: int) -> None:
    status: dict[str, object] = {"token": "t", "expirationTimestamp": render_time(time.time() + lives_s)}
    config = load_config(write(tmp_path / "config", user=build_plugin(tmp_path, status)))
    await headers(config)
    await headers(config)

    assert len((tmp_path / "runs").read_text().splitlines()) == runs


async def test_a_plugin_may_bring_a_certificate(tmp_path: Path) -> None:
    status: dict[str, object] = {
        "clientCertificateData": CERTIFICATE.read_text(),
        "clientKeyData": KEY.read_text(),
    }

    await serve_tls(
        tmp_path / "config",
        build_plugin(tmp_path, status),
        {"certificate-authority-data": encoded(CERTIFICATE)},
    )


async def test_a_plugin_that_is_not_installed_is_named_by_the_call_that_needed_it(tmp_path: Path) -> None:
    user: dict[str, object] = {"exec": {"apiVersion": "v1", "command": "no-such-plugin"}}
    async with Client(load_config(write(tmp_path / "config", user=user))) as client:
        with pytest.raises(Unauthorized, match="no-such-plugin"):
            await client.get(CONFIGMAPS, "n", "a")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a: [", "not YAML"),
        ("clusters: 3", "clusters"),
        ("current-context: x", "no context 'x'; there are: none"),
        ("contexts: [{name: x, context: {cluster: y}}]\ncurrent-context: x", "names cluster 'y'"),
    ],
)
def test_what_is_wrong_with_a_kubeconfig_is_said(tmp_path: Path, text: str, sentence: str) -> None:
    (tmp_path / "config").write_text(text)

    with pytest.raises(ConfigError, match=sentence):
        load_kubeconfig((tmp_path / "config",))


@pytest.mark.parametrize(
    ("user", "sentence"),
    [
        ({"auth-provider": {"name": "gcp"}}, "exec plug-in"),
        ({"client-certificate-data": "QQ=="}, "needs its key"),
        ({"client-certificate-data": "%", "client-key-data": "QQ=="}, "client-certificate-data is not base64"),
        ({"as-groups": ["a"]}, "as-groups"),
    ],
)
def test_what_we_do_not_support_is_refused_and_not_ignored(
    tmp_path: Path, user: dict[str, object], sentence: str
) -> None:
    with pytest.raises(ConfigError, match=sentence):
        load_config(write(tmp_path / "config", user=user))


def test_a_config_prints_without_its_credentials(tmp_path: Path) -> None:
    config = load_config(write(tmp_path / "config", user={"token": "hunter2"}))

    assert "hunter2" not in repr(config)


async def test_an_error_about_a_broken_kubeconfig_does_not_quote_it(tmp_path: Path) -> None:
    (tmp_path / "config").write_text("users:\n- user: {token: hunter2: x}\n")

    with pytest.raises(ConfigError) as raised:
        load_kubeconfig((tmp_path / "config",))

    assert "hunter2" not in str(raised.value)
