"""The model as its users see it, wherever it computes."""

from collections.abc import Sequence
from typing import Protocol

from service.inference.backends.base import Backend
from service.inference.card import Card
from service.inference.detections import Findings
from service.inference.images import Limits
from service.inference.views import ALONE, Share
from service.types import Options, Pixels, Segmentation


class Model(Protocol):
    """A `Segmenter`, or its description in a process whose models are elsewhere.

    A description becomes the `Segmenter` when a compute process unpickles it: only there it can segment.
    """

    @property
    def card(self) -> Card: ...
    @property
    def backend(self) -> Backend: ...
    @property
    def limits(self) -> Limits: ...
    def segment(self, data: bytes, options: Options, *, crowded: bool = False) -> Segmentation: ...
    def segment_pixels(self, pixels: Pixels, options: Options, *, crowded: bool = False) -> Segmentation: ...
    def search(
        self, data: bytes, options: Options, share: Share = ALONE, *, crowded: bool = False
    ) -> Findings: ...
    def join(self, shares: Sequence[Findings], options: Options) -> Segmentation: ...
    def close(self) -> None: ...
