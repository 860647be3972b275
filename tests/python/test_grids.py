"""Projected, curvilinear and cell grids: cells against the files themselves."""

import json
import subprocess
import urllib.error
import urllib.parse
import urllib.request

import netCDF4
import numpy as np
import pytest
import xarray as xr

from conftest import Server, binary, collection_of, sample_data

pytestmark = pytest.mark.skipif(not sample_data(), reason="SKIPPED: sample data not found; set GRATICULE_SAMPLE_DATA")

# Centres of cells by pyproj 3.7.2 (PROJ 9.5.1) from each file's grid mapping and coordinates, and their stored values.
BY_PROJ = [
    ("netcdf/projected/goes16_cloud_top_height.nc", "HT", -91.495728, 35.109397, 10225.544921875),
    ("netcdf/projected/goes16_cloud_top_height.nc", "HT", -115.887731, 43.933927, None),
    ("netcdf/projected/goes16_cloud_top_height.nc", "HT", -76.202419, 21.683451, 13138.4091796875),
    ("netcdf/projected/laea_euro_air_temp.nc", "air_temperature", 1.376396, 51.593118, 282.5515441894531),
    ("netcdf/projected/laea_euro_air_temp.nc", "air_temperature", 27.164078, 33.516110, 290.48504638671875),
]
# File, variable, its latitudes and longitudes.
LISTED = [
    ("netcdf/curvilinear/nemo_20150101.nc", "tos", "nav_lat", "nav_lon"),
    ("netcdf/curvilinear/wcofs_roms_subset.nc", "u_sur", "lat_u", "lon_u"),
    ("netcdf/projected/lcc_tas.nc", "tas", "lat", "lon"),
    ("netcdf/projected/cordex_arc44_tas.nc", "tas", "lat", "lon"),
    ("netcdf/swath/amsr2_l2b_cut.nc", "sea_surface_temperature", "lat", "lon"),
    ("netcdf/swath/ascat_l2_cut.nc", "wind_speed", "lat", "lon"),
    ("unstructured/fvcom_sfbofs_subset.nc", "zeta", "lat", "lon"),
    ("unstructured/fvcom_sfbofs_subset.nc", "uwind_speed", "latc", "lonc"),
    ("unstructured/lfric_cubesphere_1t.nc", "conv_rain", "Mesh2d_half_levels_face_y", "Mesh2d_half_levels_face_x"),
]


def position(server, file, var, lon, lat, **more):
    query = urllib.parse.urlencode({"coords": f"POINT({lon:.9f} {lat:.9f})", "parameter-name": var, **more})
    url = f"{server.url}/api/collections/{collection_of(file)}/position?{query}"
    coverage = json.loads(urllib.request.urlopen(url).read())
    axes = coverage["domain"]["axes"]
    values = np.array([np.nan if v is None else v for v in coverage["ranges"][var]["values"]], dtype="f8")
    return axes["x"]["values"][0], axes["y"]["values"][0], values


def apart(lon, lat, lon2, lat2):
    """Great-circle degrees."""
    v = lambda x, y: np.array([np.cos(y) * np.cos(x), np.cos(y) * np.sin(x), np.sin(y)])
    a, b = v(*np.deg2rad([lon, lat])), v(*np.deg2rad([lon2, lat2]))
    return np.rad2deg(2 * np.arcsin(np.linalg.norm(a - b) / 2))


@pytest.mark.parametrize(
    "file,var,lat,lon",
    [
        ("netcdf/curvilinear/nemo_20150101.nc", "tos", "nav_lat", "nav_lon"),
        ("netcdf/curvilinear/wcofs_roms_subset.nc", "u_sur", "lat_u", "lon_u"),
        ("netcdf/swath/amsr2_l2b_cut.nc", "sea_surface_temperature", "lat", "lon"),
    ],
)
def test_bilinear_is_between_the_four_centres_of_a_curvilinear_grid(file, var, lat, lon, server):
    source = xr.open_dataset(sample_data() / file, decode_times=False)
    y, x = (np.squeeze(source[n].values).astype("f8") for n in (lat, lon))
    plane = np.squeeze(source[var].values)
    plane = plane[(0,) * (plane.ndim - 2)].astype("f8")
    vectors = np.stack([np.cos(np.radians(y)) * np.cos(np.radians(x)), np.cos(np.radians(y)) * np.sin(np.radians(x)), np.sin(np.radians(y))], -1)
    four = np.isfinite(plane[:-1, :-1] + plane[:-1, 1:] + plane[1:, :-1] + plane[1:, 1:])
    # Cells of ordinary shape, not those that a fold or a fill has drawn out.
    sides = np.linalg.norm(vectors[:-1, 1:] - vectors[:-1, :-1], axis=-1)
    four &= sides < 3 * np.median(sides[four])
    rows, columns = np.nonzero(four)
    rng, compared = np.random.default_rng(5), 0
    for i in rng.choice(len(rows), 25, replace=False):
        r, c = rows[i], columns[i]
        u, v = rng.uniform(0.05, 0.95, 2)
        weights = np.array([(1 - v) * (1 - u), (1 - v) * u, v * (1 - u), v * u])
        quad = [(r, c), (r, c + 1), (r + 1, c), (r + 1, c + 1)]
        at = sum(w * vectors[q] for w, q in zip(weights, quad))
        # Where a later orbit lies over this one, either is right.
        close = np.argwhere(np.linalg.norm(vectors - at, axis=-1) < 2 * sides[r, c])
        if (np.abs(close - [r, c]) > 8).any():
            continue
        compared += 1
        place = np.degrees(np.arctan2(at[1], at[0])), np.degrees(np.arctan2(at[2], np.hypot(at[0], at[1])))
        known = sum(w * plane[q] for w, q in zip(weights, quad))
        found = position(server, file, var, *place, method="bilinear")
        assert apart(found[0], found[1], *place) < 1e-6, "a bilinear value is of the place itself"
        np.testing.assert_allclose(found[2][0], known, rtol=1e-5, atol=1e-6, err_msg=f"{r} {c} {u} {v}")
    assert compared > 15


def test_bilinear_on_healpix_is_nearer_to_a_smooth_field_than_the_nearest_cell(tmp_path):
    file = tmp_path / "smooth.nc"
    nside, field = 16, lambda lon, lat: np.sin(np.radians(lat)) + np.cos(np.radians(lat)) * np.cos(np.radians(lon))
    lon, lat = healpix_places(nside)
    attributes = {"grid_mapping_name": "healpix", "healpix_nside": nside, "indexing_scheme": "ring", "refinement_level": 4}
    xr.Dataset({"v": (("cell",), field(lon, lat), {"grid_mapping": "crs"}), "crs": ((), np.int32(0), attributes)}).to_netcdf(file)
    subprocess.run([binary(), "ingest", file, "--collection", "smooth", "--data", tmp_path / "d"], check=True, capture_output=True)
    server = Server(tmp_path / "d")
    try:
        rng = np.random.default_rng(2)
        places = [(0.1, 89.9), (200, -89.5), (359.99, 0.01), *zip(rng.uniform(-180, 180, 30), np.degrees(np.arcsin(rng.uniform(-1, 1, 30))))]
        off = {"bilinear": [], "nearest": []}
        for place in places:
            for method, list in off.items():
                list.append(abs(position(server, "smooth", "v", *place, method=method)[2][0] - field(*place)))
        # What is left of a field of curvature 1 is less than the square of the cells' width.
        assert max(off["bilinear"]) < 4 * np.pi / (12 * nside**2) and np.mean(off["nearest"]) > 10 * np.mean(off["bilinear"]), off
    finally:
        server.stop()


def healpix_places(nside):
    """Centres in ring order (Gorski et al. 2005, equations 2 to 9)."""
    lon, lat = [], []
    for i in range(1, 4 * nside):
        r = min(i, 4 * nside - i)
        if r < nside:
            z, count, shift = 1 - r * r / (3 * nside**2), 4 * r, 0.5
            z = z if i < 2 * nside else -z
        else:
            z, count, shift = 4 / 3 - 2 * i / (3 * nside), 4 * nside, 0.5 * ((i - nside + 1) % 2)
        lon += [(j + shift) * 360 / count for j in range(count)]
        lat += [np.degrees(np.arcsin(z))] * count
    return np.array(lon), np.array(lat)


@pytest.mark.parametrize("file,var,lon,lat,known", BY_PROJ)
def test_cells_found_by_proj_hold_the_stored_values(file, var, lon, lat, known, server):
    x, y, values = position(server, file, var, lon, lat)
    assert apart(x, y, lon, lat) < 1e-4
    assert np.allclose(values[:1], [np.nan if known is None else known], rtol=1e-6, equal_nan=True)


@pytest.mark.parametrize("file,var,lat,lon", LISTED, ids=lambda v: v if "/" not in v else collection_of(v))
def test_the_place_of_a_cell_gives_that_cell(file, var, lat, lon, server):
    ds = netCDF4.Dataset(sample_data() / file)
    lats, lons = ds[lat][:], ds[lon][:]
    data = ds[var][:].astype("f8")
    data = np.ma.filled(data, np.nan).reshape((-1,) + lats.shape)
    ok = np.argwhere(~(np.ma.getmaskarray(lats) | np.ma.getmaskarray(lons)))
    picked = np.random.default_rng(7).choice(len(ok), 12, replace=False)
    for index in map(tuple, ok[picked]):
        x, y = float(lons[index]), float(lats[index])
        found_x, found_y, values = position(server, file, var, x, y)
        # overlapping columns and folds repeat cells; the place must be the same whichever is found
        assert apart(found_x, found_y, x, y) < 0.02
        if (np.abs(lats - y) + np.abs(lons - x) < 1e-6).sum() == 1:
            assert np.allclose(values, data[(slice(None),) + index][: values.size], rtol=1e-6, equal_nan=True)


def test_beside_a_grid_there_is_no_cell(server):
    for file, var, lon, lat in [
        ("netcdf/projected/lcc_tas.nc", "tas", -100, 40),
        ("netcdf/projected/goes16_cloud_top_height.nc", "HT", 100, 0),
        ("netcdf/curvilinear/wcofs_roms_subset.nc", "u_sur", 10, 45),
        ("unstructured/fvcom_sfbofs_subset.nc", "zeta", -122.0, 37.88),
    ]:
        with pytest.raises(urllib.error.HTTPError) as e:
            position(server, file, var, lon, lat)
        assert e.value.code == 400 and "outside the grid" in json.loads(e.value.read())["detail"]


@pytest.mark.parametrize("file,var,lat,lon", LISTED, ids=lambda v: v if "/" not in v else collection_of(v))
def test_the_extent_is_that_of_the_cells_with_a_place(file, var, lat, lon, server):
    url = f"{server.url}/api/collections/{collection_of(file)}"
    west, south, east, north = json.loads(urllib.request.urlopen(url).read())["extent"]["spatial"]["bbox"][0]
    ds = netCDF4.Dataset(sample_data() / file)
    lats, lons = ds[lat][:], ds[lon][:]
    lats = lats[~(np.ma.getmaskarray(lats) | np.ma.getmaskarray(lons))]
    # outer edges of projected cells reach half a cell beyond, a cell over the pole to the pole
    assert south <= lats.min() + 1e-4 and north >= lats.max() - 1e-4
    assert south > lats.min() - 0.8 and (north < lats.max() + 0.8 or north == 90)
    inside = (lons - west) % 360 <= (east - west) % 360 + 1e-4 if (east - west) % 360 else np.array(True)
    assert inside.all()


def test_a_curvilinear_level_lies_where_its_cells_lie(server):
    url = f"{server.url}/zarr/nemo_20150101"
    fine = xr.open_zarr(url, decode_times=False)
    coarse = xr.open_zarr(url, group="1", decode_times=False)
    assert coarse.tos.dims == fine.tos.dims and {"nav_lat", "nav_lon"} <= set(coarse.tos.coords)
    lon, lat = np.deg2rad(fine.nav_lon.values.astype("f8")), np.deg2rad(fine.nav_lat.values.astype("f8"))
    vectors = np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)])
    four = lambda a: a.reshape(a.shape[:-2] + (165, 2, 180, 2))
    x, y, z = four(vectors).sum((2, 4))
    assert np.allclose(coarse.nav_lat.values, np.rad2deg(np.arctan2(z, np.hypot(x, y))), atol=1e-3)
    values = four(fine.tos.values[0].astype("f8"))
    found = coarse.tos.values[0]
    valid = np.isfinite(values).any((1, 3))
    assert np.array_equal(np.isfinite(found), valid)
    low, high = np.nanmin(values, (1, 3))[valid], np.nanmax(values, (1, 3))[valid]
    assert (found[valid] >= low - 1e-4).all() and (found[valid] <= high + 1e-4).all()


def test_a_mesh_is_drawn_from_regular_levels_that_keep_its_mean(server):
    url = f"{server.url}/zarr/lfric_cubesphere_1t"
    fine = xr.open_zarr(url, decode_times=False)
    coarse = xr.open_zarr(url, group="1", decode_times=False)
    assert fine.conv_rain.dims[-1] == "nMesh2d_half_levels_face"
    assert coarse.conv_rain.dims == ("time_counter", "latitude", "longitude")
    v = coarse.conv_rain.values[0]
    w = np.cos(np.deg2rad(coarse.latitude.values))[:, None] * np.isfinite(v)
    # the cells of a cubed sphere are of about one area
    mean = float(fine.conv_rain.mean())
    assert abs(np.nansum(v * w) / w.sum() - mean) < 0.1 * mean
    assert float(fine.conv_rain.min()) <= np.nanmin(v) and np.nanmax(v) <= float(fine.conv_rain.max())
    png = urllib.request.urlopen(f"{server.url}/api/collections/lfric_cubesphere_1t/preview.png").read()
    assert png.startswith(b"\x89PNG")
