import asyncio
import queue
import threading

from corvo_client.worker._threads import Threads


async def test_threads_are_started_on_demand_up_to_the_size() -> None:
    results: asyncio.Queue[str] = asyncio.Queue()
    threads: Threads[str] = Threads(3, asyncio.get_running_loop(), results.put_nowait)
    together = threading.Barrier(3)

    def call() -> str:
        together.wait(10)
        return threading.current_thread().name

    for _ in range(9):
        threads.submit(call)
    async with asyncio.timeout(10):
        names = {await results.get() for _ in range(9)}
    assert names == {"corvo-handler-1", "corvo-handler-2", "corvo-handler-3"}
    threads.close()


async def test_an_idle_thread_is_reused() -> None:
    results: asyncio.Queue[str] = asyncio.Queue()
    threads: Threads[str] = Threads(8, asyncio.get_running_loop(), results.put_nowait)
    async with asyncio.timeout(10):
        for _ in range(5):
            threads.submit(lambda: threading.current_thread().name)
            assert await results.get() == "corvo-handler-1"
    threads.close()


async def test_the_threads_do_not_keep_the_process_alive() -> None:
    results: asyncio.Queue[bool] = asyncio.Queue()
    threads: Threads[bool] = Threads(1, asyncio.get_running_loop(), results.put_nowait)
    threads.submit(lambda: threading.current_thread().daemon)
    async with asyncio.timeout(10):
        assert await results.get()
    threads.close()


def test_results_after_the_loop_has_closed_are_dropped() -> None:
    go_on = threading.Event()
    begun: queue.SimpleQueue[threading.Thread] = queue.SimpleQueue()
    ended: list[threading.Thread] = []

    def call() -> None:
        # Other tests may have left threads of the same name.
        begun.put(threading.current_thread())
        go_on.wait(10)
        ended.append(threading.current_thread())

    async def main() -> None:
        threads: Threads[None] = Threads(1, asyncio.get_running_loop(), lambda _: None)
        threads.submit(call)
        threads.close()

    asyncio.run(main())
    thread = begun.get(timeout=10)
    go_on.set()
    thread.join(10)
    assert ended == [thread]
    assert not thread.is_alive()
