"""Arguments and options that several commands have, and what they refuse."""

import re
from pathlib import Path
from typing import Annotated

import typer

from training.evaluate import parse_ids


def check_ids(text: str) -> str:
    """The text as it is, or BadParameter where it names no ids."""
    try:
        found = parse_ids(text)
    except ValueError:
        found = None
    if text and not found:
        raise typer.BadParameter(f"ids are written as 1-16,20, not as {text}")
    return text


def check_numbers(text: str) -> str:
    """The text as it is, or BadParameter where it is no list of numbers."""
    if not re.fullmatch(r"\d+(,\d+)*", text):
        raise typer.BadParameter(f"numbers are written as 1,2,4, not as {text}")
    return text


def check_side(side: int) -> int:
    """The side as it is, or BadParameter where no canvas has it."""
    if side % 32:
        raise typer.BadParameter(f"{side} is no multiple of 32")
    return side


Data = Annotated[Path, typer.Option(help="Folder of a COCO-format data set.", exists=True)]
Folders = Annotated[
    list[Path],
    typer.Option(
        "--data",
        help="Folder of a COCO-format data set; several if given more than once, judged by the first.",
        exists=True,
    ),
]
Checkpoint = Annotated[Path, typer.Argument(help="checkpoint.pt of a run.", exists=True)]
Model = Annotated[Path, typer.Argument(help="A model folder.", exists=True)]
Destination = Annotated[Path, typer.Argument(help="The model folder to write; its name is the model's.")]
Categories = Annotated[
    str, typer.Option(help="Ids the means are over, as 1-16,20; all if empty.", callback=check_ids)
]
Side = Annotated[
    int, typer.Option(help="Side of the square canvas, a multiple of 32.", min=32, callback=check_side)
]
