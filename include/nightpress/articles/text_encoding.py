"""Detect a text file's encoding: by its byte order mark, then UTF-8 if valid, then a detector's guess."""

from __future__ import annotations

import codecs
import io
import re
from dataclasses import dataclass
from typing import Any

from nightpress.errors import InputError

_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_FOREIGN_WORDS = re.compile("[A-Za-z]*[\u0370-\u1cff][A-Za-z\u0370-\u1cff]*")
"""Words with a letter of an alphabet such as Greek, Cyrillic or Hebrew, which are not mixed with Latin letters."""
_MIN_FOREIGN = 6  # a guess from fewer non-ASCII characters is no better than chance
_WIDER = {
    **dict.fromkeys(("ascii", "iso8859-1", "iso8859-15"), "cp1252"),
    "iso8859-9": "cp1254",
    "iso8859-7": "cp1253",
    "iso8859-8": "cp1255",
    "iso8859-6": "cp1256",
    "iso8859-13": "cp1257",
    "iso8859-11": "cp874",
    "tis-620": "cp874",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "big5": "cp950",
    "euc_kr": "cp949",
    "shift_jis": "cp932",
}
"""Supersets of older encodings: most files that are detected as the older ones were written by Windows."""


@dataclass(frozen=True, slots=True)
class Encoding:
    """The encoding of a text.

    :param name: Python's name, for the text after the byte order mark, whose length is ``bom_bytes``.
    :param doubt: why it is a guess; empty if it is certain.
    """

    name: str
    bom_bytes: int = 0
    doubt: str = ""


def detect_encoding(sample: bytes, whole: bool, file: str, given: str | None = None) -> Encoding:
    """Return the encoding of a text file.

    :param sample: its first bytes.
    :param whole: True if the sample is the whole file.
    :param given: the encoding that a person set; a byte order mark of that encoding is skipped.
    :raises InputError: the file is not UTF-8, and there is too little text to guess from.
    """
    bom, name = next(((bom, name) for bom, name in _BOMS if sample.startswith(bom)), (b"", ""))
    if given is not None:
        return _given_encoding(codecs.lookup(given).name, bom, name)
    if bom:
        return Encoding(name, len(bom))
    bad_byte = _first_bad_byte(sample, whole)
    if bad_byte is not None and (declared := _declared_in_xml(sample)):
        return Encoding(declared)
    if bad_byte is None:
        if b"\x00" in sample and (name := _utf16_without_mark(sample)):
            return Encoding(name, 0, f"it has no byte order mark and looks like {name}")
        return Encoding("utf-8")
    if (name := _utf16_without_mark(sample)) != "":
        return Encoding(name, 0, f"it has no byte order mark and looks like {name}")
    return _guess(sample, bad_byte, file)


def _declared_in_xml(sample: bytes) -> str:
    """Return the encoding that an XML file declares, which its parser uses; empty if it cannot be right."""
    found = re.match(rb"""<\?xml\s[^>]{0,200}?encoding\s*=\s*["']([\w.:-]{1,40})["']""", sample)
    try:
        name = codecs.lookup(found[1].decode()).name if found else ""
    except LookupError:
        return ""
    return name if name and _decodes(sample, name) else ""


def _given_encoding(given: str, bom: bytes, marked: str) -> Encoding:
    if given in {"utf-8", "utf-8-sig"}:
        return Encoding("utf-8", len(bom) if marked == "utf-8" else 0)
    if given in {"utf-16", "utf-32"}:
        own = marked.startswith(given)
        return Encoding(marked if own else f"{given}-le", len(bom) if own else 0)
    return Encoding(given, len(bom) if marked == given else 0)


def _first_bad_byte(sample: bytes, whole: bool) -> int | None:
    """Return the position of the first byte that is not UTF-8, ignoring a character cut off at the end."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        decoder.decode(sample, final=whole)
    except UnicodeDecodeError as error:
        return error.start
    return None


def _utf16_without_mark(sample: bytes) -> str:
    """Return UTF-16 if every other byte is zero, as in Western text and in no other encoding."""
    even, odd = sample[0:2000:2], sample[1:2000:2]
    if len(odd) < 8:
        return ""
    if odd.count(0) > 0.7 * len(odd) and even.count(0) < 0.1 * len(even):
        return "utf-16-le"
    if even.count(0) > 0.7 * len(even) and odd.count(0) < 0.1 * len(odd):
        return "utf-16-be"
    return ""


def _guess(sample: bytes, bad_byte: int, file: str) -> Encoding:
    """Ask chardet: right on 15 short texts in 11 languages; charset-normalizer read cp1250 as cp1252."""
    import chardet

    foreign = sum(byte >= 0x80 for byte in sample)
    if foreign >= _MIN_FOREIGN and _is_typographic(sample):
        return Encoding(
            "cp1252", 0, f"it is not UTF-8 (byte {bad_byte + 1:,}) and was read as cp1252, which is a guess"
        )
    part = sample[max(0, bad_byte - 20_000) : bad_byte + 60_000]
    name = _widen(str(chardet.detect(part)["encoding"] or "").lower(), sample)
    guessed = name if name and _decodes(sample, name) else ""
    if name and not (_decodes(sample, name) and is_plausible(_decode_start(sample, name))):
        name = (
            "cp1252" if _decodes(sample, "cp1252") and is_plausible(_decode_start(sample, "cp1252")) else ""
        )
    elif name and foreign >= _MIN_FOREIGN:
        return Encoding(
            name, 0, f"it is not UTF-8 (byte {bad_byte + 1:,}) and was read as {name}, which is a guess"
        )
    line = sample.count(b"\n", 0, bad_byte) + 1
    likely = " or ".join(dict.fromkeys(filter(None, (guessed, name))))
    hint = f"; it may be {likely}" if likely else ""
    raise InputError(
        f"{file}: byte {bad_byte + 1:,} (line {line:,}) is not UTF-8, and there is too little to tell what it is"
        f"{hint}. Say what the file is in, e.g. encoding='cp1252', 'gb18030' or 'utf-16', or save it as UTF-8. No "
        "article is sent until then"
    )


def _is_typographic(sample: bytes) -> bool:
    """Return whether an English text has only Windows' quotes and dashes, which a detector takes for letters."""
    strange = set(sample) - set(range(0x80))
    return strange <= set(b"\x85\x91\x92\x93\x94\x96\x97") and bool(
        re.search(rb"n\x92t\b|[a-z]\x92(?:re|ve|ll)\b", sample)
    )


def is_plausible(text: str) -> bool:
    r"""Return whether a decoded text can be right: no control characters, and words of one alphabet.

    A detector takes a few accents and typographic quotes for Cyrillic or Hebrew letters inside Latin words.

    >>> is_plausible("caf\xe9, d\xe9j\xe0 vu"), is_plausible("caf\u0439, d\u0439j\u0430 vu")
    (True, False)
    """
    if re.search("[\x80-\x84\x86-\x9f]", text):
        return False
    foreign = _FOREIGN_WORDS.findall(text)
    inside = sum(1 for word in foreign if re.search("[A-Za-z]", word))
    return inside * 5 <= len(foreign)


def _widen(name: str, sample: bytes) -> str:
    """Return the superset if it reads the sample alike: later text may need it, such as a euro sign."""
    try:
        wider = _WIDER.get(codecs.lookup(name).name, name)
        same = _decode_start(sample, wider) == _decode_start(sample, name)
    except (UnicodeDecodeError, LookupError):
        return name
    return wider if same else name


def _decode_start(sample: bytes, name: str) -> str:
    """Decode a sample that may end within a character."""
    return codecs.getincrementaldecoder(name)().decode(sample)


def _decodes(sample: bytes, name: str) -> bool:
    try:
        _decode_start(sample, name)
    except (UnicodeDecodeError, LookupError):
        return False
    return True


class Utf8Stream(io.RawIOBase):
    """The text of a file as UTF-8 bytes without a byte order mark, whatever its encoding.

    UTF-8 input is not checked here; the parsers check it.
    """

    def __init__(self, stream: Any, encoding: Encoding, file: str) -> None:
        self._stream, self._file, self._name = stream, file, encoding.name
        self._skip, self._taken = encoding.bom_bytes, 0
        self._decoder = None if encoding.name == "utf-8" else codecs.getincrementaldecoder(encoding.name)()
        self._rest = b""

    def readable(self) -> bool:
        """Yes."""
        return True

    def read(self, size: int = -1, /) -> bytes:
        """Return at most ``size`` bytes; empty at the end."""
        if self._skip:
            self._skip -= len(self._stream.read(self._skip))
            self._skip = 0
        if self._decoder is None:
            data: bytes = self._stream.read(size)
            return data
        while not self._rest:
            block = self._stream.read(256 * 1024)
            self._rest = self._decode(block)
            if not block:
                break
        cut = len(self._rest) if size < 0 else size
        data, self._rest = self._rest[:cut], self._rest[cut:]
        return data + (self.read() if size < 0 and data else b"")

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill the buffer from the start."""
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def _decode(self, block: bytes) -> bytes:
        assert self._decoder is not None
        try:
            text = self._decoder.decode(block, final=not block)
        except UnicodeError as error:
            start = getattr(error, "start", 0)
        else:
            self._taken += len(block)
            return text.encode("utf-8", "surrogatepass")
        raise InputError(
            f"{self._file}: byte {self._taken + start + 1:,} or one near it is not {self._name}; say what the file is "
            "in with encoding=, or save it as UTF-8. No article is sent until then"
        )
