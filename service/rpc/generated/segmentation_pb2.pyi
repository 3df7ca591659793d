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

class RawFormat(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RAW_FORMAT_UNSPECIFIED: _ClassVar[RawFormat]
    RAW_FORMAT_RGB: _ClassVar[RawFormat]
    RAW_FORMAT_BGR: _ClassVar[RawFormat]
    RAW_FORMAT_I420: _ClassVar[RawFormat]
MASK_FORMAT_UNSPECIFIED: MaskFormat
MASK_FORMAT_NONE: MaskFormat
MASK_FORMAT_RLE: MaskFormat
MASK_FORMAT_RLE_CROP: MaskFormat
MASK_FORMAT_POLYGON: MaskFormat
NMS_UNSPECIFIED: Nms
NMS_CLASS: Nms
NMS_ALL: Nms
FRAME_POLICY_UNSPECIFIED: FramePolicy
FRAME_POLICY_LATEST: FramePolicy
FRAME_POLICY_ALL: FramePolicy
TRACK_OVERLAP_UNSPECIFIED: TrackOverlap
TRACK_OVERLAP_BOX: TrackOverlap
TRACK_OVERLAP_MASK: TrackOverlap
RAW_FORMAT_UNSPECIFIED: RawFormat
RAW_FORMAT_RGB: RawFormat
RAW_FORMAT_BGR: RawFormat
RAW_FORMAT_I420: RawFormat

class SegmentOptions(_message.Message):
    __slots__ = ("model", "version", "score_threshold", "max_instances", "classes", "masks", "exact", "nms")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    SCORE_THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    MAX_INSTANCES_FIELD_NUMBER: _ClassVar[int]
    CLASSES_FIELD_NUMBER: _ClassVar[int]
    MASKS_FIELD_NUMBER: _ClassVar[int]
    EXACT_FIELD_NUMBER: _ClassVar[int]
    NMS_FIELD_NUMBER: _ClassVar[int]
    model: str
    version: str
    score_threshold: float
    max_instances: int
    classes: _containers.RepeatedScalarFieldContainer[str]
    masks: MaskFormat
    exact: bool
    nms: Nms
    def __init__(self, model: _Optional[str] = ..., version: _Optional[str] = ..., score_threshold: _Optional[float] = ..., max_instances: _Optional[int] = ..., classes: _Optional[_Iterable[str]] = ..., masks: _Optional[_Union[MaskFormat, str]] = ..., exact: _Optional[bool] = ..., nms: _Optional[_Union[Nms, str]] = ...) -> None: ...

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
    __slots__ = ("segment", "policy", "max_fps", "track", "track_overlap", "track_memory_s", "track_threshold")
    SEGMENT_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    MAX_FPS_FIELD_NUMBER: _ClassVar[int]
    TRACK_FIELD_NUMBER: _ClassVar[int]
    TRACK_OVERLAP_FIELD_NUMBER: _ClassVar[int]
    TRACK_MEMORY_S_FIELD_NUMBER: _ClassVar[int]
    TRACK_THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    segment: SegmentOptions
    policy: FramePolicy
    max_fps: float
    track: bool
    track_overlap: TrackOverlap
    track_memory_s: float
    track_threshold: float
    def __init__(self, segment: _Optional[_Union[SegmentOptions, _Mapping]] = ..., policy: _Optional[_Union[FramePolicy, str]] = ..., max_fps: _Optional[float] = ..., track: _Optional[bool] = ..., track_overlap: _Optional[_Union[TrackOverlap, str]] = ..., track_memory_s: _Optional[float] = ..., track_threshold: _Optional[float] = ...) -> None: ...

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
    __slots__ = ("frame_id", "capture_time_us", "age_ms", "dropped", "response", "error")
    FRAME_ID_FIELD_NUMBER: _ClassVar[int]
    CAPTURE_TIME_US_FIELD_NUMBER: _ClassVar[int]
    AGE_MS_FIELD_NUMBER: _ClassVar[int]
    DROPPED_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    frame_id: int
    capture_time_us: int
    age_ms: float
    dropped: int
    response: SegmentResponse
    error: FrameError
    def __init__(self, frame_id: _Optional[int] = ..., capture_time_us: _Optional[int] = ..., age_ms: _Optional[float] = ..., dropped: _Optional[int] = ..., response: _Optional[_Union[SegmentResponse, _Mapping]] = ..., error: _Optional[_Union[FrameError, _Mapping]] = ...) -> None: ...

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
