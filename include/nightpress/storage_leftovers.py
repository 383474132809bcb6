"""Remove what a killed process left behind: temporary files on its disk, and unfinished uploads to S3.

Neither is visible under a final name. Both take space, and unfinished uploads cost money until they are aborted;
a lifecycle rule of the bucket can abort them as well.
"""

from __future__ import annotations

import logging
import os
import tempfile
from pathlib import Path

from nightpress.storage import StoragePath, store_errors

log = logging.getLogger(__name__)

OLD_SECONDS = 86_400.0
"""Age from which a file or upload is a leftover: no task takes a day to write a file."""


def remove_leftovers(root: StoragePath, now: float) -> int:
    """Remove temporary files of this machine and unfinished uploads below the root that are older than a day.

    Listing takes one request to the store. A failure is only logged, since leftovers hold no results.

    :param now: epoch seconds.
    :return: how many were removed.
    """
    return _remove_files(Path(tempfile.gettempdir()), now) + _abort_uploads(root, now)


def _remove_files(folder: Path, now: float) -> int:
    removed = 0
    for path in folder.glob(".*.aside"):
        try:
            found = path.lstat()
            if found.st_uid == os.getuid() and now - found.st_mtime > OLD_SECONDS:
                path.unlink()
                removed += 1
        except OSError as error:
            log.info("%s was not removed (%s)", path, error)
    return removed


def _abort_uploads(root: StoragePath, now: float) -> int:
    fs = root.fs
    if not hasattr(fs, "call_s3"):
        return 0
    bucket, _, prefix = root.path.rstrip("/").partition("/")
    removed = 0
    try:
        with store_errors(root):
            found = fs.call_s3("list_multipart_uploads", Bucket=bucket, Prefix=f"{prefix}/" if prefix else "")
            for upload in found.get("Uploads", ()):
                if now - upload["Initiated"].timestamp() > OLD_SECONDS:
                    fs.call_s3(
                        "abort_multipart_upload",
                        Bucket=bucket,
                        Key=upload["Key"],
                        UploadId=upload["UploadId"],
                    )
                    removed += 1
    except OSError as error:
        log.info("unfinished uploads below %s were not aborted (%s)", root, error)
    return removed
