"""Handlers in processes: their outcomes, and how the processes end."""

import asyncio
import logging
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from corvo_client.worker._child import Raised, RemoteError, _json_result, _pickled
from corvo_client.worker._context import STATE_IN_OTHER_PROCESS, Context
from corvo_client.worker._leases import Interruption, Lease
from corvo_client.worker._outcomes import (
    Cancel,
    Completed,
    Failed,
    Outcome,
    Released,
    Retry,
    Snooze,
)
from corvo_client.worker._processes import HandlerDied, Processes
from corvo_client.worker._runner import Runner
from corvo_client.worker._task import Task

MakeLease = Callable[..., Lease]

MODULE = """
import logging, multiprocessing, os, signal, stat, sys, threading, time
from pathlib import Path
from corvo_client.worker import Cancel, Context, Snooze, Worker, current_job

worker = Worker()


class Odd(Exception):
    def __init__(self, a, b):
        super().__init__(a)


@worker.task("squares", executor="process")
def square(n: int) -> list[int]:
    return [n * n, os.getpid()]


def decorated_elsewhere(n: int) -> int:
    return n


def context_of(context: Context, n: int = 0) -> list:
    assert current_job() is context
    context.log.info("at work")
    threads = [threading.Thread(target=context.progress, args=(i, 10)) for i in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    context.checkpoint({"page": context.last_checkpoint["page"] + 1})
    context.progress(10, 10, "done")
    left = (context.deadline - __import__("datetime").datetime.now(__import__("datetime").UTC))
    return [context.id, context.attempt, context.cancelled, 0 < left.total_seconds() <= 30]


def state(context: Context) -> None:
    context.state


def boom() -> None:
    raise ValueError("boom")


def odd() -> None:
    raise Odd("cannot", "be copied")


def leave() -> None:
    sys.exit(3)


def snooze() -> Snooze:
    return Snooze(5)


def cancel() -> None:
    raise Cancel("enough")


def cancel_for_an_error() -> None:
    error = Odd("cannot", "be copied")
    error.lock = threading.Lock()
    raise Cancel(error)


class Panic(BaseException):
    def __str__(self):
        raise Panic

    def __reduce__(self):
        raise Panic


def panic() -> None:
    raise Panic


def interrupt() -> None:
    raise KeyboardInterrupt


def giant() -> None:
    raise ValueError("x" * 9_000_000)


def some() -> list:
    yield 1
    yield 2


def half() -> list:
    yield 1
    raise ValueError("half way")


def unfit() -> object:
    return object()


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def spin(marker: str) -> None:
    Path(marker).write_text(str(os.getpid()))
    while True:
        sum(range(1000))


def fork(marker: str) -> int:
    # The new process holds the pipe to the worker open and never ends.
    pid = os.fork()
    if not pid:
        time.sleep(1000)
        os._exit(0)
    Path(marker).write_text(str(pid))
    return pid


def fork_and_die(marker: str) -> None:
    fork(marker)
    os.kill(os.getpid(), signal.SIGKILL)


def fork_and_spin(marker: str) -> None:
    fork(marker)
    while True:
        sum(range(1000))


def close_pipe() -> None:
    os.closerange(3, 100)
    threading.Event().wait()


def linger(context: Context, marker: str) -> None:
    # A thread that is left behind reports progress of this job later.
    def later() -> None:
        while not Path(marker).exists():
            time.sleep(0.01)
        context.progress(1, 2, "late")
        Path(marker + ".done").touch()
    threading.Thread(target=later, daemon=True).start()


def release_lingering(context: Context, marker: str) -> None:
    Path(marker).touch()
    while not Path(marker + ".done").exists():
        time.sleep(0.01)


log = logging.getLogger("app.videos")
logging.basicConfig()  # would write each line twice


class Hostile:
    def __repr__(self):
        raise RuntimeError("no")

    __str__ = __repr__


def talk(context: Context) -> None:
    context.log.info("at %d %%", 50, extra={"step": 2, "odd": Hostile(), "lock": threading.Lock()})
    log.debug("not wanted")
    log.warning("careful", extra={"job_id": "mine"})
    log.info("wrong %d", "format")
    log.info("%s", Hostile())
    try:
        1 / 0
    except ZeroDivisionError:
        log.exception("it broke")


def talk_and_die() -> None:
    for number in range(100):
        log.info("line %d", number)
    os.kill(os.getpid(), signal.SIGKILL)


def return_twice() -> int:
    os.fork()  # returns in both processes
    return os.getpid()


def name_of_process() -> int:
    return os.getpid()


def pool() -> list:
    with multiprocessing.get_context("fork").Pool(2) as pool:
        return pool.map(abs, [-1, -2])


def shout_together() -> str:
    pid = os.fork()
    for _ in range(100):
        log.warning("x" * 300_000)
    if not pid:
        os._exit(0)
    os.waitpid(pid, 0)
    return "fine"


def leave_a_thread() -> int:
    threading.Thread(target=time.sleep, args=(1000,)).start()
    return os.getpid()


class Moody(Exception):
    pickles = 0

    def __reduce__(self):
        Moody.pickles += 1
        if Moody.pickles > 1:
            raise ValueError("no more")
        return Moody, ()


def moody() -> None:
    raise Moody


class AbroadError(Exception):
    def __reduce__(self):
        return make_abroad, (os.getpid(),)


def make_abroad(home):
    if os.getpid() != home:
        raise EOFError
    return AbroadError()


def abroad() -> None:
    raise AbroadError("far away")


def garble() -> None:
    for number in range(3, 30):
        try:
            if stat.S_ISSOCK(os.fstat(number).st_mode):
                os.write(number, b"\\0\\0\\0\\4junk")
        except OSError:
            pass
    threading.Event().wait()


def odd_records() -> str:
    root = logging.getLogger()
    for name in (5, None, "app"):
        root.handle(logging.makeLogRecord({"name": name, "msg": "odd", "levelno": 40}))
    return "fine"


def shrug(marker: str) -> str:
    for number in (signal.SIGTERM, signal.SIGINT):
        os.kill(os.getpid(), number)
    Path(marker).write_text(str(os.getpid()))
    return "still here"
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    import importlib

    name = "handlers_of_test_processes"
    (tmp_path / f"{name}.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module(name)
    del sys.modules[name]


@pytest.fixture
def processes() -> Iterator[Processes]:
    processes = Processes(2)
    yield processes
    processes.close()


def task_of(function: Any) -> Task[..., ..., Any]:
    if isinstance(function, Task):
        return function
    return Task(function, "default", None, {}, "process")  # type: ignore[arg-type]


@pytest.fixture
def live_lease(make_lease: MakeLease) -> MakeLease:
    """Make leases with the real clock, because the deadline depends on it."""

    def make(payload: Any = None, **fields: Any) -> Lease:
        lease = make_lease(payload, **fields)
        lease.ends_at = time.monotonic() + lease.duration
        return lease

    return make


def test_a_process_is_reused(
    processes: Processes, module: ModuleType, live_lease: MakeLease
) -> None:
    one, first = processes.run(task_of(module.square), live_lease({"n": 3}))
    two, second = processes.run(task_of(module.square), live_lease({"n": 4}))
    assert (one, two) == (9, 16)
    assert first == second != os.getpid()
    assert processes.run(task_of(module.decorated_elsewhere), live_lease({"n": 5})) == 5


def test_context_works_in_a_process(
    processes: Processes, module: ModuleType, live_lease: MakeLease
) -> None:
    lease = live_lease(attempt=2, checkpoint={"page": 4})
    result = processes.run(task_of(module.context_of), lease)
    assert result == [lease.job.job_id, 2, False, True]
    assert lease.unsent_checkpoint == {"page": 5}
    assert lease.unsent_progress is not None
    assert (lease.unsent_progress.current, lease.unsent_progress.message) == (10, "done")


def test_state_is_not_available_in_a_process(live_lease: MakeLease) -> None:
    with pytest.raises(RuntimeError, match="not available with executor"):
        Context(live_lease(), STATE_IN_OTHER_PROCESS).state  # noqa: B018


@pytest.fixture
async def run(module: ModuleType, live_lease: MakeLease) -> Any:
    """Run a handler of the module with a runner and return its outcome."""
    outcomes: asyncio.Queue[Outcome | None] = asyncio.Queue()
    runner = Runner(
        2,
        asyncio.get_running_loop(),
        lambda _lease, outcome: outcomes.put_nowait(outcome),
        processes=1,
    )

    async def run(name: str, payload: Any = None) -> Outcome | None:
        runner.start(task_of(getattr(module, name)), live_lease(payload))
        async with asyncio.timeout(60):
            return await outcomes.get()

    yield run
    runner.close()


async def test_outcome_of_a_handler_in_a_process(run: Any) -> None:
    assert await run("snooze") == Released(5)
    assert await run("cancel") == Failed("enough", retry=False, cancel=True)
    assert await run("cancel_for_an_error") == Failed("Odd: cannot", retry=False, cancel=True)
    assert await run("some") == Completed([1, 2])
    done = await run("square", {"n": 3})
    assert isinstance(done, Completed)
    for name, error, retry in (
        ("boom", "ValueError: boom", True),
        ("odd", "RemoteError: Odd: cannot", True),
        ("leave", "SystemExit: 3", True),
        ("panic", "RemoteError: Panic: its message cannot be shown", True),
        ("interrupt", "KeyboardInterrupt", True),
        ("giant", "ValueError: xxx", True),
        ("half", "ValueError: half way", True),
        ("unfit", "the result cannot be written as JSON", False),
        ("state", "RuntimeError: Context.state is not available", True),
        ("die", "HandlerDied: the process of the handler ended with exit code -9", True),
    ):
        outcome = await run(name)
        assert isinstance(outcome, Failed), name
        assert outcome.error.startswith(error)
        assert len(outcome.error) < 10_000
        assert outcome.retry is retry
    outcome = await run("square", {"n": "x"})
    assert isinstance(outcome, Failed)
    assert outcome.error.startswith("invalid payload: n")
    assert outcome.retry


async def test_the_backtrace_comes_from_the_handler_process(run: Any) -> None:
    outcome = await run("boom")
    assert isinstance(outcome, Failed)
    assert outcome.backtrace is not None
    assert 'raise ValueError("boom")' in outcome.backtrace
    assert "_child.py" not in outcome.backtrace
    assert "direct cause" not in outcome.backtrace


def test_signals_to_the_process_group_do_not_stop_handlers(
    processes: Processes, module: ModuleType, live_lease: MakeLease, tmp_path: Path
) -> None:
    result = processes.run(task_of(module.shrug), live_lease({"marker": str(tmp_path / "m")}))
    assert result == "still here"


@pytest.mark.parametrize("why", list(Interruption))
def test_an_interruption_kills_the_process(
    processes: Processes,
    module: ModuleType,
    live_lease: MakeLease,
    tmp_path: Path,
    why: Interruption,
) -> None:
    marker = tmp_path / "pid"
    lease = live_lease({"marker": str(marker)})

    def interrupt() -> None:
        pid_in(marker)
        lease.interrupt(why)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(asyncio.CancelledError, match=why):
        processes.run(task_of(module.spin), lease)
    thread.join()
    assert ends(pid_in(marker))
    # The next job gets another process.
    assert processes.run(task_of(module.square), live_lease({"n": 2}))[0] == 4


def test_a_job_interrupted_while_it_waits_for_a_process_does_not_run(
    module: ModuleType, live_lease: MakeLease, tmp_path: Path
) -> None:
    processes = Processes(1)
    marker = tmp_path / "pid"
    busy = live_lease({"marker": str(marker)})
    thread = threading.Thread(target=run_to_cancel, args=(processes, module.spin, busy))
    thread.start()
    pid = pid_in(marker)
    waiting = live_lease({"n": 1})
    threading.Timer(0.05, waiting.interrupt, [Interruption.SHUTDOWN]).start()
    with pytest.raises(asyncio.CancelledError):
        processes.run(task_of(module.square), waiting)
    busy.interrupt(Interruption.LOST)
    thread.join(60)
    assert ends(pid)
    early = live_lease({"n": 1})
    early.interruption = Interruption.LOST
    with pytest.raises(asyncio.CancelledError):
        processes.run(task_of(module.square), early)
    processes.close()


def test_close_ends_idle_processes_and_kills_busy_ones(
    module: ModuleType, live_lease: MakeLease, tmp_path: Path
) -> None:
    processes = Processes(2)
    marker = tmp_path / "pid"
    caught: list[BaseException] = []

    def spin() -> None:
        try:
            processes.run(task_of(module.spin), live_lease({"marker": str(marker)}))
        except HandlerDied as error:
            caught.append(error)

    thread = threading.Thread(target=spin)
    thread.start()
    busy = pid_in(marker)
    _, idle = processes.run(task_of(module.square), live_lease({"n": 1}))
    processes.close()
    thread.join(60)
    assert len(caught) == 1
    assert ends(busy)
    assert ends(idle)
    with pytest.raises(asyncio.CancelledError, match="has stopped"):
        processes.run(task_of(module.square), live_lease({"n": 1}))


def test_log_records_of_a_handler_are_handled_by_the_worker(
    processes: Processes,
    module: ModuleType,
    live_lease: MakeLease,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    lease = live_lease(attempt=2)
    caplog.set_level("INFO")
    processes.run(task_of(module.talk), lease)
    records = [record for record in caplog.records if record.name != "asyncio"]
    first, warning, wrong, hostile, broken = records
    job = lease.job
    assert (first.name, first.levelname) == ("corvo.job", "INFO")
    assert first.getMessage() == f"[{job.job_id}] at 50 %"
    about = (vars(first)["job_id"], vars(first)["queue"], vars(first)["attempt"])
    assert about == (job.job_id, job.queue, 2)
    assert vars(first)["step"] == 2
    assert vars(first)["odd"] == "<Hostile>"
    assert vars(first)["lock"].startswith("<unlocked _thread.lock")
    assert first.process != os.getpid()
    assert (warning.name, warning.getMessage()) == ("app.videos", "careful")
    assert (vars(warning)["job_id"], vars(warning)["attempt"]) == ("mine", 2)
    assert wrong.getMessage() == "'wrong %d' % ('format',) (TypeError)"
    assert hostile.getMessage() == "'%s' % <tuple> (RuntimeError)"
    assert broken.exc_text is not None
    assert "ZeroDivisionError" in broken.exc_text
    # The worker's levels hold, also when they change.
    caplog.clear()
    logging.getLogger("app").setLevel("ERROR")
    try:
        processes.run(task_of(module.talk), live_lease())
    finally:
        logging.getLogger("app").setLevel("NOTSET")
    assert [record.levelname for record in caplog.records] == ["INFO", "ERROR"]
    caplog.clear()
    processes.run(task_of(module.talk), live_lease())
    assert len(caplog.records) == 5
    assert "careful" not in capfd.readouterr().err  # nothing is written in the process itself


async def test_log_records_of_a_process_that_died_are_not_lost(
    run: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "app.videos")
    assert isinstance(await run("talk_and_die"), Failed)
    lines = [record.getMessage() for record in caplog.records if record.name == "app.videos"]
    assert lines == [f"line {number}" for number in range(100)]


@pytest.mark.parametrize("name", ["fork_and_die", "close_pipe"])
async def test_the_end_of_a_process_is_noticed_whatever_its_pipe_says(
    run: Any, tmp_path: Path, name: str
) -> None:
    marker = tmp_path / "pid"
    outcome = await run(name, {"marker": str(marker)} if name == "fork_and_die" else None)
    assert isinstance(outcome, Failed)
    assert "ended with exit code -9" in outcome.error
    if name == "fork_and_die":
        assert ends(pid_in(marker))
    assert isinstance(await run("square", {"n": 3}), Completed)


def test_processes_of_a_handler_end_with_its_process(
    processes: Processes, module: ModuleType, live_lease: MakeLease, tmp_path: Path
) -> None:
    marker = tmp_path / "pid"
    lease = live_lease({"marker": str(marker)})
    thread = threading.Thread(target=run_to_cancel, args=(processes, module.fork_and_spin, lease))
    thread.start()
    forked = pid_in(marker)
    lease.interrupt(Interruption.CANCELLED)
    thread.join(60)
    assert ends(forked)


def test_processes_of_a_handler_end_when_the_worker_stops(
    module: ModuleType, live_lease: MakeLease, tmp_path: Path
) -> None:
    processes = Processes(1)
    forked = processes.run(task_of(module.fork), live_lease({"marker": str(tmp_path / "pid")}))
    assert not is_gone(forked)  # a pool may serve the next handler, too
    processes.close()
    assert ends(forked)


async def test_a_forked_process_that_returns_is_ended(
    run: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Its outcome would be that of the next job."""
    own = await run("name_of_process")
    for _ in range(5):
        assert await run("return_twice") == own
        assert await run("name_of_process") == own
    assert "has forked a process and returned in it" in caplog.text


def test_a_pool_of_a_handler_ends(
    module: ModuleType, processes: Processes, live_lease: MakeLease
) -> None:
    """A pool ends its processes with SIGTERM, so they must not ignore it as their parent does."""
    for _ in range(3):
        assert processes.run(task_of(module.pool), live_lease()) == [1, 2]


async def test_messages_of_several_processes_do_not_mix(run: Any) -> None:
    assert await run("shout_together") == Completed("fine")
    assert isinstance(await run("name_of_process"), Completed)


async def test_a_process_whose_messages_are_garbled_is_replaced(run: Any) -> None:
    outcome = await run("garble")
    assert isinstance(outcome, Failed)
    assert outcome.error == (
        "HandlerDied: the process of the handler was ended: its last message cannot be read"
    )
    assert isinstance(await run("name_of_process"), Completed)


async def test_errors_that_only_their_process_can_pickle_keep_their_text(run: Any) -> None:
    own = await run("name_of_process")
    for name, error in (
        ("moody", "Moody"),
        ("abroad", "RemoteError: AbroadError: far away"),
    ):
        outcome = await run(name)
        assert isinstance(outcome, Failed)
        assert outcome.error == error
    assert await run("name_of_process") == own


async def test_records_with_odd_names_are_handled(
    run: Any, caplog: pytest.LogCaptureFixture
) -> None:
    assert await run("odd_records") == Completed("fine")
    assert [record.getMessage() for record in caplog.records].count("odd") == 3


def test_a_process_with_a_thread_that_never_ends_is_killed(
    module: ModuleType, live_lease: MakeLease
) -> None:
    processes = Processes(1)
    pid = processes.run(task_of(module.leave_a_thread), live_lease())
    processes.close()
    assert ends(pid)


def test_late_notes_do_not_reach_the_next_job(
    module: ModuleType, live_lease: MakeLease, tmp_path: Path
) -> None:
    processes = Processes(1)
    payload = {"marker": str(tmp_path / "go")}
    processes.run(task_of(module.linger), live_lease(payload))
    after = live_lease(payload)
    processes.run(task_of(module.release_lingering), after)
    assert after.unsent_progress is None
    processes.close()


SPINNER = """
import sys, time
import handlers_of_test_processes as module
from corvo_client.worker._leases import Lease
from corvo_client.worker._api import LeasedJob
from corvo_client.worker._processes import Processes
from corvo_client.worker._task import Task

if __name__ == "__main__":
    job = LeasedJob(
        job_id="j", queue="q", payload={"marker": sys.argv[1]}, attempt=1, lease_duration=60
    )
    task = Task(module.fork_and_spin, "q", None, {}, "process")
    Processes(1).run(task, Lease(job, time.monotonic(), lambda: None))
"""


def test_no_process_outlives_its_worker(module: ModuleType, tmp_path: Path) -> None:
    script, marker = tmp_path / "spinner.py", tmp_path / "pid"
    script.write_text(SPINNER)
    worker = subprocess.Popen([sys.executable, script, marker], cwd=tmp_path)
    forked = pid_in(marker)
    handler = os.getpgid(forked)
    worker.kill()
    worker.wait()
    assert ends(handler)
    assert ends(forked)


def test_an_idle_process_that_died_is_replaced(
    processes: Processes, module: ModuleType, live_lease: MakeLease
) -> None:
    _, pid = processes.run(task_of(module.square), live_lease({"n": 1}))
    os.kill(pid, signal.SIGKILL)
    assert ends(pid)
    _, other = processes.run(task_of(module.square), live_lease({"n": 1}))
    assert other != pid


def test_late_interruption_does_not_kill_the_next_job(
    processes: Processes, module: ModuleType, live_lease: MakeLease
) -> None:
    lease = live_lease({"n": 1})
    _, pid = processes.run(task_of(module.square), lease)
    (child,) = processes._idle
    child._kill_for(lease)
    assert processes.run(task_of(module.square), live_lease({"n": 1}))[1] == pid


def run_to_cancel(processes: Processes, function: Any, lease: Lease) -> None:
    with pytest.raises(asyncio.CancelledError):
        processes.run(task_of(function), lease)


async def handler() -> None: ...


def test_executor_must_match_the_function() -> None:
    def plain() -> None: ...

    def make(function: Any, executor: Any) -> Any:
        return Task(function, "default", None, {}, executor)  # type: ignore[arg-type]

    with pytest.raises(TypeError, match="is an async function"):
        make(handler, "process")
    with pytest.raises(TypeError, match="is a plain function"):
        make(plain, "async")
    with pytest.raises(TypeError, match="at module level"):
        make(plain, "process")
    assert make(plain, "thread").executor == make(plain, None).executor == "thread"
    assert make(handler, "async").executor == "async"
    assert Cancel().reason
    assert Snooze(1).seconds == 1


def pid_in(marker: Path) -> int:
    ends_at = time.monotonic() + 60
    while time.monotonic() < ends_at:
        if marker.exists() and (text := marker.read_text()):
            return int(text)
        time.sleep(0.01)
    raise AssertionError("the handler has not begun")


def ends(pid: int) -> bool:
    """Return whether a process ends within 60 s, with all its threads."""
    ends_at = time.monotonic() + 60
    while time.monotonic() < ends_at:
        try:
            # WNOWAIT leaves the child process to the code that waits for it later.
            if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None:
                return True
        except ChildProcessError:
            if is_gone(pid):
                return True
        time.sleep(0.01)
    return False


def is_gone(pid: int) -> bool:
    """Return whether a process has ended. Its new parent may not have waited for it yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].startswith("Z")
    except (FileNotFoundError, ProcessLookupError):
        return True


class Unpicklable(Exception):
    def __init__(self, a: str, b: str) -> None:
        super().__init__(a)
        self.b = b


def test_errors_that_cannot_be_pickled_are_replaced() -> None:
    error = Raised(_pickled(ValueError("x")), "", "").error()
    assert (type(error), error.args) == (ValueError, ("x",))
    assert _pickled(Unpicklable("cannot", "be copied")) == b""
    for unreadable in (b"", b"garbled", pickle.dumps("no error")):
        replaced = Raised(unreadable, "Unpicklable: cannot", "").error()
        assert (type(replaced), str(replaced)) == (RemoteError, "Unpicklable: cannot")


@pytest.mark.parametrize("steering", [Snooze(1), Cancel(), Retry()])
def test_returned_control_exceptions_are_raised(steering: Exception) -> None:
    with pytest.raises(type(steering)):
        _json_result(steering)
