"""The image and the composition: what an operator relies on, checked without an engine."""

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.settings_model import known_keys
from tests.rules.source import ROOT

OPS = ROOT / "ops"
OURS = ("api", "worker", "migrate")
NOT_SETTINGS = {"POSTGRES_PASSWORD"}


@pytest.fixture
def composition() -> Mapping[str, Any]:
    return yaml.safe_load((OPS / "compose.yaml").read_text())


@pytest.fixture
def stages() -> list[str]:
    """The stages of the image, each as its instructions on one line each."""
    text = (OPS / "Dockerfile").read_text()
    text = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    return re.split(r"^FROM ", text.replace("\\\n", " "), flags=re.MULTILINE)[1:]


def docker_compose() -> list[str]:
    """The command that reads compositions; empty where the machine has none."""
    for command in (["docker", "compose"], ["docker-compose"]):
        if shutil.which(command[0]) is None:
            continue
        asked = subprocess.run(
            [*command, "version"], capture_output=True, text=True, check=False, timeout=30
        )
        if asked.returncode == 0:
            return command
    return []


def complaint(folder: Path, password: str) -> str:
    """What is wrong with the composition in the folder, by docker or by our own eyes."""
    command = docker_compose()
    if not command:
        return _complaint_of_ours(folder, password)
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    checked = subprocess.run(
        [*command, "-f", str(folder / "compose.yaml"), "config", "-q"],
        env={**kept, "POSTGRES_PASSWORD": password},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return checked.stderr.strip() if checked.returncode else ""


def _complaint_of_ours(folder: Path, password: str) -> str:
    """The same facts: variables that are missing, files, services and volumes that are not."""
    text = (folder / "compose.yaml").read_text()
    needed = dict(re.findall(r"\$\{(\w+):\?([^}]*)\}", text))
    if set(re.findall(r"\$\{?(\w+)", text)) != set(needed):
        return "a variable without a word about it"
    if needed and not password:
        return next(f"required variable {name} is missing: {why}" for name, why in needed.items())
    composition = yaml.safe_load(text)
    services = composition["services"]
    for name, service in services.items():
        files = [service["env_file"]] if "env_file" in service else []
        missing = [file for file in files if not (folder / file).is_file()]
        if missing:
            return f"{missing[0]} not found"
        strangers = set(service.get("depends_on", {})) - set(services)
        mounts = {mount.partition(":")[0] for mount in service.get("volumes", [])}
        strangers |= mounts - set(composition["volumes"])
        if strangers or not ({"image", "build"} & set(service)):
            return f"{name} refers to nothing: {strangers}"
    return ""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What an operator has after copying the example."""
    shutil.copy(OPS / "compose.yaml", tmp_path)
    (tmp_path / "env").mkdir()
    shutil.copy(OPS / "env" / "compose.example.env", tmp_path / "env" / "compose.env")
    return tmp_path


def test_the_composition_is_valid(folder: Path):
    assert complaint(folder, "secret") == ""


def test_a_composition_without_a_password_says_where_to_set_it(folder: Path):
    assert "Set it in ops/env/compose.env" in complaint(folder, "")


def test_a_composition_without_its_settings_names_the_file(folder: Path):
    (folder / "env" / "compose.env").unlink()

    assert "compose.env not found" in complaint(folder, "secret")


def test_the_composition_is_a_server_two_workers_and_what_they_need(
    composition: Mapping[str, Any],
):
    services = composition["services"]

    assert set(services) == {"api", "worker", "migrate", "postgres", "redis"}
    assert "version" not in composition
    assert services["worker"]["deploy"]["replicas"] == 2
    assert [services[name]["command"] for name in OURS] == ["serve", "worker", "migrate"]
    assert set(composition["volumes"]) == {"data", "postgres"}
    assert [name for name, service in services.items() if "ports" in service] == ["api"]
    assert services["api"]["ports"] == ["127.0.0.1:8080:8080"]


def test_everything_that_stays_is_watched_and_waited_for(composition: Mapping[str, Any]):
    services = composition["services"]
    ready = {"postgres": "service_healthy", "redis": "service_healthy"}

    for name in ("worker", "postgres", "redis"):
        assert "test" in services[name]["healthcheck"]
        assert services[name]["restart"] == "unless-stopped"
    for name in ("api", "worker"):
        waits = {on: how["condition"] for on, how in services[name]["depends_on"].items()}
        assert waits == {**ready, "migrate": "service_completed_successfully"}


def test_our_containers_are_closed_and_take_secrets_from_a_file(composition: Mapping[str, Any]):
    for name in OURS:
        service = composition["services"][name]
        assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
        assert service["env_file"] == "env/compose.env"
        assert set(service["environment"]) <= set(known_keys())
    text = (OPS / "compose.yaml").read_text()
    assert re.findall(r"://\w+:(?!\$\{)[^@/]+@", text) == []


def test_the_example_of_secrets_holds_none_and_only_settings():
    lines = (OPS / "env" / "compose.example.env").read_text().splitlines()
    pairs = [line.lstrip("# ").partition("=") for line in lines if "=" in line]

    assert {key for key, _, _ in pairs} <= set(known_keys()) | NOT_SETTINGS
    assert {key: value for key, _, value in pairs}["POSTGRES_PASSWORD"] == ""


def test_the_image_is_built_from_the_lock_with_hashes_and_keeps_no_tools(stages: list[str]):
    build, image = stages

    assert "--require-hashes" in build
    assert "ARG LOCK=runtime" in build
    assert "COPY ops/lock/${LOCK}.txt" in build
    assert not re.search(r"apt-get|pip install|COPY (?!--from=build)", image)
    assert re.search(r"rm -rf .*site-packages/pip\*", image)


def test_the_image_runs_as_nobody_in_particular_and_tells_its_health(stages: list[str]):
    _, image = stages

    assert re.search(r"^USER 10001:10001$", image, re.MULTILINE)
    assert re.search(r"^HEALTHCHECK .*/healthz", image, re.MULTILINE)
    assert re.search(r'^ENTRYPOINT \["gob"\]$', image, re.MULTILINE)
    assert image.rindex("USER ") < image.rindex("ENTRYPOINT ")
    assert "PYTHONDONTWRITEBYTECODE=1" in image


def test_the_image_holds_every_package_and_its_context_nothing_else(stages: list[str]):
    build, _ = stages
    context = (OPS / "Dockerfile.dockerignore").read_text().splitlines()

    packages = {"app", "domain", "resolvers", "schema", "workers"}
    assert packages <= set(re.findall(r"^COPY (\w+) ", build, re.MULTILINE))
    kept = {line[1:] for line in context if line.startswith("!")}
    locks = {"ops/lock/runtime.txt", "ops/lock/providers.txt"}
    assert kept == {*packages, "pyproject.toml", *locks}
    assert "*" in context


def test_the_health_check_of_the_image_is_python(stages: list[str]):
    _, image = stages
    found = re.search(r"^HEALTHCHECK .*?CMD (\[.*\])$", image, re.MULTILINE)

    assert found is not None
    program, flag, code = yaml.safe_load(found[1])
    assert (program, flag) == ("python", "-c")
    compile(code, "healthcheck", "exec")
