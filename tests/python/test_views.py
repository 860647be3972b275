"""Views: collections computed when they are read, against xarray doing the same on the same files."""

import json
import subprocess
import urllib.error
import urllib.request

import numpy as np
import pandas as pd
import pyproj
import pytest
import xarray as xr
import zarr

from conftest import Server, binary

RUNS = pd.to_datetime(["2024-01-01T00", "2024-01-01T12", "2024-01-02T00"])
LEADS = [0.0, 6.0, 12.0, 18.0, 24.0]


def daily():
    """Sixty days of two winds and a quality flag, global at two degrees, with holes."""
    rng = np.random.default_rng(7)
    time = pd.date_range("2023-11-20", periods=70, freq="D")
    lat, lon = np.arange(89.0, -90, -2), np.arange(0.0, 360, 2)
    shape = (len(time), len(lat), len(lon))
    u, v = (rng.normal(0, 10, shape).astype("f4") for _ in range(2))
    u[rng.random(shape) < 0.02] = np.nan
    quality = rng.integers(0, 8, shape).astype("i1")
    ds = xr.Dataset(
        {
            "u": (("time", "lat", "lon"), u, {"units": "m s-1", "standard_name": "eastward_wind"}),
            "v": (("time", "lat", "lon"), v, {"units": "m s-1", "standard_name": "northward_wind"}),
            "quality": (
                ("time", "lat", "lon"),
                quality,
                {
                    "flag_masks": np.array([3, 3, 4], "i1"),
                    "flag_values": np.array([0, 2, 4], "i1"),
                    "flag_meanings": "clear cloud ice",
                },
            ),
            "land": (("lat", "lon"), (rng.random(shape[1:]) < 0.3).astype("f4"), {"units": "1"}),
        },
        {"time": time, "lat": ("lat", lat, {"units": "degrees_north"}), "lon": ("lon", lon, {"units": "degrees_east"})},
        {"title": "Winds of a test", "Conventions": "CF-1.11"},
    )
    return ds


def forecast():
    """Three runs of five leads."""
    rng = np.random.default_rng(8)
    lat, lon = np.linspace(60, 40, 21), np.linspace(-10, 20, 31)
    values = rng.normal(280, 5, (3, 5, 21, 31)).astype("f4")
    return xr.Dataset(
        {"t2m": (("time", "step", "lat", "lon"), values, {"units": "K", "standard_name": "air_temperature"})},
        {
            "time": ("time", RUNS, {"standard_name": "forecast_reference_time"}),
            "step": ("step", LEADS, {"standard_name": "forecast_period", "units": "hours"}),
            "lat": ("lat", lat, {"units": "degrees_north"}),
            "lon": ("lon", lon, {"units": "degrees_east"}),
        },
        {"title": "A forecast of a test"},
    )


VIEWS = {
    "speed": """
[view]
id = "speed"
of = "winds"
title = "Wind speed, clear of cloud"
keep = ["u", "v", "quality", "land"]
[formula.speed]
is = "where(flag(quality, 'cloud'), nan, hypot(u, v))"
units = "m s-1"
standard_name = "wind_speed"
[formula.u]
is = "u * (1 - land)"
units = "m s-1"
""",
    "monthly": '[view]\nid = "monthly"\nof = "speed"\nkeep = ["speed"]\n[time]\nevery = "month"\nmethod = "mean"\n',
    "spread": '[view]\nid = "spread"\nof = "winds"\n[time]\nevery = "season"\nmethod = "std"\n',
    "climate": '[view]\nid = "climate"\nof = "winds"\nkeep = ["v"]\n[time]\nevery = "month-of-year"\nmethod = "max"\n',
    "seen": '[view]\nid = "seen"\nof = "winds"\nkeep = ["u"]\n[time]\nevery = "year"\nmethod = "count"\n',
    "polar": """
[view]
id = "polar"
of = "winds"
[grid]
crs = "EPSG:3413"
bbox = [-4000000, -4000000, 4000000, 4000000]
cell = 12500
""",
    "smooth": """
[view]
id = "smooth"
of = "winds"
keep = ["v"]
[grid]
crs = "OGC:CRS84"
bbox = [-30, 30, 30, 70]
cell = [0.5, 0.25]
method = "bilinear"
""",
    "best": '[view]\nid = "best"\nof = "forecast"\n[forecast]\ntake = "best"\n',
    "run": '[view]\nid = "run"\nof = "forecast"\n[forecast]\ntake = "run"\nrun = "2024-01-01T12:00:00Z"\n',
    "lead": '[view]\nid = "lead"\nof = "forecast"\n[forecast]\ntake = "lead"\nlead_hours = 12\n',
    "coarse": '[view]\nid = "coarse"\nof = "winds"\nkeep = ["v"]\n[grid]\nbbox = [-170.5, -80.5, 169.5, 79.5]\ncell = 10\n',
    "best-north": """
[view]
id = "best-north"
of = "best"
[grid]
crs = "EPSG:3413"
bbox = [-2000000, -6000000, 2000000, -2000000]
cell = 50000
""",
    "valid": '[view]\nid = "valid"\nof = "forecast"\n[forecast]\ntake = "valid"\nvalid = "2024-01-02T00:00:00Z"\n',
}


def declare(data, folder, text, check=True):
    file = folder / "view.toml"
    file.write_text(text)
    done = subprocess.run([binary(), "view", file, "--data", data], capture_output=True, text=True, timeout=60)
    assert not check or done.returncode == 0, done.stderr
    return done


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("views")
    data = folder / "data"
    for name, ds in (("winds", daily()), ("forecast", forecast())):
        ds.to_netcdf(folder / f"{name}.nc")
        command = [binary(), "ingest", folder / f"{name}.nc", "--collection", name, "--data", data]
        subprocess.run(command, check=True, capture_output=True, timeout=120)
    for text in VIEWS.values():
        declare(data, folder, text)
    server = Server(data)
    server.folder, server.data = folder, data
    yield server
    server.stop()


def opened(server, collection, **more):
    return xr.open_zarr(f"{server.url}/zarr/{collection}", **more)


def get(server, path):
    with urllib.request.urlopen(server.url + path) as answer:
        return json.loads(answer.read())


def test_a_formula_is_what_xarray_makes_of_the_same_variables(made):
    ds, view = daily(), opened(made, "speed").load()
    speed = np.hypot(ds.u, ds.v).where((ds.quality & 3) != 2)
    np.testing.assert_allclose(view.speed, speed, rtol=1e-6)
    assert view.speed.attrs["units"] == "m s-1" and view.speed.attrs["standard_name"] == "wind_speed"
    # A variable that takes a name has the place of the one before; another's dimensions are fewer.
    np.testing.assert_allclose(view.u, (ds.u * (1 - ds.land)).transpose("time", "lat", "lon"), rtol=1e-6)
    np.testing.assert_array_equal(view.v, ds.v)


@pytest.mark.parametrize("bounded", [True, False])
def test_a_month_that_is_called_by_its_end_is_of_itself_where_bounds_say_so(tmp_path, bounded):
    ends = np.cumsum([31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] * 2).astype("f8")
    time = {"units": "days since 2000-01-01", "calendar": "noleap", "standard_name": "time"}
    ds = xr.Dataset(
        {"v": (("time", "lat", "lon"), np.tile(np.arange(1.0, 13), 2)[:, None, None] * np.ones((24, 4, 8)), {"units": "1"})},
        {
            "time": ("time", ends, {**time, **({"bounds": "time_bnds"} if bounded else {})}),
            "lat": ("lat", np.linspace(-60, 60, 4), {"units": "degrees_north"}),
            "lon": ("lon", np.arange(0, 360, 45.0), {"units": "degrees_east"}),
        },
    )
    if bounded:
        ds["time_bnds"] = (("time", "nv"), np.stack([np.concatenate([[0], ends[:-1]]), ends], 1))
    ds.to_netcdf(tmp_path / "months.nc")
    data = tmp_path / "data"
    subprocess.run([binary(), "ingest", tmp_path / "months.nc", "--collection", "months", "--data", data], check=True, capture_output=True)
    for every in ("month-of-year", "year"):
        declare(data, tmp_path, f'[view]\nid = "{every}"\nof = "months"\n[time]\nevery = "{every}"\n')
    server = Server(data)
    try:
        climate, years = (opened(server, every).v[:, 0, 0] for every in ("month-of-year", "year"))
        assert [(t.month, v) for t, v in zip(climate.time.values, climate.values)] == (
            [(m, m) for m in range(1, 13)] if bounded else [(m % 12 + 1, m) for m in range(1, 13)]
        )
        assert [t.year for t in years.time.values] == ([2000, 2001] if bounded else [2000, 2001, 2002])
        if bounded:
            np.testing.assert_array_equal(years.values, [6.5, 6.5])
    finally:
        server.stop()


def test_a_mean_over_months_is_that_of_xarray_and_says_its_bounds(made):
    ds, view = daily(), opened(made, "monthly", decode_times=True).load()
    speed = np.hypot(ds.u, ds.v).where((ds.quality & 3) != 2)
    known = speed.resample(time="MS").mean()
    np.testing.assert_allclose(view.speed, known, rtol=2e-6)
    assert list(view.time.values) == list(known.time.values)
    bounds = view[view.time.attrs.get("bounds", "time_bnds")]
    assert (bounds[:, 0].values == view.time.values).all()
    assert pd.Timestamp(bounds[-1, 1].values) == pd.Timestamp("2024-02-01")
    assert view.speed.attrs["cell_methods"] == "time: mean"


def test_spreads_over_seasons_greatest_of_months_and_counts_are_those_of_xarray(made):
    ds = daily()
    spread = opened(made, "spread").load()
    assert "quality" not in spread, "a spread of categories means nothing"
    known = ds.u.resample(time="QS-DEC").std()
    np.testing.assert_allclose(spread.u, known, rtol=1e-4, atol=1e-5)
    assert list(spread.time.values) == list(known.time.values)
    climate = opened(made, "climate", decode_times=False).load()
    # Its months rise from the first that there is.
    np.testing.assert_array_equal(climate.v, ds.v.groupby("time.month").max().sel(month=[11, 12, 1]))
    assert climate.time.attrs["climatology"] in climate
    assert climate.v.attrs["cell_methods"] == "time: maximum within years time: maximum over years"
    np.testing.assert_array_equal(opened(made, "seen").u, ds.u.resample(time="YS").count())


@pytest.mark.parametrize("name", ["best", "run", "lead", "valid"])
def test_a_forecast_has_the_four_collections_of_its_runs(made, name):
    ds, view = forecast(), opened(made, name, decode_times=True).load()
    pairs = [(r, l) for r in range(3) for l in range(5)]
    when = lambda r, l: RUNS[r] + pd.Timedelta(hours=LEADS[l])
    if name == "best":
        last = {}
        for r, l in pairs:
            last[when(r, l)] = (r, l)
        known = [last[t] for t in sorted(last)]
    elif name == "run":
        known = [(1, l) for l in range(5)]
    elif name == "lead":
        known = [(r, 2) for r in range(3)]
    else:
        known = [(r, l) for r, l in pairs if when(r, l) == pd.Timestamp("2024-01-02")]
    axis = "forecast_reference_time" if name == "valid" else "time"
    assert view.t2m.dims == (axis, "lat", "lon")
    np.testing.assert_array_equal(view.t2m, np.stack([ds.t2m.values[r, l] for r, l in known]))
    assert [pd.Timestamp(t) for t in view.forecast_reference_time.values] == [RUNS[r] for r, _ in known]
    assert [pd.Timestamp(t) for t in view.time.values] == [when(r, l) for r, l in known]


def nearest(ds, lon, lat):
    return ds.isel(
        lat=xr.DataArray(np.clip(np.floor((90 - lat) / 2), 0, 89).astype(int)),
        lon=xr.DataArray(np.floor(((lon % 360) + 1) / 2).astype(int) % 180),
    )


def test_another_grid_has_the_cells_that_its_places_lie_in(made):
    ds, view = daily(), opened(made, "polar")
    assert view.u.shape == (70, 640, 640) and view.crs.attrs["grid_mapping_name"] == "polar_stereographic"
    x, y = np.meshgrid(view.x, view.y)
    to = pyproj.Transformer.from_crs("EPSG:3413", "EPSG:4326", always_xy=True)
    lon, lat = to.transform(x, y)
    # Places that lie on an edge belong to either side.
    edge = lambda v: np.abs((v + 1) / 2 - np.round((v + 1) / 2)) < 1e-6
    clear = ~(edge(lon) | edge(lat - 1))
    known = nearest(ds.isel(time=3), lon, lat)
    np.testing.assert_array_equal(view.u.isel(time=3).values[clear], known.u.values[clear])
    np.testing.assert_array_equal(view.quality.isel(time=3).values[clear], known.quality.values[clear])
    assert clear.mean() > 0.98
    # Its levels are grids of their own.
    coarse = xr.open_zarr(f"{made.url}/zarr/polar", group="1")
    assert coarse.u.shape == (70, 320, 320) and float(coarse.x[0]) == -4000000 + 12500


def test_a_wider_grid_has_values_of_cells_and_not_their_means(made):
    ds, view = daily(), opened(made, "coarse").load()
    lon, lat = np.meshgrid(view.longitude, view.latitude)
    np.testing.assert_array_equal(view.v[5], nearest(ds.v.isel(time=5), lon, lat))


def test_steps_keep_what_is_said_of_them_on_another_grid(made):
    view, base = opened(made, "best-north").load(), opened(made, "best").load()
    for name in ("time", "forecast_reference_time", "forecast_period"):
        np.testing.assert_array_equal(view[name], base[name])
    assert {"forecast_reference_time", "forecast_period"} <= set(view.t2m.coords)


def test_an_estimate_counts_what_is_read_beneath(made):
    ask = lambda c: get(made, f"/api/collections/{c}/position?coords=POINT(4%2051)&estimate=true")
    days = ask("winds")["chunks"]
    # Two variables, three months, each of as many chunks as there are days.
    assert ask("monthly")["chunks"] >= 70 and ask("monthly")["values"] == 3
    assert ask("monthly")["bytes"] > 10 * ask("monthly")["values"] and days > 0


def test_packed_times_are_what_they_were(made):
    ds = daily().isel(time=slice(0, 5), lat=slice(0, 10), lon=slice(0, 10))[["v"]]
    ds.to_netcdf(
        made.folder / "packed.nc",
        encoding={"time": {"units": "days since 1900-01-01", "dtype": "i4", "add_offset": 40000.0, "scale_factor": 1.0}},
    )
    command = [binary(), "ingest", made.folder / "packed.nc", "--collection", "packed", "--data", made.data]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    declare(made.data, made.folder, '[view]\nid = "packed-month"\nof = "packed"\n[time]\nevery = "month"\n')
    view = opened(made, "packed-month").load()
    assert list(view.time.values) == [np.datetime64("2023-11-01")]
    np.testing.assert_allclose(view.v[0], ds.v.mean("time"), rtol=1e-5)
    for c in ("packed-month", "packed"):
        subprocess.run([binary(), "remove", c, "--data", made.data], check=True, capture_output=True, timeout=60)


def test_an_ingest_that_died_does_not_stand_in_the_way_of_a_view(made):
    (made.data / "collections" / "after" / "repo" / "chunks").mkdir(parents=True)
    declare(made.data, made.folder, '[view]\nid = "after"\nof = "winds"\nkeep = ["v"]\n')
    assert opened(made, "after").v.shape[1:] == (90, 180)
    subprocess.run([binary(), "remove", "after", "--data", made.data], check=True, capture_output=True, timeout=60)


def test_bilinear_weighs_the_four_cells_around_across_the_seam_too(made):
    ds, view = daily(), opened(made, "smooth").load()
    row, column = (89 - view.latitude.values) / 2, (view.longitude.values % 360) / 2
    r, c = np.floor(row).astype(int), np.floor(column).astype(int)
    fy, fx = (row - r)[:, None], (column - c)[None, :]
    at = lambda i, j: ds.v.values[:, (r + i)[:, None], (c + j)[None, :] % 180].astype("f8")
    known = (1 - fy) * ((1 - fx) * at(0, 0) + fx * at(0, 1)) + fy * ((1 - fx) * at(1, 0) + fx * at(1, 1))
    np.testing.assert_allclose(view.v, known, rtol=1e-4, atol=1e-4)


def test_the_catalog_and_every_way_in_know_a_view_as_a_collection(made):
    listed = {c["id"]: c for c in get(made, "/api/collections")["collections"]}
    assert set(VIEWS) | {"winds", "forecast"} == set(listed)
    monthly = listed["monthly"]
    assert monthly["graticule:view"]["of"] == "speed"
    assert any(l["rel"] == "derived_from" and l["href"].endswith("/speed") for l in monthly["links"])
    beneath = get(made, "/api/collections/winds")
    assert set(beneath["graticule:views"]) == {v for v, text in VIEWS.items() if 'of = "winds"' in text}
    related = {l["href"].rpartition("/")[2] for l in beneath["links"] if l["rel"] == "related"}
    assert related == set(beneath["graticule:views"])
    assert monthly["extent"]["temporal"]["interval"][0][0].startswith("2023-11-01")
    ds = daily()
    speed = np.hypot(ds.u, ds.v).where((ds.quality & 3) != 2).resample(time="MS").mean()
    answer = get(made, "/api/collections/monthly/position?coords=POINT(4%2051)&parameter-name=speed")
    np.testing.assert_allclose(answer["ranges"]["speed"]["values"], speed.sel(lat=51, lon=4), rtol=1e-5)
    for path, kind in (
        ("/api/collections/polar/map/tiles/WebMercatorQuad/2/1/0?variable=u", "image/png"),
        ("/api/collections/best/map?variable=t2m&width=200&height=100", "image/png"),
        ("/api/collections/monthly/cube?bbox=0,40,10,50&f=NetCDF4", "application/x-netcdf"),
    ):
        with urllib.request.urlopen(made.url + path) as r:
            assert r.headers["content-type"] == kind and len(r.read()) > 200
    done = subprocess.run([binary(), "check", "--data", made.data], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout


def test_a_view_has_versions_of_its_own_that_never_change(made):
    before = get(made, "/api/collections/speed/versions")["versions"]
    base = get(made, "/api/collections/winds/versions")["versions"]
    assert [v["id"].split(".")[0] for v in before] == [v["id"] for v in base]
    pinned = f"/zarr/speed@{before[0]['id']}"
    with urllib.request.urlopen(f"{made.url}{pinned}/speed/c/0/0/0") as r:
        first, tag = r.read(), r.headers["etag"]
        assert "immutable" in r.headers["cache-control"]
    request = urllib.request.Request(f"{made.url}{pinned}/speed/c/0/0/0", headers={"if-none-match": tag})
    with pytest.raises(urllib.error.HTTPError) as e:
        urllib.request.urlopen(request)
    assert e.value.code == 304 and len(first) > 100
    # Another declaration makes other versions, and those of the one before are none any more.
    declare(made.data, made.folder, VIEWS["run"].replace('run = "2024-01-01T12:00:00Z"', 'run = "latest"'))
    view = opened(made, "run").load()
    np.testing.assert_array_equal(view.t2m, forecast().t2m[2])
    with pytest.raises(urllib.error.HTTPError) as e:
        urllib.request.urlopen(f"{made.url}/zarr/run@{base[0]['id']}.00000000/zarr.json")
    assert e.value.code == 404


def test_lineage_leads_from_a_view_to_its_base_and_back(made):
    base, speed, monthly = (get(made, f"/api/collections/{c}/lineage") for c in ("winds", "speed", "monthly"))
    version = {c["id"]: c["version"] for c in get(made, "/api/collections")["collections"]}
    pairs = lambda found: [(f["collection"], f["version"]) for f in found]
    assert base["derived_from"] == [] and "steps" not in base and base["version"] == version["winds"]
    assert pairs(speed["derived_from"]) == [("winds", version["winds"])]
    assert pairs(monthly["derived_from"]) == [("speed", version["speed"]), ("winds", version["winds"])]
    assert (speed["steps"], monthly["steps"]) == (["keep", "formula"], ["keep", "time"])
    assert f"version {version['winds']} of winds: keep; formula of speed, u" in speed["processing:lineage"]
    # Back, views of views too, each after what it is of.
    above = [(v["collection"], v["of"]) for v in base["views"]]
    of_winds = {"speed", "spread", "climate", "seen", "polar", "smooth", "coarse"}
    assert set(above) == {(v, "winds") for v in of_winds} | {("monthly", "speed")}
    assert above.index(("monthly", "speed")) > above.index(("speed", "winds"))
    assert pairs(speed["views"]) == [("monthly", version["monthly"])] and monthly["views"] == []
    # What was made of the file is in the views of the collection that it went into.
    (item,) = get(made, "/api/lineage?source=winds.nc")["derived"]
    assert item["collection"] == "winds" and pairs(item["views"]) == pairs(base["views"])
    for found in (*monthly["derived_from"], *base["views"]):
        links = {l["rel"]: l["href"] for l in found["links"]}
        with urllib.request.urlopen(links["version"]) as r:
            described = json.loads(r.read())
        assert described["id"] == found["version"] and links["collection"].endswith("/" + found["collection"])
    # Each version says the same of itself.
    one = get(made, f"/api/collections/monthly/versions/{version['monthly']}")
    assert one["derived_from"] == {"collection": "speed", "version": version["speed"]}
    link = next(l["href"] for l in one["links"] if l["rel"] == "derived_from")
    assert link.endswith(f"/api/collections/speed/versions/{version['speed']}")
    assert "derived_from" not in get(made, f"/api/collections/winds/versions/{version['winds']}")
    # And so does STAC.
    stac = get(made, "/api/collections/speed")
    assert stac["assets"]["zarr"]["processing:lineage"] == speed["processing:lineage"]
    assert any("/processing/" in e for e in stac["stac_extensions"])
    (link,) = [l for l in stac["links"] if l["rel"] == "derived_from"]
    assert link["href"].endswith("/winds") and version["winds"] in link["title"]
    assert "processing:lineage" not in get(made, "/api/collections/winds")["assets"]["zarr"]


def test_a_view_follows_what_it_is_of(made):
    more = daily().isel(time=slice(0, 3))
    more["time"] = pd.date_range("2024-01-29", periods=3, freq="D")
    more.to_netcdf(made.folder / "more.nc")
    command = [binary(), "ingest", made.folder / "more.nc", "--collection", "winds", "--append", "time"]
    subprocess.run([*command, "--data", made.data], check=True, capture_output=True, timeout=120)
    both = xr.concat([daily(), more.drop_vars("land")], "time")
    known = both.v.groupby("time.month").max().sel(month=[11, 12, 1])
    np.testing.assert_array_equal(opened(made, "climate", decode_times=False).v, known)
    assert len(get(made, "/api/collections/climate/versions")["versions"]) == 2
    latest = get(made, "/api/collections/winds")["version"]
    assert get(made, "/api/collections/climate/lineage")["derived_from"][0]["version"] == latest
    assert get(made, "/api/collections/speed")["extent"]["temporal"]["interval"][0][1].startswith("2024-01-31")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('[view]\nid = "x"\nof = "nowhere"\nkeep = []', "nowhere"),
        ('[view]\nid = "x"\nof = "winds"', "it changes nothing"),
        ('[view]\nid = "winds"\nof = "forecast"\n[forecast]\ntake = "best"', "data of its own"),
        ('[view]\nid = "x"\nof = "winds"\n[forecast]\ntake = "best"', "forecast_reference_time"),
        ('[view]\nid = "x"\nof = "winds"\nkeep = ["w"]', "there are"),
        ('[view]\nid = "x"\nof = "winds"\n[formula.a]\nis = "u +"', "formula.a.is: column 4"),
        ('[view]\nid = "x"\nof = "winds"\n[formula.a]\nis = "w * 2"', "no variable"),
        ('[view]\nid = "x"\nof = "winds"\n[formula.a]\nis = "flag(quality, \'snow\')"', "there are clear, cloud, ice"),
        ('[view]\nid = "x"\nof = "winds"\n[formula.lat]\nis = "u"', "a coordinate already"),
        ('[view]\nid = "x"\nof = "winds"\n[time]\nevery = "fortnight"', "hour, day, month"),
        ('[view]\nid = "x"\nof = "winds"\n[grid]\ncrs = "EPSG:1"\ncell = 1', "one of"),
        ('[view]\nid = "x"\nof = "winds"\n[grid]\ncell = 0.0001', "along each side"),
        ('[view]\nid = "x"\nof = "winds"\nwhat = 1', "what"),
        ('[view]\nid = "speed"\nof = "monthly"\nkeep = ["speed"]', "a view of itself"),
    ],
)
def test_a_declaration_that_cannot_be_meant_is_refused_and_nothing_is_declared(made, text, says):
    before = sorted(p.name for p in (made.data / "collections").iterdir())
    done = declare(made.data, made.folder, text, check=False)
    assert done.returncode != 0 and says in done.stderr, done.stderr
    assert sorted(p.name for p in (made.data / "collections").iterdir()) == before


def test_a_view_is_not_written_and_what_it_is_of_is_not_removed(made):
    run = lambda *c: subprocess.run([binary(), *c, "--data", made.data], capture_output=True, text=True, timeout=60)
    done = run("ingest", made.folder / "winds.nc", "--collection", "best")
    assert done.returncode != 0 and "is a view" in done.stdout + done.stderr
    done = run("remove", "forecast")
    assert done.returncode != 0 and "best" in done.stderr and "remove them first" in done.stderr
    done = run("expire", "best", "--keep", "1")
    assert done.returncode != 0 and "is a view" in done.stderr
    assert run("remove", "valid").returncode == 0
    assert "valid" not in {c["id"] for c in get(made, "/api/collections")["collections"]}
    assert run("restore", "valid").returncode == 0
    np.testing.assert_array_equal(opened(made, "valid").t2m.shape, (3, 21, 31))


def test_older_clients_read_a_view_as_zarr_v2(made):
    group = zarr.open_group(f"{made.url}/zarr2/monthly", mode="r", zarr_format=2)
    np.testing.assert_array_equal(group["speed"][:], opened(made, "monthly").speed)
