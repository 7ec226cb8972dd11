"""The word someone probably meant."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches

from ig_guardrail.types.hazards import ALIASES, HAZARDS, canonical

LONGEST = 64  # characters; a longer word is not a misspelling of anything known


def suggest(word: str, known: Iterable[str], alike: float = 0.6) -> str | None:
    """The known word closest to `word`, letter case aside; None if none is close. `alike`: 0 anything, 1 equal."""
    if len(word) > LONGEST:
        return None
    by_lower = {candidate.lower(): candidate for candidate in known}
    close = get_close_matches(word.lower(), by_lower, n=1, cutoff=alike)
    return by_lower[close[0]] if close else None


def suggest_hazard(word: str) -> str:
    """What to write instead of a word that names no hazard."""
    own = re.match(r"[xX][._-]", word)
    if own:
        return f"one of your own is written `x.{_own(word[2:])}`, in small letters, digits and `_`"
    by_meaning = {meaning: name for name, meaning in HAZARDS.items()}
    plain = re.sub("[^a-z]+", " ", word.lower()).strip()
    elsewhere = next((name for name, words in _ELSEWHERE.items() if plain and plain in words.split(", ")), None)
    close = elsewhere or suggest(word, (*HAZARDS, *ALIASES, *by_meaning))
    if close is not None:
        name = by_meaning.get(close, close)
        meaning = HAZARDS.get(canonical(name) or "", "")
        return f"did you mean `{name}`" + (f" ({meaning})?" if meaning else "?")
    return f"hazards are {', '.join(HAZARDS)}; one of your own is written `x.{_own(word)}`"


_ELSEWHERE = {  # what other taxonomies call them
    "vcr": "violence, violent, terrorism, threat",
    "ncr": "crime, crimes, illegal, illicit, fraud, drugs, malware",
    "src": "sex crimes, sexual crimes, sexual assault",
    "cse": "minors, sexual minors, csam, child abuse, child safety",
    "spc": "medical, medical advice, legal, legal advice, financial advice, advice",
    "prv": "pii, personal data, personal information, personally identifiable information",
    "ipv": "copyright, ip, trademark",
    "iwp": "weapon, weapons, cbrn",
    "hte": "hate speech, harassment, toxicity, toxic, discrimination, racism",
    "ssh": "suicide, self harm, selfharm",
    "sxc": "nsfw, porn, pornography, adult, sex, sexual",
}


def _own(word: str) -> str:
    return re.sub("[^a-z0-9_]+", "_", word.lower())[:32].strip("_") or "insult"
