"""A real process with a real (toy) model, asked over both ports."""

import socket
import subprocess
import sys
from pathlib import Path

import grpc
import httpx
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from service.inference.masks.rle import decode_rle
from service.rpc.generated import segmentation_pb2 as pb
from service.rpc.generated import segmentation_pb2_grpc as pb_grpc
from service.types import Rle, Size
from tests.e2e.serving.conftest import ROOT, Serve, Service
from tests.running import PATIENCE_S
from tests.service.conftest import WriteToy

PNG = {"content-type": "image/png"}


def segment(target: str, image: bytes) -> pb.SegmentResponse:
    with grpc.insecure_channel(target) as channel:
        stub = pb_grpc.SegmentationServiceStub(channel)  # type: ignore[no-untyped-call]  # protoc's
        response: pb.SegmentResponse = stub.Segment(pb.SegmentRequest(image=image), timeout=PATIENCE_S)
        return response


def test_a_picture_gives_masks_over_both_ports_with_the_same_numbers(service: Service, rose: bytes) -> None:
    answer = httpx.post(f"{service.url}/v1/segment", content=rose, headers=PNG, timeout=PATIENCE_S)
    assert answer.status_code == 200
    instances = answer.json()["instances"]
    assert instances[0]["label"] == "rose"
    height, width = instances[0]["segmentation"]["size"]
    mask = decode_rle(Rle(Size(height, width), instances[0]["segmentation"]["counts"]))
    assert mask.shape == (128, 192)
    assert mask.sum() == instances[0]["area"] > 100
    for one, other in zip(segment(service.target, rose).instances, instances, strict=True):
        assert (one.score, list(one.bbox), one.area) == (other["score"], other["bbox"], other["area"])
        assert one.rle.counts == other["segmentation"]["counts"]


def test_probes_and_health_agree_that_it_is_ready(service: Service) -> None:
    assert httpx.get(f"{service.url}/readyz", timeout=PATIENCE_S).json()["models"][0]["name"] == "toy"
    asked = health_pb2.HealthCheckRequest(service="blitzmask.v1.SegmentationService")
    with grpc.insecure_channel(service.target) as channel:
        answer = health_pb2_grpc.HealthStub(channel).Check(asked, timeout=PATIENCE_S)
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


def test_a_client_that_never_finishes_its_header_keeps_nobody_waiting(service: Service, rose: bytes) -> None:
    with socket.create_connection(("127.0.0.1", service.http_port)) as slow:
        slow.sendall(b"POST /v1/segment HTTP/1.1\r\nHost: x\r\n")
        assert (
            httpx.post(f"{service.url}/v1/segment", content=rose, headers=PNG, timeout=PATIENCE_S).status_code
            == 200
        )


def test_a_body_that_is_too_large_is_refused_before_it_is_sent(service: Service) -> None:
    head = (
        "POST /v1/segment HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: 2000000\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", service.http_port), timeout=PATIENCE_S) as client:
        client.sendall(head.encode())
        assert client.recv(100).startswith(b"HTTP/1.1 413 ")


def test_answers_tell_no_server_version(service: Service) -> None:
    assert "server" not in httpx.get(f"{service.url}/healthz", timeout=PATIENCE_S).headers


def test_every_line_of_the_log_is_json_and_names_its_request(service: Service, rose: bytes) -> None:
    answer = httpx.post(f"{service.url}/v1/segment", content=rose, headers=PNG, timeout=PATIENCE_S)
    service.wait_for("request", request_id=answer.headers["x-request-id"])
    assert {line["level"] for line in service.lines()} == {"info"}


@pytest.mark.parametrize("variable", ["HTTP_PORT", "GRPC_PORT"])
def test_a_port_that_is_taken_stops_the_start_with_one_clear_line(service: Service, variable: str) -> None:
    taken = service.wait_for("listening")[variable.lower()]
    ports = {"BLITZ_HTTP_PORT": "0", "BLITZ_GRPC_PORT": "0", f"BLITZ_{variable}": str(taken)}
    command = [sys.executable, "-m", "service", "serve"]
    done = subprocess.run(command, cwd=ROOT, env=ports, capture_output=True, text=True, timeout=PATIENCE_S)
    assert done.returncode == 2
    (complaint,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert complaint.startswith(f"error: BLITZ_{variable}={taken}: cannot listen on 127.0.0.1 port {taken}")
    assert "Traceback" not in done.stderr


def test_without_a_model_it_lives_is_not_ready_and_says_why(serve: Serve, tmp_path: Path) -> None:
    service = serve(MODELS_DIR=tmp_path / "none")
    service.wait_for("not ready")
    assert httpx.get(f"{service.url}/healthz", timeout=PATIENCE_S).status_code == 200
    answer = httpx.get(f"{service.url}/readyz", timeout=PATIENCE_S)
    assert answer.status_code == 503
    assert "BLITZ_MODELS_DIR" in answer.json()["detail"]
    refused = httpx.post(f"{service.url}/v1/segment", content=b"x", headers=PNG, timeout=PATIENCE_S)
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    with pytest.raises(grpc.RpcError) as caught:
        segment(service.target, b"x")
    assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
    assert service.stop() == 0


def test_a_broken_model_beside_a_good_one_is_refused_with_its_reason(
    serve: Serve, write_toy: WriteToy, tmp_path: Path
) -> None:
    write_toy(tmp_path / "models" / "toy")
    broken = write_toy(tmp_path / "models" / "zinnia", name="zinnia")
    (broken / "fp32.onnx").write_bytes(b"not a model")
    service = serve(MODELS_DIR=tmp_path / "models", RUNTIME="onnx")
    service.wait_for("ready")
    content = httpx.get(f"{service.url}/v1/models", timeout=PATIENCE_S).json()
    assert [model["name"] for model in content["models"]] == ["toy"]
    assert "fp32.onnx is not the file its card describes" in content["refused"]["zinnia"]
    assert service.lines("model refused")[0]["folder"] == "zinnia"
