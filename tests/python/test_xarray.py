"""Coarser levels and pinned versions, as xarray opens them; the finest is for test_known_answers."""

import json
import urllib.request

import numpy as np
import pytest
import xarray as xr

from conftest import collection_of, references

GRIDS = [g for g in references()["grids"] if "curvilinear" not in g["file"] and "projected" not in g["file"]]


def ident(g):
    return f"{collection_of(g['file'])}-{g['var']}"


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
