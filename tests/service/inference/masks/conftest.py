"""Scenes: any instances anywhere on any image, small enough to rasterise thousands of them."""

from dataclasses import dataclass
from typing import get_args

import numpy as np
import pytest
from hypothesis import strategies as st

from service.types import Floats, Instances, Placement, Size, Window

Scene = tuple[Instances, Placement]

# Whole numbers make ties: values that equal the level exactly, at samples and between them.
LOGITS = st.one_of(
    st.sampled_from([-2.0, -1.0, 0.0, 1.0, 2.0]),
    st.floats(-9, 9, width=32),
    st.floats(width=32),
)
EDGES = st.one_of(st.integers(-8, 48).map(float), st.floats(-20, 60, width=32))
LEVELS = st.sampled_from([0.0, 0.5, -1.0, 0.3])


@dataclass(frozen=True, slots=True)
class Shapes:
    """The sizes of the parts of a scene."""

    field: Size
    placement: Placement


@st.composite
def sizes(draw: st.DrawFn, largest: int) -> Size:
    """Up to `largest` both ways, thin ones included."""
    extent = st.integers(1, largest)
    return Size(draw(extent), draw(extent))


@st.composite
def shapes(draw: st.DrawFn) -> Shapes:
    """Images of any size anywhere on canvases larger and smaller than the field."""
    canvas = draw(sizes(40))
    placed = Size(draw(st.integers(1, canvas.height)), draw(st.integers(1, canvas.width)))
    placement = Placement(
        draw(sizes(45)),
        canvas,
        placed,
        left=draw(st.integers(0, canvas.width - placed.width)),
        top=draw(st.integers(0, canvas.height - placed.height)),
    )
    return Shapes(draw(sizes(6)), placement)


@st.composite
def fields(draw: st.DrawFn, count: int, size: Size) -> Floats:
    """float32 [count, h, w] of a few values each, so that neighbours differ and ties are common."""
    values = draw(st.lists(LOGITS, min_size=2, max_size=6))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return random.choice(np.array(values, np.float32), (count, size.height, size.width))


@st.composite
def boxes(draw: st.DrawFn) -> list[float]:
    """xyxy, canvas frame: around everything, inside, across and beyond, empty, inside out, not numbers."""
    return draw(
        st.one_of(
            st.just([-1.0, -1.0, 99.0, 99.0]),
            st.lists(EDGES, min_size=4, max_size=4),
            st.tuples(EDGES, EDGES).map(lambda corner: [*corner, corner[0] + 9, corner[1] + 20]),
            st.just([0.0, 0.0, 9.0, float("nan")]),
        )
    )


@st.composite
def any_scenes(draw: st.DrawFn) -> Scene:
    """Up to four instances with any logits in any boxes."""
    shape, count = draw(shapes()), draw(st.integers(0, 4))
    boxes_xyxy_canvas = np.array([draw(boxes()) for _ in range(count)], np.float32).reshape(count, 4)
    instances = Instances(
        classes=np.zeros(count, np.int64),
        scores=np.linspace(1, 0, count, dtype=np.float32),
        boxes_xyxy_canvas=boxes_xyxy_canvas,
        mask_fields=draw(fields(count, shape.field)),
        mask_level=draw(LEVELS),
        window=draw(st.sampled_from(get_args(Window))),
    )
    return instances, shape.placement


@pytest.fixture(scope="session")
def scenes() -> st.SearchStrategy[Scene]:
    """For `data.draw(scenes)`."""
    return any_scenes()
