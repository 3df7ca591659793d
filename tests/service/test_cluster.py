"""The service on Ray: same answers and same errors as the plain server."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from service.client import Frame, Options, RestClient, RpcClient, Segmentation, StreamOptions
from service.errors import BlitzError, InvalidImage, InvalidOption, ModelNotFound, Unavailable
from tests.fakes import encode_picture
from tests.running import PATIENCE_S, ROOT, RunningServer, free_port, running_server

pytest.importorskip("ray.serve", reason="the extra ray is not installed")

RAY = {"RAY_USAGE_STATS_ENABLED": "0"}


@pytest.fixture(scope="module")
def settings(toy_folder: Path) -> dict[str, str]:
    return {"BLITZ_MODELS_DIR": str(toy_folder.parent), "BLITZ_RUNTIME": "onnx", "BLITZ_QUEUE_S": "60"}


@pytest.fixture(scope="module")
def cluster(settings: dict[str, str]) -> Iterator[RunningServer]:
    """Two replicas on a Ray cluster of this machine alone."""
    http_port, grpc_port = free_port(), free_port()
    ports = {"BLITZ_HTTP_PORT": str(http_port), "BLITZ_GRPC_PORT": str(grpc_port), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "service.cluster", "--min", "2", "--max", "2"]
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, **settings, **ports, **RAY},
        stdout=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        try:
            assert process.stdout is not None
            while (line := process.stdout.readline()) != b"ready\n":
                assert line, "the cluster did not start"
            yield RunningServer(process, http_port, grpc_port)
        finally:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(PATIENCE_S)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


@pytest.fixture(scope="module")
def plain(settings: dict[str, str]) -> Iterator[RunningServer]:
    with running_server(**settings, BLITZ_SLOTS_IN="threads", BLITZ_SLOTS="1") as server:
        yield server


def find_replicas(cluster: RunningServer) -> list[psutil.Process]:
    """The processes of the cluster's replicas."""
    children = psutil.Process(cluster.process.pid).children(recursive=True)
    return [child for child in children if child.name().startswith("ray::ServeReplica")]


def ask_until_answered(cluster: RunningServer) -> Segmentation:
    """The answer to a picture, asked again where the replica that worked on it has died."""
    deadline = time.monotonic() + PATIENCE_S
    with RpcClient(f"127.0.0.1:{cluster.grpc_port}") as rpc:
        while True:
            try:
                return rpc.segment(encode_picture())
            except Unavailable:
                assert time.monotonic() < deadline


def test_rest_and_grpc_answer_as_the_plain_server(cluster: RunningServer, plain: RunningServer) -> None:
    picture, options = encode_picture(), Options(score_threshold=0.1)
    answers = []
    for server in (cluster, plain):
        with (
            RestClient(f"http://127.0.0.1:{server.http_port}") as rest,
            RpcClient(f"127.0.0.1:{server.grpc_port}") as rpc,
        ):
            answers += [rest.segment(picture, options), rpc.segment(picture, options)]
    assert answers[0].instances
    assert all(answer == answers[0] for answer in answers[1:])


@pytest.mark.parametrize(
    ("picture", "options", "error"),
    [
        (b"no picture", Options(), InvalidImage),
        (encode_picture(), Options(classes=("unicorn",)), InvalidOption),
    ],
)
def test_errors_keep_their_status_and_text(
    picture: bytes,
    options: Options,
    error: type[BlitzError],
    cluster: RunningServer,
    plain: RunningServer,
) -> None:
    texts = []
    for server in (cluster, plain):
        with RestClient(f"http://127.0.0.1:{server.http_port}") as rest, pytest.raises(error) as caught:
            rest.segment(picture, options)
        texts.append(str(caught.value))
        with RpcClient(f"127.0.0.1:{server.grpc_port}") as rpc, pytest.raises(BlitzError) as called:
            rpc.segment(picture, options)
        texts.append(str(called.value))
    assert len(set(texts)) == 1


def test_an_unknown_model_is_not_found_over_both_transports(cluster: RunningServer) -> None:
    with RestClient(f"http://127.0.0.1:{cluster.http_port}") as rest, pytest.raises(ModelNotFound):
        rest.segment(encode_picture(), model="none")
    with RpcClient(f"127.0.0.1:{cluster.grpc_port}") as rpc, pytest.raises(ModelNotFound):
        rpc.segment(encode_picture(), model="none")


def test_a_stream_answers_a_hundred_frames_in_order(cluster: RunningServer) -> None:
    frames = [Frame(number, None, encode_picture()) for number in range(100)]
    with RpcClient(f"127.0.0.1:{cluster.grpc_port}") as rpc:
        results = list(rpc.stream(frames, StreamOptions(policy="all")))
        single = rpc.segment(encode_picture())
    assert [result.id for result in results] == [*range(100)]
    assert all(result.outcome == single for result in results)


def test_a_stream_that_cannot_begin_says_why(cluster: RunningServer) -> None:
    options = StreamOptions(segment=Options(classes=("unicorn",)))
    with RpcClient(f"127.0.0.1:{cluster.grpc_port}") as rpc, pytest.raises(BlitzError, match="unicorn"):
        list(rpc.stream([Frame(0, None, encode_picture())], options))


def test_a_killed_replica_leaves_no_error_after_retries(cluster: RunningServer) -> None:
    replicas = find_replicas(cluster)
    assert len(replicas) == 2
    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(ask_until_answered, cluster) for _ in range(60)]
        asked[5].result()
        replicas[0].kill()
        answers = [each.result() for each in asked]
    assert len(answers) == 60
    assert all(answer == answers[0] for answer in answers)


def test_models_are_listed(cluster: RunningServer) -> None:
    with RpcClient(f"127.0.0.1:{cluster.grpc_port}") as rpc:
        assert [model.name for model in rpc.models().models] == ["toy"]
