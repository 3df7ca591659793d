from typing import get_args

import grpc
import pytest

from service import errors
from service.errors import InvalidOption
from service.rpc.boundary import STATUS, error_to_frame, error_to_status
from service.rpc.generated import segmentation_pb2 as pb
from service.rpc.messages import options_from_proto, refuse_unknown
from service.types import MaskFormat, Options


def leaves(kind: type[errors.BlitzError]) -> list[type[errors.BlitzError]]:
    below = kind.__subclasses__()
    return [leaf for child in below for leaf in leaves(child)] if below else [kind]


def test_every_error_of_the_tree_has_a_status() -> None:
    assert set(STATUS) == set(leaves(errors.BlitzError))


def test_what_the_caller_can_mend_is_not_worth_a_retry() -> None:
    lasting = {
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.UNAUTHENTICATED,
        grpc.StatusCode.PERMISSION_DENIED,
    }
    for kind, status in STATUS.items():
        assert (status in lasting) == issubclass(kind, errors.RequestError), kind


def test_the_text_of_our_errors_is_for_the_caller_that_of_others_is_not() -> None:
    assert error_to_status(errors.Overloaded("later")) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "later")
    status, text = error_to_status(RuntimeError("swordfish"))
    assert status == grpc.StatusCode.INTERNAL
    assert "swordfish" not in text
    assert error_to_frame(errors.InvalidImage("bad")) == pb.FrameError(
        code=3, message="bad", type="InvalidImage"
    )
    assert error_to_frame(RuntimeError("swordfish")).type == ""


def test_options_that_are_not_set_are_the_models_own() -> None:
    assert options_from_proto(pb.SegmentOptions()) == Options()


def test_options_that_are_set_to_their_zero_are_set() -> None:
    asked = pb.SegmentOptions(
        score_threshold=0, max_instances=0, classes=["cat"], masks=pb.MASK_FORMAT_NONE, exact=False
    )
    assert options_from_proto(asked) == Options(0.0, 0, ("cat",), "none", exact=False)


def test_a_threshold_crosses_the_wire_exactly() -> None:
    asked = pb.SegmentOptions.FromString(pb.SegmentOptions(score_threshold=0.1).SerializeToString())
    assert options_from_proto(asked).score_threshold == 0.1


def test_a_mask_format_of_the_future_is_refused() -> None:
    asked = pb.SegmentOptions.FromString(b"\x30\x63")  # masks = 99
    with pytest.raises(InvalidOption, match="masks is 99"):
        options_from_proto(asked)


@pytest.mark.parametrize("masks", get_args(MaskFormat))
def test_every_mask_format_can_be_asked_for(masks: MaskFormat) -> None:
    asked = pb.SegmentOptions(masks=f"MASK_FORMAT_{masks.upper()}")
    assert options_from_proto(asked).masks == masks


def test_an_option_of_the_future_is_refused() -> None:
    asked = pb.SegmentOptions.FromString(b"\xa0\x06\x01")  # field 100
    with pytest.raises(InvalidOption, match="SegmentOptions has no field 100"):
        options_from_proto(asked)


def test_known_fields_are_fine() -> None:
    refuse_unknown(pb.SegmentRequest(image=b"x", options=pb.SegmentOptions(model="m")))
