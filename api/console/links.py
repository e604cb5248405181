"""Make addresses of the console's own pages, in texts that were written for mails, links. Pure."""

import re

from markupsafe import Markup, escape

#: Only the path is kept: a text that came with an event can lead nowhere else.
_OWN = re.compile(r"https?://[^\s/]{1,255}(/console/[A-Za-z0-9_.~%/?=&:-]*[A-Za-z0-9_~%/=-])")


def link_pages(text: str) -> Markup:
    """Everything as text, and addresses of pages of the console, on whatever host, as links to this one's."""
    parts = []
    end = 0
    for found in _OWN.finditer(text):
        parts += [
            escape(text[end : found.start()]),
            Markup('<a href="{}">{}</a>').format(found.group(1), found.group(1)),
        ]
        end = found.end()
    return Markup("").join([*parts, escape(text[end:])])
