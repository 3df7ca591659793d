from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from loadtest.metrics import read_counters, scrape, subtract

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


def test_a_page_that_is_not_prometheus_is_refused_by_its_parser() -> None:
    with pytest.raises(ValueError, match=r"."):
        read_counters("<html>a page</html>{")


def test_only_what_grew_is_left() -> None:
    assert subtract({"a": 5, "b": 1}, {"a": 7.5, "b": 1, "new": 2}) == {"a": 2.5, "new": 2}
