"""The command `import`."""

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service.errors import InvalidOption

if TYPE_CHECKING:
    from service.importer.folder import Trial

_SAMPLE = Path(__file__).resolve().parents[1] / "rest/page/samples/astronaut.jpg"
_MANY = 12  # objects that are listed


def import_model(
    file: Annotated[Path, typer.Argument(help="An ONNX or TFLite file of another tool.", show_default=False)],
    family: Annotated[
        str | None, typer.Option(help="Its family, where the shapes leave a choice; see docs/models.md.")
    ] = None,
    labels: Annotated[
        str | None,
        typer.Option(help="Class names: a file with one on each line, a JSON list, or `coco`."),
    ] = None,
    name: Annotated[str | None, typer.Option(help="The model's name. Unset: the file's.")] = None,
    size: Annotated[
        str | None,
        typer.Option(help="Canvas of a graph that takes any size: 640, or height x width: 384x640."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="The model folder to write. Unset: NAME in the models folder.")
    ] = None,
    score_threshold: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Default threshold. Unset: that of the family's own tool."),
    ] = None,
    photo: Annotated[
        Path | None, typer.Option(help="A photo to try the model on. Unset: the sample of the web page.")
    ] = None,
) -> None:
    """Make a model folder of another tool's export, run it on a photo, and show what it finds."""
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    from service.importer.families import FAMILIES
    from service.importer.run import Request, import_file, name_model, parse_size

    if family is not None and family not in FAMILIES:
        raise InvalidOption(f"--family {family}: there are {', '.join(FAMILIES)}")
    chosen = name or name_model(out.name if out else file.stem)
    folder = out or _models_folder() / chosen
    request = Request(
        file=file,
        folder=folder,
        name=chosen,
        photo=_read_photo(photo or _SAMPLE),
        family=family,
        labels=labels,
        size=None if size is None else parse_size(size),
        score_threshold=score_threshold,
    )
    columns = SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        step = progress.add_task("starting", total=None)
        trial = import_file(request, lambda text: progress.update(step, description=text))
    _show(trial, folder)


def _models_folder() -> Path:
    """The folder of BLITZ_MODELS_DIR, or `models` here: the embedded models' folder is not the user's."""
    return Path(os.environ.get("BLITZ_MODELS_DIR", "models"))


def _read_photo(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidOption(f"--photo {path}: {(error.strerror or str(error)).lower()}") from error


def _show(trial: "Trial", folder: Path) -> None:
    from service.doctor.tables import instances_table, print_table

    card, found, overlay = trial.card, trial.found, folder / "overlay.jpg"
    print_table(instances_table(overlay, replace(found, instances=found.instances[:_MANY])))
    (file,) = card.files
    lines = (
        f"{len(found.instances)} objects above {card.decoder.score_threshold:g}; the overlay is {overlay}",
        f"{folder}: {card.network}; {len(card.labels)} classes, {file.precision}, {file.bytes / 1e6:.1f} MB",
        f"Serve it: BLITZ_MODELS_DIR={folder.parent} blitzmask serve",
    )
    for line in lines:
        sys.stdout.write(f"{line}\n")
