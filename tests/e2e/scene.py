"""A drawn scene, and models that find it, without any runtime."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import cv2
import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco

from service.inference.card import ArtifactFile, Card, Input, Label
from service.inference.detections import Findings
from service.inference.families import CentersDecoder
from service.inference.images import Limits, decode_image
from service.inference.views import ALONE, Share
from service.types import (
    BackendInfo,
    Heads,
    Instance,
    Options,
    Pixels,
    Rle,
    Segmentation,
    Size,
    Timings,
)
from tests.fakes import reshape_mask

LABELS = ("person", "cat", "cup")
SIZE = Size(360, 540)
CAMERA = Size(480, 640)  # of Chromium's fake one


@dataclass(frozen=True, slots=True)
class Shape:
    """An ellipse of the scene, in image pixels, and the score its instance gets."""

    label: str
    score: float
    center: tuple[int, int]
    axes: tuple[int, int]

    def mask(self, size: Size = SIZE) -> npt.NDArray[np.uint8]:
        """uint8 [H, W], 1 inside; every ellipse has a hole in its middle."""
        canvas = np.zeros((size.height, size.width), np.uint8)
        cv2.ellipse(canvas, self.center, self.axes, 20, 0, 360, 1, -1)
        cv2.circle(canvas, self.center, min(self.axes) // 3, 0, -1)
        return canvas


SCENE = (
    Shape("person", 0.91, (150, 170), (60, 120)),
    Shape("person", 0.62, (280, 150), (50, 90)),
    Shape("cat", 0.48, (430, 240), (80, 60)),
    Shape("cup", 0.12, (60, 320), (40, 60)),
)


def draw_scene() -> Pixels:
    """uint8 [360, 540, 3] RGB."""
    picture = np.full((SIZE.height, SIZE.width, 3), 205, np.uint8)
    for number, shape in enumerate(SCENE):
        picture[shape.mask() == 1] = (90 + 30 * number, 110, 150 - 20 * number)
    return picture


class SceneModel:
    """Finds the scene in every image of its size, a person and a cup in the camera's, nothing in others."""

    limits = Limits()

    def __init__(self, version: str) -> None:
        self.card = scene_card(version)
        self.backend = self

    def segment(self, data: bytes, options: Options, *, crowded: bool = False) -> Segmentation:
        return self.segment_pixels(decode_image(data, self.limits), options)

    def segment_pixels(self, pixels: Pixels, options: Options, *, crowded: bool = False) -> Segmentation:
        size = Size(*pixels.shape[:2])
        found = {SIZE: SCENE, CAMERA: (SCENE[0], SCENE[3])}.get(size, ())
        least = (
            self.card.decoder.score_threshold if options.score_threshold is None else options.score_threshold
        )
        instances = tuple(
            find_shape(shape, size, options)
            for shape in found
            if shape.score >= least and shape.label in (options.classes or LABELS)
        )
        timings = Timings(decode=2.1, prepare=0.4, infer=14.2, postprocess=0.6, masks=1.1)
        return Segmentation(size, instances, self.card.name, self.card.version, self.describe(), timings)

    def search(
        self, data: bytes, options: Options, share: Share = ALONE, *, crowded: bool = False
    ) -> Findings:
        raise NotImplementedError

    def join(self, shares: Sequence[Findings], options: Options) -> Segmentation:
        raise NotImplementedError

    def describe(self, *, crowded: bool = False) -> BackendInfo:
        return BackendInfo(
            "onnxruntime", "1.31.1", "fp32", 1, ("CPUExecutionProvider",), ("CPUExecutionProvider",)
        )

    def run(self, pixels: Pixels, *, crowded: bool = False) -> Heads:
        raise NotImplementedError

    def close(self) -> None:
        pass


def find_shape(shape: Shape, size: Size, options: Options) -> Instance:
    """The instance of a shape, its mask encoded by pycocotools, then given the form asked for."""
    mask = shape.mask(size)
    encoded = coco.encode(np.asfortranarray(mask))
    x, y, width, height = (float(value) for value in coco.toBbox(encoded))
    masked = options.masks != "none"
    whole = Instance(
        label=shape.label,
        category_id=LABELS.index(shape.label) + 1,
        score=shape.score,
        bbox=(x, y, width, height),
        area=int(mask.sum()) if masked else None,
        segmentation=Rle(size, encoded["counts"].decode()) if masked else None,
    )
    return reshape_mask(whole, options.masks, size)


def scene_card(version: str) -> Card:
    """A card that agrees with itself; nothing is ever loaded by it."""
    heads = {"heatmap": len(LABELS), "size": 4, "coefficients": 32, "spanning_set": 32}
    return Card(
        schema_version=1,
        name="scene",
        version=version,
        description="finds a drawn scene",
        network="none",
        input=Input(height=320, width=320),
        labels=tuple(Label(category_id=number, name=name) for number, name in enumerate(LABELS, start=1)),
        decoder=CentersDecoder(),
        outputs={head: (80, 80, channels) for head, channels in heads.items()},
        parameters=1,
        multiply_adds=1,
        files=(ArtifactFile(path="a.onnx", runtime="onnx", precision="fp32", sha256="0" * 64, bytes=1),),
    )


class SceneCatalog:
    """Two versions of the one model, the newer one the default."""

    failures: Mapping[str, str] = MappingProxyType({})
    unloaded: tuple[str, ...] = ()

    def __init__(self) -> None:
        self._models = (SceneModel("2"), SceneModel("1"))

    def get(self, name: str | None = None, version: str | None = None) -> SceneModel:
        return next(model for model in self._models if version in (None, model.card.version))

    def models(self) -> tuple[SceneModel, ...]:
        return self._models

    def refreshed(self) -> "SceneCatalog":
        return self

    def with_model(self, name: str) -> "SceneCatalog":
        return self

    def without_model(self, name: str, version: str | None = None) -> "SceneCatalog":
        return self

    def check(self, name: str) -> None:
        pass
