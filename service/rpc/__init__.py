"""gRPC: blitzmask.v1.SegmentationService, the Open Inference Protocol, health and reflection.

Change it without looking at the rest of the service, as long as `proto/` and `RpcServer` stay the same.
"""

# Names in the metadata of calls that the server writes and the client reads.
ERROR = "x-error"  # the name of the error that a status stands for
RETRY_AFTER = "retry-after"  # seconds after which a key may be used again
MAX_MESSAGE = "x-max-message-bytes"  # in a stream's headers: gRPC ends a stream at a larger message
