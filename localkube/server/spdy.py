"""What the bytes of a SPDY/3.1 connection mean: the framing in which clients carry the streams of a port-forward.

Only the server's side, and no input or output. Facts: "SPDY Protocol, draft 3.1", its framing layer. Flow control is
read over: Kubernetes clients neither ask for windows nor give any; TCP beneath slows whoever is too quick.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field

VERSION = 3
SYN_STREAM, SYN_REPLY, RST_STREAM, SETTINGS, PING, GOAWAY, HEADERS, WINDOW_UPDATE = 1, 2, 3, 4, 6, 7, 8, 9
FIN = 1
# Statuses of RST_STREAM.
PROTOCOL_ERROR, INVALID_STREAM, REFUSED_STREAM, CANCEL = 1, 2, 3, 5
# One frame's data at most: smaller than the 16 MiB a length can say, so that streams take turns.
DATA_BYTES = 32 * 1024

# Both ends of a header block's compression begin with this text: names behind their lengths, then likely values.
_NAMES = (
    "options|head|post|put|delete|trace|accept|accept-charset|accept-encoding|accept-language|accept-ranges|age|"
    "allow|authorization|cache-control|connection|content-base|content-encoding|content-language|content-length|"
    "content-location|content-md5|content-range|content-type|date|etag|expect|expires|from|host|if-match|"
    "if-modified-since|if-none-match|if-range|if-unmodified-since|last-modified|location|max-forwards|pragma|"
    "proxy-authenticate|proxy-authorization|range|referer|retry-after|server|te|trailer|transfer-encoding|upgrade|"
    "user-agent|vary|via|warning|www-authenticate|method|get|status|200 OK|version|HTTP/1.1|url|public|set-cookie|"
    "keep-alive|origin"
)
_VALUES = (
    "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505"
    "203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized"
    "403 Forbidden404 Not Found500 Internal Server Error501 Not Implemented503 Service Unavailable"
    "Jan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMT"
    "chunked,text/html,image/png,image/jpg,image/gif,application/xml,application/xhtml+xml,text/plain,text/javascript,"
    "publicprivatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0."
)
DICTIONARY = b"".join(struct.pack(">I", len(name)) + name.encode() for name in _NAMES.split("|")) + _VALUES.encode()


class Malformed(Exception):
    """The peer does not speak SPDY/3.1."""


@dataclass(frozen=True, slots=True)
class Opened:
    """The client began a stream; *ended*: and will send nothing on it."""

    stream: int
    headers: Mapping[str, str]
    ended: bool


@dataclass(frozen=True, slots=True)
class Data:
    stream: int
    data: bytes
    ended: bool


@dataclass(frozen=True, slots=True)
class Reset:
    stream: int


@dataclass(frozen=True, slots=True)
class Pinged:
    number: int


@dataclass(frozen=True, slots=True)
class Left:
    """The client says that it goes away."""


Frame = Opened | Data | Reset | Pinged | Left


@dataclass(slots=True)
class Framing:
    """One connection's framing. Header blocks of one direction share a compression: frames are to be sent as built."""

    _received: bytearray = field(default_factory=bytearray)
    _inflate: zlib._Decompress = field(default_factory=lambda: zlib.decompressobj(zdict=DICTIONARY))
    _deflate: zlib._Compress = field(default_factory=lambda: zlib.compressobj(zdict=DICTIONARY))

    def parse_frames(self, data: bytes) -> list[Frame]:
        """The frames that *data* completes. Raises Malformed."""
        self._received += data
        frames: list[Frame] = []
        while len(self._received) >= 8:
            first, rest = struct.unpack_from(">II", self._received)
            end = 8 + (rest & 0xFFFFFF)
            if len(self._received) < end:
                break
            payload = bytes(self._received[8:end])
            del self._received[:end]
            ended = bool(rest >> 24 & FIN)
            if not first >> 31:
                frames.append(Data(first, payload, ended))
            elif first >> 16 & 0x7FFF != VERSION:
                raise Malformed(f"a frame of SPDY version {first >> 16 & 0x7FFF}")
            elif (frame := self._parse_control(first & 0xFFFF, payload, ended)) is not None:
                frames.append(frame)
        return frames

    def _parse_control(self, kind: int, payload: bytes, ended: bool) -> Frame | None:
        try:
            match kind:
                case 1:
                    return Opened(_number(payload), self._headers(payload[10:]), ended)
                case 2:
                    self._headers(payload[4:])  # read, or the next block could not be
                case 8:
                    self._headers(payload[4:])
                case 3:
                    return Reset(_number(payload))
                case 6:
                    return Pinged(_number(payload))
                case 7:
                    return Left()
                case _:
                    pass  # settings and windows
        except (struct.error, zlib.error, UnicodeDecodeError) as error:
            raise Malformed(f"a frame of type {kind}: {error}") from error
        return None

    def _headers(self, block: bytes) -> dict[str, str]:
        plain = self._inflate.decompress(block)
        count, at = _number(plain), 4
        found: dict[str, str] = {}
        for _ in range(count):
            pair: list[str] = []
            for _ in range(2):
                length = _number(plain, at)
                if at + 4 + length > len(plain):
                    raise Malformed("a header block that is cut short")
                pair.append(plain[at + 4 : at + 4 + length].decode())
                at += 4 + length
            found[pair[0].lower()] = pair[1]
        return found

    def build_reply(self, stream: int) -> bytes:
        """Accepts the stream."""
        no_headers = self._deflate.compress(struct.pack(">I", 0)) + self._deflate.flush(zlib.Z_SYNC_FLUSH)
        return _control(SYN_REPLY, struct.pack(">I", stream) + no_headers)


def _number(payload: bytes, at: int = 0) -> int:
    number: int = struct.unpack_from(">I", payload, at)[0]
    return number & 0x7FFFFFFF


def _control(kind: int, payload: bytes) -> bytes:
    return struct.pack(">HHI", 0x8000 | VERSION, kind, len(payload)) + payload


def build_data(stream: int, data: bytes, *, ended: bool = False) -> bytes:
    return struct.pack(">II", stream, (FIN << 24 if ended else 0) | len(data)) + data


def build_reset(stream: int, status: int) -> bytes:
    return _control(RST_STREAM, struct.pack(">II", stream, status))


def build_pong(number: int) -> bytes:
    return _control(PING, struct.pack(">I", number))
