"""Elements on their way in and out."""

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import InvalidOption
from service.oip.tensors import (
    BYTES,
    FREE,
    Offered,
    Tensor,
    TensorSpec,
    check_tensor,
    read_tensor,
    write_tensor,
)

IMAGE = TensorSpec("image", BYTES, (1,))
PIXELS = TensorSpec("pixels", "UINT8", (FREE, 2, 3))


def texts(*elements: bytes) -> np.ndarray[tuple[int], np.dtype[np.object_]]:
    return np.array(elements, object)


@given(st.lists(st.binary(max_size=40), max_size=6))
def test_bytes_come_back_as_they_went(elements: list[bytes]) -> None:
    raw = write_tensor(Tensor("image", BYTES, texts(*elements)))
    assert read_tensor(Offered("image", BYTES, (len(elements),), raw)).tolist() == elements


@given(st.integers(1, 4), st.data())
def test_pixels_come_back_as_they_went(count: int, data: st.DataObject) -> None:
    raw = data.draw(st.binary(min_size=6 * count, max_size=6 * count))
    pixels = read_tensor(Offered("pixels", "UINT8", (count, 2, 3), raw))
    assert pixels.shape == (count, 2, 3)
    assert write_tensor(Tensor("pixels", "UINT8", pixels)) == raw


def test_outputs_are_little_endian_whatever_the_array() -> None:
    swapped = np.array([1.5, -2], ">f4")
    assert write_tensor(Tensor("scores", "FP32", swapped)) == struct.pack("<2f", 1.5, -2)
    assert write_tensor(Tensor("areas", "INT64", np.array([7], np.int32))) == struct.pack("<q", 7)


def test_a_view_with_gaps_is_written_without_them() -> None:
    assert write_tensor(Tensor("scores", "FP32", np.arange(6, dtype=np.float32)[::2])) == struct.pack(
        "<3f", 0, 2, 4
    )


@pytest.mark.parametrize("values", [[1, 2, 3, 4, 5, 6], [[[1, 2, 3], [4, 5, 6]]]])
def test_numbers_may_be_nested_or_not(values: list[object]) -> None:
    pixels = read_tensor(Offered("pixels", "UINT8", (1, 2, 3), values=values))
    assert pixels.dtype == np.uint8
    assert pixels.tolist() == [[[1, 2, 3], [4, 5, 6]]]


def test_an_element_is_binary() -> None:
    assert read_tensor(Offered("image", BYTES, (1,), values=[b"\xff\x00"])).item() == b"\xff\x00"


@pytest.mark.parametrize(
    "values",
    [
        [],
        [1, 2, 3],
        [1, 2, 3, 4, 5, 256],
        [1, 2, 3, 4, 5, -1],
        [1, 2, 3, 4, 5, 6.5],
        [1, 2, 3, 4, 5, "6"],
        [1, 2, 3, 4, 5, None],
        [1, 2, 3, 4, 5, 2**80],
        [True] * 6,
        [[1, 2, 3], [4, 5]],
        [{"a": 1}] * 6,
    ],
)
def test_numbers_that_are_no_pixels_are_refused(values: list[object]) -> None:
    with pytest.raises(InvalidOption, match="pixels"):
        read_tensor(Offered("pixels", "UINT8", (1, 2, 3), values=values))


def test_nesting_without_end_is_refused() -> None:
    deep: list[object] = [1]
    for _ in range(200):
        deep = [deep]
    with pytest.raises(InvalidOption, match="pixels"):
        read_tensor(Offered("pixels", "UINT8", (1, 1, 1), values=deep))


def test_texts_among_numbers_cost_nothing() -> None:
    """As an array of texts, each element would be as long as the longest."""
    with pytest.raises(InvalidOption, match="pixels"):
        read_tensor(Offered("pixels", "UINT8", (1, 2, 3), values=["x" * 10_000_000, *[1] * 100_000]))


def test_more_elements_than_the_shape_has_are_not_looked_at() -> None:
    with pytest.raises(InvalidOption, match="2 elements"):
        read_tensor(Offered("image", BYTES, (1,), bytes(4) + bytes(4) + b"\xff" * 4))


@pytest.mark.parametrize("raw", [b"", b"12345", b"1234567"])
def test_raw_pixels_fill_their_shape(raw: bytes) -> None:
    with pytest.raises(InvalidOption, match=f"{len(raw)} bytes"):
        read_tensor(Offered("pixels", "UINT8", (1, 2, 3), raw))


@pytest.mark.parametrize(
    "raw", [b"\x01", b"\x02\0\0\0a", b"\xff\xff\xff\xffabc", b"\x01\0\0\0a\x01\0\0"], ids=repr
)
def test_bytes_that_end_too_early_are_refused(raw: bytes) -> None:
    with pytest.raises(InvalidOption, match="cut short"):
        read_tensor(Offered("image", BYTES, (1,), raw))


@pytest.mark.parametrize("raw", [b"", bytes(8)])
def test_the_number_of_elements_is_that_of_the_shape(raw: bytes) -> None:
    with pytest.raises(InvalidOption, match="elements"):
        read_tensor(Offered("image", BYTES, (1,), raw))


@pytest.mark.parametrize("value", ["text", 5, None, [b"a"]])
def test_elements_that_are_not_binary_are_refused(value: object) -> None:
    with pytest.raises(InvalidOption, match="not binary"):
        read_tensor(Offered("image", BYTES, (1,), values=[value]))


def test_an_input_without_data_is_refused() -> None:
    with pytest.raises(InvalidOption, match="no data"):
        read_tensor(Offered("image", BYTES, (1,)))


@pytest.mark.parametrize("shape", [(1, 2, 3), (900, 2, 3)])
def test_a_free_extent_takes_any_number(shape: tuple[int, ...]) -> None:
    check_tensor(PIXELS, Offered("pixels", "UINT8", shape))


@pytest.mark.parametrize("shape", [(), (1,), (0, 2, 3), (-1, 2, 3), (1, 2, 4), (2, 3), (1, 1, 2, 3)])
def test_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InvalidOption, match="expected"):
        check_tensor(PIXELS, Offered("pixels", "UINT8", shape))


def test_another_datatype_is_refused() -> None:
    with pytest.raises(InvalidOption, match="input image has datatype FP32, expected BYTES"):
        check_tensor(IMAGE, Offered("image", "FP32", (1,)))
