"""Camera streams, free of any transport: which frames are answered, when, and in what order.

A stream reads frames into one waiting place, asks for a worker slot for it, and the slot takes whatever waits
there by then: a frame that is answered was the newest when its work began. Slots are granted in the order in
which they are asked for, and a stream asks for one at a time: streams take turns whatever their rates, and
one stream alone has all slots.
"""

from service.frames import FrameResult, Policy, RawFormat, RawImage, StreamOptions
from service.serving.streaming.frame import Frame, Picture, raw_to_pixels
from service.serving.streaming.options import plan_tracking, widen_options
from service.serving.streaming.session import Frames, Plan, Send, StreamSession, Workers
from service.serving.streaming.source import read_frames, unless_stopped

__all__ = [
    "Frame",
    "FrameResult",
    "Frames",
    "Picture",
    "Plan",
    "Policy",
    "RawFormat",
    "RawImage",
    "Send",
    "StreamOptions",
    "StreamSession",
    "Workers",
    "plan_tracking",
    "raw_to_pixels",
    "read_frames",
    "unless_stopped",
    "widen_options",
]
