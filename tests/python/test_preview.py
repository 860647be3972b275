"""The small picture of a collection: of every kind of grid, in the colours of the map."""

import io
import subprocess

import numpy as np
import pytest
import requests
from PIL import Image

from conftest import ROOT, Server, binary, sample_data
from test_pictures import globe, healpix


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    folder = tmp_path_factory.mktemp("small")
    files = {"ncep": ROOT / "assets/demo/ncep-climatology.nc"}
    for name, made in {"globe": globe(), "healpix": healpix()}.items():
        made.to_netcdf(folder / f"{name}.nc")
        files[name] = folder / f"{name}.nc"
    for name, file in files.items():
        subprocess.run([binary(), "ingest", file, "--collection", name, "--data", folder / "data"], check=True, capture_output=True)
    s = Server(folder / "data")
    yield s
    s.stop()


def get(server, path, **query):
    return requests.get(server.url + path, params=query, timeout=60)


def pixels(answer):
    assert answer.headers["content-type"] == "image/png", answer.text
    return np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGBA"))


def assert_the_map(server, name):
    """Pixel by pixel what the map of the collection's extent shows, some of it data."""
    about = get(server, f"/api/collections/{name}").json()
    preview = get(server, f"/api/collections/{name}/preview.png")
    found = pixels(preview)
    height, width = found.shape[:2]
    assert 1 <= max(height, width) <= 512, (name, found.shape)
    box = ",".join(map(str, about["extent"]["spatial"]["bbox"][0]))
    whole = pixels(get(server, f"/api/collections/{name}/map", bbox=box, width=width, height=height))
    same = (found == whole).all(axis=2)
    assert same.mean() > 0.995, (name, same.mean())
    assert (found[:, :, 3] > 0).mean() > 0.02, name
    assert about["assets"]["thumbnail"]["href"].endswith(f"/{name}/preview.png")
    return preview


@pytest.mark.parametrize("name", ["ncep", "globe", "healpix"])
def test_a_preview_is_the_map_of_all_of_it(small, name):
    assert_the_map(small, name)


PROJECTED = ["goes16_cloud_top_height", "lcc_tas"]
OTHERS = ["nemo_20150101", "lfric_cubesphere_1t", "wcofs_roms_subset", "amsr2_l2b_cut"]


@pytest.mark.skipif(not sample_data(), reason="SKIPPED: sample data not found; set GRATICULE_SAMPLE_DATA")
@pytest.mark.parametrize("name", PROJECTED + OTHERS)
def test_a_preview_of_a_grid_that_is_not_on_latitude_and_longitude_is_the_map_too(server, name):
    assert_the_map(server, name)


@pytest.mark.skipif(not sample_data(), reason="SKIPPED: sample data not found; set GRATICULE_SAMPLE_DATA")
def test_a_collection_has_a_thumbnail_wherever_there_is_a_preview_and_nowhere_else(server):
    all_of_them = get(server, "/api/collections", limit=1000).json()["collections"]
    seen = {True: 0, False: 0}
    for c in all_of_them:
        offered = "thumbnail" in c["assets"]
        answer = get(server, f"/api/collections/{c['id']}/preview.png")
        assert answer.status_code == (200 if offered else 404), f"{c['id']}: {answer.status_code} {answer.text[:200]}"
        drawable = any(link["rel"].endswith("/map") for link in c["links"])
        assert offered == drawable, c["id"]
        seen[offered] += 1
    assert seen[True] > 20 and seen[False] > 2, seen
