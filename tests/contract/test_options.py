"""Every option that a client sets reaches the service over both transports as it was set."""

from dataclasses import fields
from urllib.parse import urlencode

import pytest

from service.client.json_convert import options_to_query
from service.client.proto_convert import options_to_proto
from service.rest.parameters import query_to_options, read_query
from service.rpc.messages import options_from_proto
from service.types import Options

OPTIONS = [
    Options(),
    Options(0.1, 7, ("cat", "traffic light"), "polygon", exact=True, nms="all"),
    Options(1.0, 1, ("é",), "none", exact=False, nms="class"),
    Options(masks="contour", tolerance=2.5, tiles=4),
    Options(tiles="auto"),
]


@pytest.mark.parametrize("options", OPTIONS)
def test_options_arrive_as_they_were_asked(options: Options) -> None:
    query = urlencode(options_to_query(options, model=None, version=None)).encode()
    assert query_to_options(read_query(query)) == options
    assert options_from_proto(options_to_proto(options, model=None, version=None)) == options


def test_every_option_is_tried_with_a_value_of_its_own() -> None:
    for field in fields(Options):
        assert len({getattr(options, field.name) for options in OPTIONS}) > 1, field.name
