"""Which objects and detections count: the rules for sets that are not labelled completely.

An image whose `exhaustive_category_ids` are given is judged in those categories alone; a plain COCO image,
which has no such field, in all. `box_only` marks an object whose box is known and whose mask is not.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Literal, TypeAlias

Kind: TypeAlias = Literal["segm", "bbox"]
Record: TypeAlias = Mapping[str, Any]
Pair: TypeAlias = tuple[int, int]  # image id, category id


def judged_pairs(content: Record, kind: Kind) -> frozenset[Pair]:
    """The (image, category) pairs that count.

    For masks a pair drops out when one of its objects is box_only, since a detection of it could not be told
    from a false one; a crowd that is box_only leaves it in.
    """
    everything = [category["id"] for category in content["categories"]]
    pairs = {
        (image["id"], category)
        for image in content["images"]
        for category in image.get("exhaustive_category_ids", everything)
    }
    if kind == "segm":
        pairs -= {_pair(item) for item in content["annotations"] if is_box_only(item) and not is_crowd(item)}
    return frozenset(pairs)


def keep_judged(items: Iterable[Record], pairs: frozenset[Pair]) -> list[Record]:
    """The annotations or detections of those pairs."""
    return [item for item in items if _pair(item) in pairs]


def is_box_only(annotation: Record) -> bool:
    """Whether its mask is unknown: it says so, or has none."""
    return bool(annotation.get("box_only")) or not annotation.get("segmentation")


def is_crowd(annotation: Record) -> bool:
    return bool(annotation.get("iscrowd"))


def _pair(item: Record) -> Pair:
    return item["image_id"], item["category_id"]
