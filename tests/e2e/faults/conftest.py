"""Services that faults happen to, and clients that watch whether anybody is harmed."""

from tests.e2e.serving.conftest import large_photo, models_dir, rose, serve, service
from tests.service.conftest import toy_files, write_toy

__all__ = ["large_photo", "models_dir", "rose", "serve", "service", "toy_files", "write_toy"]  # fixtures
