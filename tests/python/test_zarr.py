"""Zarr stores as sources: places in given pyramids."""

import json
import urllib.request

import numpy as np
import pytest
import xarray as xr
import zarr

from conftest import sample_data

pytestmark = pytest.mark.skipif(not sample_data(), reason="SKIPPED: sample data not found; set GRATICULE_SAMPLE_DATA")


def test_a_given_pyramid_is_kept_and_continued_only_while_it_is_large(server):
    chl = zarr.open_group(f"{server.url}/zarr/v2_pyramid_chl", mode="r")
    layout = [l["asset"] for l in chl.attrs["multiscales"]["layout"]]
    assert layout == [".", "1", "2", "3"]
    assert chl["3/conc_chl"].shape == (5, 125, 250)
    ostia = zarr.open_group(f"{server.url}/zarr/v3_multiscale_ostia_sst", mode="r")
    assert [l["asset"] for l in ostia.attrs["multiscales"]["layout"]] == [".", "1", "2", "3"]


@pytest.mark.parametrize("store, name", [("v3_multiscale_ostia_sst", "analysed_sst"), ("v3_sharded_eraint_u", "u")])
def test_positions_give_the_cell_that_xarray_finds(store, name, server):
    direct = xr.open_zarr(sample_data() / f"zarr/{store}.zarr", group="0" if "multi" in store else None)
    direct = direct.rename({k: v for k, v in {"latitude": "lat", "longitude": "lon"}.items() if k in direct.coords})
    direct = direct.isel({d: 0 for d in direct[name].dims if d not in ("lat", "lon")})
    for lon, lat in [(150.3, -33.4), (10.1, 54.3), (-60.2, 12.6)]:
        query = f"coords=POINT({lon}%20{lat})&parameter-name={name}"
        url = f"{server.url}/api/collections/{store}/position?{query}"
        answer = json.loads(urllib.request.urlopen(url).read())
        # A dimension without an axis in CoverageJSON makes a coverage of each of its values.
        found = answer.get("coverages", [answer])[0]["ranges"][name]["values"][0]
        x = lon % 360 if float(direct.lon.max()) > 180 else lon
        known = float(direct[name].sel(lat=lat, lon=x, method="nearest"))
        assert (found is None and np.isnan(known)) or np.isclose(found, known, rtol=1e-6), (lon, lat)


def test_places_on_a_web_mercator_pyramid_are_found(server):
    url = f"{server.url}/api/collections/v2_ndpyramid_etopo60/position?coords=POINT(-30%2040)&parameter-name=rose"
    body = json.loads(urllib.request.urlopen(url).read())
    assert abs(body["domain"]["axes"]["x"]["values"][0] + 30) < 0.36
    finest = zarr.open_array(str(sample_data() / "zarr/v2_ndpyramid_etopo60.zarr/2/rose"), mode="r")[...]
    radius = 6378137.0
    y = radius * np.log(np.tan(np.pi / 4 + np.deg2rad(40) / 2))
    half, size = np.pi * radius, 2 * np.pi * radius / 512
    row, column = int((half - y) // size), int((half + np.deg2rad(-30) * radius) // size)
    assert np.isclose(body["ranges"]["rose"]["values"][0], finest[row, column], rtol=1e-6)
