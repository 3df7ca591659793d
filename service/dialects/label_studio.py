"""Label Studio: the labels that a project asks for, and answers as regions of its tags.

The form of the regions, and of the run lengths of a brush, is that of label-studio-sdk 2.1.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias
from xml.etree import ElementTree

import numpy as np
import orjson

from service.dialects.outlines import outline_instance
from service.errors import InvalidOption
from service.inference.masks.forms import form_to_mask
from service.types import TOLERANCE, Answer, Instance, Mask, Segmentation, Size

Kind: TypeAlias = Literal["brushlabels", "polygonlabels", "rectanglelabels"]
Json: TypeAlias = dict[str, object]

KINDS: Mapping[str, Kind] = {
    "BrushLabels": "brushlabels",
    "PolygonLabels": "polygonlabels",
    "RectangleLabels": "rectanglelabels",
}
RUN_BITS = (4, 8, 12, 16)  # of a run's length, in the four sizes that the packed form can choose from
LONGEST = 1 << RUN_BITS[-1]


@dataclass(frozen=True, slots=True)
class Control:
    """The tag of a project that takes our regions.

    name, image: of the tag, and of the tag that shows the picture. field: of a task, with the picture's
    address. labels: those that the tag knows; an object of another label is left out.
    """

    kind: Kind
    name: str
    image: str
    field: str
    labels: frozenset[str]


def parse_config(config: str) -> Control:
    """The first tag in a project's labelling interface that takes masks, outlines or boxes of a picture.

    Raises InvalidOption where there is none, or the text is no XML.
    """
    if "<!" in config.replace("<!--", ""):
        raise InvalidOption("the label config has a document type, which is not read here")
    try:
        root = ElementTree.fromstring(config)
    except ElementTree.ParseError as error:
        raise InvalidOption(f"the label config is no XML: {error}") from error
    pictures = {tag.get("name", ""): tag.get("value", "").lstrip("$") for tag in root.iter("Image")}
    for tag in root.iter():
        image = tag.get("toName", "")
        if tag.tag in KINDS and image in pictures:
            labels = frozenset(label.get("value", "") for label in tag.iter("Label"))
            return Control(KINDS[tag.tag], tag.get("name", ""), image, pictures[image], labels)
    raise InvalidOption(
        f"the label config has none of {', '.join(KINDS)} for an Image: add one, with the model's labels"
    )


def render_prediction(answer: Answer, control: Control) -> bytes:
    """A prediction of Label Studio as JSON: regions, their mean score, and the model with its version."""
    return orjson.dumps(segmentation_to_prediction(answer.segmentation, control))


def segmentation_to_prediction(found: Segmentation, control: Control) -> Json:
    """A prediction of Label Studio: regions, their mean score, and the model with its version.

    An object without a mask, of a model of boxes only, is no region of a brush.
    """
    wanted = [
        instance
        for instance in found.instances
        if instance.label in control.labels
        and (control.kind != "brushlabels" or instance.segmentation is not None)
    ]
    return {
        "result": [_write_region(place, one, control, found.image) for place, one in enumerate(wanted)],
        "score": sum(instance.score for instance in wanted) / len(wanted) if wanted else 0.0,
        "model_version": f"{found.model} {found.version}",
    }


def _write_region(place: int, instance: Instance, control: Control, image: Size) -> Json:
    value = {control.kind: [instance.label], **_write_shape(instance, control.kind, image)}
    return {
        "id": f"object-{place + 1}",
        "from_name": control.name,
        "to_name": control.image,
        "type": control.kind,
        "original_width": image.width,
        "original_height": image.height,
        "image_rotation": 0,
        "value": value,
        "score": instance.score,
    }


def _write_shape(instance: Instance, kind: Kind, image: Size) -> Json:
    """The place of an object; Label Studio counts in percent of the picture."""
    if kind == "brushlabels" and instance.segmentation is not None:
        return {"format": "rle", "rle": mask_to_brush(form_to_mask(instance.segmentation, image))}
    if kind == "polygonlabels":
        outline = outline_instance(instance, image, TOLERANCE) * 100 / [image.width, image.height]
        return {"points": outline.tolist(), "closed": True}
    x, y, width, height = instance.bbox
    return {
        "x": x * 100 / image.width,
        "y": y * 100 / image.height,
        "width": width * 100 / image.width,
        "height": height * 100 / image.height,
        "rotation": 0,
    }


def mask_to_brush(mask: Mask) -> list[int]:
    """The bytes of a brush: run lengths, packed, of the mask as an RGBA picture, row by row.

    The form is @thi.ng/rle-pack: the number of values in 32 bits, their width less 1 in 5, the four sizes of
    run lengths less 1 in 4 each. Then each run is a 1, the choice of a size in 2 bits, its length less 1, and
    its value in 8 bits.
    """
    values = mask.reshape(-1)
    edges = np.flatnonzero(values[1:] != values[:-1]) + 1
    bounds = np.concatenate([[0], edges, [len(values)]])
    parts = [f"{4 * len(values):032b}", f"{7:05b}", *(f"{bits - 1:04b}" for bits in RUN_BITS)]
    for start, end in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        parts += _pack_run(4 * (end - start), is_inside=bool(values[start]))
    bits = "".join(parts)
    packed = np.packbits(np.frombuffer(bits.encode(), np.uint8) - ord("0"))
    return list(packed.tolist())


def _pack_run(length: int, *, is_inside: bool) -> Sequence[str]:
    """The bits of a run, in as many pieces as its length needs."""
    value = "11111111" if is_inside else "00000000"
    pieces = [LONGEST] * (length // LONGEST) + ([length % LONGEST] if length % LONGEST else [])
    packed = []
    for piece in pieces:
        choice = next(choice for choice, bits in enumerate(RUN_BITS) if piece <= 1 << bits)
        packed.append(f"1{choice:02b}{piece - 1:0{RUN_BITS[choice]}b}{value}")
    return packed
