"""Ctrl-C and the system's request to end: finish the chunk, save, and say how to go on."""

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stopped(KeyboardInterrupt):
    """Training was stopped at a user's or the system's request, and what it had reached is saved;
    or the text says that not all of it could be.

    Attributes:
        status: the exit status that says so, 130 for Ctrl-C and 143 for SIGTERM.
    """

    def __init__(self, text: str, number: int) -> None:
        super().__init__(text)
        self.status = 128 + number


class StopRequest:
    """Whether somebody has asked to stop.

    Attributes:
        number: of the signal, or ``None``.
    """

    def __init__(self) -> None:
        self.number: int | None = None

    def raise_if_made(self, where: object, saved: bool = True) -> None:
        """End here if somebody has asked for it.

        Args:
            where: the folder, for the message.
            saved: whether all that was reached is saved there.

        Raises:
            Stopped: somebody has.
        """
        if self.number is not None:
            what = "what was reached is saved" if saved else "not all that was reached is saved"
            raise Stopped(
                f"stopped; {what} in {where}: run the same again to go on from there.",
                self.number,
            )


@contextlib.contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """While the block runs, the first Ctrl-C or SIGTERM is only noted; the second acts at once.

    One that comes too late for the block to heed acts when the block has ended: whoever calls it in
    a loop is stopped all the same.

    Outside the main thread, where Python knows no signals, nothing is changed.

    Yields:
        What is to be asked where it is good to stop.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    before: dict[int, Any] = {}

    def restore() -> None:
        while before:
            number, handler = before.popitem()
            signal.signal(number, handler)

    def note(number: int, _: FrameType | None) -> None:
        if request.number is None:
            request.number = number
        else:
            restore()
            os.kill(os.getpid(), number)  # what would have happened without us

    for number in SIGNALS:
        handler = signal.getsignal(number)
        if handler is not None and handler is not signal.SIG_IGN:
            before[number] = signal.signal(number, note)
    try:
        yield request
    finally:
        restore()
    if request.number is not None:  # nobody has: `Stopped` would have passed by here
        os.kill(os.getpid(), request.number)
