"""TFLite delegates: libraries that take operators of a graph off the CPU; which they took, the graph tells.

In it, what a delegate took is one operator DELEGATE, beside those that it stands for. A runtime adds its own,
XNNPACK, when it allocates the tensors: look before.
"""

import ctypes
from collections.abc import Callable
from typing import Any

from service.inference.backends.base import split_options

_SYMBOLS = ("tflite_plugin_create_delegate", "tflite_plugin_destroy_delegate")
_TAKEN = "DELEGATE"


def load_delegate(runtime: Any, text: str) -> Any:
    """A delegate by path and options; raises OSError where there is no such library, and what it raises."""
    path, options = split_options(text)
    library = ctypes.pydll.LoadLibrary(
        path
    )  # the runtime, where it fails at this, leaves a traceback on stderr
    if missing := [symbol for symbol in _SYMBOLS if not hasattr(library, symbol)]:
        raise OSError(f"{path} is no TFLite delegate: it has no {missing[0]}")
    return runtime.load_delegate(path, options)


def find_idle(
    delegates: tuple[str, ...], native: Any, create: Callable[[tuple[str, ...]], Any]
) -> tuple[str, ...]:
    """The delegates that took no operator of the interpreter that has them all; `create` makes others."""
    natives = [*(create(delegates[:count]) for count in range(1, len(delegates))), native]
    counts = [0, *(_count_parts(each) for each in natives)]
    steps = zip(delegates, counts, counts[1:], strict=False)
    return tuple(delegate for delegate, before, after in steps if after == before)


def count_left(native: Any) -> int:
    """How many operators no delegate took."""
    operators = native._get_ops_details()
    own = {operator["index"]: operator for operator in operators if operator["op_name"] != _TAKEN}
    makers = {tensor: operator for operator in own.values() for tensor in operator["outputs"]}
    for part in operators:
        if part["op_name"] == _TAKEN:
            given, wanted = set(part["inputs"]), list(part["outputs"])
            while wanted:
                tensor = wanted.pop()
                if tensor in makers and tensor not in given and own.pop(makers[tensor]["index"], None):
                    wanted.extend(makers[tensor]["inputs"])
    return len(own)


def _count_parts(native: Any) -> int:
    return sum(operator["op_name"] == _TAKEN for operator in native._get_ops_details())
