"""The data plane: open, check, query, write; no other module knows a table's engine.

`Tables` is the door to the engine, `load_customers` fills it with the customers and their orders.
"""

from __future__ import annotations

from liftwright.data.customers import CustomersReport, load_customers
from liftwright.data.file_resolver import FileResolver
from liftwright.data.orders import OrdersReport
from liftwright.data.row_checks import REJECTED, Example
from liftwright.data.rules import identifier, literal, nearest
from liftwright.data.scratch import scratch_folder
from liftwright.data.sql_cases import pick_number, pick_word
from liftwright.data.tables import Tables

__all__ = [
    "REJECTED",
    "CustomersReport",
    "Example",
    "FileResolver",
    "OrdersReport",
    "Tables",
    "identifier",
    "literal",
    "load_customers",
    "nearest",
    "pick_number",
    "pick_word",
    "scratch_folder",
]
