"""What a person calls a group that is high in one feature and low in another."""

from __future__ import annotations

from typing import TYPE_CHECKING

from liftwright.config import FeatureWords

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from liftwright.config import FeatureEnds

_ORDINALS = ("first", "second", "third", "fourth", "fifth")


def end_of(feature: str, effect: float, words: Mapping[str, FeatureEnds]) -> FeatureWords:
    """The words for `feature` being high (effect above 0) or low."""
    if feature in words:
        return words[feature].high if effect > 0 else words[feature].low
    name = feature.replace("_", " ")
    side = "high" if effect > 0 else "low"
    return FeatureWords(label=f"{side.title()} {name.title()}", words=f"have {side} {name}")


def distinct_labels(
    effects: Sequence[Mapping[str, float]], words: Mapping[str, FeatureEnds]
) -> list[str]:
    """A label for each group from its strongest features, all different.

    Args:
        effects: per group, each feature's effect; its sign says high or low.
        words: the words of each feature.

    Returns:
        As few features per label as make it differ from the others; groups that no feature tells
        apart by its side are numbered in words.
    """
    names = [_names(effect, words) for effect in effects]
    lengths = [1] * len(names)
    while True:
        labels = [", ".join(parts[:length]) for parts, length in zip(names, lengths, strict=True)]
        alike = [
            index
            for index, label in enumerate(labels)
            if labels.count(label) > 1 and lengths[index] < len(names[index])
        ]
        if not alike:
            return _numbered(labels)
        for index in alike:
            lengths[index] += 1


def in_words(parts: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    *rest, last = parts
    return f"{', '.join(rest)} and {last}" if rest else last


def _names(effect: Mapping[str, float], words: Mapping[str, FeatureEnds]) -> list[str]:
    """The words of the features, strongest first; a feature at the middle has none."""
    strongest = sorted(effect, key=lambda feature: -abs(effect[feature]))
    names = [end_of(f, effect[f], words).label for f in strongest if effect[f]]
    return names or ["Everyone Alike"]


def _numbered(labels: Sequence[str]) -> list[str]:
    seen: dict[str, int] = {}
    numbered = []
    for label in labels:
        place = seen.get(label, 0)
        seen[label] = place + 1
        alike = labels.count(label) > 1
        numbered.append(f"{label}, {_ORDINALS[place]} group" if alike else label)
    return numbered
