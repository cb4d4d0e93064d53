"""What trusted proxies say about clients counts; what anyone else says does not."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from hypothesis import given
from hypothesis import strategies as st

from corvo_server.engine.engine import Engine
from corvo_server.http.proxies import (
    Caller,
    Hop,
    TrustedProxies,
    read_forwarded,
    read_x_forwarded,
)
from server_support.bench import Bench
from server_support.http import HttpServer, serve

PROXIES = TrustedProxies(["127.0.0.1", "10.0.0.0/8", "fd00::/8"])
CLIENT = "203.0.113.7"


def caller(addresses: str, schemes: str = "", hosts: str = "") -> Caller:
    hops = read_x_forwarded(addresses, schemes, hosts)
    return PROXIES.caller(hops, "127.0.0.1", is_https=False)


@pytest.mark.parametrize(
    ("header", "address"),
    [
        (CLIENT, CLIENT),
        (f"{CLIENT}, 10.0.0.2", CLIENT),
        (f"6.6.6.6, {CLIENT}", CLIENT),
        (f"6.6.6.6,{CLIENT}, 10.0.0.2,10.1.1.1", CLIENT),
        ("6.6.6.6, 10.0.0.9", "6.6.6.6"),
        ("10.0.0.3, 10.0.0.2", "10.0.0.3"),
        (f"{CLIENT}:4711", CLIENT),
        ("2001:DB8::1", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("[2001:db8::1]:443, fd00::2", "2001:db8::1"),
        (f"::ffff:{CLIENT}", CLIENT),
        (f"{CLIENT}, ::ffff:10.0.0.2", CLIENT),
        # Malformed: the proxy that was to say it counts as the client.
        ("unknown", "127.0.0.1"),
        (f"{CLIENT}, unknown", "127.0.0.1"),
        (f"{CLIENT}, unknown, 10.0.0.2", "10.0.0.2"),
        (f"unknown, {CLIENT}", CLIENT),
        (f"{CLIENT},", "127.0.0.1"),
        (f"{CLIENT} 10.0.0.1", "127.0.0.1"),
        ("1.2.3", "127.0.0.1"),
        ("1.2.3.4.5", "127.0.0.1"),
        ("1.2.3.400", "127.0.0.1"),
        ("1.2.3.4:port", "127.0.0.1"),
        ("[1.2.3.4", "127.0.0.1"),
        ("fe80::1%eth0", "127.0.0.1"),
        ("a" * 300, "127.0.0.1"),
        (",".join([CLIENT] * 51), "127.0.0.1"),
        ("", "127.0.0.1"),
    ],
)
def test_client_is_left_of_the_trusted_proxies(header: str, address: str) -> None:
    assert caller(header).address == address


@pytest.mark.parametrize(
    ("addresses", "schemes", "hosts", "is_https", "host"),
    [
        (CLIENT, "https", "a.example", True, "a.example"),
        (CLIENT, "HTTPS", "a.example:8443", True, "a.example:8443"),
        (CLIENT, "http", "", False, None),
        (f"{CLIENT}, 10.0.0.2", "https, http", "a.example, b", True, "a.example"),
        (f"6.6.6.6, {CLIENT}", "https, http", "evil, b.example", False, "b.example"),
        (CLIENT, "https, http", "evil, b.example", False, "b.example"),
        ("", "https", "[::1]:80", True, "[::1]:80"),
        (CLIENT, "gopher", "a b", False, None),
        (CLIENT, "https", "a/b", True, None),
    ],
)
def test_scheme_and_host_are_those_of_the_client(
    addresses: str, schemes: str, hosts: str, is_https: bool, host: str | None
) -> None:
    assert caller(addresses, schemes, hosts)[1:] == (is_https, host)


@pytest.mark.parametrize(
    ("header", "hops"),
    [
        ("for=1.2.3.4", [Hop("1.2.3.4")]),
        ('For="[2001:db8::1]:80";Proto=https', [Hop("2001:db8::1", "https")]),
        (
            "for=1.2.3.4;by=5.6.7.8;host=a.example, for=10.0.0.1;proto=http",
            [Hop("1.2.3.4", None, "a.example"), Hop("10.0.0.1", "http")],
        ),
        ("for=_hidden", [Hop(None)]),
        ("for=unknown;proto=https", [Hop(None, "https")]),
        ("for=1.2.3.4;for=5.6.7.8", [Hop(None)]),
        ('for="1.2.3.4, for=5.6.7.8', [Hop(None)]),
        ('host="a,b";for=1.2.3.4', [Hop("1.2.3.4")]),
        ("1.2.3.4", [Hop(None)]),
        ("for = 1.2.3.4", [Hop(None)]),
        (";", [Hop(None)]),
    ],
)
def test_standard_header_is_read(header: str, hops: list[Hop]) -> None:
    assert read_forwarded(header) == hops


ADDRESSES = st.ip_addresses().map(str)
TRUSTED = st.ip_addresses(network="10.0.0.0/8").map(str)


@given(
    forged=st.lists(ADDRESSES | TRUSTED | st.text('1a.:[]%,; ="', max_size=8), max_size=5),
    client=ADDRESSES.filter(lambda text: not PROXIES.trusts(text)),
    proxies=st.lists(TRUSTED, max_size=5),
)
def test_client_cannot_choose_its_address(
    forged: list[str], client: str, proxies: list[str]
) -> None:
    found = caller(", ".join([*forged, client, *proxies])).address
    assert found == caller(client).address != "127.0.0.1"


@given(st.text(max_size=60))
def test_any_value_is_read(text: str) -> None:
    for hops in (read_forwarded(text), read_x_forwarded(text, text, text)):
        PROXIES.caller(hops, "127.0.0.1", is_https=False)


# A server behind a proxy


pytest_loop = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def behind(bench: Bench) -> AsyncIterator[HttpServer]:
    """A server that trusts the proxies of this machine and tells browsers to use HTTPS."""
    engine = Engine(bench.store, clock=bench.clock)
    async with serve(engine, trusted_proxies=["127.0.0.1"], hsts="30d") as server:
        yield server


@pytest.fixture
def lanes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The addresses that searches were made for."""
    from corvo_server.http import search

    found: list[str] = []
    true_address = search.client_address

    def note(request: object) -> str:
        found.append(true_address(request))  # type: ignore[arg-type]
        return found[-1]

    monkeypatch.setattr(search, "client_address", note)
    return found


@pytest_loop
@pytest.mark.parametrize(
    ("headers", "address"),
    [
        ({"X-Forwarded-For": CLIENT}, CLIENT),
        ({"Forwarded": f"for={CLIENT}"}, CLIENT),
        ({"Forwarded": f"for={CLIENT};proto=https", "X-Forwarded-For": CLIENT}, CLIENT),
        # They contradict each other: one of them is the client's own.
        ({"Forwarded": "for=6.6.6.6", "X-Forwarded-For": CLIENT}, "127.0.0.1"),
        ({"X-Forwarded-For": "1.2.3.4," * 1000}, "127.0.0.1"),
        ({"X-Real-IP": "6.6.6.6"}, "127.0.0.1"),
        ({}, "127.0.0.1"),
    ],
)
async def test_trusted_proxy_says_who_searches(
    behind: HttpServer, lanes: list[str], headers: dict[str, str], address: str
) -> None:
    assert (await behind.post("/jobs/search", {}, headers=headers)).status == 200
    assert lanes == [address]


@pytest_loop
@pytest.mark.parametrize("networks", [[], ["10.0.0.0/8"]])
async def test_others_cannot_say_who_searches(
    bench: Bench, lanes: list[str], networks: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Sanic's own settings for proxies have no effect.
    monkeypatch.setenv("CORVO_SANIC_PROXIES_COUNT", "1")
    monkeypatch.setenv("CORVO_SANIC_REAL_IP_HEADER", "x-real-ip")
    engine = Engine(bench.store, clock=bench.clock)
    async with serve(engine, trusted_proxies=networks) as server:
        headers = {
            "X-Forwarded-For": CLIENT,
            "Forwarded": f"for={CLIENT}",
            "X-Forwarded-Host": "evil.example",
            "X-Real-IP": CLIENT,
        }
        assert (await server.post("/jobs/search", {}, headers=headers)).status == 200
        assert server.http.app is not None
        assert server.http.app.config.PROXIES_COUNT is None
        assert server.http.app.config.REAL_IP_HEADER is None
    assert lanes == ["127.0.0.1"]


@pytest_loop
async def test_strict_transport_security_is_sent_over_https_only(behind: HttpServer) -> None:
    name = "strict-transport-security"
    for headers in ({"X-Forwarded-Proto": "https"}, {"Forwarded": f"for={CLIENT};proto=https"}):
        assert (await behind.get("/info", headers=headers)).headers[name] == "max-age=2592000"
    for headers in ({}, {"X-Forwarded-Proto": "http"}, {"X-Forwarded-Proto": "httpsx"}):
        assert name not in (await behind.get("/info", headers=headers)).headers


@pytest_loop
async def test_page_of_the_forwarded_host_is_the_servers_own(bench: Bench) -> None:
    engine = Engine(bench.store, clock=bench.clock)
    settings = {"trusted_proxies": ["127.0.0.1"], "allowed_hosts": ["jobs.example"]}
    async with serve(engine, **settings) as server:
        headers = {"Origin": "https://jobs.example", "X-Forwarded-Host": "jobs.example"}
        assert (await server.post("/enqueue", {"queue": "q"}, headers=headers)).status == 201
        headers["Origin"] = "https://evil.example"
        assert (await server.post("/enqueue", {"queue": "q"}, headers=headers)).status == 403
        # A page whose own name points at the proxy.
        headers["X-Forwarded-Host"] = "evil.example"
        reply = await server.post("/enqueue", {"queue": "q"}, headers=headers)
        assert reply.status == 403
        assert "--allowed-host evil.example" in reply.json["error"]


@pytest_loop
async def test_cap_of_an_address_does_not_hold_for_a_trusted_proxy(bench: Bench) -> None:
    engine = Engine(bench.store, clock=bench.clock)
    for networks, status in (([], 503), (["127.0.0.1"], 200)):
        settings = {"max_connections_per_address": 1, "trusted_proxies": networks}
        async with serve(engine, **settings) as server:
            await server.connect()
            assert (await server.get("/info")).status == status
