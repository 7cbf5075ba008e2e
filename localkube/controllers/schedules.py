"""When a CronJob's schedule is due: the five fields of cron, its short names, and the zone they are read in."""

from __future__ import annotations

import datetime
import zoneinfo
from collections.abc import Mapping
from dataclasses import dataclass

MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
SHORT: Mapping[str, str] = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_DAY = datetime.timedelta(days=1)
# February 29th on one weekday comes back after 28 years, or 40 over a century: what is not due until then never is.
_HORIZON_DAYS = 41 * 366


class BadSchedule(ValueError):
    """The text is no schedule; the message says which part and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]  # 0 is Sunday
    either_day: bool  # day of month and weekday are both restricted: one of them is enough
    zone: datetime.tzinfo

    def next_after(self, moment: datetime.datetime) -> datetime.datetime | None:
        """The first due minute later than *moment* (aware), in UTC. None: never."""
        local = moment.astimezone(self.zone)
        day, hours = local.date(), sorted(hour for hour in self.hours if hour >= local.hour)
        for _ in range(_HORIZON_DAYS):
            if self._on(day):
                for hour in hours:
                    for minute in sorted(self.minutes):
                        due = self._at(day, hour, minute)
                        if due is not None and due > moment:
                            return due
            day, hours = day + _DAY, sorted(self.hours)
        return None

    def last_between(self, since: datetime.datetime, moment: datetime.datetime) -> datetime.datetime | None:
        """The latest due minute after *since* and no later than *moment*, in UTC: sought backwards."""
        local, first = moment.astimezone(self.zone), since.astimezone(self.zone).date()
        day, hours = local.date(), sorted((hour for hour in self.hours if hour <= local.hour), reverse=True)
        while day >= first:
            if self._on(day):
                for hour in hours:
                    for minute in sorted(self.minutes, reverse=True):
                        due = self._at(day, hour, minute)
                        if due is not None and due <= moment:
                            return due if due > since else None
            day, hours = day - _DAY, sorted(self.hours, reverse=True)
        return None

    def _on(self, day: datetime.date) -> bool:
        if day.month not in self.months:
            return False
        by_day, by_weekday = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        return by_day or by_weekday if self.either_day else by_day and by_weekday

    def _at(self, day: datetime.date, hour: int, minute: int) -> datetime.datetime | None:
        """None: the clock skips this minute, as it does when summer time begins."""
        local = datetime.datetime.combine(day, datetime.time(hour, minute), self.zone)
        due = local.astimezone(datetime.UTC)
        return due if due.astimezone(self.zone).replace(tzinfo=None) == local.replace(tzinfo=None) else None


def parse_schedule(text: str, zone: str | None = None) -> Schedule:
    """Raises BadSchedule."""
    fields = SHORT.get(text.strip().lower(), text).split()
    if len(fields) != 5:
        raise BadSchedule(f"expected exactly 5 fields, found {len(fields)}: [{text}]")
    weekdays = {number % 7 for number in _parse_field(fields[4], 0, 7, WEEKDAYS, first=0)}
    return Schedule(
        minutes=_parse_field(fields[0], 0, 59),
        hours=_parse_field(fields[1], 0, 23),
        days=_parse_field(fields[2], 1, 31),
        months=_parse_field(fields[3], 1, 12, MONTHS, first=1),
        weekdays=frozenset(weekdays),
        either_day=not _is_star(fields[2]) and not _is_star(fields[4]),
        zone=_find_zone(zone),
    )


def _is_star(field: str) -> bool:
    return field[0] in "*?"


def _find_zone(name: str | None) -> datetime.tzinfo:
    # Without a zone a real server reads the schedule in its own; ours is UTC on every machine.
    if name in (None, "UTC", "Etc/UTC"):
        return datetime.UTC
    try:
        return zoneinfo.ZoneInfo(str(name))
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise BadSchedule(f"unknown time zone {name}") from None


def _parse_field(text: str, low: int, high: int, names: tuple[str, ...] = (), first: int = 0) -> frozenset[int]:
    found: set[int] = set()
    for part in text.split(","):
        span, slash, step_text = part.partition("/")
        step = _parse_number(step_text, ()) if slash else 1
        if step < 1:
            raise BadSchedule(f"step of range should be a positive number: {part}")
        start_text, dash, end_text = span.partition("-")
        if span in ("*", "?"):
            start, end = low, high
        else:
            start = _parse_number(start_text, names, first)
            end = _parse_number(end_text, names, first) if dash else (high if slash else start)
        if not low <= start <= end <= high:
            raise BadSchedule(f"{part} is not within {low} and {high}, or ends before it begins")
        found.update(range(start, end + 1, step))
    return frozenset(found)


def _parse_number(text: str, names: tuple[str, ...], first: int = 0) -> int:
    if text.lower() in names:
        return names.index(text.lower()) + first
    if not text.isdecimal():
        raise BadSchedule(f"failed to parse int from {text}")
    return int(text)
