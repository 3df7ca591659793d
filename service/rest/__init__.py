"""REST: the same answers as JSON, COCO results or pictures."""
