"""The commands: what was typed, made into a run.

Heavy modules are imported by the command that needs them, so that a mistyped one is told at once.
"""

import argparse
import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import TypeAlias

from loadtest.addresses import check_allowed, check_target, parse_address, parse_target, parse_url
from loadtest.clients import Photo
from loadtest.closed import run_closed
from loadtest.compare import run_compare
from loadtest.errors import CannotRun
from loadtest.open_loop import Traffic, run_open
from loadtest.outcome import Outcome
from loadtest.photos import load_photo, load_photos
from loadtest.ramp import Goal, run_ramp
from loadtest.scene import Scene
from loadtest.session import Session, Setup, open_session
from loadtest.soak import run_soak
from loadtest.streams import Cast, run_streams
from loadtest.targets import Ask, Target
from service.client.credentials import Credentials
from service.inference.backends import BackendChoice
from service.types import Options

_PROBED = 16  # images of a labelled set that are tried, and given to the floor


@dataclass(frozen=True, slots=True)
class Found:
    """A command's outcome, and the servers that it came from."""

    outcome: Outcome
    sessions: tuple[Session, ...] = ()


Command: TypeAlias = Callable[[argparse.Namespace, Scene], Awaitable[Found]]


async def closed(words: argparse.Namespace, scene: Scene) -> Found:
    return await _with_server(
        words,
        scene,
        lambda session: run_closed(session, words.concurrency, seconds=words.duration),
    )


async def open_loop(words: argparse.Namespace, scene: Scene) -> Found:
    traffic = Traffic(words.rate, words.arrivals)
    return await _with_server(
        words, scene, lambda session: run_open(session, traffic, seconds=words.duration)
    )


async def ramp(words: argparse.Namespace, scene: Scene) -> Found:
    goal = Goal(words.p99, words.errors)
    return await _with_server(
        words,
        scene,
        lambda session: run_ramp(
            session, goal, arrivals=words.arrivals, steps=words.steps, seconds=words.duration
        ),
    )


async def soak(words: argparse.Namespace, scene: Scene) -> Found:
    """Mixed, it brings its own photos, and there is no floor, which would have no faults to show."""
    photos = None
    if words.mixed:
        from loadtest.mixture import mixed_photos

        photos, words.floor = mixed_photos(), "none"
    return await _with_server(
        words,
        scene,
        lambda session: run_soak(session, words.concurrency, seconds=words.duration, mixed=words.mixed),
        photos=photos,
    )


async def streams(words: argparse.Namespace, scene: Scene) -> Found:
    """Raises CannotRun where no gRPC server is named, or the protocol does not know the policy."""
    if not words.grpc:
        raise CannotRun("streams go over gRPC: give --grpc HOST:PORT")
    cast = Cast(words.streams, words.fps or None, words.policy)
    cast.to_options(build_target(words))
    return await _with_server(
        words, scene, lambda session: run_streams(session, cast, seconds=words.duration)
    )


async def accuracy(words: argparse.Namespace, scene: Scene) -> Found:
    """The first images of the set are those of the probe and of the floor."""
    from loadtest.accuracy import read_set, run_accuracy

    labelled = replace(
        read_set(words.data, words.images or words.data.parent / "images"), categories=words.categories
    )
    first = labelled.content["images"][:_PROBED]
    setup = build_setup(words, tuple(load_photo(labelled.locate(image)) for image in first))
    async with open_session(setup, progress=scene.progress, stop=scene.stop) as session:
        outcome = await run_accuracy(session, labelled, clients=words.concurrency, seconds=words.duration)
    return Found(outcome, (session,))


async def compare(words: argparse.Namespace, scene: Scene) -> Found:
    """Without a floor: each server is what the other is measured by."""
    credentials = read_credentials(words)
    targets = [
        parse_target(address, timeout=words.timeout, credentials=credentials)
        for address in (words.a, words.b)
    ]
    for target in targets:
        check_allowed(target, allow_remote=words.allow_remote)
    photos = choose_photos(words.image)
    setups = [
        Setup(target, photos, words.models, floor="none", warmup=words.warmup, requests=words.max_requests)
        for target in targets
    ]
    async with (
        open_session(setups[0], progress=scene.progress, stop=scene.stop) as side_a,
        open_session(setups[1], progress=scene.progress, stop=scene.stop) as side_b,
    ):
        outcome = await run_compare(
            side_a, side_b, clients=words.concurrency, rounds=words.rounds, seconds=words.duration
        )
    return Found(outcome, (side_a, side_b))


async def stages(words: argparse.Namespace, scene: Scene) -> Found:
    """In fp32, which the promises are about; raises CannotRun where the model is not there."""
    from loadtest.stages import run_stages

    folders = sorted(card.parent for card in words.models.glob("*/card.json"))
    folder = next((path for path in folders if words.model in (None, path.name)), None)
    if folder is None:
        raise CannotRun(f"there is no model {words.model or ''} in {words.models}; give --models its folder")
    outcome = await asyncio.to_thread(
        run_stages,
        folder,
        BackendChoice(precision="fp32"),
        seconds=words.duration,
        is_stopped=scene.stop.is_set,
    )
    return Found(outcome)


async def suite(words: argparse.Namespace, scene: Scene) -> Found:
    from loadtest.suite import QUICK, THOROUGH, run_suite

    outcome, sessions = await run_suite(scene, words.models, QUICK if words.quick else THOROUGH)
    return Found(outcome, sessions)


COMMANDS: Mapping[str, Command] = MappingProxyType(
    {
        "closed": closed,
        "open": open_loop,
        "ramp": ramp,
        "soak": soak,
        "streams": streams,
        "compare": compare,
        "accuracy": accuracy,
        "stages": stages,
        "suite": suite,
    }
)


def build_target(words: argparse.Namespace) -> Target:
    """The server that is named; raises CannotRun when the name is none or it may not be loaded."""
    options = Options(
        score_threshold=words.score_threshold, max_instances=words.max_instances, masks=words.masks
    )
    ask = Ask(words.model, options)
    host, port, secure = parse_address(words.grpc) if words.grpc else parse_url(words.url)
    target = Target(
        transport="grpc" if words.grpc else "rest",
        host=host,
        port=port,
        ask=ask,
        timeout=words.timeout,
        protocol=words.protocol,
        secure=secure,
        credentials=read_credentials(words),
    )
    check_allowed(check_target(target), allow_remote=words.allow_remote)
    return target


def read_credentials(words: argparse.Namespace) -> Credentials:
    """What was given to show to the server."""
    return Credentials(words.key, words.ca, words.cert, words.cert_key)


def build_setup(words: argparse.Namespace, photos: tuple[Photo, ...]) -> Setup:
    """What a run against one server needs; raises CannotRun."""
    target = build_target(words)
    page = f"{target.scheme}://{target.authority}/metrics" if target.transport == "rest" else None
    return Setup(
        target=target,
        photos=photos,
        models_dir=words.models,
        floor=words.floor,
        warmup=words.warmup,
        requests=words.max_requests,
        metrics=words.metrics or page,
    )


def choose_photos(path: Path | None) -> tuple[Photo, ...]:
    """The operator's photos, or the samples."""
    if path:
        return load_photos(path)
    from loadtest.samples import sample_photos

    return sample_photos()


async def _with_server(
    words: argparse.Namespace,
    scene: Scene,
    run: Callable[[Session], Awaitable[Outcome]],
    *,
    photos: tuple[Photo, ...] | None = None,
) -> Found:
    setup = build_setup(words, photos or choose_photos(words.image))
    async with open_session(setup, progress=scene.progress, stop=scene.stop) as session:
        return Found(await run(session), (session,))
