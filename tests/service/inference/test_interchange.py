"""An answer in the forms of other libraries, read by those libraries."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from pycocotools import mask as coco

from service.types import Mask, MaskFormat, Options, Segmentation
from tests.fakes import FakeModel, encode_picture

PICTURE = encode_picture(60, 30)
FORMS: tuple[MaskFormat, ...] = ("rle", "rle_crop", "polygon", "contour")


def find(masks: MaskFormat = "rle") -> Segmentation:
    return FakeModel().segment(PICTURE, Options(masks=masks))


@pytest.fixture
def middle() -> Mask:
    mask = np.zeros((30, 60), bool)
    mask[10:20, 20:40] = True
    return mask


@pytest.mark.parametrize("masks", FORMS)
def test_masks_are_pixels_one_at_a_time_or_all(masks: MaskFormat, middle: Mask) -> None:
    found = find(masks)
    assert len(found.masks) == 1
    assert np.array_equal(found.masks[0], middle)
    assert np.array_equal(np.asarray(found.masks), middle[None])
    assert np.asarray(found.masks[:0]).shape == (0, 30, 60)
    with pytest.raises(IndexError):
        found.masks[1]


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools and numpy 2
@pytest.mark.parametrize("masks", FORMS)
def test_coco_results_have_rle_whatever_form_was_asked_for(masks: MaskFormat, middle: Mask) -> None:
    (result,) = find(masks).to_coco(image_id=7)
    assert (result["image_id"], result["category_id"], result["area"]) == (7, 3, 200)
    assert np.array_equal(coco.decode(result["segmentation"]).astype(bool), middle)


def test_without_masks_there_are_boxes() -> None:
    (result,) = find("none").to_coco()
    assert "segmentation" not in result
    with pytest.raises(ValueError, match="has no masks"):
        find("none").to_polygons()
    with pytest.raises(ValueError, match="has no masks"):
        find("none").masks[0]


def test_polygons_are_arrays_of_corners() -> None:
    (((ring),),) = find().to_polygons()
    assert sorted(map(tuple, ring.tolist())) == [(20, 10), (20, 20), (40, 10), (40, 20)]
    (((simple),),) = find().to_polygons(tolerance=1.0)
    assert len(simple) == 4


def test_a_notebook_shows_the_picture_with_the_objects_drawn() -> None:
    found = find()
    assert found._repr_png_() is None
    shown = replace(found, picture=PICTURE)._repr_png_()
    assert shown is not None
    drawn = cv2.imdecode(np.frombuffer(shown, np.uint8), cv2.IMREAD_COLOR)
    plain = cv2.imdecode(np.frombuffer(PICTURE, np.uint8), cv2.IMREAD_COLOR)
    assert drawn is not None
    assert plain is not None
    assert np.abs(drawn.astype(int) - plain)[12:18, 25:35].mean() > 20
    assert replace(found, picture=b"no picture")._repr_png_() is None


def test_supervision_reads_everything(middle: Mask) -> None:
    pytest.importorskip("supervision")
    found = find()
    detections = found.to_supervision()
    assert detections.xyxy.tolist() == [[20, 10, 40, 20]]
    assert np.array_equal(detections.mask, middle[None])
    assert detections["class_name"].tolist() == ["cat"]
    assert detections.class_id.tolist() == [3]
    assert detections.tracker_id is None
    tracked = replace(found.instances[0], track_id=5)
    both = replace(found, instances=(tracked, found.instances[0])).to_supervision()
    assert both.tracker_id.tolist() == [5, -1]
    assert both[both.confidence > 0.9].xyxy.shape == (0, 4)
    assert len(replace(found, instances=()).to_supervision()) == 0
