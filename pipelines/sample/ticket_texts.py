"""What customers write to the help desk, by category; some of it names them, as such texts do."""

from __future__ import annotations

from typing import NamedTuple


class Topic(NamedTuple):
    """A category in the spellings agents use, how often it comes, how urgent it is, and what people write about it.

    ``{}`` in a subject stands for the order's number.
    """

    spellings: tuple[str, ...]
    weight: float
    urgency: float
    subjects: tuple[str, ...]
    bodies: tuple[str, ...]


TOPICS = (
    Topic(
        ("delivery", "Delivery", "DELIVERY"),
        34,
        0.3,
        ("Where is order {}?", "Order {} has not arrived", "Parcel {} marked as delivered, but it is not here"),
        (
            "It was promised for last week and the tracking has not moved for days.",
            "The courier says it was handed to a neighbour. Nobody here has it.",
            "Could you tell me when it will come? I am travelling from Friday on.",
        ),
    ),
    Topic(
        ("returns", "Returns", "return"),
        22,
        0.0,
        ("I want to return part of {}", "Return label for {}", "Wrong size in order {}"),
        (
            "One of the items does not fit. How do I send it back, and who pays for it?",
            "The label in the parcel cannot be read. Please send me another one.",
            "I should like to exchange it for the next larger size if you have it.",
        ),
    ),
    Topic(
        ("payment", "Payment", "billing"),
        14,
        0.5,
        ("Charged twice for {}", "Refund for {} still missing", "Invoice for order {}"),
        (
            "My bank statement shows the amount twice. Please check and refund one of them.",
            "You confirmed the refund ten days ago and nothing has come.",
            "I need an invoice with our VAT number on it.",
        ),
    ),
    Topic(
        ("product", "Product question", "product-question"),
        14,
        -0.5,
        ("Question about an item of {}", "Is the item of order {} dishwasher safe?", "Spare part for {}"),
        (
            "The description says nothing of it. Can you help?",
            "How long does the guarantee run, and from which day?",
            "One screw is missing from the bag. Everything else is fine.",
        ),
    ),
    Topic(
        ("damaged", "Damaged item", "damage"),
        9,
        0.6,
        ("Order {} arrived broken", "Damaged parcel {}"),
        (
            "The box was open and the contents in pieces; photographs are attached.",
            "It worked for two days and is dead now. I need a replacement quickly.",
        ),
    ),
    Topic(
        ("account", "Account", "login"),
        7,
        0.2,
        ("Cannot log in", "Please delete my account", "Somebody ordered in my name ({})"),
        (
            "The link to reset my password never arrives. I have looked in the spam folder too.",
            "Please remove everything you have on me and confirm it.",
            "I have not placed this order. Please block the account until it is clear.",
        ),
    ),
)
GREETINGS = ("Hello,", "Hi there,", "Good morning,", "Dear team,", "Guten Tag,", "Bonjour,", "Dzień dobry,", "")
CLOSINGS = ("Thanks", "Kind regards", "Regards", "Best wishes", "Merci", "Viele Grüße", "Please hurry!", "")
