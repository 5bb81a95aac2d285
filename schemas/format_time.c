/* format_time.c - formats of RFC 3339: date-time, date, time, duration */
#include "schemas/scan.h"

static bool
two_digits(busp_scan *scan, unsigned max, unsigned *ret_value)
{
	return busp_scan_digits(scan, 2, ret_value) == 2 && *ret_value <= max;
}

static unsigned
days_in(unsigned year, unsigned month)
{
	static const unsigned days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
	return days[month - 1] + (month == 2 && leap);
}

static bool
scan_date(busp_scan *scan)
{
	unsigned year, month, day;
	return busp_scan_digits(scan, 4, &year) == 4 && busp_scan_char(scan, '-') &&
	       two_digits(scan, 12, &month) && month >= 1 && busp_scan_char(scan, '-') &&
	       two_digits(scan, 31, &day) && day >= 1 && day <= days_in(year, month);
}

/* Z or +hh:mm; minutes east of UTC. */
static bool
scan_offset(busp_scan *scan, int *ret_minutes)
{
	unsigned hours, minutes;
	if (busp_scan_char(scan, 'Z') || busp_scan_char(scan, 'z')) {
		*ret_minutes = 0;
		return true;
	}
	int sign = busp_scan_peek(scan) == '-' ? -1 : 1;
	if (!busp_scan_char(scan, '+') && !busp_scan_char(scan, '-')) {
		return false;
	}
	bool valid = two_digits(scan, 23, &hours) && busp_scan_char(scan, ':') &&
		     two_digits(scan, 59, &minutes);
	*ret_minutes = valid ? sign * (int)(hours * 60 + minutes) : 0;
	return valid;
}

/* A second 60 is there only at 23:59 UTC. */
static bool
scan_time(busp_scan *scan)
{
	unsigned hour, minute, second, fraction;
	int offset;
	if (!two_digits(scan, 23, &hour) || !busp_scan_char(scan, ':') ||
	    !two_digits(scan, 59, &minute) || !busp_scan_char(scan, ':') ||
	    !two_digits(scan, 60, &second)) {
		return false;
	}
	if (busp_scan_char(scan, '.') &&
	    busp_scan_digits(scan, SIZE_MAX, &fraction) == 0) {
		return false;
	}
	if (!scan_offset(scan, &offset)) {
		return false;
	}
	int utc = ((int)(hour * 60 + minute) - offset + 1440) % 1440;
	return second < 60 || utc == 1439;
}

bool
busp_is_date(bus_str text)
{
	busp_scan scan = busp_scan_of(text);
	return scan_date(&scan) && busp_scan_done(&scan);
}

bool
busp_is_time(bus_str text)
{
	busp_scan scan = busp_scan_of(text);
	return scan_time(&scan) && busp_scan_done(&scan);
}

bool
busp_is_date_time(bus_str text)
{
	busp_scan scan = busp_scan_of(text);
	return scan_date(&scan) &&
	       (busp_scan_char(&scan, 'T') || busp_scan_char(&scan, 't')) &&
	       scan_time(&scan) && busp_scan_done(&scan);
}

/* Numbers with units from `units`, in that order and without a gap between two of them
 * (RFC 3339, appendix A: hours, then minutes, then seconds). How many. */
static unsigned
scan_units(busp_scan *scan, const char *units)
{
	unsigned count = 0, number;
	while (*units != '\0') {
		busp_scan mark = *scan;
		if (busp_scan_digits(scan, SIZE_MAX, &number) == 0) {
			break;
		}
		const char *unit = units;
		while (*unit != '\0' && !busp_scan_char(scan, *unit)) {
			unit++;
		}
		if (*unit == '\0' || (count > 0 && unit != units)) {
			*scan = mark;
			break;
		}
		units = unit + 1;
		count++;
	}
	return count;
}

bool
busp_is_duration(bus_str text)
{
	busp_scan scan = busp_scan_of(text);
	if (!busp_scan_char(&scan, 'P')) {
		return false;
	}
	if (scan_units(&scan, "W") == 1) {
		return busp_scan_done(&scan);
	}
	unsigned dates = scan_units(&scan, "YMD");
	if (busp_scan_char(&scan, 'T')) {
		return scan_units(&scan, "HMS") > 0 && busp_scan_done(&scan);
	}
	return dates > 0 && busp_scan_done(&scan);
}
