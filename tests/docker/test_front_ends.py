"""A container whose server is several processes, with as few rights as can be."""

from support.container import LOCKED_DOWN, MakeContainer

FRONT_ENDS = {"CORVO_HTTP_WORKERS": "2"}
LONGEST = 10.0


def test_front_ends_work_without_rights_and_end_in_order(make_container: MakeContainer) -> None:
    container = make_container(env=FRONT_ENDS, **LOCKED_DOWN).start()
    with container.client() as client:
        done, left = client.enqueue("q", 1), client.enqueue("q", 2)
        job = client.fetch(["q"], worker_id="w")
        assert job is not None
        assert job.job_id == done.job_id
        client.ack(job, "done")
    code, seconds = container.stop()
    assert (code, seconds < LONGEST) == (0, True)
    assert container.log.count("stopped: the store is closed") == 1
    assert '"level":"error"' not in container.log
    container.restart()
    with container.client() as client:
        assert client.get_job(done.job_id).result == "done"
        assert client.get_job(left.job_id).state == "pending"


def test_front_ends_that_are_killed_leave_nothing_behind(make_container: MakeContainer) -> None:
    container = make_container(env=FRONT_ENDS, **LOCKED_DOWN).start()
    with container.client() as client:
        job_id = client.enqueue("q", 1).job_id
    container.kill()
    container.restart()
    with container.client() as client:
        assert client.get_job(job_id).state == "pending"
    code, homes = container.run("sh", "-c", "ls -d /data/corvo-run-*")
    assert (code, len(homes.split())) == (0, 1), homes
