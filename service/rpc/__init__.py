"""gRPC: blitzmask.v1.SegmentationService, the Open Inference Protocol, health and reflection.

Change it without looking at the rest of the service, as long as `proto/` and `RpcServer` stay the same.
"""
