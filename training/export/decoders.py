"""The part of a card that depends on the network: its decoder, its labels' channels and its text.

| network | decoder of the service |
|---|---|
| BlitzMask | `centers` |
| YOLACT, mobileYOLACT | `prototypes`, with the background in channel 0 |
| CSR + D2S | `queries`, without boxes: a box is the extent of its mask |
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

from service.inference.card import Label
from service.inference.families import CentersDecoder, Decoder, PrototypesDecoder, QueriesDecoder
from training.networks.blitzmask import STRIDE, Architecture
from training.networks.csr import CsrArchitecture
from training.networks.families import AnyArchitecture
from training.networks.yolact import YolactArchitecture

CONTAINMENT = 0.25  # see service.inference.decoding.centers; measured in training/RESULTS.md
OVERLAP = 0.6  # large objects often have two peaks


@dataclass(frozen=True, slots=True)
class Description:
    """The fields of a card that follow from an architecture; labels: with their channels."""

    schema_version: Literal[1, 2]
    network: str
    decoder: Decoder
    labels: tuple[Label, ...]


def describe_architecture(
    architecture: AnyArchitecture, labels: tuple[Label, ...], score_threshold: float
) -> Description:
    """The description of a network that knows these labels, in this order."""
    return _DESCRIBERS[architecture.network](architecture, labels, score_threshold)


def _describe_blitzmask(
    architecture: Architecture, labels: tuple[Label, ...], score_threshold: float
) -> Description:
    decoder = CentersDecoder(
        stride=STRIDE,
        coefficients=architecture.coefficients if architecture.masks else 0,
        score_threshold=score_threshold,
        containment=CONTAINMENT if architecture.masks else 0,
        overlap=OVERLAP,
    )
    text = f"blitzmask {architecture.backbone} neck {architecture.neck_channels}"
    return Description(1, text, decoder, labels)


def _describe_yolact(
    architecture: YolactArchitecture, labels: tuple[Label, ...], score_threshold: float
) -> Description:
    decoder = PrototypesDecoder(score_threshold=score_threshold, coefficients=architecture.prototypes)
    text = f"{architecture.title.lower()} {architecture.backbone} neck {architecture.neck_channels}"
    after_background = tuple(
        label.model_copy(update={"channel": channel}) for channel, label in enumerate(labels, 1)
    )
    return Description(2, text, decoder, after_background)


def _describe_csr(
    architecture: CsrArchitecture, labels: tuple[Label, ...], score_threshold: float
) -> Description:
    decoder = QueriesDecoder(score_threshold=score_threshold, scores="scores", boxes=None)
    return Description(2, f"csr-d2s {architecture.backbone} csr {architecture.csr_channels}", decoder, labels)


_DESCRIBERS: Mapping[str, Callable[[Any, tuple[Label, ...], float], Description]] = MappingProxyType(
    {"blitzmask": _describe_blitzmask, "yolact": _describe_yolact, "csr": _describe_csr}
)
