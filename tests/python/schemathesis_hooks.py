"""What OpenAPI cannot say of a request, for schemathesis: how values relate to each other, the language
that a text is in, and the names that one collection has. Requests that are wrong on purpose stay as they are.
"""

import functools
import hashlib
import json
import time
import urllib.parse
import urllib.request

import schemathesis

FILTERS = {
    "cql2-text": [
        "\"graticule:bytes\" > 1000 AND version LIKE 'A%'",
        "S_INTERSECTS(geometry, BBOX(-30,-20,30,20)) OR deprecated = true",
        "T_AFTER(datetime, TIMESTAMP('2000-01-01T00:00:00Z'))",
    ],
    "cql2-json": [
        {"op": "and", "args": [{"op": ">", "args": [{"property": "graticule:bytes"}, 1]}, True]},
        {"op": "like", "args": [{"property": "id"}, "%nc"]},
        {"op": "s_intersects", "args": [{"property": "geometry"}, {"bbox": [-30, -20, 30, 20]}]},
    ],
}
SHAPES = [
    {"type": "Point", "coordinates": [4.9, 52.4]},
    {"type": "Polygon", "coordinates": [[[0, 0], [10, 0], [10, 10], [0, 0]]]},
    {"type": "MultiPoint", "coordinates": [[1, 2], [3, 4]]},
]
QUERIES = [{"graticule:bytes": {"gt": 10}}, {"version": {"startsWith": "A"}}, {"id": {"in": ["a", "b"]}}]


# Of each query of EDR, places that any global grid has.
PLACES = {
    "position": ["POINT(4.9 52.4)", "MULTIPOINT((1 2),(3 4))"],
    "area": ["POLYGON((-10 40,10 40,10 60,-10 60,-10 40))", json.dumps(SHAPES[1])],
    "radius": ["POINT(4.9 52.4)"],
    "trajectory": ["LINESTRING(-30 0,-20 10,-10 10)"],
}
QUERIES_OF_EDR = {*PLACES, "cube", "statistics"}


def read(base, path):
    with urllib.request.urlopen(base.rstrip("/") + path) as reply:
        return json.load(reply)


@functools.cache
def parts(base, collection, what):
    """Ids of the items or versions of a collection."""
    return [part["id"] for part in read(base, f"/api/collections/{collection}/{what}")[{"items": "features"}.get(what, what)]]


@functools.cache
def job(base, collection):
    """An answer that was asked for and has been made."""
    url = f"{base.rstrip('/')}/api/collections/{collection}/position?coords=POINT(4.9%2052.4)"
    request = urllib.request.Request(url, headers={"prefer": "respond-async"})
    with urllib.request.urlopen(request) as reply:
        name = json.load(reply)["jobID"]
    while read(base, f"/api/jobs/{name}")["status"] == "running":
        time.sleep(0.05)
    return name


@functools.cache
def known(base):
    """The collections of a server: cubes and tables, with their names of variables and columns; of cubes
    which queries they offer for places that any global grid has, and whether they offer a small picture."""
    cubes, tables = {}, {t["id"]: t["columns"] for t in read(base, "/api/tables")["tables"]}
    for c in read(base, "/api/collections?limit=1000")["collections"]:
        if c["id"] not in tables:
            west, south, east, north = c["extent"]["spatial"]["bbox"][0]
            whole = east - west > 359 and north - south > 179
            cubes[c["id"]] = (sorted(c["parameter_names"]), whole and "position" in c["data_queries"])
    return cubes, tables


def pick(options, seed):
    """One of them, the same for the same seed."""
    return options[int(hashlib.sha256(str(seed).encode()).hexdigest(), 16) % len(options)]


def in_order(box):
    """A box whose southern edge is in the south."""
    south, north = (1, 3) if len(box) == 4 else (1, 4)
    out = list(box)
    out[south], out[north] = sorted([box[south], box[north]], key=float)
    return out


def interval(text):
    """An interval that does not end before it begins."""
    first, slash, last = text.partition("/")
    both = slash and not {first, last} & {"", ".."}
    return f"{first}/.." if both else text


def place_and_time(of):
    # What is null is as good as absent.
    for name in [name for name, value in of.items() if value is None]:
        del of[name]
    if "bbox" in of and "intersects" in of:
        del of["intersects"]
    if isinstance(of.get("datetime"), str):
        of["datetime"] = interval(of["datetime"])


def query(of, names, path):
    place_and_time(of)
    if "bbox" in of:
        of["bbox"] = ",".join(in_order(of["bbox"].split(",")))
    if "intersects" in of:
        of["intersects"] = json.dumps(pick(SHAPES, of["intersects"]))
    if "filter" in of:
        language = of.get("filter-lang", "cql2-text")
        chosen = pick(FILTERS[language], of["filter"])
        of["filter"] = chosen if isinstance(chosen, str) else json.dumps(chosen)
    if "filter-crs" in of:
        of["filter-crs"] = "CRS84"
    for key in ("variable", "parameter-name", "select", "order"):
        if key in of and names:
            of[key] = pick(names, of[key])
    if "z" in of:
        # Levels are those of the grid.
        del of["z"]
    if "colormap" in of:
        of["colormap"] = pick(["viridis", "turbo"], of["colormap"])
    if "clim" in of:
        of["clim"] = pick(["-2,32", "270,310.5"], of["clim"])
    last = path.rpartition("/")[2]
    if last == "map" or "/map/tiles/" in path:
        # Any instant, and a box of any shape, may be none that can be drawn.
        for key in ("datetime", "bbox", "bbox-crs", "crs", "width", "height", "bgcolor"):
            of.pop(key, None)
    if of.get("clim", "").startswith("-"):
        # A logarithm has no colours for what is below zero.
        of.pop("scale", None)
    if last in ("wms", "wmts"):
        # What the other requests need is not said by OpenAPI.
        of.update(request="GetCapabilities", service=last.upper())
        of.pop("version", None)
    if "/locations/" in path or path.rpartition("/")[2] in QUERIES_OF_EDR:
        places(of, path.rpartition("/")[2])
    if path.startswith("/api/tables/"):
        for key in ("bbox", "datetime", "token"):
            of.pop(key, None)


def places(of, what):
    """A query of EDR for what every global grid has."""
    # Any instant and any level may lie outside of the collection's.
    for key in ["datetime", "z", "parameter-name", "estimate", *(k for k in of if k.startswith("dim:"))]:
        of.pop(key, None)
    if what in PLACES:
        of["coords"] = pick(PLACES[what], of.get("coords"))
    if "within" in of:
        of["within"] = "300"
        if "bbox" in of:
            # Any other may have nothing of the circle.
            of["bbox"] = "-180,-90,180,90"
    if "colormap" in of:
        of["colormap"] = pick(["viridis", "turbo"], of["colormap"])
    if "clim" in of:
        of["clim"] = pick(["-2,32", "270,310.5"], of["clim"])
    if what == "cube":
        of["bbox"] = "-10,40,10,60"
    if what == "statistics":
        of.clear()
        of["bbox"] = [-10, 40, 10, 60]


def body(of):
    place_and_time(of)
    if "bbox" in of:
        of["bbox"] = in_order(of["bbox"])
    if "intersects" in of:
        of["intersects"] = pick(SHAPES, of["intersects"])
    if "filter" in of:
        of["filter-lang"] = "cql2-text" if isinstance(of["filter"], str) else "cql2-json"
        of["filter"] = pick(FILTERS[of["filter-lang"]], of["filter"])
    if "query" in of:
        of["query"] = pick(QUERIES, of["query"])


@schemathesis.hook
def before_call(context, case, **kwargs):
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return
    path = case.operation.path
    base = case.operation.base_url or case.operation.schema.get_base_url()
    cubes, tables = known(base)
    names = None
    given = case.path_parameters or {}
    for key in ("id", "reference"):
        if key not in given:
            continue
        of_tables = path.startswith("/api/tables/")
        last = path.rpartition("/")[2]
        fits = (lambda c: c[1]) if last in QUERIES_OF_EDR or last == "{location}" else (lambda c: True)
        options = sorted(tables) if of_tables else sorted(name for name, cube in cubes.items() if fits(cube))
        given[key] = pick(options, given[key])
        names = tables[given[key]] if of_tables else cubes[given[key]][0]
    for key, what in (("item", "items"), ("version", "versions")):
        if key in given:
            given[key] = pick(parts(base, given["id"], what), given[key])
    if "location" in given:
        given["location"] = pick(["u173z", "ezs42"], given["location"])
    if "job" in given:
        given["job"] = job(base, sorted(name for name, cube in cubes.items() if cube[1])[0])
    if "tms" in given:
        given["tms"] = "WebMercatorQuad"
        given.update({key: "0" for key in "zyx" if key in given})
    if "day" in given:
        # Not every month has a thirtieth.
        given["day"] = min(given["day"], "28")
    if "key" in given:
        given["key"] = pick(["zarr.json", ".zmetadata", "nothing/zarr.json"], given["key"])
    if isinstance(case.query, dict) and case.method.upper() == "GET":
        query(case.query, names, path)
    if (path == "/api/search" or path.endswith("/aggregate")) and isinstance(case.body, dict):
        body(case.body)
    elif path.rpartition("/")[2] in QUERIES_OF_EDR and isinstance(case.body, dict):
        places(case.body, path.rpartition("/")[2])
