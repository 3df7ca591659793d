"""Options and headers as they are read on the fast path."""

import pytest
from starlette.datastructures import Headers

from service.errors import InvalidOption
from service.rest.parameters import SegmentQuery, read_query, read_timeout


def test_an_empty_query_asks_for_the_defaults() -> None:
    assert read_query(b"") == SegmentQuery()


def test_values_are_read_as_what_they_are() -> None:
    query = read_query(b"score_threshold=0.1&max_instances=7&classes=a,b&classes=c&masks=none&model=m")
    assert (query.score_threshold, query.max_instances, query.masks, query.model) == (0.1, 7, "none", "m")
    assert query.classes == ["a,b", "c"]


@pytest.mark.parametrize("query", ["masks=rle&masks=none", "score_threshold=0.5&score_threshold=0.5"])
def test_a_single_value_that_is_given_twice_is_refused(query: str) -> None:
    with pytest.raises(InvalidOption, match=r"^(masks|score_threshold) is given 2 times, expected once$"):
        read_query(query.encode())


def test_every_fault_is_told() -> None:
    with pytest.raises(InvalidOption, match=r"score_threshold: .*; colour is not an option of this path"):
        read_query(b"score_threshold=high&colour=red")


@pytest.mark.parametrize(("text", "seconds"), [("2", 2.0), ("0.25", 0.25), ("1e3", 1000.0)])
def test_a_timeout_is_in_seconds(text: str, seconds: float) -> None:
    assert read_timeout(Headers({"X-Request-Timeout": text})) == seconds


def test_without_a_timeout_there_is_none() -> None:
    assert read_timeout(Headers({})) is None


@pytest.mark.parametrize("text", ["", "0", "-1", "nan", "inf", "soon", "1s"])
def test_a_timeout_that_cannot_be_waited_for_is_refused(text: str) -> None:
    with pytest.raises(InvalidOption, match=r"^x-request-timeout: "):
        read_timeout(Headers({"X-Request-Timeout": text}))
