"""Fresh identifiers."""

from protocols.identifiers import is_record_id, new_id, new_ordered_id


def test_fresh_identifiers_differ_and_can_name_a_record():
    made = [make() for make in (lambda: new_id("a"), lambda: new_ordered_id("a", 7))
            for _ in range(100)]  # fmt: skip
    assert len(set(made)) == 200
    assert all(is_record_id(one) for one in made)


def test_ordered_identifiers_sort_by_time():
    times = [0, 9, 10, 255, 256, 1_800_000_000_000, 2**48 - 1]
    made = [new_ordered_id("scr", at) for at in times]
    assert made == sorted(made)
    assert {len(one) for one in made} == {36}
