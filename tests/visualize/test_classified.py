import numpy as np
import pytest

from monai_unlearn.visualize import ClassifiedCase


def make_case(**parts):
    defaults = {
        **{"subset": "forget", "name": "a1b2", "truth": 1},
        "image": np.full((4, 5, 3), 0.5),
        "teacher": np.array([0.1, 0.9]),
        "student": np.array([0.6, 0.4]),
    }
    return ClassifiedCase(**(defaults | parts))


def test_pictures_in_grey_and_in_colour_are_taken():
    assert make_case().truth == 1
    assert make_case(image=np.zeros((4, 5))).image.shape == (4, 5)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"subset": "train"}, "subset must be one of"),
        ({"image": np.zeros((4, 5, 6))}, "image must have shape"),
        ({"student": np.array([1.0])}, "the probabilities of teacher and student must have one shape"),
        ({"truth": 2}, "the class 2 is none of 2"),
        ({"teacher": np.array([0.1, np.nan])}, "teacher must hold finite values"),
        ({"student": np.array([0.1, 1.5])}, "student must hold finite values"),
    ],
)
def test_what_cannot_be_shown_is_refused(parts, message):
    with pytest.raises(ValueError, match=f"case a1b2: {message}"):
        make_case(**parts)
