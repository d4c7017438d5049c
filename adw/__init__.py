"""adw lands finished, tested changes for the issues of a git repository, with many coding agents at work at once."""

__version__ = "0.1.0"
