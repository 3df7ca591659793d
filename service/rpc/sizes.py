"""How large a message may be, and how a client learns of it before it sends one that is larger."""

MESSAGE_MARGIN = 65_536  # bytes beside the image in a message
MAX_MESSAGE = "x-max-message-bytes"  # among the headers of SegmentStream's answer
