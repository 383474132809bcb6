"""Pieces of an article, used in place of a model's words."""

from __future__ import annotations

import re
from functools import cached_property

_SENTENCE_END = re.compile(r"[.!?]+[\"')\]”’]*(?=\s|$)|[。!?]+[”’」』)]*")
_MARKS = "\"'()[]“”‘’.,;:!?。,"
_ANSWER_SENTENCES = 2
_SENTENCES = 8
_LONGEST = 200
_READ = 8_000
_PHRASE_WORDS, _PHRASE_CHARACTERS = 2, 20


def leading_sentences(text: str, count: int = _ANSWER_SENTENCES) -> str:
    """Return the first sentences of ``text``, English or Chinese; all of it when it has fewer."""
    text = text.strip()
    for number, match in enumerate(_SENTENCE_END.finditer(text), 1):
        if number == count:
            return text[: match.end()]
    return text


class Excerpts:
    """Sentences and phrases from the beginning of one text.

    :param text: may be empty.
    """

    def __init__(self, text: str) -> None:
        self.text = text[:_READ].strip()

    @cached_property
    def _sentences(self) -> list[str]:
        found, start = [], 0
        for match in _SENTENCE_END.finditer(self.text):
            found.append(self.text[start : match.end()].strip())
            start = match.end()
            if len(found) == _SENTENCES:
                break
        return found or [self.text]

    @cached_property
    def _words(self) -> list[str]:
        words = (word.strip(_MARKS) for word in self.text[:1_000].split())
        return [word[:_PHRASE_CHARACTERS] for word in words if len(word) > 3]

    def sentence(self, number: int) -> str:
        """Return one of the first sentences, a long one cut at a word."""
        return self.fitted(self._sentences[number % len(self._sentences)], 0, _LONGEST)

    def sentences(self, number: int, least: int) -> str:
        """Return as many sentences, starting at one, as fit into this many characters."""
        found = self.sentence(number)
        for following in range(1, len(self._sentences)):
            if len(found) >= least:
                break
            found = f"{found} {self.sentence(number + following)}"
        return found

    def phrase(self, number: int) -> str:
        """Return a word or two; empty when there are none."""
        start = number % len(self._words) if self._words else 0
        return " ".join(self._words[start : start + _PHRASE_WORDS])

    @staticmethod
    def fitted(text: str, least: int, most: int | None) -> str:
        """Return ``text`` with at least and at most this many characters."""
        if most is not None and len(text) > most:
            cut = text[:most]
            text = cut[: cut.rfind(" ")] if " " in cut[max(1, least) :] else cut
        return text.ljust(least, ".")
