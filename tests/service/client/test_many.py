"""Many images in one call of each of the four clients."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from service.client import InvalidImage, Segmentation
from service.client.many import AHEAD, Answers, Outcome
from service.errors import InvalidOption
from service.types import Options
from tests.fakes import FakeModel, encode_picture

CALLS = 2  # as many as the server of these tests has places


async def collect(answers: Any) -> list[Outcome]:
    """The outcomes of a client of either kind."""
    if hasattr(answers, "__aiter__"):
        return [outcome async for outcome in answers]
    return await asyncio.to_thread(list, answers)


async def test_answers_come_in_the_order_of_the_images(client: Any) -> None:
    pictures = [encode_picture(width, 30) for width in range(30, 42)]
    answers = client.segment_many(pictures, Options(masks="none"), concurrency=CALLS)
    assert len(answers) == 12
    outcomes = await collect(answers)
    found = [outcome for outcome in outcomes if isinstance(outcome, Segmentation)]
    assert [one.image.width for one in found] == list(range(30, 42))
    assert all(one.picture is None for one in found)


async def test_an_image_that_fails_has_its_error_in_its_place(client: Any, tmp_path: Path) -> None:
    pictures = iter([encode_picture(), b"no picture", tmp_path / "missing.jpg", encode_picture()])
    outcomes = await collect(client.segment_many(pictures, concurrency=CALLS))
    kinds = [type(outcome) for outcome in outcomes]
    assert kinds == [Segmentation, InvalidImage, FileNotFoundError, Segmentation]


async def test_no_images_give_no_answers(client: Any) -> None:
    assert await collect(client.segment_many([])) == []


@pytest.mark.parametrize("concurrency", [0, -1, 1.5, True])
async def test_a_concurrency_that_is_none_is_refused_at_once(client: Any, concurrency: Any) -> None:
    with pytest.raises(InvalidOption, match="concurrency"):
        client.segment_many([encode_picture()], concurrency=concurrency)
    with pytest.raises(InvalidOption, match="masks"):
        client.segment_many([encode_picture()], Options(masks="dots"))  # type: ignore[arg-type]


def test_images_are_read_no_faster_than_their_answers_are_taken() -> None:
    read: list[int] = []

    def pictures() -> Iterator[bytes]:
        for number in range(100):
            read.append(number)
            yield encode_picture()

    answers = Answers(lambda image: FakeModel().segment(image, Options()), pictures(), concurrency=3)  # type: ignore[arg-type]
    next(answers)
    assert len(read) == AHEAD * 3
    with pytest.raises(TypeError, match="no length"):
        len(answers)
