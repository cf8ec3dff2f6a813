"""How the scripts end before their time: Ctrl-C, `kill`, or a pipe whose reader has gone.

Each of the three raises Stopped, a KeyboardInterrupt, where the script happens to be; `postponed`
keeps it off until what must not be lost is written. Only the scripts ask for this: whoever imports
their functions keeps Python's own ways. Nothing but the standard library is imported here, so that
a script can do so before anything that takes time.
"""

import signal
import sys
from contextlib import contextmanager

SIGNALS = signal.SIGINT, signal.SIGTERM
SIGPIPE = 13  # its number everywhere, though Windows has no name for it

pending = None  # the signal that came and has not been dealt with
has_come = False  # whether one came at all
is_postponed = False


class Stopped(KeyboardInterrupt):
    """The script shall end, as this signal says."""

    def __init__(self, signum):
        super().__init__(signum)
        self.signum = signum


def die_quietly():
    """Let Ctrl-C end the process without a traceback, as long as it is still importing."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


def raise_stopped():
    """From now on, raise Stopped when a signal comes. One that the caller ignores stays ignored."""
    for signum in SIGNALS:
        if signal.getsignal(signum) is not signal.SIG_IGN:
            signal.signal(signum, stop)
    # Raised in a destructor, Stopped goes no further; but `check` will find it. And what it leaves
    # half made may fail in its own destructor.
    report = sys.unraisablehook
    sys.unraisablehook = lambda args: has_come or report(args)


def let_go():
    """Leave signals to the system again: there is nothing left that could be lost."""
    for signum in SIGNALS:
        if signal.getsignal(signum) is stop:
            signal.signal(signum, signal.SIG_DFL)


def stop(signum, frame=None):
    """Raise Stopped, at once or when it is no longer postponed."""
    global pending, has_come
    pending, has_come = signum, True
    if not is_postponed:
        raise Stopped(signum)


def check():
    """Raise Stopped if a signal has come and was postponed, or got lost in foreign code."""
    if pending is not None:
        raise Stopped(pending)


def exit_status(interrupt):
    """Return the exit status for a KeyboardInterrupt, 128 + its signal, which is then done with."""
    global pending
    pending = None
    return 128 + getattr(interrupt, "signum", signal.SIGINT)


@contextmanager
def postponed(flag=True):
    """Let no signal stop the block; one that comes is raised at its end."""
    global is_postponed
    before, is_postponed = is_postponed, flag
    try:
        if not flag:
            check()
        yield
    finally:
        is_postponed = before
    if not before:
        check()


def heard():
    """Let signals stop this block within a `postponed` one."""
    return postponed(False)
