"""Texts that others chose, for a terminal."""


def printable(text: str) -> str:
    """A text without what would steer the terminal, or break the line."""
    return "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in text)
