"""Arguments and options that several commands share, and commands as text for cards."""

import re
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated

import typer

from training.data.licences import Licences
from training.evaluation.evaluate import parse_ids
from training.init_weights import IMAGENET


def check_ids(text: str) -> str:
    """The text unchanged; raises BadParameter if it does not list ids."""
    try:
        found = parse_ids(text)
    except ValueError:
        found = None
    if text and not found:
        raise typer.BadParameter(f"write ids as 1-16,20, not as {text}")
    return text


def check_numbers(text: str) -> str:
    """The text unchanged; raises BadParameter if it is not a list of numbers."""
    if not re.fullmatch(r"\d+(,\d+)*", text):
        raise typer.BadParameter(f"write numbers as 1,2,4, not as {text}")
    return text


def check_side(side: int) -> int:
    """The side unchanged; raises BadParameter if it is not a multiple of 32."""
    if side % 32:
        raise typer.BadParameter(f"{side} is not a multiple of 32")
    return side


def check_source(source: Path | None) -> Path | None:
    """The source unchanged; raises BadParameter if it neither exists nor is `imagenet`."""
    if source is not None and str(source) != IMAGENET and not source.exists():
        raise typer.BadParameter(f"{source} does not exist, and is not {IMAGENET}")
    return source


Data = Annotated[Path, typer.Option(help="Folder of a COCO-format data set.", exists=True)]
Folders = Annotated[
    list[Path],
    typer.Option(
        "--data",
        help="Folder of a COCO-format data set. May be repeated: the first folder is evaluated on.",
        exists=True,
    ),
]
LicenceOption = Annotated[
    Licences,
    typer.Option(help="`commercial`: leave out photos that are not known to allow commercial use."),
]
Checkpoint = Annotated[Path, typer.Argument(help="checkpoint.pt of a run.", exists=True)]
Model = Annotated[Path, typer.Argument(help="A model folder.", exists=True)]
Destination = Annotated[Path, typer.Argument(help="The model folder to write; its name is the model's.")]
Categories = Annotated[
    str,
    typer.Option(help="Category ids for the means, as 1-16,20; all if empty.", callback=check_ids),
]
Side = Annotated[
    int, typer.Option(help="Side of the square canvas, a multiple of 32.", min=32, callback=check_side)
]


def spell_command(
    name: str, arguments: Iterable[object], *, options: Mapping[str, object], launcher: str = "python"
) -> str:
    """The command line of a `python -m training` command, quoted for a shell.

    options: values by option, a list for a repeated one; options without a value are left out.

    >>> spell_command("evaluate", ["my model"], options={"--split": "val", "--out": None, "--set": ["a=1"]})
    "python -m training evaluate 'my model' --split val --set a=1"
    """
    words = [*launcher.split(), "-m", "training", name, *map(str, arguments)]
    for option, value in options.items():
        for each in value if isinstance(value, list | tuple) else (value,):
            words += [] if each in (None, "") else [option, str(each)]
    return shlex.join(words)
