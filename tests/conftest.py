"""What holds for all tests."""

from hypothesis import settings

# A property has to hold on a busy machine too; pytest's own timeout ends a test that hangs.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")
