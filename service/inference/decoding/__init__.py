"""One module per family of networks: head tensors to Instances."""

from collections.abc import Mapping
from typing import Protocol

from service.inference.card import CentersDecoder
from service.inference.decoding.centers import decode_centers
from service.types import Heads, Instances

__all__ = ["DECODERS", "Decode", "decode_centers"]


class Decode(Protocol):
    """Heads of one image (float32 [1, h, w, C] each) to its instances, best first."""

    def __call__(
        self,
        heads: Heads,
        *,
        decoder: CentersDecoder,
        threshold: float,
        classes: frozenset[int] | None,
    ) -> Instances: ...


DECODERS: Mapping[str, Decode] = {"centers": decode_centers}
