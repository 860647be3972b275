"""What is too much is refused with parts that are answered, and that together are what was asked."""

import csv
import io
import json
import subprocess
import urllib.error
import urllib.parse

import numpy as np
import pytest
import shapely
import xarray as xr

from conftest import Server, binary
from edr import ask, dataset, query, refusal, values


def grid(rows, columns, times=(0,), **more):
    """Zeros, to be filled."""
    dims = {"time": len(times), **{k: len(v) for k, v in more.items()}, "lat": rows, "lon": columns}
    units = {"time": "days since 2000-01-01", "level": "hPa", "lat": "degrees_north", "lon": "degrees_east"}
    axes = {"time": np.asarray(times), **more, "lat": np.linspace(-80, 80, rows), "lon": np.linspace(-180, 179, columns)}
    return xr.Dataset(
        {"v": (tuple(dims), np.zeros(tuple(dims.values()), "f4"))},
        coords={k: (k, v, {"units": units[k]}) for k, v in axes.items()},
    )


@pytest.fixture(scope="module")
def sources():
    big = grid(400, 400, np.arange(30))
    big.v[:] = np.arange(30)[:, None, None]
    high = grid(800, 800)
    high.v[:] = np.arange(640_000).reshape(1, 800, 800)
    wide = grid(2500, 2000)
    wide.v[:] = np.random.default_rng(1).normal(280, 10, wide.v.shape)
    wide.v[0, ::7, ::5] = np.nan
    # Levels by which there are many steps of few cells.
    long = grid(2, 2, np.arange(25_000), level=np.array([1000.0, 850, 700, 500, 400, 300, 250, 200, 100]))
    long.v[:] = np.arange(25_000)[:, None, None, None] + np.arange(9)[:, None, None] / 16
    fine = grid(300, 300)
    fine.v[:] = np.arange(90_000).reshape(1, 300, 300)
    # Hours of one, days of another.
    axes = {"lat": ("lat", fine.lat.values, fine.lat.attrs), "lon": ("lon", fine.lon.values, fine.lon.attrs)}
    clocks = xr.Dataset(
        {"a": (("time", "lat", "lon"), np.full((43, 300, 300), 1, "f4")), "b": (("day", "lat", "lon"), np.full((2, 300, 300), 2, "f4"))},
        coords={
            "time": ("time", np.arange(43)[::-1], {"units": "hours since 2000-01-01", "standard_name": "time"}),
            "day": ("day", [0, 1], {"units": "days since 2000-01-01", "standard_name": "time"}),
            **axes,
        },
    )
    return {"clocks": clocks, "big": big, "high": high, "wide": wide, "long": long, "fine": fine}


@pytest.fixture(scope="module")
def served(sources, tmp_path_factory):
    base = tmp_path_factory.mktemp("split")
    for name, source in sources.items():
        source.to_netcdf(base / f"{name}.nc")
        recipe = []
        if name == "fine":
            (base / "fine.toml").write_text('[collection]\nid = "fine"\n[cube]\nchunks = { lat = 2, lon = 2 }\n')
            recipe = ["--recipe", base / "fine.toml"]
        subprocess.run(
            [binary(), "ingest", *recipe, base / f"{name}.nc", "--collection", name, "--data", base / "d"],
            check=True, capture_output=True,
        )
    s = Server(base / "d")
    yield s
    s.stop()


def post(server, collection, what, body):
    url = f"{server.url}/api/collections/{collection}/{what}"
    return ask(url, json.dumps(body).encode(), **{"Content-Type": "application/json"})[0]


def refused_post(server, collection, what, body):
    with pytest.raises(urllib.error.HTTPError) as e:
        post(server, collection, what, body)
    return e.value.code, json.loads(e.value.read())


def points_of(body):
    """Longitude, latitude and value of point features."""
    return [(*f["geometry"]["coordinates"][:2], f["properties"]["v"]) for f in json.loads(body)["features"]]


def test_what_is_too_much_is_split_by_time(served, sources):
    where = {"bbox": "-180,-90,180,90", "f": "NetCDF4"}
    status, problem = refusal(served, "big", "cube", **where)
    assert status == 413 and problem["parameter"] == "datetime" and "again" not in problem, problem
    parts = [dataset(query(served, "big", "cube", datetime=t, **where)) for t in problem["split"]]
    whole = xr.concat(parts, "time")
    assert whole.v.shape == (30, 400, 400) and (whole.v.values == sources["big"].v.values).all()


def test_an_interval_that_one_of_the_parameters_has_no_step_in_is_no_part(served):
    where = {"bbox": "-180,-90,180,90", "f": "NetCDF4"}
    status, problem = refusal(served, "clocks", "cube", **where)
    assert status == 413 and problem["parameter"] == "parameter-name" and problem["split"] == ["a", "b"], problem
    # Alone, and from late to early, it is cut by time.
    status, problem = refusal(served, "clocks", "cube", parameter_name="a", **{**where, "f": "CSV"})
    assert status == 413 and problem["parameter"] == "datetime", problem
    steps = [t for part in problem["split"] for t in dataset(query(served, "clocks", "cube", parameter_name="a", datetime=part, **where)).time.values]
    assert len(steps) == len(set(steps)) == 43


@pytest.mark.parametrize(
    "what,asked,parameter",
    [
        ("cube", {"bbox": "-180,-90,180,90"}, "bbox"),
        ("area", {"coords": "POLYGON((-170 -60,170 -75,160 78,-170 70,-170 -60))"}, "coords"),
        ("radius", {"coords": "POINT(100 20)", "within": "14000"}, "bbox"),
        ("radius", {"coords": "POINT(175 -5)", "within": "15000", "bbox": "20,-60,19,70"}, "bbox"),
    ],
)
def test_one_step_of_a_region_is_split_into_strips_that_are_the_whole(served, what, asked, parameter):
    where = {"datetime": "2000-01-01"}
    status, problem = refusal(served, "high", what, **asked, **where, f="GeoJSON")
    assert status == 413 and problem["parameter"] == parameter and "again" not in problem, problem
    assert len(problem["split"]) in (2, 3), "no more parts than are needed"
    found = []
    for part in problem["split"]:
        found += points_of(query(served, "high", what, **{**asked, parameter: part}, **where, f="GeoJSON"))
    rows = csv.DictReader(io.StringIO(query(served, "high", what, **asked, **where, f="CSV").decode()))
    whole = [(float(r["longitude"]), float(r["latitude"]), float(r["v"])) for r in rows if r["v"]]
    turn = lambda list: sorted((round((x + 180) % 360, 6), round(y, 6), v) for x, y, v in list if v is not None)
    assert turn(found) == turn(whole) and len(found) > 400_000


def test_a_circle_has_only_the_cells_that_are_in_its_box_too(served, sources):
    source = sources["high"].v.isel(time=0)
    asked = {"coords": "POINT(175 60)", "within": "3000", "f": "CSV"}
    rows = lambda **more: {
        (float(r["longitude"]), float(r["latitude"]))
        for r in csv.DictReader(io.StringIO(query(served, "high", "radius", **asked, **more).decode()))
        if r["v"]
    }
    both, circle = rows(bbox="170,50,-160,90"), rows()
    inside = {(x, y) for x, y in circle if 50 <= y and (x % 360) >= 170 and (x % 360) <= 200}
    assert both == inside and 0 < len(both) < len(circle)
    assert source.size > len(circle)
    status, problem = refusal(served, "high", "radius", **asked, bbox="0,-50,10,-40")
    assert status == 400 and "no cell lies in it" in problem["detail"], problem


def test_points_that_lie_in_too_many_chunks_are_asked_for_in_pieces(served):
    # Each between four chunks of its own.
    lat, lon = np.linspace(-80, 80, 300), np.linspace(-180, 179, 300)
    middle = lambda axis: (axis[1:-1:4] + axis[2::4]) / 2
    wkt = "MULTIPOINT(" + ",".join(f"{x:.6f} {y:.6f}" for y in middle(lat) for x in middle(lon)) + ")"
    asked = {"coords": wkt, "method": "bilinear"}
    estimate = json.loads(post(served, "fine", "position", {**asked, "estimate": True}))
    assert estimate["chunks"] == 22_500 and not estimate["allowed"]
    status, problem = refused_post(served, "fine", "position", asked)
    assert status == 413 and problem["parameter"] == "coords" and "again" not in problem, problem["detail"]
    parts = [json.loads(post(served, "fine", "position", {**asked, "coords": c, "estimate": True})) for c in problem["split"]]
    assert all(p["allowed"] for p in parts) and sum(p["chunks"] for p in parts) == 22_500
    assert sum(len(c.split(",")) for c in problem["split"]) == 75 * 75


def test_more_points_than_are_looked_for_at_once_are_asked_for_in_pieces(served, sources):
    rng = np.random.default_rng(7)
    places = np.c_[rng.uniform(-179, 178, 23_000), rng.uniform(-79, 79, 23_000)].round(3)
    as_wkt = "MULTIPOINT(" + ",".join(f"{x} {y}" for x, y in places) + ")"
    as_json = json.dumps({"type": "MultiPoint", "coordinates": places.tolist()})
    known = sources["high"].v.isel(time=0).sel(
        lon=xr.DataArray(places[:, 0], dims="p"), lat=xr.DataArray(places[:, 1], dims="p"), method="nearest"
    )
    for coords in (as_wkt, as_json):
        status, problem = refused_post(served, "high", "position", {"coords": coords, "f": "CSV"})
        assert status == 413 and problem["parameter"] == "coords" and len(problem["split"]) == 3, problem["detail"]
        found = []
        for part in problem["split"]:
            rows = csv.DictReader(io.StringIO(post(served, "high", "position", {"coords": part, "f": "CSV"}).decode()))
            found += [float(r["v"]) for r in rows]
        assert found == known.values.tolist()


def test_a_path_across_too_many_cells_is_asked_for_in_pieces(served):
    legs = [(-179, y, 178, y) for y in np.linspace(-79, 79, 180).round(3)]
    line = ",".join(f"{a} {b},{c} {d}" if i % 2 == 0 else f"{c} {d},{a} {b}" for i, (a, b, c, d) in enumerate(legs))
    asked = {"coords": f"LINESTRING({line})", "f": "CSV"}
    status, problem = refused_post(served, "high", "trajectory", asked)
    assert status == 413 and problem["parameter"] == "coords" and "again" not in problem, problem["detail"]

    def cells(coords):
        rows = csv.DictReader(io.StringIO(post(served, "high", "trajectory", {**asked, "coords": coords}).decode()))
        return [(r["longitude"], r["latitude"], r["v"]) for r in rows]

    pieces = [cells(c) for c in problem["split"]]
    for before, after in zip(pieces, pieces[1:]):
        assert before[-1] == after[0], "a piece begins in the cell where the last one ends"
    joined = [c for i, piece in enumerate(pieces) for c in piece[i > 0 :]]
    # Each half alone is not too much.
    places = line.split(",")
    first, second = cells(f"LINESTRING({','.join(places[:181])})"), cells(f"LINESTRING({','.join(places[180:])})")
    assert joined == first + second[1:] and len(joined) > 140_000


def test_a_path_through_too_many_times_is_asked_for_in_pieces(served):
    # From corner to corner, a day each.
    corners = [(-180, -80), (179, -80), (179, 80), (-180, 80)]
    path = [(*corners[i % 4], 946684800 + 86400 * i) for i in range(24_000)]
    asked = {"coords": "LINESTRINGM(" + ",".join(f"{x} {y} {m}" for x, y, m in path) + ")", "z": "850", "f": "CSV"}
    status, problem = refused_post(served, "long", "trajectory", asked)
    assert status == 413 and problem["parameter"] == "coords", problem["detail"]
    seen = set()
    for part in problem["split"]:
        assert part.startswith("LINESTRINGM("), part[:60]
        rows = csv.DictReader(io.StringIO(post(served, "long", "trajectory", {**asked, "coords": part}).decode()))
        seen |= {float(r["v"]) for r in rows}
    assert seen >= {i + 1 / 16 for i in range(24_000)}


def test_statistics_of_too_many_steps_are_split_by_time(served):
    body = {"bbox": [-180, -90, 180, 90]}
    status, problem = refused_post(served, "long", "statistics", body)
    assert status == 413 and problem["parameter"] == "datetime" and "225000 steps" in problem["detail"], problem["detail"]
    means = []
    for part in problem["split"]:
        v = json.loads(post(served, "long", "statistics", {**body, "datetime": part}))["parameters"]["v"]
        means += np.reshape(v["mean"], v["shape"]).tolist()
    np.testing.assert_allclose(means, np.arange(25_000)[:, None] + np.arange(9) / 16, rtol=1e-12)


@pytest.mark.parametrize("shape", ["box", "polygon"])
def test_statistics_of_five_million_cells_are_numpys(served, sources, shape):
    source = sources["wide"].v.isel(time=0)
    lon, lat = np.meshgrid(source.lon, source.lat)
    polygon = shapely.Polygon([(-178.3, -79), (175, -78), (160, 78.9), (100, 40), (-170, 79), (-178.3, -79)])
    body = {"bbox": [-180, -90, 180, 90]} if shape == "box" else {"geometry": shapely.geometry.mapping(polygon)}
    inside = np.ones(lon.shape, bool) if shape == "box" else shapely.contains_xy(polygon, lon, lat)
    found = json.loads(post(served, "wide", "statistics", body))["parameters"]["v"]
    half = (source.lat.values[1] - source.lat.values[0]) / 2
    edge = lambda y: np.sin(np.radians(np.clip(y, -90, 90)))
    weights = np.broadcast_to((edge(source.lat.values + half) - edge(source.lat.values - half))[:, None], lon.shape)
    v = source.values.astype("f8")
    there = inside & np.isfinite(v)
    assert found["count"] == [there.sum()] and found["missing"] == [(inside & ~np.isfinite(v)).sum()]
    mean = np.average(v[there], weights=weights[there])
    np.testing.assert_allclose(found["mean"], [mean], rtol=1e-12)
    spread = np.sqrt(np.average((v[there] - mean) ** 2, weights=weights[there]))
    np.testing.assert_allclose(found["std"], [spread], rtol=1e-10)
    assert (found["min"], found["max"]) == ([v[there].min()], [v[there].max()])
