"""Find out which tag of an XML file is an article, from its first bytes."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field

from nightpress.articles.field_names import (
    DOUBTFUL_CONTENT_NAMES,
    ERROR_NAMES,
    ID_NAMES,
    LINK_NAMES,
    NO_RANK,
    TITLE_NAMES,
    content_rank,
    is_plain_name,
    plain,
)
from nightpress.articles.xml_elements import INLINE_TAGS, PROSE_TAGS, bare_tag, field_name
from nightpress.errors import InputError

_NAMES = frozenset({*ID_NAMES, *LINK_NAMES, *TITLE_NAMES})
_RECORD_NAMES = frozenset({"article", "document", "post", "story", "review", "message", "comment"})
"""Usual names of a text that, if they are repeated, rather name the articles."""
_MAX_PATHS = 20_000
_MAX_CHAIN = 7
_MAX_DEPTH = 60

Path = tuple[str, ...]


@dataclass(slots=True)
class XmlSurvey:
    """What the beginning of a file holds: the target of an XML parser.

    :param counts: elements, by the path of tags from the root.
    :param most: most siblings with the same path inside one element.
    :param parts: tags of the children and names of the attributes.
    :param with_text: paths of elements that have a text of their own.
    """

    counts: Counter[Path] = field(default_factory=Counter)
    most: Counter[Path] = field(default_factory=Counter)
    parts: dict[Path, set[str]] = field(default_factory=lambda: defaultdict(set))
    with_text: set[Path] = field(default_factory=set)
    _path: list[str] = field(default_factory=list)
    _siblings: list[Counter[str]] = field(default_factory=lambda: [Counter()])

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        """Count an element."""
        name = field_name(tag, attributes)
        self._siblings[-1][name] += 1
        self._path.append(name)
        if len(self._path) <= _MAX_DEPTH and len(self.counts) < _MAX_PATHS:
            path = tuple(self._path)
            self.counts[path] += 1
            self.most[path] = max(self.most[path], self._siblings[-1][name])
            self.parts[path].update(map(bare_tag, attributes))
            self.parts[path[:-1]].add(name)
        self._siblings.append(Counter())

    def end(self, _tag: str) -> None:
        """Leave an element."""
        self._path.pop()
        self._siblings.pop()

    def data(self, text: str) -> None:
        """Note that the current element has a text."""
        if len(self._path) <= _MAX_DEPTH and not text.isspace():
            self.with_text.add(tuple(self._path))

    def close(self) -> None:
        """Do nothing: the parser wants it."""


def find_record(survey: XmlSurvey, content: str | None, file: str) -> str:
    """Return the tag of the articles.

    :param content: the field of the content that a person named; None means any usual name.
    :raises InputError: none or several tags can be the articles; the message names them.
    """
    paths = sorted(survey.counts, key=len)
    if not paths:
        raise InputError(f"{file} is not XML that can be read: it is damaged or cut off; write it again")
    root = paths[0]
    if plain(root[-1]) in ERROR_NAMES:
        raise InputError(
            f"{file} has the element <{root[-1]}>, as a server's error has; get the file again, or say which tag is an "
            "article: record_path='…'"
        )
    found = _outermost(paths, root, survey, content)
    if not found and content is None:
        return _by_other_names(paths, survey, file)
    if len({path[-1] for path in found}) > 1:
        found = [path for path in found if _has_title(path, survey)] or found
    if len({path[-1] for path in found}) > 1:
        found = [path for path in found if survey.counts[path] > 1] or found
    tags = list(dict.fromkeys(path[-1] for path in found))
    if len(tags) > 1:
        raise InputError(
            f"{file} has several tags that can be the articles: {', '.join(map(_shown, tags))}. Say which one it is: "
            f"record_path={tags[0]!r}, for example. No article is sent until then"
        )
    return tags[0] if tags else _by_other_names(paths, survey, file)


def _outermost(paths: list[Path], root: Path, survey: XmlSurvey, content: str | None) -> list[Path]:
    """Return the outermost elements with a content; better ones if some have only a doubtful one."""
    start = root
    while len(survey.parts[start]) == 1 and survey.most[start] == 1:
        inner = (*start, next(iter(survey.parts[start])))
        if inner not in survey.counts or start in survey.with_text or _is_text_itself(inner, survey):
            break
        start = inner
    wanted = tuple(content.split(".")) if content else ()
    for doubtful in (False, True):
        found: list[Path] = []
        for path in paths:
            if path[: len(start)] != start or any(path[: len(outer)] == outer for outer in found):
                continue
            if _has_given(path, wanted, survey) if wanted else _has_content(path, doubtful, survey):
                found.append(path)
        if found:
            return found
    return []


def _has_given(path: Path, wanted: Path, survey: XmlSurvey) -> bool:
    whole = path + wanted
    return whole in survey.counts or wanted[-1] in survey.parts.get(whole[:-1], ())


def _has_content(path: Path, doubtful: bool, survey: XmlSurvey) -> bool:
    """Return whether an element has one text with a usual name, not one in each of several parts."""
    level = [path]
    for _ in range(_MAX_CHAIN):
        deeper = []
        for outer in level:
            for name in survey.parts.get(outer, ()):
                inner = (*outer, name)
                if _is_record(inner, survey):
                    continue
                is_text = inner in survey.with_text or inner not in survey.counts or _is_prose(inner, survey)
                if is_text and _is_usual(name, doubtful) and survey.most[outer] * (outer != path) <= 1:
                    return True
                if survey.most[inner] == 1 and name.lower() not in INLINE_TAGS | PROSE_TAGS:
                    deeper.append(inner)
        level = deeper
    return not doubtful and _is_prose(path, survey) and _has_title(path, survey)


def _is_record(path: Path, survey: XmlSurvey) -> bool:
    """Return whether a repeated element with a usual name of a text is an article, as in ``<articles><article>``."""
    if survey.most[path] < 2:
        return False
    return plain(path[-1]) in _RECORD_NAMES or bool({*map(plain, survey.parts.get(path, ()))} & _NAMES)


def _is_text_itself(path: Path, survey: XmlSurvey) -> bool:
    """Return whether an element is a text rather than an article around one."""
    if path[-1].lower() in INLINE_TAGS | PROSE_TAGS:
        return True
    return content_rank(path[-1]) < NO_RANK and (path in survey.with_text or _is_prose(path, survey))


def _is_usual(name: str, doubtful: bool) -> bool:
    return content_rank(name) < NO_RANK and doubtful == (plain(name) in DOUBTFUL_CONTENT_NAMES)


def _is_prose(path: Path, survey: XmlSurvey) -> bool:
    return any(name.lower() in PROSE_TAGS for name in survey.parts.get(path, ()))


def _has_title(path: Path, survey: XmlSurvey) -> bool:
    below = (inner[len(path) :] for inner in survey.counts if inner[: len(path)] == path)
    names = {rest[-1] for rest in below if rest} | survey.parts.get(path, set())
    return any(plain(name) in TITLE_NAMES for name in names)


def _by_other_names(paths: list[Path], survey: XmlSurvey, file: str) -> str:
    """Return the repeated tag with fields of other usual names; the content is then missing, and its error says more.

    :raises InputError: there is none; the message names the repeated tags.
    """
    good = [path for path in paths if _is_record(path, survey)]
    if good and plain(paths[0][-1]) not in ("urlset", "sitemapindex"):
        return max(good, key=lambda path: survey.counts[path])[-1]
    repeated = [path[-1] for path in paths if survey.most[path] > 1 and survey.parts[path]]
    shown = f"; repeated are {', '.join(map(_shown, dict.fromkeys(repeated[:5])))}" if repeated else ""
    example = repeated[0] if repeated and is_plain_name(repeated[0]) else "item"
    what = (
        "it is a sitemap, which has addresses, no articles"
        if paths[0][-1] in ("urlset", "sitemapindex")
        else ("it is unclear which tag is an article")
    )
    raise InputError(
        f"{file}: {what}{shown}; say which one is: record_path={example!r}. No article is sent until then"
    )


def _shown(tag: str) -> str:
    return f"<{tag}>" if is_plain_name(tag) else f"a tag of {len(tag):,} characters"
