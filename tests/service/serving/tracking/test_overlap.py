import numpy as np
import numpy.typing as npt
import pytest
from pycocotools import mask as coco

from service.inference.masks.forms import CONVERTERS
from service.serving.tracking.overlap import Edges, box_ious, mask_iou, mask_to_edges, shift_edges
from service.types import Instance, MaskFormat, Rle, Size
from tests.fakes import reshape_mask


def rle(mask: npt.NDArray[np.bool_]) -> Rle:
    encoded = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
    return Rle(Size(*mask.shape), encoded["counts"].decode())


def edges_of(mask: npt.NDArray[np.bool_]) -> Edges:
    return mask_to_edges(rle(mask), Size(*mask.shape))


def blobs(count: int, *, height: int = 23, width: int = 31) -> list[npt.NDArray[np.bool_]]:
    """Ragged masks, some of them empty, full, or touching the corners."""
    generator = np.random.default_rng(7)
    masks = [generator.random((height, width)) < share for share in np.linspace(0, 1, count)]
    masks[1][0, 0] = masks[1][-1, -1] = True
    return masks


def test_box_ious_are_those_of_pycocotools() -> None:
    generator = np.random.default_rng(3)
    corners, extents = generator.uniform(0, 50, (2, 12, 2))
    xywh = np.concatenate([corners, extents], axis=1)
    xyxy = np.concatenate([corners, corners + extents], axis=1)
    assert np.allclose(box_ious(xyxy, xyxy[:5]), coco.iou(xywh, xywh[:5], [False] * 5))


def test_boxes_without_area_overlap_nothing() -> None:
    point = np.array([[5.0, 5, 5, 5]])
    assert box_ious(point, point) == 0
    assert box_ious(np.empty((0, 4)), point).shape == (0, 1)


def test_mask_ious_are_those_of_pycocotools() -> None:
    rles = [rle(mask) for mask in blobs(12)]
    expected = coco.iou([one.to_coco() for one in rles], [one.to_coco() for one in rles], [False] * 12)
    edges = [mask_to_edges(one, one.size) for one in rles]
    assert np.allclose([[mask_iou(first, second) for second in edges] for first in edges], expected)


@pytest.mark.parametrize("masks", CONVERTERS)
def test_the_form_of_a_mask_does_not_matter(masks: MaskFormat) -> None:
    image = Size(23, 31)
    for mask in blobs(5):
        instance = Instance("blob", 1, 1.0, (0, 0, 31, 23), None, rle(mask))
        form = reshape_mask(instance, masks, image).segmentation
        assert form is not None
        assert np.array_equal(mask_to_edges(form, image), edges_of(mask))


@pytest.mark.parametrize(("right", "down"), [(0, 0), (6, -4), (-5.4, 3.4), (2, 0), (0, -3)])
def test_a_shifted_mask_is_the_mask_shifted(right: float, down: float) -> None:
    mask = np.zeros((23, 31), bool)
    mask[6:17, 8:20] = blobs(3, height=11, width=12)[1]
    moved = np.roll(mask, (round(down), round(right)), axis=(0, 1))
    edges = shift_edges(edges_of(mask), Size(23, 31), right=right, down=down)
    assert np.array_equal(edges, edges_of(moved))


@pytest.mark.parametrize("right", [-40, -3, 3, 40])
def test_a_mask_shifted_out_of_the_picture_is_cut_off(right: int) -> None:
    mask = np.ones((5, 10), bool)
    remains = np.zeros((5, 10), bool)
    remains[:, max(right, 0) : max(10 + min(right, 0), 0)] = True
    edges = shift_edges(edges_of(mask), Size(5, 10), right=right, down=0)
    whole = edges_of(mask)
    assert mask_iou(edges, whole) == pytest.approx(remains.mean())
