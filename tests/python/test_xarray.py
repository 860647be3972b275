"""xarray opens what the map reads, and finds the known answers in it."""

import csv
import io
import json
import urllib.parse
import urllib.request

import numpy as np
import pytest
import xarray as xr

from conftest import collection_of, references, sample_data

GRIDS = [g for g in references()["grids"] if "curvilinear" not in g["file"] and "projected" not in g["file"]]
STORED_WHOLE = [g for g in references()["grids"] if g not in GRIDS]


def ident(g):
    return f"{collection_of(g['file'])}-{g['var']}"


def close(a, b):
    return np.allclose(a, b, rtol=1e-6, atol=1e-6)


@pytest.fixture(scope="session")
def opened(server):
    cache = {}

    def open_(collection):
        if collection not in cache:
            # decode_times is tested by itself: year 0 and odd months are not for every decoder
            cache[collection] = xr.open_zarr(f"{server.url}/zarr/{collection}", decode_times=False)
        return cache[collection]

    return open_


def test_the_sample_data_is_there():
    if not sample_data():
        pytest.skip("SKIPPED: sample data not found; set GRATICULE_SAMPLE_DATA to check the known answers")
    assert len(GRIDS) >= 14


@pytest.mark.parametrize("g", GRIDS + STORED_WHOLE, ids=ident)
def test_shape_and_statistics_are_the_known_ones(g, opened):
    v = opened(collection_of(g["file"]))[g["var"]]
    assert list(v.dims) == g["dims"] and list(v.shape) == g["shape"]
    a = v.values.astype("f8")
    a = a[np.isfinite(a)]
    o = g["overall"]
    assert a.size == o["valid"]
    for found, known in [(a.min(), "min"), (a.max(), "max"), (a.mean(), "mean"), (a.std(), "std")]:
        assert close(found, o[known]), (known, found, o[known])


@pytest.mark.parametrize("g", GRIDS, ids=ident)
def test_points_and_their_series_are_the_known_ones(g, opened):
    v = opened(collection_of(g["file"]))[g["var"]]
    for p in g["points"]:
        series = v.isel(p["index"])
        assert close(float(series[g["lat"]]), p["grid_lat"]) and close(float(series[g["lon"]]), p["grid_lon"])
        flat = series.values.astype("f8").ravel()
        known = np.array([np.nan if x is None else x for x in p["first"]], dtype="f8")
        assert np.allclose(flat[: known.size], known, rtol=1e-6, atol=1e-6, equal_nan=True)


@pytest.mark.parametrize("g", GRIDS, ids=ident)
def test_regions_are_the_known_ones(g, opened):
    v = opened(collection_of(g["file"]))[g["var"]]
    lat, lon = v[g["lat"]].values.astype("f8"), (v[g["lon"]].values.astype("f8") + 180) % 360 - 180
    for r in g["regions"]:
        w, e, s, n = r["bbox_wesn"]
        # a box whose west lies east of its east crosses the antimeridian
        columns = (lon >= w) & (lon <= e) if w <= e else (lon >= w) | (lon <= e)
        rows = (lat >= s) & (lat <= n)
        box = v.isel({g["lat"]: rows, g["lon"]: columns}).values.astype("f8")
        box = box[np.isfinite(box)]
        assert box.size == r["valid"]
        assert close(box.min(), r["min"]) and close(box.max(), r["max"]) and close(box.mean(), r["mean"])


@pytest.mark.parametrize("g", [g for g in GRIDS if "iso_first" in g.get("time", {})], ids=ident)
def test_times_decode_to_the_known_instants(g, server):
    coder = xr.coders.CFDatetimeCoder(use_cftime=True)
    ds = xr.open_zarr(f"{server.url}/zarr/{collection_of(g['file'])}", decode_times=coder)
    name = next((d for d in g["dims"] if "time" in d.lower()), "day")
    t = np.atleast_1d(ds[name].values)
    assert len(t) == g["time"]["n"]
    assert t[0].isoformat() == g["time"]["iso_first"]
    assert t[-1].isoformat() == g["time"]["iso_last"]


def position(server, g, p, form):
    query = urllib.parse.urlencode(
        {"coords": f"POINT({p['query_lon']} {p['query_lat']})", "parameter-name": g["var"], "f": form}
    )
    url = f"{server.url}/api/collections/{collection_of(g['file'])}/position?{query}"
    return urllib.request.urlopen(url).read()


@pytest.mark.parametrize("g", GRIDS, ids=ident)
def test_the_position_query_gives_the_same_numbers(g, server):
    for p in g["points"]:
        known = np.array([np.nan if x is None else x for x in p["first"]], dtype="f8")
        coverage = json.loads(position(server, g, p, "CoverageJSON"))
        values = [np.nan if x is None else x for x in coverage["ranges"][g["var"]]["values"]]
        assert np.allclose(values[: known.size], known, rtol=1e-6, atol=1e-6, equal_nan=True)
        assert coverage["ranges"][g["var"]]["shape"] == p["series_shape"]
        axes = coverage["domain"]["axes"]
        assert close(axes["y"]["values"][0], p["grid_lat"])
        assert close((axes["x"]["values"][0] - p["grid_lon"] + 180) % 360 - 180, 0)
        rows = list(csv.reader(io.StringIO(position(server, g, p, "CSV").decode())))
        column = [np.nan if r[-1] == "" else float(r[-1]) for r in rows[1:]]
        assert np.array_equal(column, values, equal_nan=True)


@pytest.mark.parametrize("g", GRIDS, ids=ident)
def test_each_pyramid_level_is_the_area_weighted_mean_of_the_finest(g, server):
    """Against a plain implementation, cell by cell."""
    url = f"{server.url}/zarr/{collection_of(g['file'])}"
    fine = xr.open_zarr(url, decode_times=False)
    layout = fine.attrs.get("multiscales", {}).get("layout", [])
    fine_v = fine[g["var"]]
    lead = {d: 0 for d in fine_v.dims[:-2]}
    base = fine_v.isel(lead).values.astype("f8")
    weight = np.cos(np.deg2rad(fine[g["lat"]].values.astype("f8")))[:, None] * np.isfinite(base)
    total = np.nan_to_num(base) * weight
    # packed integers are rounded to their own step, float32 to its own
    step = abs(fine_v.encoding.get("scale_factor") or 0.0)
    for k, level in enumerate(layout[1:], 1):
        coarse = xr.open_zarr(url, group=level["asset"], decode_times=False)
        if g["var"] not in coarse:
            continue
        v = coarse[g["var"]].isel(lead).values.astype("f8")
        f = 2**k
        pad = [(0, -n % f) for n in base.shape]
        blocks = lambda a: np.pad(a, pad).reshape(-(-a.shape[0] // f), f, -(-a.shape[1] // f), f).sum((1, 3))
        with np.errstate(invalid="ignore"):
            expected = np.where(blocks(weight) > 0, blocks(total) / blocks(weight), np.nan)
        assert v.shape == expected.shape
        assert np.array_equal(np.isfinite(v), np.isfinite(expected))
        scale = np.nanmax(np.abs(expected))
        assert np.nanmax(np.abs(v - expected)) <= 0.51 * step + 1e-6 * scale


def test_a_pinned_version_is_the_same_store(server):
    any_collection = collection_of(GRIDS[0]["file"]) if GRIDS else "ncep"
    listed = json.loads(
        urllib.request.urlopen(f"{server.url}/api/collections/{any_collection}/versions").read()
    )["versions"]
    newest = listed[0]["id"]
    latest = xr.open_zarr(f"{server.url}/zarr/{any_collection}", decode_times=False)
    pinned = xr.open_zarr(f"{server.url}/zarr/{any_collection}@{newest}", decode_times=False)
    xr.testing.assert_identical(latest, pinned)
