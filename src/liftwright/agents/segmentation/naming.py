"""Labels for clusters, built from the words for high and low values of their features."""

from __future__ import annotations

from typing import TYPE_CHECKING

from liftwright.config import FeatureWords

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from liftwright.config import FeatureEnds

_ORDINALS = ("first", "second", "third", "fourth", "fifth")


def words_for(feature: str, effect: float, words: Mapping[str, FeatureEnds]) -> FeatureWords:
    """The words for a high (positive effect) or low value of `feature`."""
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
        effects: per group, each feature's effect, positive for high and negative for low.
        words: the words for each feature.

    Returns:
        Labels with as few features as make them distinct; groups that no feature distinguishes
        are numbered in words.
    """
    names = [_names(effect, words) for effect in effects]
    lengths = [1] * len(names)
    while True:
        labels = [", ".join(parts[:length]) for parts, length in zip(names, lengths, strict=True)]
        ambiguous = [
            index
            for index, label in enumerate(labels)
            if labels.count(label) > 1 and lengths[index] < len(names[index])
        ]
        if not ambiguous:
            return _numbered(labels)
        for index in ambiguous:
            lengths[index] += 1


def join_words(parts: Sequence[str]) -> str:
    """Join as in `a`, `a and b`, `a, b and c`."""
    *rest, last = parts
    return f"{', '.join(rest)} and {last}" if rest else last


def _names(effect: Mapping[str, float], words: Mapping[str, FeatureEnds]) -> list[str]:
    """The words for each feature, strongest first; a feature with no effect is omitted."""
    strongest = sorted(effect, key=lambda feature: -abs(effect[feature]))
    names = [words_for(f, effect[f], words).label for f in strongest if effect[f]]
    return names or ["Everyone Alike"]


def _numbered(labels: Sequence[str]) -> list[str]:
    seen: dict[str, int] = {}
    numbered = []
    for label in labels:
        position = seen.get(label, 0)
        seen[label] = position + 1
        repeated = labels.count(label) > 1
        numbered.append(f"{label}, {_ORDINALS[position]} group" if repeated else label)
    return numbered
