"""The page's modules one by one, against references in Python."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from pycocotools import mask as coco

from service.inference.documents import instance_to_json
from service.inference.masks.forms import CONVERTERS
from service.types import Instance, MaskFormat, Rle, Size
from tests.e2e.chromium import Chromium, Tab
from tests.fakes import reshape_mask

Mask = npt.NDArray[np.uint8]
Use = Callable[..., Any]

INSIDE = """(rings) => {
  const path = new Path2D();
  for (const ring of rings) {
    ring.forEach(([x, y], at) => at ? path.lineTo(x, y) : path.moveTo(x, y));
    path.closePath();
  }
  const context = document.createElement("canvas").getContext("2d");
  return Array.from({ length: HEIGHT }, (_, y) => Array.from({ length: WIDTH }, (_, x) =>
    Number(context.isPointInPath(path, x + 0.5, y + 0.5, "evenodd"))));
}"""


@pytest.fixture(scope="module")
def use(browser: Chromium, address: str) -> Iterator[Use]:
    """`use(module, function, *arguments)`: the result of a module's function, through JSON."""
    tab = Tab(browser)
    tab.open(address)

    def call(module: str, function: str, *arguments: object) -> Any:
        given = ", ".join(json.dumps(argument) for argument in arguments)
        return tab.run(f"import('{address}page/js/{module}.js').then((it) => ({function})(it, {given}))")

    yield call
    tab.close()


def some_masks() -> list[Mask]:
    """uint8 [H, W] of many kinds: empty, full, single pixels, stripes, noise, blobs with holes, odd sizes."""
    random = np.random.default_rng(5)
    stripes = np.indices((9, 14)).sum(axis=0) % 2
    ring = np.zeros((24, 31), np.uint8)
    ring[3:20, 5:28] = 1
    ring[8:12, 9:20] = 0
    ring[9:11, 12:14] = 1
    noise = [random.random((17, 23)) < share for share in (0.05, 0.3, 0.5, 0.8, 0.97)]
    wide = random.random((1, 40)) < 0.5
    tall = random.random((700, 1)) < 0.9
    corner = np.eye(6)
    plain = [np.zeros((5, 7)), np.ones((5, 7)), np.ones((1, 1)), np.ones((300, 400))]
    return [np.asarray(mask, np.uint8) for mask in (*plain, stripes, ring, *noise, wide, tall, corner)]


def encode(mask: Mask) -> dict[str, object]:
    rle = coco.encode(np.asfortranarray(mask))
    return {"size": list(mask.shape), "counts": rle["counts"].decode()}


@pytest.mark.parametrize("mask", some_masks())
def test_run_lengths_are_decoded_as_pycocotools_encodes_them(use: Use, mask: Mask) -> None:
    spans = use("rle", "(it, rle) => it.maskSpans(rle)", encode(mask))
    painted = np.zeros_like(mask)
    for span in spans:
        painted[span["top"] : span["bottom"], span["x"]] += 1
    assert np.array_equal(painted, mask)


@pytest.mark.parametrize("reach", [0, 0.9])
@pytest.mark.parametrize("mask", [mask for mask in some_masks() if mask.size < 1000])
def test_an_outline_holds_exactly_the_masks_pixels(use: Use, mask: Mask, reach: float) -> None:
    height, width = mask.shape
    inside = INSIDE.replace("HEIGHT", str(height)).replace("WIDTH", str(width))
    spans = use("rle", "(it, rle) => it.maskSpans(rle)", encode(mask))
    rings = f"it.traceRings(spans).map((ring) => {reach} ? it.cutCorners(ring, {reach}) : ring)"
    function = f"(it, spans) => ({inside})({rings})"
    assert np.array_equal(use("outline", function, spans), mask)


@pytest.mark.parametrize("masks", CONVERTERS)
@pytest.mark.parametrize("mask", [mask for mask in some_masks() if mask.size < 1000])
def test_every_form_of_a_mask_gives_rings_around_the_same_pixels(
    use: Use, mask: Mask, masks: MaskFormat
) -> None:
    height, width = mask.shape
    whole, image = Rle(Size(height, width), str(encode(mask)["counts"])), Size(height, width)
    x, y, across, down = coco.toBbox(encode(mask)).tolist()
    instance = Instance("blob", 1, 1.0, (x, y, across, down), None, whole)
    form = instance_to_json(reshape_mask(instance, masks, image))["segmentation"]
    inside = INSIDE.replace("HEIGHT", str(height)).replace("WIDTH", str(width))
    assert np.array_equal(use("outline", f"(it, form) => ({inside})(it.maskRings(form))", form), mask)


def test_an_outline_is_one_ring_per_border(use: Use) -> None:
    ring = np.zeros((12, 12), np.uint8)
    ring[2:10, 2:10] = 1
    ring[4:8, 4:8] = 0
    spans = use("rle", "(it, rle) => it.maskSpans(rle)", encode(ring))
    outer, hole = use("outline", "(it, spans) => it.traceRings(spans)", spans)
    assert sorted(outer) == [[2, 2], [2, 10], [10, 2], [10, 10]]
    assert sorted(hole) == [[4, 4], [4, 8], [8, 4], [8, 8]]


def test_labels_stay_inside_and_never_cover_each_other(use: Use) -> None:
    random = np.random.default_rng(2)
    corners = random.integers(-20, 380, (60, 2)).tolist()
    labels = [
        {"box": {"x": x, "y": y, "width": 50, "height": 40}, "width": 70, "height": 19} for x, y in corners
    ]
    bounds = {"width": 400, "height": 300}
    placed = use("labels", "(it, labels, bounds) => it.placeLabels(labels, bounds)", labels, bounds)
    assert len(placed) == 60
    canvas = np.zeros((300, 400), np.int64)
    for rect in filter(None, placed):
        part = canvas[rect["y"] : rect["y"] + 19, rect["x"] : rect["x"] + 70]
        assert part.shape == (19, 70)
        part += 1
    assert canvas.max() == 1
    assert placed[0] is not None
    assert None in placed


def test_metrics_read_as_they_were_written(use: Use) -> None:
    registry = CollectorRegistry()
    counter = Counter("refused", "With a quote.", ["reason"], registry=registry)
    counter.labels('a "bad" \\ day\n').inc(3)
    counter.labels("Overloaded").inc(4)
    text = generate_latest(registry).decode()
    samples = use("prometheus", "(it, text) => it.parseMetrics(text)", text)
    assert samples[0] == {"name": "refused_total", "labels": {"reason": 'a "bad" \\ day\n'}, "value": 3}
    assert use("prometheus", "(it, samples) => it.total(samples, 'refused_total')", samples) == 7
    some = "(it, samples) => it.total(samples, 'refused_total', { reason: 'Overloaded' })"
    assert use("prometheus", some, samples) == 4


def test_a_quantile_is_that_of_what_came_between_two_scrapes(use: Use) -> None:
    registry = CollectorRegistry()
    bounds = np.linspace(0.01, 1, 100).tolist()
    seconds = Histogram("seconds", "How long.", ["method"], buckets=bounds, registry=registry)
    for _ in range(500):
        seconds.labels("segment").observe(0.9)
    before = generate_latest(registry).decode()
    times = np.random.default_rng(1).random(2000) * 0.5
    for at, time in enumerate(times):
        seconds.labels("segment" if at % 3 else "frame").observe(time)
    function = """(it, now, before, q) => it.quantile(
      q, it.gained(it.parseMetrics(now), it.parseMetrics(before)), 'seconds')"""
    for share in (0.5, 0.95):
        found = use("prometheus", function, generate_latest(registry).decode(), before, share)
        assert found == pytest.approx(np.quantile(times, share), abs=0.005)


def test_a_quantile_of_nothing_is_not_known(use: Use) -> None:
    assert use("prometheus", "(it) => String(it.quantile(0.5, [], 'seconds'))") == "NaN"


def test_json_to_read_keeps_numbers_in_a_line_and_cuts_long_masks(use: Use) -> None:
    answer = {"instances": [{"bbox": [1, 2.5, 3, 4], "segmentation": {"size": [5, 6], "counts": "0" * 90}}]}
    function = "(it, answer, short) => it.answerJson(answer, { short })"
    assert json.loads(use("snippets", function, answer, False)) == answer
    shown = use("snippets", function, answer, True)
    assert '"bbox": [1, 2.5, 3, 4]' in shown
    assert f'"counts": "{"0" * 48}…"' in shown


def test_json_to_read_cuts_long_rings(use: Use) -> None:
    answer = {"segmentation": {"rings": [list(range(90)), [1, 2, 3, 4]]}}
    shown = use("snippets", "(it, answer) => it.answerJson(answer, { short: true })", answer)
    assert '[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, "…"]' in shown
    assert "[1, 2, 3, 4]" in shown


def test_a_watcher_is_called_only_for_what_it_watches(use: Use) -> None:
    function = """(it) => {
      const seen = [];
      const store = it.createStore({ a: 1, b: 1 });
      store.watch(({ a }) => [a], ({ a, b }) => seen.push([a, b]));
      store.set({ b: 2 });
      store.set({ a: 2 });
      store.set({ a: 2 });
      return seen;
    }"""
    assert use("store", function) == [[1, 1], [2, 2]]


def as_frame(*tracks: int | None) -> dict[str, object]:
    """An answer whose instances have these identities, best first."""
    return {
        "instances": [
            {"label": "cat", "score": 0.9} | ({"track_id": track} if track else {}) for track in tracks
        ]
    }


@pytest.mark.parametrize(
    ("before", "after", "kept"),
    [
        (as_frame(5, 6, 7), as_frame(7, 5, 6), {"hovered": 2, "pinned": 0}),
        (as_frame(5, 6, 7), as_frame(5, 6), {"hovered": 1, "pinned": None}),  # out of sight
        (as_frame(5, None), as_frame(8, 7), {"hovered": None, "pinned": 1}),  # back again
    ],
)
def test_what_is_highlighted_stays_so_wherever_it_is_ranked_next(
    use: Use, before: dict[str, object], after: dict[str, object], kept: dict[str, int | None]
) -> None:
    function = "(it, answer, next) => it.keepHighlight({ answer, hovered: 1, followed: 7 }, next)"
    assert use("state", function, before, after) == kept


def test_a_streams_list_goes_by_identity_and_a_pictures_by_score(use: Use) -> None:
    function = """(it, answer, live) =>
      it.listedInstances({ answer, live, threshold: 0, hidden: new Set() }).map(({ index }) => index)"""
    assert use("state", function, as_frame(9, None, 4), True) == [2, 0, 1]
    assert use("state", function, as_frame(9, None, 4), None) == [0, 1, 2]


HIGHLIGHT = """async (it, corners) => {
  const canvas = document.body.appendChild(document.createElement("canvas"));
  canvas.width = canvas.height = 100;
  const instances = corners.map(([low, high]) => ({
    label: "cat",
    score: 0.9,
    bbox: [low, low, high - low, high - low],
    segmentation: { rings: [[low, low, high, low, high, high, low, high]] },
  }));
  const layers = { masks: true, boxes: true, labels: false };
  const answer = { image: { width: 100, height: 100 }, instances };
  new it.Overlay(canvas).draw({ answer, layers, threshold: 0, hidden: new Set(), hovered: 1, pinned: null });
  canvas.remove();
  return [...canvas.getContext("2d").getImageData(50, 50, 1, 1).data];
}"""


def test_what_is_highlighted_has_its_own_colour_and_no_others(use: Use) -> None:
    overlapped = use("overlay", HIGHLIGHT, [[20, 80], [10, 90], [5, 95]])
    alone = use("overlay", HIGHLIGHT, [[0, 2], [10, 90], [98, 100]])
    assert overlapped == alone
    assert np.abs(np.array(alone) - (245, 165, 36, 107)).max() <= 2  # the palette's second colour


def test_an_identitys_colour_is_nobody_elses_in_a_stream(use: Use) -> None:
    function = "(it, answer) => answer.instances.map((_, index) => it.colourOf(answer, index).line)"
    instances = [{"track_id": 1}, {}, {"track_id": 2}, {}]
    first, none, second, none_either = use("palette", function, {"frame_id": 0, "instances": instances})
    assert none == none_either
    assert len({first, none, second}) == 3
    assert len(set(use("palette", function, {"instances": [{}] * 10}))) == 10


@pytest.mark.parametrize(("sizes", "kept"), [([1] * 30, 24), ([9e7, 9e7, 9e7], 2), ([9e7, 3e8], 1)])
def test_the_pictures_of_a_visit_are_bounded_and_the_newest_stays(
    use: Use, sizes: list[float], kept: int
) -> None:
    added = "sizes.reduce((all, size, at) => it.remember(all, { picture: { blob: { size } }, at }), [])"
    places = use("state", f"(it, sizes) => {added}.map(({{ at }}) => at)", sizes)
    assert places == list(range(len(sizes)))[-kept:]


def test_a_newer_answer_takes_the_place_of_the_one_before(use: Use) -> None:
    answers = use(
        "state",
        """(it) => {
          const [first, second] = [1, 2].map((size) => ({ blob: { size } }));
          const entries = [[first, "a"], [second, "b"], [first, "c"]];
          return entries.reduce((all, [picture, answer]) => it.remember(all, { picture, answer }), [])
            .map(({ answer }) => answer);
        }""",
    )
    assert answers == ["c", "b"]


def test_events_are_listed_the_newest_first_and_only_so_many(use: Use) -> None:
    shown = use("state", "(it, before, happened) => it.addEvents(before, happened)", [1, 0], [2, 3])
    assert shown == [3, 2, 1, 0]
    many = use("state", "(it, before, happened) => it.addEvents(before, happened)", [], list(range(500)))
    assert many == list(range(499, 299, -1))


@pytest.mark.parametrize(
    ("event", "sentence"),
    [
        ({"event": "new"}, "cat #3 is new"),
        ({"event": "gone", "seconds": 2.04}, "cat #3 is gone after 2.0 s"),
        ({"event": "entered", "zone": "yard"}, "cat #3 enters yard"),
        ({"event": "left", "zone": "yard", "seconds": 1}, "cat #3 leaves yard after 1.0 s"),
        ({"event": "crossed", "line": "gate", "direction": "out"}, "cat #3 crosses gate, out"),
        ({"event": "updated"}, "#3 takes the label cat"),
    ],
)
def test_every_kind_of_event_has_a_sentence(use: Use, event: dict[str, object], sentence: str) -> None:
    assert (
        use("events", "(it, event) => it.eventText(event)", {**event, "label": "cat", "track_id": 3})
        == sentence
    )


def test_points_stay_in_the_picture_and_a_line_ends_at_its_second(use: Use) -> None:
    add = "(it, draft, point) => it.addPoint(draft, point, 0.02)"
    first = use("places", add, {"kind": "line", "points": []}, [-0.5, 0.25])
    assert first == {"draft": {"kind": "line", "points": [[0, 0.25]]}, "done": False}
    assert not use("places", add, first["draft"], [0.01, 0.25])["done"]  # a second click at the same place
    assert use("places", add, first["draft"], [1.5, 0.25]) == {
        "draft": {"kind": "line", "points": [[0, 0.25], [1, 0.25]]},
        "done": True,
    }
