"""Both ports with keys, TLS and mutual TLS, as the service's own clients and others see them."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import httpx
import pytest
import websockets

from service.camera.run import check_server
from service.client import AsyncRestClient, AsyncRpcClient, Credentials
from service.errors import BlitzError, InvalidOption, RateLimited, Unauthorized, Unavailable
from service.process.server import Server
from service.security.callers import Key, hash_key
from service.serving.streaming import Frame, StreamOptions
from service.settings import Settings
from tests.certificates import Authority, make_authority
from tests.fakes import FakeCatalog, encode_picture
from tests.running import PATIENCE_S

PICTURE = encode_picture()
KEY = "swordfish"
Start = Callable[..., "asyncio.Future[tuple[int, int]]"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return make_authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
async def start(made: Authority) -> AsyncIterator[Start]:
    """Starts a ready server with these settings, TLS among them, and gives its ports."""
    servers: list[Server] = []

    async def start(**changed: object) -> tuple[int, int]:
        chosen = {"tls_cert": made.server.cert, "tls_key": made.server.key} | changed
        settings = Settings(http_port=0, grpc_port=0, slots=1, stop_delay_s=0, drain_s=5)
        servers.append(Server(settings.model_copy(update=chosen)))
        ports = await servers[-1].start()
        await servers[-1].load(lambda _: FakeCatalog())
        return ports

    yield start  # type: ignore[misc]  # an async function is what it says
    for server in servers:
        await server.stop()


def rest(port: int, credentials: Credentials) -> AsyncRestClient:
    return AsyncRestClient(f"https://localhost:{port}", credentials=credentials)


def rpc(port: int, credentials: Credentials) -> AsyncRpcClient:
    return AsyncRpcClient(f"grpcs://localhost:{port}", timeout=PATIENCE_S, credentials=credentials)


async def test_both_transports_answer_over_tls(start: Start, made: Authority) -> None:
    http_port, grpc_port = await start()
    trusting = Credentials(ca=made.ca)
    async with rest(http_port, trusting) as over_rest, rpc(grpc_port, trusting) as over_rpc:
        assert (await over_rest.segment(PICTURE)).instances == (await over_rpc.segment(PICTURE)).instances
        stream = over_rpc.stream(frames(2), StreamOptions(policy="all"))
        assert len([result async for result in stream]) == 2


@pytest.mark.parametrize(("seconds", "header"), [(60, "max-age=60"), (0, None)])
async def test_browsers_are_told_to_come_back_by_tls_where_that_is_set(
    start: Start, made: Authority, seconds: int, header: str | None
) -> None:
    http_port, _ = await start(hsts_s=seconds)
    async with httpx.AsyncClient(verify=Credentials(ca=made.ca).open_context(), timeout=PATIENCE_S) as client:
        answer = await client.get(f"https://localhost:{http_port}/healthz")
    assert answer.headers.get("strict-transport-security") == header


async def test_a_camera_knows_whether_it_will_be_let_in(start: Start, made: Authority) -> None:
    _, grpc_port = await start()
    await check_server(f"grpcs://localhost:{grpc_port}", Credentials(ca=made.ca))
    with pytest.raises(Unavailable, match="no server answers there"):
        await check_server(f"grpcs://localhost:{grpc_port}", Credentials(ca=made.stranger.cert))
    with pytest.raises(InvalidOption, match="write grpcs://"):
        await check_server(f"localhost:{grpc_port}", Credentials(ca=made.ca))


async def frames(count: int) -> AsyncIterator[Frame]:
    for number in range(count):
        yield Frame(number, None, PICTURE)


@pytest.mark.parametrize("trusted", ["nobody in particular", "somebody else"])
async def test_a_client_that_does_not_trust_the_authority_sends_nothing(
    start: Start, made: Authority, trusted: str
) -> None:
    http_port, grpc_port = await start()
    wrong = Credentials(ca=made.stranger.cert if trusted == "somebody else" else None)
    async with rest(http_port, wrong) as over_rest, rpc(grpc_port, wrong) as over_rpc:
        for client in (over_rest, over_rpc):
            with pytest.raises(Unavailable):
                await client.segment(PICTURE)


async def test_without_tls_nobody_is_answered_where_it_is_spoken(start: Start) -> None:
    http_port, grpc_port = await start()
    async with AsyncRestClient(f"http://localhost:{http_port}") as over_rest:
        with pytest.raises(BlitzError):
            await over_rest.segment(PICTURE)
    async with AsyncRpcClient(f"localhost:{grpc_port}", timeout=2) as over_rpc:
        with pytest.raises(Unavailable):
            await over_rpc.segment(PICTURE)


async def test_clients_have_to_show_a_certificate_where_that_is_set(start: Start, made: Authority) -> None:
    http_port, grpc_port = await start(tls_client_ca=made.ca)
    good = Credentials(ca=made.ca, cert=made.client.cert, cert_key=made.client.key)
    async with rest(http_port, good) as over_rest, rpc(grpc_port, good) as over_rpc:
        assert (await over_rest.segment(PICTURE)).instances == (await over_rpc.segment(PICTURE)).instances
    none = Credentials(ca=made.ca)
    stranger = Credentials(ca=made.ca, cert=made.stranger.cert, cert_key=made.stranger.key)
    for bad in (none, stranger):
        async with rest(http_port, bad) as over_rest, rpc(grpc_port, bad) as over_rpc:
            for client in (over_rest, over_rpc):
                with pytest.raises(Unavailable):
                    await client.segment(PICTURE)


async def test_a_key_opens_both_ports_and_no_key_neither(
    start: Start, made: Authority, tmp_path: Path
) -> None:
    http_port, grpc_port = await start(api_keys=(Key("cam", hash_key(KEY)),))
    file = tmp_path / "key"
    file.write_text(f"{KEY}\n")
    for key in (KEY, f"@{file}"):
        shown = Credentials(key, made.ca)
        async with rest(http_port, shown) as over_rest, rpc(grpc_port, shown) as over_rpc:
            assert await over_rest.segment(PICTURE)
            assert await over_rpc.models()
            assert [result async for result in over_rpc.stream(frames(1))]
    for other in (None, "guess"):
        hidden = Credentials(other, made.ca)
        async with rest(http_port, hidden) as over_rest, rpc(grpc_port, hidden) as over_rpc:
            for client in (over_rest, over_rpc):
                with pytest.raises(Unauthorized, match="X-API-Key"):
                    await client.segment(PICTURE)


async def test_one_rate_holds_for_both_ports(start: Start, made: Authority) -> None:
    http_port, grpc_port = await start(api_keys=(Key("cam", hash_key(KEY), rate=0.01),))
    shown = Credentials(KEY, made.ca)
    async with rpc(grpc_port, shown) as over_rpc, rest(http_port, shown) as over_rest:
        await over_rpc.segment(PICTURE)
        with pytest.raises(RateLimited):
            await over_rest.segment(PICTURE)


async def test_live_streams_go_over_tls_and_take_the_key_of_a_browser(start: Start, made: Authority) -> None:
    http_port, _ = await start(api_keys=(Key("cam", hash_key(KEY)),))
    context = ssl.create_default_context(cafile=made.ca)
    url = f"wss://localhost:{http_port}/v1/live"
    offered = [websockets.Subprotocol(name) for name in ("blitzmask.v1", "blitzmask.key.c3dvcmRmaXNo")]
    async with websockets.connect(
        url, ssl=context, subprotocols=offered, origin=websockets.Origin(f"https://localhost:{http_port}")
    ) as socket:
        await socket.send(PICTURE)
        assert b'"instances"' in await socket.recv(decode=False)
        assert socket.response is not None
        assert "server" not in socket.response.headers
    for origin, subprotocols, status in (
        (None, None, 401),
        ("https://evil.example", offered, 403),
    ):
        with pytest.raises(websockets.InvalidStatus) as caught:
            await websockets.connect(
                url,
                ssl=context,
                subprotocols=subprotocols,
                origin=None if origin is None else websockets.Origin(origin),
            )
        assert caught.value.response.status_code == status
        assert b"urn:blitzmask:problem:" in (caught.value.response.body or b"")
        assert "server" not in caught.value.response.headers


async def test_a_handshake_that_does_not_come_is_not_waited_for(start: Start) -> None:
    for port in await start(head_s=0.5):
        reader, writer = await asyncio.open_connection("localhost", port)
        async with asyncio.timeout(PATIENCE_S):
            assert await reader.read() == b""
        writer.close()


@pytest.mark.parametrize("fault", ["ca", "cert", "cert_key"])
def test_a_client_names_the_file_it_cannot_use(made: Authority, tmp_path: Path, fault: str) -> None:
    files = {"ca": made.ca, "cert": made.client.cert, "cert_key": made.client.key}
    for wrong in (tmp_path / "missing", tmp_path):
        used = files | {fault: wrong}
        bad = Credentials(None, used["ca"], used["cert"], used["cert_key"])
        with pytest.raises(InvalidOption, match=str(wrong)):
            AsyncRestClient("https://localhost", credentials=bad)


def test_certificates_without_tls_are_a_misunderstanding(made: Authority) -> None:
    with pytest.raises(InvalidOption, match="write grpcs://localhost:1"):
        AsyncRpcClient("localhost:1", credentials=Credentials(ca=made.ca))
    with pytest.raises(InvalidOption, match="write https://"):
        AsyncRestClient("http://localhost:1", credentials=Credentials(ca=made.ca))


@pytest.mark.parametrize("key", ["@/nowhere/at/all", "two\nlines", "schlüssel"])
def test_a_key_that_cannot_be_sent_is_refused_and_never_shown(key: str) -> None:
    credentials = Credentials(key)
    assert key not in repr(credentials)
    with pytest.raises(InvalidOption):
        AsyncRpcClient("localhost:1", credentials=credentials)


def test_an_address_of_another_kind_is_refused() -> None:
    with pytest.raises(InvalidOption, match="expected host:port"):
        AsyncRpcClient("https://localhost:8001")
