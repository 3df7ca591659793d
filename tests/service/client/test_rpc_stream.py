from service.client.rpc_stream import Withheld
from service.errors import ImageTooLarge, InvalidImage
from service.rpc.generated import segmentation_pb2 as pb
from service.serving.streaming import FrameResult

NO_PICTURE = InvalidImage("the frame has no image: 0 bytes")


def frame(number: int, count: int) -> pb.Frame:
    return pb.Frame(frame_id=number, capture_time_us=0, image=bytes(count))


def result(number: int) -> FrameResult:
    return FrameResult(number, 0, NO_PICTURE, age_ms=1.0, queue_ms=0.0, dropped=0)


def test_what_fits_is_sent_as_it_is() -> None:
    withheld = Withheld()
    for most in (None, frame(1, 100).ByteSize()):
        assert withheld.check(frame(1, 100), most=most) == frame(1, 100)
    assert withheld.explain(result(1)) == result(1)


def test_what_is_too_large_goes_without_its_picture_and_is_explained_once() -> None:
    withheld = Withheld()
    assert withheld.check(frame(1, 100), most=99) == pb.Frame(frame_id=1, capture_time_us=0)
    explained = withheld.explain(result(1)).outcome
    assert isinstance(explained, ImageTooLarge)
    assert "at most 99" in str(explained)
    assert withheld.explain(result(1)) == result(1)


def test_frames_that_were_dropped_are_forgotten() -> None:
    withheld = Withheld()
    for number in range(10):
        withheld.check(frame(number, 100), most=99)
    assert isinstance(withheld.explain(result(7)).outcome, ImageTooLarge)
    assert withheld.explain(result(3)) == result(3)
    assert isinstance(withheld.explain(result(8)).outcome, ImageTooLarge)
