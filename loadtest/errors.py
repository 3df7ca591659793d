"""What stops a load test before it starts; faults during a run are counted, never raised."""


class CannotRun(Exception):
    """An argument is wrong, or the server is not there; one line for whoever typed the command."""
