"""The contract of the ports `index` and `search`; a rig makes a `SearchAdapter` of both."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from datetime import date
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from azure_server.fixtures import served
from azure_server.search import KEY, SearchService
from contracts.promises import (
    ODD_TEXTS,
    Rig,
    check_faults,
    in_threads,
    wire_faults,
)
from liftwright.adapters.azure import AzureSearch
from liftwright.adapters.azure.search import AzurePassageSearch, AzureSearchIndex
from liftwright.adapters.embedded.embed import MiniLmEmbed
from liftwright.adapters.embedded.search import EmbeddedIndex, EmbeddedSearch
from liftwright.errors import ProviderRefused
from liftwright.model import Document, Passage, Query, Section
from liftwright.providers import SearchAdapter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from azure_server.server import AzureServer
    from liftwright.ports import IndexReport, Search


@dataclass(frozen=True, kw_only=True)
class SearchRig:
    """A search service under its contract.

    Attributes:
        make: the same service each time, and the same index behind it.
        lose: makes the service's index unreadable.
        metered: whether its calls cost money or leave the machine.
        server: where it is reached over the wire.
    """

    make: Callable[..., SearchAdapter]
    lose: Callable[[], None]
    metered: bool = False
    server: AzureServer | None = None


def document(name: str, *paragraphs: str, **fields: object) -> Document:
    made = Document(
        document_id=name,
        title=f"About {name}",
        category="Product",
        sections=(
            Section(title="Overview", paragraphs=paragraphs[:1]),
            Section(title="Details", paragraphs=paragraphs[1:]),
        ),
        approval_date=date(2026, 1, 1),
    )
    return replace(made, **fields)  # type: ignore[arg-type]


BOOTS = document(
    "boots",
    "Walking boots for winter, made of leather.",
    "Wax keeps the leather of the boots soft.",
    "The soles of the boots can be replaced.",
)
TENT = document("tent", "A tent for two persons.", "It stands in heavy rain and wind.")
STOVE = document("stove", "A stove that boils water for coffee.", category="Cooking")
CLUB = document(
    "club",
    "Boots are waxed free of charge for members of the club.",
    audience=("members",),
    audience_only=True,
)
SALE = document("sale", "Boots and tents in the outlet.", audience=("bargain hunters",))
DOCUMENTS = (BOOTS, TENT, STOVE, CLUB, SALE)


def embedded(folder: Path) -> Iterator[SearchRig]:
    embed = MiniLmEmbed()
    yield SearchRig(
        make=lambda: SearchAdapter(
            index=EmbeddedIndex(folder, embed),
            search=lambda name: EmbeddedSearch(folder, embed, name),
        ),
        lose=lambda: shutil.rmtree(folder),
    )


def azure(_: Path) -> Iterator[SearchRig]:
    service = SearchService()
    with served(service) as server:
        config, embed = AzureSearch(endpoint=server.url), MiniLmEmbed()

        def make(*, seconds: float = 60) -> SearchAdapter:
            return SearchAdapter(
                index=AzureSearchIndex(config, embed, api_key=KEY),
                search=lambda name: AzurePassageSearch(
                    config, embed, name, api_key=KEY, timeout_seconds=seconds
                ),
            )

        yield SearchRig(make=make, lose=service.indexes.clear, metered=True, server=server)


ADAPTERS = {"embedded": embedded, "azure": azure}


@pytest.fixture(params=ADAPTERS.values(), ids=ADAPTERS)
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SearchRig]:
    yield from request.param(tmp_path / "index")


def quietly(done: int, of: int) -> None:
    del done, of


def index(rig: SearchRig, *documents: Document) -> IndexReport:
    return rig.make().index(documents, progress=quietly)


def search(rig: SearchRig, *documents: Document) -> Search:
    return rig.make().search(index(rig, *documents or DOCUMENTS).name)


def found(passages: tuple[Passage, ...]) -> list[str]:
    return [passage.document_id for passage in passages]


def test_index_counts_documents_paragraphs_and_what_happened_to_them(rig: SearchRig) -> None:
    report = index(rig, *DOCUMENTS)
    assert (report.documents, report.added, report.errors) == (5, 5, ())
    assert report.paragraphs == sum(
        len(section.paragraphs) for one in DOCUMENTS for section in one.sections
    )
    assert (report.changed, report.removed, report.unchanged) == (0, 0, 0)


def test_index_again_changes_nothing_and_embeds_nothing(rig: SearchRig) -> None:
    first, second = index(rig, *DOCUMENTS), index(rig, *DOCUMENTS)
    assert second.name == first.name
    assert (second.unchanged, second.embedded, second.paragraphs) == (5, 0, first.paragraphs)


def test_index_with_changes_embeds_only_what_is_new(rig: SearchRig) -> None:
    first = index(rig, BOOTS, TENT, STOVE)
    boiling = document("stove", "A stove that melts snow.", category="Cooking")
    second = index(rig, BOOTS, boiling, CLUB)
    assert (second.added, second.changed, second.removed, second.unchanged) == (1, 1, 1, 1)
    assert second.embedded == 2
    assert second.name != first.name


def test_index_tells_its_progress_up_to_the_end(rig: SearchRig) -> None:
    told: list[tuple[int, int]] = []
    report = rig.make().index(DOCUMENTS, progress=lambda done, of: told.append((done, of)))
    assert told[-1] == (report.paragraphs, report.paragraphs)
    assert all(before[0] <= after[0] for before, after in pairwise(told))


def test_index_of_nothing_is_searched_without_a_result(rig: SearchRig) -> None:
    report = index(rig)
    assert (report.documents, report.paragraphs) == (0, 0)
    assert rig.make().search(report.name)(Query(text="boots", top_k=3)) == ()


def test_removed_document_is_found_no_more(rig: SearchRig) -> None:
    index(rig, BOOTS, TENT)
    assert found(search(rig, TENT)(Query(text="boots of leather", top_k=5))) == ["tent"]


def test_search_gives_one_frozen_passage_per_document_best_first(rig: SearchRig) -> None:
    passages = search(rig)(Query(text="leather boots for winter walks", top_k=5))
    assert found(passages)[0] == "boots"
    assert len(set(found(passages))) == len(passages)
    assert all(before.score >= after.score for before, after in pairwise(passages))
    assert all(0 <= passage.score <= 1 for passage in passages)


def test_search_gives_as_many_as_asked_while_there_are_documents(rig: SearchRig) -> None:
    asked = search(rig)
    assert [len(asked(Query(text="boots", top_k=k))) for k in (1, 3, 5, 50)] == [1, 3, 5, 5]


def test_search_gives_paragraphs_as_they_stand_in_their_document(rig: SearchRig) -> None:
    by_id = {one.document_id: one for one in DOCUMENTS}
    for passage in search(rig)(Query(text="soft leather wax", top_k=5)):
        source = by_id[passage.document_id]
        places = [(part.title, text) for part in source.sections for text in part.paragraphs]
        assert (passage.section, passage.text) == places[passage.paragraph_index]
        assert (passage.title, passage.version) == (source.title, source.version)
        assert passage.category == source.category
        assert not passage.fallback


def test_search_finds_a_paragraph_beyond_the_first(rig: SearchRig) -> None:
    best = search(rig)(Query(text="how do I keep leather soft with wax", top_k=1))[0]
    assert (best.document_id, best.paragraph_index, best.section) == ("boots", 1, "Details")


def test_search_finds_by_meaning_without_a_common_word(rig: SearchRig) -> None:
    assert found(search(rig)(Query(text="shelter for camping in a storm", top_k=1))) == ["tent"]


def test_search_with_a_least_score_gives_nothing_below_it(rig: SearchRig) -> None:
    asked = search(rig)
    everything = asked(Query(text="leather boots", top_k=5))
    middle = everything[1].score
    kept = asked(Query(text="leather boots", top_k=5, min_score=middle))
    assert kept == tuple(passage for passage in everything if passage.score >= middle)
    assert asked(Query(text="corporate tax law", top_k=5, min_score=0.9)) == ()


def test_search_never_gives_an_excluded_document(rig: SearchRig) -> None:
    passages = search(rig)(Query(text="leather boots", top_k=5, excluded=("boots", "club")))
    assert not {"boots", "club"} & set(found(passages))
    assert len(passages) == 3


def test_search_by_category_is_blind_to_case(rig: SearchRig) -> None:
    assert found(search(rig)(Query(text="boots", top_k=5, categories=("cooking",)))) == ["stove"]


def test_search_keeps_a_document_from_those_it_is_not_for(rig: SearchRig) -> None:
    asked = search(rig)
    others = asked(Query(text="waxed boots", top_k=5, audience=("bargain hunters",)))
    assert "club" not in found(others)
    assert "club" in found(asked(Query(text="waxed boots", top_k=5, audience=("members",))))


def test_search_raises_what_is_for_the_audience_and_drops_nobody(rig: SearchRig) -> None:
    asked = search(rig, BOOTS, TENT, STOVE, SALE)
    plain = asked(Query(text="boots", top_k=4))
    raised = asked(Query(text="boots", top_k=4, audience=("bargain hunters",)))
    assert set(found(plain)) == set(found(raised))
    assert found(raised).index("sale") <= found(plain).index("sale")
    scores = {passage.document_id: passage.score for passage in plain}
    assert next(p.score for p in raised if p.document_id == "sale") > scores["sale"]


def test_search_with_odd_text_is_answered(rig: SearchRig) -> None:
    asked = search(rig)
    for text in (*ODD_TEXTS.values(), "?!", "x" * 5000, 'title:"boots" OR *:* +-&&'):
        assert len(asked(Query(text=text, top_k=2))) <= 2


def test_search_gives_equal_replies_to_equal_queries_in_any_thread(rig: SearchRig) -> None:
    asked = search(rig)
    queries = [Query(text=text, top_k=3) for text in ("boots", "tent", "coffee", "club")] * 4
    alone = [asked(query) for query in queries]
    assert in_threads(asked, queries) == alone
    fresh = search(rig)
    assert in_threads(fresh, queries) == alone, "opened by several threads at once"


def test_search_in_an_index_that_is_lost_raises_a_provider_error(rig: SearchRig) -> None:
    name = index(rig, *DOCUMENTS).name
    rig.lose()
    with pytest.raises(ProviderRefused) as caught:
        rig.make().search(name)(Query(text="CANARY", top_k=3))
    assert "CANARY" not in str(caught.value)


@pytest.mark.parametrize("rig", [azure], ids=["azure"], indirect=True)
def test_search_that_fails_raises_a_provider_error_in_our_words(rig: SearchRig) -> None:
    server, name = rig.server, index(rig, *DOCUMENTS).name
    assert server is not None
    faults = wire_faults(
        server, "/indexes", lambda seconds=60: rig.make(seconds=seconds).search(name)
    )
    check_faults(
        Rig(
            make=lambda: rig.make().search(name),
            faults=faults,
            calls=lambda: len(server.requests),
            secret=KEY,
        ),
        Query(text="CANARY boots", top_k=3),
        "CANARY",
    )


def test_identity_of_search_names_the_corpus_before_and_after_a_call(rig: SearchRig) -> None:
    one = search(rig, BOOTS, TENT)
    before = one.identity
    one(Query(text="boots", top_k=1))
    other = search(rig, BOOTS, STOVE)
    assert one.identity == before == search(rig, BOOTS, TENT).identity
    assert before.corpus
    assert other.identity != before
    bare = rig.make().search("").identity
    assert replace(other.identity, corpus="") == replace(before, corpus="") == bare
    service = rig.make()
    assert service.index.metered is service.search("").metered is rig.metered
    assert KEY not in f"{one!r} {vars(one)!r} {before!r} {service!r}"
