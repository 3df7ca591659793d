"""Head tensors to Instances, one module per family of networks.

A family may be added or changed here without a look at backends, masks or transports.
"""

from collections.abc import Mapping
from typing import Protocol

from service.inference.card import CentersDecoder
from service.inference.decoding.centers import decode_centers
from service.types import Heads, Instances, Nms

__all__ = ["DECODERS", "Decode", "decode_centers"]


class Decode(Protocol):
    """Turns the heads of one image (float32 [1, h, w, C] each) into its instances, best first."""

    def __call__(
        self,
        heads: Heads,
        *,
        decoder: CentersDecoder,
        threshold: float,
        classes: frozenset[int] | None,
        nms: Nms = "class",
    ) -> Instances: ...


DECODERS: Mapping[str, Decode] = {"centers": decode_centers}
