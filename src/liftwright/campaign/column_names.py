"""The names that exports give to the columns we need, and how each is recognised.

Sources: the exports of Mailchimp (audience), Klaviyo (profiles), Shopify (customers), HubSpot and
Salesforce (contacts) and WooCommerce (customers), and everyday names in eight languages.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_NAMES = {
    "id": (
        "customer id; customer number; customer no; cust id; contact id; record id; record id - "
        "contact; subscriber id; member id; user id; client id; Kundennummer; Kunden-Nr; "
        "KundenID; numéro client; id client; id cliente; número de cliente; codice cliente; "
        "klantnummer; klant id; kundnummer; numer klienta; id; external id"
    ),
    "email": (
        "email; email address; e-mail; e-mail address; mail; E-Mail-Adresse; adresse e-mail; "
        "correo electrónico; indirizzo email; e-mailadres; e-postadress; adres e-mail"
    ),
    "tool_id": ("klaviyo id; profile id; person id; lead id; username"),
    "age": ("age; Alter; âge; edad; età; leeftijd; idade; ålder; wiek"),
    "birth": (
        "date of birth; birthdate; birthday; birth date; dob; Geburtsdatum; Geburtstag; date de "
        "naissance; fecha de nacimiento; data di nascita; geboortedatum; data de nascimento"
    ),
    "location": (
        "location; city; default address city; mailing city; billing city; shipping city; town; "
        "Ort; Stadt; Wohnort; ville; ciudad; città; plaats; woonplaats; cidade; stad; miasto; "
        "state/region; region; state; province; mailing state; country/region; country; Land; "
        "pays; país"
    ),
    "tier": (
        "tier; loyalty tier; customer tier; membership tier; membership level; loyalty level; "
        "loyalty status; vip tier; customer level; Kundenstufe; Stufe; Statusstufe; niveau de "
        "fidélité; nivel; livello"
    ),
    "per_year": (
        "purchase frequency; orders per year; purchases per year; annual orders; Bestellungen "
        "pro Jahr; commandes par an; pedidos por año; ordini all'anno; bestellingen per jaar"
    ),
    "orders": (
        "total orders; orders; orders count; order count; number of orders; lifetime orders; "
        "historic number of orders; number of purchases; purchases; Anzahl Bestellungen; "
        "Bestellungen; nombre de commandes; número de pedidos; numero di ordini; aantal "
        "bestellingen"
    ),
    "since": (
        "sign up; signup date; date registered; registered; registration date; customer since; "
        "member since; created at; create date; created date; profile created on; first active; "
        "date added; optin time; confirm time; Kunde seit; Registriert am; Angelegt am; date "
        "d'inscription; fecha de alta; cliente dal; klant sinds"
    ),
    "average": (
        "avg order value; average order value; aov; average basket; average order amount; "
        "durchschnittlicher Bestellwert; Warenkorb; panier moyen; valor medio del pedido; "
        "valore medio ordine; gemiddelde bestelwaarde"
    ),
    "spent": (
        "total spent; total spend; amount spent; total revenue; lifetime spend; lifetime value; "
        "customer lifetime value; historic customer lifetime value; Gesamtumsatz; Umsatz; total "
        "dépensé; gasto total; spesa totale; totale besteding"
    ),
    "days": (
        "last engagement days; days since last engagement; days since last purchase; days since "
        "last order; days since last activity; recency; Tage seit letztem Kauf"
    ),
    "last": (
        "last order date; last order; last purchase date; last purchase; last active; last "
        "active date; last activity date; last activity; last engagement date; last engagement; "
        "last seen; last login; last open; last email open date; last marketing email open "
        "date; last click; last marketing email click date; letzter Kauf; letzte Bestellung; "
        "letzte Aktivität; zuletzt aktiv; dernière commande; dernier achat; último pedido; "
        "última compra; ultimo ordine; ultimo acquisto; laatste bestelling; última atividade"
    ),
    "open_rate": (
        "historical open rate; open rate; avg open rate; average open rate; email open rate; "
        "unique open rate; Öffnungsrate; taux d'ouverture; tasa de apertura; tasso di apertura; "
        "openingspercentage; taxa de abertura"
    ),
    "click_rate": (
        "historical click rate; click rate; avg click rate; average click rate; email click "
        "rate; click through rate; ctr; Klickrate; taux de clic; tasa de clics; tasso di clic; "
        "klikpercentage; taxa de cliques"
    ),
    "opened": ("marketing emails opened; emails opened; opens; total opens; unique opens"),
    "clicked": ("marketing emails clicked; emails clicked; clicks; total clicks; unique clicks"),
    "delivered": (
        "marketing emails delivered; emails delivered; delivered; emails received; emails sent; "
        "sends"
    ),
}


def columns_called(meaning: str, names: Sequence[str]) -> list[str]:
    """The columns whose names mean this, the likeliest first.

    Args:
        meaning: a key of the table above.
        names: the columns of the file.
    """
    wanted = [_folded(name) for name in _NAMES[meaning].split(";")]
    by_name: dict[str, list[str]] = {}
    for name in names:
        by_name.setdefault(_folded(name), []).append(name)
    return [name for folded in wanted for name in by_name.get(folded, ())]


def _folded(name: str) -> str:
    return "".join(character for character in name.casefold() if character.isalnum())
