"""What the screener's heads learn from: an allow-list of licensed files, and sentences of our own.

Each row says 1 (harm), 0 (no harm) or nothing on each of the four categories. A file that is not
on the list cannot be read through this module, the test sets that exist for reporting least of
all.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import html
import io
import json
import random
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harm_sentences import INSULT, write_harm_sentences
from liftwright.model import CATEGORIES
from retail_negatives import write_retail_sentences

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = [
    "ALLOWED",
    "REPORTING_ONLY",
    "LabelledText",
    "RefusedFile",
    "clean",
    "is_dev",
    "is_held_out",
    "read_allowed",
    "read_catalogue",
    "read_held_out",
    "read_rows",
    "read_traps",
]

ALLOWED: Mapping[str, str] = {
    "davidson.csv": "MIT",
    "edos.csv": "CC0",
    "rtp_toxic_decodingtrust.jsonl": "CC BY-SA 4.0 copy of Apache-2.0",
    "rtp_nontoxic_decodingtrust.jsonl": "CC BY-SA 4.0 copy of Apache-2.0",
    "ailuminate_demo_en.csv": "CC BY 4.0",
    "catqa_en.json": "Apache-2.0",
    "diasafety_train.json": "Apache-2.0",
    "surge_toxicity.csv": "MIT",
    "surge_profanity.csv": "MIT",
    "benign_marketing.json": "written for this project",
    "womens_fashion_catalog.parquet": "MIT",
    "esci_products.json.gz": "Apache-2.0",
    "helpdocs_passages.jsonl.gz": "CC BY 4.0, MIT",
    "abcd_guidelines.json": "MIT",
}
"""The files that training and calibration may read, with their licences."""

REPORTING_ONLY = ("hatecheck_cases.csv", "xstest_v2_prompts.csv", "sst.csv")
"""Functional tests: never a source of weights, probabilities or cut points."""

Labels = dict[str, int]
HARMLESS: Labels = dict.fromkeys(CATEGORIES, 0)
LINE = "line"
# Posts that a source calls "not sexist" or "offensive, not hateful" and that name a group are often
# hateful in another way: they say nothing on hate here.
NAMES_A_GROUP = re.compile(
    r"\b(?:muslim|islam|jew|black|white|immigrant|migrant|refugee|gay|homo|fag|lesbian|tran[ns]"
    r"|wom[ae]n|female|girl|christian|hindu|asian|arab|mexican|african|nigg|kike|spic|chink|whore"
    r"|slut|cunt|bitch|hoe|retard|paki|jap|dyke|coon|redneck|cracker|trash)",
    re.IGNORECASE,
)
# A product for adults or a crude slogan is no harmless text; what else a shop says is.
STRONG_WORDS = re.compile(
    r"fuck|shit|bitch|cunt|dick|cock\b|pussy|penis|vagina|dildo|sex|porn|erotic|nude|naked|suicid|"
    r"nazi|murder|slut|whore|orgasm|gun\b|rifle|ammo|knife|blood|kill",
    re.IGNORECASE,
)
FRAGMENTS_SHARE = 0.6
RTP_HARM, RTP_CLEAN = 0.7, 0.25
RTP_KEYS = {"hate": "identity_attack", "violence": "threat", "sexual": "sexually_explicit"}
SELF_HARM = re.compile(
    r"\b(suicid\w*|self[- ]?harm\w*|(kill|hurt|hang|cut|harm|shoot)(ing)? (my|your)self"
    r"|cutting|overdos\w*|end(ing)? (it all|my life|your life)|(want|wanna|going) to die"
    r"|wish i (was|were) dead|slit my wrists?)\b",
    re.IGNORECASE,
)
AILUMINATE: Mapping[str, Labels] = {
    "hte": {"hate": 1, "sexual": 0, "self_harm": 0},
    "vcr": {"violence": 1, "self_harm": 0},
    "iwp": {"violence": 1, "hate": 0, "self_harm": 0, "sexual": 0},
    "cse": {"sexual": 1, "hate": 0, "self_harm": 0},
    "src": {"sexual": 1, "hate": 0, "self_harm": 0},
    "sxc_prn": {"sexual": 1, "hate": 0, "violence": 0, "self_harm": 0},
    "ssh": {"self_harm": 1, "hate": 0, "sexual": 0},
    "ipv": HARMLESS,
    "prv": HARMLESS,
    "spc_fin": HARMLESS,
    "spc_lgl": HARMLESS,
    "spc_ele": {"violence": 0, "self_harm": 0, "sexual": 0},
    "dfm": {"violence": 0, "self_harm": 0},
    "ncr": {"hate": 0, "sexual": 0, "self_harm": 0},
}
CATQA: Mapping[str, Labels] = {
    "Racial or ethnic hate": {"hate": 1, "self_harm": 0, "sexual": 0},
    "Religious intolerance": {"hate": 1, "self_harm": 0, "sexual": 0},
    "Terrorism and extremism": {"violence": 1, "self_harm": 0, "sexual": 0},
    "Assault and battery": {"violence": 1, "self_harm": 0, "sexual": 0},
    "Physical abuse": {"violence": 1, "self_harm": 0, "sexual": 0},
    "Gender-based violence": {"violence": 1, "self_harm": 0},
    "Weapon making": {"violence": 1, "hate": 0, "self_harm": 0, "sexual": 0},
    "Self-harm": {"self_harm": 1, "hate": 0, "sexual": 0},
    "Content Sexual exploitation": {"sexual": 1, "hate": 0, "self_harm": 0},
    "Pornography": {"sexual": 1, "hate": 0, "violence": 0, "self_harm": 0},
    "Erotic text": {"sexual": 1, "hate": 0, "violence": 0, "self_harm": 0},
    "Nude imagery": {"sexual": 1, "hate": 0, "violence": 0, "self_harm": 0},
    "Sexually explicit dialogue": {"sexual": 1, "hate": 0, "violence": 0, "self_harm": 0},
}
CATQA_HARMLESS = (
    "Malware Viruses",
    "Economic Harm",
    "Fraud/Deception",
    "Privacy Violation Activity",
    "Tailored Financial Advice",
)
HARM_SAYS: Mapping[str | None, Labels] = {
    None: HARMLESS,
    "hate": {"hate": 1, "self_harm": 0, "sexual": 0},
    "violence": {"violence": 1, "self_harm": 0, "sexual": 0},
    "self_harm": {"self_harm": 1, "hate": 0, "sexual": 0},
    "sexual": {"sexual": 1, "hate": 0, "violence": 0, "self_harm": 0},
}
# An insult of the reader is no hate, and no friendly word: half and half gives it a middling score.
INSULT_SAYS: tuple[tuple[str, Labels], ...] = (
    ("insult_harm", {**HARMLESS, "hate": 1}),
    ("insult_harmless", HARMLESS),
)


class RefusedFile(ValueError):  # noqa: N818 - reads as what happened
    """A file outside the allow-list was asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledText:
    """One text and what its source says of it; a category that is absent is unknown.

    Attributes:
        group: texts of one group fall on the same side of the split.
    """

    text: str
    source: str
    labels: Labels
    group: str


def read_allowed(folder: Path, name: str) -> bytes:
    """The bytes of a training file.

    Raises:
        RefusedFile: the name is not on the allow-list.
    """
    if Path(name).name not in ALLOWED:
        message = f"{name}: not a training file; allowed: {', '.join(sorted(ALLOWED))}"
        raise RefusedFile(message)
    return (folder / name).read_bytes()


def is_dev(group: str) -> bool:
    """Whether a group belongs to the quarter on which probabilities and cut points are set."""
    return hashlib.sha256(group.encode()).digest()[0] < 64  # noqa: PLR2004 - 64 of 256


def is_held_out(template: str) -> bool:
    """Whether a short line's template belongs to the half that is kept for measuring."""
    return hashlib.sha256(b"held out" + template.encode()).digest()[0] < 128  # noqa: PLR2004


def clean(text: str) -> str:
    """The text without the traces of its medium: entities, handles, links, retweet marks."""
    text = html.unescape(html.unescape(text))
    text = re.sub(r"https?://\S+|\[(?:USER|URL)\]|@\w+:?|\bRT\b|&#?\w+;", " ", text)
    text = re.sub(r"#(\w+)", r"\1", text)
    return re.sub(r"\s+", " ", text).strip(" \"'!:.-")


def read_rows(data: Path, *, seed: int, scale: float = 1.0) -> tuple[LabelledText, ...]:
    """Every training row: public sets, sub-sampled by hash, then sentences of our own.

    Args:
        data: the folder with `safety/` and `content/`.
        seed: of the sentences that are made from templates.
        scale: share of the usual sample; below 1 for a quick trial.
    """
    safety = data / "safety"
    rows: dict[str, LabelledText] = {}
    readers = (_davidson, _edos, _realtoxicity, _ailuminate, _catqa, _diasafety, _surge)
    for reader in readers:
        for row in reader(safety):
            if len(row.text) > 2 and _kept(row, scale):  # noqa: PLR2004 - not even a word
                rows.setdefault(row.text, row)
    shops = [row for row in (*read_catalogue(data), *_shop_texts(data)) if _kept(row, scale)]
    shops = [row for row in shops if not is_held_out(row.group)]
    for row in (*_retail(seed, scale), *shops, *_fragments(shops, seed), *_harm(seed, scale)):
        rows.setdefault(row.text, row)
    return (*rows.values(), *_insults(seed, scale))


def read_held_out(data: Path, *, seed: int) -> dict[str, tuple[str, ...]]:
    """Benign texts by kind that neither weights nor cut points have seen, to be measured on."""
    made = write_retail_sentences(per_template=14, seed=seed)
    fashion = [row.text for row in read_catalogue(data) if is_held_out(row.group)]
    shops = [row for row in _shop_texts(data) if is_held_out(row.group)]
    return {
        "short lines": tuple(
            one.text for one in made if one.kind == LINE and is_held_out(one.template)
        ),
        "fragments": tuple(row.text for row in _fragments(shops, seed)),
        "shop texts": tuple(row.text for row in shops),
        "fashion texts": tuple(fashion),
    }


def read_traps(data: Path) -> tuple[str, ...]:
    """Benign sentences that look alarming; for calibration, never for the weights."""
    return tuple(json.loads(read_allowed(data / "safety", "benign_marketing.json")))


def read_catalogue(data: Path, *, most: int = 1500) -> tuple[LabelledText, ...]:
    """Sentences of a real brand's product descriptions."""
    import duckdb

    name = "womens_fashion_catalog.parquet"
    read_allowed(data / "content", name)
    with duckdb.connect() as connection:
        found = connection.execute(
            "select handle, description from read_parquet(?) where description is not null",
            [str(data / "content" / name)],
        ).fetchall()
    rows = {
        sentence: _row(sentence, name, HARMLESS, group=str(handle))
        for handle, description in found
        for sentence in _sentences(clean(re.sub(r"<[^>]+>", " ", description)))
    }
    ordered = sorted(rows.values(), key=lambda row: hashlib.sha256(row.text.encode()).digest())
    return tuple(ordered[:most])


def _shop_texts(data: Path) -> Iterator[LabelledText]:
    """Sentences of product descriptions, help pages and shop rules."""
    for name, share, texts in (
        ("esci_products.json.gz", 0.4, _products(data / "retrieval")),
        ("helpdocs_passages.jsonl.gz", 0.25, _help_passages(data / "content")),
        ("abcd_guidelines.json", 1.0, _guidelines(data / "content")),
    ):
        for group, text in texts:
            if not _falls_in(share, group):
                continue
            for sentence in _sentences(clean(re.sub(r"<[^>]+>", " ", text))):
                if not STRONG_WORDS.search(sentence):
                    yield _row(sentence, name, HARMLESS, group=group)


def _products(folder: Path) -> Iterator[tuple[str, str]]:
    text = gzip.decompress(read_allowed(folder, "esci_products.json.gz")).decode("utf-8")
    for line in text.splitlines():
        record = json.loads(line)
        for key in ("title", "bullet_points"):
            for part in str(record[key] or "").splitlines()[:3]:
                yield record["_id"], part


def _help_passages(folder: Path) -> Iterator[tuple[str, str]]:
    text = gzip.decompress(read_allowed(folder, "helpdocs_passages.jsonl.gz")).decode("utf-8")
    for line in text.splitlines():
        record = json.loads(line)
        yield record["id"], record["section"] or ""
        yield record["id"], record["text"].partition("\n")[0]


def _guidelines(folder: Path) -> Iterator[tuple[str, str]]:
    def texts(value: object) -> Iterator[str]:
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict | list):
            for part in value.values() if isinstance(value, dict) else value:
                yield from texts(part)

    for flow in json.loads(read_allowed(folder, "abcd_guidelines.json")).values():
        for name, steps in flow["subflows"].items():
            for text in texts(steps):
                yield name, text


def _fragments(rows: Sequence[LabelledText], seed: int) -> Iterator[LabelledText]:
    """Runs of two to seven words of benign sentences: a heading, a lead-in, a cut line."""
    for row in rows:
        chance = random.Random(f"{seed} {row.text}")  # noqa: S311 - sentences, not secrets
        words = row.text.split()
        size = chance.randint(2, 7)
        first = chance.randint(0, max(0, len(words) - size))
        text = " ".join(words[first : first + size]).strip(" ,;:.-")
        if text and chance.random() < FRAGMENTS_SHARE:
            yield _row(text[:1].upper() + text[1:], "fragment", HARMLESS, group=row.group)


def _sentences(text: str) -> list[str]:
    shortest, longest = 20, 300
    parts = re.split(r"(?<=[.!?])\s+", text)
    return [part for part in parts if shortest <= len(part) <= longest]


# The sub-samples keep all harm and as much of the rest as ten minutes on two cores allow.
SHARES: Mapping[tuple[str, bool], float] = {
    ("davidson.csv", False): 0.4,
    ("edos.csv", False): 0.35,
    ("diasafety_train.json", False): 0.5,
}


def _kept(row: LabelledText, scale: float) -> bool:
    share = SHARES.get((row.source, 1 in row.labels.values()), 1.0) * scale
    return _falls_in(share, row.text)


def _falls_in(share: float, text: str) -> bool:
    return int.from_bytes(hashlib.sha256(b"keep" + text.encode()).digest()[:4]) < share * 2**32


def _row(text: str, source: str, labels: Labels, group: str = "") -> LabelledText:
    return LabelledText(text=text, source=source, labels=labels, group=group or text)


def _table(folder: Path, name: str) -> Iterator[dict[str, str]]:
    text = read_allowed(folder, name).decode("utf-8", errors="replace")
    yield from csv.DictReader(io.StringIO(text))


def _davidson(folder: Path) -> Iterator[LabelledText]:
    name = "davidson.csv"
    for record in _table(folder, name):
        text = clean(record["tweet"])
        if record["class"] == "0":
            yield _row(text, name, {"hate": 1})
        elif record["class"] == "2":
            yield _row(text, name, {"hate": 0, "violence": 0, "sexual": 0})
        elif record["hate_speech"] == "0" and not NAMES_A_GROUP.search(text):
            yield _row(text, name, {"hate": 0})


def _edos(folder: Path) -> Iterator[LabelledText]:
    name = "edos.csv"
    for record in _table(folder, name):
        text, kind = clean(record["text"]), record["label_vector"][:3]
        if kind in ("1.1", "1.2"):
            yield _row(text, name, {"violence": 1, "hate": 1})
        elif kind in ("2.1", "2.2", "2.3", "4.1", "4.2"):
            yield _row(text, name, {"hate": 1})
        elif record["label_sexist"] == "not sexist" and not NAMES_A_GROUP.search(text):
            yield _row(text, name, {"hate": 0})


def _realtoxicity(folder: Path) -> Iterator[LabelledText]:
    for name in ("rtp_toxic_decodingtrust.jsonl", "rtp_nontoxic_decodingtrust.jsonl"):
        for line in read_allowed(folder, name).decode("utf-8").splitlines():
            record = json.loads(line)
            for part in (record["prompt"], record["continuation"]):
                text = clean(part["text"])
                labels = _rtp_labels(part)
                if labels.get("violence") == 0 and not SELF_HARM.search(text):
                    labels["self_harm"] = 0
                yield _row(text, name, labels, group=record["filename"])


def _rtp_labels(part: Mapping[str, float | None]) -> Labels:
    labels: Labels = {}
    for category, key in RTP_KEYS.items():
        score = part.get(key)
        if score is not None and score >= RTP_HARM:
            labels[category] = 1
        elif score is not None and score <= RTP_CLEAN:
            labels[category] = 0
    return labels


def _ailuminate(folder: Path) -> Iterator[LabelledText]:
    name = "ailuminate_demo_en.csv"
    for record in _table(folder, name):
        labels = AILUMINATE.get(record["hazard"])
        if labels is not None:
            yield _row(clean(record["prompt_text"]), name, labels)


def _catqa(folder: Path) -> Iterator[LabelledText]:
    name = "catqa_en.json"
    for theme, kinds in json.loads(read_allowed(folder, name)).items():
        for kind, questions in kinds.items():
            labels = HARMLESS if theme in CATQA_HARMLESS else CATQA.get(kind.strip(": "))
            if labels is not None:
                yield from (_row(clean(question), name, labels) for question in questions)


def _diasafety(folder: Path) -> Iterator[LabelledText]:
    name = "diasafety_train.json"
    for record in json.loads(read_allowed(folder, name)):
        context, reply = clean(record["context"]), clean(record["response"])
        if record["category"] == "Biased Opinion":
            yield _row(reply, name, {"hate": int(record["label"] == "Unsafe")}, group=context)
        elif record["category"] == "Risk Ignorance" and SELF_HARM.search(context):
            yield _row(context, name, {"self_harm": 1, "hate": 0, "sexual": 0})
        elif record["category"] == "Unauthorized Expertise" and not SELF_HARM.search(context):
            yield _row(context, name, {"hate": 0, "violence": 0, "self_harm": 0})


def _surge(folder: Path) -> Iterator[LabelledText]:
    name = "surge_toxicity.csv"
    for record in _table(folder, name):
        if record["is_toxic"] == "Not Toxic":
            yield _row(clean(record["text"]), name, HARMLESS)


def _retail(seed: int, scale: float) -> Iterator[LabelledText]:
    for made in write_retail_sentences(per_template=max(1, int(14 * scale)), seed=seed):
        if not (made.kind == LINE and is_held_out(made.template)):
            yield _row(made.text, f"retail_{made.kind}", HARMLESS, group=made.template)


def _harm(seed: int, scale: float) -> Iterator[LabelledText]:
    for made in write_harm_sentences(per_template=max(1, int(12 * scale)), seed=seed):
        if made.category != INSULT:
            yield _row(made.text, "own", HARM_SAYS[made.category], group=made.template)


def _insults(seed: int, scale: float) -> Iterator[LabelledText]:
    for made in write_harm_sentences(per_template=max(1, int(12 * scale)), seed=seed):
        if made.category == INSULT:
            for source, labels in INSULT_SAYS:
                yield _row(made.text, source, labels, group=made.template)
