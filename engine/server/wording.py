"""Do these words end a sentence? A guess from the last of them and the punctuation; no language model.

Works on what a recogniser wrote. The words are English; marks and hesitations count in any language.
"""

from __future__ import annotations


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_FILLERS = _words("um uhm umm uh uhh er erm eh ehm hm hmm mm äh ähm öh euh hein este eto ano")
_GOES_ON = _words(
    """a an the my your his her its our their each every or and but nor because although though while if unless until
    whenever whose than as such just also of into onto between among through during towards against be being i'm i'd
    i'll you're we're they're he's she's there's some any without"""
)
"""After these a sentence goes on."""
_MAY_GO_ON = _words(
    """for to at by in on under over about with from is are was were am been have has had do does did will would could
    should can may might must this these those that so when where who which before after since very really quite i we
    they he she like whom"""
)
"""After these it mostly does; but "what is it for" and "yes I am" end with one."""
_PROMISING = (",", ";", ":", "-", "\u2013", "\u2014", "...", "\u2026", "\u3001", "\u060c")
_ENDING = ".?!\u3002\uff1f\uff01\u061f"
_QUOTES = "\"'\u201c\u201d\u2018\u2019(\u00bf\u00a1) "


def completeness(text: str) -> float:
    """-1: more must follow; 1: a sentence ended; 0: nothing to say, as for no words at all."""
    text = text.strip(_QUOTES)
    if not text:
        return 0.0
    if text.endswith(_PROMISING):
        return -1.0
    ended = text[-1] in _ENDING
    last = text.rstrip(_ENDING + _QUOTES).rpartition(" ")[2].strip(_QUOTES).lower().replace("\u2019", "'")
    if last in _FILLERS:
        return -1.0
    # Recognisers put a full stop after anything: it takes back half of a doubt.
    if last in _GOES_ON:
        return -0.5 if ended else -1.0
    if last in _MAY_GO_ON:
        return 0.0 if ended else -0.5
    return 1.0 if ended else 0.3
