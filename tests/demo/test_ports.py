"""Where the demo's console is when several demos start at once."""

import socket
from contextlib import ExitStack

from cli.demo.stack import PREFERRED_PORT, claim_console_port


def test_two_that_start_at_once_get_ports_of_their_own() -> None:
    with ExitStack() as one, ExitStack() as other:
        assert claim_console_port(one) != claim_console_port(other)


def test_a_port_where_somebody_listens_is_left_to_them() -> None:
    with ExitStack() as stack:
        holder = stack.enter_context(socket.socket())
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            holder.bind(("127.0.0.1", PREFERRED_PORT))
            holder.listen()
        except OSError:
            pass  # somebody does already
        assert claim_console_port(stack) != PREFERRED_PORT
