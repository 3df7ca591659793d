"""The contract of every backend, and the parts that only one of them has."""

import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, cast

import ai_edge_litert
import ai_edge_litert.interpreter
import numpy as np
import onnxruntime
import pytest

from service.errors import BackendUnavailable
from service.inference.backends import Backend, BackendChoice, open_backend
from service.inference.backends.onnx import OnnxBackend
from service.inference.backends.tflite import TfliteBackend
from service.inference.card import read_card
from service.types import BackendInfo, Floats, Heads, Pixels

TOLERANCE = {"fp32": 1e-5, "int8": 0.04, "bf16": 0.05}
INFO = BackendInfo("fake", "1", "fp32", 1, (), ("CPU",))


def draw(count: int) -> Pixels:
    return np.random.default_rng(3).integers(0, 256, (count, 64, 96, 3), np.uint8)


def cell_means(pixels: Pixels) -> Floats:
    """The means of cells, from which the toy computes its heads: float [N, 16, 24, 3] in [0, 1]."""
    means: Floats = pixels.reshape(-1, 16, 4, 24, 4, 3).mean(axis=(2, 4)) / 255
    return means


def skip_without_openvino(precision: str) -> None:
    """Skip where the extra openvino is not installed, or this processor lacks the precision."""
    runtime = pytest.importorskip("openvino", reason="the extra openvino is not installed")
    if precision.upper() not in runtime.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        pytest.skip(f"this processor computes no {precision}")


def open_toy(folder: Path, choice: BackendChoice) -> Backend:
    return open_backend(folder, read_card(folder), choice)


@pytest.fixture(
    params=[
        "onnx fp32",
        "onnx fp32 batch 1",
        "tflite fp32",
        "tflite int8",
        "openvino fp32",
        "openvino fp32 batch 1",
        "openvino bf16",
    ]
)
def backend(request: Any, toy_folder: Path, write_toy: Any, static_toy_files: Any, tmp_path: Path) -> Backend:
    runtime, precision, *static = request.param.split(maxsplit=2)
    if runtime == "openvino":
        skip_without_openvino(precision)
    folder = write_toy(tmp_path / "static", files=static_toy_files) if static else toy_folder
    choice = BackendChoice(runtime=runtime, precision=precision, threads_alone=2, slots=2)
    return open_toy(folder, choice)


@pytest.mark.parametrize("count", [1, 3])
def test_the_heads_of_a_batch_are_those_of_its_pictures(backend: Backend, count: int) -> None:
    pixels = draw(count)
    heads, cells = backend.run(pixels), cell_means(pixels)
    tolerance = TOLERANCE[backend.describe().precision]
    np.testing.assert_allclose(heads["heatmap"], cells[..., :2], atol=tolerance)
    np.testing.assert_allclose(heads["spanning_set"][..., 0], cells[..., 2] - 0.5, atol=tolerance)
    np.testing.assert_allclose(
        heads["size"], np.broadcast_to([12, 8, 12, 8], (count, 16, 24, 4)), atol=tolerance
    )
    for head in heads.values():
        assert head.dtype == np.float32
        assert head.flags.c_contiguous


def test_the_heads_come_by_the_cards_names_in_its_order(backend: Backend) -> None:
    assert list(backend.run(draw(1))) == ["heatmap", "size", "coefficients", "spanning_set"]


@pytest.mark.parametrize("count", [1, 3])
def test_in_a_crowd_the_answer_is_the_same(backend: Backend, count: int) -> None:
    alone, crowded = backend.run(draw(count)), backend.run(draw(count), crowded=True)
    for name, head in alone.items():
        np.testing.assert_allclose(crowded[name], head, atol=1e-5)


@pytest.mark.parametrize("crowded", [True, False])
def test_many_threads_get_each_its_own_answer(backend: Backend, crowded: bool) -> None:
    pictures = [draw(1) // (1 + index) for index in range(24)]
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda picture: backend.run(picture, crowded=crowded), pictures))
    for picture, heads in zip(pictures, answers, strict=True):
        expected = cell_means(picture)[..., :2]
        np.testing.assert_allclose(heads["heatmap"], expected, atol=TOLERANCE[backend.describe().precision])


def test_an_answer_is_not_changed_by_the_next_one(backend: Backend) -> None:
    first = backend.run(draw(1))["heatmap"]
    kept = first.copy()
    for _ in range(3):
        backend.run(255 - draw(1))
    assert (first == kept).all()


class Recorder:
    """A runtime's module that records the threads of each session that it opens, and of each run."""

    def __init__(self, module: Any) -> None:
        self.module = module
        self.opened: list[int] = []
        self.spinning: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.module, name)

    def InferenceSession(self, model: bytes, settings: Any, **options: Any) -> Any:  # noqa: N802
        assert settings.get_session_config_entry("session.force_spinning_stop") == "1"
        self.opened.append(settings.intra_op_num_threads)
        self.spinning.append(settings.get_session_config_entry("session.intra_op.allow_spinning"))
        return self.module.InferenceSession(model, settings, **options)

    def Interpreter(self, *, num_threads: int, **options: Any) -> Any:  # noqa: N802
        self.opened.append(num_threads)
        return self.module.Interpreter(num_threads=num_threads, **options)


@pytest.mark.parametrize(
    ("runtime", "threads_alone", "opened"),
    [
        ("onnx", None, [1]),
        ("onnx", 1, [1]),
        ("onnx", 3, [1, 3]),
        ("tflite", None, [1, 1]),
        ("tflite", 3, [1, 1, 3]),
    ],
)
def test_as_many_are_opened_as_are_used(
    toy_folder: Path, monkeypatch: pytest.MonkeyPatch, runtime: Any, threads_alone: int, opened: list[int]
) -> None:
    name = {"onnx": "onnxruntime", "tflite": "ai_edge_litert.interpreter"}[runtime]
    recorder = Recorder(sys.modules[name])
    monkeypatch.setitem(sys.modules, name, recorder)
    open_toy(toy_folder, BackendChoice(runtime=runtime, threads_alone=threads_alone, slots=2))
    assert recorder.opened == opened


@pytest.mark.parametrize(("slots", "spinning"), [(1, ["1", "1"]), (2, ["0", "1"]), (4, ["0", "0"])])
def test_threads_spin_for_an_inference_that_shares_them_with_no_other(
    toy_folder: Path, monkeypatch: pytest.MonkeyPatch, slots: int, spinning: list[str]
) -> None:
    recorder = Recorder(sys.modules["onnxruntime"])
    monkeypatch.setitem(sys.modules, "onnxruntime", recorder)
    open_toy(toy_folder, BackendChoice(runtime="onnx", threads_alone=3, slots=slots))
    assert recorder.spinning == spinning


class Named:
    """A session or an interpreter that answers with its name."""

    def __init__(self, name: str) -> None:
        self.name = name

    def get_inputs(self) -> list[Any]:
        return [SimpleNamespace(name="pixels", shape=[1])]

    def run(self, *asked: Any) -> Any:
        answer = np.full((1, 1), ord(self.name), np.float32)
        return [answer] if len(asked) == 2 else {"head": answer}


def read_name(heads: Heads) -> str:
    return chr(int(heads["head"][0, 0]))


def test_a_crowd_runs_in_the_narrow_session_and_who_has_room_in_the_wide_one() -> None:
    narrow, wide = Named("n"), Named("w")
    backend = OnnxBackend(narrow, wide, outputs=("head",), info=INFO, threads_alone=2)
    assert read_name(backend.run(draw(1))) == "w"
    assert read_name(backend.run(draw(1), crowded=True)) == "n"
    assert (backend.describe().threads, backend.describe(crowded=True).threads) == (2, 1)


def test_who_finds_the_wide_interpreter_taken_does_with_a_narrow_one() -> None:
    wide: Any = Named("w")
    backend = TfliteBackend([cast("Any", Named("n"))], [wide], outputs=("head",), info=INFO, threads_alone=2)
    seen = []
    run = wide.run

    def run_while_another_comes(*asked: Any) -> Any:
        seen.append(read_name(backend.run(draw(1))))
        return run(*asked)

    wide.run = run_while_another_comes
    assert read_name(backend.run(draw(1))) == "w"
    assert seen == ["n"]
    assert read_name(backend.run(draw(1), crowded=True)) == "n"
    backend.close()


@pytest.mark.parametrize("runtime", ["onnx", "tflite", "openvino"])
@pytest.mark.parametrize(("threads_alone", "threads"), [(3, (3, 2)), (None, (2, 2)), (1, (2, 2))])
def test_the_threads_told_are_those_that_compute(
    toy_folder: Path, runtime: Any, threads_alone: int | None, threads: tuple[int, int]
) -> None:
    if runtime == "openvino":
        skip_without_openvino("fp32")
    backend = open_toy(toy_folder, BackendChoice(runtime=runtime, threads=2, threads_alone=threads_alone))
    assert (backend.describe().threads, backend.describe(crowded=True).threads) == threads


def test_closing_waits_for_nothing_when_nothing_runs(backend: Backend) -> None:
    backend.run(draw(1))
    backend.close()


def test_onnx_runtime_says_what_computes(toy_folder: Path) -> None:
    info = open_toy(toy_folder, BackendChoice(runtime="onnx", threads=2)).describe()
    assert (info.runtime, info.runtime_version) == ("onnxruntime", onnxruntime.__version__)
    assert (info.precision, info.threads) == ("fp32", 2)
    assert (info.asked, info.in_effect) == ((), ("CPUExecutionProvider",))


@pytest.mark.parametrize("name", ["cpu", "CPU", "CPUExecutionProvider"])
def test_a_provider_goes_by_its_short_and_its_long_name(toy_folder: Path, name: str) -> None:
    info = open_toy(toy_folder, BackendChoice(providers=(name,))).describe()
    assert info.asked == ("CPUExecutionProvider",)


def test_a_missing_provider_is_refused_with_what_there_is(toy_folder: Path) -> None:
    with pytest.raises(
        BackendUnavailable, match=r"no provider quantum here, available are .*CPUExecutionProvider"
    ):
        open_toy(toy_folder, BackendChoice(providers=("quantum", "cpu")))


def test_preferring_a_missing_provider_falls_back_and_tells(toy_folder: Path) -> None:
    backend = open_toy(toy_folder, BackendChoice(providers=("quantum",), fallback="prefer"))
    info = backend.describe()
    assert (info.asked, info.in_effect) == (("quantum",), ("CPUExecutionProvider",))
    np.testing.assert_allclose(backend.run(draw(1))["heatmap"], cell_means(draw(1))[..., :2], atol=1e-5)


def test_a_provider_that_computes_nothing_is_refused_or_left_out(toy_folder: Path) -> None:
    """Of the one for Azure, which comes with every package, no model makes use."""
    with pytest.raises(BackendUnavailable, match="AzureExecutionProvider can compute nothing of this model"):
        open_toy(toy_folder, BackendChoice(providers=("azure", "cpu")))
    info = open_toy(toy_folder, BackendChoice(providers=("azure",), fallback="prefer")).describe()
    assert (info.asked, info.in_effect) == (("AzureExecutionProvider",), ("CPUExecutionProvider",))
    info = open_toy(toy_folder, BackendChoice(providers=("cpu", "azure"))).describe()
    assert info.in_effect == ("CPUExecutionProvider",)


class BrokenProvider:
    """onnxruntime, as if it had been built with a provider whose driver is not there."""

    def __init__(self, *, silent: bool) -> None:
        self.silent = silent

    def __getattr__(self, name: str) -> Any:
        return getattr(onnxruntime, name)

    def get_available_providers(self) -> list[str]:
        return ["CUDAExecutionProvider", "CPUExecutionProvider"]

    def InferenceSession(self, model: bytes, settings: Any, *, providers: Any, enable_fallback: int) -> Any:  # noqa: N802
        assert not enable_fallback
        if not self.silent and providers[0][0].startswith("CUDA"):
            raise RuntimeError("libcudnn.so is not there")
        return onnxruntime.InferenceSession(model, settings, providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("silent", [True, False])
def test_a_provider_that_does_not_start_is_never_overlooked(
    toy_folder: Path, monkeypatch: pytest.MonkeyPatch, silent: bool
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", BrokenProvider(silent=silent))
    with pytest.raises(BackendUnavailable, match="CUDAExecutionProvider"):
        open_toy(toy_folder, BackendChoice(providers=("cuda",)))
    info = open_toy(toy_folder, BackendChoice(providers=("cuda",), fallback="prefer")).describe()
    assert (info.asked, info.in_effect) == (("CUDAExecutionProvider",), ("CPUExecutionProvider",))


class GpuSession:
    """A session on the processor that says it is on a GPU, and notes how many pictures it is given."""

    def __init__(self, session: Any, seen: list[int]) -> None:
        self.session = session
        self.seen = seen

    def __getattr__(self, name: str) -> Any:
        return getattr(self.session, name)

    def get_providers(self) -> list[str]:
        return ["CUDAExecutionProvider", "CPUExecutionProvider"]

    def get_provider_graph_assignment_info(self) -> list[Any]:
        return [SimpleNamespace(ep_name=name) for name in self.get_providers()]

    def run(self, outputs: Any, inputs: dict[str, Pixels]) -> Any:
        self.seen.append(len(inputs["pixels"]))
        return self.session.run(outputs, inputs)


class GpuRuntime(BrokenProvider):
    """onnxruntime with a CUDA provider that starts."""

    def __init__(self) -> None:
        super().__init__(silent=True)
        self.seen: list[int] = []

    def InferenceSession(self, *arguments: Any, **options: Any) -> Any:  # noqa: N802
        return GpuSession(super().InferenceSession(*arguments, **options), self.seen)


@pytest.mark.parametrize(("providers", "counts"), [(("cuda",), [1, 3, 3]), ((), [1, 1, 1, 1])])
def test_pictures_are_computed_together_only_on_a_device_that_gains(
    toy_folder: Path, monkeypatch: pytest.MonkeyPatch, providers: tuple[str, ...], counts: list[int]
) -> None:
    runtime = GpuRuntime()
    if not providers:
        monkeypatch.setattr(GpuSession, "get_providers", lambda self: ["CPUExecutionProvider"])
    monkeypatch.setitem(sys.modules, "onnxruntime", runtime)
    choice = BackendChoice(runtime="onnx", providers=providers, slots=3, batch=3, batch_wait_ms=10_000)
    backend = open_toy(toy_folder, choice)
    with ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(lambda value: backend.run(draw(1) // value, crowded=True), (1, 2, 3)))
    assert runtime.seen == counts
    for value, heads in zip((1, 2, 3), answers, strict=True):
        np.testing.assert_allclose(heads["heatmap"], cell_means(draw(1) // value)[..., :2], atol=1e-5)


def test_tflite_says_what_computes(toy_folder: Path) -> None:
    info = open_toy(toy_folder, BackendChoice(runtime="tflite", precision="int8")).describe()
    assert (info.runtime, info.runtime_version) == ("ai-edge-litert", ai_edge_litert.__version__)
    assert (info.precision, info.asked, info.in_effect) == ("int8", (), ("CPU",))


def test_where_litert_is_missing_tflite_runtime_computes(
    toy_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package, module = ModuleType("tflite_runtime"), ModuleType("tflite_runtime.interpreter")
    package.__version__ = "2.14.0"  # type: ignore[attr-defined]
    module.Interpreter = ai_edge_litert.interpreter.Interpreter  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    monkeypatch.setitem(sys.modules, "tflite_runtime", package)
    monkeypatch.setitem(sys.modules, "tflite_runtime.interpreter", module)
    info = open_toy(toy_folder, BackendChoice(runtime="tflite")).describe()
    assert (info.runtime, info.runtime_version) == ("tflite-runtime", "2.14.0")


def test_a_file_that_is_cut_while_it_serves_changes_nothing(toy_folder: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(toy_folder, tmp_path / "toy"))
    for runtime in ("onnx", "tflite"):
        backend = open_toy(folder, BackendChoice(runtime=runtime))
        (folder / f"fp32.{runtime}").write_bytes(b"")
        np.testing.assert_allclose(backend.run(draw(1))["heatmap"], cell_means(draw(1))[..., :2], atol=1e-5)
