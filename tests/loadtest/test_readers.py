import argparse

import pytest

from loadtest.readers import identities, list_of, number, whole


@pytest.mark.parametrize("text", ["", "x", "nan", "inf", "-1", "10.1", "1,5"])
def test_what_is_no_number_within_bounds_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="is not a number from 0 to 10"):
        number(0, 10)(text)


@pytest.mark.parametrize("text", ["", "x", "0", "11", "1.0", "-1", "+1", "²", "٣"])
def test_what_is_no_whole_number_within_bounds_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="is not a whole number from 1 to 10"):
        whole(1, 10)(text)


def test_bounds_are_included() -> None:
    assert (number(0, 10)("0"), number(0, 10)("1e1"), whole(1, 10)("10")) == (0, 10, 10)


@pytest.mark.parametrize("text", ["", "1,", ",1", "1 2", "1;2"])
def test_a_list_with_a_gap_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        list_of(whole(1, 10))(text)


@pytest.mark.parametrize("text", ["", "1-", "-3", "a-b", "1,,2"])
def test_what_are_no_ids_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        identities(text)
