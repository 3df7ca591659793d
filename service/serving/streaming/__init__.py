"""Camera streams, free of any transport: the frames that are answered, their order, and the stream's end.

A frame waits in one place until a worker slot is free, and the slot takes the frame that waits there by then:
each answered frame was the newest when its work began. Slots are granted in the order of the requests for
them, and a stream requests one at a time: streams take turns whatever their rates, and one stream alone has
all slots. A change here needs no look at a transport, at the network or at tracking.
"""

from service.frames import FrameResult, Policy, RawFormat, RawImage, StreamOptions
from service.serving.streaming.frame import Frame, Picture, raw_to_pixels, unless_stopped
from service.serving.streaming.session import Plan, Read, Send, StreamEnds, StreamSession, Workers

__all__ = [
    "Frame",
    "FrameResult",
    "Picture",
    "Plan",
    "Policy",
    "RawFormat",
    "RawImage",
    "Read",
    "Send",
    "StreamEnds",
    "StreamOptions",
    "StreamSession",
    "Workers",
    "raw_to_pixels",
    "unless_stopped",
]
