"""BlitzMask Server: images in, instance masks out."""

__version__ = "0.3.0"  # as in pyproject.toml; a checkout that is served in place has no other
