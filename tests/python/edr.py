"""Asking OGC API EDR, and reading what it answers."""

import json
import urllib.error
import urllib.parse
import urllib.request

import netCDF4
import numpy as np
import pytest
import xarray as xr
from covjson_pydantic.coverage import Coverage, CoverageCollection


def ask(url, body=None, **headers):
    request = urllib.request.Request(url, data=body, headers=headers)
    with urllib.request.urlopen(request) as answer:
        return answer.read(), answer.headers


def query(server, collection, what, **parameters):
    parameters = {k.replace("_", "-"): v for k, v in parameters.items()}
    body, _ = ask(f"{server.url}/api/collections/{collection}/{what}?{urllib.parse.urlencode(parameters)}")
    return body


def coverage(server, collection, what, **parameters):
    body = json.loads(query(server, collection, what, **parameters))
    (CoverageCollection if body["type"] == "CoverageCollection" else Coverage).model_validate(body)
    return body


def refusal(server, collection, what, **parameters):
    with pytest.raises(urllib.error.HTTPError) as e:
        query(server, collection, what, **parameters)
    return e.value.code, json.loads(e.value.read())


def dataset(body):
    """A NetCDF answer, all of it read."""
    with netCDF4.Dataset("answer.nc", memory=body) as file:
        return xr.open_dataset(xr.backends.NetCDF4DataStore(file)).load()


def values(answer, name):
    array = answer["ranges"][name]
    return np.array([np.nan if v is None else v for v in array["values"]], "f8").reshape(array["shape"])
