"""Tensors as the protocol writes them: a datatype's name, a shape, elements row by row."""

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from service.errors import InvalidOption

Array: TypeAlias = npt.NDArray[Any]
Shape: TypeAlias = tuple[int, ...]

FREE = -1  # an extent of 1 or more
BYTES = "BYTES"
DTYPES: dict[str, np.dtype[Any]] = {
    "UINT8": np.dtype("u1"),
    "INT64": np.dtype("<i8"),
    "FP32": np.dtype("<f4"),
    BYTES: np.dtype(object),
}
LENGTH = struct.Struct("<I")  # in front of each element of BYTES


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """A model's input or output by name, datatype and shape; an extent may be FREE."""

    name: str
    datatype: str
    shape: Shape


@dataclass(frozen=True, slots=True, eq=False)
class Tensor:
    """An output: elements of the datatype's dtype; those of BYTES are `bytes`."""

    name: str
    datatype: str
    array: Array


@dataclass(frozen=True, slots=True, eq=False)
class Offered:
    """An input as it arrived: `raw` as it lies in memory, or `values` one by one, nested or not.

    Values of BYTES are `bytes`.
    """

    name: str
    datatype: str
    shape: Shape
    raw: bytes | memoryview | None = None
    values: Sequence[object] | None = None


def detach(offered: Offered) -> Offered:
    """The same input without a view into the message that it came in, so that it can travel."""
    raw = None if offered.raw is None else bytes(offered.raw)
    return replace(offered, raw=raw, values=None if offered.values is None else list(offered.values))


def check_tensor(spec: TensorSpec, offered: Offered) -> None:
    """Raises InvalidOption unless datatype and shape are what `spec` says; looks at no element."""
    if offered.datatype != spec.datatype:
        raise InvalidOption(
            f"input {spec.name} has datatype {offered.datatype:.20}, expected {spec.datatype}"
        )
    fits = len(offered.shape) == len(spec.shape) and all(
        extent > 0 if wanted == FREE else extent == wanted
        for extent, wanted in zip(offered.shape, spec.shape, strict=True)
    )
    if not fits:
        expected = (
            f"{list(spec.shape)}, -1 standing for 1 or more" if FREE in spec.shape else list(spec.shape)
        )
        raise InvalidOption(f"input {spec.name} has shape {list(offered.shape[:8])}, expected {expected}")


def read_tensor(offered: Offered) -> Array:
    """The elements of an input that has been checked, in its shape; raises InvalidOption."""
    if offered.raw is not None:
        return _split_bytes(offered) if offered.datatype == BYTES else _view(offered)
    if offered.values is None:
        raise InvalidOption(f"input {offered.name} has no data")
    return _collect_bytes(offered) if offered.datatype == BYTES else _convert(offered)


def write_tensor(tensor: Tensor) -> bytes:
    """The elements as they lie in memory.

    >>> write_tensor(Tensor("labels", BYTES, np.array([b"cat"], object)))
    b'\\x03\\x00\\x00\\x00cat'
    """
    if tensor.datatype == BYTES:
        return b"".join(LENGTH.pack(len(element)) + element for element in tensor.array.flat)
    return tensor.array.astype(DTYPES[tensor.datatype], copy=False).tobytes()


def _view(offered: Offered) -> Array:
    assert offered.raw is not None
    dtype = DTYPES[offered.datatype]
    found, expected = len(offered.raw), math.prod(offered.shape) * dtype.itemsize
    if found != expected:
        raise InvalidOption(
            f"input {offered.name} has {found} bytes, its shape {list(offered.shape)} has {expected}"
        )
    return np.frombuffer(offered.raw, dtype).reshape(offered.shape)


def _split_bytes(offered: Offered) -> Array:
    """Elements of BYTES, each after its length."""
    assert offered.raw is not None
    elements: list[bytes] = []
    rest = memoryview(offered.raw)
    while rest and len(elements) <= math.prod(offered.shape):  # no more work than the shape is worth
        head, rest = rest[: LENGTH.size], rest[LENGTH.size :]
        length = int.from_bytes(head, "little")
        if len(head) < LENGTH.size or length > len(rest):
            raise InvalidOption(
                f"input {offered.name} is cut short: each element is its length in 4 bytes, little-endian, "
                "and then its bytes"
            )
        elements.append(bytes(rest[:length]))
        rest = rest[length:]
    return _pack(elements, offered)


def _collect_bytes(offered: Offered) -> Array:
    """Elements of BYTES one by one."""
    assert offered.values is not None
    _check_count(len(offered.values), offered)
    if not all(isinstance(value, bytes) for value in offered.values):
        raise InvalidOption(f"input {offered.name} has an element that is not binary")
    return _pack(list(offered.values), offered)


def _convert(offered: Offered) -> Array:
    """Whole numbers one by one, nested or flat."""
    dtype = DTYPES[offered.datatype]
    limits = np.iinfo(dtype)
    try:
        values = np.array(offered.values, object).ravel()  # as they are: numpy would round, and read texts
        whole = values.astype(np.int64) if set(map(type, values)) == {int} else np.array([], np.int64)
    except (ValueError, OverflowError):  # nested unevenly, or beyond 64 bits
        whole = np.array([], np.int64)
    if not whole.size or whole.min() < limits.min or whole.max() > limits.max:
        raise InvalidOption(
            f"input {offered.name} has elements that are no {offered.datatype}, "
            f"a whole number from {limits.min} to {limits.max}, or it is nested unevenly"
        )
    _check_count(whole.size, offered)
    return whole.astype(dtype).reshape(offered.shape)


def _pack(elements: list[Any], offered: Offered) -> Array:
    _check_count(len(elements), offered)
    array = np.empty(len(elements), object)
    array[:] = elements
    return array.reshape(offered.shape)


def _check_count(count: int, offered: Offered) -> None:
    expected = math.prod(offered.shape)
    if count != expected:
        raise InvalidOption(
            f"input {offered.name} has {count} elements, its shape {list(offered.shape)} has {expected}"
        )
