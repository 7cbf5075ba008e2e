"""Packets on their way that are taken off the wire, kept for a while, and put back: what a slow network does."""

from __future__ import annotations

import asyncio
import ctypes
import random
import socket
import struct
from collections import deque

# linux/if_packet.h, asm-generic/socket.h, linux/filter.h
SOL_PACKET, PACKET_IGNORE_OUTGOING = 263, 23
SO_ATTACH_FILTER, SO_SNDBUFFORCE, SO_RCVBUFFORCE = 26, 32, 33
ETH_P_IP = 0x0800
_LOAD_MARK = (0x20, 0, 0, 0xFFFFF000 + 20)  # the packet's mark, an ancillary word of the filter machine
_RECEIVE_BYTES = 8 * 1024 * 1024
LARGEST_PACKET = 65535


class HeldPackets:
    """Takes every packet marked *mark* and sends it again *delay_s* later with *pass_mark*. Needs root.

    The kernel must lose the marked original; whoever makes the rules sees to that.
    """

    def __init__(self, *, mark: int, pass_mark: int, delay_s: float, jitter_s: float) -> None:
        self._delay_s = delay_s
        self._jitter_s = jitter_s
        self._loop = asyncio.get_running_loop()
        self._held: deque[tuple[float, bytes]] = deque()
        self._random = random.Random()  # noqa: S311 - chance, not secrecy
        self._tap = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK, 0)
        _attach_filter(self._tap, mark)
        self._tap.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
        self._tap.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, _RECEIVE_BYTES)
        self._tap.bind(("lo", ETH_P_IP))
        self._out = socket.socket(socket.AF_INET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.IPPROTO_RAW)
        self._out.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, pass_mark)
        self._out.setsockopt(socket.SOL_SOCKET, SO_SNDBUFFORCE, _RECEIVE_BYTES)
        self._loop.add_reader(self._tap, self._read)

    def close(self) -> None:
        """What is still held arrives now."""
        self._loop.remove_reader(self._tap)
        self._tap.close()
        while self._held:
            self._send(self._held.popleft()[1])
        self._out.close()

    def _read(self) -> None:
        while True:
            try:
                packet = self._tap.recv(LARGEST_PACKET)
            except BlockingIOError:
                return
            due = self._loop.time() + self._delay_s
            if self._jitter_s:
                due += self._random.uniform(-self._jitter_s, self._jitter_s)
            # In order: a network that is merely slow does not shuffle.
            due = max(due, self._held[-1][0] if self._held else 0.0)
            self._held.append((due, packet))
            self._loop.call_at(due, self._pass_on)

    def _pass_on(self) -> None:
        now = self._loop.time() + 0.001  # the loop may ring a little early
        while self._held and self._held[0][0] <= now:
            self._send(self._held.popleft()[1])

    def _send(self, packet: bytes) -> None:
        if self._out.fileno() < 0:
            return
        destination = socket.inet_ntoa(packet[16:20])
        try:
            self._out.sendto(with_checksum(packet), (destination, 0))
        except OSError:
            return  # no room, or nobody there: lost, as packets are


def _attach_filter(tap: socket.socket, mark: int) -> None:
    equal = (0x15, 0, 1, mark)
    program = b"".join(
        struct.pack("HBBI", *step) for step in (_LOAD_MARK, equal, (6, 0, 0, LARGEST_PACKET), (6, 0, 0, 0))
    )
    buffer = ctypes.create_string_buffer(program)
    tap.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HL", 4, ctypes.addressof(buffer)))


def with_checksum(packet: bytes) -> bytes:
    """The IPv4 packet with the checksum of its TCP or UDP part: within one machine the kernel leaves it out."""
    header_bytes = (packet[0] & 0x0F) * 4
    protocol = packet[9]
    place = {socket.IPPROTO_TCP: 16, socket.IPPROTO_UDP: 6}.get(protocol)
    is_fragment = int.from_bytes(packet[6:8]) & 0x3FFF
    if place is None or is_fragment:
        return packet
    body = bytearray(packet[header_bytes:])
    body[place : place + 2] = b"\0\0"
    padded = bytes(body) + b"\0" * (len(body) % 2)
    total = int.from_bytes(packet[12:20]) + protocol + len(body) + int.from_bytes(padded)
    # Words summed with the carry brought round, as RFC 1071 wants it, are the number modulo 65535.
    body[place : place + 2] = (0xFFFF - total % 0xFFFF).to_bytes(2)
    return packet[:header_bytes] + bytes(body)
