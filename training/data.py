"""The pictures of a collection, each in a new random view whenever it is asked for."""

from collections.abc import Sequence
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


class PictureFailed(ValueError):
    """A picture could not be made ready; says which, and why."""


class TrainingSet(Dataset[Batch]):
    """Batches of one picture; without augmentation, as the service's letterbox places it.

    order: the pictures' numbers in the order in which they are shown; each once where it is None.
    The view depends on the seed and the place in the order alone, so that a resumed run sees the same
    pictures as one without an interruption, and a picture that is shown twice is seen in two views.
    """

    def __init__(
        self,
        collection: Collection,
        *,
        canvas: Size,
        rules: TargetRules,
        augmentation: Augmentation | None,
        seed: tuple[int, ...],
        order: Sequence[int] | None = None,
    ) -> None:
        self.collection = collection
        self.canvas = canvas
        self.rules = rules
        self.augmentation = augmentation
        self.seed = seed
        self.order = range(len(collection.pictures)) if order is None else order

    def __len__(self) -> int:
        return len(self.order)

    def __getitem__(self, place: int) -> Batch:
        """The picture at a place of the order; raises PictureFailed, whatever it was that failed."""
        try:
            return self._make(place)
        except Exception as error:
            reason = error if isinstance(error, ValueError) else repr(error)
            raise PictureFailed(f"{self.find_path(place)}: {reason}") from error

    def find_path(self, place: int) -> Path:
        return self.collection.pictures[self.order[place]].path

    def _make(self, place: int) -> Batch:
        scene = self._read_scene(place)
        random = np.random.default_rng((*self.seed, place))
        if self.augmentation is None:
            view = fit_view(scene.picture.size, self.canvas)
        else:
            scene, view = self._augment(scene, self.augmentation, random)
        classes = len(self.collection.labels)
        return draw_targets(scene, view, classes=classes, rules=self.rules, random=random)

    def _augment(
        self, scene: Scene, augmentation: Augmentation, random: np.random.Generator
    ) -> tuple[Scene, View]:
        if augmentation.paste and random.random() < augmentation.paste.share:
            donor = self._read_scene(int(random.integers(len(self))))
            scene = paste_objects(scene, donor, augmentation.paste, random)
        view = draw_view(scene.picture.size, self.canvas, augmentation, random)
        return replace(scene, pixels=change_colours(scene.pixels, augmentation, random)), view

    def _read_scene(self, place: int) -> Scene:
        picture = self.collection.pictures[self.order[place]]
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
