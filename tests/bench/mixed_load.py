"""A mixed load with hostile requests among it: no 5xx, no panic, flat memory.

    python tests/bench/mixed_load.py URL PID [MINUTES] [CONNECTIONS]

Asks every collection of the server for chunks, metadata, positions, areas, boxes, tiles, searches, counts and
documents; one request in twenty is wrong on purpose (geometry that is none, huge polygons, deep CQL2, absurd limits,
tricks with paths, readers that read slowly). Prints what was answered and the server's memory minute by minute.
"""

import asyncio
import collections
import json
import random
import sys
import time

import aiohttp

URL, PID = sys.argv[1].rstrip("/"), int(sys.argv[2])
MINUTES = float(sys.argv[3]) if len(sys.argv) > 3 else 10
CONNECTIONS = int(sys.argv[4]) if len(sys.argv) > 4 else 64
R = random.Random(7)


def memory():
    """What the process holds itself, and how much of mapped files lies in memory beside it."""
    kib = {line.split(":")[0]: int(line.split()[1]) for line in open(f"/proc/{PID}/status") if line.startswith("Rss")}
    return f"{kib['RssAnon'] / 1024:6.0f} MB and {kib['RssFile'] / 1024:4.0f} of files"


def place():
    return round(R.uniform(-179, 179), 2), round(R.uniform(-80, 80), 2)


def box(size):
    x, y = R.uniform(-180, 180 - size), R.uniform(-85, 85 - size)
    return x, y, x + size, y + size


def ring(b):
    w, s, e, n = b
    return f"(({w} {s},{e} {s},{e} {n},{w} {n},{w} {s}))"


def ordinary(cubes):
    c = R.choice(cubes)
    here, (x, y), b = f"/api/collections/{c['id']}", place(), box(R.choice([2, 5, 10]))
    v = R.choice(c["parameters"])
    z = R.randrange(5)
    return R.choice(
        [
            lambda: ("GET", f"/zarr/{c['id']}/zarr.json", None),
            lambda: ("GET", f"/zarr/{c['id']}/{v}/c/" + "/".join("0" * c["rank"][v]), None),
            lambda: ("GET", f"{here}/position?coords=POINT({x} {y})&parameter-name={v}", None),
            lambda: ("GET", f"{here}/position?coords=POINT({x} {y})&parameter-name={v}&f=CSV&method=bilinear", None),
            lambda: ("GET", f"{here}/area?coords=POLYGON{ring(b)}&parameter-name={v}&f={R.choice(['CoverageJSON', 'GeoJSON', 'Parquet', 'Arrow'])}", None),
            lambda: ("GET", f"{here}/cube?bbox={','.join(map(str, b))}&parameter-name={v}&f=NetCDF4", None),
            lambda: ("POST", f"{here}/statistics", {"bbox": b, "parameter-name": [v]}),
            lambda: ("GET", f"{here}/map/tiles/WebMercatorQuad/{z}/{R.randrange(2**z)}/{R.randrange(2**z)}?variable={v}", None),
            lambda: ("GET", f"{here}/legend?variable={v}", None),
            lambda: ("GET", here, None),
            lambda: ("GET", "/api/collections", None),
            lambda: ("POST", "/api/search", {"bbox": b, "limit": 10}),
            lambda: ("GET", "/api/aggregate?aggregations=total_count,datetime_frequency", None),
            lambda: ("GET", "/api/wms?service=WMS&request=GetCapabilities", None),
            lambda: ("GET", "/", None),
        ]
    )()


def hostile(cubes):
    c = R.choice(cubes)
    here, v = f"/api/collections/{c['id']}", R.choice(c["parameters"])
    huge = "POLYGON((" + ",".join(f"{R.uniform(-180, 180):.3f} {R.uniform(-90, 90):.3f}" for _ in range(3000)) + "))"
    deep = "(" * 2000 + "id = 'a'" + ")" * 2000
    return R.choice(
        [
            lambda: ("GET", f"{here}/position?coords=POINT({R.choice(['', '1', 'NaN NaN', '1e999 0', '9 9 9 9 9'])})", None),
            lambda: ("GET", f"{here}/area?coords=POLYGON" + "(" * 500, None),
            lambda: ("POST", f"{here}/area", {"coords": huge, "parameter-name": v}),
            lambda: ("POST", f"{here}/cube", {"bbox": [-180, -90, 180, 90], "f": "GeoJSON"}),
            lambda: ("POST", "/api/search", {"filter": deep, "filter-lang": "cql2-text"}),
            lambda: ("POST", "/api/search", {"filter": json.loads('{"op":"not","args":[' * 90 + "true" + "]}" * 90)}),
            lambda: ("GET", f"/api/search?limit={R.choice(['-1', '0', '999999999999999999999', '1e9', ''])}", None),
            lambda: ("GET", f"/api/search?q={'a,' * 500}", None),
            lambda: ("GET", f"/zarr/{R.choice(['..', '%2e%2e', '....', '%00', 'a' * 300])}/{R.choice(['..%2f..%2fetc%2fpasswd', 'zarr.json', '%ff'])}", None),
            lambda: ("GET", f"/zarr/{c['id']}/{v}/c/" + "/".join(["99999999999999999999"] * c["rank"][v]), None),
            lambda: ("GET", f"{here}/map/tiles/WebMercatorQuad/{R.choice(['30', '-1', '99999999999', 'x'])}/0/0", None),
            lambda: ("GET", f"{here}/map?bbox=-180,-90,180,90&width={R.choice([0, 99999, -5])}&height=4", None),
            lambda: ("GET", f"{here}/trajectory?coords=LINESTRING(-180 -90,180 90,{','.join(['-180 90', '180 -90'] * 400)})&parameter-name={v}", None),
            lambda: ("GET", f"/api/wms?service=WMS&request=GetMap&version=1.3.0&layers={'x' * 5000}&crs=EPSG:4326&bbox=1,2,3&width=1&height=1", None),
            lambda: ("SLOW", f"/zarr/{c['id']}/zarr.json", None),
            lambda: ("GET", f"/{R.choice(['.env', '../../etc/passwd', '%2e%2e/%2e%2e', 'api//collections', 'api/collections/%ff'])}", None),
        ]
    )()


async def slowly(path):
    """A reader that takes a few bytes at a time, and then goes."""
    host, port = URL.split("//")[1].split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        for byte in f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode():
            writer.write(bytes([byte]))
            await asyncio.sleep(0.002)
        await asyncio.wait_for(reader.read(64), 20)
        await asyncio.sleep(R.uniform(0, 2))
    finally:
        writer.close()
    return "slow"


async def main():
    timeout = aiohttp.ClientTimeout(total=120)
    async with aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(limit=CONNECTIONS)) as session:
        async with session.get(f"{URL}/api/collections?limit=100") as reply:
            found = (await reply.json())["collections"]
        cubes = [
            {"id": c["id"], "parameters": list(c["parameter_names"]), "rank": {k: len(v["dimensions"]) for k, v in c["cube:variables"].items()}}
            for c in found
            if c.get("parameter_names") and "cube:variables" in c
        ]
        end, statuses, failures, wrong = time.time() + MINUTES * 60, collections.Counter(), [], 0

        async def worker():
            nonlocal wrong
            while time.time() < end:
                bad = R.random() < 0.05
                method, path, body = (hostile if bad else ordinary)(cubes)
                wrong += bad
                try:
                    if method == "SLOW":
                        statuses[await slowly(path)] += 1
                        continue
                    async with session.request(method, URL + path, json=body) as reply:
                        await reply.read()
                        statuses[reply.status] += 1
                        if reply.status >= 500:
                            failures.append((reply.status, method, path[:200]))
                except Exception as e:
                    statuses[type(e).__name__] += 1
                    failures.append((type(e).__name__, method, path[:200]))

        async def watch():
            while time.time() < end:
                print(f"{MINUTES - (end - time.time()) / 60:5.1f} min  {memory()}  {sum(statuses.values())} requests", flush=True)
                await asyncio.sleep(min(60, max(1, MINUTES * 6)))

        await asyncio.gather(watch(), *(worker() for _ in range(CONNECTIONS)))
        print(f"  end    {memory()}  {sum(statuses.values())} requests, {wrong} of them hostile")
        print(dict(statuses))
        for failure in collections.Counter(failures).most_common(20):
            print(failure)
        return 1 if any(isinstance(s, int) and s >= 500 for s in statuses) else 0


sys.exit(asyncio.run(main()))
