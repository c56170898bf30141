from __future__ import annotations

import pytest

from liftwright.text.lexicon import speaks_to_staff, tiers_named


@pytest.mark.parametrize(
    "text",
    [
        "Ask the customer for their membership level.",
        "If the fee cannot be removed, then apologize to the customer.",
        "The cost is too high, so the customer wants to get the fee waived.",
        "If the customer does not know, the default amount is $50.",
        "Try to convince the\ncustomer that prices change.",
        "Then click [Offer Refund].",
        "Enter the level into [Membership Privileges].",
        "This customer believes that a charge was added.",
        "Get a name, and ask for their address.",
    ],
)
def test_speaks_to_staff_of_directions_is_true(text: str) -> None:
    assert speaks_to_staff(text)


@pytest.mark.parametrize(
    "text",
    [
        "The customer pays the postage of a return.",
        "Points are earned on the price that the customer pays.",
        "Our customers want boots that last.",
        "Ask us for help at any shop, and we will help you.",
        "Tell your friends, and tell them to use your code.",
        "Read more in [Delivery](https://example.com), or use [Returns][2].",
        "If you are not happy, send it back. [Source: Returns, Overview]",
    ],
)
def test_speaks_to_staff_of_a_text_for_customers_is_false(text: str) -> None:
    assert not speaks_to_staff(text)


def test_tiers_named_takes_an_ordinary_word_for_a_tier_only_beside_its_noun() -> None:
    tiers = ("high", "medium", "Gold")
    assert tiers_named("High quality at low prices, in medium sizes.", tiers) == frozenset()
    assert tiers_named("For high tier members and Gold.", tiers) == {"high", "gold"}
