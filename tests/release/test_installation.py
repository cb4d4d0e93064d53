"""Each package, installed from its wheel: its dependencies, and its use without the others."""

import json
from pathlib import Path

import pytest

from release.environments import Environment, Environments
from release.wheels import PACKAGES, extras_of, wheel_of
from server_support.process import Process

SERVERS = {"corvo-server", "sanic", "uvloop", "msgspec", "lark", "prometheus-client"}
TERMINALS = {"corvo-cli", "click", "rich", "textual"}
FRAMEWORKS = {"django", "sqlalchemy", "opentelemetry-api", "pytest"}
HTTP_CLIENTS = {"httpx", "httpcore"}

NOT_NEEDED = {
    "corvo-schema": SERVERS | TERMINALS | FRAMEWORKS | HTTP_CLIENTS | {"corvo-client"},
    "corvo-client": SERVERS | TERMINALS | FRAMEWORKS,
    "corvo-cli": SERVERS | FRAMEWORKS,
    # The server sends webhooks with httpcore.
    "corvo-server": FRAMEWORKS | {"httpx", "corvo-client", "corvo-cli", "rich", "textual"},
}


@pytest.mark.parametrize("package", PACKAGES)
def test_package_installs_only_what_it_needs(environments: Environments, package: str) -> None:
    installed = environments.with_(package).distributions()
    assert package in installed
    assert installed & NOT_NEEDED[package] == set()


@pytest.mark.parametrize("package", PACKAGES)
def test_package_is_importable(environments: Environments, package: str) -> None:
    module = package.replace("-", "_")
    code = f"import {module}; from importlib.metadata import version; print(version('{package}'))"
    version = environments.with_(package).python(code)
    assert version.strip() == wheel_of(package, environments.wheels).version


@pytest.mark.parametrize("package", PACKAGES)
def test_extras_can_be_installed(environments: Environments, package: str) -> None:
    wheel = wheel_of(package, environments.wheels)
    for extra in extras_of(wheel):
        environments.resolve(f"{package}[{extra}]")
    environments.resolve(f"{package}[{','.join(extras_of(wheel))}]", *PACKAGES)


def test_the_command_line_alone_explains_how_to_install_a_server(
    environments: Environments,
) -> None:
    done = environments.with_("corvo-cli").run("corvo", "server")
    assert (done.code, done.out) == (1, "")
    assert "pip install corvo-server" in done.err


def test_the_command_line_alone_works_with_a_remote_server(
    environments: Environments, tmp_path: Path
) -> None:
    server = environments.with_("corvo-server").program("corvo-server")
    command: list[str | Path] = [
        server,
        "--bind",
        "127.0.0.1:0",
        "--data-dir",
        tmp_path,
        "--log-format",
        "json",
    ]
    process = Process(command)
    try:
        line = process.wait_for_line(lambda line: "listening on" in line, "the server listens")
        env = {"CORVO_SERVER": json.loads(line)["url"]}
        alone = environments.with_("corvo-cli")
        enqueued = alone.run("corvo", "enqueue", "mail", '{"to": "ada"}', env=env)
        assert enqueued.code == 0, enqueued.err
        inspected = alone.run("corvo", "inspect", enqueued.out.strip(), "--output", "json", env=env)
        job = json.loads(inspected.out)
        assert (job["queue"], job["state"], job["payload"]) == ("mail", "pending", {"to": "ada"})
        assert process.stop() == 0
    finally:
        process.close()


@pytest.fixture
def together(environments: Environments) -> Environment:
    return environments.with_(*PACKAGES)


def test_all_packages_together_run_the_demo(together: Environment, root: Path) -> None:
    done = together.run("python", "-I", root / "examples/demo.py")
    assert done.code == 0, done.out + done.err


def test_the_command_line_finds_an_installed_server(together: Environment) -> None:
    done = together.run("corvo", "server", "--help")
    assert done.code == 0, done.err
    assert "--data-dir" in done.out
