"""A crop chosen on a page is part of the workflow: the same labels come out wherever the workflow runs."""

from __future__ import annotations

import numpy as np

from plantseg_app.cli.main import main
from plantseg_app.core.volume import Kind, Volume
from plantseg_app.io import read_volume, write_volume
from plantseg_app.run.runner import Runner
from plantseg_app.run.workflow_crop import with_crop
from plantseg_app.run.workflows import find_workflow


def test_a_cropped_workflow_gives_the_same_labels_in_place_and_from_the_command_line(make_tissue, tmp_path):
    boundary = Volume(make_tissue((6, 48, 48)).boundary, Kind.BOUNDARY, (0.2, 0.1, 0.1))
    workflow = find_workflow("boundary-map")
    cut = boundary.replace(data=boundary.data[1:5, 8:40, 4:44])
    expected = Runner().run(workflow, {"boundary": cut})["cells"].data
    cropped = with_crop(workflow, "1:5, 8:40, 4:44")
    placed = Runner().run(cropped, {"boundary": boundary})["paste-back"]
    assert placed.shape_vox == boundary.shape_vox
    assert placed.place is None
    np.testing.assert_array_equal(placed.data[1:5, 8:40, 4:44], expected)
    assert np.count_nonzero(placed.data) == np.count_nonzero(expected)
    small = Runner().run(with_crop(workflow, "1:5, 8:40, 4:44", paste_back=False), {"boundary": boundary})["cells"]
    np.testing.assert_array_equal(small.data, expected)

    write_volume(tmp_path / "map.h5", boundary)
    (tmp_path / "cropped.yaml").write_text(cropped.to_yaml(), encoding="utf-8")
    command = ["segment", tmp_path / "map.h5", "--workflow", tmp_path / "cropped.yaml", "--output", tmp_path / "a.tif"]
    assert main([str(word) for word in command]) == 0
    np.testing.assert_array_equal(read_volume(tmp_path / "a.tif").data, placed.data)
