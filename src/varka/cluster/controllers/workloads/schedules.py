"""When a cron expression is due: five fields (minute, hour, day of month, month, day of week), or a name such as `@hourly`. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

NAMED = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
DAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """The values that each field allows; `any_day` and `any_weekday` tell whether those fields were stars."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    any_day: bool
    any_weekday: bool

    def due(self, moment: datetime) -> bool:
        """Whether the minute of `moment` is meant; with both day fields given, either is enough."""
        day, weekday = moment.day in self.days, moment.isoweekday() % 7 in self.weekdays
        fits = day and weekday if self.any_day or self.any_weekday else day or weekday
        return fits and moment.minute in self.minutes and moment.hour in self.hours and moment.month in self.months

    def after(self, moment: datetime) -> datetime | None:
        """The first minute after `moment` that is due; None when there is none within five years."""
        current = moment.replace(second=0, microsecond=0) + timedelta(minutes=1)
        end = current + timedelta(days=5 * 366)
        while current < end:
            if current.month not in self.months or not self._day(current):
                current = (current + timedelta(days=1)).replace(hour=0, minute=0)
            elif current.hour not in self.hours:
                current = (current + timedelta(hours=1)).replace(minute=0)
            elif current.minute not in self.minutes:
                current += timedelta(minutes=1)
            else:
                return current
        return None

    def _day(self, moment: datetime) -> bool:
        day, weekday = moment.day in self.days, moment.isoweekday() % 7 in self.weekdays
        return day and weekday if self.any_day or self.any_weekday else day or weekday


def parse(text: str) -> Schedule:
    """A schedule from its text; ValueError when it is none."""
    fields = NAMED.get(text.strip(), text).split()
    if len(fields) != 5:
        raise ValueError(f"expected exactly 5 fields, found {len(fields)}: {text}")
    weekdays = _field(fields[4], 0, 7, DAYS)
    return Schedule(
        minutes=_field(fields[0], 0, 59, []),
        hours=_field(fields[1], 0, 23, []),
        days=_field(fields[2], 1, 31, []),
        months=_field(fields[3], 1, 12, ["", *MONTHS]),
        weekdays=frozenset(day % 7 for day in weekdays),
        any_day=fields[2].startswith(("*", "?")),
        any_weekday=fields[4].startswith(("*", "?")),
    )


def _field(text: str, low: int, high: int, names: list[str]) -> frozenset[int]:
    values: set[int] = set()
    for part in text.split(","):
        span, _, step = part.partition("/")
        if span in ("*", "?"):
            first, last = low, high if high != 7 else 6
        else:
            start, _, end = span.partition("-")
            first = _value(start, names)
            last = _value(end, names) if end else (high if step else first)
        if not low <= first <= last <= high or (step and int(step) < 1):
            raise ValueError(f"{part} is not within {low}-{high}")
        values.update(range(first, last + 1, int(step) if step else 1))
    return frozenset(values)


def _value(text: str, names: list[str]) -> int:
    return names.index(text.lower()) if text.lower() in names and text else int(text)
