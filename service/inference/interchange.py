"""An answer in the forms of other libraries: numpy masks, polygons, COCO results, supervision, PNG.

The methods of `service.types.Segmentation` are these functions. OpenCV and supervision are imported where
they are used, because the client works without them.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import numpy.typing as npt

from service.inference.masks.forms import form_to_mask, form_to_runs
from service.inference.masks.polygons import runs_to_polygons, simplify_polygon
from service.inference.masks.rle import runs_to_rles
from service.types import Ints, Mask, MaskForm, Polygon, Segmentation, Size

if TYPE_CHECKING:
    import supervision

UNTRACKED = -1
NO_MASKS = 'the answer has no masks: ask for them with Options(masks="rle"), and of a model that finds masks'


class Masks(Sequence[Mask]):
    """The masks of an answer in the order of its instances, bool [H, W] each, image frame.

    Each access computes the mask again, so that only the masks in use take memory. `np.asarray` gives
    all of them: bool [N, H, W]. Both raise ValueError where the answer has no masks.
    """

    def __init__(self, forms: Sequence[MaskForm | None], image: Size) -> None:
        self._forms = tuple(forms)
        self._image = image

    def __len__(self) -> int:
        return len(self._forms)

    @overload
    def __getitem__(self, place: int) -> Mask: ...
    @overload
    def __getitem__(self, place: slice) -> "Masks": ...
    def __getitem__(self, place: int | slice) -> "Mask | Masks":
        if isinstance(place, slice):
            return Masks(self._forms[place], self._image)
        return form_to_mask(_require(self._forms[place]), self._image)

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> npt.NDArray[Any]:
        masks = np.zeros((len(self), self._image.height, self._image.width), bool)
        for place, mask in enumerate(self):
            masks[place] = mask
        return masks if dtype is None else masks.astype(dtype)


def list_masks(found: Segmentation) -> Masks:
    """The masks of an answer."""
    return Masks([instance.segmentation for instance in found.instances], found.image)


def segmentation_to_coco(found: Segmentation, image_id: int) -> list[dict[str, object]]:
    """COCO results with compressed RLE, whatever the form of the masks; without masks, boxes only.

    The list is for `COCO.loadRes`.
    """
    results = []
    for instance in found.instances:
        result: dict[str, object] = {
            "image_id": image_id,
            "category_id": instance.category_id,
            "score": instance.score,
            "bbox": list(instance.bbox),
        }
        if instance.segmentation is not None:
            (rle,) = runs_to_rles(form_to_runs(instance.segmentation, found.image))
            result |= {"area": instance.area, "segmentation": rle.to_coco()}
        results.append(result)
    return results


def segmentation_to_polygons(found: Segmentation, tolerance: float) -> tuple[tuple[Ints, ...], ...]:
    """The rings of each instance, filled by the even-odd rule: int64 [V, 2] each, (x, y), image frame.

    tolerance: the farthest, in pixels, that a ring may leave the edge of the mask; 0: it follows the pixels.
    Raises ValueError where the answer has no masks, and ImportError where a tolerance needs OpenCV.
    """
    forms = [_require(instance.segmentation) for instance in found.instances]
    polygons = [form_to_polygon(form, found.image, tolerance) for form in forms]
    return tuple(
        tuple(np.array(ring, np.int64).reshape(-1, 2) for ring in polygon.rings) for polygon in polygons
    )


def form_to_polygon(form: MaskForm, image: Size, tolerance: float) -> Polygon:
    """A mask of any form as a polygon within a tolerance in pixels."""
    if not isinstance(form, Polygon):
        (rings,) = runs_to_polygons(form_to_runs(form, image))
        form = Polygon(tuple(tuple(ring.reshape(-1).tolist()) for ring in rings))
    return simplify_polygon(form, tolerance) if tolerance else form


def segmentation_to_supervision(found: Segmentation) -> "supervision.Detections":
    """`supervision.Detections`: xyxy, masks, scores, category ids, labels (`data["class_name"]`), track ids.

    An instance that has no track id yet has -1. Raises ImportError without supervision.
    """
    try:
        import supervision
    except ImportError as error:
        raise ImportError("to_supervision needs supervision: pip install supervision") from error
    instances = found.instances
    boxes_xywh = np.array([instance.bbox for instance in instances], np.float32).reshape(-1, 4)
    masked = bool(instances) and all(instance.segmentation is not None for instance in instances)
    tracked = any(instance.track_id is not None for instance in instances)
    numbers = [UNTRACKED if one.track_id is None else one.track_id for one in instances]
    return supervision.Detections(
        xyxy=np.concatenate([boxes_xywh[:, :2], boxes_xywh[:, :2] + boxes_xywh[:, 2:]], axis=1),
        mask=np.asarray(list_masks(found)) if masked else None,
        confidence=np.array([instance.score for instance in instances], np.float32),
        class_id=np.array([instance.category_id for instance in instances], np.int64),
        tracker_id=np.array(numbers, np.int64) if tracked else None,
        data={"class_name": np.array([instance.label for instance in instances], np.str_)},
    )


def segmentation_to_png(found: Segmentation) -> bytes | None:
    """The picture with masks, boxes and labels, as a PNG; None without the picture or OpenCV.

    A notebook that gets None shows the text of the object.
    """
    try:
        import cv2

        from service.inference.masks.overlay import draw_overlay
    except ImportError:
        return None
    pixels = cv2.imdecode(np.frombuffer(found.picture or b"\0", np.uint8), cv2.IMREAD_COLOR)
    if pixels is None or pixels.shape[:2] != (found.image.height, found.image.width):
        return None
    drawn = draw_overlay(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB).astype(np.uint8), found)
    return cv2.imencode(".png", cv2.cvtColor(drawn, cv2.COLOR_RGB2BGR))[1].tobytes()


def _require(form: MaskForm | None) -> MaskForm:
    if form is None:
        raise ValueError(NO_MASKS)
    return form
