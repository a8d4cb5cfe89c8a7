import io

import pytest
from matplotlib.figure import Figure
from PIL import Image

from monai_unlearn.visualize import encode_figure, save_figure


@pytest.fixture
def figure():
    figure = Figure(figsize=(2, 1))
    figure.subplots().plot([0, 1], [1, 0])
    return figure


def test_a_saved_figure_is_a_png_of_its_size(tmp_path, figure):
    path = save_figure(figure, tmp_path / "figures" / "line.png", dpi=50)
    with Image.open(path) as image:
        image.verify()
        assert (image.format, image.size) == ("PNG", (100, 50))


def test_the_same_figure_gives_the_same_bytes(figure):
    assert encode_figure(figure, dpi=30) == encode_figure(figure, dpi=30)
    with Image.open(io.BytesIO(encode_figure(figure, dpi=30))) as image:
        assert image.format == "PNG"


def test_a_file_that_is_no_png_is_refused(tmp_path, figure):
    with pytest.raises(ValueError, match=r"ends in \.png"):
        save_figure(figure, tmp_path / "line.pdf")
    assert list(tmp_path.iterdir()) == []
