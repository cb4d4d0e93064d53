"""The server with as few rights as can be: it needs none but to write /data."""

import pytest

from support.container import LOCKED_DOWN, UID, CorvoContainer, MakeContainer

SOMEBODY = 123456


@pytest.fixture
def container(make_container: MakeContainer) -> CorvoContainer:
    return make_container(**LOCKED_DOWN).start()


def test_server_works_without_rights(container: CorvoContainer) -> None:
    with container.client() as client:
        client.enqueue("q", {"n": 1})
        job = client.fetch(["q"], worker_id="w")
        assert job is not None
        client.ack(job, "done")
        assert client.get_job(job.job_id).result == "done"
    assert '"level":"error"' not in container.log
    assert container.stop()[0] == 0


def test_server_really_has_no_rights(container: CorvoContainer) -> None:
    code, status = container.run("cat", "/proc/1/status")
    assert code == 0
    fields = dict(line.split(":\t", 1) for line in status.splitlines())
    assert fields["Uid"].split() == [str(UID)] * 4
    assert fields["Gid"].split() == [str(UID)] * 4
    assert {fields[name] for name in ("CapEff", "CapPrm", "CapBnd")} == {"0" * 16}
    assert fields["NoNewPrivs"] == "1"
    for path in ("/opt/corvo/x", "/tmp/x", "/etc/x"):  # noqa: S108 - that it cannot be written
        assert container.run("touch", path)[0] == 1


def test_backup_works_without_rights(container: CorvoContainer) -> None:
    with container.client() as client:
        client.enqueue("q", {"n": 1})
    code, output = container.run("corvo-server", "backup", "/data/backup.db")
    assert code == 0, output
    code, output = container.run("corvo-server", "check")
    assert (code, output) == (0, "no problems\n")


def test_server_runs_as_anybody_who_owns_the_data(make_container: MakeContainer) -> None:
    # What OpenShift does: a number of its choice, and a volume that belongs to it.
    container = make_container(
        volume=None, user=str(SOMEBODY), tmpfs=f"uid={SOMEBODY}", **LOCKED_DOWN
    ).start()
    with container.client() as client:
        assert client.enqueue("q", 1).status == "pending"


def test_server_that_cannot_write_says_so(make_container: MakeContainer) -> None:
    container = make_container(volume=None, user=str(SOMEBODY), **LOCKED_DOWN).launch()
    assert container.docker.wait(timeout=30)["StatusCode"] == 1
    assert container.log.startswith("Error: Cannot use /data: ")
    assert "Traceback" not in container.log
