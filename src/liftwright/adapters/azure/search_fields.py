"""The fields of an index in Azure AI Search: the index's definition, and the passages in it.

An entry of the index is one paragraph. Fields that filters compare are also stored casefolded, as
OData compares case-sensitively.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from liftwright.model import fingerprint
from liftwright.text import phrase

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import date

    from azure.search.documents.indexes.models import SearchField, SearchIndex

    from liftwright.model import Document

__all__ = [
    "FORMAT",
    "KEY",
    "VECTOR",
    "IndexedPassage",
    "folded_audience",
    "folded_category",
    "index_definition",
    "passages_of",
]

# Change it with the fields or their values: the next run then builds a new index.
FORMAT = "1"
KEY = "passage_id"
VECTOR = "content_vector"
# Lucene's English analyzer, as the embedded search also uses English stems.
ANALYZER = "en.lucene"
VECTOR_PROFILE = "cosine-hnsw"
VECTOR_ALGORITHM = "hnsw"


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexedPassage:
    """One paragraph as an entry of the index.

    Attributes:
        key: its key in the index.
        digest: of the embedded text and the embedder; equal digests have equal vectors.
        embedded_text: the text of its vector.
        fields: all fields except the vector.
    """

    key: str
    document_id: str
    paragraph_index: int
    digest: str
    embedded_text: str
    fields: Mapping[str, object]


def passages_of(document: Document, *, embedder: str) -> list[IndexedPassage]:
    """A document's passages, in the order of its paragraphs."""
    # Keys may contain only letters, digits and a few signs; ids may contain anything.
    name = hashlib.sha256(document.document_id.encode()).hexdigest()[:32]
    shared: dict[str, object] = {
        "document_id": document.document_id,
        "version": document.version,
        "title": document.title,
        "category": document.category,
        "category_folded": folded_category(document.category),
        "audience": list(document.audience),
        "audience_folded": [folded_audience(audience) for audience in document.audience],
        "audience_only": document.audience_only,
        "keywords": list(document.keywords),
        "approval_date": _moment(document.approval_date),
        "expires_on": _moment(document.expires_on),
        "source_url": document.source_url,
        "document_print": fingerprint(document),
    }
    passages = []
    for paragraph in document.paragraphs():
        key = f"{name}-{paragraph.index:05d}"
        text = f"{document.title}\n{paragraph.section}\n{paragraph.text}"
        digest = hashlib.sha256(f"{embedder}\0{text}".encode()).hexdigest()[:32]
        specific = {
            KEY: key,
            "section": paragraph.section,
            "paragraph_index": paragraph.index,
            "text": paragraph.text,
            "digest": digest,
        }
        passages.append(
            IndexedPassage(
                key=key,
                document_id=document.document_id,
                paragraph_index=paragraph.index,
                digest=digest,
                embedded_text=text,
                fields=shared | specific,
            )
        )
    return passages


def folded_category(category: str) -> str:
    """A category, normalised for comparison."""
    return category.strip().casefold()


def folded_audience(audience: str) -> str:
    """An audience, normalised for comparison."""
    return " ".join(phrase(audience))


def index_definition(
    name: str, *, semantic_configuration: str | None, dimensions: int | None
) -> SearchIndex:
    """The definition of an index of passages.

    Args:
        name: of the index.
        semantic_configuration: its name; None for none.
        dimensions: of the vectors; None for no vectors.
    """
    from azure.search.documents.indexes import models

    vectors = None
    if dimensions is not None:
        algorithm = models.HnswAlgorithmConfiguration(
            name=VECTOR_ALGORITHM, parameters=models.HnswParameters(metric="cosine")
        )
        profile = models.VectorSearchProfile(
            name=VECTOR_PROFILE, algorithm_configuration_name=VECTOR_ALGORITHM
        )
        vectors = models.VectorSearch(algorithms=[algorithm], profiles=[profile])
    semantic = None
    if semantic_configuration is not None:
        prioritized = models.SemanticPrioritizedFields(
            title_field=models.SemanticField(field_name="title"),
            content_fields=[models.SemanticField(field_name="text")],
            keywords_fields=[
                models.SemanticField(field_name="section"),
                models.SemanticField(field_name="keywords"),
            ],
        )
        configuration = models.SemanticConfiguration(
            name=semantic_configuration, prioritized_fields=prioritized
        )
        semantic = models.SemanticSearch(
            default_configuration_name=semantic_configuration, configurations=[configuration]
        )
    return models.SearchIndex(
        name=name, fields=_fields(dimensions), vector_search=vectors, semantic_search=semantic
    )


def _fields(dimensions: int | None) -> list[SearchField]:
    from azure.search.documents.indexes.models import SearchField

    text, texts, moment = "Edm.String", "Collection(Edm.String)", "Edm.DateTimeOffset"
    fields = [
        _field(KEY, text, ("filterable", "sortable"), key=True),
        _field("document_id", text, ("filterable", "facetable")),
        _field("version", text, ("filterable",)),
        _field("title", text, ("searchable", "filterable", "sortable")),
        _field("section", text, ("searchable", "filterable")),
        _field("category", text, ("searchable", "filterable", "sortable", "facetable")),
        _field("category_folded", text, ("filterable",)),
        _field("audience", texts, ("filterable", "facetable")),
        _field("audience_folded", texts, ("filterable",)),
        _field("audience_only", "Edm.Boolean", ("filterable", "facetable")),
        _field("keywords", texts, ("searchable", "filterable", "facetable")),
        _field("text", text, ("searchable",)),
        _field("paragraph_index", "Edm.Int32", ("filterable", "sortable")),
        _field("approval_date", moment, ("filterable", "sortable", "facetable")),
        _field("expires_on", moment, ("filterable", "sortable", "facetable")),
        _field("source_url", text, ()),
        _field("document_print", text, ("filterable",)),
        _field("digest", text, ("filterable",)),
    ]
    if dimensions is not None:
        # Retrievable, so that the next index can copy the vectors of unchanged passages.
        fields.append(
            SearchField(
                name=VECTOR,
                type="Collection(Edm.Single)",
                searchable=True,
                hidden=False,
                vector_search_dimensions=dimensions,
                vector_search_profile_name=VECTOR_PROFILE,
            )
        )
    return fields


def _field(name: str, kind: str, uses: Iterable[str], *, key: bool = False) -> SearchField:
    """A field with every use set explicitly, as the service's defaults differ by type."""
    from azure.search.documents.indexes.models import SearchField

    chosen = set(uses)
    return SearchField(
        name=name,
        type=kind,
        key=key,
        hidden=False,
        searchable="searchable" in chosen,
        filterable="filterable" in chosen,
        sortable="sortable" in chosen,
        facetable="facetable" in chosen,
        analyzer_name=ANALYZER if "searchable" in chosen else None,
    )


def _moment(day: date | None) -> str | None:
    return None if day is None else f"{day.isoformat()}T00:00:00Z"
