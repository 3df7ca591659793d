"""The command as a process: killed in the middle and continued; pictures and results in an object store."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.running import PATIENCE_S, ROOT, free_port

AT_WORK = 8  # pictures before the one that never comes, which is read together with the seven after it


@pytest.fixture
def environment(toy_folder: Path) -> dict[str, str]:
    return {**os.environ, "BLITZ_MODELS_DIR": str(toy_folder.parent), "BLITZ_RUNTIME": "onnx"}


def make_command(place: object, output: object) -> list[str]:
    return [sys.executable, "-m", "service", "batch", str(place), str(output), "--score-threshold", "0.1"]


def run(place: object, output: object, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        make_command(place, output), cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


def count_lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


def test_a_killed_job_continues_and_its_output_is_that_of_one_that_was_not(
    photos: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    """A named pipe that nobody writes holds the job in the middle, so that nothing depends on time."""
    stuck = photos / f"{AT_WORK:02d}.png"
    content = stuck.read_bytes()
    stuck.unlink()
    os.mkfifo(stuck)
    resumed, whole = tmp_path / "resumed.json", tmp_path / "whole.json"
    with subprocess.Popen(make_command(photos, resumed), cwd=ROOT, env=environment) as process:
        deadline = time.monotonic() + PATIENCE_S
        while count_lines(tmp_path / "resumed.json.journal") < 1 + AT_WORK and time.monotonic() < deadline:
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
    assert not resumed.exists()
    stuck.unlink()
    stuck.write_bytes(content)
    second = run(photos, resumed, environment)
    assert second.returncode == 1, second.stderr  # of the bad file
    assert f"{AT_WORK} pictures were done before" in second.stderr
    assert "20 of 20 pictures (1 bad)" in second.stderr
    run(photos, whole, environment)
    assert resumed.read_bytes() == whole.read_bytes()
    again = run(photos, resumed, environment)
    assert (again.returncode, "is there already" in again.stderr) == (2, True)


def test_a_missing_input_and_an_unknown_format_are_refused(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    for place, output, complaint in (
        (tmp_path / "none.tar", tmp_path / "out.json", "no such file"),
        (tmp_path, tmp_path / "out.csv", "the output is one of NAME.json, NAME.jsonl, NAME.parquet"),
    ):
        done = run(place, output, environment)
        assert (done.returncode, complaint in done.stderr.replace("\n", " ")) == (2, True), done.stderr


@pytest.fixture
def bucket(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A bucket of moto_server, which this process and the command find by the same variables."""
    pytest.importorskip("s3fs", reason="the extra batch is not installed")
    server = pytest.importorskip("moto.server", reason="moto[server] is not installed")
    boto3 = pytest.importorskip("boto3")
    running = server.ThreadedMotoServer(ip_address="127.0.0.1", port=free_port())
    running.start()
    variables = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{running._port}",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    environment.update(variables)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    boto3.client("s3").create_bucket(Bucket="bucket")
    yield "bucket"
    running.stop()


def test_pictures_and_results_may_be_in_an_object_store(
    bucket: str, photos: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    store = pytest.importorskip("boto3").client("s3")
    for photo in photos.iterdir():
        store.upload_file(str(photo), bucket, f"photos/{photo.name}")
    remote = run(f"s3://{bucket}/photos", f"s3://{bucket}/out.json", environment)
    assert remote.returncode == 1, remote.stderr
    run(photos, tmp_path / "local.json", environment)
    found = store.get_object(Bucket=bucket, Key="out.json")["Body"].read()
    assert found == (tmp_path / "local.json").read_bytes()
    listed = {each["Key"] for each in store.list_objects_v2(Bucket=bucket)["Contents"]}
    assert {"out.failed.jsonl", "out.images.json"} <= listed
