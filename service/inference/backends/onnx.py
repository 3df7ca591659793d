"""ONNX Runtime: one session with few threads for crowded times, and one with many for a few inferences.

Any number of inferences may run in a session at the same time. Where one inference has a session's threads
to itself, they wait for work by spinning, as work comes in pieces of microseconds; the spinning stops at the
end of the inference, while by default it would go on and take the cores from everybody else. Where several
inferences share the threads, the threads sleep instead: each spinning one would hold a core that another
needs. With all slots at work, one thread for each inference is cheaper still.

The second session costs 16 MB for the default model, 40 MB in fp32. Its kernels compute from packed weights,
which only ONNX Runtime's C interface can share between sessions; `add_initializer` shares the others, 2 MB.
One memory arena for both sessions (`session.use_env_allocators`) would save 10 MB, but it would keep the
memory of models that are long unloaded.
"""

import importlib
import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np

from service.errors import BackendUnavailable, InvalidCard
from service.inference.backends.base import BackendChoice, check_graph, split_options
from service.inference.card import Card
from service.types import BackendInfo, Heads, Pixels, Precision, count_few

Providers: TypeAlias = dict[str, dict[str, str]]  # options by name, the best first

_CPU = "CPUExecutionProvider"


def import_onnxruntime() -> Any:
    """The runtime's module; raises BackendUnavailable."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # for programs that use this package as a library
    try:
        return importlib.import_module("onnxruntime")
    except ImportError as error:
        raise BackendUnavailable(
            f"ONNX Runtime cannot be imported ({error}): install onnxruntime, or choose the runtime tflite"
        ) from error


class OnnxBackend:
    """A session for crowded times and one for few inferences, or one for both; a batch is free or 1."""

    def __init__(
        self, narrow: Any, wide: Any, *, outputs: tuple[str, ...], info: BackendInfo, threads_alone: int
    ) -> None:
        self._narrow = narrow
        self._wide = wide
        self._outputs = outputs
        self._info = info
        self._info_alone = info if wide is narrow else replace(info, threads=threads_alone)
        graph_input = narrow.get_inputs()[0]
        self._input: str = graph_input.name
        self._one_by_one = graph_input.shape[0] == 1

    def run(self, pixels: Pixels, *, crowded: bool = False) -> Heads:
        session = self._narrow if crowded else self._wide
        if not self._one_by_one or len(pixels) == 1:
            return self._compute(session, pixels)
        heads = [self._compute(session, pixels[index : index + 1]) for index in range(len(pixels))]
        return {name: np.concatenate([each[name] for each in heads]) for name in self._outputs}

    def describe(self, *, crowded: bool = False) -> BackendInfo:
        return self._info if crowded else self._info_alone

    def close(self) -> None:
        self._narrow = self._wide = None

    def _compute(self, session: Any, pixels: Pixels) -> Heads:
        values = session.run(self._outputs, {self._input: pixels})
        return {
            name: np.ascontiguousarray(head, np.float32)
            for name, head in zip(self._outputs, values, strict=True)
        }


def open_onnx(model: bytes, card: Card, *, precision: Precision, choice: BackendChoice) -> OnnxBackend:
    """The sessions over the model's bytes.

    Raises BackendUnavailable when the choice is strict and a provider asked for is not in effect, InvalidCard
    when the bytes are not the graph that the card describes.
    """
    runtime = import_onnxruntime()
    asked = _resolve_providers(choice, runtime.get_available_providers())
    session = _create_session(runtime, model, asked, choice, threads=choice.threads, sharers=choice.slots)
    in_effect = _find_in_effect(session)
    if choice.fallback == "strict":
        _refuse_loss(asked, session.get_providers(), in_effect)
    check_graph(
        card,
        inputs=[(each.type.removeprefix("tensor(").rstrip(")"), each.shape) for each in session.get_inputs()],
        outputs=[each.name for each in session.get_outputs()],
    )
    info = BackendInfo(
        runtime="onnxruntime",
        runtime_version=runtime.__version__,
        precision=precision,
        threads=choice.threads,
        asked=tuple(asked),
        in_effect=in_effect,
    )
    # On a GPU one session is enough, as the threads of the CPU do not compute.
    spread = in_effect == (_CPU,) and choice.widest > choice.threads
    wide = session
    if spread:
        sharers = count_few(choice.slots)
        wide = _create_session(runtime, model, {}, choice, threads=choice.widest, sharers=sharers)
    return OnnxBackend(session, wide, outputs=tuple(card.outputs), info=info, threads_alone=choice.widest)


def _resolve_providers(choice: BackendChoice, available: list[str]) -> Providers:
    """The providers asked for, by long name where this build has them, with their options."""
    long_names = {_shorten(name): name for name in available}
    asked = {}
    for text in choice.providers:
        name, options = split_options(text)
        if _shorten(name) not in long_names and choice.fallback == "strict":
            raise BackendUnavailable(
                f"ONNX Runtime has no provider {name} here, available are {', '.join(available)}: "
                "install the onnxruntime package that brings it, or allow the fallback with `prefer`"
            )
        asked[long_names.get(_shorten(name), name)] = options
    return asked


def _find_in_effect(session: Any) -> tuple[str, ...]:
    """The providers that compute something, best first; before ONNX Runtime 1.24, all that have started."""
    started = tuple(session.get_providers())
    tell = getattr(session, "get_provider_graph_assignment_info", None)
    busy = {part.ep_name for part in tell()} if tell else set()
    return tuple(name for name in started if name in busy) or started


def _refuse_loss(asked: Providers, started: Sequence[str], in_effect: tuple[str, ...]) -> None:
    """Raises BackendUnavailable when a provider asked for did not start, or computes nothing of the model.

    A provider that has no work because a better one takes all of it is not lost.
    """
    if lost := [name for name in asked if name not in started]:
        raise BackendUnavailable(
            f"ONNX Runtime could not start {', '.join(lost)}, in effect are {', '.join(in_effect)}: "
            "check its drivers and libraries, or allow the fallback with `prefer`"
        )
    if idle := [name for name in started[: started.index(in_effect[0])] if name in asked]:
        raise BackendUnavailable(
            f"{', '.join(idle)} can compute nothing of this model, in effect are {', '.join(in_effect)}: "
            "do not ask for it, or allow the fallback with `prefer`"
        )


def find_devices(runtime: Any, choice: BackendChoice) -> set[str]:
    """The providers asked for that this build of the runtime has, other than the CPU, by short name."""
    asked = {_shorten(split_options(text)[0]) for text in choice.providers}
    return asked.intersection(map(_shorten, runtime.get_available_providers())) - {_shorten(_CPU)}


def _shorten(provider: str) -> str:
    return provider.lower().removesuffix("executionprovider")


def _create_session(
    runtime: Any, model: bytes, asked: Providers, choice: BackendChoice, *, threads: int, sharers: int
) -> Any:
    """A session with these providers; `sharers` inferences may run in it at the same time."""
    available = runtime.get_available_providers()
    providers = [(name, options) for name, options in asked.items() if name in available] or [(_CPU, {})]
    settings = runtime.SessionOptions()
    settings.intra_op_num_threads = threads
    settings.add_session_config_entry("session.intra_op.allow_spinning", "1" if sharers == 1 else "0")
    settings.add_session_config_entry("session.force_spinning_stop", "1")
    settings.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    settings.inter_op_num_threads = 1
    settings.execution_mode = runtime.ExecutionMode.ORT_SEQUENTIAL
    settings.log_severity_level = 3  # `describe` shows what the warnings would say
    try:
        # With its own fallback a session would print a note and continue with other providers.
        return runtime.InferenceSession(model, settings, providers=providers, enable_fallback=0)
    except Exception as error:  # its bindings raise a dozen classes that have only this base in common
        if not asked:
            raise InvalidCard(f"ONNX Runtime {runtime.__version__} cannot load the model: {error}") from error
        if choice.fallback == "strict":
            raise BackendUnavailable(f"ONNX Runtime cannot start {', '.join(asked)}: {error}") from error
        return _create_session(runtime, model, {}, choice, threads=threads, sharers=sharers)
