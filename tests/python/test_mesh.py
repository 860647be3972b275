"""A UGRID mesh that says only where its nodes are, with fields on its faces and edges."""

import json
import subprocess
import urllib.parse
import urllib.request

import numpy as np
import pytest
import xarray as xr

from conftest import Server, binary

ROWS, COLUMNS = 20, 41


def dataset(on_its_side):
    """Quadrilaterals across the antimeridian; the last column of faces are triangles."""
    lon, lat = np.meshgrid(170 + np.arange(COLUMNS) * 0.5, -5 + np.arange(ROWS) * 0.5)
    node = np.arange(ROWS * COLUMNS).reshape(ROWS, COLUMNS)
    faces = np.stack([node[:-1, :-1], node[:-1, 1:], node[1:, 1:], node[1:, :-1]], -1).reshape(-1, 4) + 1
    faces[COLUMNS - 2 :: COLUMNS - 1, 3] = -999
    edges = np.stack([node[:, :-1], node[:, 1:]], -1).reshape(-1, 2) + 1
    wrapped = (lon.ravel() + 180) % 360 - 180
    mesh = {
        "cf_role": "mesh_topology",
        "topology_dimension": 2,
        "node_coordinates": "node_x node_y",
        "face_node_connectivity": "faces",
        "edge_node_connectivity": "edges",
    }
    table = ("corner", "face") if on_its_side else ("face", "corner")
    return xr.Dataset(
        {
            "mesh": ((), np.int32(0), mesh),
            "node_x": ("node", wrapped, {"units": "degrees_east", "standard_name": "longitude"}),
            "node_y": ("node", lat.ravel(), {"units": "degrees_north", "standard_name": "latitude"}),
            "faces": (table, faces.T if on_its_side else faces, {"start_index": 1, "_FillValue": -999}),
            "edges": (("edge", "two"), edges, {"start_index": 1}),
            "depth": ("face", np.arange(len(faces), dtype="f4"), {"mesh": "mesh", "location": "face", "units": "m"}),
            "flow": ("edge", np.arange(len(edges), dtype="f4"), {"mesh": "mesh", "location": "edge", "units": "m3 s-1"}),
        }
    )


@pytest.mark.parametrize("on_its_side", [False, True])
def test_faces_and_edges_lie_in_the_middle_of_their_nodes(on_its_side, tmp_path):
    source = dataset(on_its_side)
    source.to_netcdf(tmp_path / "mesh.nc")
    run = [binary(), "ingest", tmp_path / "mesh.nc", "--collection", "mesh", "--data", tmp_path / "data"]
    subprocess.run(run, check=True)
    server = Server(tmp_path / "data")
    try:
        store = xr.open_zarr(f"{server.url}/zarr/mesh")
        assert store.mesh.attrs["face_coordinates"] == "mesh_face_longitude mesh_face_latitude"
        for face in (0, 27, 400, 759):
            corners = [n for n in dataset(False).faces.values[face] if n > 0]
            x, y = np.radians([source.node_x.values, source.node_y.values])
            xyz = np.array([np.cos(y) * np.cos(x), np.cos(y) * np.sin(x), np.sin(y)])[:, np.array(corners, int) - 1]
            a, b, c = xyz.sum(axis=1)
            lon, lat = np.degrees([np.arctan2(b, a), np.arctan2(c, np.hypot(a, b))])
            assert np.allclose([store.mesh_face_longitude[face], store.mesh_face_latitude[face]], [lon, lat], atol=1e-9)
            query = urllib.parse.urlencode({"coords": f"POINT({lon} {lat})", "parameter-name": "depth"})
            url = f"{server.url}/api/collections/mesh/position?{query}"
            answer = json.loads(urllib.request.urlopen(url).read())
            assert answer["ranges"]["depth"]["values"] == [float(face)]
        assert np.isclose(store.mesh_edge_longitude[0], 170.25) and np.isclose(store.mesh_edge_latitude[0], -5, atol=1e-3)
        # There is a map of both.
        assert {"depth", "flow"} <= set(xr.open_zarr(f"{server.url}/zarr/mesh", group="1"))
    finally:
        server.stop()
