"""Package registries as static sites of the miniature internet, under their real names, each with one small package that a
test can tell when it is used: npm, PyPI, crates.io (sparse) and a Go module proxy; and a git repository."""
import base64
import hashlib
import io
import json
import os
import subprocess
import tarfile
import zipfile

NAMES = ("registry.npmjs.org", "pypi.org", "files.pythonhosted.org", "index.crates.io", "static.crates.io", "crates.io",
         "proxy.golang.org", "git.test")


def put(internet, host, path, content):
    file = internet.path / "sites" / host / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content if isinstance(content, bytes) else content.encode())


def tarball(files):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, text in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text.encode())
            tar.addfile(entry, io.BytesIO(text.encode()))
    return out.getvalue()


def archive(files):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as zipped:
        for name, text in files.items():
            zipped.writestr(name, text)
    return out.getvalue()


def npm(internet):
    manifest = {"name": "small-thing", "version": "1.2.3", "main": "index.js"}
    package = tarball({"package/package.json": json.dumps(manifest), "package/index.js": "module.exports = 'small thing of npm'\n"})
    integrity = "sha512-" + base64.b64encode(hashlib.sha512(package).digest()).decode()
    put(internet, "registry.npmjs.org", "small-thing/-/small-thing-1.2.3.tgz", package)
    put(internet, "registry.npmjs.org", "small-thing/index.html", json.dumps({
        "name": "small-thing", "dist-tags": {"latest": "1.2.3"},
        "versions": {"1.2.3": {**manifest, "dist": {
            "tarball": "https://registry.npmjs.org/small-thing/-/small-thing-1.2.3.tgz", "integrity": integrity}}}}))


def pypi(internet):
    info = "small_thing-1.2.3.dist-info"
    wheel = archive({"small_thing.py": "WHAT = 'small thing of PyPI'\n",
                     f"{info}/METADATA": "Metadata-Version: 2.1\nName: small-thing\nVersion: 1.2.3\n",
                     f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
                     f"{info}/RECORD": f"small_thing.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n"})
    name = "small_thing-1.2.3-py3-none-any.whl"
    put(internet, "files.pythonhosted.org", f"packages/{name}", wheel)
    put(internet, "pypi.org", "simple/small-thing/index.html",
        f'<!DOCTYPE html><a href="https://files.pythonhosted.org/packages/{name}#sha256={hashlib.sha256(wheel).hexdigest()}">{name}</a>\n')


def crates(internet):
    crate = tarball({"small-thing-1.2.3/Cargo.toml": '[package]\nname = "small-thing"\nversion = "1.2.3"\nedition = "2021"\n',
                     "small-thing-1.2.3/src/lib.rs": 'pub const WHAT: &str = "small thing of crates.io";\n'})
    put(internet, "index.crates.io", "config.json", json.dumps({"dl": "https://static.crates.io/crates", "api": "https://crates.io"}))
    put(internet, "index.crates.io", "sm/al/small-thing", json.dumps({
        "name": "small-thing", "vers": "1.2.3", "deps": [], "features": {}, "yanked": False,
        "cksum": hashlib.sha256(crate).hexdigest()}) + "\n")
    put(internet, "static.crates.io", "crates/small-thing/1.2.3/download", crate)


def go(internet):
    module = "example.com/small/thing@v1.2.3"
    mod = "module example.com/small/thing\n\ngo 1.19\n"
    base = "example.com/small/thing/@v"
    put(internet, "proxy.golang.org", f"{base}/list", "v1.2.3\n")
    put(internet, "proxy.golang.org", f"{base}/v1.2.3.info", '{"Version": "v1.2.3", "Time": "2024-01-01T00:00:00Z"}\n')
    put(internet, "proxy.golang.org", f"{base}/v1.2.3.mod", mod)
    put(internet, "proxy.golang.org", f"{base}/v1.2.3.zip", archive({
        f"{module}/go.mod": mod, f"{module}/thing.go": 'package thing\n\nconst What = "small thing of Go"\n'}))


def git(internet):
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@x",
                   "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@x"}
    site = internet.path / "sites" / "git.test"
    site.mkdir(parents=True)
    for line in ("git init -q work", "git -C work commit -q --allow-empty -m first", "git clone -q --bare work repo.git",
                 "git -C repo.git update-server-info"):
        subprocess.run(line.split(), cwd=site, check=True, env=environment, capture_output=True)


def fill(internet):
    for registry in (npm, pypi, crates, go, git):
        registry(internet)
