"""The generated code agrees with proto/, and works inside the package and beside other stubs."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


def test_the_generated_code_is_up_to_date(tmp_path: Path) -> None:
    pytest.importorskip("grpc_tools", reason="grpcio-tools is not installed")
    subprocess.run([sys.executable, "proto/generate.py", tmp_path], cwd=ROOT, check=True)
    fresh = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert fresh
    for name, text in fresh.items():
        held = (ROOT / "service" / "rpc" / "generated" / name).read_text()
        assert held == text, f"{name} is stale: run `make proto`"


def test_stubs_that_a_user_generates_do_not_clash_with_ours(tmp_path: Path) -> None:
    pytest.importorskip("grpc_tools", reason="grpcio-tools is not installed")
    source = "blitzmask/v1/segmentation.proto"
    command = [
        sys.executable,
        "-m",
        "grpc_tools.protoc",
        "-Iproto",
        f"--python_out={tmp_path}",
        f"proto/{source}",
    ]
    subprocess.run(command, cwd=ROOT, check=True)
    program = (
        "import sys; sys.path.append(sys.argv[1]); import service.rpc.generated.segmentation_pb2 as ours;"
        "import blitzmask.v1.segmentation_pb2 as theirs; print(ours.Frame is theirs.Frame)"
    )
    subprocess.run([sys.executable, "-c", program, tmp_path], cwd=ROOT, check=True)
