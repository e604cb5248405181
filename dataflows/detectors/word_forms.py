"""Word forms: a small language for phrases, compiled to patterns over words instead of characters.

A text is cut into words (`InvalidAccessKeyId`, `invalid_access_key_id` and `Invalid access key ID` are
the same four), every word becomes one symbol, and the forms become one regular expression over symbols.
So a rule says `{invalid} ~3 {credential}` once, for prose and for machine codes, and a message of 200
bytes is some thirty symbols long.

    word          this word, in any case
    a|{class}     one of these; `a|b?` is optional
    {class}       one of the entries of a class; an entry may itself be a form
    ~N            up to N words, not past the end of a sentence nor over a word of the class `barrier`
    ~N!a|b        the same, and not over any of these words either
    <!a|b         the word before is none of these; stands before a word
    >!a|b         the word after is none of these; stands after a word
    .             the end of a sentence, which may be absent
    ^  $          the beginning and the end of the text

Words such as `not`, `invalid` and `error` stand in every failure: the class `ordinary` lists them. An
element of a form that has none of them is an anchor (`token`, `login`, `401`); a text without any
form's anchor is done with after one scan.

There is no unbounded repetition in the language, a gap is at most `MAX_GAP` words, and a form has at
most `MAX_GAPS` of them, so matching costs a bounded number of steps for each word of the text, whatever
a hostile sender writes.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

#: Characters of a text that are read; the event schema allows no more bytes than this (spec 10).
MAX_CHARACTERS = 8192
MAX_GAP = 8
MAX_GAPS = 2
BARRIER = "barrier"
ORDINARY = "ordinary"

# A URL, a file's path and a frame of a stack trace are one opaque word each: they are full of `login`, `token` and
# `auth`, which says where something failed and not why.
# Possessive quantifiers: each alternative is decided without a way back, so cutting is linear.
_WORD = re.compile(
    r"https?://[^\s\"'<>)]++"
    r"|at [\w.$<>/]++ ?\([^()\n]{0,200}+\)"
    r"|(?<!\w)/\w[\w./@+-]*+"
    r"|[A-ZÀ-ÖØ-Þ]?[a-zß-öø-ÿ]++(?:['\u2019]t\b)?"
    r"|[A-ZÀ-ÖØ-Þ]+(?![a-z])"
    r"|\d++(?:\.\d++)*+"
    r"|[.;!?](?=\s|$)|\n"
)
_OTHER = "\ue000"
_END = "\ue001"
_FIRST_SYMBOL = 0xE002
_MAX_SYMBOLS = 0xF8FF - _FIRST_SYMBOL
_LITERAL = re.compile(r"[a-z0-9ß-öø-ÿ]+(?:'t)?")


def split_words(text: str) -> list[str]:
    """Cut `text` into words and sentence ends, in order.  Only its first `MAX_CHARACTERS` are read."""
    return _WORD.findall(text[:MAX_CHARACTERS])


class Lexicon:
    """The words that forms know, each with its symbol.

    A class is a set of symbols.  A word that no form knows is `_OTHER`.
    """

    def __init__(self, classes: Mapping[str, Sequence[str]], forms: Iterable[str]) -> None:
        """Give every word of `classes` and `forms` a symbol.

        Raises `ValueError` for a form that is not in the language and for an unknown class.
        """
        self._classes = classes
        self._symbols: dict[str, str] = {}
        for entries in classes.values():
            for entry in entries:
                self._learn(entry)
        for form in forms:
            self._learn(form)
        if len(self._symbols) > _MAX_SYMBOLS:
            raise ValueError("too many words")
        self._by_spelling = dict(_spellings(self._symbols))
        self._ordinary: set[str] = set()
        if ORDINARY in classes:
            self._ordinary, _ = self._expand(f"{{{ORDINARY}}}", ())
        self._barrier = self._members(f"{{{BARRIER}}}") if BARRIER in classes else ""

    def read(self, text: str) -> str:
        """The symbols of `text`, one a word.  Linear in its length."""
        symbol = self._by_spelling.get
        return "".join([symbol(word, _OTHER) for word in split_words(text)])

    def compile(self, forms: Sequence[str]) -> re.Pattern[str]:
        """One pattern over symbols that finds any of `forms`; none of no forms.

        Raises `ValueError` with the form at fault.
        """
        if not forms:
            return re.compile(r"(?!)")
        # A word that begins no form is most words: it is passed over at the cost of one look into a set.
        by_first: dict[str, list[str]] = {}
        for form in forms:
            pattern = self._form(form)
            by_first.setdefault("".join(sorted(self._first(form))), []).append(pattern)
        branches = "|".join(f"(?=[{first}])(?:{'|'.join(same)})" for first, same in by_first.items())
        return re.compile(f"(?=[{''.join(sorted(set().union(*by_first)))}])(?:{branches})")

    def _first(self, form: str, within: tuple[str, ...] = ()) -> set[str]:
        """The words with which `form` can begin."""
        found: set[str] = set()
        for element in form.split():
            if element == "^" or element.startswith(("<!", ">!")):
                continue
            singles, phrases = self._expand(element.removesuffix("?"), within)
            found |= singles
            for phrase, path in phrases:
                found |= self._first(phrase, path)
            if not element.endswith("?"):
                break
        return found

    def compile_anchors(self, forms: Sequence[str]) -> re.Pattern[str]:
        """A pattern that finds an anchor of any of `forms`: without one, none of them can match.

        Raises `ValueError` with the form that has no anchor.
        """
        anchors: set[str] = set()
        for form in forms:
            found = self._anchor(form)
            if found is None:
                raise ValueError(f"{form!r} has ordinary words only")
            anchors |= found
        return re.compile(f"[{''.join(sorted(anchors))}]" if anchors else r"(?!)")

    def _anchor(self, form: str, within: tuple[str, ...] = ()) -> set[str] | None:
        """The smallest set of words of which `form` needs one; none if every element has an ordinary word."""
        found = [
            anchor
            for element in form.split()
            if element not in ("^", "$", ".")
            and not element.startswith(("~", "<!", ">!"))
            and not element.endswith("?")
            if (anchor := self._anchor_of(element, within)) is not None
        ]
        return min(found, key=len, default=None)

    def _anchor_of(self, alternatives: str, within: tuple[str, ...]) -> set[str] | None:
        singles, phrases = self._expand(alternatives, within)
        anchors = set(singles)
        for phrase, path in phrases:
            anchor = self._anchor(phrase, path)
            if anchor is None:
                return None
            anchors |= anchor
        return None if anchors & self._ordinary else anchors

    def _learn(self, form: str) -> None:
        for element in form.split():
            if element in ("^", "$", "."):
                continue
            if element.startswith("~"):
                element = element.partition("!")[2]  # noqa: PLW2901
                if not element:
                    continue
            for name in element.removeprefix("<!").removeprefix(">!").removesuffix("?").split("|"):
                if name.startswith("{") and name.endswith("}"):
                    if name[1:-1] not in self._classes:
                        raise ValueError(f"unknown class {name}")
                elif not _LITERAL.fullmatch(name):
                    raise ValueError(f"{name!r} in {form!r} is no word of the language")
                elif name not in self._symbols:
                    self._symbols[name] = chr(_FIRST_SYMBOL + len(self._symbols))

    def _form(self, form: str, within: tuple[str, ...] = ()) -> str:
        elements = form.split()
        if not elements:
            raise ValueError("an empty form would match everything")
        if sum(element.startswith("~") for element in elements) > MAX_GAPS:
            raise ValueError(f"{form!r} has more than {MAX_GAPS} gaps")
        if elements[0].startswith("~") or elements[-1].startswith("~") or all(e.endswith("?") for e in elements):
            raise ValueError(f"{form!r} must begin and end with a word and hold one that is not optional")
        return "".join(self._element(element, within) for element in elements)

    def _element(self, element: str, within: tuple[str, ...]) -> str:
        if element == "^":
            return r"\A"
        if element == "$":
            return rf"(?={_END}?\Z)"
        if element == ".":
            return f"{_END}?"
        if element.startswith("~"):
            size, _, stops = element[1:].partition("!")
            if not size.isdecimal() or not 0 < int(size) <= MAX_GAP:
                raise ValueError(f"a gap is ~1 to ~{MAX_GAP}, not {element!r}")
            return f"[^{_END}{self._barrier}{self._members(stops) if stops else ''}]{{0,{size}}}"
        if element.startswith("<!"):
            return f"(?<![{self._members(element[2:])}])"
        if element.startswith(">!"):
            return f"(?![{self._members(element[2:])}])"
        wanted = element.removesuffix("?")
        return self._choice(wanted, within) + ("?" if wanted != element else "")

    def _choice(self, alternatives: str, within: tuple[str, ...]) -> str:
        """Single words become one set of symbols, tried in one step; longer entries are branches."""
        singles, phrases = self._expand(alternatives, within)
        branches = [f"[{''.join(sorted(singles))}]"] if singles else []
        branches += [self._form(phrase, path) for phrase, path in phrases]
        return branches[0] if len(branches) == 1 and singles else f"(?:{'|'.join(branches)})"

    def _expand(self, alternatives: str, within: tuple[str, ...]) -> tuple[set[str], list[tuple[str, tuple[str, ...]]]]:
        singles: set[str] = set()
        phrases: list[tuple[str, tuple[str, ...]]] = []
        for name in alternatives.split("|"):
            if not name.startswith("{"):
                singles.add(self._symbols[name])
                continue
            if name in within:
                raise ValueError(f"class {name} contains itself")
            path = (*within, name)
            for entry in self._classes[name[1:-1]]:
                if " " in entry:
                    phrases.append((entry, path))
                else:
                    more_singles, more_phrases = self._expand(entry, path)
                    singles |= more_singles
                    phrases += more_phrases
        return singles, phrases

    def _members(self, alternatives: str) -> str:
        singles, phrases = self._expand(alternatives, ())
        if phrases:
            raise ValueError(f"{alternatives!r} may hold single words only here")
        return "".join(sorted(singles))


def _spellings(symbols: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Every spelling that `split_words` can return (`word`, `Word`, `WORD`): so reading needs no folding."""
    for word, symbol in symbols.items():
        yield word, symbol
        yield word.capitalize(), symbol
        yield word.upper(), symbol
        yield word.replace("'", "\u2019"), symbol
    for end in (".", ";", "!", "?", "\n"):
        yield end, _END
