"""A catalog of one model that finds one object in the middle of every image, without any runtime."""

import asyncio
import math
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

import cv2
import numpy as np
from pycocotools import mask as coco

from service.errors import ModelNotFound
from service.inference.card import ArtifactFile, Card, Input, Label
from service.inference.detections import Findings, no_detections
from service.inference.families import CentersDecoder
from service.inference.images import Limits, decode_image
from service.inference.masks.forms import form_to_runs, runs_to_forms
from service.inference.masks.grid import boxes_to_windows
from service.inference.resolved_options import resolve_options
from service.inference.views import ALONE, Share
from service.types import (
    BackendInfo,
    Heads,
    Instance,
    MaskFormat,
    Options,
    Pixels,
    Rle,
    Segmentation,
    Size,
    Timings,
    longest_timings,
)
from tests.running import PATIENCE_S

SCORE = 1 / 3 + 0.5  # a number that has no short form
HEADS = {"heatmap": 2, "size": 4, "coefficients": 32, "spanning_set": 32}


def fake_card(name: str = "toy", version: str = "1") -> Card:
    return Card(
        schema_version=1,
        name=name,
        version=version,
        description="finds the middle",
        network="none",
        input=Input(height=32, width=32),
        labels=(Label(category_id=3, name="cat"), Label(category_id=8, name="dog")),
        decoder=CentersDecoder(),
        outputs={head: (8, 8, channels) for head, channels in HEADS.items()},
        parameters=1,
        multiply_adds=1,
        files=(ArtifactFile(path="a.onnx", runtime="onnx", precision="fp32", sha256="0" * 64, bytes=1),),
    )


class FakeBackend:
    """Fills every head with its channel's number plus the brightness of the picture."""

    def run(self, pixels: Pixels, *, crowded: bool = False) -> Heads:
        brightness = pixels.mean(axis=(1, 2, 3), dtype=np.float32)[:, None, None, None]
        return {
            name: np.broadcast_to(brightness + np.arange(count, dtype=np.float32), (len(pixels), 8, 8, count))
            for name, count in HEADS.items()
        }

    def describe(self, *, crowded: bool = False) -> BackendInfo:
        return BackendInfo("fake", "1.0", "fp32", 1, ("CPU",), ("CPU",))

    def close(self) -> None:
        pass


class FakeModel:
    """Reads images and options as a `Segmenter` does; `before` runs first, and may block or raise."""

    limits = Limits(max_bytes=1_000_000, max_pixels=1_000_000)

    def __init__(self, name: str = "toy", version: str = "1", before: Callable[[], object] = int) -> None:
        self.card = fake_card(name, version)
        self.backend = FakeBackend()
        self._before = before
        self.seen: list[bytes] = []

    def close(self) -> None:
        pass

    def segment(self, data: bytes, options: Options, *, crowded: bool = False) -> Segmentation:
        self.seen.append(data)
        self._before()
        return self.segment_pixels(decode_image(data, self.limits), options)

    def search(
        self, data: bytes, options: Options, share: Share = ALONE, *, crowded: bool = False
    ) -> Findings:
        self.seen.append(data)
        self._before()
        image = Size(*decode_image(data, self.limits).shape[:2])
        return Findings(no_detections(image), self.backend.describe(), Timings(infer=10 + share.index))

    def join(self, shares: Sequence[Findings], options: Options) -> Segmentation:
        height, width = (shares[0].detections.runs.image.height, shares[0].detections.runs.image.width)
        found = self.segment_pixels(np.zeros((height, width, 3), np.uint8), options)
        return replace(found, timings=longest_timings([share.timings for share in shares]))

    def segment_pixels(self, pixels: Pixels, options: Options, *, crowded: bool = False) -> Segmentation:
        criteria = resolve_options(self.card, options)
        if options.tiles is not None:
            self.limits.count_tiles(options.tiles)
        height, width = pixels.shape[:2]
        wanted = criteria.classes is None or 0 in criteria.classes
        middle = find_middle(Size(height, width), masked=criteria.masks != "none")
        found = (reshape_mask(middle, criteria.masks, Size(height, width)),)
        return Segmentation(
            image=Size(height, width),
            instances=found if wanted and criteria.threshold <= SCORE else (),
            model=self.card.name,
            version=self.card.version,
            backend=self.backend.describe(),
            timings=Timings(1.5, 0.25, 10, 0.5, 2 / 3),
        )


def find_middle(size: Size, *, masked: bool) -> Instance:
    """A cat of a third of the image each way; its mask is the pixels whose corners are inside."""
    x, y = size.width / 3, size.height / 3
    mask = np.zeros((size.height, size.width), np.uint8, order="F")
    mask[math.ceil(y) : int(2 * y), math.ceil(x) : int(2 * x)] = 1
    rle = Rle(size, coco.encode(mask)["counts"].decode()) if masked else None
    return Instance("cat", 3, SCORE, (x, y, x, y), int(mask.sum()) if masked else None, rle)


def reshape_mask(instance: Instance, masks: MaskFormat, image: Size) -> Instance:
    """The instance with its mask, if it has one, in another form."""
    if instance.segmentation is None:
        return instance
    x, y, width, height = instance.bbox
    windows = boxes_to_windows(np.array([[x, y, x + width, y + height]], np.float32), image)
    (form,) = runs_to_forms(form_to_runs(instance.segmentation, image), windows, masks)
    return replace(instance, segmentation=form)


class Gate:
    """A `before` that holds the model until the gate is opened."""

    def __init__(self) -> None:
        self._reached = threading.Event()
        self._open = threading.Event()

    def __call__(self) -> None:
        self._reached.set()
        assert self._open.wait(PATIENCE_S)

    async def reached(self) -> None:
        assert await asyncio.to_thread(self._reached.wait, PATIENCE_S)

    def open(self) -> None:
        self._open.set()


class FakeCatalog:
    def __init__(
        self,
        *models: FakeModel,
        failures: Mapping[str, str] = MappingProxyType({}),
        unloaded: tuple[str, ...] = (),
    ) -> None:
        self._models = models or (FakeModel(),)
        self.failures = failures
        self.unloaded = unloaded

    def get(self, name: str | None = None, version: str | None = None) -> FakeModel:
        for model in self._models:
            if name in (None, model.card.name) and version in (None, model.card.version):
                return model
        raise ModelNotFound(f"there is no model {name!s:.80} {version!s:.40}")

    def models(self) -> tuple[FakeModel, ...]:
        return self._models

    def refreshed(self) -> "FakeCatalog":
        return self

    def with_model(self, name: str) -> "FakeCatalog":
        return self

    def without_model(self, name: str, version: str | None = None) -> "FakeCatalog":
        return self

    def check(self, name: str) -> None:
        pass


def encode_picture(width: int = 60, height: int = 30, suffix: str = ".png") -> bytes:
    """An encoded picture with some structure."""
    ramp = np.arange(height * width * 3, dtype=np.uint32) * 7 % 251
    _, encoded = cv2.imencode(suffix, ramp.astype(np.uint8).reshape(height, width, 3))
    return encoded.tobytes()
