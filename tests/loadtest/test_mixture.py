"""All models of a server are asked in turn, and now and then one that it does not have."""

from collections import Counter
from dataclasses import replace

from loadtest.clients import Photo
from loadtest.fake import GOOD_JSON, FakeServer, Reply
from loadtest.mixture import mixed_photos, stray_clients
from loadtest.photos import sniff_media_type
from loadtest.session import Setup
from loadtest.targets import Ask

LISTED = b'{"models": [{"name": "large"}, {"name": "small"}]}'


def list_two(fake: FakeServer) -> None:
    """Has the fake say that it has two models, and take its time."""
    fake.script = lambda number: Reply(
        body=LISTED if fake.heads[number].startswith(b"GET /v1/models ") else GOOD_JSON, delay=0.01
    )


def count_asked(fake: FakeServer) -> Counter[bytes]:
    """How often each model was asked."""
    paths = (head.split(b" ")[1] for head in fake.heads)
    return Counter(path.partition(b"?model=")[2] for path in paths if path.startswith(b"/v1/segment"))


async def test_all_models_are_asked_alike_and_an_absent_one_in_a_request_of_ten(
    fake: FakeServer, setup: Setup, photo: Photo
) -> None:
    list_two(fake)
    async with stray_clients(setup.target, 2) as clients:
        for _ in range(20):
            for client in clients:
                await client.send(photo)
    assert count_asked(fake) == {b"large": 18, b"small": 18, b"no-such-model": 4}


async def test_who_names_a_model_has_only_that_one_asked(
    fake: FakeServer, setup: Setup, photo: Photo
) -> None:
    target = replace(setup.target, ask=Ask("small"))
    async with stray_clients(target, 1) as (client,):
        for _ in range(10):
            await client.send(photo)
    assert count_asked(fake) == {b"small": 9, b"no-such-model": 1}


def test_photos_of_many_sizes_are_pictures() -> None:
    photos = mixed_photos()
    assert len({photo.data for photo in photos}) == len(photos) > 3
    assert {sniff_media_type(photo.data) for photo in photos} == {"image/jpeg"}
