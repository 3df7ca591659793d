"""Image files to answers without a server, for the command `predict`."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import orjson

from service.errors import InvalidImage, InvalidOption
from service.inference.documents import answer_to_json
from service.inference.images import decode_image
from service.inference.masks.overlay import draw_overlay
from service.inference.model import Model
from service.types import Answer, Options, Segmentation

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")


@dataclass(frozen=True, slots=True)
class Job:
    """One image file, and the file for its overlay, if one is wanted."""

    image: Path
    overlay: Path | None = None


def plan_jobs(images: Sequence[Path], output: Path | None) -> list[Job]:
    """A job per image; `output` is a file for one image, else a folder, where each overlay has its own name.

    Raises InvalidOption where the output cannot hold the overlays.

    >>> [str(job.overlay) for job in plan_jobs([Path("a/x.jpg"), Path("b/x.jpg")], Path("out"))]
    ['out/x.png', 'out/x-2.png']
    """
    if output is None:
        return [Job(image) for image in images]
    if output.suffix and not output.is_dir():
        if output.suffix.lower() not in SUFFIXES:
            raise InvalidOption(f"-o {output}: an overlay is one of {', '.join(SUFFIXES)}")
        if len(images) > 1:
            raise InvalidOption(f"-o {output}: several images need a folder")
        return [Job(images[0], output)]
    stems = name_apart(images)
    return [Job(image, output / f"{stem}.png") for image, stem in zip(images, stems, strict=True)]


def name_apart(images: Sequence[Path]) -> list[str]:
    """A name without suffix for each image, no two of them equal.

    >>> name_apart([Path("a/x.jpg"), Path("b/x.jpg")])
    ['x', 'x-2']
    """
    stems: dict[str, None] = {}
    for image in images:
        stem, count = image.stem, 1
        while stem in stems:
            count += 1
            stem = f"{image.stem}-{count}"
        stems[stem] = None
    return list(stems)


def predict_file(job: Job, model: Model, options: Options) -> Segmentation:
    """The segmentation of an image file; writes its overlay where the job wants one.

    Raises InvalidImage, ImageTooLarge, InvalidOption, and OSError where the overlay cannot be written.
    """
    try:
        data = job.image.read_bytes()
    except OSError as error:
        raise InvalidImage(f"cannot be read: {(error.strerror or str(error)).lower()}") from error
    found = model.segment(data, options)
    if job.overlay is not None:
        drawn = draw_overlay(decode_image(data, model.limits), found)
        _, encoded = cv2.imencode(job.overlay.suffix, cv2.cvtColor(drawn, cv2.COLOR_RGB2BGR))
        job.overlay.parent.mkdir(parents=True, exist_ok=True)
        job.overlay.write_bytes(encoded.tobytes())
    return found


def write_json(path: Path, answers: Sequence[tuple[Path, Segmentation]], *, several: bool) -> None:
    """Writes the answers, at least one, as REST gives them: one object, or a list of them with their paths.

    Raises InvalidOption where the file cannot be written.
    """
    contents = [answer_to_json(Answer(found, queue_ms=0.0)) for _, found in answers]
    listed = [{"path": str(image), **content} for (image, _), content in zip(answers, contents, strict=True)]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(orjson.dumps(listed if several else contents[0]))
    except OSError as error:
        raise InvalidOption(f"--json {path}: {(error.strerror or str(error)).lower()}") from error
