"""Claims about the catalogue: the programs of this machine play the images that pods name."""

from __future__ import annotations

import pytest

from localkube.cli import main
from localkube.kubelet.images import Catalogue, ImageProblem, ImageRule, repository_of

from .conftest import House


@pytest.mark.parametrize(
    ("image", "repository"),
    [
        ("redis", "redis"),
        ("redis:7.0", "redis"),
        ("docker.io/library/redis:7@sha256:0123", "redis"),
        ("localhost:5000/valkey/valkey:8", "valkey/valkey"),
        ("example.com/tongduncloud/redis-cluster:0.2", "tongduncloud/redis-cluster"),
        ("oliver006/redis_exporter", "oliver006/redis_exporter"),
    ],
)
def test_registry_and_tag_do_not_matter(image: str, repository: str) -> None:
    assert repository_of(image) == repository


def test_an_unknown_image_is_refused_by_name() -> None:
    with pytest.raises(ImageProblem, match='no program of this machine plays "no/such"'):
        Catalogue().resolve("no/such:1")


def test_a_known_image_without_its_program_says_which_program_is_missing() -> None:
    rule = ImageRule(pattern="mine", programs=("no-such-program",), called="/bin/mine")

    with pytest.raises(ImageProblem, match='no program "no-such-program" on this machine'):
        Catalogue([rule]).resolve("mine:1")


def test_a_name_with_its_tag_is_played_by_the_file_that_is_said_for_it_and_other_tags_are_not() -> None:
    catalogue = Catalogue(played={"valkey/valkey:9.1": "/made/valkey-server"}, seen=["/made"])

    image = catalogue.resolve("example.com/valkey/valkey:9.1@sha256:0123")

    assert image.programs == {
        "/usr/local/bin/valkey-server": "/made/valkey-server",
        "/usr/local/bin/redis-server": "/made/valkey-server",
        "/made": "/made",
    }
    assert image.identity == "localkube:///made/valkey-server"
    assert "/made" not in catalogue.resolve("valkey/valkey:8.0").programs


def test_only_a_file_that_can_be_executed_plays_an_image(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["up", "--play", "redis:8.6=/etc/passwd"])

    assert "IMAGE=FILE is wanted, a file that can be executed, not 'redis:8.6=/etc/passwd'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("image", "args", "said"),
    [
        ("envoyproxy/envoy:v1.30", ["--version"], "envoy"),
        ("oliver006/redis_exporter:v1", ["-version"], "Exporter"),
        ("tongduncloud/redis-exporter:1.0", ["-version"], "Exporter"),
        ("redis:7", ["redis-server", "--version"], "Redis server v="),
        ("tongduncloud/redis-cluster:0.2", ["redis-cli", "--version"], "redis-cli"),
        ("valkey/valkey:8", ["--version"], "Valkey server v="),
        ("valkey/valkey:8", ["redis-server", "--version"], "Valkey server v="),
        ("busybox", ["echo", "hello"], "hello"),
    ],
)
async def test_an_image_runs_its_program(house: House, image: str, args: list[str], said: str) -> None:
    house.run({"name": "c", "image": image, "args": args}, restartPolicy="Never")

    await house.until_ended()

    assert said in await house.said()


async def test_envoy_serves_on_the_pods_address(house: House) -> None:
    config = """
static_resources:
  listeners:
  - address: {socket_address: {address: POD_IP, port_value: 8080}}
    filter_chains:
    - filters:
      - name: direct
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.direct_response.v3.Config
          response: {inline_string: "hello"}
"""
    house.create("configmaps", {"metadata": {"name": "conf"}, "data": {"envoy.yaml": config}})
    script = (
        "sed s/POD_IP/$POD_IP/ /conf/envoy.yaml > /tmp/e.yaml; exec envoy -c /tmp/e.yaml --disable-hot-restart -l warn"
    )
    house.run(
        {
            "name": "c", "image": "envoyproxy/envoy:v1.30", "command": ["sh", "-c", script],
            "env": [{"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}],
            "volumeMounts": [{"name": "conf", "mountPath": "/conf"}],
            "readinessProbe": {"tcpSocket": {"port": 8080}, "periodSeconds": 1, "failureThreshold": 1},
        },
        volumes=[{"name": "conf", "configMap": {"name": "conf"}}],
    )  # fmt: skip

    await house.until_ready()


async def test_a_stock_exporter_reads_the_redis_beside_it(house: House) -> None:
    house.run(
        {"name": "redis", "image": "redis:7"},
        {
            "name": "exporter", "image": "oliver006/redis_exporter:v1",
            "env": [{"name": "REDIS_ADDR", "value": "redis://localhost:6379"}],
            "readinessProbe": {"httpGet": {"port": 9121, "path": "/metrics"}, "periodSeconds": 1},
        },
    )  # fmt: skip

    await house.until_ready()

    fetch = "exec 3<>/dev/tcp/$HOSTNAME/9121; printf 'GET /metrics HTTP/1.0\\r\\n\\r\\n' >&3; grep ^redis_up <&3"
    assert (await house.exec("bash", "-c", fetch, container="redis"))[1].startswith("redis_up 1")
