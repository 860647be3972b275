"""Zarr stores as sources: every array of the samples through the served store, and places in given pyramids."""

import hashlib
import json
import subprocess
import urllib.request

import numpy as np
import pytest
import xarray as xr
import zarr

from conftest import Server, binary, references, sample_data

pytestmark = pytest.mark.skipif(not sample_data(), reason="SKIPPED: sample data not found; set GRATICULE_SAMPLE_DATA")
STORES = references().get("zarr", [])


def source_and_level(store):
    """The store that is ingested, and the level of it that an entry is."""
    if ".levels/" in store:
        folder, level = store.split(".levels/")
        return folder + ".levels", level.split(".")[0]
    return store, None


def collection_of(source):
    return source.split("/")[-1].split(".")[0]


def shown(store, array):
    source, level = source_and_level(store)
    name = source.split("/")[-1]
    if level is not None:
        return array if level == "0" else f"{level}/{array}"
    if array == ".":
        return "data"
    group, _, rest = array.partition("/")
    if name.startswith("v3_multiscale"):
        return rest if group == "0" else array
    if name.startswith("v2_ndpyramid"):
        return {"2": rest, "1": array, "0": f"2/{rest}"}[group]
    return rest if name.startswith("nczarr") else array


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    data = tmp_path_factory.mktemp("zarr")
    for source in sorted({source_and_level(e["store"])[0] for e in STORES}):
        subprocess.run(
            [binary(), "ingest", sample_data() / source, "--collection", collection_of(source), "--data", data],
            check="cities" not in source,
            capture_output=True,
        )
    s = Server(data)
    yield s
    s.stop()


@pytest.mark.parametrize("entry", STORES, ids=lambda e: e["store"])
def test_every_array_is_served_with_the_values_that_zarr_python_reads(entry, stores):
    numeric = {a: x for a, x in entry["arrays"].items() if "sha256_raw" in x and x["size"] < 5e6}
    if not numeric:
        return
    source, _ = source_and_level(entry["store"])
    group = zarr.open_group(f"{stores.url}/zarr/{collection_of(source)}", mode="r")
    for array, known in numeric.items():
        values = np.ascontiguousarray(group[shown(entry["store"], array)][...])
        raw = values.astype(values.dtype.newbyteorder("<")).tobytes()
        assert hashlib.sha256(raw).hexdigest() == known["sha256_raw"], array


def test_a_given_pyramid_is_kept_and_continued_only_while_it_is_large(stores):
    chl = zarr.open_group(f"{stores.url}/zarr/v2_pyramid_chl", mode="r")
    layout = [l["asset"] for l in chl.attrs["multiscales"]["layout"]]
    assert layout == [".", "1", "2", "3"]
    assert chl["3/conc_chl"].shape == (5, 125, 250)
    ostia = zarr.open_group(f"{stores.url}/zarr/v3_multiscale_ostia_sst", mode="r")
    assert [l["asset"] for l in ostia.attrs["multiscales"]["layout"]] == [".", "1", "2", "3"]


@pytest.mark.parametrize("store, name", [("v3_multiscale_ostia_sst", "analysed_sst"), ("v3_sharded_eraint_u", "u")])
def test_positions_give_the_cell_that_xarray_finds(store, name, stores):
    direct = xr.open_zarr(sample_data() / f"zarr/{store}.zarr", group="0" if "multi" in store else None)
    direct = direct.rename({k: v for k, v in {"latitude": "lat", "longitude": "lon"}.items() if k in direct.coords})
    direct = direct.isel({d: 0 for d in direct[name].dims if d not in ("lat", "lon")})
    for lon, lat in [(150.3, -33.4), (10.1, 54.3), (-60.2, 12.6)]:
        query = f"coords=POINT({lon}%20{lat})&parameter-name={name}"
        url = f"{stores.url}/api/collections/{store}/position?{query}"
        found = json.loads(urllib.request.urlopen(url).read())["ranges"][name]["values"][0]
        x = lon % 360 if float(direct.lon.max()) > 180 else lon
        known = float(direct[name].sel(lat=lat, lon=x, method="nearest"))
        assert (found is None and np.isnan(known)) or np.isclose(found, known, rtol=1e-6), (lon, lat)


def test_places_on_a_web_mercator_pyramid_are_found(stores):
    url = f"{stores.url}/api/collections/v2_ndpyramid_etopo60/position?coords=POINT(-30%2040)&parameter-name=rose"
    body = json.loads(urllib.request.urlopen(url).read())
    assert abs(body["domain"]["axes"]["x"]["values"][0] + 30) < 0.36
    finest = zarr.open_array(str(sample_data() / "zarr/v2_ndpyramid_etopo60.zarr/2/rose"), mode="r")[...]
    radius = 6378137.0
    y = radius * np.log(np.tan(np.pi / 4 + np.deg2rad(40) / 2))
    half, size = np.pi * radius, 2 * np.pi * radius / 512
    row, column = int((half - y) // size), int((half + np.deg2rad(-30) * radius) // size)
    assert np.isclose(body["ranges"]["rose"]["values"][0], finest[row, column], rtol=1e-6)
