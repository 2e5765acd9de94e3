"""The files of compose and Kubernetes: what must agree in them, and with the gateway."""

import re
from pathlib import Path
from typing import Any

import pytest
from dotenv import dotenv_values

from app import __version__
from app.api.drain import CLOSE_S
from app.serving.process import GRACE_S
from app.settings import Settings
from tests.deploy.yaml_subset import read_yaml

DEPLOY = Path(__file__).parents[2] / "deploy"
KUBERNETES = DEPLOY / "kubernetes"
LABELS = {"app.kubernetes.io/name": "nabra"}
SETTINGS = {name.upper() for name in Settings.model_fields}


def kubernetes(name: str) -> dict[str, Any]:
    manifest: dict[str, Any] = read_yaml(KUBERNETES / f"{name}.yaml")
    return manifest


def pod() -> dict[str, Any]:
    spec: dict[str, Any] = kubernetes("deployment")["spec"]["template"]["spec"]
    return spec


def container() -> dict[str, Any]:
    (only,) = pod()["containers"]
    return dict(only)


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    return dict(read_yaml(DEPLOY / "compose.yaml"))


@pytest.mark.parametrize(
    "path", sorted(DEPLOY.rglob("*.y*ml")), ids=lambda path: path.relative_to(DEPLOY).as_posix()
)
def test_every_file_can_be_read(path: Path) -> None:
    assert isinstance(read_yaml(path), dict)


def test_the_reader_of_these_tests_reads_blocks_and_refuses_what_it_does_not_know(
    tmp_path: Path,
) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(
        '# c\na.b/c: "1"\nd:\n  - e: 2\n    f: ["g"]\n  - http://h:1/i\nj: {}\nk:\n  l: true\n'
    )
    assert read_yaml(path) == {
        "a.b/c": "1",
        "d": [{"e": 2, "f": ["g"]}, "http://h:1/i"],
        "j": {},
        "k": {"l": True},
    }
    for wrong in (
        "a: |\n  b\n",
        "a: &b c\n",
        "a: 1\na: 2\n",
        "a: yes\n",
        "a:\n",
        "a:\n    b: 1\n  c: 2\n",
    ):
        path.write_text(wrong)
        with pytest.raises(ValueError):
            read_yaml(path)


def test_kustomization_lists_all_manifests_and_the_image_of_this_version() -> None:
    listed = kubernetes("kustomization")
    others = {path.name for path in KUBERNETES.glob("*.yaml")} - {"kustomization.yaml"}
    assert set(listed["resources"]) == others
    assert listed["images"] == [{"name": "nabra", "newName": "nabra", "newTag": __version__}]


def test_everything_selects_the_pods_of_the_deployment() -> None:
    deployment = kubernetes("deployment")
    assert deployment["spec"]["template"]["metadata"]["labels"] == LABELS
    assert deployment["spec"]["selector"]["matchLabels"] == LABELS
    assert kubernetes("service")["spec"]["selector"] == LABELS
    assert kubernetes("pdb")["spec"]["selector"]["matchLabels"] == LABELS
    scaled = kubernetes("hpa")["spec"]["scaleTargetRef"]
    assert (scaled["kind"], scaled["name"]) == ("Deployment", deployment["metadata"]["name"])
    assert "replicas" not in deployment["spec"], "each apply would undo what the autoscaler did"


def test_service_and_ingress_lead_to_the_port_that_the_image_listens_on() -> None:
    (port,) = container()["ports"]
    dockerfile = (DEPLOY.parent / "Dockerfile").read_text()
    assert f"PORT={port['containerPort']}\n" in dockerfile
    (service_port,) = kubernetes("service")["spec"]["ports"]
    assert service_port["targetPort"] == port["name"]
    (rule,) = kubernetes("ingress")["spec"]["rules"]
    backends = [path["backend"]["service"] for path in rule["http"]["paths"]]
    assert all(
        backend == {"name": "nabra", "port": {"name": service_port["name"]}} for backend in backends
    )


def test_the_ingress_shows_clients_what_they_need_and_nothing_else() -> None:
    (rule,) = kubernetes("ingress")["spec"]["rules"]
    assert [(path["path"], path["pathType"]) for path in rule["http"]["paths"]] == [
        ("/ws/", "Prefix"),
        ("/v1/sessions", "Exact"),
    ]


def test_probes_ask_for_life_and_for_readiness() -> None:
    paths = {
        kind: container()[kind]["httpGet"]["path"]
        for kind in ("startupProbe", "livenessProbe", "readinessProbe")
    }
    assert paths == {
        "startupProbe": "/healthz",
        "livenessProbe": "/healthz",
        "readinessProbe": "/readyz",
    }


def test_a_pod_has_time_for_its_running_turns() -> None:
    values = {each["name"]: each["value"] for each in container()["env"]}
    (command, pause_s) = container()["lifecycle"]["preStop"]["exec"]["command"]
    assert command == "sleep"
    needed_s = float(pause_s) + float(values["DRAIN_S"]) + CLOSE_S + GRACE_S
    assert pod()["terminationGracePeriodSeconds"] > needed_s


def test_the_pod_may_do_nothing_beyond_its_work() -> None:
    assert pod()["securityContext"]["runAsNonRoot"] is True
    assert str(pod()["securityContext"]["runAsUser"]) in (DEPLOY.parent / "Dockerfile").read_text()
    assert container()["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_the_autoscaler_asks_for_a_metric_that_there_is() -> None:
    (metric,) = kubernetes("hpa")["spec"]["metrics"]
    name = metric["pods"]["metric"]["name"]
    assert f'"{name}"' in (DEPLOY.parent / "app/pipeline/conversation_metrics.py").read_text()


def test_compose_publishes_on_this_machine_alone(compose: dict[str, Any]) -> None:
    published = [
        port for service in compose["services"].values() for port in service.get("ports", ())
    ]
    assert len(published) == 3
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_compose_mounts_what_is_there(compose: dict[str, Any]) -> None:
    mounts = [
        mount.split(":")[0]
        for service in compose["services"].values()
        for mount in service.get("volumes", ())
    ]
    folders = {mount for mount in mounts if mount.startswith(".")}
    assert all((DEPLOY / folder).exists() for folder in folders)
    assert set(mounts) - folders == set(compose["volumes"])


def test_the_simulator_of_compose_listens_where_its_gateway_looks(compose: dict[str, Any]) -> None:
    gateway, simulator = compose["services"]["gateway"], compose["services"]["simulator"]
    assert simulator["network_mode"] == "service:gateway"
    ports = dict(zip(simulator["command"][1::2], simulator["command"][2::2], strict=True))
    default = gateway["env_file"].removeprefix("${NABRA_ENV:-").removesuffix("}")
    settings = dotenv_values(DEPLOY / default)
    assert settings.keys() <= SETTINGS
    assert f"127.0.0.1:{ports['--ws-port']}/" in str(settings["HAMSA_WS_URL"])
    assert str(settings["HAMSA_REST_URL"]).endswith(f"127.0.0.1:{ports['--http-port']}")
    assert f"127.0.0.1:{ports['--http-port']}/" in str(settings["AGENT_WEBHOOK_URL"])


def test_prometheus_brings_the_token_that_the_gateway_expects(compose: dict[str, Any]) -> None:
    expected = compose["services"]["gateway"]["environment"]["METRICS_TOKEN"]
    assert compose["configs"]["metrics_token"]["content"] == expected
    (mounted,) = compose["services"]["prometheus"]["configs"]
    (job,) = read_yaml(DEPLOY / "prometheus.yml")["scrape_configs"]
    assert job["authorization"]["credentials_file"] == mounted["target"]
    assert job["static_configs"] == [{"targets": ["gateway:8000"]}]


def test_a_container_has_time_for_its_running_turns(compose: dict[str, Any]) -> None:
    grace = compose["services"]["gateway"]["stop_grace_period"]
    drain_s = next(e["value"] for e in container()["env"] if e["name"] == "DRAIN_S")
    assert float(grace.removesuffix("s")) > float(drain_s) + CLOSE_S + GRACE_S


def test_images_are_short_names_with_a_version(compose: dict[str, Any]) -> None:
    """Where they come from is decided by each machine."""
    for name, service in compose["services"].items():
        image = service["image"]
        assert re.fullmatch(r"[a-z-]+(/[a-z-]+:v?\d+\.\d+\.\d+)?", image), image
        assert ("build" in service) == (":" not in image), name
