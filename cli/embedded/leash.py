"""Become another program that ends when the process that started it ends. A script, run by `cli.embedded.process`.

    leash.py OWNER USER SIGNAL COMMAND...

It runs as the starting user, lets itself be bound to the owner, becomes USER (a number; `-` keeps the user) and then
the command, under the same process id. On Linux the kernel sends SIGNAL at the owner's death. Elsewhere (or with
SIGNAL prefixed by `@`) a second small process holds the reading end of the owner's pipe, its standard input, and
sends it. Imports nothing but the standard library's core, so that it costs milliseconds.
"""

import ctypes
import os
import select
import sys

_PR_SET_PDEATHSIG = 1
#: How long the watcher may outlive what it watches.
_LOOK_AGAIN_SECONDS = 1.0


def become_user(user: int) -> None:
    """Drop to a user that has no rights, its groups included."""
    os.setgroups([])
    os.setgid(user)
    os.setuid(user)


def bind_to_parent(signal: int, owner: int) -> None:
    """Ask the kernel for a signal at the parent's death. After the change of user, which would forget it."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal) != 0:
        raise OSError(ctypes.get_errno(), "prctl")
    if os.getppid() != owner:
        sys.exit("the owner has ended already")


def bind_to_pipe(signal: int) -> None:
    """Leave a watcher behind that signals this process when the owner's end of standard input closes."""
    watched = os.getpid()
    if os.fork() > 0:
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        return
    while os.getppid() == watched:
        readable, _, _ = select.select([0], [], [], _LOOK_AGAIN_SECONDS)
        if readable:
            os.kill(watched, signal)
            break
    os._exit(0)


def main() -> None:
    """Read the command line and become the command."""
    owner, user, signal, *command = sys.argv[1:]
    if user != "-":
        become_user(int(user))
    if signal.startswith("@"):
        bind_to_pipe(int(signal[1:]))
    else:
        bind_to_parent(int(signal), int(owner))
    os.execv(command[0], command)  # noqa: S606  (no shell is what is wanted)


if __name__ == "__main__":
    main()
