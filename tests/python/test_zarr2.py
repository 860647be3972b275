"""The v2 view of a cube: what older clients read is what is stored."""

import json
import shutil
import subprocess
import urllib.error
import urllib.request

import numcodecs
import numpy as np
import pytest
import xarray as xr
import zarr

from conftest import ROOT, Server, binary, sample_data

DEMO = ROOT / "assets" / "demo"


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """Cubes with shards and levels, cells that nobody stored, and chunks that stay in their file."""
    folder = tmp_path_factory.mktemp("zarr2")
    times = np.arange(40.0)
    sparse = np.zeros((40, 300, 300), "int16")
    sparse[3, 10, 20] = 7
    plain = xr.Dataset(
        {
            "count": (("time", "lat", "lon"), sparse, {"units": "1"}),
            "temp": (("time", "lat", "lon"), np.where(sparse == 7, 1.5, np.nan).astype("float32")),
        },
        {"time": ("time", times, {"units": "days since 2020-01-01"}), "lat": np.linspace(-80, 80, 300), "lon": np.linspace(-170, 170, 300)},
    )
    plain["temp"].encoding["_FillValue"] = np.float32(-999)
    plain["count"].encoding["_FillValue"] = None
    plain.to_netcdf(folder / "sparse.nc", engine="netcdf4")
    inputs = [("sparse", folder / "sparse.nc", []), ("ncep", DEMO / "ncep-climatology.nc", []), ("ostia", DEMO / "ostia-sst.nc", [])]
    if sample_data():
        near = shutil.copy(sample_data() / "netcdf" / "air_kerchunk.nc", folder / "air.nc")
        inputs.append(("air", near, ["--reference"]))
    for name, path, more in inputs:
        command = [binary(), "ingest", path, "--collection", name, "--data", folder / "data", *more]
        subprocess.run(command, check=True, capture_output=True, timeout=120)
    s = Server(folder / "data")
    s.names = [name for name, _, _ in inputs]
    s.sparse = sparse
    yield s
    s.stop()


def read(url):
    with urllib.request.urlopen(url) as reply:
        return reply.read(), reply.headers


def test_xarray_reads_the_same_values_in_both_versions_of_zarr(served):
    for name in served.names:
        root = json.loads(read(f"{served.url}/zarr/{name}/zarr.json")[0])
        levels = [path for path in root["consolidated_metadata"]["metadata"] if path.isdigit()]
        for group in [None, *levels]:
            with (
                xr.open_zarr(f"{served.url}/zarr/{name}", group=group, consolidated=group is None, chunks=None) as three,
                xr.open_zarr(f"{served.url}/zarr2/{name}", group=group, zarr_format=2, consolidated=group is None, chunks=None) as two,
            ):
                assert set(two.variables) == set(three.variables), (name, group)
                xr.testing.assert_identical(two.load(), three.load())


def test_what_nobody_stored_is_not_taken_for_missing(served):
    with xr.open_zarr(f"{served.url}/zarr2/sparse", zarr_format=2, chunks=None) as cube:
        assert cube["count"].dtype == "int16"
        np.testing.assert_array_equal(cube["count"].values, served.sparse)
        assert np.isnan(cube["temp"].values).sum() == served.sparse.size - 1
    # Zeros that are values: made, for v2 cannot say it; cells that are missing: absent.
    array = json.loads(read(f"{served.url}/zarr2/sparse/count/.zarray")[0])
    assert array["fill_value"] is None
    made, _ = read(f"{served.url}/zarr2/sparse/count/9.1.1")
    assert not np.frombuffer(numcodecs.get_codec(array["compressor"]).decode(made), array["dtype"]).any()
    with pytest.raises(urllib.error.HTTPError) as refused:
        read(f"{served.url}/zarr2/sparse/temp/9.1.1")
    problem = json.load(refused.value)
    assert (problem["status"], problem["fill_value"]) == (404, -999.0) and "fill value" in problem["detail"]


def test_chunks_are_the_stored_bytes_and_an_inner_chunk_is_part_of_its_shard(served):
    whole, _ = read(f"{served.url}/zarr/ostia/analysed_sst/c/0/0/0")
    for key in ("0.0.0", "0.0.1", "0.1.0"):
        inner, head = read(f"{served.url}/zarr2/ostia/analysed_sst/{key}")
        assert head["Content-Type"] == "application/octet-stream" and head["ETag"].startswith('"')
        if key != "0.1.0":
            assert inner in whole, key
    request = urllib.request.Request(f"{served.url}/zarr2/ostia/analysed_sst/0.0.1", headers={"Range": "bytes=4-19"})
    with urllib.request.urlopen(request) as part:
        inner, _ = read(f"{served.url}/zarr2/ostia/analysed_sst/0.0.1")
        assert part.status == 206 and part.read() == inner[4:20]


def test_zarr_python_walks_the_view_without_consolidated_metadata(served):
    group = zarr.open_group(f"{served.url}/zarr2/ncep", mode="r", zarr_format=2, use_consolidated=False)
    three = zarr.open_group(f"{served.url}/zarr/ncep", mode="r", zarr_format=3)
    name = next(n for n, a in three.members() if isinstance(a, zarr.Array) and a.ndim == 3)
    assert group[name].metadata.zarr_format == 2
    np.testing.assert_array_equal(group[name][0], three[name][0])
    assert group.attrs["Conventions"] == three.attrs["Conventions"]


def test_a_version_is_named_in_the_view_as_in_the_store(served):
    _, head = read(f"{served.url}/zarr2/ostia")
    assert head["Content-Type"] == "application/vnd.zarr; version=2"
    assert '</zarr/ostia>; rel="canonical"' in head["Link"]
    version = head["Graticule-Version"]
    pinned, head = read(f"{served.url}/zarr2/ostia@{version}/.zmetadata")
    assert "immutable" in head["Cache-Control"] and head["Content-Type"] == "application/json"
    assert json.loads(pinned)["zarr_consolidated_format"] == 1
    collection = json.loads(read(f"{served.url}/api/collections/ostia")[0])
    asset = collection["assets"]["zarr2"]
    assert (asset["href"], asset["type"]) == (f"{served.url}/zarr2/ostia", "application/vnd.zarr; version=2")
    for path in ("/zarr2/ostia/zarr.json", "/zarr2/ostia/analysed_sst/0.0.00", "/zarr2/ostia/analysed_sst/9.9.9", "/zarr2/nobody", "/zarr2/"):
        with pytest.raises(urllib.error.HTTPError) as refused:
            read(served.url + path)
        assert refused.value.code == 404, path


def test_gdal_reads_chunks_over_vsicurl_with_its_zarr_driver(served):
    import rasterio

    for name, variable, step in (("ncep", "air", 6), ("sparse", "count", 3)):
        known = xr.open_zarr(f"{served.url}/zarr/{name}", mask_and_scale=False)[variable]
        with rasterio.open(f'ZARR:"/vsicurl/{served.url}/zarr2/{name}":/{variable}') as ds:
            # A band for each step; the transform is from the coordinates.
            assert (ds.count, ds.height, ds.width) == known.shape
            np.testing.assert_array_equal(ds.read(step + 1), known[step])
            west, north = ds.xy(0, 0)
            x, y = known.dims[-1], known.dims[-2]
            assert abs(west - float(known[x][0])) < 1e-3 and abs(north - float(known[y][0])) < 1e-3
