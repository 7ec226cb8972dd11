"""Language tags as people write them: `de`, `DE`, `de_DE`, `zh-hans-cn` (RFC 5646, without extensions)."""

from __future__ import annotations

import re
from collections.abc import Collection

_FORM = re.compile(r"([a-z]{2,3})(?:[-_]([a-z]{4}))?(?:[-_]([a-z]{2}|[0-9]{3}))?", re.IGNORECASE)
_ISO_639_1 = (
    "aa ab ae af ak am an ar as av ay az ba be bg bh bi bm bn bo br bs ca ce ch co cr cs cu cv cy da de dv dz ee el "
    "en eo es et eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy hz ia id ie ig ii ik io is it "
    "iu ja jv ka kg ki kj kk kl km kn ko kr ks ku kv kw ky la lb lg li ln lo lt lu lv mg mh mi mk ml mn mr ms mt "
    "my na nb nd ne ng nl nn no nr nv ny oc oj om or os pa pi pl ps pt qu rm rn ro ru rw sa sc sd se sg sh si sk "
    "sl sm sn so sq sr ss st su sv sw ta te tg th ti tk tl tn to tr ts tt tw ty ug uk ur uz ve vi vo wa wo xh yi "
    "yo za zh zu "
)
_TWO_LETTERS = frozenset(_ISO_639_1.split())
# ISO 639-2, both sets: three letters for languages that have two, which RFC 5646 asks for.
_ISO_639_2 = (
    "aar:aa abk:ab afr:af aka:ak alb:sq sqi:sq amh:am ara:ar arg:an arm:hy hye:hy asm:as ava:av ave:ae aym:ay aze:az "
    "bak:ba bam:bm baq:eu eus:eu bel:be ben:bn bis:bi bos:bs bre:br bul:bg bur:my mya:my cat:ca cha:ch che:ce chi:zh "
    "zho:zh chv:cv cor:kw cos:co cre:cr cze:cs ces:cs dan:da div:dv dut:nl nld:nl dzo:dz eng:en epo:eo est:et ewe:ee "
    "fao:fo fas:fa per:fa fij:fj fin:fi fra:fr fre:fr fry:fy ful:ff geo:ka kat:ka ger:de deu:de gla:gd gle:ga glg:gl "
    "glv:gv gre:el ell:el grn:gn guj:gu hat:ht hau:ha heb:he her:hz hin:hi hmo:ho hrv:hr hun:hu ibo:ig ice:is isl:is "
    "ido:io iii:ii iku:iu ile:ie ina:ia ind:id ipk:ik ita:it jav:jv jpn:ja kal:kl kan:kn kas:ks kau:kr kaz:kk khm:km "
    "kik:ki kin:rw kir:ky kom:kv kon:kg kor:ko kua:kj kur:ku lao:lo lat:la lav:lv lim:li lin:ln lit:lt ltz:lb lub:lu "
    "lug:lg mac:mk mkd:mk mah:mh mal:ml mao:mi mri:mi mar:mr may:ms msa:ms mlg:mg mlt:mt mon:mn nau:na nav:nv nbl:nr "
    "nde:nd ndo:ng nep:ne nno:nn nob:nb nor:no nya:ny oci:oc oji:oj ori:or orm:om oss:os pan:pa pli:pi pol:pl por:pt "
    "pus:ps que:qu roh:rm ron:ro rum:ro run:rn rus:ru sag:sg san:sa sin:si slk:sk slo:sk slv:sl sme:se smo:sm sna:sn "
    "snd:sd som:so sot:st spa:es srd:sc srp:sr ssw:ss sun:su swa:sw swe:sv tah:ty tam:ta tat:tt tel:te tgk:tg tgl:tl "
    "tha:th tib:bo bod:bo tir:ti ton:to tsn:tn tso:ts tuk:tk tur:tr twi:tw uig:ug ukr:uk urd:ur uzb:uz ven:ve vie:vi "
    "vol:vo wel:cy cym:cy wln:wa wol:wo xho:xh yid:yi yor:yo zha:za zul:zu"
)
_SHORTER = dict(pair.split(":") for pair in f"{_ISO_639_2} in:id iw:he ji:yi jw:jv mo:ro".split())  # and old codes
# Countries where people write the tag of a language, and languages by their names, in English and in their own.
_OF_COUNTRIES = (
    "cz:cs gr:el jp:ja ua:uk cn:zh dk:da kr:ko se:sv br:pt-BR si:sl ee:et al:sq by:be rs:sr ir:fa mx:es us:en gb:en "
    "tw:zh-TW"
)
_OF_NAMES = (
    "english:en german:de deutsch:de french:fr français:fr spanish:es español:es italian:it italiano:it portuguese:pt "
    "português:pt dutch:nl nederlands:nl polish:pl polski:pl russian:ru chinese:zh japanese:ja korean:ko arabic:ar "
    "default:en hindi:hi turkish:tr swedish:sv danish:da norwegian:nb finnish:fi czech:cs greek:el hebrew:he "
    "ukrainian:uk"
)
COUNTRIES = dict(pair.split(":") for pair in _OF_COUNTRIES.split())
_NAMED = dict(pair.split(":") for pair in _OF_NAMES.split())
_WORD = re.compile(r"[^\W\d_]+")
# Common words of a few languages, for telling them apart.
COMMON = {
    "en": "i the and you that with this have cannot can't please sorry help will would is are not here let me it about",
    "de": "ich das nicht und die der ist kann bitte hier leider dabei sie ihnen wir mit ein eine zu uns helfen auf es",
    "fr": "je le la les ne pas vous nous et est cela avec ici désolé puis peux une des pour que vais dans arrêter",
    "es": "lo el no puedo con eso y los las una por favor siento ayudarte aquí que usted voy para esto",
    "it": "non posso mi con questo che per favore qui spiacente aiutarti il gli una di sono ciò fermo",
    "pt": "não posso com isso desculpe por favor aqui o os uma você para ajudar vou isto lamento",
    "nl": "ik het niet en de dat kan met dit hier helpen sorry een wij u graag stop van over",
}
_ALL_WORDS = [word for words in COMMON.values() for word in words.split()]
_TELLING = {tag: {word for word in words.split() if _ALL_WORDS.count(word) == 1} for tag, words in COMMON.items()}


def normal_tag(text: str) -> str | None:
    """The tag in its usual spelling, such as `pt-BR`; None for what is no tag, or of no language (ISO 639-1)."""
    found = _FORM.fullmatch(text)
    if found is None:
        return None
    language, script, region = found[1].lower(), found[2], found[3]
    language = _SHORTER.get(language, language)
    if len(language) == 2 and language not in _TWO_LETTERS:
        return None
    return "-".join([language, *([script.title()] if script else []), *([region.upper()] if region else [])])


def meant_tag(text: str) -> str | None:
    """The tag that somebody meant who wrote a country or the name of a language; None for other words."""
    word = text.lower()
    return _NAMED.get(word) or COUNTRIES.get(word)


def told_apart(text: str) -> str | None:
    """The language of a text, where common words of it are in the text and of no other; None where that is unsure."""
    words = {word.lower() for word in _WORD.findall(text)}
    found = {tag: len(words & telling) for tag, telling in _TELLING.items() if words & telling}
    return next(iter(found)) if len(found) == 1 and max(found.values()) >= 2 else None


def fitting_tag(offered: Collection[str], asked: str) -> str:
    """Of the tags that are offered the one that was asked for, else one of its language, else English."""
    parts = (normal_tag(asked) or "en").split("-")
    general = ["-".join(parts[:length]) for length in range(len(parts), 0, -1)]
    return next((tag for tag in (*general, f"{parts[0]}-{parts[-1]}") if tag in offered), "en")
