from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import Dataset

from monai_unlearn.data import ForgetRetainSampler, TaggedDataset


class Numbers(Dataset[Any]):
    def __init__(self, count: int, *, crops: bool = False) -> None:
        self.data = [{"id": str(index)} for index in range(count)]
        self.crops = crops

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> Any:
        return [{"value": index}, {"value": -index}] if self.crops else {"value": index}


def tagged(forget: int, retain: int) -> TaggedDataset:
    return TaggedDataset(dataset=Numbers(forget + retain), forget_ids=[str(index) for index in range(forget)])


def blocks(sampler: ForgetRetainSampler) -> list[list[int]]:
    indices = list(sampler)
    return [indices[start : start + sampler.batch_size] for start in range(0, len(indices), sampler.batch_size)]


counts = {"forget": st.integers(1, 9), "retain": st.integers(1, 40), "epoch": st.integers(0, 3)}


@settings(max_examples=60, deadline=None, derandomize=True)
@given(**counts, batch_size=st.integers(2, 8), replicas=st.integers(1, 3))
def test_every_joint_block_of_every_process_holds_the_set_number_of_forget_cases(
    forget: int, retain: int, epoch: int, batch_size: int, replicas: int
) -> None:
    seen, lengths = Counter[int](), set()
    for rank in range(replicas):
        sampler = ForgetRetainSampler(
            dataset=tagged(forget, retain), batch_size=batch_size, forget_per_batch=1, num_replicas=replicas, rank=rank
        )
        sampler.set_epoch(epoch)
        for block in blocks(sampler):
            assert len(block) == batch_size
            assert sum(index < forget for index in block) == 1
            seen.update(block)
        lengths.add(len(list(sampler)))
        assert len(list(sampler)) == len(sampler)
    assert len(lengths) == 1
    assert set(range(forget, forget + retain)) <= set(seen)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(**counts, batch_size=st.integers(1, 8), replicas=st.integers(1, 3))
def test_alternate_passes_cover_both_subsets_and_never_mix_them_in_a_block(
    forget: int, retain: int, epoch: int, batch_size: int, replicas: int
) -> None:
    seen = set()
    for rank in range(replicas):
        sampler = ForgetRetainSampler(
            dataset=tagged(forget, retain), batch_size=batch_size, mode="alternate", num_replicas=replicas, rank=rank
        )
        sampler.set_epoch(epoch)
        kinds = [{index < forget for index in block} for block in blocks(sampler)]
        assert all(len(kind) == 1 for kind in kinds)
        assert kinds == sorted(kinds, key=lambda kind: kind == {True})
        assert len(list(sampler)) == len(sampler)
        seen.update(sampler)
    assert seen == set(range(forget + retain))


def test_forget_cases_take_turns_evenly() -> None:
    sampler = ForgetRetainSampler(dataset=tagged(3, 40), batch_size=6, forget_per_batch=2)
    turns = Counter(index for index in sampler if index < 3)
    assert max(turns.values()) - min(turns.values()) <= 1


def test_retain_per_epoch_draws_that_many_afresh_each_epoch() -> None:
    sampler = ForgetRetainSampler(dataset=tagged(2, 40), batch_size=6, forget_per_batch=2, retain_per_epoch=8)
    epochs = []
    for epoch in range(2):
        sampler.set_epoch(epoch)
        epochs.append({index for index in sampler if index >= 2})
    assert [len(drawn) for drawn in epochs] == [8, 8]
    assert epochs[0] != epochs[1]


def test_the_order_depends_on_seed_and_epoch_alone() -> None:
    first, again, other = (
        list(ForgetRetainSampler(dataset=tagged(4, 20), batch_size=6, forget_per_batch=2, seed=seed))
        for seed in (0, 0, 1)
    )
    assert first == again
    assert first != other


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 8, "forget_per_batch": 8}, "1 <= forget_per_batch < batch_size"),
        ({"batch_size": 8, "mode": "both"}, "'both'"),
        ({"batch_size": 8, "forget_per_batch": 2, "retain_per_epoch": 0}, "retain_per_epoch"),
    ],
)
def test_wrong_settings_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ForgetRetainSampler(dataset=tagged(2, 20), **options)


def test_a_dataset_with_nothing_to_forget_is_refused() -> None:
    with pytest.raises(ValueError, match="no forget case"):
        ForgetRetainSampler(dataset=tagged(0, 20), batch_size=8, forget_per_batch=2)


def test_items_and_lists_of_crops_are_tagged() -> None:
    plain = TaggedDataset(dataset=Numbers(3), forget_ids=["1"])
    assert [plain[index] for index in range(2)] == [
        {"value": 0, "id": "0", "forget": False, "held": False},
        {"value": 1, "id": "1", "forget": True, "held": False},
    ]
    crops = TaggedDataset(dataset=Numbers(3, crops=True), forget_ids=["1"])[1]
    tags = {"id": "1", "forget": True, "held": False}
    assert crops == [{"value": 1, **tags}, {"value": -1, **tags}]


def test_cases_that_an_earlier_request_had_forgotten_are_held_and_drawn_among_the_retain_cases() -> None:
    dataset = TaggedDataset(dataset=Numbers(8), forget_ids=["0"], held_ids=["2", "5"])
    assert (dataset.forget_indices, dataset.held_indices, dataset.retain_indices) == ((0,), (2, 5), (1, 3, 4, 6, 7))
    assert [dataset[index]["held"] for index in (0, 2, 3)] == [False, True, False]
    drawn = list(ForgetRetainSampler(dataset=dataset, batch_size=2, forget_per_batch=1))
    assert sorted(drawn[1::2]) == [1, 2, 3, 4, 5, 6, 7]


def test_where_every_case_is_to_forget_an_epoch_is_one_pass_over_them() -> None:
    sampler = ForgetRetainSampler(dataset=tagged(6, 0), batch_size=3, forget_per_batch=1)
    drawn = list(sampler)
    assert len(sampler) == len(drawn) == 6
    assert sorted(drawn) == list(range(6))


def test_a_dataset_that_lacks_a_case_to_forget_is_refused() -> None:
    with pytest.raises(ValueError, match="lacks 1 of the cases to forget, '9'"):
        TaggedDataset(dataset=Numbers(3), forget_ids=["1", "9"])
