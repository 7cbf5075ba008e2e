"""localkube's own table of packet rules: the kernel takes it away when this process ends, however it ends."""

from __future__ import annotations

import ctypes
import itertools
import os

from localkube.faults.menu import BadFault

LIBRARY = "libnftables.so.1"


class Firewall:
    """One nftables table, there only while some rule is needed. Every method raises BadFault."""

    def __init__(self, block: int) -> None:
        """*block*: second byte of the cluster's addresses, which no other running localkube has."""
        self.block = block
        self.table = f"localkube_{block}"
        self._numbers = itertools.count(1)
        self._library: ctypes.CDLL | None = None
        self._context: int | None = None
        self._users = 0

    def acquire(self) -> int:
        """Makes sure that the table exists. Returns a number for the user's own chains and sets."""
        if self._users == 0:
            self._open()
            try:
                # Owned: no other program may change it, and it goes when our connection to the kernel goes.
                self.run(f"add table ip {self.table} {{ flags owner; }}")
            except BadFault:
                self._close()
                raise
        self._users += 1
        return next(self._numbers)

    def release(self) -> None:
        self._users -= 1
        if self._users == 0:
            self.run(f"delete table ip {self.table}")
            self._close()

    def run(self, commands: str) -> None:
        """All of the commands or none of them."""
        if self._library is None or self._context is None:
            raise BadFault("the packet rules are not open")
        if self._library.nft_run_cmd_from_buffer(self._context, commands.encode()) != 0:
            said = self._library.nft_ctx_get_error_buffer(self._context).decode().splitlines()
            raise BadFault(f"the kernel refuses the packet rules: {said[0] if said else 'it does not say why'}")

    def _open(self) -> None:
        if os.geteuid() != 0:
            raise BadFault("faults of the network need root: they are packet rules of the kernel")
        try:
            library = ctypes.CDLL(LIBRARY)
        except OSError as error:
            raise BadFault("faults of the network need nftables: apt-get install nftables") from error
        library.nft_ctx_new.restype = ctypes.c_void_p
        library.nft_ctx_new.argtypes = [ctypes.c_uint32]
        library.nft_ctx_free.argtypes = [ctypes.c_void_p]
        library.nft_run_cmd_from_buffer.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
        library.nft_ctx_buffer_error.argtypes = [ctypes.c_void_p]
        library.nft_ctx_buffer_output.argtypes = [ctypes.c_void_p]
        library.nft_ctx_get_error_buffer.argtypes = [ctypes.c_void_p]
        library.nft_ctx_get_error_buffer.restype = ctypes.c_char_p
        context = library.nft_ctx_new(0)
        library.nft_ctx_buffer_error(context)
        library.nft_ctx_buffer_output(context)
        self._library, self._context = library, context

    def _close(self) -> None:
        if self._library is not None and self._context is not None:
            self._library.nft_ctx_free(self._context)
        self._library = self._context = None
