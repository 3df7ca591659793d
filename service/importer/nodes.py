"""Nodes of ONNX graphs: put in order, cut off, renamed, and looked for."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from service.errors import InvalidOption
from service.importer.graph import import_onnx


def sort_nodes(graph: Any) -> None:
    """Puts the nodes of an onnx.GraphProto in an order in which each follows the makers of its inputs.

    Ultralytics' fp16 files made on a CPU are not in such an order. Raises InvalidOption for a circle.
    """
    makers = {name: index for index, node in enumerate(graph.node) for name in node.output if name}
    needs = [{makers[name] for name in _read_names(node) if name in makers} for node in graph.node]
    if all(max(each, default=-1) < index for index, each in enumerate(needs)):
        return
    users: list[list[int]] = [[] for _ in needs]
    for index, each in enumerate(needs):
        for maker in each:
            users[maker].append(index)
    left = [len(each) for each in needs]
    ready = deque(index for index, count in enumerate(left) if count == 0)
    order = []
    while ready:
        order.append(ready.popleft())
        for user in users[order[-1]]:
            left[user] -= 1
            if left[user] == 0:
                ready.append(user)
    if len(order) < len(needs):
        raise InvalidOption("the graph's nodes wait for each other in a circle: export the file again")
    replace_all(graph.node, [graph.node[index] for index in order])


def cut_outputs(model: Any, names: Sequence[str]) -> None:
    """Makes these tensors the graph's outputs, and removes all that only the other outputs needed.

    model: an onnx.ModelProto, changed in place; its nodes are in order.
    """
    graph = model.graph
    outputs = [_describe_tensor(model, name) for name in names]
    wanted, kept = set(names), []
    for node in reversed(graph.node):
        if wanted.intersection(node.output):
            kept.append(node)
            wanted.update(_read_names(node))
    constants = [each for each in graph.initializer if each.name in wanted]
    replace_all(graph.output, outputs)
    replace_all(graph.node, kept[::-1])
    replace_all(graph.initializer, constants)


def _describe_tensor(model: Any, name: str) -> Any:
    """The type and shape of a tensor, as an onnx.ValueInfoProto; without the shape where nothing tells it."""
    onnx = import_onnx()
    for graph in (model.graph, onnx.shape_inference.infer_shapes(model).graph):
        for each in (*graph.output, *graph.value_info):
            if each.name == name:
                return each
    return onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None)


def find_pasted(graph: Any, masks: str) -> Iterator[str]:
    """The tensors that may be the masks before they are pasted into the picture, nearest first.

    torchvision pads the masks of boxes by a cell before it enlarges and pastes them, so that each candidate
    is the input of a Pad node on the way to `masks`.
    """
    makers = {name: node for node in graph.node for name in node.output}
    queue, seen = deque([masks]), {masks}
    while queue:
        node = makers.get(queue.popleft())
        if node is None:
            continue
        if node.op_type == "Pad":
            yield node.input[0]
        for name in _read_names(node):
            if name not in seen:
                seen.add(name)
                queue.append(name)


def find_float64_grids(model: Any) -> bool:
    """True where a GridSample node has a float64 grid, which ONNX Runtime refuses."""
    onnx = import_onnx()
    if not any(node.op_type == "GridSample" for node in model.graph.node):
        return False
    inferred = onnx.shape_inference.infer_shapes(model).graph
    values = (*inferred.value_info, *inferred.input, *inferred.output)
    doubles = {each.name for each in values if each.type.tensor_type.elem_type == onnx.TensorProto.DOUBLE}
    return any(doubles.intersection(node.input) for node in inferred.node if node.op_type == "GridSample")


def _read_names(node: Any) -> Iterable[str]:
    """The tensors that a node reads, with those that the graphs inside it take from around it."""
    yield from (name for name in node.input if name)
    for attribute in node.attribute:
        for graph in (*attribute.graphs, *([attribute.g] if attribute.HasField("g") else ())):
            own = {each.name for each in (*graph.input, *graph.initializer)}
            for inner in graph.node:
                own.update(inner.output)
            for inner in graph.node:
                yield from (name for name in _read_names(inner) if name not in own)
            yield from (each.name for each in graph.output if each.name not in own)


def rename_tensor(graph: Any, old: str, new: str) -> None:
    """Gives a tensor another name in all nodes of the graph, and of the graphs inside it."""
    for node in graph.node:
        for names in (node.input, node.output):
            for index, name in enumerate(names):
                if name == old:
                    names[index] = new
        for attribute in node.attribute:
            for inner in (*attribute.graphs, *([attribute.g] if attribute.HasField("g") else ())):
                rename_tensor(inner, old, new)


def rename_output(model: Any, old: str, new: str) -> None:
    """Gives an output of the graph another name.

    model: an onnx.ModelProto, changed in place.
    """
    rename_tensor(model.graph, old, new)
    for each in model.graph.output:
        if each.name == old:
            each.name = new


def replace_all(field: Any, values: Iterable[Any]) -> None:
    """Gives a repeated field of a protobuf message other values."""
    copies = list(values)
    del field[:]
    field.extend(copies)
