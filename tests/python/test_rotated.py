"""A rotated image: cells with places instead of axes, copied and in its place."""

import json
import shutil
import subprocess
import urllib.parse
import urllib.request

import numpy as np
import pytest
import xarray as xr

from conftest import ROOT, Server, binary

IMAGE = ROOT / "formats" / "tests" / "fixtures" / "geotiff" / "turned_utm.tif"


@pytest.fixture(scope="module", params=["copy", "reference"])
def turned(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("turned")
    file = shutil.copy(IMAGE, folder)
    how = ["--reference"] if request.param == "reference" else []
    subprocess.run([binary(), "ingest", file, "--collection", "turned", "--data", folder / "data", *how], check=True)
    s = Server(folder / "data")
    yield s
    s.stop()


def test_its_cells_are_found_where_rasterio_has_them(turned):
    opened = xr.open_zarr(f"{turned.url}/zarr/turned")
    assert opened.band_1.dims == ("y", "x") and {"latitude", "longitude"} <= set(opened.band_1.coords)
    # rasterio: `xy(row, column)`, then `warp.transform` to EPSG:4326.
    for row, column, lon, lat in [
        (0, 0, 150.0661070367915, -52.3139004226937),
        (3, 5, 150.06866765423104, -52.313990506326526),
        (19, 23, 150.07894878746492, -52.31555566739024),
    ]:
        cell = opened.isel(y=row, x=column)
        assert np.allclose([cell.longitude, cell.latitude], [lon, lat], atol=1e-9)
        query = urllib.parse.urlencode({"coords": f"POINT({lon:.9f} {lat:.9f})", "parameter-name": "band_1"})
        answer = json.loads(urllib.request.urlopen(f"{turned.url}/api/collections/turned/position?{query}").read())
        assert answer["ranges"]["band_1"]["values"] == [float(cell.band_1)]
    west, south, east, north = json.loads(urllib.request.urlopen(f"{turned.url}/api/collections/turned").read())[
        "extent"]["spatial"]["bbox"][0]
    assert west < 150.0662 < 150.0789 < east and south < -52.3155 < -52.3140 < north and east - west < 0.02
