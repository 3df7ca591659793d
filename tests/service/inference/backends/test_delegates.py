"""Delegates that take all, some or none of a graph's operators; that of delegate.c takes as many as asked."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from service.errors import BackendUnavailable
from service.inference.backends import Backend, BackendChoice, open_backend
from service.inference.card import read_card

ALL = 1000


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> str:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler to build a delegate with")
    built = tmp_path_factory.mktemp("delegate") / "delegate.so"
    source = Path(__file__).with_name("delegate.c")
    command = [compiler, "-shared", "-fPIC", "-o", str(built), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if "No such file" in done.stderr:
        pytest.skip("there are no C headers to build a delegate with")
    assert done.returncode == 0, done.stderr
    return str(built)


def open_toy(folder: Path, delegates: tuple[str, ...], fallback: Any = "strict") -> Backend:
    choice = BackendChoice(runtime="tflite", delegates=delegates, fallback=fallback, slots=2, threads_alone=3)
    return open_backend(folder, read_card(folder), choice)


@pytest.mark.parametrize(("take", "left"), [(1, ("CPU",)), (3, ("CPU",)), (ALL, ())])
def test_what_a_delegate_leaves_the_cpu_computes(
    toy_folder: Path, library: str, take: int, left: tuple[str, ...]
) -> None:
    delegates = (f"{library};take={take}",)
    info = open_toy(toy_folder, delegates).describe()
    assert (info.asked, info.in_effect) == (delegates, delegates + left)


def test_a_delegate_that_takes_nothing_is_refused_or_left_out(toy_folder: Path, library: str) -> None:
    with pytest.raises(BackendUnavailable, match=r"delegate\.so take none of the model's operators"):
        open_toy(toy_folder, (library,))
    info = open_toy(toy_folder, (library,), "prefer").describe()
    assert (info.asked, info.in_effect, info.threads) == ((library,), ("CPU",), 3)


@pytest.mark.parametrize("takes", [(0, 2), (2, 0)])
def test_of_two_delegates_the_one_that_takes_nothing_is_found(
    toy_folder: Path, library: str, takes: tuple[int, int]
) -> None:
    delegates = tuple(f"{library};take={take}" for take in takes)
    with pytest.raises(BackendUnavailable, match=r"delegates [^ ]*delegate\.so;take=0 take none"):
        open_toy(toy_folder, delegates)
    info = open_toy(toy_folder, delegates, "prefer").describe()
    assert (info.asked, info.in_effect) == (delegates, (f"{library};take=2", "CPU"))


@pytest.mark.parametrize("path", ["libmissing.so;device=usb", sys.modules["_ctypes"].__file__])
def test_what_is_no_delegate_is_refused_or_reported(toy_folder: Path, path: str) -> None:
    with pytest.raises(BackendUnavailable, match=r"\.so.*cannot start"):
        open_toy(toy_folder, (path,))
    info = open_toy(toy_folder, (path,), "prefer").describe()
    assert (info.asked, info.in_effect) == ((path,), ("CPU",))
