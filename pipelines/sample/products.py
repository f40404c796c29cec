"""What the sample's shop sells: categories with price levels, and products whose demand has a long tail."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipelines.sample.draws import Draws, Floats, Ints

# category: median price in EUR, spread of its logarithm, share of the demand, things
CATEGORIES: dict[str, tuple[float, float, float, str]] = {
    "Home & Kitchen": (
        24.0,
        0.6,
        22,
        "Teapot,Mug,Cutting Board,Carafe,Casserole,Tea Towel,Storage Jar,Ladle,Serving Bowl,Whisk",
    ),
    "Books": (14.0, 0.35, 16, "Cookbook,Travel Guide,Novel,Sketchbook,Atlas,Picture Book,Field Guide,Anthology"),
    "Electronics": (79.0, 0.9, 14, "Headphones,Desk Lamp,Charger,Keyboard,Speaker,Webcam,E-reader,Power Bank"),
    "Fashion": (39.0, 0.6, 16, "Scarf,T-Shirt,Jumper,Raincoat,Beanie,Tote Bag,Belt,Dress,Socks"),
    "Beauty": (17.0, 0.5, 10, "Hand Cream,Soap,Shampoo Bar,Face Oil,Lip Balm,Candle"),
    "Toys": (21.0, 0.5, 9, "Puzzle,Wooden Train,Kite,Building Blocks,Plush Bear,Board Game"),
    "Sports": (45.0, 0.8, 8, "Yoga Mat,Water Bottle,Running Belt,Climbing Rope,Frisbee,Resistance Band"),
    "Garden": (28.0, 0.7, 5, "Planter,Secateurs,Watering Can,Bird Feeder,Seed Box,Lantern"),
}
STYLES = (
    "Classic", "Nordic", "Vintage", "Striped", "Organic", "Mini", "Deluxe", "Travel", "Recycled", "Enamel", "Linen",
    "Bamboo", "Midnight Blue", "Sage Green", "Terracotta", "Art Déco", "Café", "Señorita", "Smörgås", '"Aurora"',
    "Set of 2", "Set of 6", "Large", "Handmade", "Limited",
)  # fmt: skip
CENTS_OF_PRICE = (99, 95, 50, 49)
SHARE_OF_FAVOURITE = 0.55
LONG_TAIL = 2.6


@dataclass(frozen=True, slots=True)
class Products:
    """Products by position, those of a category next to each other; ``starts`` has the first of each and the end."""

    ids: list[str]
    names: list[str]
    categories: list[str]
    category: Ints
    euro_cents: Ints
    starts: Ints
    category_demand: Floats

    def pick(self, draws: Draws, favourites: Ints, *keys: Ints) -> Ints:
        """A product per key: often of the favourite category, and a few products far oftener than the rest."""
        at_large = draws.choice("product.category", self.category_demand, *keys)
        category = np.where(draws.uniform("product.favourite", *keys) < SHARE_OF_FAVOURITE, favourites, at_large)
        first, after = self.starts[category], self.starts[category + 1]
        rank = (after - first) * draws.uniform("product.rank", *keys) ** LONG_TAIL
        return np.asarray(first + rank.astype(np.int64))


def build_products(draws: Draws) -> Products:
    """The shop's range: every style of every thing, in an order of demand drawn per category."""
    names: list[str] = []
    category: list[int] = []
    euros: list[Floats] = []
    starts = [0]
    for position, (median, spread, _, things) in enumerate(CATEGORIES.values()):
        combined = [_name(style, thing) for thing in things.split(",") for style in STYLES]
        demand = np.argsort(draws.uniform("product.demand", position, np.arange(len(combined))), kind="stable")
        names += [combined[rank] for rank in demand]
        category += [position] * len(combined)
        euros.append(median * np.exp(spread * draws.normal("product.price", position, np.arange(len(combined)))))
        starts.append(len(names))
    every = np.arange(len(names))
    endings = np.array(CENTS_OF_PRICE)[draws.pick("product.cents", len(CENTS_OF_PRICE), every)]
    cents = np.floor(np.concatenate(euros)).astype(np.int64) * 100 + endings
    return Products(
        ids=[f"SKU-{10000 + number}" for number in range(len(names))],
        names=names,
        categories=list(CATEGORIES),
        category=np.array(category),
        euro_cents=np.maximum(cents, 149),
        starts=np.array(starts),
        category_demand=np.array([demand for _, _, demand, _ in CATEGORIES.values()]),
    )


def _name(style: str, thing: str) -> str:
    return f"{thing}, {style}" if style.startswith("Set of") else f"{style} {thing}"
