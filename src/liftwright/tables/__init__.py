"""The data plane: open, check, query, write; no other module knows a table's engine.

`Tables` is the door to the engine, `load_customers` fills it with the customers and their orders.
"""

from __future__ import annotations

from liftwright.rules import identifier, literal, nearest
from liftwright.tables.checks import REJECTED, Example
from liftwright.tables.customers import CustomersReport, load_customers
from liftwright.tables.orders import OrdersReport
from liftwright.tables.picking import pick_number, pick_word
from liftwright.tables.places import Places
from liftwright.tables.plane import Tables
from liftwright.tables.scratch import scratch_folder

__all__ = [
    "REJECTED",
    "CustomersReport",
    "Example",
    "OrdersReport",
    "Places",
    "Tables",
    "identifier",
    "literal",
    "load_customers",
    "nearest",
    "pick_number",
    "pick_word",
    "scratch_folder",
]
