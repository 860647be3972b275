"""OGC API EDR: areas, boxes, circles, paths and places, against xarray on the same files, in every format."""

import io
import json
import subprocess
import time
import urllib.error
import urllib.request

import numpy as np
import pandas as pd
import pyarrow.ipc
import pyarrow.parquet
import pytest
import shapely
import xarray as xr
from covjson_pydantic.coverage import Coverage, CoverageCollection
from edr_pydantic.collections import Collection, Instances

from conftest import Server, binary, collection_of, sample_data
from edr import ask, coverage, dataset, query, refusal, values

needs_samples = pytest.mark.skipif(not sample_data(), reason="SKIPPED LOUDLY: the sample data are not there")


def places(answer):
    """Longitude and latitude of every place of a coverage of a list of cells."""
    return np.array(answer["domain"]["axes"]["composite"]["values"], "f8")


def assert_same(found, known, what):
    """One unordered set of (longitude, latitude, value), longitudes within a turn."""
    key = lambda a: sorted((round((x + 180) % 360 - 180, 5) % 360, round(y, 5), -9e9 if np.isnan(v) else v) for x, y, v in a)
    found, known = key(found), key(known)
    assert len(found) == len(known), f"{what}: {len(found)} cells, expected {len(known)}"
    np.testing.assert_allclose(found, known, rtol=1e-6, atol=1e-5, err_msg=what)


@pytest.fixture(scope="module")
def eraint():
    return xr.open_dataset(sample_data() / "netcdf/eraint_uvz.nc")


@needs_samples
def test_a_cube_is_the_same_box_as_xarrays_with_levels_and_times(server, eraint):
    answer = coverage(server, "eraint_uvz", "cube", bbox="-10,40,10,60", parameter_name="u", month="7")
    assert answer["domain"]["domainType"] == "Grid"
    axes = answer["domain"]["axes"]
    lat, lon = np.array(axes["y"]["values"]), np.array(axes["x"]["values"])
    u = eraint.u.assign_coords(longitude=(eraint.longitude + 180) % 360 - 180).sortby("longitude")
    known = u.sel(latitude=lat, longitude=lon, month=7)
    assert lat.min() >= 40 and lat.max() <= 60 and lon.min() >= -10 and lon.max() <= 10
    inside = (u.latitude >= 40) & (u.latitude <= 60)
    assert len(lat) == inside.sum() and len(lon) == ((u.longitude >= -10) & (u.longitude <= 10)).sum()
    np.testing.assert_allclose(values(answer, "u"), known.values, rtol=1e-6, atol=1e-6)


@needs_samples
def test_a_box_across_the_antimeridian_runs_from_west_to_east(server, eraint):
    answer = coverage(server, "eraint_uvz", "cube", bbox="170,-10,-170,10", parameter_name="u", z="500", month="1")
    lon, lat = (np.array(answer["domain"]["axes"][k]["values"]) for k in "xy")
    assert (np.diff(lon) > 0).all() and lon[0] >= 170 and lon[-1] <= 190 and len(lon) > 20
    source = eraint.u.assign_coords(longitude=eraint.longitude % 360).sel(level=500, month=1)
    known = source.sel(latitude=lat, longitude=lon % 360)
    np.testing.assert_allclose(values(answer, "u")[0], known.values, rtol=1e-6, atol=1e-6)


@needs_samples
def test_a_dimension_without_an_axis_of_its_own_makes_a_coverage_of_each_value(server, eraint):
    answer = coverage(server, "eraint_uvz", "position", coords="POINT(0 45)", parameter_name="u")
    assert [c["graticule:dimensions"] for c in answer["coverages"]] == [{"month": 1.0}, {"month": 7.0}]
    for c in answer["coverages"]:
        known = eraint.u.sel(month=c["graticule:dimensions"]["month"]).sel(latitude=45, longitude=0, method="nearest")
        np.testing.assert_allclose(values(c, "u"), known.values, rtol=1e-6)


POLYGON = "POLYGON((-12 36,24 41,18 62,3 55,-12 36))"


def inside(lon, lat, text):
    """Centres within a polygon or on its edge, whichever turn their longitudes count from."""
    shape = shapely.from_wkt(text).buffer(1e-9)
    lon, lat = np.broadcast_arrays(np.asarray(lon, "f8"), np.asarray(lat, "f8"))
    return np.any([shapely.contains_xy(shape, lon + turn, lat) for turn in (-360, 0, 360)], axis=0)


@needs_samples
def test_an_area_of_a_regular_grid_has_the_cells_whose_centres_lie_in_the_polygon(server, eraint):
    answer = coverage(server, "eraint_uvz", "area", coords=POLYGON, parameter_name="u", z="nearest::520", month="ffill::6")
    axes = answer["domain"]["axes"]
    assert axes["z"]["values"] == [500]
    lon, lat = np.meshgrid(axes["x"]["values"], axes["y"]["values"])
    found = values(answer, "u")
    found = found.reshape(-1, *lon.shape)[0]
    assert (np.isfinite(found) == inside(lon, lat, POLYGON)).all()
    world_lon, world_lat = np.meshgrid(eraint.longitude, eraint.latitude)
    assert np.isfinite(found).sum() == inside(world_lon, world_lat, POLYGON).sum()


def grids():
    """Curvilinear, projected and unstructured samples with two-dimensional or listed coordinates in the file."""
    data = sample_data()
    if not data:
        return []
    out = []
    for folder in ("netcdf/curvilinear", "netcdf/projected", "netcdf/swath", "unstructured"):
        out += sorted(str(p.relative_to(data)) for p in (data / folder).glob("*.nc"))
    return out


@needs_samples
@pytest.mark.parametrize("file", grids())
def test_an_area_of_any_other_grid_has_its_cells_by_their_centres(server, file):
    """Against the coordinates and values that the served Zarr has, which other tests compare with the file."""
    collection = collection_of(file)
    status = urllib.request.Request(f"{server.url}/api/collections/{collection}")
    try:
        about = json.loads(urllib.request.urlopen(status).read())
    except urllib.error.HTTPError:
        pytest.skip(f"SKIPPED LOUDLY: {file} is none of the files that references.json is about")
    names = list(about["parameter_names"])
    if not names:
        pytest.skip(f"{file}: nothing in it has a place")
    w, s, e, n = about["extent"]["spatial"]["bbox"][0]
    e = e + 360 if w > e else e
    mid = ((w + e) / 2, (s + n) / 2)
    dx, dy = (e - w) / 3, (n - s) / 3
    text = f"POLYGON(({mid[0] - dx} {mid[1]},{mid[0]} {mid[1] - dy},{mid[0] + dx} {mid[1] + dy / 2},{mid[0] - dx} {mid[1]}))"
    store = xr.open_zarr(f"{server.url}/zarr/{collection}", decode_times=False)
    checked = 0
    for name in names[:4]:
        if "/" in name:
            continue
        try:
            answer = json.loads(query(server, collection, "area", coords=text, parameter_name=name))
        except urllib.error.HTTPError as refused:
            problem = json.loads(refused.read())
            assert refused.code in (400, 413), problem
            continue
        if answer["type"] == "CoverageCollection" or "composite" not in answer["domain"]["axes"]:
            continue
        Coverage.model_validate(answer)
        lonlat = places(answer)
        shape = answer["ranges"][name]["shape"]
        found = values(answer, name).reshape(-1, shape[-1])[0]
        if len(lonlat) > 1:
            assert inside(lonlat[:, 0], lonlat[:, 1], text).all(), f"{file} {name}"
        # Each cell's value is what a position there answers.
        for i in np.linspace(0, len(lonlat) - 1, 5).astype(int):
            point = f"POINT({lonlat[i, 0]} {lonlat[i, 1]})"
            one = json.loads(query(server, collection, "position", coords=point, parameter_name=name))
            at = values(one, name).ravel()[0]
            if one["domain"]["axes"]["x"]["values"] == [lonlat[i, 0]]:
                np.testing.assert_equal(found[i], at)
                checked += 1
        lon = next((store[c] for c in store[name].encoding.get("coordinates", "").split() if "lon" in c.lower() and c in store), None)
        lat = next((store[c] for c in store[name].encoding.get("coordinates", "").split() if "lat" in c.lower() and c in store), None)
        if lon is not None and lat is not None and lon.ndim == lat.ndim and lon.shape == lat.shape and len(lonlat) > 1:
            x, y = lon.values.ravel().astype("f8"), lat.values.ravel().astype("f8")
            if np.abs(y[np.isfinite(y)]).max() <= 90 and "rad" not in lon.attrs.get("units", ""):
                known = np.isfinite(x) & np.isfinite(y) & inside(x, y, text)
                # Garbage coordinates are excluded, so there may be fewer and never more.
                assert len(lonlat) <= known.sum(), f"{file} {name}"
                assert len(lonlat) >= 0.9 * known.sum(), f"{file} {name}: {len(lonlat)} of {known.sum()}"
    store.close()


@needs_samples
def test_all_formats_say_the_same(server):
    where = {"coords": POLYGON, "parameter_name": "u,v", "z": "500", "month": "7"}
    answer = coverage(server, "eraint_uvz", "area", **where)
    axes = answer["domain"]["axes"]
    lon, lat = np.meshgrid(axes["x"]["values"], axes["y"]["values"])
    u = values(answer, "u").reshape(-1, *lon.shape)
    asked = inside(lon, lat, POLYGON)
    rows = np.concatenate([step[asked] for step in u])
    table = pd.read_csv(io.BytesIO(query(server, "eraint_uvz", "area", f="CSV", **where)))
    column = next(c for c in table.columns if c == "u" or c.startswith("u ("))
    np.testing.assert_allclose(table[column], rows)
    parquet = pyarrow.parquet.read_table(io.BytesIO(query(server, "eraint_uvz", "area", f="Parquet", **where)))
    np.testing.assert_allclose(parquet["u"].to_numpy(), rows)
    arrow = pyarrow.ipc.open_stream(query(server, "eraint_uvz", "area", f="Arrow", **where)).read_all()
    np.testing.assert_allclose(arrow["u"].to_numpy(), rows)
    assert arrow.schema.metadata[b"graticule_collection"] == b"eraint_uvz"
    geo = json.loads(query(server, "eraint_uvz", "area", f="GeoJSON", **where))
    np.testing.assert_allclose([f["properties"]["u"] for f in geo["features"]], rows)
    np.testing.assert_allclose([f["geometry"]["coordinates"] for f in geo["features"]][: asked.sum()], np.stack([lon[asked], lat[asked]], 1))
    netcdf = dataset(query(server, "eraint_uvz", "area", f="NetCDF4", **where))
    np.testing.assert_allclose(netcdf.u.values.reshape(u.shape), u)
    assert netcdf.attrs["graticule_version"] and netcdf.attrs["citation"]


def demo(name):
    from conftest import ROOT

    return ROOT / "assets" / "demo" / name


@pytest.fixture(scope="module")
def ncep(tmp_path_factory):
    data = tmp_path_factory.mktemp("edr")
    source = demo("ncep-climatology.nc")
    subprocess.run([binary(), "ingest", source, "--collection", "ncep", "--data", data], check=True, capture_output=True)
    s = Server(data)
    s.source = xr.open_dataset(source, decode_times=False)
    yield s
    s.stop()


def test_times_are_instants_in_tables_and_a_table_has_a_row_for_each(ncep):
    where = {"coords": "MULTIPOINT(4.9 52.4,-30 10)", "parameter_name": "air"}
    parquet = pyarrow.parquet.read_table(io.BytesIO(query(ncep, "ncep", "position", f="Parquet", **where)))
    assert len(parquet) == 24 and str(parquet.schema.field("time").type).startswith("timestamp[us")
    arrow = pyarrow.ipc.open_stream(query(ncep, "ncep", "position", f="Arrow", **where)).read_all()
    assert arrow["time"][0].as_py().isoformat() == "1996-01-01T00:00:00+00:00"
    assert arrow.schema.field("air").metadata == {b"units": b"degC"}
    netcdf = dataset(query(ncep, "ncep", "position", f="NetCDF4", **where))
    assert netcdf.air.dims == ("station", "time") and netcdf.air.shape == (2, 12)
    answer = coverage(ncep, "ncep", "position", **where)
    np.testing.assert_allclose(netcdf.air.values[1], values(answer["coverages"][1], "air"), rtol=1e-6)


def test_parameters_may_be_named_one_by_one(server, eraint):
    url = f"{server.url}/api/collections/eraint_uvz/position?coords=POINT(10%2050)&f=CSV"
    assert ask(f"{url}&parameter-name=u&parameter-name=v")[0] == ask(f"{url}&parameter-name=u,v")[0]


def test_bilinear_is_xarrays_interpolation(ncep):
    source = ncep.source
    for lon, lat in [(4.9, 52.4), (-30.1, -10.2), (179.4, 0.3), (0.0, 89.0)]:
        answer = coverage(ncep, "ncep", "position", coords=f"POINT({lon} {lat})", parameter_name="air", method="bilinear")
        # As `xarray.DataArray.interp` does it along both axes, with the first column again after the last.
        air = source.air.sortby("lat").sortby("lon")
        lons = np.append(air.lon.values, air.lon.values[0] + 360).astype("f8")
        lats = air.lat.values.astype("f8")
        cells = np.concatenate([air.values, air.values[:, :, :1]], axis=2).astype("f8")
        x = lon if lon >= lons[0] else lon + 360
        rows = np.array([[np.interp(x, lons, row) for row in step] for step in cells])
        known = np.array([np.interp(lat, lats, column) for column in rows])
        np.testing.assert_allclose(values(answer, "air"), known, rtol=1e-5, err_msg=f"{lon} {lat}")


def test_a_radius_is_a_circle_on_the_sphere(ncep):
    answer = coverage(ncep, "ncep", "radius", coords="POINT(179 85)", within="600", within_units="km", parameter_name="air", datetime="1996-07-01")
    axes = answer["domain"]["axes"]
    lon, lat = np.radians(np.meshgrid(axes["x"]["values"], axes["y"]["values"]))
    x0, y0 = np.radians([179, 85])
    angle = np.arccos(np.clip(np.sin(lat) * np.sin(y0) + np.cos(lat) * np.cos(y0) * np.cos(lon - x0), -1, 1))
    found = np.isfinite(values(answer, "air")[0])
    assert (found == (angle * 6371.0088 <= 600)).all() and found.sum() > 20


def test_statistics_are_weighted_by_the_area_of_cells(ncep):
    body = json.dumps({"bbox": [-180, -90, 180, 90], "parameter-name": ["air"]}).encode()
    raw, headers = ask(f"{ncep.url}/api/collections/ncep/statistics", body, **{"content-type": "application/json"})
    found = json.loads(raw)["parameters"]["air"]
    lat = np.radians(ncep.source.lat.values.astype("f8"))
    edges = np.sin(np.clip(np.concatenate([[lat[0] * 1.5 - lat[1] / 2], (lat[1:] + lat[:-1]) / 2, [lat[-1] * 1.5 - lat[-2] / 2]]), -np.pi / 2, np.pi / 2))
    weights = np.abs(np.diff(edges))[:, None] * np.ones(len(ncep.source.lon))
    air = ncep.source.air.values.astype("f8")
    mean = (air * weights).sum((1, 2)) / weights.sum()
    np.testing.assert_allclose(found["mean"], mean, rtol=1e-9)
    np.testing.assert_allclose(found["std"], np.sqrt((weights * (air - mean[:, None, None]) ** 2).sum((1, 2)) / weights.sum()), rtol=1e-9)
    np.testing.assert_allclose(found["min"], air.min((1, 2)))
    np.testing.assert_allclose(found["max"], air.max((1, 2)))
    assert found["count"] == [air[0].size] * 12 and found["missing"] == [0] * 12 and found["weights"] == "area"
    assert headers["graticule-version"]


def test_a_path_meets_each_cell_once_and_in_order(ncep):
    answer = coverage(ncep, "ncep", "trajectory", coords="LINESTRING(-30 0,-20 10)", parameter_name="air", datetime="1996-07-01")
    assert answer["domain"]["domainType"] == "MultiPoint"
    path = places(answer)
    assert path[0].tolist() == [-30, 0] and path[-1].tolist() == [-20, 10]
    steps = np.abs(np.diff(path, axis=0)).max(axis=1)
    assert (steps == 2.5).all()
    source = ncep.source.air.isel(time=6)
    lon = path[:, 0] if source.lon.min() < 0 else path[:, 0] % 360
    known = [float(source.sel(lon=x, lat=y)) for x, y in zip(lon, path[:, 1])]
    np.testing.assert_allclose(values(answer, "air")[0], known, rtol=1e-6)


@pytest.mark.parametrize("wkt", ["LINESTRING(170.3 -10.2,195.4 11.3)", "LINESTRING(-40.2 61.3,20.9 33.3,24.1 70.7)"])
def test_a_path_meets_the_cells_that_it_only_nicks(ncep, wkt):
    line = shapely.from_wkt(wkt)
    source = ncep.source
    inside = {}
    for x in np.arange(-60, 200, 2.5):
        for y in np.arange(-20, 80, 2.5):
            length = line.intersection(shapely.box(x - 1.25, y - 1.25, x + 1.25, y + 1.25)).length
            if length > 0:
                inside[(x + 180) % 360 - 180, y] = length
    answer = coverage(ncep, "ncep", "trajectory", coords=wkt, parameter_name="air", datetime="1996-07-01")
    found = [tuple(p) for p in places(answer).tolist()]
    assert {cell for cell, length in inside.items() if length > 0.01} <= set(found) <= set(inside)
    # The antimeridian is the source's 180.
    turn = lambda x: x % 360 if source.lon.min() >= 0 or x == -180 else x
    known = [float(source.air.isel(time=6).sel(lon=turn(x), lat=y)) for x, y in found]
    np.testing.assert_allclose(values(answer, "air")[0], known, rtol=1e-6)


def test_a_path_with_times_has_the_step_of_each(ncep):
    seconds = lambda text: int(np.datetime64(text, "s").astype(int))
    coords = f"LINESTRINGM(-30 0 {seconds('1996-02-01')},-30 10 {seconds('1996-06-01')})"
    answer = coverage(ncep, "ncep", "trajectory", coords=coords, parameter_name="air")
    assert answer["domain"]["domainType"] == "Trajectory"
    composite = answer["domain"]["axes"]["composite"]
    assert composite["coordinates"] == ["t", "x", "y"]
    assert composite["values"][0] == ["1996-02-01T00:00:00Z", -30.0, 0.0]
    assert composite["values"][-1] == ["1996-06-01T00:00:00Z", -30.0, 10.0]
    source = ncep.source.air
    x = -30 if source.lon.min() < 0 else 330
    known = [float(source.isel(time=int(t[5:7]) - 1).sel(lon=x, lat=y)) for t, _, y in composite["values"]]
    np.testing.assert_allclose(values(answer, "air"), known, rtol=1e-6)
    netcdf = dataset(query(ncep, "ncep", "trajectory", coords=coords, parameter_name="air", f="NetCDF4"))
    assert netcdf.air.dims == ("sample",) and str(netcdf.time.values[0])[:10] == "1996-02-01"
    status, problem = refusal(ncep, "ncep", "trajectory", coords=coords, datetime="1996-02-01")
    assert status == 400 and "path's own" in problem["detail"]


def test_post_asks_what_get_asks(ncep):
    url = f"{ncep.url}/api/collections/ncep/area"
    polygon = {"type": "Polygon", "coordinates": [[[-10, 40], [10, 40], [10, 60], [-10, 60], [-10, 40]]]}
    got = query(ncep, "ncep", "area", coords="POLYGON((-10 40,10 40,10 60,-10 60,-10 40))", parameter_name="air", datetime="1996-07-01")
    for body, kind in [
        (json.dumps({"coords": polygon, "parameter-name": ["air"], "datetime": "1996-07-01"}).encode(), "application/json"),
        (b"coords=POLYGON((-10+40,10+40,10+60,-10+60,-10+40))&parameter-name=air&datetime=1996-07-01", "application/x-www-form-urlencoded"),
    ]:
        posted, _ = ask(url, body, **{"content-type": kind})
        assert posted == got
    with pytest.raises(urllib.error.HTTPError) as e:
        ask(url, b"<xml/>", **{"content-type": "text/xml"})
    assert e.value.code == 415


def test_the_cost_is_known_before_it_is_paid(ncep):
    url = f"{ncep.url}/api/collections/ncep/cube?bbox=-180,-90,180,90&parameter-name=air"
    estimate = json.loads(ask(url + "&estimate=true")[0])
    assert estimate["values"] == 12 * 73 * 144 and estimate["chunks"] >= 1 and estimate["allowed"]
    request = urllib.request.Request(url, method="HEAD")
    with urllib.request.urlopen(request) as answer:
        assert f"values={estimate['values']}" in answer.headers["graticule-cost"] and answer.read() == b""
        # What is said is said of the answer to GET, of which the length is not known.
        assert answer.headers["content-type"].startswith("application/vnd.cov+json")
        assert not {"content-length", "etag", "repr-digest"} & {k.lower() for k in answer.headers}


def test_a_post_is_asked_by_its_address_and_its_body_together(ncep):
    url = f"{ncep.url}/api/collections/ncep"
    kind = {"content-type": "application/json"}
    place = json.dumps({"coords": "POINT(5 5)"}).encode()
    got, headers = ask(f"{url}/position?f=CSV&parameter-name=air", place, **kind)
    assert headers["content-type"].startswith("text/csv")
    assert got == ask(f"{url}/position?coords=POINT(5%205)&f=CSV&parameter-name=air")[0]
    for address, body in [("position?bogus=1", place), ("position?coords=POINT(1%201)", place),
                          ("statistics?bbox=1,2,3,4", b'{"bbox":[0,0,10,10]}'), ("statistics", b'{"bbox":[0,0,10,10],"f":"CSV"}')]:
        with pytest.raises(urllib.error.HTTPError) as e:
            ask(f"{url}/{address}", body, **kind)
        assert e.value.code == 400, address
    estimate = json.loads(ask(f"{url}/statistics?estimate=true", b'{"bbox":[0,0,10,10]}', **kind)[0])
    assert estimate["allowed"] is True


def wait_for(url):
    for _ in range(200):
        job = json.loads(ask(url)[0])
        if job["status"] != "running":
            return job
        time.sleep(0.05)
    raise AssertionError("the job did not end within 10 s")


def test_an_answer_can_be_fetched_later_also_from_the_next_server(tmp_path):
    source = demo("ncep-climatology.nc")
    subprocess.run([binary(), "ingest", source, "--collection", "ncep", "--data", tmp_path], check=True, capture_output=True)
    s = Server(tmp_path)
    later = {"prefer": "respond-async"}
    try:
        where = "ncep/cube?bbox=-10,40,10,60&parameter-name=air&f=CSV"
        body, headers = ask(f"{s.url}/api/collections/{where}", **later)
        assert headers["preference-applied"] == "respond-async"
        job = wait_for(headers["location"])
        assert job["status"] == "successful" and job["links"][1]["type"].startswith("text/csv")
        assert ask(job["links"][1]["href"])[0] == ask(f"{s.url}/api/collections/{where}")[0]
        asked = json.dumps({"bbox": [-180, -90, 180, 90], "parameter-name": "air"}).encode()
        _, headers = ask(f"{s.url}/api/collections/ncep/statistics", asked, **later)
        done = wait_for(headers["location"])
        assert ask(done["links"][1]["href"])[0] == ask(f"{s.url}/api/collections/ncep/statistics", asked)[0]
        with pytest.raises(urllib.error.HTTPError) as e:
            ask(f"{s.url}/api/collections/ncep/cube?bbox=0,0,1", **later)
        assert e.value.code == 400
    finally:
        s.stop()
    # As if it had been ended before the answer was there.
    folder = tmp_path / "answers" / job["jobID"]
    known = (folder / "answer").read_bytes()
    (folder / "answer").unlink()
    (folder / "done.json").unlink()
    s = Server(tmp_path)
    try:
        again = wait_for(f"{s.url}/api/jobs/{job['jobID']}")
        assert again["status"] == "successful" and ask(f"{s.url}/api/jobs/{job['jobID']}/results")[0] == known
    finally:
        s.stop()


def test_all_that_was_accepted_is_answered_after_a_restart(tmp_path):
    source = demo("ncep-climatology.nc")
    subprocess.run([binary(), "ingest", source, "--collection", "ncep", "--data", tmp_path], check=True, capture_output=True)
    asked = json.dumps({"bbox": [-180, -90, 180, 90], "parameter-name": "air"}).encode()
    s = Server(tmp_path)
    try:
        _, headers = ask(f"{s.url}/api/collections/ncep/statistics", asked, prefer="respond-async")
        job = wait_for(headers["location"])
        known = ask(job["links"][1]["href"])[0]
    finally:
        s.stop()
    # More than wait at once, as an older server may have left them, and what a killed one left of others.
    answers = tmp_path / "answers"
    left = [f"{i:032x}" for i in range(120)]
    for name in left:
        (answers / name).mkdir()
        (answers / name / "asked.json").write_bytes((answers / job["jobID"] / "asked.json").read_bytes())
    (answers / left[0] / "answer").write_bytes(b"half")
    (answers / ("f" * 32)).mkdir()
    s = Server(tmp_path)
    try:
        for name in left:
            assert wait_for(f"{s.url}/api/jobs/{name}")["status"] == "successful"
            assert ask(f"{s.url}/api/jobs/{name}/results")[0] == known
        assert not (answers / ("f" * 32)).exists()
        # They are made and in nobody's way.
        _, headers = ask(f"{s.url}/api/collections/ncep/statistics", asked, prefer="respond-async")
        assert wait_for(headers["location"])["status"] == "successful"
    finally:
        s.stop()


def test_instances_are_versions_that_do_not_change(tmp_path):
    def days(first, value):
        ds = xr.Dataset(
            {"v": (("time", "lat", "lon"), np.full((2, 4, 8), value, "f4"))},
            coords={
                "time": ("time", first + np.arange(2), {"units": "days since 2000-01-01"}),
                "lat": ("lat", [-60.0, -20, 20, 60], {"units": "degrees_north"}),
                "lon": ("lon", np.arange(8) * 45.0, {"units": "degrees_east"}),
            },
        )
        ds.to_netcdf(tmp_path / f"{first}.nc")
        command = [binary(), "ingest", tmp_path / f"{first}.nc", "--collection", "v", "--data", tmp_path / "d", "--append", "time"]
        subprocess.run(command, check=True, capture_output=True)

    days(0, 1)
    days(2, 2)
    s = Server(tmp_path / "d")
    try:
        base = f"{s.url}/api/collections/v"
        listed = json.loads(ask(f"{base}/instances")[0])
        Instances.model_validate_json(json.dumps(listed))
        newest, oldest = [i["id"] for i in listed["instances"]]
        old = json.loads(ask(f"{base}/instances/{oldest}/position?coords=POINT(0%2020)")[0])
        assert old["ranges"]["v"]["values"] == [1, 1]
        body, headers = ask(f"{base}/instances/{newest}/position?coords=POINT(0%2020)")
        assert json.loads(body)["ranges"]["v"]["values"] == [1, 1, 2, 2]
        assert "immutable" in headers["cache-control"] and headers["graticule-version"] == newest
        Collection.model_validate_json(ask(f"{base}?f=edr")[0])
        assert listed["instances"][1]["extent"]["temporal"]["interval"][0][1] == "2000-01-02T00:00:00Z"
        with pytest.raises(urllib.error.HTTPError) as e:
            ask(f"{base}/instances/NOSUCH/position?coords=POINT(0%2020)")
        assert e.value.code == 404
    finally:
        s.stop()


def test_parameter_names_are_taken_as_owslib_sends_them(ncep):
    here = f"{ncep.url}/api/collections/ncep/position?coords=POINT(4.9%2052.4)"
    assert json.loads(ask(f"{here}&parameter_names=air")[0]) == json.loads(ask(f"{here}&parameter-name=air")[0])


@needs_samples
def test_collections_without_time_have_no_temporal_extent_to_edr_clients(server):
    for c in json.loads(ask(f"{server.url}/api/collections?limit=1000")[0])["collections"]:
        alone = json.loads(ask(f"{server.url}/api/collections/{c['id']}?f=edr")[0])
        temporal = alone["extent"].get("temporal")
        assert (temporal is None) == (None in c["extent"]["temporal"]["interval"][0]), c["id"]
        assert temporal is None or (temporal["values"] and temporal["trs"]), c["id"]


@needs_samples
def test_times_that_are_not_understood_are_not_passed_over(server):
    code, problem = refusal(server, collection_of("netcdf/curvilinear/nemo_20150101.nc"), "position", coords="POINT(0 0)", datetime="garbage")
    assert code == 400 and "datetime" in problem["detail"]


def test_a_place_has_a_name(ncep):
    named = json.loads(ask(f"{ncep.url}/api/collections/ncep/locations/u173z?parameter-name=air")[0])
    point = coverage(ncep, "ncep", "position", coords="POINT(4.9 52.4)", parameter_name="air")
    assert named == point
    listed = json.loads(ask(f"{ncep.url}/api/collections/ncep/locations")[0])
    assert listed["type"] == "FeatureCollection" and listed["features"] == []
    with pytest.raises(urllib.error.HTTPError) as e:
        ask(f"{ncep.url}/api/collections/ncep/locations/atlantis")
    assert e.value.code == 404


def test_what_cannot_be_answered_is_refused_in_words(ncep):
    for what, parameters, word in [
        ("area", {}, "POLYGON"),
        ("area", {"coords": "POINT(1 2)"}, "POLYGON"),
        ("area", {"coords": "POLYGON((0 0,1 1,1 0,0 1))"}, "ends where it begins"),
        ("cube", {}, "bbox"),
        ("cube", {"bbox": "0,50,10,40"}, "south at most north"),
        ("cube", {"bbox": "0,0,10,95"}, "latitudes"),
        ("cube", {"bbox": "1000,-90,1,90"}, "longitudes within -540 and 540"),
        ("cube", {"bbox": "0,0,9,9", "datetime": "2014-02-31"}, "has no day"),
        ("radius", {"coords": "POINT(0 0)"}, "within"),
        ("radius", {"coords": "POINT(0 0)", "within": "-3"}, "above 0"),
        ("radius", {"coords": "POINT(0 0)", "within": "9", "within_units": "furlong"}, "nmi"),
        ("trajectory", {"coords": "LINESTRING(0 0)"}, "LINESTRING"),
        ("trajectory", {"coords": "LINESTRINGZ(0 0 10,1 1 20)"}, "no vertical dimension"),
        ("position", {"coords": "POINT(0 0)", "method": "cubic"}, "bilinear"),
        ("cube", {"bbox": "0,0,9,9", "datetime": "nearest::soon"}, "nearest::2024"),
        ("cube", {"bbox": "0,0,9,9", "f": "GRIB"}, "NetCDF4"),
        ("cube", {"box": "0,0,9,9"}, "did you mean"),
    ]:
        status, problem = refusal(ncep, "ncep", what, **parameters)
        assert status == 400 and word in problem["detail"], (what, parameters, problem)


@pytest.mark.parametrize("what", ["cube", "position", "trajectory"])
def test_netcdf_answers_keep_the_cf_conventions(ncep, what, tmp_path):
    where = {"cube": {"bbox": "-10,40,10,60"}, "position": {"coords": "POINT(4.9 52.4)"}, "trajectory": {"coords": "LINESTRING(-30 0,-20 10)"}}[what]
    file = tmp_path / "answer.nc"
    file.write_bytes(query(ncep, "ncep", what, f="NetCDF4", **where))
    from compliance_checker.runner import CheckSuite, ComplianceChecker

    CheckSuite.load_all_available_checkers()
    out = tmp_path / "report.json"
    ComplianceChecker.run_checker(str(file), ["cf:1.11"], 0, "strict", output_filename=str(out), output_format="json")
    report = json.loads(out.read_text())["cf:1.11"]
    findings = {p["name"]: p["msgs"] for k in ("high_priorities", "medium_priorities") for p in report[k] if p["value"][0] < p["value"][1]}
    assert not findings, findings


@needs_samples
def test_a_picture_of_a_region_has_the_colours_of_the_map_and_nothing_beside_it(server):
    import io

    from PIL import Image

    here = f"{server.url}/api/collections/{collection_of('netcdf/eraint_uvz.nc')}"
    chosen = "parameter-name=u&z=500&month=7"
    read = lambda url: np.array(Image.open(io.BytesIO(ask(url)[0])).convert("RGBA"))
    whole = read(f"{here}/cube?bbox=-20,10,44,42&{chosen}&f=PNG&clim=-30,30")
    on_map = read(f"{here}/map?bbox=-20,10,44,42&variable=u&z=500&dim:month=7&clim=-30,30&width=512&height=256")
    np.testing.assert_array_equal(whole, on_map)
    assert whole.shape == (256, 512, 4) and (whole[..., 3] == 255).all()
    part = read(f"{here}/area?coords=POLYGON((-20%2010,44%2010,44%2042,-20%2010))&{chosen}&f=image/png&clim=-30,30")
    # The diagonal runs from the lower left to the upper right; what is above it is left out.
    row, column = np.mgrid[0:256, 0:512]
    inside = (255.5 - row - 0.5) / 256 < (column + 0.5) / 512
    edge = abs((255.5 - row) / 256 - (column + 0.5) / 512) < 0.01
    assert ((part[..., 3] == 255) == inside)[~edge].all()
    np.testing.assert_array_equal(part[inside & ~edge], whole[inside & ~edge])
    code, problem = refusal(server, collection_of("netcdf/eraint_uvz.nc"), "position", coords="POINT(0 0)", f="PNG")
    assert code == 400 and "area, cube or radius" in problem["detail"]
    described = json.loads(ask(here)[0])["data_queries"]
    formats = lambda q: described[q]["link"]["variables"]["output_formats"]
    assert "PNG" in formats("area") and "PNG" not in formats("position")


@needs_samples
@pytest.mark.parametrize("coding", ["identity", "gzip"])
def test_an_answer_says_the_sha_256_of_what_is_sent(server, coding):
    import base64
    import hashlib

    url = f"{server.url}/api/collections/{collection_of('netcdf/eraint_uvz.nc')}/cube?bbox=0,0,20,20"
    for f in ("CoverageJSON", "NetCDF4", "CSV"):
        body, headers = ask(f"{url}&f={f}", **{"accept-encoding": coding})
        known = base64.b64encode(hashlib.sha256(body).digest()).decode()
        assert headers["repr-digest"] == f"sha-256=:{known}:", f
        assert headers["graticule-version"] and headers["graticule-citation"]
