"""The command line as a user meets it, and the addresses that it takes."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from loadtest.__main__ import main
from loadtest.commands.arguments import RunArguments, ServerArguments, parse_target
from loadtest.measurement.fake_server import GOOD_JSON, FakeServer, Reply
from loadtest.types import Ask, CannotRun
from service.client.credentials import Credentials
from service.types import Options
from tests.load import wait_for
from tests.running import PATIENCE_S


def closed(fake: FakeServer, image: Path, *more: str) -> list[str]:
    return ["closed", "--url", f"http://127.0.0.1:{fake.port}", "--image", str(image), *more]


QUICK = ("--duration", "1", "--warmup", "0", "--concurrency", "1,2")


@pytest.mark.parametrize("transport", ["rest", "grpc"])
def test_a_run_next_to_its_baseline_prints_tables_and_writes_json(
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
        assert row["throughput"] > 0
        assert row["latency"]["p50"] <= row["latency"]["p99"]
        assert row["baseline"]["net"]["estimate"] > row["baseline"]["share"]["estimate"] > 0
        assert row["baseline"]["client_ms"] > 0
        assert row["stages"]["infer"]["mean"] == 9.0
    assert report["servers"][0]["served"]["model"] == "fake"
    assert report["machine"]["cores"] >= 1


def test_a_model_that_is_absent_here_costs_the_baseline_and_not_the_run(
    fake: FakeServer, photo_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(closed(fake, photo_file, *QUICK, "--models", str(tmp_path))) == 0
    assert "warning: no baseline: the server answers with model fake 1" in capsys.readouterr().out


def test_errors_are_shown_by_kind_with_the_servers_words(
    fake: FakeServer, photo_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fake.script = lambda number: Reply(
        200 if number < 5 else 503, GOOD_JSON if number < 5 else b"the queue is full"
    )
    assert main(closed(fake, photo_file, *QUICK, "--baseline", "none")) == 0
    assert "x http 503: the queue is full" in capsys.readouterr().out


def test_a_run_without_any_good_answer_ends_with_1(fake: FakeServer, photo_file: Path) -> None:
    fake.script = lambda number: Reply(200 if number < 1 else 500, GOOD_JSON)
    assert main(closed(fake, photo_file, *QUICK, "--floor", "none")) == 1


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["race"],
        ["open"],
        ["compare", "http://127.0.0.1:1"],
        ["accuracy"],
        ["closed", "--concurrency", "1,,4"],
        ["closed", "--concurrency", "0"],
        ["closed", "--concurrency", "1.5"],
        ["closed", "--concurrency", "1;4"],
        ["closed", "--concurrency", "99999"],
        ["closed", "--duration", "-1"],
        ["closed", "--duration", "nan"],
        ["closed", "--max-requests", "0"],
        ["closed", "--timeout", "0"],
        ["closed", "--baseline", "imaginary"],
        ["closed", "--url", "ftp://127.0.0.1"],
        ["closed", "--url", "http://192.0.2.1:8000"],
        ["closed", "--url", "grpc://127.0.0.1:8001"],
        ["closed", "--url", "http://127.0.0.1:1"],
        ["closed", "--grpc", "192.0.2.1:8001"],
        ["closed", "--grpc", "127.0.0.1"],
        ["closed", "--masks", "png"],
        ["closed", "--rate", "5"],
        ["closed", "--score-threshold", "2"],
        ["closed", "--image", "absent.jpg"],
        ["closed", "--image", __file__],
        ["streams"],
        ["streams", "--grpc", "127.0.0.1:1", "--policy", "newest"],
        ["accuracy", "--data", "absent.json", "--categories", "1-"],
    ],
)
def test_a_mistake_is_one_line_and_2(capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    assert main(words) == 2
    complaint = capsys.readouterr().err
    assert complaint.startswith("loadtest: ")
    assert complaint.count("\n") == 1


@pytest.mark.parametrize("package", ["psutil", "skimage", "matplotlib", "hdrh"])
def test_a_missing_package_is_one_line_and_2(package: str) -> None:
    program = (
        f"import sys; sys.modules['{package}'] = None; import loadtest.__main__ as it; sys.exit(it.main([]))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith(f"loadtest: {package} missing: `make install-dev`")
    assert done.stderr.count("\n") == 1


def test_a_report_that_cannot_be_written_is_one_line_and_2(
    fake: FakeServer, photo_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(closed(fake, photo_file, *QUICK, "--baseline", "none", "--json", str(tmp_path))) == 2
    assert "cannot write" in capsys.readouterr().err


def test_ctrl_c_prints_and_writes_the_results_so_far(
    fake: FakeServer, photo_file: Path, tmp_path: Path
) -> None:
    words = closed(
        *(fake, photo_file, "--duration", "600", "--warmup", "0.01", "--baseline", "none"),
        *("--json", str(tmp_path / "out.json")),
    )
    with subprocess.Popen(
        [sys.executable, "-m", "loadtest", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            wait_for(lambda: len(fake.arrivals) > 200 or process.poll() is not None)
            process.send_signal(signal.SIGINT)
            shown, complaints = process.communicate(timeout=PATIENCE_S)
        finally:
            process.kill()

    assert process.returncode == 130
    assert complaints == ""
    assert "1 client" in shown
    report = json.loads((tmp_path / "out.json").read_text())
    assert report["interrupted"]
    assert report["rows"][0]["answered"] > 0
    assert len(report["rows"]) == 1


@pytest.mark.parametrize(
    ("address", "written"),
    [
        ("http://localhost:8000/", "http://localhost:8000"),
        ("http://board", "http://board:80"),
        ("https://board", "https://board:443"),
        ("grpc://[::1]:8001", "grpc://[::1]:8001"),
        ("oip+http://a:1?model=m", "oip+http://a:1?model=m"),
    ],
)
def test_an_address_gives_a_target_that_can_be_written_back(address: str, written: str) -> None:
    assert str(parse_target(address, timeout=9)) == written


def test_the_query_of_an_address_gives_options() -> None:
    address = "http://127.0.0.1:8000?model=m&score_threshold=0.25&max_instances=7&masks=none"
    target = parse_target(address, timeout=9)
    assert target.ask == Ask("m", Options(score_threshold=0.25, max_instances=7, masks="none"))
    assert (target.transport, target.host, target.port, target.timeout) == ("rest", "127.0.0.1", 8000, 9)
    assert str(target) == address


@pytest.mark.parametrize(
    "address",
    [
        *("", "127.0.0.1:8000", "ws://a:1", "ftp://a", "http://", "http://a:x", "http://a:99999"),
        *(
            "http://a:1/v1",
            "grpc://a",
            "grpc://a:0",
            "http://a:1?quality=9",
            "http://a:1?score_threshold=high",
        ),
        *("http://a:1?max_instances=1.5", "http://a:1?masks=png", "oip+http://a:1", "oip+ws://a:1?model=m"),
    ],
)
def test_a_wrong_address_is_refused_in_one_line(address: str) -> None:
    with pytest.raises(CannotRun) as refusal:
        parse_target(address, timeout=9)
    assert "\n" not in str(refusal.value)


def test_a_key_goes_to_both_of_two_servers_and_certificates_only_to_the_one_with_tls(tmp_path: Path) -> None:
    shown = Credentials("k", cert=tmp_path / "absent.pem")
    assert parse_target("http://a:1", timeout=9, credentials=shown).credentials == Credentials("k")
    with pytest.raises(CannotRun, match="absent"):
        parse_target("https://a:1", timeout=9, credentials=shown)


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        ({"protocol": "oip"}, "--model"),
        ({"ca": Path("ca.pem")}, "https or grpcs"),
        ({"key": "@/absent/key"}, "absent"),
        ({"url": "http://127.0.0.1:1?model=m"}, "expected an address"),
    ],
)
def test_arguments_that_contradict_each_other_are_refused_in_one_line(
    arguments: dict[str, Any], fault: str
) -> None:
    with pytest.raises(CannotRun, match=fault) as refusal:
        ServerArguments.model_validate(arguments).target()
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "[::1]", "localhost"])
def test_this_machine_may_be_loaded(host: str) -> None:
    assert RunArguments().parse(f"http://{host}:1").is_local


@pytest.mark.parametrize(
    "host", ["10.0.0.1", "0.0.0.0", "example.org", "localhost.example.org", "127.0.0.1.nip.io"]
)
def test_another_machine_needs_permission(host: str) -> None:
    with pytest.raises(CannotRun, match="--allow-remote"):
        RunArguments().parse(f"http://{host}:1")
    assert RunArguments(allow_remote=True).parse(f"http://{host}:1").host == host
