"""What every online store guarantees. An implementation joins by adding its opener to STORES."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event, Thread

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lakehouse.online.lmdb_store import LmdbStore
from lakehouse.online.store import (
    Applied,
    FieldsChanged,
    Header,
    HeaderMoved,
    InvalidViewOrKey,
    OnlineStore,
    ProfileSegments,
)

Opener = Callable[[Path], AbstractContextManager[OnlineStore]]
STORES: dict[str, Opener] = {"lmdb": lambda path: LmdbStore(path, map_mb=64)}

FIELDS = {"public": ("customer_id", "n"), "pii.email": ("email",)}
VIEW = "customers"


def header(version: int, **changes: object) -> Header:
    return replace(Header("gold.t", version, date(2026, 2, 1), datetime(2026, 2, 1, 2, tzinfo=UTC), FIELDS), **changes)


def segments(number: int, email: str = "e") -> ProfileSegments:
    return {"public": b'"n":%d' % number, "pii.email": b'"email":"%b"' % email.encode()}


@pytest.fixture(params=STORES)
def opener(request: pytest.FixtureRequest) -> Opener:
    return STORES[request.param]


@pytest.fixture
def store(opener: Opener, tmp_path: Path) -> Iterator[OnlineStore]:
    with opener(tmp_path / "online") as opened:
        yield opened


class TestRead:
    def test_a_view_never_published_has_no_header_and_no_profile(self, store: OnlineStore) -> None:
        assert store.header(VIEW) is None
        assert store.get(VIEW, "C1") is None

    def test_a_profile_comes_back_segment_by_segment_with_its_header(self, store: OnlineStore) -> None:
        store.apply(VIEW, [("C1", segments(1, "ü"))], (), header(3), after=None)
        profile = store.get(VIEW, "C1")
        assert profile is not None
        assert profile.classes == ("public", "pii.email")
        assert profile.segments == (b'"n":1', '"email":"ü"'.encode())
        assert profile.header == header(3, count=1) == store.header(VIEW)

    def test_a_segment_may_be_empty_or_absent(self, store: OnlineStore) -> None:
        store.apply(
            VIEW, [("C1", {"public": b"", "pii.email": b""}), ("C2", {"public": b'"n":1'})], (), header(1), after=None
        )
        first, second = store.get(VIEW, "C1"), store.get(VIEW, "C2")
        assert first is not None
        assert first.segments == (b"", b"")
        assert second is not None
        assert second.classes == ("public",)

    @pytest.mark.parametrize("key", ["a/b", "ü ñ", "\u0000", "C1\u0000", "x" * 511, "x" * 5000, "\U0001f600" * 300])
    def test_any_text_is_a_key_and_no_other_profiles(self, store: OnlineStore, key: str) -> None:
        store.apply(VIEW, [(key, segments(1)), (key + "0", segments(2))], (), header(1), after=None)
        found = store.get(VIEW, key)
        assert found is not None
        assert found.segments[0] == b'"n":1'
        assert store.get(VIEW, key[:-1] + "~") is None
        store.apply(VIEW, (), [key], header(2), after=1)
        assert store.get(VIEW, key) is None
        assert store.get(VIEW, key + "0") is not None

    @pytest.mark.parametrize("key", ["", "\ud800"])
    def test_what_cannot_be_a_key_is_refused(self, store: OnlineStore, key: str) -> None:
        with pytest.raises(InvalidViewOrKey):
            store.get(VIEW, key)

    @pytest.mark.parametrize("view", ["", "Customers", "a b", "a\u0000", "x" * 64])
    def test_what_cannot_be_a_view_is_refused(self, store: OnlineStore, view: str) -> None:
        with pytest.raises(InvalidViewOrKey):
            store.header(view)

    def test_views_do_not_see_each_other(self, store: OnlineStore) -> None:
        store.apply("a", [("C1", segments(1))], (), header(1), after=None)
        store.apply("ab", [("C1", segments(2))], (), header(5), after=None)
        store.replace("a", [("C2", segments(3))], header(2), after=1)
        kept = store.get("ab", "C1")
        assert kept is not None
        assert (kept.segments[0], kept.header.version) == (b'"n":2', 5)
        assert store.get("a", "C1") is None


class TestApply:
    def test_it_counts_what_it_did(self, store: OnlineStore) -> None:
        first = store.apply(VIEW, [("C1", segments(1)), ("C2", segments(2))], ["C9"], header(1), after=None)
        second = store.apply(
            VIEW, [("C1", segments(1)), ("C2", segments(7)), ("C3", segments(3))], ["C1"], header(2), after=1
        )
        assert first == Applied(written=2, deleted=0, unchanged=0, changed=True)
        assert second == Applied(written=2, deleted=1, unchanged=1, changed=True)
        assert store.header(VIEW) == header(2, count=2)

    def test_the_same_again_stores_nothing_not_even_a_later_date_of_publication(self, store: OnlineStore) -> None:
        store.apply(VIEW, [("C1", segments(1))], (), header(1), after=None)
        later = header(1, published_at=datetime(2027, 1, 1, tzinfo=UTC))
        assert store.apply(VIEW, [("C1", segments(1))], ["C2"], later, after=1) == Applied(0, 0, 1, changed=False)
        assert store.header(VIEW) == header(1, count=1)

    def test_a_new_date_moves_the_header_alone(self, store: OnlineStore) -> None:
        store.apply(VIEW, [("C1", segments(1))], (), header(1), after=None)
        assert store.apply(VIEW, (), (), header(1, as_of=date(2026, 3, 1)), after=1) == Applied(0, 0, 0, changed=True)
        found = store.get(VIEW, "C1")
        assert found is not None
        assert found.header.as_of == date(2026, 3, 1)

    @pytest.mark.parametrize("after", [None, 0, 2])
    def test_changes_computed_against_another_version_are_refused(self, store: OnlineStore, after: int | None) -> None:
        store.apply(VIEW, [("C1", segments(1))], (), header(1), after=None)
        with pytest.raises(HeaderMoved):
            store.apply(VIEW, [("C1", segments(9))], (), header(3), after=after)
        with pytest.raises(HeaderMoved):
            store.replace(VIEW, [("C1", segments(9))], header(3), after=after)
        kept = store.get(VIEW, "C1")
        assert kept is not None
        assert (kept.segments[0], kept.header.version) == (b'"n":1', 1)

    def test_a_field_that_became_personal_cannot_stay_in_profiles_that_were_not_rewritten(
        self, store: OnlineStore
    ) -> None:
        store.apply(VIEW, [("C1", segments(1)), ("C2", segments(2))], (), header(1), after=None)
        stricter = header(2, fields={"public": ("customer_id",), "pii.email": ("email", "n")})
        with pytest.raises(FieldsChanged):
            store.apply(VIEW, [("C1", {"public": b""})], (), stricter, after=1)
        store.replace(VIEW, [("C1", {"public": b"", "pii.email": b'"n":1'})], stricter, after=1)
        assert store.get(VIEW, "C2") is None

    @pytest.mark.parametrize("kind", ["apply", "replace"])
    def test_a_source_that_fails_half_way_leaves_all_as_it_was(self, store: OnlineStore, kind: str) -> None:
        store.apply(VIEW, [("C1", segments(1))], (), header(1), after=None)

        def broken() -> Iterator[tuple[str, ProfileSegments]]:
            yield "C1", segments(9)
            yield "C2", segments(9)
            raise RuntimeError("the source fails")

        changes = {
            "apply": lambda: store.apply(VIEW, broken(), (), header(2), after=1),
            "replace": lambda: store.replace(VIEW, broken(), header(2), after=1),
        }
        with pytest.raises(RuntimeError, match="the source fails"):
            changes[kind]()
        kept = store.get(VIEW, "C1")
        assert kept is not None
        assert (kept.segments[0], kept.header) == (b'"n":1', header(1, count=1))
        assert store.get(VIEW, "C2") is None

    def test_readers_do_not_wait_for_a_writer_and_see_the_state_before_it(self, store: OnlineStore) -> None:
        store.apply(VIEW, [("C1", segments(1))], (), header(1), after=None)
        half_way, read = Event(), Event()

        def slow() -> Iterator[tuple[str, ProfileSegments]]:
            yield "C1", segments(2)
            half_way.set()
            assert read.wait(30)

        writer = Thread(target=lambda: store.apply(VIEW, slow(), (), header(2), after=1))
        writer.start()
        try:
            assert half_way.wait(30)
            during = store.get(VIEW, "C1")
        finally:
            read.set()
            writer.join()
        after = store.get(VIEW, "C1")
        assert during is not None
        assert (during.segments[0], during.header.version) == (b'"n":1', 1)
        assert after is not None
        assert (after.segments[0], after.header.version) == (b'"n":2', 2)


class TestReplace:
    def test_what_is_not_named_is_gone_and_what_is_the_same_is_not_written(self, store: OnlineStore) -> None:
        store.apply(VIEW, [(f"C{i}", segments(i)) for i in range(5)], (), header(4), after=None)
        applied = store.replace(
            VIEW, [("C0", segments(0)), ("C1", segments(9)), ("N", segments(1))], header(2), after=4
        )
        assert applied == Applied(written=2, deleted=3, unchanged=1, changed=True)
        assert store.header(VIEW) == header(2, count=3)
        assert [key for key in ("C0", "C1", "C2", "C3", "C4", "N") if store.get(VIEW, key)] == ["C0", "C1", "N"]


_KEYS = st.sampled_from(["C1", "C2", "C1\u0000", "ü", "k" * 600, "k" * 601])
_PROFILES = st.lists(st.tuples(_KEYS, st.integers(0, 3)), max_size=6)
_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("apply"), _PROFILES, st.lists(_KEYS, max_size=3)),
        st.tuples(st.just("replace"), _PROFILES, st.just([])),
        st.tuples(st.just("reopen"), st.just([]), st.just([])),
    ),
    max_size=8,
)


@settings(max_examples=60, deadline=None)
@given(steps=_STEPS)
@pytest.mark.parametrize("kind", STORES)
def test_any_history_of_changes_and_restarts_leaves_what_a_dictionary_would_hold(
    kind: str, steps: list[tuple[str, list[tuple[str, int]], list[str]]]
) -> None:
    model: dict[str, int] = {}
    version: int | None = None
    with TemporaryDirectory() as directory:
        for step, upserts, deletes in steps:
            with STORES[kind](Path(directory)) as store:
                if step == "reopen":
                    continue
                after, version = version, (version or 0) + 1
                profiles = [(key, segments(number)) for key, number in upserts]
                if step == "apply":
                    store.apply(VIEW, profiles, deletes, header(version), after=after)
                    model |= dict(upserts)
                    for key in deletes:
                        model.pop(key, None)
                else:
                    store.replace(VIEW, profiles, header(version), after=after)
                    model = dict(upserts)
        with STORES[kind](Path(directory)) as store:
            stored = store.header(VIEW)
            assert (stored.version, stored.count) == (version, len(model)) if stored else version is None
            for key in ("C1", "C2", "C1\u0000", "ü", "k" * 600, "k" * 601):
                profile = store.get(VIEW, key)
                assert (profile.segments[0] if profile else None) == (b'"n":%d' % model[key] if key in model else None)
