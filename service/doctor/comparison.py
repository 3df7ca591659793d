"""Models and precisions side by side, on the user's own photos: a table, and a contact sheet of overlays."""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import cv2
import numpy as np
from rich.table import Table

from service.errors import InvalidOption
from service.inference.backends import BackendChoice, choose_file
from service.inference.backends.base import PrecisionChoice, RuntimeChoice
from service.inference.canvas import place_picture
from service.inference.card import ArtifactFile, Card, Input
from service.inference.images import Limits, Picture, decode_image
from service.inference.masks.overlay import FONT, INK, draw_overlay
from service.inference.segmenter import open_model
from service.types import Options, Pixels, Segmentation, Size

_ROUNDS = 5  # of every photo, after one that warms up
_CELL = Size(360, 480)  # of the contact sheet, with a strip for the caption
_STRIP = 28
_PAPER = 255
_SHEETS = (".jpg", ".jpeg", ".png")
_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".avif", ".heic", ".heif", ".bmp", ".tif", ".tiff")


@dataclass(frozen=True, slots=True)
class Comparison:
    """The user's wishes. photos: files and folders. models: see `parse_contenders`; None: all.

    sheet: the file of the contact sheet. threads: of one inference.
    """

    photos: tuple[Path, ...]
    models: str | None
    sheet: Path
    options: Options
    threads: int


@dataclass(frozen=True, slots=True)
class Contender:
    """A model folder, and the file of it that is asked for."""

    folder: Path
    runtime: RuntimeChoice = "auto"
    precision: PrecisionChoice = "auto"


@dataclass(frozen=True, slots=True)
class Result:
    """The answers and times of one contender.

    infer_ms, total_ms: medians over photos and rounds, of the network, and of all stages. found: the answer
        for each photo.
    """

    card: Card
    file: ArtifactFile
    infer_ms: float
    total_ms: float
    found: tuple[Segmentation, ...]

    @property
    def title(self) -> str:
        """The model, runtime and precision."""
        return f"{self.card.name} {self.file.runtime} {self.file.precision}"


def run_comparison(asked: Comparison, folders: Mapping[str, Path]) -> list[Result]:
    """A result for each model; writes the contact sheet.

    folders: model folders by name. Raises InvalidOption, InvalidImage, ArtifactError's leaves.
    """
    if asked.sheet.suffix.lower() not in _SHEETS:
        raise InvalidOption(f"--out {asked.sheet}: a contact sheet is one of {', '.join(_SHEETS)}")
    contenders = parse_contenders(asked.models or ",".join(folders), folders)
    photos = [_read(path) for path in list_photos(asked.photos)]
    results = list(compare_models(contenders, photos, asked.options, threads=asked.threads))
    _, encoded = cv2.imencode(
        asked.sheet.suffix, cv2.cvtColor(draw_sheet(results, photos), cv2.COLOR_RGB2BGR)
    )
    try:
        asked.sheet.parent.mkdir(parents=True, exist_ok=True)
        asked.sheet.write_bytes(encoded.tobytes())
    except OSError as error:
        raise InvalidOption(f"--out {asked.sheet}: {(error.strerror or str(error)).lower()}") from error
    return results


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidOption(f"{path}: {(error.strerror or str(error)).lower()}") from error


def parse_contenders(text: str, models: Mapping[str, Path]) -> list[Contender]:
    """The contenders in a text such as `a,b:int8,c:tflite:fp16`; models: folder by name.

    A name may also be the path of a model folder. Raises InvalidOption.
    """
    return [_parse_contender(part.strip(), models) for part in text.split(",") if part.strip()]


def _parse_contender(text: str, models: Mapping[str, Path]) -> Contender:
    name, *words = text.split(":")
    folder = models.get(name, Path(name))
    if not (folder / "card.json").exists():
        raise InvalidOption(f"there is no model {name}, and no such folder; there are {', '.join(models)}")
    chosen: dict[str, Any] = {}
    for word in words:
        field = "runtime" if word in get_args(RuntimeChoice) else "precision"
        if field in chosen or word not in (*get_args(RuntimeChoice), *get_args(PrecisionChoice)):
            raise InvalidOption(f"{text}: write NAME, NAME:PRECISION or NAME:RUNTIME:PRECISION")
        chosen[field] = word
    return Contender(folder, **chosen)


def list_photos(places: Sequence[Path]) -> list[Path]:
    """The photos among files and in folders, by name; raises InvalidOption where there are none."""
    photos = [
        path
        for place in places
        for path in (sorted(place.iterdir()) if place.is_dir() else [place])
        if not place.is_dir() or path.suffix.lower() in _SUFFIXES
    ]
    if not photos:
        raise InvalidOption(f"there are no photos in {', '.join(map(str, places))}")
    return photos


def compare_models(
    contenders: Sequence[Contender], photos: Sequence[bytes], options: Options, *, threads: int
) -> Iterator[Result]:
    """The results of the contenders, one after the other, so that they do not disturb each other.

    Raises ArtifactError's leaves for a model that cannot be opened, InvalidImage for a photo.
    """
    for contender in contenders:
        choice = BackendChoice(runtime=contender.runtime, precision=contender.precision, threads=threads)
        model = open_model(contender.folder, choice)
        try:
            found = [model.segment(photo, options) for photo in photos]
            rounds = [model.segment(photo, options).timings for _ in range(_ROUNDS) for photo in photos]
        finally:
            model.close()
        yield Result(
            card=model.card,
            file=choose_file(model.card, choice),
            infer_ms=statistics.median(each.infer for each in rounds),
            total_ms=statistics.median(each.total for each in rounds),
            found=tuple(found),
        )


def comparison_table(results: Sequence[Result]) -> Table:
    """A row for each contender; cells that nobody has measured are empty."""
    table = Table(
        "model",
        "file",
        "canvas",
        "parameters, M",
        "MAdds, G",
        "mask AP",
        "network, ms",
        "all stages, ms",
        "MB",
        "objects",
        box=None,
        pad_edge=False,
    )
    for result in results:
        card, file = result.card, result.file
        table.add_row(
            card.name,
            f"{file.runtime} {file.precision}",
            f"{card.input.width} x {card.input.height}",
            f"{card.parameters / 1e6:.2f}" if card.parameters else "",
            f"{card.multiply_adds / 1e9:.2f}" if card.multiply_adds else "",
            "" if file.accuracy is None else f"{file.accuracy.mask_ap:.3f}",
            f"{result.infer_ms:.1f}",
            f"{result.total_ms:.1f}",
            f"{file.all_bytes / 1e6:.2f}",
            str(sum(len(each.instances) for each in result.found)),
        )
    return table


def draw_sheet(results: Sequence[Result], photos: Sequence[bytes]) -> Pixels:
    """The contact sheet, uint8 [H, W, 3] RGB: a row for each photo, a column for each contender."""
    pictures = [decode_image(photo, Limits()) for photo in photos]
    columns = []
    for result in results:
        cells = [
            _fit(draw_overlay(pixels, found)) for pixels, found in zip(pictures, result.found, strict=True)
        ]
        columns.append(np.vstack([_write(f"{result.title}  {result.total_ms:.0f} ms"), *cells]))
    return np.hstack(columns)


def _fit(picture: Pixels) -> Pixels:
    """The picture in the middle of a cell."""
    rule = Input(height=_CELL.height, width=_CELL.width, anchor="centre", padding=_PAPER)
    pixels, _ = place_picture(Picture(picture, Size(*picture.shape[:2])), rule)
    return pixels


def _write(text: str) -> Pixels:
    """A strip with a line of text, made smaller where it is too long."""
    strip = np.full((_STRIP, _CELL.width, 3), _PAPER, np.uint8)
    (width, _), _ = cv2.getTextSize(text, FONT, 0.5, 1)
    scale = 0.5 * min(1.0, (_CELL.width - 12) / width)
    cv2.putText(strip, text, (6, 19), FONT, scale, INK, 1, cv2.LINE_AA)
    return strip
