"""gRPC: blitzmask.v1.SegmentationService, health and reflection."""
