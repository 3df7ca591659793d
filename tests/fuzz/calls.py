"""gRPC calls that nobody should make: messages with wrong values, and frames that are no messages."""

from dataclasses import dataclass
from typing import Any

from google.protobuf.message import Message
from hypothesis import strategies as st

from service.rpc.generated import grpc_predict_v2_pb2 as oip
from service.rpc.generated import segmentation_pb2 as pb
from tests.fuzz.pictures import images
from tests.fuzz.requests import MODEL

OURS = "/blitzmask.v1.SegmentationService/"
THEIRS = "/inference.GRPCInferenceService/"
UNARY = (
    f"{OURS}Segment",
    f"{OURS}ListModels",
    f"{THEIRS}ModelInfer",
    f"{THEIRS}ModelMetadata",
    f"{THEIRS}ModelConfig",
    f"{THEIRS}ModelStatistics",
    f"{THEIRS}RepositoryIndex",
    f"{THEIRS}ServerReady",
    "/grpc.health.v1.Health/Check",
    f"{OURS}Nothing",
)
STREAMS = (f"{OURS}SegmentStream", f"{THEIRS}ModelStreamInfer")


@dataclass(frozen=True, slots=True)
class Call:
    """One call; a stream has several messages."""

    method: str
    messages: tuple[bytes, ...]
    metadata: tuple[tuple[str, str], ...] = ()
    hurried: float | None = None

    @property
    def streams(self) -> bool:
        return self.method in STREAMS


def _encode(message: Message) -> bytes:
    return message.SerializeToString()


names = st.one_of(st.sampled_from(["", MODEL, f"{MODEL}.tensors", "none"]), st.text(max_size=9))


@st.composite
def options(draw: st.DrawFn) -> pb.SegmentOptions:
    asked: dict[str, Any] = {}
    if draw(st.booleans()):
        asked["score_threshold"] = draw(st.one_of(st.floats(0, 1), st.floats(width=32)))
    if draw(st.booleans()):
        asked["max_instances"] = draw(st.integers(0, 2**31 - 1))
    if draw(st.booleans()):
        asked["classes"] = draw(st.lists(st.one_of(st.just("person"), st.text(max_size=5)), max_size=3))
    asked["masks"] = draw(st.integers(0, 6))
    return pb.SegmentOptions(model=draw(names), **asked)


@st.composite
def segment(draw: st.DrawFn) -> Message:
    return pb.SegmentRequest(image=draw(images), options=draw(options()))


@st.composite
def frame(draw: st.DrawFn) -> Message:
    made: Any = pb.Frame(frame_id=draw(st.integers(-(2**63), 2**63 - 1)))
    if draw(st.booleans()):
        made.image = draw(images)
    else:
        raw = made.raw
        raw.format = draw(st.integers(0, 5))
        raw.size.height, raw.size.width = (
            draw(st.integers(0, 9)),
            draw(st.integers(0, 2**31 - 1) | st.integers(0, 9)),
        )
        raw.data = draw(st.binary(max_size=300))
    if draw(st.booleans()):
        made.options.segment.CopyFrom(draw(options()))
        made.options.max_fps = draw(st.floats(width=32))
        made.options.policy = draw(st.integers(0, 5))
        made.options.track = draw(st.booleans())
    message: Message = made
    return message


@st.composite
def infer(draw: st.DrawFn) -> Message:
    made = oip.ModelInferRequest(model_name=draw(names), model_version=draw(st.sampled_from(["", "1", "x"])))
    for _ in range(draw(st.integers(0, 2))):
        tensor = made.inputs.add(
            name=draw(st.sampled_from(["image", "pixels", "x"])),
            datatype=draw(st.sampled_from(["BYTES", "UINT8", "FP32", ""])),
        )
        tensor.shape.extend(draw(st.lists(st.integers(-(2**63), 2**63 - 1) | st.integers(0, 4), max_size=4)))
        data = draw(images)
        made.raw_input_contents.append(draw(st.sampled_from([data, len(data).to_bytes(4, "little") + data])))
    return made


named = st.one_of(
    st.builds(oip.ModelMetadataRequest, name=names, version=names),
    st.builds(oip.ModelConfigRequest, name=names, version=names),
    st.builds(oip.RepositoryIndexRequest, ready=st.booleans()),
)
messages = st.one_of(segment(), segment(), frame(), infer(), named).map(_encode)


@st.composite
def spoilt(draw: st.DrawFn) -> bytes:
    """A message with some bytes changed: often none any more."""
    data = bytearray(draw(messages))
    place = draw(st.integers(0, min(len(data), 60)))
    data[place : place + draw(st.integers(0, 4))] = draw(st.binary(max_size=8))
    return bytes(data)


contents = st.one_of(messages, messages, spoilt(), st.binary(max_size=200))
metadata = st.lists(
    st.tuples(
        st.sampled_from(["x-request-id", "traceparent", "x-api-key", "authorization", "x-y"]),
        st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20),
    ),
    max_size=2,
).map(tuple)


@st.composite
def calls(draw: st.DrawFn) -> Call:
    hurried = draw(st.one_of(st.none(), st.none(), st.floats(0.0001, 0.05)))
    if draw(st.integers(0, 5)) == 0:
        method = draw(st.sampled_from(STREAMS))
        content = st.one_of(frame() if method == STREAMS[0] else infer()).map(_encode)
        sent = draw(st.lists(st.one_of(content, content, contents), max_size=4))
        return Call(method, tuple(sent), draw(metadata), hurried)
    method = draw(st.sampled_from((UNARY[0], UNARY[0], UNARY[2], *UNARY)))
    fitting = segment() if method == UNARY[0] else infer() if method == UNARY[2] else named
    content = fitting.map(_encode)
    return Call(method, (draw(st.one_of(content, content, contents)),), draw(metadata), hurried)
