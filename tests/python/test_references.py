"""Cubes whose full resolution stays in the files: equal to the files, exported, broken when a file goes."""

import json
import os
import pathlib
import shutil
import subprocess
import time
import urllib.error
import urllib.request

import fsspec
import netCDF4
import numpy as np
import pytest
import xarray as xr
import zarr

from conftest import Server, binary, sample_data

FILES = {
    "netcdf/ostia_20170605.nc": ["analysed_sst", "sst_anomaly"],
    "netcdf/eraint_uvz.nc": ["u", "v", "z"],
    "zarr/v3_sharded_eraint_u.zarr": ["u"],
    "kerchunk/local_air.json": ["air"],
}


def run(*arguments, ok=True):
    done = subprocess.run([binary(), *map(str, arguments)], capture_output=True, text=True)
    assert (done.returncode == 0) == ok, done.stdout + done.stderr
    return done.stdout + done.stderr


def name_of(file):
    return file.split("/")[-1].split(".")[0] + "_ref"


def daily(path, day, chunk=(1, 40, 50), **encoding):
    """A file of two days, compressed as HDF5 compresses."""
    with netCDF4.Dataset(path, "w") as f:
        for name, n in (("time", None), ("lat", 300), ("lon", 400)):
            f.createDimension(name, n)
        time = f.createVariable("time", "f8", ("time",))
        time.units, time.standard_name = "days since 2020-01-01", "time"
        lat, lon = f.createVariable("lat", "f4", ("lat",)), f.createVariable("lon", "f4", ("lon",))
        lat.units, lon.units = "degrees_north", "degrees_east"
        lat[:], lon[:] = np.linspace(-60, 60, 300), np.linspace(0, 80, 400)
        v = f.createVariable("t", "i2", ("time", "lat", "lon"), chunksizes=chunk, fill_value=-999, **encoding)
        v.units, v.scale_factor, v.add_offset = "K", 0.01, 280.0
        v.set_auto_maskandscale(False)
        time[:] = [day, day + 1]
        v[:] = (np.arange(2 * 300 * 400).reshape(2, 300, 400) * (day + 1) * 7919) % 4001 - 2000
        v[0, :40, :50] = -999
    return path


@pytest.fixture(scope="module")
def refs(tmp_path_factory):
    data = tmp_path_factory.mktemp("refs")
    files = data / "files"
    files.mkdir()
    for day in (0, 2, 4):
        daily(files / f"d{day}.nc", day, compression="zlib", shuffle=True, fletcher32=True)
    run("ingest", files / "d0.nc", files / "d2.nc", "--collection", "daily", "--reference", "--data", data)
    run("ingest", files / "d4.nc", "--collection", "daily", "--reference", "--data", data)
    if sample_data():
        for file in FILES:
            run("ingest", sample_data() / file, "--collection", name_of(file), "--reference", "--data", data)
    s = Server(data)
    s.data, s.files = data, files
    yield s
    s.stop()


def chunk_files(data, collection):
    return sum(p.stat().st_size for p in (data / "collections" / collection / "repo" / "chunks").glob("*"))


def test_files_that_follow_one_another_are_one_cube_and_nothing_is_copied(refs):
    served = xr.open_zarr(f"{refs.url}/zarr/daily")
    files = xr.concat([xr.open_dataset(p) for p in sorted(refs.files.glob("*.nc"))], "time", data_vars="minimal")
    xr.testing.assert_equal(served.t.load(), files.t.load())
    np.testing.assert_array_equal(served.time, files.time)
    out = refs.data / "nothing_copied.json"
    run("export", "daily", "--kerchunk", out, "--data", refs.data)
    chunks = {k: v for k, v in json.loads(out.read_text())["refs"].items() if k.startswith("t/") and k[2].isdigit()}
    # Bytes of the files, each given once.
    assert len(chunks) == 6 * 8 * 8 and all(isinstance(v, list) and len(v) == 3 for v in chunks.values())
    assert len({tuple(v) for v in chunks.values()}) == len(chunks)
    assert {pathlib.Path(v[0]).name for v in chunks.values()} == {"d0.nc", "d2.nc", "d4.nc"}
    array = zarr.open_group(f"{refs.url}/zarr/daily", mode="r")["t"]
    assert array.chunks == (1, 40, 50)
    # Nor is anything written that no version needs.
    assert json.loads(run("check", "daily", "--json", "--data", refs.data))["findings"] == []


def test_a_version_before_the_append_is_as_it_was(refs):
    versions = json.loads(urllib.request.urlopen(f"{refs.url}/api/collections/daily/versions").read())
    first = versions["versions"][-1]["id"]
    assert xr.open_zarr(f"{refs.url}/zarr/daily@{first}").sizes["time"] == 4


def test_coarser_levels_are_means_of_the_files_cells(refs):
    served = xr.open_zarr(f"{refs.url}/zarr/daily", group="1")
    full = xr.open_zarr(f"{refs.url}/zarr/daily").t.load()
    lat = np.cos(np.deg2rad(full.lat))
    assert served.t.shape == (6, 150, 200)
    weights = lat.broadcast_like(full).where(full.notnull())
    mean = (full * weights).coarsen(lat=2, lon=2).sum() / weights.coarsen(lat=2, lon=2).sum()
    inner = np.abs(served.t.values[:, 30:, 30:] - mean.values[:, 30:, 30:])
    assert np.nanmax(inner) <= 0.0051


@pytest.mark.skipif(not sample_data(), reason="SKIPPED: sample data not found; set GRATICULE_SAMPLE_DATA")
@pytest.mark.parametrize("file", FILES)
def test_a_reference_cube_equals_xarray_on_the_file(file, refs):
    path = sample_data() / file
    if file.endswith(".json"):
        path = sample_data() / "netcdf/air_kerchunk.nc"
    for raw in (True, False):
        served = xr.open_zarr(f"{refs.url}/zarr/{name_of(file)}", mask_and_scale=not raw)
        direct = xr.open_zarr if file.endswith(".zarr") else xr.open_dataset
        direct = direct(path, mask_and_scale=not raw)
        for name in FILES[file]:
            a, b = served[name].load().values, direct[name].load().values
            # Factors are float32 in the file and float64 in JSON: decoded values differ in their last digits.
            np.testing.assert_allclose(a, b, rtol=0 if raw else 1e-6, err_msg=name)


def test_positions_are_answered_from_the_files(refs):
    query = "coords=POINT(40.1%2020.3)&parameter-name=t"
    body = json.loads(urllib.request.urlopen(f"{refs.url}/api/collections/daily/position?{query}").read())
    full = xr.open_zarr(f"{refs.url}/zarr/daily").t.load()
    expected = full.sel(lon=40.1, lat=20.3, method="nearest")
    np.testing.assert_allclose(np.array(body["ranges"]["t"]["values"], "f8"), expected, rtol=1e-6)


def test_what_cannot_follow_is_refused_and_says_why(refs, tmp_path):
    other = daily(tmp_path / "d6.nc", 6, chunk=(2, 40, 50), compression="zlib", shuffle=True, fletcher32=True)
    said = run("ingest", other, "--collection", "daily", "--reference", "--data", refs.data, ok=False)
    assert "its chunks are [2, 40, 50], those of the collection [1, 40, 50]" in said
    other = daily(tmp_path / "d8.nc", 8, compression="zlib", shuffle=False)
    said = run("ingest", other, "--collection", "daily", "--reference", "--data", refs.data, ok=False)
    assert "its codecs are" in said
    said = run("ingest", other, "--collection", "daily", "--data", refs.data, ok=False)
    assert "append with --reference" in said


def test_an_export_is_read_by_fsspec_and_xarray(refs, tmp_path):
    out = tmp_path / "daily.json"
    run("export", "daily", "--kerchunk", out, "--data", refs.data)
    said = json.loads(out.read_text())
    spans = [v for v in said["refs"].values() if isinstance(v, list)]
    assert said["version"] == 1 and len(spans) == 6 * 8 * 8
    assert {s[0] for s in spans} == {str(p.resolve()) for p in refs.files.glob("*.nc")}
    fs = fsspec.filesystem("reference", fo=str(out), remote_protocol="file", asynchronous=False)
    try:
        store = zarr.storage.FsspecStore(fs, read_only=True)
    except Exception:
        from fsspec.implementations.asyn_wrapper import AsyncFileSystemWrapper

        store = zarr.storage.FsspecStore(AsyncFileSystemWrapper(fs), read_only=True)
    assert ".zgroup" in said["refs"]
    opened = xr.open_zarr(store, consolidated=False)
    full = xr.open_zarr(f"{refs.url}/zarr/daily")
    xr.testing.assert_equal(opened.t.load(), full.t.load())


def lazily(folder):
    """A folder of Parquet references as a store for xarray."""
    from fsspec.implementations.asyn_wrapper import AsyncFileSystemWrapper

    fs = fsspec.filesystem("reference", fo=str(folder), remote_protocol="file", lazy=True)
    if not fs.asynchronous:
        fs = AsyncFileSystemWrapper(fs, asynchronous=True) if not fs.async_impl else fs
    return zarr.storage.FsspecStore(fs, read_only=True)


@pytest.mark.parametrize("size", [10_000, 7])
def test_parquet_references_are_read_by_fsspec_and_xarray(refs, tmp_path, size):
    pytest.importorskip("fastparquet", reason="SKIPPED: fastparquet is not installed")
    out = tmp_path / "daily.parq"
    said = run("export", "daily", "--parquet", out, "--record-size", size, "--data", refs.data)
    assert f"{6 * 8 * 8} references" in said
    metadata = json.loads((out / ".zmetadata").read_text())
    assert metadata["record_size"] == size and "t/.zarray" in metadata["metadata"]
    assert len(list((out / "t").glob("refs.*.parq"))) == -(-6 * 8 * 8 // size)
    fs = fsspec.filesystem("reference", fo=str(out), remote_protocol="file", lazy=True)
    file, offset, length = fs.references["t/1.2.3"]
    assert str(file).startswith(str(refs.files.resolve()))
    with open(file, "rb") as f:
        f.seek(int(offset))
        assert f.read(int(length)) == fs.cat("t/1.2.3") == get(f"{refs.url}/zarr/daily/t/c/1/2/3")[1]
    opened = xr.open_zarr(lazily(out), consolidated=False)
    full = xr.open_zarr(f"{refs.url}/zarr/daily")
    xr.testing.assert_equal(opened.t.load(), full.t.load())
    np.testing.assert_array_equal(opened.lat, full.lat)


def test_parquet_references_do_not_replace_what_is_there(refs, tmp_path):
    (tmp_path / "there").mkdir()
    said = run("export", "daily", "--parquet", tmp_path / "there", "--data", refs.data, ok=False)
    assert "is there already" in said
    if sample_data():
        out = tmp_path / "shards"
        said = run("export", "v3_sharded_eraint_u_ref", "--parquet", out, "--data", refs.data, ok=False)
        assert "use --kerchunk" in said and not out.exists()


def get(url):
    try:
        return 200, urllib.request.urlopen(url).read(), {}
    except urllib.error.HTTPError as e:
        return e.code, e.read(), e.headers


def status(server, collection):
    return json.loads(get(f"{server.url}/api/collections/{collection}")[1])["graticule:status"]


def until_broken(server, collection):
    """Its status once it is broken, or after ten seconds."""
    for _ in range(20):
        said = status(server, collection)
        if said["state"] == "broken":
            break
        time.sleep(0.5)
    return said


def test_a_file_that_vanishes_or_changes_breaks_the_cube_and_is_named(refs, tmp_path):
    file = daily(tmp_path / "gone.nc", 0, compression="zlib", shuffle=True)
    run("ingest", file, "--collection", "fragile", "--reference", "--data", refs.data)
    chunk = f"{refs.url}/zarr/fragile/t/c/1/3/3"
    code, body, _ = get(chunk)
    assert code == 200 and len(body) > 0
    assert status(refs, "fragile") == {"state": "intact"}
    os.utime(file, (1, 1))
    code, body, headers = get(chunk)
    problem = json.loads(body)
    assert code == 502 and headers["Content-Type"] == "application/problem+json"
    assert problem["file"] == str(file.resolve()) and "was modified at 1 s" in problem["detail"]
    backup = tmp_path / "backup.nc"
    shutil.move(file, backup)
    code, body, _ = get(chunk)
    assert code == 502 and "cannot be read" in json.loads(body)["detail"]
    said = until_broken(refs, "fragile")
    assert said["state"] == "broken" and said["files"] == [str(file.resolve())]
    assert str(file.resolve()) in said["detail"]
    listed = json.loads(get(f"{refs.url}/api/collections")[1])["collections"]
    assert {c["id"]: c["graticule:status"]["state"] for c in listed}["fragile"] == "broken"
    with pytest.raises(Exception):
        xr.open_zarr(f"{refs.url}/zarr/fragile").t.load()
