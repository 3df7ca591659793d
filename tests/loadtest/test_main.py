import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from loadtest.__main__ import main
from loadtest.fake import GOOD_JSON, FakeServer, Reply


def closed(fake: FakeServer, image: Path, *more: str) -> list[str]:
    return ["closed", "--url", f"http://127.0.0.1:{fake.port}", "--image", str(image), *more]


QUICK = ("--duration", "0.3", "--warmup", "0", "--concurrency", "1,2")


@pytest.mark.parametrize("transport", ["rest", "grpc"])
def test_a_run_beside_its_floor_prints_a_table_and_writes_json(
    fake: FakeServer,
    photo_file: Path,
    models: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    transport: str,
) -> None:
    words = closed(fake, photo_file, *QUICK, "--models", str(models), "--json", str(tmp_path / "out.json"))
    if transport == "grpc":
        words[1:3] = ["--grpc", f"127.0.0.1:{fake.grpc_port}"]

    assert main(words) == 0

    shown = capsys.readouterr().out
    assert "1 client " in shown
    assert "2 clients" in shown
    report = json.loads((tmp_path / "out.json").read_text())
    assert [row["clients"] for row in report["rows"]] == [1, 2]
    for row in report["rows"]:
        assert row["errors"] == {}
        assert row["throughput"] > 10
        assert row["latency"]["p50"] <= row["latency"]["p99"]
        assert row["floor"]["share"]["estimate"] > 0
        assert row["stages"]["infer"]["mean"] == 9.0
    first, second = (row["floor"]["floors"] for row in report["rows"])
    assert first[-1] == second[0]
    assert report["servers"][0]["served"]["model"] == "fake"
    assert report["machine"]["cores"] >= 1


def test_a_model_that_is_not_here_costs_the_floor_and_not_the_run(
    fake: FakeServer, photo_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(closed(fake, photo_file, *QUICK, "--models", str(tmp_path))) == 0
    assert "warning: no floor: the server answers with model fake 1" in capsys.readouterr().out


def test_errors_are_shown_by_kind_with_the_servers_words(
    fake: FakeServer, photo_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fake.script = lambda number: Reply(
        200 if number < 5 else 503, GOOD_JSON if number < 5 else b"the queue is full"
    )
    assert main(closed(fake, photo_file, *QUICK, "--floor", "none")) == 0
    assert "x http 503: the queue is full" in capsys.readouterr().out


def test_a_run_without_any_good_answer_ends_with_1(fake: FakeServer, photo_file: Path) -> None:
    fake.script = lambda number: Reply(200 if number < 1 else 500, GOOD_JSON)
    assert main(closed(fake, photo_file, *QUICK, "--floor", "none")) == 1


@pytest.mark.parametrize(
    "words",
    [
        ["--concurrency", "1,,4"],
        ["--concurrency", "0"],
        ["--concurrency", "1.5"],
        ["--concurrency", "1;4"],
        ["--concurrency", "99999"],
        ["--duration", "-1"],
        ["--duration", "nan"],
        ["--duration", "1e9"],
        ["--max-requests", "0"],
        ["--timeout", "0"],
        ["--floor", "imaginary"],
        ["--url", "ftp://127.0.0.1"],
        ["--url", "http://192.0.2.1:8000"],
        ["--grpc", "192.0.2.1:8001"],
        ["--grpc", "127.0.0.1"],
        ["--masks", "png"],
        ["--rate", "5"],
        ["--score-threshold", "2"],
        ["--image", "absent.jpg"],
        ["--image", __file__],
        ["--surprise"],
    ],
)
def test_a_bad_argument_is_one_line_and_2(
    photo_file: Path, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    try:
        code: object = main(["closed", "--image", str(photo_file), *words])
    except SystemExit as stop:
        code = stop.code
    assert code == 2
    complaint = capsys.readouterr().err
    assert complaint.startswith("loadtest: ")
    assert complaint.count("\n") == 1


def test_no_command_an_unknown_one_and_an_incomplete_one_are_one_line_and_2(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for words in ([], ["race"], ["open"], ["compare", "http://a:1"], ["accuracy"]):
        with pytest.raises(SystemExit) as stop:
            main(words)
        assert stop.value.code == 2
        assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("package", ["psutil", "skimage", "matplotlib"])
def test_a_missing_package_is_one_line_and_2(package: str) -> None:
    program = (
        f"import sys; sys.modules['{package}'] = None; import loadtest.__main__ as it; sys.exit(it.main([]))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith(f"loadtest: {package} missing: `make install-dev`")
    assert done.stderr.count("\n") == 1


def test_an_absent_server_is_one_line_and_2(photo_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["closed", "--url", "http://127.0.0.1:1", "--image", str(photo_file)]) == 2
    assert "is the server running?" in capsys.readouterr().err


def test_a_report_that_cannot_be_written_is_one_line_and_2(
    fake: FakeServer, photo_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(closed(fake, photo_file, *QUICK, "--floor", "none", "--json", str(tmp_path))) == 2
    assert "cannot write" in capsys.readouterr().err


def test_ctrl_c_prints_and_writes_what_was_measured_so_far(
    fake: FakeServer, photo_file: Path, tmp_path: Path
) -> None:
    words = closed(
        fake, photo_file, "--duration", "60", "--floor", "none", "--json", str(tmp_path / "out.json")
    )
    with subprocess.Popen(
        [sys.executable, "-m", "loadtest", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        while len(fake.arrivals) < 50:
            assert process.poll() is None
            time.sleep(0.05)
        time.sleep(1.2)  # past the warm-up
        process.send_signal(signal.SIGINT)
        shown, complaints = process.communicate(timeout=20)

    assert process.returncode == 130
    assert complaints == ""
    assert "1 client" in shown
    report = json.loads((tmp_path / "out.json").read_text())
    assert report["interrupted"]
    assert report["rows"][0]["answered"] > 0
    assert len(report["rows"]) == 1
