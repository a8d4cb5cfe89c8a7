"""One process of a distributed run: ``distributed_run.py RANK WORLD_SIZE STORE OUTPUT``; imported for a run alone."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
import torch.distributed as dist
from monai.data import DataLoader
from torch.nn.parallel import DistributedDataParallel

from monai_unlearn.data import ForgetRetainSampler, TaggedDataset
from monai_unlearn.engines import UnlearningTrainer, erase_parameters
from monai_unlearn.losses import BackgroundTerm, DistillationTerm, SupervisedTerm

sys.path.insert(0, str(Path(__file__).parents[2]))
from tests.engines.example import adapted_student, cases

BATCH_OVER_ALL, FORGET_OVER_ALL = 8, 2


def train_student(processes: int) -> tuple[dict[str, torch.Tensor], list[tuple[str, ...]]]:
    """Two epochs of erasing; return the adapters, and the ids of every batch of this process."""
    torch.set_num_threads(1)
    student = adapted_student(learned=0.2)
    items = cases(20, forget=5)
    dataset = TaggedDataset(
        dataset=[{"image": item["image"], "label": item["label"]} for item in items],
        ids=[item["id"] for item in items],
        forget_ids=[item["id"] for item in items if item["forget"]],
    )
    sampler = ForgetRetainSampler(
        dataset=dataset, batch_size=BATCH_OVER_ALL // processes, forget_per_batch=FORGET_OVER_ALL // processes, seed=3
    )
    parameters = erase_parameters(student)
    trainer = UnlearningTrainer(
        device="cpu",
        max_epochs=2,
        train_data_loader=DataLoader(dataset, batch_size=sampler.batch_size, sampler=sampler),
        network=student if processes == 1 else DistributedDataParallel(student),
        retention={
            "supervised": SupervisedTerm(loss_function=torch.nn.BCEWithLogitsLoss()),
            "distillation": DistillationTerm(activation="sigmoid"),
        },
        erasure={"suppress": BackgroundTerm(activation="sigmoid")},
        optimizer=torch.optim.SGD(parameters, lr=0.5, momentum=0.9),
        decollate=False,
    )
    batches: list[tuple[str, ...]] = []
    trainer.add_event_handler("ITERATION_STARTED", lambda engine: batches.append(tuple(engine.state.batch["id"])))
    trainer.run()
    return {name: value.clone() for name, value in student.state_dict().items()}, batches


if __name__ == "__main__":
    rank, world_size = int(sys.argv[1]), int(sys.argv[2])
    dist.init_process_group("gloo", init_method=f"file://{sys.argv[3]}", rank=rank, world_size=world_size)
    weights, ids = train_student(world_size)
    torch.save({"weights": weights, "batches": ids}, sys.argv[4])
    dist.barrier()
    dist.destroy_process_group()
