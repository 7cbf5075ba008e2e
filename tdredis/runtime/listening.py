"""Which sockets a server listens on: whoever may ask reaches it by IPv4 and by IPv6, also where one of them lacks."""

from __future__ import annotations

import errno
import socket
from contextlib import ExitStack

ANY = ("", "*", "::")  # every address of both families; "0.0.0.0" means IPv4 only
BACKLOG = 128
PORT_TRIES = 20
# This machine has no such family, or no such address: the others serve. Anything else is the caller's mistake.
_ABSENT = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL, errno.EPROTONOSUPPORT)
_Place = tuple[socket.AddressFamily, str, int]  # family, address, scope


def parse_address(text: str) -> tuple[str, int]:
    """ "[ADDRESS]:PORT" as address ("": all) and port. Raises ValueError with a sentence."""
    host, _, port = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    # An IPv6 address without brackets: nobody can say which of its colons is the port's.
    if not port.isdecimal() or int(port) > 65535 or (":" in host and not bracketed):
        raise ValueError(f"{text!r}: write ADDRESS:PORT, for example :8080, 0.0.0.0:8080 or [::1]:8080")
    return host.removeprefix("[").removesuffix("]"), int(port)


def open_sockets(host: str, port: int) -> list[socket.socket]:
    """Listening TCP sockets on every address of *host* (one of ANY: of this machine), all with the same port.

    *port* 0 leaves it to the system. One socket serves one family only, because whether an IPv6 socket takes IPv4 too
    depends on the machine (net.ipv6.bindv6only) and on who made it: asyncio's never does. Raises OSError if the port is
    taken on one of the addresses, or if none of them is there.
    """
    for _ in range(PORT_TRIES):
        try:
            return _open_all(_places_of(host), port)
        except OSError as error:
            # Free in one family, and taken in the other: the system knows more of them.
            if port or error.errno != errno.EADDRINUSE:
                raise
    raise OSError(errno.EADDRINUSE, f"no port that is free on all addresses of {host!r} in {PORT_TRIES} tries")


def _places_of(host: str) -> list[_Place]:
    if host in ANY:
        return [(socket.AF_INET, "0.0.0.0", 0), (socket.AF_INET6, "::", 0)]  # noqa: S104 - the kubelet asks from outside
    # Not AI_ADDRCONFIG: it takes loopback for no address, and so knows no localhost where there is nothing else.
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    places = {
        (family, str(address[0]), int(address[3]) if len(address) == 4 else 0) for family, _, _, _, address in found
    }
    return sorted(places)


def _open_all(places: list[_Place], port: int) -> list[socket.socket]:
    opened: list[socket.socket] = []
    absent: OSError | None = None
    with ExitStack() as undo:
        for family, address, scope in places:
            bound = opened[0].getsockname()[1] if opened else port
            try:
                one = _open(family, address, scope, bound)
            except OSError as error:
                if error.errno not in _ABSENT:
                    raise
                absent = error
                continue
            undo.callback(one.close)
            opened.append(one)
        if not opened:
            raise absent or OSError(errno.EADDRNOTAVAIL, "there is no address to listen on")
        undo.pop_all()
    return opened


def _open(family: socket.AddressFamily, address: str, scope: int, port: int) -> socket.socket:
    one = socket.socket(family, socket.SOCK_STREAM)
    try:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        one.bind((address, port, 0, scope) if family == socket.AF_INET6 else (address, port))
        one.listen(BACKLOG)
        one.setblocking(False)
    except OSError as error:
        one.close()
        shown = f"[{address}]" if family == socket.AF_INET6 else address
        raise OSError(error.errno, f"cannot listen on {shown}:{port}: {error.strerror}") from error
    return one
