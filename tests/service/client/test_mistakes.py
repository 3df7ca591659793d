"""Wrong ports, wrong schemes and proxies: every client names the mistake, in the same way."""

import asyncio

import pytest

from service import errors
from service.client import AsyncRestClient, AsyncRpcClient
from service.client.credentials import name_proxy
from tests.fakes import encode_picture
from tests.running import PATIENCE_S
from tests.service.client.conftest import Addresses, Ask, call

PICTURE = encode_picture()


async def test_rest_at_the_port_of_grpc(server: Addresses) -> None:
    async with AsyncRestClient(f"http://{server.rpc}") as client:
        with pytest.raises(errors.InvalidOption, match="speaks no HTTP/1 there; REST has another port"):
            await client.segment(PICTURE)


async def test_grpc_at_the_port_of_rest(server: Addresses) -> None:
    async with AsyncRpcClient(server.url.removeprefix("http://")) as client:
        with pytest.raises(errors.InvalidOption, match="speaks HTTP/1 there, not gRPC; gRPC has another"):
            await client.segment(PICTURE)


async def test_tls_where_the_server_speaks_none(server: Addresses) -> None:
    async with AsyncRestClient(server.url.replace("http", "https")) as rest:
        with pytest.raises(errors.InvalidOption, match="speaks no TLS there; write http:// instead"):
            await rest.segment(PICTURE)
    async with AsyncRpcClient(f"grpcs://{server.rpc}") as rpc:
        with pytest.raises(errors.InvalidOption, match="speaks no TLS there; write grpc:// instead"):
            await rpc.segment(PICTURE)


class TestProxies:
    @pytest.fixture(autouse=True)
    def proxies(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("http_proxy", "https_proxy", "all_proxy", "grpc_proxy"):
            monkeypatch.setenv(name, "http://127.0.0.1:9")
        monkeypatch.delenv("no_proxy", raising=False)

    async def test_this_machine_is_asked_directly(self, ask: Ask) -> None:
        assert (await ask(PICTURE)).instances

    @pytest.mark.parametrize(
        ("address", "name"),
        [
            ("cam.example:8001", "grpc_proxy"),
            ("grpcs://cam.example:8001", "grpc_proxy"),
            ("http://cam.example:8000", "http_proxy"),
            ("https://cam.example", "https_proxy"),
        ],
    )
    def test_others_are_asked_through_one_that_is_named(self, address: str, name: str) -> None:
        assert f"variable {name} sends" in name_proxy(address)

    def test_hosts_that_are_exempt_are_not(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("no_proxy", "other.example, cam.example")
        assert name_proxy("cam.example:8001") == ""
        assert name_proxy("localhost:8001") == ""

    async def test_a_proxy_that_fails_is_named(self) -> None:
        for client in (AsyncRestClient("http://cam.example:8000"), AsyncRpcClient("cam.example:8001")):
            with pytest.raises(errors.Unavailable, match=r"variable \w+_proxy sends this call through"):
                await call(client.models)
            await call(client.close)


async def test_a_server_that_hangs_up_is_unavailable() -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.close()
        await writer.wait_closed()

    listening = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    async with listening:
        place = f"127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        for client in (
            AsyncRestClient(f"http://{place}", timeout=PATIENCE_S),
            AsyncRpcClient(place, timeout=PATIENCE_S),
        ):
            with pytest.raises(errors.Unavailable, match="is not available"):
                await call(client.models)
            await call(client.close)
