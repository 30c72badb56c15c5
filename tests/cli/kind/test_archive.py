from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

from moorage_cli.kind.archive import Image, kept_layer, make_layer, write_archive


def folder_with(path: Path, **files: str) -> Path:
    path.mkdir(parents=True)
    for name, text in files.items():
        (path / name).write_text(text)
    return path


def read(archive: tarfile.TarFile, name: str) -> bytes:
    member = archive.extractfile(name)
    assert member is not None
    return member.read()


def test_the_same_content_gives_the_same_layer(tmp_path: Path) -> None:
    first = make_layer(folder_with(tmp_path / "a", x="1", y="2"), tmp_path / "a.tar")
    second = make_layer(folder_with(tmp_path / "b", y="2", x="1"), tmp_path / "b.tar")
    other = make_layer(folder_with(tmp_path / "c", x="1", y="3"), tmp_path / "c.tar")
    assert first.sha256 == second.sha256 != other.sha256
    assert hashlib.sha256(first.file.read_bytes()).hexdigest() == first.sha256


def test_an_archive_has_each_layer_once_and_every_image_names_its_own(tmp_path: Path) -> None:
    base = make_layer(folder_with(tmp_path / "base", os="x"), tmp_path / "base.tar")
    tops = [
        make_layer(folder_with(tmp_path / name, program=name), tmp_path / f"{name}.tar")
        for name in ("one", "two")
    ]
    images = [
        Image(f"example.com/{n}:1", [base, top], [f"/{n}"], "65532:65532", ["A=b"], {"title": n})
        for n, top in zip(("one", "two"), tops, strict=True)
    ]
    write_archive(images, tmp_path / "images.tar")
    assert sorted(p.name for p in tmp_path.glob(".*")) == []  # no half-written file is left

    with tarfile.open(tmp_path / "images.tar") as archive:
        layers = [m.name for m in archive.getmembers() if m.name.endswith("layer.tar")]
        assert len(layers) == len(set(layers)) == 3
        manifest: list[dict[str, Any]] = json.loads(read(archive, "manifest.json"))
        assert [entry["RepoTags"] for entry in manifest] == [[i.name] for i in images]
        for entry, image in zip(manifest, images, strict=True):
            configuration = json.loads(read(archive, entry["Config"]))
            content = [read(archive, layer) for layer in entry["Layers"]]
            sums = [f"sha256:{hashlib.sha256(layer).hexdigest()}" for layer in content]
            assert configuration["rootfs"]["diff_ids"] == sums
            assert configuration["config"]["User"] == "65532:65532"
            assert configuration["config"]["Entrypoint"] == list(image.entrypoint)
            with tarfile.open(fileobj=io.BytesIO(content[-1])) as layer:
                assert read(layer, "./program").decode() == image.labels["title"]


def test_a_kept_layer_is_made_once(tmp_path: Path) -> None:
    made: list[Path] = []

    def fill(folder: Path) -> None:
        made.append(folder)
        (folder / "file").write_text("content")

    first = kept_layer(tmp_path / "layers/x.tar", fill)
    second = kept_layer(tmp_path / "layers/x.tar", fill)
    assert first == second
    assert len(made) == 1
    assert [p.name for p in (tmp_path / "layers").iterdir()] == ["x.tar"]
