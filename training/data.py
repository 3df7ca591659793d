"""The pictures of a collection, each in a new random view whenever it is asked for."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from torch.utils.data import Dataset

from service.types import Pixels, Size
from training.annotations import Collection, Picture
from training.augment import Augmentation, View, change_colours, draw_view, fit_view
from training.batch import Batch
from training.copy_paste import Scene, paste_objects
from training.groundtruth import TargetRules, draw_targets
from training.mosaic import tile_batches


class PictureFailed(ValueError):
    """A picture could not be made ready; says which, and why."""


class TrainingSet(Dataset[Batch]):
    """Batches of one picture; without augmentation, as the service's letterbox places it.

    The view depends on the seed and the index alone, so a resumed run sees what the first would have seen.
    """

    def __init__(
        self,
        collection: Collection,
        *,
        canvas: Size,
        rules: TargetRules,
        augmentation: Augmentation | None,
        seed: tuple[int, ...],
    ) -> None:
        self.collection = collection
        self.canvas = canvas
        self.rules = rules
        self.augmentation = augmentation
        self.seed = seed

    def __len__(self) -> int:
        return len(self.collection.pictures)

    def __getitem__(self, index: int) -> Batch:
        """Raises PictureFailed, whatever it was that failed."""
        try:
            return self._make(index)
        except Exception as error:
            reason = error if isinstance(error, ValueError) else repr(error)
            raise PictureFailed(f"{self.collection.pictures[index].path}: {reason}") from error

    def _make(self, index: int) -> Batch:
        if self.augmentation is None:
            scene = self._read_scene(index)
            return self._draw(scene, fit_view(scene.picture.size, self.canvas))
        random = np.random.default_rng((*self.seed, index))
        if not self.augmentation.mosaic or random.random() >= self.augmentation.mosaic:
            return self._augment(index, self.canvas, self.augmentation, random)
        quarter = Size(self.canvas.height // 2, self.canvas.width // 2)
        others = random.integers(len(self), size=3).tolist()
        return tile_batches(
            [self._augment(number, quarter, self.augmentation, random) for number in (index, *others)]
        )

    def _augment(
        self, index: int, canvas: Size, augmentation: Augmentation, random: np.random.Generator
    ) -> Batch:
        scene = self._read_scene(index)
        if augmentation.paste and random.random() < augmentation.paste.share:
            donor = self._read_scene(int(random.integers(len(self))))
            scene = paste_objects(scene, donor, augmentation.paste, random)
        view = draw_view(scene.picture.size, canvas, augmentation, random)
        coloured = replace(scene, pixels=change_colours(scene.pixels, augmentation, random))
        return self._draw(coloured, view)

    def _draw(self, scene: Scene, view: View) -> Batch:
        classes = len(self.collection.labels)
        pixels = view.place_pixels(scene.pixels)
        return draw_targets(scene.picture, view, pixels, classes=classes, rules=self.rules)

    def _read_scene(self, index: int) -> Scene:
        picture = self.collection.pictures[index]
        return Scene(picture, read_pixels(picture))


def read_image(path: Path) -> Pixels:
    """RGB, uint8 [H, W, 3], as stored; raises PictureFailed, naming the file, when it is unreadable."""
    pixels = cv2.imread(str(path), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    if pixels is None:
        raise PictureFailed(f"{path} is missing or is not an image")
    return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False)


def read_pixels(picture: Picture) -> Pixels:
    """The picture's image; raises PictureFailed also when it is not as large as its annotations say."""
    pixels = read_image(picture.path)
    if pixels.shape[:2] != (picture.size.height, picture.size.width):
        raise PictureFailed(f"{picture.path} is {pixels.shape[:2]}, its annotations are for {picture.size}")
    return pixels
