from loadtest.targets import Ask, to_message, to_query
from service.rpc.generated import segmentation_pb2 as messages
from service.types import Options


def test_both_transports_are_asked_the_same() -> None:
    ask = Ask(
        "m", Options(score_threshold=0.25, max_instances=7, classes=("person", "hot dog"), masks="none")
    )

    assert to_query(ask) == (
        "model=m&score_threshold=0.25&max_instances=7&classes=person%2Chot+dog&masks=none"
    )
    assert to_message(ask) == messages.SegmentOptions(
        model="m",
        score_threshold=0.25,
        max_instances=7,
        classes=["person", "hot dog"],
        masks=messages.MASK_FORMAT_NONE,
    )


def test_what_is_not_asked_is_not_sent() -> None:
    assert to_query(Ask()) == ""
    assert not to_message(Ask()).HasField("score_threshold")
