"""Language tags as people write them: `de`, `DE`, `de_DE`, `zh-hans-cn` (RFC 5646, without extensions)."""

from __future__ import annotations

import re
from collections.abc import Mapping

_FORM = re.compile(r"([a-z]{2,3})(?:[-_]([a-z]{4}))?(?:[-_]([a-z]{2}|[0-9]{3}))?", re.IGNORECASE)
_ISO_639_1 = (
    "aa ab ae af ak am an ar as av ay az ba be bg bi bm bn bo br bs ca ce ch co cr cs cu cv cy da de dv dz ee el "
    "en eo es et eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy hz ia id ie ig ii ik io is it "
    "iu ja jv ka kg ki kj kk kl km kn ko kr ks ku kv kw ky la lb lg li ln lo lt lu lv mg mh mi mk ml mn mr ms mt "
    "my na nb nd ne ng nl nn no nr nv ny oc oj om or os pa pi pl ps pt qu rm rn ro ru rw sa sc sd se sg sh si sk "
    "sl sm sn so sq sr ss st su sv sw ta te tg th ti tk tl tn to tr ts tt tw ty ug uk ur uz ve vi vo wa wo xh yi "
    "yo za zh zu "
)
_TWO_LETTERS = frozenset(_ISO_639_1.split())


def normal_tag(text: str) -> str | None:
    """The tag in its usual spelling, such as `pt-BR`; None for what is no tag, or of no language (ISO 639-1)."""
    found = _FORM.fullmatch(text)
    if found is None:
        return None
    language, script, region = found[1].lower(), found[2], found[3]
    if len(language) == 2 and language not in _TWO_LETTERS:
        return None
    return "-".join([language, *([script.title()] if script else []), *([region.upper()] if region else [])])


def text_for(texts: Mapping[str, str], tag: str) -> str:
    """The text of a tag, else of the same language in more general terms, else in English."""
    parts = (normal_tag(tag) or "en").split("-")
    for length in range(len(parts), 0, -1):
        found = texts.get("-".join(parts[:length]))
        if found:
            return found
    return texts.get(f"{parts[0]}-{parts[-1]}") or texts["en"]
