import io

import pytest

from service.process.greeting import describe_start, greet
from service.settings import Settings


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("host", "shown"),
    [
        ("127.0.0.1", "localhost"),
        ("0.0.0.0", "localhost"),
        ("::", "localhost"),
        ("192.168.1.5", "192.168.1.5"),
        ("fe80::1", "[fe80::1]"),
    ],
)
def test_a_start_shows_where_the_page_and_the_ports_are(host: str, shown: str) -> None:
    text = describe_start(Settings(host=host), (8000, 8001), ["toy 2", "toy 1"])
    assert f"  page    http://{shown}:8000\n" in text
    assert f"  gRPC    {shown}:8001\n" in text
    assert "  models  toy 2, toy 1\n" in text


def test_only_a_service_of_this_machine_alone_says_how_to_open_it() -> None:
    assert "--host 0.0.0.0" in describe_start(Settings(), (8000, 8001), ["toy 1"])
    assert "--host" not in describe_start(Settings(host="0.0.0.0"), (8000, 8001), ["toy 1"])


def test_a_pipe_and_a_log_of_json_get_no_greeting() -> None:
    for stream, settings in ((io.StringIO(), Settings()), (Terminal(), Settings(log_format="json"))):
        greet(settings, (8000, 8001), ["toy 1"], stream)
        assert stream.getvalue() == ""
    terminal = Terminal()
    greet(Settings(), (8000, 8001), ["toy 1"], terminal)
    assert "is ready" in terminal.getvalue()
