"""How old one has to be to read a page: its own sentences, by published formulas.

Each formula gives a school grade of the United States; grade plus five is about the age. The
Flesch-Kincaid grade (1975) counts syllables; Spache (1953) looks words up in a list that young
children know and is meant for them; the fog index (Gunning, 1952) counts long words and is meant
for older readers. ``textstat`` works them out from the word lists that come with it.
"""

from __future__ import annotations

import re

import pytest
from lxml import html

# What holds running text; a list item, a heading or a cell is a sentence of its own.
_BLOCKS = frozenset(
    ["h1", "h2", "h3", "h4", "p", "li", "th", "td", "dt", "dd", "caption", "summary"]
)
# Shorter ones are labels, which would flatter the page.
SHORTEST = 5


def sentences(page: str) -> list[str]:
    """The sentences of a page, without what is quoted exactly (``data-exact``): official names,
    the words of the law, addresses."""
    tree = html.fromstring(page)
    for quoted in tree.xpath("//*[@data-exact] | //style | //svg | //footer | //nav"):
        quoted.drop_tree()
    found: list[str] = []
    for block in tree.iter(*_BLOCKS):
        if not any(inner.tag in _BLOCKS for inner in block.iterdescendants()):
            text = re.sub(r"(www\.|https://)\S*[^\s.)]", "this page", block.text_content())
            found += [part for part in re.split(r"(?<=[.?!:])\s+", text.strip()) if part]
    return [" ".join(sentence.split()) for sentence in found]


def ages(texts: list[str]) -> dict[str, float]:
    """Years of age by formula, from the sentences that are more than labels."""
    textstat = pytest.importorskip("textstat", reason="textstat is not installed").textstat
    long = [text.rstrip(":.") + "." for text in texts if len(text.split()) >= SHORTEST]
    whole = " ".join(long)
    return {
        "Flesch-Kincaid": textstat.flesch_kincaid_grade(whole) + 5,
        "Spache": textstat.spache_readability(whole) + 5,
        "fog": textstat.gunning_fog(whole) + 5,
    }
