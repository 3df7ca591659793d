"""The same image gives the same numbers over REST and over gRPC, to the last bit."""

from typing import Any

import httpx
import pytest

from service.rpc.generated import segmentation_pb2 as pb
from service.rpc.generated import segmentation_pb2_grpc as pb_grpc
from tests.contract.conftest import Ask
from tests.fakes import encode_picture


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"masks": "none"},
        {"masks": "rle_crop"},
        {"masks": "polygon"},
        {"masks": "contour"},
        {"tiles": "auto"},
        {"tiles": "3", "masks": "polygon"},
        {"masks": "rle", "model": "other", "version": "2"},
        {"score_threshold": 0.1, "max_instances": 1, "classes": ["cat"]},
        {"classes": ["dog"]},
        {"score_threshold": 5 / 6},
        {"score_threshold": 0.8333333333333335},
    ],
)
@pytest.mark.parametrize("size", [(61, 37), (1, 1), (640, 480)])
async def test_answers_are_equal(
    ask_rest: Ask, ask_grpc: Ask, size: tuple[int, int], options: dict[str, Any]
) -> None:
    picture = encode_picture(*size)
    rest, rpc = await ask_rest(picture, **options), await ask_grpc(picture, **options)
    assert rest.content is not None
    assert rpc.content is not None
    for content in (rest.content, rpc.content):
        content["timings_ms"].pop("queue")  # the only number that is not the model's
    assert rest.content == rpc.content


@pytest.mark.parametrize(
    "options",
    [
        {"model": "none"},
        {"version": "9"},
        {"max_instances": 101},
        {"tiles": "0"},
        {"tiles": "33"},
        {"classes": ["unicorn"]},
        {"classes": ["cat", "unicorn"]},
    ],
)
async def test_refusals_are_equal_in_kind_and_text(
    ask_rest: Ask, ask_grpc: Ask, options: dict[str, Any]
) -> None:
    picture = encode_picture()
    rest, rpc = await ask_rest(picture, **options), await ask_grpc(picture, **options)
    assert rest.refusal in ("mend", "missing")
    assert rest == rpc


async def test_models_are_described_alike(
    client: httpx.AsyncClient, stub: pb_grpc.SegmentationServiceStub
) -> None:
    rest = (await client.get("/v1/models")).json()
    rpc = await stub.ListModels(pb.ListModelsRequest())
    assert dict(rpc.refused) == rest["refused"]
    assert list(rpc.unloaded) == rest["unloaded"] == ["birch"]
    for message, described in zip(rpc.models, rest["models"], strict=True):
        assert {field.name for field in message.DESCRIPTOR.fields} == set(described)
        for name in ("name", "version", "network", "score_threshold", "max_instances", "parameters"):
            assert getattr(message, name) == described[name]
        assert list(message.labels) == described["labels"]
        assert [{"id": each.id, "name": each.name} for each in message.categories] == described["categories"]
