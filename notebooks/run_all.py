"""Execute what is stale of a run, several chapters at a time:
`python notebooks/run_all.py --profile quick`.

A chapter is current when nothing has changed that decides what it shows
(`chapters.made_from`); the scoreboard comes last. What chapters print goes to RUN/logs;
here each has one line.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import chapters
import inventory
from chapters import ROOT, clock

LAST_LINES = 12  # of the log of a chapter that failed
LONGEST = float("inf")  # seconds: begun first is what has not been executed yet
WAIT = 0.2  # seconds between two looks at what is running
THREADS = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "LOKY_MAX_CPU_COUNT",
)


def main() -> None:
    arguments = parse_arguments()
    os.chdir(ROOT)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    try:
        run_all(arguments.profile, arguments.data, arguments.jobs)
    except ValueError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit("\nInterrupted: finished chapters are kept for the next run")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Execute the chapters of a run.")
    parser.add_argument("--profile", default="quick")
    parser.add_argument("--data", default="", help="folder with real data sets")
    parser.add_argument(
        "--jobs",
        type=int,
        default=cores(),
        help="chapters at a time (default: one a core)",
    )
    return parser.parse_args()


def cores() -> int:
    return (
        len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count() or 1
    )


def run_all(profile: str, data: str, jobs: int) -> None:
    """Execute the stale chapters, merge the records, and let the book show this run.
    Ends the process where the run must not begin, or a chapter fails.
    """
    chapters.check(profile, data)
    run, names = Path("runs") / profile, chapters.names()
    rows = inventory.take(
        profile,
        data,
        {name: chapters.parameters(name, profile, data) for name in names},
    )
    print(inventory.show(rows, profile, data), flush=True)
    if refused := inventory.refusal(rows):
        sys.exit(refused)
    stale = [name for name in names if not is_current(name, profile, data, run)]
    print(plan(run, names, stale), flush=True)
    (run / "logs").mkdir(parents=True, exist_ok=True)
    command = [
        sys.executable,
        "notebooks/execute.py",
        "--profile",
        profile,
        "--data",
        data,
    ]
    last = [name for name in names if name.endswith(chapters.SCOREBOARD)]
    execute([name for name in stale if name not in last], command, run, jobs)
    execute(
        [name for name in last if not is_current(name, profile, data, run)],
        command,
        run,
        jobs,
    )
    if stale or not (run / "results.json").is_file():
        subprocess.run(
            [sys.executable, "-m", "biosignals.reporting.scoreboard", run], check=True
        )
    chapters.show_run(run)


def is_current(chapter: str, profile: str, data: str, run: Path) -> bool:
    """Whether the executed chapter was made from what is there now."""
    values = chapters.parameters(chapter, profile, data)
    sets = inventory.sets(inventory.take(profile, data, {chapter: values}))
    made = chapters.about(run / f"{chapter}.ipynb").get("made_from")
    return made == chapters.made_from(chapter, values, sets, run)


def plan(run: Path, names: list[str], stale: list[str]) -> str:
    """How long each chapter took last time, and which are executed now."""
    lines = [
        line(
            name,
            clock(last_time(run, name)),
            "executed now" if name in stale else "current",
        )
        for name in names
    ]
    return "\n".join(
        ["Chapters: time they took last, and whether they are executed now", *lines]
    )


def last_time(run: Path, chapter: str) -> float | None:
    return chapters.about(run / f"{chapter}.ipynb").get("seconds")


@dataclass
class Job:
    """A chapter that is being executed."""

    chapter: str
    process: subprocess.Popen
    log: Path
    expected: float | None
    begun: float = field(default_factory=time.monotonic)

    @property
    def times(self) -> str:
        expected = f", last time {clock(self.expected)}" if self.expected else ""
        return f"{clock(time.monotonic() - self.begun)}{expected}"


def execute(names: list[str], command: list[str], run: Path, jobs: int) -> None:
    """Execute chapters into a run, `jobs` at a time: first those that have not been
    executed yet, in their order, then those that took longest. After one that fails no
    more are begun, and the process ends when those that run have ended.
    """
    jobs = max(1, min(jobs, len(names)))
    environment = os.environ | dict.fromkeys(THREADS, str(max(1, cores() // jobs)))
    waiting = sorted(names, key=lambda name: -(last_time(run, name) or LONGEST))
    running: list[Job] = []
    failed: list[Job] = []
    try:
        while running or (waiting and not failed):
            while waiting and not failed and len(running) < jobs:
                running.append(begin(waiting.pop(0), command, run, environment))
            time.sleep(WAIT)
            for job in [job for job in running if job.process.poll() is not None]:
                running.remove(job)
                failed += [job] if job.process.returncode else []
                say(report(job))
            say_what_runs(running)
    except KeyboardInterrupt:
        for job in running:
            job.process.terminate()
        for job in running:
            job.process.wait()
        raise
    if failed:
        which = ", ".join(job.chapter for job in failed)
        sys.exit(f"{which} failed; finished chapters are kept for the next run")


def begin(
    chapter: str, command: list[str], run: Path, environment: dict[str, str]
) -> Job:
    """Start a chapter, with its output in a log of its own."""
    log = run / f"logs/{chapter}.log"
    with open(log, "w") as file:
        process = subprocess.Popen(
            [*command, chapter], stdout=file, stderr=subprocess.STDOUT, env=environment
        )
    return Job(chapter, process, log, last_time(run, chapter))


def report(job: Job) -> str:
    """The line of a chapter that has ended; of one that failed also the end of its log,
    and where that is.
    """
    if not job.process.returncode:
        return line(job.chapter, job.times)
    printed = job.log.read_bytes().decode(errors="replace").split("\n")
    rows = [text.rpartition("\r")[2] for text in printed if text.strip()]
    end = "\n".join(f"    {row}" for row in rows[-LAST_LINES:])
    failed = line(job.chapter, f"failed after {job.times}; its log ends:")
    return f"{failed}\n{end}\n    the whole log: {job.log}"


def line(chapter: str, *parts: str) -> str:
    return f"  {chapter:24} {'  '.join(parts)}"


def say(text: str) -> None:
    """A line that stays, in place of the one that says what is running."""
    print(f"\r\x1b[K{text}" if sys.stdout.isatty() else text, flush=True)


def say_what_runs(running: list[Job]) -> None:
    """On a terminal, a line that the next one takes the place of."""
    if sys.stdout.isatty():
        now = ", ".join(f"{job.chapter} {job.times}" for job in running)
        width = shutil.get_terminal_size().columns - 1
        print(f"\r\x1b[K{'  now: ' + now:.{width}}", end="", flush=True)


if __name__ == "__main__":
    main()
