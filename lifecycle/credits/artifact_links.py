"""Which links to a run's artifacts people are shown: a sender chose them (50.5). Pure."""

import re

_SAFE = re.compile(r"https://[A-Za-z0-9.-]+(:[0-9]+)?/[!-~]*")


def safe_link(link: str | None) -> str | None:
    """A link that leads to a named host by https, and has no login in it; None for any other."""
    return link if link is not None and _SAFE.fullmatch(link) else None
