"""An image's bytes or pixels to its Segmentation: the stages in their order, and the time of each."""

import re
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import structlog

from service.errors import BlitzError, InvalidImage, OutOfMemory, SelfTestFailed
from service.inference.backends import Backend, BackendChoice, choose_file, open_backend
from service.inference.canvas import place_picture
from service.inference.card import Card, Folder, read_card
from service.inference.decoding import DECODERS, Criteria
from service.inference.decoding.selection import least_score
from service.inference.detections import Findings, join_detections, no_detections
from service.inference.golden import Golden, check_heads, draw_picture, read_golden
from service.inference.images import Limits, Picture, decode_for_canvas, decode_image
from service.inference.masks.forms import Masked, Traced, describe_masks, describe_traced
from service.inference.masks.merging import merge_detections
from service.inference.masks.runs import enclose_runs
from service.inference.placing import Found, place_instances
from service.inference.resolved_options import ResolvedOptions, resolve_options
from service.inference.views import ALONE, Share, plan_views
from service.types import (
    Floats,
    Heads,
    Instance,
    Instances,
    Ints,
    Options,
    Pixels,
    Placement,
    Segmentation,
    Size,
    Timings,
    add_timings,
    longest_timings,
    seconds_to_ms,
)

_DEFAULT_LIMITS = Limits()
_MEMORY = re.compile(r"insufficient memory|bad.?alloc|(allocate|out of) memory", re.IGNORECASE)

log = structlog.get_logger("service.inference.segmenter")


class Segmenter:
    """One opened model; thread-safe."""

    def __init__(self, card: Card, backend: Backend, limits: Limits) -> None:
        self.card = card
        self.backend = backend
        self.limits = limits
        self._labels = card.labels_by_channel()

    def segment(self, data: bytes, options: Options, *, crowded: bool = False) -> Segmentation:
        """The instances in an encoded image; `crowded` computes them on few threads.

        Raises InvalidImage, ImageTooLarge, InvalidOption, OutOfMemory.
        """
        if options.tiles is not None:
            return self.join([self.search(data, options, crowded=crowded)], options)
        with _raise_out_of_memory():
            return self._segment_bytes(data, options, crowded=crowded)

    def search(
        self, data: bytes, options: Options, share: Share = ALONE, *, crowded: bool = False
    ) -> Findings:
        """The detections in a share of the views of an encoded image, for `join`; raises as `segment`."""
        self._count_tiles(options)  # before a picture is decoded in vain
        watch = _Stopwatch()
        with _raise_out_of_memory():
            pixels = decode_image(data, self.limits)
            watch.lap("decode")
            return self._search(pixels, options, share, watch, crowded=crowded)

    def join(self, shares: Sequence[Findings], options: Options) -> Segmentation:
        """The instances of an image in all its views; `shares` are at least one, of the same options."""
        watch = _Stopwatch()
        resolved = resolve_options(self.card, options)
        image = shares[0].detections.runs.image
        found = merge_detections(join_detections([share.detections for share in shares]), resolved.nms)
        found = found.keep(np.arange(min(len(found), resolved.limit)))
        watch.lap("postprocess")
        traced = Traced(found.runs, enclose_runs(found.runs))
        masks = describe_traced(traced, resolved.masks, tolerance=resolved.tolerance)
        described = self._describe(found.classes, found.scores, found.boxes_xyxy, masks)
        watch.lap("masks")
        return Segmentation(
            image=image,
            instances=described,
            model=self.card.name,
            version=self.card.version,
            backend=shares[0].backend,
            timings=add_timings([longest_timings([share.timings for share in shares]), watch.timings()]),
        )

    def _segment_bytes(self, data: bytes, options: Options, *, crowded: bool) -> Segmentation:
        resolved = resolve_options(self.card, options)
        watch = _Stopwatch()
        if options.exact or not self.card.input.allows_reduction:
            picture = _show_all(decode_image(data, self.limits))
        else:
            picture = decode_for_canvas(data, self.limits, self.card.canvas)
        watch.lap("decode")
        return self._segment(picture, resolved, watch, crowded=crowded)

    def segment_pixels(self, pixels: Pixels, options: Options, *, crowded: bool = False) -> Segmentation:
        """The instances in uint8 [H, W, 3] RGB, image frame; raises InvalidImage, InvalidOption."""
        resolved = resolve_options(self.card, options)
        if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or not pixels.size:
            raise InvalidImage(f"expected uint8 [H, W, 3] RGB pixels, got {pixels.dtype} {pixels.shape}")
        watch = _Stopwatch()
        with _raise_out_of_memory():
            if options.tiles is not None:
                found = self._search(pixels, options, ALONE, watch, crowded=crowded)
                return self.join([found], options)
            return self._segment(_show_all(pixels), resolved, watch, crowded=crowded)

    def self_test(self, golden: Golden, *, crowded: bool = False) -> float:
        """The largest relative difference from the golden values; raises SelfTestFailed."""
        picture = draw_picture(self.card.canvas, golden.seed)
        heads = self.backend.run(picture[None], crowded=crowded)
        return check_heads(heads, golden, self.backend.describe().precision)

    def close(self) -> None:
        self.backend.close()

    def _segment(
        self,
        picture: Picture,
        resolved: ResolvedOptions,
        watch: "_Stopwatch",
        *,
        crowded: bool,
    ) -> Segmentation:
        found, placement = self._find(picture, resolved, watch, crowded=crowded)
        if found.traced is None:
            masks = describe_masks(found.instances, placement, resolved.masks, tolerance=resolved.tolerance)
        else:
            masks = describe_traced(found.traced, resolved.masks, tolerance=resolved.tolerance)
        instances = found.instances
        described = self._describe(instances.classes, instances.scores, found.boxes_xyxy_image, masks)
        watch.lap("masks")
        return Segmentation(
            image=placement.image,
            instances=described,
            model=self.card.name,
            version=self.card.version,
            backend=self.backend.describe(crowded=crowded),
            timings=watch.timings(),
        )

    def _find(
        self, picture: Picture, resolved: ResolvedOptions, watch: "_Stopwatch", *, crowded: bool
    ) -> tuple[Found, Placement]:
        canvas, placement = place_picture(picture, self.card.input)
        watch.lap("prepare")
        heads = self.backend.run(canvas[None], crowded=crowded)
        watch.lap("infer")
        found = self._decode(heads, placement, resolved)
        watch.lap("postprocess")
        return found, placement

    def _search(
        self, pixels: Pixels, options: Options, share: Share, watch: "_Stopwatch", *, crowded: bool
    ) -> Findings:
        resolved, image = resolve_options(self.card, options), Size(*pixels.shape[:2])
        views = share.choose(plan_views(image, self.card.input, self._count_tiles(options)))
        parts = [no_detections(image)]
        for view in views:
            shown = np.ascontiguousarray(pixels[view.top : view.bottom, view.left : view.right])
            found, placement = self._find(_show_all(shown), resolved, watch, crowded=crowded)
            parts.append(found.to_detections(placement, view, image))
            watch.lap("masks")
        return Findings(join_detections(parts), self.backend.describe(crowded=crowded), watch.timings())

    def _count_tiles(self, options: Options) -> int:
        assert options.tiles is not None  # else there is nothing to share
        return self.limits.count_tiles(options.tiles)

    def _decode(self, heads: Heads, placement: Placement, resolved: ResolvedOptions) -> Found:
        """The best instances that are at least partly in the image."""
        found = place_instances(self._find_instances(heads, placement.canvas, resolved), placement)
        boxes = found.boxes_xyxy_image
        visible = np.logical_and.reduce(boxes[:, :2] < boxes[:, 2:], axis=1)
        if found.traced is not None and found.instances.mask_decides:
            visible &= found.traced.runs.areas() > 0
        if visible.all() and len(visible) <= resolved.limit:
            return found
        return found.keep(visible.nonzero()[0][: resolved.limit])

    def _find_instances(self, heads: Heads, canvas: Size, resolved: ResolvedOptions) -> Instances:
        """The instances whose reported scores reach the threshold, best first."""
        decoder, calibration = self.card.decoder, self.card.calibration
        decode = DECODERS[decoder.family]
        criteria = Criteria(canvas, resolved.threshold, resolved.classes, resolved.nms)
        if calibration is None:
            return decode(heads, decoder, criteria)
        found = decode(heads, decoder, replace(criteria, threshold=calibration.invert(resolved.threshold)))
        scores = calibration.report(found.scores)
        enough = scores >= least_score(resolved.threshold, decoder.comparison)
        return replace(found, scores=scores).keep(enough.nonzero()[0])

    def _describe(
        self, classes: Ints, scores: Floats, boxes_xyxy_image: Floats, masks: Iterable[Masked]
    ) -> tuple[Instance, ...]:
        boxes_xywh = boxes_xyxy_image.copy()
        boxes_xywh[:, 2:] -= boxes_xyxy_image[:, :2]
        return tuple(
            Instance(
                label=self._labels[channel].name,
                category_id=self._labels[channel].category_id,
                score=score,
                bbox=tuple(bbox),
                area=area,
                segmentation=mask,
            )
            for channel, score, bbox, (mask, area) in zip(
                classes.tolist(), scores.tolist(), boxes_xywh.tolist(), masks, strict=True
            )
        )


def open_model(folder: Folder, choice: BackendChoice, limits: Limits = _DEFAULT_LIMITS) -> Segmenter:
    """The model of a folder, opened, warmed up and self-tested in every slot; raises ArtifactError's leaves.

    Where the precision is "auto" and the fastest one fails the self-test, fp32 is opened instead. INT8 fails
    on processors whose instructions saturate its sums.
    """
    card = read_card(folder)
    try:
        return _open_tested(folder, card, choice, limits)
    except SelfTestFailed as error:
        if choice.precision != "auto" or choose_file(card, choice).precision == "fp32":
            raise
        log.warning("the fastest precision fails its self-test; opening fp32", reason=str(error))
        return _open_tested(folder, card, replace(choice, precision="fp32"), limits)


def _open_tested(folder: Folder, card: Card, choice: BackendChoice, limits: Limits) -> Segmenter:
    golden = read_golden(folder)
    segmenter = Segmenter(card, open_backend(folder, card, choice), limits)
    try:
        segmenter.self_test(golden)
        for _ in range(choice.slots):
            segmenter.self_test(golden, crowded=True)
    except BlitzError:
        segmenter.close()
        raise
    return segmenter


@contextmanager
def _raise_out_of_memory() -> Iterator[None]:
    """Raises OutOfMemory in place of what numpy, OpenCV and the runtimes raise where memory is short."""
    try:
        yield
    except Exception as error:
        if not isinstance(error, MemoryError) and not _MEMORY.search(str(error)):
            raise
        raise OutOfMemory("the service has too little memory left for this request") from error


class _Stopwatch:
    """Measures the milliseconds of each stage."""

    def __init__(self) -> None:
        self._laps: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, stage: str) -> None:
        now = time.perf_counter()
        self._laps[stage] = self._laps.get(stage, 0.0) + (now - self._last)
        self._last = now

    def timings(self) -> Timings:
        return Timings(**{stage: seconds_to_ms(spent) for stage, spent in self._laps.items()})


def _show_all(pixels: Pixels) -> Picture:
    """The picture of a full image."""
    return Picture(pixels, Size(*pixels.shape[:2]))
