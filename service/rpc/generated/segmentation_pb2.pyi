from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class MaskFormat(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    MASK_FORMAT_UNSPECIFIED: _ClassVar[MaskFormat]
    MASK_FORMAT_NONE: _ClassVar[MaskFormat]
    MASK_FORMAT_RLE: _ClassVar[MaskFormat]
    MASK_FORMAT_RLE_CROP: _ClassVar[MaskFormat]
    MASK_FORMAT_POLYGON: _ClassVar[MaskFormat]
    MASK_FORMAT_CONTOUR: _ClassVar[MaskFormat]

class Nms(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    NMS_UNSPECIFIED: _ClassVar[Nms]
    NMS_CLASS: _ClassVar[Nms]
    NMS_ALL: _ClassVar[Nms]

class FramePolicy(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FRAME_POLICY_UNSPECIFIED: _ClassVar[FramePolicy]
    FRAME_POLICY_LATEST: _ClassVar[FramePolicy]
    FRAME_POLICY_ALL: _ClassVar[FramePolicy]

class TrackOverlap(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TRACK_OVERLAP_UNSPECIFIED: _ClassVar[TrackOverlap]
    TRACK_OVERLAP_BOX: _ClassVar[TrackOverlap]
    TRACK_OVERLAP_MASK: _ClassVar[TrackOverlap]

class Unit(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    UNIT_UNSPECIFIED: _ClassVar[Unit]
    UNIT_SHARES: _ClassVar[Unit]
    UNIT_PIXELS: _ClassVar[Unit]

class Anchor(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ANCHOR_UNSPECIFIED: _ClassVar[Anchor]
    ANCHOR_BOTTOM: _ClassVar[Anchor]
    ANCHOR_CENTRE: _ClassVar[Anchor]

class Direction(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DIRECTION_UNSPECIFIED: _ClassVar[Direction]
    DIRECTION_IN: _ClassVar[Direction]
    DIRECTION_OUT: _ClassVar[Direction]

class RawFormat(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RAW_FORMAT_UNSPECIFIED: _ClassVar[RawFormat]
    RAW_FORMAT_RGB: _ClassVar[RawFormat]
    RAW_FORMAT_BGR: _ClassVar[RawFormat]
    RAW_FORMAT_I420: _ClassVar[RawFormat]

class EventKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    EVENT_KIND_UNSPECIFIED: _ClassVar[EventKind]
    EVENT_KIND_NEW: _ClassVar[EventKind]
    EVENT_KIND_UPDATED: _ClassVar[EventKind]
    EVENT_KIND_GONE: _ClassVar[EventKind]
    EVENT_KIND_ENTERED: _ClassVar[EventKind]
    EVENT_KIND_LEFT: _ClassVar[EventKind]
    EVENT_KIND_CROSSED: _ClassVar[EventKind]
MASK_FORMAT_UNSPECIFIED: MaskFormat
MASK_FORMAT_NONE: MaskFormat
MASK_FORMAT_RLE: MaskFormat
MASK_FORMAT_RLE_CROP: MaskFormat
MASK_FORMAT_POLYGON: MaskFormat
MASK_FORMAT_CONTOUR: MaskFormat
NMS_UNSPECIFIED: Nms
NMS_CLASS: Nms
NMS_ALL: Nms
FRAME_POLICY_UNSPECIFIED: FramePolicy
FRAME_POLICY_LATEST: FramePolicy
FRAME_POLICY_ALL: FramePolicy
TRACK_OVERLAP_UNSPECIFIED: TrackOverlap
TRACK_OVERLAP_BOX: TrackOverlap
TRACK_OVERLAP_MASK: TrackOverlap
UNIT_UNSPECIFIED: Unit
UNIT_SHARES: Unit
UNIT_PIXELS: Unit
ANCHOR_UNSPECIFIED: Anchor
ANCHOR_BOTTOM: Anchor
ANCHOR_CENTRE: Anchor
DIRECTION_UNSPECIFIED: Direction
DIRECTION_IN: Direction
DIRECTION_OUT: Direction
RAW_FORMAT_UNSPECIFIED: RawFormat
RAW_FORMAT_RGB: RawFormat
RAW_FORMAT_BGR: RawFormat
RAW_FORMAT_I420: RawFormat
EVENT_KIND_UNSPECIFIED: EventKind
EVENT_KIND_NEW: EventKind
EVENT_KIND_UPDATED: EventKind
EVENT_KIND_GONE: EventKind
EVENT_KIND_ENTERED: EventKind
EVENT_KIND_LEFT: EventKind
EVENT_KIND_CROSSED: EventKind

class SegmentOptions(_message.Message):
    __slots__ = ("model", "version", "score_threshold", "max_instances", "classes", "masks", "exact", "nms", "tolerance", "tiles")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    SCORE_THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    MAX_INSTANCES_FIELD_NUMBER: _ClassVar[int]
    CLASSES_FIELD_NUMBER: _ClassVar[int]
    MASKS_FIELD_NUMBER: _ClassVar[int]
    EXACT_FIELD_NUMBER: _ClassVar[int]
    NMS_FIELD_NUMBER: _ClassVar[int]
    TOLERANCE_FIELD_NUMBER: _ClassVar[int]
    TILES_FIELD_NUMBER: _ClassVar[int]
    model: str
    version: str
    score_threshold: float
    max_instances: int
    classes: _containers.RepeatedScalarFieldContainer[str]
    masks: MaskFormat
    exact: bool
    nms: Nms
    tolerance: float
    tiles: str
    def __init__(self, model: _Optional[str] = ..., version: _Optional[str] = ..., score_threshold: _Optional[float] = ..., max_instances: _Optional[int] = ..., classes: _Optional[_Iterable[str]] = ..., masks: _Optional[_Union[MaskFormat, str]] = ..., exact: _Optional[bool] = ..., nms: _Optional[_Union[Nms, str]] = ..., tolerance: _Optional[float] = ..., tiles: _Optional[str] = ...) -> None: ...

class SegmentRequest(_message.Message):
    __slots__ = ("image", "options")
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    image: bytes
    options: SegmentOptions
    def __init__(self, image: _Optional[bytes] = ..., options: _Optional[_Union[SegmentOptions, _Mapping]] = ...) -> None: ...

class SegmentResponse(_message.Message):
    __slots__ = ("image", "instances", "model", "version", "backend", "timings_ms")
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    INSTANCES_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    BACKEND_FIELD_NUMBER: _ClassVar[int]
    TIMINGS_MS_FIELD_NUMBER: _ClassVar[int]
    image: ImageSize
    instances: _containers.RepeatedCompositeFieldContainer[Instance]
    model: str
    version: str
    backend: Backend
    timings_ms: Timings
    def __init__(self, image: _Optional[_Union[ImageSize, _Mapping]] = ..., instances: _Optional[_Iterable[_Union[Instance, _Mapping]]] = ..., model: _Optional[str] = ..., version: _Optional[str] = ..., backend: _Optional[_Union[Backend, _Mapping]] = ..., timings_ms: _Optional[_Union[Timings, _Mapping]] = ...) -> None: ...

class ImageSize(_message.Message):
    __slots__ = ("height", "width")
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    height: int
    width: int
    def __init__(self, height: _Optional[int] = ..., width: _Optional[int] = ...) -> None: ...

class Instance(_message.Message):
    __slots__ = ("label", "category_id", "score", "bbox", "area", "rle", "rle_crop", "polygon", "track_id")
    LABEL_FIELD_NUMBER: _ClassVar[int]
    CATEGORY_ID_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    BBOX_FIELD_NUMBER: _ClassVar[int]
    AREA_FIELD_NUMBER: _ClassVar[int]
    RLE_FIELD_NUMBER: _ClassVar[int]
    RLE_CROP_FIELD_NUMBER: _ClassVar[int]
    POLYGON_FIELD_NUMBER: _ClassVar[int]
    TRACK_ID_FIELD_NUMBER: _ClassVar[int]
    label: str
    category_id: int
    score: float
    bbox: _containers.RepeatedScalarFieldContainer[float]
    area: int
    rle: Rle
    rle_crop: RleCrop
    polygon: Polygon
    track_id: int
    def __init__(self, label: _Optional[str] = ..., category_id: _Optional[int] = ..., score: _Optional[float] = ..., bbox: _Optional[_Iterable[float]] = ..., area: _Optional[int] = ..., rle: _Optional[_Union[Rle, _Mapping]] = ..., rle_crop: _Optional[_Union[RleCrop, _Mapping]] = ..., polygon: _Optional[_Union[Polygon, _Mapping]] = ..., track_id: _Optional[int] = ...) -> None: ...

class Rle(_message.Message):
    __slots__ = ("size", "counts")
    SIZE_FIELD_NUMBER: _ClassVar[int]
    COUNTS_FIELD_NUMBER: _ClassVar[int]
    size: _containers.RepeatedScalarFieldContainer[int]
    counts: str
    def __init__(self, size: _Optional[_Iterable[int]] = ..., counts: _Optional[str] = ...) -> None: ...

class RleCrop(_message.Message):
    __slots__ = ("size", "counts", "offset")
    SIZE_FIELD_NUMBER: _ClassVar[int]
    COUNTS_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    size: _containers.RepeatedScalarFieldContainer[int]
    counts: str
    offset: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, size: _Optional[_Iterable[int]] = ..., counts: _Optional[str] = ..., offset: _Optional[_Iterable[int]] = ...) -> None: ...

class Polygon(_message.Message):
    __slots__ = ("rings",)
    RINGS_FIELD_NUMBER: _ClassVar[int]
    rings: _containers.RepeatedCompositeFieldContainer[Ring]
    def __init__(self, rings: _Optional[_Iterable[_Union[Ring, _Mapping]]] = ...) -> None: ...

class Ring(_message.Message):
    __slots__ = ("corners",)
    CORNERS_FIELD_NUMBER: _ClassVar[int]
    corners: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, corners: _Optional[_Iterable[int]] = ...) -> None: ...

class Backend(_message.Message):
    __slots__ = ("runtime", "runtime_version", "precision", "threads", "asked", "in_effect")
    RUNTIME_FIELD_NUMBER: _ClassVar[int]
    RUNTIME_VERSION_FIELD_NUMBER: _ClassVar[int]
    PRECISION_FIELD_NUMBER: _ClassVar[int]
    THREADS_FIELD_NUMBER: _ClassVar[int]
    ASKED_FIELD_NUMBER: _ClassVar[int]
    IN_EFFECT_FIELD_NUMBER: _ClassVar[int]
    runtime: str
    runtime_version: str
    precision: str
    threads: int
    asked: _containers.RepeatedScalarFieldContainer[str]
    in_effect: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, runtime: _Optional[str] = ..., runtime_version: _Optional[str] = ..., precision: _Optional[str] = ..., threads: _Optional[int] = ..., asked: _Optional[_Iterable[str]] = ..., in_effect: _Optional[_Iterable[str]] = ...) -> None: ...

class Timings(_message.Message):
    __slots__ = ("queue", "decode", "prepare", "infer", "postprocess", "masks", "total")
    QUEUE_FIELD_NUMBER: _ClassVar[int]
    DECODE_FIELD_NUMBER: _ClassVar[int]
    PREPARE_FIELD_NUMBER: _ClassVar[int]
    INFER_FIELD_NUMBER: _ClassVar[int]
    POSTPROCESS_FIELD_NUMBER: _ClassVar[int]
    MASKS_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    queue: float
    decode: float
    prepare: float
    infer: float
    postprocess: float
    masks: float
    total: float
    def __init__(self, queue: _Optional[float] = ..., decode: _Optional[float] = ..., prepare: _Optional[float] = ..., infer: _Optional[float] = ..., postprocess: _Optional[float] = ..., masks: _Optional[float] = ..., total: _Optional[float] = ...) -> None: ...

class StreamOptions(_message.Message):
    __slots__ = ("segment", "policy", "max_fps", "track", "track_overlap", "track_memory_s", "track_threshold", "scene")
    SEGMENT_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    MAX_FPS_FIELD_NUMBER: _ClassVar[int]
    TRACK_FIELD_NUMBER: _ClassVar[int]
    TRACK_OVERLAP_FIELD_NUMBER: _ClassVar[int]
    TRACK_MEMORY_S_FIELD_NUMBER: _ClassVar[int]
    TRACK_THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    SCENE_FIELD_NUMBER: _ClassVar[int]
    segment: SegmentOptions
    policy: FramePolicy
    max_fps: float
    track: bool
    track_overlap: TrackOverlap
    track_memory_s: float
    track_threshold: float
    scene: Scene
    def __init__(self, segment: _Optional[_Union[SegmentOptions, _Mapping]] = ..., policy: _Optional[_Union[FramePolicy, str]] = ..., max_fps: _Optional[float] = ..., track: _Optional[bool] = ..., track_overlap: _Optional[_Union[TrackOverlap, str]] = ..., track_memory_s: _Optional[float] = ..., track_threshold: _Optional[float] = ..., scene: _Optional[_Union[Scene, _Mapping]] = ...) -> None: ...

class Scene(_message.Message):
    __slots__ = ("zones", "lines", "ignored", "limits", "anchor", "update_s")
    ZONES_FIELD_NUMBER: _ClassVar[int]
    LINES_FIELD_NUMBER: _ClassVar[int]
    IGNORED_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    ANCHOR_FIELD_NUMBER: _ClassVar[int]
    UPDATE_S_FIELD_NUMBER: _ClassVar[int]
    zones: _containers.RepeatedCompositeFieldContainer[Zone]
    lines: _containers.RepeatedCompositeFieldContainer[Line]
    ignored: _containers.RepeatedCompositeFieldContainer[Area]
    limits: _containers.RepeatedCompositeFieldContainer[Limits]
    anchor: Anchor
    update_s: float
    def __init__(self, zones: _Optional[_Iterable[_Union[Zone, _Mapping]]] = ..., lines: _Optional[_Iterable[_Union[Line, _Mapping]]] = ..., ignored: _Optional[_Iterable[_Union[Area, _Mapping]]] = ..., limits: _Optional[_Iterable[_Union[Limits, _Mapping]]] = ..., anchor: _Optional[_Union[Anchor, str]] = ..., update_s: _Optional[float] = ...) -> None: ...

class Zone(_message.Message):
    __slots__ = ("name", "corners", "unit", "classes", "min_s")
    NAME_FIELD_NUMBER: _ClassVar[int]
    CORNERS_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    CLASSES_FIELD_NUMBER: _ClassVar[int]
    MIN_S_FIELD_NUMBER: _ClassVar[int]
    name: str
    corners: _containers.RepeatedScalarFieldContainer[float]
    unit: Unit
    classes: _containers.RepeatedScalarFieldContainer[str]
    min_s: float
    def __init__(self, name: _Optional[str] = ..., corners: _Optional[_Iterable[float]] = ..., unit: _Optional[_Union[Unit, str]] = ..., classes: _Optional[_Iterable[str]] = ..., min_s: _Optional[float] = ...) -> None: ...

class Line(_message.Message):
    __slots__ = ("name", "ends", "unit", "direction", "classes")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ENDS_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    DIRECTION_FIELD_NUMBER: _ClassVar[int]
    CLASSES_FIELD_NUMBER: _ClassVar[int]
    name: str
    ends: _containers.RepeatedScalarFieldContainer[float]
    unit: Unit
    direction: Direction
    classes: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, name: _Optional[str] = ..., ends: _Optional[_Iterable[float]] = ..., unit: _Optional[_Union[Unit, str]] = ..., direction: _Optional[_Union[Direction, str]] = ..., classes: _Optional[_Iterable[str]] = ...) -> None: ...

class Area(_message.Message):
    __slots__ = ("corners", "unit")
    CORNERS_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    corners: _containers.RepeatedScalarFieldContainer[float]
    unit: Unit
    def __init__(self, corners: _Optional[_Iterable[float]] = ..., unit: _Optional[_Union[Unit, str]] = ...) -> None: ...

class Limits(_message.Message):
    __slots__ = ("label", "min_area", "unit", "min_s")
    LABEL_FIELD_NUMBER: _ClassVar[int]
    MIN_AREA_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    MIN_S_FIELD_NUMBER: _ClassVar[int]
    label: str
    min_area: float
    unit: Unit
    min_s: float
    def __init__(self, label: _Optional[str] = ..., min_area: _Optional[float] = ..., unit: _Optional[_Union[Unit, str]] = ..., min_s: _Optional[float] = ...) -> None: ...

class RawImage(_message.Message):
    __slots__ = ("format", "size", "data")
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    format: RawFormat
    size: ImageSize
    data: bytes
    def __init__(self, format: _Optional[_Union[RawFormat, str]] = ..., size: _Optional[_Union[ImageSize, _Mapping]] = ..., data: _Optional[bytes] = ...) -> None: ...

class Frame(_message.Message):
    __slots__ = ("frame_id", "capture_time_us", "image", "raw", "options")
    FRAME_ID_FIELD_NUMBER: _ClassVar[int]
    CAPTURE_TIME_US_FIELD_NUMBER: _ClassVar[int]
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    RAW_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    frame_id: int
    capture_time_us: int
    image: bytes
    raw: RawImage
    options: StreamOptions
    def __init__(self, frame_id: _Optional[int] = ..., capture_time_us: _Optional[int] = ..., image: _Optional[bytes] = ..., raw: _Optional[_Union[RawImage, _Mapping]] = ..., options: _Optional[_Union[StreamOptions, _Mapping]] = ...) -> None: ...

class FrameResult(_message.Message):
    __slots__ = ("frame_id", "capture_time_us", "age_ms", "dropped", "response", "error", "report")
    FRAME_ID_FIELD_NUMBER: _ClassVar[int]
    CAPTURE_TIME_US_FIELD_NUMBER: _ClassVar[int]
    AGE_MS_FIELD_NUMBER: _ClassVar[int]
    DROPPED_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    REPORT_FIELD_NUMBER: _ClassVar[int]
    frame_id: int
    capture_time_us: int
    age_ms: float
    dropped: int
    response: SegmentResponse
    error: FrameError
    report: Report
    def __init__(self, frame_id: _Optional[int] = ..., capture_time_us: _Optional[int] = ..., age_ms: _Optional[float] = ..., dropped: _Optional[int] = ..., response: _Optional[_Union[SegmentResponse, _Mapping]] = ..., error: _Optional[_Union[FrameError, _Mapping]] = ..., report: _Optional[_Union[Report, _Mapping]] = ...) -> None: ...

class Report(_message.Message):
    __slots__ = ("events", "zones", "lines")
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    ZONES_FIELD_NUMBER: _ClassVar[int]
    LINES_FIELD_NUMBER: _ClassVar[int]
    events: _containers.RepeatedCompositeFieldContainer[Event]
    zones: _containers.RepeatedCompositeFieldContainer[ZoneCount]
    lines: _containers.RepeatedCompositeFieldContainer[LineCount]
    def __init__(self, events: _Optional[_Iterable[_Union[Event, _Mapping]]] = ..., zones: _Optional[_Iterable[_Union[ZoneCount, _Mapping]]] = ..., lines: _Optional[_Iterable[_Union[LineCount, _Mapping]]] = ...) -> None: ...

class Event(_message.Message):
    __slots__ = ("kind", "time_s", "track_id", "label", "score", "bbox", "place", "direction", "seconds")
    KIND_FIELD_NUMBER: _ClassVar[int]
    TIME_S_FIELD_NUMBER: _ClassVar[int]
    TRACK_ID_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    BBOX_FIELD_NUMBER: _ClassVar[int]
    PLACE_FIELD_NUMBER: _ClassVar[int]
    DIRECTION_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    kind: EventKind
    time_s: float
    track_id: int
    label: str
    score: float
    bbox: _containers.RepeatedScalarFieldContainer[float]
    place: str
    direction: Direction
    seconds: float
    def __init__(self, kind: _Optional[_Union[EventKind, str]] = ..., time_s: _Optional[float] = ..., track_id: _Optional[int] = ..., label: _Optional[str] = ..., score: _Optional[float] = ..., bbox: _Optional[_Iterable[float]] = ..., place: _Optional[str] = ..., direction: _Optional[_Union[Direction, str]] = ..., seconds: _Optional[float] = ...) -> None: ...

class ZoneCount(_message.Message):
    __slots__ = ("name", "present", "entered")
    class PresentEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    class EnteredEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    PRESENT_FIELD_NUMBER: _ClassVar[int]
    ENTERED_FIELD_NUMBER: _ClassVar[int]
    name: str
    present: _containers.ScalarMap[str, int]
    entered: _containers.ScalarMap[str, int]
    def __init__(self, name: _Optional[str] = ..., present: _Optional[_Mapping[str, int]] = ..., entered: _Optional[_Mapping[str, int]] = ...) -> None: ...

class LineCount(_message.Message):
    __slots__ = ("name", "inward", "outward")
    class InwardEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    class OutwardEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    INWARD_FIELD_NUMBER: _ClassVar[int]
    OUTWARD_FIELD_NUMBER: _ClassVar[int]
    name: str
    inward: _containers.ScalarMap[str, int]
    outward: _containers.ScalarMap[str, int]
    def __init__(self, name: _Optional[str] = ..., inward: _Optional[_Mapping[str, int]] = ..., outward: _Optional[_Mapping[str, int]] = ...) -> None: ...

class FrameError(_message.Message):
    __slots__ = ("code", "message", "type")
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    code: int
    message: str
    type: str
    def __init__(self, code: _Optional[int] = ..., message: _Optional[str] = ..., type: _Optional[str] = ...) -> None: ...

class ListModelsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListModelsResponse(_message.Message):
    __slots__ = ("models", "refused", "unloaded")
    class RefusedEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    MODELS_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    UNLOADED_FIELD_NUMBER: _ClassVar[int]
    models: _containers.RepeatedCompositeFieldContainer[Model]
    refused: _containers.ScalarMap[str, str]
    unloaded: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, models: _Optional[_Iterable[_Union[Model, _Mapping]]] = ..., refused: _Optional[_Mapping[str, str]] = ..., unloaded: _Optional[_Iterable[str]] = ...) -> None: ...

class Model(_message.Message):
    __slots__ = ("name", "version", "description", "network", "input", "labels", "categories", "score_threshold", "max_instances", "parameters", "multiply_adds", "backend")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    NETWORK_FIELD_NUMBER: _ClassVar[int]
    INPUT_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    CATEGORIES_FIELD_NUMBER: _ClassVar[int]
    SCORE_THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    MAX_INSTANCES_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    MULTIPLY_ADDS_FIELD_NUMBER: _ClassVar[int]
    BACKEND_FIELD_NUMBER: _ClassVar[int]
    name: str
    version: str
    description: str
    network: str
    input: ImageSize
    labels: _containers.RepeatedScalarFieldContainer[str]
    categories: _containers.RepeatedCompositeFieldContainer[Category]
    score_threshold: float
    max_instances: int
    parameters: int
    multiply_adds: int
    backend: Backend
    def __init__(self, name: _Optional[str] = ..., version: _Optional[str] = ..., description: _Optional[str] = ..., network: _Optional[str] = ..., input: _Optional[_Union[ImageSize, _Mapping]] = ..., labels: _Optional[_Iterable[str]] = ..., categories: _Optional[_Iterable[_Union[Category, _Mapping]]] = ..., score_threshold: _Optional[float] = ..., max_instances: _Optional[int] = ..., parameters: _Optional[int] = ..., multiply_adds: _Optional[int] = ..., backend: _Optional[_Union[Backend, _Mapping]] = ...) -> None: ...

class Category(_message.Message):
    __slots__ = ("id", "name")
    ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    id: int
    name: str
    def __init__(self, id: _Optional[int] = ..., name: _Optional[str] = ...) -> None: ...
