"""The data plane: opens, checks, queries and writes tables.

`Tables` is the entry point; no other package knows which engine holds a table. `load_customers`
reads the customers and their orders into it.
"""

from __future__ import annotations

from liftwright.data.customers import CustomersReport, load_customers
from liftwright.data.file_resolver import FileResolver
from liftwright.data.orders import OrdersReport
from liftwright.data.row_checks import REJECTED, Example
from liftwright.data.rules import did_you_mean
from liftwright.data.scratch import scratch_folder
from liftwright.data.sql_fragments import identifier, literal, number_at, text_at
from liftwright.data.tables import Tables

__all__ = [
    "REJECTED",
    "CustomersReport",
    "Example",
    "FileResolver",
    "OrdersReport",
    "Tables",
    "did_you_mean",
    "identifier",
    "literal",
    "load_customers",
    "number_at",
    "scratch_folder",
    "text_at",
]
