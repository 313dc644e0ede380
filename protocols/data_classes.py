"""Classes of data by name, and those that nobody may collect or speak of here.

Regulation on the Credit Reporting Industry (征信业管理条例), article 14: a person's religion,
genes, fingerprints, blood type and disease are not collected at all. So no name for them passes:
not in a consent, a template, a catalogue, or what a member says it holds.
"""

from typing import Final

from protocols.identifiers import is_field_name

PROHIBITED: Final = ("religion", "genes", "fingerprints", "blood_type", "disease")

# Words that a name of a prohibited class would be made of, in either number.
_WORDS: Final = frozenset(
    {
        *("religion", "religions", "religious", "faith", "belief", "beliefs"),
        *("gene", "genes", "genetic", "genetics", "genome", "dna"),
        *("fingerprint", "fingerprints"),
        "blood",
        *("disease", "diseases", "illness", "medical", "diagnosis"),
    }
)


def is_data_class(text: str) -> bool:
    """Whether `text` may name a class of data: a field name, and none that is prohibited."""
    return is_field_name(text) and _WORDS.isdisjoint(text.split("_"))
