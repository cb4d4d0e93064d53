"""The server with the fewest rights: it needs only to write to /data."""

import pytest

from support.container import LOCKED_DOWN, UID, CorvoContainer, MakeContainer

OTHER_UID = 123456


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


def test_server_process_has_no_rights(container: CorvoContainer) -> None:
    code, status = container.run("cat", "/proc/1/status")
    assert code == 0
    fields = dict(line.split(":\t", 1) for line in status.splitlines())
    assert fields["Uid"].split() == [str(UID)] * 4
    assert fields["Gid"].split() == [str(UID)] * 4
    assert {fields[name] for name in ("CapEff", "CapPrm", "CapBnd")} == {"0" * 16}
    assert fields["NoNewPrivs"] == "1"
    for path in ("/opt/corvo/x", "/tmp/x", "/etc/x"):  # noqa: S108 - must not be writable
        assert container.run("touch", path)[0] == 1


def test_backup_works_without_rights(container: CorvoContainer) -> None:
    with container.client() as client:
        client.enqueue("q", {"n": 1})
    code, output = container.run("corvo-server", "backup", "/data/backup.db")
    assert code == 0, output
    code, output = container.run("corvo-server", "check")
    assert (code, output) == (0, "no problems\n")


def test_data_is_private(container: CorvoContainer) -> None:
    assert container.run("corvo-server", "backup", "/data/backup.db")[0] == 0
    code, output = container.run("find", "/data", "-perm", "/077")
    assert (code, output) == (0, "")


def test_server_runs_as_any_user_that_owns_the_data(make_container: MakeContainer) -> None:
    # OpenShift runs containers under an arbitrary user id that owns the volume.
    container = make_container(
        volume=None, user=str(OTHER_UID), tmpfs=f"uid={OTHER_UID}", **LOCKED_DOWN
    ).start()
    with container.client() as client:
        assert client.enqueue("q", 1).status == "pending"


def test_server_that_cannot_write_fails_with_a_message(make_container: MakeContainer) -> None:
    container = make_container(volume=None, user=str(OTHER_UID), **LOCKED_DOWN).launch()
    assert container.docker.wait(timeout=30)["StatusCode"] == 1
    assert container.log.startswith("Error: Cannot use /data: ")
    assert "Traceback" not in container.log
