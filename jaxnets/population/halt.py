"""How workers hear that another one has come to an end that nobody had planned."""


class Halted(Exception):
    """A worker has ended because another one had to; what that one says is what counts."""


class Halt:
    """What workers look at where it is good to end. It is only ever set, so that no lock is needed.

    Attributes:
        enough: nothing new is to be begun.
        now: what is under way is not worth its end, either.
    """

    def __init__(self) -> None:
        self.enough = self.now = False

    def make(self) -> None:
        """End after this chunk."""
        self.enough = self.now = True

    def raise_if_made(self) -> None:
        """End here if it is so.

        Raises:
            Halted: it is.
        """
        if self.now:
            raise Halted
