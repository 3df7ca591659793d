"""The steps of an import, from a file of another tool to a model folder that the service loads."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from service.errors import InvalidOption
from service.importer.complexity import count_multiply_adds
from service.importer.evidence import Evidence, Plan
from service.importer.families import recognise
from service.importer.folder import Draft, Trial, check_destination, write_folder
from service.importer.graft import Layout, add_batch_axis, add_columns, graft_bytes
from service.importer.graph import Graph, Tensor, describe_onnx, read_graph
from service.importer.labels import read_names
from service.importer.nodes import sort_nodes
from service.importer.probe import Outputs, cut_pasting, run_graph
from service.inference.canvas import place_picture
from service.inference.card import Input
from service.inference.images import Limits, Picture, decode_image
from service.types import Pixels, Size

_TASKS = {  # of Ultralytics' metadata, with the reason why they are refused
    "detect": "it only detects boxes",
    "obb": "it finds rotated boxes",
    "pose": "it finds key points",
    "classify": "it names whole pictures",
    "semantic": "it labels pixels and finds no single objects",
}
_LARGEST = 8192


@dataclass(frozen=True, slots=True)
class Request:
    """The user's wishes. size: the canvas for a graph that takes any; labels: see `read_names`.

    photo: an encoded image, on which the model is tried.
    """

    file: Path
    folder: Path
    name: str
    photo: bytes
    family: str | None = None
    labels: str | None = None
    size: Size | None = None
    score_threshold: float | None = None


Report = Callable[[str], None]


def import_file(request: Request, report: Report) -> Trial:
    """Writes the model folder, complete and tried on the photo, or not at all; raises as `prepare_import`."""
    check_destination(request.folder)
    draft = prepare_import(request, report)
    report("writing the model folder and trying it")
    return write_folder(draft, request.folder, request.photo)


def prepare_import(request: Request, report: Report) -> Draft:
    """All that the model folder will hold; report: told each step before it begins.

    Raises InvalidOption with one sentence: why a file does not fit, and what to export instead.
    """
    photo = decode_image(request.photo, Limits())
    names = None if request.labels is None else dict(enumerate(read_names(request.labels)))
    report("reading the file")
    graph = read_graph(request.file)
    _check_task(graph)
    tensor = _only_input(graph)
    canvas = _choose_canvas(graph, tensor, request.size)
    if graph.runtime == "onnx":
        sort_nodes(graph.content.graph)
    report("running it once, to learn the shapes of its outputs")
    pixels = _place(photo, canvas)
    graph, outputs = cut_pasting(graph, run_graph(graph, pixels), pixels)
    evidence = Evidence(
        graph=graph,
        canvas=Size(*pixels.shape[:2]),
        outputs=outputs,
        names=graph.metadata.names if names is None else names,
        any_size=canvas is None,
    )
    plan = _adjust(recognise(evidence, request.family), request)
    return _prepare(request, graph, plan, evidence.outputs)


def name_model(text: str) -> str:
    """A model's name from that of a file or folder.

    >>> name_model("my model (v2)")
    'my-model-v2'
    """
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-._") or "model"


def parse_size(text: str) -> Size:
    """A canvas from `640` or `HEIGHTxWIDTH`; raises InvalidOption.

    >>> parse_size("320x640")
    Size(height=320, width=640)
    """
    sides = [int(side) for side in text.split("x")] if re.fullmatch(r"\d{1,5}(x\d{1,5})?", text) else []
    if not sides or not all(1 <= side <= _LARGEST for side in sides):
        raise InvalidOption(
            f"--size {text}: write one side, as 640, or height x width, as 384x640, up to {_LARGEST}"
        )
    return Size(sides[0], sides[-1])


def _check_task(graph: Graph) -> None:
    task = graph.metadata.task
    if task not in ("", "segment"):
        reason = _TASKS.get(task, f"its task is {task}")
        raise InvalidOption(
            f"the file is no instance-segmentation model, {reason}: export one whose name ends with -seg"
        )


def _only_input(graph: Graph) -> Tensor:
    """The graph's input, which is of pictures; raises InvalidOption."""
    if len(graph.inputs) != 1:
        raise InvalidOption(
            f"the graph takes {len(graph.inputs)} inputs, and an import needs one, the picture: "
            f"{graph.describe()}"
        )
    (tensor,) = graph.inputs
    shape = tensor.shape or ()
    fits = (len(shape) == 3 and shape[0] == 3) or (len(shape) == 4 and 3 in (shape[1], shape[3]))
    if not fits:
        raise InvalidOption(
            "the input is no picture of three channels, [N, 3, H, W], [N, H, W, 3] or [3, H, W]: "
            f"{graph.describe()}"
        )
    return tensor


def _find_layout(tensor: Tensor) -> Layout:
    shape = tensor.shape or ()
    if len(shape) == 3:
        return "CHW"
    return "NCHW" if shape[1] == 3 else "NHWC"


def _choose_canvas(graph: Graph, tensor: Tensor, asked: Size | None) -> Size | None:
    """The graph's own canvas, else the one asked for; None for a graph that resizes pictures by itself.

    Raises InvalidOption where there is none, or two.
    """
    first = 1 if _find_layout(tensor) in ("CHW", "NHWC") else 2
    height, width = (tensor.shape or ())[first : first + 2]
    if isinstance(height, int) and isinstance(width, int):
        if asked not in (None, Size(height, width)):
            raise InvalidOption(f"the graph has the fixed size {height} x {width}: leave --size out")
        return Size(height, width)
    if asked is None and tensor.rank == 4:
        known = graph.metadata.canvas
        hint = "640 for YOLO" if known is None else f"{known.height}x{known.width} as its notes say"
        raise InvalidOption(
            f"the graph takes pictures of any size: give the size to serve it at, as --size {hint}"
        )
    return asked


def _place(photo: Pixels, canvas: Size | None) -> Pixels:
    """The photo on the canvas; as it is where the graph takes any size."""
    if canvas is None:
        return photo
    rule = Input(height=canvas.height, width=canvas.width, interpolation="linear")
    pixels, _ = place_picture(Picture(photo, Size(*photo.shape[:2])), rule)
    return pixels


def _adjust(plan: Plan, request: Request) -> Plan:
    """The plan with the user's score threshold."""
    if request.score_threshold is None:
        return plan
    changed = {**plan.decoder.model_dump(), "score_threshold": request.score_threshold}
    return replace(plan, decoder=type(plan.decoder).model_validate(changed))


def _prepare(request: Request, graph: Graph, plan: Plan, outputs: Outputs) -> Draft:
    """The import with its graph grafted, and the arrays of the heads that the decoder reads."""
    (tensor,) = graph.inputs
    layout = _find_layout(tensor)
    plan = replace(plan, preparation=replace(plan.preparation, layout=layout))
    columns = {name: outputs[source][..., column] for name, (source, column) in plan.columns.items()}
    channels = max(label.channel or 0 for label in plan.labels) + 1
    canvas = Size(plan.input.height, plan.input.width)
    heads = {name: {**outputs, **columns}[name] for name in plan.decoder.output_shapes(canvas, channels)}
    multiply_adds = 0
    if graph.runtime == "onnx":
        add_columns(graph.content, plan.columns)
        graft_bytes(graph.content, tensor, plan.preparation, None if plan.input.fit == "as_is" else canvas)
        unbatched = tuple(heads) if layout == "CHW" else plan.unbatched
        add_batch_axis(graph.content, unbatched)
        heads |= {name: heads[name][None] for name in unbatched}
        multiply_adds = count_multiply_adds(graph.content)
        made = describe_onnx(graph.content)
        graph = replace(graph, inputs=made.inputs, outputs=made.outputs)
    elif columns or plan.unbatched:
        raise InvalidOption("a TFLite file of this family cannot be served: export it to ONNX")
    return Draft(request.name, request.file, graph, plan, heads, multiply_adds)
