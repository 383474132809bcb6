"""Remember which ids were read, in about 20 bytes per article."""

from __future__ import annotations

from collections import defaultdict
from struct import Struct

_ENTRY = 16
_BUCKETS = 2**14
_pack = Struct("<qq").pack


class SeenIds:
    """Fingerprints of ids and their contents in a few thousand small byte strings.

    A fingerprint of an id is 78 bits long, of which 14 choose the byte string: among ten million ids, two
    share one with a probability of 2e-10. It is made of Python's own hash of a text, which has 64 bits and a key
    per process; a digest takes ten times as long. A set of Python strings would take ten times the memory, an
    SQLite file ten times the time.
    """

    def __init__(self) -> None:
        self._buckets: defaultdict[int, bytearray] = defaultdict(bytearray)

    def add(self, article_id: str, content: str) -> str | None:
        """Remember an article; return why it cannot be sent: ``repeated_id`` or ``duplicate``."""
        entry = _pack(hash(article_id), hash(content))
        fingerprint = entry[:8]
        # Of another text, so that these 14 bits are none of the 64.
        bucket = self._buckets[hash(article_id + "\n") % _BUCKETS]
        found = bucket.find(fingerprint)
        while found % _ENTRY > 0 and found >= 0:
            found = bucket.find(fingerprint, found + 1)
        if found < 0:
            bucket += entry
            return None
        return "duplicate" if bucket[found : found + _ENTRY] == entry else "repeated_id"
