"""Times and levels that are scalar coordinates (CF section 5.7), and what NetCDF answers make of places."""

import csv
import io
import json
import subprocess
import urllib.error
import urllib.parse
import urllib.request

import numpy as np
import pytest
import xarray as xr

from conftest import Server, binary
from edr import coverage, dataset, query, refusal

LAT = ("lat", np.linspace(-80, 80, 17), {"units": "degrees_north"})
LON = ("lon", np.arange(-180.0, 180, 10), {"units": "degrees_east"})


def field(seed, **attributes):
    return (("lat", "lon"), np.random.default_rng(seed).normal(size=(17, 36)).astype("f4"), attributes)


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    base = tmp_path_factory.mktemp("scalars")
    surface = xr.Dataset(
        {"t2": field(1, units="K", coordinates="time height reftime"), "u10": field(2, units="m s-1", coordinates="time height_2")},
        coords={
            "lat": LAT,
            "lon": LON,
            "time": ((), 12.0, {"units": "hours since 2016-05-16", "standard_name": "time"}),
            "reftime": ((), 0.0, {"units": "hours since 2016-05-16", "standard_name": "forecast_reference_time"}),
            "height": ((), 2.0, {"units": "m", "standard_name": "height"}),
            "height_2": ((), 10.0, {"units": "m", "standard_name": "height", "positive": "up"}),
        },
    )
    for v in ("t2", "u10"):
        surface[v].encoding["coordinates"] = surface[v].attrs.pop("coordinates")
    # Steps of one variable, none of another, and a third half a cell beside them.
    steps = xr.Dataset(
        {
            "a": (("time", "lat", "lon"), np.zeros((3, 17, 36), "f4")),
            "b": field(3),
            "d": (("time", "member", "lat", "lon"), np.arange(3 * 2 * 17 * 36, dtype="f4").reshape(3, 2, 17, 36)),
            "c": (("lat", "lon_u"), np.zeros((17, 36), "f4")),
        },
        coords={
            "time": ("time", [0, 1, 2], {"units": "days since 2000-01-01"}),
            "lat": LAT,
            "lon": LON,
            "member": ("member", [7, 8]),
            "lon_u": ("lon_u", np.arange(-175.0, 185, 10), {"units": "degrees_east"}),
        },
    )
    for name, made in {"surface": surface, "steps": steps}.items():
        made.to_netcdf(base / f"{name}.nc")
        subprocess.run([binary(), "ingest", base / f"{name}.nc", "--collection", name, "--data", base / "d"], check=True, capture_output=True)
    s = Server(base / "d")
    s.surface = surface
    yield s
    s.stop()


def test_a_value_says_of_which_time_and_level_it_is(served):
    known = served.surface.t2.sel(lat=50, lon=10).item()
    asked = {"coords": "POINT(10 50)", "parameter_name": "t2"}
    rows = list(csv.DictReader(io.StringIO(query(served, "surface", "position", f="CSV", **asked).decode())))
    assert len(rows) == 1 and rows[0]["time"] == "2016-05-16T12:00:00Z" and float(rows[0]["height"]) == 2, rows
    axes = coverage(served, "surface", "position", **asked)["domain"]["axes"]
    assert axes["t"]["values"] == ["2016-05-16T12:00:00Z"] and axes["z"]["values"] == [2]
    found = dataset(query(served, "surface", "position", f="NetCDF4", **asked))
    assert found.t2.item() == pytest.approx(known, rel=1e-6)
    assert str(found.time.values)[:16] == "2016-05-16T12:00" and found.height.item() == 2
    whole = dataset(query(served, "surface", "cube", f="NetCDF4", bbox="-180,-90,180,90", parameter_name="t2"))
    np.testing.assert_array_equal(whole.t2.values, served.surface.t2.values)


def test_a_scalar_time_and_level_can_be_asked_for(served):
    asked = {"coords": "POINT(10 50)", "f": "CSV"}
    rows = lambda **more: list(csv.DictReader(io.StringIO(query(served, "surface", "position", **asked, **more).decode())))
    for datetime in ("2016-05-16", "2016-05-16T12:00:00Z", "2016-05/..", "nearest::2020-01-01"):
        assert rows(datetime=datetime, parameter_name="t2")[0]["t2 (K)"], datetime
    code, problem = refusal(served, "surface", "position", **asked, datetime="2016-05-17")
    assert code == 400 and problem["parameter"] == "datetime" and "2016-05-16T12:00:00Z" in problem["detail"], problem
    # What is of another level is no part of the answer.
    two = rows(z="2")
    assert two[0]["t2 (K)"] and "u10 (m s-1)" not in two[0]
    ten = rows(z="10/20")
    assert ten[0]["u10 (m s-1)"] and "t2 (K)" not in ten[0]
    code, problem = refusal(served, "surface", "position", **asked, z="500")
    assert code == 400 and problem["parameter"] == "z", problem
    code, problem = refusal(served, "steps", "position", **asked, z="500")
    assert code == 400 and "no vertical dimension" in problem["detail"], problem


def test_a_picture_is_of_the_scalar_time_or_of_none(served):
    def picture(**parameters):
        return urllib.request.urlopen(f"{served.url}/api/collections/surface/map?{urllib.parse.urlencode({'variable': 't2', 'width': 64, **parameters})}").read()

    assert picture() == picture(datetime="2016-05-16T12:00:00Z") == picture(z="2")
    with pytest.raises(urllib.error.HTTPError) as e:
        picture(datetime="2016-05-17")
    assert e.value.code == 400 and json.loads(e.value.read())["parameter"] == "datetime"


def test_the_same_places_are_one_list_in_netcdf(served):
    asked = {"coords": "MULTIPOINT((10 50),(20 30))", "f": "NetCDF4", "parameter_name": "a,b"}
    found = dataset(query(served, "steps", "position", **asked))
    assert set(found.sizes) == {"station", "time"} and found.a.dims == ("station", "time") and found.b.dims == ("station",)
    assert found.a.encoding.get("grid_mapping", found.a.attrs.get("grid_mapping")) == "crs" and "crs" in found.variables
    path = {"coords": "LINESTRING(10 50,40 50)", "f": "NetCDF4", "parameter_name": "a,b"}
    assert set(dataset(query(served, "steps", "trajectory", **path)).sizes) == {"sample", "time"}


def test_what_is_neither_time_nor_place_comes_before_these(served):
    asked = {"f": "NetCDF4", "parameter_name": "d"}
    found = dataset(query(served, "steps", "position", coords="MULTIPOINT((10 50),(20 30))", **asked))
    assert found.d.dims == ("station", "member", "time")
    known = xr.DataArray(np.arange(3 * 2 * 17 * 36).reshape(3, 2, 17, 36), dims=("time", "member", "lat", "lon"))
    rows = [(int((y + 80) / 10), int((x + 180) / 10)) for x, y in [(10, 50), (20, 30)]]
    for i, (r, c) in enumerate(rows):
        np.testing.assert_array_equal(found.d.values[i], known.values[:, :, r, c].T)
    assert dataset(query(served, "steps", "position", coords="POINT(10 50)", **asked)).d.dims == ("member", "time")


def test_a_grid_mapping_is_of_one_longitude_alone(served):
    found = dataset(query(served, "steps", "cube", bbox="0,0,40,40", f="NetCDF4"))
    assert {"longitude", "longitude_2"} <= set(found.variables) and "crs" not in found.variables
    assert all("grid_mapping" not in found[v].attrs and "grid_mapping" not in found[v].encoding for v in "abc")
    one = dataset(query(served, "steps", "cube", bbox="0,0,40,40", f="NetCDF4", parameter_name="a,b"))
    assert "crs" in one.variables
