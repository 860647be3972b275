"""How an answer of references.json is asked for: statistics, positions, and the plane that a GRIB record is."""

import csv
import datetime
import hashlib
import io
import json
import re
import urllib.error
import urllib.parse
import urllib.request

import numpy as np
import xarray as xr

from conftest import collection_of


def close(found, known):
    """references.json: 1e-6 relative, or absolute where |x| < 1; None is missing."""
    found, known = np.asarray(found, "f8"), np.asarray(known, "f8")
    bound = 1e-6 * np.maximum(np.abs(known), 1.0)
    return np.isnan(found) & np.isnan(known) | (found == known) | (np.abs(found - known) <= bound)


def assert_close(found, known, what):
    bad = ~close(found, known)
    assert not bad.any(), f"{what}: {np.asarray(found, 'f8')[bad].flat[:3]}, expected {np.asarray(known, 'f8')[bad].flat[:3]}"


def numbers(values):
    return np.array([np.nan if v is None else v for v in values], "f8")


def sha(array):
    array = np.asarray(array)
    return hashlib.sha256(array.astype(array.dtype.newbyteorder("<")).tobytes()).hexdigest()


def assert_statistics(values, known, what, weights=None):
    """`known` has size, valid, min, max, mean, std, sum and cos_mean, or some of them."""
    values = np.asarray(values, "f8")
    ok = np.isfinite(values)
    v = values[ok]
    assert v.size == known["valid"], f"{what}: {v.size} values, expected {known['valid']}"
    assert values.size == known.get("size", values.size), f"{what}: size"
    if not v.size:
        return
    total = float(v.sum())
    # A sum of both signs is as exact as its terms.
    scale = max(1.0, float(np.abs(v).sum()))
    found = {"min": v.min(), "max": v.max(), "std": v.std()}
    for key in found.keys() & known.keys():
        # A spread beyond float64 (the widest numbers of nctest) is of no use to either.
        if np.isfinite(found[key]) or known[key] is not None:
            assert_close([found[key]], numbers([known[key]]), f"{what}: {key}")
    for key, n in {"sum": 1, "mean": v.size}.items():
        if key in known:
            assert abs(total / n - known[key]) <= 1e-6 * scale / n, f"{what}: {key} {total / n}, expected {known[key]}"
    if "cos_mean" in known:
        w = np.broadcast_to(weights, values.shape)[ok]
        assert_close([(v * w).sum() / w.sum()], [known["cos_mean"]], f"{what}: cos_mean")


def get(url):
    """The body, or the problem that is the answer."""
    try:
        with urllib.request.urlopen(url) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as e:
        return e.code, e.read()


def collection(server, file):
    status, body = get(f"{server.url}/api/collections/{collection_of(file)}")
    assert status == 200, body
    return json.loads(body)


class Place:
    """What `/position` says of one variable at one place."""

    def __init__(self, server, file, var, lon, lat, **more):
        query = urllib.parse.urlencode({"coords": f"POINT({lon:.9f} {lat:.9f})", "parameter-name": var, **more})
        self.url = f"{server.url}/api/collections/{collection_of(file)}/position?{query}"
        status, body = get(self.url)
        assert status == 200, f"{file} {var} at {lon} {lat}: {body.decode()}"
        said = json.loads(body)
        said = said.get("coverages", [said])[0]
        self.axes = {k: a["values"] for k, a in said["domain"]["axes"].items() if "values" in a}
        self.lon, self.lat = self.axes["x"][0], self.axes["y"][0]
        of = said["ranges"][var]
        self.values = numbers(of["values"])
        self.shape = of.get("shape", [])
        if "graticule:dimensions" in said:
            # One coverage of several: all of them, in the order of the stored dimensions, are the rows of the table.
            dims = list(zip(*(row[2:-1] for row in self.rows())))
            self.values, self.shape = self.as_csv(), [len(set(column)) for column in dims]

    def rows(self):
        return list(csv.reader(io.StringIO(get(self.url + "&f=CSV")[1].decode())))[1:]

    def as_csv(self):
        """The same numbers from the other form of the answer."""
        return numbers([float(r[-1]) if r[-1] else None for r in self.rows()])

    def near(self, lon, lat):
        """Great-circle degrees from there."""
        vector = lambda x, y: np.array([np.cos(y) * np.cos(x), np.cos(y) * np.sin(x), np.sin(y)])
        a, b = vector(*np.deg2rad([lon, lat])), vector(*np.deg2rad([self.lon, self.lat]))
        return float(np.rad2deg(2 * np.arcsin(min(1.0, np.linalg.norm(a - b) / 2))))


def instant(text):
    """An ISO text, to microseconds, without its zone."""
    date, _, time = text.rstrip("Z").partition("T")
    hour, minute, second = (time.split(":") + ["0", "0"])[:3]
    return date, round(float(hour) * 3600 + float(minute) * 60 + float(second), 6)


class Opened:
    """Served hierarchies as xarray opens them, each once."""

    def __init__(self, server):
        self.server, self.kept = server, {}

    def __call__(self, file, group=None, **how):
        key = (file, group, tuple(how.items()))
        if key not in self.kept:
            how = {"decode_times": False, "mask_and_scale": True} | dict(how)
            url = f"{self.server.url}/zarr/{collection_of(file)}"
            self.kept[key] = xr.open_zarr(url, group=group, **how)
        return self.kept[key]


def hours(step):
    """The end of a step range as ecCodes writes it: 6, 0-5, 0m-15m, -28587-6477."""
    end = re.fullmatch(r"(?:-?\w+-)?(-?\d+m?)", step)[1]
    return int(end[:-1]) / 60 if end.endswith("m") else float(end)


def is_of(record, v):
    """True where the served variable is of the record's parameter and kind of level."""
    a = v.attrs
    short = record["shortName"]
    if short == "unknown":
        named = re.fullmatch(r"d\d+_c\d+_n\d+\w*", v.name) is not None
    elif short == "mass_mixrat":
        # ecCodes has one name for all constituents; the tables here know them apart.
        named = "GRIB_constituentType" in a
    else:
        named = a.get("GRIB_shortName") == short
    ids = {"edition": "edition", "discipline": "discipline", "parameterCategory": "parameterCategory",
           "parameterNumber": "parameterNumber", "typeOfLevel": "typeOfLevel", "gridType": "gridType"}
    return named and all(a.get(f"GRIB_{k}") == record[k] for k in ids if k in record)


def plane(record, ds, v):
    """Indices of the record's plane in the dimensions before the grid's, or None."""
    d, t = str(record["dataDate"]), record["dataTime"]
    reference = datetime.datetime(int(d[:4]), int(d[4:6]), int(d[6:]), t // 100, t % 100, tzinfo=datetime.UTC).timestamp()
    step = hours(record["stepRange"])
    out = {}
    for dim in v.dims:
        if dim not in ds.coords:
            return out
        c = ds[dim]
        kind = c.attrs.get("standard_name")
        if kind in ("latitude", "longitude", "projection_y_coordinate", "grid_latitude"):
            return out
        if kind == "time":
            first, lead = ds["forecast_reference_time"].values, ds["step"].values
            # ecCodes leaves out the seconds.
            hit = (first - first % 60 == reference) & close(lead, step)
        elif kind == "forecast_reference_time":
            hit = c.values == reference
        elif kind == "forecast_period":
            hit = close(c.values, step)
        elif kind == "realization":
            hit = c.values == record.get("number")
        elif "bounds" in c.attrs:
            # ecCodes calls a layer by its first surface.
            hit = close(ds[c.attrs["bounds"]].values[:, 0], record["level"])
        else:
            hit = close(c.values, record["level"])
        if not hit.any():
            return None
        out[dim] = int(np.argmax(hit))
    return out
