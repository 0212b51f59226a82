"""What is wrong with a file that cannot be used."""

AGAIN = "download the set again"


class Unreadable(ValueError):
    """A recording that cannot be used; the message says why and what to do."""


class Damaged(Unreadable):
    """A file that is not as its set was published; `args` holds the reason alone, for files of no set."""

    def __str__(self) -> str:
        return f"{self.args[0]}: {AGAIN}"


class MissingLeads(Unreadable):
    """A record without the leads asked for. `present`: those it has."""

    def __init__(self, message: str, present: tuple[str, ...]):
        super().__init__(message)
        self.present = present
