"""Grafted graphs compute the same as preparation in numpy, to the last bit."""

import copy
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from service.importer.graft import Preparation, add_batch_axis, add_columns, graft_bytes
from service.importer.graph import describe_onnx
from service.importer.nodes import cut_outputs, find_float64_grids, find_pasted, sort_nodes
from service.types import Pixels, Size
from tests.service.importer.exports import ROWS, SIDE, Export, make_maskrcnn, make_mmdeploy, make_yolo

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
PREPARATIONS = {
    "plain": Preparation(),
    "imagenet": Preparation(mean=MEAN, std=STD),
    "bgr": Preparation(order="BGR", scale=1.0, mean=(123.675, 116.28, 103.53), std=(58.395, 57.12, 57.375)),
}


@pytest.fixture
def pixels() -> Pixels:
    """All bytes, in each channel."""
    return np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), np.uint8)


def run(model: onnx.ModelProto, values: Any) -> dict[str, Any]:
    session = onnxruntime.InferenceSession(model.SerializeToString())
    names = [each.name for each in session.get_outputs()]
    return dict(zip(names, session.run(names, {session.get_inputs()[0].name: values}), strict=True))


def prepare(pixels: Pixels, preparation: Preparation) -> Any:
    """The numbers that the graph would get from its own tool: float32 [3, H, W]."""
    values: Any = pixels.astype(np.float32) / np.float32(preparation.scale)
    values = (values - np.array(preparation.mean, np.float32)) / np.array(preparation.std, np.float32)
    ordered = values[..., ::-1] if preparation.order == "BGR" else values
    return np.ascontiguousarray(ordered.transpose(2, 0, 1))


@pytest.mark.parametrize("name", PREPARATIONS)
def test_a_grafted_graph_gives_the_same_bits(name: str, pixels: Pixels) -> None:
    model, preparation = make_yolo(), PREPARATIONS[name]
    expected = run(model, prepare(pixels, preparation)[None])
    graft_bytes(model, describe_onnx(model).inputs[0], preparation, Size(SIDE, SIDE))
    onnx.checker.check_model(model)
    assert describe_onnx(model).inputs[0].shape == (1, SIDE, SIDE, 3)
    found = run(model, pixels[None])
    for head, values in expected.items():
        np.testing.assert_array_equal(found[head], values)


def test_a_graph_of_one_picture_gets_a_batch_axis_on_both_sides(pixels: Pixels) -> None:
    model = make_maskrcnn()
    expected = run(model, prepare(pixels, Preparation()))
    (tensor,) = describe_onnx(model).inputs
    graft_bytes(model, tensor, Preparation(layout="CHW"), None)
    add_batch_axis(model, list(expected))
    onnx.checker.check_model(model)
    found = run(model, pixels[None])
    for head, values in expected.items():
        np.testing.assert_array_equal(found[head], values[None])
    assert run(model, pixels[None, :40, :50])["boxes"].shape == (1, ROWS, 4)


def test_an_old_opset_is_grafted_too(pixels: Pixels) -> None:
    model = Export()
    model.add("Relu", "image", name="output")
    export = model.close(("image", [3, SIDE, SIDE]), {"output": [3, SIDE, SIDE]})
    export.opset_import[0].version = 11
    graft_bytes(export, describe_onnx(export).inputs[0], Preparation(layout="CHW"), Size(SIDE, SIDE))
    add_batch_axis(export, ["output"])
    np.testing.assert_array_equal(run(export, pixels[None])["output"][0], prepare(pixels, Preparation()))


def test_half_precision_inputs_get_half_precision(pixels: Pixels) -> None:
    model = Export()
    model.add("Relu", "images", name="output")
    shape = [1, 3, SIDE, SIDE]
    export = model.close(("images", shape), {"output": shape}, dtype=TensorProto.FLOAT16)
    export.graph.output[0].type.tensor_type.elem_type = TensorProto.FLOAT16
    graft_bytes(export, describe_onnx(export).inputs[0], Preparation(), Size(SIDE, SIDE))
    found = run(export, pixels[None])["output"]
    assert found.dtype == np.float16
    np.testing.assert_array_equal(found[0], prepare(pixels, Preparation()).astype(np.float16))


def test_a_free_batch_stays_free(pixels: Pixels) -> None:
    model = Export()
    model.add("Relu", "images", name="output")
    export = model.close(("images", ["batch", 3, "h", "w"]), {"output": ["batch", 3, "h", "w"]})
    graft_bytes(export, describe_onnx(export).inputs[0], Preparation(), Size(SIDE, SIDE))
    assert run(export, np.stack([pixels, pixels]))["output"].shape == (2, 3, SIDE, SIDE)


def test_a_tensor_that_has_the_name_of_the_new_input_keeps_it(pixels: Pixels) -> None:
    model = Export()
    model.add("Relu", "images", name="pixels")
    model.add("Relu", "pixels", name="output")
    shape = [1, 3, SIDE, SIDE]
    export = model.close(("images", shape), {"output": shape})
    graft_bytes(export, describe_onnx(export).inputs[0], Preparation(), Size(SIDE, SIDE))
    np.testing.assert_array_equal(run(export, pixels[None])["output"][0], prepare(pixels, Preparation()))


def test_shuffled_nodes_are_sorted() -> None:
    model = make_yolo()
    expected = [node.name or node.output[0] for node in model.graph.node]
    shuffled = copy.deepcopy(model)
    nodes = list(shuffled.graph.node)[::-1]
    del shuffled.graph.node[:]
    shuffled.graph.node.extend(nodes)
    with pytest.raises(onnx.checker.ValidationError):
        onnx.checker.check_model(shuffled)
    sort_nodes(shuffled.graph)
    onnx.checker.check_model(shuffled)
    sort_nodes(model.graph)
    assert [node.name or node.output[0] for node in model.graph.node] == expected


def test_a_node_that_an_inner_graph_reads_comes_before_it() -> None:
    inner = helper.make_graph(
        [helper.make_node("Neg", ["late"], ["inner"])],
        "inner",
        [],
        [helper.make_tensor_value_info("inner", TensorProto.FLOAT, [1])],
    )
    nodes = [
        helper.make_node("If", ["asked"], ["output"], then_branch=inner, else_branch=inner),
        helper.make_node("Abs", ["input"], ["late"]),
    ]
    graph = helper.make_graph(nodes, "outer", [], [])
    sort_nodes(graph)
    assert [node.op_type for node in graph.node] == ["Abs", "If"]


def test_masks_are_cut_off_before_they_are_pasted() -> None:
    model = make_maskrcnn(pasted=True)
    picture = np.random.default_rng(0).random((3, 90, 120), np.float32)
    expected = run(make_maskrcnn(), picture)
    (candidate, *_) = find_pasted(model.graph, "masks")
    cut_outputs(model, ["boxes", "labels", "scores", candidate])
    onnx.checker.check_model(model)
    assert not any(node.op_type == "Pad" for node in model.graph.node)
    np.testing.assert_array_equal(run(model, picture)[candidate], expected["masks"])


def test_a_column_becomes_an_output(pixels: Pixels) -> None:
    model = make_mmdeploy()
    add_columns(model, {"scores": ("dets", 4)})
    found = run(model, prepare(pixels, Preparation())[None])
    np.testing.assert_array_equal(found["scores"], found["dets"][..., 4])


@pytest.mark.parametrize(("kind", "expected"), [(TensorProto.FLOAT, False), (TensorProto.DOUBLE, True)])
def test_float64_grids_are_found(kind: int, expected: bool) -> None:
    export = Export()
    grid = export.add("Cast", export.draw(1, 4, 4, 2), to=kind)
    export.add("GridSample", "images", grid, name="output")
    model = export.close(("images", [1, 3, 8, 8]), {"output": [1, 3, 4, 4]})
    assert find_float64_grids(model) is expected
