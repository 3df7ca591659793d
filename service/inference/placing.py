"""The instances of one picture, or of one view of it, in the frame of its pixels."""

from dataclasses import dataclass

import numpy as np

from service.inference.detections import Detections, no_detections
from service.inference.masks.forms import Traced, trace_masks
from service.inference.masks.grid import boxes_to_windows
from service.inference.masks.runs import fill_windows, place_runs
from service.inference.views import View
from service.types import Floats, Instances, Ints, Placement, Size


@dataclass(frozen=True, slots=True)
class Found:
    """Instances with their boxes, clipped to the image, float32 [N, 4] xyxy, image frame.

    traced: their masks, where the masks decide which instances there are, or their boxes.
    """

    instances: Instances
    boxes_xyxy_image: Floats
    traced: Traced | None

    def keep(self, chosen: Ints) -> "Found":
        traced = None if self.traced is None else self.traced.keep(chosen)
        return Found(self.instances.keep(chosen), self.boxes_xyxy_image[chosen], traced)

    def to_detections(self, placement: Placement, view: View, image: Size) -> Detections:
        """The instances of a view as detections in the whole image.

        Without masks, the pixels of the boxes stand for the objects.
        """
        instances, boxes = self.instances, self.boxes_xyxy_image
        if not len(instances):
            return no_detections(image)
        if instances.mask_fields.size:
            runs = (self.traced or trace_masks(instances, placement)).runs
        else:
            runs = fill_windows(boxes_to_windows(boxes, placement.image), placement.image)
        corner = np.array([view.left, view.top] * 2)
        return Detections(
            instances.classes,
            instances.scores,
            (boxes + corner).astype(np.float32),
            np.tile(np.array(view.xyxy, np.int64), (len(instances), 1)),
            place_runs(runs, view.left, view.top, image),
        )


def place_instances(instances: Instances, placement: Placement) -> Found:
    """The instances in the image; their masks are traced where that is needed to know them or their boxes."""
    traced = None
    if len(instances) and (instances.mask_decides or instances.box_is_extent):
        traced = trace_masks(instances, placement)
    if traced is not None and instances.box_is_extent:
        return Found(instances, traced.windows.astype(np.float32), traced)
    size = placement.image
    edges = np.array([size.width, size.height, size.width, size.height], np.float32)
    boxes = np.minimum(np.maximum(placement.boxes_to_image(instances.boxes_xyxy_canvas), 0), edges)
    return Found(instances, boxes, traced)
