"""Messages that no browser should send on a live stream."""

import json

from hypothesis import strategies as st

from tests.fuzz.pictures import images
from tests.fuzz.requests import OPTIONS, json_values, words

TRACKING = ("track", "track_overlap", "track_memory_s", "track_threshold")
NAMES = (*OPTIONS, *TRACKING, "policy", "max_fps", "frame_id", "raw", "end")
documents = st.one_of(
    st.dictionaries(st.sampled_from(NAMES) | words, json_values, max_size=3),
    st.fixed_dictionaries(
        {},
        optional={
            "policy": st.sampled_from(["latest", "all"]),
            "track": st.booleans(),
            "masks": st.sampled_from(["rle", "polygon", "none"]),
            "score_threshold": st.floats(0, 1),
            "max_fps": st.floats(1, 1000),
        },
    ),
    st.just({"raw": {"format": "rgb24", "height": 2, "width": 2}}),
    json_values,
).map(json.dumps)
messages = st.one_of(images, documents, words)
sessions = st.lists(messages, max_size=4).map(lambda said: (*said, '{"end": true}'))
