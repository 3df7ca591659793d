from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from loadtest.measurement.fake_server import GOOD_JSON, FakeServer, Reply, running
from loadtest.measurement.server_info import list_models, probe, read_served, scrape
from loadtest.measurement.server_process import serving
from loadtest.types import OK, Answer, CannotRun, Photo, Target

REST = Target("rest", "127.0.0.1", 1)


async def test_both_transports_tell_what_answers(fake: FakeServer, photo: Photo) -> None:
    over_rest, answers = await probe(Target("rest", "127.0.0.1", fake.port), [photo])
    over_grpc, _ = await probe(Target("grpc", "127.0.0.1", fake.grpc_port), [photo])

    assert over_rest == over_grpc
    assert answers == (GOOD_JSON,)
    assert (over_rest.model, over_rest.version, over_rest.runtime) == ("fake", "1", "onnx")


async def test_a_refusal_is_quoted_in_one_line(fake: FakeServer, photo: Photo) -> None:
    fake.script = lambda _: Reply(400, b'{"title": "t", "detail": "the image is truncated"}')
    with pytest.raises(CannotRun, match=r"cat\.jpg: http 400: the image is truncated"):
        await probe(Target("rest", "127.0.0.1", fake.port), [photo])


async def test_a_later_photo_of_the_mix_may_be_the_bad_one(fake: FakeServer, photo: Photo) -> None:
    fake.script = lambda number: Reply(body=b"{}") if number == 0 else Reply(400, b"[1]")
    bad = Photo("bad.png", "image/png", b"")
    with pytest.raises(CannotRun, match=r"bad\.png"):
        await probe(Target("rest", "127.0.0.1", fake.port), [photo, bad])


@pytest.mark.parametrize("transport", ["rest", "grpc"])
async def test_an_absent_server_is_reported_in_one_line(photo: Photo, transport: str) -> None:
    with running(FakeServer()) as server:
        port = {"rest": server.port, "grpc": server.grpc_port}[transport]
    target = Target("grpc" if transport == "grpc" else "rest", "127.0.0.1", port)
    with pytest.raises(CannotRun, match="is the server running") as refusal:
        await probe(target, [photo])
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b"null", b'{"image": 1}', b'{"image": {}, "instances": 3}']
)
def test_json_that_is_no_segmentation_is_refused(body: bytes) -> None:
    with pytest.raises(CannotRun, match="is it the right server"):
        read_served(REST, Answer(OK, body))


def test_a_server_that_does_not_say_what_it_is_can_be_measured() -> None:
    served = read_served(REST, Answer(OK, b'{"image": {"height": 1, "width": 1}, "instances": [{"a": 1}]}'))
    assert served.model is None


async def test_a_server_lists_the_same_models_over_both_transports(models: Path) -> None:
    with serving(models) as server:
        assert await list_models(Target("rest", "127.0.0.1", server.http_port)) == ("fake",)
        assert await list_models(Target("grpc", "127.0.0.1", server.grpc_port)) == ("fake",)


async def test_versions_of_a_model_share_its_name_and_the_default_is_the_first(fake: FakeServer) -> None:
    names = ", ".join(f'{{"name": "{name}", "version": "1"}}' for name in ("b", "a", "b"))
    fake.script = lambda _: Reply(body=f'{{"models": [{names}], "refused": {{}}}}'.encode())
    assert await list_models(Target("rest", "127.0.0.1", fake.port)) == ("b", "a")


async def test_a_server_that_lists_none_is_reported_in_one_line(fake: FakeServer) -> None:
    for target in (
        Target("rest", "127.0.0.1", fake.port),
        Target("rest", "127.0.0.1", 1),
        Target("grpc", "127.0.0.1", fake.grpc_port),
    ):
        with pytest.raises(CannotRun, match="does not list its models: give --model"):
            await list_models(target)


PAGE = b"""# TYPE blitzmask_requests counter
blitzmask_requests_total{transport="rest",outcome="ok"} 7
blitzmask_requests_created 1.7e9
# TYPE blitzmask_stage_seconds histogram
blitzmask_stage_seconds_bucket{le="+Inf"} 7
blitzmask_stage_seconds_count 7
blitzmask_stage_seconds_sum 0.5
# TYPE blitzmask_slots gauge
blitzmask_slots 2
# TYPE process_cpu_seconds counter
process_cpu_seconds_total 9
"""


class Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/metrics" else 404)
        self.end_headers()
        self.wfile.write(PAGE)

    def log_request(self, code: object = "-", size: object = "-") -> None:
        pass


async def test_counters_are_read_from_the_page_and_absent_pages_have_none() -> None:
    with HTTPServer(("127.0.0.1", 0), Page) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        found, absent = await scrape(f"{url}/metrics"), await scrape(f"{url}/else")
        server.shutdown()
    assert found == {
        'blitzmask_requests_total{outcome="ok",transport="rest"}': 7,
        "blitzmask_stage_seconds_count": 7,
        "blitzmask_stage_seconds_sum": 0.5,
    }
    assert absent == {}


async def test_nobody_listening_and_nonsense_give_no_counters() -> None:
    assert await scrape("http://127.0.0.1:1/metrics") == {}
    assert await scrape("nonsense") == {}
