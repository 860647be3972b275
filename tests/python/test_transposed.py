"""Files whose grid is not along the last dimensions: levels after the cells, time after the map."""

import json
import subprocess
import urllib.parse
import urllib.request

import numpy as np
import pytest
import xarray as xr

from conftest import Server, binary

CELLS, LEVELS, STEPS = 2000, 7, 3


def mesh():
    """As MPAS writes it: levels last, places in radians, without units."""
    n = np.arange(CELLS) + 0.5
    lat, lon = np.arcsin(1 - 2 * n / CELLS), (n * np.pi * (1 + 5**0.5)) % (2 * np.pi)
    theta = np.random.default_rng(1).normal(300, 10, (STEPS, CELLS, LEVELS)).astype("f4")
    return xr.Dataset(
        {
            "latCell": ("nCells", lat),
            "lonCell": ("nCells", lon),
            "theta": (("Time", "nCells", "nVertLevels"), theta, {"units": "K"}),
            "cellsOnCell": (("nCells", "maxEdges"), np.zeros((CELLS, 6), "i4")),
        }
    )


def plane():
    """Time last, longitude before latitude."""
    t = np.random.default_rng(2).normal(280, 10, (300, 150, 20)).astype("f4")
    return xr.Dataset(
        {"t": (("lon", "lat", "time"), t, {"units": "K"})},
        {
            "lon": ("lon", np.arange(300) * 1.2, {"units": "degrees_east"}),
            "lat": ("lat", 89.4 - np.arange(150) * 1.2, {"units": "degrees_north"}),
            "time": ("time", np.arange(20), {"units": "days since 2000-01-01"}),
        },
    )


@pytest.fixture(scope="module", params=["contiguous", "chunked"])
def served(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("transposed")
    for name, dataset in (("mesh", mesh()), ("plane", plane())):
        cut = {"theta": (1, 700, 4), "t": (64, 50, 8)}
        chunks = {v: {"chunksizes": c} for v, c in cut.items() if v in dataset} if request.param == "chunked" else {}
        kind = "NETCDF4" if chunks else "NETCDF3_64BIT"
        dataset.to_netcdf(folder / f"{name}.nc", format=kind, encoding=chunks)
        subprocess.run(
            [binary(), "ingest", folder / f"{name}.nc", "--collection", name, "--data", folder / "data"], check=True
        )
    s = Server(folder / "data")
    yield s
    s.stop()


def get(server, path, **query):
    return json.loads(urllib.request.urlopen(f"{server.url}{path}?{urllib.parse.urlencode(query)}").read())


def test_every_value_is_at_its_coordinates_and_the_note_says_what_was_done(served):
    theta = xr.open_zarr(f"{served.url}/zarr/mesh").theta
    assert theta.dims == ("Time", "nVertLevels", "nCells")
    assert np.array_equal(theta.transpose("Time", "nCells", "nVertLevels").values, mesh().theta.values)
    cells = xr.open_zarr(f"{served.url}/zarr/mesh").cellsOnCell
    assert cells.dims == ("nCells", "maxEdges")
    t = xr.open_zarr(f"{served.url}/zarr/plane").t
    assert t.dims == ("time", "lat", "lon")
    assert np.array_equal(t.transpose("lon", "lat", "time").values, plane().t.values)
    item = get(served, "/api/collections/plane/items")["features"][0]
    assert "dimensions (lon, lat, time), stored as (time, lat, lon)" in json.dumps(item)


def test_there_is_a_pyramid_and_a_position_answers_by_the_true_cell(served):
    root = xr.open_zarr(f"{served.url}/zarr/mesh", group="1")
    assert root.theta.dims[:2] == ("Time", "nVertLevels") and root.theta.ndim == 4
    dataset = mesh()
    for cell in (0, 77, CELLS - 1):
        lon, lat = np.degrees([dataset.lonCell.values[cell], dataset.latCell.values[cell]])
        answer = get(
            served, "/api/collections/mesh/position", coords=f"POINT({lon} {lat})", **{"parameter-name": "theta"}
        )
        coverages = answer["coverages"]
        values = np.array([c["ranges"]["theta"]["values"] for c in coverages], "f4").ravel()
        assert np.allclose(np.sort(values), np.sort(dataset.theta.values[:, cell].ravel()))
    answer = get(served, "/api/collections/plane/position", coords="POINT(12 77.4)", **{"parameter-name": "t"})
    assert np.allclose(answer["ranges"]["t"]["values"], plane().t.values[10, 10])


def test_the_next_granule_is_appended_and_a_reference_keeps_the_order_of_the_file(served, tmp_path):
    later = plane().assign_coords(time=("time", np.arange(20) + 20, {"units": "days since 2000-01-01"}))
    for name, dataset in (("a", plane()), ("b", later)):
        dataset.to_netcdf(tmp_path / f"{name}.nc")
    for name in "ab":
        run = [binary(), "ingest", tmp_path / f"{name}.nc", "--collection", "grown", "--data", tmp_path / "data"]
        subprocess.run(run, check=True)
    run = [binary(), "ingest", tmp_path / "a.nc", "--reference", "--collection", "kept", "--data", tmp_path / "data"]
    subprocess.run(run, check=True)
    server = Server(tmp_path / "data")
    try:
        grown = xr.open_zarr(f"{server.url}/zarr/grown").t
        assert grown.sizes["time"] == 40
        assert np.array_equal(grown[20:].transpose("lon", "lat", "time").values, plane().t.values)
        assert xr.open_zarr(f"{server.url}/zarr/kept").t.dims == ("lon", "lat", "time")
    finally:
        server.stop()
