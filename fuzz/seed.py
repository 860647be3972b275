#!/usr/bin/env python3
"""Gathers the first inputs of the fuzz targets into fuzz/seeds (which git ignores).

    python3 fuzz/seed.py [SAMPLE_DATA]

They are the readers' own fixtures and, where the sample data is beside the
repository, its files below 64 kB. What fuzzing found to reach new code is kept,
minimised, in fuzz/corpus.
"""

import json
import pathlib
import shutil
import sys

HERE = pathlib.Path(__file__).resolve().parent
LIMIT = 64 << 10
READERS = {
    "netcdf3": lambda head: head[:3] == b"CDF",
    "hdf5": lambda head: head[:8] == b"\x89HDF\r\n\x1a\n",
    "grib": lambda head: b"GRIB" in head,
    "geotiff": lambda head: head[:2] in (b"II", b"MM"),
}
V3 = (
    '{"zarr_format":3,"node_type":"array","shape":[4,4],"data_type":"float32","fill_value":"NaN",'
    '"chunk_grid":{"name":"regular","configuration":{"chunk_shape":[4,4]}},'
    '"chunk_key_encoding":{"name":"default"},"dimension_names":["lat","lon"],"codecs":%s}'
)
V2 = (
    '{"zarr_format":2,"shape":[4,4],"chunks":[4,4],"dtype":"<f4","fill_value":0,"order":"C",'
    '"dimension_separator":".","compressor":%s,"filters":%s}'
)
BYTES = '{"name":"bytes","configuration":{"endian":"little"}}'
ARRAYS = [
    (True, (V3 % codecs).encode())
    for codecs in (
        f"[{BYTES}]",
        f'[{BYTES},{{"name":"zstd","configuration":{{"level":3,"checksum":false}}}}]',
        f'[{BYTES},{{"name":"gzip","configuration":{{"level":3}}}},{{"name":"crc32c"}}]',
        f'[{{"name":"transpose","configuration":{{"order":[1,0]}}}},{BYTES},{{"name":"blosc","configuration":'
        '{"cname":"lz4","clevel":5,"shuffle":"shuffle","typesize":4,"blocksize":0}}]',
        '[{"name":"sharding_indexed","configuration":{"chunk_shape":[2,2],"codecs":[' + BYTES + '],'
        '"index_codecs":[' + BYTES + ',{"name":"crc32c"}],"index_location":"end"}}]',
    )
] + [
    (False, (V2 % pair).encode())
    for pair in (
        ("null", "null"),
        ('{"id":"zlib","level":1}', '[{"id":"shuffle","elementsize":4}]'),
        ('{"id":"zstd","level":1}', '[{"id":"delta","dtype":"<f4"}]'),
        ('{"id":"lz4"}', '[{"id":"fixedscaleoffset","offset":1,"scale":2,"dtype":"<f4","astype":"<i2"}]'),
        ('{"id":"bz2","level":1}', '[{"id":"quantize","digits":2,"dtype":"<f4"}]'),
    )
]
TEXTS = {
    "table": [
        'time,lat,lon,"a ""b"""\nUTC,degrees_north,degrees_east,m\n2020-01-01T00:00:00Z,1,2,3.5\n2020-01-02,1,2,"x\ny"\n',
        "#YY  MM DD hh mm WDIR\n#yr  mo dy hr mn degT\n2018 08 01 15 10 160\n2018 08 01 15 00  MM\n",
        "# Summary\n\r# a;   +/- ;  c\n\r# id; sigma; deg\n\r# --; ---; ---\n\r1_x;  1.5; -2\n\r2_y; nan; ...\n\r",
        "zeit;breite;laenge;wert\n01.02.2020 13:00;52,5;13,4;1,25",
    ],
    "cf_time": ["days since 1970-01-01", "hours since 0000-01-01 00:00:00 +01:30", "months since 1900-1-1T0Z"],
    "units": ["kg m-2 s-1", "degC", "m**2 s**-2", "W/m^2", "0.01 hPa", "J.kg-1"],
    "codec_chain": ["float32;little;64,64;;zstd", "int16;big;2,3;1,0;crc32c,shuffle:2,delta,inflate"],
    "kerchunk": [
        '{"version":1,"templates":{"u":"data.nc"},"refs":{".zgroup":"{\\"zarr_format\\":2}",'
        '"a/.zarray":' + json.dumps(V2 % ("null", "null")) + ',"a/0.0":["{{u}}",64,64]}}',
        '{".zgroup":"{}","a/.zarray":' + json.dumps(V2 % ("null", "null")) + ',"a/0.0":["data.nc"]}',
        '{"version":1,"gen":[{"key":"a/{{i}}.0","url":"data.nc","offset":"{{i*64}}","length":"64",'
        '"dimensions":{"i":{"stop":2}}}],"refs":{"a/.zarray":' + json.dumps(V2 % ("null", "null")) + "}}",
    ],
    "wkt": ["POINT(4.9 52.4)", "MULTIPOINT((1 2),(3 4))", "point Z (1e1 -2 3)"],
    "shard_index": ["\0" * 36, "\0" * 32 + "abcd", "\x7f" * 64],
}


def put(target, name, content):
    folder = HERE / "seeds" / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)


def spell(key, content):
    """An object as the target `zarr` reads it."""
    return bytes([len(key)]) + len(content).to_bytes(2, "little") + key + content


def objects(folder):
    """The objects of a hierarchy, metadata first, as many as go into one input."""
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p.stat().st_size < 1 << 14)
    files.sort(key=lambda p: "zarr.json" not in p.name and not p.name.startswith(".z"))
    out = b""
    for p in files:
        key = p.relative_to(folder).as_posix().encode()
        if len(key) < 256 and len(out) < LIMIT - (1 << 14):
            out += spell(key, p.read_bytes())
    return out


def main():
    sample = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else HERE.parent.parent / "shared" / "data"
    shutil.rmtree(HERE / "seeds", ignore_errors=True)
    for root in (HERE.parent / "formats" / "tests" / "fixtures", sample):
        for path in sorted(p for p in root.rglob("*") if p.is_file() and p.stat().st_size <= LIMIT):
            content = path.read_bytes()
            name = "-".join(path.relative_to(root).parts)
            for target, is_kind in READERS.items():
                if is_kind(content[:512]):
                    put(target, name, content)
                    if target in ("grib", "geotiff"):
                        put("in_place", name, content)
            if "malformed" in path.parts and len(content) <= LIMIT:
                put("open", name, content)
            if path.suffix in (".csv", ".txt", ".spec", ".drift"):
                put("table", name, content)
            if path.suffix == ".nc" and ("samples" in path.parts or "table" in path.parts):
                put("samples", name, content)
            if path.suffix == ".json" and b".zarray" in content and b'"refs"' in content:
                put("kerchunk", name, content)
            if path.name in ("zarr.json", ".zmetadata", ".zarray"):
                put("zarr_metadata", name, content)
        for hierarchy in sorted(root.rglob("*.zarr")):
            if hierarchy.is_dir():
                put("zarr", "-".join(hierarchy.relative_to(root).parts), objects(hierarchy))
    for number, (v3, metadata) in enumerate(ARRAYS):
        name = b"a/zarr.json" if v3 else b"a/.zarray"
        root = (b"zarr.json", b'{"zarr_format":3,"node_type":"group"}') if v3 else (b".zgroup", b'{"zarr_format":2}')
        chunk = b"a/c/0/0" if v3 else b"a/0.0"
        put("zarr", f"array-{number}", b"".join(spell(*o) for o in (root, (name, metadata), (chunk, b"\0" * 64))))
    for target, texts in TEXTS.items():
        for number, text in enumerate(texts):
            put(target, f"text-{number}", text.encode("latin-1"))


if __name__ == "__main__":
    main()
