"""Progress bars: tqdm's, which in a notebook leave nothing behind."""

import io
from typing import Any

import tqdm as bars
from IPython import get_ipython
from IPython.display import HTML, display


class NotebookBar(bars.tqdm):
    """A bar in an output of its own, which is empty when it is closed.

    On stderr, where tqdm draws, each bar would leave a coloured block behind. tqdm's own bar for notebooks
    needs widgets, which a rendered page does not have.
    """

    def __init__(self, *arguments: Any, **options: Any):
        self.output = display(HTML(""), display_id=True)
        super().__init__(*arguments, **options | {"file": io.StringIO(), "ncols": 80})

    def display(self, msg: str | None = None, pos: int | None = None) -> None:
        """Show the bar as it is now, or a message, or nothing where that is empty."""
        text = str(self) if msg is None else msg
        data = {"text/plain": text} if text else {"text/plain": "", "text/html": ""}
        self.output.update(data, raw=True)

    def close(self) -> None:
        """Take the bar away."""
        if not self.disable:
            super().close()
            self.display("")


def in_notebook() -> bool:
    """Whether this runs in a notebook's kernel."""
    return getattr(get_ipython(), "kernel", None) is not None


def tqdm(*arguments: Any, **options: Any) -> bars.tqdm:
    """A bar for what is iterated over, or for a total, as `tqdm.tqdm` makes it, also for the arguments."""
    return (NotebookBar if in_notebook() else bars.tqdm)(*arguments, **options)


tqdm.makes_no_difference = True  # type: ignore[attr-defined]  # to a result: keys of the cache leave it out
