"""Head tensors to Instances, one module per family of networks.

A family may be added or changed here without a look at backends, masks or transports: its card class goes
into `service.inference.families`, its function into a module here and, under the same name, into DECODERS.
"""

from collections.abc import Mapping
from typing import Any, Protocol

from service.inference.decoding.boxes_masks import decode_boxes_masks
from service.inference.decoding.centers import decode_centers
from service.inference.decoding.kernels import decode_kernels
from service.inference.decoding.mask_list import decode_mask_list
from service.inference.decoding.prototypes import decode_prototypes
from service.inference.decoding.queries import decode_queries
from service.inference.decoding.rows import decode_rows
from service.inference.decoding.selection import Criteria
from service.inference.decoding.yolo import decode_yolo
from service.types import Heads, Instances

__all__ = ["DECODERS", "Criteria", "Decode"]


class Decode(Protocol):
    """Turns the heads of one image (float32, the first axis is 1) into its instances, best first.

    decoder: the part of the card, an object of the family's own class.
    Not more than `decoder.max_instances` come out. Channels are the network's numbers for classes.
    """

    def __call__(self, heads: Heads, decoder: Any, criteria: Criteria) -> Instances: ...


DECODERS: Mapping[str, Decode] = {
    "boxes_masks": decode_boxes_masks,
    "centers": decode_centers,
    "kernels": decode_kernels,
    "mask_list": decode_mask_list,
    "prototypes": decode_prototypes,
    "queries": decode_queries,
    "rows": decode_rows,
    "yolo": decode_yolo,
}
