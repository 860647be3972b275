"""Every entry of references.json: through the served Zarr or table, and through /position."""

import csv
import io
import lzma
import re

import cftime
import numpy as np
import pytest
import zarr

from answers import Opened, Place, assert_close, assert_statistics, collection, get, instant, is_of, numbers, plane, sha
from conftest import collection_of, references, sample_data, source_of

DATA = sample_data()
R = references()
pytestmark = pytest.mark.skipif(not DATA, reason="SKIPPED: sample data not found; set GRATICULE_SAMPLE_DATA to check the known answers")

# What is refused, and a part of the reason that is given.
REFUSED = {
    # Coefficients of a sum of waves are no values at places: a transform must come first.
    "grib/spherical_harmonics.grib": "spherical harmonics (spectral coefficients) are not points of a grid",
    # Its only variable is of a compound type: a table in one array, which Zarr has no type for.
    "netcdf/structure/compound.nc": "obs",
    # One array of names; Zarr's text is no numbers to draw, and a table needs columns.
    "zarr/zarrs_v3_cities.zarr": "it holds text of any length, not numbers",
}

# Centres of the sampled pixels by pyproj 3.7 from each file's CRS and transform.
PIXELS = {
    "geotiff/albers_cog_i16.tif": [(-74.82551386, 45.774259), (-74.34677152, 45.23738361), (-74.10742702, 44.96534456), (-73.40919595, 44.15746096)],
    "geotiff/bigtiff_relief_utm32.tiff": [(7.12620136, 50.82441594), (7.20372375, 50.77766912), (7.24206714, 50.75427024), (7.35756982, 50.68449465)],
    "geotiff/cog_dateline_utm60.tif": [(178.04705923, 52.77328699), (179.16059981, 52.05227003), (179.70326418, 51.68847301), (-178.71851138, 50.58232787)],
    "geotiff/cog_utm21_uint16.tif": [(-61.28581809, 74.6216285), (-58.22990568, 73.86217179), (-56.80637291, 73.46757212), (-52.91763997, 72.23027552)],
    "geotiff/landsat_utm17_red.tif": [(-81.30362222, 34.22427253), (-80.477324, 33.52546701), (-80.07399284, 33.17405734), (-78.87349192, 32.11231648)],
    "geotiff/lcmap_2019_albers.tif": [(-119.2072475, 45.30245535), (-118.8915126, 45.16805559), (-118.73365863, 45.10039718), (-118.26337998, 44.89697903)],
    "geotiff/modis_sinusoidal_scaled.tif": [(126.72696945, 37.92369755), (127.14973423, 37.60255378), (127.36221901, 37.43947428), (127.9844408, 36.95547145)],
    "geotiff/rgb_jpeg_cog.tif": [(-104.77532613, 38.95376354), (-104.77510687, 38.95365904), (-104.77499638, 38.95360611), (-104.77466664, 38.95345003)],
    "geotiff/sentinel2_b04_utm36.tif": [(33.37192113, 16.63283511), (33.38418138, 16.62133236), (33.39026398, 16.61553561), (33.40860354, 16.59823453)],
}


def known(kind):
    return R.get(kind, [])


def ident(e):
    return e["file"] + (f"-{e['var']}" if "var" in e else "")


@pytest.fixture(scope="module")
def opened(server):
    return Opened(server)


def is_refused(file, server):
    """True, once its reason is checked, for what must be refused; all else must have been published."""
    status, said = server.said[source_of(file)]
    if file in REFUSED:
        assert status != 0 and REFUSED[file] in said, said
        assert get(f"{server.url}/api/collections/{collection_of(file)}")[0] == 404
        return True
    assert status == 0, said
    return False


def test_the_sample_data_is_there_and_whole():
    sizes = {k: len(R[k]) for k in ("netcdf_inventory", "grids", "grib", "geotiff", "zarr", "tabular", "wgrib2_check")}
    least = {"netcdf_inventory": 56, "grids": 18, "grib": 31, "geotiff": 14, "zarr": 19, "tabular": 8, "wgrib2_check": 3}
    assert all(sizes[k] >= n for k, n in least.items()), sizes


# ---- grids ----------------------------------------------------------------


@pytest.mark.parametrize("g", known("grids"), ids=ident)
def test_a_grid_has_the_known_values_regions_and_slices(g, opened, server):
    assert not is_refused(g["file"], server)
    ds = opened(g["file"])
    v = ds[g["var"]]
    assert list(v.dims) == g["dims"] and list(v.shape) == g["shape"]
    raw = zarr.open_group(f"{server.url}/zarr/{collection_of(g['file'])}", mode="r")[g["var"]][...]
    assert np.dtype(g["dtype"]) == raw.dtype and sha(raw) == g["sha256_raw"]
    # The file's own formula in float64, with the factors that are served.
    a = opened(g["file"], mask_and_scale=False)[g["var"]].attrs
    decoded = raw.astype("f8") * a.get("scale_factor", 1.0) + a.get("add_offset", 0.0)
    decoded[np.isnan(v.values)] = np.nan
    assert sha(decoded) == g["sha256_f64"]
    lat = ds[g["lat"]].values.astype("f8")
    lon = (ds[g["lon"]].values.astype("f8") + 180) % 360 - 180
    two = lat.ndim == 2
    weight = np.cos(np.deg2rad(lat)) if two else np.cos(np.deg2rad(lat))[:, None]
    values = v.values.astype("f8")
    assert_statistics(values, g["overall"], "overall", weight)
    if "first_slice" in g:
        index = g["first_slice"]["index"]
        assert_statistics(v.isel(index).values, g["first_slice"], "first slice", weight)
    if "axes" in g:
        found = [float(ds[g[k]][i]) for k in ("lat", "lon") for i in (0, -1)]
        assert_close(found, [g["axes"][k] for k in ("lat_first", "lat_last", "lon_first", "lon_last")], "axes")
    for r in g["regions"]:
        w, e, s, n = r["bbox_wesn"]
        # A box whose west lies east of its east crosses the antimeridian.
        columns = (lon >= w) & (lon <= e) if w <= e else (lon >= w) | (lon <= e)
        rows = (lat >= s) & (lat <= n)
        inside = rows & columns if two else rows[:, None] & columns
        box = np.where(inside, values, np.nan)
        assert_statistics(box, {k: x for k, x in r.items() if k != "size"}, f"region {r['bbox_wesn']}", weight)


@pytest.mark.parametrize("g", [g for g in known("grids") if g["points"]], ids=ident)
def test_a_point_of_a_grid_has_the_known_series_in_the_store_and_by_position(g, opened, server):
    ds = opened(g["file"])
    v = ds[g["var"]]
    for p in g["points"]:
        there = v.isel(p["index"])
        assert_close([there[g["lat"]], there[g["lon"]]], [p["grid_lat"], p["grid_lon"]], "the cell's place")
        place = Place(server, g["file"], g["var"], p["query_lon"], p["query_lat"])
        # A projected cell says the projection's place, the file its own.
        assert place.near(p["grid_lon"], p["grid_lat"]) < (0.02 if v[g["lat"]].ndim == 2 else 1e-5)
        assert place.shape == p["series_shape"]
        for what, series in [("store", there.values.astype("f8").ravel()), ("position", place.values)]:
            first = numbers(p["first"])
            assert_close(series[: first.size], first, f"{what}: first")
            assert_close(series[-1:], numbers([p["last"]]), f"{what}: last")
            assert_statistics(series, p["series"], f"{what}: series")
        assert_close(place.values, there.values.astype("f8").ravel(), "position and store")
        assert np.array_equal(place.as_csv(), place.values, equal_nan=True)


# ---- every variable of every NetCDF and HDF5 file ---------------------------


def is_table(file):
    return file.startswith("tabular/argo")


INVENTORY = R.get("netcdf_inventory", {})
# What NetCDF writes where nothing was written (NC_FILL_FLOAT, NC_FILL_DOUBLE).
NETCDF_FILL = 9.969209968386869e36


@pytest.mark.parametrize("file", [f for f in INVENTORY if not is_table(f)])
def test_every_variable_of_a_file_is_served_as_it_is_stored(file, opened, server):
    if is_refused(file, server):
        return
    said = server.said[file][1]
    group = zarr.open_group(f"{server.url}/zarr/{collection_of(file)}", mode="r")
    for path, x in INVENTORY[file]["vars"].items():
        if "sha256_raw" not in x:
            # Text is not carried over, and that is said; a grid mapping's type says nothing (CF section 5.6).
            left_out = re.search(rf"(^|[ :]){re.escape(path)}: not carried over: it holds (strings|characters), not numbers", said)
            assert left_out or "grid_mapping_name" in group[path].attrs, path
            continue
        array = group[path]
        raw = array[...]
        assert raw.dtype == np.dtype(x["dtype"]) and list(raw.shape) == x["shape"], path
        # Dimensions without a name are numbered by each reader in its own way.
        if not any(d.startswith("phony_dim") for d in x["dims"]):
            assert list(array.metadata.dimension_names or []) == x["dims"], path
        assert sha(raw) == x["sha256_raw"], path
        folder, _, name = path.rpartition("/")
        served = opened(file, folder or None)[name]
        values = served.values
        if served.encoding.get("_FillValue") == NETCDF_FILL and x["max"] == NETCDF_FILL:
            # The file names no fill value, and its reader takes what was never written for numbers; the store names it.
            assert np.array_equal(np.isnan(values), raw == NETCDF_FILL), path
            values = raw
        assert_statistics(values, x, path)
        if "time" in x:
            check_time(raw.ravel(), served, x["time"], path)


def check_time(raw, served, t, what):
    assert_close([raw[0], raw[-1]], [t["raw_first"], t["raw_last"]], f"{what}: raw")
    units, calendar = served.attrs["units"], served.attrs.get("calendar", "standard")
    assert units.split()[0].rstrip("s") == t["units"].split()[0].rstrip("s") and calendar.lower() == t["calendar"].lower()
    if "iso_error" in t:
        return
    found = cftime.num2date(raw[[0, -1]], units, calendar.lower())
    for at, known_as in zip(found, (t["iso_first"], t["iso_last"])):
        assert instant(at.isoformat()) == instant(known_as), what


TIMES = [(f, n) for f, e in INVENTORY.items() for n, x in e["vars"].items() if "time" in x and x["dims"] == [n]]


@pytest.mark.parametrize("file,name", TIMES, ids=lambda v: v)
def test_the_catalog_says_the_known_first_and_last_instants(file, name, server):
    t = INVENTORY[file]["vars"][name]["time"]
    dimension = collection(server, file).get("cube:dimensions", {}).get(name)
    if dimension is None:
        # No variable is on it: there is no cube whose time it would be.
        assert len(INVENTORY[file]["vars"]) == 1
        return
    assert dimension["type"] == "temporal" and dimension["graticule:size"] == t["n"]
    if "iso_error" in t:
        return
    assert [instant(s) for s in dimension["extent"]] == [instant(t["iso_first"]), instant(t["iso_last"])]


SCALAR_TIMES = [(f, n) for f, e in INVENTORY.items() for n, x in e["vars"].items() if "time" in x and x["dims"] == []]


@pytest.mark.parametrize("file,name", SCALAR_TIMES, ids=lambda v: v)
def test_the_time_of_a_file_of_one_instant_is_its_extent(file, name, opened, server):
    ds = opened(file)
    named = " ".join(str(v.attrs.get("coordinates", v.encoding.get("coordinates", ""))) for v in ds.variables.values())
    if ds[name].attrs.get("standard_name") != "time" or name not in named.split():
        return  # a reference time, or one that no variable names
    t = INVENTORY[file]["vars"][name]["time"]
    (interval,) = collection(server, file)["extent"]["temporal"]["interval"]
    assert [instant(s) for s in interval] == [instant(t["iso_first"])] * 2


def test_a_climatology_of_year_zero_has_its_months(server):
    place = Place(server, "netcdf/coads_climatology.cdf", "SST", -140, 0)
    assert [t[:7] for t in place.axes["t"]] == [f"0000-{m:02}" for m in range(1, 13)]
    assert place.axes["t"][0] == "0000-01-16T06:00:00Z"


def on_axes(ds):
    """Variables on an axis of latitude and one of longitude: name, both axes."""
    unit = lambda d: str(ds[d].attrs.get("units", "")).lower().replace("s_", "_") if d in ds.coords else ""
    for name, v in ds.data_vars.items():
        axes = [[d for d in v.dims if re.match(f"degrees?_?{k}", unit(d))] for k in ("n", "e")]
        if all(len(a) == 1 for a in axes):
            yield name, axes[0][0], axes[1][0]


@pytest.mark.parametrize("file", [f for f in INVENTORY if not is_table(f)] + [e["store"] for e in known("zarr")])
def test_a_place_in_a_cell_gives_what_the_store_has_there(file, opened, server):
    """Of every variable on axes of latitude and longitude, at three cells each."""
    if is_refused(file, server) or file != source_of(file):
        return
    ds = opened(file)
    random = np.random.default_rng(len(file))
    for name, lat, lon in on_axes(ds):
        if name not in collection(server, file)["parameter_names"]:
            continue
        v = ds[name]
        for _ in range(3):
            at = {lat: int(random.integers(v.sizes[lat])), lon: int(random.integers(v.sizes[lon]))}
            x, y = float(ds[lon][at[lon]]), float(ds[lat][at[lat]])
            place = Place(server, file, name, x, y)
            assert place.near(x, y) < 1e-4
            there = v.isel(at)
            assert_close(place.values, there.values.astype("f8").ravel(), name)


@pytest.mark.parametrize("file", [f for f in INVENTORY if is_table(f)])
def test_every_variable_of_a_profile_is_a_column(file, server):
    assert not is_refused(file, server)
    said = server.said[file][1]
    header, *rows = table_rows(server, file)
    assert len(rows) == INVENTORY[file]["dims"]["N_LEVELS"]
    for name, x in INVENTORY[file]["vars"].items():
        if x["dims"] not in (["N_PROF"], ["N_PROF", "N_LEVELS"]) and (x["dims"][:1] != ["N_PROF"] or x["dtype"] != "|S1" or len(x["dims"]) > 2):
            assert re.search(rf"left out: .*\b{name}\b", said), name
            continue
        column = [r[header.index(name)] for r in rows]
        if "time" in x:
            assert {instant(c) for c in column} == {instant(x["time"]["iso_first"])}, name
        elif "sha256_raw" in x:
            values = numbers([float(c) if c else None for c in column])
            along = x["dims"] == ["N_PROF", "N_LEVELS"]
            assert_statistics(values if along else values[:1], x, name)


# ---- GRIB -------------------------------------------------------------------


def flat_index(record, k, columns):
    """References are in file order, where every other row may run backwards."""
    row, column = divmod(k, columns)
    back = record.get("scanningMode", 0) & 16 and row % 2
    return row * columns + (columns - 1 - column if back else column)


def true_place(record, k):
    """ecCodes gives places as if all rows ran one way."""
    lat, lon = record["latlon"][str(k)]
    if record.get("scanningMode", 0) & 16 and k // record["Ni"] % 2:
        last = record["latlon"][str(record["numberOfPoints"] - 1)]
        lon = record["latlon"]["0"][1] + (last[1] - record["latlon"]["0"][1]) % 360 - (lon - record["latlon"]["0"][1]) % 360
    return lat, lon


def candidates(record, ds):
    for v in ds.data_vars.values():
        if is_of(record, v) and (index := plane(record, ds, v)) is not None:
            yield v, index


@pytest.mark.parametrize("e", known("grib"), ids=ident)
def test_every_field_of_a_grib_file_has_the_known_values_and_places(e, opened, server):
    if is_refused(e["file"], server):
        return
    ds = opened(e["file"])
    for record in e["records"]:
        faults = []
        for v, index in candidates(record, ds):
            try:
                check_field(server, e["file"], ds, v, index, record)
                break
            except AssertionError as fault:
                faults.append(fault)
        else:
            raise faults[0] if faults else AssertionError(f"field {record['field']} is in no variable")


def check_field(server, file, ds, v, index, record):
    values = v.isel(index).values.astype("f8")
    columns = values.shape[-1]
    flat = values.ravel()
    assert_statistics(flat, record["values"], f"field {record['field']}")
    for k, sample in record["samples"].items():
        found = flat[flat_index(record, int(k), columns)]
        assert_close([found], numbers([sample]), f"field {record['field']}, value {k}")
        if "latlon" not in record:
            continue
        lat, lon = true_place(record, int(k))
        if abs(lat) == 90 and record["gridType"] == "reduced_ll":
            continue  # every cell of the row is at this place
        place = Place(server, file, v.name, lon, lat)
        assert place.near(lon, lat) < 1e-3
        at = place.values.reshape([n for d, n in v.sizes.items() if d in index])[tuple(index.values())]
        assert_close([at], numbers([sample]), f"field {record['field']}, position of value {k}")


@pytest.mark.parametrize("e", known("wgrib2_check"), ids=ident)
def test_a_field_is_the_one_that_wgrib2_decodes(e, opened, server):
    raw = np.frombuffer(lzma.decompress((DATA / e["ref"]).read_bytes()), "<f4").astype("f8")
    raw[raw > 9.998e20] = np.nan
    assert raw.size == e["n"]
    (v,) = (v for v in opened(e["file"]).data_vars.values() if "GRIB_gridType" in v.attrs)
    assert v.size == e["n"] * e["fields_in_file"]
    # Fields of this variable follow one another in time, as in the file.
    served = v.values.reshape(-1, e["n"])[e["field"]]
    assert_close(served, raw, "wgrib2")
    assert_statistics(served, e["wgrib2"], "wgrib2")


# ---- GeoTIFF ----------------------------------------------------------------


@pytest.mark.parametrize("e", known("geotiff"), ids=ident)
def test_every_band_of_a_geotiff_has_the_known_pixels_and_places(e, opened, server):
    assert not is_refused(e["file"], server)
    stored, ds = opened(e["file"], mask_and_scale=False), opened(e["file"])
    assert len(ds.data_vars) - ("crs" in ds) == e["count"]
    a, _, west, _, f, north = e["transform"]
    for band, scale, offset in zip(e["bands"], e["scales"], e["offsets"]):
        raw, v = stored[f"band_{band['band']}"], ds[f"band_{band['band']}"]
        assert raw.dtype == np.dtype(e["dtype"]) and raw.shape == (e["height"], e["width"])
        assert sha(raw.values) == band["sha256_raw"]
        assert (raw.attrs.get("scale_factor", 1.0), raw.attrs.get("add_offset", 0.0)) == (scale, offset)
        # References are of stored numbers where the nodata is masked.
        assert_statistics(np.where(np.isnan(v.values), np.nan, raw.values.astype("f8")), band["masked"], "masked")
        y, x = v.dims
        if x in ds.coords:
            assert_close(ds[x][[0, -1]], [west + a / 2, west + a * (e["width"] - 0.5)], "x")
            assert_close(ds[y][[0, -1]], [north + f / 2, north + f * (e["height"] - 0.5)], "y")
        for i, (k, sample) in enumerate(band["unmasked_samples"].items()):
            row, column = map(int, k.split(","))
            assert_close([raw.values[row, column]], numbers([sample]), k)
            if not e["crs"]:
                continue
            lon, lat = PIXELS[e["file"]][i] if e["file"] in PIXELS else (float(ds[x][column]), float(ds[y][row]))
            place = Place(server, e["file"], v.name, lon, lat)
            # Two files say WGS 84 by its number and an ellipsoid three metres wider besides; the number holds
            # (GeoTIFF 1.1, 7.3), PROJ takes the other: 1.5 m.
            assert place.near(lon, lat) < (3e-5 if "6378140" in e["crs"] else 1e-6)
            assert_close(place.values, [float(v[row, column])], f"position {k}")
    if e["crs"]:
        bbox = collection(server, e["file"])["extent"]["spatial"]["bbox"][0]
        # rasterio's box has points along each edge, which need not touch the outermost.
        assert np.allclose(bbox, e["bounds_lonlat"], atol=2e-3), (bbox, e["bounds_lonlat"])
        if e["epsg"]:
            assert str(e["epsg"]) in str(stored["crs"].attrs)
    else:
        status, body = get(f"{server.url}/api/collections/{collection_of(e['file'])}/position?coords=POINT(0%200)")
        assert status == 404 and b"no variable whose cells have a latitude and a longitude" in body


# ---- Zarr -------------------------------------------------------------------


def shown(store, array):
    """Where the served hierarchy has an array: the finest level at its root, others in 1, 2, …"""
    if store != source_of(store):
        level = store.split(".levels/")[1].split(".")[0]
        return array if level == "0" else f"{level}/{array}"
    if array == ".":
        return "data"
    group, _, rest = array.partition("/")
    name = store.split("/")[-1]
    if name.startswith("v3_multiscale"):
        return rest if group == "0" else array
    if name.startswith("v2_ndpyramid"):
        return {"2": rest, "1": array, "0": f"2/{rest}"}[group]
    return rest if name.startswith("nczarr") else array


def served_type(dtype):
    """Native; truth values are the bytes that they were."""
    return np.dtype({"bool": "u1"}.get(dtype, dtype)).newbyteorder("=")


@pytest.mark.parametrize("e", known("zarr"), ids=lambda e: e["store"])
def test_every_array_of_a_store_is_served_as_zarr_python_reads_it(e, server):
    if is_refused(e["store"], server):
        return
    said = server.said[source_of(e["store"])][1]
    group = zarr.open_group(f"{server.url}/zarr/{collection_of(e['store'])}", mode="r")
    for array, x in e["arrays"].items():
        if "sha256_raw" not in x:
            assert f"{array}: not carried over: it holds text" in said, array
            continue
        found = group[shown(e["store"], array)]
        raw = found[...]
        assert list(raw.shape) == x["shape"] and raw.dtype == served_type(x["dtype"]), array
        assert sha(raw) == x["sha256_raw"], array
        assert_statistics(raw, x, array)


# ---- tables -----------------------------------------------------------------


def table_rows(server, file):
    status, body = get(f"{server.url}/api/tables/{collection_of(file)}?f=csv")
    assert status == 200, body
    return list(csv.reader(io.StringIO(body.decode())))


def same_field(found, known):
    """Times are told as RFC 3339, numbers without their zeros, missing ones (MM) as nothing."""
    if known in ("", "MM"):
        return found == ""
    try:
        return float(found) == float(known)
    except ValueError:
        return found.strip() == known or instant(found) == instant(known.replace(" ", "T"))


@pytest.mark.parametrize("e", known("tabular"), ids=ident)
def test_a_table_has_the_known_rows_and_columns(e, server):
    assert not is_refused(e["file"], server)
    header, *rows = table_rows(server, e["file"])
    assert len(rows) == e["rows"]
    names = e.get("header", header)
    assert header[: len(names)] == names
    for which, row in [("first", rows[0]), ("last", rows[-1])]:
        for name, found, known_as in zip(header, row, e.get(which, [])):
            assert same_field(found, known_as), (which, name, found, known_as)
    if "columns" in e:
        assert len(header) == e["columns"]
        first, last = rows[0], rows[-1]
        assert (first[0], last[0]) == (e["first_id"], e["last_id"])
        at = header.index("Beginning (UTC Time)")
        assert instant(first[at]) == instant(e["first_utc"].replace(" ", "T"))
        assert instant(last[at]) == instant(e["last_utc"].replace(" ", "T"))
    if "missing_MM" in e:
        assert sum(c == "" for r in rows for c in r[: len(names)]) == e["missing_MM"]
    if "names_HU" in e:
        assert sum(r[header.index("TY")] == "HU" for r in rows) == e["names_HU"]
    numeric = e.get("numeric", {}) | {k: v for k, v in e.items() if isinstance(v, dict) and "size" in v}
    for name, stats in numeric.items():
        column = 3 if name == "col3_sol_lon" else header.index(name)
        values = numbers([float(r[column]) if r[column] else None for r in rows])
        assert_statistics(values, stats | {"size": len(rows)}, name)
