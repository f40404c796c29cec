"""Web analytics' export: Parquet, a row an event, with the dirt of ``faults``: events that come late or twice, some without an
id, a visitor or a time, files with other column names, more columns, instants as text, and files that cannot be read."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipelines.sample.behaviour import Orders, Population
from pipelines.sample.deliveries import FileForm, Rendered, Rhythm, customer_ids, late_days
from pipelines.sample.draws import Draws, Ints, Mask
from pipelines.sample.faults import WEB_FAULTS, WEB_SHARES, Faults
from pipelines.sample.products import build_products
from pipelines.sample.text import Text, concat, digits, either, lookup
from pipelines.sample.web_visits import DAY, ROBOTS, Kind, simulate_visits

SHOP = "https://shop.example"
EVENT_TYPES = {
    "v": "page_view", "p": "page_view", "k": "page_view", "s": "search", "c": "click", "a": "add_to_cart", "b": "purchase", "x": "scroll",
}  # fmt: skip
_BROWSING = ("v", "p", "vp", "vsp", "vspp", "pp", "vpcp", "vpa", "vsppax")
TEMPLATES: dict[Kind, tuple[str, ...]] = {
    Kind.PURCHASE: ("pakb", "vpakb", "vspcakb", "vspppaakb", "vvppcaxpakb"),
    Kind.RESEARCH: _BROWSING,
    Kind.RETURN: _BROWSING,
    Kind.WELCOME: _BROWSING,
    Kind.ANONYMOUS: ("v", "p", "v", "p", "vp", "vsp", "pp", "vspp", "vpa"),
    Kind.ROBOT: ("p" * 40,),
}
"""What happens in a visit, an event a letter: of each kind some, equally often."""
REFERRERS = (
    "",
    "",
    "https://www.google.com/",
    "https://www.bing.com/",
    "https://newsletter.shop.example/",
    "https://m.facebook.com/",
)
DEVICE_TYPES, DEVICE_WEIGHTS = ("mobile", "desktop", "tablet", "Mobile"), (55, 36, 6, 3)
BROWSERS, BROWSER_WEIGHTS = ("Chrome", "Safari", "Firefox", "Edge", "Samsung Internet"), (52, 28, 8, 8, 4)
CAMPAIGNS = ("spring", "black_friday", "loyalty")
SEARCHES = ("teapot", "linen+towel", "gift", "headphones", "socks+set+of+2", "caf%C3%A9+mug", "planter", "board+game")
DEVICES_A_CUSTOMER = 3
SHARE_SIGNED_IN_LATE = 0.12  # of the visits of customers: the events before the cart name no customer
SHARE_WITH_PAUSE = 0.008  # of the events: nothing happens for more than half an hour
BEYOND_TIME = 10**18  # microseconds: the year 33658


class Part(IntEnum):
    """Which events of a visit a delivery holds."""

    ON_TIME = 0
    LATE = 1  # those that a device sent days later
    AGAIN = 2  # those on time, sent once more


@dataclass(frozen=True, slots=True)
class _Events:
    """The events of one rendering: of which visit, at which place in it, and what is wrong with each."""

    visit: Ints
    place: Ints
    letter: NDArray[np.uint8]
    instant: Ints  # microseconds from the first day
    is_first: Mask
    faults: Faults


class WebEvents:
    """Deliveries of visits; each is rendered to its events."""

    folder = "web/events"
    suffix = ".parquet"
    rhythm = Rhythm.DAILY
    is_dirty = True

    def __init__(self, draws: Draws, population: Population, orders: Orders, days: int) -> None:
        self._draws, self._population = draws, population
        self._products = build_products(draws)
        self._visits = visits = simulate_visits(draws, population, orders, days)
        self._pool, self._product_page, self._search_page, self._checkout = _pages(self._products.ids)
        every = np.arange(len(visits.key))
        kind = visits.kind.astype(np.int64)
        day = visits.end // DAY
        late = late_days(draws, "visit.late", WEB_SHARES["late"], 6, kind, visits.key)
        again = draws.uniform("visit.again", kind, visits.key) < WEB_SHARES["sent_again"]
        has_late = late > 0
        visit = np.concatenate([every, every[has_late], every[again]])
        part = np.repeat(np.array(Part), [len(every), has_late.sum(), again.sum()])
        due = np.concatenate([day, (day + late)[has_late], day[again] + 1])
        order = np.lexsort((part, visit, due))
        self.due, self._visit, self._part = due[order].astype(np.int32), visit[order], part[order]
        self._has_late = has_late
        self._templates, self._starts, self._lengths, self._first_of_kind = _templates()

    def header(self, form: FileForm) -> str:  # noqa: ARG002 - of the protocol; Parquet has none
        return ""

    def render(self, positions: Ints, form: FileForm) -> Rendered:
        events, injected = self._expand(positions)
        columns = self._columns(events, form)
        if form.extended:
            campaign = lookup(CAMPAIGNS, self._draws.pick("visit.campaign", len(CAMPAIGNS), events.visit))
            columns["campaign"] = _null_where(events.visit % 3 > 0, campaign)
        cased = {"lower": str.lower, "upper": str.upper, "title": str.title}[form.header_case]
        injected += events.faults.counts()
        return Rendered(pa.table({cased(name): column for name, column in columns.items()}), injected)

    def _expand(self, positions: Ints) -> tuple[_Events, Counter[str]]:
        """The events of the deliveries, and how many came late, were sent again or stand twice."""
        draws, visits = self._draws, self._visits
        delivered = self._visit[positions]
        kind, key = visits.kind[delivered].astype(np.int64), visits.key[delivered]
        choices = np.array([len(TEMPLATES[kind]) for kind in Kind])[kind]
        template = self._first_of_kind[kind] + draws.pick("visit.template", choices, kind, key)
        count = self._lengths[template]
        row = np.repeat(np.arange(len(delivered)), count)
        first = np.repeat(np.cumsum(count) - count, count)
        place = np.arange(len(row)) - first
        visit, kind, key = delivered[row], kind[row], key[row]
        letter = self._templates[self._starts[template][row] + place]
        instant = self._instants(visit, kind, key, place, count)
        is_late = self._has_late[visit] & (draws.uniform("event.late", kind, key, place) < WEB_SHARES["late_events"])
        part = self._part[positions][row]
        kept = is_late == (part == Part.LATE)
        twice = kept & (draws.uniform("event.twice", kind, key, place, part) < WEB_SHARES["exact_duplicate"])
        rows = np.repeat(np.arange(len(row)), kept.astype(np.int64) + twice)
        faults = Faults(WEB_FAULTS, draws.uniform("event.fault", kind[rows], key[rows], place[rows]))
        events = _Events(visit[rows], place[rows], letter[rows], instant[rows], place[rows] == 0, faults)
        return events, Counter(
            late=int((kept & is_late).sum()),
            sent_again=int((kept & (part == Part.AGAIN)).sum()),
            exact_duplicate=int(twice.sum()),
        )

    def _instants(self, visit: Ints, kind: Ints, key: Ints, place: Ints, count: Ints) -> Ints:
        """Instants that lead up to the end of each visit, so that a purchase happens when the order was placed."""
        share = self._draws.uniform("event.gap", kind, key, place)
        pause = self._draws.uniform("event.pause", kind, key, place) < SHARE_WITH_PAUSE
        gap = (3_000_000 + 90_000_000 * share**2).astype(np.int64) + np.where(pause, 2_400_000_000, 0)
        gap = np.where(kind == Kind.ROBOT, 2_000_000, gap)
        gap[place == 0] = 0
        passed = np.cumsum(gap)
        last = np.repeat(passed[np.cumsum(count) - 1], count)
        return self._visits.end[visit] * 1_000_000 - (last - passed)

    def _columns(self, events: _Events, form: FileForm) -> dict[str, Text]:
        draws, visits = self._draws, self._visits
        kind, key = visits.kind[events.visit].astype(np.int64), visits.key[events.visit]
        event_id = concat(lookup("brtwan"[: len(Kind)], kind), digits(key), "-", digits(events.place))
        page = self._page_positions(events, kind, key)
        device = self._devices(events.visit, kind, key)
        nobody = events.faults.of("missing_visitor")
        anonymous = (visits.customer[events.visit] < 0) | self._not_yet_signed_in(events, kind, key)
        customer = customer_ids(np.maximum(visits.customer[events.visit], 0))
        return {
            "event_id": _null_where(events.faults.of("missing_event_id"), event_id),
            "customer_id": _null_where(nobody | anonymous, customer),
            "device_id": _null_where(nobody, concat("dev-", digits(device % 10**12, 12))),
            "event_ts": self._event_ts(events, form),
            "event_type": lookup(list(EVENT_TYPES.values()), _letters()[events.letter]),
            "page_url": _null_where(events.faults.of("missing_page"), lookup(self._pool, page)),
            "referrer": self._referrers(events, kind, key, page),
            "device_type": lookup(DEVICE_TYPES, _by_device(draws, "device.type", DEVICE_WEIGHTS, device)),
            "browser": lookup(BROWSERS, _by_device(draws, "device.browser", BROWSER_WEIGHTS, device)),
        }

    def _not_yet_signed_in(self, events: _Events, kind: Ints, key: Ints) -> Mask:
        late = self._draws.uniform("visit.signed_in_late", kind, key) < SHARE_SIGNED_IN_LATE
        return np.asarray(late & ~np.isin(events.letter, np.frombuffer(b"akb", np.uint8)))

    def _devices(self, visit: Ints, kind: Ints, key: Ints) -> Ints:
        """A number per device: a few for each customer, many for people without an account, one a robot."""
        draws, customer = self._draws, self._visits.customer[visit]
        own = customer * DEVICES_A_CUSTOMER + draws.choice("visit.device", np.array([70.0, 22, 8]), kind, key)
        seldom = (1 << 40) + draws.pick("visit.visitor", 1 << 22, kind, key)
        number = np.where(customer >= 0, own, np.where(kind == Kind.ROBOT, (1 << 50) + key % ROBOTS, seldom))
        return (draws.bits("device", number) >> np.uint64(1)).astype(np.int64)

    def _page_positions(self, events: _Events, kind: Ints, key: Ints) -> Ints:
        draws = self._draws
        favourite = self._population.favourite[np.maximum(self._visits.customer[events.visit], 0)]
        product = self._product_page + self._products.pick(draws, favourite, kind, key, events.place)
        search = self._search_page + draws.pick("event.search", len(SEARCHES), kind, key, events.place)
        entrance = draws.pick("event.page", self._product_page, kind, key, events.place)
        letter = events.letter
        return np.select(
            [
                np.isin(letter, np.frombuffer(b"pca", np.uint8)),
                letter == ord("s"),
                np.isin(letter, np.frombuffer(b"kb", np.uint8)),
            ],
            [product, search, np.full(len(letter), self._checkout)],
            entrance,
        )

    def _referrers(self, events: _Events, kind: Ints, key: Ints, page: Ints) -> Text:
        outside = self._draws.pick("visit.referrer", len(REFERRERS), kind, key)
        inside = lookup(self._pool, np.concatenate([page[:1], page[:-1]]))
        referrer = either(events.is_first, lookup(REFERRERS, outside), inside)
        return _null_where(events.is_first & (np.array([not text for text in REFERRERS])[outside]), referrer)

    def _event_ts(self, events: _Events, form: FileForm) -> Text:
        first = np.datetime64(self._population.first_day, "us").astype(np.int64)
        broken = events.faults.of("broken_event_ts")
        micros = np.where(broken & (not form.text_instants), BEYOND_TIME, first + events.instant)
        instants = pa.array(micros, mask=events.faults.of("missing_event_ts")).cast(pa.timestamp("us", "UTC"))
        if not form.text_instants:
            return instants
        text = pc.replace_substring(instants.cast(pa.timestamp("us")).cast(pa.string()), " ", "T")
        return _null_where(events.faults.of("missing_event_ts"), either(broken, "yesterday", concat(text, "Z")))


def _pages(product_ids: list[str]) -> tuple[list[str], int, int, int]:
    """Every page, and where those of products and searches and the checkout begin."""
    entrances = [f"{SHOP}/", f"{SHOP}/sale", f"{SHOP}/new", f"{SHOP}/home-kitchen", f"{SHOP}/books", f"{SHOP}/garden"]
    products = [f"{SHOP}/p/{name}" for name in product_ids]
    searches = [f"{SHOP}/search?q={words}" for words in SEARCHES]
    pool = [*entrances, *products, *searches, f"{SHOP}/checkout"]
    return pool, len(entrances), len(entrances) + len(products), len(pool) - 1


def _templates() -> tuple[NDArray[np.uint8], Ints, Ints, Ints]:
    """All templates' letters in a row, where each begins, how long it is, and which is the first of each kind."""
    listed = [template for kind in Kind for template in TEMPLATES[kind]]
    lengths = np.array([len(template) for template in listed])
    counts = np.array([len(TEMPLATES[kind]) for kind in Kind])
    letters = np.frombuffer("".join(listed).encode(), np.uint8)
    return letters, np.cumsum(lengths) - lengths, lengths, np.cumsum(counts) - counts


def _letters() -> Ints:
    """Positions in EVENT_TYPES by letter."""
    positions = np.zeros(128, dtype=np.int64)
    positions[[ord(letter) for letter in EVENT_TYPES]] = np.arange(len(EVENT_TYPES))
    return positions


def _by_device(draws: Draws, purpose: str, weights: tuple[int, ...], device: Ints) -> Ints:
    return draws.choice(purpose, np.array(weights, dtype=np.float64), device)


def _null_where(where: Mask, text: Text) -> Text:
    return pc.if_else(pa.array(np.asarray(where)), pa.scalar(None, pa.string()), text)
