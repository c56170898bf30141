"""The main job on data that nobody made for it: what went in, what came out, what must not."""

from __future__ import annotations

import itertools
import json
import re
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import duckdb
import pandas as pd
import pytest
from pypdf import PdfReader

import liftwright as api
from acceptance_samples import (
    CONTENT,
    SETTINGS,
    TONES,
    configure,
    liftwright,
    log_lines,
    read_json,
    read_rows,
)
from liftwright import text as texts
from liftwright.campaign import Workspace, init_workspace
from real_content import guideline_documents, page_documents, write_documents

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

# What the tests share takes long to make: on one worker it is made once.
pytestmark = pytest.mark.xdist_group("real_input")

RULES = [
    {
        "label": "Big Baskets",
        "description": "They spend more per order than most customers.",
        "audience": ["high spenders"],
        "interests": ["what Luma stands for", "gift cards", "online account registration"],
        "conditions": [{"when": "monetary_score >= 4"}],
    },
    {
        "label": "Long Unseen",
        "description": "They have not ordered for longer than most customers.",
        "audience": ["lapsed customers"],
        "interests": ["returns and replacements of merchandise", "promotional emails"],
        "conditions": [{"when": "recency_score <= 2"}],
    },
    {
        "label": "All The Rest",
        "description": "They are in between.",
        "audience": ["occasional customers"],
        "interests": ["shipping and delivery", "returning merchandise by mail"],
        "conditions": [],
    },
]
LUMA = {
    **SETTINGS,
    "experiment_config.name": "luma-real-input",
    "experiment_config.brand": {
        "name": "Luma",
        "postal_address": "Luma, 1 Sample Street, Sampletown",
        "unsubscribe_url": "https://luma.example/unsubscribe",
        "link_hosts": ["luma.example"],
    },
    "experiment_config.retrieval.fallback_documents": ["customer-service-returning-gifts"],
    "channels.email.variant.body_min_words": 100,
    "channels.email.variant.body_max_words": 170,
    "segments.rules": RULES,
}
WITHOUT_HISTORY = {"historical_open_rate": None, "historical_click_rate": None}
FROM_ORDERS = {"purchase_frequency": None, "avg_order_value": None, "last_engagement_days": None}
CONTACTS = "data/raw/Contact.txt"
ONLINE, POS = "data/raw/OnlinePurchases.txt", "data/raw/POSPurchases.txt"
CONTOSO = {
    "path": CONTACTS,
    "columns": {
        "customer_id": "ContactId",
        "age": {"from": "DateOfBirth", "as": "years", "formats": ["%m/%d/%Y"]},
        "location": "State",
        "tier": "Loyalty Tier",
        **FROM_ORDERS,
        **WITHOUT_HISTORY,
    },
    "orders": [
        {
            "path": ONLINE,
            "id": "ContactId",
            "date": "PurchasedOn",
            "formats": ["%m/%d/%Y"],
            "amount": "TotalPrice",
        },
        {
            "path": POS,
            "id": "LoyaltyId",
            "id_map": {
                "path": "data/raw/Customer-Loyalty.txt",
                "from": "LoyaltyId",
                "to": "ContactId",
            },
            "date": "PurchasedOn",
            "formats": ["%Y-%m-%d"],
            "amount": "TotalPrice",
        },
    ],
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """A workspace with one finished run.

    Attributes:
        said: what the command wrote, on stdout and stderr.
    """

    root: Path
    folder: Path
    said: str

    def json(self, name: str) -> Any:
        return read_json(self.folder / f"{name}.json")

    def rows(self, name: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = read_rows(self.folder / f"{name}.parquet")
        return found


def ran(root: Path, run_id: str) -> Ran:
    answer = liftwright(root, "run", "--run-id", run_id, "--json")
    said = answer.out + answer.err
    assert answer.status == 0, said
    return Ran(root=root, folder=root / "data/runs" / run_id, said=said)


def assert_complete(run: Ran) -> None:
    """An experiment on approved messages, over all customers, measured and reported."""
    segments = run.json("segments")
    variants = {one["variant_id"]: one for one in run.json("variants")["variants"]}
    passed = {one["variant_id"] for one in run.json("decisions") if one["status"] == "pass"}
    assigned = run.rows("assignments")
    assert 3 <= len(segments["segments"]) <= 5
    assert sum(one["size"] for one in segments["segments"]) == segments["customers"]
    assert len({row["customer_id"] for row in assigned}) == len(assigned) == segments["customers"]
    assert {row["variant_id"] for row in assigned} <= passed
    assert len(variants) == len(segments["segments"]) * len(TONES)
    metrics = run.json("metrics")
    assert 0.9 * segments["customers"] < metrics["n"] <= segments["customers"]
    assert metrics["simulated"] is True
    assert {one["segment"] for one in metrics["comparisons"]} == {
        "all",
        *(one["label"] for one in segments["segments"]),
    }
    for name in ("experiment_report.ipynb", "experiment_report.pdf"):
        assert (run.folder / "report" / name).stat().st_size > 0


# ── 5,000 contacts, orders in two files with two kinds of id ──────────────────────────────────


@pytest.fixture(scope="module")
def contoso(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Ran:
    root = tmp_path_factory.mktemp("contoso") / "workspace"
    init_workspace(root)
    for file in (shared_data / "customers/contoso").glob("*.txt"):
        shutil.copyfile(file, root / "data/raw" / file.name)
    content = shared_data / "content"
    pages = page_documents(content / "luma_pages.csv")
    write_documents(
        root / CONTENT, [*pages, *guideline_documents(content / "abcd_guidelines.json")]
    )
    for key, value in LUMA.items():
        configure(root, key, value)
    for key, value in CONTOSO.items():
        configure(root, f"customers.{key}", value)
    return ran(root, "contoso")


@pytest.fixture(scope="module")
def contacts(shared_data: Path) -> pd.DataFrame:
    """The contacts as pandas reads them."""
    return pd.read_csv(shared_data / "customers/contoso/Contact.txt", dtype=str)


@pytest.fixture(scope="module")
def orders(shared_data: Path) -> pd.DataFrame:
    """All orders with contact, day and amount; without a contact where no loyalty id tells it."""
    folder = shared_data / "customers/contoso"
    online = pd.read_csv(folder / "OnlinePurchases.txt", dtype={"ContactId": str})
    loyalty = pd.read_csv(folder / "Customer-Loyalty.txt", dtype=str)
    pos = pd.read_csv(folder / "POSPurchases.txt", dtype={"LoyaltyId": str})
    pos = pos.merge(loyalty[["LoyaltyId", "ContactId"]], on="LoyaltyId", how="left")
    online["day"] = pd.to_datetime(online["PurchasedOn"], format="%m/%d/%Y")
    pos["day"] = pd.to_datetime(pos["PurchasedOn"], format="%Y-%m-%d")
    return pd.concat([online, pos])[["ContactId", "day", "TotalPrice"]]


def test_run_on_the_contacts_ends_with_an_experiment_on_all_of_them(contoso: Ran) -> None:
    assert_complete(contoso)
    assert contoso.json("segments")["customers"] == 5000


def test_run_on_the_contacts_counts_the_rows_as_pandas_does(
    contoso: Ran, contacts: pd.DataFrame, orders: pd.DataFrame
) -> None:
    found = contoso.json("customers")
    known = orders["ContactId"].isin(contacts["ContactId"])
    assert (found["rows_in"], found["rows_kept"], found["rejected"]) == (len(contacts), 5000, {})
    assert found["orders"] == {
        "rows_in": len(orders),
        "rows_used": int(known.sum()),
        "rows_rejected": 0,
        "rows_unknown": int((~known).sum()),
        "rows_later": 0,
        "rows_excluded": 0,
        "ids_unknown": orders["ContactId"][~known].nunique(),
        "first": str(orders["day"].min().date()),
        "last": str(orders["day"].max().date()),
    }
    assert found["as_of"] == str(orders["day"].max().date())
    assert found["features_absent"] == list(WITHOUT_HISTORY)


def test_run_on_the_contacts_computes_the_features_that_pandas_does(
    contoso: Ran, contacts: pd.DataFrame, orders: pd.DataFrame
) -> None:
    first, last = orders["day"].min(), orders["day"].max()
    days = (last - first).days + 1
    of_each = orders.groupby("ContactId").agg(
        orders=("TotalPrice", "size"), total=("TotalPrice", "sum"), last=("day", "max")
    )
    expected = contacts.set_index("ContactId").join(of_each)
    born = pd.to_datetime(expected["DateOfBirth"], format="%m/%d/%Y")
    had_birthday = (born.dt.month < last.month) | (
        (born.dt.month == last.month) & (born.dt.day <= last.day)
    )
    expected["age"] = last.year - born.dt.year - (~had_birthday).astype(int)
    expected["purchase_frequency"] = expected["orders"].fillna(0) / (days / 365.25)
    expected["avg_order_value"] = (expected["total"] / expected["orders"]).fillna(0)
    expected["last_engagement_days"] = (last - expected["last"]).dt.days.fillna(days)
    found = api.load_customer_data(contoso.root / CONTACTS, workspace=contoso.root)
    found = found.set_index("customer_id").loc[expected.index]
    for name in ("age", *FROM_ORDERS):
        pd.testing.assert_series_equal(
            found[name].astype(float),
            expected[name].astype(float),
            check_names=False,
            atol=1e-6,
            rtol=0,
        )
    assert list(found["tier"]) == list(expected["Loyalty Tier"])
    assert list(found["location"]) == list(expected["State"])
    assert found["historical_open_rate"].isna().all()


def test_run_on_the_contacts_quotes_the_shop_pages_and_no_directions_to_staff(
    contoso: Ran, shared_data: Path
) -> None:
    pages = page_documents(shared_data / "content/luma_pages.csv")
    said = {
        " ".join(span.text.split()): document["document_id"]
        for document in pages
        for section in document["sections"]
        for paragraph in section["text"].split("\n\n")
        for span in texts.sentences(paragraph)
    }
    for one in contoso.json("variants")["variants"]:
        body = " ".join(texts.without_citations(one["body"]).split())
        quoted = {name for sentence, name in said.items() if sentence in body}
        assert quoted >= {cited["document_id"] for cited in one["citations"]}
        assert len(quoted) >= 2
        message = f"{one['subject']} {body}"
        assert not re.search(r"<[a-z/]|&[a-z]+;|\{\{|\[|\bthe customer\b", message)
        assert not re.search(r"\b(?:high|medium|low|gold|silver|bronze) (?:tier|member)", message)
    left_out = {
        name
        for line in log_lines(contoso.root)
        if line["action"] == "documents_for_staff_left_out"
        for name in line["context"]["documents"]
    }
    guidelines = guideline_documents(shared_data / "content/abcd_guidelines.json")
    assert left_out == {document["document_id"] for document in guidelines}


# ── Nobody's name, address or number leaves the customer file ─────────────────────────────────


def words_of(text: str) -> list[str]:
    return re.findall(r"\w+", text.casefold())


class Outputs:
    """All that a run wrote, as sets of its words and of its pairs of neighbouring words."""

    def __init__(self, written: Iterable[str]) -> None:
        self.words: set[str] = set()
        self.pairs: set[tuple[str, str]] = set()
        for text in written:
            words = words_of(text)
            self.words.update(words)
            self.pairs.update(itertools.pairwise(words))

    def show(self, value: str) -> bool:
        """Whether the value's words stand in the outputs, each beside the next."""
        words = words_of(value)
        pairs = itertools.pairwise(words)
        return all(word in self.words for word in words) and all(p in self.pairs for p in pairs)


def written(run: Ran) -> Iterator[str]:
    """The text of every file that the run made, and what the command said."""
    yield run.said
    made = [*(run.root / "logs").iterdir(), *run.folder.rglob("*")]
    for file in [*made, *(run.root / "data/index").rglob("*")]:
        if file.suffix == ".pdf":
            yield from (page.extract_text() for page in PdfReader(file).pages)
        elif file.suffix == ".parquet":
            yield json.dumps(read_rows(file), default=str)
        elif file.is_file():
            yield file.read_text(encoding="utf-8", errors="replace")


@pytest.fixture(scope="module")
def personal(contacts: pd.DataFrame, shared_data: Path) -> dict[str, set[str]]:
    """By column, the values that tell who someone is; a name alone is too common to tell."""
    loyalty = pd.read_csv(shared_data / "customers/contoso/Customer-Loyalty.txt", dtype=str)
    columns = ("FullName", "EMail", "Telephone", "StreetAddress")
    found = {
        name: {
            value
            for frame in (contacts, loyalty)
            if name in frame
            for value in frame[name].dropna()
        }
        for name in columns
    }
    found["FullName"] |= set(contacts["FirstName"] + " " + contacts["LastName"])
    found["FullName"] |= set(contacts["LastName"] + ", " + contacts["FirstName"])
    return {name: {v for v in values if len(v) > 5} for name, values in found.items()}


def test_run_on_the_contacts_shows_no_personal_value(
    contoso: Ran, personal: dict[str, set[str]]
) -> None:
    outputs = Outputs(written(contoso))
    for column, values in personal.items():
        assert len(values) > 4000, column
        assert [value for value in values if outputs.show(value)] == []


# ── Orders alone: 525,461 lines, ids stored as numbers ────────────────────────────────────────


def test_run_on_orders_alone_makes_one_order_of_an_invoice_and_subtracts_returns(
    template: Path, shared_data: Path, tmp_path: Path
) -> None:
    root = shutil.copytree(template, tmp_path / "workspace")
    file = shared_data / "customers/online_retail_II_2009_2010.parquet"
    settings = {
        "path": None,
        "columns": {
            "customer_id": "customer_id",
            **dict.fromkeys(("age", "location", "tier", *FROM_ORDERS, *WITHOUT_HISTORY)),
        },
        "orders": [
            {
                "path": str(file),
                "id": {"from": "Customer ID", "as": "integer"},
                "date": "InvoiceDate",
                "amount": "Quantity * Price",
                "order_id": "Invoice",
            }
        ],
        "on_bad_rows": "reject",
    }
    for key, value in settings.items():
        configure(root, f"customers.{key}", value)
    configure(root, "segments.rules", RULES)

    run = ran(root, "retail")

    assert_complete(run)
    with duckdb.connect() as connection:
        lines = connection.execute("select * from read_parquet(?)", [str(file)]).df()
    read = len(lines)
    lines = lines[lines["Customer ID"].notna()]
    lines["id"] = lines["Customer ID"].astype(int).astype(str)
    lines["amount"] = lines["Quantity"] * lines["Price"]
    lines["day"] = pd.to_datetime(lines["InvoiceDate"]).dt.normalize()
    days = (lines["day"].max() - lines["day"].min()).days + 1
    sold = lines[lines["amount"] >= 0].groupby("id")
    count = sold["Invoice"].nunique()
    total = lines.groupby("id")["amount"].sum().clip(lower=0)[count.index]
    expected = pd.DataFrame(
        {
            "purchase_frequency": count / (days / 365.25),
            "avg_order_value": total / count,
            "last_engagement_days": (lines["day"].max() - sold["day"].max()).dt.days,
        }
    )
    orders = run.json("customers")["orders"]
    assert (orders["rows_in"], orders["rows_rejected"]) == (read, read - len(lines))
    segment_of = {row["customer_id"]: row["segment"] for row in run.rows("segmented")}
    assert segment_of.keys() == set(expected.index)
    groups = expected.groupby(expected.index.map(segment_of))
    for one in run.json("segments")["segments"]:
        rows = groups.get_group(one["label"])
        for name in expected:
            # Amounts are summed as ten-thousandths, so a mean may differ in the sixth decimal.
            found = one["features"][name]
            assert found["mean"] == pytest.approx(rows[name].mean(), abs=1e-4)
            assert found["median"] == pytest.approx(rows[name].median(), abs=1e-4)


def test_segment_on_survey_answers_takes_extra_columns_into_rules(
    template: Path, shared_data: Path, tmp_path: Path
) -> None:
    root = shutil.copytree(template, tmp_path / "workspace")
    file = shared_data / "customers/ifood_marketing_campaign.csv"
    shutil.copyfile(file, root / "data/raw/survey.csv")
    columns = {
        "customer_id": "ID",
        "age": {"from": "Year_Birth", "as": "years", "formats": ["%Y"]},
        "location": None,
        "tier": None,
        "purchase_frequency": "NumStorePurchases",
        "avg_order_value": None,
        "last_engagement_days": "Recency",
        **WITHOUT_HISTORY,
    }
    rules: list[dict[str, Any]] = [
        {"label": "Well Off", "conditions": [{"when": "Income > 65000"}]},
        {
            "label": "Just Here",
            "conditions": [{"when": "last_engagement_days <= 20 and Income <= 65000"}],
        },
        {"label": "Others", "conditions": []},
    ]
    settings = {
        "customers.path": "data/raw/survey.csv",
        "customers.columns": columns,
        "customers.on_bad_rows": "reject",
        "customers.as_of": "2014-12-31",
        "segments.rules": [
            {"description": "They answered.", "audience": [], **rule} for rule in rules
        ],
    }
    for key, value in settings.items():
        configure(root, key, value)
    answers = pd.read_csv(file)
    answers = answers[2014 - answers["Year_Birth"] <= 120]
    rich = answers["Income"] > 65000
    here = (answers["Recency"] <= 20) & (answers["Income"] <= 65000)
    plan = Workspace(root).plan()
    assert plan.customers == len(answers) == 2239
    assert plan.segments == {
        "Well Off": int(rich.sum()),
        "Just Here": int(here.sum()),
        "Others": int((~rich & ~here).sum()),
    }
