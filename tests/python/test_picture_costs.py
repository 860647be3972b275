"""What a picture costs is known before it is drawn; one that is too much is refused with pictures that are not."""

import io
import subprocess

import numpy as np
import pytest
import requests
import xarray as xr
from PIL import Image

from conftest import ROOT, Server, binary
from test_pictures import colours

STEPS, ROWS, COLUMNS = 1200, 360, 720
# Blocks through all steps: no coarser level has fewer.
BLOCK = [STEPS, 90, 180]
BLOCK_BYTES = STEPS * 90 * 180


def cells():
    return ((np.arange(ROWS)[:, None] // 3 + np.arange(COLUMNS)[None, :] // 4) % 100).astype("i1")


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A cube that is long in time, has blocks as long as it, and no pyramid; it stays in its file."""
    folder = tmp_path_factory.mktemp("costs")
    dims = {
        "time": ("time", np.arange(STEPS), {"units": "days since 2000-01-01"}),
        "lat": ("lat", 89.75 - 0.5 * np.arange(ROWS), {"units": "degrees_north"}),
        "lon": ("lon", -179.75 + 0.5 * np.arange(COLUMNS), {"units": "degrees_east"}),
    }
    values = np.broadcast_to(cells(), (STEPS, ROWS, COLUMNS))
    made = xr.Dataset({"v": (("time", "lat", "lon"), values, {"units": "1"})}, dims)
    made.to_netcdf(folder / "long.nc", encoding={"v": {"chunksizes": BLOCK, "zlib": True, "complevel": 1}})
    recipe = folder / "long.toml"
    recipe.write_text(f'[collection]\nid = "long"\n[source]\npattern = "long.nc"\nroot = "{folder}"\n[cube]\npyramid = false\n')
    command = [binary(), "ingest", folder / "long.nc", "--collection", "long", "--recipe", recipe, "--reference", "--data", folder / "data"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    demo = ROOT / "assets/demo/ncep-climatology.nc"
    subprocess.run([binary(), "ingest", demo, "--collection", "ncep", "--data", folder / "data"], check=True, capture_output=True)
    s = Server(folder / "data")
    yield s
    s.stop()


def ask(server, name, method="GET", **query):
    query = {k.replace("_", "-"): v for k, v in query.items()}
    return requests.request(method, f"{server.url}/api/collections/{name}/map", params=query, timeout=60)


def pixels(answer):
    assert answer.status_code == 200 and answer.headers["content-type"] == "image/png", answer.text
    return np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGBA"))


def test_the_cost_of_a_picture_is_known_before_it_is_drawn(served):
    estimate = ask(served, "ncep", width=200, height=100, estimate="true")
    assert estimate.headers["content-type"] == "application/json"
    said = estimate.json()
    assert said["values"] == 200 * 100 and said["allowed"] is True and said["parts"] == 1
    assert said["chunks"] >= 1 and said["bytes"] > 0 and said["seconds"] > 0
    head = ask(served, "ncep", "HEAD", width=200, height=100)
    assert head.status_code == 200 and head.headers["content-type"] == "image/png"
    told = dict(part.strip().split("=") for part in head.headers["graticule-cost"].split(","))
    assert {k: int(told[k]) for k in ("values", "chunks", "bytes")} == {k: said[k] for k in ("values", "chunks", "bytes")}
    got = ask(served, "ncep", width=200, height=100)
    assert pixels(got).shape == (100, 200, 4)
    for name in ("content-crs", "content-bbox", "graticule-version", "graticule-citation", "cache-control"):
        assert head.headers[name] == got.headers[name], name
    # One block of it is all that a small box needs.
    one = ask(served, "long", bbox="1,1,11,11", width=20, height=20, estimate="true").json()
    assert (one["values"], one["chunks"], one["bytes"], one["allowed"]) == (400, 1, BLOCK_BYTES, True)
    assert ask(served, "ncep", estimate="perhaps").status_code == 400
    assert ask(served, "ncep", estimate="true", colormap="rainbowish").status_code == 400


# Three cells a pixel, with the middle of one under the pixel's.
BOXES = {
    "the whole": {"width": 240, "height": 120},
    "latitude first": {"width": 240, "height": 120, "bbox": "-90,-180,90,180", "bbox_crs": "EPSG:4326", "crs": "EPSG:4326"},
    "across the antimeridian": {"width": 239, "height": 120, "bbox": "20,-90,18.5,90"},
}


@pytest.mark.parametrize("query", BOXES.values(), ids=BOXES.keys())
def test_too_much_is_refused_with_pictures_that_together_are_what_was_asked(served, query):
    query = {**query, "clim": "0,100", "colormap": "viridis"}
    refused = ask(served, "long", **query)
    problem = refused.json()
    assert refused.status_code == 413 and problem["parameter"] == "bbox", problem
    assert "graticule-cost" in refused.headers and ask(served, "long", "HEAD", **query).status_code == 413
    said = ask(served, "long", estimate="true", **query).json()
    assert (said["allowed"], said["parts"], said["chunks"]) == (False, len(problem["split"]), 16)
    assert {k: said[k] for k in problem["estimate"]} == problem["estimate"]
    whole = np.zeros((query["height"], query["width"], 4), "u1")
    seen = np.zeros(whole.shape[:2], int)
    west, south, east, north = -180.0, -90.0, 180.0, 90.0
    if query["width"] == 239:
        west, east = 20.0, 378.5
    per_x, per_y = (east - west) / query["width"], (north - south) / query["height"]
    for box, (width, height) in zip(problem["split"], problem["sizes"], strict=True):
        answer = ask(served, "long", **{**query, "bbox": box, "width": width, "height": height})
        a, b, c, d = map(float, box.split(","))
        if "crs" in query:
            a, b, c, d = b, a, d, c
        left, top = round((a - west) / per_x), round((north - d) / per_y)
        assert (round((c - a) / per_x), round((d - b) / per_y)) == (width, height)
        whole[top : top + height, left : left + width] = pixels(answer)
        seen[top : top + height, left : left + width] += 1
    assert (seen == 1).all()
    lon, lat = west + (np.arange(query["width"]) + 0.5) * per_x, north - (np.arange(query["height"]) + 0.5) * per_y
    row, column = ((90 - lat) / 0.5).astype(int), (((lon + 180) % 360) / 0.5).astype(int)
    expected = colours("viridis", cells()[np.ix_(row, column)].ravel().astype(float), 0, 100)
    assert (whole.reshape(-1, 4) == np.asarray(expected)).all(axis=1).mean() > 0.999


def test_what_is_cut_on_a_plane_says_in_which_system_its_boxes_are(served):
    query = {"width": 128, "height": 128, "crs": "EPSG:3857", "clim": "0,100"}
    problem = ask(served, "long", **query).json()
    assert problem["bbox-crs"] == "EPSG:3857" and len(problem["split"]) == len(problem["sizes"]) == 2
    for box, (width, height) in zip(problem["split"], problem["sizes"], strict=True):
        part = pixels(ask(served, "long", **{**query, "bbox": box, "bbox_crs": "EPSG:3857", "width": width, "height": height}))
        assert part.shape == (height, width, 4) and (part[:, :, 3] > 0).all()


def test_what_is_too_much_at_its_coarsest_has_no_preview_and_no_thumbnail(served):
    about = requests.get(f"{served.url}/api/collections/long", timeout=60).json()
    preview = requests.get(f"{served.url}/api/collections/long/preview.png", timeout=60)
    assert "thumbnail" not in about["assets"]
    assert preview.status_code == 413 and "ingest it with a pyramid" in preview.json()["detail"]
