"""The deployment's files agree with each other, and with what the cluster of the tests runs."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from dotenv import dotenv_values

from launch.cluster.topology import COMPONENTS, SETTINGS, fill_settings
from launch.environment import LaunchError

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
PLACEHOLDER = re.compile(r"\$\{([A-Z_]+)(:-)?")


def load(name: str) -> dict[str, Any]:
    return dict(yaml.safe_load((DEPLOY / name).read_text()))


def settings() -> dict[str, str | None]:
    return dict(dotenv_values(SETTINGS, interpolate=False))


def test_every_variable_of_the_settings_is_in_the_example() -> None:
    given = set(dotenv_values(DEPLOY / ".env.example", interpolate=False))
    needed = {
        name
        for text in settings().values()
        for name, default in PLACEHOLDER.findall(text or "")
        if not default
    }
    assert needed - given == set()


def test_the_chart_sets_what_the_settings_set() -> None:
    values = load("values.yaml")
    known = settings()
    for variable in values["env"]:
        if variable["name"] == "NIGHTPRESS_ROOT":
            continue
        filled = fill_settings(SETTINGS, dict.fromkeys(_names(), "x"))
        assert filled[variable["name"]] == variable["value"], variable["name"]
    secrets = {entry["envName"] for entry in values["secret"]}
    assert secrets == {name for name in known if name.startswith("AIRFLOW_CONN_")}
    assert values["executor"] == known["AIRFLOW__CORE__EXECUTOR"]


def _names() -> set[str]:
    found = {name for text in settings().values() for name, _ in PLACEHOLDER.findall(text or "")}
    return found - {"TASK_HEARTBEAT_TIMEOUT", "TASK_QUEUED_TIMEOUT", "TASK_QUEUED_CHECK_INTERVAL"}


def test_compose_runs_the_components_of_the_cluster() -> None:
    services = load("compose.yaml")["services"]
    commands = {
        tuple(word for word in service["command"][1:] if not word.startswith("-") and not word.isdigit())
        for service in services.values()
        if "command" in service
    }
    wanted = {
        tuple(
            word
            for word in words
            if not word.startswith("-") and not word.endswith("@cluster") and not word.isdigit()
        )
        for words in COMPONENTS.values()
    }
    assert wanted | {("db", "migrate")} == commands
    for name in ("scheduler", "triggerer", "worker"):
        assert services[name]["deploy"]["replicas"] == sum(
            component.startswith(f"{name}-") for component in COMPONENTS
        )
    assert all(service["env_file"] == "airflow.env" for service in services.values() if "command" in service)
    assert all(
        port.startswith("127.0.0.1:") for service in services.values() for port in service.get("ports", [])
    )


def test_a_worker_may_end_its_post_before_it_is_killed() -> None:
    assert load("compose.yaml")["services"]["worker"]["stop_grace_period"] == "11m"
    assert load("values.yaml")["workers"]["terminationGracePeriodSeconds"] == 660
    assert load("pod_template.yaml")["spec"]["terminationGracePeriodSeconds"] == 660


def test_the_pod_template_is_a_pod_with_the_container_that_airflow_looks_for() -> None:
    pod = load("pod_template.yaml")
    assert (pod["apiVersion"], pod["kind"]) == ("v1", "Pod")
    assert [container["name"] for container in pod["spec"]["containers"]] == ["base"]
    assert pod["spec"]["restartPolicy"] == "Never"
    mounts = {mount["name"] for mount in pod["spec"]["containers"][0]["volumeMounts"]}
    assert mounts == {volume["name"] for volume in pod["spec"]["volumes"]}


def test_what_is_installed_in_the_image_and_by_the_guide_are_extras_of_the_wheel() -> None:
    project = DEPLOY.parent
    extras = tomllib.loads((project / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    texts = [(DEPLOY / "Dockerfile").read_text(), (project / "docs" / "deploy.md").read_text()]
    named = {
        extra
        for text in texts
        for found in re.findall(r"nightpress\[([a-z0-9,]+)\]", text)
        for extra in found.split(",")
    }
    assert {"celery", "s3", "postgres"} <= named <= extras.keys()


def test_a_variable_that_is_not_set_is_named(tmp_path: Path) -> None:
    path = tmp_path / "settings.env"
    path.write_text("A=${GIVEN}/x\nB=${ABSENT:-d}\nC=${ABSENT:-${GIVEN}}\n")
    assert fill_settings(path, {"GIVEN": "g"}) == {"A": "g/x", "B": "d", "C": "g"}
    with pytest.raises(LaunchError, match="needs GIVEN"):
        fill_settings(path, {})
