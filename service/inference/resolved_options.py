"""A caller's options, checked against the model and completed with its defaults."""

from dataclasses import dataclass
from typing import get_args

from service.errors import InvalidOption
from service.inference.card import Card
from service.types import TOLERANCE, MaskFormat, Nms, Options, Tiles

MOST_TOLERANT = 100  # pixels
MOST_NAMED = 10  # unknown classes that an error names


@dataclass(frozen=True, slots=True)
class ResolvedOptions:
    """Options without gaps; `classes` are the network's channels, None for all of them."""

    threshold: float
    limit: int
    classes: frozenset[int] | None
    masks: MaskFormat
    nms: Nms = "class"
    tolerance: float = TOLERANCE
    tiles: Tiles | None = None


def resolve_options(card: Card, options: Options) -> ResolvedOptions:
    """The options of one segmentation; raises InvalidOption, which says what would be accepted.

    For a model of boxes only, `masks` is always "none".
    """
    _check_word("masks", options.masks, get_args(MaskFormat))
    _check_word("nms", options.nms, get_args(Nms))
    return ResolvedOptions(
        threshold=_read_threshold(card, options.score_threshold),
        limit=_read_limit(card, options.max_instances),
        classes=_read_classes(card, options.classes),
        masks=options.masks if card.decoder.has_masks else "none",
        nms=options.nms,
        tolerance=_read_tolerance(options.tolerance),
        tiles=options.tiles,
    )


def parse_tiles(text: str | None) -> Tiles | None:
    """The option `tiles` from a text: "auto", or a whole number; None for an empty one or none.

    Raises InvalidOption.

    >>> parse_tiles("auto"), parse_tiles("4"), parse_tiles("")
    ('auto', 4, None)
    """
    if text == "auto":
        return "auto"
    if text and (not text.isascii() or not text.isdigit() or len(text) > 6):
        raise InvalidOption(f'tiles is {text[:40]!r}, expected "auto" or a whole number')
    return int(text) if text else None


def _check_word(name: str, asked: str, known: tuple[str, ...]) -> None:
    if asked not in known:
        raise InvalidOption(f"{name} is {asked!r}, expected one of {', '.join(known)}")


def _read_threshold(card: Card, asked: float | None) -> float:
    threshold = card.decoder.score_threshold if asked is None else asked
    if not 0 <= threshold <= 1:  # refuses NaN as well
        raise InvalidOption(f"score_threshold is {threshold}, expected a number from 0 to 1")
    return threshold


def _read_tolerance(asked: float) -> float:
    if not 0 <= asked <= MOST_TOLERANT:  # refuses NaN as well
        raise InvalidOption(f"tolerance is {asked}, expected a number of pixels from 0 to {MOST_TOLERANT}")
    return asked


def _read_limit(card: Card, asked: int | None) -> int:
    most = card.decoder.max_instances
    limit = most if asked is None else asked
    if not 1 <= limit <= most:
        raise InvalidOption(f"max_instances is {limit}, expected 1 to {most}")
    return limit


def _read_classes(card: Card, asked: tuple[str, ...] | None) -> frozenset[int] | None:
    channels = {label.name: channel for channel, label in card.labels_by_channel().items()}
    if asked is None:
        some = card.has_unlabelled or card.decoder.numbers_classes
        return frozenset(channels.values()) if some else None
    unknown = [name for name in asked if name not in channels]
    if unknown or not asked:
        fault = f"unknown classes {_list_names(unknown)}" if unknown else "classes is empty"
        raise InvalidOption(f"{fault}; {card.name} knows {', '.join(channels)}")
    return frozenset(channels[name] for name in asked)


def _list_names(names: list[str]) -> str:
    """As much of a caller's names as an answer or a log line repeats."""
    shown = ", ".join(repr(name[:40]) for name in names[:MOST_NAMED])
    return shown if len(names) <= MOST_NAMED else f"{shown} and {len(names) - MOST_NAMED} more"
