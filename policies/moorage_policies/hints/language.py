"""Is this English? Other languages are refused: half-understood words would place pods wrongly."""

from __future__ import annotations

import re
import unicodedata

from moorage_policies.hints.lexicon import correct, knows
from moorage_policies.hints.shapes import shape_of
from moorage_policies.hints.wordlists import words

_FOREIGN = words(
    """
    wie aber als dass noch doch der die das den dem ein eine einen einem einer und oder nicht kein
    keine auf auch bei beim bitte mit ohne nah nahe weit weg von vom zum zur für über unter neben
    möglichst wenn sollte soll ist sind wird werden nur sehr lieber am im ans knoten

    le la les un une des du et ou pas ne sur près proche loin avec sans pour dans éviter évitez si
    nœud nœuds noeud noeuds est sont très plus moins veuillez aux au ce cette de préférer merci
    svp

    el los las una unos unas y o no cerca lejos con sin por para en evitar nodo nodos muy si
    del al que mejor preferir preferiblemente es son trabajos

    il lo gli i uno e di da vicino lontano su per nodi non evitare evita nel nella alla allo dal
    dalla preferibilmente grazie molto

    os as um uma em perto longe com sem nó nós evite não dos das do na no ao preferência

    het een van naar niet geen dicht bij ver op met zonder voor en te zijn graag alsjeblieft
    knooppunt

    blisko daleko od na z nie w do przy bez proszę węzeł węzły lub oraz jest i

    nära långt från på och inte ett en med utan för till nod noder är tæt ved ikke og til uden
    lähellä ei ja kaukana solmu uzak değil ve ile için lütfen düğüm dekat jauh dari dengan
    tidak jangan tolong untuk blízko daleko uzlu prosím közel távol aproape departe și
    """
)
_BOTH = words(
    "a an as at am in on or so to do no me we he is be by i per plus die des en es un si son la "
    "non ha de ad os au ne su da e o y z w km na al il li lo mi via ve el ed te le das du min max"
)
"""Short words that English text about clusters holds as well, abbreviations included."""
_FEW_WORDS = 3
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?")  # noqa: RUF001


def is_english(text: str) -> bool:
    """Return whether the text reads as English, as far as it has words at all."""
    said = [word.casefold() for word in _WORD.findall(text)]
    letters = sum(len(word) for word in said)
    if not letters:
        return True
    latin = sum(len(word) if word.isascii() else sum(map(_is_latin, word)) for word in said)
    if latin * 2 <= letters:
        return False
    foreign = sum(_is_foreign(word) for word in said)
    english = sum(knows(word) or shape_of(word) is not None for word in said)
    shared = sum(word in _BOTH or len(word) == 1 for word in said)
    if foreign and foreign >= english - shared:
        return False
    doubtful = len(said) > _FEW_WORDS and 3 * (english + _misspelled(said)) < len(said)
    return not doubtful


def _is_latin(character: str) -> bool:
    return character.isascii() or "LATIN" in unicodedata.name(character, "")


def _is_foreign(word: str) -> bool:
    return (word in _FOREIGN and word not in _BOTH) or not word.isascii()


def _misspelled(said: list[str]) -> int:
    return sum(not knows(word) and correct(word) != word for word in said)
