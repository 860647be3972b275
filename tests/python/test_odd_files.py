"""Files as people make them, against what xarray and netCDF4 read in them."""

import subprocess
import types

import netCDF4
import numpy as np
import pytest
import xarray as xr

from answers import Opened, Place, assert_close, collection, instant
from conftest import Server, binary

GLOBAL = (np.linspace(80, -80, 17), np.arange(0, 360, 20.0))
DAYS = [0, 1, 2, 365]
PACKED = {"scale_factor": np.float32(0.5), "add_offset": np.float32(10)}

# Name: calendar, units, times, type, other things.
FILES = {
    "noleap": ("noleap", "days since 2000-02-28", DAYS, "f4", {}),
    "all_leap": ("all_leap", "days since 2001-02-28", DAYS, "f4", {}),
    "months_of_360_days": ("360_day", "months since 1990-01-01", [0, 1, 2, 13], "f4", {}),
    "julian": ("julian", "days since 1582-10-04", DAYS, "f4", {}),
    "gregorian_reform": ("standard", "days since 1582-10-04", DAYS, "f4", {}),
    "zone": ("standard", "hours since 2020-01-01 00:00:00 +05:30", [0, 1, 2, 6], "f4", {}),
    "milliseconds": ("standard", "milliseconds since 1970-01-01", [-1e12, 0, 1.5e12], "f4", {}),
    "cdf5_u8": ("standard", "days since 2000-01-01", DAYS, "u8", {"format": "NETCDF3_64BIT_DATA", "high": 1 << 40}),
    "cdf5_u2": ("standard", "days since 2000-01-01", DAYS, "u2", {"format": "NETCDF3_64BIT_DATA", "fill": 65535}),
    "classic_unsigned": ("standard", "days since 2000-01-01", DAYS, "i1",
                         {"format": "NETCDF3_CLASSIC", "fill": -1, "attributes": PACKED | {"_Unsigned": "true"}}),
    "missing_list": ("standard", "days since 2000-01-01", DAYS, "i2",
                     {"attributes": {"missing_value": np.array([-98, -97, -96], "i2")}}),
    "big_endian": ("standard", "days since 2000-01-01", DAYS, ">f4", {}),
    "antimeridian": ("standard", "days since 2000-01-01", [0], "f4", {"axes": (GLOBAL[0], np.arange(160, 220, 3.0))}),
    "westward": ("standard", "days since 2000-01-01", [0], "f4", {"axes": (GLOBAL[0], np.arange(180, -180, -20.0))}),
    "gaussian": ("standard", "days since 2000-01-01", [0], "f4",
                 {"axes": (np.degrees(np.arcsin(np.polynomial.legendre.leggauss(32)[0])), GLOBAL[1])}),
    "one_instant": ("standard", "days since 2020-01-01", None, "f4", {}),
}


def write(path, calendar, units, times, dtype, more):
    lats, lons = more.get("axes", GLOBAL)
    random = np.random.default_rng(len(path.name))
    with netCDF4.Dataset(path, "w", format=more.get("format", "NETCDF4")) as f:
        dims = ("lat", "lon") if times is None else ("time", "lat", "lon")
        for name, n in zip(("lat", "lon"), (len(lats), len(lons))):
            f.createDimension(name, n)
        if times is not None:
            f.createDimension("time", None)
        t = f.createVariable("time", "f8", dims[:-2])
        t.setncatts({"units": units, "calendar": calendar, "standard_name": "time"})
        t[...] = 5 if times is None else times
        for name, values, unit in (("lat", lats, "degrees_north"), ("lon", lons, "degrees_east")):
            v = f.createVariable(name, "f8", (name,))
            v.units = unit
            v[:] = values
        v = f.createVariable("v", dtype, dims, fill_value=more.get("fill"))
        v.setncatts(more.get("attributes", {}) | ({"coordinates": "time"} if times is None else {}))
        v.set_auto_maskandscale(False)
        shape = ((len(times),) if times is not None else ()) + (len(lats), len(lons))
        kind = np.dtype(dtype)
        low, high = (0, more.get("high", 65536)) if kind.kind == "u" else (-100, 100)
        v[:] = random.integers(low, high, shape).astype(kind) if kind.kind in "iu" else random.normal(280, 10, shape)


@pytest.fixture(scope="module")
def odd(tmp_path_factory):
    folder = tmp_path_factory.mktemp("odd")
    for name, how in FILES.items():
        write(folder / f"{name}.nc", *how)
        command = [binary(), "ingest", folder / f"{name}.nc", "--collection", name, "--data", folder / "data"]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    s = Server(folder / "data")
    yield types.SimpleNamespace(url=s.url, folder=folder)
    s.stop()


@pytest.mark.parametrize("name", FILES)
def test_an_odd_file_is_served_as_xarray_reads_it(name, odd):
    file = xr.open_dataset(odd.folder / f"{name}.nc", decode_times=False)
    served = Opened(odd)(f"{name}.nc")
    for v in file.variables:
        assert file[v].dims == served[v].dims
        assert_close(served[v].values, file[v].values, v)
    coder = xr.coders.CFDatetimeCoder(use_cftime=True)
    times = np.atleast_1d(xr.open_dataset(odd.folder / f"{name}.nc", decode_times=coder).time.values)
    (interval,) = collection(odd, f"{name}.nc")["extent"]["temporal"]["interval"]
    assert [instant(t) for t in interval] == [instant(times[i].isoformat()) for i in (0, -1)]


@pytest.mark.parametrize("name", FILES)
def test_a_place_in_an_odd_file_is_found_by_either_longitude(name, odd):
    file = xr.open_dataset(odd.folder / f"{name}.nc", decode_times=False)
    random = np.random.default_rng(1)
    for _ in range(4):
        i, j = random.integers(file.sizes["lat"]), random.integers(file.sizes["lon"])
        lat, lon = float(file.lat[i]), float(file.lon[j])
        for x in (lon, (lon + 180) % 360 - 180):
            place = Place(odd, f"{name}.nc", "v", x, lat)
            assert place.near(lon, lat) < 1e-6
            assert_close(place.values, file.v.isel(lat=i, lon=j).values.astype("f8").ravel(), "v")
