"""A file of reviews in, and they stand in the journal; a journal in, and its reviews with their images stand in a folder."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

from edge.commands.finding import several
from edge.errors import ReviewError
from edge.journal import Journal, problems, requests
from edge.service import reviewed
from edge.service.worker import printable
from edge.teach.reviews import Review, check_clicks, disagreements, latest, parse_review, read_reviews


def add(state: Path, file: Path) -> int:
    """Hand the reviews of a JSON Lines file to the service. Raises ReviewError, and then none is handed over; StateError."""
    found = read_reviews(file)
    with Journal.view(state) as journal:
        known = {one.review_id: one.said for one in journal.reviews.all()}
    stored = [parse_review(said, review_id) for review_id, said in known.items()]
    by_id = {review.review_id: review for review in stored}
    for review in found:
        if review.review_id in by_id and by_id[review.review_id] != review:
            raise ReviewError(f"{file}: review {review.review_id!r} is stored already, with other content: give it a new id")
    new = {review.review_id for review in found} - set(by_id)
    check_clicks([*stored, *found], str(file))
    for line in file.read_bytes().removeprefix(b"\xef\xbb\xbf").split(b"\n"):
        if line.strip() and (review := parse_review(line, str(file))).review_id in new:
            new.discard(review.review_id)
            requests.leave_review(state, line.strip())
            print(printable(review.review_id))
    told = problems.read(state)
    when = "within seconds" if told is not None and told.alive else "at its next start: it does not run now"
    print(f"{several(len(found), 'review')} read; the service takes those that are new {when}", file=sys.stderr)
    _tell_disagreements([*stored, *found])
    return 0


def list_reviews(state: Path, *, as_json: bool) -> int:
    """Print the reviews that are stored, in the order in which they came, and who disagrees. Raises StateError."""
    reviews, states = _stored(state)
    counting = {review.review_id for review in latest(reviews)}
    for review in reviews:
        number, sent = states[review.review_id]
        kept = reviewed.kept_image(state, review.image.sha256) is not None
        counts = review.review_id in counting
        if as_json:
            fields = {"review_seq": number, "review_id": review.review_id, "reviewer": review.reviewer, "state": sent}
            image = {"path": review.image.path, "sha256": review.image.sha256, "kept": kept}
            print(json.dumps({**fields, "image": image, "clicks": review.clicks, "counts": counts}))
            continue
        image_text = printable(review.image.path or review.image.name or review.image.sha256[:12])
        notes = ("" if counts else ", does not count") + ("" if kept else ", its image is not kept")
        clicks = several(review.clicks, "click")
        print(f"{number:>5}  {printable(review.reviewer)}  {image_text}  {clicks}, {sent}{notes}")
    print(several(len(reviews), "review"), file=sys.stderr)
    _tell_disagreements(reviews)
    return 0


def export(state: Path, out: Path) -> int:
    """Write reviews.jsonl, images/ and inspections/ into a new or empty folder; 1 when an image is not there any more.

    Raises ReviewError where there are no reviews or the folder holds something, StateError.
    """
    reviews, _ = _stored(state)
    if not reviews:
        raise ReviewError(f"the journal in {state} has no reviews: edge-review add hands some over")
    try:
        out.mkdir(parents=True, exist_ok=True)
        if any(out.iterdir()):
            raise ReviewError(f"{out} is not empty: name a new folder")
        with Journal.view(state) as journal:
            (out / "reviews.jsonl").write_bytes(b"".join(one.said.strip() + b"\n" for one in journal.reviews.all()))
        gone = [sha256 for sha256 in dict.fromkeys(one.image.sha256 for one in reviews) if not _copy(state, sha256, out)]
    except OSError as error:
        raise ReviewError(f"{out} cannot be written: {error.strerror or error}") from error
    for sha256 in gone:
        print(f"edge-review: no copy of the image whose hash begins {sha256[:12]} was kept", file=sys.stderr)
    print(out / "reviews.jsonl")
    return 1 if gone else 0


def _copy(state: Path, sha256: str, out: Path) -> bool:
    """Copy one image, its sidecars and its inspections; whether the image was there."""
    image = reviewed.kept_image(state, sha256)
    if image is None:
        return False
    folder = out / "images"
    folder = folder / sha256[:12] if (folder / image.name).exists() else folder
    folder.mkdir(parents=True, exist_ok=True)
    for file in sorted(image.parent.iterdir()):
        if file.name.endswith(reviewed.INSPECTION):
            (out / "inspections").mkdir(exist_ok=True)
            shutil.copyfile(file, out / "inspections" / file.name)
        elif file.suffix != ".tmp":
            shutil.copyfile(file, folder / file.name)
    return True


def _stored(state: Path) -> tuple[list[Review], dict[str, tuple[int, str]]]:
    with Journal.view(state) as journal:
        stored = journal.reviews.all()
    reviews = [parse_review(one.said, f"review {one.review_id}") for one in stored]
    return reviews, {one.review_id: (one.review_seq, one.state) for one in stored}


def _tell_disagreements(reviews: list[Review]) -> None:
    for one in disagreements(reviews):
        said = ", ".join(f"{printable(who)} says {printable(what)}" for who, what in one.said)
        print(f"reviewers disagree on {one.what} of {printable(one.image.path or one.image.name)}: {said}", file=sys.stderr)
