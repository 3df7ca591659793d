"""Identities across a stream's frames, in the manner of ByteTrack (Zhang et al. 2022).

Confident detections are matched with the known tracks first, doubtful ones with the tracks left over: an
object that is half hidden keeps its identity, and a doubtful detection alone never starts one. Detections
match tracks of their own label first; a detection that lies where a known object should be is that object,
whatever its label. The memory of a stream is a value, and each frame gives the next value: nothing here has
side effects, so that a change needs no look elsewhere.

>>> from service.types import BackendInfo, Instance, Segmentation, Size
>>> backend = BackendInfo("onnx", "1.31", "fp32", 1, (), ())
>>> def frame(x: float) -> Segmentation:
...     car = Instance("car", 3, 0.9, (x, 50.0, 40.0, 20.0), None, None)
...     return Segmentation(Size(240, 320), (car,), "blitzmask", "1", backend)
>>> tracks = Tracks(TrackPolicy(memory=2.0))
>>> for number in range(3):
...     tracks, answer = follow_instances(tracks, frame(x=5.0 * number), time=number / 30)
...     print(answer.instances[0].track_id)
None
1
1
"""

from service.frames import Overlap
from service.serving.tracking.tracks import (
    TrackPolicy,
    Tracks,
    follow_instances,
    plan_tracking,
    widen_options,
)

__all__ = ["Overlap", "TrackPolicy", "Tracks", "follow_instances", "plan_tracking", "widen_options"]
