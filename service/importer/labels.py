"""Class names of an imported model: from the file itself, from a file of the user, or COCO's."""

from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from service.errors import InvalidOption
from service.importer.metadata import clean_name, parse_metadata
from service.inference.card import Label

COCO = "coco"
_MOST_BYTES = 20_000_000

# COCO's 80 classes in their order; the numbers are the category ids, which have ten gaps up to 90.
_COCO_TEXT = """
person, bicycle, car, motorcycle, airplane, bus, train, truck, boat, traffic light, fire hydrant,
stop sign, parking meter, bench, bird, cat, dog, horse, sheep, cow, elephant, bear, zebra, giraffe,
backpack, umbrella, handbag, tie, suitcase, frisbee, skis, snowboard, sports ball, kite,
baseball bat, baseball glove, skateboard, surfboard, tennis racket, bottle, wine glass, cup, fork,
knife, spoon, bowl, banana, apple, sandwich, orange, broccoli, carrot, hot dog, pizza, donut, cake,
chair, couch, potted plant, bed, dining table, toilet, tv, laptop, mouse, remote, keyboard,
cell phone, microwave, oven, toaster, sink, refrigerator, book, clock, vase, scissors, teddy bear,
hair drier, toothbrush
"""
_COCO_NAMES = tuple(name.strip() for name in _COCO_TEXT.split(","))
_COCO_GAPS = frozenset({12, 26, 29, 30, 45, 66, 68, 69, 71, 83})
COCO_IDS = tuple(number for number in range(1, 91) if number not in _COCO_GAPS)


def read_names(source: str) -> tuple[str, ...]:
    """The class names of a file with one name on each line, of a JSON list or dict, or of `coco`.

    Raises InvalidOption.
    """
    if source == COCO:
        return _COCO_NAMES
    path = Path(source)
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise InvalidOption(
                f"--labels {source}: it has over {_MOST_BYTES} bytes and cannot be a list of names"
            )
        text = path.read_text("utf-8-sig")
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise InvalidOption(f"--labels {source}: {reason}; give a file of names, or {COCO}") from error
    except UnicodeDecodeError as error:
        raise InvalidOption(f"--labels {source}: it is not UTF-8 text") from error
    names = parse_metadata({"names": text}).names if text.lstrip()[:1] in ("[", "{") else None
    listed = _list_names(names) if names else tuple(text.splitlines())
    found = tuple(name.strip() for name in listed if name.strip())
    if not found:
        raise InvalidOption(f"--labels {source}: it holds no names; write one on each line")
    return found


def _list_names(names: Mapping[int, str]) -> tuple[str, ...]:
    """The names in the order of their numbers, which must have no gaps."""
    if sorted(names) != list(range(len(names))):
        raise InvalidOption("the numbers of the classes have gaps: number them from 0 on")
    return tuple(names[number] for number in range(len(names)))


def make_labels(names: Mapping[int, str]) -> tuple[Label, ...]:
    """A label for each of the network's class numbers, with that number as category_id.

    Names are made to fit a card: commas become semicolons, and a name that stands twice gets its number.
    Raises InvalidOption.
    """
    labels, taken = [], set[str]()
    for channel, raw in sorted(names.items()):
        name = clean_name(raw) or f"class {channel}"
        if name in taken:
            name = f"{name} ({channel})"
        taken.add(name)
        try:
            labels.append(Label(category_id=channel, name=name, channel=channel))
        except ValidationError as error:
            raise InvalidOption(
                f"class {channel}, {raw!r}, makes no label: {error.errors()[0]['msg']}"
            ) from error
    return tuple(labels)


def coco_labels(names: Mapping[int, str] | None) -> tuple[Label, ...]:
    """Labels under COCO's category ids, 1 to 90 with gaps; names: 80 others for them, None: COCO's."""
    chosen = _COCO_NAMES if names is None else [names[number] for number in sorted(names)]
    return make_labels(dict(zip(COCO_IDS, chosen, strict=True)))
