"""The licences of a set's photos, and the part of a set that may be used commercially.

COCO's format lists licences by name and address, and each image names the id of its own.
"""

import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

import typer
from rich.console import Console
from rich.table import Table

from training.data.faults import DataRefused
from training.data.validate import read_content

Licences: TypeAlias = Literal["all", "commercial"]

# Attribution, with or without share-alike, and public domain. Not among them: NonCommercial, NoDerivs (a crop
# or another augmentation is a derivative), and every licence whose address does not say what it allows.
COMMERCIAL = re.compile(
    r"https?://(www\.)?(creativecommons\.org/(licenses/by(-sa)?/|publicdomain/)"
    r"|flickr\.com/commons/usage|usa\.gov/)"
)


def licences(
    file: Annotated[Path, typer.Argument(help="An annotation file in COCO's format.", exists=True)],
) -> None:
    """List the licences of a set's photos: how many photos each has, and whether it allows commercial use."""
    Console().print(draw_licences(read_content(file)))


def allows_commercial_use(licence: Mapping[str, Any]) -> bool:
    """True if the licence's address is one whose terms are known to allow commercial use.

    >>> allows_commercial_use({"url": "http://creativecommons.org/licenses/by-sa/2.0/"})
    True
    >>> allows_commercial_use({"url": "http://creativecommons.org/licenses/by-nc/2.0/"})
    False
    """
    return COMMERCIAL.match(str(licence.get("url", ""))) is not None


def keep_commercial(content: Mapping[str, Any]) -> dict[str, Any]:
    """A COCO file's content without the images, and their objects, that may not be used commercially.

    An image without a licence is left out. Raises DataRefused if no image is left.
    """
    allowed = {licence["id"] for licence in _read_licences(content) if allows_commercial_use(licence)}
    images = [entry for entry in content["images"] if _own_licence(entry) in allowed]
    if not images:
        raise DataRefused("no image has a licence that is known to allow commercial use")
    ids = {entry["id"] for entry in images}
    objects = [item for item in content["annotations"] if item["image_id"] in ids]
    return {**content, "images": images, "annotations": objects}


def draw_licences(content: Mapping[str, Any]) -> Table:
    """The number of images of each licence, the most frequent one first, and which allow commercial use."""
    names = {licence["id"]: licence for licence in _read_licences(content)}
    table = Table("id", "licence", "images", "commercial use")
    for number, count in Counter(map(_own_licence, content["images"])).most_common():
        licence = names.get(number, {"name": "none named"})
        answer = "allowed" if allows_commercial_use(licence) else "not known to be allowed"
        table.add_row("" if number is None else str(number), str(licence.get("name", "")), str(count), answer)
    return table


def _read_licences(content: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    listed = content.get("licenses")
    found = listed if isinstance(listed, list) else []
    return [each for each in found if isinstance(each, Mapping) and isinstance(each.get("id"), int | str)]


def _own_licence(entry: Mapping[str, Any]) -> int | str | None:
    number = entry.get("license")
    return number if isinstance(number, int | str) else None
