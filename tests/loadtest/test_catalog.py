from pathlib import Path

import pytest

from loadtest.catalog import list_models
from loadtest.errors import CannotRun
from loadtest.fake import FakeServer, Reply
from loadtest.serving import serving
from loadtest.targets import Target


async def test_a_server_lists_the_same_models_over_both_transports(models: Path) -> None:
    with serving(models) as server:
        assert await list_models(Target("rest", "127.0.0.1", server.http_port)) == ("fake",)
        assert await list_models(Target("grpc", "127.0.0.1", server.grpc_port)) == ("fake",)


async def test_versions_of_a_model_share_its_name_and_the_default_is_the_first(fake: FakeServer) -> None:
    names = ", ".join(f'{{"name": "{name}", "version": "1"}}' for name in ("b", "a", "b"))
    fake.script = lambda _: Reply(body=f'{{"models": [{names}], "refused": {{}}}}'.encode())
    assert await list_models(Target("rest", "127.0.0.1", fake.port)) == ("b", "a")


async def test_a_server_that_lists_none_is_told_in_one_line(fake: FakeServer) -> None:
    for target in (
        Target("rest", "127.0.0.1", fake.port),
        Target("rest", "127.0.0.1", 1),
        Target("grpc", "127.0.0.1", fake.grpc_port),
    ):
        with pytest.raises(CannotRun, match="does not list its models: give --model"):
            await list_models(target)
