"""The user's terms: hints before recognition; after it exact corrections, and proposals by sound. All is recorded.

    entries    a terms file → Glossary          words      what is an ordinary word, in Chinese and in English
    variants   a term's own letters, otherwise  sounds     texts → units of speech sounds
    likeness   how alike two stretches sound    proposing  where a term may have been meant
    judging    how likely it was meant there
    nearness   which terms help a clip          learning   what a person's correction teaches
    harvest    texts → candidates for terms; people, foreign, compounds: its parts, corpus: word statistics
    tables     CSV → a terms file

In:  Segments. Out: Segments with corrections on record, and Proposals, which change nothing.
"""

from jiyao.glossary.entries import Glossary, parse
from jiyao.glossary.learning import Learned, found, learned
from jiyao.glossary.nearness import NEAR_CLIPS, fits, hints_for, mentions
from jiyao.glossary.proposing import Proposal, propose
from jiyao.glossary.variants import correct

__all__ = [
    "NEAR_CLIPS",
    "Glossary",
    "Learned",
    "Proposal",
    "correct",
    "fits",
    "found",
    "hints_for",
    "learned",
    "mentions",
    "parse",
    "propose",
]
