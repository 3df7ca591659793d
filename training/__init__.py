"""Training, evaluation and export of networks. May import service, never the reverse."""
