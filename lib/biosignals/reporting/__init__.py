"""Records, the scoreboard, plots, a chapter's workspace."""

from biosignals.lazy import attach

__getattr__, __dir__ = attach(__name__)
